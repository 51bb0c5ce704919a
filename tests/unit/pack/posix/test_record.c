/* SPDX-License-Identifier: ISC */
#include <notafs/posix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

static struct pk_slice text(const char *s)
{
    return (struct pk_slice){(const uint8_t *)s, strlen(s)};
}

static const struct pk_posix link_to_x = {
    .kind = PK_POSIX_LINK,
    .mode = 0777,
    .uid = 1000,
    .gid = 1000,
    .mtime = {1234, 123456789},
    .ctime = {1234, 0},
    .link = {(const uint8_t *)"x", 1},
};

static size_t encode(const struct pk_posix *posix, uint8_t *buf, size_t cap)
{
    size_t len = pk_posix_encoded_len(posix);

    ck_assert_uint_le(len, cap);
    pk_posix_encode(posix, buf);
    return len;
}

static void assert_same(const struct pk_posix *a, const struct pk_posix *b)
{
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert_uint_eq(a->mode, b->mode);
    ck_assert_uint_eq(a->uid, b->uid);
    ck_assert_uint_eq(a->gid, b->gid);
    ck_assert_int_eq(a->mtime.sec, b->mtime.sec);
    ck_assert_uint_eq(a->mtime.nsec, b->mtime.nsec);
    ck_assert_int_eq(a->ctime.sec, b->ctime.sec);
    ck_assert_uint_eq(a->ctime.nsec, b->ctime.nsec);
    ck_assert_uint_eq(a->link.len, b->link.len);
    ck_assert_uint_eq(a->xattrs.len, b->xattrs.len);
    if (a->link.len > 0) {
        ck_assert_mem_eq(a->link.p, b->link.p, a->link.len);
    }
    if (a->xattrs.len > 0) {
        ck_assert_mem_eq(a->xattrs.p, b->xattrs.p, a->xattrs.len);
    }
}

START_TEST(round_trip)
{
    static const char xattrs[] = "\6\1\0\0\0user.av\6\0\0\0\0user.b";
    struct pk_posix cases[] = {
        link_to_x,
        {.kind = PK_POSIX_FILE, .mode = 07777, .uid = UINT32_MAX},
        {.kind = PK_POSIX_DIR,
         .gid = 7,
         .mtime = {INT64_MIN, 999999999},
         .ctime = {INT64_MAX, 1}},
        {.kind = PK_POSIX_FILE,
         .xattrs = {(const uint8_t *)xattrs, sizeof(xattrs) - 1}},
    };
    uint8_t buf[100];
    struct pk_posix found;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = encode(&cases[i], buf, sizeof(buf));

        assert_ok(pk_posix_decode((struct pk_slice){buf, len}, &found));
        assert_same(&found, &cases[i]);
        for (size_t cut = 0; cut < len; cut++) { /* nor may less be enough */
            int err = pk_posix_decode((struct pk_slice){buf, cut}, &found);

            ck_assert(err == NF_EC_POSIX ||
                      (cases[i].xattrs.len > 0 && (cut == 38 || cut == 50)));
        }
    }
}
END_TEST

/* The lines "OFFSET: XX XX ..." of the document. */
START_TEST(documented)
{
    FILE *file = fopen(POSIX_DOC, "r");
    uint8_t buf[100];
    char line[200];
    size_t len = encode(&link_to_x, buf, sizeof(buf));
    size_t n = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *p = line + strspn(line, " 0123456789");

        if (line[0] != ' ' || *p != ':') {
            continue;
        }
        ck_assert_uint_eq(strtoul(line, NULL, 10), n);
        for (p++; p[0] == ' '; p += 3) {
            ck_assert_uint_lt(n, len);
            ck_assert_uint_eq(strtoul(p, NULL, 16), buf[n++]);
        }
    }
    fclose(file);
    ck_assert_uint_eq(n, len);
}
END_TEST

static void refuse(const uint8_t *good, size_t len, size_t at, uint8_t byte)
{
    uint8_t buf[100];
    struct pk_posix found;

    memcpy(buf, good, len);
    buf[at] = byte;
    assert_err(pk_posix_decode((struct pk_slice){buf, len}, &found),
               NF_EC_POSIX);
}

START_TEST(malformed)
{
    uint8_t buf[100];
    size_t len = encode(&link_to_x, buf, sizeof(buf));
    struct pk_posix file = {.kind = PK_POSIX_FILE};

    refuse(buf, len, 0, 0);
    refuse(buf, len, 0, 2);
    refuse(buf, len, 1, 'x');
    refuse(buf, len, 1, 'f'); /* which has no target */
    refuse(buf, len, 3, 0x10);
    refuse(buf, len, 15, 0x40);
    refuse(buf, len, 19, 0x40);
    refuse(buf, len, 36, 0);
    refuse(buf, len, 36, 2);
    refuse(buf, len, 37, 0x10);
    refuse(buf, len, 38, 0);
    len = encode(&file, buf, sizeof(buf));
    refuse(buf, len, 1, 'l');
}
END_TEST

START_TEST(extended)
{
    uint8_t buf[100];
    uint8_t attrs[40];
    struct pk_posix file = {.kind = PK_POSIX_FILE};
    struct pk_posix found;
    struct pk_slice name;
    struct pk_slice value;
    size_t len = 0;

    pk_posix_xattr_put(text("user.a"), text("12"), attrs);
    len = pk_posix_xattr_len(text("user.a"), text("12"));
    pk_posix_xattr_put(text("user.ab"), text(""), attrs + len);
    file.xattrs = (struct pk_slice){
        attrs, len + pk_posix_xattr_len(text("user.ab"), text(""))};
    len = encode(&file, buf, sizeof(buf));
    assert_ok(pk_posix_decode((struct pk_slice){buf, len}, &found));
    ck_assert_int_eq(pk_posix_xattr_next(&found.xattrs, &name, &value), 1);
    ck_assert_uint_eq(name.len, 6);
    ck_assert_uint_eq(value.len, 2);
    ck_assert_mem_eq(value.p, "12", 2);
    ck_assert_int_eq(pk_posix_xattr_next(&found.xattrs, &name, &value), 1);
    ck_assert_uint_eq(name.len, 7);
    ck_assert_uint_eq(value.len, 0);
    ck_assert_int_eq(pk_posix_xattr_next(&found.xattrs, &name, &value), 0);
    refuse(buf, len, 38, 0);             /* no name */
    refuse(buf, len, 38, 200);           /* longer than there is */
    refuse(buf, len, 42, 0xff);          /* a value so */
    refuse(buf, len, 44, 0);             /* NUL in a name */
    refuse(buf, len, 43, 'v');           /* not ascending */
    refuse(buf, len, 38 + 5 + 6 + 2, 6); /* bytes behind the last one */
}
END_TEST

UNIT_MAIN("pack/posix/record", round_trip, documented, malformed, extended)
