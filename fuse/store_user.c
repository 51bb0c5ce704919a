/* SPDX-License-Identifier: ISC */
/*
 * Extended attributes of users: a node holds them as they are recorded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/store_attrs.h"

static int compare(struct pk_slice a, const char *name)
{
    size_t len = strlen(name);
    int c = memcmp(a.p, name, a.len < len ? a.len : len);
    return c != 0 ? c : (a.len > len) - (a.len < len);
}

struct pk_slice store_attrs_get(const struct snode *node, const char *name)
{
    struct pk_slice rest = {node->xattrs, node->xattrs_len};
    struct pk_slice found;
    struct pk_slice value;
    while (pk_posix_xattr_next(&rest, &found, &value) == 1) {
        if (compare(found, name) == 0) {
            value.p = value.p != NULL ? value.p : (const uint8_t *)"";
            return value;
        }
    }
    return (struct pk_slice){NULL, 0};
}

size_t store_attrs_names(const struct snode *node, char *buf)
{
    struct pk_slice rest = {node->xattrs, node->xattrs_len};
    struct pk_slice name;
    struct pk_slice value;
    size_t len = 0;
    while (pk_posix_xattr_next(&rest, &name, &value) == 1) {
        memcpy(buf + len, name.p, name.len);
        buf[len + name.len] = '\0';
        len += name.len + 1;
    }
    return len;
}

int store_attrs_set(struct snode *node, const char *name, struct pk_slice value)
{
    struct pk_slice rest = {node->xattrs, node->xattrs_len};
    struct pk_slice own = slice(name, strlen(name));
    size_t cap = node->xattrs_len + pk_posix_xattr_len(own, value);
    bool placed = value.p == NULL;
    struct pk_slice found;
    struct pk_slice old;
    size_t len = 0;
    if (own.len > PK_POSIX_NAME_MAX || value.len > PK_POSIX_XATTRS_MAX) {
        return ERANGE;
    }
    uint8_t *to = malloc(cap);
    if (to == NULL) {
        return ENOMEM;
    }
    /* Copied in order, with ours where it belongs. */
    for (;;) {
        bool more = pk_posix_xattr_next(&rest, &found, &old) == 1;
        int c = more ? compare(found, name) : 1;
        if (!placed && c >= 0) {
            pk_posix_xattr_put(own, value, to + len);
            len += pk_posix_xattr_len(own, value);
            placed = true;
        }
        if (!more) {
            break;
        }
        if (c != 0) {
            pk_posix_xattr_put(found, old, to + len);
            len += pk_posix_xattr_len(found, old);
        }
    }
    if (len > PK_POSIX_XATTRS_MAX) {
        free(to);
        return ENOSPC;
    }
    free(node->xattrs);
    node->xattrs = to;
    node->xattrs_len = len;
    return 0;
}
