/* SPDX-License-Identifier: ISC */
/*
 * What OCaml Notafs is known to lose data by, W1 to W11 of its format's
 * description, each of them shown not to happen here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/prng.h"
#include "notafs/mirage_int.h"
#include "tests/support/bd_replay.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

/* ---- Pages in use --------------------------------------------------- */

struct pages {
    uint8_t used[4096]; /* by trees of a generation */
    uint64_t n;
};

static void note_use(void *ctx, const struct nf_finding *f)
{
    struct pages *pages = ctx;
    ck_assert_int_eq(f->err, 0);
    if (f->kind == NF_PAGE_FREE || f->kind == NF_PAGE_UNUSED ||
        f->kind == NF_PAGE_SYSTEM) {
        return;
    }
    for (uint64_t i = 0; i < f->count; i++) {
        pages->used[f->page + i] = 1;
        pages->n++;
    }
}

static void collect(struct mirage_disk *disk, struct pages *pages)
{
    struct nf_scrub *scrub;
    memset(pages, 0, sizeof(*pages));
    assert_ok(nf_scrub_open(disk->nf, 0, note_use, pages, &scrub));
    while (nf_scrub_step(scrub, 1000) == 1) {
    }
    nf_scrub_close(scrub);
}

/* ---- W1, W8: full disks --------------------------------------------- */

/* Transactions that take all the space that there is never write a page that
 * one of the newest two generations reaches. */
START_TEST(w1_full_disk_keeps_two_generations)
{
    static uint8_t bytes[45000];
    struct prng prng = prng_seed(1);
    struct pages last = {{0}, 0};
    struct pages before;
    struct bd_fault_log log = {0};
    struct mirage_disk disk;
    unsigned n_full = 0;
    mirage_disk_open(&disk, 512, 255, NF_CHECKSUM_DEFAULT);
    disk.fault->log = &log;
    for (unsigned round = 0; round < 600; round++) {
        uint64_t generation = disk.nf->generation;
        before = last;
        collect(&disk, &last);
        bd_fault_log_clear(&log);
        prng_bytes(&prng, sizeof(bytes), bytes);
        for (unsigned i = 0; i < 3; i++) {
            char path[16];
            snprintf(path, sizeof(path), "f%u", (unsigned)prng_below(&prng, 4));
            int err = mirage_disk_put(&disk, path, bytes,
                                      prng_below(&prng, sizeof(bytes)));
            if (err != 0) {
                assert_err(err, NF_ENOSPC);
                n_full++;
                assert_ok(nf_remove(disk.nf, nf_path(path), 0));
            }
        }
        assert_ok(nf_sync(disk.nf));
        /* empty commits on the way let the older one go */
        bool two = disk.nf->generation == generation + 1;
        for (size_t i = 0; i < log.n; i++) {
            uint64_t page = log.entries[i].page;
            ck_assert_msg(
                log.entries[i].op != BD_FAULT_WRITE ||
                    (!last.used[page] && (!two || !before.used[page])),
                "round %u writes page %u", round, (unsigned)page);
        }
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    }
    ck_assert_uint_gt(n_full, 100);
    disk.fault->log = NULL;
    bd_fault_log_deinit(&log);
    mirage_disk_close(&disk);
}
END_TEST

/* What does not fit is refused as a whole, what was there stays, and all space
 * comes back when it is removed. */
START_TEST(w8_full_disk_stays_usable)
{
    static uint8_t bytes[40000];
    struct mirage_disk disk;
    struct nf_stats stats;
    unsigned n_first = 0;
    mirage_disk_open(&disk, 512, 600, NF_CHECKSUM_DEFAULT);
    for (unsigned round = 0; round < 100; round++) {
        unsigned n = 0;
        char path[16];
        memset(bytes, (int)round, sizeof(bytes));
        for (;; n++) {
            snprintf(path, sizeof(path), "f%u", n);
            int err = mirage_disk_put(&disk, path, bytes, sizeof(bytes));
            if (err != 0) {
                assert_err(err, NF_ENOSPC);
                break;
            }
        }
        n_first = round == 0 ? n : n_first;
        ck_assert_uint_ge(n, 5);
        ck_assert_uint_ge(n + 1, n_first);
        ck_assert(nf_is_dirty(disk.nf));
        assert_ok(nf_sync(disk.nf));
        for (unsigned i = 0; i < n; i++) {
            snprintf(path, sizeof(path), "f%u", i);
            mirage_disk_expect(&disk, path, bytes, sizeof(bytes));
            assert_ok(nf_remove(disk.nf, nf_path(path), 0));
            assert_ok(nf_sync(disk.nf));
        }
        snprintf(path, sizeof(path), "f%u", n);
        int err = nf_remove(disk.nf, nf_path(path), 0);
        ck_assert(err == 0 || err == NF_ENOENT);
        assert_ok(nf_sync(disk.nf));
        nf_stats(disk.nf, &stats);
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        /* all but the first pages, leaves, an empty table and the queue, 84
         * ranges a page */
        ck_assert_uint_ge(stats.free_pages, 600 - 5 - 8 - 1 - 5);
    }
    mirage_disk_close(&disk);
}
END_TEST

/* ---- W2: many small writes ------------------------------------------ */

START_TEST(w2_many_small_writes_in_one_transaction)
{
    const size_t len = 2000000;
    struct prng prng = prng_seed(2);
    struct mirage_disk disk;
    struct nf_file *file;
    uint8_t *bytes = malloc(len);
    ck_assert_ptr_nonnull(bytes);
    prng_bytes(&prng, len, bytes);
    mirage_disk_open(&disk, 512, 20000, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "f", bytes, len));
    assert_ok(nf_sync(disk.nf));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    for (unsigned i = 0; i < 3000; i++) {
        size_t off = prng_below(&prng, len - 100);
        prng_bytes(&prng, 100, bytes + off);
        assert_ok(nf_write(file, off, bytes + off, 100));
    }
    nf_close(file);
    assert_ok(nf_sync(disk.nf));
    uint64_t generation = disk.nf->generation;
    mirage_disk_remount(&disk);
    ck_assert_uint_eq(disk.nf->generation, generation);
    mirage_disk_expect(&disk, "f", bytes, len);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    free(bytes);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- W3, W4: damage ------------------------------------------------- */

/* A few generations, so that all root pages are in use. */
static void make_old(struct mirage_disk *disk, unsigned n_commits)
{
    for (unsigned i = 0; i < n_commits; i++) {
        assert_ok(mirage_disk_put(disk, "old", &i, sizeof(i)));
        assert_ok(nf_sync(disk->nf));
    }
}

START_TEST(w3_damaged_root_or_header_is_survived_and_mended)
{
    for (uint64_t page = 0; page <= 4; page++) {
        for (unsigned n_commits = 1; n_commits <= 40; n_commits += 13) {
            struct mirage_disk disk;
            struct nf_disk found;
            unsigned last = n_commits - 1;
            mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
            make_old(&disk, n_commits);
            uint64_t generation = disk.nf->generation;
            uint32_t in_use = disk.nf->mirage->leaf.root + 1;
            mirage_disk_unmount(&disk);
            bd_fault_rot(disk.fault, page, 200, 0xff);
            if (page == in_use && n_commits > 8) {
                /* an older one has to do */
                assert_ok(mirage_disk_mount(&disk));
                ck_assert_uint_lt(disk.nf->generation, generation);
            } else if (page != in_use) {
                assert_ok(mirage_disk_mount(&disk));
                ck_assert_uint_eq(disk.nf->generation, generation);
                mirage_disk_expect(&disk, "old", &last, sizeof(last));
            } else {
                assert_err(mirage_disk_mount(&disk), NF_EC_NO_GENERATION);
                mirage_disk_close(&disk);
                continue;
            }
            assert_ok(mirage_disk_put(&disk, "new", "x", 1));
            assert_ok(nf_sync(disk.nf));
            for (uint64_t i = 0; i <= 4; i++) {
                uint8_t copy[512];
                memcpy(copy, bd_fault_page(disk.fault, i), 512);
                ck_assert(nf_mirage_self_ok(&disk.nf->mirage->geo, copy));
            }
            mirage_disk_remount(&disk);
            mirage_disk_expect(&disk, "new", "x", 1);
            ck_assert_uint_eq(mirage_disk_check(&disk), 0);
            assert_ok(nf_probe(&disk.fault->bd, &disk.mem.env, &found));
            ck_assert(!found.header_damaged);
            mirage_disk_close(&disk);
        }
    }
}
END_TEST

/* A name that rotted is not served: the generation before is. */
START_TEST(w4_damaged_table_is_noticed)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "name", "1", 1));
    assert_ok(nf_sync(disk.nf));
    assert_ok(mirage_disk_put(&disk, "other", "2", 1));
    assert_ok(nf_sync(disk.nf));
    uint64_t generation = disk.nf->generation;
    uint64_t table = disk.nf->mirage->table.root.id;
    mirage_disk_unmount(&disk);
    for (size_t at = 0; at < 40; at++) {
        struct nf_stat st;
        bd_fault_rot(disk.fault, table, at, 0x20);
        assert_ok(mirage_disk_mount(&disk));
        ck_assert_uint_eq(disk.nf->generation, generation - 1);
        mirage_disk_expect(&disk, "name", "1", 1);
        assert_err(nf_stat(disk.nf, nf_path("other"), &st), NF_ENOENT);
        mirage_disk_unmount(&disk);
        bd_fault_rot(disk.fault, table, at, 0x20);
    }
    mirage_disk_close(&disk);
}
END_TEST

/* ---- W5: formatted again -------------------------------------------- */

static void expect_no_old(struct mirage_disk *disk)
{
    struct nf_stat st;
    mirage_disk_remount(disk);
    assert_err(nf_stat(disk->nf, nf_path("old"), &st), NF_ENOENT);
}

START_TEST(w5_old_generations_stay_dead)
{
    for (int same_uid = 0; same_uid < 2; same_uid++) {
        const struct nf_format_options options = {.profile = NF_PROFILE_MIRAGE,
                                                  .uid = same_uid ? 5 : 0};
        static const uint8_t zero[512];
        struct mirage_disk disk;
        mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
        mirage_disk_unmount(&disk);
        assert_ok(nf_format(&disk.fault->bd, &disk.mem.env, &options));
        assert_ok(mirage_disk_mount(&disk));
        make_old(&disk, 30);
        mirage_disk_unmount(&disk);
        bd_fault_store(disk.fault, 0, zero);
        assert_ok(nf_format(&disk.fault->bd, &disk.mem.env, &options));
        assert_ok(mirage_disk_mount(&disk));
        /* OCaml Notafs knows by the uid only */
        ck_assert(same_uid || disk.nf->disk.uid != 0);
        expect_no_old(&disk);
        for (unsigned i = 0; i < 20; i++) {
            assert_ok(nf_mkdir(disk.nf, nf_path(i % 2 == 0 ? "a" : "b")));
            if (i >= 2) {
                assert_ok(
                    nf_remove(disk.nf, nf_path(i % 2 == 0 ? "a" : "b"), 0));
            }
            assert_ok(nf_sync(disk.nf));
            expect_no_old(&disk);
        }
        mirage_disk_close(&disk);
    }
}
END_TEST

/* A slot of a new root page may hold a leaf of just the number and uid that it
 * is to have later. */
START_TEST(w5_slots_of_a_new_root_are_cleared)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    make_old(&disk, 6);
    struct nf_mirage *m = disk.nf->mirage;
    ck_assert_uint_eq(m->leaf.generation, 8);
    /* what every free page might hold: generation 10 of another time */
    struct mirage_leaf leaf = m->leaf;
    uint8_t page[512];
    leaf.generation = 10;
    nf_mirage_leaf_put(&m->geo, disk.nf->disk.uid, &leaf, page);
    for (uint64_t i = disk.nf->space.free_start; i < 300; i++) {
        bd_fault_store(disk.fault, i, page);
    }
    assert_ok(mirage_disk_put(&disk, "new", "9", 1));
    assert_ok(nf_sync(disk.nf));
    ck_assert_uint_eq(m->leaf.slot, 0);
    mirage_disk_remount(&disk);
    ck_assert_uint_eq(disk.nf->generation, 9);
    mirage_disk_expect(&disk, "new", "9", 1);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- W6: rot while mounted ------------------------------------------ */

START_TEST(w6_pages_are_verified_whenever_they_are_read)
{
    static uint8_t bytes[60000];
    struct mirage_disk disk;
    struct nf_file *file;
    size_t len;
    mirage_disk_open(&disk, 512, 400, NF_CHECKSUM_DEFAULT);
    memset(bytes, 'x', sizeof(bytes));
    assert_ok(mirage_disk_put(&disk, "f", bytes, sizeof(bytes)));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_remount(&disk);
    mirage_disk_expect(&disk, "f", bytes, sizeof(bytes));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_ok(nf_read(file, 0, bytes, 1, &len));
    uint64_t page = 0;
    for (uint64_t i = 60; i < 400 && page == 0; i++) {
        const uint8_t *p = bd_fault_page(disk.fault, i);
        page = p[0] == 0 && p[2] == 0xfc && p[4] == 'x' ? i : 0;
    }
    bd_fault_rot(disk.fault, page, 400, 1);
    memset(bytes, 0, sizeof(bytes));
    assert_err(nf_read(file, 0, bytes, sizeof(bytes), &len), NF_EC_CHECKSUM);
    ck_assert_uint_eq(nf_last_error(disk.nf)->page, page);
    ck_assert_str_eq(nf_last_error(disk.nf)->file, "f");
    /* and it is not published again: overwriting part of it fails, too */
    ck_assert_int_ne(nf_write(file, 0, bytes, sizeof(bytes) - 1), 0);
    nf_close(file);
    assert_ok(nf_abort(disk.nf));
    mirage_disk_close(&disk);
}
END_TEST

/* ---- W7: no order without flushes ----------------------------------- */

/* Any subset of what was written since the last completed flush, at any moment
 * of some commits: one of the two generations, whole, also if nobody verifies
 * it at the mount. */
START_TEST(w7_commits_are_ordered_by_flushes)
{
    struct prng prng = prng_seed(7);
    struct bd_fault_log log = {0};
    struct bd_replay replay;
    struct mirage_disk disk;
    unsigned commits[20];
    unsigned n_states = 0;
    mirage_disk_open(&disk, 512, 120, NF_CHECKSUM_DEFAULT);
    make_old(&disk, 3);
    bd_fault_mark(disk.fault);
    disk.fault->log = &log;
    for (unsigned i = 0; i < 20; i++) {
        uint8_t bytes[4000];
        memset(bytes, (int)i, sizeof(bytes));
        assert_ok(mirage_disk_put(&disk, i % 3 == 0 ? "a" : "b", bytes,
                                  sizeof(bytes)));
        assert_ok(mirage_disk_put(&disk, "count", &i, sizeof(i)));
        assert_ok(nf_sync(disk.nf));
        commits[i] = (unsigned)log.n;
    }
    disk.fault->log = NULL;
    mirage_disk_unmount(&disk);
    bd_fault_reset(disk.fault);
    disk.flags = NF_MOUNT_NO_VERIFY;
    bd_replay_open(&replay, disk.fault, &log);
    for (size_t upto = 0; upto <= log.n; upto++) {
        size_t from = bd_replay_settled(&log, upto, 0);
        bd_replay_seek(&replay, from);
        for (unsigned sample = 0; sample < 8; sample++) {
            struct bd_replay_pick picks[256];
            uint64_t torn = prng_next(&prng);
            unsigned done = 0;
            unsigned count = 0;
            size_t n = 0;
            size_t len;
            uint8_t *found;
            for (size_t i = from; i < upto; i++) {
                if (sample == 0 || prng_below(&prng, 2) != 0) {
                    ck_assert_uint_lt(n, 256);
                    picks[n++] = (struct bd_replay_pick){i, NULL};
                }
            }
            if (sample > 4 && n > 0) {
                picks[prng_below(&prng, n)].sectors = &torn;
            }
            bd_replay_crash(&replay, picks, n);
            assert_ok(mirage_disk_mount(&disk));
            ck_assert_uint_eq(mirage_disk_check(&disk), 0);
            while (done < 20 && commits[done] <= upto) {
                done++;
            }
            if (mirage_disk_get(&disk, "count", &found, &len) == 0) {
                memcpy(&count, found, sizeof(count));
                free(found);
                count++;
            }
            ck_assert_msg(count == done || count == done + 1,
                          "after %zu writes: %u, not %u", upto, count, done);
            n_states++;
            mirage_disk_unmount(&disk);
        }
    }
    bd_replay_close(&replay);
    bd_fault_unmark(disk.fault);
    bd_fault_log_deinit(&log);
    ck_assert_uint_gt(n_states, 2000);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- W9, W10, W11: names and handles -------------------------------- */

START_TEST(w9_handles_follow_their_files)
{
    struct mirage_disk disk;
    struct nf_file *a;
    struct nf_file *b;
    char buf[8];
    size_t len;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "a", "aaaa", 4));
    assert_ok(mirage_disk_put(&disk, "b", "bb", 2));
    assert_ok(nf_open(disk.nf, nf_path("a"), 0, &a));
    assert_ok(nf_open(disk.nf, nf_path("b"), 0, &b));
    assert_ok(nf_rename(disk.nf, nf_path("a"), nf_path("b"), 0));
    assert_err(nf_read(b, 0, buf, 1, &len), NF_ESTALE);
    assert_err(nf_write(b, 0, "z", 1), NF_ESTALE);
    assert_ok(nf_append(a, "AA", 2));
    assert_ok(nf_sync(disk.nf));
    assert_ok(nf_append(a, "BB", 2));
    mirage_disk_expect(&disk, "b", "aaaaAABB", 8);
    assert_ok(nf_remove(disk.nf, nf_path("b"), 0));
    assert_err(nf_append(a, "CC", 2), NF_ESTALE);
    nf_close(a);
    nf_close(b);
    assert_ok(nf_abort(disk.nf));
    mirage_disk_expect(&disk, "b", "aaaaAA", 6);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(w10_nothing_is_replaced_by_another_kind)
{
    struct mirage_disk disk;
    struct nf_file *file;
    const uint32_t flags = NF_OPEN_CREATE | NF_OPEN_TRUNCATE;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "dir/file", "1", 1));
    assert_ok(mirage_disk_put(&disk, "file", "2", 1));
    assert_err(nf_open(disk.nf, nf_path("dir"), flags, &file), NF_EISDIR);
    assert_err(nf_open(disk.nf, nf_path("file/x"), flags, &file), NF_ENOTDIR);
    assert_err(nf_mkdir(disk.nf, nf_path("file/x")), NF_ENOTDIR);
    assert_err(nf_rename(disk.nf, nf_path("file"), nf_path("dir"), 0),
               NF_EISDIR);
    assert_err(nf_rename(disk.nf, nf_path("dir"), nf_path("file"), 0),
               NF_ENOTDIR);
    assert_err(nf_rename(disk.nf, nf_path("dir"), nf_path("dir/sub"), 0),
               NF_EINVAL);
    assert_ok(nf_sync(disk.nf));
    mirage_disk_expect(&disk, "dir/file", "1", 1);
    mirage_disk_expect(&disk, "file", "2", 1);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(w11_writes_past_the_end_land_there)
{
    static uint8_t want[5003];
    struct mirage_disk disk;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "f", "abc", 3));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_ok(nf_write(file, 5000, "xyz", 3));
    nf_close(file);
    assert_ok(nf_sync(disk.nf));
    mirage_disk_remount(&disk);
    memcpy(want, "abc", 3);
    memcpy(want + 5000, "xyz", 3);
    mirage_disk_expect(&disk, "f", want, sizeof(want));
    mirage_disk_close(&disk);
}
END_TEST

UNIT_MAIN("notafs/mirage_weak", w1_full_disk_keeps_two_generations,
          w2_many_small_writes_in_one_transaction,
          w3_damaged_root_or_header_is_survived_and_mended,
          w4_damaged_table_is_noticed, w5_old_generations_stay_dead,
          w5_slots_of_a_new_root_are_cleared,
          w6_pages_are_verified_whenever_they_are_read,
          w7_commits_are_ordered_by_flushes, w8_full_disk_stays_usable,
          w9_handles_follow_their_files,
          w10_nothing_is_replaced_by_another_kind,
          w11_writes_past_the_end_land_there)
