/* SPDX-License-Identifier: ISC */
/*
 * Root pages and leaves of the mirage profile; mirage_header.c has the layouts.
 *
 * A leaf page publishes one generation. A root page reserves the leaves of
 * eight generations in a row; the four root pages take turns.
 */
#include "notafs/mirage_int.h"

void nf_mirage_root_put(const struct mirage_geo *geo,
                        const struct mirage_root *root, uint8_t *page)
{
    memset(page, 0, geo->page_size);
    nf_put_le64(page, root->first);
    nf_put_le16(page + 8, (uint16_t)root->n_slots);
    for (uint32_t i = 0; i < root->n_slots; i++) {
        nf_mirage_put_id(geo, page + 10 + i * geo->id_len, root->slots[i]);
    }
    nf_mirage_self_put(geo, page);
}

bool nf_mirage_root_get(const struct mirage_geo *geo, uint64_t page_count,
                        uint8_t *page, struct mirage_root *ret)
{
    struct mirage_root root;
    memset(&root, 0, sizeof(root));
    root.first = nf_get_le64(page);
    root.n_slots = nf_get_le16(page + 8);
    if (!nf_mirage_self_ok(geo, page) || root.n_slots > MIRAGE_SLOTS ||
        root.first > (uint64_t)INT64_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < root.n_slots; i++) {
        root.slots[i] = nf_mirage_get_id(geo, page + 10 + i * geo->id_len);
        if (root.slots[i] < MIRAGE_FIRST_PAGE || root.slots[i] >= page_count) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (root.slots[k] == root.slots[i]) {
                return false;
            }
        }
    }
    root.good = true;
    *ret = root;
    return true;
}

void nf_mirage_leaf_put(const struct mirage_geo *geo, uint64_t uid,
                        const struct mirage_leaf *leaf, uint8_t *page)
{
    uint8_t *p = page + 16;
    memset(page, 0, geo->page_size);
    nf_put_le64(page, uid);
    nf_put_le64(page + 8, leaf->generation);
    nf_mirage_put_id(geo, p, leaf->free_start);
    p += geo->id_len;
    nf_mirage_put_ptr(geo, p, &leaf->queue);
    p += geo->ptr_len;
    nf_put_le64(p, leaf->free_count);
    p += 8;
    nf_mirage_put_ptr(geo, p, &leaf->table);
    nf_mirage_self_put(geo, page);
}

/* A pointer that is null or names a page that a tree may use. */
static bool ptr_ok(const struct nf_ptr *ptr, uint64_t page_count)
{
    return nf_ptr_is_null(ptr) ||
           (ptr->id >= MIRAGE_FIRST_PAGE && ptr->id < page_count);
}

bool nf_mirage_leaf_get(const struct mirage_geo *geo,
                        const struct nf_disk *disk, uint8_t *page,
                        struct mirage_leaf *ret)
{
    struct mirage_leaf leaf;
    const uint8_t *p = page + 16;
    memset(&leaf, 0, sizeof(leaf));
    leaf.generation = nf_get_le64(page + 8);
    leaf.free_start = nf_mirage_get_id(geo, p);
    p += geo->id_len;
    nf_mirage_get_ptr(geo, p, &leaf.queue);
    p += geo->ptr_len;
    leaf.free_count = nf_get_le64(p);
    p += 8;
    nf_mirage_get_ptr(geo, p, &leaf.table);
    if (!nf_mirage_self_ok(geo, page) || nf_get_le64(page) != disk->uid ||
        leaf.free_start < MIRAGE_FIRST_PAGE ||
        leaf.free_start > disk->page_count ||
        !ptr_ok(&leaf.queue, disk->page_count) ||
        !ptr_ok(&leaf.table, disk->page_count)) {
        return false;
    }
    *ret = leaf;
    return true;
}

/* A page that may be damaged: false where it cannot be read at all. */
static int read_page(struct nf *nf, uint64_t id, bool *ret)
{
    int err = bd_read(&nf->bd, id, 1, nf->scratch);
    *ret = err == 0;
    return err == NF_EIO ? 0 : err;
}

int nf_mirage_roots_read(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    for (uint32_t i = 0; i < MIRAGE_ROOTS; i++) {
        struct mirage_root *root = &m->roots[i];
        bool there;
        memset(root, 0, sizeof(*root));
        int err = read_page(nf, i + 1, &there);
        if (err != 0) {
            return nf_fail(nf, err, i + 1, "root page");
        }
        if (there) {
            (void)nf_mirage_root_get(&m->geo, nf->page_count, nf->scratch,
                                     root);
        }
    }
    return 0;
}

int nf_mirage_slot_read(struct nf *nf, uint32_t r, uint32_t slot,
                        struct mirage_leaf *ret)
{
    const struct mirage_root *root = &nf->mirage->roots[r];
    struct mirage_leaf leaf;
    bool there;
    ret->generation = 0;
    int err = read_page(nf, root->slots[slot], &there);
    if (err != 0) {
        return nf_fail(nf, err, root->slots[slot], "generation page");
    }
    if (there &&
        nf_mirage_leaf_get(&nf->mirage->geo, &nf->disk, nf->scratch, &leaf) &&
        leaf.generation == root->first + slot) {
        *ret = leaf;
        ret->page = root->slots[slot];
        ret->root = r;
        ret->slot = slot;
    }
    return 0;
}

/* All leaves that the root pages list and that are valid by themselves, the
 * newest generation first; of equal ones, the higher page. Their number. */
int nf_mirage_leaves_read(struct nf *nf, struct mirage_leaf *ret)
{
    int n = 0;
    for (uint32_t r = 0; r < MIRAGE_ROOTS; r++) {
        for (uint32_t i = 0; i < nf->mirage->roots[r].n_slots; i++) {
            struct mirage_leaf leaf;
            int err = nf_mirage_slot_read(nf, r, i, &leaf);
            if (err != 0) {
                return err;
            }
            if (leaf.generation == 0) {
                continue;
            }
            int at = n++;
            for (; at > 0 && ret[at - 1].generation <= leaf.generation; at--) {
                ret[at] = ret[at - 1];
            }
            ret[at] = leaf;
        }
    }
    return n;
}

int nf_mirage_generations(struct nf *nf, struct nf_generation *ret, size_t max)
{
    struct mirage_leaf *leaves =
        nf_calloc(&nf->mem, MIRAGE_LEAVES, sizeof(*leaves));
    if (leaves == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "generations");
    }
    int all = nf_mirage_leaves_read(nf, leaves);
    int n = all < 0 ? all : 0;
    for (int i = 0; i < all && (size_t)n < max; i++) {
        uint64_t number = leaves[i].generation;
        if (number > nf->generation || (n > 0 && ret[n - 1].number == number)) {
            continue; /* refused at the mount; in two root pages */
        }
        memset(&ret[n], 0, sizeof(ret[n]));
        ret[n].number = number;
        ret[n].complete = n == 0 || (n == 1 && nf->commits > 0);
        n++;
    }
    nf_free(&nf->mem, leaves, MIRAGE_LEAVES * sizeof(*leaves));
    return n;
}
