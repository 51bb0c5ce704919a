/* SPDX-License-Identifier: ISC */
/*
 * What a check has seen, by offset, and for what was verified the little that
 * an inode above it asks for. An inode is hashed from the hashes of all that it
 * refers to, and each version of a directory refers to nearly all of the one
 * before: without this a check reads most objects again for each version.
 */
#ifndef PK_VERIFIED_H
#define PK_VERIFIED_H

#include "pack/ctx.h"
#include "pack/entry.h"

/* An object that was verified. */
struct pk_verified_object {
    struct pk_digest hash;
    uint64_t length; /* of an inode: bindings below */
    uint8_t kind;    /* of the entry */
    uint8_t depth;   /* of an inode */
    bool tree;       /* of an inode: children, not bindings */
};

struct pk_verified {
    struct pk_ctx *ctx;
    size_t hash_len;
    size_t max_len;  /* bytes: when objects take more, offsets alone are kept */
    uint64_t *slots; /* 0 is free */
    size_t n_slots;  /* a power of two */
    size_t n;
    uint8_t **blocks; /* of records */
    size_t n_blocks;
    size_t cap_blocks;
    size_t used; /* of the last block, words */
};

/* 1: off is new, and entered, with its object unless that is NULL; 0: it was
 * there, and stays as it was. */
NF_MUST_USE int pk_verified_add(struct pk_verified *known, uint64_t off,
                                const struct pk_verified_object *object);

/* Was off added? */
bool pk_verified_has(const struct pk_verified *known, uint64_t off);

/* The object at off, if it is still known. */
bool pk_verified_find(const struct pk_verified *known, uint64_t off,
                      struct pk_verified_object *ret);
void pk_verified_deinit(struct pk_verified *known);

#endif
