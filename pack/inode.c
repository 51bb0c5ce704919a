/* SPDX-License-Identifier: ISC */
/*
 * Stored inodes: decoding, verification, look-up (spec 3.6, 4.3; inode.h has
 * the layout).
 *
 * What is decoded is validated at once: tags, ascending steps or indices, no
 * more of them than the fan-out, dictionary ids that exist, depths, and that
 * addresses point to smaller offsets, so that nothing can run in circles (V1
 * entries may point ahead; their references are by hash, which cannot be
 * circular). When first loaded an inode is hashed anew from its children's
 * hashes, those in front of the children's entries; a child is verified in
 * turn when it is loaded, so what a reader reaches hangs together from the
 * commit down. A root with at most stable_hash bindings hashes as the list of
 * all of them, which takes reading all its inodes.
 */
#include "pack/inode.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "pack/locate.h"
#include "pack/objects.h"
#include "pack/sort.h"
#include "pack/trail.h"

static int inode_bad(struct pk_store *store, uint64_t off, const char *what)
{
    return pk_store_fail(store, NF_EC_INODE, off, what);
}

/* ------------------------------------------------------------------ decode */

/* Decode the slot at the cursor. */
static struct pk_slot inode_take_slot(const struct pk_store *store,
                                      struct pk_cursor *c, bool tree)
{
    struct pk_slot slot = {0};
    const uint8_t *hash;
    uint8_t tag;

    if (tree) {
        uint64_t index = pk_take_varint(c);

        slot.addr = pk_take_addr(c, store->scheme.hash_len);
        slot.index = index > UINT32_MAX ? UINT32_MAX : (uint32_t)index;
        return slot;
    }
    tag = pk_take_u8(c);
    if (tag > 11) {
        c->bad = true;
        return slot;
    }
    slot.kind = tag % 3 == 2 ? PK_NODE : PK_CONTENTS;
    if (tag < 6) {
        slot.step = pk_dict_string(&store->dict, pk_take_varint(c));
        c->bad = c->bad || slot.step.p == NULL;
    } else {
        slot.step = pk_take_boxed(c);
    }
    if (tag % 6 < 3) {
        slot.addr.off = pk_take_int63(c);
        return slot;
    }
    slot.addr.by_hash = true;
    hash = pk_take(c, store->scheme.hash_len);
    if (hash != NULL) {
        memcpy(slot.addr.hash.b, hash, store->scheme.hash_len);
    }
    return slot;
}

/* Head of a body: what it is, how many slots. */
static bool inode_take_head(const struct pk_store *store, struct pk_cursor *c,
                            struct pk_inode *head)
{
    uint8_t tag = pk_take_u8(c);
    uint64_t depth = 0;
    uint64_t n;

    head->tree = tag == 1;
    if (head->tree) {
        depth = pk_take_varint(c);
        head->length = pk_take_varint(c);
    }
    n = pk_take_varint(c);
    if (c->bad || tag > 1 || depth >= store->scheme.max_depth ||
        n > store->scheme.config.entries || (head->tree && n == 0)) {
        return false;
    }
    head->depth = (uint32_t)depth;
    head->n = (uint32_t)n;
    if (!head->tree) {
        head->length = n;
    }
    return true;
}

/* Behind an inode stand at, hashes and raw. */
static void inode_lay_out(const struct pk_store *store, struct pk_inode *inode,
                          size_t raw_len)
{
    inode->at = (uint32_t *)(void *)(inode + 1);
    inode->hashes = (uint8_t *)(inode->at + inode->n);
    inode->raw = inode->hashes + inode->n * store->scheme.hash_len;
    inode->raw_len = raw_len;
    inode->kept.size = (size_t)(inode->raw - (uint8_t *)inode) + raw_len;
    inode->kept.what = PK_CACHED_INODE;
}

int pk_inode_decode(struct pk_store *store, const uint8_t *p, size_t len,
                    bool known_end, struct pk_inode **ret_inode)
{
    struct pk_cursor c = pk_cursor_of(p, len);
    struct pk_inode head = {0};
    struct pk_inode *inode;
    struct pk_slot last = {0};
    size_t size;

    if (!inode_take_head(store, &c, &head)) {
        return NF_EC_INODE;
    }
    size = sizeof(head) + head.n * (sizeof(uint32_t) + store->scheme.hash_len) +
           len;
    inode = nf_alloc(&store->ctx.mem, size);
    if (inode == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    *inode = head;
    inode_lay_out(store, inode, len);
    memcpy(inode->hashes + head.n * store->scheme.hash_len, p, len);
    c = pk_cursor_of(inode->raw, len);
    (void)inode_take_head(store, &c, &head); /* as above */
    for (uint32_t i = 0; i < inode->n && !c.bad; i++) {
        struct pk_slot slot;

        inode->at[i] = (uint32_t)pk_cursor_pos(&c);
        slot = inode_take_slot(store, &c, inode->tree);
        if (inode->tree ? slot.index >= store->scheme.config.entries ||
                              (i > 0 && slot.index <= last.index)
                        : i > 0 && pk_step_compare(last.step, slot.step) >= 0) {
            c.bad = true;
        }
        last = slot;
    }
    if (c.bad || (known_end && c.p != c.end)) {
        nf_free(&store->ctx.mem, inode, size);
        return NF_EC_INODE;
    }
    inode->raw_len = pk_cursor_pos(&c);
    *ret_inode = inode;
    return 0;
}

/* A varint of what was decoded before. */
static uint64_t known_varint(const uint8_t **p)
{
    uint64_t v = 0;
    unsigned shift = 0;

    for (; **p >= 128; (*p)++, shift += 7) {
        v |= (uint64_t)(**p & 127) << shift;
    }
    return v | (uint64_t) * (*p)++ << shift;
}

/* The step of the binding that begins at *p, which goes behind it. */
static struct pk_slice known_step(const struct pk_store *store,
                                  const uint8_t **p)
{
    uint8_t tag = *(*p)++;
    uint64_t v = known_varint(p);
    struct pk_slice step;

    if (tag < 6) {
        return pk_dict_string(&store->dict, v);
    }
    step = (struct pk_slice){*p, (size_t)v};
    *p += v;
    return step;
}

void pk_inode_slot(const struct pk_store *store, const struct pk_inode *inode,
                   uint32_t i, struct pk_slot *ret)
{
    const uint8_t *p = inode->raw + inode->at[i];
    const uint8_t *at;
    uint8_t tag = *p;

    nf_assert(i < inode->n);
    if (inode->tree) {
        ret->kind = PK_NONE;
        ret->step = (struct pk_slice){NULL, 0};
        ret->name_id = NF_NOWHERE;
        ret->index = (uint32_t)known_varint(&p);
        ret->addr.by_hash = *p++ == 1;
    } else {
        ret->kind = tag % 3 == 2 ? PK_NODE : PK_CONTENTS;
        at = p + 1;
        ret->name_id = tag < 6 ? known_varint(&at) : NF_NOWHERE;
        ret->step = known_step(store, &p);
        ret->index = 0;
        ret->addr.by_hash = tag % 6 >= 3;
    }
    ret->addr.off = 0;
    if (ret->addr.by_hash) {
        memset(&ret->addr.hash, 0, sizeof(ret->addr.hash));
        memcpy(ret->addr.hash.b, p, store->scheme.hash_len);
    } else {
        ret->addr.off = nf_get_be64(p);
    }
}

/* -------------------------------------------------------------------- load */

/* So much of a line is spent on what stands before an inode. */
enum { INODE_BEHIND = 3072 };

/* Read and decode the inode at off; not in the cache, not verified. */
static int inode_read(struct pk_store *store, uint64_t off,
                      struct pk_inode **ret_inode)
{
    struct pk_inode *inode = NULL;
    struct pk_head head;
    size_t want = 0;
    int err = pk_store_bring(store, off, INODE_BEHIND);

    if (err != 0) {
        return err;
    }
    for (;;) {
        size_t had;

        err = pk_object_read(store, off, want, &head);
        if (err != 0) {
            return err;
        }
        had = store->entry_buf.len;
        err = !pk_kind_is_inode(head.kind)
                  ? NF_EC_INODE
                  : pk_inode_decode(store, store->entry_buf.p + head.body,
                                    had - head.body, head.len != 0, &inode);
        if (err == 0) {
            break;
        }
        if (err != NF_EC_INODE || head.len != 0 || had < want ||
            had > 1u << 24) {
            return err == NF_EC_INODE ? inode_bad(store, off, "inode") : err;
        }
        want = had * 2; /* only its body tells how long it is */
    }
    inode->kept.off = off;
    inode->hash = head.hash;
    inode->kind = head.kind;
    *ret_inode = inode;
    return 0;
}

/* Fill in the hashes of the bindings or children. */
static int inode_read_hashes(struct pk_store *store, struct pk_inode *inode)
{
    size_t hash_len = store->scheme.hash_len;

    for (uint32_t i = 0; i < inode->n; i++) {
        struct pk_slot slot;
        struct pk_digest hash;
        uint8_t kind;
        bool fits;
        int err;

        pk_inode_slot(store, inode, i, &slot);
        if (slot.addr.by_hash) {
            memcpy(inode->hashes + i * hash_len, slot.addr.hash.b, hash_len);
            continue;
        }
        if (slot.addr.off >= inode->kept.off &&
            (inode->kind == 'R' || inode->kind == 'O')) {
            return inode_bad(store, inode->kept.off, "reference ahead");
        }
        err = pk_object_hash(store, slot.addr.off, &kind, &hash);
        if (err != 0) {
            return err == NF_EC_NO_OBJECT
                       ? pk_store_fail(store, NF_EC_UNRESOLVED, inode->kept.off,
                                       "reference")
                       : err;
        }
        fits = slot.kind == PK_CONTENTS && !inode->tree
                   ? kind == 'B'
                   : pk_kind_is_inode(kind);
        if (!fits) {
            return inode_bad(store, inode->kept.off, "kind of a reference");
        }
        memcpy(inode->hashes + i * hash_len, hash.b, hash_len);
    }
    inode->has_hashes = true;
    return 0;
}

int pk_inode_slot_hash(struct pk_store *store, struct pk_inode *inode,
                       uint32_t i, struct pk_digest *ret)
{
    int err = inode->has_hashes ? 0 : inode_read_hashes(store, inode);

    if (err == 0) {
        memset(ret, 0, sizeof(*ret));
        memcpy(ret->b, inode->hashes + i * store->scheme.hash_len,
               store->scheme.hash_len);
    }
    return err;
}

/* What a stable root hashes: all bindings below, by step. Copied, as the inodes
 * that hold them come and go. */
struct inode_flat {
    struct pk_leaf *leaves;
    size_t n;
    size_t cap;
    struct pk_buf bytes; /* steps and hashes */
};

/* Insert in order; the leaves hold positions in bytes until all are there. */
static int flat_add(struct pk_store *store, struct inode_flat *flat,
                    const struct pk_slot *slot, const uint8_t *hash)
{
    struct pk_leaf *leaf = &flat->leaves[flat->n];

    if (flat->n == flat->cap) {
        return NF_EC_INODE;
    }
    leaf->kind = slot->kind;
    leaf->index = (uint32_t)flat->bytes.len;
    leaf->step.len = slot->step.len;
    pk_put(&flat->bytes, hash, store->scheme.hash_len);
    pk_put(&flat->bytes, slot->step.p, slot->step.len);
    flat->n++;
    return flat->bytes.failed ? pk_fail_mem(&store->ctx) : 0;
}

static int flat_compare(const void *arg, uint32_t a, uint32_t b)
{
    const struct pk_leaf *leaves = arg;

    return pk_step_compare(leaves[a].step, leaves[b].step);
}

static int flat_sort(struct pk_store *store, struct inode_flat *flat)
{
    const size_t size = flat->n * sizeof(*flat->leaves);
    const size_t order_size = flat->n * sizeof(uint32_t);
    struct pk_leaf *sorted = nf_alloc(&store->ctx.mem, size);
    uint32_t *order = nf_alloc(&store->ctx.mem, order_size);

    if (sorted != NULL && order != NULL) {
        for (size_t i = 0; i < flat->n; i++) {
            struct pk_leaf *leaf = &flat->leaves[i];

            leaf->hash = flat->bytes.p + leaf->index;
            leaf->step.p = leaf->hash + store->scheme.hash_len;
            order[i] = (uint32_t)i;
        }
        pk_sort(order, flat->n, flat_compare, flat->leaves);
        for (size_t i = 0; i < flat->n; i++) {
            sorted[i] = flat->leaves[order[i]];
        }
        memcpy(flat->leaves, sorted, size);
    }
    nf_free(&store->ctx.mem, sorted, size);
    nf_free(&store->ctx.mem, order, order_size);
    return sorted != NULL && order != NULL ? 0 : pk_fail_mem(&store->ctx);
}

/* Is a step in the children that it belongs into, on the way of a pass? The
 * hash of a stable root does not tell. */
static int flat_check(const struct pk_inode_iter *iter, struct pk_slice step)
{
    struct pk_store *store = iter->store;
    int err = 0;

    for (uint32_t d = 0; d + 1 < iter->depth && err == 0; d++) {
        struct pk_slot above;
        uint32_t index = 0;

        pk_inode_slot(store, iter->inodes[d], iter->next[d] - 1u, &above);
        err = pk_child_index(&store->scheme, d, step, &index);
        if (err == NF_EC_DEPTH || (err == 0 && index != above.index)) {
            err = pk_store_fail(store, NF_EC_SHAPE, iter->inodes[d]->kept.off,
                                "step in the wrong child");
        }
    }
    return err;
}

/* The pre-image of a stable root Tree, into scratch. */
static int inode_pre_stable(struct pk_store *store, struct pk_inode *root)
{
    struct inode_flat flat = {.cap = (size_t)root->length};
    struct pk_inode_iter iter = {.store = store};
    struct pk_slot slot;
    struct pk_inode *at;
    uint32_t i;
    int err = 0;

    flat.bytes = pk_buf_of(&store->ctx.mem);
    flat.leaves =
        nf_calloc(&store->ctx.mem, flat.cap + 1, sizeof(*flat.leaves));
    if (flat.leaves == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    root->kept.pins++;
    iter.inodes[0] = root;
    iter.depth = 1;
    while ((err = pk_inode_iter_next(&iter, &slot, &at, &i)) > 0) {
        err = at->has_hashes ? 0 : inode_read_hashes(store, at);
        if (err == 0) {
            err = flat_check(&iter, slot.step);
        }
        if (err == 0) {
            err = flat_add(store, &flat, &slot,
                           at->hashes + i * store->scheme.hash_len);
        }
        if (err != 0) {
            break;
        }
    }
    pk_inode_iter_end(&iter);
    if (err == 0 && flat.n != root->length) {
        err = NF_EC_INODE;
    }
    if (err == NF_EC_INODE) {
        err = inode_bad(store, root->kept.off, "length");
    }
    if (err == 0) {
        err = flat_sort(store, &flat);
    }
    if (err == 0) {
        pk_buf_clear(&store->scratch);
        pk_pre_flat(&store->scheme, flat.leaves, flat.n, &store->scratch);
    }
    nf_free(&store->ctx.mem, flat.leaves,
            (flat.cap + 1) * sizeof(*flat.leaves));
    pk_buf_deinit(&flat.bytes);
    return err;
}

/* The pre-image of any other inode, into scratch. */
static int inode_pre(struct pk_store *store, const struct pk_inode *inode,
                     bool flat)
{
    size_t hash_len = store->scheme.hash_len;
    struct pk_leaf *leaves =
        nf_calloc(&store->ctx.mem, inode->n + 1u, sizeof(*leaves));

    if (leaves == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    for (uint32_t i = 0; i < inode->n; i++) {
        struct pk_slot slot;

        pk_inode_slot(store, inode, i, &slot);
        leaves[i] = (struct pk_leaf){slot.step, slot.index, slot.kind,
                                     inode->hashes + i * hash_len};
    }
    pk_buf_clear(&store->scratch);
    if (flat) {
        pk_pre_flat(&store->scheme, leaves, inode->n, &store->scratch);
    } else if (inode->tree) {
        pk_pre_tree(&store->scheme, inode->depth, inode->length, leaves,
                    inode->n, &store->scratch);
    } else {
        pk_pre_values(&store->scheme, leaves, inode->n, &store->scratch);
    }
    nf_free(&store->ctx.mem, leaves, (inode->n + 1u) * sizeof(*leaves));
    return 0;
}

static int inode_digest(struct pk_store *store, struct pk_inode *inode,
                        enum pk_role role, struct pk_digest *ret)
{
    bool flat = inode->length == 0 ||
                (role == PK_ROLE_ROOT &&
                 inode->length <= store->scheme.config.stable_hash);
    int err;

    if (flat && inode->tree) {
        err = inode_pre_stable(store, inode);
    } else {
        err = inode_pre(store, inode, flat);
    }
    if (err == 0 && store->scratch.failed) {
        err = pk_fail_mem(&store->ctx);
    }
    if (err == 0) {
        store->counters.objects_hashed++;
        store->counters.bytes_hashed += store->scratch.len;
        err = pk_digest_of(&store->scheme, store->scratch.p, store->scratch.len,
                           ret);
    }
    return err;
}

static int inode_verify(struct pk_store *store, struct pk_inode *inode,
                        enum pk_role role)
{
    struct pk_digest hash;
    int err = inode_digest(store, inode, role, &hash);

    if (err == 0 && memcmp(&hash, &inode->hash, sizeof(hash)) != 0) {
        err = pk_store_fail(store, NF_EC_HASH, inode->kept.off, "inode");
    }
    return err;
}

bool pk_inode_is_root(const struct pk_inode *inode)
{
    if (inode->kind == 'N' && !inode->tree) {
        return true;
    }
    if (inode->kind == 'N' || inode->kind == 'I') {
        return inode->tree && inode->depth == 0;
    }
    return inode->kind == 'R';
}

/* Does an entry of this kind play this role (spec 3.6, root flag)? */
static bool inode_fits_role(const struct pk_store *store,
                            const struct pk_inode *inode, enum pk_role role)
{
    bool root = pk_inode_is_root(inode);

    if (role == PK_ROLE_ROOT) {
        /* Under `always` upstream may name a child that equals the root. */
        return (root || inode->length > store->scheme.config.stable_hash) &&
               inode->depth == 0;
    }
    return !root;
}

/* The inode at off in the cache, or NULL. */
static struct pk_inode *inode_kept(struct pk_store *store, uint64_t off)
{
    return (struct pk_inode *)(void *)pk_cache_find(&store->cache,
                                                    PK_CACHED_INODE, off);
}

/* Where many children stand side by side the first is the lowest. */
static int inode_bring_children(struct pk_store *store,
                                const struct pk_inode *inode)
{
    struct pk_slot slot = {.addr.by_hash = true};

    if (inode->n > 0) {
        pk_inode_slot(store, inode, 0, &slot);
    }
    return slot.addr.by_hash ? 0 : pk_store_bring(store, slot.addr.off, 0);
}

int pk_inode_load(struct pk_store *store, uint64_t off, enum pk_role role,
                  struct pk_inode **ret_inode)
{
    bool verify = (store->flags & PK_OPEN_NO_VERIFY) == 0;
    struct pk_inode *inode = inode_kept(store, off);
    int err = 0;

    if (off == NF_NOWHERE && store->partial) {
        return pk_store_blinded(store);
    }
    if (inode != NULL) {
        store->counters.cache_hits++;
    } else {
        err = inode_read(store, off, &inode);
        if (err != 0) {
            return err;
        }
        if (verify) {
            err = inode_bring_children(store, inode);
        }
        if (err == 0 && verify) {
            err = inode_read_hashes(store, inode);
        }
        if (err == 0 && verify) {
            err = inode_verify(store, inode, role);
        }
        if (err == 0) {
            err = pk_cache_add(store, &inode->kept);
        }
        if (err != 0) {
            nf_free(&store->ctx.mem, inode, inode->kept.size);
            return err;
        }
    }
    if (!inode_fits_role(store, inode, role)) {
        return inode_bad(store, off, "root where a child belongs");
    }
    if (store->trail != NULL) {
        err = pk_trail_add(store->trail, &inode->hash);
        if (err != 0) {
            return err;
        }
    }
    inode->kept.pins++;
    *ret_inode = inode;
    return 0;
}

void pk_inode_unpin(struct pk_store *store, struct pk_inode *inode)
{
    (void)store;
    if (inode != NULL) {
        nf_assert(inode->kept.pins > 0);
        inode->kept.pins--;
    }
}

int pk_inode_peek(struct pk_store *store, uint64_t off,
                  struct pk_inode **ret_inode)
{
    return inode_read(store, off, ret_inode);
}

void pk_inode_drop(struct pk_store *store, struct pk_inode *inode)
{
    if (inode != NULL) {
        nf_free(&store->ctx.mem, inode, inode->kept.size);
    }
}

int pk_inode_make(struct pk_store *store, struct pk_slice body,
                  enum pk_role role, struct pk_inode **ret_inode)
{
    uint64_t off = pk_store_end(store);
    struct pk_inode *inode = NULL;
    int err = pk_inode_decode(store, body.p, body.len, true, &inode);

    if (err != 0) {
        return err == NF_EC_INODE ? inode_bad(store, off, "inode") : err;
    }
    inode->kept.off = off;
    inode->kind = role == PK_ROLE_ROOT ? 'R' : 'O';
    if (role == PK_ROLE_ROOT && inode->depth != 0) {
        err = inode_bad(store, off, "depth");
    }
    if (err == 0) {
        err = inode_read_hashes(store, inode);
    }
    if (err == 0) {
        err = inode_digest(store, inode, role, &inode->hash);
    }
    if (err != 0) {
        pk_inode_drop(store, inode);
        return err;
    }
    *ret_inode = inode;
    return 0;
}

int pk_inode_keep(struct pk_store *store, struct pk_inode *inode)
{
    int err = pk_cache_add(store, &inode->kept);

    if (err != 0) {
        pk_inode_drop(store, inode);
    }
    return err;
}

int pk_inode_check_child(struct pk_store *store, const struct pk_inode *parent,
                         const struct pk_inode *child)
{
    if (!inode_fits_role(store, child, PK_ROLE_CHILD)) {
        return inode_bad(store, child->kept.off, "root where a child belongs");
    }
    if (child->length == 0 || child->length > parent->length ||
        (child->tree && child->depth != parent->depth + 1)) {
        return inode_bad(store, child->kept.off, "depth or length");
    }
    return 0;
}

int pk_inode_load_child(struct pk_store *store, const struct pk_inode *parent,
                        uint32_t i, struct pk_inode **ret_inode)
{
    struct pk_inode *inode = NULL;
    struct pk_slot slot;
    uint64_t off = 0;
    int err;

    pk_inode_slot(store, parent, i, &slot);
    err = pk_addr_resolve(store, &slot.addr, &off);
    if (err == 0) {
        err = pk_inode_load(store, off, PK_ROLE_CHILD, &inode);
    }
    if (err != 0) {
        return err;
    }
    err = pk_inode_check_child(store, parent, inode);
    if (err != 0) {
        pk_inode_unpin(store, inode);
        return err;
    }
    *ret_inode = inode;
    return 0;
}

void pk_inode_remember(struct pk_store *store, const struct pk_inode *made,
                       struct pk_slice tail)
{
    const size_t front = made->n * (sizeof(*made->at) + store->scheme.hash_len);
    const size_t size = sizeof(*made) + tail.len;
    struct pk_inode *inode = nf_alloc(&store->ctx.mem, size);

    if (inode == NULL) {
        return;
    }
    *inode = *made;
    memcpy(inode + 1, tail.p, tail.len);
    inode_lay_out(store, inode, tail.len - front);
    inode->has_hashes = true;
    if (pk_cache_add(store, &inode->kept) != 0) {
        nf_free(&store->ctx.mem, inode, size);
    }
}

/* ----------------------------------------------------------------- look up */

/* The binding of step, or the child of index; false: none. */
static bool inode_search(const struct pk_store *store,
                         const struct pk_inode *inode, struct pk_slice step,
                         uint32_t index, uint32_t *ret_i)
{
    uint32_t lo = 0;
    uint32_t hi = inode->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const uint8_t *p = inode->raw + inode->at[mid];
        int c;

        if (inode->tree) {
            uint64_t at = known_varint(&p);

            c = (at > index) - (at < index);
        } else {
            c = pk_step_compare(known_step(store, &p), step);
        }
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
    return false;
}

int pk_inode_find(struct pk_store *store, uint64_t off, struct pk_slice step,
                  struct pk_slot *ret_slot, struct pk_digest *ret_hash)
{
    struct pk_inode *inode = NULL;
    uint32_t i = 0;
    int err = pk_inode_load(store, off, PK_ROLE_ROOT, &inode);

    while (err == 0) {
        struct pk_inode *child = NULL;
        uint32_t index = 0;

        if (inode->tree) {
            err = pk_child_index(&store->scheme, inode->depth, step, &index);
        }
        if (err == 0 && !inode_search(store, inode, step, index, &i)) {
            err = NF_ENOENT;
        }
        if (err != 0 || !inode->tree) {
            break;
        }
        err = pk_inode_load_child(store, inode, i, &child);
        pk_inode_unpin(store, inode);
        inode = child;
    }
    if (err == 0) {
        pk_inode_slot(store, inode, i, ret_slot);
        ret_slot->step = (struct pk_slice){NULL, 0};
        if (ret_hash != NULL) {
            err = pk_inode_slot_hash(store, inode, i, ret_hash);
        }
    }
    pk_inode_unpin(store, inode);
    return err;
}
