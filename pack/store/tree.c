/* SPDX-License-Identifier: ISC */
/*
 * Trees as values: reading and changing by path.
 *
 * A change first looks whether it changes anything; only then it makes the
 * nodes on its path its own, from the root down, and binds the last step. Its
 * counts are right at every level before the next is touched, so running out
 * of memory half way leaves a tree that is as it was or has the change whole:
 * the last step, the only one that tells, is bound first in memory that is our
 * own. Directories left empty are unbound from the bottom up.
 *
 * A change in vain leaves a trace, for upstream's sake: irmin appends again,
 * under minimal indexing, each inode of a changed directory that an attempt to
 * change it has loaded (spec 4.3). So that the same operations give the same
 * files, a node remembers the steps that were looked up for such an attempt,
 * and, until it changes itself, the unchanged nodes that it led into. What
 * readers load leaves no trace.
 */
#include <string.h>

#include "pack/objects.h"
#include "pack/store/repo.h"

int pk_tree_of_node(struct pk_repo *repo, struct pk_node *node,
                    struct pk_tree **ret_tree)
{
    struct pk_tree *tree = nf_alloc(&repo->store.ctx.mem, sizeof(*tree));

    if (tree == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    tree->repo = repo;
    tree->root = node;
    *ret_tree = tree;
    return 0;
}

int pk_tree_empty(struct pk_repo *repo, struct pk_tree **ret_tree)
{
    struct pk_node *node = pk_node_new(repo);
    int err;

    if (node == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    err = pk_tree_of_node(repo, node, ret_tree);
    if (err != 0) {
        pk_node_unref(repo, node);
    }
    return err;
}

int pk_tree_clone(struct pk_tree *tree, struct pk_tree **ret_tree)
{
    int err = pk_tree_of_node(tree->repo, tree->root, ret_tree);

    if (err == 0) {
        tree->root->refs++;
    }
    return err;
}

void pk_tree_free(struct pk_tree *tree)
{
    if (tree != NULL) {
        pk_node_unref(tree->repo, tree->root);
        nf_free(&tree->repo->store.ctx.mem, tree, sizeof(*tree));
    }
}

struct pk_repo *pk_tree_repo(const struct pk_tree *tree)
{
    return tree->repo;
}

/* ----------------------------------------------------------------- reading */

static int tree_fail(struct pk_tree *tree, int err)
{
    return pk_fail(&tree->repo->store.ctx, err, NULL, NF_NOWHERE, "path");
}

int pk_tree_kind(struct pk_tree *tree, struct pk_path path,
                 enum pk_kind *ret_kind)
{
    struct pk_place place;
    int err = pk_place_find(tree, path, false, &place);

    if (err == 0) {
        *ret_kind = place.kind;
    }
    return err;
}

int pk_tree_stat(struct pk_tree *tree, struct pk_path path,
                 struct pk_stat *ret_stat)
{
    struct pk_place place;
    struct pk_stat stat;
    int err = pk_place_find(tree, path, true, &place);

    if (err == 0 && place.kind == PK_NONE) {
        err = tree_fail(tree, NF_ENOENT);
    }
    if (err == 0) {
        stat.kind = place.kind;
        err = pk_place_hash(tree->repo, &place, &stat.hash);
    }
    if (err == 0) {
        err = pk_place_length(tree->repo, &place, &stat.length);
    }
    if (err == 0) {
        *ret_stat = stat;
    }
    return err;
}

/* The contents of a place; a copy, as the caller may outlive the tree. */
static int place_get(struct pk_repo *repo, const struct pk_place *place,
                     struct pk_bytes *ret_bytes)
{
    uint8_t *copy;

    if (place->blob == NULL) {
        return pk_contents_read(&repo->store, place->off,
                                place->has_hash ? &place->hash : NULL,
                                ret_bytes);
    }
    copy = nf_alloc(&repo->store.ctx.mem, place->blob->len);
    if (copy == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    memcpy(copy, place->blob->data, place->blob->len);
    *ret_bytes = (struct pk_bytes){copy, place->blob->len, copy};
    return 0;
}

int pk_tree_get(struct pk_tree *tree, struct pk_path path,
                struct pk_bytes *ret_bytes)
{
    struct pk_place place;
    int err = pk_place_find(tree, path, true, &place);

    if (err == 0 && place.kind != PK_CONTENTS) {
        err = tree_fail(tree, place.kind == PK_NODE ? NF_EISDIR : NF_ENOENT);
    }
    return err == 0 ? place_get(tree->repo, &place, ret_bytes) : err;
}

/* The directory that path leads to. */
static int tree_dir(struct pk_tree *tree, struct pk_path path,
                    struct pk_place *ret)
{
    int err = pk_place_find(tree, path, false, ret);

    if (err == 0 && ret->kind != PK_NODE) {
        err = tree_fail(tree, ret->kind == PK_NONE ? NF_ENOENT : NF_ENOTDIR);
    }
    return err;
}

int pk_tree_sub(struct pk_tree *tree, struct pk_path path,
                struct pk_tree **ret_tree)
{
    struct pk_node *node = NULL;
    struct pk_place place;
    int err = tree_dir(tree, path, &place);

    if (err == 0) {
        err = pk_place_node(tree->repo, &place, &node);
    }
    if (err == 0) {
        err = pk_tree_of_node(tree->repo, node, ret_tree);
        if (err != 0) {
            pk_node_unref(tree->repo, node);
        }
    }
    return err;
}

int pk_tree_length(struct pk_tree *tree, struct pk_path path,
                   uint64_t *ret_length)
{
    struct pk_place place;
    int err = tree_dir(tree, path, &place);

    return err == 0 ? pk_place_length(tree->repo, &place, ret_length) : err;
}

int pk_tree_hash(struct pk_tree *tree, struct pk_digest *ret_hash)
{
    struct pk_place place = pk_place_of_node(tree->root);

    return pk_place_hash(tree->repo, &place, ret_hash);
}

/* ---------------------------------------------------------------- changing */

/* A change makes the unchanged nodes below strangers. */
static void forget_opened(struct pk_repo *repo, struct pk_node *own)
{
    struct pk_change *opened = own->opened;

    own->opened = NULL;
    pk_change_unref(repo, opened);
}

/* The entry in opened of the stored directory at a step, made if need be; NULL
 * where there is no directory. */
static int open_child(struct pk_repo *repo, struct pk_node *own,
                      struct pk_slice step, struct pk_change **ret)
{
    struct pk_item item = {.what = PK_ITEM_NODE};
    struct pk_place dir = pk_place_of_node(own);
    struct pk_place place;
    int err;

    *ret = NULL;
    if (pk_change_find(own->opened, step) != NULL) {
        return pk_change_own(repo, &own->opened, step, ret);
    }
    err = pk_place_step(repo, &dir, step, false, &place);
    if (err != 0 || place.kind != PK_NODE) {
        return err;
    }
    err = pk_place_node(repo, &place, &item.u.node);
    if (err == 0) {
        err = pk_change_put(repo, &own->opened, step, item);
        if (err != 0) {
            pk_node_unref(repo, item.u.node);
        }
    }
    return err == 0 ? pk_change_own(repo, &own->opened, step, ret) : err;
}

/* Bind a step of own to a node: the one that attempts in vain went into, that
 * of the stored directory, or a new one. */
static int bind_child(struct pk_repo *repo, struct pk_node *own,
                      struct pk_slice step)
{
    struct pk_place dir = pk_place_of_node(own);
    struct pk_change *seen = pk_change_find(own->opened, step);
    struct pk_item item = {.what = PK_ITEM_NODE};
    struct pk_place place;
    int err;

    dir.node = own;
    err = pk_place_step(repo, &dir, step, false, &place);
    if (err != 0) {
        return err;
    }
    if (place.kind == PK_NODE && seen != NULL) {
        item = seen->item;
        pk_item_ref(item);
    } else if (place.kind == PK_NODE) {
        err = pk_place_node(repo, &place, &item.u.node);
    } else {
        item.u.node = pk_node_new(repo);
        err = item.u.node == NULL ? pk_fail_mem(&repo->store.ctx) : 0;
    }
    if (err != 0) {
        return err;
    }
    err = pk_change_put(repo, &own->changes, step, item);
    if (err != 0) {
        pk_item_unref(repo, item);
        return err;
    }
    own->count += place.kind == PK_NONE;
    return 0;
}

/* The child node of own at a step, made its own, too, and bound as a change.
 * Where there is no directory, a new one. */
static int own_child(struct pk_repo *repo, struct pk_node *own,
                     struct pk_slice step, struct pk_node **ret_child)
{
    struct pk_change *change = NULL;
    int err = pk_change_own(repo, &own->changes, step, &change);

    if (err == 0 && (change == NULL || change->item.what != PK_ITEM_NODE)) {
        err = bind_child(repo, own, step);
        if (err == 0) {
            err = pk_change_own(repo, &own->changes, step, &change);
        }
    }
    forget_opened(repo, own);
    if (err == 0) {
        *ret_child = pk_node_own(repo, &change->item.u.node);
        err = *ret_child == NULL ? pk_fail_mem(&repo->store.ctx) : 0;
    }
    return err;
}

/* Remember a lookup in vain. */
static int tree_touch(struct pk_tree *tree, struct pk_path path)
{
    struct pk_repo *repo = tree->repo;
    struct pk_item mark = {.what = PK_ITEM_REMOVED};
    struct pk_node *node = pk_node_own(repo, &tree->root);
    int err = node == NULL ? pk_fail_mem(&repo->store.ctx) : 0;

    for (size_t i = 0; i < path.n && err == 0; i++) {
        struct pk_slice step = path.steps[i];
        struct pk_change *change = pk_change_find(node->changes, step);

        if (change != NULL) {
            if (change->item.what != PK_ITEM_NODE) {
                break;
            }
            err = pk_change_own(repo, &node->changes, step, &change);
        } else if (node->base == NF_NOWHERE) {
            break;
        } else {
            err = pk_change_put(repo, &node->touched, step, mark);
            if (err == 0) {
                err = open_child(repo, node, step, &change);
            }
            if (err != 0 || change == NULL) {
                break;
            }
        }
        if (err == 0) {
            node = pk_node_own(repo, &change->item.u.node);
            err = node == NULL ? pk_fail_mem(&repo->store.ctx) : 0;
        }
    }
    return err;
}

/* Bind a step of a node of our own, which is bound to something or not. Takes
 * item, on success only. */
static int own_bind(struct pk_repo *repo, struct pk_node *own,
                    struct pk_slice step, bool bound, struct pk_item item)
{
    bool bind = item.what != PK_ITEM_REMOVED;
    int err = pk_change_put(repo, &own->changes, step, item);

    if (err == 0) {
        own->count += bind && !bound;
        own->count -= !bind && bound;
        forget_opened(repo, own);
    }
    return err;
}

/* Bind path, which is bound to something or not, to item. Takes item, on
 * success only. */
static int tree_bind(struct pk_tree *tree, struct pk_path path, bool bound,
                     struct pk_item item)
{
    struct pk_repo *repo = tree->repo;
    struct nf_mem *mem = &repo->store.ctx.mem;
    struct pk_node **nodes = nf_calloc(mem, path.n, sizeof(struct pk_node *));
    size_t n = path.n;
    int err = 0;

    if (nodes == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    nodes[0] = pk_node_own(repo, &tree->root);
    if (nodes[0] == NULL) {
        err = pk_fail_mem(&repo->store.ctx);
    }
    for (size_t i = 0; i + 1 < n && err == 0; i++) {
        nodes[i]->hashed = false;
        err = own_child(repo, nodes[i], path.steps[i], &nodes[i + 1]);
    }
    if (err == 0) {
        nodes[n - 1]->hashed = false;
        err = own_bind(repo, nodes[n - 1], path.steps[n - 1], bound, item);
    }
    /* Directories that are empty now, or were made for nothing. */
    for (size_t i = n - 1; i > 0; i--) {
        struct pk_item gone = {.what = PK_ITEM_REMOVED};

        if (nodes[i] == NULL) {
            continue;
        }
        if (nodes[i]->count > 0) {
            break;
        }
        if (own_bind(repo, nodes[i - 1], path.steps[i - 1], true, gone) != 0) {
            break; /* cannot fail: its change is there already */
        }
    }
    nf_free(mem, nodes, n * sizeof(*nodes));
    return err;
}

static int tree_check_path(struct pk_tree *tree, struct pk_path path)
{
    return path.n == 0 ? tree_fail(tree, NF_EINVAL) : 0;
}

/* Is path bound to these contents, or to anything? Otherwise *ret_has_hash
 * tells whether it took their hash to know. */
static int tree_has(struct pk_tree *tree, struct pk_path path,
                    struct pk_slice contents, bool *ret_has, bool *ret_bound,
                    struct pk_digest *ret_hash, bool *ret_has_hash)
{
    struct pk_place place;
    int err = pk_place_find(tree, path, true, &place);

    *ret_has = false;
    *ret_has_hash = false;
    *ret_bound = err == 0 && place.kind != PK_NONE;
    if (err != 0 || place.kind != PK_CONTENTS) {
        return err;
    }
    if (place.blob != NULL) {
        *ret_has = place.blob->len == contents.len &&
                   (contents.len == 0 ||
                    memcmp(place.blob->data, contents.p, contents.len) == 0);
        return 0;
    }
    err = pk_digest_contents(&tree->repo->store.scheme, contents, ret_hash);
    *ret_has_hash = err == 0;
    *ret_has =
        err == 0 && memcmp(&place.hash, ret_hash, sizeof(*ret_hash)) == 0;
    return err;
}

int pk_tree_set(struct pk_tree *tree, struct pk_path path,
                struct pk_slice contents)
{
    struct pk_item item = {.what = PK_ITEM_BLOB};
    struct pk_digest hash;
    bool has = false;
    bool bound = false;
    bool has_hash = false;
    int err = tree_check_path(tree, path);

    if (err == 0) {
        err = tree_has(tree, path, contents, &has, &bound, &hash, &has_hash);
    }
    if (err != 0 || has) {
        return err != 0 ? err : tree_touch(tree, path);
    }
    item.u.blob = pk_blob_new(tree->repo, contents);
    if (item.u.blob == NULL) {
        return pk_fail_mem(&tree->repo->store.ctx);
    }
    if (has_hash) {
        item.u.blob->hashed = true;
        item.u.blob->hash = hash;
    }
    err = tree_bind(tree, path, bound, item);
    if (err != 0) {
        pk_item_unref(tree->repo, item);
    }
    return err;
}

int pk_tree_remove(struct pk_tree *tree, struct pk_path path)
{
    struct pk_item item = {.what = PK_ITEM_REMOVED};
    struct pk_place place;
    int err = tree_check_path(tree, path);

    if (err == 0) {
        err = pk_place_find(tree, path, false, &place);
    }
    if (err != 0) {
        return err;
    }
    return place.kind == PK_NONE ? tree_touch(tree, path)
                                 : tree_bind(tree, path, true, item);
}

/* The item of a place, with a reference. */
static int place_item(struct pk_repo *repo, const struct pk_place *place,
                      struct pk_item *ret)
{
    struct pk_item item = {.what = PK_ITEM_KEY};
    struct pk_digest hash;
    int err;

    if (place->node != NULL) {
        item.what = PK_ITEM_NODE;
        item.u.node = place->node;
    } else if (place->blob != NULL) {
        item.what = PK_ITEM_BLOB;
        item.u.blob = place->blob;
    } else {
        err = pk_place_hash(repo, place, &hash);
        if (err != 0) {
            return err;
        }
        item.u.key = pk_key_new(repo, place->kind, place->off, &hash);
        if (item.u.key == NULL) {
            return pk_fail_mem(&repo->store.ctx);
        }
        *ret = item;
        return 0;
    }
    pk_item_ref(item);
    *ret = item;
    return 0;
}

/* Bind path to what a place holds, unless it is bound to it already. */
int pk_tree_bind_place(struct pk_tree *tree, struct pk_path path,
                       const struct pk_place *place)
{
    struct pk_item item;
    struct pk_place old;
    struct pk_digest old_hash;
    struct pk_digest hash;
    int err = pk_place_find(tree, path, true, &old);

    if (err == 0 && old.kind == place->kind) {
        err = pk_place_hash(tree->repo, &old, &old_hash);
        if (err == 0) {
            err = pk_place_hash(tree->repo, place, &hash);
        }
        if (err == 0 && memcmp(&old_hash, &hash, sizeof(hash)) == 0) {
            return 0;
        }
    }
    if (err == 0) {
        err = place_item(tree->repo, place, &item);
    }
    if (err != 0) {
        return err;
    }
    err = tree_bind(tree, path, old.kind != PK_NONE, item);
    if (err != 0) {
        pk_item_unref(tree->repo, item);
    }
    return err;
}

int pk_tree_set_tree(struct pk_tree *tree, struct pk_path path,
                     struct pk_tree *sub)
{
    struct pk_place place = pk_place_of_node(sub->root);
    int err = 0;

    if (sub->repo != tree->repo) {
        return tree_fail(tree, NF_EINVAL);
    }
    if (path.n == 0) {
        sub->root->refs++;
        pk_node_unref(tree->repo, tree->root);
        tree->root = sub->root;
        return 0;
    }
    if (sub->root->count == 0) {
        return pk_tree_remove(tree, path);
    }
    /* The node stays alive while the tree, which may hold it, changes. */
    sub->root->refs++;
    err = pk_tree_bind_place(tree, path, &place);
    pk_node_unref(tree->repo, sub->root);
    return err;
}

static bool path_begins(struct pk_path path, struct pk_path with)
{
    size_t i = 0;

    while (i < path.n && i < with.n &&
           pk_step_compare(path.steps[i], with.steps[i]) == 0) {
        i++;
    }
    return i == with.n;
}

int pk_tree_move(struct pk_tree *tree, struct pk_path from, struct pk_path to)
{
    struct pk_item item;
    struct pk_place place;
    enum pk_kind old = PK_NONE;
    int err = pk_place_find(tree, from, true, &place);

    if (err == 0 && place.kind == PK_NONE) {
        err = tree_fail(tree, NF_ENOENT);
    }
    if (err == 0 && path_begins(to, from) && path_begins(from, to)) {
        return 0;
    }
    if (err == 0 && (path_begins(to, from) || path_begins(from, to))) {
        err = tree_fail(tree, NF_EINVAL);
    }
    if (err == 0) {
        err = pk_tree_kind(tree, to, &old);
    }
    if (err == 0) {
        err = place_item(tree->repo, &place, &item);
    }
    if (err != 0) {
        return err;
    }
    err = tree_bind(tree, to, old != PK_NONE, item);
    if (err != 0) {
        pk_item_unref(tree->repo, item);
        return err;
    }
    return pk_tree_remove(tree, from);
}

int pk_tree_update(struct pk_tree *tree, struct pk_path path, pk_update_fn fn,
                   void *arg)
{
    struct pk_bytes bytes = {NULL, 0, NULL};
    struct pk_slice old = {NULL, 0};
    struct pk_slice new = {NULL, 0};
    struct pk_place place;
    int err = tree_check_path(tree, path);

    if (err == 0) {
        err = pk_place_find(tree, path, true, &place);
    }
    if (err == 0 && place.kind == PK_CONTENTS) {
        err = place_get(tree->repo, &place, &bytes);
        old = (struct pk_slice){bytes.p, bytes.len};
    }
    if (err == 0) {
        err = fn(arg, &old, &new);
    }
    if (err == 0) {
        err = new.p == NULL ? pk_tree_remove(tree, path)
                            : pk_tree_set(tree, path, new);
    }
    if (bytes.own != NULL) {
        pk_bytes_free(tree->repo, &bytes);
    }
    return err;
}
