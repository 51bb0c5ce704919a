/* SPDX-License-Identifier: ISC */
#include "pack/hash/ocaml_hash.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/hash/hex.h"

static uint32_t hash(uint32_t seed, const char *text)
{
    return pk_ocaml_hash(seed, (const uint8_t *)text, strlen(text));
}

START_TEST(published)
{
    ck_assert_uint_eq(hash(0, ""), 0);
    ck_assert_uint_eq(hash(0, "a"), 721651713);
    ck_assert_uint_eq(hash(0, "ab"), 856662637);
    ck_assert_uint_eq(hash(0, "abc"), 767105082);
    ck_assert_uint_eq(hash(0, "abcd"), 65890154);
    ck_assert_uint_eq(hash(0, "abcde"), 335633756);
    ck_assert_uint_eq(hash(0, "abcdef"), 926323203);
    ck_assert_uint_eq(hash(1, "abcd"), 0x1bf54592);
    ck_assert_uint_eq(hash(5, "hello world"), 0x1b137310);
}
END_TEST

START_TEST(no_bytes)
{
    ck_assert_uint_eq(pk_ocaml_hash(0, NULL, 0), 0);
}
END_TEST

/* The children that "a" takes at each depth of an inode tree with 32. */
START_TEST(child_order)
{
    static const uint32_t index[] = {1, 23, 28, 1, 23, 31, 9, 31, 10, 8};

    for (uint32_t depth = 0; depth < 10; depth++) {
        ck_assert_uint_eq(hash(depth, "a") % 32, index[depth]);
    }
}
END_TEST

UNIT_MAIN("pack/hash/ocaml_hash", published, no_bytes, child_order)
