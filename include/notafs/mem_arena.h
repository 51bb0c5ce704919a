/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_MEM_ARENA_H
#define NOTAFS_MEM_ARENA_H

#include <notafs/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Memory for nf_env from one range of bytes, and not a byte more: for programs
 * without an allocator. Blocks carry no header; what is free is a list in
 * order of address, and neighbours are joined.
 *
 * Units:   bytes. A block takes its size rounded up to NF_ARENA_GRAIN.
 * Threads: one caller at a time.
 * Cost:    an allocation or a release passes the gaps of lower address.
 */
enum { NF_ARENA_GRAIN = 16 };

/* Fields are for mem_arena.c; the numbers may be read at any time. */
struct nf_arena {
    struct nf_arena_gap *gaps; /* in order of address */
    uint8_t *base;
    size_t len;  /* bytes that can be given out */
    size_t used; /* bytes given out now ... */
    size_t peak; /* ... and at most so far */
};

/*
 * Make *arena hand out the len bytes at base, and fill in ctx, alloc and free
 * of *ret_env. The other callbacks are set to NULL.
 *
 * Owns: arena and base are borrowed for as long as *ret_env is used; there is
 *       nothing to release.
 */
void nf_arena_init(struct nf_arena *arena, void *base, size_t len,
                   struct nf_env *ret_env);

#ifdef __cplusplus
}
#endif
#endif
