/* SPDX-License-Identifier: ISC */
/* An open repo, and what a path in one of its trees leads to. */
#ifndef PK_REPO_H
#define PK_REPO_H

#include "pack/manager.h"
#include "pack/store/node.h"

struct pk_repo {
    struct pk_store store;
    struct pk_node *dying; /* nodes to be released, see node.c */
    uint32_t pass;         /* marks of nodes, see plan.c */
    pk_watch_fn watch;
    void *watch_arg;
};

struct pk_tree {
    struct pk_repo *repo;
    struct pk_node *root;
};

/* What a step or a path is bound to: stored at off, or in memory. */
struct pk_place {
    enum pk_kind kind;
    struct pk_node *node; /* a directory with changes, or NULL */
    struct pk_blob *blob; /* contents in memory, or NULL */
    uint64_t off;         /* otherwise */
    bool has_hash;
    struct pk_digest hash; /* if has_hash */
};

/* The place of a node. */
struct pk_place pk_place_of_node(struct pk_node *node);
struct pk_place pk_place_of_item(struct pk_item item);

/* One step on from a directory; kind PK_NONE where there is nothing. */
NF_MUST_USE int pk_place_step(struct pk_repo *repo,
                              const struct pk_place *place,
                              struct pk_slice step, bool want_hash,
                              struct pk_place *ret);

/* All steps of a path; kind PK_NONE where it leads nowhere. */
NF_MUST_USE int pk_place_find(struct pk_tree *tree, struct pk_path path,
                              bool want_hash, struct pk_place *ret);

/* Hash and length of a place, hashing changed directories. */
NF_MUST_USE int pk_place_hash(struct pk_repo *repo,
                              const struct pk_place *place,
                              struct pk_digest *ret);
NF_MUST_USE int pk_place_length(struct pk_repo *repo,
                                const struct pk_place *place,
                                uint64_t *ret_len);

/* A node, with one reference, for a directory. */
NF_MUST_USE int pk_place_node(struct pk_repo *repo,
                              const struct pk_place *place,
                              struct pk_node **ret_node);

/* A tree of a node; takes the caller's reference, on success only. */
NF_MUST_USE int pk_tree_of_node(struct pk_repo *repo, struct pk_node *node,
                                struct pk_tree **ret_tree);

/* Bind path to what a place of the same repo holds. */
NF_MUST_USE int pk_tree_bind_place(struct pk_tree *tree, struct pk_path path,
                                   const struct pk_place *place);

/* Hash a node and all changed ones below (plan.c). */
NF_MUST_USE int pk_node_rehash(struct pk_repo *repo, struct pk_node *node);

/* Store a node and all that is new below it; it has no changes then. */
NF_MUST_USE int pk_node_export(struct pk_repo *repo, struct pk_node *node);

#endif
