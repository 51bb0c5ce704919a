/* SPDX-License-Identifier: ISC */
/*
 * Merkle proofs: their shape and their binary form (spec 9.4; Irmin.Proof and
 * the repr encoding of its types).
 *
 *   proof  before: root, after: root, state: tree
 *   root   00 hash of contents | 01 hash of a node
 *   tree   00 contents, boxed | 01 hash of contents | 02 bindings
 *        | 03 hash of a node | 04 inode | 05 extender
 *   itree  00 hash of an inode | 01 bindings | 02 inode | 03 extender
 *   bindings  n, n * (step boxed, tree)
 *   inode     length, n, n * (index, itree)
 *   extender  length, n, n * segment, itree
 *
 * Numbers are varints, tags too. What a node is written as depends on where it
 * is: itree below inodes and extenders, tree elsewhere.
 *
 * Stricter than upstream, which takes bindings in any order and lengths that
 * no inode has: a tree has one proof for each choice of what to show.
 */
#include "pack/proof.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "pack/cursor.h"

/* Nodes come into being from bytes of a proof, at least two for each. */
#define MAX_BYTES ((size_t)UINT32_MAX)

static int fail(const struct pk_proof *proof, uint64_t off, const char *what)
{
    return pk_fail(proof->ctx, NF_EC_PROOF, NULL, off, what);
}

void pk_proof_init(struct pk_proof *proof, struct pk_ctx *ctx)
{
    *proof = (struct pk_proof){.ctx = ctx, .open = PK_PROOF_NOWHERE};
}

void pk_proof_deinit(struct pk_proof *proof)
{
    nf_free(&proof->ctx->mem, proof->nodes, proof->cap * sizeof(*proof->nodes));
    proof->nodes = NULL;
}

/* ------------------------------------------------------------------ shape */

static bool is_inode(enum pk_proof_kind kind)
{
    return kind == PK_PROOF_INODE || kind == PK_PROOF_EXTENDER;
}

/* Whether a node is part of a directory's inodes, not their first. */
static bool is_inner(const struct pk_proof *proof, uint32_t at)
{
    const uint32_t parent = proof->nodes[at].parent;

    return parent != PK_PROOF_NOWHERE && is_inode(proof->nodes[parent].kind);
}

static int reserve_node(struct pk_proof *proof)
{
    struct pk_proof_node *nodes;
    uint32_t cap = proof->cap;

    if (proof->n_nodes < cap) {
        return 0;
    }
    if (cap > UINT32_MAX / 2) {
        return fail(proof, NF_NOWHERE, "too many nodes");
    }
    cap = cap == 0 ? 16 : 2 * cap;
    nodes = nf_realloc(&proof->ctx->mem, proof->nodes,
                       proof->cap * sizeof(*nodes), cap * sizeof(*nodes));
    if (nodes == NULL) {
        return pk_fail_mem(proof->ctx);
    }
    proof->nodes = nodes;
    proof->cap = cap;
    return 0;
}

int pk_proof_add(struct pk_proof *proof, const struct pk_proof_node *node)
{
    const uint32_t at = proof->n_nodes;
    struct pk_proof_node *new;
    int err = reserve_node(proof);

    if (err < 0) {
        return err;
    }
    nf_assert(at == 0 || proof->open != PK_PROOF_NOWHERE);
    new = &proof->nodes[at];
    *new = *node;
    new->parent = proof->open;
    new->n_left = node->n_children;
    new->depth = 0;
    if (new->parent != PK_PROOF_NOWHERE) {
        struct pk_proof_node *parent = &proof->nodes[new->parent];

        parent->n_left--;
        if (parent->kind == PK_PROOF_INODE) {
            new->depth = parent->depth + 1;
        } else if (parent->kind == PK_PROOF_EXTENDER) {
            new->depth = parent->depth + parent->n_segments;
        }
    }
    proof->n_nodes++;
    proof->open = at;
    while (proof->open != PK_PROOF_NOWHERE &&
           proof->nodes[proof->open].n_left == 0) {
        proof->nodes[proof->open].end = proof->n_nodes;
        proof->open = proof->nodes[proof->open].parent;
    }
    return 0;
}

/* Inodes below this depth cannot be told apart: spec 4.3. */
static uint64_t max_depth(uint32_t entries)
{
    uint64_t bits = 0;

    while (entries > 1) {
        entries /= 2;
        bits++;
    }
    return 50 / bits;
}

static bool step_before(struct pk_slice a, struct pk_slice b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len == 0 ? 0 : memcmp(a.p, b.p, len);

    return order < 0 || (order == 0 && a.len < b.len);
}

/* Each step comes before the next. */
static int check_bindings(const struct pk_proof *proof, uint32_t at,
                          const struct pk_config *config)
{
    const struct pk_proof_node *node = &proof->nodes[at];
    const struct pk_proof_node *last = NULL;
    const uint32_t max =
        is_inner(proof, at)
            ? config->entries
            : (uint32_t)nf_max_u64(config->entries, config->stable_hash);

    if (node->n_children == 0 && at > 0) {
        return fail(proof, NF_NOWHERE, "empty directory below the root");
    }
    if (node->n_children > max) {
        return fail(proof, NF_NOWHERE, "bindings that an inode would hold");
    }
    for (uint32_t c = at + 1; c < node->end; c = proof->nodes[c].end) {
        const struct pk_proof_node *child = &proof->nodes[c];

        if (last != NULL && !step_before(last->step, child->step)) {
            return fail(proof, NF_NOWHERE, "steps out of order");
        }
        last = child;
    }
    return 0;
}

/* An inode, or the first of an extender's: so many bindings, so deep. */
static int check_length(const struct pk_proof *proof, uint32_t at,
                        const struct pk_config *config)
{
    const struct pk_proof_node *node = &proof->nodes[at];
    const uint64_t n_levels =
        node->kind == PK_PROOF_EXTENDER ? node->n_segments : 1;

    if (node->length <= config->entries ||
        (!is_inner(proof, at) && node->length <= config->stable_hash)) {
        return fail(proof, NF_NOWHERE, "inode of few bindings");
    }
    if (node->depth + n_levels > max_depth(config->entries)) {
        return fail(proof, NF_NOWHERE, "inode too deep");
    }
    return 0;
}

/* The children's bindings make up the length; one that is not shown has some.
 */
static int check_sum(const struct pk_proof *proof, uint32_t at)
{
    const struct pk_proof_node *node = &proof->nodes[at];
    uint64_t left = node->length;
    bool is_exact = true;

    for (uint32_t c = at + 1; c < node->end; c = proof->nodes[c].end) {
        const struct pk_proof_node *child = &proof->nodes[c];
        uint64_t length = child->length;

        if (child->kind == PK_PROOF_NODE) {
            length = child->n_children;
        } else if (child->kind == PK_PROOF_BLINDED_NODE) {
            length = 1;
            is_exact = false;
        }
        if (!nf_sub_u64(left, length, &left)) {
            return fail(proof, NF_NOWHERE, "inode shorter than its children");
        }
    }
    if (is_exact && left != 0) {
        return fail(proof, NF_NOWHERE, "inode longer than its children");
    }
    return 0;
}

static int check_inode(const struct pk_proof *proof, uint32_t at,
                       const struct pk_config *config)
{
    const struct pk_proof_node *node = &proof->nodes[at];
    uint64_t next_index = 0;

    if (node->n_children == 0) {
        return fail(proof, NF_NOWHERE, "empty inode");
    }
    for (uint32_t c = at + 1; c < node->end; c = proof->nodes[c].end) {
        const struct pk_proof_node *child = &proof->nodes[c];

        if (child->index < next_index || child->index >= config->entries) {
            return fail(proof, NF_NOWHERE, "indices out of order or range");
        }
        next_index = child->index + 1;
    }
    return 0;
}

static int check_extender(const struct pk_proof *proof, uint32_t at,
                          const struct pk_config *config)
{
    const struct pk_proof_node *node = &proof->nodes[at];
    struct pk_cursor c = pk_cursor_of(node->bytes.p, node->bytes.len);

    if (node->n_segments == 0) {
        return fail(proof, NF_NOWHERE, "empty extender");
    }
    for (uint64_t i = 0; i < node->n_segments; i++) {
        if (pk_take_varint(&c) >= config->entries) {
            return fail(proof, NF_NOWHERE, "segment out of range");
        }
    }
    nf_assert(!c.bad && pk_cursor_left(&c) == 0);
    return 0;
}

int pk_proof_check(const struct pk_proof *proof, const struct pk_config *config)
{
    const enum pk_proof_kind root = proof->nodes[0].kind;
    int err = 0;

    nf_assert(pk_proof_is_whole(proof));
    if (root == PK_PROOF_BLINDED_NODE || root == PK_PROOF_BLINDED_CONTENTS) {
        return fail(proof, NF_NOWHERE, "root that is not shown");
    }
    if ((root == PK_PROOF_CONTENTS) != (proof->before.kind == PK_CONTENTS)) {
        return fail(proof, NF_NOWHERE, "root of another kind than its hash");
    }
    for (uint32_t at = 0; at < proof->n_nodes && err == 0; at++) {
        switch (proof->nodes[at].kind) {
        case PK_PROOF_NODE:
            err = check_bindings(proof, at, config);
            break;
        case PK_PROOF_INODE:
            err = check_inode(proof, at, config);
            break;
        case PK_PROOF_EXTENDER:
            err = check_extender(proof, at, config);
            break;
        case PK_PROOF_CONTENTS:
        case PK_PROOF_BLINDED_CONTENTS:
        case PK_PROOF_BLINDED_NODE:
            continue;
        }
        if (err == 0 && is_inode(proof->nodes[at].kind)) {
            err = check_length(proof, at, config);
        }
        if (err == 0 && is_inode(proof->nodes[at].kind)) {
            err = check_sum(proof, at);
        }
    }
    return err;
}

/* ------------------------------------------------------------ binary form */

/* The tag of each kind, elsewhere and below inodes. */
enum { NO_TAG = 255 };
static const uint8_t tags[][2] = {
    [PK_PROOF_CONTENTS] = {0, NO_TAG},
    [PK_PROOF_BLINDED_CONTENTS] = {1, NO_TAG},
    [PK_PROOF_NODE] = {2, 1},
    [PK_PROOF_BLINDED_NODE] = {3, 0},
    [PK_PROOF_INODE] = {4, 2},
    [PK_PROOF_EXTENDER] = {5, 3},
};
enum { N_KINDS = sizeof(tags) / sizeof(tags[0]) };

enum { ROOT_CONTENTS, ROOT_NODE };

static void encode_root(const struct pk_proof_root *root, size_t hash_len,
                        struct pk_buf *out)
{
    pk_put_varint(out, root->kind == PK_CONTENTS ? ROOT_CONTENTS : ROOT_NODE);
    pk_put(out, root->hash.b, hash_len);
}

/* What stands between a node and its children. */
static void encode_node(const struct pk_proof_node *node, struct pk_buf *out)
{
    switch (node->kind) {
    case PK_PROOF_CONTENTS:
        pk_put_boxed(out, node->bytes);
        return;
    case PK_PROOF_BLINDED_CONTENTS:
    case PK_PROOF_BLINDED_NODE:
        pk_put(out, node->bytes.p, node->bytes.len);
        return;
    case PK_PROOF_NODE:
        pk_put_varint(out, node->n_children);
        return;
    case PK_PROOF_INODE:
        pk_put_varint(out, node->length);
        pk_put_varint(out, node->n_children);
        return;
    case PK_PROOF_EXTENDER:
        pk_put_varint(out, node->length);
        pk_put_varint(out, node->n_segments);
        pk_put(out, node->bytes.p, node->bytes.len);
        return;
    }
}

void pk_proof_encode(const struct pk_proof *proof,
                     const struct pk_config *config, struct pk_buf *out)
{
    nf_assert(pk_proof_is_whole(proof));
    encode_root(&proof->before, config->hash_len, out);
    encode_root(&proof->after, config->hash_len, out);
    for (uint32_t at = 0; at < proof->n_nodes; at++) {
        const struct pk_proof_node *node = &proof->nodes[at];

        if (at > 0 && proof->nodes[node->parent].kind == PK_PROOF_NODE) {
            pk_put_boxed(out, node->step);
        } else if (at > 0 &&
                   proof->nodes[node->parent].kind == PK_PROOF_INODE) {
            pk_put_varint(out, node->index);
        }
        pk_put_varint(out, tags[node->kind][is_inner(proof, at)]);
        encode_node(node, out);
    }
}

static void decode_root(struct pk_cursor *c, size_t hash_len,
                        struct pk_proof_root *ret_root)
{
    const uint64_t tag = pk_take_varint(c);
    const uint8_t *hash = pk_take(c, hash_len);

    if (hash == NULL || tag > ROOT_NODE) {
        c->bad = true;
        return;
    }
    memset(ret_root, 0, sizeof(*ret_root));
    ret_root->kind = tag == ROOT_CONTENTS ? PK_CONTENTS : PK_NODE;
    memcpy(ret_root->hash.b, hash, hash_len);
}

/* A number of things that follow, each of at least min_len bytes. */
static uint32_t decode_count(struct pk_cursor *c, size_t min_len)
{
    const uint64_t n = pk_take_varint(c);

    if (n > pk_cursor_left(c) / min_len) {
        c->bad = true;
        return 0;
    }
    return (uint32_t)n;
}

static void decode_segments(struct pk_cursor *c, struct pk_proof_node *node)
{
    const uint8_t *start;

    node->n_segments = decode_count(c, 1);
    start = c->p;
    for (uint64_t i = 0; i < node->n_segments; i++) {
        (void)pk_take_varint(c); /* kept as bytes; the check reads them */
    }
    node->bytes = (struct pk_slice){start, (size_t)(c->p - start)};
}

static void decode_node(struct pk_cursor *c, bool inner, size_t hash_len,
                        struct pk_proof_node *node)
{
    const uint64_t tag = pk_take_varint(c);
    uint8_t kind = 0;

    while (kind < N_KINDS && (tags[kind][inner] != tag || tag == NO_TAG)) {
        kind++;
    }
    if (kind == N_KINDS) {
        c->bad = true;
        return;
    }
    node->kind = (enum pk_proof_kind)kind;
    switch (node->kind) {
    case PK_PROOF_CONTENTS:
        node->bytes = pk_take_boxed(c);
        return;
    case PK_PROOF_BLINDED_CONTENTS:
    case PK_PROOF_BLINDED_NODE:
        node->bytes = (struct pk_slice){pk_take(c, hash_len), hash_len};
        return;
    case PK_PROOF_NODE:
        node->n_children = decode_count(c, 2);
        return;
    case PK_PROOF_INODE:
        node->length = pk_take_varint(c);
        node->n_children = decode_count(c, 2);
        return;
    case PK_PROOF_EXTENDER:
        node->length = pk_take_varint(c);
        decode_segments(c, node);
        node->n_children = 1;
        return;
    }
}

int pk_proof_decode(struct pk_proof *proof, const struct pk_config *config,
                    struct pk_slice bytes)
{
    struct pk_cursor c = pk_cursor_of(bytes.p, bytes.len);

    if (bytes.len > MAX_BYTES) {
        return fail(proof, NF_NOWHERE, "too long");
    }
    decode_root(&c, config->hash_len, &proof->before);
    decode_root(&c, config->hash_len, &proof->after);
    while (!c.bad && !pk_proof_is_whole(proof)) {
        struct pk_proof_node node = {0};
        bool inner = false;
        int err;

        if (proof->open != PK_PROOF_NOWHERE) {
            const enum pk_proof_kind parent = proof->nodes[proof->open].kind;

            inner = is_inode(parent);
            if (parent == PK_PROOF_NODE) {
                node.step = pk_take_boxed(&c);
            } else if (parent == PK_PROOF_INODE) {
                node.index = pk_take_varint(&c);
            }
        }
        decode_node(&c, inner, config->hash_len, &node);
        if (c.bad) {
            break;
        }
        err = pk_proof_add(proof, &node);
        if (err < 0) {
            return err;
        }
    }
    if (c.bad) {
        return fail(proof, pk_cursor_pos(&c), "cut off, or not a proof");
    }
    if (pk_cursor_left(&c) > 0) {
        return fail(proof, pk_cursor_pos(&c), "bytes behind its end");
    }
    return pk_proof_check(proof, config);
}
