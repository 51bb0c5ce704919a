/* SPDX-License-Identifier: ISC */
/*
 * Trees in memory. A node is a directory: the stored one that it came from, if
 * any, and the changes since, by step. Nodes, blobs and changes are counted
 * references; what has one reference may be changed in place, what has more is
 * copied first. So trees are values, and a copy costs a reference.
 */
#ifndef PK_NODE_H
#define PK_NODE_H

#include "pack/inode.h"

/* Contents that are not stored yet. */
struct pk_blob {
    uint32_t refs;
    bool hashed;
    struct pk_digest hash;
    uint64_t off; /* once stored; NF_NOWHERE before */
    size_t len;
    uint8_t data[];
};

/* An object of the store. */
struct pk_key {
    uint32_t refs;
    enum pk_kind kind;
    uint64_t off;
    struct pk_digest hash;
};

enum pk_item_what {
    PK_ITEM_REMOVED,
    PK_ITEM_BLOB,
    PK_ITEM_NODE,
    PK_ITEM_KEY,
};

/* What a step has been changed to. */
struct pk_item {
    enum pk_item_what what;
    union {
        struct pk_blob *blob;
        struct pk_node *node;
        struct pk_key *key;
    } u;
};

/* A change; a node of the AVL tree of changes, ordered by step. Changes are
 * replaced, never taken out. */
struct pk_change {
    uint32_t refs;
    uint8_t height;
    struct pk_change *left;
    struct pk_change *right;
    struct pk_item item;
    uint32_t step_len;
    uint8_t step[];
};

struct pk_node {
    uint32_t refs;
    uint32_t mark;  /* the pass that has seen it (plan.c) */
    uint64_t base;  /* where the stored directory is; NF_NOWHERE: none */
    uint64_t count; /* bindings, changes counted */
    struct pk_change *changes;
    struct pk_change *touched; /* steps that changes in vain looked up, and */
    struct pk_change *opened;  /* unchanged nodes that they went into; tree.c */
    bool hashed;
    struct pk_digest hash;      /* of the directory as it is */
    struct pk_node *dying_next; /* list of those to be released */
    struct pk_plan *plan;       /* during a pass */
};

struct pk_repo;

/* A new node with one reference, without base and changes, or NULL. */
struct pk_node *pk_node_new(struct pk_repo *repo);
void pk_node_unref(struct pk_repo *repo, struct pk_node *node);

/* Forget its changes and what was looked up. */
void pk_node_clear(struct pk_repo *repo, struct pk_node *node);

/* The node itself if the caller's is the only reference, or a copy in its
 * place. NULL: no memory, nothing done. */
struct pk_node *pk_node_own(struct pk_repo *repo, struct pk_node **node);

/* A blob with one reference, its data copied, or NULL. */
struct pk_blob *pk_blob_new(struct pk_repo *repo, struct pk_slice data);
struct pk_key *pk_key_new(struct pk_repo *repo, enum pk_kind kind, uint64_t off,
                          const struct pk_digest *hash);

void pk_item_ref(struct pk_item item);
void pk_item_unref(struct pk_repo *repo, struct pk_item item);
enum pk_kind pk_item_kind(struct pk_item item);

struct pk_slice pk_change_step(const struct pk_change *change);

/* The change of a step, or NULL. */
struct pk_change *pk_change_find(struct pk_change *root, struct pk_slice step);

/* Set the change of a step. Takes the caller's reference to item, on success
 * only. */
NF_MUST_USE int pk_change_put(struct pk_repo *repo, struct pk_change **root,
                              struct pk_slice step, struct pk_item item);
void pk_change_unref(struct pk_repo *repo, struct pk_change *change);

/* The change of a step, or NULL, for changing its item in place: all on the way
 * to it is made our own. */
NF_MUST_USE int pk_change_own(struct pk_repo *repo, struct pk_change **root,
                              struct pk_slice step,
                              struct pk_change **ret_change);

/* Changes in order of step. */
enum { PK_CHANGE_MAX_HEIGHT = 64 };
struct pk_change_iter {
    struct pk_change *stack[PK_CHANGE_MAX_HEIGHT];
    uint32_t depth;
};
void pk_change_iter_begin(struct pk_change_iter *iter, struct pk_change *root);
struct pk_change *pk_change_iter_next(struct pk_change_iter *iter);

#endif
