/* SPDX-License-Identifier: ISC */
/* What walk.c needs to know of the mirage format. */
#include "notafs/mirage_int.h"
#include "notafs/walk.h"

#define ANY_HEIGHT UINT8_MAX /* of a root; rope heights may be even greater */

static void walk_system(struct nf *nf, struct nf_walk *walk)
{
    const struct nf_mirage *m = nf->mirage;
    const struct mirage_root *root = &m->roots[m->leaf.root];
    nf_walk_use(walk, NF_PAGE_SYSTEM, 0, 1 + MIRAGE_ROOTS, 0, 0);
    for (uint32_t i = m->leaf.slot; i < root->n_slots; i++) {
        nf_walk_use(walk, NF_PAGE_SYSTEM, root->slots[i], 1, 0, 0);
    }
}

static void walk_queue(struct nf *nf, struct nf_walk *walk)
{
    nf_walk_push(walk, &nf->mirage->leaf.queue, NF_KIND_QUEUE, ANY_HEIGHT,
                 NF_PAGE_QUEUE, NF_PAGE_QUEUE);
}

static void walk_table(struct nf *nf, struct nf_walk *walk)
{
    nf_walk_push(walk, &nf->mirage->leaf.table, NF_KIND_ROPE, ANY_HEIGHT,
                 NF_PAGE_TABLE, NF_PAGE_TABLE);
}

static void walk_file(struct nf *nf, struct nf_walk *walk,
                      const struct nf_rec *rec)
{
    const struct nf_ptr *root = &rec->rope.root;
    if (nf_ptr_is_null(root)) {
        const struct mirage_entry *entry =
            nf_mirage_names_find(nf, walk->dir, walk->name, walk->name_len);
        root = entry != NULL ? &entry->empty : root;
    }
    nf_walk_push(walk, root, NF_KIND_ROPE, ANY_HEIGHT, NF_PAGE_INNER,
                 NF_PAGE_DATA);
}

static void walk_queue_leaf(struct nf *nf, struct nf_walk *walk,
                            uint64_t offset, const uint8_t *page)
{
    uint32_t count = mirage_count(NF_KIND_QUEUE, page);
    (void)offset; /* of a rope, where the queue is one */
    for (uint32_t i = 0; i < count; i++) {
        struct nf_extent range;
        nf_mirage_range_get(nf, page, i, &range);
        nf_walk_use(walk, NF_PAGE_FREE, range.first, range.count, 0, 0);
    }
}

static bool walk_height_ok(const struct nf_walk_node *node, const uint8_t *page)
{
    return node->height == ANY_HEIGHT || node->kind == NF_KIND_DATA ||
           mirage_height((enum nf_kind)node->kind, page) < node->height;
}

/* The leaves below a file's node of height 1 are read as data, several at a
 * time: on a disk with checksums there is nothing more to verify in them. */
static bool walk_child(const struct nf_walk *walk,
                       const struct nf_walk_node *node, const uint8_t *page,
                       uint32_t i, struct nf_walk_node *ret)
{
    const struct nf *nf = walk->nf;
    enum nf_kind kind = (enum nf_kind)node->kind;
    uint32_t height = mirage_height(kind, page);
    memset(ret, 0, sizeof(*ret));
    ret->kind = node->kind;
    ret->height = height < ANY_HEIGHT ? (uint8_t)height : ANY_HEIGHT;
    nf_mirage_ptr_get(nf, page + nf_mirage_ptr_at(nf, kind, page, i),
                      &ret->ptr);
    ret->ptr.birth = 0;
    if (kind == NF_KIND_ROPE) {
        ret->offset = node->offset + (i > 0 ? mirage_key(nf, page, i - 1) : 0);
        if (height == 1 && walk->phase == NF_WALK_FILES &&
            nf->mirage->geo.sum_len > 0) {
            ret->kind = NF_KIND_DATA;
        }
    }
    return true;
}

const struct nf_walk_format nf_mirage_walk_format = {
    .system = walk_system,
    .queue = walk_queue,
    .table = walk_table,
    .file = walk_file,
    .queue_leaf = walk_queue_leaf,
    .height_ok = walk_height_ok,
    .child = walk_child,
};
