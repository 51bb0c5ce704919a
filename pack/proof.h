/* SPDX-License-Identifier: ISC */
/*
 * A Merkle proof: a tree of which only some is there and the rest is hashes,
 * the hash that it has, and the hash of what became of it (spec 9.4).
 *
 * The tree is an array in which a node stands before its children and all that
 * is below one child before the next, as in the binary form. So nothing here
 * recurses, and who goes through the array backwards meets children first.
 */
#ifndef PK_PROOF_H
#define PK_PROOF_H

#include <notafs/pack.h>

#include "pack/buf.h"
#include "pack/ctx.h"

enum pk_proof_kind {
    PK_PROOF_CONTENTS,
    PK_PROOF_BLINDED_CONTENTS,
    PK_PROOF_NODE,         /* bindings, of a directory or of an inode's leaf */
    PK_PROOF_BLINDED_NODE, /* a directory, or an inode below one */
    PK_PROOF_INODE,        /* of many bindings, by index */
    PK_PROOF_EXTENDER,     /* inodes of one child each, and what is below */
};

struct pk_proof_node {
    enum pk_proof_kind kind;
    struct pk_slice step;  /* its name: below PK_PROOF_NODE */
    uint64_t index;        /* its place: below PK_PROOF_INODE */
    struct pk_slice bytes; /* contents, or hash; segments, each a varint, of
                              PK_PROOF_EXTENDER */
    uint64_t length;       /* bindings: of PK_PROOF_INODE, PK_PROOF_EXTENDER */
    uint64_t n_segments;   /* of PK_PROOF_EXTENDER */
    uint32_t n_children;

    /* Filled in by pk_proof_add. */
    uint32_t parent; /* its position; that of the root is PK_PROOF_NOWHERE */
    uint32_t end;    /* position behind all that is below */
    uint32_t n_left; /* children yet to be added */
    uint64_t depth;  /* inodes above, up to the directory's first */
};

#define PK_PROOF_NOWHERE UINT32_MAX

/* What a tree is known by. */
struct pk_proof_root {
    enum pk_kind kind;
    struct pk_digest hash;
};

/* What nodes point to (names, contents, hashes, segments) is borrowed. */
struct pk_proof {
    struct pk_ctx *ctx;
    struct pk_proof_root before;
    struct pk_proof_root after;
    struct pk_proof_node *nodes;
    uint32_t n_nodes;
    uint32_t cap;
    uint32_t open; /* the node that the next is a child of */
};

/* An empty proof, to be added to. */
void pk_proof_init(struct pk_proof *proof, struct pk_ctx *ctx);
void pk_proof_deinit(struct pk_proof *proof);

/* Add the root, or the next child of the innermost node that lacks some. What
 * the other functions take is a proof that pk_proof_is_whole. */
NF_MUST_USE int pk_proof_add(struct pk_proof *proof,
                             const struct pk_proof_node *node);

static inline bool pk_proof_is_whole(const struct pk_proof *proof)
{
    return proof->n_nodes > 0 && proof->open == PK_PROOF_NOWHERE;
}

/*
 * Whether the proof could be one of a tree under this configuration, hashes
 * left aside: names and indices in order, lengths and depths that fit, nothing
 * empty but an empty root, a root that is there.
 *
 * Errors: NF_EC_PROOF.
 */
NF_MUST_USE int pk_proof_check(const struct pk_proof *proof,
                               const struct pk_config *config);

/* Append the binary form to out, which may fail for want of memory. */
void pk_proof_encode(const struct pk_proof *proof,
                     const struct pk_config *config, struct pk_buf *out);

/*
 * Fill an empty proof from its binary form, which it borrows, and check it.
 *
 * Errors: NF_EC_PROOF, NF_ENOMEM; proof is then fit for pk_proof_deinit alone.
 * Cost:   memory as many times the bytes as sizeof(struct pk_proof_node) / 2.
 */
NF_MUST_USE int pk_proof_decode(struct pk_proof *proof,
                                const struct pk_config *config,
                                struct pk_slice bytes);

#endif
