/* SPDX-License-Identifier: ISC */
/*
 * Opening, creating and flushing the files of a store (spec 7); reload.c has
 * what readers do.
 *
 * The order of a flush is that of durability: bytes of the dictionary and the
 * suffix; the control file, which makes them part of the store; the index,
 * which names them by hash. A crash in between leaves bytes that nobody looks
 * at, and that the next open for writing cuts off.
 *
 * A store comes into being with its control file, which is made last.
 */
#include "pack/manager.h"

#include <string.h>

#include "pack/gc.h"
#include "pack/inode.h"
#include "pack/layout.h"
#include "pack/migrate.h"

static const char control_name[] = "store.control";
static const char control_tmp_name[] = "store.control.tmp";

/* ----------------------------------------------------------------- control */

/* Errors: NF_ENOENT. */
static int control_read(struct pk_store *store, struct pk_control *ret)
{
    uint8_t raw[256];
    struct pk_file file = {0};
    size_t len = 0;
    int err = pk_file_open(&store->ctx, store->vfs, control_name, 0, &file);

    if (err == 0) {
        err = pk_file_read_some(&file, 0, raw, sizeof(raw), &len);
    }
    (void)pk_file_close(&file); /* only read */
    return err == 0 ? pk_control_decode(&store->ctx, raw, len, ret) : err;
}

int pk_store_write_control(struct pk_store *store,
                           const struct pk_control *control)
{
    struct pk_buf out = pk_buf_of(&store->ctx.mem);
    int err;

    pk_control_encode(control, &out);
    err = out.failed ? pk_fail_mem(&store->ctx)
                     : pk_file_replace(&store->ctx, store->vfs, control_name,
                                       control_tmp_name, out.p, out.len);
    pk_buf_deinit(&out);
    if (err == 0) {
        store->control = *control;
        store->control.version = 5;
    }
    return err;
}

/* -------------------------------------------------------------------- open */

/* May a strategy write to a store of this status (spec 7.3, 8.2)? */
static int store_check_strategy(struct pk_store *store)
{
    bool minimal = store->strategy == PK_STRATEGY_MINIMAL;

    if (store->control.status == PK_STATUS_GCED && !minimal) {
        return pk_fail(&store->ctx, NF_EC_STRATEGY, control_name, NF_NOWHERE,
                       "collected store");
    }
    if (minimal && !store->scheme.config.contents_header) {
        return pk_fail(&store->ctx, NF_EC_STRATEGY, NULL, NF_NOWHERE,
                       "contents without header");
    }
    return 0;
}

int pk_store_open_prefix(struct pk_store *store,
                         const struct pk_control *control,
                         struct pk_sparse *prefix)
{
    char data[PK_VFS_NAME_MAX + 1];
    char mapping[PK_VFS_NAME_MAX + 1];
    uint64_t generation = control->generation;
    int err;

    if (generation == 0) {
        return 0;
    }
    pk_name(data, "store.", generation, ".prefix");
    pk_name(mapping, "store.", generation, ".mapping");
    err = pk_sparse_open(&store->ctx, store->vfs, data, mapping,
                         control->mapping_end, prefix);
    return err == 0 ? pk_sparse_ends(prefix, control->suffix_start, true) : err;
}

static bool store_is_writer(const struct pk_store *store)
{
    return (store->flags & PK_OPEN_WRITE) != 0;
}

int pk_store_open_pack(struct pk_store *store)
{
    const struct pk_control *control = &store->control;
    uint64_t header = control->status == PK_STATUS_V1_UPGRADED ? 16 : 0;
    int err = pk_suffix_open(&store->ctx, store->vfs, control, false, true,
                             &store->suffix);

    if (err == 0) {
        err = pk_store_open_prefix(store, control, &store->prefix);
    }
    if (err == 0) {
        err = pk_dict_open(&store->ctx, store->vfs, header, control->dict_end,
                           true, &store->dict);
    }
    if (err == 0) {
        err = pk_lower_open(&store->ctx, store->lower_vfs, control->volume_num,
                            control->generation, &store->lower);
    }
    if (err == 0 && store->lower.n_volumes > 0) {
        err = pk_lower_trim(&store->lower, store->lower.n_volumes - 1);
    }
    return err;
}

int pk_store_read_layout(struct pk_store *store, struct pk_control *ret_control,
                         bool *ret_legacy)
{
    int err = control_read(store, ret_control);

    *ret_legacy = err == NF_ENOENT;
    return err == NF_ENOENT ? pk_layout_legacy(store, ret_control) : err;
}

/* For writing: old layouts are migrated, an absent store is made. */
static int store_find_layout(struct pk_store *store)
{
    bool legacy = false;
    int err = pk_store_read_layout(store, &store->control, &legacy);

    if (err == 0 && legacy) {
        err = (store->flags & PK_OPEN_NO_MIGRATE) != 0
                  ? pk_fail(&store->ctx, NF_EC_MIGRATION, "store.pack",
                            NF_NOWHERE, "V1 or V2 store")
                  : pk_layout_migrate(store, &store->control);
    }
    if (err == NF_EC_LAYOUT && (store->flags & PK_OPEN_CREATE) != 0) {
        err = pk_layout_create(store);
    }
    return err;
}

enum { BULK_MIN_LEN = 4 << 10, BULK_MAX_LEN = 256 << 10 };

/* All that is sized by the memory that the embedder wants to spend. */
static int store_open_cache(struct pk_store *store, size_t cache_len)
{
    size_t n_lines = 4;
    int err = pk_heads_init(&store->heads, &store->ctx, cache_len / 8,
                            store->scheme.hash_len);

    if (err != 0) {
        return err;
    }
    store->cache.max_len = cache_len - cache_len / 8;
    store->ctx.bulk_len = cache_len / 8 < BULK_MIN_LEN   ? BULK_MIN_LEN
                          : cache_len / 8 < BULK_MAX_LEN ? cache_len / 8
                                                         : BULK_MAX_LEN;
    while (n_lines * 4096 * 16 < cache_len) {
        n_lines *= 2;
    }
    store->lines = nf_calloc(&store->ctx.mem, n_lines, sizeof(*store->lines));
    store->line_bytes = nf_alloc(&store->ctx.mem, n_lines * 4096);
    store->n_lines = n_lines;
    if (store->lines == NULL || store->line_bytes == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    pk_store_drop_lines(store);
    return 0;
}

int pk_store_begin(struct pk_store *store, const struct nf_env *env,
                   const struct pk_open *opts)
{
    int err;

    memset(store, 0, sizeof(*store));
    store->ctx.env = env;
    store->ctx.mem.env = env;
    store->strategy = opts->strategy;
    store->flags = opts->flags;
    store->vfs = opts->vfs;
    store->lower_vfs = opts->lower;
    store->index_log_entries =
        opts->index_log_entries != 0 ? opts->index_log_entries : 2500000;
    store->orphans = NF_NOWHERE;
    store->entry_buf = pk_buf_of(&store->ctx.mem);
    store->scratch = pk_buf_of(&store->ctx.mem);
    err = pk_scheme_init(&store->scheme, &opts->config, opts->hashes);
    if (err != 0) {
        return pk_fail(&store->ctx, err, NULL, NF_NOWHERE, "configuration");
    }
    err = store_open_cache(store,
                           opts->cache_len != 0 ? opts->cache_len : 16u << 20);
    if (err == 0 && store_is_writer(store)) {
        err =
            store->vfs->ops->lock(store->vfs->ctx, "index/lock", &store->lock);
        if (err != 0) {
            err =
                pk_fail(&store->ctx, err == NF_EBUSY ? NF_EC_STORE_LOCKED : err,
                        "index/lock", NF_NOWHERE, "lock");
        }
    }
    return err;
}

int pk_store_open_control(struct pk_store *store)
{
    int err = store_find_layout(store);

    if (err == 0) {
        err = store_check_strategy(store);
    }
    return err == 0 ? pk_layout_clean(store) : err;
}

static int store_open_writer(struct pk_store *store)
{
    int err = pk_store_open_control(store);

    if (err == 0) {
        err = pk_migrate_lower(store);
    }
    if (err == 0) {
        err = pk_store_open_pack(store);
    }
    if (err == 0) {
        err = pk_index_open(&store->ctx, store->vfs, store->scheme.hash_len,
                            store->index_log_entries, true, &store->index);
    }
    if (err == 0) {
        err = pk_branches_open(&store->ctx, store->vfs, store->scheme.hash_len,
                               &store->branches);
    }
    return err;
}

int pk_store_open(struct pk_store *store, const struct nf_env *env,
                  const struct pk_open *opts)
{
    int err = pk_store_begin(store, env, opts);

    if (err != 0) {
        return err;
    }
    return store_is_writer(store) ? store_open_writer(store)
                                  : pk_store_open_beside(store);
}

int pk_store_close(struct pk_store *store)
{
    struct nf_mem *mem = &store->ctx.mem;
    int err = 0;

    if (store->gc != NULL) {
        (void)pk_gc_break_off(store->gc); /* the next open cleans up, too */
    }
    if (store->index.ctx != NULL && store_is_writer(store) &&
        !store->ctx.broken) {
        err = pk_store_flush(store);
    }
    pk_branches_close(&store->branches);
    (void)pk_index_close(&store->index); /* flushed: nothing can be lost */
    (void)pk_lower_close(&store->lower);
    (void)pk_dict_close(&store->dict);
    (void)pk_sparse_close(&store->prefix);
    (void)pk_suffix_close(&store->suffix);
    if (store->lock != NULL) {
        store->vfs->ops->unlock(store->vfs->ctx, store->lock);
        store->lock = NULL;
    }
    pk_buf_deinit(&store->entry_buf);
    pk_buf_deinit(&store->scratch);
    nf_free(mem, store->lines, store->n_lines * sizeof(*store->lines));
    nf_free(mem, store->line_bytes, store->n_lines * 4096);
    store->lines = NULL;
    store->line_bytes = NULL;
    pk_heads_deinit(&store->heads, mem);
    return err;
}

/* ------------------------------------------------------------------- flush */

int pk_store_writable(struct pk_store *store)
{
    if (!store_is_writer(store)) {
        return pk_fail(&store->ctx, NF_EROFS, NULL, NF_NOWHERE, "store");
    }
    if (store->ctx.broken) {
        return pk_fail(&store->ctx, NF_EC_TXN_FAILED, NULL, NF_NOWHERE,
                       "store");
    }
    return 0;
}

/* What a commit that found no room has written goes into a chunk of its own:
 * a collection at the commit before could free nothing of the chunk, and so
 * there would be no room again. */
static int store_part_orphans(struct pk_store *store)
{
    const struct pk_control *control = &store->control;
    uint64_t from = store->orphans;
    uint64_t flushed = pk_store_end(store) - store->suffix.pending.len;
    int err = 0;

    store->orphans = NF_NOWHERE;
    if (from == NF_NOWHERE || from < flushed || from == pk_store_end(store) ||
        control->status == PK_STATUS_V1_UPGRADED ||
        control->status == PK_STATUS_NON_MINIMAL) {
        return 0;
    }
    from = from - control->suffix_start + control->dead;
    if (from > store->suffix.chunks[store->suffix.n_chunks - 1].soff) {
        err = pk_suffix_split(&store->suffix, from);
    }
    return err;
}

int pk_store_write_out(struct pk_store *store)
{
    struct pk_control control = store->control;
    int err = pk_store_writable(store);

    if (err == 0) {
        err = store_part_orphans(store);
    }
    if (err == 0) {
        err = pk_dict_flush(&store->dict);
    }
    if (err == 0) {
        err = pk_suffix_flush(&store->suffix);
    }
    if (err != 0) {
        return err;
    }
    control.dict_end = pk_dict_end(&store->dict);
    control.chunk_num = store->suffix.n_chunks;
    control.chunk_end = pk_suffix_chunk_end(&store->suffix);
    if (!pk_control_equal(&control, &store->control)) {
        store->dirty = true;
        if (control.status == PK_STATUS_NO_GC_YET &&
            store->strategy != PK_STRATEGY_MINIMAL) {
            control.status = PK_STATUS_NON_MINIMAL;
        }
        err = pk_store_write_control(store, &control);
    }
    return err == 0 ? pk_index_flush(&store->index) : err;
}

int pk_store_commit(struct pk_store *store)
{
    int err = store->dirty ? pk_file_commit(&store->ctx, store->vfs) : 0;

    store->dirty = err != 0;
    return err;
}

int pk_store_flush(struct pk_store *store)
{
    int err = pk_store_write_out(store);

    return err == 0 ? pk_store_commit(store) : err;
}

int pk_store_split(struct pk_store *store)
{
    int err;

    err = pk_store_writable(store);
    if (err != 0) {
        return err;
    }
    if ((store->control.status == PK_STATUS_V1_UPGRADED ||
         store->control.status == PK_STATUS_NON_MINIMAL) &&
        store->control.volume_num == 0) {
        return pk_fail(&store->ctx, NF_EC_GC_FORBIDDEN, control_name,
                       NF_NOWHERE, "split");
    }
    err = pk_store_flush(store);
    if (err == 0 && pk_suffix_chunk_end(&store->suffix) == 0) {
        err =
            pk_fail(&store->ctx, NF_EC_EMPTY_CHUNK, NULL, NF_NOWHERE, "split");
    }
    if (err == 0) {
        err = pk_suffix_split(&store->suffix, pk_suffix_end(&store->suffix));
    }
    if (err != 0) {
        return err;
    }
    return pk_store_flush(store); /* which sees that there is a chunk more */
}

int pk_store_add_volume(struct pk_store *store)
{
    struct pk_control control;
    int err = pk_store_writable(store);

    if (err != 0) {
        return err;
    }
    if (store->gc != NULL) {
        err = NF_EC_GC_RUNNING;
    } else if (store->lower.n_volumes == 0) {
        err = NF_EC_NO_LOWER;
    } else if (store->lower.volumes[store->lower.n_volumes - 1].empty) {
        err = NF_EC_EMPTY_VOLUME;
    }
    if (err != 0) {
        return pk_fail(&store->ctx, err, NULL, NF_NOWHERE, "volume");
    }
    err = pk_store_flush(store);
    if (err == 0) {
        err = pk_volume_create(&store->ctx, store->lower.vfs,
                               store->lower.n_volumes);
    }
    if (err == 0) {
        err = pk_lower_add(&store->lower);
    }
    if (err != 0) {
        return err;
    }
    store->dirty = true;
    control = store->control;
    control.volume_num++;
    err = pk_store_write_control(store, &control);
    if (err == 0) {
        err = pk_file_commit(&store->ctx, store->vfs);
        store->dirty = err != 0;
    } else {
        store->lower.n_volumes--;
    }
    return err;
}
