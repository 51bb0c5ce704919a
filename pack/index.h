/* SPDX-License-Identifier: ISC */
/*
 * The index: hash -> (offset, length, kind) of pack entries (spec 6). The
 * files index/log, log_async, data and merge share a layout:
 *
 *    0  bytes of entries, BE int64
 *    8  "00000001"
 *   16  generation, BE int64
 *   24  bytes of the fan-out table, BE int64 (0 in logs)
 *   32  fan-out table, BE int64 each: the offset, from the first entry, of the
 *       last entry of the bucket or of those before
 *    +  entries: hash, offset BE int64, length BE int32, kind
 *
 * The log's entries stand in order of insertion, the last of a hash counts;
 * data's in order of (ocaml_hash(0, hash), hash), each hash once.
 */
#ifndef PK_INDEX_H
#define PK_INDEX_H

#include <notafs/pack.h>

#include "pack/buf.h"
#include "pack/file.h"

enum { PK_INDEX_HEADER_LEN = 32, PK_INDEX_TAIL_LEN = 13 };

/* Where an entry stands, or would: a file's name, static, and a byte in it. */
struct pk_index_at {
    const char *file;
    uint64_t off;
};

struct pk_binding {
    struct pk_digest hash;
    uint64_t off;
    uint32_t len;
    uint8_t kind;          /* byte of the entry */
    struct pk_index_at at; /* filled in by look-ups */
};

struct pk_index_header {
    uint64_t len; /* bytes of entries */
    uint64_t generation;
    uint64_t fan_len; /* bytes of the fan-out table */
};

/* The log in memory: encoded entries, and slots by hash. */
struct pk_index_log {
    struct pk_buf entries;
    uint32_t *slots; /* entry + 1; 0 is free */
    size_t n_slots;
};

struct pk_index {
    struct pk_ctx *ctx;
    const struct pk_vfs *vfs;
    size_t hash_len;
    size_t entry_len;
    uint64_t max_entries; /* a merge when the log has more */
    bool write;
    struct pk_file log_file; /* open unless there is none */
    struct pk_index_header log_header;
    uint64_t flushed; /* bytes of log.entries that are in the file */
    struct pk_index_log log;
    struct pk_file data_file;
    struct pk_index_header data_header;
    bool had_async; /* the log in memory has entries of log_async, too */
};

/* What a reader finds in the files that it has not yet seen. */
struct pk_index_news {
    struct pk_file log_file;
    struct pk_file data_file;
    struct pk_index_header log_header;
    struct pk_index_header data_header;
    struct pk_buf entries; /* of the log */
    bool whole;            /* all of them, in place of those at hand */
    bool has_async;
    uint64_t async_len;
};

/* Open; for writing, make what is missing and take in log_async, the caller
 * holding the lock. Errors: NF_EC_INDEX. */
NF_MUST_USE int pk_index_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                              size_t hash_len, uint64_t max_entries, bool write,
                              struct pk_index *index);
int pk_index_close(struct pk_index *index);

/* An index that is empty and in memory alone: for pk_index_add, and in the end
 * pk_index_replace puts it in place of the one there is; or for a reader's
 * first look. */
NF_MUST_USE int pk_index_open_empty(struct pk_ctx *ctx,
                                    const struct pk_vfs *vfs, size_t hash_len,
                                    uint64_t max_entries,
                                    struct pk_index *index);
NF_MUST_USE int pk_index_replace(struct pk_index *index);

/* Make an empty index in place of any. */
NF_MUST_USE int pk_index_create(struct pk_ctx *ctx, const struct pk_vfs *vfs);

/* Errors: NF_EC_NO_OBJECT: ret->at then says where the search ended. */
NF_MUST_USE int pk_index_find(struct pk_index *index,
                              const struct pk_digest *hash,
                              struct pk_binding *ret);

/* Insert, or replace. In memory until pk_index_flush. */
NF_MUST_USE int pk_index_add(struct pk_index *index,
                             const struct pk_binding *binding);

/* Write the log's new entries, then its header; merge when it is full. What
 * they refer to is durable, or ordered before. */
NF_MUST_USE int pk_index_flush(struct pk_index *index);

/* Merge the log into data. All entries are flushed. */
NF_MUST_USE int pk_index_merge(struct pk_index *index);

/* A reader: look what is new, and take it in once all that it refers to is at
 * hand. After a look that went well, adopted or not, deinit. */
NF_MUST_USE int pk_index_look(struct pk_index *index,
                              struct pk_index_news *news);
NF_MUST_USE int pk_index_adopt(struct pk_index *index,
                               struct pk_index_news *news);
void pk_index_news_deinit(struct pk_index_news *news);

/* Every binding once: those of data, then the log's. */
typedef int (*pk_binding_fn)(void *arg, const struct pk_binding *binding);
NF_MUST_USE int pk_index_each(struct pk_index *index, pk_binding_fn fn,
                              void *arg);

/* Entries [ret_first, ret_end) of data are those that can have the hash's key;
 * ret_fan: the entry of the fan-out table that ends them. */
NF_MUST_USE int pk_index_bucket(struct pk_index *index,
                                const struct pk_digest *hash,
                                uint64_t *ret_first, uint64_t *ret_end,
                                struct pk_index_at *ret_fan);
NF_MUST_USE int pk_index_data_entry(struct pk_index *index, uint64_t i,
                                    struct pk_binding *ret);

/* Parts, for index_merge.c, index_news.c and tests. */
NF_MUST_USE int pk_index_open_file(struct pk_index *index, const char *name,
                                   uint32_t flags, struct pk_file *file,
                                   struct pk_index_header *header);
NF_MUST_USE int pk_index_enter(struct pk_index *index, size_t n);
NF_MUST_USE int pk_index_header_read(struct pk_file *file, size_t entry_len,
                                     struct pk_index_header *ret);
void pk_index_header_encode(const struct pk_index_header *header,
                            uint8_t buf[PK_INDEX_HEADER_LEN]);
void pk_index_decode(const struct pk_index *index, const uint8_t *p,
                     struct pk_binding *ret);
uint32_t pk_index_key(const struct pk_index *index, const uint8_t *hash);
void pk_index_log_clear(struct pk_index *index);
uint64_t pk_index_data_entries(const struct pk_index *index);

#endif
