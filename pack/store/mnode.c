/* SPDX-License-Identifier: ISC */
/*
 * Inodes in memory: building, inserting, removing (spec 4.3).
 *
 *   build    at most E bindings are Values; more are distributed over the
 *            children of a Tree by their index at its depth, and so on
 *   insert   goes down to a Values, or makes one; one that overflows is built
 *            anew at its place
 *   remove   goes down to a Values; a Tree that would be left with at most E
 *            bindings becomes a Values of them
 *
 * The shape depends on the bindings alone. What is changed becomes fresh: it
 * will be stored, and its hash is computed by the pass. A change that binds a
 * step to what it is bound to, or removes what is not there, touches nothing.
 *
 * Depths are below the scheme's maximum, so recursion over depth is bounded.
 */
#include <string.h>

#include "pack/locate.h"
#include "pack/sort.h"
#include "pack/store/plan.h"

static int pass_fail_mem(struct pk_pass *pass)
{
    return pk_fail_mem(&pass->repo->store.ctx);
}

static const struct pk_scheme *pass_scheme(const struct pk_pass *pass)
{
    return &pass->repo->store.scheme;
}

static int pass_index(struct pk_pass *pass, uint32_t depth,
                      struct pk_slice step, uint32_t *ret)
{
    int err = pk_child_index(pass_scheme(pass), depth, step, ret);

    return err == 0 ? 0
                    : pk_fail(&pass->repo->store.ctx, err, NULL, NF_NOWHERE,
                              "directory");
}

static struct pk_mnode *mnode_new(struct pk_pass *pass, uint32_t depth)
{
    struct pk_mnode *mnode = pk_arena_alloc(&pass->arena, sizeof(*mnode));

    if (mnode != NULL) {
        memset(mnode, 0, sizeof(*mnode));
        mnode->fresh = true;
        mnode->loaded = true;
        mnode->depth = (uint8_t)depth;
        mnode->off = NF_NOWHERE;
    }
    return mnode;
}

/* ------------------------------------------------------------------ expand */

/* Bindings point into copies of what inode has: it may leave the cache. */
static int expand_vals(struct pk_pass *pass, struct pk_mnode *mnode,
                       const struct pk_inode *inode)
{
    const size_t hash_len = pass_scheme(pass)->hash_len;
    const size_t hashes_len = inode->n * hash_len;
    struct pk_inode copy = *inode;
    struct pk_mval *vals =
        pk_arena_alloc(&pass->arena, (inode->n + 1u) * sizeof(*vals));
    uint8_t *bytes = pk_arena_alloc(&pass->arena, hashes_len + inode->raw_len);

    if (vals == NULL || bytes == NULL) {
        return pass_fail_mem(pass);
    }
    memcpy(bytes, inode->hashes, hashes_len);
    memcpy(bytes + hashes_len, inode->raw, inode->raw_len);
    copy.raw = bytes + hashes_len;
    for (uint32_t i = 0; i < inode->n; i++) {
        struct pk_slot slot;

        pk_inode_slot(&pass->repo->store, &copy, i, &slot);
        vals[i] = (struct pk_mval){slot.step,
                                   slot.kind,
                                   slot.addr.by_hash,
                                   bytes + i * hash_len,
                                   NULL,
                                   slot.addr.off,
                                   true,
                                   slot.name_id};
    }
    mnode->u.vals = vals;
    mnode->cap = inode->n + 1;
    return 0;
}

static int expand_kids(struct pk_pass *pass, struct pk_mnode *mnode,
                       struct pk_inode *inode)
{
    struct pk_store *store = &pass->repo->store;
    struct pk_mnode *kids =
        pk_arena_alloc(&pass->arena, inode->n * sizeof(*kids));

    mnode->u.kids = pk_arena_alloc(&pass->arena,
                                   (inode->n + 1u) * sizeof(struct pk_mnode *));
    if (kids == NULL || mnode->u.kids == NULL) {
        return pass_fail_mem(pass);
    }
    memset(kids, 0, inode->n * sizeof(*kids));
    for (uint32_t i = 0; i < inode->n; i++) {
        struct pk_mnode *kid = &kids[i];
        struct pk_slot slot;
        int err;

        pk_inode_slot(store, inode, i, &slot);
        kid->depth = (uint8_t)(inode->depth + 1);
        kid->index = slot.index;
        err = pk_addr_resolve(store, &slot.addr, &kid->off);
        if (err == 0) {
            err = pk_inode_slot_hash(store, inode, i, &kid->hash);
        }
        if (err != 0) {
            return err;
        }
        mnode->u.kids[i] = kid;
    }
    mnode->cap = inode->n + 1;
    return 0;
}

/* What mnode, of a known place, consists of, from inode. */
static int mnode_fill(struct pk_pass *pass, struct pk_mnode *mnode,
                      struct pk_inode *inode)
{
    struct pk_digest hash;
    int err = 0;

    if (inode->n > 0) { /* all of them are read at once */
        err = pk_inode_slot_hash(&pass->repo->store, inode, 0, &hash);
    }
    if (err == 0) {
        err = inode->tree ? expand_kids(pass, mnode, inode)
                          : expand_vals(pass, mnode, inode);
    }
    if (err == 0) {
        mnode->tree = inode->tree;
        mnode->n = inode->n;
        mnode->length = inode->length;
        mnode->loaded = true;
    }
    return err;
}

int pk_mnode_expand(struct pk_pass *pass, struct pk_mnode *mnode)
{
    struct pk_store *store = &pass->repo->store;
    struct pk_inode *inode = NULL;
    int err;

    if (mnode->loaded) {
        return 0;
    }
    err = pk_inode_load(store, mnode->off, PK_ROLE_CHILD, &inode);
    if (err == 0 &&
        (inode->length == 0 || (inode->tree && inode->depth != mnode->depth))) {
        err = pk_store_fail(store, NF_EC_INODE, mnode->off, "depth or length");
    }
    if (err == 0) {
        err = mnode_fill(pass, mnode, inode);
    }
    pk_inode_unpin(store, inode);
    return err;
}

static int mnode_load_root(struct pk_pass *pass, uint64_t off,
                           struct pk_mnode **ret)
{
    struct pk_inode *inode = NULL;
    struct pk_mnode *mnode = mnode_new(pass, 0);
    int err;

    if (mnode == NULL) {
        return pass_fail_mem(pass);
    }
    err = pk_inode_load(&pass->repo->store, off, PK_ROLE_ROOT, &inode);
    if (err == 0) {
        mnode->fresh = false;
        mnode->off = off;
        mnode->hash = inode->hash;
        err = mnode_fill(pass, mnode, inode);
    }
    pk_inode_unpin(&pass->repo->store, inode);
    if (err == 0) {
        *ret = mnode;
    }
    return err;
}

/* ----------------------------------------------------------------- collect */

struct collect {
    struct pk_pass *pass;
    struct pk_mval *vals;
    size_t n;
    size_t cap;
};

static int collect_below(struct collect *c, struct pk_mnode *mnode)
{
    int err = pk_mnode_expand(c->pass, mnode);

    if (err != 0) {
        return err;
    }
    if (!mnode->tree) {
        if (mnode->n > c->cap - c->n) {
            return pk_fail(&c->pass->repo->store.ctx, NF_EC_INODE, NULL,
                           NF_NOWHERE, "length");
        }
        if (mnode->n > 0) {
            memcpy(c->vals + c->n, mnode->u.vals, mnode->n * sizeof(*c->vals));
        }
        c->n += mnode->n;
        return 0;
    }
    for (uint32_t i = 0; i < mnode->n && err == 0; i++) {
        err = collect_below(c, mnode->u.kids[i]);
    }
    return err;
}

static int collect_compare(const void *arg, uint32_t a, uint32_t b)
{
    const struct pk_mval *vals = arg;

    return pk_step_compare(vals[a].step, vals[b].step);
}

int pk_mnode_collect(struct pk_pass *pass, struct pk_arena *arena,
                     struct pk_mnode *mnode, struct pk_mval **ret_vals,
                     size_t *ret_n)
{
    size_t cap = (size_t)mnode->length;
    struct collect c = {.pass = pass, .cap = cap};
    struct pk_mval *sorted = pk_arena_alloc(arena, (cap + 1) * sizeof(*sorted));
    uint32_t *order = pk_arena_alloc(arena, cap * sizeof(*order));
    int err;

    c.vals = pk_arena_alloc(arena, cap * sizeof(*c.vals));
    if (sorted == NULL || order == NULL || c.vals == NULL) {
        return pass_fail_mem(pass);
    }
    err = collect_below(&c, mnode);
    if (err != 0) {
        return err;
    }
    for (size_t i = 0; i < c.n; i++) {
        order[i] = (uint32_t)i;
    }
    pk_sort(order, c.n, collect_compare, c.vals);
    for (size_t i = 0; i < c.n; i++) {
        sorted[i] = c.vals[order[i]];
    }
    *ret_vals = sorted;
    *ret_n = c.n;
    return 0;
}

/* ------------------------------------------------------------------- build */

/* Make mnode of the n bindings of vals, which it keeps; scratch has room for
 * as many. */
static int mnode_build(struct pk_pass *pass, struct pk_mnode *mnode,
                       struct pk_mval *vals, struct pk_mval *scratch, size_t n)
{
    uint32_t entries = pass_scheme(pass)->config.entries;
    size_t *starts;
    uint32_t index = 0;
    int err = 0;

    mnode->length = n;
    mnode->tree = n > entries;
    if (!mnode->tree) {
        mnode->u.vals = vals;
        mnode->n = (uint32_t)n;
        mnode->cap = (uint32_t)n;
        return 0;
    }
    /* starts[i + 1] counts those of i, then says where they end. */
    starts = pk_arena_alloc(&pass->arena, (entries + 1u) * sizeof(*starts));
    mnode->u.kids =
        pk_arena_alloc(&pass->arena, entries * sizeof(struct pk_mnode *));
    if (starts == NULL || mnode->u.kids == NULL) {
        return pass_fail_mem(pass);
    }
    memset(starts, 0, (entries + 1u) * sizeof(*starts));
    for (size_t i = 0; i < n && err == 0; i++) {
        err = pass_index(pass, mnode->depth, vals[i].step, &index);
        starts[index + 1]++;
    }
    for (uint32_t i = 0; i < entries; i++) {
        starts[i + 1] += starts[i];
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        err = pass_index(pass, mnode->depth, vals[i].step, &index);
        scratch[starts[index]++] = vals[i];
    }
    mnode->n = 0;
    mnode->cap = entries;
    for (uint32_t i = 0; i < entries && err == 0; i++) {
        size_t from = i == 0 ? 0 : starts[i - 1];
        size_t len = starts[i] - from;
        struct pk_mnode *kid;

        if (len == 0) {
            continue;
        }
        kid = mnode_new(pass, mnode->depth + 1u);
        if (kid == NULL) {
            return pass_fail_mem(pass);
        }
        kid->index = i;
        mnode->u.kids[mnode->n++] = kid;
        err = mnode_build(pass, kid, scratch + from, vals + from, len);
    }
    return err;
}

/* Where index is among the children, or would go. */
static bool mnode_kid(const struct pk_mnode *mnode, uint32_t index,
                      uint32_t *ret_i)
{
    uint32_t lo = 0;
    uint32_t hi = mnode->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (mnode->u.kids[mid]->index < index) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *ret_i = lo;
    return lo < mnode->n && mnode->u.kids[lo]->index == index;
}

/* Where step is among the bindings, or would go. */
static bool mnode_val(const struct pk_mnode *mnode, struct pk_slice step,
                      uint32_t *ret_i)
{
    uint32_t lo = 0;
    uint32_t hi = mnode->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = pk_step_compare(mnode->u.vals[mid].step, step);

        if (c == 0) {
            *ret_i = mid;
            return true;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *ret_i = lo;
    return false;
}

/* The binding of a step; NULL: none. */
static int mnode_find(struct pk_pass *pass, struct pk_mnode *mnode,
                      struct pk_slice step, struct pk_mval **ret)
{
    uint32_t index = 0;
    uint32_t i;

    for (;;) {
        int err = pk_mnode_expand(pass, mnode);

        if (err == 0 && mnode->tree) {
            err = pass_index(pass, mnode->depth, step, &index);
        }
        if (err != 0) {
            return err;
        }
        if (!mnode->tree) {
            *ret = mnode_val(mnode, step, &i) ? &mnode->u.vals[i] : NULL;
            return 0;
        }
        if (!mnode_kid(mnode, index, &i)) {
            *ret = NULL;
            return 0;
        }
        mnode = mnode->u.kids[i];
    }
}

/* Room for one more binding or child. */
static int mnode_reserve(struct pk_pass *pass, struct pk_mnode *mnode)
{
    size_t size =
        mnode->tree ? sizeof(struct pk_mnode *) : sizeof(struct pk_mval);
    uint32_t cap = mnode->cap + 8;
    void *p;

    if (mnode->n < mnode->cap) {
        return 0;
    }
    p = pk_arena_alloc(&pass->arena, cap * size);
    if (p == NULL) {
        return pass_fail_mem(pass);
    }
    if (mnode->tree) {
        memcpy(p, mnode->u.kids, mnode->n * size);
        mnode->u.kids = p;
    } else {
        if (mnode->n > 0) {
            memcpy(p, mnode->u.vals, mnode->n * size);
        }
        mnode->u.vals = p;
    }
    mnode->cap = cap;
    return 0;
}

/* Put a binding into a Values, which may overflow. */
static int values_insert(struct pk_pass *pass, struct pk_mnode *mnode,
                         const struct pk_mval *val)
{
    struct pk_mval *scratch;
    uint32_t i;
    int err = 0;

    if (mnode_val(mnode, val->step, &i)) {
        struct pk_mval *at = &mnode->u.vals[i];
        const struct pk_mval old = *at;

        *at = *val;
        at->named = old.named;
        at->name_id = old.name_id;
        return 0;
    }
    err = mnode_reserve(pass, mnode);
    if (err != 0) {
        return err;
    }
    memmove(&mnode->u.vals[i + 1], &mnode->u.vals[i],
            (mnode->n - i) * sizeof(*val));
    mnode->u.vals[i] = *val;
    mnode->n++;
    mnode->length = mnode->n;
    if (mnode->n <= pass_scheme(pass)->config.entries) {
        return 0;
    }
    scratch = pk_arena_alloc(&pass->arena, mnode->n * sizeof(*scratch));
    return scratch == NULL
               ? pass_fail_mem(pass)
               : mnode_build(pass, mnode, mnode->u.vals, scratch, mnode->n);
}

static int mnode_insert(struct pk_pass *pass, struct pk_mnode *mnode,
                        const struct pk_mval *val)
{
    struct pk_mval *old;
    uint32_t index = 0;
    uint32_t i;
    int err = mnode_find(pass, mnode, val->step, &old);

    if (err != 0 ||
        (old != NULL && old->kind == val->kind &&
         memcmp(old->hash, val->hash, pass_scheme(pass)->hash_len) == 0)) {
        return err;
    }
    for (;;) { /* all on the way is loaded: it was looked up */
        mnode->fresh = true;
        if (!mnode->tree) {
            return values_insert(pass, mnode, val);
        }
        mnode->length += old == NULL;
        err = pass_index(pass, mnode->depth, val->step, &index);
        if (err != 0) {
            return err;
        }
        if (!mnode_kid(mnode, index, &i)) {
            struct pk_mnode *kid = mnode_new(pass, mnode->depth + 1u);

            err =
                kid == NULL ? pass_fail_mem(pass) : mnode_reserve(pass, mnode);
            if (err != 0) {
                return err;
            }
            kid->index = index;
            memmove(&mnode->u.kids[i + 1], &mnode->u.kids[i],
                    (mnode->n - i) * sizeof(struct pk_mnode *));
            mnode->u.kids[i] = kid;
            mnode->n++;
        }
        mnode = mnode->u.kids[i];
    }
}

static void values_remove(struct pk_mnode *mnode, struct pk_slice step)
{
    uint32_t i;

    if (mnode_val(mnode, step, &i)) {
        memmove(&mnode->u.vals[i], &mnode->u.vals[i + 1],
                (mnode->n - i - 1) * sizeof(*mnode->u.vals));
        mnode->n--;
        mnode->length = mnode->n;
    }
}

static int mnode_remove(struct pk_pass *pass, struct pk_mnode *mnode,
                        struct pk_slice step)
{
    struct pk_mval *old;
    uint32_t index = 0;
    uint32_t i;
    int err = mnode_find(pass, mnode, step, &old);

    if (err != 0 || old == NULL) {
        return err;
    }
    for (;;) {
        struct pk_mnode *kid;

        mnode->fresh = true;
        if (mnode->tree &&
            mnode->length - 1 <= pass_scheme(pass)->config.entries) {
            struct pk_mval *vals;
            size_t n;

            err = pk_mnode_collect(pass, &pass->arena, mnode, &vals, &n);
            if (err != 0) {
                return err;
            }
            mnode->tree = false;
            mnode->u.vals = vals;
            mnode->n = (uint32_t)n;
            mnode->cap = (uint32_t)n;
        }
        if (!mnode->tree) {
            values_remove(mnode, step);
            return 0;
        }
        mnode->length--;
        err = pass_index(pass, mnode->depth, step, &index);
        if (err != 0 || !mnode_kid(mnode, index, &i)) {
            return err;
        }
        kid = mnode->u.kids[i];
        if (kid->length == 1) {
            memmove(&mnode->u.kids[i], &mnode->u.kids[i + 1],
                    (mnode->n - i - 1) * sizeof(struct pk_mnode *));
            mnode->n--;
            return 0;
        }
        mnode = kid;
    }
}

int pk_mnode_touch(struct pk_pass *pass, struct pk_mnode *root,
                   struct pk_slice step)
{
    struct pk_mnode *mnode = root;
    uint32_t index = 0;
    uint32_t i;

    for (;;) {
        int err = pk_mnode_expand(pass, mnode);

        if (err != 0) {
            return err;
        }
        mnode->fresh = true;
        if (!mnode->tree) {
            return 0;
        }
        err = pass_index(pass, mnode->depth, step, &index);
        if (err != 0 || !mnode_kid(mnode, index, &i)) {
            return err;
        }
        mnode = mnode->u.kids[i];
    }
}

/* ------------------------------------------------------------------- apply */

static struct pk_mval val_of_change(const struct pk_change *change)
{
    const struct pk_item *item = &change->item;
    struct pk_mval val = {
        .step = {change->step, change->step_len},
        .kind = pk_item_kind(*item),
        .item = item,
    };

    switch (item->what) {
    case PK_ITEM_REMOVED:
        break;
    case PK_ITEM_BLOB:
        val.hash = item->u.blob->hash.b;
        break;
    case PK_ITEM_NODE:
        val.hash = item->u.node->hash.b;
        break;
    case PK_ITEM_KEY:
        val.hash = item->u.key->hash.b;
        break;
    }
    return val;
}

static int apply_build(struct pk_pass *pass, struct pk_change **changes,
                       size_t n, struct pk_mnode **ret_root)
{
    struct pk_mnode *root = mnode_new(pass, 0);
    struct pk_mval *vals = pk_arena_alloc(&pass->arena, n * sizeof(*vals));
    struct pk_mval *scratch = NULL;
    size_t n_vals = 0;
    int err;

    if (root == NULL || vals == NULL) {
        return pass_fail_mem(pass);
    }
    for (size_t i = 0; i < n; i++) {
        if (changes[i]->item.what != PK_ITEM_REMOVED) {
            vals[n_vals++] = val_of_change(changes[i]);
        }
    }
    if (n_vals > pass_scheme(pass)->config.entries) {
        scratch = pk_arena_alloc(&pass->arena, n_vals * sizeof(*scratch));
        if (scratch == NULL) {
            return pass_fail_mem(pass);
        }
    }
    err = mnode_build(pass, root, vals, scratch, n_vals);
    if (err == 0) {
        *ret_root = root;
    }
    return err;
}

int pk_mnode_apply(struct pk_pass *pass, uint64_t base,
                   struct pk_change **changes, size_t n,
                   struct pk_mnode **ret_root)
{
    struct pk_mnode *root = NULL;
    int err;

    if (base == NF_NOWHERE) {
        return apply_build(pass, changes, n, ret_root);
    }
    err = mnode_load_root(pass, base, &root);
    for (size_t i = 0; i < n && err == 0; i++) {
        struct pk_mval val = val_of_change(changes[i]);

        err = val.kind == PK_NONE ? mnode_remove(pass, root, val.step)
                                  : mnode_insert(pass, root, &val);
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        /* Of a change without effect, as of one in vain: see tree.c. */
        err = pk_mnode_touch(pass, root, pk_change_step(changes[i]));
    }
    if (err == 0) {
        root->fresh = true; /* the root is stored even if nothing differs */
        *ret_root = root;
    }
    return err;
}
