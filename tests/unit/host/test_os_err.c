/* SPDX-License-Identifier: ISC */
#include "host/os_err.h"

#include <errno.h>

#include "tests/support/unit.h"

START_TEST(classes)
{
    for (int e = 1; e < 200; e++) {
        const int err = os_err(e);
        ck_assert_int_eq(nf_err_class(err), err);
        ck_assert(err == -e || e == EACCES || e == EDQUOT || e == ETXTBSY ||
                  e == ENOSYS || err == NF_EIO);
    }
    assert_err(os_err(EACCES), NF_EPERM);
    assert_err(os_err(EDQUOT), NF_ENOSPC);
    assert_err(os_err(ENOSPC), NF_ENOSPC);
    assert_err(os_err(ENOSYS), NF_ENOTSUP);
    assert_err(os_err(EUCLEAN), NF_EIO);
    assert_err(os_err(EPIPE), NF_EIO);
}
END_TEST

UNIT_MAIN("host/os_err", classes)
