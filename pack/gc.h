/* SPDX-License-Identifier: ISC */
/*
 * Garbage collection and archiving, in bounded steps (spec 8.3 to 8.6).
 *
 * A collection makes one or two passes: what goes to the lower layer, then
 * what stays in the new prefix. Each marks, from the largest offset down, what
 * its roots reach; writes the ranges found, largest first, to the mapping;
 * turns their order around; and copies them.
 *
 * Until pk_gc_finish replaces the control file nothing refers to what a
 * collection writes, and nothing that is there is changed: commits, splits and
 * reads go on between steps.
 */
#ifndef PK_GC_H
#define PK_GC_H

#include "pack/manager.h"
#include "pack/seen.h"

enum {
    PK_GC_BLOCK_LEN = 4096, /* of objects at a time */
    PK_GC_COPY_LEN = 65536,
    PK_GC_PAGE_RECORDS = 128, /* of a mapping, at a time */
    PK_GC_PAGE_LEN = PK_GC_PAGE_RECORDS * PK_MAPPING_RECORD_LEN,
    PK_GC_MAX_COMMITS = 1 << 18,    /* to keep */
    PK_GC_MAX_LATE = (1 << 18) - 1, /* references ahead, in a pass */
};

/* Bytes that passed to and from files. */
struct pk_gc_io {
    uint64_t read;
    uint64_t written;
};

/* --------------------------------------------------------------- gc_far.c */

/* Offsets, the largest first, each once. */
struct pk_gc_far {
    struct pk_ctx *ctx;
    uint64_t *news; /* not yet among the others */
    size_t n_news;
    size_t cap_news;
    uint8_t *buf; /* distances, varints, in [at, len) */
    size_t len;
    size_t at;
    uint64_t from;  /* what the first distance counts from; all are below */
    uint64_t floor; /* what was or will be pushed below that is dropped */
};

/* A set for offsets below top that takes mem_len bytes, or less. */
NF_MUST_USE int pk_gc_far_open(struct pk_ctx *ctx, size_t mem_len, uint64_t top,
                               struct pk_gc_far *far);
void pk_gc_far_close(struct pk_gc_far *far);

/* Empty it, for offsets below top again. */
void pk_gc_far_reset(struct pk_gc_far *far, uint64_t top);

/* off is below the one popped last. */
void pk_gc_far_push(struct pk_gc_far *far, uint64_t off);

/* The largest, if it is not below low. */
bool pk_gc_far_pop(struct pk_gc_far *far, uint64_t low, uint64_t *ret_off);

/* ------------------------------------------------------------- gc_queue.c */

/*
 * Offsets to visit, the largest first, each once. Offsets may be pushed as
 * long as they are below the one popped last.
 */
struct pk_gc_queue {
    struct pk_ctx *ctx;
    uint8_t *bits;        /* a window */
    size_t bits_len;      /* a multiple of 8 */
    uint64_t base;        /* bit 0; the window is [base, base + 8 * bits_len) */
    uint64_t at;          /* what is at or above has been popped */
    struct pk_gc_far far; /* what is below base */
};

/* A queue for offsets below top that takes about mem_len bytes, or less. */
NF_MUST_USE int pk_gc_queue_open(struct pk_ctx *ctx, size_t mem_len,
                                 uint64_t top, struct pk_gc_queue *queue);
void pk_gc_queue_close(struct pk_gc_queue *queue);

/* Empty it, for offsets below top again. */
void pk_gc_queue_reset(struct pk_gc_queue *queue, uint64_t top);

/* off is below the one popped last. */
void pk_gc_queue_push(struct pk_gc_queue *queue, uint64_t off);

/* False: nothing is left, at or above the floor of far. */
bool pk_gc_queue_pop(struct pk_gc_queue *queue, uint64_t *ret_off);

/* --------------------------------------------------------------- gc_out.c */

/* A data file and its mapping, being written. */
struct pk_gc_out {
    struct pk_file data;
    struct pk_file mapping;
    uint64_t n_base;    /* records that are there already */
    uint64_t data_base; /* bytes that are there already */
    uint64_t n;         /* records of this pass, in the file or in page */
    uint64_t bytes;     /* that they map */
    uint64_t first;     /* offset of the lowest */
    uint64_t last_end;  /* end of the highest */
    struct pk_range_record range; /* the lowest one yet, not in page */
    uint8_t *page;                /* PK_GC_PAGE_LEN bytes */
    size_t n_page;                /* records in it */
    uint64_t reverse;             /* records from each end that are done */
    uint64_t copied;              /* records done */
    uint64_t piece;               /* bytes done of the one being copied */
    uint64_t walk; /* in it, the entry whose kind is looked at next */
    uint64_t poff;
    struct pk_samples samples; /* of all records */
};

/* --------------------------------------------------------------------- gc.c */

/* The entry being visited. */
struct pk_gc_scan {
    bool active;
    uint8_t kind;
    bool tree;     /* of an inode: children, not bindings */
    bool at_root;  /* of a commit: the root comes next */
    bool follow;   /* of a commit: its references count */
    uint64_t off;  /* of the entry */
    uint64_t pos;  /* of what comes next in it */
    uint64_t end;  /* of the entry; 0: not known */
    uint64_t left; /* bindings, children or parents to come */
};

/* Another look at what was taken, for references that the queue dropped. */
struct pk_gc_again {
    bool active;
    uint64_t limit; /* those below it are wanted */
    uint64_t next;  /* record to be looked at next */
    uint64_t pos;   /* in the present one, of the entry that is next */
    uint64_t end;
};

enum pk_gc_pass {
    PK_PASS_ARCHIVE,
    PK_PASS_PREFIX,
};

enum pk_gc_state {
    PK_STATE_SEED,    /* copy the old prefix into a fresh volume */
    PK_STATE_ROOTS,   /* push the roots */
    PK_STATE_AGAIN,   /* look at what was taken for more references */
    PK_STATE_MARK,    /* visit */
    PK_STATE_REVERSE, /* turn the mapping around */
    PK_STATE_COPY,    /* copy what it maps */
    PK_STATE_READY,
};

/* What takes the place of the store's at the end, opened before anything is
 * replaced. */
struct pk_gc_new {
    struct pk_control control;
    struct pk_sparse prefix;
    struct pk_sparse volume;
    struct pk_volume_control limits;
    size_t dead_chunks;
};

struct pk_gc {
    struct pk_store *store;
    enum pk_gc_pass pass;
    enum pk_gc_state state;
    bool dry_run;
    bool split;               /* asked for */
    const struct pk_vfs *vfs; /* where the prefix goes */
    uint64_t target;          /* the highest commit that is kept */
    uint64_t new_start;       /* of the suffix */
    uint64_t generation;
    uint64_t *keep; /* offsets of the commits to keep, ascending */
    size_t n_keep;
    struct pk_seen late; /* what entries of old refer to ahead of them */
    bool late_new;       /* there is more than when the pass began */
    bool ahead;          /* something was visited that stays where it is */
    size_t n_roots;      /* pushed */
    struct pk_gc_queue queue;
    struct pk_gc_again again;
    struct pk_gc_scan scan;
    uint64_t lowest; /* start of the entry visited last */
    uint8_t *block;  /* PK_GC_BLOCK_LEN bytes of objects */
    uint64_t block_off;
    size_t block_len;
    uint8_t *buf; /* copy_len bytes */
    size_t copy_len;
    struct pk_gc_out prefix;
    struct pk_gc_out volume;
    struct pk_gc_io io;
    struct pk_gc_stats stats;
    struct pk_gc_new fresh;
};

/* Does it make another store, and leave this one as it is? */
static inline bool pk_gc_is_export(const struct pk_gc *gc)
{
    return gc->vfs != gc->store->vfs;
}

/* --------------------------------------------------------- gc_export.c */

/* What else a store of the one commit consists of; then its control file, after
 * which there is a store, also if that fails. */
NF_MUST_USE int pk_gc_export_files(struct pk_gc *gc);
NF_MUST_USE int pk_gc_export_control(struct pk_gc *gc);

/* Errors: NF_EEXIST: there is a store. */
NF_MUST_USE int pk_gc_export_check(struct pk_store *store,
                                   const struct pk_gc_options *options);

/* --------------------------------------------------------------------- gc.c */

/* Begin. Errors: as pk_gc_start says. */
NF_MUST_USE int pk_gc_open(struct pk_store *store,
                           const struct pk_gc_options *options);

/* 1: there is more to do; 0: ready to be finished. */
NF_MUST_USE int pk_gc_run_step(struct pk_gc *gc, uint64_t budget);
NF_MUST_USE int pk_gc_end(struct pk_gc *gc);
int pk_gc_break_off(struct pk_gc *gc);
void pk_gc_stats_now(struct pk_gc *gc, struct pk_gc_stats *ret);

/* Where the pass that runs puts what it finds. */
static inline struct pk_gc_out *pk_gc_out_now(struct pk_gc *gc)
{
    return gc->pass == PK_PASS_ARCHIVE ? &gc->volume : &gc->prefix;
}

/* Is the commit at off one to keep? */
bool pk_gc_keeps(const struct pk_gc *gc, uint64_t off);

/* Ascending. */
void pk_gc_sort(uint64_t *offs, size_t n);

/* ------------------------------------------------------------- gc_mark.c */

/* What one call of these may read and write. */
enum { PK_GC_UNIT_LEN = 4 * PK_GC_BLOCK_LEN + PK_GC_PAGE_LEN };

/* Go on visiting, by one reference. 1: there is more; 0: all was visited. */
NF_MUST_USE int pk_gc_mark(struct pk_gc *gc);

/* Make ready to mark from the roots. */
void pk_gc_mark_begin(struct pk_gc *gc);

/* ------------------------------------------------------------ gc_out.c */

/* Take [off, end), which ends at or below all that was taken before. patch: it
 * is a commit whose kind changes in the copy. */
NF_MUST_USE int pk_gc_out_take(struct pk_gc *gc, uint64_t off, uint64_t end,
                               bool patch);

/* Range i of those taken, largest first. 1: *ret; 0: there is none. After
 * pk_gc_out_sync only, and before anything else uses gc->buf. */
NF_MUST_USE int pk_gc_out_range(struct pk_gc *gc, uint64_t i,
                                struct pk_range_record *ret);
NF_MUST_USE int pk_gc_out_sync(struct pk_gc *gc);

/* Forget what was taken. */
void pk_gc_out_restart(struct pk_gc_out *out);

/* All was taken. */
NF_MUST_USE int pk_gc_out_end(struct pk_gc *gc);

/* 1: there is more to turn around; 0: done. At most len bytes. */
NF_MUST_USE int pk_gc_out_reverse(struct pk_gc *gc, uint64_t len);

/* Make ready to copy, then copy at most len bytes. 1: there is more. */
NF_MUST_USE int pk_gc_out_begin_copy(struct pk_gc *gc);
NF_MUST_USE int pk_gc_out_copy(struct pk_gc *gc, uint64_t len);
void pk_gc_out_close(struct pk_store *store, struct pk_gc_out *out);

#endif
