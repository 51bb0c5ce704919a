/* SPDX-License-Identifier: ISC */
/*
 * What -o posix adds: attributes, links and empty directories, kept in a side
 * tree (docs/format-posix.md). Each directory has its part of it beside its
 * part of the data; both may be NULL. Without the option all of this does
 * nothing. Under turn, but for what is said otherwise.
 */
#ifndef FUSE_STORE_ATTRS_H
#define FUSE_STORE_ATTRS_H

#include <notafs/posix.h>

#include "fuse/store_int.h"

/* What is pending of a branch, on its way into a commit. Of the repo that is
 * written to, under change. */
struct attrs_change {
    struct pk_sides *sides; /* NULL: no -o posix */
    struct pk_tree *base;
    struct pk_tree *ours;
};

int store_attrs_open(struct store *store);
void store_attrs_close(struct store *store);

/* The side tree of a branch's or snapshot's commit becomes the root's: an
 * error of the store. */
int store_attrs_root(struct store *store, struct snode *root);
/* The node, as the data have it, gets what the side tree of its parent tells of
 * it: an error of the store. */
int store_attrs_load(struct store *store, struct snode *node);
/* A link or an empty directory, which only the side tree has; NF_ENOENT. */
int store_attrs_find(struct store *store, struct snode *parent,
                     const char *name, size_t len, struct snode **ret);
/* The branch has moved, and the data have no such node: whether it is still
 * there. */
int store_attrs_stays(struct store *store, struct snode *node, bool *ret);
/* Whether the side tree has the name, in whatever way. */
int store_attrs_has(const struct snode *dir, const char *name, size_t len,
                    bool *ret);

/* Begin with what belongs to head (NULL: nothing). */
int attrs_change_begin(struct attrs_change *change, struct store *store,
                       struct pk_repo *repo, const struct pk_digest *head);
void attrs_change_end(struct attrs_change *change);
/* Put a pending node at path; origin, where it has steps, is where it was. */
int attrs_change_put(struct attrs_change *change, const struct snode *node,
                     struct pk_path path, struct pk_path origin);
int attrs_change_is_none(const struct attrs_change *change, bool *ret);
/* Commit ours for a commit, before the branch names that: what posix/BRANCH is
 * to be set to. */
int attrs_change_commit(const struct attrs_change *change,
                        struct pk_slice branch, const struct pk_digest *of,
                        const struct pk_info *info, struct pk_digest *ret);
/* From now on ours is ours and theirs. */
int attrs_change_merge(struct attrs_change *change,
                       const struct pk_digest *theirs);
/* Record at to what is recorded at from. */
int attrs_change_copy(struct attrs_change *change, struct pk_path from,
                      struct pk_path to);

/* posix/BRANCH for a branch that begins with a commit, or (NULL) goes. Under
 * change. */
int store_attrs_branch(const struct store *store, struct pk_repo *repo,
                       struct pk_slice branch, const struct pk_digest *head);
bool store_attrs_hides(const struct store *store, struct pk_slice branch);

/* The extended attribute of a node, or p NULL. */
struct pk_slice store_attrs_get(const struct snode *node, const char *name);
/* The names, each ended by NUL, into buf, which has as many bytes as they take
 * encoded: how many. */
size_t store_attrs_names(const struct snode *node, char *buf);
/* Set it, or (p NULL) remove it: an errno. */
int store_attrs_set(struct snode *node, const char *name,
                    struct pk_slice value);

#endif
