/* SPDX-License-Identifier: ISC */
/*
 * A sender: first what is to be sent is found (reach.c), from the largest
 * offset down; then it is sent (emit.c) in the order of offsets, in which
 * whatever an object refers to comes before it.
 */
#ifndef PK_SEND_H
#define PK_SEND_H

#include "pack/hash/blake2b.h"
#include "pack/objects.h"
#include "pack/store/repo.h"
#include "pack/stream/chunk.h"
#include "pack/stream/element.h"
#include "pack/stream/list.h"
#include "pack/stream/visit.h"

enum pk_send_state {
    PK_SEND_ROOTS,
    PK_SEND_REACH,
    PK_SEND_EMIT,
    PK_SEND_END,
};

enum {
    PK_LINK_STRIDE = 3,      /* offset, element it is a part of, slot */
    PK_LINK_MAX = 1 << 22,   /* beyond so many objects are sent again */
    PK_LOOK_FREE = 1 << 16,  /* what is had is looked into so many times ... */
    PK_LOOK_PER_OBJECT = 16, /* ... and for each object to be sent */
};

/* In a found link's slot: it is referred to by what is sent. */
#define PK_LINK_NEEDED ((uint64_t)1 << 32)

struct pk_send {
    struct pk_store *store;
    struct pk_send_options options;
    enum pk_send_state state;
    uint64_t *haves; /* their offsets */
    size_t n_roots;  /* pushed */
    struct pk_visits visits;
    struct pk_list_file objects; /* offsets, descending */
    struct pk_list_file found;   /* links, of PK_LINK_STRIDE numbers ... */
    struct pk_list_file links;   /* ... and those of them that are needed */
    uint64_t n_looks;            /* into what is had */
    struct pk_blake2b seal;      /* of all that decides the stream */
    uint64_t next;               /* links and objects sent */
    struct pk_buf out;           /* of the stream, from out_at on to be sent */
    size_t out_at;
    struct pk_buf body; /* an element being made */
    uint64_t chunk;     /* the next one */
    uint8_t *packed;    /* a chunk */
    struct pk_send_stats stats;
    int err; /* the first one: it stays */
};

/* Visit one more. 1: there is more; 0: all were visited. */
NF_MUST_USE int pk_reach(struct pk_send *send);

/* Of the links found, keep those that lead to one that is needed (links.c). */
NF_MUST_USE int pk_links_prune(struct pk_send *send);

/* The next element, behind what is in out. 1; 0: that was the last. */
NF_MUST_USE int pk_emit(struct pk_send *send);

/* The front, into out. */
NF_MUST_USE int pk_emit_front(struct pk_send *send);

#endif
