/* SPDX-License-Identifier: ISC */
/* Checks of a repo. */
#include "pack/integrity.h"
#include "pack/store/repo.h"

int pk_check(struct pk_repo *repo, pk_finding_fn fn, void *arg,
             struct pk_check_stats *ret_stats)
{
    return pk_check_store(&repo->store, fn, arg, ret_stats);
}
