/* SPDX-License-Identifier: ISC */
/*
 * Counted memory over the embedder's two callbacks.
 *
 * Invariant: used is the sum of the sizes of live blocks, as given to the
 * callbacks: a request for nothing counts, and is released, as one byte.
 * Callers remember sizes, so blocks carry no header and stay aligned.
 */
#include "notafs/platform/mem.h"

#include <stddef.h>
#include <string.h>

#include "notafs/platform/assert.h"

static size_t nf_mem_len(size_t size)
{
    return size == 0 ? 1 : size;
}

void *nf_alloc_aligned(struct nf_mem *mem, size_t size, size_t align)
{
    const size_t len = nf_mem_len(size);

    nf_assert(align != 0 && (align & (align - 1)) == 0 && align <= 4096);
    if (len > SIZE_MAX - mem->used) {
        return NULL;
    }
    void *p = mem->env->alloc(mem->env->ctx, len, align);
    if (p == NULL) {
        return NULL;
    }
    mem->used += len;
    if (mem->used > mem->peak) {
        mem->peak = mem->used;
    }
    return p;
}

void *nf_alloc(struct nf_mem *mem, size_t size)
{
    return nf_alloc_aligned(mem, size, _Alignof(max_align_t));
}

void *nf_calloc(struct nf_mem *mem, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    void *p = nf_alloc(mem, n * size);
    if (p != NULL) {
        memset(p, 0, n * size);
    }
    return p;
}

void *nf_realloc(struct nf_mem *mem, void *p, size_t old_size, size_t new_size)
{
    void *moved = nf_alloc(mem, new_size);

    if (moved == NULL || p == NULL) {
        return moved;
    }
    memcpy(moved, p, old_size < new_size ? old_size : new_size);
    nf_free(mem, p, old_size);
    return moved;
}

void nf_free(struct nf_mem *mem, void *p, size_t size)
{
    const size_t len = nf_mem_len(size);

    if (p == NULL) {
        return;
    }
    nf_assert(len <= mem->used);
    mem->used -= len;
    mem->env->free(mem->env->ctx, p, len);
}
