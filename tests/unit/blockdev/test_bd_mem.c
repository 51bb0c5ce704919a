/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <notafs/bd_mem.h>

#include "tests/support/unit.h"

START_TEST(pages_land_in_place)
{
    static uint8_t disk[1024 * 9];
    static uint8_t in[1024 * 2];
    static uint8_t out[1024 * 2];
    struct bd_mem mem;
    struct bd bd;

    assert_ok(bd_mem_init(&bd, &mem, disk, sizeof(disk), 1024));
    memset(out, 'a', 1024);
    memset(out + 1024, 'b', 1024);
    assert_ok(bd_write(&bd, 7, 2, out));
    ck_assert_uint_eq(disk[7 * 1024 - 1], 0);
    ck_assert_mem_eq(disk + 7 * 1024, out, sizeof(out));
    const struct bd_request reqs[] = {
        {.range = {8, 1}, .in = in},
        {.range = {7, 1}, .in = in + 1024},
    };
    assert_ok(bd_submit(&bd, reqs, 2));
    ck_assert_mem_eq(in, out + 1024, 1024);
    ck_assert_mem_eq(in + 1024, out, 1024);
    assert_ok(bd_flush(&bd));
    ck_assert_uint_eq(bd.count.flushes, 1);
}
END_TEST

START_TEST(partial_page_is_left_alone)
{
    static uint8_t disk[512 * 3 + 511];
    static uint8_t page[512];
    struct bd_mem mem;
    struct bd bd;

    assert_ok(bd_mem_init(&bd, &mem, disk, sizeof(disk), 512));
    ck_assert_uint_eq(bd.geo.page_count, 3);
    assert_err(bd_write(&bd, 3, 1, page), NF_ERANGE);
    assert_err(bd_mem_init(&bd, &mem, disk, 511, 512), NF_EINVAL);
    assert_err(bd_mem_init(&bd, &mem, disk, sizeof(disk), 0), NF_EINVAL);
}
END_TEST

UNIT_MAIN("blockdev/bd_mem", pages_land_in_place, partial_page_is_left_alone)
