/* SPDX-License-Identifier: ISC */
/*
 * errno to enum nf_err. Classes carry Linux's numbers, but the names are
 * matched one by one: numbers differ elsewhere, and classes that errno does
 * not know must not appear.
 */
#include "host/os_err.h"

#include <errno.h>

#include <notafs/platform.h>

int os_err(int os_errno)
{
    switch (os_errno) {
    case EPERM:
    case EACCES:
        return NF_EPERM;
    case ENOENT:
        return NF_ENOENT;
    case EAGAIN:
        return NF_EAGAIN;
    case ENOMEM:
        return NF_ENOMEM;
    case EBUSY:
    case ETXTBSY:
        return NF_EBUSY;
    case EEXIST:
        return NF_EEXIST;
    case ENOTDIR:
        return NF_ENOTDIR;
    case EISDIR:
        return NF_EISDIR;
    case EINVAL:
        return NF_EINVAL;
    case EFBIG:
        return NF_EFBIG;
    case ENOSPC:
    case EDQUOT:
        return NF_ENOSPC;
    case EROFS:
        return NF_EROFS;
    case ERANGE:
        return NF_ERANGE;
    case ENAMETOOLONG:
        return NF_ENAMETOOLONG;
    case ENOTEMPTY:
        return NF_ENOTEMPTY;
    case EOPNOTSUPP:
    case ENOSYS:
        return NF_ENOTSUP;
    case ESTALE:
        return NF_ESTALE;
    case ECANCELED:
        return NF_ECANCELED;
    default:
        return NF_EIO;
    }
}
