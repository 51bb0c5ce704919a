/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_BLOCKDEV_H
#define NOTAFS_BLOCKDEV_H

#include <notafs/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Block device: the one door through which the core reaches storage.
 *
 * Units:   positions and lengths count pages; only page_size and fields named
 *          *_len count bytes.
 * Shapes:  n pages are n * page_size contiguous bytes in a buffer, page
 *          first + i at byte i * page_size.
 * Errors:  0, or a negative enum nf_err. A failed write leaves each addressed
 *          page old, new or torn; a failed read leaves its buffer undefined.
 * Threads: one caller at a time per struct bd; distinct ones are independent.
 *          Callbacks may block, and never call back into the layer above.
 */
enum bd_caps {
    BD_CAP_FLUSH = 1u << 0,    /* flush is a barrier (Solo5: absent) */
    BD_CAP_READONLY = 1u << 1, /* every write fails with NF_EROFS */
    BD_CAP_DISCARD = 1u << 2,  /* discard frees pages below us */
};

struct bd_geometry {
    uint64_t page_count; /* pages, >= 1 */
    uint32_t page_size;  /* bytes, a power of two in 512..65536 */
    uint32_t caps;       /* enum bd_caps, or-ed; constant while open */
};

/* Pages [first, first + count). One value, so the two cannot be swapped. */
struct bd_range {
    uint64_t first;
    uint32_t count; /* >= 1 */
};

/* One transfer. Exactly one of in (a read fills it) and out (a write leaves it
 * unchanged) is set, to range.count pages, borrowed until submit returns.
 * Buffers of a device that needs alignment (O_DIRECT) must be aligned to the
 * page size or 4096, whichever is less; others take any address. */
struct bd_request {
    struct bd_range range;
    uint8_t *in;
    const uint8_t *out;
};

/*
 * Supplied by the embedder. Ranges that reach it are in bounds, and the ranges
 * of one batch are disjoint.
 *
 * submit:    carries out a batch, in any order; returns when all have ended.
 * flush:     what was submitted before is durable when it returns 0. NULL
 *            without BD_CAP_FLUSH.
 * discard:   the contents of the ranges are no longer needed: reading them
 *            gives anything. NULL without BD_CAP_DISCARD.
 */
struct bd_ops {
    int (*submit)(void *dev, const struct bd_request *reqs, size_t n_reqs);
    int (*flush)(void *dev);
    int (*discard)(void *dev, const struct bd_range *ranges, size_t n_ranges);
};

/* What the device was asked for since bd_init; read it at any time. */
struct bd_counters {
    uint64_t batches;       /* calls of submit */
    uint64_t reads;         /* requests */
    uint64_t writes;        /* requests */
    uint64_t pages_read;    /* pages */
    uint64_t pages_written; /* pages */
    uint64_t flushes;
    uint64_t discards; /* ranges */
};

/* A device as the core sees it: the embedder's table, checked and counted.
 * Fields are for bd.c; use the functions. */
struct bd {
    const struct bd_ops *ops;
    void *dev;
    struct bd_geometry geo;
    struct bd_counters count;
};

/*
 * Make *bd stand for the device dev with table ops. Nothing is sent.
 *
 * Owns:    ops and dev stay the caller's and must outlive *bd; there is
 *          nothing to release.
 * Errors:  NF_EINVAL: a geometry out of bounds, or a capability without its
 *          callback.
 */
NF_MUST_USE int bd_init(struct bd *bd, const struct bd_ops *ops, void *dev,
                        const struct bd_geometry *geo);

/*
 * Carry out n_reqs disjoint requests, in any order; return when all have ended.
 * A write is durable only once a later bd_flush has returned 0. No requests is
 * a success that sends nothing.
 *
 * Owns:    nothing is kept; reqs and its buffers are the caller's on return.
 * Errors:  NF_EINVAL (a malformed request), NF_ERANGE (beyond page_count) and
 *          NF_EROFS: nothing was sent. NF_EIO: any subset may have happened.
 * Cost:    one callback, no allocation.
 */
NF_MUST_USE int bd_submit(struct bd *bd, const struct bd_request *reqs,
                          size_t n_reqs);

/* Pages [first, first + count) into in: bd_submit of one read. */
NF_MUST_USE int bd_read(struct bd *bd, uint64_t first, uint32_t count,
                        uint8_t *in);

/* Pages [first, first + count) from out: bd_submit of one write. */
NF_MUST_USE int bd_write(struct bd *bd, uint64_t first, uint32_t count,
                         const uint8_t *out);

/*
 * A barrier: every write submitted before is durable when this returns 0.
 * Without BD_CAP_FLUSH it returns 0 and promises nothing.
 */
NF_MUST_USE int bd_flush(struct bd *bd);

/* Tell the device that pages are no longer needed. Without BD_CAP_DISCARD it
 * returns 0 and does nothing. Errors: as bd_submit. */
NF_MUST_USE int bd_discard(struct bd *bd, const struct bd_range *ranges,
                           size_t n_ranges);

#ifdef __cplusplus
}
#endif
#endif
