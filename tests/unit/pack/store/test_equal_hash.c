/* SPDX-License-Identifier: ISC */
/* Objects of two kinds with one hash: where nothing stands before what is
 * hashed, a file of the byte 00 and an empty directory. */
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

struct world {
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_open opts;
    struct pk_repo *repo;
    int64_t date;
};

static void world_begin(struct world *w, const char *config,
                        enum pk_strategy strategy)
{
    memset(w, 0, sizeof(*w));
    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    w->opts = kit_open(&w->files, config, PK_OPEN_WRITE | PK_OPEN_CREATE);
    w->opts.strategy = strategy;
    assert_ok(pk_repo_open(&w->mem.env, &w->opts, NULL, &w->repo));
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

/* Commit a tree with one file, or none (NULL), and read it back. */
static void commit(struct world *w, const char *name, struct pk_slice data)
{
    struct pk_check_stats stats;
    struct pk_digest hash;
    struct pk_tree *tree;
    struct kit_path path;
    struct pk_bytes bytes;

    assert_ok(pk_tree_empty(w->repo, &tree));
    if (name != NULL) {
        assert_ok(pk_tree_set(tree, kit_path(&path, name), data));
    }
    assert_ok(kit_commit(tree, NULL, ++w->date, &hash));
    pk_tree_free(tree);
    assert_ok(pk_repo_close(w->repo));
    assert_ok(pk_repo_open(&w->mem.env, &w->opts, NULL, &w->repo));
    assert_ok(pk_commit_tree(w->repo, &hash, &tree));
    if (name != NULL) {
        assert_ok(pk_tree_get(tree, kit_path(&path, name), &bytes));
        ck_assert_uint_eq(bytes.len, data.len);
        ck_assert_mem_eq(bytes.p, data.p, data.len);
        pk_bytes_free(w->repo, &bytes);
    }
    pk_tree_free(tree);
    assert_ok(pk_check(w->repo, no_finding, NULL, &stats));
}

static void world_end(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    vfs_fault_deinit(&w->files);
    ck_assert_uint_eq(w->mem.live_bytes, 0);
}

START_TEST(file_like_an_empty_directory)
{
    const struct pk_slice zero = {(const uint8_t *)"\0", 1};
    const enum pk_strategy strategies[] = {PK_STRATEGY_MINIMAL,
                                           PK_STRATEGY_ALWAYS,
                                           PK_STRATEGY_MINIMAL_WITH_CONTENTS};

    for (size_t i = 0; i < 3; i++) {
        struct world w;

        world_begin(&w, "kv32,schema=v2", strategies[i]);
        commit(&w, NULL, zero);
        commit(&w, "a/file", zero);
        commit(&w, NULL, zero);
        commit(&w, "another", zero);
        world_end(&w);
    }
}
END_TEST

UNIT_MAIN("pack/store/equal_hash", file_like_an_empty_directory)
