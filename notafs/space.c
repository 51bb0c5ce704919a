/* SPDX-License-Identifier: ISC */
/*
 * Free space: who may take which page when.
 *
 * Pages come from the running transaction's own leavings, then from the part of
 * the disk that was never used, then from the front of the free queue; single
 * pages from the queue first as long as it has some that are old enough
 * (native), so that a disk with small commits stays small and its queue short.
 * Freed pages go to the end of the queue, so its order is age, and the newest
 * of them are held back: a page that the generation before the last still
 * reaches is never given out, nor one that a pinned view reaches. So a crash at
 * any moment finds two whole generations, and holds cost two counters and no
 * list.
 *
 * A reserve is kept from changes that need space, so that on a full disk
 * removing, truncating and committing still work: their own new pages, and the
 * pages of the queue that name what they free. A part of it is for commits
 * alone: what was changed can be committed.
 */
#include "notafs/nf_int.h"

#define RELIEVE_AT (NF_TAIL_RANGES - 64) /* room for what spilling frees */
#define LINGER     4 /* generations that pages are left alone for if possible */
#define ROOT_PAGES 8 /* of mirage, for the leaves of a new root */
#define WIDEST_PTR 24 /* bytes of an entry of any inner page, at most */

uint64_t nf_space_keep(const struct nf *nf)
{
    bool flush = (nf->bd.geo.caps & BD_CAP_FLUSH) != 0;
    return flush ? NF_KEEP : NF_KEEP_NO_FLUSH;
}

/* Pages at the end of the queue that the last n generations or a view reach. */
static uint64_t held_for(const struct nf *nf, uint64_t n)
{
    const struct nf_space *space = &nf->space;
    uint64_t held = space->pushed - space->hist[n - 1];
    for (const struct nf *view = nf->views; view != NULL;
         view = view->next_view) {
        held = nf_max_u64(held, space->pushed - view->pin_pushed);
    }
    return nf_min_u64(held, space->queue_pages);
}

uint64_t nf_space_held(const struct nf *nf)
{
    return held_for(nf, nf_space_keep(nf));
}

uint64_t nf_space_free_pages(const struct nf *nf)
{
    const struct nf_space *space = &nf->space;
    return nf->page_count - space->free_start + space->recycle_pages +
           space->queue_pages;
}

/* Levels that a tree over all of the disk can have, at most. */
static uint64_t levels(const struct nf *nf)
{
    uint64_t fan = nf->disk.page_size / WIDEST_PTR;
    uint64_t n = 1;
    for (uint64_t pages = nf->page_count; pages > fan; pages /= fan) {
        n++;
    }
    return n;
}

/* What a commit may take beside the table: the queue's two edges, and roots. */
static uint64_t commit_pages(const struct nf *nf)
{
    return ROOT_PAGES + 2 * levels(nf);
}

/* Removing everything at once copies all pages of the file table, and writes
 * all of the disk's pages as ranges into the queue, at worst each alone;
 * cutting a file copies a path of its rope. */
static uint64_t reserve(const struct nf *nf)
{
    uint64_t per_page = nf->disk.page_size / 8 - 1;
    uint64_t pages = commit_pages(nf) + levels(nf) + 1 +
                     nf->page_count / per_page + nf->format->table_need(nf, 2);
    if (nf->format->table_pages != NULL) {
        pages += nf->format->table_pages(nf);
    }
    return pages;
}

uint64_t nf_space_usable(const struct nf *nf, bool freeing)
{
    uint64_t pages = nf_space_free_pages(nf) - nf_space_held(nf);
    uint64_t kept = freeing ? commit_pages(nf) : reserve(nf);
    return pages > kept ? pages - kept : 0;
}

int nf_space_require(struct nf *nf, uint64_t pages, bool freeing)
{
    uint64_t usable = nf_space_usable(nf, freeing);
    if (usable < pages) {
        return nf_fail_value(nf, NF_ENOSPC, NF_NOWHERE, "free pages", pages,
                             usable);
    }
    return 0;
}

/* ---- Taking --------------------------------------------------------- */

void nf_space_tail_drop(struct nf *nf, uint64_t n)
{
    struct nf_space *space = &nf->space;
    size_t gone = 0;
    while (n > 0) {
        struct nf_extent *first = &space->tail[gone];
        uint64_t part = nf_min_u64(n, first->count);
        nf_assert(gone < space->n_tail);
        first->first += part;
        first->count -= part;
        n -= part;
        gone += first->count == 0;
    }
    space->n_tail -= gone;
    memmove(space->tail, space->tail + gone,
            space->n_tail * sizeof(space->tail[0]));
}

/* First page that may not be given out. */
static uint64_t disk_end(const struct nf *nf)
{
    return nf->space.shrink_to != 0 ? nf->space.shrink_to : nf->page_count;
}

/* Pages from where they may come: the oldest of the queue come last. */
static int choose(struct nf *nf, uint64_t max, struct nf_extent *ret)
{
    struct nf_space *space = &nf->space;
    if (space->n_recycle > 0) {
        struct nf_extent *last = &space->recycle[space->n_recycle - 1];
        ret->count = nf_min_u64(max, last->count);
        last->count -= ret->count;
        ret->first = last->first + last->count;
        space->recycle_pages -= ret->count;
        space->n_recycle -= last->count == 0;
        return 0;
    }
    /* Single pages rather come from the queue, which stays short, if no
     * generation of which the disk may still have a trace can miss them. */
    uint64_t age = nf_max_u64(nf->format->reuse_age, nf_space_keep(nf));
    bool old = nf->format->reuse_age > 0 && max == 1 &&
               space->queue_pages > held_for(nf, age);
    if (!old && space->free_start < disk_end(nf)) {
        ret->first = space->free_start;
        ret->count = nf_min_u64(max, disk_end(nf) - space->free_start);
        space->free_start += ret->count;
        return 0;
    }
    do {
        uint64_t open = space->queue_pages - nf_space_held(nf);
        if (open == 0) {
            return nf_fail(nf, NF_ENOSPC, NF_NOWHERE, "free pages");
        }
        int err = nf_space_take(nf, nf_min_u64(max, open), ret);
        if (err != 0) {
            return err;
        }
    } while (ret->count == 0);
    return 0;
}

int nf_space_alloc_run(struct nf *nf, uint64_t max, struct nf_extent *ret)
{
    int err = choose(nf, max, ret);
    for (uint64_t i = 0; err == 0 && i < ret->count; i++) {
        if (nf_cache_knows(nf, ret->first + i)) {
            err = nf_fail(nf, NF_EC_DOUBLE_USE, ret->first + i,
                          "free page that is in use");
        }
    }
    return err;
}

int nf_space_take(struct nf *nf, uint64_t max, struct nf_extent *ret)
{
    struct nf_space *space = &nf->space;
    struct nf_extent front;
    int err = nf->format->queue_front(nf, &front);
    if (err != 0) {
        return err;
    }
    if (front.count == 0) {
        return nf_fail_value(nf, NF_EC_QUEUE, NF_NOWHERE, "free queue",
                             space->queue_pages, 0);
    }
    uint64_t n = nf_min_u64(max, front.count);
    nf->format->queue_take(nf, n);
    space->queue_pages -= n;
    uint64_t end = disk_end(nf); /* while it shrinks, pages vanish here */
    ret->first = front.first;
    ret->count = front.first >= end ? 0 : nf_min_u64(n, end - front.first);
    return 0;
}

int nf_space_alloc(struct nf *nf, uint64_t *ret)
{
    struct nf_extent run;
    int err = nf_space_alloc_run(nf, 1, &run);
    if (err == 0) {
        *ret = run.first;
    }
    return err;
}

/* ---- Giving back ---------------------------------------------------- */

/* Add a page behind the last extent of v, or as a new one; false: no room. */
static bool extent_append(struct nf_extent *v, size_t *n, uint64_t first,
                          uint64_t count)
{
    if (*n > 0 && v[*n - 1].first + v[*n - 1].count == first) {
        v[*n - 1].count += count;
        return true;
    }
    if (*n == NF_TAIL_RANGES) {
        return false;
    }
    v[*n].first = first;
    v[*n].count = count;
    *n += 1;
    return true;
}

static void push(struct nf *nf, uint64_t first, uint64_t count)
{
    struct nf_space *space = &nf->space;
    bool fits = extent_append(space->tail, &space->n_tail, first, count);
    nf_assert(fits);
    space->pushed += count;
    space->queue_pages += count;
    nf_discard_note(nf, first, count);
}

static int spill_tail(struct nf *nf)
{
    struct nf_space *space = &nf->space;
    if (space->spilling) {
        return 0;
    }
    space->spilling = true;
    int err = nf->format->queue_spill(nf);
    space->spilling = false;
    return err;
}

int nf_space_free(struct nf *nf, uint64_t id, uint64_t birth)
{
    struct nf_space *space = &nf->space;
    if (nf_space_free_pages(nf) >= nf->page_count - nf->first_page) {
        return nf_fail(nf, NF_EC_DOUBLE_USE, id, "page that is free already");
    }
    if (birth == nf_txn_gen(nf) &&
        extent_append(space->recycle, &space->n_recycle, id, 1)) {
        space->recycle_pages++;
        return 0;
    }
    push(nf, id, 1);
    return space->n_tail >= RELIEVE_AT ? spill_tail(nf) : 0;
}

/* ---- Commit --------------------------------------------------------- */

int nf_space_flush(struct nf *nf, size_t inline_max)
{
    struct nf_space *space = &nf->space;
    for (;;) {
        uint64_t free_start = space->free_start;
        uint64_t queue_pages = space->queue_pages;
        int err = 0;
        while (space->n_recycle > 0 && space->n_tail < RELIEVE_AT) {
            struct nf_extent *last = &space->recycle[--space->n_recycle];
            space->recycle_pages -= last->count;
            push(nf, last->first, last->count);
        }
        if (space->n_tail > inline_max || space->n_recycle > 0) {
            err = spill_tail(nf);
        }
        if (err == 0) {
            err = nf->format->queue_trim(nf);
        }
        if (err != 0) {
            return err;
        }
        if (space->n_tail <= inline_max && space->n_recycle == 0 &&
            free_start == space->free_start &&
            queue_pages == space->queue_pages) {
            return 0;
        }
    }
}

int nf_space_requeue(struct nf *nf, const struct nf_extent *extent)
{
    struct nf_space *space = &nf->space;
    push(nf, extent->first, extent->count);
    for (size_t i = 0; i < NF_HIST; i++) {
        space->hist[i] += extent->count;
    }
    for (struct nf *view = nf->views; view != NULL; view = view->next_view) {
        view->pin_pushed += extent->count;
    }
    return space->n_tail >= RELIEVE_AT ? spill_tail(nf) : 0;
}

void nf_space_committed(struct nf *nf)
{
    struct nf_space *space = &nf->space;
    memmove(space->hist + 1, space->hist,
            (NF_HIST - 1) * sizeof(space->hist[0]));
    space->hist[0] = space->pushed;
    space->bump_at_begin = space->free_start;
}
