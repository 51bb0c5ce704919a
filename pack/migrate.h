/* SPDX-License-Identifier: ISC */
/* Giving a store a lower layer that was born without one (spec 7.3, 8.5). */
#ifndef PK_MIGRATE_H
#define PK_MIGRATE_H

#include "pack/manager.h"

/* The dictionary without its dead header, until it takes its place. */
#define PK_MIGRATE_DICT "store.dict.tmp"

/*
 * Where a lower layer is given and the store has none: all that it holds
 * becomes volume 0. Before the files are opened.
 *
 * Errors: NF_EC_MIGRATION: not asked for, or a store that was collected or
 *         split. NF_EC_STRATEGY: only minimal indexing can open the result.
 * Cost:   a copy of the suffix.
 */
NF_MUST_USE int pk_migrate_lower(struct pk_store *store);

/* End one that broke off behind the control file, or remove what one has left
 * that did not come so far. */
NF_MUST_USE int pk_migrate_clean(struct pk_store *store);

#endif
