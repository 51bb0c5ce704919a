/* SPDX-License-Identifier: ISC */
/*
 * Files of the file API with the context's error reporting, and the names of
 * spec 1: decimal numbers without leading zeros between fixed texts.
 */
#include "pack/file.h"

#include <string.h>

#include "notafs/platform/assert.h"

static int file_fail(struct pk_file *file, int err, uint64_t off,
                     const char *what)
{
    return pk_fail(file->ctx, err, file->name, off, what);
}

int pk_file_open(struct pk_ctx *ctx, const struct pk_vfs *vfs, const char *name,
                 uint32_t flags, struct pk_file *file)
{
    void *handle = NULL;
    size_t len = strlen(name);
    int err;

    nf_assert(len <= PK_VFS_NAME_MAX);
    err = vfs->ops->open(vfs->ctx, name, flags, &handle);
    if (err != 0) {
        return pk_fail(ctx, err, name, NF_NOWHERE, "open");
    }
    file->ctx = ctx;
    file->vfs = vfs;
    file->handle = handle;
    memcpy(file->name, name, len + 1);
    return 0;
}

int pk_file_close(struct pk_file *file)
{
    int err;

    if (file->handle == NULL) {
        return 0;
    }
    err = file->vfs->ops->close(file->vfs->ctx, file->handle);
    file->handle = NULL;
    return err == 0 ? 0 : file_fail(file, err, NF_NOWHERE, "close");
}

int pk_file_read_some(struct pk_file *file, uint64_t off, uint8_t *buf,
                      size_t len, size_t *ret_len)
{
    int err = file->vfs->ops->read(file->vfs->ctx, file->handle, off, buf, len,
                                   ret_len);

    return err == 0 ? 0 : file_fail(file, err, off, "read");
}

int pk_file_read(struct pk_file *file, uint64_t off, uint8_t *buf, size_t len)
{
    size_t got = 0;
    int err = pk_file_read_some(file, off, buf, len, &got);

    if (err == 0 && got < len) {
        err = file_fail(file, NF_EC_SHORT_FILE, off + got, "read");
    }
    return err;
}

int pk_file_write(struct pk_file *file, uint64_t off, const uint8_t *buf,
                  size_t len)
{
    int err =
        file->vfs->ops->write(file->vfs->ctx, file->handle, off, buf, len);

    return err == 0 ? 0 : file_fail(file, err, off, "write");
}

int pk_file_truncate(struct pk_file *file, uint64_t len)
{
    int err = file->vfs->ops->truncate(file->vfs->ctx, file->handle, len);

    return err == 0 ? 0 : file_fail(file, err, len, "truncate");
}

int pk_file_size(struct pk_file *file, uint64_t *ret_len)
{
    int err = file->vfs->ops->size(file->vfs->ctx, file->handle, ret_len);

    return err == 0 ? 0 : file_fail(file, err, NF_NOWHERE, "size");
}

int pk_file_rename(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                   const char *from, const char *to)
{
    int err = vfs->ops->rename(vfs->ctx, from, to);

    return err == 0 ? 0 : pk_fail(ctx, err, to, NF_NOWHERE, "rename");
}

int pk_file_remove(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                   const char *name)
{
    int err = vfs->ops->remove(vfs->ctx, name);

    if (err == 0 || err == NF_ENOENT) {
        return 0;
    }
    return pk_fail(ctx, err, name, NF_NOWHERE, "remove");
}

int pk_file_order(struct pk_ctx *ctx, const struct pk_vfs *vfs)
{
    int err = vfs->ops->order(vfs->ctx);

    ctx->broken = ctx->broken || err != 0;
    return err == 0 ? 0 : pk_fail(ctx, err, NULL, NF_NOWHERE, "sync");
}

int pk_file_commit(struct pk_ctx *ctx, const struct pk_vfs *vfs)
{
    int err = vfs->ops->commit(vfs->ctx);

    ctx->broken = ctx->broken || err != 0;
    return err == 0 ? 0 : pk_fail(ctx, err, NULL, NF_NOWHERE, "sync");
}

int pk_file_replace(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                    const char *name, const char *tmp, const uint8_t *buf,
                    size_t len)
{
    struct pk_file file = {0};
    int close_err;
    int err = pk_file_open(
        ctx, vfs, tmp, PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);

    if (err != 0) {
        return err;
    }
    err = pk_file_write(&file, 0, buf, len);
    if (err == 0) {
        err = pk_file_order(ctx, vfs);
    }
    close_err = pk_file_close(&file);
    err = err == 0 ? close_err : err;
    if (err == 0) {
        err = pk_file_rename(ctx, vfs, tmp, name);
    }
    return err == 0 ? pk_file_order(ctx, vfs) : err;
}

void pk_name(char buf[PK_VFS_NAME_MAX + 1], const char *prefix, uint64_t n,
             const char *suffix)
{
    char digits[20];
    size_t n_digits = 0;
    size_t pre = strlen(prefix);
    size_t post = strlen(suffix);

    do {
        digits[n_digits++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    nf_assert(pre + n_digits + post <= PK_VFS_NAME_MAX);
    memcpy(buf, prefix, pre);
    for (size_t i = 0; i < n_digits; i++) {
        buf[pre + i] = digits[n_digits - 1 - i];
    }
    memcpy(buf + pre + n_digits, suffix, post + 1);
}

bool pk_name_parse(const char *name, const char *prefix, const char *suffix,
                   uint64_t *ret_n)
{
    size_t len = strlen(name);
    size_t pre = strlen(prefix);
    size_t post = strlen(suffix);
    uint64_t n = 0;

    if (len <= pre + post || len - pre - post > 18 ||
        memcmp(name, prefix, pre) != 0 ||
        memcmp(name + len - post, suffix, post) != 0 ||
        (name[pre] == '0' && len - pre - post > 1)) {
        return false;
    }
    for (size_t i = pre; i < len - post; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(name[i] - '0');
    }
    *ret_n = n;
    return true;
}
