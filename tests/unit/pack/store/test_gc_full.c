/* SPDX-License-Identifier: ISC */
/*
 * Collections of stores on disks of Notafs that are full, or would be soon: the
 * reserve is enough for one, whatever the store holds, and what it frees can
 * be written again; a store that is tended never gets there.
 */
#include <notafs/bd_mem.h>
#include <notafs/notafs.h>
#include <notafs/vfs_notafs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_CYCLES = 4, FILE_LEN = 250, STEP_LEN = 65536 };

struct disk {
    enum nf_profile profile;
    uint32_t page_size;
    size_t len;
};

static const struct disk disks[] = {
    {NF_PROFILE_NATIVE, 512, 1 << 20},    {NF_PROFILE_NATIVE, 4096, 4 << 20},
    {NF_PROFILE_NATIVE, 65536, 12 << 20}, {NF_PROFILE_MIRAGE, 512, 1 << 20},
    {NF_PROFILE_MIRAGE, 4096, 4 << 20},
};

enum { N_DISKS = sizeof(disks) / sizeof(*disks) };

struct world {
    const struct disk *disk;
    uint8_t *bytes;
    struct bd_mem mem;
    struct bd bd;
    struct mem_fault heap;
    struct nf *nf;
    struct pk_vfs_notafs *notafs;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_digest head;
    int n;       /* commits made */
    int n_files; /* files that they write to in turn */
};

static void world_open(struct world *w)
{
    struct pk_open opts = {.vfs = &w->vfs,
                           .flags = PK_OPEN_WRITE | PK_OPEN_CREATE};

    assert_ok(nf_mount(&w->bd, &w->heap.env, NULL, &w->nf));
    assert_ok(pk_vfs_notafs_open(w->nf, &w->heap.env, nf_path("s"), &w->notafs,
                                 &w->vfs));
    assert_ok(pk_config_parse("kv32", &opts.config));
    opts.cache_len = 65536;
    assert_ok(pk_repo_open(&w->heap.env, &opts, NULL, &w->repo));
}

static void world_close(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    pk_vfs_notafs_close(w->notafs);
    nf_unmount(w->nf);
}

static void world_begin(struct world *w, const struct disk *disk, int n_files)
{
    const struct nf_format_options how = {.profile = disk->profile};

    *w = (struct world){.disk = disk, .n_files = n_files};
    mem_fault_init(&w->heap);
    w->bytes = calloc(disk->len, 1);
    ck_assert_ptr_nonnull(w->bytes);
    assert_ok(
        bd_mem_init(&w->bd, &w->mem, w->bytes, disk->len, disk->page_size));
    assert_ok(nf_format(&w->bd, &w->heap.env, &how));
    world_open(w);
}

static void world_end(struct world *w)
{
    world_close(w);
    free(w->bytes);
    ck_assert_uint_eq(w->heap.live_blocks, 0);
}

/* Ten files more, or anew. */
static int try_commit(struct world *w)
{
    uint8_t data[FILE_LEN];
    struct pk_tree *tree = NULL;
    struct kit_path path;
    struct pk_digest hash;
    char name[64];
    int err = w->n == 0 ? pk_tree_empty(w->repo, &tree)
                        : pk_commit_tree(w->repo, &w->head, &tree);

    for (int f = 0; f < 10 && err == 0; f++) {
        int file = (w->n * 10 + f) % w->n_files;

        kit_contents((uint64_t)(w->n * 10 + f), sizeof(data), data);
        (void)snprintf(name, sizeof(name), "dir%d/a-file-%d", file / 50, file);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, sizeof(data)});
    }
    if (err == 0) {
        err = kit_commit(tree, w->n > 0 ? &w->head : NULL, w->n, &hash);
    }
    pk_tree_free(tree);
    if (err == 0) {
        w->head = hash;
        w->n++;
    }
    return err;
}

static void fill(struct world *w)
{
    int err;

    do {
        err = try_commit(w);
    } while (err == 0);
    assert_err(err, NF_ENOSPC);
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s: %s", finding->file, finding->what);
    return 0;
}

/* The last commit, whole. */
static void look(struct world *w)
{
    struct pk_check_stats stats;
    struct pk_digest head;

    assert_ok(pk_check(w->repo, no_finding, NULL, &stats));
    assert_ok(pk_branch_get(w->repo, kit_text("main"), &head));
    ck_assert_mem_eq(&head, &w->head, sizeof(head));
}

static int collect(struct world *w, struct pk_gc_stats *ret)
{
    struct pk_gc_options options = {
        .keep = &w->head, .n_keep = 1, .split = true};
    int err = pk_gc_start(w->repo, &options);

    while (err == 0 && (err = pk_gc_step(w->repo, STEP_LEN)) > 0) {
        err = 0;
    }
    return err == 0 ? pk_gc_finish(w->repo, ret) : err;
}

static void collect_when_full(const struct disk *disk, int n_files,
                              uint64_t reserve)
{
    struct world w;
    int first = 0;

    world_begin(&w, disk, n_files);
    pk_repo_reserve(w.repo, reserve);
    for (int cycle = 0; cycle < N_CYCLES; cycle++) {
        struct pk_gc_stats stats;
        uint64_t need;
        int before = w.n;

        fill(&w);
        need = pk_gc_need(w.repo);
        if (cycle % 2 == 1) { /* the reserve is not what memory remembers */
            world_close(&w);
            world_open(&w);
            look(&w);
        }
        assert_ok(collect(&w, &stats));
        ck_assert_uint_le(stats.prefix_len + stats.mapping_len, need);
        look(&w);
        pk_repo_reserve(w.repo, reserve);
        first = cycle == 0 ? w.n : first;
        if (n_files < 1000) { /* nearly all was garbage */
            ck_assert_int_gt(w.n - before, first / 3);
        }
    }
    printf("page %u: %d commits before the first, %d in all\n",
           (unsigned)disk->page_size, first, w.n);
    world_end(&w);
}

START_TEST(full_of_garbage)
{
    for (int i = 0; i < N_DISKS; i++) {
        collect_when_full(&disks[i], 100, PK_RESERVE_AUTO);
    }
}
END_TEST

/* The embedder knows how much is live at most. */
START_TEST(full_beside_a_reserve_of_ones_own)
{
    for (int i = 0; i < N_DISKS; i++) {
        collect_when_full(&disks[i], 100, disks[i].len / 4);
    }
}
END_TEST

/* A commit of so many bytes, which reach the files in parts. */
static int try_large(struct world *w, size_t len)
{
    const size_t n = 16;
    uint8_t *data = malloc(len / n);
    struct pk_tree *tree = NULL;
    struct pk_digest hash;
    int err = pk_commit_tree(w->repo, &w->head, &tree);

    ck_assert_ptr_nonnull(data);
    for (size_t f = 0; f < n && err == 0; f++) {
        struct kit_path path;
        char name[32];

        kit_contents(f, (uint32_t)(len / n), data);
        (void)snprintf(name, sizeof(name), "large/%u", (unsigned)f);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, len / n});
    }
    if (err == 0) {
        err = kit_commit(tree, &w->head, w->n, &hash);
    }
    pk_tree_free(tree);
    free(data);
    if (err == 0) {
        w->head = hash;
        w->n++;
    }
    return err;
}

/* What a large commit has written when it finds no room is not of the
 * reserve: a collection still runs, at once or after another mount. It does not
 * free what was left behind, which is newer than the commit that is kept, and
 * which a chunk holds together with that. One commit more, which may need a
 * part of the reserve, and the next collection does. */
START_TEST(large_commits_fail_beside_a_reserve)
{
    for (int i = 0; i < N_DISKS; i++) {
        for (int reopened = 0; reopened < 2; reopened++) {
            struct world w;
            struct pk_gc_stats stats;

            world_begin(&w, &disks[i], 100);
            pk_repo_reserve(w.repo, disks[i].len / 4);
            for (int n = 0; n < 20; n++) {
                assert_ok(try_commit(&w));
            }
            ck_assert_uint_gt(disks[i].len, 3 * (256 << 10));
            assert_err(try_large(&w, disks[i].len), NF_ENOSPC);
            if (reopened == 1) {
                world_close(&w);
                world_open(&w);
                look(&w);
                pk_repo_reserve(w.repo, disks[i].len / 4);
            }
            assert_ok(collect(&w, &stats));
            look(&w);
            pk_repo_reserve(w.repo, 0);
            assert_ok(try_commit(&w));
            pk_repo_reserve(w.repo, disks[i].len / 4);
            assert_ok(collect(&w, &stats));
            ck_assert_uint_gt(stats.suffix_freed, disks[i].len / 4);
            assert_ok(try_large(&w, disks[i].len / 8));
            look(&w);
            world_end(&w);
        }
    }
}
END_TEST

/* All is live: nothing is freed but old inodes, and yet it runs. */
START_TEST(full_of_what_is_needed)
{
    for (int i = 0; i < N_DISKS; i++) {
        struct world w;
        struct pk_gc_stats stats;

        world_begin(&w, &disks[i], 1000000);
        pk_repo_reserve(w.repo, PK_RESERVE_AUTO);
        fill(&w);
        assert_ok(collect(&w, &stats));
        ck_assert_uint_gt(stats.prefix_len, stats.suffix_freed / 3);
        look(&w);
        world_end(&w);
    }
}
END_TEST

/* Without a reserve the medium is full when it is full. */
START_TEST(nothing_is_reserved_unless_asked)
{
    struct world w;
    struct pk_gc_stats stats;

    world_begin(&w, &disks[0], 1000000);
    fill(&w);
    ck_assert_int_eq(collect(&w, &stats), NF_ENOSPC);
    (void)pk_repo_close(w.repo); /* what the failed commit left has no room */
    pk_vfs_notafs_close(w.notafs);
    nf_unmount(w.nf);
    world_open(&w);
    look(&w);
    world_end(&w);
}
END_TEST

/* Many times the disk's length is written, and it is never full; collections
 * go on between commits. */
START_TEST(tended)
{
    for (int i = 0; i < N_DISKS; i++) {
        struct pk_gc_policy policy = {.keep = {.last = 3},
                                      .free_len = disks[i].len / 4};
        struct world w;
        uint64_t len = 0;
        uint64_t freed = 0;
        int n_gc = 0;
        int busy = 0;

        world_begin(&w, &disks[i], 100);
        pk_repo_reserve(w.repo, disks[i].len / 8);
        while (len < 3 * disks[i].len) {
            struct pk_gc_stats stats;

            assert_ok(try_commit(&w));
            len += 10 * FILE_LEN;
            busy = pk_gc_tend(w.repo, &policy, PK_GC_MIN_BUDGET, &stats);
            ck_assert_int_ge(busy, 0);
            if (stats.phase == PK_GC_READY) {
                n_gc++;
                freed += stats.suffix_freed + stats.prefix_freed;
                ck_assert_uint_le(stats.longest_step, PK_GC_MIN_BUDGET);
            }
        }
        look(&w);
        ck_assert_int_ge(n_gc, 3);
        ck_assert_uint_gt(freed, disks[i].len);
        printf("page %u: %d commits, %d collections, %llu bytes freed\n",
               (unsigned)disks[i].page_size, w.n, n_gc,
               (unsigned long long)freed);
        world_end(&w);
    }
}
END_TEST

/* Where there is nothing to be done. */
START_TEST(tend_leaves_alone)
{
    struct pk_gc_policy policy = {.free_len = UINT64_MAX};
    struct pk_gc_stats stats;
    struct world w;

    world_begin(&w, &disks[0], 100);
    ck_assert_int_eq(pk_gc_tend(w.repo, &policy, STEP_LEN, &stats), 0);
    assert_ok(try_commit(&w));
    policy.free_len = 1;
    ck_assert_int_eq(pk_gc_tend(w.repo, &policy, STEP_LEN, &stats), 0);
    policy.free_len = UINT64_MAX;
    ck_assert_int_eq(pk_gc_tend(w.repo, &policy, STEP_LEN, &stats), 1);
    ck_assert_int_eq(stats.phase, PK_GC_NONE);
    ck_assert_int_eq(pk_gc_tend(w.repo, &policy, STEP_LEN, NULL), 0);
    ck_assert_int_eq(pk_gc_tend(w.repo, &policy, STEP_LEN, NULL), 0);
    look(&w);
    world_end(&w);
}
END_TEST

UNIT_MAIN("pack/store/gc_full", full_of_garbage,
          full_beside_a_reserve_of_ones_own,
          large_commits_fail_beside_a_reserve, full_of_what_is_needed,
          nothing_is_reserved_unless_asked, tended, tend_leaves_alone)
