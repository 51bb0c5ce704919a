/* SPDX-License-Identifier: ISC */
/* Errors of a handle: the one place where damage is raised, so that one
 * breakpoint sees all of it. */
#include "notafs/nf_int.h"

int nf_fail_value(struct nf *nf, int err, uint64_t page, const char *what,
                  uint64_t expected, uint64_t found)
{
    nf->error.err = err;
    nf->error.page = page;
    nf->error.offset = NF_NOWHERE;
    nf->error.expected = expected;
    nf->error.found = found;
    nf->error.what = what;
    nf->error.file[0] = '\0';
    if (nf_err_class(err) == NF_ECORRUPT) {
        nf_trace(nf->mem.env, NF_EV_CORRUPT, page, (uint64_t)-err, 0);
    }
    return err;
}

int nf_fail(struct nf *nf, int err, uint64_t page, const char *what)
{
    return nf_fail_value(nf, err, page, what, NF_NOWHERE, NF_NOWHERE);
}

const struct nf_error_info *nf_last_error(const struct nf *nf)
{
    return &nf->error;
}
