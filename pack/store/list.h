/* SPDX-License-Identifier: ISC */
/* Listings of directories, with the place of each binding. */
#ifndef PK_LIST_H
#define PK_LIST_H

#include "pack/store/repo.h"

/* List a directory. flags: enum pk_list_flags. */
NF_MUST_USE int pk_list_of_place(struct pk_repo *repo,
                                 const struct pk_place *place,
                                 struct pk_range range, uint32_t flags,
                                 struct pk_list **ret_list);

/*
 * Sorted lists, with hashes, of n (at most PK_LIST_SIDES) versions of one
 * directory, NULL for one that has none. Of inodes that all have in common
 * nothing is listed, nor read.
 */
enum { PK_LIST_SIDES = 3 };
NF_MUST_USE int pk_list_differing(struct pk_repo *repo,
                                  const struct pk_place *const *places,
                                  size_t n, struct pk_list **ret_lists);

/* 1 a binding, 0 the end. The step lives until the next call. */
NF_MUST_USE int pk_list_next_place(struct pk_list *list,
                                   struct pk_slice *ret_step,
                                   struct pk_place *ret_place);

#endif
