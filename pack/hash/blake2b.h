/* SPDX-License-Identifier: ISC */
/*
 * BLAKE2b as RFC 7693 has it: digests of 1 to 64 bytes, keys of up to 64.
 * Messages are shorter than 2^64 bytes.
 */
#ifndef PK_BLAKE2B_H
#define PK_BLAKE2B_H

#include "pack/hash/hash.h"

enum {
    PK_BLAKE2B_BLOCK_LEN = 128,
    PK_BLAKE2B_MAX_DIGEST_LEN = 64,
    PK_BLAKE2B_MAX_KEY_LEN = 64,
};

/* A message on its way. */
struct pk_blake2b {
    uint64_t h[8];
    uint64_t n_bytes; /* compressed so far */
    size_t digest_len;
    size_t buf_len; /* 128 too: the last block waits for the end */
    uint8_t buf[PK_BLAKE2B_BLOCK_LEN];
};

/* Begin. digest_len is 1..64; key is of 0..64 bytes (0: no key) and stays in b
 * until other bytes replace it. */
void pk_blake2b_init(struct pk_blake2b *b, struct pk_slice key,
                     size_t digest_len);

void pk_blake2b_update(struct pk_blake2b *b, struct pk_slice bytes);

/* End: digest_len bytes into ret_digest. b must be begun anew to be used. */
void pk_blake2b_final(struct pk_blake2b *b, uint8_t *ret_digest);

/* All three in one call. */
void pk_blake2b(struct pk_slice message, struct pk_slice key, size_t digest_len,
                uint8_t *ret_digest);

/* n messages without key: for pk_hash_many. */
void pk_blake2b_many(const struct pk_hasher *hasher,
                     const struct pk_hash_job *jobs, size_t n);

#endif
