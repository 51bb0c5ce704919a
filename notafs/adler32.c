/* SPDX-License-Identifier: ISC */
/*
 * ADLER-32 (RFC 1950): a is one and the sum of all bytes, b the sum of all
 * values that a takes, both modulo 65521. So a block of n bytes adds n times
 * the a before it to b, and byte i of it n - i times; that sum is what vectors
 * are good at, and the modulo can wait as long as b fits into 32 bits.
 */
#include "notafs/nf_int.h"

#define ADLER_MOD 65521u
#define ADLER_RUN 5552u /* bytes after which b could need more than 32 bits */

struct adler {
    uint32_t a;
    uint32_t b;
};

#if defined(__SSE2__)

#define ADLER_BLOCK 16u

/* The compiler's header for SSE2 needs a libc. */
typedef uint8_t v16u8 __attribute__((vector_size(16)));
typedef char v16i8 __attribute__((vector_size(16)));
typedef short v8i16 __attribute__((vector_size(16)));
typedef uint32_t v4u32 __attribute__((vector_size(16)));

static uint32_t sum_lanes(v4u32 v)
{
    return v[0] + v[1] + v[2] + v[3];
}

/* Products of neighbours, added in pairs. */
static v4u32 dot(v16u8 bytes, v8i16 weights)
{
    return (v4u32)__builtin_ia32_pmaddwd128((v8i16)bytes, weights);
}

/* len bytes, whole blocks, at most a run. */
static void add_blocks(struct adler *sum, const uint8_t *p, size_t len)
{
    const v16u8 zero = {0};
    const v8i16 front = {16, 15, 14, 13, 12, 11, 10, 9};
    const v8i16 back = {8, 7, 6, 5, 4, 3, 2, 1};
    v4u32 bytes = {0};    /* of all blocks so far */
    v4u32 before = {0};   /* of each block, the bytes before it */
    v4u32 weighted = {0}; /* each byte as often as its block counts it */
    sum->b += (uint32_t)len * sum->a;
    for (size_t i = 0; i < len; i += ADLER_BLOCK) {
        v16u8 block;
        memcpy(&block, p + i, sizeof(block));
        v16u8 low = __builtin_shufflevector(block, zero, 0, 16, 1, 17, 2, 18, 3,
                                            19, 4, 20, 5, 21, 6, 22, 7, 23);
        v16u8 high =
            __builtin_shufflevector(block, zero, 8, 24, 9, 25, 10, 26, 11, 27,
                                    12, 28, 13, 29, 14, 30, 15, 31);
        before += bytes;
        bytes += (v4u32)__builtin_ia32_psadbw128((v16i8)block, (v16i8)zero);
        weighted += dot(low, front) + dot(high, back);
    }
    sum->a += sum_lanes(bytes);
    sum->b += ADLER_BLOCK * sum_lanes(before) + sum_lanes(weighted);
}

#else

#define ADLER_BLOCK 8u

/* len bytes, whole blocks, at most a run. */
static void add_blocks(struct adler *sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += ADLER_BLOCK, p += ADLER_BLOCK) {
        sum->b += 8 * sum->a + 8u * p[0] + 7u * p[1] + 6u * p[2] + 5u * p[3] +
                  4u * p[4] + 3u * p[5] + 2u * p[6] + p[7];
        sum->a +=
            (uint32_t)p[0] + p[1] + p[2] + p[3] + p[4] + p[5] + p[6] + p[7];
    }
}

#endif

uint32_t nf_adler32(const uint8_t *p, size_t len)
{
    struct adler sum = {1, 0};
    while (len > 0) {
        size_t run = len < ADLER_RUN ? len : ADLER_RUN;
        size_t blocks = run - run % ADLER_BLOCK;
        add_blocks(&sum, p, blocks);
        for (size_t i = blocks; i < run; i++) {
            sum.a += p[i];
            sum.b += sum.a;
        }
        sum.a %= ADLER_MOD;
        sum.b %= ADLER_MOD;
        p += run;
        len -= run;
    }
    return sum.b << 16 | sum.a;
}
