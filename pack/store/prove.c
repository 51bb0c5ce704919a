/* SPDX-License-Identifier: ISC */
/*
 * Making proofs (spec 9.4). While the operations run, and while what they
 * leave behind is hashed, the store notes the hash of every object that it
 * loads. The proof is the tree as it was, gone through from the root: what was
 * noted is shown, anything else is its hash.
 *
 *   - a directory that hashes like a list is shown as one, whatever inodes it
 *     is stored as
 *   - inodes of one child each, two or more, become an extender
 *
 * Directories nest as deep as a user likes: the levels are a stack in memory.
 */
#include <notafs/proof.h>

#include <string.h>

#include "pack/arena.h"
#include "pack/locate.h"
#include "pack/objects.h"
#include "pack/proof.h"
#include "pack/sort.h"
#include "pack/store/repo.h"
#include "pack/trail.h"

enum { DEFAULT_MAX_LEN = 64 << 20 };

/* A binding, or a child of an inode. */
struct branch {
    struct pk_slice step;
    uint32_t index;
    enum pk_kind kind;
    uint64_t off;
    struct pk_digest hash;
};

/* Branches of one part, of which the first `next` are in the proof. */
struct level {
    struct branch *branches;
    size_t n;
    size_t next;
    enum pk_role role; /* of those that are inodes */
};

struct prover {
    struct pk_store *store;
    struct pk_trail trail;
    struct pk_proof proof;
    struct pk_arena arena; /* what is in the proof, and levels' branches */
    struct level *stack;
    size_t depth;
    size_t cap;
    size_t len; /* of the proof so far, or a little less */
    size_t max_len;
    struct pk_inode_iter iter; /* too large for the stack */
};

static int fail_mem(struct prover *p)
{
    return pk_fail_mem(&p->store->ctx);
}

static int add_node(struct prover *p, const struct pk_proof_node *node)
{
    p->len += 2 + node->step.len + node->bytes.len;
    if (p->len > p->max_len) {
        return pk_fail(&p->store->ctx, NF_EFBIG, NULL, NF_NOWHERE, "proof");
    }
    return pk_proof_add(&p->proof, node);
}

/* Bytes that last as long as the proof; NULL when there is no memory. */
static const uint8_t *keep(struct prover *p, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = pk_arena_alloc(&p->arena, len);

    if (copy != NULL && len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

/* A level of n branches, to be filled in, on top of the stack. */
static int push_level(struct prover *p, size_t n, enum pk_role role,
                      struct level **ret)
{
    struct branch *branches = pk_arena_alloc(&p->arena, n * sizeof(*branches));

    if (p->depth == p->cap) {
        size_t cap = p->cap == 0 ? 16 : 2 * p->cap;
        struct level *stack =
            nf_realloc(&p->store->ctx.mem, p->stack, p->cap * sizeof(*stack),
                       cap * sizeof(*stack));

        if (stack == NULL) {
            return fail_mem(p);
        }
        p->stack = stack;
        p->cap = cap;
    }
    if (branches == NULL) {
        return fail_mem(p);
    }
    p->stack[p->depth] = (struct level){branches, 0, 0, role};
    *ret = &p->stack[p->depth++];
    return 0;
}

/* The i-th binding or child of an inode. */
static int take_branch(struct prover *p, struct pk_inode *inode, uint32_t i,
                       struct branch *ret)
{
    struct pk_slot slot;
    int err;

    pk_inode_slot(p->store, inode, i, &slot);
    ret->step.len = slot.step.len;
    ret->step.p = keep(p, slot.step.p, slot.step.len);
    ret->index = slot.index;
    ret->kind = inode->tree ? PK_NODE : slot.kind;
    if (ret->step.p == NULL) {
        return fail_mem(p);
    }
    err = pk_addr_resolve(p->store, &slot.addr, &ret->off);
    return err == 0 ? pk_inode_slot_hash(p->store, inode, i, &ret->hash) : err;
}

static int branch_compare(const void *arg, uint32_t a, uint32_t b)
{
    const struct branch *branches = arg;

    return pk_step_compare(branches[a].step, branches[b].step);
}

/* All bindings below an inode, by step, as a level; fewer than so many. */
static int push_bindings(struct prover *p, struct pk_inode *inode,
                         struct level **ret)
{
    const size_t n = (size_t)inode->length;
    struct pk_inode_iter *iter = &p->iter;
    struct branch *branches = pk_arena_alloc(&p->arena, n * sizeof(*branches));
    uint32_t *order = pk_arena_alloc(&p->arena, n * sizeof(*order));
    struct pk_inode *at;
    struct pk_slot slot;
    size_t i = 0;
    uint32_t slot_at;
    int err = push_level(p, n, PK_ROLE_ROOT, ret);

    if (err == 0 && (branches == NULL || order == NULL)) {
        err = fail_mem(p);
    }
    iter->store = p->store;
    iter->inodes[0] = inode;
    iter->next[0] = 0;
    iter->depth = 1;
    inode->kept.pins++;
    while (err == 0 &&
           (err = pk_inode_iter_next(iter, &slot, &at, &slot_at)) > 0) {
        if (i == n) {
            err =
                pk_store_fail(p->store, NF_EC_INODE, inode->kept.off, "length");
            break;
        }
        order[i] = (uint32_t)i;
        err = take_branch(p, at, slot_at, &branches[i++]);
    }
    pk_inode_iter_end(iter);
    if (err != 0) {
        return err;
    }
    pk_sort(order, i, branch_compare, branches);
    for (size_t k = 0; k < i; k++) {
        (*ret)->branches[k] = branches[order[k]];
    }
    (*ret)->n = i;
    return 0;
}

static int push_children(struct prover *p, struct pk_inode *inode,
                         struct level **ret)
{
    int err = push_level(p, inode->n, PK_ROLE_CHILD, ret);

    for (uint32_t i = 0; i < inode->n && err == 0; i++) {
        err = take_branch(p, inode, i, &(*ret)->branches[i]);
    }
    if (err == 0) {
        (*ret)->n = inode->n;
    }
    return err;
}

/* What inodes of one child each, from inode on, lead to, and the way. */
struct chain {
    uint8_t segments[2 * PK_INODE_MAX_DEPTH];
    size_t len;
    uint64_t n;
    struct branch bottom;
};

static int follow_chain(struct prover *p, struct pk_inode *inode,
                        struct chain *chain)
{
    struct pk_inode *child;
    int err = 0;

    *chain = (struct chain){.len = 0};
    inode->kept.pins++;
    while (inode->tree && inode->n == 1 && chain->n < PK_INODE_MAX_DEPTH) {
        err = take_branch(p, inode, 0, &chain->bottom);
        if (err != 0) {
            break;
        }
        if (chain->bottom.index >= 128) {
            chain->segments[chain->len++] =
                (uint8_t)(chain->bottom.index | 128);
            chain->bottom.index >>= 7;
        }
        chain->segments[chain->len++] = (uint8_t)chain->bottom.index;
        chain->n++;
        if (!pk_trail_has(&p->trail, &chain->bottom.hash)) {
            break;
        }
        err = pk_inode_load_child(p->store, inode, 0, &child);
        if (err != 0) {
            break;
        }
        pk_inode_unpin(p->store, inode);
        inode = child;
    }
    pk_inode_unpin(p->store, inode);
    return err;
}

static int show_extender(struct prover *p, const struct chain *chain,
                         struct pk_proof_node *node)
{
    struct level *level = NULL;
    int err = push_level(p, 1, PK_ROLE_CHILD, &level);

    if (err != 0) {
        return err;
    }
    level->branches[0] = chain->bottom;
    level->n = 1;
    node->kind = PK_PROOF_EXTENDER;
    node->n_segments = chain->n;
    node->n_children = 1;
    node->bytes =
        (struct pk_slice){keep(p, chain->segments, chain->len), chain->len};
    return node->bytes.p == NULL ? fail_mem(p) : add_node(p, node);
}

/* A directory, or an inode below one, and the level of what is in it. */
static int show_inode(struct prover *p, const struct branch *branch,
                      enum pk_role role, struct pk_proof_node *node)
{
    const uint64_t stable = p->store->scheme.config.stable_hash;
    struct pk_inode *inode = NULL;
    struct level *level = NULL;
    struct chain chain = {.n = 0};
    int err = pk_inode_load(p->store, branch->off, role, &inode);

    if (err != 0) {
        return err;
    }
    node->length = inode->tree ? inode->length : 0;
    node->kind = PK_PROOF_INODE;
    if (!inode->tree || (role == PK_ROLE_ROOT && inode->length <= stable)) {
        node->kind = PK_PROOF_NODE;
        node->length = 0;
        err = push_bindings(p, inode, &level);
    } else {
        err = follow_chain(p, inode, &chain);
        if (err == 0 && chain.n < 2) {
            err = push_children(p, inode, &level);
        }
    }
    pk_inode_unpin(p->store, inode);
    if (err == 0 && chain.n >= 2) {
        return show_extender(p, &chain, node);
    }
    if (err == 0) {
        node->n_children = (uint32_t)level->n;
        err = add_node(p, node);
    }
    return err;
}

static int show_contents(struct prover *p, const struct branch *branch,
                         struct pk_proof_node *node)
{
    struct pk_bytes bytes;
    int err = pk_contents_read(p->store, branch->off, &branch->hash, &bytes);

    if (err != 0) {
        return err;
    }
    node->kind = PK_PROOF_CONTENTS;
    node->bytes = (struct pk_slice){keep(p, bytes.p, bytes.len), bytes.len};
    nf_free(&p->store->ctx.mem, bytes.own, bytes.len);
    return node->bytes.p == NULL ? fail_mem(p) : add_node(p, node);
}

static int show_branch(struct prover *p, const struct branch *branch,
                       enum pk_role role)
{
    struct pk_proof_node node = {.step = branch->step, .index = branch->index};

    if (pk_trail_has(&p->trail, &branch->hash)) {
        return branch->kind == PK_CONTENTS ? show_contents(p, branch, &node)
                                           : show_inode(p, branch, role, &node);
    }
    node.kind = branch->kind == PK_CONTENTS ? PK_PROOF_BLINDED_CONTENTS
                                            : PK_PROOF_BLINDED_NODE;
    node.bytes.len = p->store->scheme.hash_len;
    node.bytes.p = keep(p, branch->hash.b, node.bytes.len);
    return node.bytes.p == NULL ? fail_mem(p) : add_node(p, &node);
}

/* The whole proof; an empty tree that is not stored has nothing in it. */
static int show_tree(struct prover *p, uint64_t off)
{
    const struct branch root = {
        .kind = PK_NODE, .off = off, .hash = p->proof.before.hash};
    const struct pk_proof_node empty = {.kind = PK_PROOF_NODE};
    int err;

    if (off == NF_NOWHERE) {
        return add_node(p, &empty);
    }
    err = pk_trail_add(&p->trail, &root.hash);
    if (err == 0) {
        err = show_branch(p, &root, PK_ROLE_ROOT);
    }
    while (err == 0 && p->depth > 0) {
        struct level *top = &p->stack[p->depth - 1];

        if (top->next == top->n) {
            p->depth--;
        } else {
            err = show_branch(p, &top->branches[top->next++], top->role);
        }
    }
    return err;
}

/* Run fn on the tree as it is in the store, noting what is loaded. */
static int run(struct prover *p, struct pk_repo *repo,
               const struct pk_place *place, pk_proof_fn fn, void *arg)
{
    struct pk_trail *outer = repo->store.trail;
    struct pk_node *node = NULL;
    struct pk_tree *tree = NULL;
    int err = pk_place_node(repo, place, &node);

    if (err != 0) {
        return err;
    }
    err = pk_tree_of_node(repo, node, &tree);
    if (err != 0) {
        pk_node_unref(repo, node);
        return err;
    }
    repo->store.trail = &p->trail;
    err = fn(arg, tree);
    if (err == 0) {
        err = pk_tree_hash(tree, &p->proof.after.hash);
    }
    repo->store.trail = outer;
    pk_tree_free(tree);
    return err;
}

/* The proof in its binary form. */
static int give(struct prover *p, struct pk_bytes *ret_proof)
{
    struct nf_mem *mem = &p->store->ctx.mem;
    struct pk_buf out = pk_buf_of(mem);
    uint8_t *copy = NULL;
    int err = pk_proof_check(&p->proof, &p->store->scheme.config);

    if (err == 0) {
        pk_proof_encode(&p->proof, &p->store->scheme.config, &out);
        copy = out.failed ? NULL : nf_alloc(mem, out.len);
        err = copy == NULL ? fail_mem(p) : 0;
    }
    if (err == 0) {
        memcpy(copy, out.p, out.len);
        *ret_proof = (struct pk_bytes){copy, out.len, copy};
    }
    pk_buf_deinit(&out);
    return err;
}

int pk_proof_make(struct pk_tree *tree, size_t max_len, pk_proof_fn fn,
                  void *arg, struct pk_proof_ends *ret_ends,
                  struct pk_bytes *ret_proof)
{
    struct pk_store *store = &tree->repo->store;
    struct nf_mem *mem = &store->ctx.mem;
    const struct pk_place place = pk_place_of_node(tree->root);
    struct prover *p;
    int err;

    if (tree->root->changes != NULL) {
        return pk_fail(&store->ctx, NF_EINVAL, NULL, NF_NOWHERE,
                       "proof of a tree with changes");
    }
    p = nf_calloc(mem, 1, sizeof(*p));
    if (p == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    p->store = store;
    p->max_len = max_len == 0 ? DEFAULT_MAX_LEN : max_len;
    p->trail = pk_trail_of(&store->ctx);
    p->arena = pk_arena_of(mem);
    pk_proof_init(&p->proof, &store->ctx);
    p->proof.before.kind = PK_NODE;
    p->proof.after.kind = PK_NODE;
    err = pk_tree_hash(tree, &p->proof.before.hash);
    if (err == 0) {
        err = run(p, tree->repo, &place, fn, arg);
    }
    if (err == 0) {
        err = show_tree(p, tree->root->base);
    }
    if (err == 0) {
        err = give(p, ret_proof);
    }
    if (err == 0) {
        *ret_ends =
            (struct pk_proof_ends){p->proof.before.hash, p->proof.after.hash};
    }
    nf_free(mem, p->stack, p->cap * sizeof(*p->stack));
    pk_arena_clear(&p->arena);
    pk_proof_deinit(&p->proof);
    pk_trail_deinit(&p->trail);
    nf_free(mem, p, sizeof(*p));
    return err;
}
