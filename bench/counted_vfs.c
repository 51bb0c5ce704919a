/* SPDX-License-Identifier: ISC */
#include "bench/counted_vfs.h"

static int counted_open(void *ctx, const char *name, uint32_t flags,
                        void **ret_file)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->open(below->ctx, name, flags, ret_file);
}

static int counted_close(void *ctx, void *file)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->close(below->ctx, file);
}

static int counted_read(void *ctx, void *file, uint64_t off, uint8_t *buf,
                        size_t len, size_t *ret_len)
{
    struct counted_vfs *counted = ctx;
    int err = counted->below.ops->read(counted->below.ctx, file, off, buf, len,
                                       ret_len);

    counted->reads++;
    counted->read_bytes += err == 0 ? *ret_len : 0;
    return err;
}

static int counted_write(void *ctx, void *file, uint64_t off,
                         const uint8_t *buf, size_t len)
{
    struct counted_vfs *counted = ctx;

    counted->writes++;
    counted->written_bytes += len;
    return counted->below.ops->write(counted->below.ctx, file, off, buf, len);
}

static int counted_truncate(void *ctx, void *file, uint64_t len)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->truncate(below->ctx, file, len);
}

static int counted_size(void *ctx, void *file, uint64_t *ret_len)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->size(below->ctx, file, ret_len);
}

static int counted_rename(void *ctx, const char *from, const char *to)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->rename(below->ctx, from, to);
}

static int counted_remove(void *ctx, const char *name)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->remove(below->ctx, name);
}

static int counted_list(void *ctx, const char *dir, pk_vfs_list_fn fn,
                        void *arg)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->list(below->ctx, dir, fn, arg);
}

static int counted_order(void *ctx)
{
    struct counted_vfs *counted = ctx;

    counted->flushes++;
    return counted->below.ops->order(counted->below.ctx);
}

static int counted_commit(void *ctx)
{
    struct counted_vfs *counted = ctx;

    counted->flushes++;
    return counted->below.ops->commit(counted->below.ctx);
}

static int counted_lock(void *ctx, const char *name, void **ret_lock)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    return below->ops->lock(below->ctx, name, ret_lock);
}

static void counted_unlock(void *ctx, void *lock)
{
    const struct pk_vfs *below = &((struct counted_vfs *)ctx)->below;

    below->ops->unlock(below->ctx, lock);
}

struct pk_vfs counted_vfs_front(struct counted_vfs *counted)
{
    static const struct pk_vfs_ops ops = {
        .open = counted_open,
        .close = counted_close,
        .read = counted_read,
        .write = counted_write,
        .truncate = counted_truncate,
        .size = counted_size,
        .rename = counted_rename,
        .remove = counted_remove,
        .list = counted_list,
        .order = counted_order,
        .commit = counted_commit,
        .lock = counted_lock,
        .unlock = counted_unlock,
    };

    *counted = (struct counted_vfs){.below = counted->below};
    return (struct pk_vfs){&ops, counted};
}
