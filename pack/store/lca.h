/* SPDX-License-Identifier: ISC */
/* Lowest common ancestors of sets of commits, by their offsets. */
#ifndef PK_LCA_H
#define PK_LCA_H

#include "pack/store/repo.h"

struct pk_lcas {
    uint64_t *offs; /* ascending by the commits' hashes */
    size_t n;
    size_t cap;
};

struct pk_offs {
    const uint64_t *offs;
    size_t n;
};

/* The lowest commits that both some of a and some of b reach. Release by
 * pk_lcas_deinit. Errors: as pk_lca. */
NF_MUST_USE int pk_lcas_find(struct pk_repo *repo, struct pk_offs a,
                             struct pk_offs b, uint64_t max_commits,
                             struct pk_lcas *ret_lcas);
void pk_lcas_deinit(struct pk_repo *repo, struct pk_lcas *lcas);


#endif
