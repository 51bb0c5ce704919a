/* SPDX-License-Identifier: ISC */
/* What every part of an open store shares: memory, and its last error. */
#ifndef PK_CTX_H
#define PK_CTX_H

#include <notafs/platform.h>

#include "notafs/platform/mem.h"

struct pk_ctx {
    const struct nf_env *env;
    struct nf_mem mem;
    struct nf_error_info err;
    size_t bulk_len; /* bytes that are gathered before they are written, or
                        hashed, together */
    bool broken;     /* a sync failed: nobody knows what is on disk */
};

/* Set down where and why a call fails; returns err. file may be NULL, off
 * NF_NOWHERE, what is static text. A breakpoint here sees all corruption. */
int pk_fail(struct pk_ctx *ctx, int err, const char *file, uint64_t off,
            const char *what);

/* As pk_fail, for a number that is not what it should be. */
int pk_fail_number(struct pk_ctx *ctx, int err, const char *file,
                   uint64_t expected, uint64_t found, const char *what);

/* NF_EC_SHORT_FILE: the file ends at found, and should not before expected. */
int pk_fail_short(struct pk_ctx *ctx, const char *file, uint64_t expected,
                  uint64_t found);

/* Memory ran out. */
int pk_fail_mem(struct pk_ctx *ctx);

#endif
