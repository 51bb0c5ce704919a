/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "notafs/mirage_int.h"
#include "tests/support/unit.h"

START_TEST(widths_follow_from_the_page_count)
{
    const struct {
        uint64_t pages;
        uint32_t page_size;
        enum nf_checksum checksum;
        uint32_t id_len;
        uint32_t rope_bytes;
        uint32_t rope_entries;
        uint32_t queue_ranges;
        uint32_t queue_children;
    } cases[] = {
        {255, 512, NF_CHECKSUM_ADLER32, 1, 508, 56, 101, 101},
        {256, 512, NF_CHECKSUM_ADLER32, 2, 508, 50, 84, 84},
        {65535, 512, NF_CHECKSUM_ADLER32, 2, 508, 50, 84, 84},
        {65536, 512, NF_CHECKSUM_ADLER32, 4, 508, 42, 63, 63},
        {UINT32_MAX, 512, NF_CHECKSUM_ADLER32, 4, 508, 42, 63, 63},
        {1ull << 32, 512, NF_CHECKSUM_ADLER32, 8, 508, 31, 42, 42},
        {300, 1024, NF_CHECKSUM_ADLER32, 2, 1020, 102, 170, 170},
        {300, 4096, NF_CHECKSUM_ADLER32, 2, 4092, 409, 682, 682},
        {70000, 4096, NF_CHECKSUM_ADLER32, 4, 4092, 341, 511, 511},
        {300, 4096, NF_CHECKSUM_NONE, 2, 4092, 682, 682, 2046},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mirage_geo geo;
        ck_assert(nf_mirage_geo_init(&geo, cases[i].pages, cases[i].page_size,
                                     cases[i].checksum));
        ck_assert_uint_eq(geo.id_len, cases[i].id_len);
        ck_assert_uint_eq(geo.rope_bytes, cases[i].rope_bytes);
        ck_assert_uint_eq(geo.rope_entries, cases[i].rope_entries);
        ck_assert_uint_eq(geo.queue_ranges, cases[i].queue_ranges);
        ck_assert_uint_eq(geo.queue_children, cases[i].queue_children);
    }
}
END_TEST

START_TEST(refuses_other_geometries)
{
    struct mirage_geo geo;
    ck_assert(!nf_mirage_geo_init(&geo, 12, 512, NF_CHECKSUM_ADLER32));
    ck_assert(!nf_mirage_geo_init(&geo, 1ull << 63, 512, NF_CHECKSUM_ADLER32));
    ck_assert(!nf_mirage_geo_init(&geo, 300, 256, NF_CHECKSUM_ADLER32));
    ck_assert(!nf_mirage_geo_init(&geo, 300, 768, NF_CHECKSUM_ADLER32));
    ck_assert(!nf_mirage_geo_init(&geo, 300, 131072, NF_CHECKSUM_ADLER32));
    ck_assert(!nf_mirage_geo_init(&geo, 300, 512, NF_CHECKSUM_XXH3));
}
END_TEST

START_TEST(pointers_return_as_they_were)
{
    const uint64_t pages[] = {200, 300, 70000, 1ull << 40};
    for (size_t i = 0; i < 4; i++) {
        for (int check = 0; check < 2; check++) {
            struct mirage_geo geo;
            uint8_t bytes[13];
            struct nf_ptr ptr = {.id = pages[i] - 1,
                                 .sum = check ? 0xfedcba98 : 0};
            struct nf_ptr found;
            memset(bytes, 0x55, sizeof(bytes));
            ck_assert(nf_mirage_geo_init(&geo, pages[i], 512,
                                         check ? NF_CHECKSUM_ADLER32
                                               : NF_CHECKSUM_NONE));
            nf_mirage_put_ptr(&geo, bytes, &ptr);
            ck_assert_uint_eq(bytes[geo.ptr_len], 0x55);
            nf_mirage_get_ptr(&geo, bytes, &found);
            ck_assert_uint_eq(found.id, ptr.id);
            ck_assert_uint_eq(found.sum, ptr.sum);
            ck_assert_uint_eq(found.birth, 0);
        }
    }
}
END_TEST

START_TEST(null_pointer_has_sum_1)
{
    const uint8_t want[] = {0, 1, 0, 0, 0};
    struct mirage_geo geo;
    struct nf_ptr null = {.id = 0};
    uint8_t bytes[5];
    ck_assert(nf_mirage_geo_init(&geo, 64, 512, NF_CHECKSUM_ADLER32));
    nf_mirage_put_ptr(&geo, bytes, &null);
    ck_assert_mem_eq(bytes, want, sizeof(want));
}
END_TEST

/* ---- Nodes ---------------------------------------------------------- */

/* A handle that knows no more than widths. */
static struct nf *handle(uint64_t page_count)
{
    struct nf *nf = calloc(1, sizeof(*nf));
    ck_assert_ptr_nonnull(nf);
    nf->mirage = calloc(1, sizeof(*nf->mirage));
    ck_assert_ptr_nonnull(nf->mirage);
    nf->page_count = page_count;
    ck_assert(nf_mirage_geo_init(&nf->mirage->geo, page_count, 512,
                                 NF_CHECKSUM_ADLER32));
    return nf;
}

static void handle_free(struct nf *nf)
{
    free(nf->mirage);
    free(nf);
}

/* An inner node with count children of 10 bytes, pages 20, 21, ... */
static void inner(struct nf *nf, enum nf_kind kind, uint32_t height,
                  uint32_t count, uint8_t *page)
{
    memset(page, 0, 512);
    mirage_set_head(kind, page, height, count);
    for (uint32_t i = 0; i < count; i++) {
        struct nf_ptr ptr = {.id = 20 + i, .sum = 5};
        nf_mirage_ptr_put(nf, page + nf_mirage_ptr_at(nf, kind, page, i), &ptr);
        if (kind == NF_KIND_ROPE) {
            mirage_key_put(nf, page, i, 10 * (i + 1));
        }
    }
}

START_TEST(checks_rope_nodes)
{
    struct nf *nf = handle(200);
    uint8_t page[512] = {0};
    mirage_set_head(NF_KIND_ROPE, page, 0, 508);
    assert_ok(nf_mirage_node_check(nf, NF_KIND_ROPE, page));
    mirage_set_head(NF_KIND_ROPE, page, 0, 509);
    assert_err(nf_mirage_node_check(nf, NF_KIND_ROPE, page), NF_EC_NODE);
    inner(nf, NF_KIND_ROPE, 60000, 56, page);
    assert_ok(nf_mirage_node_check(nf, NF_KIND_ROPE, page));
    ck_assert_uint_eq(nf_mirage_ptr_count(nf, NF_KIND_ROPE, page), 56);
    ck_assert_uint_eq(mirage_node_size(nf, page), 560);
    mirage_key_put(nf, page, 3, 29);
    assert_err(nf_mirage_node_check(nf, NF_KIND_ROPE, page), NF_EC_NODE);
    mirage_key_put(nf, page, 3, 30); /* a child of no bytes */
    assert_ok(nf_mirage_node_check(nf, NF_KIND_ROPE, page));
    nf_put_le32(page + nf_mirage_ptr_at(nf, NF_KIND_ROPE, page, 55) - 4,
                0x80000000);
    assert_err(nf_mirage_node_check(nf, NF_KIND_ROPE, page), NF_EC_NODE);
    mirage_key_put(nf, page, 55, INT32_MAX);
    assert_ok(nf_mirage_node_check(nf, NF_KIND_ROPE, page));
    mirage_set_count(NF_KIND_ROPE, page, 57);
    assert_err(nf_mirage_node_check(nf, NF_KIND_ROPE, page), NF_EC_NODE);
    mirage_set_count(NF_KIND_ROPE, page, 0);
    assert_err(nf_mirage_node_check(nf, NF_KIND_ROPE, page), NF_EC_NODE);
    handle_free(nf);
}
END_TEST

START_TEST(checks_queue_nodes)
{
    struct nf *nf = handle(200);
    uint8_t page[512] = {0};
    struct nf_extent range = {5, 195};
    assert_ok(nf_mirage_node_check(nf, NF_KIND_QUEUE, page));
    mirage_set_head(NF_KIND_QUEUE, page, 0, 1);
    nf_mirage_range_put(nf, page, 0, &range);
    assert_ok(nf_mirage_node_check(nf, NF_KIND_QUEUE, page));
    range.count = 196;
    nf_mirage_range_put(nf, page, 0, &range);
    assert_err(nf_mirage_node_check(nf, NF_KIND_QUEUE, page), NF_EC_QUEUE);
    range.count = 0;
    nf_mirage_range_put(nf, page, 0, &range);
    assert_err(nf_mirage_node_check(nf, NF_KIND_QUEUE, page), NF_EC_QUEUE);
    range.first = 4;
    range.count = 1;
    nf_mirage_range_put(nf, page, 0, &range);
    assert_err(nf_mirage_node_check(nf, NF_KIND_QUEUE, page), NF_EC_QUEUE);
    mirage_set_head(NF_KIND_QUEUE, page, 0, 102);
    assert_err(nf_mirage_node_check(nf, NF_KIND_QUEUE, page), NF_EC_NODE);
    inner(nf, NF_KIND_QUEUE, 255, 101, page);
    assert_ok(nf_mirage_node_check(nf, NF_KIND_QUEUE, page));
    mirage_set_count(NF_KIND_QUEUE, page, 0);
    assert_err(nf_mirage_node_check(nf, NF_KIND_QUEUE, page), NF_EC_NODE);
    handle_free(nf);
}
END_TEST

START_TEST(checks_ids)
{
    const enum nf_kind kinds[] = {NF_KIND_ROPE, NF_KIND_QUEUE};
    struct nf *nf = handle(200);
    for (size_t i = 0; i < 2; i++) {
        const uint64_t bad[] = {0, 4, 200};
        uint8_t page[512];
        inner(nf, kinds[i], 1, 30, page);
        assert_ok(nf_mirage_node_check(nf, kinds[i], page));
        for (size_t k = 0; k < 3; k++) {
            struct nf_ptr ptr = {.id = bad[k], .sum = 1};
            nf_mirage_ptr_put(
                nf, page + nf_mirage_ptr_at(nf, kinds[i], page, 29), &ptr);
            assert_err(nf_mirage_node_check(nf, kinds[i], page), NF_EC_PAGE_ID);
        }
    }
    handle_free(nf);
}
END_TEST

UNIT_MAIN("notafs/mirage_geo", widths_follow_from_the_page_count,
          refuses_other_geometries, pointers_return_as_they_were,
          null_pointer_has_sum_1, checks_rope_nodes, checks_queue_nodes,
          checks_ids)
