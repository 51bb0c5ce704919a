/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_BD_MEM_H
#define NOTAFS_BD_MEM_H

#include <notafs/blockdev.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A disk in memory that the caller gives. Fields are for bd_mem.c. */
struct bd_mem {
    uint8_t *base;
    uint32_t page_size;
};

/*
 * Make *bd stand for the len bytes at base: len / page_size pages (bytes of a
 * last, partial page are left alone). Flushing does nothing, and succeeds.
 *
 * Owns:    *mem and base stay the caller's and must outlive *bd; there is
 *          nothing to release.
 * Errors:  as bd_init.
 */
NF_MUST_USE int bd_mem_init(struct bd *bd, struct bd_mem *mem, uint8_t *base,
                            size_t len, uint32_t page_size);

#ifdef __cplusplus
}
#endif
#endif
