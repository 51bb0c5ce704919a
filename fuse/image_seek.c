/* SPDX-License-Identifier: ISC */
/*
 * Data and holes.
 *
 * What the kernel has not written back yet is no hole, though the disk says so.
 * So while a file is open for writing it is asked to write, in a thread of its
 * own: those that serve requests must be free to take the writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse/image_int.h"

struct seek {
    struct seek *next;
    fuse_req_t req;
    fuse_ino_t ino;
    off_t off;
    int whence;
};

static void answer(struct image *image, const struct seek *seek)
{
    struct node *node = image_node(image, seek->ino);
    struct reading reading;
    struct nf_file *file;
    uint64_t found = 0;
    image_read_begin(image, node, &reading);
    int err = image_read_file(&reading, node, &file);
    if (err == 0 && seek->whence == SEEK_DATA) {
        err = nf_seek_data(file, (uint64_t)seek->off, &found);
    } else if (err == 0) {
        err = nf_seek_hole(file, (uint64_t)seek->off, &found);
    }
    image_read_end(&reading);
    if (err != 0) {
        fuse_reply_err(seek->req, err == NF_ERANGE ? ENXIO : serve_errno(err));
    } else {
        fuse_reply_lseek(seek->req, (off_t)found);
    }
}

static void *serve_seeks(void *arg)
{
    struct image *image = arg;
    pthread_mutex_lock(&image->seek_lock);
    for (;;) {
        struct seek *seek = image->seeks;
        if (seek == NULL && image->seek_stopping) {
            break;
        }
        if (seek == NULL) {
            pthread_cond_wait(&image->seek_more, &image->seek_lock);
            continue;
        }
        image->seeks = seek->next;
        pthread_mutex_unlock(&image->seek_lock);
        /* Fails if the kernel knows no such file any more. */
        (void)fuse_lowlevel_notify_inval_inode(image->session, seek->ino, 0, 0);
        answer(image, seek);
        free(seek);
        pthread_mutex_lock(&image->seek_lock);
    }
    pthread_mutex_unlock(&image->seek_lock);
    return NULL;
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
                     struct fuse_file_info *fi)
{
    struct image *image = fuse_req_userdata(req);
    const struct node *node = image_node(image, ino);
    struct seek now = {NULL, req, ino, off, whence};
    (void)fi;
    pthread_mutex_lock(&image->lock);
    bool writers = node->n_writers > 0;
    pthread_mutex_unlock(&image->lock);
    if (!writers) {
        answer(image, &now);
        return;
    }
    struct seek *later = malloc(sizeof(*later));
    if (later == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    *later = now;
    pthread_mutex_lock(&image->seek_lock);
    later->next = image->seeks;
    image->seeks = later;
    pthread_cond_signal(&image->seek_more);
    pthread_mutex_unlock(&image->seek_lock);
}

int image_seek_start(struct image *image)
{
    pthread_mutex_init(&image->seek_lock, NULL);
    pthread_cond_init(&image->seek_more, NULL);
    return pthread_create(&image->seeker, NULL, serve_seeks, image) == 0
               ? 0
               : NF_ENOMEM;
}

void image_seek_stop(struct image *image)
{
    pthread_mutex_lock(&image->seek_lock);
    image->seek_stopping = true;
    pthread_cond_signal(&image->seek_more);
    pthread_mutex_unlock(&image->seek_lock);
    (void)pthread_join(image->seeker, NULL);
    pthread_cond_destroy(&image->seek_more);
    pthread_mutex_destroy(&image->seek_lock);
}

void image_ops_seek(struct fuse_lowlevel_ops *ops)
{
    ops->lseek = op_lseek;
}
