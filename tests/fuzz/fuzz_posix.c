/* SPDX-License-Identifier: ISC */
/* A record of a file's attributes, from anywhere. What is taken is within the
 * bounds, and encoded as it was. */
#include <notafs/posix.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void look(struct pk_slice xattrs)
{
    struct pk_slice name;
    struct pk_slice value;
    size_t len = 0;
    size_t total = xattrs.len;

    while (pk_posix_xattr_next(&xattrs, &name, &value) == 1) {
        fuzz_check(name.len > 0 && name.len <= PK_POSIX_NAME_MAX);
        fuzz_check(memchr(name.p, 0, name.len) == NULL);
        len += pk_posix_xattr_len(name, value);
    }
    fuzz_check(len == total && total <= PK_POSIX_XATTRS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[1 << 17];
    struct pk_posix posix;

    if (pk_posix_decode((struct pk_slice){data, size}, &posix) != 0) {
        return 0;
    }
    fuzz_check(posix.mode <= PK_POSIX_MODE_MAX);
    fuzz_check(posix.mtime.nsec < 1000000000 && posix.ctime.nsec < 1000000000);
    fuzz_check(posix.link.len <= PK_POSIX_LINK_MAX);
    look(posix.xattrs);
    fuzz_check(pk_posix_encoded_len(&posix) == size && size <= sizeof(buf));
    pk_posix_encode(&posix, buf);
    fuzz_check(memcmp(buf, data, size) == 0);
    return 0;
}
