/* SPDX-License-Identifier: ISC */
/*
 * Garbage collection: what is kept and what goes, in steps with commits in
 * between, with little memory, over files that fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/gc_world.h"

/* ------------------------------------------------------------ what is kept */

static void keeps(const char *config, bool lower)
{
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats stats;

    world_begin(&w, config, lower, false);
    options = world_keep_one(&w, 6);
    assert_ok(world_collect(&w, &options, &stats));
    ck_assert_uint_gt(stats.objects, 0);
    ck_assert_uint_eq(stats.generation, 1);
    ck_assert_uint_eq(stats.chunks_removed, 2);
    ck_assert_uint_gt(stats.suffix_freed, 0);
    ck_assert_uint_eq(stats.archived_len > 0, w.lower);
    world_look(&w, 6);
    ck_assert_int_eq(world_names_of(&w, 1).chunks, N_COMMITS / 3 + 1 - 2);
    world_commit(&w);
    world_reopen(&w, PK_OPEN_WRITE);
    world_look(&w, 6);
    if (w.lower) {
        assert_ok(pk_repo_add_volume(w.repo));
        ck_assert_int_eq(pk_repo_add_volume(w.repo), NF_EC_EMPTY_VOLUME);
    }
    options = world_keep_one(&w, 10);
    assert_ok(world_collect(&w, &options, &stats));
    ck_assert_uint_gt(stats.prefix_freed, 0);
    world_reopen(&w, 0);
    world_look(&w, 10);
    (void)world_names_of(&w, 1);
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
    assert_ok(world_collect(&w, &options, &stats));
    world_reopen(&w, PK_OPEN_WRITE);
    for (int i = 1; i <= w.n; i++) {
        struct pk_commit *c = NULL;
        int err = pk_commit_find(w.repo, &w.commits[i], &c);

        ck_assert_int_eq(err == 0, i == 2 || i == 5 || i >= 9);
        pk_commit_free(w.repo, c);
    }
    {
        struct pk_check_stats checked;

        assert_ok(pk_check(w.repo, world_no_finding, NULL, &checked));
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
    options = world_keep_one(&w, 10);
    assert_ok(world_collect(&w, &options, &stats));
    world_reopen(&w, PK_OPEN_WRITE);
    ck_assert_int_eq(pk_commit_find(w.repo, &orphan, &c), NF_EC_COLLECTED);
    assert_ok(pk_check(w.repo, world_no_finding, NULL, &checked));
    ck_assert_uint_gt(checked.collected, 1);
    world_look(&w, 10);
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
    options = world_keep_one(&w, 9);
    options.mem_len = 1;
    assert_ok(pk_gc_start(w.repo, &options));
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EC_GC_RUNNING);
    ck_assert_int_eq(pk_gc_step(w.repo, PK_GC_MIN_BUDGET - 1), NF_EINVAL);
    while ((err = pk_gc_step(w.repo, PK_GC_MIN_BUDGET)) > 0) {
        pk_gc_progress(w.repo, &stats);
        ck_assert_uint_le(stats.done, stats.total);
        if (w.n < N_ALL) {
            world_commit(&w);
            if (steps % 2 == 0) {
                assert_ok(pk_repo_split(w.repo));
            }
        }
        steps++;
        world_look(&w, 1);
    }
    assert_ok(err);
    ck_assert_int_gt(steps, 3);
    pk_gc_progress(w.repo, &stats);
    ck_assert_int_eq(stats.phase, PK_GC_READY);
    ck_assert_uint_le(stats.longest_step, PK_GC_MIN_BUDGET);
    assert_ok(pk_gc_finish(w.repo, &stats));
    world_look(&w, 9);
    world_reopen(&w, 0);
    world_look(&w, 9);
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

/* Memory changes nothing but the way. */
START_TEST(little_memory_gives_the_same)
{
    struct world a;
    struct world b;
    struct pk_gc_options options;
    struct pk_gc_stats rich;
    struct pk_gc_stats poor;

    world_begin(&a, "kv32", true, true);
    options = world_keep_one(&a, 11);
    assert_ok(world_collect(&a, &options, &rich));
    world_begin(&b, "kv32", true, true);
    options = world_keep_one(&b, 11);
    options.mem_len = 1;
    assert_ok(world_collect(&b, &options, &poor));
    ck_assert_uint_eq(rich.objects, poor.objects);
    ck_assert_uint_eq(rich.ranges, poor.ranges);
    kit_same_file(&a.files, &b.files, "store.1.prefix");
    kit_same_file(&a.files, &b.files, "store.1.mapping");
    kit_same_file(&a.files, &b.files, "store.control");
    kit_same_file(&a.files, &b.files, "volume.0/volume.data");
    kit_same_file(&a.files, &b.files, "volume.0/volume.mapping");
    kit_same_file(&a.files, &b.files, "volume.0/volume.control");
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
    options = world_keep_one(&w, 7);
    options.dry_run = true;
    assert_ok(world_collect(&w, &options, &said));
    ck_assert_uint_eq(w.files.n_ops, n_ops);
    options.dry_run = false;
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_EROFS);
    world_reopen(&w, PK_OPEN_WRITE);
    assert_ok(world_collect(&w, &options, &done));
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
    options = world_keep_one(&w, 8);
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
        (void)world_names_of(&w, 0);
        world_look(&w, 1);
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
    options = world_keep_one(&w, 6);
    assert_ok(pk_gc_start(w.repo, &options));
    ck_assert_int_eq(pk_gc_finish(w.repo, NULL), NF_EAGAIN);
    assert_ok(pk_gc_cancel(w.repo));
    assert_ok(world_collect(&w, &options, &stats));
    ck_assert_int_eq(world_collect(&w, &options, &stats), NF_EC_GC_TARGET);
    world_end(&w);

    /* Not always indexed minimally. */
    vfs_fault_init(&w.files);
    opts = kit_open(&w.files, "kv32", PK_OPEN_WRITE | PK_OPEN_CREATE);
    opts.strategy = PK_STRATEGY_ALWAYS;
    assert_ok(pk_repo_open(&w.mem.env, &opts, NULL, &w.repo));
    w.n = 0;
    world_commit(&w);
    options = world_keep_one(&w, 1);
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
        options = world_keep_one(&w, 6);
        options.mem_len = 1;
        before = w.files.n_failed;
        if (memory) {
            mem_fault_fail(&w.mem, nth, false);
        } else {
            vfs_fault_fail(&w.files, nth, false);
        }
        err = world_collect(&w, &options, &stats);
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
        world_look(&w, 1); /* all of it, as there is a lower layer */
        err = world_collect(&w, &options, &stats);
        ck_assert(err == 0 || err == NF_EC_GC_TARGET);
        world_look(&w, 1);
        (void)world_names_of(&w, 1);
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
        world_commit(w);
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
        world_look(&w, 1);
        world_commit(&w);
        options = world_keep_one(&w, 4);
        options.split = true;
        assert_ok(world_collect(&w, &options, NULL));
        world_look(&w, 1);
        (void)world_names_of(&w, 1);
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
    world_commit(&w);
    world_commit(&w);
    options = world_keep_one(&w, 2);
    assert_ok(world_collect(&w, &options, NULL));
    world_reopen(&w, 0);
    world_look(&w, 1);
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
    world_look(&w, 1);
    assert_ok(pk_repo_close(w.repo));
    world_open(&w, PK_OPEN_WRITE);
    assert_ok(pk_repo_split(w.repo));
    assert_ok(pk_repo_close(w.repo));
    assert_err(try_open(&w, PK_STRATEGY_MINIMAL, PK_OPEN_WRITE),
               NF_EC_MIGRATION);
    world_open(&w, PK_OPEN_WRITE);
    world_look(&w, 1);
    world_end(&w);
}
END_TEST

UNIT_MAIN("pack/store/gc", keeps_what_follows, keeps_what_follows_kv64,
          archives, archives_kv64, keeps_more_than_one, leaves_commits_aside,
          steps_are_bounded, steps_of_archiving_are_bounded,
          little_memory_gives_the_same, dry_run_tells_the_truth,
          dry_run_tells_of_the_archive, cancelled_leaves_nothing, refuses,
          allocations_fail, requests_fail, migrates, migrates_what_is_empty,
          refuses_to_migrate)
