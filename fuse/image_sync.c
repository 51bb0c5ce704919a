/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is, and commits.
 *
 * One commit makes everything durable that was changed before it, so fsyncs
 * that wait for their turn behind it find their work done. What fails in a
 * commit cannot be repaired here: the mount goes on with the last one that
 * succeeded, read-only.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fuse/image_int.h"

#define IDLE_SEC   5 /* how often to look where nothing is committed */
#define VIEW_CACHE ((size_t)4 << 20) /* bytes */

/* ---- The readers' view ------------------------------------------------ */

static void close_view_files(struct view *view)
{
    for (size_t i = 0; i < IMAGE_VIEW_FILES; i++) {
        nf_close(view->files[i].file);
        view->files[i].file = NULL;
        view->files[i].id = 0;
    }
}

void image_view_close(struct image *image)
{
    pthread_mutex_lock(&image->view_lock);
    close_view_files(&image->view);
    nf_unmount(image->view.nf);
    image->view.nf = NULL;
    pthread_mutex_unlock(&image->view_lock);
}

static void open_view(struct image *image)
{
    struct view *view = &image->view;
    pthread_mutex_lock(&image->view_lock);
    if (view->nf == NULL && image->native) {
        /* Without it readers wait, that is all. */
        if (nf_view_open(image->how->nf, 0, VIEW_CACHE, &view->nf) != 0) {
            view->nf = NULL;
        }
        view->generation = image->generation;
        view->used = false;
    }
    pthread_mutex_unlock(&image->view_lock);
}

/* After a commit: a view of it, if readers are likely to need it. */
static void renew_view(struct image *image)
{
    bool wanted = image->view_wanted || image->view.used;
    image_view_close(image);
    image->view_wanted = false;
    if (wanted) {
        open_view(image);
    }
}

static int view_file(struct image *image, struct node *node,
                     struct nf_file **ret)
{
    struct view *view = &image->view;
    for (size_t i = 0; i < IMAGE_VIEW_FILES; i++) {
        if (view->files[i].file != NULL && view->files[i].id == node->id) {
            *ret = view->files[i].file;
            return 0;
        }
    }
    char name[NAME_MAX + 1];
    struct nf_at at = image_at(image, node, name);
    size_t i = view->next_file;
    view->next_file = (i + 1) % IMAGE_VIEW_FILES;
    nf_close(view->files[i].file);
    view->files[i].file = NULL;
    int err = nf_open_at(view->nf, at, 0, ret);
    if (err == 0) {
        view->files[i].file = *ret;
        view->files[i].id = node->id;
    }
    return err;
}

/* ---- Reading ------------------------------------------------------------ */

/* Take the view, if it tells the truth about that node. */
static bool take_view(struct image *image, const struct node *node)
{
    pthread_mutex_lock(&image->view_lock);
    pthread_mutex_lock(&image->lock);
    bool good = image->view.nf != NULL && !node->removed &&
                node->changed <= image->view.generation;
    pthread_mutex_unlock(&image->lock);
    if (!good) {
        pthread_mutex_unlock(&image->view_lock);
        image->view_wanted = true;
        return false;
    }
    image->view.used = true;
    return true;
}

void image_read_begin(struct image *image, struct node *node,
                      struct reading *ret)
{
    ret->image = image;
    ret->opened = NULL;
    ret->space = node->space;
    node->space->used = true;
    image->looked = true;
    if (node->space == &image->live && turn_try(&image->live.turn)) {
        ret->nf = image->live.nf;
        return;
    }
    if (node->space == &image->live && image->native &&
        take_view(image, node)) {
        ret->space = NULL;
        ret->nf = image->view.nf;
        return;
    }
    turn_take(&node->space->turn);
    ret->nf = node->space->nf;
}

/* A file on the handle of its node's space: kept while it is open. */
static int space_file(struct image *image, struct node *node,
                      struct nf_file **ret, struct nf_file **ret_opened)
{
    char name[NAME_MAX + 1];
    *ret_opened = NULL;
    if (node->file != NULL) {
        *ret = node->file;
        return 0;
    }
    if (node->removed && !node->hidden) {
        return NF_ENOENT;
    }
    int err = nf_open_at(node->space->nf, image_at(image, node, name), 0, ret);
    if (err != 0) {
        return err;
    }
    pthread_mutex_lock(&image->lock);
    if (node->n_open > 0) {
        node->file = *ret;
    } else {
        *ret_opened = *ret;
    }
    pthread_mutex_unlock(&image->lock);
    return 0;
}

int image_read_file(struct reading *reading, struct node *node,
                    struct nf_file **ret)
{
    return reading->space == NULL
               ? view_file(reading->image, node, ret)
               : space_file(reading->image, node, ret, &reading->opened);
}

void image_read_end(struct reading *reading)
{
    nf_close(reading->opened);
    if (reading->space == NULL) {
        pthread_mutex_unlock(&reading->image->view_lock);
    } else {
        turn_pass(&reading->space->turn);
    }
}

bool image_reading_is_new(struct reading *reading, uint64_t id)
{
    struct image *image = reading->image;
    if (reading->space != NULL) {
        return true;
    }
    uint64_t changed;
    struct node *node = image_node_find(image, id);
    pthread_mutex_lock(&image->lock);
    changed = node != NULL ? node->changed : image->forgotten_changed;
    pthread_mutex_unlock(&image->lock);
    if (node != NULL) {
        image_node_unref(image, node);
    }
    return changed <= image->view.generation;
}

/* ---- Changing ----------------------------------------------------------- */

int image_change_begin(struct image *image)
{
    if (image->readonly) {
        return EROFS;
    }
    turn_take(&image->live.turn);
    if (image->broken) {
        turn_pass(&image->live.turn);
        return EROFS;
    }
    return 0;
}

int image_change_file(struct image *image, struct node *node,
                      struct nf_file **ret, struct nf_file **ret_opened)
{
    return space_file(image, node, ret, ret_opened);
}

void image_changing(struct image *image, struct node *node)
{
    image->changes++;
    if (node != NULL) {
        pthread_mutex_lock(&image->lock);
        node->changed = image->generation + 1;
        node->has_stat = false;
        pthread_mutex_unlock(&image->lock);
    }
}

void image_touch(struct image *image, struct node *dir)
{
    pthread_mutex_lock(&image->lock);
    dir->mtime = dir->ctime = image_now();
    dir->changed = image->generation + 1;
    dir->has_stat = false;
    bool first = !dir->touched;
    if (first) {
        dir->touched = true;
        dir->touch = image->touched;
        image->touched = dir;
        dir->refs++;
    }
    pthread_mutex_unlock(&image->lock);
}

/* Record the mtimes of directories, whose names may have changed since. */
static void flush_touched(struct image *image)
{
    while (image->touched != NULL) {
        struct node *dir = image->touched;
        struct nf_time mtime = {dir->mtime.tv_sec,
                                (uint32_t)dir->mtime.tv_nsec};
        image->touched = dir->touch;
        pthread_mutex_lock(&image->lock);
        dir->touched = false;
        dir->has_stat = false;
        pthread_mutex_unlock(&image->lock);
        if (dir->parent != NULL && !image->broken) {
            char name[NAME_MAX + 1];
            struct nf_at at = image_at(image, dir, name);
            int err = nf_set_mtime_at(image->live.nf, at, mtime);
            (void)err; /* a full disk: it has an older time, then */
        }
        image_node_unref(image, dir);
    }
}

static void break_down(struct image *image, int err)
{
    if (image->broken) {
        return;
    }
    image->broken = true;
    int aborted = nf_abort(image->live.nf);
    daemon_log(image->how->daemon,
               "%s: %s; changes since the last commit are lost, and no more "
               "are taken%s",
               image->how->source, nf_strerror(err),
               aborted != 0 ? "; nor can the last commit be read" : "");
}

int image_sync_now(struct image *image)
{
    uint64_t made = image->changes;
    if (image->broken) {
        return EIO;
    }
    if (image->looked && nf_is_dirty(image->live.nf)) {
        open_view(image); /* of the last commit, for readers meanwhile */
    }
    image->looked = false;
    flush_touched(image);
    struct nf_stats stats;
    int err = nf_sync(image->live.nf);
    nf_stats(image->live.nf, &stats);
    if (err != 0 && !stats.failed) {
        return serve_errno(err); /* what was changed is still to be committed */
    }
    if (err != 0) {
        break_down(image, err);
        return EIO;
    }
    image->generation = stats.generation;
    image->synced = made;
    renew_view(image);
    return 0;
}

bool image_retry(struct image *image, int err, bool *tried)
{
    if (err != NF_ENOSPC || *tried ||
        (!nf_is_dirty(image->live.nf) && image->view.nf == NULL)) {
        return false;
    }
    *tried = true;
    /* What has been freed can be given out again after a commit, unless a view
     * holds it. */
    image->view_wanted = image->looked = image->view.used = false;
    return image_sync_now(image) == 0;
}

int image_change_end(struct image *image, int err)
{
    if (err == NF_EC_TXN_FAILED) {
        break_down(image, err);
    }
    turn_pass(&image->live.turn);
    return serve_errno(err);
}

int image_sync(struct image *image)
{
    uint64_t made = image->changes;
    int err = 0;
    if (image->synced >= made && !image->broken) {
        return 0;
    }
    turn_take(&image->live.turn);
    if (image->synced < made || image->broken) {
        err = image_sync_now(image);
    }
    turn_pass(&image->live.turn);
    return err;
}

/* ---- By the clock ------------------------------------------------------- */

static void *commit_by_clock(void *arg)
{
    struct image *image = arg;
    uint32_t seconds = image->how->options->commit_sec;
    bool commits = !image->readonly && seconds != 0;
    pthread_mutex_lock(&image->timer_lock);
    while (!image->stopping) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += commits ? seconds : IDLE_SEC;
        int res =
            pthread_cond_timedwait(&image->timer, &image->timer_lock, &until);
        if (res == ETIMEDOUT && !image->stopping) {
            pthread_mutex_unlock(&image->timer_lock);
            if (commits) {
                (void)image_sync(image); /* has told why */
            }
            image_spaces_expire(image);
            pthread_mutex_lock(&image->timer_lock);
        }
    }
    pthread_mutex_unlock(&image->timer_lock);
    return NULL;
}

int image_sync_start(struct image *image)
{
    return pthread_create(&image->committer, NULL, commit_by_clock, image) == 0
               ? 0
               : NF_ENOMEM;
}

void image_sync_stop(struct image *image)
{
    pthread_mutex_lock(&image->timer_lock);
    image->stopping = true;
    pthread_cond_signal(&image->timer);
    pthread_mutex_unlock(&image->timer_lock);
    (void)pthread_join(image->committer, NULL);
}
