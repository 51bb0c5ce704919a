/* SPDX-License-Identifier: ISC */
/*
 * Operations on files that are open, and on their attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "fuse/image_int.h"

#define FOREVER 86400.0 /* seconds */

static struct image *image_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* ---- Contents ----------------------------------------------------------- */

enum change_kind { WRITE, TRUNCATE, PUNCH };

struct change {
    enum change_kind kind;
    uint64_t off;
    uint64_t len;
    const char *buf;
};

static int apply(struct nf_file *file, const struct change *change)
{
    switch (change->kind) {
    case WRITE:
        return nf_write(file, change->off, change->buf, (size_t)change->len);
    case TRUNCATE:
        return nf_truncate(file, change->len);
    case PUNCH:
        return nf_punch(file, change->off, change->len);
    }
    return NF_EINVAL;
}

/* In a change: apply it to a file, with room made if it lacks. */
static int change_file(struct image *image, struct node *node,
                       const struct change *change)
{
    struct nf_file *file;
    struct nf_file *opened;
    bool tried = false;
    int err = image_change_file(image, node, &file, &opened);
    if (err != 0) {
        return err;
    }
    image_changing(image, node);
    do {
        err = apply(file, change);
    } while (err != 0 && image_retry(image, err, &tried));
    if (err == 0) {
        struct nf_stat st;
        (void)image_stat_node(image, node, image->live.nf, &st); /* noted */
    }
    nf_close(opened);
    return err;
}

static int whole_change(struct image *image, fuse_ino_t ino,
                        const struct change *change)
{
    int err = image_change_begin(image);
    if (err != 0) {
        return err;
    }
    return image_change_end(image,
                            change_file(image, image_node(image, ino), change));
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
                     size_t size, off_t off, struct fuse_file_info *fi)
{
    const struct change change = {WRITE, (uint64_t)off, size, buf};
    int err = whole_change(image_of(req), ino, &change);
    (void)fi;
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_write(req, size);
    }
}

/* Pages cannot be set aside, as each write takes new ones. */
static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
                         off_t len, struct fuse_file_info *fi)
{
    const struct change change = {PUNCH, (uint64_t)off, (uint64_t)len, NULL};
    int err = EOPNOTSUPP;
    (void)fi;
    if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
        mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)) {
        err = whole_change(image_of(req), ino, &change);
    }
    fuse_reply_err(req, err);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                     struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    (void)ino;
    (void)datasync;
    (void)fi;
    fuse_reply_err(req, image->readonly ? 0 : image_sync(image));
}

/* ---- Open and close ------------------------------------------------------ */

static bool may_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

void image_add_open(struct image *image, struct node *node, int flags)
{
    pthread_mutex_lock(&image->lock);
    node->n_open++;
    node->n_writers += may_write(flags);
    node->refs++;
    pthread_mutex_unlock(&image->lock);
}

void image_drop_open(struct image *image, struct node *node, int flags)
{
    pthread_mutex_lock(&image->lock);
    node->n_writers -= may_write(flags);
    bool last = --node->n_open == 0;
    pthread_mutex_unlock(&image->lock);
    if (last && (node->file != NULL || node->hidden)) {
        turn_take(&node->space->turn);
        pthread_mutex_lock(&image->lock);
        last = node->n_open == 0;
        pthread_mutex_unlock(&image->lock);
        if (last) {
            nf_close(node->file);
            node->file = NULL;
        }
        if (last && node->hidden) {
            image_drop_hidden(image, node);
        }
        turn_pass(&node->space->turn);
    }
    image_node_unref(image, node);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    struct node *node = image_node(image, ino);
    int err = 0;
    if (may_write(fi->flags) &&
        (image->readonly || node->space != &image->live)) {
        fuse_reply_err(req, EROFS);
        return;
    }
    image_add_open(image, node, fi->flags);
    if ((fi->flags & O_TRUNC) != 0) {
        const struct change change = {TRUNCATE, 0, 0, NULL};
        err = whole_change(image, ino, &change);
    }
    fi->keep_cache = 1;
    if (err != 0) {
        image_drop_open(image, node, fi->flags);
        fuse_reply_err(req, err);
    } else if (fuse_reply_open(req, fi) == -ENOENT) {
        image_drop_open(image, node, fi->flags); /* interrupted */
    }
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    image_drop_open(image, image_node(image, ino), fi->flags);
    fuse_reply_err(req, 0);
}

/* ---- Attributes -----------------------------------------------------------
 */

static struct timespec time_to_set(const struct timespec *given, bool now)
{
    return now ? image_now() : *given;
}

/* Modes, owners, atime and ctime, which are ours. */
static bool set_attr(struct image *image, struct node *node,
                     const struct stat *want, int to_set,
                     const struct stat *have)
{
    struct attr attr = {have->st_mode & 07777u, have->st_uid, have->st_gid};
    bool done = true;
    pthread_mutex_lock(&image->lock);
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
        attr.mode = want->st_mode & 07777u;
    }
    if ((to_set & FUSE_SET_ATTR_UID) != 0) {
        attr.uid = want->st_uid;
    }
    if ((to_set & FUSE_SET_ATTR_GID) != 0) {
        attr.gid = want->st_gid;
    }
    if ((to_set &
         (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
        done = attrs_set(&image->attrs, node->id, &attr);
    }
    if ((to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) != 0) {
        node->atime = time_to_set(&want->st_atim,
                                  (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0);
    }
    node->ctime =
        (to_set & FUSE_SET_ATTR_CTIME) != 0 ? want->st_ctim : image_now();
    pthread_mutex_unlock(&image->lock);
    return done;
}

static int set_mtime(struct image *image, struct node *node,
                     const struct stat *want, int to_set)
{
    struct timespec mtime =
        time_to_set(&want->st_mtim, (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0);
    struct nf_time time = {mtime.tv_sec, (uint32_t)mtime.tv_nsec};
    char name[NAME_MAX + 1];
    bool tried = false;
    int err;
    pthread_mutex_lock(&image->lock);
    node->mtime = mtime;
    bool known = node->parent == NULL || node->touched;
    pthread_mutex_unlock(&image->lock);
    image_changing(image, node);
    if (known && !node->hidden) {
        return 0; /* the root, or recorded with the next commit */
    }
    do {
        err =
            nf_set_mtime_at(image->live.nf, image_at(image, node, name), time);
    } while (err != 0 && image_retry(image, err, &tried));
    return err;
}

static int change_attr(struct image *image, struct node *node,
                       const struct stat *want, int to_set, struct stat *ret)
{
    struct nf_stat st;
    int err = 0;
    if (node->removed && !node->hidden && (to_set & FUSE_SET_ATTR_SIZE) == 0) {
        /* Nobody can see it. But the kernel writes its times back still, and
         * would note an error for whoever syncs next. */
        err = image_stat_node(image, node, image->live.nf, &st);
        if (err == 0) {
            image_fill_stat(image, node, &st, ret);
        }
        return err;
    }
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
        const struct change change = {TRUNCATE, 0, (uint64_t)want->st_size,
                                      NULL};
        err = change_file(image, node, &change);
    }
    if (err == 0 &&
        (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0) {
        err = set_mtime(image, node, want, to_set);
    }
    if (err == 0) {
        err = image_stat_node(image, node, image->live.nf, &st);
    }
    if (err == 0) {
        image_fill_stat(image, node, &st, ret);
        err = set_attr(image, node, want, to_set, ret) ? 0 : NF_ENOMEM;
        image_fill_stat(image, node, &st, ret);
    }
    return err;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want,
                       int to_set, struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    struct node *node = image_node(image, ino);
    struct stat stat;
    (void)fi;
    int err = node->space == &image->live ? image_change_begin(image) : EROFS;
    if (err == 0) {
        err = image_change_end(image,
                               change_attr(image, node, want, to_set, &stat));
    }
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_attr(req, &stat, FOREVER);
    }
}

void image_ops_change(struct fuse_lowlevel_ops *ops)
{
    ops->write = op_write;
    ops->fallocate = op_fallocate;
    ops->fsync = op_fsync;
    ops->fsyncdir = op_fsync;
    ops->open = op_open;
    ops->release = op_release;
    ops->setattr = op_setattr;
}
