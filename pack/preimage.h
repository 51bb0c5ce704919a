/* SPDX-License-Identifier: ISC */
/*
 * What is hashed: the pre-images of contents, directories and commits, by
 * schema (spec 4.2), and which child of an inode a step belongs to (4.4).
 */
#ifndef PK_PREIMAGE_H
#define PK_PREIMAGE_H

#include <notafs/pack.h>

#include "pack/buf.h"
#include "pack/hash/hash.h"

/* A configuration made ready for use. */
struct pk_scheme {
    struct pk_config config;
    struct pk_hasher hasher;
    size_t hash_len;
    uint32_t bits;      /* log2 of entries */
    uint32_t max_depth; /* inodes have a depth below */
};

/* Errors: NF_EC_CONFIG, NF_ENOTSUP (nobody has the hash). */
NF_MUST_USE int pk_scheme_init(struct pk_scheme *scheme,
                               const struct pk_config *config,
                               const struct pk_hash_table *hashes);

/* A binding of a directory, or a child of an inode. */
struct pk_leaf {
    struct pk_slice step; /* of a binding */
    uint32_t index;       /* of a child */
    enum pk_kind kind;
    const uint8_t *hash;
};

enum { PK_PRE_CONTENTS_MAX = 8 };

/* What comes before contents of len bytes; its length. */
size_t pk_pre_contents(const struct pk_scheme *scheme, uint64_t len,
                       uint8_t buf[PK_PRE_CONTENTS_MAX]);

/* A stable or empty directory; leaves by ascending step. */
void pk_pre_flat(const struct pk_scheme *scheme, const struct pk_leaf *leaves,
                 size_t n, struct pk_buf *out);

/* An inode of bindings, by ascending step. */
void pk_pre_values(const struct pk_scheme *scheme, const struct pk_leaf *leaves,
                   size_t n, struct pk_buf *out);

/* An inode of children, by ascending index. */
void pk_pre_tree(const struct pk_scheme *scheme, uint64_t depth,
                 uint64_t length, const struct pk_leaf *children, size_t n,
                 struct pk_buf *out);

/* A commit; parents ascending. */
void pk_pre_commit(const struct pk_scheme *scheme, const struct pk_digest *root,
                   const struct pk_digest *parents, size_t n_parents,
                   const struct pk_info *info, struct pk_buf *out);

/* Hash one message. */
NF_MUST_USE int pk_digest_of(const struct pk_scheme *scheme, const uint8_t *p,
                             size_t len, struct pk_digest *ret);
NF_MUST_USE int pk_digest_contents(const struct pk_scheme *scheme,
                                   struct pk_slice contents,
                                   struct pk_digest *ret);

/* The child at depth that a step belongs to. Errors: NF_EC_DEPTH. */
NF_MUST_USE int pk_child_index(const struct pk_scheme *scheme, uint32_t depth,
                               struct pk_slice step, uint32_t *ret);

/* Order of steps: bytes, then length. */
int pk_step_compare(struct pk_slice a, struct pk_slice b);

#endif
