/* SPDX-License-Identifier: ISC */
/*
 * What stat shows: size and mtime are the disk's, modes and owners are kept for
 * the life of the mount, atime and ctime as long as the kernel knows the file.
 */
#include <string.h>
#include <time.h>

#include "fuse/image_int.h"

#define FOREVER 86400.0 /* seconds: nobody else can change the disk */

struct timespec image_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

static bool is_newer(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec ||
           (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static int stat_node(struct image *image, struct node *node, struct nf *nf,
                     struct nf_stat *ret)
{
    char name[NAME_MAX + 1];
    if (node->kind == NODE_GENERATIONS ||
        (node->kind == NODE_DIR && node->removed)) {
        memset(ret, 0, sizeof(*ret));
        ret->type = NF_TYPE_DIR;
        ret->id = node->id;
        return 0;
    }
    if (nf == node->space->nf && node->file != NULL) {
        return nf_fstat(node->file, ret);
    }
    if (node->removed && !node->hidden) {
        /* As it was: the kernel may refer to it still. */
        return image_known_stat(image, node, ret) ? 0 : NF_ENOENT;
    }
    return nf_stat_at(nf, image_at(image, node, name), ret);
}

int image_stat_node(struct image *image, struct node *node, struct nf *nf,
                    struct nf_stat *ret)
{
    int err = stat_node(image, node, nf, ret);
    if (err == 0 && nf == image->live.nf) {
        pthread_mutex_lock(&image->lock);
        node->stat = *ret;
        node->has_stat = true;
        pthread_mutex_unlock(&image->lock);
    }
    return err;
}

bool image_known_stat(struct image *image, struct node *node,
                      struct nf_stat *ret)
{
    pthread_mutex_lock(&image->lock);
    bool known = node->has_stat;
    *ret = node->stat;
    pthread_mutex_unlock(&image->lock);
    return known;
}

void image_fill_stat(struct image *image, struct node *node,
                     const struct nf_stat *st, struct stat *ret)
{
    const struct mount_options *options = image->how->options;
    bool is_dir = node->kind != NODE_FILE;
    struct attr attr = {(is_dir ? 0777u : 0666u) & ~options->umask,
                        options->uid, options->gid};
    memset(ret, 0, sizeof(*ret));
    pthread_mutex_lock(&image->lock);
    if (node->space == &image->live) {
        (void)attrs_get(&image->attrs, node->id, &attr);
    } else {
        attr.mode &= ~0222u;
    }
    ret->st_mtim.tv_sec = st->mtime.sec;
    ret->st_mtim.tv_nsec = st->mtime.nsec;
    if (node->touched || (node->id == IMAGE_ROOT && node->mtime.tv_sec != 0)) {
        ret->st_mtim = node->mtime;
    }
    ret->st_atim =
        node->atime.tv_nsec == UTIME_OMIT ? ret->st_mtim : node->atime;
    ret->st_ctim =
        is_newer(node->ctime, ret->st_mtim) || node->ctime.tv_sec != 0
            ? node->ctime
            : ret->st_mtim;
    bool named = !node->removed && !node->hidden;
    pthread_mutex_unlock(&image->lock);
    ret->st_ino = node->space->number << 40 ^ node->id;
    ret->st_mode = attr.mode | (is_dir ? S_IFDIR : S_IFREG);
    ret->st_nlink = is_dir ? 2 : named;
    ret->st_uid = attr.uid;
    ret->st_gid = attr.gid;
    ret->st_size = (off_t)st->size;
    ret->st_blocks = (blkcnt_t)((st->size + 511) / 512);
    ret->st_blksize = 65536;
}

void image_fill_entry(struct image *image, struct node *node,
                      const struct nf_stat *st, struct fuse_entry_param *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->ino = image_ino(image, node);
    ret->generation = 1;
    ret->attr_timeout = FOREVER;
    ret->entry_timeout = FOREVER;
    image_fill_stat(image, node, st, &ret->attr);
}
