/* SPDX-License-Identifier: ISC */
/*
 * The file API in memory. A name leads to a file; a file lives as long as a
 * name or a handle does. There is nothing to survive a crash, so order and
 * commit have nothing to do.
 */
#include <notafs/vfs.h>

#include <string.h>

#include "notafs/platform/mem.h"

struct mem_file {
    uint8_t *p;
    size_t len;
    size_t cap;
    uint32_t refs; /* one of the name, one of each handle */
};

struct mem_name {
    struct mem_name *next;
    struct mem_file *file;
    char name[PK_VFS_NAME_MAX + 1];
};

struct pk_vfs_mem {
    struct nf_mem mem;
    struct mem_name *names;
    bool locked;
};

static struct mem_name **name_find(struct pk_vfs_mem *vfs, const char *name)
{
    struct mem_name **link = &vfs->names;
    size_t len = strlen(name);

    while (*link != NULL && (strlen((*link)->name) != len ||
                             memcmp((*link)->name, name, len) != 0)) {
        link = &(*link)->next;
    }
    return link;
}

static void file_unref(struct pk_vfs_mem *vfs, struct mem_file *file)
{
    if (--file->refs == 0) {
        nf_free(&vfs->mem, file->p, file->cap);
        nf_free(&vfs->mem, file, sizeof(*file));
    }
}

static int name_create(struct pk_vfs_mem *vfs, const char *name)
{
    struct mem_name *entry = nf_calloc(&vfs->mem, 1, sizeof(*entry));
    struct mem_file *file = nf_calloc(&vfs->mem, 1, sizeof(*file));

    if (entry == NULL || file == NULL) {
        nf_free(&vfs->mem, entry, sizeof(*entry));
        nf_free(&vfs->mem, file, sizeof(*file));
        return NF_ENOMEM;
    }
    memcpy(entry->name, name, strlen(name) + 1);
    file->refs = 1;
    entry->file = file;
    entry->next = vfs->names;
    vfs->names = entry;
    return 0;
}

static int mem_open(void *ctx, const char *name, uint32_t flags,
                    void **ret_file)
{
    struct pk_vfs_mem *vfs = ctx;
    struct mem_file *file;

    if (strlen(name) > PK_VFS_NAME_MAX) {
        return NF_ENAMETOOLONG;
    }
    if (*name_find(vfs, name) == NULL) {
        int err =
            (flags & PK_VFS_CREATE) != 0 ? name_create(vfs, name) : NF_ENOENT;

        if (err != 0) {
            return err;
        }
    }
    file = (*name_find(vfs, name))->file;
    if ((flags & PK_VFS_TRUNCATE) != 0) {
        file->len = 0;
    }
    file->refs++;
    *ret_file = file;
    return 0;
}

static int mem_close(void *ctx, void *file)
{
    file_unref(ctx, file);
    return 0;
}

static int mem_read(void *ctx, void *handle, uint64_t off, uint8_t *buf,
                    size_t len, size_t *ret_len)
{
    const struct mem_file *file = handle;

    (void)ctx;
    if (off >= file->len) {
        len = 0;
    } else if (len > file->len - (size_t)off) {
        len = file->len - (size_t)off;
    }
    if (len > 0) {
        memcpy(buf, file->p + off, len);
    }
    *ret_len = len;
    return 0;
}

static int mem_write(void *ctx, void *handle, uint64_t off, const uint8_t *buf,
                     size_t len)
{
    struct pk_vfs_mem *vfs = ctx;
    struct mem_file *file = handle;
    size_t end;

    if (off > file->len || len > SIZE_MAX / 4 - (size_t)off) {
        return NF_EINVAL;
    }
    end = (size_t)off + len;
    if (end > file->cap) {
        size_t cap = file->cap * 2 > end ? file->cap * 2 : end;
        uint8_t *p = nf_realloc(&vfs->mem, file->p, file->cap, cap);

        if (p == NULL) {
            return NF_ENOSPC;
        }
        file->p = p;
        file->cap = cap;
    }
    if (len > 0) {
        memcpy(file->p + off, buf, len);
    }
    file->len = end > file->len ? end : file->len;
    return 0;
}

static int mem_truncate(void *ctx, void *handle, uint64_t len)
{
    struct mem_file *file = handle;

    (void)ctx;
    if (len > file->len) {
        return NF_EINVAL;
    }
    file->len = (size_t)len;
    return 0;
}

static int mem_size(void *ctx, void *handle, uint64_t *ret_len)
{
    const struct mem_file *file = handle;

    (void)ctx;
    *ret_len = file->len;
    return 0;
}

static int mem_remove(void *ctx, const char *name)
{
    struct pk_vfs_mem *vfs = ctx;
    struct mem_name **link = name_find(vfs, name);
    struct mem_name *entry = *link;

    if (entry == NULL) {
        return NF_ENOENT;
    }
    *link = entry->next;
    file_unref(vfs, entry->file);
    nf_free(&vfs->mem, entry, sizeof(*entry));
    return 0;
}

static int mem_rename(void *ctx, const char *from, const char *to)
{
    struct pk_vfs_mem *vfs = ctx;
    struct mem_name *entry = *name_find(vfs, from);

    if (entry == NULL) {
        return NF_ENOENT;
    }
    if (strlen(to) > PK_VFS_NAME_MAX) {
        return NF_ENAMETOOLONG;
    }
    if (*name_find(vfs, to) != entry) {
        (void)mem_remove(ctx, to); /* there may be none */
        memcpy(entry->name, to, strlen(to) + 1);
    }
    return 0;
}

static bool mem_is_flat(const char *step, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (step[i] == '/') {
            return false;
        }
    }
    return true;
}

static int mem_list(void *ctx, const char *dir, pk_vfs_list_fn fn, void *arg)
{
    const struct pk_vfs_mem *vfs = ctx;
    size_t len = strlen(dir);
    int err = 0;

    for (const struct mem_name *entry = vfs->names; entry != NULL && err == 0;
         entry = entry->next) {
        const char *step = entry->name;
        size_t left = strlen(step);

        if (len > 0) {
            if (left <= len || memcmp(step, dir, len) != 0 ||
                step[len] != '/') {
                continue;
            }
            step += len + 1;
            left -= len + 1;
        }
        if (mem_is_flat(step, left)) {
            err = fn(arg, step, entry->file->len);
        }
    }
    return err;
}

static int mem_sync(void *ctx)
{
    (void)ctx;
    return 0;
}

static int mem_lock(void *ctx, const char *name, void **ret_lock)
{
    struct pk_vfs_mem *vfs = ctx;

    (void)name;
    if (vfs->locked) {
        return NF_EBUSY;
    }
    vfs->locked = true;
    *ret_lock = vfs;
    return 0;
}

static void mem_unlock(void *ctx, void *lock)
{
    struct pk_vfs_mem *vfs = ctx;

    (void)lock;
    vfs->locked = false;
}

static const struct pk_vfs_ops mem_ops = {
    .open = mem_open,
    .close = mem_close,
    .read = mem_read,
    .write = mem_write,
    .truncate = mem_truncate,
    .size = mem_size,
    .rename = mem_rename,
    .remove = mem_remove,
    .list = mem_list,
    .order = mem_sync,
    .commit = mem_sync,
    .lock = mem_lock,
    .unlock = mem_unlock,
};

int pk_vfs_mem_open(const struct nf_env *env, struct pk_vfs_mem **ret_mem,
                    struct pk_vfs *ret_vfs)
{
    struct nf_mem mem = {.env = env};
    struct pk_vfs_mem *vfs = nf_calloc(&mem, 1, sizeof(*vfs));

    if (vfs == NULL) {
        return NF_ENOMEM;
    }
    vfs->mem = mem;
    *ret_mem = vfs;
    *ret_vfs = (struct pk_vfs){&mem_ops, vfs};
    return 0;
}

void pk_vfs_mem_close(struct pk_vfs_mem *vfs)
{
    struct nf_mem mem;

    if (vfs == NULL) {
        return;
    }
    while (vfs->names != NULL) {
        (void)mem_remove(vfs, vfs->names->name); /* it is there */
    }
    mem = vfs->mem;
    nf_free(&mem, vfs, sizeof(*vfs));
}
