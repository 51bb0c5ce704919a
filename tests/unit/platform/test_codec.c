/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "notafs/platform/codec.h"
#include "tests/support/unit.h"

static const uint8_t bytes[] = {0xF1, 0xE2, 0xD3, 0xC4, 0xB5, 0xA6, 0x97, 0x88};

START_TEST(little_endian)
{
    uint8_t out[8] = {0};

    ck_assert_uint_eq(nf_get_le16(bytes), 0xE2F1);
    ck_assert_uint_eq(nf_get_le32(bytes), 0xC4D3E2F1);
    ck_assert_uint_eq(nf_get_le48(bytes), UINT64_C(0xA6B5C4D3E2F1));
    ck_assert_uint_eq(nf_get_le64(bytes), UINT64_C(0x8897A6B5C4D3E2F1));
    nf_put_le16(out, 0xE2F1);
    ck_assert_mem_eq(out, bytes, 2);
    nf_put_le32(out, 0xC4D3E2F1);
    ck_assert_mem_eq(out, bytes, 4);
    nf_put_le48(out, UINT64_C(0xA6B5C4D3E2F1));
    ck_assert_mem_eq(out, bytes, 6);
    ck_assert_uint_eq(out[6], 0);
    nf_put_le64(out, UINT64_C(0x8897A6B5C4D3E2F1));
    ck_assert_mem_eq(out, bytes, 8);
}
END_TEST

START_TEST(big_endian)
{
    uint8_t out[8] = {0};

    ck_assert_uint_eq(nf_get_be32(bytes), 0xF1E2D3C4);
    ck_assert_uint_eq(nf_get_be64(bytes), UINT64_C(0xF1E2D3C4B5A69788));
    nf_put_be32(out, 0xF1E2D3C4);
    ck_assert_mem_eq(out, bytes, 4);
    nf_put_be64(out, UINT64_C(0xF1E2D3C4B5A69788));
    ck_assert_mem_eq(out, bytes, 8);
}
END_TEST

START_TEST(unaligned)
{
    uint8_t buf[16];

    for (size_t i = 0; i <= 8; i++) {
        memset(buf, 0, sizeof(buf));
        nf_put_le64(buf + i, UINT64_C(0x8897A6B5C4D3E2F1));
        ck_assert_mem_eq(buf + i, bytes, 8);
        ck_assert_uint_eq(nf_get_be64(buf + i), UINT64_C(0xF1E2D3C4B5A69788));
    }
}
END_TEST

UNIT_MAIN("platform/codec", little_endian, big_endian, unaligned)
