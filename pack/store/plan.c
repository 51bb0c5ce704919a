/* SPDX-License-Identifier: ISC */
/*
 * A pass over the changed directories below a node, to hash or to store them.
 * It goes through them depth first, children before parents, and does a window
 * of so many after the other:
 *
 *   1. collect them, with their heights; hash all contents that are new
 *   2. height by height: apply the changes, then hash the fresh inodes, the
 *      deepest first; all inodes of one depth over all directories of one
 *      height are independent and hashed together
 *   3. the caller stores them, if that is what it is for
 *
 * A directory's hash needs those of what it binds, an inode's those of its
 * children, nothing else: that is what the order says. Everything a window
 * allocates is in its arena, so what a pass takes does not grow with what has
 * been changed, but for a directory whose own changes are more than a window;
 * what it leaves behind are the hashes in the nodes and blobs.
 */
#include "pack/store/plan.h"

#include <string.h>

enum { BATCH_JOBS = 64 };

/* --------------------------------------------------------------- hash many */

/* Messages to be hashed together: each is built in buf, so that its place may
 * move until the batch is run. */
struct pk_batch {
    struct pk_pass *pass;
    struct pk_buf buf;
    struct {
        size_t at;
        size_t len;
        struct pk_slice tail;
        struct pk_digest *digest;
        bool *done; /* to be set, or NULL */
    } msgs[BATCH_JOBS];
    struct pk_hash_job jobs[BATCH_JOBS];
    size_t n;
};

static int batch_run(struct pk_batch *b)
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
    for (size_t i = 0; i < b->n && err == 0; i++) {
        if (b->msgs[i].done != NULL) {
            *b->msgs[i].done = true;
        }
    }
    b->n = 0;
    pk_buf_clear(&b->buf);
    return err;
}

/* The bytes of buf from `at` on, and tail behind them, are a message. */
static int batch_add(struct pk_batch *b, size_t at, struct pk_slice tail,
                     struct pk_digest *digest, bool *done)
{
    b->msgs[b->n].at = at;
    b->msgs[b->n].len = b->buf.len - at;
    b->msgs[b->n].tail = tail;
    b->msgs[b->n].digest = digest;
    b->msgs[b->n].done = done;
    b->n++;
    return b->n == BATCH_JOBS ||
                   b->buf.len > b->pass->repo->store.ctx.bulk_len / 2
               ? batch_run(b)
               : 0;
}

/* Contents that may have no hash yet. */
static int hash_blob(struct pk_batch *b, struct pk_blob *blob)
{
    uint8_t pre[PK_PRE_CONTENTS_MAX];
    size_t at = b->buf.len;

    if (blob->hashed) {
        return 0;
    }
    pk_put(&b->buf, pre,
           pk_pre_contents(&b->pass->repo->store.scheme, blob->len, pre));
    return batch_add(b, at, (struct pk_slice){blob->data, blob->len},
                     &blob->hash, &blob->hashed);
}

/* ----------------------------------------------------------------- collect */

static bool plan_wanted(const struct pk_pass *pass, const struct pk_node *node)
{
    return (node->changes != NULL || node->base == NF_NOWHERE) &&
           (pass->all || !node->hashed) && node->mark != pass->repo->pass;
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

int pk_pass_push(struct pk_pass *pass, struct pk_plans *stack,
                 struct pk_plan *plan)
{
    struct pk_ctx *ctx = &pass->repo->store.ctx;

    if (stack->n == stack->cap) {
        size_t cap = stack->cap == 0 ? 16 : stack->cap * 2;
        struct pk_plan **plans = nf_realloc(
            &ctx->mem, stack->plans, stack->cap * sizeof(struct pk_plan *),
            cap * sizeof(struct pk_plan *));

        if (plans == NULL) {
            return pk_fail_mem(ctx);
        }
        stack->plans = plans;
        stack->cap = cap;
    }
    stack->plans[stack->n++] = plan;
    return 0;
}

static void plan_free(struct pk_pass *pass, struct pk_plan *plan)
{
    plan->node->plan = NULL;
    pk_node_unref(pass->repo, plan->node);
    nf_free(&pass->repo->store.ctx.mem, plan,
            sizeof(*plan) + plan->n_changes * sizeof(struct pk_change *));
}

static int plan_new(struct pk_pass *pass, struct pk_node *node)
{
    struct pk_ctx *ctx = &pass->repo->store.ctx;
    size_t n = count_changes(node->changes);
    struct pk_plan *plan =
        nf_alloc(&ctx->mem, sizeof(*plan) + n * sizeof(struct pk_change *));
    struct pk_change_iter iter;

    if (plan == NULL) {
        return pk_fail_mem(ctx);
    }
    memset(plan, 0, sizeof(*plan));
    plan->node = node;
    plan->n_changes = n;
    pk_change_iter_begin(&iter, node->changes);
    for (size_t i = 0; i < n; i++) {
        plan->changes[i] = pk_change_iter_next(&iter);
    }
    node->refs++; /* the pass needs it longer than its parent may */
    if (pk_pass_push(pass, &pass->open, plan) != 0) {
        plan_free(pass, plan);
        return pk_fail_mem(ctx);
    }
    node->mark = pass->repo->pass;
    node->plan = plan;
    return 0;
}

/* Done with the lowest open plan: it follows all that it needs. */
static void collect_pop(struct pk_pass *pass)
{
    struct pk_plan *plan = pass->open.plans[--pass->open.n];

    *pass->tail = plan;
    pass->tail = &plan->next;
    pass->weight += 16 + plan->n_changes;
    if (pass->open.n > 0) {
        struct pk_plan *above = pass->open.plans[pass->open.n - 1];

        if (above->height <= plan->height) {
            above->height = plan->height + 1;
        }
    }
}

/* Take the next change of the lowest open plan. */
static int collect_change(struct pk_batch *b, struct pk_plan *plan)
{
    struct pk_pass *pass = b->pass;
    const struct pk_item *item = &plan->changes[plan->next_change++]->item;

    if (item->what == PK_ITEM_BLOB) {
        return hash_blob(b, item->u.blob);
    }
    if (item->what != PK_ITEM_NODE) {
        return 0;
    }
    if (plan_wanted(pass, item->u.node)) {
        return plan_new(pass, item->u.node);
    }
    if (item->u.node->mark == pass->repo->pass && item->u.node->plan != NULL &&
        plan->height <= item->u.node->plan->height) {
        plan->height = item->u.node->plan->height + 1;
    }
    return 0;
}

/* The plans of the next window, and all contents on the way to the last. */
static int window_collect(struct pk_batch *b)
{
    struct pk_pass *pass = b->pass;
    int err = 0;

    for (size_t i = 0; i < pass->open.n; i++) {
        pass->open.plans[i]->height = 0; /* what is below is done */
    }
    while (err == 0 && pass->open.n > 0 && pass->weight < pass->max_weight) {
        struct pk_plan *plan = pass->open.plans[pass->open.n - 1];

        if (plan->next_change == plan->n_changes) {
            collect_pop(pass);
        } else {
            err = collect_change(b, plan);
        }
    }
    return err == 0 ? batch_run(b) : err;
}

/* -------------------------------------------------------------- hash inodes */

/* The message of one fresh inode. */
static int hash_mnode(struct pk_batch *b, struct pk_mnode *mnode, bool root)
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
    return batch_add(b, at, (struct pk_slice){NULL, 0}, &mnode->hash, NULL);
}

/* The fresh inodes of one depth below mnode. */
static int hash_depth(struct pk_batch *b, struct pk_mnode *mnode,
                      uint32_t depth)
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
static int hash_height(struct pk_batch *b, uint32_t height)
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

static int window_hash(struct pk_batch *b)
{
    uint32_t top = 0;
    int err = 0;

    for (struct pk_plan *p = b->pass->plans; p != NULL; p = p->next) {
        top = p->height > top ? p->height : top;
    }
    for (uint32_t h = 0; h <= top && err == 0; h++) {
        err = hash_height(b, h);
    }
    return err;
}

/* ------------------------------------------------------------------ a pass */

static void window_end(struct pk_pass *pass)
{
    while (pass->plans != NULL) {
        struct pk_plan *plan = pass->plans;

        pass->plans = plan->next;
        plan_free(pass, plan);
    }
    pass->tail = &pass->plans;
    pass->weight = 0;
    pk_arena_clear(&pass->scratch);
    pk_arena_clear(&pass->arena);
}

/* Of inodes, by the memory that they take: an eighth of the cache is a window
 * of 256 directories with the usual bindings. */
enum { WEIGHT_LEN = 32 };

int pk_pass_begin(struct pk_pass *pass, struct pk_repo *repo,
                  struct pk_node *node, bool all)
{
    struct pk_ctx *ctx = &repo->store.ctx;

    *pass = (struct pk_pass){.repo = repo, .all = all};
    pass->arena = pk_arena_of(&ctx->mem);
    pass->scratch = pk_arena_of(&ctx->mem);
    pass->tail = &pass->plans;
    pass->max_weight = ctx->bulk_len / WEIGHT_LEN;
    repo->pass++;
    pass->batch = nf_calloc(&ctx->mem, 1, sizeof(*pass->batch));
    if (pass->batch == NULL) {
        return pk_fail_mem(ctx);
    }
    pass->batch->pass = pass;
    pass->batch->buf = pk_buf_of(&ctx->mem);
    return plan_wanted(pass, node) ? plan_new(pass, node) : 0;
}

int pk_pass_next(struct pk_pass *pass)
{
    int err;

    window_end(pass);
    if (pass->open.n == 0) {
        return 0;
    }
    err = window_collect(pass->batch);
    if (err == 0) {
        err = window_hash(pass->batch);
    }
    return err == 0 ? 1 : err;
}

void pk_pass_end(struct pk_pass *pass)
{
    struct nf_mem *mem = &pass->repo->store.ctx.mem;

    while (pass->open.n > 0) {
        collect_pop(pass);
    }
    window_end(pass);
    nf_free(mem, pass->open.plans, pass->open.cap * sizeof(struct pk_plan *));
    if (pass->batch != NULL) {
        pk_buf_deinit(&pass->batch->buf);
        nf_free(mem, pass->batch, sizeof(*pass->batch));
    }
}

int pk_node_rehash(struct pk_repo *repo, struct pk_node *node)
{
    struct pk_pass pass;
    int err = pk_pass_begin(&pass, repo, node, false);

    while (err >= 0 && (err = pk_pass_next(&pass)) > 0) {
    }
    pk_pass_end(&pass);
    return err;
}
