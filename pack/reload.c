/* SPDX-License-Identifier: ISC */
/*
 * How a reader opens a store, and takes in what has happened since: beside a
 * writer that may be at any point of its work (spec 7.6).
 *
 * A writer makes bytes of the pack part of the store, then names them in the
 * index, then in a branch. So a reader looks at branches first, then at the
 * index, then at the control file: all that the one names is in the next. The
 * files that a control file speaks of may be gone by the time they are opened,
 * and the commits that branches named, when a collection has ended in between;
 * then there is another control file, and the reader begins again.
 *
 * Everything new is opened aside and takes the place of the old at the end, so
 * that a reader that fails to reload goes on with what it had.
 */
#include <string.h>

#include "pack/inode.h"
#include "pack/layout.h"
#include "pack/manager.h"

enum { RELOAD_TRIES = 100 };

/* What is new. */
struct reload {
    struct pk_store *store;
    struct pk_branches branches;
    struct pk_index_news index;
    bool has_index;
    struct pk_control control;
    bool legacy;
    bool first; /* nothing is open yet */
    bool new_suffix;
    bool new_prefix;
    bool new_lower;
    struct pk_suffix suffix;
    struct pk_sparse prefix;
    struct pk_lower lower;
};

static void reload_drop(struct reload *r)
{
    pk_branches_close(&r->branches);
    if (r->has_index) {
        pk_index_news_deinit(&r->index);
    }
    r->has_index = false;
    (void)pk_suffix_close(&r->suffix); /* only read, as all here */
    (void)pk_sparse_close(&r->prefix);
    (void)pk_lower_close(&r->lower);
}

/* Branches, index and control file, in this order; NF_EAGAIN: a collection has
 * ended meanwhile, and what the branches name may be gone. */
static int reload_look(struct reload *r)
{
    struct pk_store *store = r->store;
    uint64_t generation = 0;
    int err = pk_store_read_layout(store, &r->control, &r->legacy);

    if (err == 0) {
        generation = r->control.generation;
        err = pk_branches_open(&store->ctx, store->vfs, store->scheme.hash_len,
                               &r->branches);
    }
    if (err == 0) {
        err = pk_index_look(&store->index, &r->index);
        r->has_index = err == 0;
    }
    if (err == 0) {
        err = pk_store_read_layout(store, &r->control, &r->legacy);
    }
    return err == 0 && r->control.generation != generation ? NF_EAGAIN : err;
}

/* The files that the control file speaks of anew. */
static int reload_open(struct reload *r)
{
    struct pk_store *store = r->store;
    const struct pk_control *now = &r->control;
    const struct pk_control *old = &store->control;
    bool collected = r->first || now->generation != old->generation;
    int halfway;
    int err = 0;

    r->new_suffix = r->first || r->legacy != store->legacy ||
                    now->chunk_start != old->chunk_start ||
                    now->chunk_num != old->chunk_num;
    r->new_prefix = collected;
    r->new_lower = collected || now->volume_num != old->volume_num;
    if (r->new_suffix) {
        halfway = pk_layout_is_halfway(store, now);
        err = halfway < 0
                  ? halfway
                  : pk_suffix_open(&store->ctx, store->vfs, now,
                                   r->legacy || halfway > 0, false, &r->suffix);
    }
    if (err == 0 && r->new_prefix) {
        err = pk_store_open_prefix(store, now, &r->prefix);
    }
    if (err == 0 && r->new_lower) {
        err = pk_lower_open(&store->ctx, store->lower_vfs, now->volume_num,
                            now->generation, &r->lower);
    }
    return err;
}

/* Is the control file another one by now? */
static bool reload_is_late(struct reload *r)
{
    struct pk_control again;
    bool legacy;
    struct nf_error_info first = r->store->ctx.err;
    int err = pk_store_read_layout(r->store, &again, &legacy);

    r->store->ctx.err = first;
    return err == 0 &&
           (legacy != r->legacy || !pk_control_equal(&again, &r->control));
}

/* All of the above, of one moment. */
static int reload_take(struct reload *r)
{
    int err = NF_EAGAIN;

    for (int i = 0; i < RELOAD_TRIES && err == NF_EAGAIN; i++) {
        reload_drop(r);
        err = reload_look(r);
        if (err == 0) {
            err = reload_open(r);
            if (err != 0 && err != NF_ENOMEM && reload_is_late(r)) {
                err = NF_EAGAIN;
            }
        }
    }
    return err;
}

/* What can fail and is no loss if something after it does: strings and bytes
 * that nothing refers to yet, and at last the index. */
static int reload_extend(struct reload *r)
{
    struct pk_store *store = r->store;
    const struct pk_control *control = &r->control;
    uint64_t header = control->status == PK_STATUS_V1_UPGRADED ? 16 : 0;
    int err;

    if (r->first) {
        err = pk_dict_open(&store->ctx, store->vfs, header, control->dict_end,
                           false, &store->dict);
    } else {
        err = pk_dict_extend(&store->dict, control->dict_end);
    }
    if (err == 0 && !r->new_suffix) {
        err = pk_suffix_extend(&store->suffix, control->chunk_end);
    }
    return err == 0 ? pk_index_adopt(&store->index, &r->index) : err;
}

/* The new in place of the old, which reload_drop releases. */
static void reload_swap(struct reload *r)
{
    struct pk_store *store = r->store;
    struct pk_branches branches = store->branches;

    if (r->first || !pk_control_equal(&r->control, &store->control)) {
        pk_store_drop_lines(store);
    }
    if (r->new_prefix) {
        pk_cache_forget(store);
    }
    store->branches = r->branches;
    r->branches = branches;
    if (r->new_suffix) {
        struct pk_suffix suffix = store->suffix;

        store->suffix = r->suffix;
        r->suffix = suffix;
    }
    if (r->new_prefix) {
        (void)pk_sparse_close(&store->prefix);
        store->prefix = r->prefix;
        memset(&r->prefix, 0, sizeof(r->prefix));
    }
    if (r->new_lower) {
        struct pk_lower lower = store->lower;

        store->lower = r->lower;
        r->lower = lower;
    }
    store->control = r->control;
    store->legacy = r->legacy;
}

static int reload_run(struct pk_store *store, bool first)
{
    struct reload *r = nf_calloc(&store->ctx.mem, 1, sizeof(*r));
    int err;

    if (r == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    r->store = store;
    r->first = first;
    err = reload_take(r);
    if (err == 0) {
        err = reload_extend(r);
    }
    if (err == 0) {
        reload_swap(r);
    }
    reload_drop(r);
    nf_free(&store->ctx.mem, r, sizeof(*r));
    return err;
}

int pk_store_open_beside(struct pk_store *store)
{
    int err =
        pk_index_open_empty(&store->ctx, store->vfs, store->scheme.hash_len,
                            store->index_log_entries, &store->index);

    store->index.write = false;
    return err == 0 ? reload_run(store, true) : err;
}

int pk_store_reload(struct pk_store *store)
{
    return reload_run(store, false);
}
