/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <notafs/mem_arena.h>

#include "host/prng.h"
#include "tests/support/unit.h"

enum { ARENA_LEN = 64 << 10 };

static _Alignas(4096) uint8_t bytes[ARENA_LEN + 64];

START_TEST(gives_all_and_takes_it_back)
{
    struct nf_arena arena;
    struct nf_env env;
    void *p[ARENA_LEN / NF_ARENA_GRAIN];
    const size_t n = sizeof(p) / sizeof(*p);

    nf_arena_init(&arena, bytes, ARENA_LEN, &env);
    for (size_t i = 0; i < n; i++) {
        p[i] = env.alloc(env.ctx, 1, 1);
    }
    ck_assert_uint_eq(arena.used, ARENA_LEN);
    ck_assert_ptr_null(env.alloc(env.ctx, 1, 1));
    for (size_t i = 0; i < n; i += 2) { /* first every other one */
        env.free(env.ctx, p[i], 1);
    }
    ck_assert_ptr_null(env.alloc(env.ctx, NF_ARENA_GRAIN + 1, 1));
    for (size_t i = n - 1; i < n; i -= 2) {
        env.free(env.ctx, p[i], 1);
    }
    ck_assert_uint_eq(arena.used, 0);
    ck_assert_uint_eq(arena.peak, ARENA_LEN);
    void *all = env.alloc(env.ctx, ARENA_LEN, 16);
    ck_assert_ptr_eq(all, bytes);
    env.free(env.ctx, all, ARENA_LEN);
}
END_TEST

START_TEST(refuses_what_does_not_fit)
{
    struct nf_arena arena;
    struct nf_env env;

    nf_arena_init(&arena, bytes, ARENA_LEN, &env);
    ck_assert_ptr_null(env.alloc(env.ctx, ARENA_LEN + 1, 1));
    ck_assert_ptr_null(env.alloc(env.ctx, SIZE_MAX, 1));
    ck_assert_ptr_null(env.alloc(env.ctx, SIZE_MAX - 14, 1));
    ck_assert_uint_eq(arena.used, 0);
    /* Too small for a single block. */
    nf_arena_init(&arena, bytes + 1, NF_ARENA_GRAIN, &env);
    ck_assert_ptr_null(env.alloc(env.ctx, 1, 1));
    nf_arena_init(&arena, bytes, 0, &env);
    ck_assert_ptr_null(env.alloc(env.ctx, 1, 1));
}
END_TEST

START_TEST(keeps_to_its_bytes)
{
    struct nf_arena arena;
    struct nf_env env;

    memset(bytes, 0xee, sizeof(bytes));
    nf_arena_init(&arena, bytes + 7, ARENA_LEN, &env);
    void *p;
    while ((p = env.alloc(env.ctx, 100, 1)) != NULL) {
        ck_assert_uint_eq((uintptr_t)p % NF_ARENA_GRAIN, 0);
        memset(p, 0x11, 100);
    }
    for (size_t i = 0; i < 7; i++) {
        ck_assert_uint_eq(bytes[i], 0xee);
    }
    for (size_t i = 7 + ARENA_LEN; i < sizeof(bytes); i++) {
        ck_assert_uint_eq(bytes[i], 0xee);
    }
}
END_TEST

struct block {
    uint8_t *p;
    size_t len;
    uint8_t mark;
};

/* Random calls: blocks are aligned, do not overlap, and all comes back. */
static void random_calls(uint64_t seed)
{
    struct prng dice = prng_seed(seed);
    struct block blocks[200] = {{0}};
    struct nf_arena arena;
    struct nf_env env;

    nf_arena_init(&arena, bytes, ARENA_LEN, &env);
    for (int i = 0; i < 5000; i++) {
        struct block *b = &blocks[prng_below(&dice, 200)];
        if (b->p != NULL) {
            size_t whole = 0;
            while (whole < b->len && b->p[whole] == b->mark) {
                whole++;
            }
            ck_assert_msg(whole == b->len, "seed %llu",
                          (unsigned long long)seed);
            env.free(env.ctx, b->p, b->len);
            b->p = NULL;
            continue;
        }
        const size_t align = (size_t)1 << prng_below(&dice, 13);
        b->len = 1 + prng_below(&dice, 1 + prng_below(&dice, 3000));
        b->mark = (uint8_t)prng_next(&dice);
        b->p = env.alloc(env.ctx, b->len, align);
        if (b->p != NULL) {
            ck_assert_uint_eq((uintptr_t)b->p % align, 0);
            memset(b->p, b->mark, b->len);
        }
    }
    for (size_t i = 0; i < 200; i++) {
        if (blocks[i].p != NULL) {
            env.free(env.ctx, blocks[i].p, blocks[i].len);
        }
    }
    ck_assert_uint_eq(arena.used, 0);
    ck_assert_ptr_nonnull(env.alloc(env.ctx, ARENA_LEN, 4096));
}

START_TEST(random_blocks)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        random_calls(seed);
    }
}
END_TEST

UNIT_MAIN("platform/mem_arena", gives_all_and_takes_it_back,
          refuses_what_does_not_fit, keeps_to_its_bytes, random_blocks)
