/* SPDX-License-Identifier: ISC */
/*
 * Pack entries (spec 3): hash, kind, body.
 *
 *   B  contents            boxed bytes
 *   C  commit V1           commit with hashes
 *   D  commit              boxed commit with addresses
 *   P  D, whose parent of it was collected; made by a garbage collection
 *   I  inode V1, N  stable inode V1
 *   R  root inode, O  other inode: boxed
 *
 *   commit   address of the root, n parents, their addresses, date int64,
 *            boxed author, boxed message
 *   address  00 offset int63, or 01 hash; in C a hash alone
 */
#ifndef PK_ENTRY_H
#define PK_ENTRY_H

#include <notafs/pack.h>

#include "pack/buf.h"
#include "pack/cursor.h"

/* Bytes that are enough to tell an entry's kind and length. */
enum { PK_HEAD_MAX = PK_HASH_MAX_LEN + 1 + 9 };

/* The front of an entry. */
struct pk_head {
    struct pk_digest hash;
    uint8_t kind;
    uint64_t len;  /* of the whole entry; 0: only its body tells (C I N) */
    uint32_t body; /* where in the entry the body begins */
};

/* False: no entry begins with these bytes. */
bool pk_head_decode(const uint8_t *p, size_t len, size_t hash_len,
                    struct pk_head *ret);

/* Another object, by offset or by hash. */
struct pk_addr {
    bool by_hash;
    uint64_t off;
    struct pk_digest hash;
};

struct pk_addr pk_take_addr(struct pk_cursor *c, size_t hash_len);
void pk_put_addr(struct pk_buf *b, const struct pk_addr *addr, size_t hash_len);

/* The body of a commit. parents is still encoded; info points into it. */
struct pk_commit_body {
    struct pk_addr root;
    uint64_t n_parents;
    struct pk_cursor parents;
    struct pk_info info;
};

/* p is the body, len bytes of it (more than that for C, whose end is told in
 * *ret_len). False: malformed. */
bool pk_commit_decode(const uint8_t *p, size_t len, uint8_t kind,
                      size_t hash_len, struct pk_commit_body *ret,
                      size_t *ret_len);

/* A parent of a decoded commit, called n_parents times. */
struct pk_addr pk_commit_next_parent(struct pk_commit_body *body, uint8_t kind,
                                     size_t hash_len);

static inline bool pk_kind_is_commit(uint8_t kind)
{
    return kind == 'D' || kind == 'P' || kind == 'C';
}

static inline bool pk_kind_is_inode(uint8_t kind)
{
    return kind == 'R' || kind == 'O' || kind == 'I' || kind == 'N';
}

#endif
