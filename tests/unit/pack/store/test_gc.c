/* SPDX-License-Identifier: ISC */
/*
 * Garbage collection: what is kept and what goes, in steps with commits in
 * between, with little memory, over files that fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 12, N_MORE = 6, N_ALL = N_COMMITS + N_MORE };

struct world {
    struct mem_fault mem;
    struct vfs_fault files;
    const char *config;
    bool lower;
    bool wide; /* with large directories */
    struct pk_repo *repo;
    struct pk_digest commits[N_ALL + 1]; /* from 1 on */
    struct pk_digest roots[N_ALL + 1];
    int n; /* commits made */
};

static void world_open(struct world *w, uint32_t flags)
{
    struct pk_open opts = kit_open(&w->files, w->config, flags);

    opts.lower = w->lower ? &w->files.vfs : NULL;
    opts.cache_len = 65536;
    assert_ok(pk_repo_open(&w->mem.env, &opts, NULL, &w->repo));
}

static void world_reopen(struct world *w, uint32_t flags)
{
    assert_ok(pk_repo_close(w->repo));
    world_open(w, flags);
}

/* Directories of so many files that the work list does not fit in memory. */
static int set_many(struct world *w, struct pk_tree *tree)
{
    struct kit_path path;
    char name[64];
    int err = 0;

    for (int f = 0; f < 600 && err == 0; f++) {
        uint8_t data[40];

        kit_contents((uint64_t)(w->n * 1000 + f), sizeof(data), data);
        (void)snprintf(name, sizeof(name), "many%d/a-file-%d", f % 2, f);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, sizeof(data)});
    }
    return err;
}

/* One commit on the last, or an error. */
static int try_commit(struct world *w)
{
    uint8_t data[300];
    struct pk_tree *tree = NULL;
    struct kit_path path;
    char name[64];
    int n = w->n + 1;
    int err = n == 1 ? pk_tree_empty(w->repo, &tree)
                     : pk_commit_tree(w->repo, &w->commits[n - 1], &tree);

    for (int f = 0; f < 8 && err == 0; f++) {
        uint32_t len = f == 0 ? sizeof(data) : 20;

        kit_contents((uint64_t)(n * 10 + f), len, data);
        (void)snprintf(name, sizeof(name), "dir%d/a-name-that-is-long-%d",
                       f % 3, n % 5 * 8 + f);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, len});
    }
    if (err == 0 && w->wide && n % 4 == 1) {
        err = set_many(w, tree);
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
}

/* A store of commits, a chunk for every three of them. */
static void world_begin(struct world *w, const char *config, bool lower,
                        bool wide)
{
    memset(w, 0, sizeof(*w));
    w->wide = wide;
    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    w->config = config;
    w->lower = lower;
    world_open(w, PK_OPEN_WRITE | PK_OPEN_CREATE);
    while (w->n < N_COMMITS) {
        commit(w);
        if (w->n % 3 == 0) {
            assert_ok(pk_repo_split(w->repo));
        }
    }
}

static void world_end(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    ck_assert_uint_eq(w->files.n_open, 0);
    vfs_fault_deinit(&w->files);
    ck_assert_uint_eq(w->mem.live_bytes, 0);
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

/* Commits first and all after it are there as they were made; those before are
 * not, unless there is a lower layer. */
static void look(struct world *w, int first)
{
    struct pk_check_stats stats;

    assert_ok(pk_check(w->repo, no_finding, NULL, &stats));
    for (int i = 1; i <= w->n; i++) {
        struct pk_tree *tree = NULL;
        struct pk_digest root;
        int err = pk_commit_tree(w->repo, &w->commits[i], &tree);

        if (i < first && !w->lower) {
            ck_assert_int_eq(nf_err_class(err), NF_ENOENT);
            continue;
        }
        assert_ok(err);
        assert_ok(pk_tree_hash(tree, &root));
        ck_assert_mem_eq(&root, &w->roots[i], sizeof(root));
        pk_tree_free(tree);
    }
}

struct names {
    int prefixes;
    int chunks;
    int others;
};

static int count_name(void *arg, const char *step, uint64_t len)
{
    struct names *names = arg;
    const char *dot = strrchr(step, '.');

    (void)len;
    names->prefixes += strcmp(dot, ".prefix") == 0;
    names->chunks += strcmp(dot, ".suffix") == 0;
    names->others += strcmp(dot, ".tmp") == 0;
    if (strncmp(step, "volume.", 7) == 0) {
        names->others += strcmp(step, "volume.control") != 0 &&
                         strcmp(step, "volume.data") != 0 &&
                         strcmp(step, "volume.mapping") != 0;
    }
    return 0;
}

/* What is there beside a store of so many prefixes: nothing. */
static struct names names_of(struct world *w, int prefixes)
{
    struct names names = {0};
    const struct pk_vfs *vfs = &w->files.vfs;

    assert_ok(vfs->ops->list(vfs->ctx, "", count_name, &names));
    assert_ok(vfs->ops->list(vfs->ctx, "volume.0", count_name, &names));
    ck_assert_int_eq(names.prefixes, prefixes);
    ck_assert_int_eq(names.others, 0);
    return names;
}

static int collect(struct world *w, struct pk_gc_options *options,
                   struct pk_gc_stats *ret)
{
    int err = pk_gc_start(w->repo, options);

    while (err == 0 && (err = pk_gc_step(w->repo, PK_GC_MIN_BUDGET)) > 0) {
        err = 0;
    }
    return err == 0 ? pk_gc_finish(w->repo, ret) : err;
}

static struct pk_gc_options keep_one(struct world *w, int i)
{
    return (struct pk_gc_options){.keep = &w->commits[i], .n_keep = 1};
}

/* ------------------------------------------------------------ what is kept */

static void keeps(const char *config, bool lower)
{
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats stats;

    world_begin(&w, config, lower, false);
    options = keep_one(&w, 6);
    assert_ok(collect(&w, &options, &stats));
    ck_assert_uint_gt(stats.objects, 0);
    ck_assert_uint_eq(stats.generation, 1);
    ck_assert_uint_eq(stats.chunks_removed, 2);
    ck_assert_uint_gt(stats.suffix_freed, 0);
    ck_assert_uint_eq(stats.archived_len > 0, w.lower);
    look(&w, 6);
    ck_assert_int_eq(names_of(&w, 1).chunks, N_COMMITS / 3 + 1 - 2);
    commit(&w);
    world_reopen(&w, PK_OPEN_WRITE);
    look(&w, 6);
    if (w.lower) {
        assert_ok(pk_repo_add_volume(w.repo));
        ck_assert_int_eq(pk_repo_add_volume(w.repo), NF_EC_EMPTY_VOLUME);
    }
    options = keep_one(&w, 10);
    assert_ok(collect(&w, &options, &stats));
    ck_assert_uint_gt(stats.prefix_freed, 0);
    world_reopen(&w, 0);
    look(&w, 10);
    (void)names_of(&w, 1);
    world_end(&w);
}

START_TEST(keeps_what_follows)
{
    keeps("smallseeded", false);
}
END_TEST

START_TEST(keeps_what_follows_kv64)
{
    keeps("kv64", false);
}
END_TEST

START_TEST(archives)
{
    keeps("smallseeded", true);
}
END_TEST

START_TEST(archives_kv64)
{
    keeps("kv64", true);
}
END_TEST

/* Several commits, one of them on a branch of its own. */
START_TEST(keeps_more_than_one)
{
    struct world w;
    struct pk_digest heads[3];
    struct pk_gc_options options = {.keep = heads, .n_keep = 3};
    struct pk_gc_stats stats;

    world_begin(&w, "smallseeded", false, false);
    heads[0] = w.commits[9];
    heads[1] = w.commits[2];
    heads[2] = w.commits[5];
    assert_ok(collect(&w, &options, &stats));
    world_reopen(&w, PK_OPEN_WRITE);
    for (int i = 1; i <= w.n; i++) {
        struct pk_commit *c = NULL;
        int err = pk_commit_find(w.repo, &w.commits[i], &c);

        ck_assert_int_eq(err == 0, i == 2 || i == 5 || i >= 9);
        pk_commit_free(w.repo, c);
    }
    {
        struct pk_check_stats checked;

        assert_ok(pk_check(w.repo, no_finding, NULL, &checked));
    }
    world_end(&w);
}
END_TEST

/* A commit that no branch names, with one file more than tree i has. */
static struct pk_digest commit_aside(struct world *w, int i, int parent)
{
    const struct pk_info info = {99, kit_text("author"), kit_text("aside")};
    struct pk_digest hash;
    struct pk_tree *tree;
    struct kit_path path;

    assert_ok(pk_commit_tree(w->repo, &w->commits[i], &tree));
    assert_ok(pk_tree_set(tree, kit_path(&path, "aside"), kit_text("x")));
    assert_ok(pk_commit_make(tree, &w->commits[parent], 1, &info, &hash));
    pk_tree_free(tree);
    return hash;
}

static int count_finding(void *arg, const struct pk_finding *finding)
{
    ck_assert_int_eq(finding->err, NF_EC_UNRESOLVED);
    ++*(int *)arg;
    return 0;
}

/* What stands behind the target but hangs on what was collected: a commit
 * whose parent left no trace was collected itself, one whose tree has lost
 * objects is damage where a branch names it. */
START_TEST(leaves_commits_aside)
{
    const struct pk_slice side = kit_text("side");
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats stats;
    struct pk_check_stats checked;
    struct pk_digest orphan;
    struct pk_digest hollow;
    struct pk_commit *c;
    int findings = 0;

    world_begin(&w, "smallseeded", false, false);
    orphan = commit_aside(&w, 10, 3);
    hollow = commit_aside(&w, 3, 9);
    assert_ok(pk_branch_set(w.repo, side, &orphan));
    options = keep_one(&w, 10);
    assert_ok(collect(&w, &options, &stats));
    world_reopen(&w, PK_OPEN_WRITE);
    ck_assert_int_eq(pk_commit_find(w.repo, &orphan, &c), NF_EC_COLLECTED);
    assert_ok(pk_check(w.repo, no_finding, NULL, &checked));
    ck_assert_uint_gt(checked.collected, 1);
    look(&w, 10);
    assert_ok(pk_branch_set(w.repo, side, &hollow));
    assert_ok(pk_check(w.repo, count_finding, &findings, &checked));
    ck_assert_int_gt(findings, 0);
    world_end(&w);
}
END_TEST

/* -------------------------------------------------------------------- steps */

/* Each step keeps its budget; commits, splits and reads go on in between. The
 * windows are many, as memory is scarce. */
static void steps_are_bounded_with(bool lower)
{
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats stats;
    int err;
    int steps = 0;

    world_begin(&w, "smallseeded", lower, true);
    options = keep_one(&w, 9);
    options.mem_len = 1;
    assert_ok(pk_gc_start(w.repo, &options));
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EC_GC_RUNNING);
    ck_assert_int_eq(pk_gc_step(w.repo, PK_GC_MIN_BUDGET - 1), NF_EINVAL);
    while ((err = pk_gc_step(w.repo, PK_GC_MIN_BUDGET)) > 0) {
        pk_gc_progress(w.repo, &stats);
        ck_assert_uint_le(stats.done, stats.total);
        if (w.n < N_ALL) {
            commit(&w);
            if (steps % 2 == 0) {
                assert_ok(pk_repo_split(w.repo));
            }
        }
        steps++;
        look(&w, 1);
    }
    assert_ok(err);
    ck_assert_int_gt(steps, 3);
    pk_gc_progress(w.repo, &stats);
    ck_assert_int_eq(stats.phase, PK_GC_READY);
    ck_assert_uint_le(stats.longest_step, PK_GC_MIN_BUDGET);
    assert_ok(pk_gc_finish(w.repo, &stats));
    look(&w, 9);
    world_reopen(&w, 0);
    look(&w, 9);
    world_end(&w);
}

START_TEST(steps_are_bounded)
{
    steps_are_bounded_with(false);
}
END_TEST

START_TEST(steps_of_archiving_are_bounded)
{
    steps_are_bounded_with(true);
}
END_TEST

static void assert_same_file(struct world *a, struct world *b, const char *name)
{
    size_t len_a = 0;
    size_t len_b = 0;
    uint8_t *p = vfs_fault_bytes(&a->files, name, &len_a);
    uint8_t *q = vfs_fault_bytes(&b->files, name, &len_b);

    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_nonnull(q);
    ck_assert_uint_eq(len_a, len_b);
    ck_assert_mem_eq(p, q, len_a);
}

/* Memory changes nothing but the way. */
START_TEST(little_memory_gives_the_same)
{
    struct world a;
    struct world b;
    struct pk_gc_options options;
    struct pk_gc_stats rich;
    struct pk_gc_stats poor;

    world_begin(&a, "kv32", true, true);
    options = keep_one(&a, 11);
    assert_ok(collect(&a, &options, &rich));
    world_begin(&b, "kv32", true, true);
    options = keep_one(&b, 11);
    options.mem_len = 1;
    assert_ok(collect(&b, &options, &poor));
    ck_assert_uint_eq(rich.objects, poor.objects);
    ck_assert_uint_eq(rich.ranges, poor.ranges);
    assert_same_file(&a, &b, "store.1.prefix");
    assert_same_file(&a, &b, "store.1.mapping");
    assert_same_file(&a, &b, "store.control");
    assert_same_file(&a, &b, "volume.0/volume.data");
    assert_same_file(&a, &b, "volume.0/volume.mapping");
    assert_same_file(&a, &b, "volume.0/volume.control");
    world_end(&a);
    world_end(&b);
}
END_TEST

/* A dry run tells what the collection will free, and changes nothing. */
static void dry_run_tells_the_truth_with(bool lower)
{
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats said;
    struct pk_gc_stats done;
    size_t n_ops;

    world_begin(&w, "smallseeded", lower, false);
    world_reopen(&w, 0);
    vfs_fault_record(&w.files);
    n_ops = w.files.n_ops;
    options = keep_one(&w, 7);
    options.dry_run = true;
    assert_ok(collect(&w, &options, &said));
    ck_assert_uint_eq(w.files.n_ops, n_ops);
    options.dry_run = false;
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EROFS);
    world_reopen(&w, PK_OPEN_WRITE);
    assert_ok(collect(&w, &options, &done));
    ck_assert_uint_eq(said.objects, done.objects);
    ck_assert_uint_eq(said.ranges, done.ranges);
    ck_assert_uint_eq(said.prefix_len, done.prefix_len);
    ck_assert_uint_eq(said.archived_len, done.archived_len);
    ck_assert_uint_eq(said.chunks_removed, done.chunks_removed);
    ck_assert_uint_eq(said.suffix_freed, done.suffix_freed);
    world_end(&w);
}

START_TEST(dry_run_tells_the_truth)
{
    dry_run_tells_the_truth_with(false);
}
END_TEST

START_TEST(dry_run_tells_of_the_archive)
{
    dry_run_tells_the_truth_with(true);
}
END_TEST

/* Given up at any step, or closed, nothing is left of it. */
START_TEST(cancelled_leaves_nothing)
{
    struct world w;
    struct pk_gc_options options;

    world_begin(&w, "smallseeded", true, false);
    options = keep_one(&w, 8);
    for (int steps = 0;; steps++) {
        int err;

        assert_ok(pk_gc_start(w.repo, &options));
        err = 1;
        for (int i = 0; i < steps && err > 0; i++) {
            err = pk_gc_step(w.repo, PK_GC_MIN_BUDGET);
        }
        ck_assert_int_ge(err, 0);
        if (steps % 2 == 0) {
            size_t len = 1;

            assert_ok(pk_gc_cancel(w.repo));
            (void)vfs_fault_bytes(&w.files, "volume.0/volume.data", &len);
            ck_assert_uint_eq(len, 0);
        } else {
            world_reopen(&w, PK_OPEN_WRITE);
        }
        (void)names_of(&w, 0);
        look(&w, 1);
        if (err == 0) {
            break;
        }
    }
    world_end(&w);
}
END_TEST

/* ----------------------------------------------------------------- refusals */

START_TEST(refuses)
{
    struct world w;
    struct pk_digest none = {{1}};
    struct pk_gc_options options = {.keep = &none, .n_keep = 1};
    struct pk_gc_stats stats;
    struct pk_open opts;

    world_begin(&w, "smallseeded", false, false);
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EC_NO_COMMIT);
    options.n_keep = 0;
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EINVAL);
    ck_assert_int_eq(pk_gc_step(w.repo, PK_GC_MIN_BUDGET), NF_EINVAL);
    ck_assert_int_eq(pk_gc_finish(w.repo, NULL), NF_EINVAL);
    assert_ok(pk_gc_cancel(w.repo));
    ck_assert_int_eq(pk_repo_add_volume(w.repo), NF_EC_NO_LOWER);
    options = keep_one(&w, 6);
    assert_ok(pk_gc_start(w.repo, &options));
    ck_assert_int_eq(pk_gc_finish(w.repo, NULL), NF_EAGAIN);
    assert_ok(pk_gc_cancel(w.repo));
    assert_ok(collect(&w, &options, &stats));
    ck_assert_int_eq(collect(&w, &options, &stats), NF_EC_GC_TARGET);
    world_end(&w);

    /* Not always indexed minimally. */
    vfs_fault_init(&w.files);
    opts = kit_open(&w.files, "kv32", PK_OPEN_WRITE | PK_OPEN_CREATE);
    opts.strategy = PK_STRATEGY_ALWAYS;
    assert_ok(pk_repo_open(&w.mem.env, &opts, NULL, &w.repo));
    w.n = 0;
    commit(&w);
    options = keep_one(&w, 1);
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EC_GC_FORBIDDEN);
    world_end(&w);
}
END_TEST

/* --------------------------------------------------------------------- faults
 */

/* Any single allocation or request fails: the collection ends, the store is
 * as it was or as it should be, and a second attempt succeeds. */
static void fault_run(bool memory)
{
    for (uint64_t nth = 1;; nth++) {
        struct world w;
        struct pk_gc_options options;
        struct pk_gc_stats stats;
        uint64_t before;
        bool failed;
        int err;

        world_begin(&w, "kv32", true, false);
        options = keep_one(&w, 6);
        options.mem_len = 1;
        before = w.files.n_failed;
        if (memory) {
            mem_fault_fail(&w.mem, nth, false);
        } else {
            vfs_fault_fail(&w.files, nth, false);
        }
        err = collect(&w, &options, &stats);
        failed = memory ? w.mem.n_failed > 0 : w.files.n_failed > before;
        mem_fault_fail(&w.mem, 0, false);
        vfs_fault_fail(&w.files, 0, false);
        if (!failed) {
            assert_ok(err);
            world_end(&w);
            ck_assert_uint_gt(nth, 10);
            return;
        }
        (void)pk_repo_close(w.repo); /* what it says depends on what failed */
        world_open(&w, PK_OPEN_WRITE);
        look(&w, 1); /* all of it, as there is a lower layer */
        err = collect(&w, &options, &stats);
        ck_assert(err == 0 || err == NF_EC_GC_TARGET);
        look(&w, 1);
        (void)names_of(&w, 1);
        world_end(&w);
    }
}

START_TEST(allocations_fail)
{
    fault_run(true);
}
END_TEST

START_TEST(requests_fail)
{
    fault_run(false);
}
END_TEST

/* --------------------------------------------------------------- migration */

static int try_open(struct world *w, enum pk_strategy strategy, uint32_t flags)
{
    struct pk_open opts = kit_open(&w->files, w->config, flags);

    opts.lower = &w->files.vfs;
    opts.strategy = strategy;
    return pk_repo_open(&w->mem.env, &opts, NULL, &w->repo);
}

/* A store without a lower layer, closed. */
static void world_begin_old(struct world *w, int n_commits)
{
    memset(w, 0, sizeof(*w));
    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    w->config = "kv32";
    world_open(w, PK_OPEN_WRITE | PK_OPEN_CREATE);
    while (w->n < n_commits) {
        commit(w);
    }
    assert_ok(pk_repo_close(w->repo));
}

/* Given a lower layer a store has all in volume 0, whatever fails on the way
 * and is tried again. */
static void migrates_with(bool memory)
{
    for (uint64_t nth = 1;; nth++) {
        struct world w;
        struct pk_gc_options options;
        bool failed;
        int err;

        world_begin_old(&w, 3);
        w.lower = true;
        if (memory) {
            mem_fault_fail(&w.mem, nth, false);
        } else {
            vfs_fault_fail(&w.files, nth, false);
        }
        err = try_open(&w, PK_STRATEGY_MINIMAL, PK_OPEN_WRITE);
        failed = w.mem.n_failed + w.files.n_failed > 0;
        mem_fault_fail(&w.mem, 0, false);
        vfs_fault_fail(&w.files, 0, false);
        ck_assert(failed || err == 0);
        if (err != 0) {
            world_open(&w, PK_OPEN_WRITE);
        }
        look(&w, 1);
        commit(&w);
        options = keep_one(&w, 4);
        options.split = true;
        assert_ok(collect(&w, &options, NULL));
        look(&w, 1);
        (void)names_of(&w, 1);
        world_end(&w);
        if (!failed) {
            ck_assert_uint_gt(nth, 10);
            return;
        }
    }
}

START_TEST(migrates)
{
    migrates_with(false);
    migrates_with(true);
}
END_TEST

START_TEST(migrates_what_is_empty)
{
    struct world w;
    struct pk_gc_options options;

    world_begin_old(&w, 0);
    w.lower = true;
    world_open(&w, PK_OPEN_WRITE);
    commit(&w);
    commit(&w);
    options = keep_one(&w, 2);
    assert_ok(collect(&w, &options, NULL));
    world_reopen(&w, 0);
    look(&w, 1);
    world_end(&w);
}
END_TEST

START_TEST(refuses_to_migrate)
{
    const uint32_t no = PK_OPEN_WRITE | PK_OPEN_NO_MIGRATE;
    struct world w;

    world_begin_old(&w, 2);
    assert_err(try_open(&w, PK_STRATEGY_MINIMAL, no), NF_EC_MIGRATION);
    assert_err(try_open(&w, PK_STRATEGY_ALWAYS, PK_OPEN_WRITE), NF_EC_STRATEGY);
    assert_ok(try_open(&w, PK_STRATEGY_ALWAYS, 0)); /* a reader looks past it */
    look(&w, 1);
    assert_ok(pk_repo_close(w.repo));
    world_open(&w, PK_OPEN_WRITE);
    assert_ok(pk_repo_split(w.repo));
    assert_ok(pk_repo_close(w.repo));
    assert_err(try_open(&w, PK_STRATEGY_MINIMAL, PK_OPEN_WRITE),
               NF_EC_MIGRATION);
    world_open(&w, PK_OPEN_WRITE);
    look(&w, 1);
    world_end(&w);
}
END_TEST

/* ------------------------------------------------------------------- rules */

static int64_t since_date = 9;

static const struct {
    struct pk_keep keep;
    size_t main;  /* commits of it that are kept ... */
    size_t other; /* ... and of a branch at the fifth, with one of its own */
} rules[] = {
    {{0, NULL}, 1, 1},        {{1, NULL}, 1, 1},
    {{4, NULL}, 4, 4},        {{0, &since_date}, 4, 1},
    {{3, &since_date}, 4, 3}, {{100, NULL}, N_COMMITS, 6},
};

/* Rules name the commits of each branch, each once, ascending. */
START_TEST(rules_keep_commits)
{
    struct world w;
    struct pk_tree *tree;
    struct pk_digest side;
    struct pk_info info = {3, kit_text("a"), kit_text("m")};

    world_begin(&w, "smallseeded", false, false);
    assert_ok(pk_commit_tree(w.repo, &w.commits[5], &tree));
    assert_ok(pk_commit_make(tree, &w.commits[5], 1, &info, &side));
    pk_tree_free(tree);
    assert_ok(pk_branch_set(w.repo, kit_text("side"), &side));
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        struct pk_digest *kept = NULL;
        size_t n = 0;
        size_t found = 0;
        size_t n_main = rules[i].main;
        size_t wanted = n_main + rules[i].other;

        assert_ok(pk_keep_commits(w.repo, &rules[i].keep, &kept, &n));
        for (size_t k = 0; k < n; k++) {
            ck_assert(k == 0 ||
                      memcmp(&kept[k - 1], &kept[k], sizeof(*kept)) < 0);
            found += memcmp(&kept[k], &side, sizeof(side)) == 0;
            for (int c = 1; c <= N_COMMITS; c++) {
                bool here = memcmp(&kept[k], &w.commits[c], sizeof(side)) == 0;

                ck_assert(!here || c > N_COMMITS - (int)n_main ||
                          c > 5 - (int)rules[i].other + 1);
                found += here;
            }
        }
        ck_assert_uint_eq(found, n);
        /* The five that both have are told once. */
        ck_assert_uint_eq(n, n_main == N_COMMITS ? N_COMMITS + 1 : wanted);
        pk_keep_free(w.repo, kept, n);
    }
    world_end(&w);
}
END_TEST

/* Branches whose commit is gone are passed over; no branch, no commit. */
START_TEST(rules_pass_over_what_is_gone)
{
    struct world w;
    struct pk_keep keep = {.last = 100};
    struct pk_gc_options options;
    struct pk_digest *kept = NULL;
    size_t n = 0;

    world_begin(&w, "smallseeded", false, false);
    assert_ok(pk_branch_set(w.repo, kit_text("old"), &w.commits[2]));
    options = keep_one(&w, 6);
    assert_ok(collect(&w, &options, NULL));
    assert_ok(pk_keep_commits(w.repo, &keep, &kept, &n));
    ck_assert_uint_eq(n, N_COMMITS - 5);
    for (uint64_t nth = 1;; nth++) { /* memory fails */
        struct pk_digest *again = NULL;
        size_t n_again = 0;
        int err;

        mem_fault_fail(&w.mem, nth, false);
        err = pk_keep_commits(w.repo, &keep, &again, &n_again);
        if (w.mem.fail_at == 0 || w.mem.n_allocs < w.mem.fail_at) {
            assert_ok(err);
            ck_assert_mem_eq(again, kept, n * sizeof(*kept));
            pk_keep_free(w.repo, again, n_again);
            break;
        }
        ck_assert_int_eq(nf_err_class(err), NF_ENOMEM);
    }
    mem_fault_fail(&w.mem, 0, false);
    pk_keep_free(w.repo, kept, n);
    assert_ok(pk_branch_remove(w.repo, kit_text("main")));
    assert_ok(pk_keep_commits(w.repo, &keep, &kept, &n));
    ck_assert_uint_eq(n, 0);
    ck_assert_ptr_null(kept);
    world_end(&w);
}
END_TEST

/* With a split first all that is old is freed; a dry run says so. */
START_TEST(splits_first)
{
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats said;
    struct pk_gc_stats done;

    world_begin(&w, "smallseeded", false, false);
    commit(&w);
    for (int i = 0; i < 2; i++) { /* the second time it is split already */
        options = keep_one(&w, w.n);
        options.split = true;
        options.dry_run = true;
        assert_ok(collect(&w, &options, &said));
        options.dry_run = false;
        assert_ok(collect(&w, &options, &done));
        ck_assert_uint_eq(said.chunks_removed, i == 0 ? N_COMMITS / 3 + 1 : 1);
        ck_assert_uint_eq(said.chunks_removed, done.chunks_removed);
        ck_assert_uint_eq(said.suffix_freed, done.suffix_freed);
        ck_assert_uint_eq(said.mapping_len, done.mapping_len);
        look(&w, w.n);
        ck_assert_int_eq(names_of(&w, 1).chunks, 1);
        commit(&w);
        assert_ok(pk_repo_split(w.repo));
    }
    world_end(&w);
}
END_TEST

UNIT_MAIN("pack/store/gc", keeps_what_follows, keeps_what_follows_kv64,
          archives, archives_kv64, keeps_more_than_one, leaves_commits_aside,
          steps_are_bounded, steps_of_archiving_are_bounded,
          little_memory_gives_the_same, dry_run_tells_the_truth,
          dry_run_tells_of_the_archive, cancelled_leaves_nothing, refuses,
          allocations_fail, requests_fail, migrates, migrates_what_is_empty,
          refuses_to_migrate, rules_keep_commits, rules_pass_over_what_is_gone,
          splits_first)
