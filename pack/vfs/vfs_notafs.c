/* SPDX-License-Identifier: ISC */
/*
 * The file API over Notafs: names are paths below a root directory, and one
 * commit is one transaction over all files. Nothing needs ordering in between.
 *
 * A Notafs file that is removed is gone for its handles too, while the file API
 * lets them read on. So a file that is removed or replaced while it is open is
 * moved aside, to a name of its own, and removed when its last handle closes.
 */
#include <notafs/vfs_notafs.h>

#include "notafs/platform/mem.h"

#define ROOT_MAX     512u
#define PATH_MAX_LEN (ROOT_MAX + 1u + PK_VFS_NAME_MAX)
#define REMOVED      ".removed-"
#define REMOVED_LEN  9u

struct file {
    struct file *next;
    struct nf_file *file;
    uint64_t id;      /* of the Notafs file */
    uint64_t removed; /* 0, or the number in the name it was moved to */
};

struct lock {
    struct lock *next;
    size_t len;
    char name[PK_VFS_NAME_MAX];
};

struct pk_vfs_notafs {
    struct nf *nf;
    struct nf_mem mem;
    struct file *files;
    struct lock *locks;
    uint64_t removed; /* last number given out */
    int half_done;    /* why a change stopped half-way: it must not commit */
    size_t root_len;
    char path[PATH_MAX_LEN]; /* the root, then scratch */
    char other[PATH_MAX_LEN];
};

/* The path of a name, in buf, which begins with the root already. */
static int path_of(const struct pk_vfs_notafs *vfs, char *buf, const char *name,
                   struct nf_path *ret)
{
    size_t len = strlen(name);
    if (len > PK_VFS_NAME_MAX) {
        return NF_ENAMETOOLONG;
    }
    memcpy(buf + vfs->root_len, name, len);
    ret->p = buf;
    ret->len = vfs->root_len + len;
    return 0;
}

static struct nf_path removed_path(const struct pk_vfs_notafs *vfs, char *buf,
                                   uint64_t number)
{
    size_t at = vfs->root_len;
    memcpy(buf + at, REMOVED, REMOVED_LEN);
    at += REMOVED_LEN;
    for (int shift = 60; shift >= 0; shift -= 4) {
        buf[at++] = "0123456789abcdef"[(number >> shift) & 15];
    }
    struct nf_path path = {buf, at};
    return path;
}

/* ---- Files ---------------------------------------------------------- */

static int vfs_open(void *ctx, const char *name, uint32_t flags,
                    void **ret_file)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct nf_path path;
    struct nf_stat st;
    uint32_t how = 0;
    if ((flags & PK_VFS_CREATE) != 0) {
        how |= NF_OPEN_CREATE;
    }
    if ((flags & PK_VFS_TRUNCATE) != 0) {
        how |= NF_OPEN_TRUNCATE;
    }
    int err = path_of(vfs, vfs->path, name, &path);
    if (err != 0) {
        return err;
    }
    struct file *file = nf_calloc(&vfs->mem, 1, sizeof(*file));
    if (file == NULL) {
        return NF_ENOMEM;
    }
    err = nf_open(vfs->nf, path, how, &file->file);
    if (err != 0) {
        nf_free(&vfs->mem, file, sizeof(*file));
        return err;
    }
    err = nf_fstat(file->file, &st);
    if (err != 0) {
        nf_close(file->file);
        nf_free(&vfs->mem, file, sizeof(*file));
        return err;
    }
    file->id = st.id;
    file->next = vfs->files;
    vfs->files = file;
    *ret_file = file;
    return 0;
}

static bool is_open(const struct pk_vfs_notafs *vfs, uint64_t id)
{
    const struct file *file = vfs->files;
    while (file != NULL && file->id != id) {
        file = file->next;
    }
    return file != NULL;
}

static int vfs_close(void *ctx, void *arg)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct file *file = arg;
    struct file **at = &vfs->files;
    int err = 0;
    while (*at != file) {
        at = &(*at)->next;
    }
    *at = file->next;
    nf_close(file->file);
    if (file->removed != 0 && !is_open(vfs, file->id)) {
        err =
            nf_remove(vfs->nf, removed_path(vfs, vfs->path, file->removed), 0);
        if (err == NF_ENOENT) {
            err = 0; /* the removal itself was aborted */
        }
    }
    nf_free(&vfs->mem, file, sizeof(*file));
    return err;
}

static int vfs_read(void *ctx, void *file, uint64_t off, uint8_t *buf,
                    size_t len, size_t *ret_len)
{
    (void)ctx;
    return nf_read(((struct file *)file)->file, off, buf, len, ret_len);
}

static int vfs_write(void *ctx, void *file, uint64_t off, const uint8_t *buf,
                     size_t len)
{
    (void)ctx;
    return nf_write(((struct file *)file)->file, off, buf, len);
}

static int vfs_truncate(void *ctx, void *file, uint64_t len)
{
    (void)ctx;
    return nf_truncate(((struct file *)file)->file, len);
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

/* ---- Names ---------------------------------------------------------- */

/* Take the file at path away from its name, if there is one. */
static int put_aside(struct pk_vfs_notafs *vfs, struct nf_path path)
{
    struct nf_stat st;
    int err = nf_stat(vfs->nf, path, &st);
    if (err == 0 && st.type != NF_TYPE_FILE) {
        err = NF_EISDIR;
    }
    if (err != 0) {
        return err;
    }
    if (!is_open(vfs, st.id)) {
        return nf_remove(vfs->nf, path, 0);
    }
    uint64_t number = ++vfs->removed;
    err = nf_rename(vfs->nf, path, removed_path(vfs, vfs->other, number),
                    NF_RENAME_NOREPLACE);
    for (struct file *file = vfs->files; err == 0 && file != NULL;
         file = file->next) {
        if (file->id == st.id) {
            file->removed = number;
        }
    }
    return err;
}

/* A target that is not open is replaced at once: all or nothing. */
static int vfs_rename(void *ctx, const char *from, const char *to)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct nf_stat st;
    struct nf_path a;
    struct nf_path b;
    int err = path_of(vfs, vfs->path, to, &b);
    if (err != 0) {
        return err;
    }
    err = nf_stat(vfs->nf, b, &st);
    const bool aside = err == 0 && is_open(vfs, st.id);
    if (aside) {
        err = put_aside(vfs, b);
    }
    if (err == 0 || nf_err_class(err) == NF_ENOENT) {
        err = path_of(vfs, vfs->other, from, &a);
    }
    if (err == 0) {
        err = nf_rename(vfs->nf, a, b, 0);
        if (err != 0 && aside) {
            vfs->half_done = err; /* the old file has lost its name */
        }
    }
    return err;
}

static int vfs_remove(void *ctx, const char *name)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct nf_path path;
    int err = path_of(vfs, vfs->path, name, &path);
    return err == 0 ? put_aside(vfs, path) : err;
}

static bool is_removed_name(const struct nf_dirent *ent)
{
    return ent->name_len > REMOVED_LEN &&
           memcmp(ent->name, REMOVED, REMOVED_LEN) == 0;
}

static int vfs_list(void *ctx, const char *dir_name, pk_vfs_list_fn fn,
                    void *arg)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct nf_path path;
    struct nf_dir *dir;
    struct nf_dirent ent;
    char step[PK_VFS_NAME_MAX + 1];
    int err = path_of(vfs, vfs->path, dir_name, &path);
    if (err == 0) {
        err = nf_dir_open(vfs->nf, path, &dir);
    }
    if (err != 0) {
        return nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    while ((err = nf_dir_next(dir, &ent)) == 1) {
        if (ent.stat.type != NF_TYPE_FILE || is_removed_name(&ent) ||
            ent.name_len > PK_VFS_NAME_MAX) {
            continue;
        }
        memcpy(step, ent.name, ent.name_len);
        step[ent.name_len] = '\0';
        err = fn(arg, step, ent.stat.size);
        if (err != 0) {
            break;
        }
    }
    nf_dir_close(dir);
    return err;
}

/* ---- Commits and locks ---------------------------------------------- */

static int vfs_order(void *ctx)
{
    (void)ctx;
    return 0;
}

static int vfs_commit(void *ctx)
{
    struct pk_vfs_notafs *vfs = ctx;
    int err = vfs->half_done != 0 ? vfs->half_done : nf_sync(vfs->nf);
    if (err != 0) {
        int aborted = nf_abort(vfs->nf);
        (void)aborted; /* the first error is the one to tell */
        vfs->half_done = 0;
    }
    return err;
}

/* A transaction that has failed can only be aborted. Whoever was writing has
 * been told, and a writer that begins must not find it. */
static int begin_anew(struct pk_vfs_notafs *vfs)
{
    struct nf_stats stats;
    nf_stats(vfs->nf, &stats);
    return stats.failed ? nf_abort(vfs->nf) : 0;
}

/* The disk is open once, so a lock needs to be seen in this process only. */
static int vfs_lock(void *ctx, const char *name, void **ret_lock)
{
    struct pk_vfs_notafs *vfs = ctx;
    size_t len = strlen(name);
    void *file;
    for (const struct lock *l = vfs->locks; l != NULL; l = l->next) {
        if (l->len == len && memcmp(l->name, name, len) == 0) {
            return NF_EBUSY;
        }
    }
    int err = begin_anew(vfs);
    if (err == 0) {
        err = vfs_open(vfs, name, PK_VFS_WRITE | PK_VFS_CREATE, &file);
    }
    if (err == 0) {
        err = vfs_close(vfs, file);
    }
    if (err != 0) {
        return err;
    }
    struct lock *lock = nf_calloc(&vfs->mem, 1, sizeof(*lock));
    if (lock == NULL) {
        return NF_ENOMEM;
    }
    memcpy(lock->name, name, len);
    lock->len = len;
    lock->next = vfs->locks;
    vfs->locks = lock;
    *ret_lock = lock;
    return 0;
}

static void vfs_unlock(void *ctx, void *lock)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct lock **at = &vfs->locks;
    while (*at != lock) {
        at = &(*at)->next;
    }
    *at = ((struct lock *)lock)->next;
    nf_free(&vfs->mem, lock, sizeof(struct lock));
}

/* What waits for a commit is made usable by the first change after one, if it
 * is the larger part; and a page in sixteen goes to the ropes. */
static int vfs_space(void *ctx, uint64_t *ret_len)
{
    struct pk_vfs_notafs *vfs = ctx;
    struct nf_stats stats;
    uint64_t pages;
    nf_stats(vfs->nf, &stats);
    pages = stats.usable_pages;
    if (!nf_is_dirty(vfs->nf) && stats.waiting_pages > pages) {
        pages += stats.waiting_pages;
    }
    *ret_len = (pages - pages / 16) * stats.disk.page_size;
    return 0;
}

static const struct pk_vfs_ops ops = {
    .open = vfs_open,
    .close = vfs_close,
    .read = vfs_read,
    .write = vfs_write,
    .truncate = vfs_truncate,
    .size = vfs_size,
    .rename = vfs_rename,
    .remove = vfs_remove,
    .list = vfs_list,
    .order = vfs_order,
    .commit = vfs_commit,
    .lock = vfs_lock,
    .unlock = vfs_unlock,
    .space = vfs_space,
};

/* ---- Opening -------------------------------------------------------- */

/* Remove what a crash left aside: files that nobody can have open. */
static int sweep(struct pk_vfs_notafs *vfs)
{
    struct nf_stats stats;
    struct nf_path root = {vfs->path, vfs->root_len};
    struct nf_dir *dir;
    struct nf_dirent ent;
    nf_stats(vfs->nf, &stats);
    if (stats.readonly) {
        return 0;
    }
    int err = nf_dir_open(vfs->nf, root, &dir);
    if (err != 0) {
        return nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    while ((err = nf_dir_next(dir, &ent)) == 1) {
        if (!is_removed_name(&ent) || ent.stat.type != NF_TYPE_FILE ||
            ent.name_len > PK_VFS_NAME_MAX) {
            continue;
        }
        memcpy(vfs->path + vfs->root_len, ent.name, ent.name_len);
        struct nf_path path = {vfs->path, vfs->root_len + ent.name_len};
        err = nf_remove(vfs->nf, path, 0);
        if (err != 0) {
            break;
        }
    }
    nf_dir_close(dir);
    return err;
}

int pk_vfs_notafs_open(struct nf *nf, const struct nf_env *env,
                       struct nf_path root, struct pk_vfs_notafs **ret,
                       struct pk_vfs *ret_vfs)
{
    struct nf_mem mem = {env, 0, 0};
    if (root.len > ROOT_MAX) {
        return NF_ENAMETOOLONG;
    }
    struct pk_vfs_notafs *vfs = nf_calloc(&mem, 1, sizeof(*vfs));
    if (vfs == NULL) {
        return NF_ENOMEM;
    }
    vfs->nf = nf;
    vfs->mem = mem;
    memcpy(vfs->path, root.p, root.len);
    vfs->path[root.len] = '/';
    vfs->root_len = root.len + 1;
    memcpy(vfs->other, vfs->path, vfs->root_len);
    int err = sweep(vfs);
    if (err != 0) {
        pk_vfs_notafs_close(vfs);
        return err;
    }
    ret_vfs->ops = &ops;
    ret_vfs->ctx = vfs;
    *ret = vfs;
    return 0;
}

void pk_vfs_notafs_close(struct pk_vfs_notafs *vfs)
{
    if (vfs != NULL) {
        struct nf_mem mem = vfs->mem;
        nf_free(&mem, vfs, sizeof(*vfs));
    }
}
