/* SPDX-License-Identifier: ISC */
/*
 * A store of one commit: what fails while it is made, fails for every n; and
 * power cuts at any moment. There is no store, or it is whole; the one it comes
 * from does not change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/stream/wire.h"

enum { N_COMMITS = 5, WHICH = 2 };

static struct mem_fault mem;
static struct wire_store src;

static void setup(void)
{
    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "smallseeded", N_COMMITS, 9000);
}

static void teardown(void)
{
    wire_store_deinit(&src);
    ck_assert_uint_eq(mem.live_blocks, 0);
}

static int make(const struct pk_vfs *into)
{
    struct pk_gc_options gc = {.keep = &src.commits[WHICH], .n_keep = 1};
    struct pk_open opts = src.opts;
    struct pk_repo *repo = NULL;
    int close_err;
    int err;

    gc.into = into;
    opts.flags = 0;
    err = pk_repo_open(&mem.env, &opts, NULL, &repo);
    if (err == 0) {
        err = pk_gc_start(repo, &gc);
    }
    while (err == 0 && (err = pk_gc_step(repo, 40000)) > 0) {
        err = 0;
    }
    if (err == 0) {
        err = pk_gc_finish(repo, NULL);
    }
    close_err = pk_repo_close(repo);
    return err == 0 ? close_err : err;
}

/* False: there is no store. Otherwise it is the right one, and takes more. */
static bool look(struct vfs_fault *files)
{
    struct pk_open opts = src.opts;
    struct pk_digest hash;
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct kit_path path;
    int err;

    opts.vfs = &files->vfs;
    opts.flags = PK_OPEN_WRITE;
    err = pk_repo_open(&mem.env, &opts, NULL, &repo);
    if (err == NF_EC_LAYOUT) {
        return false;
    }
    assert_ok(err);
    ck_assert(wire_check(repo, &src, WHICH));
    assert_ok(pk_commit_tree(repo, &src.commits[WHICH], &tree));
    assert_ok(pk_tree_set(tree, kit_path(&path, "a"), kit_text("b")));
    assert_ok(kit_commit(tree, &src.commits[WHICH], 99, &hash));
    pk_tree_free(tree);
    assert_ok(pk_repo_close(repo));
    return true;
}

START_TEST(memory_fails)
{
    bool undisturbed = false;

    setup();
    for (uint64_t n = 1; !undisturbed; n++) {
        struct vfs_fault files;
        int err;

        vfs_fault_init(&files);
        mem_fault_fail(&mem, n, n % 2 == 0);
        err = make(&files.vfs);
        undisturbed = mem.n_failed == 0;
        mem_fault_fail(&mem, 0, false);
        ck_assert_uint_eq(mem.live_blocks, 0);
        ck_assert(look(&files) || err != 0);
        vfs_fault_deinit(&files);
    }
    teardown();
}
END_TEST

START_TEST(files_fail)
{
    bool undisturbed = false;

    setup();
    for (uint64_t n = 1; !undisturbed; n++) {
        struct vfs_fault files;
        int err;

        vfs_fault_init(&files);
        vfs_fault_fail(&files, n, n % 2 == 0);
        err = make(&files.vfs);
        undisturbed = files.n_failed == 0;
        vfs_fault_fail(&files, 0, false);
        ck_assert(undisturbed ? err == 0 : err < 0);
        ck_assert_uint_eq(files.n_open, 0);
        if (!look(&files)) {
            ck_assert_int_lt(err, 0);
            assert_ok(make(&files.vfs)); /* what is left does no harm */
            ck_assert(look(&files));
        }
        vfs_fault_deinit(&files);
    }
    teardown();
}
END_TEST

START_TEST(power_cuts)
{
    struct prng prng = prng_seed(3);
    struct vfs_fault files;
    uint64_t n_whole = 0;
    uint64_t n = 0;

    printf("seed 3\n");
    setup();
    vfs_fault_init(&files);
    vfs_fault_record(&files);
    assert_ok(make(&files.vfs));
    vfs_fault_mark(&files, 1);
    for (size_t upto = 1; upto <= files.n_ops; upto++) {
        for (int i = 0; i < 3 * VFS_CRASH_KINDS; i++, n++) {
            struct vfs_fault crashed;
            bool there;

            vfs_fault_crash(&files, upto, &prng,
                            (enum vfs_crash)(i % VFS_CRASH_KINDS), &crashed);
            there = look(&crashed);
            n_whole += there;
            ck_assert(there || crashed.marked == 0);
            vfs_fault_deinit(&crashed);
        }
    }
    printf("%llu states, %llu whole\n", (unsigned long long)n,
           (unsigned long long)n_whole);
    ck_assert_uint_gt(n, 200);
    ck_assert_uint_gt(n_whole, 10);
    vfs_fault_deinit(&files);
    teardown();
}
END_TEST

START_TEST(refused)
{
    struct pk_gc_options gc = {.keep = src.commits, .n_keep = 2};
    struct vfs_fault files;
    struct pk_repo *repo;

    setup();
    vfs_fault_init(&files);
    assert_ok(make(&files.vfs));
    assert_err(make(&files.vfs), NF_EEXIST);
    ck_assert(look(&files));
    gc.into = &files.vfs;
    assert_ok(pk_repo_open(&mem.env, &src.opts, NULL, &repo));
    assert_err(pk_gc_start(repo, &gc), NF_EINVAL);
    assert_ok(pk_gc_cancel(repo));
    ck_assert(wire_check(repo, &src, N_COMMITS - 1));
    assert_ok(pk_repo_close(repo));
    vfs_fault_deinit(&files);
    teardown();
}
END_TEST

UNIT_MAIN("pack/stream/one_commit", memory_fails, files_fail, power_cuts,
          refused)
