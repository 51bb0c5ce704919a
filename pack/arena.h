/* SPDX-License-Identifier: ISC */
/* Memory that is released all at once. */
#ifndef PK_ARENA_H
#define PK_ARENA_H

#include "notafs/platform/mem.h"

struct pk_arena_block;

struct pk_arena {
    struct nf_mem *mem;
    struct pk_arena_block *blocks; /* newest first */
    uint8_t *p;                    /* what is left of the newest */
    size_t left;
    size_t len; /* bytes of all blocks */
};

static inline struct pk_arena pk_arena_of(struct nf_mem *mem)
{
    return (struct pk_arena){mem, NULL, NULL, 0, 0};
}

/* size bytes aligned to 8, unset; NULL when there is no memory. */
void *pk_arena_alloc(struct pk_arena *arena, size_t size);

/* Release everything. */
void pk_arena_clear(struct pk_arena *arena);

#endif
