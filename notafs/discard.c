/* SPDX-License-Identifier: ISC */
/*
 * Discards: the device learns of freed pages once no generation that could be
 * needed, and no view, reaches them any more; that is when they could be given
 * out again. What was freed by this mount is remembered in a list of bounded
 * length. What does not fit into it, or was freed before, nf_trim finds.
 */
#include "notafs/walk.h"

int nf_discard_open(struct nf *nf)
{
    if ((nf->bd.geo.caps & BD_CAP_DISCARD) == 0 || nf->readonly) {
        return 0;
    }
    nf->discards = nf_calloc(&nf->mem, 1, sizeof(*nf->discards));
    return nf->discards != NULL ? 0 : NF_ENOMEM;
}

void nf_discard_close(struct nf *nf)
{
    nf_free(&nf->mem, nf->discards, sizeof(*nf->discards));
}

void nf_discard_forget(struct nf *nf)
{
    if (nf->discards != NULL) {
        nf->discards->n = nf->discards->n_committed;
    }
}

void nf_discard_note(struct nf *nf, uint64_t first, uint64_t count)
{
    struct nf_discards *d = nf->discards;
    if (d == NULL) {
        return;
    }
    if (d->n > d->n_committed) {
        struct nf_extent *last = &d->list[d->n - 1].pages;
        if (last->first + last->count == first) {
            last->count += count;
            d->list[d->n - 1].pushed = nf->space.pushed;
            return;
        }
    }
    if (d->n < NF_DISCARDS) {
        d->list[d->n].pages.first = first;
        d->list[d->n].pages.count = count;
        d->list[d->n].pushed = nf->space.pushed;
        d->list[d->n].before = nf->space.hist[0];
        d->n++;
    }
}

/* It is only advice: a device that refuses it loses nothing. */
static void discard(struct nf *nf, struct nf_extent pages)
{
    while (pages.count > 0) {
        uint32_t n = (uint32_t)nf_min_u64(pages.count, UINT32_MAX);
        struct bd_range range = {pages.first, n};
        int refused = bd_discard(&nf->bd, &range, 1);
        (void)refused;
        pages.first += n;
        pages.count -= n;
    }
}

void nf_discard_run(struct nf *nf)
{
    struct nf_discards *d = nf->discards;
    if (d == NULL) {
        return;
    }
    const struct nf_space *space = &nf->space;
    uint64_t safe = space->pushed - nf_space_held(nf);
    uint64_t taken =
        space->pushed - nf_min_u64(space->pushed, space->queue_pages);
    uint64_t pages = 0;
    size_t done = 0;
    for (; done < d->n && d->list[done].pushed <= safe; done++) {
        /* A view that held them may have been closed since, and some of what
         * their transaction freed be in use again. */
        if (taken <= d->list[done].before) {
            discard(nf, d->list[done].pages);
            pages += d->list[done].pages.count;
        }
    }
    d->n -= done;
    memmove(d->list, d->list + done, d->n * sizeof(d->list[0]));
    d->n_committed = d->n;
    if (done > 0) {
        nf_trace(nf->mem.env, NF_EV_DISCARDED, pages, done, 0);
    }
}

static void discard_free(void *ctx, const struct nf_finding *finding)
{
    struct nf *nf = ctx;
    if (finding->err == 0 &&
        (finding->kind == NF_PAGE_FREE || finding->kind == NF_PAGE_UNUSED)) {
        struct nf_extent pages = {finding->page, finding->count};
        discard(nf, pages);
    }
}

int nf_trim(struct nf *nf)
{
    if (nf->discards == NULL || !nf->format->holes) {
        return nf_fail(nf, NF_ENOTSUP, NF_NOWHERE, "trim");
    }
    int err = nf_txn_release(nf);
    if (err != 0) {
        return err;
    }
    struct nf_walk *walk = nf_alloc(&nf->mem, sizeof(*walk));
    if (walk == NULL) {
        err = nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "trim");
    }
    if (err == 0) {
        err = nf_walk_open(walk, nf, 0, discard_free, nf);
    }
    if (err == 0) {
        do {
            err = nf_walk_step(walk, 64);
        } while (err == 1 && walk->phase <= NF_WALK_QUEUE);
        err = err == 1 ? 0 : err;
        nf_walk_close(walk);
    }
    nf_free(&nf->mem, walk, sizeof(*walk));
    return err;
}
