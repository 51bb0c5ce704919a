/* SPDX-License-Identifier: ISC */
/*
 * Bytes that grow. Once memory has run out the buffer stays failed and takes
 * no more, so that an encoder asks once, at its end.
 */
#ifndef PK_BUF_H
#define PK_BUF_H

#include <notafs/hash.h>

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

/* len more bytes at the end, unset; NULL when there is no memory. */
uint8_t *pk_buf_grow(struct pk_buf *b, size_t len);

void pk_put(struct pk_buf *b, const uint8_t *p, size_t len);
void pk_put_u8(struct pk_buf *b, uint8_t v);
void pk_put_be32(struct pk_buf *b, uint32_t v);
void pk_put_be64(struct pk_buf *b, uint64_t v);
void pk_put_varint(struct pk_buf *b, uint64_t v);
void pk_put_boxed(struct pk_buf *b, struct pk_slice s);

/* Bytes that a varint takes. */
size_t pk_varint_len(uint64_t v);

#endif
