/* SPDX-License-Identifier: ISC */
#include <math.h>
#include <string.h>

#include "host/prng.h"
#include "notafs/mirage_int.h"
#include "tests/support/unit.h"

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

static void assert_time(double d, int64_t sec, uint32_t nsec)
{
    struct nf_time time;
    ck_assert_msg(nf_mirage_time_get(bits_of(d), &time), "%.17g", d);
    ck_assert_int_eq(time.sec, sec);
    ck_assert_uint_eq(time.nsec, nsec);
}

START_TEST(reads_times)
{
    assert_time(0.0, 0, 0);
    assert_time(-0.0, 0, 0);
    assert_time(1700000000.0, 1700000000, 0);
    assert_time(1.5, 1, 500000000);
    assert_time(-1.5, -2, 500000000);
    assert_time(0.1, 0, 100000000);
    assert_time(1e-9, 0, 1);
    assert_time(0.4e-9, 0, 0);
    assert_time(-1e-9, -1, 999999999);
    assert_time(0.9999999999, 1, 0);
    assert_time(4e-320, 0, 0);
    assert_time(-62167219200.0, -62167219200, 0);
    assert_time(253402300799.0, 253402300799, 0);
}
END_TEST

START_TEST(refuses_what_is_no_time)
{
    const double bad[] = {INFINITY,       -INFINITY, NAN,   253402300800.0,
                          -62167219201.0, 1e18,      -1e300};
    struct nf_time time;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!nf_mirage_time_get(bits_of(bad[i]), &time), "%g",
                      bad[i]);
    }
    ck_assert(!nf_mirage_time_valid((struct nf_time){253402300800, 0}));
    ck_assert(!nf_mirage_time_valid((struct nf_time){-62167219201, 0}));
    ck_assert(!nf_mirage_time_valid((struct nf_time){0, 1000000000}));
}
END_TEST

START_TEST(writes_times)
{
    ck_assert_uint_eq(nf_mirage_time_put((struct nf_time){0, 0}), 0);
    /* the example of docs/format-notafs.md */
    ck_assert_uint_eq(nf_mirage_time_put((struct nf_time){1700000000, 0}),
                      0x41d954fc40000000);
    ck_assert_uint_eq(nf_mirage_time_put((struct nf_time){0, 1}),
                      bits_of(1e-9));
    ck_assert_uint_eq(nf_mirage_time_put((struct nf_time){-1, 999999999}),
                      bits_of(-1e-9));
    ck_assert_uint_eq(nf_mirage_time_put((struct nf_time){-1, 0}),
                      bits_of(-1.0));
    ck_assert_uint_eq(nf_mirage_time_put((struct nf_time){0, 100000000}),
                      bits_of(0.1));
    /* rounds up to a power of two */
    ck_assert_uint_eq(
        nf_mirage_time_put((struct nf_time){(1LL << 37) - 1, 999999999}),
        bits_of((double)(1LL << 37)));
}
END_TEST

/* To the nearest double, as a sum of two exact parts is with more bits. */
START_TEST(rounds_to_the_nearest)
{
    struct prng prng = prng_seed(1);
    for (int i = 0; i < 200000; i++) {
        unsigned shift = (unsigned)prng_below(&prng, 38);
        struct nf_time time = {
            (int64_t)prng_below(&prng, 253402300800u >> shift),
            (uint32_t)prng_below(&prng, 1000000000),
        };
        if (i % 2 != 0) {
            time.sec = -time.sec / 5;
        }
        long double exact =
            (long double)time.sec + (long double)time.nsec / 1e9L;
        uint64_t bits = nf_mirage_time_put(time);
        double d;
        memcpy(&d, &bits, sizeof(d));
        long double error = fabsl(exact - (long double)d);
        ck_assert(error <= fabsl(exact - (long double)nextafter(d, INFINITY)));
        ck_assert(error <= fabsl(exact - (long double)nextafter(d, -INFINITY)));
    }
}
END_TEST

/* From 1970-04-08 on a double is coarser than a nanosecond. */
START_TEST(later_times_return_as_they_were)
{
    struct prng prng = prng_seed(2);
    for (int i = 0; i < 200000; i++) {
        unsigned shift = (unsigned)prng_below(&prng, 15);
        double d = ldexp((double)(prng_next(&prng) >> 11), -16 - (int)shift);
        struct nf_time time;
        if (d < 8388608.0 || d >= 253402300799.0) {
            continue;
        }
        d = i % 2 != 0 && d < 62167219200.0 ? -d : d;
        ck_assert(nf_mirage_time_get(bits_of(d), &time));
        ck_assert_uint_eq(nf_mirage_time_put(time), bits_of(d));
    }
}
END_TEST

UNIT_MAIN("notafs/mirage_time", reads_times, refuses_what_is_no_time,
          writes_times, rounds_to_the_nearest, later_times_return_as_they_were)
