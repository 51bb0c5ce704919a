/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_POSIX_H
#define NOTAFS_POSIX_H

#include <notafs/pack.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What POSIX knows of files and irmin's model has no place for: modes, owners,
 * times, symbolic links, empty directories, extended attributes. They are kept
 * in commits of their own, so that the hashes of the data are irmin's. A branch
 * named posix/B has those that belong to the commits of B:
 * docs/format-posix.md.
 *
 * Units, Owns, Errors, Threads: as in pack.h.
 */

#define PK_POSIX_PREFIX "posix/" /* and the branch that it belongs to */

enum {
    PK_POSIX_MODE_MAX = 07777,
    PK_POSIX_LINK_MAX = 4095,    /* bytes of the target of a link */
    PK_POSIX_NAME_MAX = 255,     /* of the name of an extended attribute */
    PK_POSIX_XATTRS_MAX = 65536, /* of all these of a file, encoded */
};

/* ---------------------------------------------------------------- records */

enum pk_posix_kind {
    PK_POSIX_FILE = 'f',
    PK_POSIX_DIR = 'd',
    PK_POSIX_LINK = 'l',
};

struct pk_posix_time {
    int64_t sec;   /* since 1970 */
    uint32_t nsec; /* < 1 000 000 000 */
};

/* What is recorded of a file. */
struct pk_posix {
    enum pk_posix_kind kind;
    uint32_t mode; /* permissions, without the type */
    uint32_t uid;
    uint32_t gid;
    struct pk_posix_time mtime;
    struct pk_posix_time ctime;
    struct pk_slice link;   /* of a link: where to, without NUL; or empty */
    struct pk_slice xattrs; /* encoded, see pk_posix_xattr */
};

size_t pk_posix_encoded_len(const struct pk_posix *posix);
/* buf: so many bytes. posix is within the bounds above. */
void pk_posix_encode(const struct pk_posix *posix, uint8_t *buf);

/* Slices of *ret lie in bytes. Errors: NF_EC_POSIX. */
NF_MUST_USE int pk_posix_decode(struct pk_slice bytes, struct pk_posix *ret);

/* The first extended attribute of *rest, ascending by name, which is taken off
 * it: 1; 0: there is none; NF_EC_POSIX: not encoded so. */
NF_MUST_USE int pk_posix_xattr_next(struct pk_slice *rest,
                                    struct pk_slice *ret_name,
                                    struct pk_slice *ret_value);

/* Bytes that an extended attribute takes, and putting it there. */
size_t pk_posix_xattr_len(struct pk_slice name, struct pk_slice value);
void pk_posix_xattr_put(struct pk_slice name, struct pk_slice value,
                        uint8_t *buf);

/* -------------------------------------------------------------- side trees */

/* What a side tree records of path; slices of *ret_posix lie in *ret_bytes.
 * Errors: NF_ENOENT: nothing. NF_EC_POSIX. */
NF_MUST_USE int pk_posix_get(struct pk_tree *side, struct pk_path path,
                             struct pk_bytes *ret_bytes,
                             struct pk_posix *ret_posix);

/* Record it. What is below a directory stays. No steps: the root. */
NF_MUST_USE int pk_posix_set(struct pk_tree *side, struct pk_path path,
                             const struct pk_posix *posix);

/*
 * The side tree that has ours' changes since base, and theirs'. base NULL: all
 * is a change. Of two records of a path, the one changed last counts (by ctime;
 * ours if equal); what one removed and the other changed stays.
 */
NF_MUST_USE int pk_posix_merge(struct pk_tree *base, struct pk_tree *ours,
                               struct pk_tree *theirs,
                               struct pk_tree **ret_tree);

/* Commit a side tree as what belongs to the commit of. Not durable, nor does
 * a branch name it. Only date and author of info are used. Errors: as
 * pk_commit_make. */
NF_MUST_USE int pk_posix_commit(struct pk_tree *side,
                                const struct pk_digest *of,
                                const struct pk_digest *parents,
                                size_t n_parents, const struct pk_info *info,
                                struct pk_digest *ret_hash);

/* What posix/BRANCH names. Errors: NF_EC_NO_BRANCH. */
NF_MUST_USE int pk_posix_branch_get(struct pk_repo *repo,
                                    struct pk_slice branch,
                                    struct pk_digest *ret_side);

/* Set it, durably, or (NULL) remove it. Before BRANCH itself is set: if all
 * ends in between, BRANCH has what it had. */
NF_MUST_USE int pk_posix_branch_set(struct pk_repo *repo,
                                    struct pk_slice branch,
                                    const struct pk_digest *side);

/* ------------------------------------------------------------------- sides */

/* Which side commit belongs to which commit. Notices by itself when branches
 * have moved. To be closed before the repo. */
struct pk_sides;
NF_MUST_USE int pk_sides_open(struct pk_repo *repo,
                              struct pk_sides **ret_sides);
void pk_sides_close(struct pk_sides *sides);

/*
 * The side commit that was made for commit. Errors: NF_EC_NO_COMMIT.
 *
 * Cost: where no posix/ branch names it, that of their whole history, once for
 *       each time that one of them has moved.
 */
NF_MUST_USE int pk_sides_find(struct pk_sides *sides,
                              const struct pk_digest *commit,
                              struct pk_digest *ret_side);

/*
 * The side tree of a commit. If none was made for it, that of the nearest
 * ancestor that has one, without what is not there any more; what was changed
 * since has the commit's date. NULL: there is none at all.
 */
NF_MUST_USE int pk_sides_tree(struct pk_sides *sides,
                              const struct pk_digest *commit,
                              struct pk_tree **ret_tree);

/* Before branch is set to a commit that is there: set posix/BRANCH to what
 * belongs to it, if anything does. */
NF_MUST_USE int pk_sides_branch(struct pk_sides *sides, struct pk_slice branch,
                                const struct pk_digest *commit);

/*
 * After ours (NULL: a branch that was not there) and theirs have been merged
 * into the commit merged, and before branch is set to it: merge what belongs to
 * them, and set posix/BRANCH. Does nothing where neither has any.
 */
NF_MUST_USE int pk_sides_merged(struct pk_sides *sides, struct pk_slice branch,
                                const struct pk_digest *ours,
                                const struct pk_digest *theirs,
                                const struct pk_digest *merged,
                                const struct pk_info *info);

#ifdef __cplusplus
}
#endif
#endif
