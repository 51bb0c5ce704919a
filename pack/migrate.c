/* SPDX-License-Identifier: ISC */
/*
 * The suffix is copied to the volume, where upstream moves it: only a copy can
 * be given up at any moment. The control file makes it count. Before that
 * nothing refers to what was written, and the next open begins anew; after it
 * the old chunk is a stale file, and the dictionary of a store born V1 or V2,
 * which loses its dead header, waits under another name.
 */
#include "pack/migrate.h"

#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"

enum { COPY_LEN = 16384, DEAD_HEADER = 16 };

/* Files of one vfs or two; to is made anew. */
static int migrate_copy(struct pk_store *store, const char *from,
                        const struct pk_vfs *to_vfs, const char *to,
                        uint64_t skip, uint64_t len)
{
    uint8_t *buf = nf_alloc(&store->ctx.mem, COPY_LEN);
    struct pk_file in = {0};
    struct pk_file out = {0};
    int close_err;
    int err = buf == NULL ? pk_fail_mem(&store->ctx)
                          : pk_file_open(&store->ctx, store->vfs, from, 0, &in);

    if (err == 0) {
        err =
            pk_file_open(&store->ctx, to_vfs, to,
                         PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &out);
    }
    for (uint64_t at = 0; err == 0 && at < len;) {
        size_t n = (size_t)nf_min_u64(COPY_LEN, len - at);

        err = pk_file_read(&in, skip + at, buf, n);
        if (err == 0) {
            err = pk_file_write(&out, at, buf, n);
        }
        at += n;
    }
    (void)pk_file_close(&in); /* only read */
    close_err = pk_file_close(&out);
    nf_free(&store->ctx.mem, buf, COPY_LEN);
    return err == 0 ? close_err : err;
}

static int migrate_put(struct pk_store *store, const struct pk_vfs *vfs,
                       const char *name, const uint8_t *p, size_t len)
{
    struct pk_file file = {0};
    int close_err;
    int err =
        pk_file_open(&store->ctx, vfs, name,
                     PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);

    if (err == 0 && len > 0) {
        err = pk_file_write(&file, 0, p, len);
    }
    close_err = pk_file_close(&file);
    return err == 0 ? close_err : err;
}

/* The volume with all that the chunk holds; durable. */
static int migrate_volume(struct pk_store *store, uint64_t header)
{
    const struct pk_control *control = &store->control;
    struct pk_volume_control limits = {0, control->chunk_end,
                                       PK_MAPPING_RECORD_LEN};
    struct pk_buf out = pk_buf_of(&store->ctx.mem);
    uint8_t record[PK_MAPPING_RECORD_LEN];
    char from[PK_VFS_NAME_MAX + 1];
    char name[PK_VFS_NAME_MAX + 1];
    int err;

    nf_put_le64(record, 0);
    nf_put_le64(record + 8, header);
    nf_put_le64(record + 16, control->chunk_end);
    pk_name(from, "store.", control->chunk_start, ".suffix");
    pk_volume_name(name, 0, "data");
    err = migrate_copy(store, from, store->lower_vfs, name, 0,
                       header + control->chunk_end);
    if (err == 0) {
        pk_volume_name(name, 0, "mapping");
        err =
            migrate_put(store, store->lower_vfs, name, record, sizeof(record));
    }
    pk_volume_control_encode(&limits, &out);
    if (err == 0 && out.failed) {
        err = pk_fail_mem(&store->ctx);
    }
    if (err == 0) {
        pk_volume_name(name, 0, "control");
        err = migrate_put(store, store->lower_vfs, name, out.p, out.len);
    }
    pk_buf_deinit(&out);
    return err == 0 ? pk_file_commit(&store->ctx, store->lower_vfs) : err;
}

/* What the new control refers to, in the store itself. */
static int migrate_files(struct pk_store *store, uint64_t header)
{
    char name[PK_VFS_NAME_MAX + 1];
    int err;

    pk_name(name, "store.", store->control.chunk_start + 1, ".suffix");
    err = migrate_put(store, store->vfs, name, NULL, 0);
    if (err == 0) {
        err = migrate_put(store, store->vfs, "store.1.prefix", NULL, 0);
    }
    if (err == 0) {
        err = migrate_put(store, store->vfs, "store.1.mapping", NULL, 0);
    }
    if (err == 0 && header > 0) {
        err = migrate_copy(store, "store.dict", store->vfs, PK_MIGRATE_DICT,
                           header, store->control.dict_end);
    }
    return err;
}

static int migrate_refuse(struct pk_store *store)
{
    const struct pk_control *control = &store->control;

    if (store->strategy != PK_STRATEGY_MINIMAL) {
        return pk_fail(&store->ctx, NF_EC_STRATEGY, NULL, NF_NOWHERE,
                       "lower layer");
    }
    if ((store->flags & PK_OPEN_NO_MIGRATE) != 0 ||
        control->status == PK_STATUS_GCED || control->chunk_num > 1) {
        return pk_fail(&store->ctx, NF_EC_MIGRATION, "store.control",
                       NF_NOWHERE, "to a lower layer");
    }
    return 0;
}

int pk_migrate_lower(struct pk_store *store)
{
    struct pk_control control = store->control;
    uint64_t header =
        control.status == PK_STATUS_V1_UPGRADED && control.chunk_start == 0
            ? DEAD_HEADER
            : 0;
    char chunk[PK_VFS_NAME_MAX + 1];
    int err;

    if (store->lower_vfs == NULL || control.volume_num > 0) {
        return 0;
    }
    err = migrate_refuse(store);
    if (err != 0) {
        return err;
    }
    pk_name(chunk, "store.", control.chunk_start, ".suffix");
    control.volume_num = 1;
    if (control.chunk_end == 0 && header == 0) { /* there is nothing yet */
        err = pk_volume_create(&store->ctx, store->lower_vfs, 0);
        if (err == 0) {
            err = pk_store_write_control(store, &control);
        }
        return err == 0 ? pk_file_commit(&store->ctx, store->vfs) : err;
    }
    err = migrate_volume(store, header);
    if (err == 0) {
        err = migrate_files(store, header);
    }
    control.status = PK_STATUS_GCED;
    control.suffix_start = control.chunk_end;
    control.upgrade_off = 0;
    control.generation = 1;
    control.mapping_end = 0;
    control.chunk_start++;
    control.chunk_end = 0;
    if (err == 0) {
        err = pk_store_write_control(store, &control);
    }
    if (err == 0) {
        err = pk_file_commit(&store->ctx, store->vfs);
    }
    if (err == 0) {
        err = pk_migrate_clean(store);
    }
    return err == 0 ? pk_file_remove(&store->ctx, store->vfs, chunk) : err;
}

int pk_migrate_clean(struct pk_store *store)
{
    const struct pk_control *control = &store->control;
    struct pk_file file = {0};
    int err = pk_file_open(&store->ctx, store->vfs, PK_MIGRATE_DICT, 0, &file);

    (void)pk_file_close(&file); /* only to see whether it is there */
    if (err == NF_ENOENT) {
        return 0;
    }
    if (err == 0 && control->status == PK_STATUS_GCED) {
        err = pk_file_rename(&store->ctx, store->vfs, PK_MIGRATE_DICT,
                             "store.dict");
        return err == 0 ? pk_file_commit(&store->ctx, store->vfs) : err;
    }
    return err == 0 ? pk_file_remove(&store->ctx, store->vfs, PK_MIGRATE_DICT)
                    : err;
}
