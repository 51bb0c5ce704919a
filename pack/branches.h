/* SPDX-License-Identifier: ISC */
/*
 * The branch table (spec 5.2): store.branches is 16 ignored bytes, then
 * records of int32 BE name length ++ name ++ commit hash. The last record of a
 * name counts; a hash of zeros says that the branch was removed.
 */
#ifndef PK_BRANCHES_H
#define PK_BRANCHES_H

#include <notafs/pack.h>

#include "pack/buf.h"
#include "pack/file.h"

enum { PK_BRANCHES_HEADER_LEN = 16, PK_BRANCH_MAX_NAME = 4096 };

struct pk_branch {
    size_t pos; /* of the record, in the file */
    uint32_t name_len;
};

struct pk_branches {
    struct pk_ctx *ctx;
    const struct pk_vfs *vfs;
    size_t hash_len;
    struct pk_buf file;      /* all bytes of the file */
    struct pk_branch *table; /* one for each name, by name */
    size_t n;
    size_t cap;
};

/* Read the table; a missing file is an empty one. Errors: NF_EC_BRANCHES. */
NF_MUST_USE int pk_branches_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                                 size_t hash_len, struct pk_branches *branches);

/* As pk_branches_open, but cut behind the last whole record: 1 if that was
 * needed. */
NF_MUST_USE int pk_branches_salvage(struct pk_ctx *ctx,
                                    const struct pk_vfs *vfs, size_t hash_len,
                                    struct pk_branches *branches);
void pk_branches_close(struct pk_branches *branches);

struct pk_slice pk_branches_name(const struct pk_branches *branches, size_t i);

/* False: removed. */
bool pk_branches_hash(const struct pk_branches *branches, size_t i,
                      struct pk_digest *ret_hash);

/* False: no such branch. */
bool pk_branches_find(const struct pk_branches *branches, struct pk_slice name,
                      struct pk_digest *ret_hash);

/* The first record that names this commit, by name; false: none does. */
bool pk_branches_names(const struct pk_branches *branches,
                       const struct pk_digest *hash, uint64_t *ret_pos);

/* Set (NULL: remove) and write; the caller commits. */
NF_MUST_USE int pk_branches_set(struct pk_branches *branches,
                                struct pk_slice name,
                                const struct pk_digest *hash);

/* An empty table in place of any. */
NF_MUST_USE int pk_branches_create(struct pk_ctx *ctx,
                                   const struct pk_vfs *vfs);

#endif
