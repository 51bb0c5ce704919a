/* SPDX-License-Identifier: ISC */
/*
 * Blocks of memory, filled one after the other: the first one small, the next
 * as large as all before it together. What does not fit into a fourth of a
 * block gets one of its own, behind the one in use.
 */
#include "pack/arena.h"

#include <stdint.h>

enum { ARENA_FIRST_LEN = 2 << 10, ARENA_BLOCK_LEN = 32 << 10 };

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
        arena->len += len;
    }
    return block;
}

void *pk_arena_alloc(struct pk_arena *arena, size_t size)
{
    struct pk_arena_block *block;
    uint8_t *p;
    size_t len;

    size = size > SIZE_MAX / 2 ? size : size / 8 * 8 + 8;
    len = arena->len < ARENA_FIRST_LEN   ? ARENA_FIRST_LEN
          : arena->len < ARENA_BLOCK_LEN ? arena->len
                                         : ARENA_BLOCK_LEN;
    if (size > arena->left && size > len / 4) {
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
        block = arena_block(arena, len);
        if (block == NULL) {
            return NULL;
        }
        block->next = arena->blocks;
        arena->blocks = block;
        arena->p = (uint8_t *)(block + 1);
        arena->left = len;
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
    arena->len = 0;
}
