/* SPDX-License-Identifier: ISC */
/* One place for each head, found by its offset; the newer one takes it. */
#include "pack/heads.h"

#include <string.h>

enum { HEADS_MIN = 16 };

struct pk_head_at {
    uint64_t off; /* NF_NOWHERE: none */
    uint64_t len;
    uint32_t body;
    uint8_t kind;
};

int pk_heads_init(struct pk_heads *heads, struct pk_ctx *ctx, size_t len,
                  size_t hash_len)
{
    size_t n = HEADS_MIN;

    while (n <= len / 2 / (sizeof(struct pk_head_at) + hash_len)) {
        n *= 2;
    }
    heads->n = n;
    heads->hash_len = hash_len;
    heads->slots = nf_calloc(&ctx->mem, n, sizeof(*heads->slots));
    heads->hashes = nf_alloc(&ctx->mem, n * hash_len);
    if (heads->slots == NULL || heads->hashes == NULL) {
        return pk_fail_mem(ctx);
    }
    pk_heads_clear(heads);
    return 0;
}

void pk_heads_deinit(struct pk_heads *heads, struct nf_mem *mem)
{
    nf_free(mem, heads->slots, heads->n * sizeof(*heads->slots));
    nf_free(mem, heads->hashes, heads->n * heads->hash_len);
    *heads = (struct pk_heads){0};
}

static size_t heads_slot(const struct pk_heads *heads, uint64_t off)
{
    return (size_t)(off * 0x9e3779b97f4a7c15u >> 32) & (heads->n - 1);
}

bool pk_heads_find(const struct pk_heads *heads, uint64_t off,
                   struct pk_head *ret)
{
    size_t i = heads_slot(heads, off);
    const struct pk_head_at *at = &heads->slots[i];

    if (at->off != off || off == NF_NOWHERE) {
        return false;
    }
    ret->kind = at->kind;
    ret->len = at->len;
    ret->body = at->body;
    memset(&ret->hash, 0, sizeof(ret->hash));
    memcpy(ret->hash.b, heads->hashes + i * heads->hash_len, heads->hash_len);
    return true;
}

void pk_heads_put(struct pk_heads *heads, uint64_t off,
                  const struct pk_head *head)
{
    size_t i = heads_slot(heads, off);

    heads->slots[i] =
        (struct pk_head_at){off, head->len, head->body, head->kind};
    memcpy(heads->hashes + i * heads->hash_len, head->hash.b, heads->hash_len);
}

void pk_heads_clear(struct pk_heads *heads)
{
    for (size_t i = 0; i < heads->n; i++) {
        heads->slots[i].off = NF_NOWHERE;
    }
}
