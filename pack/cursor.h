/* SPDX-License-Identifier: ISC */
/*
 * A reading position that knows its end (spec 0.1). The first read beyond the
 * end, or of a number out of bounds, makes it bad for good: every later read
 * gives 0 and no bytes, so that a decoder asks once, at its end.
 */
#ifndef PK_CURSOR_H
#define PK_CURSOR_H

#include <notafs/hash.h>

#include "notafs/platform/codec.h"

/* Offsets and other 63-bit numbers that we accept: no sum of a few of them
 * overflows. */
#define PK_INT63_MAX (UINT64_MAX >> 2)

struct pk_cursor {
    const uint8_t *start;
    const uint8_t *p;
    const uint8_t *end;
    bool bad;
};

static inline struct pk_cursor pk_cursor_of(const uint8_t *p, size_t len)
{
    return (struct pk_cursor){p, p, p + len, false};
}

static inline size_t pk_cursor_left(const struct pk_cursor *c)
{
    return c->bad ? 0 : (size_t)(c->end - c->p);
}

static inline size_t pk_cursor_pos(const struct pk_cursor *c)
{
    return (size_t)(c->p - c->start);
}

/* The next len bytes, or NULL. */
inline const uint8_t *pk_take(struct pk_cursor *c, uint64_t len)
{
    const uint8_t *p = c->p;

    if (c->bad || len > (uint64_t)(c->end - c->p)) {
        c->bad = true;
        return NULL;
    }
    c->p += len;
    return p;
}

inline uint8_t pk_take_u8(struct pk_cursor *c)
{
    const uint8_t *p = pk_take(c, 1);

    return p == NULL ? 0 : *p;
}

static inline uint32_t pk_take_be32(struct pk_cursor *c)
{
    const uint8_t *p = pk_take(c, 4);

    return p == NULL ? 0 : nf_get_be32(p);
}

/* Eight bytes as they are: dates and checksums. */
static inline uint64_t pk_take_be64(struct pk_cursor *c)
{
    const uint8_t *p = pk_take(c, 8);

    return p == NULL ? 0 : nf_get_be64(p);
}

/* An int63 that is an offset or a length. */
static inline uint64_t pk_take_int63(struct pk_cursor *c)
{
    uint64_t v = pk_take_be64(c);

    if (v > PK_INT63_MAX) {
        c->bad = true;
        return 0;
    }
    return v;
}

/* A LEB128 number, of at most nine bytes. */
inline uint64_t pk_take_varint(struct pk_cursor *c)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint8_t b = pk_take_u8(c);

        v |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            if (v > PK_INT63_MAX) {
                break;
            }
            return v;
        }
    }
    c->bad = true;
    return 0;
}

/* Bytes behind their length as a varint. */
static inline struct pk_slice pk_take_boxed(struct pk_cursor *c)
{
    struct pk_slice s = {NULL, 0};
    uint64_t len = pk_take_varint(c);

    s.p = pk_take(c, len);
    s.len = s.p == NULL ? 0 : (size_t)len;
    return s;
}

#endif
