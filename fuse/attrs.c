/* SPDX-License-Identifier: ISC */
#include "fuse/attrs.h"

#include <stdlib.h>

struct attr_slot {
    uint64_t id; /* 0: free; ids are never 0 */
    struct attr attr;
};

static size_t home(const struct attrs *attrs, uint64_t id)
{
    return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (attrs->cap - 1);
}

/* The slot of id, or the free one where it belongs. */
static size_t find(const struct attrs *attrs, uint64_t id)
{
    size_t i = home(attrs, id);
    while (attrs->slots[i].id != 0 && attrs->slots[i].id != id) {
        i = (i + 1) & (attrs->cap - 1);
    }
    return i;
}

void attrs_deinit(struct attrs *attrs)
{
    free(attrs->slots);
    attrs->slots = NULL;
    attrs->n = attrs->cap = 0;
}

bool attrs_get(const struct attrs *attrs, uint64_t id, struct attr *ret)
{
    if (attrs->n == 0) {
        return false;
    }
    const struct attr_slot *slot = &attrs->slots[find(attrs, id)];
    if (slot->id == 0) {
        return false;
    }
    *ret = slot->attr;
    return true;
}

static bool grow(struct attrs *attrs)
{
    struct attrs larger = {NULL, attrs->n,
                           attrs->cap == 0 ? 64 : attrs->cap * 2};
    larger.slots = calloc(larger.cap, sizeof(*larger.slots));
    if (larger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < attrs->cap; i++) {
        if (attrs->slots[i].id != 0) {
            larger.slots[find(&larger, attrs->slots[i].id)] = attrs->slots[i];
        }
    }
    free(attrs->slots);
    *attrs = larger;
    return true;
}

bool attrs_set(struct attrs *attrs, uint64_t id, const struct attr *attr)
{
    if (attrs->n + 1 > attrs->cap - attrs->cap / 4 && !grow(attrs)) {
        return false;
    }
    struct attr_slot *slot = &attrs->slots[find(attrs, id)];
    attrs->n += slot->id == 0;
    slot->id = id;
    slot->attr = *attr;
    return true;
}

void attrs_forget(struct attrs *attrs, uint64_t id)
{
    if (attrs->n == 0) {
        return;
    }
    size_t hole = find(attrs, id);
    if (attrs->slots[hole].id == 0) {
        return;
    }
    attrs->n--;
    /* What stands behind moves up, or would not be found any more. */
    for (size_t i = (hole + 1) & (attrs->cap - 1); attrs->slots[i].id != 0;
         i = (i + 1) & (attrs->cap - 1)) {
        size_t from = home(attrs, attrs->slots[i].id);
        if (((i - from) & (attrs->cap - 1)) >=
            ((i - hole) & (attrs->cap - 1))) {
            attrs->slots[hole] = attrs->slots[i];
            hole = i;
        }
    }
    attrs->slots[hole].id = 0;
}
