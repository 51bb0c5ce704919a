/* SPDX-License-Identifier: ISC */
/* What side commits say. */
#ifndef PK_SIDE_H
#define PK_SIDE_H

#include <notafs/posix.h>

/* The commit that a side commit belongs to; false: it is none. */
bool pk_posix_belongs(const struct pk_repo *repo,
                      const struct pk_commit *commit, struct pk_digest *ret);

#endif
