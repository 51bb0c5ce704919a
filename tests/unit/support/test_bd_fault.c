/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "host/prng.h"
#include "tests/support/bd_fault.h"
#include "tests/support/unit.h"

#define ALL (BD_CAP_FLUSH | BD_CAP_DISCARD)

static uint8_t page_a[1024];
static uint8_t page_b[1024];
static uint8_t in[1024 * 4];

static struct bd_fault *disk(uint64_t page_count, uint32_t caps)
{
    memset(page_a, 'a', sizeof(page_a));
    memset(page_b, 'b', sizeof(page_b));
    return bd_fault_open(&(struct bd_geometry){page_count, 1024, caps});
}

START_TEST(is_a_disk)
{
    struct bd_fault *fault = disk(4, ALL);

    assert_ok(bd_write(&fault->bd, 2, 1, page_a));
    assert_ok(bd_flush(&fault->bd));
    assert_ok(bd_read(&fault->bd, 1, 3, in));
    ck_assert_mem_eq(in + 1024, page_a, 1024);
    ck_assert_uint_eq(in[0] | in[1023] | in[2048], 0);
    ck_assert_mem_eq(bd_fault_page(fault, 2), page_a, 1024);
    bd_fault_close(fault);
    bd_fault_close(NULL);
}
END_TEST

START_TEST(records_pages_flushes_discards)
{
    static const struct bd_fault_entry expected[] = {
        {.op = BD_FAULT_WRITE, .page = 5, .count = 1, .batch = 1, .data = 0},
        {.op = BD_FAULT_WRITE, .page = 2, .count = 1, .batch = 1, .data = 1024},
        {.op = BD_FAULT_WRITE, .page = 3, .count = 1, .batch = 1, .data = 2048},
        {.op = BD_FAULT_FLUSH, .batch = 1, .data = 3072},
        {.op = BD_FAULT_DISCARD, .page = 6, .count = 2, .batch = 1},
        {.op = BD_FAULT_WRITE, .page = 5, .count = 1, .batch = 3, .data = 3072},
    };
    static uint8_t ab[2048];
    struct bd_fault *fault = disk(8, ALL);
    struct bd_fault_log log = {0};

    memcpy(ab, page_a, 1024);
    memcpy(ab + 1024, page_b, 1024);
    assert_ok(bd_init(&fault->bd, fault->bd.ops, fault, &fault->bd.geo));
    fault->log = &log;
    const struct bd_request reqs[] = {
        {.range = {5, 1}, .out = page_b},
        {.range = {0, 1}, .in = in},
        {.range = {2, 2}, .out = ab},
    };
    assert_ok(bd_submit(&fault->bd, reqs, 3));
    assert_ok(bd_flush(&fault->bd));
    assert_ok(bd_discard(&fault->bd, &(struct bd_range){6, 2}, 1));
    assert_ok(bd_read(&fault->bd, 0, 1, in));
    assert_ok(bd_write(&fault->bd, 5, 1, page_a));
    fault->log = NULL;
    assert_ok(bd_write(&fault->bd, 5, 1, page_b));

    ck_assert_uint_eq(log.n, 6);
    for (size_t i = 0; i < log.n; i++) {
        ck_assert_int_eq(log.entries[i].op, expected[i].op);
        ck_assert(!log.entries[i].failed);
        ck_assert_uint_eq(log.entries[i].page, expected[i].page);
        ck_assert_uint_eq(log.entries[i].count, expected[i].count);
        ck_assert_uint_eq(log.entries[i].batch, expected[i].batch);
        if (expected[i].op == BD_FAULT_WRITE) {
            ck_assert_uint_eq(log.entries[i].data, expected[i].data);
        }
    }
    ck_assert_mem_eq(log.data, page_b, 1024);
    ck_assert_mem_eq(log.data + 1024, ab, 2048);
    ck_assert_mem_eq(log.data + 3072, page_a, 1024);
    bd_fault_log_clear(&log);
    ck_assert_uint_eq(log.n, 0);
    bd_fault_log_deinit(&log);
    bd_fault_close(fault);
}
END_TEST

START_TEST(discard_poisons)
{
    struct bd_fault *fault = disk(4, ALL);

    assert_ok(bd_write(&fault->bd, 0, 1, page_a));
    assert_ok(bd_write(&fault->bd, 1, 1, page_a));
    assert_ok(bd_discard(&fault->bd, &(struct bd_range){1, 2}, 1));
    ck_assert_mem_eq(bd_fault_page(fault, 0), page_a, 1024);
    for (size_t i = 0; i < 2048; i++) {
        ck_assert_uint_eq(bd_fault_page(fault, 1)[i], BD_FAULT_POISON);
    }
    ck_assert_uint_eq(bd_fault_page(fault, 3)[0], 0);
    bd_fault_close(fault);
}
END_TEST

START_TEST(rots)
{
    struct bd_fault *fault = disk(4, ALL);

    bd_fault_store(fault, 3, page_a);
    bd_fault_rot(fault, 3, 1023, 0x81);
    assert_ok(bd_read(&fault->bd, 3, 1, in));
    ck_assert_mem_eq(in, page_a, 1023);
    ck_assert_uint_eq(in[1023], 'a' ^ 0x81);
    bd_fault_close(fault);
}
END_TEST

START_TEST(reads_fail)
{
    struct bd_fault *fault = disk(4, ALL);
    const struct bd_request reqs[] = {
        {.range = {0, 1}, .in = in},
        {.range = {1, 1}, .in = in + 1024},
        {.range = {2, 1}, .in = in + 2048},
    };

    memset(in, 1, sizeof(in));
    bd_fault_fail(fault, BD_FAULT_READ, 2, false);
    assert_err(bd_submit(&fault->bd, reqs, 3), NF_EIO);
    ck_assert_uint_eq(in[0], 0);
    ck_assert_uint_eq(in[1024], BD_FAULT_POISON);
    ck_assert_uint_eq(in[2048], 1);
    assert_ok(bd_submit(&fault->bd, reqs, 3));
    ck_assert_uint_eq(fault->n_failed, 1);
    bd_fault_fail(fault, BD_FAULT_READ, 1, true);
    ck_assert_uint_eq(fault->n_failed, 0);
    for (int i = 0; i < 3; i++) {
        assert_err(bd_read(&fault->bd, 0, 1, in), NF_EIO);
        assert_ok(bd_write(&fault->bd, 0, 1, page_a));
    }
    ck_assert_uint_eq(fault->n_failed, 3);
    bd_fault_fail(fault, BD_FAULT_READ, 0, false);
    assert_ok(bd_read(&fault->bd, 0, 1, in));
    bd_fault_close(fault);
}
END_TEST

START_TEST(writes_fail_half_done)
{
    struct bd_fault *fault = disk(8, ALL);
    struct bd_fault_log log = {0};
    static uint8_t out[3 * 1024];
    const struct bd_request reqs[] = {
        {.range = {0, 1}, .out = page_a},
        {.range = {1, 3}, .out = out},
        {.range = {5, 1}, .out = page_a},
    };

    memset(out, 'c', sizeof(out));
    bd_fault_store(fault, 2, page_b);
    fault->log = &log;
    bd_fault_fail(fault, BD_FAULT_WRITE, 2, false);
    assert_err(bd_submit(&fault->bd, reqs, 3), NF_EIO);
    ck_assert_mem_eq(bd_fault_page(fault, 0), page_a, 1024);
    ck_assert_mem_eq(bd_fault_page(fault, 1), out, 1024);
    ck_assert_mem_eq(bd_fault_page(fault, 2), out, 512);
    ck_assert_mem_eq(bd_fault_page(fault, 2) + 512, page_b, 512);
    ck_assert_uint_eq(bd_fault_page(fault, 3)[0], 0);
    ck_assert_uint_eq(bd_fault_page(fault, 5)[0], 0);
    ck_assert_uint_eq(log.n, 3);
    ck_assert_mem_eq(log.data + log.entries[2].data, bd_fault_page(fault, 2),
                     1024);
    bd_fault_log_deinit(&log);
    bd_fault_close(fault);
}
END_TEST

START_TEST(flushes_and_discards_fail)
{
    struct bd_fault *fault = disk(8, ALL);
    struct bd_fault_log log = {0};
    const struct bd_range ranges[] = {{0, 1}, {1, 1}, {2, 1}};

    fault->log = &log;
    bd_fault_fail(fault, BD_FAULT_FLUSH, 2, false);
    assert_ok(bd_flush(&fault->bd));
    assert_err(bd_flush(&fault->bd), NF_EIO);
    assert_ok(bd_flush(&fault->bd));
    ck_assert_uint_eq(log.n, 3);
    ck_assert(!log.entries[0].failed);
    ck_assert(log.entries[1].failed);
    ck_assert(!log.entries[2].failed);
    bd_fault_fail(fault, BD_FAULT_DISCARD, 2, true);
    assert_err(bd_discard(&fault->bd, ranges, 3), NF_EIO);
    ck_assert_uint_eq(bd_fault_page(fault, 0)[0], BD_FAULT_POISON);
    ck_assert_uint_eq(bd_fault_page(fault, 1)[0], 0);
    ck_assert_uint_eq(bd_fault_page(fault, 2)[0], 0);
    ck_assert_uint_eq(log.n, 4);
    bd_fault_log_deinit(&log);
    bd_fault_close(fault);
}
END_TEST

START_TEST(no_flush)
{
    struct bd_fault *fault = disk(8, 0);
    struct bd_fault_log log = {0};

    fault->log = &log;
    assert_ok(bd_flush(&fault->bd));
    assert_ok(bd_discard(&fault->bd, &(struct bd_range){0, 1}, 1));
    ck_assert_uint_eq(log.n, 0);
    bd_fault_close(fault);
}
END_TEST

/* Random changes, marks, resets and unmarks against whole copies. */
START_TEST(savepoints)
{
    enum { PAGES = 16 };
    static uint8_t copies[BD_FAULT_MARKS][PAGES * 1024];
    static uint8_t now[PAGES * 1024];
    static uint8_t page[1024];
    struct bd_fault *fault = disk(PAGES, ALL);
    struct prng prng = prng_seed(1);
    size_t n_marks = 0;

    memset(now, 0, sizeof(now));
    for (int step = 0; step < 20000; step++) {
        const uint64_t p = prng_below(&prng, PAGES);
        switch (prng_below(&prng, 12)) {
        case 0:
            if (n_marks < BD_FAULT_MARKS) {
                bd_fault_mark(fault);
                memcpy(copies[n_marks++], now, sizeof(now));
            }
            break;
        case 1:
            if (n_marks > 0) {
                bd_fault_unmark(fault);
                n_marks--;
            }
            break;
        case 2:
            if (n_marks > 0) {
                bd_fault_reset(fault);
                memcpy(now, copies[n_marks - 1], sizeof(now));
            }
            break;
        case 3:
            assert_ok(bd_discard(&fault->bd, &(struct bd_range){p, 1}, 1));
            memset(now + p * 1024, BD_FAULT_POISON, 1024);
            break;
        case 4:
            bd_fault_rot(fault, p, 7, 0x10);
            now[p * 1024 + 7] ^= 0x10;
            break;
        default:
            prng_bytes(&prng, sizeof(page), page);
            assert_ok(bd_write(&fault->bd, p, 1, page));
            memcpy(now + p * 1024, page, sizeof(page));
        }
        ck_assert_msg(memcmp(bd_fault_page(fault, 0), now, sizeof(now)) == 0,
                      "step %d", step);
    }
    bd_fault_close(fault);
}
END_TEST

UNIT_MAIN("support/bd_fault", is_a_disk, records_pages_flushes_discards,
          discard_poisons, rots, reads_fail, writes_fail_half_done,
          flushes_and_discards_fail, no_flush, savepoints)
