/* SPDX-License-Identifier: ISC */
/* What walk.c needs to know of the native format. */
#include "notafs/native_int.h"
#include "notafs/walk.h"

static void walk_system(struct nf *nf, struct nf_walk *walk)
{
    nf_walk_use(walk, NF_PAGE_SYSTEM, 0, nf_native_first_page(&nf->disk), 0, 0);
}

/* A rope: height 0 is a data page. */
static void push_rope(struct nf_walk *walk, const struct nf_rope *rope,
                      enum nf_page_kind inner, enum nf_page_kind leaf)
{
    nf_walk_push(walk, &rope->root,
                 rope->height == 0 ? NF_KIND_DATA : NF_KIND_ROPE, rope->height,
                 inner, leaf);
}

static void walk_queue(struct nf *nf, struct nf_walk *walk)
{
    const struct nf_space *space = &nf->space;
    for (size_t i = 0; i < space->n_tail; i++) {
        nf_walk_use(walk, NF_PAGE_FREE, space->tail[i].first,
                    space->tail[i].count, 0, 0);
    }
    push_rope(walk, &nf->native.queue.rope, NF_PAGE_QUEUE, NF_PAGE_QUEUE);
}

static void walk_table(struct nf *nf, struct nf_walk *walk)
{
    nf_walk_push(walk, &nf->native.table, NF_KIND_TABLE,
                 nf->native.table_height, NF_PAGE_TABLE, NF_PAGE_TABLE);
}

static void walk_file(struct nf *nf, struct nf_walk *walk,
                      const struct nf_rec *rec)
{
    (void)nf;
    push_rope(walk, &rec->rope, NF_PAGE_INNER, NF_PAGE_DATA);
}

static bool walk_height_ok(const struct nf_walk_node *node, const uint8_t *page)
{
    return node->kind == NF_KIND_DATA || page[1] == node->height;
}

static bool walk_child(const struct nf_walk *walk,
                       const struct nf_walk_node *node, const uint8_t *page,
                       uint32_t i, struct nf_walk_node *ret)
{
    const struct nf *nf = walk->nf;
    const struct nf_format *format = nf->format;
    enum nf_kind kind = (enum nf_kind)node->kind;
    uint64_t below = nf->disk.page_size;
    memset(ret, 0, sizeof(*ret));
    format->ptr_get(nf, page + format->ptr_at(nf, kind, page, i), &ret->ptr);
    if (nf_ptr_is_null(&ret->ptr)) {
        return false;
    }
    ret->height = (uint8_t)(node->height - 1);
    ret->kind = node->kind;
    if (kind == NF_KIND_ROPE) {
        if (ret->height == 0) {
            ret->kind = NF_KIND_DATA;
        }
        for (uint32_t h = 0; h < ret->height; h++) {
            below *= nf_native_fan(nf);
        }
        ret->offset = node->offset + i * below;
    }
    return true;
}

const struct nf_walk_format nf_native_walk_format = {
    .system = walk_system,
    .queue = walk_queue,
    .table = walk_table,
    .file = walk_file,
    .queue_leaf = nf_native_walk_queue_leaf,
    .height_ok = walk_height_ok,
    .child = walk_child,
};
