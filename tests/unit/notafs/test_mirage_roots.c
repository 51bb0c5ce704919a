/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "notafs/mirage_int.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

static struct mirage_geo geo_of(uint64_t pages, enum nf_checksum checksum)
{
    struct mirage_geo geo;
    ck_assert(nf_mirage_geo_init(&geo, pages, 512, checksum));
    return geo;
}

START_TEST(roots_return_as_they_were)
{
    const uint64_t pages[] = {200, 300, 70000, (uint64_t)1 << 40};
    for (size_t i = 0; i < 4; i++) {
        const struct mirage_geo geo = geo_of(pages[i], NF_CHECKSUM_ADLER32);
        struct mirage_root root = {true, 0x123456789a, 8, {0}};
        struct mirage_root found;
        uint8_t page[512];
        for (uint32_t k = 0; k < 8; k++) {
            root.slots[k] = pages[i] - 1 - k;
        }
        nf_mirage_root_put(&geo, &root, page);
        ck_assert_uint_eq(nf_get_le64(page), root.first);
        ck_assert_uint_eq(nf_get_le16(page + 8), 8);
        ck_assert_uint_eq(nf_mirage_get_id(&geo, page + 10), root.slots[0]);
        ck_assert(nf_mirage_root_get(&geo, pages[i], page, &found));
        ck_assert_uint_eq(found.first, root.first);
        ck_assert_mem_eq(found.slots, root.slots, sizeof(root.slots));
        page[300] ^= 1;
        ck_assert(!nf_mirage_root_get(&geo, pages[i], page, &found));
    }
}
END_TEST

START_TEST(refuses_wrong_roots)
{
    const struct mirage_geo geo = geo_of(200, NF_CHECKSUM_NONE);
    const struct mirage_root good = {true, 9, 3, {5, 6, 199}};
    const struct {
        size_t at;
        uint8_t value;
    } cases[] = {
        {8, 9},    /* slots */
        {9, 1},    /* many slots */
        {10, 4},   /* a root page */
        {10, 0},   /* no page */
        {12, 200}, /* beyond the disk */
        {11, 5},   /* twice the same */
        {7, 0x80}, /* number */
    };
    struct mirage_root found;
    uint8_t page[512];
    nf_mirage_root_put(&geo, &good, page);
    ck_assert(nf_mirage_root_get(&geo, 200, page, &found));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        nf_mirage_root_put(&geo, &good, page);
        page[cases[i].at] = cases[i].value;
        ck_assert_msg(!nf_mirage_root_get(&geo, 200, page, &found), "%zu", i);
    }
}
END_TEST

/* The leaf of the worked commit: generation 2 of 64 pages. */
START_TEST(leaf_is_the_example)
{
    static const uint8_t want[] = {
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x11, 0x10, 0x19, 0x00, 0x6a, 0x31, 0x31, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x0e, 0x06, 0x96, 0xc7};
    static const uint8_t sum[] = {0x88, 0x02, 0x0f, 0xc8};
    const struct mirage_geo geo = geo_of(64, NF_CHECKSUM_ADLER32);
    const struct nf_disk disk = {.page_count = 64};
    const struct mirage_leaf leaf = {
        .generation = 2,
        .free_start = 17,
        .free_count = 49,
        .queue = {.id = 16, .sum = 0x316a0019},
        .table = {.id = 13, .sum = 0xc796060e},
    };
    struct mirage_leaf found;
    uint8_t page[512];
    nf_mirage_leaf_put(&geo, 0, &leaf, page);
    ck_assert_mem_eq(page, want, sizeof(want));
    ck_assert_mem_eq(page + 508, sum, 4);
    ck_assert(nf_mirage_leaf_get(&geo, &disk, page, &found));
    ck_assert_uint_eq(found.generation, 2);
    ck_assert_uint_eq(found.free_start, 17);
    ck_assert_uint_eq(found.free_count, 49);
    ck_assert_uint_eq(found.queue.id, 16);
    ck_assert_uint_eq(found.queue.sum, 0x316a0019);
    ck_assert_uint_eq(found.table.id, 13);
    ck_assert_uint_eq(found.table.sum, 0xc796060e);
}
END_TEST

/* The same on 300 pages: ids of two bytes. */
START_TEST(leaf_with_wide_ids_is_the_example)
{
    static const uint8_t want[] = {
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x11, 0x00, 0x10, 0x00,
        0x19, 0x00, 0x58, 0x31, 0x1d, 0x01, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x0d, 0x00, 0x0f, 0x06, 0x70, 0xc8};
    static const uint8_t sum[] = {0x3f, 0x02, 0x2c, 0x38};
    const struct mirage_geo geo = geo_of(300, NF_CHECKSUM_ADLER32);
    const struct mirage_leaf leaf = {
        .generation = 2,
        .free_start = 17,
        .free_count = 0x11d,
        .queue = {.id = 16, .sum = 0x31580019},
        .table = {.id = 13, .sum = 0xc870060f},
    };
    uint8_t page[512];
    nf_mirage_leaf_put(&geo, 0, &leaf, page);
    ck_assert_mem_eq(page, want, sizeof(want));
    ck_assert_mem_eq(page + 508, sum, 4);
}
END_TEST

START_TEST(refuses_wrong_leaves)
{
    const struct mirage_geo geo = geo_of(200, NF_CHECKSUM_NONE);
    const struct nf_disk disk = {.page_count = 200, .uid = 7};
    const struct mirage_leaf good = {
        .generation = 2,
        .free_start = 200,
        .queue = {.id = 16},
        .table = {.id = 13},
    };
    const struct {
        size_t at;
        uint8_t value;
    } cases[] = {
        {0, 8},    /* another format's */
        {16, 201}, /* free_start beyond the disk */
        {16, 4},   /* and before it begins */
        {17, 4},   /* the queue in a root page */
        {17, 200}, /* and beyond the disk */
        {26, 1},   /* the table likewise */
        {26, 255},
    };
    struct mirage_leaf found;
    uint8_t page[512];
    nf_mirage_leaf_put(&geo, 7, &good, page);
    ck_assert(nf_mirage_leaf_get(&geo, &disk, page, &found));
    page[17] = 0; /* null: no queue */
    page[26] = 0; /* and no table */
    ck_assert(nf_mirage_leaf_get(&geo, &disk, page, &found));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        nf_mirage_leaf_put(&geo, 7, &good, page);
        page[cases[i].at] = cases[i].value;
        ck_assert_msg(!nf_mirage_leaf_get(&geo, &disk, page, &found), "%zu", i);
    }
}
END_TEST

/* A reserved slot that is free, or was never used, would be given out. */
START_TEST(slots_must_not_be_free)
{
    for (int unused = 0; unused < 2; unused++) {
        struct mirage_disk disk;
        mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_NONE);
        for (unsigned i = 0; i < 9; i++) {
            assert_ok(mirage_disk_put(&disk, "f", "x", 1));
            assert_ok(nf_sync(disk.nf));
        }
        struct nf_mirage *m = disk.nf->mirage;
        struct mirage_root root = m->roots[m->leaf.root];
        struct nf_extent front;
        uint8_t page[512];
        ck_assert_uint_lt(m->leaf.slot, 6);
        assert_ok(nf_mirage_queue_front(disk.nf, &front));
        root.slots[7] = unused ? 299 : front.first;
        nf_mirage_root_put(&m->geo, &root, page);
        bd_fault_store(disk.fault, m->leaf.root + 1, page);
        uint64_t generation = disk.nf->generation;
        mirage_disk_remount(&disk);
        ck_assert_uint_lt(disk.nf->generation, generation);
        assert_ok(mirage_disk_put(&disk, "g", "x", 1));
        assert_ok(nf_sync(disk.nf));
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        mirage_disk_close(&disk);
    }
}
END_TEST

UNIT_MAIN("notafs/mirage_roots", roots_return_as_they_were, refuses_wrong_roots,
          leaf_is_the_example, leaf_with_wide_ids_is_the_example,
          refuses_wrong_leaves, slots_must_not_be_free)
