/* SPDX-License-Identifier: ISC */
/*
 * The rounds of BLAKE2b (RFC 7693, 3.1 and 3.2), written once for one message
 * and for several side by side, whose words make up vectors. The including
 * file may define, before:
 *
 *   PK_BLAKE2B_LANES    how many messages
 *   PK_BLAKE2B_TARGET   the attribute of functions that use such vectors
 *
 * Every index is known when compiling, so that words stay in registers; but
 * for size, the rounds are a loop.
 */
#ifndef PK_BLAKE2B_ROUNDS_H
#define PK_BLAKE2B_ROUNDS_H

#include <stdint.h>

#include "pack/hash/blake2b_int.h"

#if !defined(PK_BLAKE2B_LANES)
#define PK_BLAKE2B_LANES 1
#define PK_BLAKE2B_TARGET
#endif

/* Without optimisation, inlining would only make frames of many KiB. */
#if defined(__OPTIMIZE__)
#define PK_BLAKE2B_INLINE                                                      \
    PK_BLAKE2B_TARGET static inline __attribute__((always_inline))
#else
#define PK_BLAKE2B_INLINE PK_BLAKE2B_TARGET static inline
#endif

#if PK_BLAKE2B_LANES == 1
typedef uint64_t pk_blake2b_word;
#else
typedef uint64_t pk_blake2b_word
    __attribute__((vector_size(8 * PK_BLAKE2B_LANES)));
#endif

static const uint64_t pk_blake2b_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Which word of the block is mixed in where; rounds 10 and 11 repeat 0 and
 * 1. */
static const uint8_t pk_blake2b_sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

#if PK_BLAKE2B_LANES == 4
/* AVX2 has no rotation: whole bytes are shuffled. */
typedef uint8_t pk_blake2b_bytes __attribute__((vector_size(32)));

PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr32(pk_blake2b_word x)
{
    return (pk_blake2b_word)__builtin_shufflevector(
        (pk_blake2b_bytes)x, (pk_blake2b_bytes)x, 4, 5, 6, 7, 0, 1, 2, 3, 12,
        13, 14, 15, 8, 9, 10, 11, 20, 21, 22, 23, 16, 17, 18, 19, 28, 29, 30,
        31, 24, 25, 26, 27);
}

PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr24(pk_blake2b_word x)
{
    return (pk_blake2b_word)__builtin_shufflevector(
        (pk_blake2b_bytes)x, (pk_blake2b_bytes)x, 3, 4, 5, 6, 7, 0, 1, 2, 11,
        12, 13, 14, 15, 8, 9, 10, 19, 20, 21, 22, 23, 16, 17, 18, 27, 28, 29,
        30, 31, 24, 25, 26);
}

PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr16(pk_blake2b_word x)
{
    return (pk_blake2b_word)__builtin_shufflevector(
        (pk_blake2b_bytes)x, (pk_blake2b_bytes)x, 2, 3, 4, 5, 6, 7, 0, 1, 10,
        11, 12, 13, 14, 15, 8, 9, 18, 19, 20, 21, 22, 23, 16, 17, 26, 27, 28,
        29, 30, 31, 24, 25);
}
#else
PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr32(pk_blake2b_word x)
{
    return x >> 32 | x << 32;
}

PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr24(pk_blake2b_word x)
{
    return x >> 24 | x << 40;
}

PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr16(pk_blake2b_word x)
{
    return x >> 16 | x << 48;
}
#endif

PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_rotr63(pk_blake2b_word x)
{
    return x >> 63 | x << 1;
}

PK_BLAKE2B_INLINE void pk_blake2b_mix(pk_blake2b_word *a, pk_blake2b_word *b,
                                      pk_blake2b_word *c, pk_blake2b_word *d,
                                      const pk_blake2b_word *x,
                                      const pk_blake2b_word *y)
{
    *a += *b + *x;
    *d = pk_blake2b_rotr32(*d ^ *a);
    *c += *d;
    *b = pk_blake2b_rotr24(*b ^ *c);
    *a += *b + *y;
    *d = pk_blake2b_rotr16(*d ^ *a);
    *c += *d;
    *b = pk_blake2b_rotr63(*b ^ *c);
}

PK_BLAKE2B_INLINE void pk_blake2b_round(pk_blake2b_word *v,
                                        const pk_blake2b_word *m, unsigned r)
{
    const uint8_t *s = pk_blake2b_sigma[r % 10];

    pk_blake2b_mix(&v[0], &v[4], &v[8], &v[12], &m[s[0]], &m[s[1]]);
    pk_blake2b_mix(&v[1], &v[5], &v[9], &v[13], &m[s[2]], &m[s[3]]);
    pk_blake2b_mix(&v[2], &v[6], &v[10], &v[14], &m[s[4]], &m[s[5]]);
    pk_blake2b_mix(&v[3], &v[7], &v[11], &v[15], &m[s[6]], &m[s[7]]);
    pk_blake2b_mix(&v[0], &v[5], &v[10], &v[15], &m[s[8]], &m[s[9]]);
    pk_blake2b_mix(&v[1], &v[6], &v[11], &v[12], &m[s[10]], &m[s[11]]);
    pk_blake2b_mix(&v[2], &v[7], &v[8], &v[13], &m[s[12]], &m[s[13]]);
    pk_blake2b_mix(&v[3], &v[4], &v[9], &v[14], &m[s[14]], &m[s[15]]);
}

PK_BLAKE2B_INLINE void pk_blake2b_rounds(pk_blake2b_word *v,
                                         const pk_blake2b_word *m)
{
#if defined(__OPTIMIZE_SIZE__)
    for (unsigned r = 0; r < 12; r++) {
        pk_blake2b_round(v, m, r);
    }
#else
    pk_blake2b_round(v, m, 0);
    pk_blake2b_round(v, m, 1);
    pk_blake2b_round(v, m, 2);
    pk_blake2b_round(v, m, 3);
    pk_blake2b_round(v, m, 4);
    pk_blake2b_round(v, m, 5);
    pk_blake2b_round(v, m, 6);
    pk_blake2b_round(v, m, 7);
    pk_blake2b_round(v, m, 8);
    pk_blake2b_round(v, m, 9);
    pk_blake2b_round(v, m, 10);
    pk_blake2b_round(v, m, 11);
#endif
}

#if PK_BLAKE2B_LANES > 1
/* The built-in copy is a vector move even where memcpy must be a call. */
PK_BLAKE2B_INLINE pk_blake2b_word pk_blake2b_load(const void *p)
{
    pk_blake2b_word x;

    __builtin_memcpy(&x, p, sizeof(x));
    return x;
}

/* m[i] holds word i of each block. */
PK_BLAKE2B_INLINE void pk_blake2b_compress_words(struct pk_blake2b_lanes *lanes,
                                                 const pk_blake2b_word m[16])
{
    pk_blake2b_word v[16];
    const pk_blake2b_word zero = {0};

#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        v[i] = pk_blake2b_load(lanes->h[i]);
        v[8 + i] = zero + pk_blake2b_iv[i];
    }
    v[12] ^= pk_blake2b_load(lanes->n_bytes);
    v[14] ^= pk_blake2b_load(lanes->last);
    pk_blake2b_rounds(v, m);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        v[i] ^= v[8 + i] ^ pk_blake2b_load(lanes->h[i]);
        __builtin_memcpy(lanes->h[i], &v[i], sizeof(v[i]));
    }
}
#endif

#endif
