/* SPDX-License-Identifier: ISC */
/*
 * Each allocation and each request of a scenario fails, once and from then on:
 * the error is told, what was committed is there, and when the cause has gone
 * the handle and the disk are as good as before.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

#define LEN 30000

static uint8_t old_bytes[LEN];
static uint8_t new_bytes[LEN];

/* Two files and a directory; the pages are few, so that the queue is in use. */
static void prepare(struct mirage_disk *disk)
{
    memset(old_bytes, 'o', LEN);
    memset(new_bytes, 'n', LEN);
    mirage_disk_open(disk, 512, 400, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 7; i++) {
        assert_ok(mirage_disk_put(disk, "a", old_bytes, LEN));
        assert_ok(mirage_disk_put(disk, "d/b", old_bytes, 1000));
        assert_ok(nf_sync(disk->nf));
    }
    mirage_disk_unmount(disk);
}

static int change(struct nf *nf)
{
    struct nf_file *file;
    int err = nf_open(nf, nf_path("a"), 0, &file);
    if (err == 0) {
        err = nf_write(file, 0, new_bytes, LEN);
        if (err == 0) {
            err = nf_truncate(file, LEN - 10000);
        }
        nf_close(file);
    }
    if (err == 0) {
        err = nf_rename(nf, nf_path("d"), nf_path("e"), 0);
    }
    if (err == 0) {
        err = nf_open(nf, nf_path("x/y/z"), NF_OPEN_CREATE, &file);
        if (err == 0) {
            nf_close(file);
        }
    }
    if (err == 0) {
        err = nf_remove(nf, nf_path("e/b"), 0);
    }
    return err == 0 ? nf_sync(nf) : err;
}

static int list(struct nf *nf)
{
    struct nf_dir *dir;
    struct nf_dirent entry;
    int err = nf_dir_open(nf, nf_path(""), &dir);
    if (err == 0) {
        do {
            err = nf_dir_next(dir, &entry);
        } while (err == 1);
        nf_dir_close(dir);
    }
    return err;
}

static int scrub(struct nf *nf)
{
    struct nf_scrub *scrub;
    int err = nf_scrub_open(nf, NF_SCRUB_ACCOUNT, NULL, NULL, &scrub);
    if (err == 0) {
        do {
            err = nf_scrub_step(scrub, 1000);
        } while (err == 1);
        nf_scrub_close(scrub);
    }
    return err;
}

static int scenario(struct mirage_disk *disk)
{
    int err = mirage_disk_mount(disk);
    if (err == 0) {
        err = change(disk->nf);
    }
    if (err == 0) {
        err = list(disk->nf);
    }
    return err == 0 ? scrub(disk->nf) : err;
}

static void expect_old(struct mirage_disk *disk)
{
    struct nf_stat st;
    mirage_disk_expect(disk, "a", old_bytes, LEN);
    mirage_disk_expect(disk, "d/b", old_bytes, 1000);
    assert_err(nf_stat(disk->nf, nf_path("x"), &st), NF_ENOENT);
}

static void expect_new(struct mirage_disk *disk)
{
    struct nf_stat st;
    mirage_disk_expect(disk, "a", new_bytes, LEN - 10000);
    mirage_disk_expect(disk, "x/y/z", "", 0);
    assert_err(nf_stat(disk->nf, nf_path("e/b"), &st), NF_ENOENT);
    assert_ok(nf_stat(disk->nf, nf_path("e"), &st));
}

static void expect_either(struct mirage_disk *disk)
{
    struct nf_stat st;
    if (nf_stat(disk->nf, nf_path("x"), &st) == 0) {
        expect_new(disk);
    } else {
        expect_old(disk);
    }
}

/* The cause has gone: the handle, if there is one, and the disk are usable. */
static void recover(struct mirage_disk *disk)
{
    if (disk->nf != NULL) {
        assert_ok(nf_abort(disk->nf));
        expect_either(disk);
        assert_ok(mirage_disk_put(disk, "after", "1", 1));
        assert_ok(nf_sync(disk->nf));
        ck_assert_uint_eq(mirage_disk_check(disk), 0);
        mirage_disk_unmount(disk);
    }
    assert_ok(mirage_disk_mount(disk));
    expect_either(disk);
    ck_assert_uint_eq(mirage_disk_check(disk), 0);
    mirage_disk_close(disk);
}

START_TEST(allocations)
{
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        for (uint64_t n = 1;; n++) {
            struct mirage_disk disk;
            prepare(&disk);
            disk.mem.n_failed = 0;
            mem_fault_fail(&disk.mem, n, for_ever != 0);
            int err = scenario(&disk);
            uint64_t failed = disk.mem.n_failed;
            mem_fault_fail(&disk.mem, 0, false);
            if (failed == 0) {
                assert_ok(err);
                mirage_disk_close(&disk);
                ck_assert_uint_gt(n, 20);
                break;
            }
            assert_err(err, NF_ENOMEM);
            recover(&disk);
        }
    }
}
END_TEST

static void requests(enum bd_fault_op op, unsigned at_least)
{
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        for (uint64_t n = 1;; n++) {
            struct mirage_disk disk;
            prepare(&disk);
            bd_fault_fail(disk.fault, op, n, for_ever != 0);
            int err = scenario(&disk);
            uint64_t failed = disk.fault->n_failed;
            bd_fault_fail(disk.fault, op, 0, false);
            if (failed == 0) {
                assert_ok(err);
                mirage_disk_close(&disk);
                ck_assert_uint_gt(n, at_least);
                break;
            }
            /* A mount takes a page that cannot be read for damage, and an
             * older generation; a scrub only reports it. */
            ck_assert(err == NF_EIO || op == BD_FAULT_READ);
            ck_assert(err != 0 || disk.nf != NULL);
            recover(&disk);
        }
    }
}

START_TEST(reads)
{
    requests(BD_FAULT_READ, 100);
}
END_TEST

START_TEST(writes)
{
    requests(BD_FAULT_WRITE, 50);
}
END_TEST

START_TEST(flushes)
{
    requests(BD_FAULT_FLUSH, 3);
}
END_TEST

UNIT_MAIN("notafs/mirage_fault", allocations, reads, writes, flushes)
