/* SPDX-License-Identifier: ISC */
/*
 * A disk in memory: the smallest driver there is, and the model for one of
 * your own. bd.c has checked all ranges before they arrive here.
 */
#include <notafs/bd_mem.h>

#include <string.h>

static int bd_mem_submit(void *dev, const struct bd_request *reqs,
                         size_t n_reqs)
{
    const struct bd_mem *mem = dev;

    for (size_t i = 0; i < n_reqs; i++) {
        const struct bd_request *req = &reqs[i];
        uint8_t *page = mem->base + (size_t)req->range.first * mem->page_size;
        const size_t len = (size_t)req->range.count * mem->page_size;
        if (req->out != NULL) {
            memcpy(page, req->out, len);
        } else {
            memcpy(req->in, page, len);
        }
    }
    return 0;
}

static int bd_mem_flush(void *dev)
{
    (void)dev; /* memory has nowhere further to go */
    return 0;
}

static const struct bd_ops bd_mem_ops = {
    .submit = bd_mem_submit,
    .flush = bd_mem_flush,
};

int bd_mem_init(struct bd *bd, struct bd_mem *mem, uint8_t *base, size_t len,
                uint32_t page_size)
{
    const struct bd_geometry geo = {
        .page_count = page_size == 0 ? 0 : len / page_size,
        .page_size = page_size,
        .caps = BD_CAP_FLUSH,
    };

    *mem = (struct bd_mem){.base = base, .page_size = page_size};
    return bd_init(bd, &bd_mem_ops, mem, &geo);
}
