/* SPDX-License-Identifier: ISC */
/*
 * Errors of a store: the last one's details stay in the context until the
 * next, for pk_repo_error to show. A call that fails inside a call that can do
 * without it leaves its details behind, which does no harm.
 */
#include "pack/ctx.h"

#include <string.h>

int pk_fail(struct pk_ctx *ctx, int err, const char *file, uint64_t off,
            const char *what)
{
    struct nf_error_info *e = &ctx->err;
    size_t len = file == NULL ? 0 : strlen(file);

    if (len >= sizeof(e->file)) {
        len = sizeof(e->file) - 1;
    }
    e->err = err;
    e->page = NF_NOWHERE;
    e->offset = off;
    e->expected = NF_NOWHERE;
    e->found = NF_NOWHERE;
    e->what = what;
    if (len > 0) {
        memcpy(e->file, file, len);
    }
    e->file[len] = '\0';
    return err;
}

int pk_fail_number(struct pk_ctx *ctx, int err, const char *file,
                   uint64_t expected, uint64_t found, const char *what)
{
    (void)pk_fail(ctx, err, file, NF_NOWHERE, what); /* returned below */
    ctx->err.expected = expected;
    ctx->err.found = found;
    return err;
}

int pk_fail_short(struct pk_ctx *ctx, const char *file, uint64_t expected,
                  uint64_t found)
{
    (void)pk_fail_number(ctx, NF_EC_SHORT_FILE, file, expected, found,
                         "length");
    ctx->err.offset = found;
    return NF_EC_SHORT_FILE;
}

int pk_fail_mem(struct pk_ctx *ctx)
{
    return pk_fail(ctx, NF_ENOMEM, NULL, NF_NOWHERE, "memory");
}
