/* SPDX-License-Identifier: ISC */
/* ADLER-32 against its definition (RFC 1950, 8.2). */
#include <stdlib.h>

#include "host/prng.h"
#include "notafs/nf_int.h"
#include "tests/support/unit.h"

enum { LEN_MAX = 65536 };

static uint32_t by_definition(const uint8_t *p, size_t len)
{
    uint32_t a = 1;
    uint32_t b = 0;
    for (size_t i = 0; i < len; i++) {
        a = (a + p[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

START_TEST(known_answers)
{
    ck_assert_uint_eq(nf_adler32((const uint8_t *)"", 0), 1);
    ck_assert_uint_eq(nf_adler32((const uint8_t *)"Wikipedia", 9), 0x11e60398);
}
END_TEST

START_TEST(every_length_of_some_blocks_at_any_place)
{
    uint8_t data[300];
    struct prng prng = prng_seed(1);
    prng_bytes(&prng, sizeof(data), data);
    for (size_t at = 0; at < 17; at++) {
        for (size_t len = 0; len < sizeof(data) - at; len++) {
            ck_assert_uint_eq(nf_adler32(data + at, len),
                              by_definition(data + at, len));
        }
    }
}
END_TEST

/* What sums up most: nothing may be lost before a modulo. */
START_TEST(largest_sums)
{
    uint8_t *data = malloc(LEN_MAX);
    ck_assert_ptr_nonnull(data);
    memset(data, 0xff, LEN_MAX);
    for (size_t len = 5500; len <= LEN_MAX; len += len < 5600 ? 1 : 4099) {
        ck_assert_uint_eq(nf_adler32(data, len), by_definition(data, len));
    }
    free(data);
}
END_TEST

UNIT_MAIN("notafs/adler32", known_answers,
          every_length_of_some_blocks_at_any_place, largest_sums)
