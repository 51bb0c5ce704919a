/* SPDX-License-Identifier: ISC */
/*
 * Growing and shrinking a disk (native). The number of pages is part of a
 * generation, so either is a transaction like any other: growing adds unused
 * pages; shrinking passes the whole free queue from its front to its end and
 * leaves out the pages beyond the new end, all of which must be in it.
 */
#include "notafs/walk.h"

struct search {
    uint64_t from; /* pages from here on must be free */
    uint64_t free;
    uint64_t used; /* one that is not; NF_NOWHERE: none */
};

static void look(void *ctx, const struct nf_finding *f)
{
    struct search *s = ctx;
    uint64_t end = f->page + f->count;
    if (f->err != 0 || f->page == NF_NOWHERE || end <= s->from) {
        return;
    }
    uint64_t first = nf_max_u64(f->page, s->from);
    if (f->kind == NF_PAGE_FREE || f->kind == NF_PAGE_UNUSED) {
        s->free += end - first;
    } else if (s->used == NF_NOWHERE) {
        s->used = first;
    }
}

/* NF_EBUSY unless all pages from page_count on are free. The committed
 * generation is looked at: nothing is changed yet. */
static int check_tail(struct nf *nf, uint64_t page_count)
{
    struct search search = {page_count, 0, NF_NOWHERE};
    struct nf_scrub *scrub;
    int err = nf_scrub_open(nf, NF_SCRUB_NO_DATA, look, &search, &scrub);
    if (err != 0) {
        return err;
    }
    do {
        err = nf_scrub_step(scrub, 256);
    } while (err == 1);
    nf_scrub_close(scrub);
    if (err == 0 && search.free != nf->page_count - page_count) {
        err = nf_fail(nf, NF_EBUSY, search.used, "page beyond the new end");
    }
    return err;
}

static int shrink(struct nf *nf, uint64_t page_count)
{
    struct nf_space *space = &nf->space;
    uint64_t pushed = space->pushed;
    int err = 0;
    space->shrink_to = page_count;
    space->free_start = nf_min_u64(space->free_start, page_count);
    /* What is left of the old queue: all but what was pushed since. */
    while (err == 0 && space->queue_pages > space->pushed - pushed) {
        struct nf_extent part;
        uint64_t left = space->queue_pages - (space->pushed - pushed);
        err = nf_space_take(nf, left, &part);
        if (err == 0 && part.count > 0) {
            err = nf_space_requeue(nf, &part);
        }
    }
    space->shrink_to = 0;
    nf->page_count = page_count;
    return err;
}

int nf_resize(struct nf *nf, uint64_t page_count)
{
    int err = 0;
    if (nf->format->min_pages == NULL) {
        return nf_fail(nf, NF_ENOTSUP, NF_NOWHERE, "resize");
    }
    if (page_count > nf->bd.geo.page_count ||
        page_count < nf->format->min_pages(nf)) {
        return nf_fail_value(nf, NF_ERANGE, NF_NOWHERE, "resize",
                             nf->bd.geo.page_count, page_count);
    }
    uint64_t gone = nf->page_count - nf_min_u64(page_count, nf->page_count);
    if (gone > 0) {
        err = nf_txn_release(nf);
    } else if (nf->in_txn) {
        err = nf_fail(nf, NF_EBUSY, NF_NOWHERE, "transaction");
    }
    if (err == 0 && gone > 0) {
        err = check_tail(nf, page_count);
    }
    if (err == 0) {
        err = nf_txn_begin(nf, gone, gone == 0);
    }
    if (err != 0) {
        return err;
    }
    if (gone == 0) {
        nf->page_count = page_count;
        return 0;
    }
    err = shrink(nf, page_count);
    return err == 0 ? 0 : nf_txn_fail(nf, err);
}
