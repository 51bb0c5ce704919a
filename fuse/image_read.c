/* SPDX-License-Identifier: ISC */
/*
 * Operations that look at files.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/image_int.h"

#define FOREVER 86400.0 /* seconds */

static struct image *image_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    struct node *node = image_node(image, ino);
    struct reading reading;
    struct nf_stat st;
    struct stat stat;
    (void)fi;
    int err = 0;
    if (!image_known_stat(image, node, &st)) {
        image_read_begin(image, node, &reading);
        err = image_stat_node(image, node, reading.nf, &st);
        image_read_end(&reading);
    }
    if (err == 0) {
        image_fill_stat(image, node, &st, &stat);
    }
    if (err != 0) {
        fuse_reply_err(req, serve_errno(err));
    } else {
        fuse_reply_attr(req, &stat, FOREVER);
    }
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    struct image *image = image_of(req);
    struct node *node = image_node(image, ino);
    struct reading reading;
    struct nf_file *file;
    size_t len = 0;
    char *buf = malloc(size);
    (void)fi;
    if (buf == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    image_read_begin(image, node, &reading);
    int err = image_read_file(&reading, node, &file);
    if (err == 0) {
        err = nf_read(file, (uint64_t)off, buf, size, &len);
    }
    image_read_end(&reading);
    if (err != 0) {
        fuse_reply_err(req, serve_errno(err));
    } else {
        fuse_reply_buf(req, buf, len);
    }
    free(buf);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct image *image = image_of(req);
    struct node *node = image_node(image, ino);
    struct nf_stats stats;
    struct statvfs ret;
    turn_take(&node->space->turn);
    nf_stats(node->space->nf, &stats);
    turn_pass(&node->space->turn);
    memset(&ret, 0, sizeof(ret));
    ret.f_bsize = ret.f_frsize = stats.disk.page_size;
    ret.f_blocks = stats.page_count;
    ret.f_bfree = stats.free_pages;
    ret.f_bavail = stats.usable_pages;
    /* Files take what they need of the same pages. */
    ret.f_files = stats.files + stats.dirs + 1 + stats.free_pages;
    ret.f_ffree = ret.f_favail = stats.usable_pages;
    ret.f_namemax = stats.max_name_bytes;
    fuse_reply_statfs(req, &ret);
}

void image_ops_read(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = op_getattr;
    ops->read = op_read;
    ops->statfs = op_statfs;
}
