/* SPDX-License-Identifier: ISC */
/*
 * What a stream consists of (docs/format-stream.md): elements, each a varint
 * with its length, a tag, and the rest. Numbers are varints, of seven bits a
 * byte, the low ones first, unless said otherwise.
 *
 *   0 front     "notapack", version 1, boxed configuration, flags, bytes,
 *               n haves, their hashes, n commits, their hashes, n names,
 *               boxed name and number of its commit each, n links, n objects
 *   1 link      distance, slot: what the element `distance` before refers to
 *               from there
 *   2 contents  bytes
 *   3 values    root, n, of each: kind, boxed step, distance
 *   4 children  root, depth, length, n, of each: index, distance
 *   5 commit    hash, distance of the root, n parents, of each 0 and distance
 *               or 1 and hash, date int64 BE, boxed author, boxed message
 *
 * Haves, links and objects are numbered in this order, from 0; a distance is
 * the number of the element less that of the one referred to.
 */
#ifndef PK_ELEMENT_H
#define PK_ELEMENT_H

#include <notafs/stream.h>

#include "pack/cursor.h"

enum pk_element_tag {
    PK_ELEMENT_FRONT,
    PK_ELEMENT_LINK,
    PK_ELEMENT_CONTENTS,
    PK_ELEMENT_VALUES,
    PK_ELEMENT_CHILDREN,
    PK_ELEMENT_COMMIT,
};

enum {
    PK_STREAM_VERSION = 1,
    PK_STREAM_MAGIC_LEN = 8,
    PK_STREAM_CONFIG_MAX = 256,
};
#define PK_STREAM_MAGIC    ((const uint8_t *)"notapack")
#define PK_ELEMENT_MAX_LEN ((uint64_t)1 << 31)

/* The front, decoded. The slices are in the bytes of it. */
struct pk_front {
    struct pk_config config;
    uint64_t bytes;
    size_t n_haves;
    const uint8_t *haves; /* hash after hash */
    size_t n_commits;
    const uint8_t *commits;
    size_t n_names;
    struct pk_cursor names;
    uint64_t n_links;
    uint64_t n_objects;
};

/* p is what follows the tag. Errors: NF_EC_STREAM, NF_EC_CONFIG. */
NF_MUST_USE int pk_front_decode(const uint8_t *p, size_t len,
                                struct pk_front *ret);

/* The next of n_names names, and which commit has it. */
struct pk_slice pk_front_next_name(struct pk_cursor *names, size_t *ret_commit);

/* The i-th of some hashes. */
struct pk_digest pk_front_hash(const struct pk_front *front,
                               const uint8_t *hashes, size_t i);

#endif
