/* SPDX-License-Identifier: ISC */
/*
 * Free queue of the native format: a rope of 8-byte records between two byte
 * offsets, then the ranges of the generation page.
 *
 *    0  6  first page
 *    6  2  pages, 1..65535
 *
 * Taking from the front only moves the head. Pages of the rope that lie wholly
 * before it are given back at the commit, and when the first children of its
 * root are gone the rope is rebased, so it stays as high as what is in it.
 */
#include "notafs/native_int.h"
#include "notafs/walk.h"

#define RECORD_LEN 8u
#define RECORD_MAX 65535u
#define BATCH      32u /* records encoded at a time */

int nf_native_queue_front(struct nf *nf, struct nf_extent *ret)
{
    struct nf_native_queue *q = &nf->native.queue;
    if (q->head == q->end) {
        struct nf_extent none = {0, 0};
        *ret = nf->space.n_tail > 0 ? nf->space.tail[0] : none;
        return 0;
    }
    if (q->front.count == 0) {
        uint8_t record[RECORD_LEN];
        int err =
            nf_native_rope_read(nf, &q->rope, q->head, record, RECORD_LEN);
        if (err != 0) {
            return err;
        }
        struct nf_extent e = {nf_get_le48(record), nf_get_le16(record + 6)};
        if (e.first < nf_native_first_page(&nf->disk) || e.count <= q->skip ||
            e.first >= nf->page_count || e.count > nf->page_count - e.first) {
            return nf_fail_value(nf, NF_EC_QUEUE, NF_NOWHERE, "queue record",
                                 q->skip, e.count);
        }
        q->front = e;
    }
    ret->first = q->front.first + q->skip;
    ret->count = q->front.count - q->skip;
    return 0;
}

void nf_native_queue_take(struct nf *nf, uint64_t n)
{
    struct nf_native_queue *q = &nf->native.queue;
    if (q->head == q->end) {
        nf_space_tail_drop(nf, n);
        return;
    }
    q->skip += n;
    if (q->skip == q->front.count) {
        q->head += RECORD_LEN;
        q->skip = 0;
        q->front.count = 0;
    }
}

/* Encode ranges from the start of tail[]: at most max records. */
static uint32_t encode(const struct nf_space *space, uint32_t max, uint8_t *out,
                       uint64_t *ret_pages)
{
    uint32_t n = 0;
    uint64_t pages = 0;
    for (size_t i = 0; i < space->n_tail; i++) {
        struct nf_extent e = space->tail[i];
        while (e.count > 0 && n < max) {
            uint64_t part = nf_min_u64(e.count, RECORD_MAX);
            nf_put_le48(out + n * RECORD_LEN, e.first);
            nf_put_le16(out + n * RECORD_LEN + 6, (uint16_t)part);
            e.first += part;
            e.count -= part;
            pages += part;
            n++;
        }
    }
    *ret_pages = pages;
    return n;
}

int nf_native_queue_spill(struct nf *nf)
{
    struct nf_native_queue *q = &nf->native.queue;
    struct nf_space *space = &nf->space;
    uint8_t records[BATCH * RECORD_LEN];
    while (space->n_tail > 0) {
        uint64_t pages;
        uint32_t n = encode(space, BATCH, records, &pages);
        /* Take the pages that this needs first: they may come from tail[]. */
        memset(records, 0, sizeof(records));
        int err =
            nf_native_rope_write(nf, &q->rope, q->end, records, n * RECORD_LEN);
        n = encode(space, n, records, &pages);
        if (err == 0 && n > 0) {
            err = nf_native_rope_write(nf, &q->rope, q->end, records,
                                       n * RECORD_LEN);
        }
        if (err != 0) {
            return err;
        }
        nf_space_tail_drop(nf, pages);
        q->end += n * RECORD_LEN;
    }
    q->rope.size = q->end;
    return 0;
}

int nf_native_queue_trim(struct nf *nf)
{
    struct nf_native_queue *q = &nf->native.queue;
    uint64_t size = nf->disk.page_size;
    uint64_t cut;
    int err = 0;
    if (q->head == q->end && q->end > 0) {
        /* Nothing left: start again. What is freed here may be written to
         * the new queue at once. */
        struct nf_rope old = q->rope;
        struct nf_slot before = nf_slot_root(&q->rope.root);
        struct nf_slot after = nf_slot_root(&old.root);
        nf_cache_move(nf, old.root.id, before, after);
        memset(q, 0, sizeof(*q));
        return nf_native_rope_free(nf, &old);
    }
    uint64_t to = q->head - q->head % size;
    if (to <= q->trim) {
        return 0;
    }
    err = nf_native_rope_punch(nf, &q->rope, 0, to);
    q->trim = to;
    if (err == 0) {
        err = nf_native_rope_rebase(nf, &q->rope, &cut);
    }
    if (err == 0) {
        q->head -= cut;
        q->end -= cut;
        q->trim -= cut;
        q->rope.size = q->end;
    }
    return err;
}

/* The rope is dense between what was trimmed and the end. */
uint64_t nf_native_queue_own(const struct nf *nf)
{
    const struct nf_native_queue *q = &nf->native.queue;
    uint64_t first = q->trim / nf->disk.page_size;
    uint64_t pages = 0;
    if (q->end == 0) {
        return 0;
    }
    uint64_t last = (q->end - 1) / nf->disk.page_size;
    for (uint32_t h = 0; h <= q->rope.height; h++) {
        pages +=
            last / nf_native_span(nf, h) - first / nf_native_span(nf, h) + 1;
    }
    return pages;
}

/* The records of a page of the queue, for a walk: those not taken yet. */
void nf_native_walk_queue_leaf(struct nf *nf, struct nf_walk *walk,
                               uint64_t offset, const uint8_t *page)
{
    const struct nf_native_queue *q = &nf->native.queue;
    for (uint32_t i = 0; i < nf->disk.page_size; i += RECORD_LEN) {
        uint64_t at = offset + i;
        uint64_t skip = at == q->head ? q->skip : 0;
        uint64_t first = nf_get_le48(page + i);
        uint64_t count = nf_get_le16(page + i + 6);
        if (at < q->head || at >= q->end) {
            continue;
        }
        if (count <= skip) {
            nf_walk_damage(walk, NF_EC_QUEUE, NF_PAGE_QUEUE, NF_NOWHERE, at,
                           "record of the free queue");
            continue;
        }
        nf_walk_use(walk, NF_PAGE_FREE, first + skip, count - skip, 0, 0);
    }
}
