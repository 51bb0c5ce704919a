/* SPDX-License-Identifier: ISC */
/*
 * BLAKE2b of one message, in portable C, after RFC 7693.
 *
 * A block is compressed only when a byte follows it: the last one, full or
 * not, is compressed by final with the flag that marks it. A key is a first
 * block of its own, padded with zeros.
 */
#include "pack/hash/blake2b.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/codec.h"
#include "pack/hash/blake2b_int.h"
#include "pack/hash/blake2b_rounds.h"

void pk_blake2b_start(uint64_t h[8], size_t digest_len, size_t key_len)
{
    nf_assert(digest_len >= 1 && digest_len <= PK_BLAKE2B_MAX_DIGEST_LEN);
    nf_assert(key_len <= PK_BLAKE2B_MAX_KEY_LEN);
    memcpy(h, pk_blake2b_iv, sizeof(pk_blake2b_iv));
    /* Fan-out 1 and depth 1: one message, no tree. */
    h[0] ^= 0x01010000u | (uint64_t)key_len << 8 | digest_len;
}

void pk_blake2b_compress(uint64_t h[8], const uint8_t *block, uint64_t n_bytes,
                         bool is_last)
{
    uint64_t m[16];
    uint64_t v[16];

    /* Unrolled, or the arrays would live in memory. */
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        m[i] = nf_get_le64(block + 8 * i);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[8 + i] = pk_blake2b_iv[i];
    }
    v[12] ^= n_bytes;
    v[14] ^= is_last ? UINT64_MAX : 0;
    pk_blake2b_rounds(v, m);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        h[i] ^= v[i] ^ v[8 + i];
    }
}

void pk_blake2b_init(struct pk_blake2b *b, struct pk_slice key,
                     size_t digest_len)
{
    pk_blake2b_start(b->h, digest_len, key.len);
    b->n_bytes = 0;
    b->digest_len = digest_len;
    b->buf_len = 0;
    if (key.len > 0) {
        memset(b->buf, 0, sizeof(b->buf));
        memcpy(b->buf, key.p, key.len);
        b->buf_len = sizeof(b->buf);
    }
}

/* Compress one block that is not the last. */
static void take_block(struct pk_blake2b *b, const uint8_t *block)
{
    b->n_bytes += PK_BLAKE2B_BLOCK_LEN;
    pk_blake2b_compress(b->h, block, b->n_bytes, false);
}

void pk_blake2b_update(struct pk_blake2b *b, struct pk_slice bytes)
{
    size_t room = sizeof(b->buf) - b->buf_len;

    if (bytes.len > room) {
        if (b->buf_len > 0) {
            memcpy(b->buf + b->buf_len, bytes.p, room);
            bytes.p += room;
            bytes.len -= room;
            take_block(b, b->buf);
            b->buf_len = 0;
        }
        while (bytes.len > PK_BLAKE2B_BLOCK_LEN) {
            take_block(b, bytes.p);
            bytes.p += PK_BLAKE2B_BLOCK_LEN;
            bytes.len -= PK_BLAKE2B_BLOCK_LEN;
        }
    }
    if (bytes.len > 0) {
        memcpy(b->buf + b->buf_len, bytes.p, bytes.len);
        b->buf_len += bytes.len;
    }
}

void pk_blake2b_final(struct pk_blake2b *b, uint8_t *ret_digest)
{
    memset(b->buf + b->buf_len, 0, sizeof(b->buf) - b->buf_len);
    pk_blake2b_compress(b->h, b->buf, b->n_bytes + b->buf_len, true);
    for (size_t i = 0; i < 8; i++) {
        nf_put_le64(b->buf + 8 * i, b->h[i]);
    }
    memcpy(ret_digest, b->buf, b->digest_len);
}

void pk_blake2b(struct pk_slice message, struct pk_slice key, size_t digest_len,
                uint8_t *ret_digest)
{
    struct pk_blake2b b;

    pk_blake2b_init(&b, key, digest_len);
    pk_blake2b_update(&b, message);
    pk_blake2b_final(&b, ret_digest);
}
