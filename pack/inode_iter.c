/* SPDX-License-Identifier: ISC */
/*
 * Passes over the bindings below an inode, in the order of the tree: a stack of
 * pinned inodes, as deep as the tree, and in each the slot that is next.
 */
#include "pack/inode.h"

int pk_inode_iter_begin(struct pk_inode_iter *iter, struct pk_store *store,
                        uint64_t off)
{
    iter->store = store;
    iter->depth = 0;
    iter->next[0] = 0;
    if (pk_inode_load(store, off, PK_ROLE_ROOT, &iter->inodes[0]) != 0) {
        return store->ctx.err.err;
    }
    iter->depth = 1;
    return 0;
}

/* Go down or up until a binding is next. 1, or 0 at the end. */
static int iter_settle(struct pk_inode_iter *iter)
{
    while (iter->depth > 0) {
        struct pk_inode *inode = iter->inodes[iter->depth - 1];
        uint32_t next = iter->next[iter->depth - 1];

        if (next < inode->n && !inode->tree) {
            return 1;
        }
        if (next < inode->n) {
            struct pk_inode *child = NULL;
            int err = pk_inode_load_child(iter->store, inode, next, &child);

            if (err != 0) {
                return err;
            }
            iter->next[iter->depth - 1]++;
            iter->inodes[iter->depth] = child;
            iter->next[iter->depth] = 0;
            iter->depth++;
            continue;
        }
        pk_inode_unpin(iter->store, inode);
        iter->depth--;
    }
    return 0;
}

int pk_inode_iter_next(struct pk_inode_iter *iter, struct pk_slot *ret_slot,
                       struct pk_inode **ret_inode, uint32_t *ret_i)
{
    int err = iter_settle(iter);
    uint32_t top = iter->depth - 1;

    if (err <= 0) {
        return err;
    }
    *ret_inode = iter->inodes[top];
    *ret_i = iter->next[top]++;
    pk_inode_slot(iter->store, *ret_inode, *ret_i, ret_slot);
    return 1;
}

/* One level: the rest of an inode's bindings, or one child, passed over whole
 * or gone into. */
static int iter_skip_step(struct pk_inode_iter *iter, uint64_t *n)
{
    struct pk_inode *inode = iter->inodes[iter->depth - 1];
    uint16_t *next = &iter->next[iter->depth - 1];
    struct pk_inode *child = NULL;
    uint64_t here = inode->n - *next;
    int err;

    if (here == 0) {
        pk_inode_unpin(iter->store, inode);
        iter->depth--;
        return 0;
    }
    if (!inode->tree) {
        here = here < *n ? here : *n;
        *next = (uint16_t)(*next + here);
        *n -= here;
        return 0;
    }
    err = pk_inode_load_child(iter->store, inode, *next, &child);
    if (err != 0) {
        return err;
    }
    (*next)++;
    if (child->length <= *n) {
        *n -= child->length;
        pk_inode_unpin(iter->store, child);
        return 0;
    }
    iter->inodes[iter->depth] = child;
    iter->next[iter->depth] = 0;
    iter->depth++;
    return 0;
}

int pk_inode_iter_skip(struct pk_inode_iter *iter, uint64_t n)
{
    int err = 0;

    while (n > 0 && iter->depth > 0 && err == 0) {
        err = iter_skip_step(iter, &n);
    }
    return err;
}

void pk_inode_iter_end(struct pk_inode_iter *iter)
{
    while (iter->depth > 0) {
        iter->depth--;
        pk_inode_unpin(iter->store, iter->inodes[iter->depth]);
    }
}
