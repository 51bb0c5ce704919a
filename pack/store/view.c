/* SPDX-License-Identifier: ISC */
/* Checks, repair, and the views of what a store consists of. */
#include "pack/integrity.h"
#include "pack/objects.h"
#include "pack/repair.h"
#include "pack/scan.h"
#include "pack/store/repo.h"

int pk_check(struct pk_repo *repo, pk_finding_fn fn, void *arg,
             struct pk_check_stats *ret_stats)
{
    return pk_check_store(&repo->store, fn, arg, ret_stats);
}

int pk_repair(const struct nf_env *env, const struct pk_open *opts,
              pk_finding_fn fn, void *arg, struct nf_error_info *ret_info,
              struct pk_repair_stats *ret_stats)
{
    struct nf_mem mem = {.env = env};
    struct pk_open writing = *opts;
    struct pk_store *store = nf_calloc(&mem, 1, sizeof(*store));
    int close_err;
    int err;

    if (store == NULL) {
        return NF_ENOMEM;
    }
    writing.flags = PK_OPEN_WRITE;
    err = pk_store_begin(store, env, &writing);
    if (err == 0) {
        err = pk_repair_store(store, fn, arg, ret_stats);
    }
    if (ret_info != NULL) {
        *ret_info = store->ctx.err;
    }
    pk_cache_clear(store);
    if (err != 0) {
        store->flags = 0; /* nothing to flush */
    }
    close_err = pk_store_close(store);
    nf_free(&mem, store, sizeof(*store));
    return err == 0 ? close_err : err;
}

void pk_view_control(const struct pk_repo *repo, struct pk_control_view *ret)
{
    static const char *const names[] = {"from_v1_v2_post_upgrade", "no_gc_yet",
                                        "used_non_minimal_indexing_strategy",
                                        "gced"};
    const struct pk_control *c = &repo->store.control;

    *ret = (struct pk_control_view){
        .version = repo->store.legacy ? 0 : c->version,
        .status = names[c->status],
        .dict_end = c->dict_end,
        .chunk_end = c->chunk_end,
        .chunk_start = c->chunk_start,
        .chunk_num = c->chunk_num,
        .volume_num = c->volume_num,
        .upgraded_from = c->upgraded_from,
        .suffix_start = c->suffix_start,
        .generation = c->generation,
        .gc_target = c->gc_target,
        .dead = c->dead,
        .mapping_end = c->mapping_end,
        .end = pk_store_end(&repo->store),
    };
}

struct index_view {
    pk_index_view_fn fn;
    void *arg;
};

static int view_binding(void *arg, const struct pk_binding *binding)
{
    struct index_view *view = arg;
    struct pk_index_view entry = {binding->hash, binding->off, binding->len,
                                  (char)binding->kind};

    return view->fn(view->arg, &entry);
}

int pk_view_index(struct pk_repo *repo, pk_index_view_fn fn, void *arg)
{
    struct index_view view = {fn, arg};

    return pk_index_each(&repo->store.index, view_binding, &view);
}

struct pk_slice pk_view_dict(const struct pk_repo *repo, uint64_t i)
{
    return pk_dict_string(&repo->store.dict, i);
}

int pk_view_object(struct pk_repo *repo, uint64_t off,
                   struct pk_object_view *ret)
{
    struct pk_head head;
    uint64_t len = 0;
    int err = pk_object_head(&repo->store, off, &head);

    if (err == 0) {
        err = pk_scan_length(&repo->store, off, &head, &len);
    }
    if (err == 0) {
        *ret = (struct pk_object_view){head.hash, off, len, (char)head.kind};
    }
    return err;
}

int pk_view_find(struct pk_repo *repo, const struct pk_digest *hash,
                 uint64_t *ret_off)
{
    struct pk_binding binding;
    struct pk_head head;
    int err = pk_index_find(&repo->store.index, hash, &binding);
    uint8_t kind;

    if (err == 0 && binding.off <= PK_INT63_MAX) {
        err = pk_object_head(&repo->store, binding.off, &head);
    }
    return err == 0
               ? pk_object_find(&repo->store, hash,
                                pk_kind_is_commit(head.kind), ret_off, &kind)
               : err;
}

int pk_view_contents(struct pk_repo *repo, uint64_t off,
                     struct pk_bytes *ret_bytes)
{
    return pk_contents_read(&repo->store, off, NULL, ret_bytes);
}

int pk_view_inode(struct pk_repo *repo, uint64_t off, pk_inode_view_fn fn,
                  void *arg)
{
    struct pk_store *store = &repo->store;
    struct pk_inode *inode;
    struct pk_head head;
    int err = pk_object_head(store, off, &head);

    if (err == 0) {
        err = pk_inode_load(store, off,
                            head.kind == 'O' || head.kind == 'I' ? PK_ROLE_CHILD
                                                                 : PK_ROLE_ROOT,
                            &inode);
    }
    if (err != 0) {
        return err;
    }
    for (uint32_t i = 0; i < inode->n && err == 0; i++) {
        struct pk_inode_view view = {.kind = PK_NONE};
        struct pk_slot slot;

        pk_inode_slot(store, inode, i, &slot);
        err = pk_inode_slot_hash(store, inode, i, &view.hash);
        view.step = slot.step;
        view.index = slot.index;
        view.kind = inode->tree ? PK_NONE : slot.kind;
        if (err == 0) {
            err = fn(arg, &view);
        }
    }
    pk_inode_unpin(store, inode);
    return err;
}
