/* SPDX-License-Identifier: ISC */
/*
 * The fronts of entries that were lately read or appended, by offset. An inode
 * names its children by offset alone, their hashes are in front of their own
 * entries, all over the store: whoever verifies or hashes it asks for all.
 */
#ifndef PK_HEADS_H
#define PK_HEADS_H

#include "pack/ctx.h"
#include "pack/entry.h"

struct pk_heads {
    struct pk_head_at *slots;
    uint8_t *hashes;
    size_t n; /* a power of two */
    size_t hash_len;
};

/* As many as fit into len bytes, but a few at least. pk_heads_deinit releases,
 * on error, too. */
NF_MUST_USE int pk_heads_init(struct pk_heads *heads, struct pk_ctx *ctx,
                              size_t len, size_t hash_len);
void pk_heads_deinit(struct pk_heads *heads, struct nf_mem *mem);

bool pk_heads_find(const struct pk_heads *heads, uint64_t off,
                   struct pk_head *ret);
void pk_heads_put(struct pk_heads *heads, uint64_t off,
                  const struct pk_head *head);

/* Forget all of them. */
void pk_heads_clear(struct pk_heads *heads);

#endif
