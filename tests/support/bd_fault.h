/* SPDX-License-Identifier: ISC */
/*
 * A disk in memory that records, fails, rots, and goes back in time.
 *
 * Give &fault->bd to the code under test. Savepoints (mark, reset) are a
 * stack and copy only pages that change, so returning to one costs as little
 * as what happened since; bd_replay.h makes crashes of them.
 */
#ifndef TESTS_BD_FAULT_H
#define TESTS_BD_FAULT_H

#include <notafs/blockdev.h>

enum bd_fault_op {
    BD_FAULT_READ,
    BD_FAULT_WRITE,
    BD_FAULT_FLUSH,
    BD_FAULT_DISCARD,
};
#define BD_FAULT_OPS 4

/* What discarded pages hold, and buffers of failed reads. */
#define BD_FAULT_POISON 0xDB

/* A page written, a range discarded or a flush, in the order of arrival. A
 * request for several pages is as many entries, each of which can be lost or
 * torn alone. */
struct bd_fault_entry {
    enum bd_fault_op op; /* never BD_FAULT_READ */
    bool failed;         /* of a flush: no barrier */
    uint32_t count;      /* pages: 1 for a write, 0 for a flush */
    uint64_t page;
    uint64_t batch; /* counts calls of bd_submit */
    size_t data;    /* of a write: bd_fault_log.data from here on */
};

/* Starts as {0}. */
struct bd_fault_log {
    struct bd_fault_entry *entries;
    size_t n;
    size_t cap;
    uint8_t *data;
    size_t data_len;
    size_t data_cap;
};

void bd_fault_log_clear(struct bd_fault_log *log);
void bd_fault_log_deinit(struct bd_fault_log *log);

struct bd_fault_plan {
    uint64_t n_seen;
    uint64_t at; /* value of n_seen; 0: never */
    bool for_ever;
};

struct bd_fault_undo {
    uint64_t page;
    uint32_t stamp;
};

struct bd_fault_mark {
    size_t n_undo;
    uint32_t stamp;
};

#define BD_FAULT_MARKS 8

struct bd_fault {
    struct bd bd;
    struct bd_fault_log *log; /* record here; NULL: nowhere */
    uint64_t n_failed;        /* requests that bd_fault_fail made fail */

    /* For bd_fault.c. */
    uint8_t *bytes;
    struct bd_fault_plan plans[BD_FAULT_OPS];
    uint32_t *stamps; /* per page: the mark since which it is saved */
    uint32_t last_stamp;
    struct bd_fault_undo *undo;
    uint8_t *undo_data; /* a page for each undo */
    size_t n_undo;
    size_t undo_cap;
    struct bd_fault_mark marks[BD_FAULT_MARKS];
    size_t n_marks;
};

/* A disk of zeros. Without BD_CAP_FLUSH nothing is ever a barrier. */
struct bd_fault *bd_fault_open(const struct bd_geometry *geo);
void bd_fault_close(struct bd_fault *fault);

/* Look at a page, unseen by counters and plans; valid until the next change. */
const uint8_t *bd_fault_page(const struct bd_fault *fault, uint64_t page);

/* Set a page, unseen by log, counters and plans. */
void bd_fault_store(struct bd_fault *fault, uint64_t page, const uint8_t *data);

/* Flip the bits of mask in one byte of a page. */
void bd_fault_rot(struct bd_fault *fault, uint64_t page, size_t byte,
                  uint8_t mask);

/*
 * Make the n-th request of this kind from now fail (the next is 1), and with
 * for_ever all that follow it. n = 0: none, and n_failed is 0 again.
 *
 * A read that fails leaves poison, a write that fails leaves the first half of
 * its sectors and ends its batch there; a flush that fails is no barrier.
 */
void bd_fault_fail(struct bd_fault *fault, enum bd_fault_op op, uint64_t n,
                   bool for_ever);

/* Savepoints. mark sets one, reset goes back to the last one set, unmark
 * forgets the last one set and changes nothing. */
void bd_fault_mark(struct bd_fault *fault);
void bd_fault_reset(struct bd_fault *fault);
void bd_fault_unmark(struct bd_fault *fault);

/*
 * Do to the disk what entry i of log says. sectors tears a write: bit k (of
 * word k / 64) set: its 512-byte sector k arrived; NULL: all did.
 */
void bd_fault_apply(struct bd_fault *fault, const struct bd_fault_log *log,
                    size_t i, const uint64_t *sectors);

#endif
