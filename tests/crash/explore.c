/* SPDX-License-Identifier: ISC */
#include "tests/crash/explore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/cut.h"

#define EXHAUSTIVE 12 /* writes since the last flush of which all subsets are  \
                       */
#define HELD_MAX   7  /* generations that a device without flush holds back */
#define NEST_EVERY 3  /* entries from one crash after a crash to the next */
#define FAILED_MAX 5

/* A log whose cuts are tried, and what is known of it. */
struct story {
    const struct bd_fault_log *log;
    const struct commit *commits;
    size_t n_commits;
    struct bd_replay replay;
    struct cut cut;
    const struct story
        *outer; /* of a crash after a crash: its cut came first */
};

static bool has_flush(const struct explorer *x)
{
    return (x->scene->config->caps & BD_CAP_FLUSH) != 0;
}

/* ---- Judging ---------------------------------------------------------- */

static void expect(const struct explorer *x, const struct story *story,
                   struct expected *ret)
{
    /* What a device without flush may hold back is not settled. */
    const size_t sure = has_flush(x) ? story->cut.upto : story->cut.settled;
    *ret = (struct expected){
        .commits = story->commits,
        .n_commits = story->n_commits,
        .lies = x->scene->config->held > 0,
    };
    for (size_t i = 0; i < story->n_commits; i++) {
        if (story->commits[i].acked <= sure) {
            ret->lo = i;
        }
        if (story->commits[i].begun <= story->cut.upto) {
            ret->hi = i;
        }
    }
    ret->may_not_mount = x->scene->reformats && ret->lo < ret->hi;
}

static void print_name(const struct story *story, FILE *out)
{
    if (story->outer != NULL) {
        print_name(story->outer, out);
        fputc('+', out);
    }
    cut_print(&story->cut, out);
}

/* Make the disk of the story's cut, and judge it. */
static void try_cut(struct explorer *x, struct story *story)
{
    struct expected expected;
    char *why = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&why, &len);
    if (x->n_failed < FAILED_MAX && out != NULL) {
        expect(x, story, &expected);
        cut_apply(&story->cut, &story->replay);
        const bool good =
            judge(&x->judge, &expected, cut_hash(&story->cut), out);
        x->n_nested += story->outer != NULL;
        fflush(out);
        if (!good) {
            x->n_failed++;
            fprintf(stderr, "%srepeat: %s", why, x->repeat);
            print_name(story, stderr);
            fputc('\n', stderr);
        }
    }
    if (out != NULL) {
        fclose(out);
    }
    free(why);
}

/* ---- Which cuts ------------------------------------------------------- */

static bool has_effect(const struct bd_fault_entry *entry)
{
    return entry->op != BD_FAULT_FLUSH;
}

/* Entries in the window that a power cut may lose. */
static size_t window_size(const struct story *story)
{
    size_t n = 0;
    for (size_t i = story->cut.settled; i < story->cut.upto; i++) {
        n += has_effect(&story->log->entries[i]);
    }
    return n;
}

static void nest(struct explorer *x, struct story *story);

static void try_and_nest(struct explorer *x, struct story *story)
{
    try_cut(x, story);
    if (x->nests > 0 && story->outer == NULL && prng_below(&x->prng, 16) == 0) {
        x->nests--;
        nest(x, story);
    }
}

/* Each entry arrives with that chance, in percent, and is torn at times. */
static void sample(struct explorer *x, struct story *story, uint64_t percent)
{
    const size_t n = story->cut.upto - story->cut.settled;
    const size_t sectors = x->scene->config->page_size / 512;
    for (size_t i = 0; i < n; i++) {
        struct fate *fate = &story->cut.fates[i];
        fate->arrived = prng_below(&x->prng, 100) < percent;
        fate->torn =
            fate->arrived && sectors > 1 &&
            story->log->entries[story->cut.settled + i].op == BD_FAULT_WRITE &&
            prng_below(&x->prng, 8) == 0;
        fate->sectors[0] = prng_next(&x->prng);
        fate->sectors[1] = prng_next(&x->prng);
        if (sectors < 64) {
            fate->sectors[0] &= (UINT64_C(1) << sectors) - 1;
            fate->sectors[1] = 0;
        }
    }
}

/* All subsets of the window that have its last entry. */
static void try_subsets(struct explorer *x, struct story *story, size_t m)
{
    const size_t n = story->cut.upto - story->cut.settled;
    for (uint64_t mask = 0; mask < UINT64_C(1) << (m - 1); mask++) {
        size_t k = 0;
        cut_all(&story->cut, true);
        for (size_t i = 0; i + 1 < n; i++) {
            if (has_effect(&story->log->entries[story->cut.settled + i])) {
                story->cut.fates[i].arrived = (mask >> k++ & 1) != 0;
            }
        }
        try_and_nest(x, story);
    }
}

/* A window too large for all its subsets. */
static void try_samples(struct explorer *x, struct story *story)
{
    const size_t n = story->cut.upto - story->cut.settled;
    cut_all(&story->cut, true); /* the prefix */
    try_and_nest(x, story);
    cut_all(&story->cut, false); /* only the last one */
    story->cut.fates[n - 1].arrived = true;
    try_and_nest(x, story);
    for (uint64_t i = 0; i < x->effort; i++) { /* all but one */
        cut_all(&story->cut, true);
        story->cut.fates[prng_below(&x->prng, n)].arrived = false;
        try_and_nest(x, story);
    }
    for (uint64_t i = 0; i < 2 * x->effort; i++) {
        sample(x, story, 10 + 20 * prng_below(&x->prng, 5));
        try_and_nest(x, story);
    }
}

/* The last entry torn: at each sector from either side, and anyhow. */
static void try_tears(struct explorer *x, struct story *story)
{
    const size_t n = story->cut.upto - story->cut.settled;
    const size_t sectors = x->scene->config->page_size / 512;
    const size_t step = sectors / 8 + 1;
    if (story->log->entries[story->cut.upto - 1].op != BD_FAULT_WRITE) {
        return;
    }
    for (size_t k = 1; k < sectors; k += step) {
        for (int side = 0; side < 2; side++) {
            struct fate torn = {.arrived = true, .torn = true};
            for (size_t i = 0; i < sectors; i++) {
                if ((i < k) == (side == 0)) {
                    torn.sectors[i / 64] |= UINT64_C(1) << i % 64;
                }
            }
            cut_all(&story->cut, true);
            story->cut.fates[n - 1] = torn;
            try_and_nest(x, story);
        }
    }
    for (uint64_t i = 0; sectors > 1 && i < 2 * x->effort; i++) {
        sample(x, story, 90);
        try_and_nest(x, story);
    }
}

/* Power fails after upto entries, on a device that keeps its word, or has
 * n_held of its flushes still to do. */
static void try_flushed(struct explorer *x, struct story *story, size_t upto,
                        size_t n_held)
{
    story->cut.upto = upto;
    story->cut.settled = bd_replay_settled(story->log, upto, n_held);
    if (story->cut.settled == upto) {
        try_and_nest(x, story);
        return;
    }
    if (!has_effect(&story->log->entries[upto - 1])) {
        return;
    }
    const size_t m = window_size(story);
    if (m <= (story->outer == NULL && n_held == 0 ? EXHAUSTIVE : 4)) {
        try_subsets(x, story, m);
    } else {
        try_samples(x, story);
    }
    if (n_held == 0) {
        try_tears(x, story);
    }
}

/* On a device without flush: what it holds back are the writes of up to
 * HELD_MAX generations, of which a commit may make more than one. */
static void try_unflushed(struct explorer *x, struct story *story, size_t upto)
{
    struct expected expected;
    story->cut.upto = upto;
    story->cut.settled = upto;
    expect(x, story, &expected);
    uint64_t newest =
        0; /* up to the next commit, which begins before nf_sync */
    for (size_t i = 0; i < story->n_commits && i <= expected.lo + 1; i++) {
        newest = story->commits[i].generation > newest
                     ? story->commits[i].generation
                     : newest;
    }
    for (size_t i = expected.lo + 1; i > 0; i--) {
        const struct commit *commit = &story->commits[i - 1];
        if (commit->acked > upto) {
            continue; /* it failed */
        }
        if (newest - commit->generation > HELD_MAX) {
            break;
        }
        story->cut.settled = commit->acked;
        cut_all(&story->cut, false);
        try_and_nest(x, story);
        if (commit->acked < upto) {
            sample(x, story, 100);
            try_and_nest(x, story);
            for (uint64_t k = 0; k < x->effort; k++) {
                sample(x, story, 10 + 20 * prng_below(&x->prng, 5));
                try_and_nest(x, story);
            }
        }
    }
}

static void tell_story(struct explorer *x, struct story *story)
{
    for (size_t upto = 0; upto <= story->log->n; upto++) {
        if (story->outer == NULL && upto % NEST_EVERY == 0) {
            x->nests = x->scene->config->held > 0 ? 0 : x->effort;
        }
        if (!has_flush(x)) {
            try_unflushed(x, story, upto);
        } else if (x->scene->config->held == 0) {
            try_flushed(x, story, upto, 0);
        }
        for (size_t held = 1; held <= x->scene->config->held; held++) {
            try_flushed(x, story, upto, held);
        }
    }
}

/* ---- A crash after a crash -------------------------------------------- */

/* What the crash left, and what is there after the commit that follows. */
struct sequel {
    struct bd_fault_log log;
    struct commit commits[2];
    struct story story;
};

static uint64_t generation_of(struct nf *nf)
{
    struct nf_stats stats;
    nf_stats(nf, &stats);
    return stats.generation;
}

/* The disk is what the outer cut left; mount it and commit once, recorded. */
static bool sequel_run(struct explorer *x, struct sequel *sequel)
{
    struct scene *s = x->scene;
    struct commit *was = &sequel->commits[0];
    struct commit *is = &sequel->commits[1];
    struct nf *nf;
    s->fault->log = &sequel->log;
    bool good = nf_mount(&s->fault->bd, &s->mem.env, &s->options, &nf) == 0;
    if (good) {
        tree_read(nf, NULL, &was->tree);
        was->generation = generation_of(nf);
        is->begun = sequel->log.n;
        good = judge_follow_up(nf, "~inner", s->config->page_size,
                               sequel->story.outer->cut.upto) == 0;
        is->acked = sequel->log.n;
        tree_read(nf, NULL, &is->tree);
        is->generation = generation_of(nf);
        good = good && was->tree.err == 0 && is->tree.err == 0;
        nf_unmount(nf);
    }
    s->fault->log = NULL;
    return good;
}

/* false: what the outer cut left does not mount. Close it anyway. */
static bool sequel_open(struct explorer *x, struct story *outer,
                        struct sequel *ret)
{
    struct bd_fault *fault = x->scene->fault;
    *ret = (struct sequel){.story = {.outer = outer}};
    cut_apply(&outer->cut, &outer->replay);
    bd_fault_mark(fault);
    const bool good = sequel_run(x, ret);
    bd_fault_reset(fault);
    ret->story.log = &ret->log;
    ret->story.commits = ret->commits;
    ret->story.n_commits = 2;
    cut_init(&ret->story.cut, ret->log.n);
    bd_replay_open(&ret->story.replay, fault, &ret->log);
    return good;
}

static void sequel_close(struct explorer *x, struct sequel *sequel)
{
    bd_replay_close(&sequel->story.replay);
    bd_fault_unmark(x->scene->fault);
    cut_deinit(&sequel->story.cut);
    tree_deinit(&sequel->commits[0].tree);
    tree_deinit(&sequel->commits[1].tree);
    bd_fault_log_deinit(&sequel->log);
}

static void nest(struct explorer *x, struct story *outer)
{
    struct sequel sequel;
    if (sequel_open(x, outer, &sequel)) {
        tell_story(x, &sequel.story);
    }
    sequel_close(x, &sequel);
}

/* ---- Scenes ----------------------------------------------------------- */

static void story_open(struct explorer *x, struct scene *scene,
                       struct story *ret)
{
    x->scene = scene;
    x->n_failed = 0;
    x->judge.scene = scene;
    *ret = (struct story){
        .log = &scene->log,
        .commits = scene->commits,
        .n_commits = scene->n_commits,
    };
    cut_init(&ret->cut, scene->log.n);
    bd_replay_open(&ret->replay, scene->fault, &scene->log);
}

static void story_close(struct story *story)
{
    bd_replay_close(&story->replay);
    cut_deinit(&story->cut);
}

void explore(struct explorer *x, struct scene *scene)
{
    struct story story;
    story_open(x, scene, &story);
    tell_story(x, &story);
    story_close(&story);
}

bool explore_one(struct explorer *x, struct scene *scene, const char *name)
{
    struct story story;
    struct sequel sequel;
    story_open(x, scene, &story);
    bool known = cut_parse(&story.cut, story.log->n, &name);
    if (known && *name == '+') {
        name++;
        known = sequel_open(x, &story, &sequel) &&
                cut_parse(&sequel.story.cut, sequel.log.n, &name) &&
                *name == '\0';
        if (known) {
            try_cut(x, &sequel.story);
        }
        sequel_close(x, &sequel);
    } else if (known && *name == '\0') {
        try_cut(x, &story);
    } else {
        known = false;
    }
    story_close(&story);
    return known;
}
