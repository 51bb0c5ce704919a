/* SPDX-License-Identifier: ISC */
/*
 * The dictionary of step names (spec 5.1): store.dict is int32 BE length ++
 * bytes, again and again, up to dict_end bytes after the dead header of 0 or
 * 16; the n-th string has id n.
 */
#ifndef PK_DICT_H
#define PK_DICT_H

#include "pack/arena.h"
#include "pack/buf.h"
#include "pack/file.h"

enum { PK_DICT_MAX_STRINGS = 100001, PK_DICT_INLINE_LEN = 3 };

struct pk_dict {
    struct pk_ctx *ctx;
    struct pk_file file;
    uint64_t header;       /* dead bytes at the front of the file */
    uint64_t flushed;      /* bytes of the dict that are in the file */
    struct pk_buf pending; /* encoded, not yet written */
    struct pk_arena arena; /* holds the strings */
    struct pk_slice *strings;
    uint32_t n;
    uint32_t cap;
    uint32_t *slots; /* by hash of the string: high bits of that, id + 1; 0 is
                      * free */
    uint32_t n_slots;
    bool repeats; /* a string is there twice: the first id is the one */
};

/* Open and read the first end bytes. For writing, cut what lies beyond.
 * Errors: NF_EC_DICT, NF_EC_SHORT_FILE. */
NF_MUST_USE int pk_dict_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                             uint64_t header, uint64_t end, bool write,
                             struct pk_dict *dict);

/* A dict that was never opened but is all 0 is fine. */
int pk_dict_close(struct pk_dict *dict);

/* Read on to a later end. */
NF_MUST_USE int pk_dict_extend(struct pk_dict *dict, uint64_t end);

/* The string of an id; p NULL when there is none. Lives as long as the dict. */
struct pk_slice pk_dict_string(const struct pk_dict *dict, uint64_t id);

/* The id of a string, added if new. 1, or 0 when the dict is full. */
NF_MUST_USE int pk_dict_add(struct pk_dict *dict, struct pk_slice s,
                            uint64_t *ret_id);

/* Once full it stays as it is. */
static inline bool pk_dict_is_full(const struct pk_dict *dict)
{
    return dict->n >= PK_DICT_MAX_STRINGS;
}

/* Write what was added; the caller orders it. */
NF_MUST_USE int pk_dict_flush(struct pk_dict *dict);

/* Bytes of the dict, with those added. */
uint64_t pk_dict_end(const struct pk_dict *dict);

#endif
