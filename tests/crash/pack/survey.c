/* SPDX-License-Identifier: ISC */
#include "tests/crash/pack/survey.h"

#include <stdlib.h>
#include <string.h>

#define EXHAUSTIVE                                                             \
    5                /* changes since the last flush of which all subsets are  \
                        tried */
#define HELD_MAX   7 /* generations that a device without flush holds back */
#define NEST_EVERY 8 /* entries from one cut after a cut to the next */
#define FAILED_MAX 5

/* A record whose cuts are tried, and the moments of it. */
struct sequel;
struct line {
    struct cut cut;
    const struct moment *moments;
    size_t n_moments;
    const struct line *outer;    /* of a cut after a cut: that came first ... */
    const struct sequel *sequel; /* ... and this followed */
};

static const struct config *config_of(const struct survey *s)
{
    return s->play->stage->config;
}

static bool has_flush(const struct survey *s)
{
    return config_of(s)->page_size == 0 ||
           (config_of(s)->caps & BD_CAP_FLUSH) != 0;
}

/* ---- Judging ---------------------------------------------------------- */

static void print_name(const struct line *line, FILE *out)
{
    if (line->outer != NULL) {
        print_name(line->outer, out);
        fputc('+', out);
    }
    cut_print(&line->cut, out);
}

/* The moments that may be shown: the last that is surely there, up to the last
 * that was begun. */
static void expect(const struct survey *s, const struct line *line,
                   struct verdict *ret)
{
    const size_t sure = has_flush(s) ? line->cut.upto : line->cut.settled;
    for (size_t i = 0; i < line->n_moments; i++) {
        if (line->moments[i].acked <= sure) {
            ret->lo = i;
        }
        if (line->moments[i].begun <= line->cut.upto) {
            ret->hi = i;
        }
    }
    ret->lies = config_of(s)->held > 0;
    ret->lo = ret->lies ? 0 : ret->lo;
    ret->may_be_absent = ret->lo == 0;
    ret->n_durable = ret->lies ? 0 : line->moments[ret->lo].n_durable;
}

static void expect_sequel(const struct survey *s, const struct line *line,
                          struct verdict *ret);

static void try_cut(struct survey *s, struct line *line)
{
    struct verdict v = {.play = s->play, .nth = cut_hash(&line->cut)};
    char *why = NULL;
    size_t len = 0;
    if (s->n_failed >= FAILED_MAX) {
        return;
    }
    v.why = open_memstream(&why, &len);
    if (v.why == NULL) {
        abort();
    }
    s->n_states++;
    stage_cut(s->play->stage, &line->cut);
    s->n_nested += line->outer != NULL;
    if (line->outer == NULL) {
        expect(s, line, &v);
    } else {
        expect_sequel(s, line, &v);
    }
    const bool good = verdict(&v);
    s->n_damaged += v.damaged;
    fclose(v.why);
    if (!good) {
        s->n_failed++;
        fprintf(stderr, "%srepeat: %s", why, s->repeat);
        print_name(line, stderr);
        fputc('\n', stderr);
    }
    free(why);
}

/* ---- Which cuts ------------------------------------------------------- */

static bool changes(const struct survey *s, size_t i)
{
    return stage_entry(s->play->stage, i).changes;
}

static void nest(struct survey *s, struct line *line);

static void try_and_nest(struct survey *s, struct line *line)
{
    try_cut(s, line);
    if (s->nests > 0 && line->outer == NULL && prng_below(&s->prng, 8) == 0) {
        s->nests--;
        nest(s, line);
    }
}

/* Each entry arrives with that chance, in percent, and is torn at times. */
static void sample(struct survey *s, struct line *line, uint64_t percent)
{
    for (size_t i = line->cut.settled; i < line->cut.upto; i++) {
        struct fate *fate = &line->cut.fates[i - line->cut.settled];
        const size_t sectors = stage_entry(s->play->stage, i).sectors;
        const bool files = config_of(s)->page_size == 0;
        fate->arrived = prng_below(&s->prng, 100) < percent;
        fate->torn = fate->arrived && sectors > (files ? 0 : 1) &&
                     prng_below(&s->prng, 4) == 0;
        fate->sectors[0] = prng_next(&s->prng);
        fate->sectors[1] = prng_next(&s->prng);
        if (!files && sectors < 64) {
            fate->sectors[0] &= (UINT64_C(1) << sectors) - 1;
            fate->sectors[1] = 0;
        }
    }
}

/* All subsets of the window that have its last entry. */
static void try_subsets(struct survey *s, struct line *line, size_t n_changes)
{
    const size_t n = line->cut.upto - line->cut.settled;
    for (uint64_t mask = 0; mask < UINT64_C(1) << (n_changes - 1); mask++) {
        size_t k = 0;
        cut_all(&line->cut, true);
        for (size_t i = 0; i + 1 < n; i++) {
            if (changes(s, line->cut.settled + i)) {
                line->cut.fates[i].arrived = (mask >> k++ & 1) != 0;
            }
        }
        try_and_nest(s, line);
    }
}

/* A window too large for all its subsets. */
static void try_samples(struct survey *s, struct line *line)
{
    const size_t n = line->cut.upto - line->cut.settled;
    cut_all(&line->cut, true); /* the prefix */
    try_and_nest(s, line);
    cut_all(&line->cut, false); /* only the last one */
    line->cut.fates[n - 1].arrived = true;
    try_and_nest(s, line);
    for (uint64_t i = 0; i < 4 * s->effort; i++) { /* all but one */
        cut_all(&line->cut, true);
        line->cut.fates[prng_below(&s->prng, n)].arrived = false;
        try_and_nest(s, line);
    }
    for (uint64_t i = 0; i < 8 * s->effort; i++) {
        sample(s, line, 10 + 20 * prng_below(&s->prng, 5));
        try_and_nest(s, line);
    }
}

/* The last entry torn, all else there; then anything torn. */
static void try_tears(struct survey *s, struct line *line)
{
    const size_t n = line->cut.upto - line->cut.settled;
    const size_t sectors =
        stage_entry(s->play->stage, line->cut.upto - 1).sectors;
    const bool files = config_of(s)->page_size == 0;
    if (sectors < (files ? 1 : 2)) {
        return;
    }
    for (uint64_t i = 0; i < 2 * s->effort; i++) {
        struct fate torn = {.arrived = true, .torn = true};
        sample(s, line, 0);
        torn.sectors[0] = line->cut.fates[n - 1].sectors[0];
        torn.sectors[1] = line->cut.fates[n - 1].sectors[1];
        cut_all(&line->cut, true);
        line->cut.fates[n - 1] = torn;
        try_and_nest(s, line);
        sample(s, line, 90);
        try_and_nest(s, line);
    }
}

/* Power fails after upto entries, on a device that keeps its word, or has
 * n_held of its flushes still to do. */
static void try_flushed(struct survey *s, struct line *line, size_t upto,
                        size_t n_held)
{
    size_t n_changes = 0;
    line->cut.upto = upto;
    line->cut.settled = stage_settled(s->play->stage, upto, n_held);
    if (line->cut.settled == upto) {
        try_and_nest(s, line);
        return;
    }
    if (!changes(s, upto - 1)) {
        return;
    }
    for (size_t i = line->cut.settled; i < upto; i++) {
        n_changes += changes(s, i);
    }
    if (n_changes <= EXHAUSTIVE) {
        try_subsets(s, line, n_changes);
    } else {
        try_samples(s, line);
    }
    if (n_held == 0) {
        try_tears(s, line);
    }
}

/* On a device without flush: it may hold back the writes of up to HELD_MAX
 * generations. */
static void try_unflushed(struct survey *s, struct line *line, size_t upto)
{
    struct verdict at = {.lo = 0};
    line->cut.upto = upto;
    line->cut.settled = upto;
    expect(s, line, &at);
    const size_t next =
        at.lo + 1 < line->n_moments ? at.lo + 1 : at.lo; /* it may be on */
    const uint64_t newest = line->moments[next].generation;
    for (size_t i = at.lo + 1; i > 0; i--) {
        const struct moment *moment = &line->moments[i - 1];
        if (newest - moment->generation > HELD_MAX) {
            break;
        }
        line->cut.settled = moment->acked;
        cut_all(&line->cut, false);
        try_and_nest(s, line);
        if (moment->acked < upto) {
            sample(s, line, 100);
            try_and_nest(s, line);
            for (uint64_t k = 0; k < 2 * s->effort; k++) {
                sample(s, line, 10 + 20 * prng_below(&s->prng, 5));
                try_and_nest(s, line);
            }
        }
    }
}

static void tell_line(struct survey *s, struct line *line)
{
    const size_t n = stage_n_entries(s->play->stage);
    const size_t held = config_of(s)->held;
    for (size_t upto = 0; upto <= n; upto++) {
        if (line->outer == NULL && upto % NEST_EVERY == 0) {
            s->nests = held > 0 ? 0 : s->effort;
        }
        if (!has_flush(s)) {
            try_unflushed(s, line, upto);
        } else if (held == 0) {
            try_flushed(s, line, upto, 0);
        }
        for (size_t i = 1; i <= held; i++) {
            try_flushed(s, line, upto, i);
        }
    }
}

/* ---- A cut after a cut ------------------------------------------------ */

/* The life after the outer cut: what was shown, and the commit made then. */
struct sequel {
    struct line line;
    struct moment moments[2];
    struct verdict before; /* what was shown before that commit */
    struct pk_digest commit;
};

#define SEQUEL_SEED UINT64_C(0x5E00E1)

/* What the outer cut left, opened and committed to once, recorded. false: it
 * does not go, which was told when that cut was judged. */
static bool sequel_run(struct survey *s, struct sequel *q)
{
    struct play *p = s->play;
    int err = stage_power_on(p->stage, &p->vfs);
    if (err == 0) {
        q->moments[0].generation = stage_generation(p->stage);
        err = verdict_go_on(&q->before, SEQUEL_SEED, &q->commit);
        q->moments[1].generation = stage_generation(p->stage);
        stage_power_off(p->stage);
    }
    q->moments[1].acked = stage_n_entries(p->stage);
    return err == 0;
}

static bool sequel_open(struct survey *s, struct line *outer, struct sequel *q)
{
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere == NULL) {
        abort();
    }
    *q = (struct sequel){
        .line = {.outer = outer, .sequel = q},
        .before = {.play = s->play, .why = nowhere},
    };
    expect(s, outer, &q->before);
    stage_cut(s->play->stage, &outer->cut);
    stage_record(s->play->stage);
    const bool good = sequel_run(s, q);
    fclose(nowhere);
    q->line.moments = q->moments;
    q->line.n_moments = 2;
    cut_init(&q->line.cut, stage_n_entries(s->play->stage));
    stage_rewind(s->play->stage);
    return good;
}

static void sequel_close(struct survey *s, struct sequel *q)
{
    stage_forget(s->play->stage);
    cut_deinit(&q->line.cut);
}

/* What was shown after the outer cut, or the commit that followed on top. */
static void expect_sequel(const struct survey *s, const struct line *line,
                          struct verdict *ret)
{
    const size_t sure = has_flush(s) ? line->cut.upto : line->cut.settled;
    ret->lo = line->sequel->before.found;
    ret->hi = ret->lo;
    ret->n_durable = line->sequel->before.n_durable;
    ret->follow = &line->sequel->commit;
    ret->followed = line->moments[1].acked <= sure;
    ret->may_be_absent = line->sequel->before.may_be_absent && !ret->followed;
}

static void nest(struct survey *s, struct line *outer)
{
    struct sequel q;
    if (sequel_open(s, outer, &q)) {
        tell_line(s, &q.line);
    }
    sequel_close(s, &q);
}

/* ---- Plays ------------------------------------------------------------ */

static void line_open(struct survey *s, struct play *play, struct line *ret)
{
    s->play = play;
    s->n_failed = 0;
    *ret = (struct line){
        .moments = play->moments,
        .n_moments = play->n_moments,
    };
    cut_init(&ret->cut, stage_n_entries(play->stage));
}

void survey(struct survey *s, struct play *play)
{
    struct line line;
    line_open(s, play, &line);
    tell_line(s, &line);
    cut_deinit(&line.cut);
}

/* What became of the entries that were not settled. */
static void print_window(const struct survey *s, const struct line *line)
{
    for (size_t i = line->cut.settled; i < line->cut.upto; i++) {
        const struct fate *fate = &line->cut.fates[i - line->cut.settled];
        printf("%4zu %s ", i,
               !fate->arrived ? "lost"
               : fate->torn   ? "torn"
                              : "kept");
        stage_print(s->play->stage, i, stdout);
    }
}

bool survey_one(struct survey *s, struct play *play, const char *name)
{
    struct line line;
    struct sequel q;
    line_open(s, play, &line);
    bool known = cut_parse(&line.cut, stage_n_entries(play->stage), &name);
    if (known) {
        print_window(s, &line);
    }
    if (known && *name == '+') {
        name++;
        known = sequel_open(s, &line, &q) &&
                cut_parse(&q.line.cut, stage_n_entries(play->stage), &name) &&
                *name == '\0';
        if (known) {
            print_window(s, &q.line);
            try_cut(s, &q.line);
        }
        sequel_close(s, &q);
    } else if (known && *name == '\0') {
        try_cut(s, &line);
    } else {
        known = false;
    }
    cut_deinit(&line.cut);
    return known;
}
