/* SPDX-License-Identifier: ISC */
/*
 * First fit in a list of gaps that is ordered by address. The sizes that
 * callers give back make headers unnecessary.
 *
 * Invariants: gaps do not overlap or touch, their addresses and lengths are
 * multiples of the grain, and their lengths and used add up to len.
 */
#include <notafs/mem_arena.h>

#include "notafs/platform/assert.h"

struct nf_arena_gap {
    struct nf_arena_gap *next;
    size_t len;
};

_Static_assert(sizeof(struct nf_arena_gap) <= NF_ARENA_GRAIN,
               "a gap of one grain must hold its own description");

/* Bytes from p up to the next multiple of align. */
static size_t arena_skew(const void *p, size_t align)
{
    return (size_t)(-(uintptr_t)p & (align - 1));
}

static struct nf_arena_gap *arena_gap_at(uint8_t *p, size_t len,
                                         struct nf_arena_gap *next)
{
    struct nf_arena_gap *gap = (struct nf_arena_gap *)(void *)p;

    gap->next = next;
    gap->len = len;
    return gap;
}

/* What len bytes take; 0: more than there can be. */
static size_t arena_round(const struct nf_arena *arena, size_t len)
{
    if (len > arena->len) {
        return 0;
    }
    return (len + NF_ARENA_GRAIN - 1) / NF_ARENA_GRAIN * NF_ARENA_GRAIN;
}

static void *arena_alloc(void *ctx, size_t size, size_t align)
{
    struct nf_arena *arena = ctx;
    struct nf_arena_gap **at = &arena->gaps;
    const size_t len = arena_round(arena, size);
    size_t skew = 0;

    if (len == 0) {
        return NULL;
    }
    while (*at != NULL) {
        skew = arena_skew(*at, align);
        if ((*at)->len >= len && (*at)->len - len >= skew) {
            break;
        }
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return NULL;
    }
    struct nf_arena_gap *gap = *at;
    uint8_t *p = (uint8_t *)gap + skew;
    const size_t rest = gap->len - skew - len;
    struct nf_arena_gap *next =
        rest > 0 ? arena_gap_at(p + len, rest, gap->next) : gap->next;
    if (skew > 0) {
        gap->len = skew;
        gap->next = next;
    } else {
        *at = next;
    }
    arena->used += len;
    if (arena->used > arena->peak) {
        arena->peak = arena->used;
    }
    return p;
}

static void arena_free(void *ctx, void *p, size_t size)
{
    struct nf_arena *arena = ctx;
    struct nf_arena_gap *before = NULL;
    struct nf_arena_gap *after = arena->gaps;
    const size_t len = arena_round(arena, size);
    uint8_t *start = p;

    while (after != NULL && (uint8_t *)after < start) {
        before = after;
        after = after->next;
    }
    /* Released twice, or with another size. */
    nf_assert(len > 0 && len <= arena->used && start >= arena->base &&
              len <= arena->len - (size_t)(start - arena->base));
    nf_assert(before == NULL || (uint8_t *)before + before->len <= start);
    nf_assert(after == NULL || start + len <= (uint8_t *)after);
    arena->used -= len;
    struct nf_arena_gap *gap = arena_gap_at(start, len, after);
    if (after != NULL && start + len == (uint8_t *)after) {
        gap->len += after->len;
        gap->next = after->next;
    }
    if (before != NULL && (uint8_t *)before + before->len == start) {
        before->len += gap->len;
        before->next = gap->next;
    } else if (before != NULL) {
        before->next = gap;
    } else {
        arena->gaps = gap;
    }
}

void nf_arena_init(struct nf_arena *arena, void *base, size_t len,
                   struct nf_env *ret_env)
{
    const size_t skew = arena_skew(base, NF_ARENA_GRAIN);

    *arena = (struct nf_arena){0};
    if (len >= skew + NF_ARENA_GRAIN) {
        arena->base = (uint8_t *)base + skew;
        arena->len = (len - skew) / NF_ARENA_GRAIN * NF_ARENA_GRAIN;
        arena->gaps = arena_gap_at(arena->base, arena->len, NULL);
    }
    *ret_env = (struct nf_env){
        .ctx = arena,
        .alloc = arena_alloc,
        .free = arena_free,
    };
}
