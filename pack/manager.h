/* SPDX-License-Identifier: ISC */
/*
 * The files of an open store, and the order in which they are written.
 *
 * An offset is global: bytes from the store's first day on. Those before the
 * suffix's start are in the prefix or the lower layer, or gone.
 */
#ifndef PK_MANAGER_H
#define PK_MANAGER_H

#include <notafs/pack.h>

#include "pack/branches.h"
#include "pack/cache.h"
#include "pack/control.h"
#include "pack/ctx.h"
#include "pack/dict.h"
#include "pack/entry.h"
#include "pack/heads.h"
#include "pack/index.h"
#include "pack/lower.h"
#include "pack/preimage.h"
#include "pack/sparse.h"
#include "pack/suffix.h"

struct pk_gc;
struct pk_inode;
struct pk_verified;
struct pk_trail;

/* A line of recently read bytes, for the many small reads of heads. */
struct pk_line {
    uint64_t off; /* NF_NOWHERE: empty */
    uint32_t len;
};

struct pk_store {
    struct pk_ctx ctx;
    struct pk_scheme scheme;
    enum pk_strategy strategy;
    uint32_t flags; /* enum pk_open_flags */
    const struct pk_vfs *vfs;
    const struct pk_vfs *lower_vfs;
    uint64_t index_log_entries;
    void *lock;
    bool legacy;               /* V1 or V2, read as it is */
    bool dirty;                /* something is not yet durable */
    struct pk_control control; /* as on disk */
    struct pk_dict dict;
    struct pk_suffix suffix;
    struct pk_sparse prefix; /* open when generation > 0 */
    struct pk_lower lower;
    struct pk_index index;
    struct pk_branches branches;
    struct pk_cache cache;
    struct pk_line *lines;
    uint8_t *line_bytes;
    size_t n_lines;
    struct pk_heads heads;
    struct pk_buf entry_buf; /* an entry being read */
    struct pk_buf scratch;   /* a pre-image or an entry being made */
    struct pk_gc *gc;        /* the collection that runs, or NULL */
    uint64_t reserve;        /* bytes kept free for a collection */
    uint64_t orphans;        /* offset of objects of a commit that found no
                                room, to be flushed; or NF_NOWHERE */
    uint64_t room;           /* bytes to append until room.c asks again */
    struct pk_verified *known;  /* what a check has verified, or NULL */
    struct pk_trail *trail;  /* takes what is loaded, or NULL (proofs) */
    bool partial;            /* a proof's: some objects are hashes alone, */
    bool strayed;            /* and one of these was looked at */
    bool receiving;          /* a stream (stream/receive.c) */
    struct pk_counters counters;
};

/* Open all files. On error too, pk_store_close releases what there is. */
NF_MUST_USE int pk_store_open(struct pk_store *store, const struct nf_env *env,
                              const struct pk_open *opts);
int pk_store_close(struct pk_store *store);

/* The parts of pk_store_open for writing, in order: memory and the lock; which
 * files there are; all of them but index and branches. For reading: after the
 * first, all (reload.c). */
NF_MUST_USE int pk_store_begin(struct pk_store *store, const struct nf_env *env,
                               const struct pk_open *opts);
NF_MUST_USE int pk_store_open_control(struct pk_store *store);
NF_MUST_USE int pk_store_open_pack(struct pk_store *store);
NF_MUST_USE int pk_store_open_beside(struct pk_store *store);

/* The control file, or what stands for it in a V1 or V2 store. Errors:
 * NF_EC_LAYOUT: there is no store. */
NF_MUST_USE int pk_store_read_layout(struct pk_store *store,
                                     struct pk_control *ret_control,
                                     bool *ret_legacy);

/* The prefix that control tells of, if it does. */
NF_MUST_USE int pk_store_open_prefix(struct pk_store *store,
                                     const struct pk_control *control,
                                     struct pk_sparse *prefix);

/* Errors: NF_EROFS; NF_EC_TXN_FAILED: a sync failed before. */
NF_MUST_USE int pk_store_writable(struct pk_store *store);

/* Write everything out: dictionary and suffix, then the control file that
 * names them, then the index that refers to them; all durable at the end. */
NF_MUST_USE int pk_store_flush(struct pk_store *store);

/* Its two halves; more may be written in between. */
NF_MUST_USE int pk_store_write_out(struct pk_store *store);
NF_MUST_USE int pk_store_commit(struct pk_store *store);

/* A reader: take in what the writer flushed. On error it is as it was. */
NF_MUST_USE int pk_store_reload(struct pk_store *store);

NF_MUST_USE int pk_store_split(struct pk_store *store);
NF_MUST_USE int pk_store_add_volume(struct pk_store *store);

/* Replace the control file. */
NF_MUST_USE int pk_store_write_control(struct pk_store *store,
                                       const struct pk_control *control);

/* ------------------------------------------------- reading (dispatch.c) */

/* The offset behind the last entry. */
uint64_t pk_store_end(const struct pk_store *store);

/* At most len bytes at off, wherever they are; *ret_len > 0. Errors:
 * NF_EC_NO_OBJECT: nowhere. */
NF_MUST_USE int pk_store_read(struct pk_store *store, uint64_t off,
                              uint8_t *buf, size_t len, size_t *ret_len);

/* As pk_store_read, through the lines: for what is small, or has neighbours
 * that will be wanted, too. */
NF_MUST_USE int pk_store_read_near(struct pk_store *store, uint64_t off,
                                   uint8_t *buf, size_t len, size_t *ret_len);

/* len bytes at off, if a line happens to hold them all, or NULL. */
const uint8_t *pk_store_peek(const struct pk_store *store, uint64_t off,
                             size_t len);

/* Have the bytes around off, if it is in the suffix, in a line: the `before`
 * bytes that stand before it, and some behind. */
NF_MUST_USE int pk_store_bring(struct pk_store *store, uint64_t off,
                               size_t before);

/* Forget lines and heads: what was read of the disk is to be read again. */
void pk_store_drop_lines(struct pk_store *store);

/* The file that an offset is read from, for messages. */
const char *pk_store_where(struct pk_store *store, uint64_t off);

/* A proof does not show the object; returns NF_EC_BLINDED. */
int pk_store_blinded(struct pk_store *store);

/* Set down an error at a global offset; returns err. */
int pk_store_fail(struct pk_store *store, int err, uint64_t off,
                  const char *what);

#endif
