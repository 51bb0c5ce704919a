/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_MERGE_H
#define NOTAFS_MERGE_H

#include <notafs/pack.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Bringing histories together.
 *
 * Two commits are merged by what each changed since their last common
 * ancestor. Where both changed the same path, and not to the same, that is a
 * conflict, which the caller settles or which fails the merge.
 *
 * Units, Owns, Errors, Threads: as in pack.h.
 */

/*
 * The lowest common ancestors of two commits: commits that both can be reached
 * from (a commit reaches itself), of which none reaches another. fn is called
 * for each, ascending by hash.
 *
 * Errors: NF_EC_NO_COMMIT: of a or b, or none was found and some history has
 *         been collected, so that there may be one. NF_EC_HISTORY: not known
 *         after looking at max_commits (0: no limit).
 * Cost:   commits are looked at newest first, and none that is older than all
 *         that is found.
 */
NF_MUST_USE int pk_lca(struct pk_repo *repo, const struct pk_digest *a,
                       const struct pk_digest *b, uint64_t max_commits,
                       pk_commit_fn fn, void *arg);

/* What became of a path on each side; kind PK_NONE: it is not bound. */
struct pk_conflict {
    struct pk_path path;
    struct pk_stat base;
    struct pk_stat ours;
    struct pk_stat theirs;

    /* The trees of the three sides, for reading more. No common ancestor: base
     * is NULL. Paths on which several common ancestors are in conflict hold
     * contents of no meaning in base. */
    struct pk_tree *base_tree;
    struct pk_tree *ours_tree;
    struct pk_tree *theirs_tree;
};

enum pk_settle {
    PK_SETTLE_NOT, /* the merge will fail */
    PK_SETTLE_OURS,
    PK_SETTLE_THEIRS,
    PK_SETTLE_CONTENTS,
};

/* How a conflict is settled; contents live until the next call or the end of
 * the merge. */
struct pk_settlement {
    enum pk_settle how;
    struct pk_slice contents;
};

/* Told each conflict, in order of path. Anything but 0 ends the merge, which
 * returns it. */
typedef int (*pk_conflict_fn)(void *arg, const struct pk_conflict *conflict,
                              struct pk_settlement *ret_settlement);

/* Who settles conflicts; fn NULL: nobody. */
struct pk_judge {
    pk_conflict_fn fn;
    void *arg;
};

/*
 * The tree that has ours' changes since base, and theirs'. base NULL: all is a
 * change. In a directory that one side removed as a whole, whatever the other
 * side changed is a conflict.
 *
 * Errors: NF_EC_CONFLICT: some were not settled; all have been told.
 * Cost:   only directories that both sides changed are looked into.
 */
NF_MUST_USE int pk_merge_trees(struct pk_tree *base, struct pk_tree *ours,
                               struct pk_tree *theirs,
                               const struct pk_judge *judge,
                               struct pk_tree **ret_tree);

/*
 * The tree that stands for all that the commits a and b have in common: that
 * of their lowest common ancestor, or several merged. What is in conflict
 * among these is bound to contents that no side has. NULL: there is none.
 *
 * Errors: as pk_lca. NF_EC_HISTORY: too many merges within merges.
 */
NF_MUST_USE int pk_merge_base(struct pk_repo *repo, const struct pk_digest *a,
                              const struct pk_digest *b,
                              struct pk_tree **ret_tree);

/*
 * The commit that has both others behind it: one of them if it has the other,
 * or a new one, with info, of their merged trees.
 *
 * Errors: NF_EC_CONFLICT; as pk_merge_base and pk_commit_make.
 */
NF_MUST_USE int
pk_merge_commits(struct pk_repo *repo, const struct pk_digest *ours,
                 const struct pk_digest *theirs, const struct pk_info *info,
                 const struct pk_judge *judge, struct pk_digest *ret_hash);

/* pk_merge_commits with what the branch names, and the branch set to the
 * outcome. A branch that does not exist is made. */
NF_MUST_USE int pk_merge_branch(struct pk_repo *repo, struct pk_slice branch,
                                const struct pk_digest *theirs,
                                const struct pk_info *info,
                                const struct pk_judge *judge,
                                struct pk_digest *ret_hash);

/* Set the branch to a commit that has what it named behind it. A branch that
 * does not exist is made. Errors: NF_EC_DIVERGED. */
NF_MUST_USE int pk_fast_forward(struct pk_repo *repo, struct pk_slice branch,
                                const struct pk_digest *hash);

/*
 * A new commit on ours, with info, in which what a commit changed since its
 * parent is undone; ours itself where that changes nothing. parent says which,
 * from 0 in order of hash; that of a first commit is the empty tree.
 *
 * Errors: NF_EC_CONFLICT: ours has changed it further. NF_EINVAL: no such
 *         parent. As pk_commit_make.
 */
NF_MUST_USE int pk_revert(struct pk_repo *repo, const struct pk_digest *ours,
                          const struct pk_digest *commit, size_t parent,
                          const struct pk_info *info,
                          const struct pk_judge *judge,
                          struct pk_digest *ret_hash);

#ifdef __cplusplus
}
#endif
#endif
