/* SPDX-License-Identifier: ISC */
/*
 * Plans: what a changed directory is to become. A plan holds the inode tree
 * that results from applying a node's changes to the directory that it came
 * from, in memory: only the inodes on the way to a change are new, the others
 * are named where they are stored (spec 4.3).
 */
#ifndef PK_PLAN_H
#define PK_PLAN_H

#include "pack/arena.h"
#include "pack/store/repo.h"

/* A binding of an inode in memory. */
struct pk_mval {
    struct pk_slice step;
    enum pk_kind kind;
    bool by_hash;               /* where its object is, the index tells */
    const uint8_t *hash;        /* as long as the store's are */
    const struct pk_item *item; /* where its object is or will be; or NULL: */
    uint64_t off;               /* there */
    bool named;                 /* stored so far, with the step named by */
    uint64_t name_id;           /* this id, or NF_NOWHERE: inline */
};

/* An inode in memory. */
struct pk_mnode {
    bool fresh;  /* to be stored; otherwise it is, at off */
    bool loaded; /* what it consists of is here */
    bool tree;   /* children, not bindings */
    uint8_t depth;
    uint32_t n;
    uint32_t cap;
    uint32_t index; /* among its parent's children */
    uint64_t length;
    uint64_t off;
    struct pk_digest hash;
    union {
        struct pk_mval *vals;   /* by step */
        struct pk_mnode **kids; /* by index */
    } u;
};

struct pk_plan {
    struct pk_node *node;
    struct pk_plan *next;
    uint32_t height; /* plans below it in its window have less */
    struct pk_mnode *root;
    size_t next_change; /* to be collected */
    size_t at;          /* to be exported */
    size_t n_changes;
    struct pk_change *changes[]; /* by step */
};

struct pk_plans {
    struct pk_plan **plans;
    size_t n;
    size_t cap;
};

struct pk_batch;

/* A pass over all changed nodes below one, a window of them at a time. */
struct pk_pass {
    struct pk_repo *repo;
    bool all; /* those whose hash is known, too */
    struct pk_batch *batch;
    struct pk_arena arena;
    struct pk_arena scratch; /* of one message */
    struct pk_plans open;    /* begun, each below the one before */
    struct pk_plan *plans;   /* of the window: children before parents */
    struct pk_plan **tail;
    size_t weight; /* of the window */
    size_t max_weight;
};

/* Apply changes to the directory at base (NF_NOWHERE: none). The hashes of all
 * that the changes bind are known. Errors: NF_EC_DEPTH. */
NF_MUST_USE int pk_mnode_apply(struct pk_pass *pass, uint64_t base,
                               struct pk_change **changes, size_t n,
                               struct pk_mnode **ret_root);

/* The inodes on the way to a step are to be stored again. */
NF_MUST_USE int pk_mnode_touch(struct pk_pass *pass, struct pk_mnode *root,
                               struct pk_slice step);

/* Load what an inode consists of. */
NF_MUST_USE int pk_mnode_expand(struct pk_pass *pass, struct pk_mnode *mnode);

/* All bindings below an inode, by step, in an array in arena. */
NF_MUST_USE int pk_mnode_collect(struct pk_pass *pass, struct pk_arena *arena,
                                 struct pk_mnode *mnode,
                                 struct pk_mval **ret_vals, size_t *ret_n);

/* Begin a pass over all below node; with all set also over what has a hash.
 * pk_pass_end releases, on error, too. */
NF_MUST_USE int pk_pass_begin(struct pk_pass *pass, struct pk_repo *repo,
                              struct pk_node *node, bool all);

/* Plan and hash the next window, and all contents that stand before its last
 * plan; those of the last one are gone. 1, or 0: there is no more. */
NF_MUST_USE int pk_pass_next(struct pk_pass *pass);
void pk_pass_end(struct pk_pass *pass);

NF_MUST_USE int pk_pass_push(struct pk_pass *pass, struct pk_plans *stack,
                             struct pk_plan *plan);

#endif
