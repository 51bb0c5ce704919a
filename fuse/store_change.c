/* SPDX-License-Identifier: ISC */
/*
 * Operations on files of branches that are open, and on attributes. A file that
 * is written is in memory until it is committed; when that becomes much, a
 * commit is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/store_int.h"

static struct store *store_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static bool may_change(const struct store *store, const struct snode *node)
{
    return !store->readonly && node->branch != NULL;
}

/* ---- Contents --------------------------------------------------------------
 */

static bool make_room(struct snode *node, size_t size)
{
    if (size <= node->cap) {
        return true;
    }
    size_t cap = size < 4096 ? size + 64 : size + size / 2;
    uint8_t *data = realloc(node->data, cap);
    if (data == NULL) {
        return false;
    }
    node->data = data;
    node->cap = cap;
    return true;
}

static void set_size(struct store *store, struct snode *node, size_t size)
{
    store->dirty_len -= node->written ? node->size : 0;
    node->written = true;
    node->size = size;
    store->dirty_len += size;
}

/* Under both locks. */
static int resize(struct store *store, struct snode *node, uint64_t size)
{
    int err = size == 0 ? 0 : store_load(store, node);
    if (err != 0) {
        return err;
    }
    if (size == 0 && !node->loaded) {
        node->loaded = true; /* nothing of it is wanted */
    }
    if (size > SIZE_MAX / 4) {
        return EFBIG;
    }
    if (!make_room(node, (size_t)size)) {
        return ENOMEM;
    }
    if (size > node->size) {
        memset(node->data + node->size, 0, (size_t)size - node->size);
    }
    set_size(store, node, (size_t)size);
    node->mtime = node->ctime = store_now();
    if (!node->removed) {
        store_changed(store, node);
    }
    return 0;
}

static int write_at(struct store *store, struct snode *node, const char *buf,
                    size_t len, uint64_t off)
{
    int err = store_load(store, node);
    if (err != 0) {
        return err;
    }
    if (off > SIZE_MAX / 4) {
        return EFBIG;
    }
    uint64_t end = off + len;
    if (end > node->size) {
        err = resize(store, node, end);
    } else {
        err = resize(store, node, node->size);
    }
    if (err == 0 && len > 0) {
        memcpy(node->data + off, buf, len);
    }
    return err;
}

/* Let go of both locks; commit first if there is much in memory. */
static void end_change(struct store *store, struct branch *branch)
{
    bool much = store->dirty_len > STORE_DIRTY_MAX;
    turn_pass(&store->turn);
    if (much) {
        (void)store_commit(store, branch); /* it stays in memory, and is told */
    }
    turn_pass(&store->change);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
                     size_t size, off_t off, struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    (void)fi;
    if (!may_change(store, node)) {
        fuse_reply_err(req, EROFS);
        return;
    }
    turn_take(&store->change);
    turn_take(&store->turn);
    int err = write_at(store, node, buf, size, (uint64_t)off);
    end_change(store, node->branch);
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_write(req, size);
    }
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                     struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    (void)datasync;
    (void)fi;
    fuse_reply_err(req, node->branch != NULL || node->kind == SNODE_LIVE ||
                                node->kind == SNODE_ROOT
                            ? store_sync(store, node->branch)
                            : 0);
}

/* ---- Open and close --------------------------------------------------------
 */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    int err = 0;
    bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
    if (writes && !may_change(store, node)) {
        fuse_reply_err(req, EROFS);
        return;
    }
    bool empties = (fi->flags & O_TRUNC) != 0;
    if (empties) {
        turn_take(&store->change);
    }
    turn_take(&store->turn);
    if (empties) {
        err = resize(store, node, 0);
    }
    if (err == 0) {
        node->n_open++;
        node->refs++;
    }
    if (empties) {
        end_change(store, node->branch);
    } else {
        turn_pass(&store->turn);
    }
    fi->keep_cache = 1;
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_open(req, fi);
    }
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    (void)fi;
    turn_take(&store->turn);
    node->n_open--;
    node->refs--;
    if (node->n_open == 0 && (!node->written || node->removed)) {
        store_unload(store, node);
    }
    store_node_tidy(store, node);
    turn_pass(&store->turn);
    fuse_reply_err(req, 0);
}

/* ---- Attributes -------------------------------------------------------------
 */

static void set_attr(struct snode *node, const struct stat *want, int to_set)
{
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
        node->mode = want->st_mode & 07777u;
    }
    if ((to_set & FUSE_SET_ATTR_UID) != 0) {
        node->uid = want->st_uid;
    }
    if ((to_set & FUSE_SET_ATTR_GID) != 0) {
        node->gid = want->st_gid;
    }
    if ((to_set & FUSE_SET_ATTR_ATIME) != 0) {
        node->atime = want->st_atim;
    }
    if ((to_set & FUSE_SET_ATTR_MTIME) != 0) {
        node->mtime = want->st_mtim;
    }
    if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0) {
        node->atime = store_now();
    }
    if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0) {
        node->mtime = store_now();
    }
    node->ctime =
        (to_set & FUSE_SET_ATTR_CTIME) != 0 ? want->st_ctim : store_now();
}

/* Attributes that only the node knows keep it, or are to be committed. The time
 * of the last access is not. */
static void note_attr(struct store *store, struct snode *node, int to_set)
{
    if (store->sides != NULL &&
        (to_set & ~(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) != 0) {
        store_changed(store, node);
    } else {
        store_node_pin(store, node);
    }
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want,
                       int to_set, struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    struct stat stat;
    (void)fi;
    if (!may_change(store, node)) {
        fuse_reply_err(req, EROFS);
        return;
    }
    turn_take(&store->change);
    turn_take(&store->turn);
    int err = store_refresh(store, node);
    if (err == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0) {
        err = resize(store, node, (uint64_t)want->st_size);
    }
    if (err == 0) {
        set_attr(node, want, to_set);
        if (!node->removed) {
            note_attr(store, node, to_set);
        }
    }
    store_fill_stat(store, node, &stat);
    double timeout = store_timeout(node);
    end_change(store, node->branch);
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_attr(req, &stat, timeout);
    }
}

void store_ops_change(struct fuse_lowlevel_ops *ops)
{
    ops->write = op_write;
    ops->fsync = op_fsync;
    ops->fsyncdir = op_fsync;
    ops->open = op_open;
    ops->release = op_release;
    ops->setattr = op_setattr;
}
