/* SPDX-License-Identifier: ISC */
/*
 * Blocks of memory, filled one after the other. What does not fit into a
 * fourth of a block gets one of its own, behind the one in use.
 */
#include "pack/arena.h"

#include <stdint.h>

enum { ARENA_BLOCK_LEN = 32 << 10 };

struct pk_arena_block {
    struct pk_arena_block *next;
    size_t size; /* with this header */
};

static struct pk_arena_block *arena_block(struct pk_arena *arena, size_t len)
{
    struct pk_arena_block *block;

    if (len > SIZE_MAX / 2) {
        return NULL;
    }
    block = nf_alloc(arena->mem, sizeof(*block) + len);
    if (block != NULL) {
        block->size = sizeof(*block) + len;
    }
    return block;
}

void *pk_arena_alloc(struct pk_arena *arena, size_t size)
{
    struct pk_arena_block *block;
    uint8_t *p;

    size = size > SIZE_MAX / 2 ? size : size / 8 * 8 + 8;
    if (size > arena->left && size > ARENA_BLOCK_LEN / 4) {
        block = arena_block(arena, size);
        if (block == NULL) {
            return NULL;
        }
        if (arena->blocks == NULL) {
            block->next = NULL;
            arena->blocks = block;
        } else {
            block->next = arena->blocks->next;
            arena->blocks->next = block;
        }
        return block + 1;
    }
    if (size > arena->left) {
        block = arena_block(arena, ARENA_BLOCK_LEN);
        if (block == NULL) {
            return NULL;
        }
        block->next = arena->blocks;
        arena->blocks = block;
        arena->p = (uint8_t *)(block + 1);
        arena->left = ARENA_BLOCK_LEN;
    }
    p = arena->p;
    arena->p += size;
    arena->left -= size;
    return p;
}

void pk_arena_clear(struct pk_arena *arena)
{
    while (arena->blocks != NULL) {
        struct pk_arena_block *block = arena->blocks;

        arena->blocks = block->next;
        nf_free(arena->mem, block, block->size);
    }
    arena->p = NULL;
    arena->left = 0;
}
