/* SPDX-License-Identifier: ISC */
/* Scrub: a walk over a pinned view, so that commits can go on meanwhile. */
#include "notafs/walk.h"

struct nf_scrub {
    struct nf *nf;
    struct nf *view;
    struct nf_walk walk;
};

int nf_scrub_open(struct nf *nf, uint32_t flags,
                  void (*report)(void *ctx, const struct nf_finding *finding),
                  void *ctx, struct nf_scrub **ret)
{
    size_t cache = (size_t)NF_MIN_FRAMES * nf->disk.page_size;
    struct nf_scrub *scrub = nf_calloc(&nf->mem, 1, sizeof(*scrub));
    if (scrub == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "scrub");
    }
    scrub->nf = nf;
    int err = nf_view_open(nf, nf->generation, cache, &scrub->view);
    if (err == 0) {
        err = nf_walk_open(&scrub->walk, scrub->view, flags, report, ctx);
    }
    if (err != 0) {
        nf_unmount(scrub->view);
        nf_free(&nf->mem, scrub, sizeof(*scrub));
        return err;
    }
    *ret = scrub;
    return 0;
}

int nf_scrub_step(struct nf_scrub *scrub, uint64_t max_pages)
{
    return nf_walk_step(&scrub->walk, nf_max_u64(max_pages, 1));
}

void nf_scrub_result(const struct nf_scrub *scrub, struct nf_scrub_result *ret)
{
    *ret = scrub->walk.result;
}

void nf_scrub_close(struct nf_scrub *scrub)
{
    if (scrub != NULL) {
        struct nf *nf = scrub->nf;
        nf_walk_close(&scrub->walk);
        nf_unmount(scrub->view);
        nf_free(&nf->mem, scrub, sizeof(*scrub));
    }
}
