/* SPDX-License-Identifier: ISC */
/* Memory from the embedder's hook, counted. */
#ifndef NF_MEM_H
#define NF_MEM_H

#include <notafs/platform.h>

struct nf_mem {
    const struct nf_env *env;
    size_t used; /* bytes now */
    size_t peak; /* bytes at most so far */
};

/* size bytes, unset, aligned for any scalar; NULL when there is none. Size 0
 * is an allocation of one byte. */
void *nf_alloc(struct nf_mem *mem, size_t size);

/* As nf_alloc, set to zero. n * size must not overflow: NULL if it does. */
void *nf_calloc(struct nf_mem *mem, size_t n, size_t size);

/* As nf_alloc, aligned to align (a power of two, at most 4096). */
void *nf_alloc_aligned(struct nf_mem *mem, size_t size, size_t align);

/* p, of old_size bytes or NULL, moved to new_size bytes; NULL when there is no
 * memory, and p stays as it was. */
void *nf_realloc(struct nf_mem *mem, void *p, size_t old_size, size_t new_size);

/* Release p, which came from this mem with this size. NULL is fine. */
void nf_free(struct nf_mem *mem, void *p, size_t size);

#endif
