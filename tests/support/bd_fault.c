/* SPDX-License-Identifier: ISC */
/*
 * Savepoints are undo lists. A page is copied into the list at its first
 * change after a mark; its stamp says for which mark that was done last. Each
 * mark has a stamp of its own, and undoing restores stamps with contents, so
 * that a page saved for an outer mark is saved anew for an inner one.
 */
#include "tests/support/bd_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notafs/platform/assert.h"

#define SECTOR_LEN 512

static void *or_die(void *p)
{
    if (p == NULL) {
        fputs("bd_fault: out of memory\n", stderr);
        abort();
    }
    return p;
}

/* p with room for n + more items, grown in large steps. */
static void *grown(void *p, size_t n, size_t more, size_t item_len,
                   size_t *ret_cap)
{
    if (n + more <= *ret_cap) {
        return p;
    }
    *ret_cap = 2 * (n + more);
    return or_die(realloc(p, *ret_cap * item_len));
}

/* ---- Log ------------------------------------------------------------ */

void bd_fault_log_clear(struct bd_fault_log *log)
{
    log->n = 0;
    log->data_len = 0;
}

void bd_fault_log_deinit(struct bd_fault_log *log)
{
    free(log->entries);
    free(log->data);
    *log = (struct bd_fault_log){0};
}

static void bd_fault_record(struct bd_fault *fault, struct bd_fault_entry entry)
{
    struct bd_fault_log *log = fault->log;
    const size_t len = fault->bd.geo.page_size;

    if (log == NULL) {
        return;
    }
    entry.batch = fault->bd.count.batches;
    entry.data = log->data_len;
    if (entry.op == BD_FAULT_WRITE) {
        log->data = grown(log->data, log->data_len, len, 1, &log->data_cap);
        memcpy(log->data + log->data_len, bd_fault_page(fault, entry.page),
               len);
        log->data_len += len;
    }
    log->entries = grown(log->entries, log->n, 1, sizeof(entry), &log->cap);
    log->entries[log->n++] = entry;
}

/* ---- Contents and savepoints ----------------------------------------- */

static uint8_t *bd_fault_at(const struct bd_fault *fault, uint64_t page)
{
    nf_assert(page < fault->bd.geo.page_count);
    return fault->bytes + (size_t)page * fault->bd.geo.page_size;
}

const uint8_t *bd_fault_page(const struct bd_fault *fault, uint64_t page)
{
    return bd_fault_at(fault, page);
}

/* A page that is about to change. */
static uint8_t *bd_fault_touch(struct bd_fault *fault, uint64_t page)
{
    const size_t len = fault->bd.geo.page_size;
    uint8_t *at = bd_fault_at(fault, page);

    if (fault->n_marks == 0) {
        return at;
    }
    const uint32_t stamp = fault->marks[fault->n_marks - 1].stamp;
    if (fault->stamps[page] == stamp) {
        return at;
    }
    size_t cap = fault->undo_cap;
    fault->undo =
        grown(fault->undo, fault->n_undo, 1, sizeof(*fault->undo), &cap);
    fault->undo_data =
        grown(fault->undo_data, fault->n_undo, 1, len, &fault->undo_cap);
    fault->undo[fault->n_undo] =
        (struct bd_fault_undo){page, fault->stamps[page]};
    memcpy(fault->undo_data + fault->n_undo * len, at, len);
    fault->n_undo++;
    fault->stamps[page] = stamp;
    return at;
}

void bd_fault_mark(struct bd_fault *fault)
{
    nf_assert(fault->n_marks < BD_FAULT_MARKS);
    fault->marks[fault->n_marks++] =
        (struct bd_fault_mark){fault->n_undo, ++fault->last_stamp};
}

void bd_fault_reset(struct bd_fault *fault)
{
    const size_t len = fault->bd.geo.page_size;

    nf_assert(fault->n_marks > 0);
    while (fault->n_undo > fault->marks[fault->n_marks - 1].n_undo) {
        fault->n_undo--;
        const struct bd_fault_undo *undo = &fault->undo[fault->n_undo];
        memcpy(bd_fault_at(fault, undo->page),
               fault->undo_data + fault->n_undo * len, len);
        fault->stamps[undo->page] = undo->stamp;
    }
}

void bd_fault_unmark(struct bd_fault *fault)
{
    nf_assert(fault->n_marks > 0);
    fault->n_marks--;
    if (fault->n_marks == 0) {
        fault->n_undo = 0;
    }
}

void bd_fault_store(struct bd_fault *fault, uint64_t page, const uint8_t *data)
{
    memcpy(bd_fault_touch(fault, page), data, fault->bd.geo.page_size);
}

void bd_fault_rot(struct bd_fault *fault, uint64_t page, size_t byte,
                  uint8_t mask)
{
    nf_assert(byte < fault->bd.geo.page_size);
    bd_fault_touch(fault, page)[byte] ^= mask;
}

static void bd_fault_poison(struct bd_fault *fault, struct bd_range range)
{
    for (uint32_t i = 0; i < range.count; i++) {
        memset(bd_fault_touch(fault, range.first + i), BD_FAULT_POISON,
               fault->bd.geo.page_size);
    }
}

void bd_fault_apply(struct bd_fault *fault, const struct bd_fault_log *log,
                    size_t i, const uint64_t *sectors)
{
    nf_assert(i < log->n);
    const struct bd_fault_entry *entry = &log->entries[i];
    const uint8_t *data = log->data + entry->data;

    switch (entry->op) {
    case BD_FAULT_WRITE:
        if (sectors == NULL) {
            bd_fault_store(fault, entry->page, data);
            break;
        }
        uint8_t *at = bd_fault_touch(fault, entry->page);
        for (size_t k = 0; k < fault->bd.geo.page_size / SECTOR_LEN; k++) {
            if ((sectors[k / 64] >> k % 64 & 1) != 0) {
                memcpy(at + k * SECTOR_LEN, data + k * SECTOR_LEN, SECTOR_LEN);
            }
        }
        break;
    case BD_FAULT_DISCARD:
        bd_fault_poison(fault, (struct bd_range){entry->page, entry->count});
        break;
    case BD_FAULT_READ:
    case BD_FAULT_FLUSH:
        break;
    }
}

/* ---- Device ----------------------------------------------------------- */

void bd_fault_fail(struct bd_fault *fault, enum bd_fault_op op, uint64_t n,
                   bool for_ever)
{
    fault->plans[op] = (struct bd_fault_plan){0, n, for_ever};
    fault->n_failed = 0;
}

/* Whether the request of this kind that has just come is to fail. */
static bool bd_fault_fails(struct bd_fault *fault, enum bd_fault_op op)
{
    struct bd_fault_plan *plan = &fault->plans[op];

    plan->n_seen++;
    if (plan->at == 0 || plan->n_seen < plan->at ||
        (plan->n_seen > plan->at && !plan->for_ever)) {
        return false;
    }
    fault->n_failed++;
    return true;
}

static int bd_fault_read(struct bd_fault *fault, const struct bd_request *req)
{
    const size_t len = (size_t)req->range.count * fault->bd.geo.page_size;

    if (bd_fault_fails(fault, BD_FAULT_READ)) {
        memset(req->in, BD_FAULT_POISON, len);
        return NF_EIO;
    }
    memcpy(req->in, bd_fault_at(fault, req->range.first), len);
    return 0;
}

static int bd_fault_write(struct bd_fault *fault, const struct bd_request *req)
{
    const size_t len = fault->bd.geo.page_size;
    const bool fails = bd_fault_fails(fault, BD_FAULT_WRITE);
    size_t left = (size_t)req->range.count * len;

    if (fails) {
        left = left / SECTOR_LEN / 2 * SECTOR_LEN;
    }
    for (uint32_t i = 0; left > 0; i++) {
        const uint64_t page = req->range.first + i;
        const size_t part = left < len ? left : len;
        memcpy(bd_fault_touch(fault, page), req->out + i * len, part);
        bd_fault_record(fault, (struct bd_fault_entry){.op = BD_FAULT_WRITE,
                                                       .page = page,
                                                       .count = 1});
        left -= part;
    }
    return fails ? NF_EIO : 0;
}

static int bd_fault_submit(void *dev, const struct bd_request *reqs,
                           size_t n_reqs)
{
    struct bd_fault *fault = dev;
    int err = 0;

    for (size_t i = 0; i < n_reqs && err == 0; i++) {
        err = reqs[i].out != NULL ? bd_fault_write(fault, &reqs[i])
                                  : bd_fault_read(fault, &reqs[i]);
    }
    return err;
}

static int bd_fault_flush(void *dev)
{
    struct bd_fault *fault = dev;
    const bool fails = bd_fault_fails(fault, BD_FAULT_FLUSH);

    bd_fault_record(
        fault, (struct bd_fault_entry){.op = BD_FAULT_FLUSH, .failed = fails});
    return fails ? NF_EIO : 0;
}

static int bd_fault_discard(void *dev, const struct bd_range *ranges,
                            size_t n_ranges)
{
    struct bd_fault *fault = dev;

    for (size_t i = 0; i < n_ranges; i++) {
        if (bd_fault_fails(fault, BD_FAULT_DISCARD)) {
            return NF_EIO;
        }
        bd_fault_poison(fault, ranges[i]);
        bd_fault_record(fault,
                        (struct bd_fault_entry){.op = BD_FAULT_DISCARD,
                                                .page = ranges[i].first,
                                                .count = ranges[i].count});
    }
    return 0;
}

static const struct bd_ops bd_fault_ops = {
    .submit = bd_fault_submit,
    .flush = bd_fault_flush,
    .discard = bd_fault_discard,
};

struct bd_fault *bd_fault_open(const struct bd_geometry *geo)
{
    struct bd_fault *fault = or_die(calloc(1, sizeof(*fault)));

    if (bd_init(&fault->bd, &bd_fault_ops, fault, geo) != 0) {
        fputs("bd_fault: impossible geometry\n", stderr);
        abort();
    }
    const size_t n_pages = (size_t)geo->page_count;
    nf_assert(n_pages == geo->page_count);
    fault->bytes = or_die(calloc(n_pages, geo->page_size));
    fault->stamps = or_die(calloc(n_pages, sizeof(*fault->stamps)));
    return fault;
}

void bd_fault_close(struct bd_fault *fault)
{
    if (fault == NULL) {
        return;
    }
    free(fault->bytes);
    free(fault->stamps);
    free(fault->undo);
    free(fault->undo_data);
    free(fault);
}
