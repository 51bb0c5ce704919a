/* SPDX-License-Identifier: ISC */
/*
 * Records of files (docs/format-posix.md, "Records").
 *
 *   0   1  version, 1
 *   1   1  kind: f d l
 *   2   2  mode, at most 07777
 *   4   4  uid
 *   8   4  gid
 *  12   4  nanoseconds of mtime, then of ctime at 16
 *  20   8  seconds of mtime, then of ctime at 28; signed
 *  36   2  length of a link's target: 1 to 4095; 0 for others
 *  38   .  the target, without NUL
 *   .   .  extended attributes to the end, by ascending name: length of the
 * name (1), length of the value (4), name without NUL, value
 *
 * All little-endian.
 */
#include <notafs/posix.h>
#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/cursor.h"

#define RECORD_VERSION 1
#define HEAD_LEN       38
#define XATTR_HEAD_LEN 5
#define NSEC_MAX       999999999u

size_t pk_posix_encoded_len(const struct pk_posix *posix)
{
    return HEAD_LEN + posix->link.len + posix->xattrs.len;
}

void pk_posix_encode(const struct pk_posix *posix, uint8_t *buf)
{
    buf[0] = RECORD_VERSION;
    buf[1] = (uint8_t)posix->kind;
    nf_put_le16(buf + 2, (uint16_t)posix->mode);
    nf_put_le32(buf + 4, posix->uid);
    nf_put_le32(buf + 8, posix->gid);
    nf_put_le32(buf + 12, posix->mtime.nsec);
    nf_put_le32(buf + 16, posix->ctime.nsec);
    nf_put_le64(buf + 20, (uint64_t)posix->mtime.sec);
    nf_put_le64(buf + 28, (uint64_t)posix->ctime.sec);
    nf_put_le16(buf + 36, (uint16_t)posix->link.len);
    buf += HEAD_LEN;
    if (posix->link.len > 0) {
        memcpy(buf, posix->link.p, posix->link.len);
        buf += posix->link.len;
    }
    if (posix->xattrs.len > 0) {
        memcpy(buf, posix->xattrs.p, posix->xattrs.len);
    }
}

static bool has_nul(struct pk_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == 0) {
            return true;
        }
    }
    return false;
}

int pk_posix_xattr_next(struct pk_slice *rest, struct pk_slice *ret_name,
                        struct pk_slice *ret_value)
{
    struct pk_cursor c = pk_cursor_of(rest->p, rest->len);
    struct pk_slice name;
    struct pk_slice value;
    const uint8_t *head;

    if (rest->len == 0) {
        return 0;
    }
    head = pk_take(&c, XATTR_HEAD_LEN);
    if (head == NULL) {
        return NF_EC_POSIX;
    }
    name.len = head[0];
    value.len = nf_get_le32(head + 1);
    name.p = pk_take(&c, name.len);
    value.p = pk_take(&c, value.len);
    if (c.bad || name.len == 0 || has_nul(name)) {
        return NF_EC_POSIX;
    }
    rest->p += pk_cursor_pos(&c);
    rest->len -= pk_cursor_pos(&c);
    *ret_name = name;
    *ret_value = value;
    return 1;
}

size_t pk_posix_xattr_len(struct pk_slice name, struct pk_slice value)
{
    return XATTR_HEAD_LEN + name.len + value.len;
}

void pk_posix_xattr_put(struct pk_slice name, struct pk_slice value,
                        uint8_t *buf)
{
    buf[0] = (uint8_t)name.len;
    nf_put_le32(buf + 1, (uint32_t)value.len);
    memcpy(buf + XATTR_HEAD_LEN, name.p, name.len);
    if (value.len > 0) {
        memcpy(buf + XATTR_HEAD_LEN + name.len, value.p, value.len);
    }
}

static int compare(struct pk_slice a, struct pk_slice b)
{
    int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static bool xattrs_are_sound(struct pk_slice rest)
{
    struct pk_slice before = {NULL, 0};
    struct pk_slice name;
    struct pk_slice value;
    int got;

    if (rest.len > PK_POSIX_XATTRS_MAX) {
        return false;
    }
    while ((got = pk_posix_xattr_next(&rest, &name, &value)) == 1) {
        if (before.p != NULL && compare(before, name) >= 0) {
            return false;
        }
        before = name;
    }
    return got == 0;
}

int pk_posix_decode(struct pk_slice bytes, struct pk_posix *ret)
{
    struct pk_cursor c = pk_cursor_of(bytes.p, bytes.len);
    const uint8_t *head = pk_take(&c, HEAD_LEN);
    struct pk_posix posix;

    if (head == NULL || head[0] != RECORD_VERSION ||
        (head[1] != PK_POSIX_FILE && head[1] != PK_POSIX_DIR &&
         head[1] != PK_POSIX_LINK)) {
        return NF_EC_POSIX;
    }
    posix.kind = (enum pk_posix_kind)head[1];
    posix.mode = nf_get_le16(head + 2);
    posix.uid = nf_get_le32(head + 4);
    posix.gid = nf_get_le32(head + 8);
    posix.mtime.nsec = nf_get_le32(head + 12);
    posix.ctime.nsec = nf_get_le32(head + 16);
    posix.mtime.sec = (int64_t)nf_get_le64(head + 20);
    posix.ctime.sec = (int64_t)nf_get_le64(head + 28);
    posix.link.len = nf_get_le16(head + 36);
    posix.link.p = pk_take(&c, posix.link.len);
    posix.xattrs.len = pk_cursor_left(&c);
    posix.xattrs.p = pk_take(&c, posix.xattrs.len);
    if (c.bad || posix.mode > PK_POSIX_MODE_MAX ||
        posix.mtime.nsec > NSEC_MAX || posix.ctime.nsec > NSEC_MAX ||
        posix.link.len > PK_POSIX_LINK_MAX ||
        (posix.link.len > 0) != (posix.kind == PK_POSIX_LINK) ||
        has_nul(posix.link) || !xattrs_are_sound(posix.xattrs)) {
        return NF_EC_POSIX;
    }
    *ret = posix;
    return 0;
}
