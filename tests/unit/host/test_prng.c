/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "host/prng.h"
#include "tests/support/unit.h"

/* Numbers of the reference implementation of the golden data. */
START_TEST(known_numbers)
{
    struct prng prng = prng_seed(42);

    ck_assert_uint_eq(prng_next(&prng), UINT64_C(0x08328D7F03BCEC1A));
    ck_assert_uint_eq(prng_next(&prng), UINT64_C(0x077E7279E17AB6CD));
    prng = prng_seed(UINT64_C(0x9E3779B97F4A7C15));
    ck_assert_uint_eq(prng_next(&prng), UINT64_C(0x47E4CE4B896CDD1D));
    ck_assert_uint_eq(prng_below(&prng, 1000), 879);
}
END_TEST

START_TEST(bytes_are_words_cut)
{
    struct prng words = prng_seed(1);
    struct prng bytes = prng_seed(1);
    uint8_t buf[20];

    memset(buf, 0xEE, sizeof(buf));
    prng_bytes(&bytes, 19, buf);
    for (size_t i = 0; i < 19; i += 8) {
        const uint64_t word = prng_next(&words);
        for (size_t k = 0; k < 8 && i + k < 19; k++) {
            ck_assert_uint_eq(buf[i + k], (uint8_t)(word >> 8 * k));
        }
    }
    ck_assert_uint_eq(buf[19], 0xEE);
    ck_assert_uint_eq(prng_next(&bytes), prng_next(&words));
}
END_TEST

UNIT_MAIN("host/prng", known_numbers, bytes_are_words_cut)
