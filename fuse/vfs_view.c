/* SPDX-License-Identifier: ISC */
#include "fuse/vfs_view.h"

#include <stdlib.h>
#include <string.h>

#define CACHE    ((size_t)4 << 20) /* bytes; the repo has a cache of its own */
#define ROOT_MAX 512

/* One generation of the disk. */
struct shown {
    struct shown *next;
    struct nf *nf;
    _Atomic size_t n_files; /* open in it */
};

struct file {
    struct file *next;
    struct shown *in;
    struct nf_file *file;
    struct nf_file *again; /* while views are switched, in the next one */
    uint64_t id;
    char name[PK_VFS_NAME_MAX + 1];
};

struct vfs_view {
    struct nf *disk;
    struct shown *now;
    struct shown *coming; /* or NULL */
    struct shown *old;    /* files that are not in now any more hold them */
    struct file *files;
    size_t root_len;
    char path[ROOT_MAX + 1 + PK_VFS_NAME_MAX]; /* the root, then scratch */
};

static int open_shown(struct nf *disk, struct shown **ret)
{
    struct shown *shown = calloc(1, sizeof(*shown));
    if (shown == NULL) {
        return NF_ENOMEM;
    }
    int err = nf_view_open(disk, 0, CACHE, &shown->nf);
    if (err != 0) {
        free(shown);
        return err;
    }
    *ret = shown;
    return 0;
}

static void close_shown(struct shown *shown)
{
    if (shown != NULL) {
        nf_unmount(shown->nf);
        free(shown);
    }
}

static int open_in(struct vfs_view *view, struct shown *shown, const char *name,
                   struct nf_file **ret, uint64_t *ret_id)
{
    size_t len = strlen(name);
    struct nf_stat st;
    if (len > PK_VFS_NAME_MAX) {
        return NF_ENAMETOOLONG;
    }
    memcpy(view->path + view->root_len, name, len);
    struct nf_path path = {view->path, view->root_len + len};
    int err = nf_open(shown->nf, path, 0, ret);
    if (err == 0) {
        err = nf_fstat(*ret, &st);
        if (err != 0) {
            nf_close(*ret);
        } else {
            *ret_id = st.id;
        }
    }
    return err;
}

/* ---- The file API -------------------------------------------------------- */

static int vfs_open(void *ctx, const char *name, uint32_t flags,
                    void **ret_file)
{
    struct vfs_view *view = ctx;
    if (flags != 0) {
        return NF_EROFS;
    }
    struct file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return NF_ENOMEM;
    }
    int err = open_in(view, view->now, name, &file->file, &file->id);
    if (err != 0) {
        free(file);
        return err;
    }
    memcpy(file->name, name, strlen(name));
    file->in = view->now;
    file->in->n_files++;
    file->next = view->files;
    view->files = file;
    *ret_file = file;
    return 0;
}

static int vfs_close(void *ctx, void *arg)
{
    struct vfs_view *view = ctx;
    struct file *file = arg;
    struct file **at = &view->files;
    while (*at != file) {
        at = &(*at)->next;
    }
    *at = file->next;
    nf_close(file->file);
    file->in->n_files--;
    free(file);
    return 0;
}

static int vfs_read(void *ctx, void *file, uint64_t off, uint8_t *buf,
                    size_t len, size_t *ret_len)
{
    (void)ctx;
    return nf_read(((struct file *)file)->file, off, buf, len, ret_len);
}

static int vfs_size(void *ctx, void *file, uint64_t *ret_len)
{
    struct nf_stat st;
    (void)ctx;
    int err = nf_fstat(((struct file *)file)->file, &st);
    if (err == 0) {
        *ret_len = st.size;
    }
    return err;
}

/* What only writers call. */

static int no_write(void *ctx, void *file, uint64_t off, const uint8_t *buf,
                    size_t len)
{
    (void)ctx;
    (void)file;
    (void)off;
    (void)buf;
    (void)len;
    return NF_EROFS;
}

static int no_truncate(void *ctx, void *file, uint64_t len)
{
    (void)ctx;
    (void)file;
    (void)len;
    return NF_EROFS;
}

static int no_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    (void)from;
    (void)to;
    return NF_EROFS;
}

static int no_remove(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NF_EROFS;
}

static int no_list(void *ctx, const char *dir, pk_vfs_list_fn fn, void *arg)
{
    (void)ctx;
    (void)dir;
    (void)fn;
    (void)arg;
    return NF_ENOTSUP;
}

static int no_commit(void *ctx)
{
    (void)ctx;
    return NF_EROFS;
}

static int no_lock(void *ctx, const char *name, void **ret_lock)
{
    (void)ctx;
    (void)name;
    (void)ret_lock;
    return NF_EROFS;
}

static void no_unlock(void *ctx, void *lock)
{
    (void)ctx;
    (void)lock;
}

static const struct pk_vfs_ops ops = {
    .open = vfs_open,
    .close = vfs_close,
    .read = vfs_read,
    .write = no_write,
    .truncate = no_truncate,
    .size = vfs_size,
    .rename = no_rename,
    .remove = no_remove,
    .list = no_list,
    .order = no_commit,
    .commit = no_commit,
    .lock = no_lock,
    .unlock = no_unlock,
};

/* ---- Commits --------------------------------------------------------------
 */

int vfs_view_prepare(struct vfs_view *view)
{
    close_shown(view->coming); /* nobody has switched */
    view->coming = NULL;
    return open_shown(view->disk, &view->coming);
}

/* The same file in that view, unless it has been replaced or removed. */
static int follow(struct vfs_view *view, struct shown *to, struct file *file)
{
    uint64_t id;
    int err = open_in(view, to, file->name, &file->again, &id);
    if (err != 0) {
        file->again = NULL;
        return nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    if (id != file->id) {
        nf_close(file->again);
        file->again = NULL;
    }
    return 0;
}

int vfs_view_switch(struct vfs_view *view)
{
    struct shown *now = view->coming;
    struct file *file = view->files;
    int err = 0;
    for (; file != NULL && err == 0; file = file->next) {
        err = follow(view, now, file);
    }
    for (struct file *f = view->files; f != file; f = f->next) {
        if (f->again == NULL) {
            continue;
        }
        nf_close(err == 0 ? f->file : f->again);
        if (err == 0) {
            f->file = f->again;
            f->in->n_files--;
            f->in = now;
            now->n_files++;
        }
        f->again = NULL;
    }
    if (err == 0) {
        view->coming = NULL;
        view->now->next = view->old;
        view->old = view->now;
        view->now = now;
    }
    return err;
}

void vfs_view_reap(struct vfs_view *view)
{
    struct shown **at = &view->old;
    while (*at != NULL) {
        struct shown *shown = *at;
        if (shown->n_files == 0) {
            *at = shown->next;
            close_shown(shown);
        } else {
            at = &shown->next;
        }
    }
}

int vfs_view_open(struct nf *disk, struct nf_path root, struct vfs_view **ret,
                  struct pk_vfs *ret_vfs)
{
    if (root.len > ROOT_MAX - 1) {
        return NF_ENAMETOOLONG;
    }
    struct vfs_view *view = calloc(1, sizeof(*view));
    if (view == NULL) {
        return NF_ENOMEM;
    }
    view->disk = disk;
    memcpy(view->path, root.p, root.len);
    view->path[root.len] = '/';
    view->root_len = root.len + 1;
    int err = open_shown(disk, &view->now);
    if (err != 0) {
        free(view);
        return err;
    }
    ret_vfs->ops = &ops;
    ret_vfs->ctx = view;
    *ret = view;
    return 0;
}

void vfs_view_close(struct vfs_view *view)
{
    if (view == NULL) {
        return;
    }
    vfs_view_reap(view);
    close_shown(view->coming);
    close_shown(view->now);
    free(view);
}
