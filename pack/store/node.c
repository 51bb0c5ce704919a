/* SPDX-License-Identifier: ISC */
/*
 * Nodes, blobs, keys and changes: their references, and the AVL tree of a
 * node's changes. An insertion copies the shared part of its path; its
 * rotations move only nodes of that path. The height of a tree of 2^40 changes
 * is below PK_CHANGE_MAX_HEIGHT.
 *
 * Directories nest as deep as a user likes, so releasing one must not recurse:
 * nodes that die are put on a list, and the first release in progress empties
 * it.
 */
#include "pack/store/node.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "pack/store/repo.h"

static struct nf_mem *repo_mem(struct pk_repo *repo)
{
    return &repo->store.ctx.mem;
}

/* -------------------------------------------------------------- references */

struct pk_node *pk_node_new(struct pk_repo *repo)
{
    struct pk_node *node = nf_calloc(repo_mem(repo), 1, sizeof(*node));

    if (node != NULL) {
        node->refs = 1;
        node->base = NF_NOWHERE;
    }
    return node;
}

void pk_node_unref(struct pk_repo *repo, struct pk_node *node)
{
    bool busy = repo->dying != NULL;

    if (node == NULL || --node->refs > 0) {
        return;
    }
    node->dying_next = repo->dying;
    repo->dying = node;
    if (busy) {
        return;
    }
    while (repo->dying != NULL) {
        struct pk_node *dead = repo->dying;

        /* It stays on the list while its changes go, which says busy. */
        if (dead->changes != NULL || dead->opened != NULL) {
            pk_node_clear(repo, dead);
            continue;
        }
        pk_change_unref(repo, dead->touched);
        repo->dying = dead->dying_next;
        nf_free(repo_mem(repo), dead, sizeof(*dead));
    }
}

void pk_node_clear(struct pk_repo *repo, struct pk_node *node)
{
    struct pk_node was = *node;

    node->changes = NULL;
    node->touched = NULL;
    node->opened = NULL;
    pk_change_unref(repo, was.changes);
    pk_change_unref(repo, was.touched);
    pk_change_unref(repo, was.opened);
}

static struct pk_change *change_ref(struct pk_change *change)
{
    if (change != NULL) {
        change->refs++;
    }
    return change;
}

struct pk_node *pk_node_own(struct pk_repo *repo, struct pk_node **node)
{
    struct pk_node *old = *node;
    struct pk_node *copy;

    if (old->refs == 1) {
        return old;
    }
    copy = pk_node_new(repo);
    if (copy == NULL) {
        return NULL;
    }
    copy->base = old->base;
    copy->count = old->count;
    copy->changes = change_ref(old->changes);
    copy->touched = change_ref(old->touched);
    copy->opened = change_ref(old->opened);
    copy->hashed = old->hashed;
    copy->hash = old->hash;
    old->refs--;
    *node = copy;
    return copy;
}

struct pk_blob *pk_blob_new(struct pk_repo *repo, struct pk_slice data)
{
    struct pk_blob *blob;

    if (data.len > SIZE_MAX / 4) {
        return NULL;
    }
    blob = nf_alloc(repo_mem(repo), sizeof(*blob) + data.len);
    if (blob != NULL) {
        memset(blob, 0, sizeof(*blob));
        blob->refs = 1;
        blob->off = NF_NOWHERE;
        blob->len = data.len;
        if (data.len > 0) {
            memcpy(blob->data, data.p, data.len);
        }
    }
    return blob;
}

struct pk_key *pk_key_new(struct pk_repo *repo, enum pk_kind kind, uint64_t off,
                          const struct pk_digest *hash)
{
    struct pk_key *key = nf_alloc(repo_mem(repo), sizeof(*key));

    if (key != NULL) {
        *key = (struct pk_key){1, kind, off, *hash};
    }
    return key;
}

void pk_item_ref(struct pk_item item)
{
    switch (item.what) {
    case PK_ITEM_REMOVED:
        return;
    case PK_ITEM_BLOB:
        item.u.blob->refs++;
        return;
    case PK_ITEM_NODE:
        item.u.node->refs++;
        return;
    case PK_ITEM_KEY:
        item.u.key->refs++;
        return;
    }
}

void pk_item_unref(struct pk_repo *repo, struct pk_item item)
{
    switch (item.what) {
    case PK_ITEM_REMOVED:
        return;
    case PK_ITEM_BLOB:
        if (--item.u.blob->refs == 0) {
            nf_free(repo_mem(repo), item.u.blob,
                    sizeof(*item.u.blob) + item.u.blob->len);
        }
        return;
    case PK_ITEM_NODE:
        pk_node_unref(repo, item.u.node);
        return;
    case PK_ITEM_KEY:
        if (--item.u.key->refs == 0) {
            nf_free(repo_mem(repo), item.u.key, sizeof(*item.u.key));
        }
        return;
    }
}

enum pk_kind pk_item_kind(struct pk_item item)
{
    switch (item.what) {
    case PK_ITEM_REMOVED:
        return PK_NONE;
    case PK_ITEM_BLOB:
        return PK_CONTENTS;
    case PK_ITEM_NODE:
        return PK_NODE;
    case PK_ITEM_KEY:
        return item.u.key->kind;
    }
    return PK_NONE;
}

/* ----------------------------------------------------------------- changes */

struct pk_slice pk_change_step(const struct pk_change *change)
{
    return (struct pk_slice){change->step, change->step_len};
}

void pk_change_unref(struct pk_repo *repo, struct pk_change *change)
{
    while (change != NULL && --change->refs == 0) {
        struct pk_change *right = change->right;

        pk_change_unref(repo, change->left);
        pk_item_unref(repo, change->item);
        nf_free(repo_mem(repo), change, sizeof(*change) + change->step_len);
        change = right;
    }
}

struct pk_change *pk_change_find(struct pk_change *root, struct pk_slice step)
{
    while (root != NULL) {
        int c = pk_step_compare(step, pk_change_step(root));

        if (c == 0) {
            return root;
        }
        root = c < 0 ? root->left : root->right;
    }
    return NULL;
}

static struct pk_change *change_new(struct pk_repo *repo, struct pk_slice step,
                                    struct pk_item item)
{
    struct pk_change *change =
        nf_alloc(repo_mem(repo), sizeof(*change) + step.len);

    if (change != NULL) {
        memset(change, 0, sizeof(*change));
        change->refs = 1;
        change->height = 1;
        change->item = item;
        change->step_len = (uint32_t)step.len;
        if (step.len > 0) {
            memcpy(change->step, step.p, step.len);
        }
    }
    return change;
}

/* Make *link our own: a copy if others refer to it. */
static bool change_own(struct pk_repo *repo, struct pk_change **link)
{
    struct pk_change *old = *link;
    struct pk_change *copy;

    if (old->refs == 1) {
        return true;
    }
    copy = change_new(repo, pk_change_step(old), old->item);
    if (copy == NULL) {
        return false;
    }
    copy->height = old->height;
    copy->left = old->left;
    copy->right = old->right;
    pk_item_ref(copy->item);
    if (copy->left != NULL) {
        copy->left->refs++;
    }
    if (copy->right != NULL) {
        copy->right->refs++;
    }
    old->refs--;
    *link = copy;
    return true;
}

static int change_height(const struct pk_change *change)
{
    return change == NULL ? 0 : change->height;
}

static void change_measure(struct pk_change *change)
{
    int l = change_height(change->left);
    int r = change_height(change->right);

    change->height = (uint8_t)((l > r ? l : r) + 1);
}

static struct pk_change *change_rotate_right(struct pk_change *top)
{
    struct pk_change *left = top->left;

    top->left = left->right;
    left->right = top;
    change_measure(top);
    change_measure(left);
    return left;
}

static struct pk_change *change_rotate_left(struct pk_change *top)
{
    struct pk_change *right = top->right;

    top->right = right->left;
    right->left = top;
    change_measure(top);
    change_measure(right);
    return right;
}

/* After an insertion below: all that moves is on its path, so our own. */
static struct pk_change *change_balance(struct pk_change *top)
{
    int tilt = change_height(top->left) - change_height(top->right);

    if (tilt > 1) {
        if (change_height(top->left->left) < change_height(top->left->right)) {
            top->left = change_rotate_left(top->left);
        }
        return change_rotate_right(top);
    }
    if (tilt < -1) {
        if (change_height(top->right->right) <
            change_height(top->right->left)) {
            top->right = change_rotate_right(top->right);
        }
        return change_rotate_left(top);
    }
    change_measure(top);
    return top;
}

int pk_change_own(struct pk_repo *repo, struct pk_change **root,
                  struct pk_slice step, struct pk_change **ret_change)
{
    struct pk_change **link = root;

    while (*link != NULL) {
        int c;

        if (!change_own(repo, link)) {
            return pk_fail_mem(&repo->store.ctx);
        }
        c = pk_step_compare(step, pk_change_step(*link));
        if (c == 0) {
            break;
        }
        link = c < 0 ? &(*link)->left : &(*link)->right;
    }
    *ret_change = *link;
    return 0;
}

int pk_change_put(struct pk_repo *repo, struct pk_change **root,
                  struct pk_slice step, struct pk_item item)
{
    struct pk_change **path[PK_CHANGE_MAX_HEIGHT];
    struct pk_change **link = root;
    struct pk_change *change;
    size_t depth = 0;

    if (step.len > UINT32_MAX / 2) {
        return pk_fail(&repo->store.ctx, NF_ENAMETOOLONG, NULL, NF_NOWHERE,
                       "step");
    }
    while (*link != NULL) {
        int c;

        if (!change_own(repo, link)) {
            return pk_fail_mem(&repo->store.ctx);
        }
        change = *link;
        c = pk_step_compare(step, pk_change_step(change));
        if (c == 0) {
            pk_item_unref(repo, change->item);
            change->item = item;
            return 0;
        }
        nf_assert(depth < PK_CHANGE_MAX_HEIGHT);
        path[depth++] = link;
        link = c < 0 ? &change->left : &change->right;
    }
    change = change_new(repo, step, item);
    if (change == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    *link = change;
    while (depth > 0) {
        depth--;
        *path[depth] = change_balance(*path[depth]);
    }
    return 0;
}

static void iter_push(struct pk_change_iter *iter, struct pk_change *change)
{
    for (; change != NULL; change = change->left) {
        nf_assert(iter->depth < PK_CHANGE_MAX_HEIGHT);
        iter->stack[iter->depth++] = change;
    }
}

void pk_change_iter_begin(struct pk_change_iter *iter, struct pk_change *root)
{
    iter->depth = 0;
    iter_push(iter, root);
}

struct pk_change *pk_change_iter_next(struct pk_change_iter *iter)
{
    struct pk_change *change;

    if (iter->depth == 0) {
        return NULL;
    }
    change = iter->stack[--iter->depth];
    iter_push(iter, change->right);
    return change;
}
