/* SPDX-License-Identifier: ISC */
/*
 * Widths, pointers and nodes of the mirage profile.
 *
 * A node is checked once, when it is read from the device
 * (nf_mirage_node_check); whoever looks at it later relies on counts within
 * their capacity, keys that never decrease, and ids of pages that a tree may
 * use. What only the parent can know (a lower height, the size that its keys
 * promise) is checked on the way down.
 */
#include "notafs/mirage_int.h"

bool nf_mirage_geo_init(struct mirage_geo *geo, uint64_t page_count,
                        uint32_t page_size, enum nf_checksum checksum)
{
    memset(geo, 0, sizeof(*geo));
    if (page_size < MIRAGE_MIN_PAGE || page_size > MIRAGE_MAX_PAGE ||
        (page_size & (page_size - 1)) != 0 || page_count < MIRAGE_BLANK_START ||
        page_count > (uint64_t)INT64_MAX) {
        return false;
    }
    switch (checksum) {
    case NF_CHECKSUM_ADLER32:
        geo->sum_len = 4;
        break;
    case NF_CHECKSUM_NONE:
        break;
    case NF_CHECKSUM_DEFAULT:
    case NF_CHECKSUM_XXH3:
        return false;
    }
    geo->page_size = page_size;
    geo->id_len = page_count < 1u << 8             ? 1
                  : page_count < 1u << 16          ? 2
                  : page_count < (uint64_t)1 << 32 ? 4
                                                   : 8;
    geo->ptr_len = geo->id_len + geo->sum_len;
    geo->rope_bytes = page_size - MIRAGE_ROPE_HEAD;
    geo->rope_entries = geo->rope_bytes / (4 + geo->ptr_len);
    geo->queue_ranges = (page_size - MIRAGE_QUEUE_HEAD) / (geo->id_len + 4);
    geo->queue_children = (page_size - MIRAGE_QUEUE_HEAD) / geo->ptr_len;
    return true;
}

uint64_t nf_mirage_get_id(const struct mirage_geo *geo, const uint8_t *p)
{
    uint64_t id = 0;
    for (uint32_t i = geo->id_len; i > 0; i--) {
        id = id << 8 | p[i - 1];
    }
    return id;
}

void nf_mirage_put_id(const struct mirage_geo *geo, uint8_t *p, uint64_t id)
{
    for (uint32_t i = 0; i < geo->id_len; i++) {
        p[i] = (uint8_t)id;
        id >>= 8;
    }
    nf_assert(id == 0);
}

void nf_mirage_get_ptr(const struct mirage_geo *geo, const uint8_t *p,
                       struct nf_ptr *ret)
{
    ret->id = nf_mirage_get_id(geo, p);
    ret->birth = 0;
    ret->sum = geo->sum_len == 0 ? 0 : nf_get_le32(p + geo->id_len);
}

void nf_mirage_put_ptr(const struct mirage_geo *geo, uint8_t *p,
                       const struct nf_ptr *ptr)
{
    nf_mirage_put_id(geo, p, ptr->id);
    if (geo->sum_len != 0) {
        uint64_t sum = ptr->id == 0 ? MIRAGE_BLANK_SUM : ptr->sum;
        nf_put_le32(p + geo->id_len, (uint32_t)sum);
    }
}

void nf_mirage_ptr_get(const struct nf *nf, const uint8_t *p,
                       struct nf_ptr *ret)
{
    nf_mirage_get_ptr(&nf->mirage->geo, p, ret);
    if (ret->id >= nf->space.bump_at_begin) {
        ret->birth = nf_txn_gen(nf);
    }
}

void nf_mirage_ptr_put(const struct nf *nf, uint8_t *p,
                       const struct nf_ptr *ptr)
{
    nf_mirage_put_ptr(&nf->mirage->geo, p, ptr);
}

uint32_t nf_mirage_ptr_len(const struct nf *nf)
{
    return nf->mirage->geo.ptr_len;
}

uint32_t nf_mirage_capacity(const struct nf *nf, enum nf_kind kind,
                            uint32_t height)
{
    const struct mirage_geo *geo = &nf->mirage->geo;
    if (kind == NF_KIND_ROPE) {
        return height == 0 ? geo->rope_bytes : geo->rope_entries;
    }
    return height == 0 ? geo->queue_ranges : geo->queue_children;
}

uint32_t nf_mirage_ptr_count(const struct nf *nf, enum nf_kind kind,
                             const uint8_t *page)
{
    (void)nf; /* the same on every disk */
    return mirage_height(kind, page) == 0 ? 0 : mirage_count(kind, page);
}

uint32_t nf_mirage_ptr_at(const struct nf *nf, enum nf_kind kind,
                          const uint8_t *page, uint32_t i)
{
    const struct mirage_geo *geo = &nf->mirage->geo;
    (void)page; /* pointers of all nodes stand at the same places */
    return kind == NF_KIND_ROPE ? MIRAGE_ROPE_HEAD + i * (4 + geo->ptr_len) + 4
                                : MIRAGE_QUEUE_HEAD + i * geo->ptr_len;
}

void nf_mirage_range_get(const struct nf *nf, const uint8_t *page, uint32_t i,
                         struct nf_extent *ret)
{
    const struct mirage_geo *geo = &nf->mirage->geo;
    const uint8_t *p = page + MIRAGE_QUEUE_HEAD + i * (geo->id_len + 4);
    ret->first = nf_mirage_get_id(geo, p);
    ret->count = nf_get_le32(p + geo->id_len);
}

void nf_mirage_range_put(const struct nf *nf, uint8_t *page, uint32_t i,
                         const struct nf_extent *range)
{
    const struct mirage_geo *geo = &nf->mirage->geo;
    uint8_t *p = page + MIRAGE_QUEUE_HEAD + i * (geo->id_len + 4);
    nf_mirage_put_id(geo, p, range->first);
    nf_put_le32(p + geo->id_len, (uint32_t)range->count);
}

/* The keys of a rope node, and the ranges of a queue leaf. */
static int entries_check(struct nf *nf, enum nf_kind kind, uint32_t height,
                         uint32_t count, const uint8_t *page)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kind == NF_KIND_ROPE && height > 0) {
            uint32_t key = mirage_key(nf, page, i);
            if (key < last || key > MIRAGE_MAX_BYTES) {
                return NF_EC_NODE;
            }
            last = key;
        } else if (kind == NF_KIND_QUEUE && height == 0) {
            struct nf_extent range;
            nf_mirage_range_get(nf, page, i, &range);
            if (range.first < MIRAGE_FIRST_PAGE || range.count == 0 ||
                range.first >= nf->page_count ||
                range.count > nf->page_count - range.first) {
                return NF_EC_QUEUE;
            }
        }
    }
    return 0;
}

int nf_mirage_node_check(struct nf *nf, enum nf_kind kind, const uint8_t *page)
{
    uint32_t height = mirage_height(kind, page);
    uint32_t count = mirage_count(kind, page);
    if (count > nf_mirage_capacity(nf, kind, height) ||
        (height > 0 && count == 0)) {
        return NF_EC_NODE;
    }
    int err = entries_check(nf, kind, height, count, page);
    for (uint32_t i = 0; err == 0 && height > 0 && i < count; i++) {
        uint64_t id = nf_mirage_get_id(
            &nf->mirage->geo, page + nf_mirage_ptr_at(nf, kind, page, i));
        if (id < MIRAGE_FIRST_PAGE || id >= nf->page_count) {
            err = NF_EC_PAGE_ID;
        }
    }
    return err;
}
