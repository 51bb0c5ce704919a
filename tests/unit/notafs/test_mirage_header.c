/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "notafs/mirage_int.h"
#include "tests/support/bd_replay.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

/* The worked example of the format: 64 pages of 512 bytes that were zero. */
START_TEST(blank_disk_is_the_example)
{
    static const uint8_t header[] = {
        0x4e, 0x4f, 0x54, 0x41, 0x46, 0x53, 0x00, 0x00, 0x40, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x04, 0x41, 0x44, 0x4c, 0x45, 0x52, 0x2d, 0x33, 0x32,
    };
    static const uint8_t root[] = {1, 0, 0, 0, 0, 0, 0,  0,  8,
                                   0, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t leaf[] = {
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x00,
        0x33, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01};
    static const struct {
        const uint8_t *bytes;
        size_t len;
        uint8_t sum[4];
    } pages[] = {
        {header, sizeof(header), {0x11, 0x04, 0x5c, 0xe1}},
        {NULL, 0, {0x02, 0x00, 0x04, 0x02}},
        {NULL, 0, {0x02, 0x00, 0x04, 0x02}},
        {NULL, 0, {0x02, 0x00, 0x04, 0x02}},
        {root, sizeof(root), {0x4f, 0x00, 0x04, 0x98}},
        {leaf, sizeof(leaf), {0x45, 0x00, 0x99, 0x82}},
    };
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 64, NF_CHECKSUM_DEFAULT);
    for (uint64_t i = 0; i < 64; i++) {
        uint8_t want[512] = {0};
        if (i < sizeof(pages) / sizeof(pages[0])) {
            if (pages[i].len > 0) {
                memcpy(want, pages[i].bytes, pages[i].len);
            }
            memcpy(want + 508, pages[i].sum, 4);
        }
        ck_assert_mem_eq(bd_fault_page(disk.fault, i), want, 512);
    }
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(probe_tells_the_disk)
{
    const struct {
        uint32_t page_size;
        uint64_t pages;
        enum nf_checksum checksum;
        uint32_t checksum_len;
    } cases[] = {
        {512, 200, NF_CHECKSUM_ADLER32, 4},
        {1024, 300, NF_CHECKSUM_NONE, 0},
        {4096, 70000, NF_CHECKSUM_ADLER32, 4},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mirage_disk disk;
        struct nf_disk found;
        struct nf_stats stats;
        mirage_disk_open(&disk, cases[i].page_size, cases[i].pages,
                         cases[i].checksum);
        assert_ok(nf_probe(&disk.fault->bd, &disk.mem.env, &found));
        ck_assert_int_eq(found.profile, NF_PROFILE_MIRAGE);
        ck_assert_int_eq(found.checksum, cases[i].checksum);
        ck_assert_uint_eq(found.checksum_len, cases[i].checksum_len);
        ck_assert_uint_eq(found.page_size, cases[i].page_size);
        ck_assert_uint_eq(found.page_count, cases[i].pages);
        ck_assert(!found.header_damaged);
        nf_stats(disk.nf, &stats);
        ck_assert_uint_eq(stats.free_pages, cases[i].pages - 13);
        ck_assert_int_eq(stats.free_recorded, (int64_t)cases[i].pages - 13);
        ck_assert_uint_eq(stats.generation, 1);
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        mirage_disk_close(&disk);
    }
}
END_TEST

/* Also through a device of other pages than the disk's. */
START_TEST(probe_reads_any_page_size)
{
    static uint8_t bytes[64 * 4096];
    struct mirage_disk disk;
    struct mirage_disk other;
    struct nf_disk found;
    mirage_disk_open(&disk, 4096, 64, NF_CHECKSUM_DEFAULT);
    for (uint64_t i = 0; i < 64; i++) {
        memcpy(bytes + i * 4096, bd_fault_page(disk.fault, i), 4096);
    }
    mirage_disk_close(&disk);
    mirage_disk_load(&other, 512, sizeof(bytes) / 512, bytes);
    assert_ok(nf_probe(&other.fault->bd, &other.mem.env, &found));
    ck_assert_uint_eq(found.page_size, 4096);
    ck_assert(!found.header_damaged);
    assert_err(mirage_disk_mount(&other), NF_EC_PAGE_SIZE);
    mirage_disk_close(&other);
}
END_TEST

START_TEST(probe_refuses_other_headers)
{
    const struct {
        size_t at;
        uint8_t mask;
        int err;
    } cases[] = {
        {0, 1, NF_EC_NOT_FORMATTED},  {17, 1, NF_EC_HEADER}, /* page size */
        {8, 0x40, NF_EC_HEADER},      {15, 0x80, NF_EC_HEADER},
        {20, 1, NF_EC_HEADER},        {24, 4, NF_EC_HEADER},
        {25, 1, NF_EC_CHECKSUM_KIND},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mirage_disk disk;
        struct nf_disk found;
        mirage_disk_open(&disk, 512, 64, NF_CHECKSUM_DEFAULT);
        bd_fault_rot(disk.fault, 0, cases[i].at, cases[i].mask);
        assert_err(nf_mirage_probe(&disk.fault->bd,
                                   &(struct nf_mem){&disk.mem.env, 0, 0},
                                   &found),
                   cases[i].err);
        mirage_disk_close(&disk);
    }
}
END_TEST

START_TEST(device_must_have_the_disks_length)
{
    static uint8_t bytes[80 * 512];
    struct mirage_disk disk;
    struct mirage_disk other;
    mirage_disk_open(&disk, 512, 64, NF_CHECKSUM_DEFAULT);
    for (uint64_t i = 0; i < 64; i++) {
        memcpy(bytes + i * 512, bd_fault_page(disk.fault, i), 512);
    }
    mirage_disk_close(&disk);
    for (uint64_t pages = 60; pages <= 80; pages += 20) {
        mirage_disk_load(&other, 512, pages, bytes);
        assert_err(mirage_disk_mount(&other), NF_EC_DISK_SIZE);
        mirage_disk_close(&other);
    }
}
END_TEST

START_TEST(uid_comes_from_the_old_contents)
{
    const struct nf_format_options given = {.profile = NF_PROFILE_MIRAGE,
                                            .uid = 77};
    const struct nf_format_options drawn = {.profile = NF_PROFILE_MIRAGE};
    uint8_t page[512] = {0};
    struct mirage_disk disk;
    struct nf_disk found;
    mirage_disk_open(&disk, 512, 64, NF_CHECKSUM_DEFAULT);
    mirage_disk_unmount(&disk);
    nf_put_le64(page + 64, 0x1122334455667788);
    nf_put_le64(page + 256, 0xff);
    bd_fault_store(disk.fault, 0, page);
    assert_ok(nf_format(&disk.fault->bd, &disk.mem.env, &drawn));
    assert_ok(nf_probe(&disk.fault->bd, &disk.mem.env, &found));
    ck_assert_uint_eq(found.uid, 0x1122334455667788 ^ 0xff);
    assert_ok(nf_format(&disk.fault->bd, &disk.mem.env, &given));
    assert_ok(nf_probe(&disk.fault->bd, &disk.mem.env, &found));
    ck_assert_uint_eq(found.uid, 77);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(format_refuses_what_the_profile_has_not)
{
    const struct {
        uint32_t page_size;
        uint64_t pages;
        enum nf_checksum checksum;
    } cases[] = {
        {8192, 64, NF_CHECKSUM_DEFAULT},
        {512, (uint64_t)1 << 31, NF_CHECKSUM_DEFAULT},
        {512, UINT32_MAX, NF_CHECKSUM_DEFAULT},
        {512, 31, NF_CHECKSUM_DEFAULT},
        {512, 64, NF_CHECKSUM_XXH3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bd_geometry geo = {.page_count = 31,
                                        .page_size = cases[i].page_size,
                                        .caps = BD_CAP_FLUSH};
        const struct nf_format_options options = {
            .profile = NF_PROFILE_MIRAGE, .checksum = cases[i].checksum};
        struct mem_fault mem;
        mem_fault_init(&mem);
        struct bd_fault *fault = bd_fault_open(&geo);
        fault->bd.geo.page_count = cases[i].pages;
        assert_err(nf_format(&fault->bd, &mem.env, &options), NF_EINVAL);
        ck_assert_uint_eq(fault->bd.count.writes, 0);
        bd_fault_close(fault);
    }
}
END_TEST

/* Every subset of what was written since the last flush, at every moment: the
 * old disk, none, or the new one. */
START_TEST(crash_in_a_format_leaves_no_mixture)
{
    const struct nf_format_options options = {.profile = NF_PROFILE_MIRAGE};
    struct bd_fault_log log = {0};
    struct bd_replay replay;
    struct mirage_disk disk;
    unsigned n_old = 0;
    unsigned n_none = 0;
    unsigned n_new = 0;
    mirage_disk_open(&disk, 512, 64, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 5; i++) {
        assert_ok(mirage_disk_put(&disk, "old", &i, sizeof(i)));
        assert_ok(nf_sync(disk.nf));
    }
    mirage_disk_unmount(&disk);
    bd_fault_mark(disk.fault);
    disk.fault->log = &log;
    assert_ok(nf_format(&disk.fault->bd, &disk.mem.env, &options));
    disk.fault->log = NULL;
    bd_fault_reset(disk.fault);
    bd_replay_open(&replay, disk.fault, &log);
    for (size_t upto = 0; upto <= log.n; upto++) {
        size_t from = bd_replay_settled(&log, upto, 0);
        bd_replay_seek(&replay, from);
        for (size_t set = 0; set < (size_t)1 << (upto - from); set++) {
            struct bd_replay_pick picks[16];
            struct nf_stats stats;
            struct nf_stat st;
            size_t n = 0;
            for (size_t i = 0; i < upto - from; i++) {
                if ((set >> i & 1) != 0) {
                    picks[n++] = (struct bd_replay_pick){from + i, NULL};
                }
            }
            bd_replay_crash(&replay, picks, n);
            int err = mirage_disk_mount(&disk);
            if (err != 0) {
                assert_err(nf_err_class(err), NF_ECORRUPT);
                n_none++;
                continue;
            }
            nf_stats(disk.nf, &stats);
            err = nf_stat(disk.nf, nf_path("old"), &st);
            ck_assert(stats.generation == 1 ? err == NF_ENOENT : err == 0);
            ck_assert_uint_eq(mirage_disk_check(&disk), 0);
            n_old += err == 0;
            n_new += err != 0;
            mirage_disk_unmount(&disk);
        }
    }
    bd_replay_close(&replay);
    bd_fault_unmark(disk.fault);
    bd_fault_log_deinit(&log);
    ck_assert_uint_gt(n_old, 0);
    ck_assert_uint_gt(n_none, 4000);
    ck_assert_uint_gt(n_new, 0);
    mirage_disk_close(&disk);
}
END_TEST

UNIT_MAIN("notafs/mirage_header", blank_disk_is_the_example,
          probe_tells_the_disk, probe_reads_any_page_size,
          probe_refuses_other_headers, device_must_have_the_disks_length,
          uid_comes_from_the_old_contents,
          format_refuses_what_the_profile_has_not,
          crash_in_a_format_leaves_no_mixture)
