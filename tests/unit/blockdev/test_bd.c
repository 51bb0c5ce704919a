/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <notafs/bd_mem.h>

#include "tests/support/unit.h"

/* A driver that remembers the last call of each kind. */
struct spy {
    int submits;
    int flushes;
    int discards;
    const struct bd_request *reqs;
    const struct bd_range *ranges;
    size_t n;
    int answer;
};

static int spy_submit(void *dev, const struct bd_request *reqs, size_t n_reqs)
{
    struct spy *spy = dev;

    spy->submits++;
    spy->reqs = reqs;
    spy->n = n_reqs;
    return spy->answer;
}

static int spy_flush(void *dev)
{
    struct spy *spy = dev;

    spy->flushes++;
    return spy->answer;
}

static int spy_discard(void *dev, const struct bd_range *ranges,
                       size_t n_ranges)
{
    struct spy *spy = dev;

    spy->discards++;
    spy->ranges = ranges;
    spy->n = n_ranges;
    return spy->answer;
}

static const struct bd_ops spy_ops = {
    .submit = spy_submit,
    .flush = spy_flush,
    .discard = spy_discard,
};

#define SPY_PAGES 100

static struct bd spy_bd(struct spy *spy, uint32_t caps)
{
    const struct bd_geometry geo = {SPY_PAGES, 512, caps};
    struct bd bd;

    *spy = (struct spy){0};
    assert_ok(bd_init(&bd, &spy_ops, spy, &geo));
    return bd;
}

START_TEST(geometries)
{
    static const struct bd_geometry bad[] = {
        {0, 512, 0},       {1, 0, 0},      {1, 256, 0},
        {1, 513, 0},       {1, 131072, 0}, {UINT64_MAX / 512 + 1, 512, 0},
        {1, 512, 1u << 3},
    };
    static const struct bd_geometry good[] = {
        {1, 512, 0},
        {1, 65536, BD_CAP_FLUSH | BD_CAP_READONLY | BD_CAP_DISCARD},
        {UINT64_MAX / 512, 512, 0},
    };
    struct bd bd;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_err(bd_init(&bd, &spy_ops, NULL, &bad[i]), NF_EINVAL);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_ok(bd_init(&bd, &spy_ops, NULL, &good[i]));
    }
}
END_TEST

START_TEST(capabilities_need_callbacks)
{
    const struct bd_ops only_submit = {.submit = spy_submit};
    const struct bd_ops nothing = {.flush = spy_flush};
    struct bd bd;

    assert_ok(bd_init(&bd, &only_submit, NULL,
                      &(struct bd_geometry){1, 512, BD_CAP_READONLY}));
    assert_err(bd_init(&bd, &only_submit, NULL,
                       &(struct bd_geometry){1, 512, BD_CAP_FLUSH}),
               NF_EINVAL);
    assert_err(bd_init(&bd, &only_submit, NULL,
                       &(struct bd_geometry){1, 512, BD_CAP_DISCARD}),
               NF_EINVAL);
    assert_err(bd_init(&bd, &nothing, NULL, &(struct bd_geometry){1, 512, 0}),
               NF_EINVAL);
}
END_TEST

START_TEST(out_of_range)
{
    static const struct bd_range bad[] = {
        {SPY_PAGES, 1},  {SPY_PAGES - 1, 2},       {0, SPY_PAGES + 1},
        {UINT64_MAX, 1}, {UINT64_MAX, UINT32_MAX}, {UINT64_MAX - 1, 2},
    };
    static uint8_t buf[512];
    struct spy spy;
    struct bd bd = spy_bd(&spy, BD_CAP_DISCARD);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct bd_request reqs[] = {
            {.range = {0, 1}, .in = buf},
            {.range = bad[i], .out = buf},
        };
        const struct bd_range ranges[] = {{0, 1}, bad[i]};
        assert_err(bd_submit(&bd, reqs, 2), NF_ERANGE);
        assert_err(bd_discard(&bd, ranges, 2), NF_ERANGE);
    }
    ck_assert_int_eq(spy.submits + spy.discards, 0);
    ck_assert_mem_eq(&bd.count, &(struct bd_counters){0},
                     sizeof(struct bd_counters));
    assert_ok(bd_read(&bd, SPY_PAGES - 1, 1, buf));
    assert_ok(bd_write(&bd, 0, SPY_PAGES, buf));
}
END_TEST

START_TEST(malformed)
{
    static uint8_t buf[512];
    static const struct bd_request bad[] = {
        {.range = {0, 0}, .in = buf},
        {.range = {0, 1}},
        {.range = {0, 1}, .in = buf, .out = buf},
    };
    struct spy spy;
    struct bd bd = spy_bd(&spy, BD_CAP_DISCARD);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_err(bd_submit(&bd, &bad[i], 1), NF_EINVAL);
    }
    assert_err(bd_discard(&bd, &(struct bd_range){3, 0}, 1), NF_EINVAL);
    ck_assert_int_eq(spy.submits + spy.discards, 0);
}
END_TEST

START_TEST(readonly)
{
    static uint8_t buf[512];
    const struct bd_request reqs[] = {
        {.range = {0, 1}, .in = buf},
        {.range = {1, 1}, .out = buf},
    };
    struct spy spy;
    struct bd bd = spy_bd(&spy, BD_CAP_READONLY | BD_CAP_DISCARD);

    assert_err(bd_submit(&bd, reqs, 2), NF_EROFS);
    assert_err(bd_discard(&bd, &reqs[0].range, 1), NF_EROFS);
    ck_assert_int_eq(spy.submits + spy.discards, 0);
    assert_ok(bd_submit(&bd, reqs, 1));
    ck_assert_int_eq(spy.submits, 1);
}
END_TEST

START_TEST(batches_pass_whole_and_are_counted)
{
    static uint8_t buf[512 * 8];
    const struct bd_request reqs[] = {
        {.range = {0, 1}, .in = buf},
        {.range = {10, 5}, .out = buf},
        {.range = {20, 2}, .out = buf},
    };
    const struct bd_range ranges[] = {{5, 5}, {30, 1}};
    struct spy spy;
    struct bd bd = spy_bd(&spy, BD_CAP_FLUSH | BD_CAP_DISCARD);

    assert_ok(bd_submit(&bd, reqs, 3));
    ck_assert_ptr_eq(spy.reqs, reqs);
    ck_assert_uint_eq(spy.n, 3);
    assert_ok(bd_flush(&bd));
    assert_ok(bd_discard(&bd, ranges, 2));
    ck_assert_ptr_eq(spy.ranges, ranges);
    ck_assert_uint_eq(spy.n, 2);
    ck_assert_int_eq(spy.submits, 1);
    ck_assert_int_eq(spy.flushes, 1);
    ck_assert_int_eq(spy.discards, 1);
    const struct bd_counters expected = {
        .batches = 1,
        .reads = 1,
        .writes = 2,
        .pages_read = 1,
        .pages_written = 7,
        .flushes = 1,
        .discards = 2,
    };
    ck_assert_mem_eq(&bd.count, &expected, sizeof(expected));
}
END_TEST

START_TEST(nothing_to_do)
{
    static uint8_t buf[512];
    const struct bd_range range = {0, 1};
    struct spy spy;
    struct bd bd = spy_bd(&spy, BD_CAP_FLUSH | BD_CAP_DISCARD);

    assert_ok(bd_submit(&bd, NULL, 0));
    assert_ok(bd_discard(&bd, NULL, 0));
    ck_assert_int_eq(spy.submits + spy.discards, 0);
    bd = spy_bd(&spy, 0);
    assert_ok(bd_flush(&bd));
    assert_ok(bd_discard(&bd, &range, 1));
    ck_assert_int_eq(spy.flushes + spy.discards, 0);
    ck_assert_uint_eq(bd.count.flushes + bd.count.discards, 0);
    assert_ok(bd_write(&bd, 0, 1, buf));
}
END_TEST

START_TEST(driver_errors_come_back)
{
    static uint8_t buf[512];
    struct spy spy;
    struct bd bd = spy_bd(&spy, BD_CAP_FLUSH | BD_CAP_DISCARD);

    spy.answer = NF_EIO;
    assert_err(bd_read(&bd, 0, 1, buf), NF_EIO);
    assert_err(bd_write(&bd, 0, 1, buf), NF_EIO);
    assert_err(bd_flush(&bd), NF_EIO);
    assert_err(bd_discard(&bd, &(struct bd_range){0, 1}, 1), NF_EIO);
    ck_assert_uint_eq(bd.count.batches, 2);
}
END_TEST

UNIT_MAIN("blockdev/bd", geometries, capabilities_need_callbacks, out_of_range,
          malformed, readonly, batches_pass_whole_and_are_counted,
          nothing_to_do, driver_errors_come_back)
