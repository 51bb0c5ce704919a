/* SPDX-License-Identifier: ISC */
/*
 * What a garbage collection may take, in counts: memory that does not grow with
 * the store, disk for the new prefix and its mapping only, no other file. The
 * pieces of it, and the whole on a store of many ranges and many kept commits
 * with next to no memory for them.
 */
#include <stdlib.h>
#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/gc.h"
#include "pack/sparse.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

/* --------------------------------------------------------------- work list */

enum { TOP = 1 << 15 };

struct list {
    struct mem_fault mem;
    struct pk_ctx ctx;
    struct pk_gc_queue queue;
    uint8_t wanted[TOP];
};

/* As references: some near, some far, some again. */
static uint64_t below(struct prng *prng, uint64_t at)
{
    uint64_t far = prng_below(prng, at);

    return prng_below(prng, 3) == 0 ? far : at - 1 - far % 700 % at;
}

/* Pop all that is above the floor, pushing more; returns the floor. */
static uint64_t list_run(struct list *l, struct prng *prng, uint64_t n_pushes)
{
    uint64_t at = l->queue.at;
    uint64_t off;

    while (pk_gc_queue_pop(&l->queue, &off)) {
        ck_assert_uint_lt(off, at);
        ck_assert(l->wanted[off]);
        for (uint64_t i = off + 1; i < at; i++) {
            ck_assert(!l->wanted[i]);
        }
        at = off;
        for (uint64_t i = 0; off > 0 && i < n_pushes; i++) {
            uint64_t to = below(prng, off);

            l->wanted[to] = 1;
            pk_gc_queue_push(&l->queue, to);
        }
    }
    return l->queue.far.floor;
}

/* What is above the floor comes in order and once, whatever the memory; what
 * is below it can be pushed again. */
START_TEST(work_list_forgets_only_what_it_says)
{
    struct list *l = malloc(sizeof(*l));
    uint64_t looks = 0;

    ck_assert_ptr_nonnull(l);
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct prng prng = prng_seed(seed);
        size_t mem_len = (size_t)1 << (11 + seed % 5);
        uint64_t floor = TOP;
        size_t peak;

        mem_fault_init(&l->mem);
        l->ctx =
            (struct pk_ctx){.env = &l->mem.env, .mem = {.env = &l->mem.env}};
        memset(l->wanted, 0, sizeof(l->wanted));
        for (int i = 0; i < 300; i++) {
            l->wanted[below(&prng, TOP)] = 1;
        }
        assert_ok(pk_gc_queue_open(&l->ctx, mem_len, TOP, &l->queue));
        peak = l->mem.peak_bytes;
        ck_assert_uint_le(peak, mem_len + 512);
        do {
            uint64_t limit = floor;

            pk_gc_queue_reset(&l->queue, limit);
            for (uint64_t i = 0; i < TOP; i++) { /* in any order */
                uint64_t off = i * 40503 % TOP;

                if (off < limit && l->wanted[off]) {
                    pk_gc_queue_push(&l->queue, off);
                }
            }
            floor = list_run(l, &prng, 2);
            ck_assert_uint_lt(floor, limit);
            looks += floor > 0;
        } while (floor > 0);
        ck_assert_uint_eq(l->mem.peak_bytes, peak); /* allocated at once */
        pk_gc_queue_close(&l->queue);
        ck_assert_uint_eq(l->mem.live_bytes, 0);
    }
    ck_assert_uint_gt(looks, 40);
    free(l);
}
END_TEST

/* ------------------------------------------------------- a whole collection */

enum { MEM_LEN = 4096, EXTRA_LEN = 96 << 10, MAX_COMMITS = 2400 };

/* Files that were opened to be written. */
static struct {
    const struct pk_vfs_ops *below;
    bool watching;
    char names[16][PK_VFS_NAME_MAX + 1];
    size_t n;
} spy;

static int spy_open(void *ctx, const char *name, uint32_t flags,
                    void **ret_file)
{
    if (spy.watching && flags != 0) {
        ck_assert_uint_lt(spy.n, 16);
        strcpy(spy.names[spy.n++], name);
    }
    return spy.below->open(ctx, name, flags, ret_file);
}

struct world {
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_vfs_ops ops;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_digest *commits;
    size_t n;
};

/* Each commit changes a few files in a few of many folders. */
static void world_begin(struct world *w, bool lower, size_t n)
{
    struct prng prng = prng_seed(n);
    struct pk_open opts;
    struct pk_tree *tree;

    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    spy.below = w->files.vfs.ops;
    spy.n = 0;
    w->ops = *spy.below;
    w->ops.open = spy_open;
    opts = kit_open(&w->files, "kv32", PK_OPEN_WRITE | PK_OPEN_CREATE);
    w->vfs = (struct pk_vfs){&w->ops, w->files.vfs.ctx};
    opts.vfs = &w->vfs;
    opts.lower = lower ? &w->vfs : NULL;
    opts.cache_len = 65536;
    assert_ok(pk_repo_open(&w->mem.env, &opts, NULL, &w->repo));
    w->commits = calloc(n, sizeof(*w->commits));
    ck_assert_ptr_nonnull(w->commits);
    assert_ok(pk_tree_empty(w->repo, &tree));
    for (w->n = 0; w->n < n; w->n++) {
        struct pk_digest *parent = w->n > 0 ? &w->commits[w->n - 1] : NULL;

        for (int i = 0; i < (w->n == 0 ? 1500 : 4); i++) {
            uint64_t file = prng_below(&prng, 3000);
            uint8_t data[24];
            struct kit_path path;
            char name[64];

            kit_contents(w->n * 4000 + (uint64_t)i, sizeof(data), data);
            (void)snprintf(name, sizeof(name), "folder-%u/file-%u",
                           (unsigned)(file / 50), (unsigned)(file % 50));
            assert_ok(pk_tree_set(tree, kit_path(&path, name),
                                  (struct pk_slice){data, sizeof(data)}));
        }
        assert_ok(kit_commit(tree, parent, (int64_t)w->n, &w->commits[w->n]));
    }
    pk_tree_free(tree);
}

static void world_end(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    ck_assert_uint_eq(w->mem.live_bytes, 0);
    vfs_fault_deinit(&w->files);
    free(w->commits);
}

static void reopen(struct world *w)
{
    struct pk_open opts = kit_open(&w->files, "kv32", PK_OPEN_WRITE);

    (void)pk_repo_close(w->repo); /* what it says depends on what failed */
    opts.vfs = &w->vfs;
    assert_ok(pk_repo_open(&w->mem.env, &opts, NULL, &w->repo));
}

static int add_len(void *arg, const char *step, uint64_t len)
{
    (void)step;
    *(uint64_t *)arg += len;
    return 0;
}

static uint64_t size_of(struct world *w)
{
    uint64_t len = 0;

    assert_ok(w->vfs.ops->list(w->vfs.ctx, "", add_len, &len));
    return len;
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s: %s", finding->file, finding->what);
    return 0;
}

/* Collect, keeping every other commit; returns the memory that it took. The
 * disk never holds more than the old and the new. */
static size_t collect(struct world *w, struct pk_gc_options *options,
                      struct pk_gc_stats *stats)
{
    size_t before;
    uint64_t disk;
    uint64_t most = 0;
    int err;

    assert_ok(pk_repo_flush(w->repo));
    before = w->mem.live_bytes;
    w->mem.peak_bytes = before;
    disk = size_of(w);
    spy.watching = true;
    assert_ok(pk_gc_start(w->repo, options));
    while ((err = pk_gc_step(w->repo, PK_GC_MIN_BUDGET)) > 0) {
        uint64_t now = size_of(w);

        most = now > most ? now : most;
    }
    spy.watching = false;
    assert_ok(err);
    pk_gc_progress(w->repo, stats);
    ck_assert_uint_le(stats->longest_step, PK_GC_MIN_BUDGET);
    ck_assert_uint_le(most, disk + stats->prefix_len + stats->mapping_len);
    ck_assert_uint_le(stats->mem_peak, w->mem.peak_bytes - before);
    assert_ok(pk_gc_finish(w->repo, stats));
    return w->mem.peak_bytes - before;
}

static size_t collect_half(size_t n, struct pk_gc_stats *stats)
{
    struct pk_check_stats checked;
    struct pk_digest *keep = calloc(n / 2, sizeof(*keep));
    struct pk_gc_options options = {
        .keep = keep, .n_keep = n / 2, .mem_len = MEM_LEN};
    struct world w;
    size_t peak;

    ck_assert_ptr_nonnull(keep);
    world_begin(&w, false, n);
    for (size_t i = 0; i < n / 2; i++) {
        keep[i] = w.commits[2 * i + 1];
    }
    peak = collect(&w, &options, stats);
    ck_assert_uint_eq(spy.n, 2);
    ck_assert_str_eq(spy.names[0], "store.1.prefix");
    ck_assert_str_eq(spy.names[1], "store.1.mapping");
    ck_assert_uint_gt(stats->looks, 0);
    ck_assert_uint_gt(stats->ranges, n / 2);
    assert_ok(pk_check(w.repo, no_finding, NULL, &checked));
    ck_assert_uint_eq(checked.commits, n / 2);
    world_end(&w);
    free(keep);
    return peak;
}

START_TEST(memory_does_not_grow_with_the_store)
{
    struct pk_gc_stats few;
    struct pk_gc_stats many;
    size_t small = collect_half(MAX_COMMITS / 6, &few);
    size_t large = collect_half(MAX_COMMITS, &many);
    size_t keep = (MAX_COMMITS - MAX_COMMITS / 6) / 2 * sizeof(uint64_t);
    size_t samples = (many.ranges - few.ranges + 63) / 64 * sizeof(uint64_t);

    ck_assert_uint_gt(many.ranges, 4 * few.ranges);
    ck_assert_uint_gt(many.prefix_len, 100 * MEM_LEN);
    ck_assert_uint_le(large, small + keep + samples);
    ck_assert_uint_le(large, MEM_LEN + EXTRA_LEN +
                                 MAX_COMMITS / 2 * sizeof(uint64_t) +
                                 many.ranges / 64 * sizeof(uint64_t));
    printf(
        "%zu and %zu bytes of memory for %llu and %llu ranges, looked at %llu "
        "and %llu times\n",
        small, large, (unsigned long long)few.ranges,
        (unsigned long long)many.ranges, (unsigned long long)few.looks,
        (unsigned long long)many.looks);
}
END_TEST

/* Memory changes nothing but the way, not in the lower layer either. */
START_TEST(little_memory_gives_the_same)
{
    static const char *const names[] = {
        "store.2.prefix",          "store.2.mapping",
        "store.control",           "volume.0/volume.data",
        "volume.0/volume.mapping", "volume.0/volume.control"};
    struct world worlds[2];
    struct pk_gc_stats stats[2];

    for (int i = 0; i < 2; i++) {
        struct world *w = &worlds[i];
        struct pk_gc_options options = {.n_keep = 1, .mem_len = i == 0 ? 0 : 1};

        world_begin(w, true, 900);
        options.keep = &w->commits[300];
        (void)collect(w, &options, &stats[i]);
        options.keep = &w->commits[880];
        (void)collect(w, &options, &stats[i]);
    }
    ck_assert_uint_eq(stats[0].looks, 0);
    ck_assert_uint_gt(stats[1].looks, 5);
    ck_assert_uint_eq(stats[0].objects, stats[1].objects);
    for (size_t i = 0; i < 6; i++) {
        kit_same_file(&worlds[0].files, &worlds[1].files, names[i]);
    }
    world_end(&worlds[0]);
    world_end(&worlds[1]);
}
END_TEST

/* A dry run writes only if it has to, and says so if it may not. */
START_TEST(dry_run_looks_again)
{
    struct pk_gc_stats said;
    struct pk_gc_stats done;
    struct pk_gc_options options = {.n_keep = 1, .mem_len = 1, .dry_run = true};
    struct pk_open opts;
    struct pk_repo *reader;
    struct world w;
    uint64_t before;
    int err;

    world_begin(&w, false, 300);
    options.keep = &w.commits[250];
    assert_ok(pk_repo_flush(w.repo));
    before = size_of(&w);
    assert_ok(pk_gc_start(w.repo, &options));
    while ((err = pk_gc_step(w.repo, PK_GC_MIN_BUDGET)) > 0) {
    }
    assert_ok(err);
    assert_ok(pk_gc_finish(w.repo, &said));
    ck_assert_uint_gt(said.looks, 0);
    ck_assert_uint_eq(size_of(&w), before);

    opts = kit_open(&w.files, "kv32", 0);
    assert_ok(pk_repo_open(&w.mem.env, &opts, NULL, &reader));
    assert_ok(pk_gc_start(reader, &options));
    while ((err = pk_gc_step(reader, PK_GC_MIN_BUDGET)) > 0) {
    }
    ck_assert_int_eq(err, NF_EROFS);
    assert_ok(pk_repo_close(reader));

    options.dry_run = false;
    (void)collect(&w, &options, &done);
    ck_assert_uint_eq(said.objects, done.objects);
    ck_assert_uint_eq(said.ranges, done.ranges);
    ck_assert_uint_eq(said.prefix_len, done.prefix_len);
    world_end(&w);
}
END_TEST

/* Any request fails while memory is scarce: the collection ends, the store is
 * as it was. */
START_TEST(requests_fail)
{
    struct pk_gc_options options = {.n_keep = 1, .mem_len = 1};
    struct pk_gc_stats stats;
    struct world w;

    world_begin(&w, false, 150);
    options.keep = &w.commits[140];
    assert_ok(pk_repo_flush(w.repo));
    for (uint64_t nth = 1;; nth += 13) {
        uint64_t size = size_of(&w);
        bool failed;
        int err;

        vfs_fault_fail(&w.files, nth, false);
        err = pk_gc_start(w.repo, &options);
        while (err >= 0 && (err = pk_gc_step(w.repo, PK_GC_MIN_BUDGET)) > 0) {
        }
        failed = w.files.n_failed > 0;
        vfs_fault_fail(&w.files, 0, false);
        if (!failed) {
            assert_ok(err);
            ck_assert_uint_gt(nth, 100);
            break;
        }
        ck_assert(err == 0 || err == NF_EIO); /* 0: read another way */
        assert_ok(pk_gc_cancel(w.repo));
        ck_assert_uint_eq(size_of(&w), size);
        reopen(&w);
    }
    pk_gc_progress(w.repo, &stats);
    ck_assert_uint_gt(stats.looks, 0);
    assert_ok(pk_gc_finish(w.repo, NULL));
    world_end(&w);
}
END_TEST

UNIT_MAIN("pack/store/gc_bounds", work_list_forgets_only_what_it_says,
          memory_does_not_grow_with_the_store, little_memory_gives_the_same,
          dry_run_looks_again, requests_fail)
