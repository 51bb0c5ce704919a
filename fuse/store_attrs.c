/* SPDX-License-Identifier: ISC */
/*
 * Between nodes and what side trees record of them. The data count: a record of
 * another kind than what the data have at its path, or one that cannot be
 * decoded, is passed over.
 */
#include <stdlib.h>
#include <string.h>

#include "fuse/store_attrs.h"

int store_attrs_open(struct store *store)
{
    return store->how->options->posix
               ? pk_sides_open(store->repo, &store->sides)
               : 0;
}

void store_attrs_close(struct store *store)
{
    pk_sides_close(store->sides);
    store->sides = NULL;
}

/* ---- Reading ------------------------------------------------------------ */

static struct timespec time_of(struct pk_posix_time time)
{
    return (struct timespec){(time_t)time.sec, (long)time.nsec};
}

static int take(struct snode *node, const struct pk_posix *posix)
{
    uint8_t *xattrs = NULL;
    if (posix->xattrs.len > 0) {
        xattrs = malloc(posix->xattrs.len);
        if (xattrs == NULL) {
            return NF_ENOMEM;
        }
        memcpy(xattrs, posix->xattrs.p, posix->xattrs.len);
    }
    free(node->xattrs);
    node->xattrs = xattrs;
    node->xattrs_len = posix->xattrs.len;
    node->mode = (mode_t)posix->mode;
    node->uid = (uid_t)posix->uid;
    node->gid = (gid_t)posix->gid;
    node->mtime = time_of(posix->mtime);
    node->ctime = time_of(posix->ctime);
    node->atime = node->mtime;
    return 0;
}

/* The record at path, if there is one that can be read: 1; 0: none. */
static int get(struct pk_tree *side, struct pk_path path,
               struct pk_bytes *ret_bytes, struct pk_posix *ret)
{
    int err =
        side != NULL ? pk_posix_get(side, path, ret_bytes, ret) : NF_ENOENT;
    if (err == 0) {
        return 1;
    }
    return nf_err_class(err) == NF_ENOENT || err == NF_EC_POSIX ? 0 : err;
}

static int load(struct store *store, struct snode *node, struct pk_tree *side,
                struct pk_path path)
{
    struct pk_bytes bytes;
    struct pk_posix posix;
    int err = get(side, path, &bytes, &posix);
    if (err == 1) {
        err = (posix.kind == PK_POSIX_DIR) == (node->kind == SNODE_DIR) &&
                      posix.kind != PK_POSIX_LINK
                  ? take(node, &posix)
                  : 0;
        pk_bytes_free(store->repo, &bytes);
    }
    return err;
}

int store_attrs_root(struct store *store, struct snode *root)
{
    const struct branch *branch = root->branch;
    struct pk_path here = {NULL, 0};
    struct pk_tree *side = NULL;
    int err = 0;
    if (store->sides == NULL || (branch != NULL && !branch->has_head)) {
        return 0;
    }
    err = pk_sides_tree(store->sides,
                        branch != NULL ? &branch->head : &root->snapshot.commit,
                        &side);
    if (err == 0) {
        pk_tree_free(root->side);
        root->side = side;
        err = load(store, root, side, here);
    }
    return err;
}

int store_attrs_load(struct store *store, struct snode *node)
{
    struct pk_slice step = slice(node->name, node->name_len);
    struct pk_path path = {&step, 1};
    struct pk_tree *parent = node->parent->side;
    struct pk_tree *side = NULL;
    int err = 0;
    if (store->sides == NULL) {
        return 0;
    }
    if (node->kind == SNODE_DIR) {
        err = parent != NULL ? pk_tree_sub(parent, path, &side) : 0;
        if (err != 0 && err != NF_ENOENT && err != NF_ENOTDIR) {
            return err;
        }
        pk_tree_free(node->side);
        node->side = side;
    }
    return load(store, node, parent, path);
}

int store_attrs_find(struct store *store, struct snode *parent,
                     const char *name, size_t len, struct snode **ret)
{
    struct pk_slice step = slice(name, len);
    struct pk_path path = {&step, 1};
    struct pk_bytes bytes;
    struct pk_posix posix;
    int err = get(parent->side, path, &bytes, &posix);
    if (err != 1) {
        return err == 0 ? NF_ENOENT : err;
    }
    err = NF_ENOENT;
    if (posix.kind != PK_POSIX_FILE) {
        bool is_dir = posix.kind == PK_POSIX_DIR;
        struct snode *node = store_node_add(store, parent, name, len,
                                            is_dir ? SNODE_DIR : SNODE_LINK);
        err = node != NULL ? take(node, &posix) : NF_ENOMEM;
        if (err == 0 && is_dir) {
            err = pk_tree_sub(parent->side, path, &node->side);
        } else if (err == 0) {
            node->size = posix.link.len;
            node->link = strndup((const char *)posix.link.p, posix.link.len);
            err = node->link != NULL ? 0 : NF_ENOMEM;
        }
        if (err == 0) {
            node->sided = true;
            node->epoch = parent->epoch;
            *ret = node;
        } else if (node != NULL) {
            store_node_tidy(store, node);
        }
    }
    pk_bytes_free(store->repo, &bytes);
    return err;
}

int store_attrs_stays(struct store *store, struct snode *node, bool *ret)
{
    struct pk_slice step = slice(node->name, node->name_len);
    struct pk_path path = {&step, 1};
    struct pk_bytes bytes;
    struct pk_posix posix;
    *ret = !node->stored && !node->sided; /* not committed yet */
    if (*ret || store->sides == NULL) {
        return 0;
    }
    int err = get(node->parent->side, path, &bytes, &posix);
    if (err == 1) {
        *ret = node->kind == SNODE_DIR
                   ? posix.kind == PK_POSIX_DIR
                   : posix.kind == PK_POSIX_LINK &&
                         posix.link.len == node->size &&
                         memcmp(posix.link.p, node->link, node->size) == 0;
        err = *ret ? take(node, &posix) : 0;
        pk_bytes_free(store->repo, &bytes);
    }
    if (err == 0 && *ret && node->kind == SNODE_DIR) {
        pk_tree_free(node->side);
        node->side = NULL;
        err = pk_tree_sub(node->parent->side, path, &node->side);
    }
    node->sided = *ret;
    return err;
}

int store_attrs_has(const struct snode *dir, const char *name, size_t len,
                    bool *ret)
{
    struct pk_slice step = slice(name, len);
    struct pk_path path = {&step, 1};
    enum pk_kind kind = PK_NONE;
    int err = dir->side != NULL ? pk_tree_kind(dir->side, path, &kind) : 0;
    *ret = kind != PK_NONE;
    return err;
}

/* ---- Committing --------------------------------------------------------- */

static int side_of(struct attrs_change *change, const struct pk_digest *head,
                   struct pk_repo *repo, struct pk_tree **ret)
{
    int err = 0;
    *ret = NULL;
    if (head != NULL) {
        err = pk_sides_tree(change->sides, head, ret);
    }
    return err == 0 && *ret == NULL ? pk_tree_empty(repo, ret) : err;
}

int attrs_change_begin(struct attrs_change *change, struct store *store,
                       struct pk_repo *repo, const struct pk_digest *head)
{
    if (store->sides == NULL) {
        return 0;
    }
    int err = pk_sides_open(repo, &change->sides);
    if (err == 0) {
        err = side_of(change, head, repo, &change->base);
    }
    return err == 0 ? pk_tree_clone(change->base, &change->ours) : err;
}

void attrs_change_end(struct attrs_change *change)
{
    pk_tree_free(change->ours);
    pk_tree_free(change->base);
    pk_sides_close(change->sides);
}

static struct pk_posix record_of(const struct snode *node)
{
    struct pk_posix posix = {
        .kind = node->kind == SNODE_DIR    ? PK_POSIX_DIR
                : node->kind == SNODE_LINK ? PK_POSIX_LINK
                                           : PK_POSIX_FILE,
        .mode = node->mode & PK_POSIX_MODE_MAX,
        .uid = node->uid,
        .gid = node->gid,
        .mtime = {node->mtime.tv_sec, (uint32_t)node->mtime.tv_nsec},
        .ctime = {node->ctime.tv_sec, (uint32_t)node->ctime.tv_nsec},
        .xattrs = {node->xattrs, node->xattrs_len},
    };
    if (node->kind == SNODE_LINK) {
        posix.link = slice(node->link, node->size);
    }
    return posix;
}

int attrs_change_put(struct attrs_change *change, const struct snode *node,
                     struct pk_path path, struct pk_path origin)
{
    struct pk_tree *side = change->ours;
    struct pk_tree *sub = NULL;
    int err = 0;
    if (side == NULL) {
        return 0;
    }
    if (node->kind == SNODE_DIR && origin.n > 0) {
        err = pk_tree_sub(change->base, origin, &sub);
        err = err == NF_ENOENT || err == NF_ENOTDIR ? 0 : err;
    }
    /* Nothing stays of what was there before, but for a directory itself. */
    if (err == 0 &&
        (sub != NULL || origin.n > 0 || (!node->stored && !node->sided))) {
        err = sub != NULL ? pk_tree_set_tree(side, path, sub)
                          : pk_tree_remove(side, path);
    }
    pk_tree_free(sub);
    if (err == 0 && node->kind != SNODE_GONE) {
        const struct pk_posix posix = record_of(node);
        err = pk_posix_set(side, path, &posix);
    }
    return err;
}

int attrs_change_is_none(const struct attrs_change *change, bool *ret)
{
    struct pk_digest before;
    struct pk_digest after;
    *ret = true;
    if (change->ours == NULL) {
        return 0;
    }
    int err = pk_tree_hash(change->base, &before);
    if (err == 0) {
        err = pk_tree_hash(change->ours, &after);
    }
    *ret = err == 0 && memcmp(&before, &after, sizeof(before)) == 0;
    return err;
}

int attrs_change_commit(const struct attrs_change *change,
                        struct pk_slice branch, const struct pk_digest *of,
                        const struct pk_info *info, struct pk_digest *ret)
{
    struct pk_repo *repo = pk_tree_repo(change->ours);
    struct pk_digest parent;
    int err = pk_posix_branch_get(repo, branch, &parent);
    if (err != 0 && err != NF_EC_NO_BRANCH) {
        return err;
    }
    return pk_posix_commit(change->ours, of, &parent, err == 0, info, ret);
}

int attrs_change_merge(struct attrs_change *change,
                       const struct pk_digest *theirs)
{
    struct pk_repo *repo = pk_tree_repo(change->ours);
    struct pk_tree *side;
    struct pk_tree *merged;
    int err = side_of(change, theirs, repo, &side);
    if (err == 0) {
        err = pk_posix_merge(change->base, change->ours, side, &merged);
        pk_tree_free(side);
    }
    if (err == 0) {
        pk_tree_free(change->ours);
        change->ours = merged;
    }
    return err;
}

int attrs_change_copy(struct attrs_change *change, struct pk_path from,
                      struct pk_path to)
{
    struct pk_bytes bytes;
    struct pk_posix posix;
    int err = get(change->ours, from, &bytes, &posix);
    if (err == 1) {
        err = posix.kind == PK_POSIX_FILE
                  ? pk_posix_set(change->ours, to, &posix)
                  : 0;
        pk_bytes_free(pk_tree_repo(change->ours), &bytes);
    }
    return err;
}

/* ---- Branches ----------------------------------------------------------- */

int store_attrs_branch(const struct store *store, struct pk_repo *repo,
                       struct pk_slice branch, const struct pk_digest *head)
{
    struct pk_sides *sides;
    if (store->sides == NULL) {
        return 0;
    }
    if (head == NULL) {
        return pk_posix_branch_set(repo, branch, NULL);
    }
    int err = pk_sides_open(repo, &sides);
    if (err == 0) {
        err = pk_sides_branch(sides, branch, head);
        pk_sides_close(sides);
    }
    return err;
}

bool store_attrs_hides(const struct store *store, struct pk_slice branch)
{
    size_t len = strlen(PK_POSIX_PREFIX);
    return store->sides != NULL && branch.len >= len &&
           memcmp(branch.p, PK_POSIX_PREFIX, len) == 0;
}
