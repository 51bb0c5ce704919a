/* SPDX-License-Identifier: ISC */
/*
 * A pass over the changed directories below a node, to hash or to store them.
 *
 *   1. collect them, children before parents, with their heights
 *   2. hash all contents that are new
 *   3. height by height: apply the changes, then hash the fresh inodes, the
 *      deepest first; all inodes of one depth over all directories of one
 *      height are independent and hashed together
 *
 * A directory's hash needs those of what it binds, an inode's those of its
 * children, nothing else: that is what the order says. Everything a pass
 * allocates is in its arena; what it leaves behind are the hashes in the nodes
 * and blobs.
 */
#include "pack/store/plan.h"

#include <string.h>

enum { BATCH_JOBS = 64 };

/* ----------------------------------------------------------------- collect */

/* A level of the descent. */
struct descent {
    struct pk_plan *plan;
    size_t next; /* of its changes */
};

struct collector {
    struct pk_pass *pass;
    struct descent *stack;
    size_t depth;
    size_t cap;
    bool all;
};

static bool plan_wanted(const struct collector *c, const struct pk_node *node)
{
    return (node->changes != NULL || node->base == NF_NOWHERE) &&
           (c->all || !node->hashed) && node->mark != c->pass->repo->pass;
}

static size_t count_changes(struct pk_change *changes)
{
    struct pk_change_iter iter;
    size_t n = 0;

    pk_change_iter_begin(&iter, changes);
    while (pk_change_iter_next(&iter) != NULL) {
        n++;
    }
    return n;
}

static int plan_new(struct collector *c, struct pk_node *node)
{
    struct pk_arena *arena = &c->pass->arena;
    struct pk_ctx *ctx = &c->pass->repo->store.ctx;
    struct pk_plan *plan = pk_arena_alloc(arena, sizeof(*plan));
    struct pk_change_iter iter;

    if (c->depth == c->cap) {
        size_t cap = c->cap == 0 ? 16 : c->cap * 2;
        struct descent *stack = nf_realloc(
            &ctx->mem, c->stack, c->cap * sizeof(*stack), cap * sizeof(*stack));

        if (stack == NULL) {
            return pk_fail_mem(ctx);
        }
        c->stack = stack;
        c->cap = cap;
    }
    if (plan == NULL) {
        return pk_fail_mem(ctx);
    }
    memset(plan, 0, sizeof(*plan));
    plan->node = node;
    plan->n_changes = count_changes(node->changes);
    plan->changes =
        pk_arena_alloc(arena, plan->n_changes * sizeof(struct pk_change *));
    if (plan->changes == NULL) {
        return pk_fail_mem(ctx);
    }
    pk_change_iter_begin(&iter, node->changes);
    for (size_t i = 0; i < plan->n_changes; i++) {
        plan->changes[i] = pk_change_iter_next(&iter);
    }
    node->mark = c->pass->repo->pass;
    node->plan = plan;
    node->refs++; /* the pass needs it longer than its parent may */
    c->stack[c->depth++] = (struct descent){plan, 0};
    return 0;
}

/* Done with the top level: it follows all that it needs. */
static void collect_pop(struct collector *c)
{
    struct pk_plan *plan = c->stack[--c->depth].plan;

    *c->pass->tail = plan;
    c->pass->tail = &plan->next;
    if (c->depth > 0) {
        struct pk_plan *above = c->stack[c->depth - 1].plan;

        if (above->height <= plan->height) {
            above->height = plan->height + 1;
        }
    }
}

static int pass_collect(struct pk_pass *pass, struct pk_node *node, bool all)
{
    struct collector c = {.pass = pass, .all = all};
    int err = plan_wanted(&c, node) ? plan_new(&c, node) : 0;

    while (err == 0 && c.depth > 0) {
        struct descent *top = &c.stack[c.depth - 1];
        const struct pk_item *item;

        if (top->next == top->plan->n_changes) {
            collect_pop(&c);
            continue;
        }
        item = &top->plan->changes[top->next++]->item;
        if (item->what != PK_ITEM_NODE) {
            continue;
        }
        if (plan_wanted(&c, item->u.node)) {
            err = plan_new(&c, item->u.node);
        } else if (item->u.node->mark == pass->repo->pass &&
                   item->u.node->plan != NULL &&
                   top->plan->height <= item->u.node->plan->height) {
            top->plan->height = item->u.node->plan->height + 1;
        }
    }
    while (c.depth > 0) { /* after an error: for pk_pass_end to find */
        collect_pop(&c);
    }
    nf_free(&pass->repo->store.ctx.mem, c.stack, c.cap * sizeof(*c.stack));
    return err;
}

/* --------------------------------------------------------------- hash many */

/* Messages to be hashed together: each is built in buf, so that its place may
 * move until the batch is run. */
struct batch {
    struct pk_pass *pass;
    struct pk_buf buf;
    struct {
        size_t at;
        size_t len;
        struct pk_slice tail;
        struct pk_digest *digest;
    } msgs[BATCH_JOBS];
    struct pk_hash_job jobs[BATCH_JOBS];
    size_t n;
};

static int batch_run(struct batch *b)
{
    struct pk_store *store = &b->pass->repo->store;
    int err;

    if (b->buf.failed) {
        return pk_fail_mem(&store->ctx);
    }
    for (size_t i = 0; i < b->n; i++) {
        struct pk_hash_job *job = &b->jobs[i];

        memset(job, 0, sizeof(*job));
        memset(b->msgs[i].digest, 0, sizeof(struct pk_digest));
        job->parts[0] =
            (struct pk_slice){b->buf.p + b->msgs[i].at, b->msgs[i].len};
        job->parts[1] = b->msgs[i].tail;
        job->digest = b->msgs[i].digest->b;
        store->counters.bytes_hashed += b->msgs[i].len + b->msgs[i].tail.len;
    }
    store->counters.objects_hashed += b->n;
    err = pk_hash_many(&store->scheme.hasher, b->jobs, b->n);
    b->n = 0;
    pk_buf_clear(&b->buf);
    return err;
}

/* The bytes of buf from `at` on, and tail behind them, are a message. */
static int batch_add(struct batch *b, size_t at, struct pk_slice tail,
                     struct pk_digest *digest)
{
    b->msgs[b->n].at = at;
    b->msgs[b->n].len = b->buf.len - at;
    b->msgs[b->n].tail = tail;
    b->msgs[b->n].digest = digest;
    b->n++;
    return b->n == BATCH_JOBS ||
                   b->buf.len > b->pass->repo->store.ctx.bulk_len / 2
               ? batch_run(b)
               : 0;
}

/* Contents of one directory that have no hash yet. */
static int hash_blobs(struct batch *b, const struct pk_plan *plan)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct pk_item *item = &plan->changes[i]->item;
        uint8_t pre[PK_PRE_CONTENTS_MAX];
        struct pk_blob *blob;
        size_t at = b->buf.len;
        int err;

        if (item->what != PK_ITEM_BLOB || item->u.blob->hashed) {
            continue;
        }
        blob = item->u.blob;
        pk_put(&b->buf, pre,
               pk_pre_contents(&b->pass->repo->store.scheme, blob->len, pre));
        err = batch_add(b, at, (struct pk_slice){blob->data, blob->len},
                        &blob->hash);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static void mark_blobs(const struct pk_plan *plan)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct pk_item *item = &plan->changes[i]->item;

        if (item->what == PK_ITEM_BLOB) {
            item->u.blob->hashed = true;
        }
    }
}

/* The message of one fresh inode. */
static int hash_mnode(struct batch *b, struct pk_mnode *mnode, bool root)
{
    struct pk_pass *pass = b->pass;
    const struct pk_scheme *scheme = &pass->repo->store.scheme;
    bool flat = mnode->length == 0 ||
                (root && mnode->length <= scheme->config.stable_hash);
    struct pk_mval *vals = mnode->u.vals;
    size_t n = mnode->n;
    size_t at = b->buf.len;
    struct pk_leaf *leaves;

    if (flat && mnode->tree) {
        int err = pk_mnode_collect(pass, &pass->scratch, mnode, &vals, &n);

        if (err != 0) {
            return err;
        }
    }
    leaves = pk_arena_alloc(&pass->scratch, (n + 1) * sizeof(*leaves));
    if (leaves == NULL) {
        return pk_fail_mem(&pass->repo->store.ctx);
    }
    if (mnode->tree && !flat) {
        for (size_t i = 0; i < n; i++) {
            const struct pk_mnode *kid = mnode->u.kids[i];

            leaves[i] =
                (struct pk_leaf){{NULL, 0}, kid->index, PK_NONE, kid->hash.b};
        }
        pk_pre_tree(scheme, mnode->depth, mnode->length, leaves, n, &b->buf);
    } else {
        for (size_t i = 0; i < n; i++) {
            leaves[i] =
                (struct pk_leaf){vals[i].step, 0, vals[i].kind, vals[i].hash};
        }
        if (flat) {
            pk_pre_flat(scheme, leaves, n, &b->buf);
        } else {
            pk_pre_values(scheme, leaves, n, &b->buf);
        }
    }
    pk_arena_clear(&pass->scratch);
    return batch_add(b, at, (struct pk_slice){NULL, 0}, &mnode->hash);
}

/* The fresh inodes of one depth below mnode. */
static int hash_depth(struct batch *b, struct pk_mnode *mnode, uint32_t depth)
{
    int err = 0;

    if (!mnode->fresh) {
        return 0;
    }
    if (mnode->depth == depth) {
        return hash_mnode(b, mnode, depth == 0);
    }
    for (uint32_t i = 0; mnode->tree && i < mnode->n && err == 0; i++) {
        err = hash_depth(b, mnode->u.kids[i], depth);
    }
    return err;
}

static uint32_t mnode_max_depth(const struct pk_mnode *mnode)
{
    uint32_t max = mnode->depth;

    for (uint32_t i = 0; mnode->fresh && mnode->tree && i < mnode->n; i++) {
        uint32_t below = mnode_max_depth(mnode->u.kids[i]);

        max = below > max ? below : max;
    }
    return max;
}

static int plan_apply(struct pk_pass *pass, struct pk_plan *plan)
{
    struct pk_node *node = plan->node;
    struct pk_change_iter iter;
    struct pk_change *touched;
    int err = pk_mnode_apply(pass, node->base, plan->changes, plan->n_changes,
                             &plan->root);

    pk_change_iter_begin(&iter, node->touched);
    while (err == 0 && node->base != NF_NOWHERE &&
           (touched = pk_change_iter_next(&iter)) != NULL) {
        err = pk_mnode_touch(pass, plan->root, pk_change_step(touched));
    }
    return err;
}

/* All directories of one height: plans is a list of them by `next`, those of
 * other heights in between. */
static int hash_height(struct batch *b, uint32_t height)
{
    struct pk_pass *pass = b->pass;
    uint32_t max = 0;
    int err = 0;

    for (struct pk_plan *p = pass->plans; p != NULL && err == 0; p = p->next) {
        if (p->height == height) {
            err = plan_apply(pass, p);
            if (err == 0 && mnode_max_depth(p->root) > max) {
                max = mnode_max_depth(p->root);
            }
        }
    }
    for (uint32_t d = max + 1; d > 0 && err == 0; d--) {
        for (struct pk_plan *p = pass->plans; p != NULL && err == 0;
             p = p->next) {
            if (p->height == height) {
                err = hash_depth(b, p->root, d - 1);
            }
        }
        if (err == 0) {
            err = batch_run(b);
        }
    }
    for (struct pk_plan *p = pass->plans; p != NULL && err == 0; p = p->next) {
        if (p->height == height) {
            p->node->hash = p->root->hash;
            p->node->hashed = true;
        }
    }
    return err;
}

static int pass_hash(struct pk_pass *pass)
{
    struct nf_mem *mem = &pass->repo->store.ctx.mem;
    struct batch *b = nf_calloc(mem, 1, sizeof(*b));
    uint32_t top = 0;
    int err = 0;

    if (b == NULL) {
        return pk_fail_mem(&pass->repo->store.ctx);
    }
    b->pass = pass;
    b->buf = pk_buf_of(mem);
    for (struct pk_plan *p = pass->plans; p != NULL && err == 0; p = p->next) {
        err = hash_blobs(b, p);
        top = p->height > top ? p->height : top;
    }
    if (err == 0) {
        err = batch_run(b);
    }
    for (struct pk_plan *p = pass->plans; p != NULL && err == 0; p = p->next) {
        mark_blobs(p);
    }
    for (uint32_t h = 0; h <= top && err == 0; h++) {
        err = hash_height(b, h);
    }
    pk_buf_deinit(&b->buf);
    nf_free(mem, b, sizeof(*b));
    return err;
}

/* ------------------------------------------------------------------ a pass */

int pk_pass_begin(struct pk_pass *pass, struct pk_repo *repo,
                  struct pk_node *node, bool all)
{
    int err;

    *pass = (struct pk_pass){.repo = repo};
    pass->arena = pk_arena_of(&repo->store.ctx.mem);
    pass->scratch = pk_arena_of(&repo->store.ctx.mem);
    pass->tail = &pass->plans;
    repo->pass++;
    err = pass_collect(pass, node, all);
    if (err == 0 && pass->plans != NULL) {
        err = pass_hash(pass);
    }
    return err;
}

void pk_pass_end(struct pk_pass *pass)
{
    for (struct pk_plan *p = pass->plans; p != NULL; p = p->next) {
        p->node->plan = NULL;
        pk_node_unref(pass->repo, p->node);
    }
    pk_arena_clear(&pass->scratch);
    pk_arena_clear(&pass->arena);
}

int pk_node_rehash(struct pk_repo *repo, struct pk_node *node)
{
    struct pk_pass pass;
    int err = pk_pass_begin(&pass, repo, node, false);

    pk_pass_end(&pass);
    return err;
}
