/* SPDX-License-Identifier: ISC */
/*
 * Volumes, all opened with the store. The limits in a volume's control say
 * which offsets it was made for; its mapping may begin below, with a copy of
 * the prefix of that time (spec 8.5), which serves when an earlier volume has
 * been lost.
 */
#include "pack/lower.h"

#include <string.h>

#include "notafs/platform/assert.h"

enum { LOWER_MAX_VOLUMES = 1 << 16 };

void pk_volume_name(char buf[PK_VFS_NAME_MAX + 1], uint64_t n, const char *part)
{
    size_t len = strlen(part);
    size_t at;

    pk_name(buf, "volume.", n, "/volume.");
    at = strlen(buf);
    nf_assert(at + len <= PK_VFS_NAME_MAX);
    memcpy(buf + at, part, len + 1);
}

/* The control that counts: in the last volume that of the collection that made
 * the generation, if it is not in its place yet. A reader may come, and a crash
 * may leave the store, just then. */
static int volume_open_control(struct pk_lower *lower, uint64_t n,
                               uint64_t generation, struct pk_file *file)
{
    char name[PK_VFS_NAME_MAX + 1];
    int err = NF_ENOENT;

    if (n + 1 == lower->n_volumes && generation > 0) {
        pk_volume_stage_name(name, n, generation);
        err = pk_file_open(lower->ctx, lower->vfs, name, 0, file);
    }
    if (err == NF_ENOENT) {
        pk_volume_name(name, n, "control");
        err = pk_file_open(lower->ctx, lower->vfs, name, 0, file);
    }
    return err;
}

static int volume_open(struct pk_lower *lower, uint64_t n, uint64_t generation,
                       struct pk_volume *volume)
{
    char data_name[PK_VFS_NAME_MAX + 1];
    char mapping_name[PK_VFS_NAME_MAX + 1];
    uint8_t raw[PK_VOLUME_CONTROL_LEN + 1];
    struct pk_file file = {0};
    size_t len = 0;
    int err;

    pk_volume_name(data_name, n, "data");
    pk_volume_name(mapping_name, n, "mapping");
    err = volume_open_control(lower, n, generation, &file);
    if (err == NF_ENOENT) {
        volume->empty = true;
        return 0;
    }
    if (err == 0) {
        err = pk_file_read_some(&file, 0, raw, sizeof(raw), &len);
    }
    (void)pk_file_close(&file); /* only read */
    if (err == 0) {
        err = pk_volume_control_decode(lower->ctx, file.name, raw, len,
                                       &volume->control);
    }
    if (err == 0) {
        err = pk_sparse_open(lower->ctx, lower->vfs, data_name, mapping_name,
                             volume->control.mapping_end, &volume->sparse);
    }
    if (err == 0) {
        err = pk_sparse_ends(&volume->sparse, volume->control.end, false);
    }
    return err;
}

int pk_lower_open(struct pk_ctx *ctx, const struct pk_vfs *vfs, uint64_t n,
                  uint64_t generation, struct pk_lower *lower)
{
    int err = 0;

    *lower = (struct pk_lower){.ctx = ctx, .vfs = vfs};
    if (n == 0 || vfs == NULL) {
        return 0;
    }
    if (n > LOWER_MAX_VOLUMES) {
        return pk_fail(ctx, NF_EC_CONTROL, "store.control", NF_NOWHERE,
                       "number of volumes");
    }
    lower->volumes = nf_calloc(&ctx->mem, (size_t)n, sizeof(struct pk_volume));
    if (lower->volumes == NULL) {
        return pk_fail_mem(ctx);
    }
    lower->n_volumes = (size_t)n;
    lower->cap_volumes = lower->n_volumes;
    for (size_t i = 0; i < lower->n_volumes && err == 0; i++) {
        err = volume_open(lower, i, generation, &lower->volumes[i]);
    }
    return err;
}

int pk_lower_close(struct pk_lower *lower)
{
    int err = 0;

    for (size_t i = 0; i < lower->n_volumes; i++) {
        int e = pk_sparse_close(&lower->volumes[i].sparse);

        err = err == 0 ? e : err;
    }
    if (lower->volumes != NULL) {
        nf_free(&lower->ctx->mem, lower->volumes,
                lower->cap_volumes * sizeof(*lower->volumes));
    }
    *lower = (struct pk_lower){0};
    return err;
}

bool pk_lower_spans(const struct pk_lower *lower, uint64_t off)
{
    for (size_t i = 0; i < lower->n_volumes; i++) {
        const struct pk_volume *v = &lower->volumes[i];

        if (!v->empty && off >= v->control.start && off < v->control.end) {
            return true;
        }
    }
    return false;
}

/* As pk_lower_read; *ret_volume: where it was. */
static int lower_read(struct pk_lower *lower, uint64_t off, uint8_t *buf,
                      size_t len, size_t *ret_len,
                      struct pk_volume **ret_volume)
{
    for (int within = 1; within >= 0; within--) {
        for (size_t i = 0; i < lower->n_volumes; i++) {
            struct pk_volume *v = &lower->volumes[i];
            bool holds = off >= v->control.start && off < v->control.end;
            int err;

            if (v->empty || holds != (within == 1)) {
                continue;
            }
            err = pk_sparse_read(&v->sparse, off, buf, len, ret_len);
            if (err != NF_EC_NO_OBJECT) {
                *ret_volume = v;
                return err;
            }
        }
    }
    return NF_EC_NO_OBJECT;
}

int pk_lower_read(struct pk_lower *lower, uint64_t off, uint8_t *buf,
                  size_t len, size_t *ret_len)
{
    struct pk_volume *volume;

    return lower_read(lower, off, buf, len, ret_len, &volume);
}

const char *pk_lower_where(struct pk_lower *lower, uint64_t off)
{
    struct pk_volume *volume = NULL;
    uint8_t byte;
    size_t got;

    return lower_read(lower, off, &byte, 1, &got, &volume) == 0
               ? volume->sparse.data.name
               : NULL;
}

void pk_volume_stage_name(char buf[PK_VFS_NAME_MAX + 1], uint64_t n,
                          uint64_t generation)
{
    char stem[PK_VFS_NAME_MAX + 1];

    pk_name(stem, "volume.", n, "/volume.");
    pk_name(buf, stem, generation, ".control");
}

/* Open for writing what is too long only: volumes may be on a medium of their
 * own. */
static int volume_cut(struct pk_lower *lower, const char *name, uint64_t len)
{
    struct pk_file file = {0};
    uint64_t size = 0;
    int err = pk_file_open(lower->ctx, lower->vfs, name, 0, &file);

    if (err == NF_ENOENT && len == 0) {
        return 0;
    }
    if (err == 0) {
        err = pk_file_size(&file, &size);
    }
    (void)pk_file_close(&file); /* only read */
    if (err != 0 || size <= len) {
        return err;
    }
    err = pk_file_open(lower->ctx, lower->vfs, name, PK_VFS_WRITE, &file);
    if (err == 0) {
        err = pk_file_truncate(&file, len);
    }
    (void)pk_file_close(&file); /* nothing that must last */
    return err;
}

int pk_lower_trim(struct pk_lower *lower, uint64_t n)
{
    struct pk_volume *volume = &lower->volumes[n];
    char name[PK_VFS_NAME_MAX + 1];
    uint64_t n_records = 0;
    uint64_t data_len = 0;
    int err = 0;

    if (!volume->empty) {
        err = pk_sparse_extent(&volume->sparse, &n_records, &data_len);
    }
    pk_volume_name(name, n, "data");
    if (err == 0) {
        err = volume_cut(lower, name, data_len);
    }
    pk_volume_name(name, n, "mapping");
    if (err == 0) {
        err = volume_cut(lower, name, n_records * PK_MAPPING_RECORD_LEN);
    }
    return err;
}

int pk_volume_create(struct pk_ctx *ctx, const struct pk_vfs *vfs, uint64_t n)
{
    static const char *const parts[] = {"mapping", "data"};
    int err = 0;

    for (size_t i = 0; i < 2 && err == 0; i++) {
        char name[PK_VFS_NAME_MAX + 1];
        struct pk_file file = {0};

        pk_volume_name(name, n, parts[i]);
        err =
            pk_file_open(ctx, vfs, name,
                         PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);
        if (err == 0) {
            err = pk_file_close(&file);
        }
    }
    return err == 0 ? pk_file_commit(ctx, vfs) : err;
}

int pk_lower_add(struct pk_lower *lower)
{
    size_t n = lower->n_volumes;
    struct pk_volume *volumes = nf_realloc(
        &lower->ctx->mem, lower->volumes, lower->cap_volumes * sizeof(*volumes),
        (n + 1) * sizeof(*volumes));

    if (volumes == NULL) {
        return pk_fail_mem(lower->ctx);
    }
    lower->volumes = volumes;
    lower->n_volumes = n + 1;
    lower->cap_volumes = n + 1;
    memset(&volumes[n], 0, sizeof(*volumes));
    volumes[n].empty = true;
    return 0;
}
