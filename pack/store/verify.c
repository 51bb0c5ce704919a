/* SPDX-License-Identifier: ISC */
/*
 * Verifying proofs (spec 9.4). A proof is made a store of its own, in memory:
 * every part that it shows becomes an entry, the innermost first, so that its
 * hash is computed from what is in it; what it does not show is a reference by
 * hash to nothing. The operations then run as on any store, and loading what
 * is not shown fails, for good: also where they would not mind the error.
 */
#include <notafs/proof.h>

#include <string.h>

#include "notafs/platform/assert.h"
#include "pack/objects.h"
#include "pack/proof.h"
#include "pack/store/repo.h"

/* Files in memory have no space when there is no memory. */
static int no_memory(int err)
{
    return err == NF_ENOSPC ? NF_ENOMEM : err;
}

/* What a part has become. */
struct built {
    uint64_t off; /* NF_NOWHERE: not shown */
    struct pk_digest hash;
};

struct verifier {
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_proof proof;
    struct built *built;    /* of each node of the proof */
    struct pk_leaf *leaves; /* of the inode in work; so many fit */
    struct pk_buf body;
    struct pk_buf pre;
};

static struct pk_store *store_of(struct verifier *v)
{
    return &v->repo->store;
}

static int fail(struct verifier *v, const char *what)
{
    return pk_fail(&store_of(v)->ctx, NF_EC_PROOF, NULL, NF_NOWHERE, what);
}

static enum pk_kind kind_of(const struct pk_proof_node *node)
{
    return node->kind == PK_PROOF_CONTENTS ||
                   node->kind == PK_PROOF_BLINDED_CONTENTS
               ? PK_CONTENTS
               : PK_NODE;
}

static struct pk_addr addr_of(const struct built *built)
{
    return (struct pk_addr){.by_hash = built->off == NF_NOWHERE,
                            .off = built->off,
                            .hash = built->hash};
}

/* Hash what is in pre, and append what is in body as an inode. */
static int append_inode(struct verifier *v, uint64_t depth, struct built *ret)
{
    struct pk_store *store = store_of(v);
    int err;

    if (v->pre.failed || v->body.failed) {
        return pk_fail_mem(&store->ctx);
    }
    err = pk_digest_of(&store->scheme, v->pre.p, v->pre.len, &ret->hash);
    if (err == 0) {
        err = pk_object_append_boxed(store, depth == 0 ? 'R' : 'O', &ret->hash,
                                     (struct pk_slice){v->body.p, v->body.len},
                                     &ret->off);
    }
    return err;
}

static int build_contents(struct verifier *v, uint32_t at)
{
    const struct pk_proof_node *node = &v->proof.nodes[at];
    struct built *built = &v->built[at];
    int err =
        pk_digest_contents(&store_of(v)->scheme, node->bytes, &built->hash);

    return err == 0 ? pk_object_append_boxed(store_of(v), 'B', &built->hash,
                                             node->bytes, &built->off)
                    : err;
}

/* A directory of bindings, of which there may be more than an inode takes. */
static int build_directory(struct verifier *v, uint32_t at)
{
    const struct pk_proof_node *nodes = v->proof.nodes;
    struct pk_node *dir = pk_node_new(v->repo);
    int err = dir == NULL ? pk_fail_mem(&store_of(v)->ctx) : 0;

    for (uint32_t c = at + 1; c < nodes[at].end && err == 0; c = nodes[c].end) {
        struct pk_item item = {.what = PK_ITEM_KEY};

        item.u.key = pk_key_new(v->repo, kind_of(&nodes[c]), v->built[c].off,
                                &v->built[c].hash);
        if (item.u.key == NULL) {
            err = pk_fail_mem(&store_of(v)->ctx);
            break;
        }
        err = pk_change_put(v->repo, &dir->changes, nodes[c].step, item);
        if (err != 0) {
            pk_item_unref(v->repo, item);
        }
        dir->count += err == 0;
    }
    if (err == 0) {
        err = pk_node_export(v->repo, dir);
    }
    if (err == 0) {
        v->built[at] = (struct built){dir->base, dir->hash};
    }
    pk_node_unref(v->repo, dir);
    return err;
}

/* Bindings below an inode. */
static int build_values(struct verifier *v, uint32_t at)
{
    const struct pk_proof_node *nodes = v->proof.nodes;
    const struct pk_proof_node *node = &nodes[at];
    const size_t hash_len = store_of(v)->scheme.hash_len;
    size_t n = 0;

    pk_put_u8(&v->body, 0);
    pk_put_varint(&v->body, node->n_children);
    for (uint32_t c = at + 1; c < node->end; c = nodes[c].end) {
        const struct pk_addr addr = addr_of(&v->built[c]);
        const enum pk_kind kind = kind_of(&nodes[c]);

        pk_put_u8(&v->body, (uint8_t)(6 + (addr.by_hash ? 3 : 0) +
                                      (kind == PK_NODE ? 2 : 0)));
        pk_put_boxed(&v->body, nodes[c].step);
        if (addr.by_hash) {
            pk_put(&v->body, addr.hash.b, hash_len);
        } else {
            pk_put_be64(&v->body, addr.off);
        }
        v->leaves[n++] =
            (struct pk_leaf){nodes[c].step, 0, kind, v->built[c].hash.b};
    }
    pk_pre_values(&store_of(v)->scheme, v->leaves, n, &v->pre);
    return append_inode(v, node->depth, &v->built[at]);
}

static void put_child(struct verifier *v, uint64_t index,
                      const struct built *child)
{
    const struct pk_addr addr = addr_of(child);

    pk_put_varint(&v->body, index);
    pk_put_addr(&v->body, &addr, store_of(v)->scheme.hash_len);
}

static void put_tree(struct verifier *v, uint64_t depth, uint64_t length,
                     uint64_t n)
{
    pk_put_u8(&v->body, 1);
    pk_put_varint(&v->body, depth);
    pk_put_varint(&v->body, length);
    pk_put_varint(&v->body, n);
}

static int build_inode(struct verifier *v, uint32_t at)
{
    const struct pk_proof_node *nodes = v->proof.nodes;
    const struct pk_proof_node *node = &nodes[at];
    size_t n = 0;

    put_tree(v, node->depth, node->length, node->n_children);
    for (uint32_t c = at + 1; c < node->end; c = nodes[c].end) {
        put_child(v, nodes[c].index, &v->built[c]);
        v->leaves[n++] = (struct pk_leaf){
            {NULL, 0}, (uint32_t)nodes[c].index, PK_NONE, v->built[c].hash.b};
    }
    pk_pre_tree(&store_of(v)->scheme, node->depth, node->length, v->leaves, n,
                &v->pre);
    return append_inode(v, node->depth, &v->built[at]);
}

/* Inodes of one child each, the innermost first. */
static int build_extender(struct verifier *v, uint32_t at)
{
    const struct pk_proof_node *node = &v->proof.nodes[at];
    struct pk_cursor c = pk_cursor_of(node->bytes.p, node->bytes.len);
    uint32_t segments[PK_INODE_MAX_DEPTH];
    struct built below = v->built[at + 1];
    int err = 0;

    nf_assert(node->n_segments <= PK_INODE_MAX_DEPTH);
    for (uint64_t i = 0; i < node->n_segments; i++) {
        segments[i] = (uint32_t)pk_take_varint(&c);
    }
    for (uint64_t i = node->n_segments; i > 0 && err == 0; i--) {
        const uint64_t depth = node->depth + i - 1;
        const struct pk_leaf leaf = {
            {NULL, 0}, segments[i - 1], PK_NONE, below.hash.b};

        pk_buf_clear(&v->body);
        pk_buf_clear(&v->pre);
        put_tree(v, depth, node->length, 1);
        put_child(v, segments[i - 1], &below);
        pk_pre_tree(&store_of(v)->scheme, depth, node->length, &leaf, 1,
                    &v->pre);
        err = append_inode(v, depth, &below);
    }
    v->built[at] = below;
    return err;
}

static bool is_inner(const struct pk_proof *proof, uint32_t at)
{
    const uint32_t parent = proof->nodes[at].parent;

    return parent != PK_PROOF_NOWHERE &&
           (proof->nodes[parent].kind == PK_PROOF_INODE ||
            proof->nodes[parent].kind == PK_PROOF_EXTENDER);
}

static int build_part(struct verifier *v, uint32_t at)
{
    const struct pk_proof_node *node = &v->proof.nodes[at];

    pk_buf_clear(&v->body);
    pk_buf_clear(&v->pre);
    switch (node->kind) {
    case PK_PROOF_CONTENTS:
        return build_contents(v, at);
    case PK_PROOF_BLINDED_CONTENTS:
    case PK_PROOF_BLINDED_NODE:
        v->built[at].off = NF_NOWHERE;
        memcpy(v->built[at].hash.b, node->bytes.p, node->bytes.len);
        return 0;
    case PK_PROOF_NODE:
        return is_inner(&v->proof, at) ? build_values(v, at)
                                       : build_directory(v, at);
    case PK_PROOF_INODE:
        return build_inode(v, at);
    case PK_PROOF_EXTENDER:
        return build_extender(v, at);
    }
    return 0;
}

/* All parts, those inside before those that hold them. */
static int build(struct verifier *v)
{
    const uint32_t n = v->proof.n_nodes;
    struct pk_store *store = store_of(v);
    const size_t n_leaves = store->scheme.config.entries;
    int err = 0;

    v->body = pk_buf_of(&store->ctx.mem);
    v->pre = pk_buf_of(&store->ctx.mem);
    v->built = nf_calloc(&store->ctx.mem, n, sizeof(*v->built));
    v->leaves = nf_calloc(&store->ctx.mem, n_leaves, sizeof(*v->leaves));
    if (v->built == NULL || v->leaves == NULL) {
        err = pk_fail_mem(&store->ctx);
    }
    for (uint32_t at = n; at > 0 && err == 0; at--) {
        err = no_memory(build_part(v, at - 1));
    }
    pk_buf_deinit(&v->body);
    pk_buf_deinit(&v->pre);
    nf_free(&store->ctx.mem, v->leaves, n_leaves * sizeof(*v->leaves));
    return err;
}

/* The hash that the proof's tree has, and where its root is. */
static int check_before(struct verifier *v, const struct pk_proof_claim *claim,
                        uint64_t *ret_root)
{
    const struct pk_proof_root *before = &v->proof.before;
    const size_t len = sizeof(struct pk_digest);
    int err;

    if (before->kind != PK_NODE || v->proof.after.kind != PK_NODE) {
        return fail(v, "of contents, not of a tree");
    }
    if (claim->root != NULL && memcmp(&before->hash, claim->root, len) != 0) {
        return fail(v, "of another tree");
    }
    err = build(v);
    if (err == 0 && memcmp(&v->built[0].hash, &before->hash, len) != 0) {
        err = fail(v, "what is shown does not have the hash of the tree");
    }
    if (v->built != NULL) {
        *ret_root = v->built[0].off;
        nf_free(&store_of(v)->ctx.mem, v->built,
                v->proof.n_nodes * sizeof(*v->built));
    }
    return err;
}

static int check_after(struct verifier *v, uint64_t root, pk_proof_fn fn,
                       void *arg)
{
    const struct pk_place place = {.kind = PK_NODE, .off = root};
    struct pk_store *store = store_of(v);
    struct pk_node *node = NULL;
    struct pk_tree *tree = NULL;
    struct pk_digest after;
    int err;

    store->partial = true;
    store->flags |= PK_OPEN_NO_VERIFY; /* the hashes were made here */
    store->flags &= ~(uint32_t)PK_OPEN_WRITE;
    err = pk_place_node(v->repo, &place, &node);
    if (err != 0) {
        return err;
    }
    err = pk_tree_of_node(v->repo, node, &tree);
    if (err != 0) {
        pk_node_unref(v->repo, node);
        return err;
    }
    err = fn(arg, tree);
    if (err == 0) {
        err = pk_tree_hash(tree, &after);
    }
    if (store->strayed) {
        err = pk_store_blinded(store);
    } else if (err == 0 &&
               memcmp(&after, &v->proof.after.hash, sizeof(after)) != 0) {
        err = fail(v, "another tree came out");
    }
    pk_tree_free(tree);
    return err;
}

static int verify(struct verifier *v, const struct pk_proof_claim *claim,
                  pk_proof_fn fn, void *arg)
{
    uint64_t root = NF_NOWHERE;
    int err;

    pk_proof_init(&v->proof, &store_of(v)->ctx);
    err = pk_proof_decode(&v->proof, &claim->config, claim->proof);
    if (err == 0) {
        err = check_before(v, claim, &root);
    }
    if (err == 0) {
        err = check_after(v, root, fn, arg);
    }
    pk_proof_deinit(&v->proof);
    return err;
}

int pk_proof_verify(const struct nf_env *env,
                    const struct pk_proof_claim *claim, pk_proof_fn fn,
                    void *arg, struct nf_error_info *ret_info,
                    struct pk_proof_ends *ret_ends)
{
    struct pk_open opts = {.hashes = claim->hashes,
                           .config = claim->config,
                           .flags = PK_OPEN_WRITE | PK_OPEN_CREATE};
    struct pk_proof_ends ends;
    struct verifier v = {.files = NULL};
    int err = pk_vfs_mem_open(env, &v.files, &v.vfs);

    if (err != 0) {
        return err;
    }
    opts.vfs = &v.vfs;
    opts.cache_len = 1 << 20;           /* all is in memory anyway */
    opts.config.forbid_empty = false;   /* the tree may be empty */
    opts.config.contents_header = true; /* no part of any hash */
    err = no_memory(pk_repo_open(env, &opts, ret_info, &v.repo));
    if (err == 0) {
        err = verify(&v, claim, fn, arg);
        ends = (struct pk_proof_ends){v.proof.before.hash, v.proof.after.hash};
        if (err != 0 && ret_info != NULL) {
            *ret_info = store_of(&v)->ctx.err;
        }
        store_of(&v)->flags &= ~(uint32_t)PK_OPEN_WRITE; /* nothing to flush */
        (void)pk_repo_close(v.repo);
    }
    pk_vfs_mem_close(v.files);
    if (err == 0) {
        *ret_ends = ends;
    }
    return err;
}

_Static_assert(PK_PART_CONTENTS == (int)PK_PROOF_CONTENTS &&
                   PK_PART_NODE == (int)PK_PROOF_NODE &&
                   PK_PART_EXTENDER == (int)PK_PROOF_EXTENDER,
               "public and internal kinds are the same");

int pk_proof_each(const struct nf_env *env, const struct pk_config *config,
                  struct pk_slice bytes, pk_proof_part_fn fn, void *arg,
                  struct nf_error_info *ret_info,
                  struct pk_proof_ends *ret_ends)
{
    struct pk_ctx ctx = {.env = env, .mem = {.env = env}};
    struct pk_proof proof;
    int err;

    pk_proof_init(&proof, &ctx);
    err = pk_proof_decode(&proof, config, bytes);
    if (err == 0) {
        *ret_ends = (struct pk_proof_ends){proof.before.hash, proof.after.hash};
    }
    for (uint32_t at = 0; at < proof.n_nodes && err == 0; at++) {
        struct pk_proof_node *node = &proof.nodes[at];
        struct pk_proof_part part = {
            .kind = (enum pk_proof_part_kind)node->kind,
            .step = node->step,
            .index = node->index,
            .bytes = node->bytes,
            .length =
                node->kind == PK_PROOF_NODE ? node->n_children : node->length,
        };

        if (node->parent != PK_PROOF_NOWHERE) {
            const struct pk_proof_node *parent = &proof.nodes[node->parent];

            part.in_node = parent->kind == PK_PROOF_NODE;
            part.in_inode = parent->kind == PK_PROOF_INODE;
            node->n_left = parent->n_left + 1; /* the level, now that all are
                                                  there */
        }
        part.level = node->n_left;
        err = fn(arg, &part);
    }
    if (err < 0 && ret_info != NULL) {
        *ret_info = ctx.err;
    }
    pk_proof_deinit(&proof);
    return err;
}
