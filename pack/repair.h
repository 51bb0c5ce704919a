/* SPDX-License-Identifier: ISC */
/* Mending what can be mended. */
#ifndef PK_REPAIR_H
#define PK_REPAIR_H

#include "pack/manager.h"

/* store is made by pk_store_begin, for writing; pk_store_close after it, also
 * on error. */
NF_MUST_USE int pk_repair_store(struct pk_store *store, pk_finding_fn fn,
                                void *arg, struct pk_repair_stats *ret_stats);

#endif
