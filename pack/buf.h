/* SPDX-License-Identifier: ISC */
/*
 * Bytes that grow. Once memory has run out the buffer stays failed and takes
 * no more, so that an encoder asks once, at its end. Encoders put a few bytes
 * at a time, all day long: that is why it is done here. What is inline without
 * static is there once, in buf.c, where code is built for size.
 */
#ifndef PK_BUF_H
#define PK_BUF_H

#include <notafs/hash.h>
#include <string.h>

#include "notafs/platform/codec.h"
#include "notafs/platform/mem.h"

struct pk_buf {
    struct nf_mem *mem;
    uint8_t *p;
    size_t len;
    size_t cap;
    bool failed;
};

static inline struct pk_buf pk_buf_of(struct nf_mem *mem)
{
    return (struct pk_buf){mem, NULL, 0, 0, false};
}

void pk_buf_deinit(struct pk_buf *b);

/* Empty, and no longer failed; memory is kept. */
void pk_buf_clear(struct pk_buf *b);

/* As pk_buf_grow, where there is no room yet. */
uint8_t *pk_buf_make_room(struct pk_buf *b, size_t len);

/* len more bytes at the end, unset; NULL when there is no memory. */
inline uint8_t *pk_buf_grow(struct pk_buf *b, size_t len)
{
    uint8_t *p = b->p;

    if (p == NULL || b->failed || len > b->cap - b->len) {
        return pk_buf_make_room(b, len);
    }
    p += b->len;
    b->len += len;
    return p;
}

inline void pk_put(struct pk_buf *b, const uint8_t *p, size_t len)
{
    uint8_t *to = pk_buf_grow(b, len);

    if (to != NULL && len > 0) {
        memcpy(to, p, len);
    }
}

inline void pk_put_u8(struct pk_buf *b, uint8_t v)
{
    uint8_t *to = pk_buf_grow(b, 1);

    if (to != NULL) {
        *to = v;
    }
}

static inline void pk_put_be64(struct pk_buf *b, uint64_t v)
{
    uint8_t *to = pk_buf_grow(b, 8);

    if (to != NULL) {
        nf_put_be64(to, v);
    }
}

inline void pk_put_varint(struct pk_buf *b, uint64_t v)
{
    for (; v >= 128; v >>= 7) {
        pk_put_u8(b, (uint8_t)(v | 128));
    }
    pk_put_u8(b, (uint8_t)v);
}

inline void pk_put_boxed(struct pk_buf *b, struct pk_slice s)
{
    pk_put_varint(b, s.len);
    pk_put(b, s.p, s.len);
}

void pk_put_be32(struct pk_buf *b, uint32_t v);

/* Bytes that a varint takes. */
size_t pk_varint_len(uint64_t v);

#endif
