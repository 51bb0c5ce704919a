/* SPDX-License-Identifier: ISC */
/*
 * What the files of BLAKE2b share: the compression of one block, and of one
 * block of each of several messages.
 */
#ifndef PK_BLAKE2B_INT_H
#define PK_BLAKE2B_INT_H

#include "pack/hash/blake2b.h"

/* h before the first block. */
void pk_blake2b_start(uint64_t h[8], size_t digest_len, size_t key_len);

/* h after block (128 bytes), with which the message has n_bytes. */
void pk_blake2b_compress(uint64_t h[8], const uint8_t *block, uint64_t n_bytes,
                         bool is_last);

/* Messages side by side, one per column, so that a row fills a vector. A
 * kernel of four uses the first four columns. */
enum { PK_BLAKE2B_MAX_LANES = 8 };
struct pk_blake2b_lanes {
    _Alignas(64) uint64_t h[8][PK_BLAKE2B_MAX_LANES];
    uint64_t n_bytes[PK_BLAKE2B_MAX_LANES];
    uint64_t last[PK_BLAKE2B_MAX_LANES]; /* all ones in the last block, or 0 */
    const uint8_t *block[PK_BLAKE2B_MAX_LANES];
};

/* pk_blake2b_compress in every column. */
#if defined(__x86_64__)
void pk_blake2b_compress_x4(struct pk_blake2b_lanes *lanes); /* PK_CPU_AVX2 */
void pk_blake2b_compress_x8(struct pk_blake2b_lanes *lanes); /* _AVX512 */
#endif

#endif
