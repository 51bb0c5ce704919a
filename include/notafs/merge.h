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

#ifdef __cplusplus
}
#endif
#endif
