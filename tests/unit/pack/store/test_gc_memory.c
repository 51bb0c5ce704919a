/* SPDX-License-Identifier: ISC */
/* What a collection takes does not grow with the store, but for the new files:
 * memory, and disk while it runs. */
#include <stdlib.h>

#include "notafs/platform/checked.h"
#include "pack/gc.h"
#include "pack/store/repo.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 40, N_DIRS = 30, N_FILES = 40 };

struct world {
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_repo *repo;
    struct pk_digest commits[N_COMMITS];
};

/* Each commit changes a file in every directory. */
static void world_begin(struct world *w)
{
    struct pk_open opts;
    struct pk_tree *tree;

    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    opts = kit_open(&w->files, "kv64", PK_OPEN_WRITE | PK_OPEN_CREATE);
    assert_ok(pk_repo_open(&w->mem.env, &opts, NULL, &w->repo));
    assert_ok(pk_tree_empty(w->repo, &tree));
    for (int n = 0; n < N_COMMITS; n++) {
        for (int i = 0; i < N_DIRS * (n == 0 ? N_FILES : 1); i++) {
            struct kit_path path;
            uint8_t data[60];
            char name[32];

            kit_contents((uint64_t)(n * 10000 + i), sizeof(data), data);
            (void)snprintf(name, sizeof(name), "dir%d/file%d", i % N_DIRS,
                           n == 0 ? i / N_DIRS : (n * 7 + i) % N_FILES);
            assert_ok(pk_tree_set(tree, kit_path(&path, name),
                                  (struct pk_slice){data, sizeof(data)}));
        }
        assert_ok(kit_commit(tree, n > 0 ? &w->commits[n - 1] : NULL, n,
                             &w->commits[n]));
    }
    pk_tree_free(tree);
    assert_ok(pk_repo_split(w->repo));
}

static void world_end(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    vfs_fault_deinit(&w->files);
    ck_assert_uint_eq(w->mem.live_bytes, 0);
}

static uint64_t file_len(struct world *w, const char *name)
{
    size_t len = 0;

    (void)vfs_fault_bytes(&w->files, name, &len);
    return len;
}

static int count_file(void *arg, const char *step, uint64_t len)
{
    (void)step;
    (void)len;
    ++*(size_t *)arg;
    return 0;
}

static size_t n_files(struct world *w)
{
    size_t n = 0;

    assert_ok(w->files.vfs.ops->list(w->files.vfs.ctx, "", count_file, &n));
    return n;
}

/* A collection with little memory takes no more than with much. */
static void disk_is_bounded_with(size_t n_keep)
{
    struct world w;
    struct pk_gc_options options = {.n_keep = n_keep, .mem_len = 12000};
    struct pk_gc_stats stats;
    uint64_t most = 0;
    size_t before;
    int err;

    world_begin(&w);
    options.keep = w.commits + N_COMMITS - n_keep;
    before = n_files(&w);
    assert_ok(pk_gc_start(w.repo, &options));
    do {
        uint64_t prefix;

        err = pk_gc_step(w.repo, PK_GC_MIN_BUDGET);
        ck_assert_int_ge(err, 0);
        prefix = file_len(&w, "store.1.prefix");
        most = nf_max_u64(most, prefix + file_len(&w, "store.1.mapping"));
        ck_assert_uint_le(n_files(&w), before + 2);
    } while (err != 0);
    assert_ok(pk_gc_finish(w.repo, &stats));
    ck_assert_uint_eq(most, stats.prefix_len + stats.mapping_len);
    world_end(&w);
}

START_TEST(disk_is_bounded)
{
    disk_is_bounded_with(1);
    disk_is_bounded_with(N_COMMITS / 2);
    disk_is_bounded_with(2 * N_COMMITS / 3);
}
END_TEST

/* More commits than there is memory for are refused, and nothing is done. */
START_TEST(too_many_commits)
{
    struct world w;
    const size_t n = PK_GC_MAX_COMMITS + 1;
    struct pk_digest *keep = calloc(n, sizeof(*keep));
    struct pk_gc_options options = {.keep = keep, .n_keep = n};
    size_t before;

    ck_assert_ptr_nonnull(keep);
    world_begin(&w);
    before = n_files(&w);
    ck_assert_int_eq(pk_gc_start(w.repo, &options), NF_ERANGE);
    ck_assert_uint_eq(n_files(&w), before);
    world_end(&w);
    free(keep);
}
END_TEST

/* The sum of all that is bounded, with the memory that is taken by default. */
START_TEST(bounds_sum_up)
{
    const uint64_t max = 32 << 20;
    const uint64_t queue = 16 << 20;
    const uint64_t commits = PK_GC_MAX_COMMITS * sizeof(uint64_t);
    const uint64_t late = 2 * (PK_GC_MAX_LATE + 1) * sizeof(uint64_t);
    const uint64_t samples = PK_SAMPLES_MAX * sizeof(uint64_t);
    const uint64_t buffers = sizeof(struct pk_gc) + PK_GC_BLOCK_LEN +
                             PK_GC_COPY_LEN + 2 * PK_GC_PAGE_LEN;

    /* What grows is there twice for a moment, half as large. */
    ck_assert_uint_le(
        queue + commits + late / 2 * 3 + samples + samples * 2 + buffers, max);
}
END_TEST

UNIT_MAIN("pack/store/gc_memory", disk_is_bounded, too_many_commits,
          bounds_sum_up)
