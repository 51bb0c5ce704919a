/* SPDX-License-Identifier: ISC */
/*
 * Modes and owners, which neither of the formats below has a place for: those
 * that differ from what everything has by default, by the number of the file.
 */
#ifndef FUSE_ATTRS_H
#define FUSE_ATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct attr {
    mode_t mode; /* permissions, without the type */
    uid_t uid;
    gid_t gid;
};

struct attr_slot;

/* Open addressing. Not locked: the owner's lock holds. */
struct attrs {
    struct attr_slot *slots;
    size_t n;
    size_t cap; /* a power of two, or 0 */
};

void attrs_deinit(struct attrs *attrs);
bool attrs_get(const struct attrs *attrs, uint64_t id, struct attr *ret);
/* False: no memory. */
bool attrs_set(struct attrs *attrs, uint64_t id, const struct attr *attr);
void attrs_forget(struct attrs *attrs, uint64_t id);

#endif
