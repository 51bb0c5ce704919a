/* SPDX-License-Identifier: ISC */
/*
 * Numbers in a file, as many as one likes in little memory: appended at the
 * end, read anywhere. 8 bytes each, little-endian.
 */
#ifndef PK_LIST_H
#define PK_LIST_H

#include "pack/file.h"

enum {
    PK_LIST_PAGE_LEN = 4096,
    PK_LIST_PAGE_N = PK_LIST_PAGE_LEN / 8,
    PK_LIST_PAGES = 64, /* in memory */
};

struct pk_list_file {
    struct pk_ctx *ctx;
    struct pk_file file;
    uint64_t n;
    uint8_t *tail;                 /* the last page, not full */
    uint8_t *pages;                /* PK_LIST_PAGES of the others */
    uint64_t which[PK_LIST_PAGES]; /* page + 1; 0: none */
};

/* Open the file name, made if there is none, with its first n numbers. */
NF_MUST_USE int pk_list_file_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                                  const char *name, uint64_t n,
                                  struct pk_list_file *list);

/* One that was never opened but is all 0 is fine. */
void pk_list_file_close(struct pk_list_file *list);

NF_MUST_USE int pk_list_file_add(struct pk_list_file *list, uint64_t v);

/* The i-th, i < n. */
NF_MUST_USE int pk_list_file_get(struct pk_list_file *list, uint64_t i,
                                 uint64_t *ret);

/* Write what is in memory alone. */
NF_MUST_USE int pk_list_file_flush(struct pk_list_file *list);

/* Of groups of `stride` numbers, the first of each less than that of the one
 * before: the group that begins with v. Errors: NF_ENOENT. */
NF_MUST_USE int pk_list_file_find(struct pk_list_file *list, uint64_t stride,
                                  uint64_t v, uint64_t *ret_group);

#endif
