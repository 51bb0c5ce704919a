/* SPDX-License-Identifier: ISC */
#include "fuse/image.h"

#include <string.h>
#include <time.h>

#include "fuse/image_int.h"

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    serve_init(conn);
    /* We are the only ones to change what is shown: the kernel may hold back
     * what is written, and need not ask what it knows. */
    conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}

static int start(void *userdata, struct fuse_session *session)
{
    struct image *image = userdata;
    image->session = session;
    int err = image_sync_start(image);
    if (err == 0) {
        err = image_seek_start(image);
        if (err != 0) {
            image_sync_stop(image);
        }
    }
    return serve_errno(err);
}

static void stop(void *userdata)
{
    image_seek_stop(userdata);
    image_sync_stop(userdata);
}

/* Files that were open without a name when the last process died. */
static int clear_removed(struct image *image)
{
    struct nf *nf = image->live.nf;
    struct nf_path path = nf_path(IMAGE_REMOVED);
    if (image->readonly) {
        return 0;
    }
    int err = nf_remove(nf, path, NF_REMOVE_RECURSIVE);
    if (err == NF_ENOENT) {
        return 0;
    }
    return err == 0 ? nf_sync(nf) : err;
}

static int image_init(struct image *image, const struct image_mount *how)
{
    struct nf_stats stats;
    pthread_condattr_t attr;
    memset(image, 0, sizeof(*image));
    nf_stats(how->nf, &stats);
    image->how = how;
    image->readonly = how->options->readonly || stats.readonly;
    image->native = stats.disk.profile == NF_PROFILE_NATIVE;
    image->live.nf = how->nf;
    turn_init(&image->live.turn);
    pthread_mutex_init(&image->view_lock, NULL);
    pthread_mutex_init(&image->lock, NULL);
    pthread_mutex_init(&image->timer_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&image->timer, &attr);
    pthread_condattr_destroy(&attr);
    int err = image_nodes_init(image);
    if (err == 0) {
        err = clear_removed(image);
    }
    nf_stats(how->nf, &stats);
    image->generation = stats.generation;
    return err;
}

static void image_deinit(struct image *image)
{
    image_nodes_deinit(image);
    image_spaces_deinit(image);
    attrs_deinit(&image->attrs);
    pthread_cond_destroy(&image->timer);
    pthread_mutex_destroy(&image->timer_lock);
    pthread_mutex_destroy(&image->lock);
    pthread_mutex_destroy(&image->view_lock);
    turn_deinit(&image->live.turn);
}

int image_serve(const struct image_mount *how)
{
    struct image image;
    struct fuse_lowlevel_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.init = op_init;
    image_ops_read(&ops);
    image_ops_dir(&ops);
    image_ops_change(&ops);
    image_ops_names(&ops);
    image_ops_seek(&ops);
    const struct serve session = {
        .source = how->source,
        .dir = how->dir,
        .type = "notafs",
        .options = how->options,
        .daemon = how->daemon,
        .ops = &ops,
        .userdata = &image,
        .start = start,
        .stop = stop,
    };
    int err = image_init(&image, how);
    if (err != 0) {
        daemon_log(how->daemon, "%s: %s", how->source, nf_strerror(err));
    } else {
        err = serve(&session);
    }
    if (!image.readonly && image_sync(&image) != 0) {
        err = NF_EIO; /* told already */
    }
    image_view_close(&image);
    image_deinit(&image);
    return err != 0;
}
