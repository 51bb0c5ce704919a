/* SPDX-License-Identifier: ISC */
/*
 * BLAKE2b, a block of each of four messages at once: AVX2. Called only where
 * pk_cpu_detect found it, whatever the rest is compiled for.
 */
#include "pack/hash/blake2b_int.h"

#if defined(__x86_64__)

/* Registers are sixteen and words live are thirty-two: the rest is in the
 * frame, and all of it without optimisation. */
#pragma GCC diagnostic ignored "-Wframe-larger-than="

#define PK_BLAKE2B_LANES  4
#define PK_BLAKE2B_TARGET __attribute__((target("avx2")))
#include "pack/hash/blake2b_rounds.h"

/* m[w] = word w of each of the four rows of 32 bytes at block[] + at. */
PK_BLAKE2B_INLINE void transpose(pk_blake2b_word m[4],
                                 const uint8_t *const *block, size_t at)
{
    pk_blake2b_word r0 = pk_blake2b_load(block[0] + at);
    pk_blake2b_word r1 = pk_blake2b_load(block[1] + at);
    pk_blake2b_word r2 = pk_blake2b_load(block[2] + at);
    pk_blake2b_word r3 = pk_blake2b_load(block[3] + at);
    pk_blake2b_word even01 = __builtin_shufflevector(r0, r1, 0, 4, 2, 6);
    pk_blake2b_word odd01 = __builtin_shufflevector(r0, r1, 1, 5, 3, 7);
    pk_blake2b_word even23 = __builtin_shufflevector(r2, r3, 0, 4, 2, 6);
    pk_blake2b_word odd23 = __builtin_shufflevector(r2, r3, 1, 5, 3, 7);

    m[0] = __builtin_shufflevector(even01, even23, 0, 1, 4, 5);
    m[1] = __builtin_shufflevector(odd01, odd23, 0, 1, 4, 5);
    m[2] = __builtin_shufflevector(even01, even23, 2, 3, 6, 7);
    m[3] = __builtin_shufflevector(odd01, odd23, 2, 3, 6, 7);
}

PK_BLAKE2B_TARGET void pk_blake2b_compress_x4(struct pk_blake2b_lanes *lanes)
{
    pk_blake2b_word m[16];

    transpose(m, lanes->block, 0);
    transpose(m + 4, lanes->block, 32);
    transpose(m + 8, lanes->block, 64);
    transpose(m + 12, lanes->block, 96);
    pk_blake2b_compress_words(lanes, m);
}

#endif
