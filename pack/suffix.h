/* SPDX-License-Identifier: ISC */
/*
 * The suffix: the chunks store.N.suffix, one after the other (spec 1.3). A
 * soff is a position in their sequence, dead headers left out. The last chunk
 * takes what is appended; until it is flushed that is in memory.
 */
#ifndef PK_SUFFIX_H
#define PK_SUFFIX_H

#include "pack/buf.h"
#include "pack/control.h"
#include "pack/file.h"

struct pk_chunk {
    struct pk_file file;
    uint64_t header; /* dead bytes at the front of the file */
    uint64_t soff;   /* of its first byte */
    uint64_t len;    /* bytes in the file, without the header */
};

struct pk_suffix {
    struct pk_ctx *ctx;
    const struct pk_vfs *vfs;
    struct pk_chunk *chunks;
    size_t n_chunks;       /* >= 1 when open */
    size_t cap_chunks;     /* room for so many */
    uint64_t first;        /* number of chunks[0] */
    struct pk_buf pending; /* appended to the last chunk, not yet written */
};

/* Open the chunks that control names (legacy: the one file store.pack). For
 * writing, cut what lies beyond the last one's end. Errors: NF_EC_SHORT_FILE.
 */
NF_MUST_USE int pk_suffix_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                               const struct pk_control *control, bool legacy,
                               bool write, struct pk_suffix *suffix);
int pk_suffix_close(struct pk_suffix *suffix);

/* Bytes of all chunks, with those appended. */
uint64_t pk_suffix_end(const struct pk_suffix *suffix);

/* Bytes of the last chunk that are in its file. */
uint64_t pk_suffix_chunk_end(const struct pk_suffix *suffix);

/* A reader: the last chunk has grown. */
NF_MUST_USE int pk_suffix_extend(struct pk_suffix *suffix, uint64_t chunk_end);

/* At most len bytes at soff, which is before the end. */
NF_MUST_USE int pk_suffix_read(struct pk_suffix *suffix, uint64_t soff,
                               uint8_t *buf, size_t len, size_t *ret_len);

/* Append; written out once much is pending. On error nothing was appended. */
NF_MUST_USE int pk_suffix_append(struct pk_suffix *suffix, const uint8_t *p,
                                 size_t len);

/* Write what is pending; the caller orders it. */
NF_MUST_USE int pk_suffix_flush(struct pk_suffix *suffix);

/* Make a new last chunk that begins at soff, which is in what is pending or at
 * either end of it; what is before is written to the old one, and cut off what
 * a failed write has left behind that. */
NF_MUST_USE int pk_suffix_split(struct pk_suffix *suffix, uint64_t soff);

/* The first n chunks, and not the last, are no part of it any more. */
void pk_suffix_drop(struct pk_suffix *suffix, size_t n);

#endif
