/* SPDX-License-Identifier: ISC */
#include "notafs/platform/checked.h"
#include "tests/support/unit.h"

START_TEST(sums)
{
    uint64_t v = 42;

    ck_assert(nf_add_u64(UINT64_MAX - 1, 1, &v));
    ck_assert_uint_eq(v, UINT64_MAX);
    v = 42;
    ck_assert(!nf_add_u64(UINT64_MAX, 1, &v));
    ck_assert(!nf_add_u64(1, UINT64_MAX, &v));
    ck_assert(!nf_sub_u64(0, 1, &v));
    ck_assert_uint_eq(v, 42);
    ck_assert(nf_sub_u64(7, 7, &v));
    ck_assert_uint_eq(v, 0);
}
END_TEST

START_TEST(products)
{
    uint64_t v = 42;

    ck_assert(!nf_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
    ck_assert(!nf_mul_u64(UINT64_MAX, 2, &v));
    ck_assert_uint_eq(v, 42);
    ck_assert(nf_mul_u64(UINT64_MAX, 1, &v));
    ck_assert_uint_eq(v, UINT64_MAX);
    ck_assert(nf_mul_u64(0, UINT64_MAX, &v));
    ck_assert_uint_eq(v, 0);
    ck_assert(nf_mul_u64(UINT32_MAX, UINT32_MAX, &v));
    ck_assert_uint_eq(v, UINT64_C(0xFFFFFFFE00000001));
}
END_TEST

START_TEST(quotients)
{
    ck_assert_uint_eq(nf_div_up_u64(0, 512), 0);
    ck_assert_uint_eq(nf_div_up_u64(1, 512), 1);
    ck_assert_uint_eq(nf_div_up_u64(512, 512), 1);
    ck_assert_uint_eq(nf_div_up_u64(UINT64_MAX, 1), UINT64_MAX);
    ck_assert_uint_eq(nf_div_up_u64(UINT64_MAX, 2), UINT64_C(1) << 63);
    ck_assert_uint_eq(nf_min_u64(3, 9), 3);
    ck_assert_uint_eq(nf_max_u64(3, 9), 9);
}
END_TEST

UNIT_MAIN("platform/checked", sums, products, quotients)
