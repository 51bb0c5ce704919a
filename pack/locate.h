/* SPDX-License-Identifier: ISC */
/* Objects by hash, and if one is missing, why. */
#ifndef PK_LOCATE_H
#define PK_LOCATE_H

#include "pack/manager.h"

/* The commit with this hash. Errors, each with its place: NF_EC_NO_COMMIT,
 * NF_EC_COLLECTED; NF_EC_INDEX, NF_EC_BRANCHES: a record is damaged.
 * Cost: where there is none, all of the index. */
NF_MUST_USE int pk_locate_commit(struct pk_store *store,
                                 const struct pk_digest *hash,
                                 uint64_t *ret_off);

/* The same, of a commit's parent: at hint if that is known (NF_NOWHERE: it is
 * not), unless what is there is only its remains. */
NF_MUST_USE int pk_locate_parent(struct pk_store *store,
                                 const struct pk_digest *hash, uint64_t hint,
                                 uint64_t *ret_off);

/* An object that is referred to was not found. NF_EC_INDEX if that is because
 * of an entry of the index; else 0. Cost: all of the index. */
NF_MUST_USE int pk_locate_damage(struct pk_store *store,
                                 const struct pk_digest *hash);

/* Set down err at the place of the index where hash would stand; returns it. */
int pk_locate_fail(struct pk_store *store, int err,
                   const struct pk_digest *hash, const char *what);

/* The offset that an address means; NF_NOWHERE for a hash in a proof. Errors,
 * each with its place: NF_EC_UNRESOLVED, NF_EC_INDEX. */
NF_MUST_USE int pk_addr_resolve(struct pk_store *store,
                                const struct pk_addr *addr, uint64_t *ret_off);

#endif
