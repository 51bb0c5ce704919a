/* SPDX-License-Identifier: ISC */
/*
 * Clean objects in memory, by offset: inodes and contents that have been
 * verified. All of them share one bound in bytes. Those used least recently go
 * first; what is pinned stays. Inodes, through which more is found, go once
 * contents take no more than a quarter.
 */
#ifndef PK_CACHE_H
#define PK_CACHE_H

#include "pack/ctx.h"

struct pk_store;

enum pk_cached_what { PK_CACHED_INODE, PK_CACHED_CONTENTS, PK_CACHED_KINDS };

/* The front of an object in the cache; the object is one block of memory that
 * begins with it. */
struct pk_cached {
    struct pk_cached *slot_next; /* the cache's, as are these two */
    struct pk_cached *newer;
    struct pk_cached *older;
    uint64_t off;
    size_t size; /* of the block */
    uint32_t pins;
    uint8_t what; /* enum pk_cached_what */
    bool used;    /* since its age was last asked for */
};

/* The objects of one sort, by age. */
struct pk_ages {
    struct pk_cached *newest;
    struct pk_cached *oldest;
    size_t n;
    size_t len; /* bytes */
};

struct pk_cache {
    struct pk_cached **slots;
    size_t n_slots; /* a power of two */
    size_t n;
    size_t len; /* bytes */
    size_t max_len;
    uint32_t turned_away; /* contents that others would have had to go for */
    struct pk_ages ages[PK_CACHED_KINDS];
};

/* The object at off, if it is of this sort; NULL: it is not there. */
struct pk_cached *pk_cache_find(struct pk_cache *cache,
                                enum pk_cached_what what, uint64_t off);

/* Takes the object, on success only. */
NF_MUST_USE int pk_cache_add(struct pk_store *store, struct pk_cached *kept);

/* Let go of others until size bytes fit. false: they do not, or would take too
 * much of the cache from all others. */
bool pk_cache_make_room(struct pk_store *store, size_t size);

/* The inode at off has been replaced: it is the next to leave the cache. */
void pk_cache_demote(struct pk_store *store, uint64_t off);

/* Let go of all that is not pinned. */
void pk_cache_forget(struct pk_store *store);
void pk_cache_clear(struct pk_store *store);

#endif
