/* SPDX-License-Identifier: ISC */
/*
 * Between nodes and the stored trees. A directory keeps its tree, so that
 * looking up a name is one step; after its branch has moved it gets its tree
 * anew, from its parent's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/store_attrs.h"

/* ---- Where a node is stored ------------------------------------------- */

struct place {
    struct pk_tree *tree;
    struct pk_path path;
    struct pk_slice *steps;
    struct pk_slice one;
};

static size_t count_steps(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += text[i] == '\0';
    }
    return n;
}

static const struct snode *top_of(const struct snode *node)
{
    return node->branch->root;
}

/* False: no memory. The tree is NULL where there is nothing stored. */
static bool place_find(const struct snode *node, struct place *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (node->origin == NULL) {
        ret->tree = node->parent != NULL ? node->parent->tree : NULL;
        ret->one = slice(node->name, node->name_len);
        ret->path.steps = &ret->one;
        ret->path.n = 1;
        return true;
    }
    ret->tree = top_of(node)->tree;
    ret->path.n = count_steps(node->origin, node->origin_len);
    ret->steps = calloc(ret->path.n, sizeof(*ret->steps));
    if (ret->steps == NULL) {
        return false;
    }
    const char *at = node->origin;
    for (size_t i = 0; i < ret->path.n; i++) {
        size_t len = strlen(at);
        ret->steps[i] = slice(at, len);
        at += len + 1;
    }
    ret->path.steps = ret->steps;
    return true;
}

bool store_keep_origin(struct snode *node)
{
    if (node->origin != NULL || (!node->stored && !node->sided)) {
        return true;
    }
    size_t len = node->name_len + 1;
    const struct snode *up = node->parent;
    while (up->origin == NULL && up != top_of(node)) {
        len += up->name_len + 1;
        up = up->parent;
    }
    size_t prefix = up->origin != NULL ? up->origin_len : 0;
    char *text = malloc(prefix + len);
    if (text == NULL) {
        return false;
    }
    if (prefix > 0) {
        memcpy(text, up->origin, prefix);
    }
    char *end = text + prefix + len;
    for (const struct snode *n = node; n != up; n = n->parent) {
        end -= n->name_len + 1;
        memcpy(end, n->name, n->name_len + 1);
    }
    node->origin = text;
    node->origin_len = prefix + len;
    return true;
}

/* ---- Refreshing --------------------------------------------------------- */

static int set_tree(struct store *store, struct snode *node,
                    const struct place *place)
{
    struct pk_tree *tree = NULL;
    int err = 0;
    if (node->branch != NULL && node->branch->root == node) {
        if (node->branch->has_head) {
            err = pk_commit_tree(store->repo, &node->branch->head, &tree);
        }
        if (err == 0) {
            err = store_attrs_root(store, node);
        }
    } else {
        err = pk_tree_sub(place->tree, place->path, &tree);
    }
    if (err == 0) {
        pk_tree_free(node->tree);
        node->tree = tree;
    } else {
        pk_tree_free(tree);
    }
    return err;
}

/* The tree of parent has no node of that name and kind. */
static int take_out(struct store *store, struct snode *node, bool *ret_gone)
{
    bool stays = false;
    int err = store_attrs_stays(store, node, &stays);
    if (err != 0) {
        return err;
    }
    *ret_gone = !stays && !(node->kind == SNODE_DIR && node->unsure &&
                            store->sides == NULL);
    if (!*ret_gone) {
        pk_tree_free(node->tree);
        node->tree = NULL; /* empty: no tree has it */
        node->stored = node->unsure = false;
    }
    return 0;
}

/* What the tree of parent has under the node's name now. */
static int take_in(struct store *store, struct snode *node,
                   const struct place *place)
{
    struct pk_stat stat = {.kind = PK_NONE};
    int err = place->tree != NULL
                  ? pk_tree_stat(place->tree, place->path, &stat)
                  : NF_ENOENT;
    if (err != 0 && err != NF_ENOENT) {
        return err;
    }
    bool is_dir = node->kind == SNODE_DIR;
    bool gone = err != 0 || node->kind == SNODE_LINK ||
                (stat.kind == PK_NODE) != is_dir;
    if (err != 0 && node->kind != SNODE_FILE) {
        err = take_out(store, node, &gone);
        if (err != 0 || !gone) {
            return err;
        }
    }
    if (gone) {
        store_node_unpin(store, node);
        node->stored = false;
        node->removed = true;
        return NF_ESTALE;
    }
    node->stored = true;
    node->unsure = false;
    if (is_dir) {
        err = set_tree(store, node, place);
        return err == 0 ? store_attrs_load(store, node) : err;
    }
    if (memcmp(&node->hash, &stat.hash, sizeof(stat.hash)) != 0) {
        static const struct pk_digest unknown;
        if (memcmp(&node->hash, &unknown, sizeof(unknown)) != 0) {
            store_unload(store, node);
            node->mtime.tv_sec = node->branch->date;
            node->mtime.tv_nsec = 0;
        }
        node->hash = stat.hash;
        node->size = stat.length;
    }
    return store_attrs_load(store, node);
}

/* Whether what is stored tells of a node, and not only the node itself. */
static bool is_told(const struct snode *node)
{
    return node->origin == NULL &&
           (node->kind == SNODE_DIR ||
            (node->kind == SNODE_LINK && node->sided) ||
            (node->kind == SNODE_FILE && node->stored && !node->written));
}

int store_refresh(struct store *store, struct snode *node)
{
    for (;;) {
        struct snode *old = node;
        struct place place = {NULL, {NULL, 0}, NULL, {NULL, 0}};
        if (node->branch == NULL || node->epoch == node->branch->epoch ||
            node->removed) {
            return 0;
        }
        /* The highest one that is not up to date comes first. */
        while (old->parent != NULL && old != node->branch->root &&
               old->parent->epoch != old->branch->epoch) {
            old = old->parent;
        }
        int err = 0;
        if (old == node->branch->root) {
            err = set_tree(store, old, &place);
        } else if (is_told(old)) {
            (void)place_find(old, &place); /* takes no memory there */
            err = take_in(store, old, &place);
        }
        if (err != 0) {
            return serve_errno(err);
        }
        old->epoch = old->branch->epoch;
    }
}

/* ---- Looking up -----------------------------------------------------------
 */

static int find_stored(struct store *store, struct snode *parent,
                       const char *name, size_t len, struct snode **ret)
{
    struct pk_slice step = slice(name, len);
    struct pk_path path = {&step, 1};
    struct pk_stat stat;
    struct pk_tree *tree = NULL;
    int err = parent->tree != NULL ? pk_tree_stat(parent->tree, path, &stat)
                                   : NF_ENOENT;
    if (err == NF_ENOENT && parent->side != NULL) {
        return serve_errno(store_attrs_find(store, parent, name, len, ret));
    }
    if (err == 0 && stat.kind == PK_NODE) {
        err = pk_tree_sub(parent->tree, path, &tree);
    }
    if (err != 0) {
        return serve_errno(err);
    }
    struct snode *node =
        store_node_add(store, parent, name, len,
                       stat.kind == PK_NODE ? SNODE_DIR : SNODE_FILE);
    if (node == NULL) {
        pk_tree_free(tree);
        return ENOMEM;
    }
    node->tree = tree;
    node->hash = stat.hash;
    node->size = stat.kind == PK_NODE ? 0 : (size_t)stat.length;
    node->stored = true;
    node->epoch = parent->epoch;
    err = store_attrs_load(store, node);
    if (err != 0) {
        store_node_tidy(store, node);
        return serve_errno(err);
    }
    *ret = node;
    return 0;
}

int store_child(struct store *store, struct snode *parent, const char *name,
                size_t len, struct snode **ret)
{
    if (len > NAME_MAX) {
        return ENAMETOOLONG;
    }
    if (parent->kind != SNODE_DIR) {
        return store_top_child(store, parent, name, len, ret);
    }
    int err = store_refresh(store, parent);
    if (err != 0 || parent->removed) {
        return err != 0 ? err : ENOENT;
    }
    struct snode *node = store_node_find(store, parent, name, len);
    err = node != NULL ? store_refresh(store, node) : 0;
    if (node != NULL && node->removed) {
        /* By another process; there may be something new. */
        (void)store_node_move(store, node, NULL, NULL, 0);
        store_node_tidy(store, node);
        node = NULL;
        err = 0;
    }
    if (err != 0) {
        return err;
    }
    if (node == NULL) {
        return find_stored(store, parent, name, len, ret);
    }
    *ret = node;
    return node->kind == SNODE_GONE ? ENOENT : 0;
}

/* Whether the directory shows nothing of what a tree has, of nodes only or of
 * everything: an error of the store. */
static int shows_none(struct store *store, struct snode *dir,
                      struct pk_tree *tree, bool nodes, bool *ret)
{
    struct pk_path here = {NULL, 0};
    struct pk_range all = {0, 0};
    struct pk_entry entry;
    struct pk_list *list = NULL;
    *ret = true;
    if (tree == NULL) {
        return 0;
    }
    int err = pk_list_open(tree, here, all, 0, &list);
    while (err == 0 && *ret && (err = pk_list_next(list, &entry)) == 1) {
        const char *name = (const char *)entry.step.p;
        struct snode *node = store_node_find(store, dir, name, entry.step.len);
        err = 0;
        if (!nodes) {
            *ret = node != NULL && node->kind == SNODE_GONE;
        } else if (entry.kind == PK_NODE) {
            *ret = store_child(store, dir, name, entry.step.len, &node) != 0;
            store_node_tidy(store, *ret ? NULL : node);
        }
    }
    pk_list_close(list);
    return err;
}

bool store_is_empty_dir(struct store *store, struct snode *dir, int *ret_err)
{
    bool empty = true;
    *ret_err = store_refresh(store, dir);
    for (const struct snode *pin = dir->pins; pin != NULL && empty;
         pin = pin->pin_next) {
        empty = pin->kind == SNODE_GONE;
    }
    if (*ret_err != 0 || !empty) {
        return empty;
    }
    int err = shows_none(store, dir, dir->tree, false, &empty);
    if (err == 0 && empty) {
        err = shows_none(store, dir, dir->side, true, &empty);
    }
    *ret_err = serve_errno(err);
    return err == 0 && empty;
}

/* ---- Contents ---------------------------------------------------------------
 */

int store_load(struct store *store, struct snode *node)
{
    struct pk_bytes bytes;
    struct place place;
    if (node->loaded || !node->stored) {
        node->loaded = true;
        return 0;
    }
    int err = store_refresh(store, node);
    if (err != 0) {
        return err;
    }
    if (!place_find(node, &place)) {
        return ENOMEM;
    }
    err = place.tree != NULL ? pk_tree_get(place.tree, place.path, &bytes)
                             : NF_ENOENT;
    free(place.steps);
    if (err != 0) {
        return serve_errno(err);
    }
    node->data = malloc(bytes.len + 1);
    if (node->data == NULL) {
        err = ENOMEM;
    } else {
        memcpy(node->data, bytes.p, bytes.len);
        node->size = bytes.len;
        node->cap = bytes.len + 1;
        node->loaded = true;
    }
    pk_bytes_free(store->repo, &bytes);
    return err;
}

void store_unload(struct store *store, struct snode *node)
{
    store->dirty_len -= node->written ? node->size : 0;
    node->written = false;
    free(node->data);
    node->data = NULL;
    node->cap = 0;
    node->loaded = false;
}
