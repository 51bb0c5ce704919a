/* SPDX-License-Identifier: ISC */
/*
 * BLAKE2b, a block of each of eight messages at once: AVX-512 (its foundation
 * suffices). Called only where pk_cpu_detect found it, whatever the rest is
 * compiled for.
 */
#include "pack/hash/blake2b_int.h"

#if defined(__x86_64__)

/* Without optimisation, and under clang, words spill into the frame. */
#pragma GCC diagnostic ignored "-Wframe-larger-than="

#define PK_BLAKE2B_LANES  8
#define PK_BLAKE2B_TARGET __attribute__((target("avx512f")))
#include "pack/hash/blake2b_rounds.h"

/* Of two rows: their even words in pairs, their odd words in pairs, ... */
PK_BLAKE2B_INLINE pk_blake2b_word even(pk_blake2b_word a, pk_blake2b_word b)
{
    return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
}

PK_BLAKE2B_INLINE pk_blake2b_word odd(pk_blake2b_word a, pk_blake2b_word b)
{
    return __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}

/* ... and the same with pairs of words for words: even and odd pairs of a,
 * then those of b. */
PK_BLAKE2B_INLINE pk_blake2b_word even2(pk_blake2b_word a, pk_blake2b_word b)
{
    return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13);
}

PK_BLAKE2B_INLINE pk_blake2b_word odd2(pk_blake2b_word a, pk_blake2b_word b)
{
    return __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
}

/* m[0], m[2], m[4] and m[6] from the words of four pairs of rows. */
PK_BLAKE2B_INLINE void transpose_pairs(pk_blake2b_word *m, pk_blake2b_word r01,
                                       pk_blake2b_word r23, pk_blake2b_word r45,
                                       pk_blake2b_word r67)
{
    pk_blake2b_word low = even2(r01, r23);
    pk_blake2b_word high = even2(r45, r67);

    m[0] = even2(low, high);
    m[4] = odd2(low, high);
    low = odd2(r01, r23);
    high = odd2(r45, r67);
    m[2] = even2(low, high);
    m[6] = odd2(low, high);
}

/* m[w] = word w of each of the eight rows of 64 bytes at block[] + at. */
PK_BLAKE2B_INLINE void transpose(pk_blake2b_word m[8],
                                 const uint8_t *const *block, size_t at)
{
    pk_blake2b_word r[8];

#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        r[i] = pk_blake2b_load(block[i] + at);
    }
    transpose_pairs(m, even(r[0], r[1]), even(r[2], r[3]), even(r[4], r[5]),
                    even(r[6], r[7]));
    transpose_pairs(m + 1, odd(r[0], r[1]), odd(r[2], r[3]), odd(r[4], r[5]),
                    odd(r[6], r[7]));
}

PK_BLAKE2B_TARGET void pk_blake2b_compress_x8(struct pk_blake2b_lanes *lanes)
{
    pk_blake2b_word m[16];

    transpose(m, lanes->block, 0);
    transpose(m + 8, lanes->block, 64);
    pk_blake2b_compress_words(lanes, m);
}

#endif
