/* SPDX-License-Identifier: ISC */
/*
 * Storing a tree (spec 7.4). The order decides every offset:
 *
 *   export(node): for each change, by step: contents are appended, a changed
 *   directory is exported; then the node's fresh inodes are appended, children
 *   by index, depth first, before their parent.
 *
 * Where the index knows an equal object, that one stands for all below it. A
 * node that is stored lets go of its changes at once, so an error half way
 * leaves every node as it was to its users, and what was appended is found
 * again by the next attempt.
 */
#include <string.h>

#include "notafs/platform/assert.h"
#include "pack/objects.h"
#include "pack/store/plan.h"

/* Plans being exported, and the buffer for bodies. */
struct export
{
    struct pk_pass pass;
    struct pk_plan **stack;
    size_t depth;
    size_t cap;
    struct pk_buf body;
    struct pk_buf hashes;
};

static struct pk_store *export_store(struct export *e)
{
    return &e->pass.repo->store;
}

/* ------------------------------------------------------------------ encode */

/* Where the object that a binding names is stored. */
static int val_addr(struct export *e, const struct pk_mval *val,
                    struct pk_addr *ret)
{
    uint8_t kind;
    int err;

    *ret = (struct pk_addr){.by_hash = val->by_hash, .off = val->off};
    if (val->item == NULL) {
        if (!ret->by_hash) {
            return 0;
        }
        memcpy(ret->hash.b, val->hash, export_store(e)->scheme.hash_len);
        err = pk_object_find(export_store(e), &ret->hash, false, &ret->off,
                             &kind);
        ret->by_hash = err != 0;
        return nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    ret->by_hash = false;
    switch (val->item->what) {
    case PK_ITEM_BLOB:
        ret->off = val->item->u.blob->off;
        break;
    case PK_ITEM_NODE:
        ret->off = val->item->u.node->base;
        break;
    case PK_ITEM_KEY:
        ret->off = val->item->u.key->off;
        if (ret->off == NF_NOWHERE) { /* not shown by a proof */
            ret->by_hash = true;
            ret->hash = val->item->u.key->hash;
            return 0;
        }
        break;
    case PK_ITEM_REMOVED:
        break;
    }
    nf_assert(ret->off != NF_NOWHERE);
    return 0;
}

/* Names get their ids from the last to the first (spec 3.6). NF_NOWHERE:
 * inline. */
static int values_ids(struct export *e, const struct pk_mnode *mnode,
                      uint64_t *ids)
{
    for (uint32_t i = mnode->n; i > 0; i--) {
        struct pk_slice step = mnode->u.vals[i - 1].step;
        uint64_t known = mnode->u.vals[i - 1].name_id;
        int got = 0;

        if (step.len > PK_DICT_INLINE_LEN && known != NF_NOWHERE &&
            !export_store(e)->dict.repeats) {
            ids[i - 1] = known;
            continue;
        }
        if (step.len > PK_DICT_INLINE_LEN) {
            got = pk_dict_add(&export_store(e)->dict, step, &ids[i - 1]);
        }
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            ids[i - 1] = NF_NOWHERE;
        }
    }
    return 0;
}

static int encode_values(struct export *e, const struct pk_mnode *mnode)
{
    struct pk_store *store = export_store(e);
    uint64_t *ids = nf_calloc(&store->ctx.mem, mnode->n + 1u, sizeof(*ids));
    int err;

    if (ids == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    err = values_ids(e, mnode, ids);
    pk_put_u8(&e->body, 0);
    pk_put_varint(&e->body, mnode->n);
    for (uint32_t i = 0; i < mnode->n && err == 0; i++) {
        const struct pk_mval *val = &mnode->u.vals[i];
        bool inline_name = ids[i] == NF_NOWHERE;
        struct pk_addr addr;

        err = val_addr(e, val, &addr);
        pk_put_u8(&e->body,
                  (uint8_t)((inline_name ? 6 : 0) + (addr.by_hash ? 3 : 0) +
                            (val->kind == PK_NODE ? 2 : 0)));
        if (inline_name) {
            pk_put_boxed(&e->body, val->step);
        } else {
            pk_put_varint(&e->body, ids[i]);
        }
        if (addr.by_hash) {
            pk_put(&e->body, addr.hash.b, store->scheme.hash_len);
        } else {
            pk_put_be64(&e->body, addr.off);
        }
    }
    nf_free(&store->ctx.mem, ids, (mnode->n + 1u) * sizeof(*ids));
    return err;
}

static void encode_tree(struct export *e, const struct pk_mnode *mnode)
{
    pk_put_u8(&e->body, 1);
    pk_put_varint(&e->body, mnode->depth);
    pk_put_varint(&e->body, mnode->length);
    pk_put_varint(&e->body, mnode->n);
    for (uint32_t i = 0; i < mnode->n; i++) {
        const struct pk_mnode *kid = mnode->u.kids[i];
        struct pk_addr addr = {.off = kid->off};

        pk_put_varint(&e->body, kid->index);
        pk_put_addr(&e->body, &addr, export_store(e)->scheme.hash_len);
    }
}

/* ------------------------------------------------------------------ append */

static int append_body(struct export *e, uint8_t kind,
                       const struct pk_digest *hash, uint64_t *ret_off)
{
    return e->body.failed
               ? pk_fail_mem(&export_store(e)->ctx)
               : pk_object_append_boxed(
                     export_store(e), kind, hash,
                     (struct pk_slice){e->body.p, e->body.len}, ret_off);
}

/* The next change of this directory will want the inode: keep it at hand. */
static void remember_mnode(struct export *e, const struct pk_mnode *mnode,
                           uint8_t kind)
{
    struct pk_store *store = export_store(e);
    const size_t hash_len = store->scheme.hash_len;
    uint8_t *at;

    pk_buf_clear(&e->hashes);
    at = pk_buf_grow(&e->hashes, mnode->n * hash_len);
    if (at == NULL) {
        return;
    }
    for (uint32_t i = 0; i < mnode->n; i++, at += hash_len) {
        memcpy(at,
               mnode->tree ? mnode->u.kids[i]->hash.b : mnode->u.vals[i].hash,
               hash_len);
    }
    pk_inode_remember(store, mnode->off, kind, &mnode->hash,
                      (struct pk_slice){e->body.p, e->body.len}, e->hashes.p);
}

/* An inode and the fresh ones below it. */
static int append_mnode(struct export *e, struct pk_mnode *mnode)
{
    uint8_t kind = mnode->depth == 0 ? 'R' : 'O';
    const uint64_t was = mnode->off;
    uint64_t end;
    int err;

    if (!mnode->fresh) {
        return 0;
    }
    err = pk_object_known(export_store(e), kind, &mnode->hash, &mnode->off);
    if (err == 0) {
        mnode->fresh = false;
    }
    if (err != NF_EC_NO_OBJECT) {
        return err;
    }
    err = 0;
    for (uint32_t i = 0; mnode->tree && i < mnode->n && err == 0; i++) {
        err = append_mnode(e, mnode->u.kids[i]);
    }
    pk_buf_clear(&e->body);
    if (err == 0 && mnode->tree) {
        encode_tree(e, mnode);
    } else if (err == 0) {
        err = encode_values(e, mnode);
    }
    end = pk_store_end(export_store(e));
    if (err == 0) {
        err = append_body(e, kind, &mnode->hash, &mnode->off);
    }
    if (err == 0 && mnode->off >= end) {
        pk_cache_demote(export_store(e), was);
        remember_mnode(e, mnode, kind);
    }
    mnode->fresh = err != 0;
    return err;
}

static int append_blob(struct export *e, struct pk_blob *blob)
{
    if (blob->off != NF_NOWHERE) {
        return 0;
    }
    pk_buf_clear(&e->body);
    pk_put(&e->body, blob->data, blob->len);
    return append_body(e, 'B', &blob->hash, &blob->off);
}

/* The node is stored: its changes are in what base names now. */
static void export_settle(struct export *e, struct pk_plan *plan)
{
    plan->node->base = plan->root->off;
    pk_node_clear(e->pass.repo, plan->node);
}

/* ------------------------------------------------------------------ export */

static int export_push(struct export *e, struct pk_plan *plan)
{
    struct nf_mem *mem = &export_store(e)->ctx.mem;

    if (e->depth == e->cap) {
        size_t cap = e->cap == 0 ? 16 : e->cap * 2;
        struct pk_plan **stack =
            nf_realloc(mem, e->stack, e->cap * sizeof(struct pk_plan *),
                       cap * sizeof(struct pk_plan *));

        if (stack == NULL) {
            return pk_fail_mem(&export_store(e)->ctx);
        }
        e->stack = stack;
        e->cap = cap;
    }
    e->stack[e->depth++] = plan;
    return 0;
}

/* One step of the descent: the top plan's next change, or its inodes. */
static int export_step(struct export *e)
{
    struct pk_plan *plan = e->stack[e->depth - 1];
    const struct pk_item *item;
    int err;

    if (plan->at == plan->n_changes) {
        err = append_mnode(e, plan->root);
        if (err == 0) {
            export_settle(e, plan);
            e->depth--;
        }
        return err;
    }
    item = &plan->changes[plan->at++]->item;
    if (item->what == PK_ITEM_BLOB) {
        return append_blob(e, item->u.blob);
    }
    if (item->what == PK_ITEM_NODE && item->u.node->changes != NULL) {
        nf_assert(item->u.node->plan != NULL);
        return export_push(e, item->u.node->plan);
    }
    return 0;
}

int pk_node_export(struct pk_repo *repo, struct pk_node *node)
{
    struct pk_store *store = &repo->store;
    struct export e = {.body = pk_buf_of(&store->ctx.mem),
                       .hashes = pk_buf_of(&store->ctx.mem)};
    int err;

    if (node->count == 0 && store->scheme.config.forbid_empty) {
        return pk_fail(&store->ctx, NF_EC_EMPTY_DIR, NULL, NF_NOWHERE, "root");
    }
    err = pk_pass_begin(&e.pass, repo, node, true);
    if (err == 0 && node->plan != NULL) {
        err = export_push(&e, node->plan);
    }
    while (err == 0 && e.depth > 0) {
        err = export_step(&e);
    }
    nf_free(&store->ctx.mem, e.stack, e.cap * sizeof(struct pk_plan *));
    pk_buf_deinit(&e.body);
    pk_buf_deinit(&e.hashes);
    pk_pass_end(&e.pass);
    return err;
}
