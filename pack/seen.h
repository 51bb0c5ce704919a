/* SPDX-License-Identifier: ISC */
/* A set of offsets. */
#ifndef PK_SEEN_H
#define PK_SEEN_H

#include "pack/ctx.h"

struct pk_seen {
    struct pk_ctx *ctx;
    uint64_t *slots; /* offset + 1; 0 is free */
    size_t n_slots;
    size_t n;
};

/* 1: it is new, and entered; 0: it was there. */
NF_MUST_USE int pk_seen_add(struct pk_seen *seen, uint64_t off);
void pk_seen_deinit(struct pk_seen *seen);

#endif
