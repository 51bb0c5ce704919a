/* SPDX-License-Identifier: ISC */
/* Making stores, taking over old ones, and clearing up after crashes. */
#ifndef PK_LAYOUT_H
#define PK_LAYOUT_H

#include "pack/manager.h"

/* The V5 view of a V1 or V2 store (store.pack). Errors: NF_EC_LAYOUT: there is
 * none. */
NF_MUST_USE int pk_layout_legacy(struct pk_store *store,
                                 struct pk_control *ret);

/* Make the V1 or V2 store that *control tells of a V5 one (spec 2.3). */
NF_MUST_USE int pk_layout_migrate(struct pk_store *store,
                                  struct pk_control *control);

/* 1: a migration broke off when all but the new name of store.pack was there;
 * 0: it did not. */
NF_MUST_USE int pk_layout_is_halfway(struct pk_store *store,
                                     const struct pk_control *control);

/* Make an empty store and set store->control (spec 7.2). */
NF_MUST_USE int pk_layout_create(struct pk_store *store);

/* Remove the leavings of crashes (spec 1.4), and end a migration that was
 * broken off. */
NF_MUST_USE int pk_layout_clean(struct pk_store *store);

#endif
