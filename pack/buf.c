/* SPDX-License-Identifier: ISC */
/*
 * Growing bytes, and the repr encodings of spec 0.1 on top: fixed-width
 * integers big-endian, lengths LEB128 with seven bits a byte, low bits first.
 */
#include "pack/buf.h"

#include "pack/cursor.h"

/* The one copy of what is not put in place. */
extern inline uint8_t *pk_buf_grow(struct pk_buf *b, size_t len);
extern inline void pk_put(struct pk_buf *b, const uint8_t *p, size_t len);
extern inline void pk_put_u8(struct pk_buf *b, uint8_t v);
extern inline void pk_put_varint(struct pk_buf *b, uint64_t v);
extern inline void pk_put_boxed(struct pk_buf *b, struct pk_slice s);
extern inline const uint8_t *pk_take(struct pk_cursor *c, uint64_t len);
extern inline uint8_t pk_take_u8(struct pk_cursor *c);
extern inline uint64_t pk_take_varint(struct pk_cursor *c);

void pk_buf_deinit(struct pk_buf *b)
{
    nf_free(b->mem, b->p, b->cap);
    b->p = NULL;
    b->len = 0;
    b->cap = 0;
}

void pk_buf_clear(struct pk_buf *b)
{
    b->len = 0;
    b->failed = false;
}

uint8_t *pk_buf_make_room(struct pk_buf *b, size_t len)
{
    uint8_t *p;
    size_t cap;

    if (b->failed || len > SIZE_MAX / 4 - b->len) {
        b->failed = true;
        return NULL;
    }
    if (b->p == NULL || b->len + len > b->cap) {
        cap = b->cap * 2 > b->len + len ? b->cap * 2 : b->len + len + 64;
        p = nf_realloc(b->mem, b->p, b->cap, cap);
        if (p == NULL) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    p = b->p + b->len;
    b->len += len;
    return p;
}

void pk_put_be32(struct pk_buf *b, uint32_t v)
{
    uint8_t *to = pk_buf_grow(b, 4);

    if (to != NULL) {
        nf_put_be32(to, v);
    }
}

size_t pk_varint_len(uint64_t v)
{
    size_t n = 1;

    for (; v >= 128; v >>= 7) {
        n++;
    }
    return n;
}
