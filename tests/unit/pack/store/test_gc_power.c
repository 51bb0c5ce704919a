/* SPDX-License-Identifier: ISC */
/*
 * Power cuts in splits, garbage collections, archiving and giving up, with
 * commits going on in between: on a file system that promises no more than
 * POSIX does, and on disks of Notafs. Every state that a cut could leave is
 * opened, by a reader and by a writer: it shows what it held before or what it
 * holds after, all commits that were acknowledged, and nothing is left over.
 * Then it takes a commit and is collected once more.
 *
 * NOTAFS_CRASH_ROUNDS is the number of random states for each moment.
 */
#include <notafs/bd_mem.h>
#include <notafs/notafs.h>
#include <notafs/vfs_notafs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/bd_replay.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_FIRST = 8, N_MAX = 40, GEN_MAX = 4, DISK_LEN = 1 << 21 };

/* Where the stores lie. */
struct ground {
    const char *name;
    enum nf_profile profile;
    uint32_t page_size; /* 0: not on Notafs */
};

static const struct ground posix = {.name = "posix"};
static const struct ground native_512 = {"native-512", NF_PROFILE_NATIVE, 512};
static const struct ground native_4096 = {"native-4096", NF_PROFILE_NATIVE,
                                          4096};
static const struct ground mirage_1024 = {"mirage-1024", NF_PROFILE_MIRAGE,
                                          1024};

/* What a collection keeps. */
struct kept {
    int target;       /* and all that is newer */
    uint64_t commits; /* a bit each */
};

/* Things done and acknowledged when the device had so much of its log. */
struct mark {
    size_t n_log;
    int n;
    int generation;
};

struct world {
    const struct ground *ground;
    struct mem_fault mem;
    struct vfs_fault files;
    struct bd_fault *fault;
    struct bd_fault_log log;
    struct mark *marks;
    size_t n_marks;
    struct nf *nf;
    struct pk_vfs_notafs *notafs;
    struct pk_vfs vfs; /* in use */
    bool lower;
    bool migrates; /* when opened for writing */
    struct pk_repo *repo;
    struct pk_digest commits[N_MAX + 1]; /* from 1 on */
    struct pk_digest roots[N_MAX + 1];
    int n; /* commits made */
    struct kept kept[GEN_MAX + 1];
    int generation;
    uint64_t n_states;
    uint64_t seen[GEN_MAX + 1];
};

/* ------------------------------------------------------------- the grounds */

static void world_mount(struct world *w, struct bd *bd)
{
    assert_ok(nf_mount(bd, &w->mem.env, NULL, &w->nf));
    assert_ok(pk_vfs_notafs_open(w->nf, &w->mem.env, nf_path("s"), &w->notafs,
                                 &w->vfs));
}

static void world_unmount(struct world *w)
{
    pk_vfs_notafs_close(w->notafs);
    nf_unmount(w->nf);
}

static void world_open(struct world *w, uint32_t flags)
{
    struct pk_open opts = {.vfs = &w->vfs, .flags = flags};
    struct nf_error_info info = {0};
    int err;

    assert_ok(pk_config_parse("kv32", &opts.config));
    opts.lower = w->lower ? &w->vfs : NULL;
    opts.cache_len = 4096;
    err = pk_repo_open(&w->mem.env, &opts, &info, &w->repo);
    ck_assert_msg(err == 0, "%s: %s", info.file, nf_strerror(err));
}

static void world_begin(struct world *w, const struct ground *ground)
{
    *w = (struct world){.ground = ground};
    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    w->vfs = w->files.vfs;
    if (ground->page_size > 0) {
        const struct bd_geometry geo = {DISK_LEN / ground->page_size,
                                        ground->page_size, BD_CAP_FLUSH};
        const struct nf_format_options how = {.profile = ground->profile};

        w->fault = bd_fault_open(&geo);
        assert_ok(nf_format(&w->fault->bd, &w->mem.env, &how));
        world_mount(w, &w->fault->bd);
    }
}

static void world_end(struct world *w)
{
    if (w->fault != NULL) {
        bd_fault_log_deinit(&w->log);
        bd_fault_close(w->fault);
        free(w->marks);
    }
    vfs_fault_deinit(&w->files);
    ck_assert_uint_eq(w->mem.live_blocks, 0);
}

static void record_begin(struct world *w)
{
    if (w->fault == NULL) {
        vfs_fault_record(&w->files);
    } else {
        bd_fault_mark(w->fault);
        w->fault->log = &w->log;
    }
}

/* All that was done so far has been acknowledged. */
static void mark(struct world *w)
{
    if (w->fault == NULL) {
        vfs_fault_mark(&w->files, (uint64_t)w->n * (GEN_MAX + 1) +
                                      (uint64_t)w->generation);
        return;
    }
    w->marks = realloc(w->marks, (w->n_marks + 1) * sizeof(*w->marks));
    ck_assert_ptr_nonnull(w->marks);
    w->marks[w->n_marks++] = (struct mark){w->log.n, w->n, w->generation};
}

/* ---------------------------------------------------------- what is done */

static int try_commit(struct world *w)
{
    uint8_t data[200];
    struct pk_tree *tree = NULL;
    struct kit_path path;
    char name[64];
    int n = w->n + 1;
    int err = n == 1 ? pk_tree_empty(w->repo, &tree)
                     : pk_commit_tree(w->repo, &w->commits[n - 1], &tree);

    for (int f = 0; f < 3 && err == 0; f++) {
        uint32_t len = f == 0 ? sizeof(data) : 20;

        kit_contents((uint64_t)(n * 10 + f), len, data);
        (void)snprintf(name, sizeof(name), "dir%d/a-name-%d", f % 2,
                       n % 3 * 3 + f);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, len});
    }
    if (err == 0) {
        err = pk_tree_hash(tree, &w->roots[n]);
    }
    if (err == 0) {
        err = kit_commit(tree, n > 1 ? &w->commits[n - 1] : NULL, n,
                         &w->commits[n]);
    }
    pk_tree_free(tree);
    w->n += err == 0;
    return err;
}

static void commit(struct world *w)
{
    assert_ok(try_commit(w));
    mark(w);
}

/* A commit after each step, and after so many of them, if not 0, no more. */
static void collect(struct world *w, const int *keep, size_t n_keep, bool split,
                    int give_up)
{
    struct pk_digest commits[4];
    struct pk_gc_options options = {
        .keep = commits, .n_keep = n_keep, .mem_len = 1, .split = split};
    struct kept *kept = &w->kept[w->generation + 1];
    int err;

    *kept = (struct kept){0};
    for (size_t i = 0; i < n_keep; i++) {
        commits[i] = w->commits[keep[i]];
        kept->commits |= UINT64_C(1) << keep[i];
        kept->target = keep[i] > kept->target ? keep[i] : kept->target;
    }
    assert_ok(pk_gc_start(w->repo, &options));
    do {
        err = pk_gc_step(w->repo, PK_GC_MIN_BUDGET);
        ck_assert_int_ge(err, 0);
        commit(w);
        give_up--;
    } while (err > 0 && give_up != 0);
    if (give_up == 0) {
        assert_ok(pk_gc_cancel(w->repo));
    } else {
        assert_ok(pk_gc_finish(w->repo, NULL));
        w->generation++;
    }
    mark(w);
    commit(w);
}

static void collect_one(struct world *w, int keep, bool split)
{
    collect(w, &keep, 1, split, 0);
}

/* -------------------------------------------------------------- scenarios */

static void run_collect(struct world *w)
{
    collect_one(w, 5, false);
    assert_ok(pk_repo_split(w->repo));
    commit(w);
}

static void run_again(struct world *w)
{
    collect_one(w, 4, false);
    collect_one(w, w->n, true);
    collect_one(w, w->n - 1, true);
}

static void run_give_up(struct world *w)
{
    const int keep = 5;

    for (int steps = 1; steps < 3; steps++) {
        collect(w, &keep, 1, true, steps);
    }
    collect_one(w, 6, false);
}

static void run_keep_more(struct world *w)
{
    const int first[] = {2, 7, 4};
    int second[] = {2, 0, 9};

    collect(w, first, 3, true, 0);
    second[1] = w->n;
    collect(w, second, 3, true, 0);
}

static void run_archive(struct world *w)
{
    const int keep = 7;

    collect_one(w, 5, false);
    collect(w, &keep, 1, true, 1);
    assert_ok(pk_repo_add_volume(w->repo));
    commit(w);
    collect_one(w, w->n, true);
}

/* A lower layer for a store that had none. */
static void run_migrate(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    w->lower = true;
    world_open(w, PK_OPEN_WRITE);
    w->generation = 1;
    mark(w);
    commit(w);
    collect_one(w, w->n, true);
}

static const struct scenario {
    const char *name;
    void (*run)(struct world *w);
    bool lower;
} scenarios[] = {
    {"migrate", run_migrate, false},
    {"collect", run_collect, false},
    {"again", run_again, false},
    {"give up", run_give_up, false},
    {"keep more", run_keep_more, false},
    {"archive", run_archive, true},
    {"archive, give up", run_give_up, true},
    {"archive again", run_again, true},
};

static void record(struct world *w, const struct scenario *scenario)
{
    w->lower = scenario->lower;
    world_open(w, PK_OPEN_WRITE | PK_OPEN_CREATE);
    while (w->n < N_FIRST) {
        assert_ok(try_commit(w));
        if (w->n % 3 == 0 && scenario->run != run_migrate) {
            assert_ok(pk_repo_split(w->repo));
        }
    }
    w->migrates = scenario->run == run_migrate;
    record_begin(w);
    mark(w);
    scenario->run(w);
    assert_ok(pk_repo_close(w->repo));
    ck_assert_int_le(w->n + 2, N_MAX);
    if (w->fault != NULL) {
        world_unmount(w);
        w->fault->log = NULL;
        bd_fault_reset(w->fault);
    }
}

/* ------------------------------------------------------------------ looking */

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

static bool is_kept(const struct world *w, int generation, int i)
{
    const struct kept *kept = &w->kept[generation];

    return i >= kept->target || (kept->commits >> i & 1) != 0;
}

/* All collections so far have kept it. */
static bool is_there(const struct world *w, int generation, int i)
{
    for (int g = 1; g <= generation; g++) {
        if (!w->lower && !is_kept(w, g, i)) {
            return false;
        }
    }
    return true;
}

/* The generation that the open store shows; at least lo of commits. */
static int look(struct world *w, int lo)
{
    struct pk_control_view control;
    struct pk_check_stats stats;
    struct pk_digest head;
    int generation;

    pk_view_control(w->repo, &control);
    generation = (int)control.generation;
    ck_assert_int_le(generation, GEN_MAX);
    assert_ok(pk_branch_get(w->repo, kit_text("main"), &head));
    w->n = lo;
    if (memcmp(&head, &w->commits[w->n], sizeof(head)) != 0) {
        w->n++;
        ck_assert_mem_eq(&head, &w->commits[w->n], sizeof(head));
    }
    assert_ok(pk_check(w->repo, no_finding, NULL, &stats));
    for (int i = 1; i <= w->n; i++) {
        struct pk_tree *tree = NULL;
        struct pk_digest root;
        int err = pk_commit_tree(w->repo, &w->commits[i], &tree);

        if (!is_there(w, generation, i)) {
            ck_assert_int_eq(nf_err_class(err), NF_ENOENT);
            continue;
        }
        assert_ok(err);
        assert_ok(pk_tree_hash(tree, &root));
        ck_assert_mem_eq(&root, &w->roots[i], sizeof(root));
        pk_tree_free(tree);
    }
    return generation;
}

struct names {
    uint64_t chunk_start;
    uint64_t chunk_num;
    uint64_t generation;
};

/* Nothing but the store's files. */
static int judge_name(void *arg, const char *step, uint64_t len)
{
    const struct names *names = arg;
    unsigned long long n = 0;
    char rest[64] = "";

    (void)len;
    if (sscanf(step, "store.%llu.%63s", &n, rest) == 2) {
        if (strcmp(rest, "suffix") == 0) {
            ck_assert_uint_ge(n, names->chunk_start);
            ck_assert_uint_lt(n, names->chunk_start + names->chunk_num);
        } else {
            ck_assert_msg(n == names->generation, "%s is left over", step);
        }
    } else {
        ck_assert_msg(strstr(step, ".tmp") == NULL &&
                          sscanf(step, "volume.%llu.", &n) == 0,
                      "%s is left over", step);
    }
    return 0;
}

static void look_for_leavings(struct world *w)
{
    struct pk_control_view control;
    struct names names;
    char folder[32];

    pk_view_control(w->repo, &control);
    names = (struct names){control.chunk_start, control.chunk_num,
                           control.generation};
    assert_ok(w->vfs.ops->list(w->vfs.ctx, "", judge_name, &names));
    for (uint64_t i = 0; i < control.volume_num; i++) {
        (void)snprintf(folder, sizeof(folder), "volume.%u", (unsigned)i);
        assert_ok(w->vfs.ops->list(w->vfs.ctx, folder, judge_name, &names));
    }
}

/* w->vfs is what a cut has left; n and generation were acknowledged. */
static void judge(struct world *w, int n, int generation)
{
    struct pk_gc_options options = {.n_keep = 1, .split = true};
    int shown;
    int err;

    world_open(w, 0);
    shown = look(w, n);
    ck_assert_int_ge(shown, generation);
    ck_assert_int_le(shown, generation + 1);
    assert_ok(pk_repo_close(w->repo));
    w->seen[shown]++;
    w->n_states++;
    world_open(w, PK_OPEN_WRITE);
    shown += w->migrates && shown == 0;
    ck_assert_int_eq(look(w, n), shown);
    look_for_leavings(w);
    assert_ok(try_commit(w));
    w->kept[shown + 1] = (struct kept){.target = w->n};
    options.keep = &w->commits[w->n];
    err = pk_gc_start(w->repo, &options);
    while (err == 0 && (err = pk_gc_step(w->repo, PK_GC_MIN_BUDGET)) > 0) {
        err = 0;
    }
    assert_ok(err);
    assert_ok(pk_gc_finish(w->repo, NULL));
    if (shown < GEN_MAX) {
        ck_assert_int_eq(look(w, w->n), shown + 1);
    }
    look_for_leavings(w);
    assert_ok(pk_repo_close(w->repo));
}

/* --------------------------------------------------------------- exploring */

static uint64_t rounds(uint64_t otherwise)
{
    const char *text = getenv("NOTAFS_CRASH_ROUNDS");

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void explore_posix(struct world *w, struct prng *prng, uint64_t n_rounds)
{
    for (size_t upto = 1; upto <= w->files.n_ops; upto++) {
        for (uint64_t i = 0; i < 2 + 3 * n_rounds; i++) {
            enum vfs_crash kind =
                (enum vfs_crash)(i < 2 ? i : VFS_CRASH_SOME + i % 3);
            struct world c = *w;
            struct mark m = {0, N_FIRST, 0};

            vfs_fault_crash(&w->files, upto, prng, kind, &c.files);
            c.vfs = c.files.vfs;
            if (c.files.marked > 0) {
                m.n = (int)(c.files.marked / (GEN_MAX + 1));
                m.generation = (int)(c.files.marked % (GEN_MAX + 1));
            }
            judge(&c, m.n, m.generation);
            vfs_fault_deinit(&c.files);
            memcpy(w->seen, c.seen, sizeof(w->seen));
            w->n_states = c.n_states;
            w->mem = c.mem;
        }
    }
}

/* Some of the writes after the last flush have arrived, some in part. */
static size_t pick(const struct world *w, size_t from, size_t upto,
                   uint64_t nth, struct prng *prng,
                   struct bd_replay_pick *picks, uint64_t *sectors)
{
    uint64_t n_sectors = w->ground->page_size / 512;
    size_t n = 0;

    for (size_t i = from; i < upto; i++) {
        bool torn = nth > 1 && n_sectors > 1 && prng_below(prng, 8) == 0;

        if (nth == 0 ||
            (nth > 1 && prng_below(prng, 100) < 50 + nth % 3 * 20)) {
            continue;
        }
        sectors[n] = prng_below(prng, UINT64_C(1) << n_sectors);
        picks[n] = (struct bd_replay_pick){i, torn ? &sectors[n] : NULL};
        n++;
    }
    return n;
}

static void explore_disk(struct world *w, struct prng *prng, uint64_t n_rounds)
{
    struct bd_replay_pick *picks = calloc(w->log.n + 1, sizeof(*picks));
    uint64_t *sectors = calloc(w->log.n + 1, sizeof(*sectors));
    struct bd_replay replay;

    ck_assert(picks != NULL && sectors != NULL);
    bd_replay_open(&replay, w->fault, &w->log);
    for (size_t upto = 0; upto <= w->log.n; upto++) {
        size_t from = bd_replay_settled(&w->log, upto, 0);
        struct mark m = w->marks[0];

        for (size_t i = 0; i < w->n_marks; i++) {
            m = w->marks[i].n_log <= upto ? w->marks[i] : m;
        }
        if (replay.pos != from) {
            bd_replay_seek(&replay, from);
        }
        for (uint64_t i = 0; i < 2 + n_rounds; i++) {
            struct world c = *w;
            size_t n = pick(w, from, upto, i, prng, picks, sectors);

            bd_replay_crash(&replay, picks, n);
            world_mount(&c, &c.fault->bd);
            judge(&c, m.n, m.generation);
            world_unmount(&c);
            memcpy(w->seen, c.seen, sizeof(w->seen));
            w->n_states = c.n_states;
            w->mem = c.mem;
        }
    }
    bd_replay_close(&replay);
    bd_fault_unmark(w->fault);
    free(picks);
    free(sectors);
}

static void explore(const struct ground *ground, uint64_t n_rounds)
{
    uint64_t n_states = 0;

    for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
        uint64_t seed = 100 + i;
        struct prng prng = prng_seed(seed);
        struct world w;

        printf("%s, %s, seed %llu: ", ground->name, scenarios[i].name,
               (unsigned long long)seed);
        fflush(stdout);
        world_begin(&w, ground);
        record(&w, &scenarios[i]);
        if (ground->page_size == 0) {
            explore_posix(&w, &prng, rounds(n_rounds));
        } else {
            explore_disk(&w, &prng, rounds(n_rounds));
        }
        printf("%llu states, by generation", (unsigned long long)w.n_states);
        for (int g = 0; g <= w.generation; g++) {
            printf(" %llu", (unsigned long long)w.seen[g]);
            ck_assert_uint_gt(w.seen[g], 0);
        }
        printf("\n");
        n_states += w.n_states;
        world_end(&w);
    }
    printf("%s: %llu states\n", ground->name, (unsigned long long)n_states);
    ck_assert_uint_gt(n_states, 500);
}

START_TEST(on_posix)
{
    explore(&posix, 4);
}
END_TEST

START_TEST(on_native_512)
{
    explore(&native_512, 5);
}
END_TEST

START_TEST(on_native_4096)
{
    explore(&native_4096, 8);
}
END_TEST

START_TEST(on_mirage)
{
    explore(&mirage_1024, 4);
}
END_TEST

UNIT_MAIN("pack/store/gc_power", on_posix, on_native_512, on_native_4096,
          on_mirage)
