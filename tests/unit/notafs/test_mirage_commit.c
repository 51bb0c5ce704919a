/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "notafs/mirage_int.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

/* A commit that leaves its number in a file. */
static void commit(struct mirage_disk *disk, unsigned number)
{
    assert_ok(mirage_disk_put(disk, "number", &number, sizeof(number)));
    assert_ok(nf_sync(disk->nf));
}

static void expect(struct mirage_disk *disk, unsigned number)
{
    mirage_disk_expect(disk, "number", &number, sizeof(number));
}

static const struct mirage_root *root_in_use(const struct mirage_disk *disk)
{
    return &disk->nf->mirage->roots[disk->nf->mirage->leaf.root];
}

/* ---- Generations ---------------------------------------------------- */

/* A leaf for each, in the slots of root pages that take turns; never is the
 * root page in use written. */
START_TEST(generations_take_turns)
{
    uint32_t roots[100];
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 100; i++) {
        uint8_t before[512];
        uint32_t in_use = disk.nf->mirage->leaf.root + 1;
        uint64_t generation = disk.nf->generation;
        memcpy(before, bd_fault_page(disk.fault, in_use), 512);
        commit(&disk, i);
        ck_assert_mem_eq(bd_fault_page(disk.fault, in_use), before, 512);
        const struct mirage_leaf *leaf = &disk.nf->mirage->leaf;
        const struct mirage_root *root = root_in_use(&disk);
        /* the first change after a mount makes a commit of its own */
        ck_assert_uint_eq(disk.nf->generation,
                          generation + (i % 10 == 0 ? 2 : 1));
        ck_assert_uint_eq(leaf->generation, disk.nf->generation);
        ck_assert_uint_eq(leaf->generation, root->first + leaf->slot);
        ck_assert_uint_eq(leaf->page, root->slots[leaf->slot]);
        roots[i] = leaf->root;
        if (i % 10 == 9) {
            mirage_disk_remount(&disk);
            expect(&disk, i);
            ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        }
    }
    for (uint32_t r = 0; r < MIRAGE_ROOTS; r++) {
        unsigned n = 0;
        for (unsigned i = 0; i < 100; i++) {
            n += roots[i] == r;
        }
        ck_assert_uint_gt(n, 16);
    }
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(generations_are_listed_and_viewed)
{
    struct nf_generation found[40];
    struct mirage_disk disk;
    struct nf *view;
    struct nf_file *file;
    unsigned number;
    size_t len;
    mirage_disk_open(&disk, 512, 2000, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 20; i++) {
        commit(&disk, i);
    }
    int n = nf_generations(disk.nf, found, 40);
    ck_assert_int_eq(n, 22); /* with the blank one, and the one after it */
    for (int i = 0; i < n; i++) {
        ck_assert_uint_eq(found[i].number, 22 - (unsigned)i);
        ck_assert(found[i].complete == (i < 2));
        ck_assert_int_eq(found[i].time.sec, 0);
    }
    ck_assert_int_eq(nf_generations(disk.nf, found, 3), 3);
    assert_ok(nf_view_open(disk.nf, 12, 16 * 512, &view));
    for (unsigned i = 20; i < 40; i++) {
        commit(&disk, i);
    }
    assert_ok(nf_open(view, nf_path("number"), 0, &file));
    assert_ok(nf_read(file, 0, &number, sizeof(number), &len));
    ck_assert_uint_eq(number, 9);
    nf_close(file);
    nf_unmount(view);
    assert_err(nf_view_open(disk.nf, 1000, 16 * 512, &view), NF_EC_BAD_GEN);
    mirage_disk_close(&disk);
}
END_TEST

/* A pinned view keeps its pages, however many commits there are. */
START_TEST(views_are_pinned)
{
    uint8_t bytes[2000];
    struct mirage_disk disk;
    struct nf *view;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 400, NF_CHECKSUM_DEFAULT);
    memset(bytes, 'v', sizeof(bytes));
    assert_ok(mirage_disk_put(&disk, "f", bytes, sizeof(bytes)));
    assert_ok(nf_sync(disk.nf));
    assert_ok(nf_view_open(disk.nf, 0, 16 * 512, &view));
    for (unsigned i = 0; i < 1000; i++) {
        memset(bytes, (int)i, sizeof(bytes));
        int err = mirage_disk_put(&disk, "f", bytes, sizeof(bytes));
        if (err != 0) {
            assert_err(err, NF_ENOSPC); /* what the view pins is not free */
            ck_assert_uint_gt(i, 20);
            break;
        }
        assert_ok(nf_sync(disk.nf));
    }
    for (unsigned i = 0; i < 3; i++) {
        size_t len;
        uint8_t found[2000];
        assert_ok(nf_open(view, nf_path("f"), 0, &file));
        assert_ok(nf_read(file, 0, found, sizeof(found), &len));
        memset(bytes, 'v', sizeof(bytes));
        ck_assert_mem_eq(found, bytes, sizeof(bytes));
        nf_close(file);
    }
    nf_unmount(view);
    commit(&disk, 1);
    commit(&disk, 2);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Falling back --------------------------------------------------- */

/* The newest generations are refused one after the other, and a new root page
 * with numbers above them all is begun. */
START_TEST(numbers_are_not_given_twice)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 2000, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 12; i++) {
        commit(&disk, i);
    }
    uint64_t newest = disk.nf->generation;
    uint64_t pages[3];
    for (unsigned i = 0; i < 3; i++) {
        struct nf_stat st;
        assert_ok(nf_stat(disk.nf, nf_path("number"), &st));
        pages[i] = st.root_page;
        commit(&disk, 12 + i);
    }
    /* rot in the data of the last three but one */
    struct nf_stat st;
    assert_ok(nf_stat(disk.nf, nf_path("number"), &st));
    bd_fault_rot(disk.fault, st.root_page, 300, 1);
    bd_fault_rot(disk.fault, pages[2], 300, 1);
    mirage_disk_remount(&disk);
    ck_assert_uint_eq(disk.nf->generation, newest + 1);
    expect(&disk, 12);
    ck_assert_uint_eq(disk.nf->seen, newest + 3);
    uint32_t in_use = disk.nf->mirage->leaf.root;
    commit(&disk, 100);
    /* one to settle, in a new root page, and the change itself */
    ck_assert_uint_eq(disk.nf->generation, newest + 5);
    ck_assert_uint_ne(disk.nf->mirage->leaf.root, in_use);
    ck_assert_uint_eq(root_in_use(&disk)->first, newest + 4);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_remount(&disk);
    expect(&disk, 100);
    mirage_disk_close(&disk);
}
END_TEST

/* A stale root page with the numbers that come next is the one overwritten. */
START_TEST(stale_roots_are_overwritten)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 2000, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 5; i++) {
        commit(&disk, i);
    }
    struct nf_mirage *m = disk.nf->mirage;
    ck_assert_uint_eq(disk.nf->generation, 7);
    /* as a commit leaves it that did not come to its leaf, or two of them */
    for (uint32_t r = 0; r < 2; r++) {
        struct mirage_root stale = {true, 9 + r, 8, {0}};
        uint8_t page[512];
        ck_assert_uint_ne(m->leaf.root, r);
        for (uint32_t i = 0; i < 8; i++) {
            stale.slots[i] = 1500 + i;
        }
        nf_mirage_root_put(&m->geo, &stale, page);
        bd_fault_store(disk.fault, r + 1, page);
    }
    mirage_disk_remount(&disk);
    m = disk.nf->mirage;
    ck_assert_uint_eq(disk.nf->generation, 7);
    expect(&disk, 4);
    commit(&disk, 5); /* 8 and the new root */
    ck_assert_uint_eq(m->leaf.root, 1);
    ck_assert_uint_eq(root_in_use(&disk)->first, 9 + 8);
    for (uint32_t r = 0; r < MIRAGE_ROOTS; r++) {
        ck_assert(r == m->leaf.root ||
                  m->roots[r].first < root_in_use(&disk)->first);
    }
    mirage_disk_remount(&disk);
    expect(&disk, 5);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(nothing_whole_is_told)
{
    struct mirage_disk disk;
    struct nf_stat st;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    commit(&disk, 1);
    assert_ok(nf_stat(disk.nf, nf_path("number"), &st));
    mirage_disk_unmount(&disk);
    for (uint64_t page = 5; page < 13; page++) {
        if (page != 5 + 2) {
            bd_fault_rot(disk.fault, page, 400, 1);
        }
    }
    bd_fault_rot(disk.fault, st.root_page, 400, 1);
    assert_err(mirage_disk_mount(&disk), NF_EC_NO_GENERATION);
    disk.flags = NF_MOUNT_NO_VERIFY;
    assert_ok(mirage_disk_mount(&disk));
    ck_assert_uint_eq(disk.nf->generation, 3);
    mirage_disk_unmount(&disk);
    for (uint64_t page = 1; page <= 4; page++) {
        bd_fault_rot(disk.fault, page, 400, 1);
    }
    assert_err(mirage_disk_mount(&disk), NF_EC_NO_GENERATION);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Commits that fail ---------------------------------------------- */

/* Each write and flush of a commit fails once: after the abort everything is as
 * it was or as it was to be, and the next commits are good. */
START_TEST(failed_commits)
{
    const enum bd_fault_op ops[] = {BD_FAULT_WRITE, BD_FAULT_FLUSH};
    for (unsigned start = 0; start < 9; start++) {
        for (size_t op = 0; op < 2; op++) {
            for (uint64_t n = 1;; n++) {
                struct mirage_disk disk;
                struct nf_file *file;
                mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
                for (unsigned i = 0; i <= start; i++) {
                    commit(&disk, i);
                }
                assert_ok(mirage_disk_put(&disk, "a", "1", 1));
                assert_ok(nf_open(disk.nf, nf_path("a"), 0, &file));
                unsigned number = 1000;
                assert_ok(
                    mirage_disk_put(&disk, "number", &number, sizeof(number)));
                bd_fault_fail(disk.fault, ops[op], n, false);
                int err = nf_sync(disk.nf);
                uint64_t failed = disk.fault->n_failed;
                bd_fault_fail(disk.fault, ops[op], 0, false);
                if (failed == 0) {
                    assert_ok(err);
                    nf_close(file);
                    mirage_disk_close(&disk);
                    break;
                }
                assert_err(err, NF_EIO);
                assert_err(nf_sync(disk.nf), NF_EC_TXN_FAILED);
                assert_ok(nf_abort(disk.nf));
                struct nf_stat st;
                if (nf_stat(disk.nf, nf_path("a"), &st) == 0) {
                    expect(&disk, 1000);
                    assert_ok(nf_append(file, "2", 1));
                } else {
                    expect(&disk, start);
                    assert_err(nf_append(file, "2", 1), NF_ESTALE);
                }
                nf_close(file);
                uint64_t generation = disk.nf->generation;
                commit(&disk, 2000);
                ck_assert_uint_gt(disk.nf->generation, generation);
                ck_assert_uint_eq(mirage_disk_check(&disk), 0);
                mirage_disk_remount(&disk);
                expect(&disk, 2000);
                commit(&disk, 2001);
                ck_assert_uint_eq(mirage_disk_check(&disk), 0);
                mirage_disk_close(&disk);
            }
        }
    }
}
END_TEST

/* An abort of a transaction that was not committed reads nothing. */
START_TEST(aborts_need_no_device)
{
    static uint8_t bytes[50000];
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 600, NF_CHECKSUM_DEFAULT);
    commit(&disk, 1);
    uint64_t free_pages = nf_space_free_pages(disk.nf);
    assert_ok(mirage_disk_put(&disk, "f", bytes, sizeof(bytes)));
    assert_ok(nf_remove(disk.nf, nf_path("number"), 0));
    uint64_t reads = disk.fault->bd.count.reads;
    mem_fault_fail(&disk.mem, 1, true);
    assert_ok(nf_abort(disk.nf));
    mem_fault_fail(&disk.mem, 0, false);
    ck_assert_uint_eq(disk.fault->bd.count.reads, reads);
    ck_assert_uint_eq(nf_space_free_pages(disk.nf), free_pages);
    expect(&disk, 1);
    commit(&disk, 2);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Cost ----------------------------------------------------------- */

/* A small commit writes a page of the file, one of the table, one of the queue
 * and the leaf: a page less than OCaml Notafs, and with two flushes. */
START_TEST(small_commits_are_small)
{
    struct mirage_disk disk;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 2000, NF_CHECKSUM_DEFAULT);
    commit(&disk, 1);
    assert_ok(nf_open(disk.nf, nf_path("number"), 0, &file));
    for (unsigned i = 0; i < 30; i++) {
        struct nf_counters before;
        struct nf_counters after;
        nf_counters(disk.nf, &before);
        assert_ok(nf_append(file, "x", 1));
        assert_ok(nf_sync(disk.nf));
        nf_counters(disk.nf, &after);
        bool rolled = disk.nf->mirage->leaf.slot == 0;
        ck_assert_uint_eq(after.device.pages_written -
                              before.device.pages_written,
                          4 + (rolled ? 9 : 0));
        ck_assert_uint_eq(after.device.flushes - before.device.flushes, 2);
    }
    nf_close(file);
    mirage_disk_close(&disk);
}
END_TEST

UNIT_MAIN("notafs/mirage_commit", generations_take_turns,
          generations_are_listed_and_viewed, views_are_pinned,
          numbers_are_not_given_twice, stale_roots_are_overwritten,
          nothing_whole_is_told, failed_commits, aborts_need_no_device,
          small_commits_are_small)
