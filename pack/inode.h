/* SPDX-License-Identifier: ISC */
/*
 * Inodes as they are stored (spec 3.6): a directory is a tree of them, each a
 * pack entry.
 *
 *   body     00 n value*                      bindings, by ascending step
 *            01 depth length n (index address)*   children, by ascending index
 *   value    tag, name, address
 *   tag      0..5 the name is a dict id (varint), 6..11 it is a boxed string;
 *            within each six, 0..2 the address is an offset (int63), 3..5 a
 *            hash; within each three, 2 is a node, 0 and 1 contents
 *
 * Numbers are varints. length counts the bindings below.
 */
#ifndef PK_INODE_H
#define PK_INODE_H

#include "pack/manager.h"

enum { PK_INODE_MAX_DEPTH = 50 }; /* fan-out 2; others have less */

/* The part that an inode plays: only the root of a directory may be hashed
 * like a list. */
enum pk_role { PK_ROLE_ROOT, PK_ROLE_CHILD };

/*
 * A clean inode in the cache, one block of memory. It stays while pinned.
 * Bindings and children are decoded when asked for, from raw.
 */
struct pk_inode {
    struct pk_cached kept; /* comes first */
    struct pk_digest hash;
    uint32_t depth;
    bool tree;       /* children, not bindings */
    bool has_hashes; /* hashes is filled in */
    uint8_t kind;    /* of the entry */
    uint64_t length; /* bindings below */
    uint32_t n;      /* bindings or children here */
    const uint8_t *raw;
    size_t raw_len;
    uint32_t *at;    /* where in raw each begins */
    uint8_t *hashes; /* of each, one after the other */
};

/* A binding, or a child of an inode. */
struct pk_slot {
    enum pk_kind kind;    /* of a binding */
    struct pk_slice step; /* of a binding; lives as long as the pin */
    uint64_t name_id;     /* of a binding's step in the dict, or NF_NOWHERE */
    uint32_t index;       /* of a child */
    struct pk_addr addr;
};

/*
 * The inode at off, pinned, from the cache or verified: its hash, computed
 * anew from those of its children, and what spec 4.3 says of its form.
 *
 * Errors: NF_EC_INODE, NF_EC_HASH, NF_EC_NO_OBJECT.
 */
NF_MUST_USE int pk_inode_load(struct pk_store *store, uint64_t off,
                              enum pk_role role, struct pk_inode **ret_inode);

/* The child of an inode, as pk_inode_load; its depth is one more. */
NF_MUST_USE int pk_inode_load_child(struct pk_store *store,
                                    const struct pk_inode *parent, uint32_t i,
                                    struct pk_inode **ret_inode);
/* Can child be one of parent's? Only what its head says is looked at. Errors:
 * NF_EC_INODE. */
NF_MUST_USE int pk_inode_check_child(struct pk_store *store,
                                     const struct pk_inode *parent,
                                     const struct pk_inode *child);
void pk_inode_unpin(struct pk_store *store, struct pk_inode *inode);

/* The inode that was just appended, as made says, goes into the cache. tail:
 * at, hashes and raw, one behind the other. Without memory it does not. */
void pk_inode_remember(struct pk_store *store, const struct pk_inode *made,
                       struct pk_slice tail);

/* The i-th binding or child, i < n. */
void pk_inode_slot(const struct pk_store *store, const struct pk_inode *inode,
                   uint32_t i, struct pk_slot *ret);

/* Its hash. Errors: those of reading it. */
NF_MUST_USE int pk_inode_slot_hash(struct pk_store *store,
                                   struct pk_inode *inode, uint32_t i,
                                   struct pk_digest *ret);

/* Look a step up below the inode at off. ret_slot's step is not set. Errors:
 * NF_ENOENT: not bound. */
NF_MUST_USE int pk_inode_find(struct pk_store *store, uint64_t off,
                              struct pk_slice step, struct pk_slot *ret_slot,
                              struct pk_digest *ret_hash);

/* A pass over all bindings below an inode, in the order of the tree. */
struct pk_inode_iter {
    struct pk_store *store;
    struct pk_inode *inodes[PK_INODE_MAX_DEPTH + 1];
    uint16_t next[PK_INODE_MAX_DEPTH + 1];
    uint32_t depth; /* levels in use */
};

NF_MUST_USE int pk_inode_iter_begin(struct pk_inode_iter *iter,
                                    struct pk_store *store, uint64_t off);

/* 1 a binding, 0 the end. The inode that holds it stays pinned until the next
 * call. */
NF_MUST_USE int pk_inode_iter_next(struct pk_inode_iter *iter,
                                   struct pk_slot *ret_slot,
                                   struct pk_inode **ret_inode,
                                   uint32_t *ret_i);

/* Pass over up to n bindings, whole children at a time. */
NF_MUST_USE int pk_inode_iter_skip(struct pk_inode_iter *iter, uint64_t n);
void pk_inode_iter_end(struct pk_inode_iter *iter);

/* Decode the body of an inode: a block with raw and at filled in; the caller
 * links it. known_end: the body ends where p does. Errors: NF_EC_INODE. */
NF_MUST_USE int pk_inode_decode(struct pk_store *store, const uint8_t *p,
                                size_t len, bool known_end,
                                struct pk_inode **ret_inode);

/* The inode at off, not verified and not in the cache: for what only follows
 * references. Release with pk_inode_drop. */
NF_MUST_USE int pk_inode_peek(struct pk_store *store, uint64_t off,
                              struct pk_inode **ret_inode);
void pk_inode_drop(struct pk_store *store, struct pk_inode *inode);

/* Is it a directory's root, as its entry says? */
bool pk_inode_is_root(const struct pk_inode *inode);

/* The inode of a body that is to be appended next, with the hash of it: what
 * it refers to is stored and fits. Then pk_inode_keep puts it into the cache,
 * or pk_inode_drop releases it. Errors: NF_EC_INODE, NF_EC_UNRESOLVED. */
NF_MUST_USE int pk_inode_make(struct pk_store *store, struct pk_slice body,
                              enum pk_role role, struct pk_inode **ret_inode);
NF_MUST_USE int pk_inode_keep(struct pk_store *store, struct pk_inode *inode);

#endif
