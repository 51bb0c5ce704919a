/* SPDX-License-Identifier: ISC */
/*
 * Storing a tree (spec 7.4). The order decides every offset:
 *
 *   export(node): for each change, by step: contents are appended, a changed
 *   directory is exported; then the node's fresh inodes are appended, children
 *   by index, depth first, before their parent.
 *
 * That goes on a window of the pass at a time.
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

/* Plans being exported, and the inode being made. */
struct export
{
    struct pk_pass pass;
    struct pk_plans stack;
    struct pk_buf made; /* an inode as the cache keeps it */
    size_t body;        /* where in it the body begins */
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
 * inline. What was stored under an id, or inline as the dictionary is full,
 * will be so again. */
static int values_name(struct export *e, struct pk_mnode *mnode)
{
    struct pk_dict *dict = &export_store(e)->dict;

    for (uint32_t i = mnode->n; i > 0; i--) {
        struct pk_mval *val = &mnode->u.vals[i - 1];
        bool wanted = val->step.len > PK_DICT_INLINE_LEN;
        int got = 0;

        if (wanted && val->named && !dict->repeats &&
            (val->name_id != NF_NOWHERE || pk_dict_is_full(dict))) {
            continue;
        }
        if (wanted) {
            got = pk_dict_add(dict, val->step, &val->name_id);
        }
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            val->name_id = NF_NOWHERE;
        }
    }
    return 0;
}

/* Binding or child i of n begins here, and this is its hash. */
static void encode_slot(struct export *e, size_t i, size_t n,
                        const uint8_t *hash)
{
    const size_t hash_len = export_store(e)->scheme.hash_len;
    const uint32_t at = (uint32_t)(e->made.len - e->body);

    if (!e->made.failed) {
        memcpy(e->made.p + i * sizeof(at), &at, sizeof(at));
        memcpy(e->made.p + n * sizeof(at) + i * hash_len, hash, hash_len);
    }
}

static int encode_values(struct export *e, struct pk_mnode *mnode)
{
    struct pk_store *store = export_store(e);
    struct pk_buf *out = &e->made;
    int err = values_name(e, mnode);

    pk_put_u8(out, 0);
    pk_put_varint(out, mnode->n);
    for (uint32_t i = 0; i < mnode->n && err == 0; i++) {
        const struct pk_mval *val = &mnode->u.vals[i];
        bool inline_name = val->name_id == NF_NOWHERE;
        struct pk_addr addr;

        err = val_addr(e, val, &addr);
        encode_slot(e, i, mnode->n, val->hash);
        pk_put_u8(out,
                  (uint8_t)((inline_name ? 6 : 0) + (addr.by_hash ? 3 : 0) +
                            (val->kind == PK_NODE ? 2 : 0)));
        if (inline_name) {
            pk_put_boxed(out, val->step);
        } else {
            pk_put_varint(out, val->name_id);
        }
        if (addr.by_hash) {
            pk_put(out, addr.hash.b, store->scheme.hash_len);
        } else {
            pk_put_be64(out, addr.off);
        }
    }
    return err;
}

static void encode_tree(struct export *e, const struct pk_mnode *mnode)
{
    struct pk_buf *out = &e->made;

    pk_put_u8(out, 1);
    pk_put_varint(out, mnode->depth);
    pk_put_varint(out, mnode->length);
    pk_put_varint(out, mnode->n);
    for (uint32_t i = 0; i < mnode->n; i++) {
        const struct pk_mnode *kid = mnode->u.kids[i];
        struct pk_addr addr = {.off = kid->off};

        encode_slot(e, i, mnode->n, kid->hash.b);
        pk_put_varint(out, kid->index);
        pk_put_addr(out, &addr, export_store(e)->scheme.hash_len);
    }
}

/* Make the body, behind what the cache has in front of it. */
static int encode(struct export *e, struct pk_mnode *mnode)
{
    struct pk_store *store = export_store(e);
    int err = 0;

    e->body = mnode->n * (sizeof(uint32_t) + store->scheme.hash_len);
    pk_buf_clear(&e->made);
    (void)pk_buf_grow(&e->made, e->body);
    if (mnode->tree) {
        encode_tree(e, mnode);
    } else {
        err = encode_values(e, mnode);
    }
    return err == 0 && e->made.failed ? pk_fail_mem(&store->ctx) : err;
}

/* ------------------------------------------------------------------ append */

/* The next change of this directory will want the inode: keep it at hand. */
static void remember_mnode(struct export *e, const struct pk_mnode *mnode,
                           uint8_t kind)
{
    const struct pk_inode inode = {
        .kept.off = mnode->off,
        .hash = mnode->hash,
        .depth = mnode->depth,
        .tree = mnode->tree,
        .kind = kind,
        .length = mnode->length,
        .n = mnode->n,
    };

    pk_inode_remember(export_store(e), &inode,
                      (struct pk_slice){e->made.p, e->made.len});
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
    if (err == 0) {
        err = encode(e, mnode);
    }
    end = pk_store_end(export_store(e));
    if (err == 0) {
        err = pk_object_append_boxed(
            export_store(e), kind, &mnode->hash,
            (struct pk_slice){e->made.p + e->body, e->made.len - e->body},
            &mnode->off);
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
    return pk_object_append_boxed(export_store(e), 'B', &blob->hash,
                                  (struct pk_slice){blob->data, blob->len},
                                  &blob->off);
}

/* The node is stored: its changes are in what base names now. */
static void export_settle(struct export *e, struct pk_plan *plan)
{
    plan->node->base = plan->root->off;
    plan->node->plan = NULL; /* others may refer to it, too */
    pk_node_clear(e->pass.repo, plan->node);
}

/* ------------------------------------------------------------------ export */

/* One step of the descent: the top plan's next change, or its inodes. */
static int export_step(struct export *e)
{
    struct pk_plan *plan = e->stack.plans[e->stack.n - 1];
    const struct pk_item *item;
    int err;

    if (plan->at == plan->n_changes) {
        err = append_mnode(e, plan->root);
        if (err == 0) {
            export_settle(e, plan);
            e->stack.n--;
        }
        return err;
    }
    item = &plan->changes[plan->at++]->item;
    if (item->what == PK_ITEM_BLOB) {
        return append_blob(e, item->u.blob);
    }
    if (item->what == PK_ITEM_NODE && item->u.node->plan != NULL) {
        return pk_pass_push(&e->pass, &e->stack, item->u.node->plan);
    }
    return 0;
}

/* Up to the last plan of the window. */
static int export_window(struct export *e)
{
    const struct pk_plan *last = e->pass.plans;
    int err = 0;

    while (last->next != NULL) {
        last = last->next;
    }
    while (err == 0 && last->node->plan != NULL) {
        err = export_step(e);
    }
    return err;
}

int pk_node_export(struct pk_repo *repo, struct pk_node *node)
{
    struct pk_store *store = &repo->store;
    struct export e = {.made = pk_buf_of(&store->ctx.mem)};
    int err;

    if (node->count == 0 && store->scheme.config.forbid_empty) {
        return pk_fail(&store->ctx, NF_EC_EMPTY_DIR, NULL, NF_NOWHERE, "root");
    }
    err = pk_pass_begin(&e.pass, repo, node, true);
    if (err == 0 && node->plan != NULL) {
        err = pk_pass_push(&e.pass, &e.stack, node->plan);
    }
    while (err == 0 && (err = pk_pass_next(&e.pass)) > 0) {
        err = export_window(&e);
    }
    nf_free(&store->ctx.mem, e.stack.plans,
            e.stack.cap * sizeof(struct pk_plan *));
    pk_buf_deinit(&e.made);
    pk_pass_end(&e.pass);
    return err;
}
