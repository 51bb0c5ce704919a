/* SPDX-License-Identifier: ISC */
/*
 * Creation, migration from V1 and V2, and the clean-up of an open for writing
 * (spec 1.4, 2.3, 7.2).
 *
 * V1 and V2 keep 16 bytes in front of store.pack and store.dict: the number of
 * valid bytes behind, BE int64, and an ASCII version. Migration leaves them
 * where they are. It writes the control file first and renames store.pack
 * after: a store with a control file and store.pack is one whose migration
 * broke off there, and clean-up ends it.
 */
#include "pack/layout.h"

#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/migrate.h"

static const char pack_name[] = "store.pack";
static const char chunk0_name[] = "store.0.suffix";

/* The length field of a legacy header, checked against the file's size. */
static int legacy_end(struct pk_store *store, const char *name,
                      uint64_t *ret_end)
{
    uint8_t raw[16];
    struct pk_file file = {0};
    uint64_t size = 0;
    uint64_t end = 0;
    int err = pk_file_open(&store->ctx, store->vfs, name, 0, &file);

    if (err != 0) {
        return err;
    }
    err = pk_file_read(&file, 0, raw, sizeof(raw));
    if (err == 0) {
        err = pk_file_size(&file, &size);
    }
    (void)pk_file_close(&file); /* only read */
    if (err != 0) {
        return err;
    }
    end = nf_get_be64(raw);
    if (memcmp(raw + 8, "00000001", 8) != 0 &&
        memcmp(raw + 8, "00000002", 8) != 0) {
        return pk_fail(&store->ctx, NF_EC_PACK_VERSION, name, 8, "version");
    }
    if (end > size - 16) {
        return pk_fail_short(&store->ctx, name, 16 + end, size);
    }
    *ret_end = end;
    return 0;
}

int pk_layout_legacy(struct pk_store *store, struct pk_control *ret)
{
    struct pk_control control = {
        .version = 5,
        .chunk_num = 1,
        .status = PK_STATUS_V1_UPGRADED,
        .mapping_end = NF_NOWHERE,
    };
    int err = legacy_end(store, pack_name, &control.chunk_end);

    if (err == NF_ENOENT) {
        return pk_fail(&store->ctx, NF_EC_LAYOUT, "store.control", NF_NOWHERE,
                       "store");
    }
    if (err == 0) {
        err = legacy_end(store, "store.dict", &control.dict_end);
    }
    control.upgrade_off = control.chunk_end;
    if (err == 0) {
        *ret = control;
    }
    return err;
}

int pk_layout_migrate(struct pk_store *store, struct pk_control *control)
{
    int err = pk_store_write_control(store, control);

    if (err == 0) {
        err = pk_file_rename(&store->ctx, store->vfs, pack_name, chunk0_name);
    }
    return err == 0 ? pk_file_commit(&store->ctx, store->vfs) : err;
}

/* ------------------------------------------------------------------ create */

static int create_empty(struct pk_store *store, const struct pk_vfs *vfs,
                        const char *name)
{
    struct pk_file file = {0};
    int err =
        pk_file_open(&store->ctx, vfs, name,
                     PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);

    return err == 0 ? pk_file_close(&file) : err;
}

int pk_layout_create(struct pk_store *store)
{
    struct pk_control control = {
        .version = 5,
        .chunk_num = 1,
        .volume_num = store->lower_vfs != NULL ? 1 : 0,
        .status = PK_STATUS_NO_GC_YET,
        .mapping_end = NF_NOWHERE,
    };
    int err = create_empty(store, store->vfs, "store.dict");

    if (err == 0) {
        err = create_empty(store, store->vfs, chunk0_name);
    }
    if (err == 0) {
        err = pk_index_create(&store->ctx, store->vfs);
    }
    if (err == 0) {
        err = pk_branches_create(&store->ctx, store->vfs);
    }
    if (err == 0 && store->lower_vfs != NULL) {
        err = pk_volume_create(&store->ctx, store->lower_vfs, 0);
    }
    if (err == 0) {
        err = pk_store_write_control(store, &control);
    }
    return err == 0 ? pk_file_commit(&store->ctx, store->vfs) : err;
}

/* ---------------------------------------------------------------- clean up */

/* Is this file of the root a leaving of a crash or of old programs? */
static bool clean_is_stale(const struct pk_control *control, const char *name)
{
    uint64_t n;

    if (strlen(name) == strlen("store.control.tmp") &&
        memcmp(name, "store.control.tmp", strlen(name)) == 0) {
        return true;
    }
    if (strlen(name) == strlen("store.branches.tmp") &&
        memcmp(name, "store.branches.tmp", strlen(name)) == 0) {
        return true;
    }
    if (pk_name_parse(name, "store.", ".out", &n) ||
        pk_name_parse(name, "store.", ".reachable", &n) ||
        pk_name_parse(name, "store.", ".sorted", &n)) {
        return true;
    }
    if (pk_name_parse(name, "store.", ".prefix", &n) ||
        pk_name_parse(name, "store.", ".mapping", &n)) {
        return n != control->generation;
    }
    return pk_name_parse(name, "store.", ".suffix", &n) &&
           (n < control->chunk_start ||
            n - control->chunk_start >= control->chunk_num);
}

/* One stale name: a folder must not change while it is listed. */
struct clean_find {
    const struct pk_control *control;
    char name[PK_VFS_NAME_MAX + 1];
};

static int clean_root_entry(void *arg, const char *step, uint64_t len)
{
    struct clean_find *find = arg;
    size_t n = strlen(step);

    (void)len;
    if (n > PK_VFS_NAME_MAX || !clean_is_stale(find->control, step)) {
        return 0;
    }
    memcpy(find->name, step, n + 1);
    return 1;
}

static int clean_volume_entry(void *arg, const char *step, uint64_t len)
{
    struct clean_find *find = arg;
    uint64_t n;

    (void)len;
    if (!pk_name_parse(step, "volume.", ".control", &n)) {
        return 0;
    }
    memcpy(find->name, step, strlen(step) + 1);
    return 1;
}

/* Of the last volume: a control that a collection left before it could put it
 * in place, or that of a collection that failed. */
static int clean_volume(struct pk_store *store, uint64_t volume)
{
    struct clean_find find = {&store->control, {0}};
    char dir[PK_VFS_NAME_MAX + 1];
    char stem[PK_VFS_NAME_MAX + 1];
    char from[PK_VFS_NAME_MAX + 1];
    char to[PK_VFS_NAME_MAX + 1];
    uint64_t generation = 0;
    int err;

    pk_name(dir, "volume.", volume, "");
    err = store->lower_vfs->ops->list(store->lower_vfs->ctx, dir,
                                      clean_volume_entry, &find);
    if (err <= 0) {
        return err;
    }
    (void)pk_name_parse(find.name, "volume.", ".control", &generation);
    pk_volume_name(to, volume, "control");
    pk_name(stem, "volume.", volume, "/volume.");
    pk_name(from, stem, generation, ".control");
    if (generation == store->control.generation) {
        err = pk_file_rename(&store->ctx, store->lower_vfs, from, to);
    } else {
        err = pk_file_remove(&store->ctx, store->lower_vfs, from);
    }
    return err == 0 ? 1 : err;
}

int pk_layout_is_halfway(struct pk_store *store,
                         const struct pk_control *control)
{
    struct pk_file file = {0};
    int err;

    if (control->status != PK_STATUS_V1_UPGRADED || control->chunk_start != 0) {
        return 0;
    }
    err = pk_file_open(&store->ctx, store->vfs, chunk0_name, 0, &file);
    (void)pk_file_close(&file); /* only to see whether it is there */
    return err == NF_ENOENT ? 1 : err;
}

int pk_layout_clean(struct pk_store *store)
{
    struct clean_find find = {&store->control, {0}};
    int err = pk_layout_is_halfway(store, &store->control);

    if (err > 0) {
        err = pk_file_rename(&store->ctx, store->vfs, pack_name, chunk0_name);
    }
    if (err == 0) {
        err = pk_migrate_clean(store);
    }
    while (err == 0) {
        err =
            store->vfs->ops->list(store->vfs->ctx, "", clean_root_entry, &find);
        if (err <= 0) {
            break;
        }
        err = pk_file_remove(&store->ctx, store->vfs, find.name);
    }
    while (err == 0 && store->lower_vfs != NULL &&
           store->control.volume_num > 0) {
        err = clean_volume(store, store->control.volume_num - 1);
        if (err <= 0) {
            break;
        }
        err = 0;
    }
    return err < 0 ? pk_fail(&store->ctx, err, NULL, NF_NOWHERE, "clean-up")
                   : 0;
}
