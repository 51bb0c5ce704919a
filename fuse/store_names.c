/* SPDX-License-Identifier: ISC */
/*
 * Operations that make, remove and rename, in branches; and those on branches
 * themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/store_attrs.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1u << 0)
#endif

static struct store *store_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Take both locks to change something in dir: an errno. */
static int begin(struct store *store, struct snode *dir)
{
    if (store->readonly || (dir->branch == NULL && dir->kind != SNODE_LIVE)) {
        return dir->kind == SNODE_ROOT || dir->kind == SNODE_AT ||
                       dir->kind == SNODE_COMMITS || dir->kind == SNODE_TAGS
                   ? EPERM
                   : EROFS;
    }
    turn_take(&store->change);
    turn_take(&store->turn);
    int err = store_refresh(store, dir);
    if (err == 0 && dir->removed) {
        err = ENOENT;
    }
    if (err != 0) {
        turn_pass(&store->turn);
        turn_pass(&store->change);
    }
    return err;
}

static void end(struct store *store)
{
    turn_pass(&store->turn);
    turn_pass(&store->change);
}

/* A directory has other entries now. */
static void touch(struct store *store, struct snode *dir)
{
    dir->mtime = dir->ctime = store_now();
    store_changed(store, dir);
}

/* Note that a name is gone which the tree still has: an errno. */
static int put_gone(struct store *store, struct snode *dir, const char *name,
                    size_t len, struct snode **ret)
{
    struct pk_slice step = slice(name, len);
    struct pk_path path = {&step, 1};
    enum pk_kind kind = PK_NONE;
    bool sided = false;
    *ret = NULL;
    int err = dir->tree != NULL ? pk_tree_kind(dir->tree, path, &kind) : 0;
    if (err == 0) {
        err = store_attrs_has(dir, name, len, &sided);
    }
    if (err != 0 || (kind == PK_NONE && !sided)) {
        return serve_errno(err);
    }
    struct snode *gone = store_node_add(store, dir, name, len, SNODE_GONE);
    if (gone == NULL) {
        return ENOMEM;
    }
    store_changed(store, gone);
    *ret = gone;
    return 0;
}

/* Make way for what will have that name. */
static void drop_gone(struct store *store, struct snode *dir, const char *name,
                      size_t len)
{
    struct snode *gone = store_node_find(store, dir, name, len);
    if (gone != NULL && gone->kind == SNODE_GONE) {
        store_node_unpin(store, gone);
        store_node_tidy(store, gone);
    }
}

/* ---- Making
 * ------------------------------------------------------------------ */

static int add(fuse_req_t req, struct snode *dir, const char *name,
               enum snode_kind kind, mode_t mode, struct snode **ret)
{
    struct store *store = store_of(req);
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    size_t len = strlen(name);
    struct snode *node;
    int err = store_child(store, dir, name, len, &node);
    if (err != ENOENT) {
        return err == 0 ? EEXIST : err;
    }
    drop_gone(store, dir, name, len);
    node = store_node_add(store, dir, name, len, kind);
    if (node == NULL) {
        return ENOMEM;
    }
    node->mode = mode & 07777u;
    node->uid = ctx->uid;
    node->gid = ctx->gid;
    if ((dir->mode & S_ISGID) != 0) {
        node->gid = dir->gid;
        node->mode |= kind == SNODE_DIR ? S_ISGID : 0u;
    }
    node->epoch = dir->branch->epoch;
    node->loaded = node->written = kind == SNODE_FILE;
    node->atime = node->mtime = node->ctime = store_now();
    store_changed(store, node);
    touch(store, dir);
    *ret = node;
    return 0;
}

/* Make something and look it up: an errno. */
static int make(fuse_req_t req, fuse_ino_t ino, const char *name,
                enum snode_kind kind, mode_t mode, const char *link,
                struct fuse_entry_param *ret)
{
    struct store *store = store_of(req);
    struct snode *dir = store_node(store, ino);
    struct snode *node;
    char *copy = NULL;
    if (link != NULL && (copy = strdup(link)) == NULL) {
        return ENOMEM;
    }
    int err = dir->kind == SNODE_LIVE ? EPERM : begin(store, dir);
    if (err != 0) {
        free(copy);
        return err;
    }
    err = add(req, dir, name, kind, mode, &node);
    if (err == 0) {
        node->link = copy;
        node->size = copy != NULL ? strlen(copy) : 0;
        copy = NULL;
        node->n_lookups++;
        store_fill_entry(store, node, ret);
    }
    end(store);
    free(copy);
    return err;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct fuse_entry_param entry;
    int err = make(req, parent, name, SNODE_FILE, mode, NULL, &entry);
    if (err != 0) {
        fuse_reply_err(req, err);
        return;
    }
    struct snode *node = store_node(store, entry.ino);
    turn_take(&store->turn);
    node->n_open++;
    node->refs++;
    turn_pass(&store->turn);
    fi->keep_cache = 1;
    fuse_reply_create(req, &entry, fi);
}

static void reply_made(fuse_req_t req, int err,
                       const struct fuse_entry_param *entry)
{
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_entry(req, entry);
    }
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode, dev_t rdev)
{
    struct fuse_entry_param entry;
    int err = EPERM; /* there are no special files */
    (void)rdev;
    if (S_ISREG(mode)) {
        err = make(req, parent, name, SNODE_FILE, mode, NULL, &entry);
    }
    reply_made(req, err, &entry);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
                       const char *name)
{
    struct fuse_entry_param entry;
    reply_made(req, make(req, parent, name, SNODE_LINK, 0777, link, &entry),
               &entry);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
                    const char *name)
{
    (void)ino;
    (void)parent;
    (void)name;
    fuse_reply_err(req, EPERM);
}

static int make_branch(struct store *store, struct snode *live,
                       const char *name, struct fuse_entry_param *ret)
{
    struct snode *node;
    int err = begin(store, live);
    if (err != 0) {
        return err;
    }
    if (store_child(store, live, name, strlen(name), &node) == 0) {
        err = EEXIST;
        store_node_tidy(store, node);
    }
    if (err == 0) {
        err = store_branch_make(store, name);
    }
    if (err == 0) {
        err = store_child(store, live, name, strlen(name), &node);
    }
    if (err == 0) {
        node->n_lookups++;
        store_fill_entry(store, node, ret);
    }
    end(store);
    return err;
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode)
{
    struct store *store = store_of(req);
    struct snode *dir = store_node(store, parent);
    struct fuse_entry_param entry;
    int err = dir->kind == SNODE_LIVE
                  ? make_branch(store, dir, name, &entry)
                  : make(req, parent, name, SNODE_DIR, mode, NULL, &entry);
    reply_made(req, err, &entry);
}

/* ---- Removing
 * ------------------------------------------------------------------ */

/* All that is noted of the children of a directory that is empty, or whose
 * branch goes. */
static void drop_pins(struct store *store, struct snode *dir)
{
    while (dir->pins != NULL) {
        struct snode *node = dir->pins;
        while (node->pins != NULL) {
            node = node->pins;
        }
        struct snode *parent = node->parent;
        parent->refs++;
        store_node_unpin(store, node);
        node->written = false;
        store_node_tidy(store, node);
        parent->refs--;
    }
}

static int remove_node(struct store *store, struct snode *node)
{
    struct snode *dir = node->parent;
    int err = 0;
    if (node->kind == SNODE_DIR) {
        bool empty = store_is_empty_dir(store, node, &err);
        if (err != 0 || !empty) {
            return err != 0 ? err : ENOTEMPTY;
        }
        drop_pins(store, node);
    } else if (node->n_open > 0 && node->kind == SNODE_FILE) {
        err = store_load(store, node); /* its tree will not have it */
    }
    char name[NAME_MAX + 1];
    size_t len = node->name_len;
    memcpy(name, node->name, len);
    if (err == 0) {
        /* First, or what the tree has would come back if this failed. */
        struct snode *gone;
        err = put_gone(store, dir, name, len, &gone);
    }
    if (err == 0) {
        touch(store, dir);
        node->ctime = store_now();
        node->refs++;
        (void)store_node_move(store, node, NULL, NULL, 0);
        node->refs--;
        store_node_tidy(store, node);
    }
    return err;
}

static void remove_name(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct store *store = store_of(req);
    struct snode *dir = store_node(store, ino);
    struct snode *node;
    int err = dir->kind == SNODE_LIVE ? EPERM : begin(store, dir);
    if (err == 0) {
        err = store_child(store, dir, name, strlen(name), &node);
        if (err == 0) {
            err = remove_node(store, node);
        }
        end(store);
    }
    fuse_reply_err(req, err);
}

/* rmdir in live/: what is pending is committed first, and stays in history. */
static int remove_branch(struct store *store, struct snode *live,
                         const char *name)
{
    struct snode *node;
    int err = begin(store, live);
    if (err != 0) {
        return err;
    }
    err = store_child(store, live, name, strlen(name), &node);
    if (err == 0 && strcmp(node->branch->name, store->how->branch) == 0) {
        err = EBUSY; /* what others start from */
    }
    if (err == 0) {
        node->refs++;
        turn_pass(&store->turn);
        err = store_commit(store, node->branch);
        turn_take(&store->turn);
        if (err == 0) {
            err = store_branch_remove(store, name);
        }
        if (err == 0) {
            drop_pins(store, node);
            (void)store_node_move(store, node, NULL, NULL, 0);
        }
        node->refs--;
        store_node_tidy(store, node);
    }
    end(store);
    return err;
}

static void op_rmdir(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct store *store = store_of(req);
    struct snode *dir = store_node(store, ino);
    if (dir->kind == SNODE_LIVE) {
        fuse_reply_err(req, remove_branch(store, dir, name));
    } else {
        remove_name(req, ino, name);
    }
}

/* ---- Renaming
 * -------------------------------------------------------------------- */

static int check_target(struct snode *node, struct snode *target)
{
    if (target->kind == SNODE_DIR && node->kind != SNODE_DIR) {
        return EISDIR;
    }
    return target->kind != SNODE_DIR && node->kind == SNODE_DIR ? ENOTDIR : 0;
}

static int move_node(struct store *store, struct snode *node, struct snode *to,
                     const char *name)
{
    struct snode *from = node->parent;
    char old[NAME_MAX + 1];
    size_t old_len = node->name_len;
    for (const struct snode *up = to; up != NULL; up = up->parent) {
        if (up == node) {
            return EINVAL;
        }
    }
    memcpy(old, node->name, old_len);
    if (!store_keep_origin(node)) {
        return ENOMEM;
    }
    struct snode *gone;
    int err = put_gone(store, from, old, old_len, &gone);
    if (err != 0) {
        return err;
    }
    drop_gone(store, to, name, strlen(name));
    from->refs++;
    bool moved = store_node_move(store, node, to, name, strlen(name));
    if (!moved && gone != NULL) {
        store_node_unpin(store, gone);
        store_node_tidy(store, gone);
    }
    if (moved) {
        node->ctime = store_now();
        store_changed(store, node);
        touch(store, from);
        touch(store, to);
    }
    from->refs--;
    store_node_tidy(store, from);
    return moved ? 0 : ENOMEM;
}

static int rename_child(struct store *store, struct snode *dirs[2],
                        const char *names[2], unsigned flags)
{
    struct snode *node;
    struct snode *target;
    int err = store_child(store, dirs[0], names[0], strlen(names[0]), &node);
    if (err != 0) {
        return err;
    }
    node->refs++;
    err = store_child(store, dirs[1], names[1], strlen(names[1]), &target);
    if (err == 0 && (flags & RENAME_NOREPLACE) != 0) {
        err = EEXIST;
    } else if (err == 0 && target != node) {
        err = check_target(node, target);
        if (err == 0) {
            err = remove_node(store, target);
        }
    } else if (err == ENOENT) {
        err = 0;
        target = NULL;
    }
    if (err == 0 && target != node) {
        err = move_node(store, node, dirs[1], names[1]);
    }
    node->refs--;
    store_node_tidy(store, node);
    return err;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t new_parent, const char *new_name,
                      unsigned flags)
{
    struct store *store = store_of(req);
    struct snode *dirs[2] = {store_node(store, parent),
                             store_node(store, new_parent)};
    const char *names[2] = {name, new_name};
    int err = (flags & ~(unsigned)RENAME_NOREPLACE) != 0 ? EINVAL : 0;
    if (err == 0 && dirs[0]->branch != dirs[1]->branch) {
        err = EXDEV; /* from one branch to another: copied */
    }
    if (err == 0 && dirs[0]->branch == NULL) {
        err = dirs[0]->kind == SNODE_DIR ? EROFS : EPERM;
    }
    if (err == 0) {
        err = begin(store, dirs[0]);
    }
    if (err == 0) {
        err = store_refresh(store, dirs[1]);
        if (err == 0) {
            err = rename_child(store, dirs, names, flags);
        }
        end(store);
    }
    fuse_reply_err(req, err);
}

void store_ops_names(struct fuse_lowlevel_ops *ops)
{
    ops->create = op_create;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->symlink = op_symlink;
    ops->link = op_link;
    ops->unlink = remove_name;
    ops->rmdir = op_rmdir;
    ops->rename = op_rename;
}
