/* SPDX-License-Identifier: ISC */
/*
 * The n-th allocation, or call of the file API, of a sender and of a receiver
 * fails, for every n: the error is told, nothing half shows, all memory comes
 * back, and what follows goes through.
 */
#include <string.h>

#include <notafs/codec_lz4.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/stream/wire.h"

enum { N_COMMITS = 5, N_OLD = 2, FILE_LEN = 40000 };

static struct mem_fault mem;
static struct wire_store src;
static struct wire old;
static struct wire rest;

static void setup(void)
{
    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "smallseeded", N_COMMITS, FILE_LEN);
    assert_ok(wire_send(&old, &mem.env, &src, 0, N_OLD, NULL));
    assert_ok(
        wire_send(&rest, &mem.env, &src, N_OLD, N_COMMITS, nf_codec_lz4()));
    ck_assert_uint_gt(rest.n, 1);
}

static void teardown(void)
{
    wire_deinit(&old);
    wire_deinit(&rest);
    wire_store_deinit(&src);
    ck_assert_uint_eq(mem.live_blocks, 0);
}

START_TEST(sender_without_memory)
{
    bool undisturbed = false;

    setup();
    for (uint64_t n = 1; !undisturbed; n++) {
        struct wire wire;
        int err;

        mem_fault_fail(&mem, n, n % 2 == 0);
        err = wire_send(&wire, &mem.env, &src, N_OLD, N_COMMITS, NULL);
        undisturbed = mem.n_failed == 0;
        mem_fault_fail(&mem, 0, false);
        wire_deinit(&wire);
        ck_assert_uint_eq(mem.live_blocks, 0);
        ck_assert(err == 0 || nf_err_class(err) == NF_ENOMEM);
    }
    teardown();
}
END_TEST

START_TEST(sender_without_files)
{
    bool undisturbed = false;

    setup();
    for (uint64_t n = 1; !undisturbed; n++) {
        struct wire wire;
        int err;

        vfs_fault_fail(&src.files, n, n % 2 == 0);
        err = wire_send(&wire, &mem.env, &src, N_OLD, N_COMMITS, NULL);
        undisturbed = src.files.n_failed == 0;
        vfs_fault_fail(&src.files, 0, false);
        wire_deinit(&wire);
        ck_assert_uint_eq(mem.live_blocks, 0);
        ck_assert_uint_eq(src.files.n_open, 0);
        ck_assert(undisturbed ? err == 0 : err < 0);
    }
    teardown();
}
END_TEST

/* After a failure: nothing half, and the stream goes through. */
static void receive_again(struct wire_store *dst, int err)
{
    struct pk_repo *repo;
    bool there;

    ck_assert_uint_eq(mem.live_blocks, 0);
    ck_assert_uint_eq(dst->files.n_open, 0);
    assert_ok(pk_repo_open(&mem.env, &dst->opts, NULL, &repo));
    there = wire_check(repo, &src, N_COMMITS - 1);
    ck_assert(there || err != 0);
    assert_ok(pk_repo_close(repo));
    assert_ok(wire_receive(&rest, &mem.env, dst));
    assert_ok(pk_repo_open(&mem.env, &dst->opts, NULL, &repo));
    ck_assert(wire_check(repo, &src, N_COMMITS - 1));
    assert_ok(pk_repo_close(repo));
}

START_TEST(receiver_without_memory)
{
    bool undisturbed = false;

    setup();
    for (uint64_t n = 1; !undisturbed; n++) {
        struct wire_store dst;
        int err;

        wire_empty_init(&dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
        assert_ok(wire_receive(&old, &mem.env, &dst));
        mem_fault_fail(&mem, n, n % 2 == 0);
        err = wire_receive(&rest, &mem.env, &dst);
        undisturbed = mem.n_failed == 0;
        mem_fault_fail(&mem, 0, false);
        ck_assert(err == 0 || nf_err_class(err) == NF_ENOMEM);
        receive_again(&dst, err);
        wire_store_deinit(&dst);
    }
    teardown();
}
END_TEST

START_TEST(receiver_without_files)
{
    bool undisturbed = false;

    setup();
    for (uint64_t n = 1; !undisturbed; n++) {
        struct wire_store dst;
        int err;

        wire_empty_init(&dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
        assert_ok(wire_receive(&old, &mem.env, &dst));
        vfs_fault_fail(&dst.files, n, n % 2 == 0);
        err = wire_receive(&rest, &mem.env, &dst);
        undisturbed = dst.files.n_failed == 0;
        vfs_fault_fail(&dst.files, 0, false);
        receive_again(&dst, err);
        wire_store_deinit(&dst);
    }
    teardown();
}
END_TEST

/* The same with a stream that was not made for what is here, so that it has to
 * be found out. */
START_TEST(receiver_that_finds_out)
{
    bool undisturbed = false;
    struct wire full;

    setup();
    assert_ok(wire_send(&full, &mem.env, &src, 0, N_COMMITS, NULL));
    for (uint64_t n = 1; !undisturbed; n++) {
        struct wire_store dst;
        int err;

        wire_empty_init(&dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
        assert_ok(wire_receive(&old, &mem.env, &dst));
        wire_set_branch(&dst, &mem.env, &src.commits[N_OLD - 1]);
        mem_fault_fail(&mem, n, n % 2 == 0);
        err = wire_receive(&full, &mem.env, &dst);
        undisturbed = mem.n_failed == 0;
        mem_fault_fail(&mem, 0, false);
        ck_assert(err == 0 || nf_err_class(err) == NF_ENOMEM ||
                  err == NF_ENOSPC /* of the scratch files in memory */);
        ck_assert_uint_eq(mem.live_blocks, 0);
        assert_ok(wire_receive(&full, &mem.env, &dst));
        receive_again(&dst, 0);
        wire_store_deinit(&dst);
    }
    wire_deinit(&full);
    teardown();
}
END_TEST

UNIT_MAIN("pack/stream/fault", sender_without_memory, sender_without_files,
          receiver_without_memory, receiver_without_files,
          receiver_that_finds_out)
