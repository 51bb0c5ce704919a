/* SPDX-License-Identifier: ISC */
/*
 * Operations that make, remove and rename.
 *
 * A file that loses its name while it is open keeps one below IMAGE_REMOVED
 * until it is closed; what a crash leaves there goes at the next mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fuse/image_int.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1u << 0)
#endif

static struct image *image_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Whether something may be changed in dir, under that name: an errno. */
static int check_dir(struct image *image, struct node *dir, const char *name)
{
    if (dir->space != &image->live || dir->kind == NODE_GENERATIONS) {
        return EROFS;
    }
    if (dir->removed) {
        return ENOENT;
    }
    bool reserved =
        dir->id == IMAGE_ROOT && (strcmp(name, IMAGE_REMOVED) == 0 ||
                                  strcmp(name, IMAGE_GENERATIONS) == 0);
    return reserved ? EPERM : 0;
}

static struct nf_at at_name(const struct node *dir, const char *name)
{
    return image_at_child(dir, name, strlen(name));
}

/* ---- Making ---------------------------------------------------------------
 */

/* Who owns what is made by this request, and its mode. */
static bool set_first_attr(struct image *image, fuse_req_t req,
                           const struct node *dir, const struct node *node,
                           mode_t mode)
{
    const struct mount_options *options = image->how->options;
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    mode_t all = node->kind == NODE_FILE ? 0666u : 0777u;
    struct attr attr = {mode & 07777u, ctx->uid, ctx->gid};
    struct attr above;
    bool done = true;
    pthread_mutex_lock(&image->lock);
    if (attrs_get(&image->attrs, dir->id, &above) &&
        (above.mode & S_ISGID) != 0) {
        attr.gid = above.gid;
        attr.mode |= node->kind == NODE_DIR ? S_ISGID : 0u;
    }
    if (attr.mode != (all & ~options->umask) || attr.uid != options->uid ||
        attr.gid != options->gid) {
        done = attrs_set(&image->attrs, node->id, &attr);
    }
    pthread_mutex_unlock(&image->lock);
    return done;
}

static int make_entry(struct image *image, struct nf_at at, mode_t mode,
                      bool exclusive)
{
    struct nf_file *file;
    if (S_ISDIR(mode)) {
        return nf_mkdir_at(image->live.nf, at);
    }
    uint32_t flags = NF_OPEN_CREATE | (exclusive ? NF_OPEN_EXCLUSIVE : 0u);
    int err = nf_open_at(image->live.nf, at, flags, &file);
    if (err == 0) {
        nf_close(file);
    }
    return err;
}

/* Make a file or directory, and look it up: an errno. */
static int make(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
                bool exclusive, struct fuse_entry_param *ret)
{
    struct image *image = image_of(req);
    struct node *dir = image_node(image, ino);
    struct nf_at at = at_name(dir, name);
    struct nf_stat st;
    bool tried = false;
    int err = check_dir(image, dir, name);
    if (err == 0) {
        err = image_change_begin(image);
    }
    if (err != 0) {
        return err;
    }
    image_changing(image, dir);
    if (S_ISDIR(mode) && nf_stat_at(image->live.nf, at, &st) == 0) {
        return image_change_end(image, NF_EEXIST);
    }
    do {
        err = make_entry(image, at, mode, exclusive);
    } while (err != 0 && image_retry(image, err, &tried));
    if (err == 0) {
        err = nf_stat_at(image->live.nf, at, &st);
    }
    if (err == 0) {
        struct node *node =
            image_node_look_up(image, dir, name, at.path.len, &st);
        image_touch(image, dir);
        if (node == NULL || !set_first_attr(image, req, dir, node, mode)) {
            /* The kernel will take it that there is none, for good. */
            int undone = nf_remove_at(image->live.nf, at, 0);
            (void)undone; /* no memory for that, either */
            if (node != NULL) {
                (void)image_node_move(image, node, NULL, NULL, 0);
                image_node_forget(image, node, 1);
            }
            err = NF_ENOMEM;
        } else {
            image_changing(image, node);
            image_fill_entry(image, node, &st, ret);
        }
    }
    return image_change_end(image, err);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    struct fuse_entry_param entry;
    int err = make(req, parent, name, (mode & 07777u) | S_IFREG,
                   (fi->flags & O_EXCL) != 0, &entry);
    if (err != 0) {
        fuse_reply_err(req, err);
        return;
    }
    struct node *node = image_node(image, entry.ino);
    image_add_open(image, node, fi->flags);
    fi->keep_cache = 1;
    if (fuse_reply_create(req, &entry, fi) == -ENOENT) {
        image_drop_open(image, node, fi->flags); /* interrupted */
        image_node_forget(image, node, 1);
    }
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
    int err = EPERM; /* nothing but files and directories */
    (void)rdev;
    if (S_ISREG(mode)) {
        err = make(req, parent, name, mode, true, &entry);
    }
    reply_made(req, err, &entry);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode)
{
    struct fuse_entry_param entry;
    int err = make(req, parent, name, (mode & 07777u) | S_IFDIR, true, &entry);
    reply_made(req, err, &entry);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
                       const char *name)
{
    (void)link;
    (void)parent;
    (void)name;
    fuse_reply_err(req, EPERM);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
                    const char *name)
{
    (void)ino;
    (void)parent;
    (void)name;
    fuse_reply_err(req, EPERM);
}

/* ---- Removing --------------------------------------------------------------
 */

/* The place of a file that is open and has lost its name. */
static int hide(struct image *image, struct nf_at at, struct node *node)
{
    struct nf_at dir = {IMAGE_ROOT, {IMAGE_REMOVED, strlen(IMAGE_REMOVED)}};
    struct nf *nf = image->live.nf;
    char name[NAME_MAX + 1];
    int err = 0;
    if (image->removed_dir == 0) {
        struct nf_stat st;
        err = nf_mkdir_at(nf, dir);
        if (err == 0) {
            err = nf_stat_at(nf, dir, &st);
        }
        if (err != 0) {
            return err;
        }
        image->removed_dir = st.id;
    }
    size_t len = (size_t)snprintf(name, sizeof(name), "%" PRIx64, node->id);
    struct nf_at to = {image->removed_dir, {name, len}};
    err = nf_rename_at(nf, at, to, 0);
    if (err == 0) {
        pthread_mutex_lock(&image->lock);
        node->hidden = true;
        pthread_mutex_unlock(&image->lock);
    }
    return err;
}

int image_remove_entry(struct image *image, struct nf_at at)
{
    struct nf *nf = image->live.nf;
    struct nf_stat st;
    int err = nf_stat_at(nf, at, &st);
    if (err != 0) {
        return err;
    }
    struct node *node = image_node_find(image, st.id);
    if (node != NULL) {
        image_changing(image, node);
    }
    if (node != NULL && node->n_open > 0 && st.type == NF_TYPE_FILE) {
        err = hide(image, at, node);
    } else {
        err = nf_remove_at(nf, at, 0);
        if (err == 0) {
            pthread_mutex_lock(&image->lock);
            attrs_forget(&image->attrs, st.id);
            if (node != NULL) {
                node->stat = st;
                node->has_stat = true;
            }
            pthread_mutex_unlock(&image->lock);
        }
    }
    if (node != NULL) {
        if (err == 0) {
            node->ctime = image_now();
            (void)image_node_move(image, node, NULL, NULL, 0);
        }
        image_node_unref(image, node);
    }
    return err;
}

void image_drop_hidden(struct image *image, struct node *node)
{
    char name[NAME_MAX + 1];
    struct nf_at at = image_at(image, node, name);
    image_changing(image, NULL);
    /* If it fails the file stays, and goes at the next mount. */
    int err = image->broken ? NF_EROFS : nf_remove_at(image->live.nf, at, 0);
    (void)err;
    pthread_mutex_lock(&image->lock);
    node->hidden = false;
    attrs_forget(&image->attrs, node->id);
    pthread_mutex_unlock(&image->lock);
}

static void remove_name(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct image *image = image_of(req);
    struct node *dir = image_node(image, ino);
    bool tried = false;
    int err = check_dir(image, dir, name);
    if (err == 0) {
        err = image_change_begin(image);
    }
    if (err != 0) {
        fuse_reply_err(req, err);
        return;
    }
    image_changing(image, dir);
    do {
        err = image_remove_entry(image, at_name(dir, name));
    } while (err != 0 && image_retry(image, err, &tried));
    if (err == 0) {
        image_touch(image, dir);
    }
    fuse_reply_err(req, image_change_end(image, err));
}

/* ---- Renaming
 * ---------------------------------------------------------------- */

/* nf_rename_at, where nothing that is open may be replaced. */
static int move_entry(struct image *image, struct nf_at from, struct nf_at to,
                      uint32_t flags)
{
    struct nf *nf = image->live.nf;
    struct nf_stat st;
    struct nf_stat old;
    int err = nf_stat_at(nf, from, &st);
    if (err == 0 && nf_stat_at(nf, to, &old) == 0 && old.id != st.id) {
        if ((flags & NF_RENAME_NOREPLACE) != 0) {
            return NF_EEXIST;
        }
        if (old.type != st.type) {
            return old.type == NF_TYPE_DIR ? NF_EISDIR : NF_ENOTDIR;
        }
        err = image_remove_entry(image, to);
    }
    return err == 0 ? nf_rename_at(nf, from, to, flags) : err;
}

/* Both names, and the node that goes from one to the other: an errno. */
static int rename_entry(struct image *image, struct node *dirs[2],
                        const char *names[2], uint32_t flags)
{
    struct nf_at from = at_name(dirs[0], names[0]);
    struct nf_at to = at_name(dirs[1], names[1]);
    struct nf_stat st;
    bool tried = false;
    int err = nf_stat_at(image->live.nf, from, &st);
    if (err != 0) {
        return err;
    }
    struct node *node = image_node_find(image, st.id);
    if (node != NULL && image_node_is_below(image, dirs[1], node)) {
        err = NF_EINVAL;
    } else if (node != NULL) {
        image_changing(image, node);
    }
    if (err == 0) {
        do {
            err = move_entry(image, from, to, flags);
        } while (err != 0 && image_retry(image, err, &tried));
    }
    if (node != NULL && err == 0) {
        node->ctime = image_now();
        if (!image_node_move(image, node, dirs[1], names[1],
                             strlen(names[1]))) {
            err = NF_ENOMEM;
        }
    }
    if (node != NULL) {
        image_node_unref(image, node);
    }
    if (err == 0) {
        image_touch(image, dirs[0]);
        image_touch(image, dirs[1]);
    }
    return err;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t new_parent, const char *new_name,
                      unsigned flags)
{
    struct image *image = image_of(req);
    struct node *dirs[2] = {image_node(image, parent),
                            image_node(image, new_parent)};
    const char *names[2] = {name, new_name};
    int err = (flags & ~(unsigned)RENAME_NOREPLACE) != 0 ? EINVAL : 0;
    for (int i = 0; i < 2 && err == 0; i++) {
        err = check_dir(image, dirs[i], names[i]);
    }
    if (err == 0) {
        err = image_change_begin(image);
    }
    if (err == 0) {
        image_changing(image, dirs[0]);
        image_changing(image, dirs[1]);
        uint32_t how =
            (flags & RENAME_NOREPLACE) != 0 ? NF_RENAME_NOREPLACE : 0;
        err = image_change_end(image, rename_entry(image, dirs, names, how));
    }
    fuse_reply_err(req, err);
}

void image_ops_names(struct fuse_lowlevel_ops *ops)
{
    ops->create = op_create;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->symlink = op_symlink;
    ops->link = op_link;
    ops->unlink = remove_name;
    ops->rmdir = remove_name;
    ops->rename = op_rename;
}
