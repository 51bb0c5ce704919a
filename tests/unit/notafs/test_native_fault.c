/* SPDX-License-Identifier: ISC */
/* Each allocation and each request of a native disk failing, once and for ever:
 * no leak, an error that is told, and a disk that mounts to a whole state. */
#include <string.h>

#include <notafs/notafs.h>

#include "tests/support/bd_fault.h"
#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

enum { PAGE = 512, PAGES = 400, LEN = 9000 };

static const struct bd_geometry geo = {PAGES, PAGE,
                                       BD_CAP_FLUSH | BD_CAP_DISCARD};

static int put(struct nf *nf, const char *path, uint8_t byte)
{
    static uint8_t bytes[LEN];
    struct nf_file *file;
    memset(bytes, byte, LEN);
    int err = nf_open(nf, nf_path(path), NF_OPEN_CREATE, &file);
    if (err == 0) {
        err = nf_write(file, 0, bytes, LEN);
        nf_close(file);
    }
    return err;
}

/* Two commits: "a" is all 1, then all 2; *ret counts those that returned 0. */
static int scenario(struct bd *bd, const struct nf_env *env, int *ret)
{
    const struct nf_mount_options options = {.cache_bytes = 16 * PAGE};
    struct nf *nf;
    *ret = 0;
    int err = nf_mount(bd, env, &options, &nf);
    if (err != 0) {
        return err;
    }
    for (uint8_t i = 1; err == 0 && i <= 2; i++) {
        err = put(nf, "a", i);
        if (err == 0) {
            err = put(nf, "dir/b", i);
        }
        if (err == 0) {
            err = nf_rename(nf, nf_path("dir/b"), nf_path("dir/c"), 0);
        }
        if (err == 0) {
            err = nf_sync(nf);
        }
        *ret += err == 0;
    }
    if (err != 0) {
        int aborted = nf_abort(nf);
        (void)aborted; /* may fail for the same reason */
    }
    nf_unmount(nf);
    return err;
}

/* What is on the disk is one of the two commits from the last acknowledged on.
 */
static void verify(struct bd *bd, int acked)
{
    struct mem_fault mem;
    struct nf *nf;
    struct nf_file *file;
    struct nf_scrub *scrub;
    struct nf_scrub_result result;
    uint8_t bytes[LEN];
    size_t len = 0;
    int err;
    mem_fault_init(&mem);
    assert_ok(nf_mount(bd, &mem.env, NULL, &nf));
    err = nf_open(nf, nf_path("a"), 0, &file);
    if (err == 0) {
        assert_ok(nf_read(file, 0, bytes, LEN, &len));
        nf_close(file);
        ck_assert_uint_eq(len, LEN);
        ck_assert_int_ge(bytes[0], acked);
        ck_assert_mem_eq(bytes, bytes + 1, LEN - 1);
    } else {
        assert_err(err, NF_ENOENT);
        ck_assert_int_eq(acked, 0);
    }
    assert_ok(nf_scrub_open(nf, NF_SCRUB_ACCOUNT, NULL, NULL, &scrub));
    do {
        err = nf_scrub_step(scrub, 100);
    } while (err == 1);
    assert_ok(err);
    nf_scrub_result(scrub, &result);
    ck_assert_uint_eq(result.damaged, 0);
    nf_scrub_close(scrub);
    nf_unmount(nf);
    ck_assert_uint_eq(mem.live_bytes, 0);
}

static void each_allocation(bool for_ever)
{
    for (uint64_t n = 1;; n++) {
        struct mem_fault mem;
        int acked;
        struct bd_fault *fault = bd_fault_open(&geo);
        mem_fault_init(&mem);
        assert_ok(nf_format(&fault->bd, &mem.env, NULL));
        mem_fault_fail(&mem, n, for_ever);
        int err = scenario(&fault->bd, &mem.env, &acked);
        ck_assert_uint_eq(mem.live_bytes, 0);
        verify(&fault->bd, acked);
        bd_fault_close(fault);
        if (mem.n_failed == 0) {
            assert_ok(err);
            ck_assert_uint_gt(n, 5);
            return;
        }
        assert_err(err, NF_ENOMEM);
    }
}

START_TEST(allocations)
{
    each_allocation(false);
    each_allocation(true);
}
END_TEST

static void each_request(enum bd_fault_op op, bool for_ever)
{
    for (uint64_t n = 1;; n++) {
        struct mem_fault mem;
        int acked;
        struct bd_fault *fault = bd_fault_open(&geo);
        mem_fault_init(&mem);
        assert_ok(nf_format(&fault->bd, &mem.env, NULL));
        bd_fault_fail(fault, op, n, for_ever);
        int err = scenario(&fault->bd, &mem.env, &acked);
        uint64_t failed = fault->n_failed;
        ck_assert_uint_eq(mem.live_bytes, 0);
        bd_fault_fail(fault, op, 0, false);
        verify(&fault->bd, acked);
        bd_fault_close(fault);
        if (failed == 0) {
            assert_ok(err);
            ck_assert_uint_gt(n, 3);
            return;
        }
    }
}

START_TEST(requests)
{
    const enum bd_fault_op ops[] = {BD_FAULT_READ, BD_FAULT_WRITE,
                                    BD_FAULT_FLUSH};
    for (int i = 0; i < 3; i++) {
        each_request(ops[i], false);
        each_request(ops[i], true);
    }
}
END_TEST

UNIT_MAIN("notafs/native_fault", allocations, requests)
