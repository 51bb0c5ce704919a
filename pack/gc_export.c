/* SPDX-License-Identifier: ISC */
/*
 * A store of one commit (spec 8.8): the prefix that a collection would leave
 * behind, in another place, an empty suffix behind it, the dictionary, an index
 * of that commit, no branch. Offsets are those of the store it comes from. The
 * control file comes last: without it there is no store.
 */
#include "pack/gc.h"

#include "notafs/platform/checked.h"
#include "pack/objects.h"

static const char control_name[] = "store.control";

int pk_gc_export_check(struct pk_store *store,
                       const struct pk_gc_options *options)
{
    struct pk_file file = {0};
    int err;

    if (options->n_keep != 1 || options->dry_run) {
        return pk_fail(&store->ctx, NF_EINVAL, NULL, NF_NOWHERE,
                       "one commit for a store of its own");
    }
    err = pk_file_open(&store->ctx, options->into, control_name, 0, &file);
    if (err == NF_ENOENT) {
        return 0;
    }
    (void)pk_file_close(&file); /* only to see whether it is there */
    return err != 0 ? err
                    : pk_fail(&store->ctx, NF_EEXIST, control_name, NF_NOWHERE,
                              "store");
}

/* Exactly the bytes that the control file counts. */
static int export_dict(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_dict *dict = &store->dict;
    struct pk_file file = {0};
    uint64_t done = 0;
    int err =
        pk_file_open(&store->ctx, gc->vfs, "store.dict",
                     PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);

    while (err == 0 && done < store->control.dict_end) {
        size_t n =
            (size_t)nf_min_u64(PK_GC_COPY_LEN, store->control.dict_end - done);

        err = pk_file_read(&dict->file, dict->header + done, gc->buf, n);
        if (err == 0) {
            err = pk_file_write(&file, done, gc->buf, n);
        }
        done += n;
    }
    (void)pk_file_close(&file); /* the commit tells */
    return err;
}

static int export_suffix(struct pk_gc *gc)
{
    struct pk_file file = {0};
    int err =
        pk_file_open(&gc->store->ctx, gc->vfs, "store.1.suffix",
                     PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE, &file);

    (void)pk_file_close(&file); /* empty */
    return err;
}

static int export_index(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_binding binding = {.off = gc->target, .kind = 'D'};
    struct pk_index index = {0};
    struct pk_commit_at at;
    int err = pk_commit_read(store, gc->target, &at);

    if (err != 0) {
        return err;
    }
    binding.hash = at.commit->hash;
    binding.len = (uint32_t)at.entry_len;
    pk_commit_release(store, &at);
    err = pk_index_create(&store->ctx, gc->vfs);
    if (err == 0) {
        err = pk_index_open(&store->ctx, gc->vfs, store->scheme.hash_len,
                            store->index_log_entries, true, &index);
        if (err == 0) {
            err = pk_index_add(&index, &binding);
        }
        if (err == 0) {
            err = pk_index_flush(&index);
        }
        (void)pk_index_close(&index); /* the commit tells */
    }
    return err;
}

static int export_control(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_control control = {
        .version = 5,
        .dict_end = store->control.dict_end,
        .chunk_start = 1,
        .chunk_num = 1,
        .status = PK_STATUS_GCED,
        .suffix_start = gc->new_start,
        .generation = gc->generation,
        .gc_target = gc->target,
        .mapping_end = gc->prefix.n * PK_MAPPING_RECORD_LEN,
    };
    struct pk_buf out = pk_buf_of(&store->ctx.mem);
    int err;

    pk_control_encode(&control, &out);
    err = out.failed ? pk_fail_mem(&store->ctx)
                     : pk_file_replace(&store->ctx, gc->vfs, control_name,
                                       "store.control.tmp", out.p, out.len);
    pk_buf_deinit(&out);
    return err == 0 ? pk_file_commit(&store->ctx, gc->vfs) : err;
}

int pk_gc_export_files(struct pk_gc *gc)
{
    struct pk_ctx *ctx = &gc->store->ctx;
    bool broken = ctx->broken;
    int err = export_dict(gc);

    if (err == 0) {
        err = export_suffix(gc);
    }
    if (err == 0) {
        err = export_index(gc);
    }
    if (err == 0) {
        err = pk_branches_create(ctx, gc->vfs);
    }
    if (err == 0) {
        err = pk_file_order(ctx, gc->vfs);
    }
    ctx->broken = broken; /* of this store nothing was written */
    return err;
}

int pk_gc_export_control(struct pk_gc *gc)
{
    bool broken = gc->store->ctx.broken;
    int err = export_control(gc);

    gc->store->ctx.broken = broken; /* likewise */
    return err;
}
