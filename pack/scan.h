/* SPDX-License-Identifier: ISC */
/* All entries of the pack, without the help of any index. */
#ifndef PK_SCAN_H
#define PK_SCAN_H

#include "pack/manager.h"

/* An entry: where it is, its front, its length. */
typedef int (*pk_scan_fn)(void *arg, uint64_t off, const struct pk_head *head,
                          uint64_t len);

/* Told where no entry begins; the scan goes on with the next piece. */
typedef int (*pk_scan_gap_fn)(void *arg, uint64_t off);

/* The entries of the prefix, then those of each chunk. Anything but 0 from a
 * callback ends the scan, which returns it. gap may be NULL. */
NF_MUST_USE int pk_scan(struct pk_store *store, pk_scan_fn fn,
                        pk_scan_gap_fn gap, void *arg);

/* The length of the entry at off, from its front or else its body. Errors:
 * NF_EC_ENTRY, NF_EC_INODE. */
NF_MUST_USE int pk_scan_length(struct pk_store *store, uint64_t off,
                               const struct pk_head *head, uint64_t *ret_len);

#endif
