/* SPDX-License-Identifier: ISC */
/*
 * A garbage collection of a large store in a folder, with the writer committing
 * between any two steps: its memory, its longest step, what it frees. The size
 * is NOTAFS_GC_COMMITS commits of NOTAFS_GC_OBJECTS objects in all; ./dev test
 * takes a small one, `NOTAFS_GC_COMMITS=1000 NOTAFS_GC_OBJECTS=1000000` is what
 * docs/testing.md tells of.
 */
#include <notafs/vfs_posix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { STEP_LEN = 1 << 20, N_DIRS = 200, N_FILES = 100, MEM_MAX = 32 << 20 };

struct large {
    struct mem_fault mem;
    struct pk_vfs_posix *posix;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    char folder[64];
    struct prng prng;
    struct pk_digest *commits;
    uint64_t n;
    uint64_t n_changes; /* in a commit */
};

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void large_open(struct large *l, uint32_t flags)
{
    struct pk_open opts = {.vfs = &l->vfs, .flags = flags};

    assert_ok(pk_config_parse("kv64", &opts.config));
    opts.cache_len = 1 << 20;
    assert_ok(pk_repo_open(&l->mem.env, &opts, NULL, &l->repo));
}

/* Some files are changed; one of them is large. */
static void large_commit(struct large *l)
{
    uint8_t data[100];
    struct pk_tree *tree;
    struct kit_path path;
    char name[64];

    if (l->n == 0) {
        assert_ok(pk_tree_empty(l->repo, &tree));
    } else {
        assert_ok(pk_commit_tree(l->repo, &l->commits[l->n - 1], &tree));
    }
    for (uint64_t i = 0; i < l->n_changes; i++) {
        prng_bytes(&l->prng, sizeof(data), data);
        (void)snprintf(name, sizeof(name), "dir-%u/a-file-%u",
                       (unsigned)prng_below(&l->prng, N_DIRS),
                       (unsigned)prng_below(&l->prng, N_FILES));
        assert_ok(pk_tree_set(tree, kit_path(&path, name),
                              (struct pk_slice){data, sizeof(data)}));
    }
    assert_ok(kit_commit(tree, l->n > 0 ? &l->commits[l->n - 1] : NULL,
                         (int64_t)l->n, &l->commits[l->n]));
    pk_tree_free(tree);
    l->n++;
}

/* Of the files that hold objects. */
static int add_len(void *arg, const char *step, uint64_t len)
{
    const char *dot = strrchr(step, '.');

    if (dot != NULL &&
        (strcmp(dot, ".suffix") == 0 || strcmp(dot, ".prefix") == 0 ||
         strcmp(dot, ".mapping") == 0)) {
        *(uint64_t *)arg += len;
    }
    return 0;
}

static uint64_t large_size(struct large *l)
{
    uint64_t len = 0;

    assert_ok(l->vfs.ops->list(l->vfs.ctx, "", add_len, &len));
    return len;
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s: %s", finding->file, finding->what);
    return 0;
}

/* The middle of history is kept, all that follows stays. */
START_TEST(commits_go_on)
{
    struct large l = {.folder = "/tmp/notafs-gc-XXXXXX"};
    uint64_t n_commits = from_env("NOTAFS_GC_COMMITS", 60);
    uint64_t n_objects = from_env("NOTAFS_GC_OBJECTS", 20000);
    uint64_t n_more = 0;
    struct pk_gc_options options = {.n_keep = 1};
    struct pk_check_stats checked;
    struct pk_counters counters;
    struct pk_gc_stats stats;
    uint64_t before;
    uint64_t made;
    char command[128];
    int err;

    mem_fault_init(&l.mem);
    l.prng = prng_seed(11);
    l.commits = calloc(3 * n_commits + 10000, sizeof(*l.commits));
    ck_assert_ptr_nonnull(l.commits);
    ck_assert_ptr_nonnull(mkdtemp(l.folder));
    assert_ok(
        pk_vfs_posix_open(l.folder, PK_VFS_POSIX_NO_SYNC, &l.posix, &l.vfs));
    large_open(&l, PK_OPEN_WRITE | PK_OPEN_CREATE);
    /* A changed file costs its contents and a node or two. */
    l.n_changes = n_objects / n_commits * 5 / 9 + 1;
    for (uint64_t i = 0; i < n_commits; i++) {
        large_commit(&l);
        if (i == n_commits / 2) {
            assert_ok(pk_repo_split(l.repo));
        }
    }
    pk_repo_counters(l.repo, &counters);
    made = counters.objects_appended;
    before = large_size(&l);
    l.n_changes = 3;
    options.keep = &l.commits[n_commits / 2];
    assert_ok(pk_gc_start(l.repo, &options));
    while ((err = pk_gc_step(l.repo, STEP_LEN)) > 0) {
        large_commit(&l);
        n_more++;
    }
    assert_ok(err);
    pk_gc_progress(l.repo, &stats);
    ck_assert_uint_le(stats.longest_step, STEP_LEN);
    ck_assert_uint_le(stats.mem_peak, MEM_MAX);
    ck_assert_uint_gt(n_more, 2);
    before = large_size(&l); /* with the new ones, and what was added */
    assert_ok(pk_gc_finish(l.repo, &stats));
    /* Only the new prefix and mapping were there beside the old. */
    ck_assert_uint_eq(before - large_size(&l), stats.suffix_freed);
    large_commit(&l);
    assert_ok(pk_repo_close(l.repo));
    large_open(&l, 0);
    assert_ok(pk_check(l.repo, no_finding, NULL, &checked));
    ck_assert_uint_eq(checked.commits, l.n - n_commits / 2);
    printf(
        "%llu objects of %llu commits, %llu bytes; %llu steps, the longest "
        "%llu bytes; %llu bytes of memory; %llu objects kept, %llu bytes "
        "freed, %llu taken; %llu commits meanwhile\n",
        (unsigned long long)made, (unsigned long long)n_commits,
        (unsigned long long)(before - stats.prefix_len - stats.mapping_len),
        (unsigned long long)stats.steps, (unsigned long long)stats.longest_step,
        (unsigned long long)stats.mem_peak, (unsigned long long)stats.objects,
        (unsigned long long)stats.suffix_freed,
        (unsigned long long)(stats.prefix_len + stats.mapping_len),
        (unsigned long long)n_more);
    assert_ok(pk_repo_close(l.repo));
    pk_vfs_posix_close(l.posix);
    ck_assert_uint_eq(l.mem.live_blocks, 0);
    free(l.commits);
    (void)snprintf(command, sizeof(command), "rm -r %s", l.folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

UNIT_MAIN("pack/store/gc_large", commits_go_on)
