/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "host/prng.h"
#include "tests/support/bd_replay.h"
#include "tests/support/unit.h"

enum { PAGES = 16, LEN = 1024 };

static uint8_t base[PAGES * LEN];

static struct bd_fault *disk(void)
{
    struct bd_fault *fault = bd_fault_open(
        &(struct bd_geometry){PAGES, LEN, BD_CAP_FLUSH | BD_CAP_DISCARD});
    struct prng prng = prng_seed(7);

    prng_bytes(&prng, sizeof(base), base);
    for (uint64_t p = 0; p < PAGES; p++) {
        bd_fault_store(fault, p, base + p * LEN);
    }
    return fault;
}

/* n random writes, with flushes and discards among them, recorded; the disk is
 * as before. */
static void scenario(struct bd_fault *fault, struct prng *prng, int n,
                     struct bd_fault_log *log)
{
    static uint8_t page[LEN];

    bd_fault_mark(fault);
    fault->log = log;
    for (int i = 0; i < n; i++) {
        const uint64_t p = prng_below(prng, PAGES);
        switch (prng_below(prng, 8)) {
        case 0:
            assert_ok(bd_flush(&fault->bd));
            break;
        case 1:
            assert_ok(bd_discard(&fault->bd, &(struct bd_range){p, 1}, 1));
            break;
        default:
            prng_bytes(prng, sizeof(page), page);
            assert_ok(bd_write(&fault->bd, p, 1, page));
        }
    }
    fault->log = NULL;
    bd_fault_reset(fault);
    bd_fault_unmark(fault);
}

/* The plain way: an entry done to a copy of the disk. */
static void apply(uint8_t *copy, const struct bd_fault_log *log, size_t i,
                  const uint64_t *sectors)
{
    const struct bd_fault_entry *entry = &log->entries[i];
    uint8_t *at = copy + entry->page * LEN;

    if (entry->op == BD_FAULT_DISCARD) {
        memset(at, BD_FAULT_POISON, LEN);
    }
    for (size_t k = 0; entry->op == BD_FAULT_WRITE && k < LEN / 512; k++) {
        if (sectors == NULL || (sectors[0] >> k & 1) != 0) {
            memcpy(at + k * 512, log->data + entry->data + k * 512, 512);
        }
    }
}

START_TEST(settles_at_completed_flushes)
{
    struct bd_fault *fault = disk();
    struct bd_fault_log log = {0};

    fault->log = &log;
    bd_fault_fail(fault, BD_FAULT_FLUSH, 3, false);
    for (int i = 0; i < 4; i++) { /* w F w F w f w F */
        assert_ok(bd_write(&fault->bd, 0, 1, base));
        assert_err(bd_flush(&fault->bd), i == 2 ? NF_EIO : 0);
    }
    static const size_t expected[3][9] = {
        {0, 0, 2, 2, 4, 4, 4, 4, 8},
        {0, 0, 0, 0, 2, 2, 2, 2, 4},
        {0, 0, 0, 0, 0, 0, 0, 0, 2},
    };
    for (size_t held = 0; held < 3; held++) {
        for (size_t upto = 0; upto <= log.n; upto++) {
            ck_assert_uint_eq(bd_replay_settled(&log, upto, held),
                              expected[held][upto]);
        }
    }
    bd_fault_log_deinit(&log);
    bd_fault_close(fault);
}
END_TEST

START_TEST(order_and_tears)
{
    static uint8_t pages[2][LEN];
    struct bd_fault *fault = disk();
    struct bd_fault_log log = {0};
    struct bd_replay replay;
    const uint64_t second = 2;
    const uint64_t none = 0;

    memset(pages[0], 'x', LEN);
    memset(pages[1], 'y', LEN);
    bd_fault_mark(fault);
    fault->log = &log;
    assert_ok(bd_write(&fault->bd, 3, 1, pages[0]));
    assert_ok(bd_write(&fault->bd, 3, 1, pages[1]));
    fault->log = NULL;
    bd_fault_reset(fault);

    bd_replay_open(&replay, fault, &log);
    const uint8_t *at = bd_fault_page(fault, 3);
    bd_replay_crash(&replay, (struct bd_replay_pick[]){{0, NULL}, {1, NULL}},
                    2);
    ck_assert_mem_eq(at, pages[1], LEN);
    bd_replay_crash(&replay, (struct bd_replay_pick[]){{1, NULL}, {0, NULL}},
                    2);
    ck_assert_mem_eq(at, pages[0], LEN);
    bd_replay_crash(&replay, (struct bd_replay_pick[]){{0, NULL}, {1, &second}},
                    2);
    ck_assert_mem_eq(at, pages[0], 512);
    ck_assert_mem_eq(at + 512, pages[1], 512);
    bd_replay_crash(&replay, (struct bd_replay_pick[]){{1, &second}}, 1);
    ck_assert_mem_eq(at, base + 3 * LEN, 512);
    ck_assert_mem_eq(at + 512, pages[1], 512);
    bd_replay_crash(&replay, (struct bd_replay_pick[]){{0, &none}}, 1);
    ck_assert_mem_eq(at, base + 3 * LEN, LEN);
    bd_replay_close(&replay);
    bd_fault_log_deinit(&log);
    bd_fault_close(fault);
}
END_TEST

/* Any position, any picks in any order, and changes to the disk in between,
 * against copies made the plain way. */
START_TEST(crashes_match_the_plain_way)
{
    static uint8_t want[PAGES * LEN];
    static uint8_t junk[LEN];
    struct bd_fault *fault = disk();
    struct bd_fault_log log = {0};
    struct bd_replay replay;
    struct prng prng = prng_seed(99);

    scenario(fault, &prng, 100, &log);
    ck_assert_mem_eq(bd_fault_page(fault, 0), base, sizeof(base));
    bd_replay_open(&replay, fault, &log);
    for (int round = 0; round < 2000; round++) {
        const size_t pos = (size_t)prng_below(&prng, log.n + 1);
        struct bd_replay_pick picks[10];
        uint64_t sectors[10];
        const size_t n_picks = pos == log.n ? 0 : (size_t)prng_below(&prng, 11);

        memcpy(want, base, sizeof(want));
        for (size_t i = 0; i < pos; i++) {
            apply(want, &log, i, NULL);
        }
        for (size_t i = 0; i < n_picks; i++) {
            sectors[i] = prng_below(&prng, 4);
            picks[i].entry = pos + (size_t)prng_below(&prng, log.n - pos);
            picks[i].sectors = prng_below(&prng, 2) == 0 ? NULL : &sectors[i];
            apply(want, &log, picks[i].entry, picks[i].sectors);
        }
        bd_replay_seek(&replay, pos);
        for (int again = 0; again < 2; again++) {
            bd_replay_crash(&replay, picks, n_picks);
            ck_assert_msg(memcmp(bd_fault_page(fault, 0), want, sizeof(want)) ==
                              0,
                          "round %d", round);
            assert_ok(bd_write(&fault->bd, prng_below(&prng, PAGES), 1, junk));
        }
    }
    bd_replay_close(&replay);
    ck_assert_mem_eq(bd_fault_page(fault, 0), base, sizeof(base));
    ck_assert_uint_eq(fault->n_marks, 0);
    bd_fault_log_deinit(&log);
    bd_fault_close(fault);
}
END_TEST

/* A crash while the state that a crash left is being changed. */
START_TEST(nests)
{
    static uint8_t state[PAGES * LEN];
    static uint8_t want[PAGES * LEN];
    struct bd_fault *fault = disk();
    struct bd_fault_log outer = {0};
    struct bd_fault_log inner = {0};
    struct bd_replay replay;
    struct bd_replay again;
    struct prng prng = prng_seed(5);

    scenario(fault, &prng, 30, &outer);
    bd_replay_open(&replay, fault, &outer);
    for (size_t pos = 0; pos < outer.n; pos++) {
        const struct bd_replay_pick pick = {pos, NULL};
        bd_replay_seek(&replay, pos);
        bd_replay_crash(&replay, &pick, 1);
        memcpy(state, bd_fault_page(fault, 0), sizeof(state));

        bd_fault_log_clear(&inner);
        scenario(fault, &prng, 5, &inner);
        bd_replay_open(&again, fault, &inner);
        for (size_t i = 0; i < inner.n; i++) {
            const struct bd_replay_pick inner_pick = {i, NULL};
            memcpy(want, state, sizeof(want));
            apply(want, &inner, i, NULL);
            bd_replay_crash(&again, &inner_pick, 1);
            ck_assert_mem_eq(bd_fault_page(fault, 0), want, sizeof(want));
        }
        bd_replay_close(&again);
        ck_assert_mem_eq(bd_fault_page(fault, 0), state, sizeof(state));
    }
    bd_replay_close(&replay);
    ck_assert_mem_eq(bd_fault_page(fault, 0), base, sizeof(base));
    bd_fault_log_deinit(&outer);
    bd_fault_log_deinit(&inner);
    bd_fault_close(fault);
}
END_TEST

UNIT_MAIN("support/bd_replay", settles_at_completed_flushes, order_and_tears,
          crashes_match_the_plain_way, nests)
