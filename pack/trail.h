/* SPDX-License-Identifier: ISC */
/* The hashes of the objects that somebody has looked at. */
#ifndef PK_TRAIL_H
#define PK_TRAIL_H

#include <notafs/pack.h>

#include "pack/ctx.h"

/* A set of hashes; the slots are free where all bytes are 0. */
struct pk_trail {
    struct pk_ctx *ctx;
    struct pk_digest *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n;
};

static inline struct pk_trail pk_trail_of(struct pk_ctx *ctx)
{
    return (struct pk_trail){ctx, NULL, 0, 0};
}

void pk_trail_deinit(struct pk_trail *trail);
NF_MUST_USE int pk_trail_add(struct pk_trail *trail,
                             const struct pk_digest *hash);
bool pk_trail_has(const struct pk_trail *trail, const struct pk_digest *hash);

#endif
