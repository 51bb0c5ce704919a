/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_PROOF_H
#define NOTAFS_PROOF_H

#include <notafs/pack.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Merkle proofs: what some operations look at in a tree, with hashes in place
 * of all the rest. Who has the proof and trusts the hash of the tree can run
 * the same operations without the store, and knows that the answers, and the
 * hash of the tree that they leave behind, are those that the store gives.
 *
 * Units, Owns, Errors, Threads: as in pack.h. The bytes of a proof are those
 * of irmin (Tree.Proof.t), whose proofs are verified here and the other way
 * round.
 */

/* The operations: any calls that look at tree or change it, but commit. They
 * must be the same for the proof and for each that verifies it, so they may
 * depend on nothing else than what they find. Anything but 0 ends the call,
 * which returns it. */
typedef int (*pk_proof_fn)(void *arg, struct pk_tree *tree);

/* The tree before the operations and after them. */
struct pk_proof_ends {
    struct pk_digest before;
    struct pk_digest after;
};

/*
 * Run fn on a copy of the tree, which must be as it is in the store, and make
 * a proof of what it looked at, of at most max_len bytes (0: 64 MiB). Release
 * with pk_bytes_free.
 *
 * Errors: NF_EINVAL: the tree has changes. NF_EFBIG. Those of fn.
 * Cost:   memory of a few times the proof.
 */
NF_MUST_USE int pk_proof_make(struct pk_tree *tree, size_t max_len,
                              pk_proof_fn fn, void *arg,
                              struct pk_proof_ends *ret_ends,
                              struct pk_bytes *ret_proof);

/* A proof, and what has to be known beside it. */
struct pk_proof_claim {
    struct pk_config config;            /* of the store */
    const struct pk_hash_table *hashes; /* or NULL: BLAKE2b alone */
    struct pk_slice proof;
    const struct pk_digest *root; /* the tree that is trusted; NULL: the caller
                                     looks at ret_ends->before itself */
};

/*
 * Run fn on the tree that the proof shows. Nothing that fn was told is to be
 * believed before this returns 0.
 *
 * Errors: NF_EC_PROOF: malformed, or not of that tree, or another tree came
 *         out. NF_EC_BLINDED: fn looked at what is not shown. Those of fn.
 *         *ret_info, where not NULL, tells more.
 * Cost:   no recursion; memory of at most a hundred times the proof, and of
 *         about a MiB beside.
 */
NF_MUST_USE int pk_proof_verify(const struct nf_env *env,
                                const struct pk_proof_claim *claim,
                                pk_proof_fn fn, void *arg,
                                struct nf_error_info *ret_info,
                                struct pk_proof_ends *ret_ends);

enum pk_proof_part_kind {
    PK_PART_CONTENTS,
    PK_PART_CONTENTS_HASH,
    PK_PART_NODE,      /* bindings, of a directory or of a part of one */
    PK_PART_NODE_HASH, /* a directory, or a part of one */
    PK_PART_INODE,     /* of a large directory: parts by index */
    PK_PART_EXTENDER,  /* parts of one part each */
};

/* One part of the tree that a proof shows. */
struct pk_proof_part {
    enum pk_proof_part_kind kind;
    size_t level;         /* parts that it is in */
    struct pk_slice step; /* its name, if in a PK_PART_NODE */
    uint64_t index;       /* its place, if in a PK_PART_INODE */
    bool in_node;
    bool in_inode;
    struct pk_slice bytes; /* contents or hash */
    uint64_t length;       /* bindings below: of INODE, EXTENDER, NODE */
};

/* Called for each part, those that it consists of after it. */
typedef int (*pk_proof_part_fn)(void *arg, const struct pk_proof_part *part);

/* What is in a proof, of which nothing is verified but its form. */
NF_MUST_USE int pk_proof_each(const struct nf_env *env,
                              const struct pk_config *config,
                              struct pk_slice proof, pk_proof_part_fn fn,
                              void *arg, struct nf_error_info *ret_info,
                              struct pk_proof_ends *ret_ends);

#ifdef __cplusplus
}
#endif
#endif
