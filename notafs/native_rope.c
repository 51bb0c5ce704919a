/* SPDX-License-Identifier: ISC */
/*
 * Ropes of the native format: a radix tree over the pages of a file. A data
 * page holds P bytes and nothing else; a node of height h >= 1 is the common
 * header, then F = (P - 8) / 20 pointers, each to a subtree of height h - 1
 * that covers F^(h-1) pages. A null pointer is a hole. The height, and the
 * size in bytes, stand in the file's record.
 *
 * Transfers of several whole pages go around the cache, straight between the
 * caller's buffer and the device.
 */
#include "notafs/native_int.h"

#define DIRECT_PAGES 8 /* whole pages from which a transfer goes around */

/* ---- Geometry ------------------------------------------------------- */

uint64_t nf_native_span(const struct nf *nf, uint32_t height)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < height; i++) {
        if (!nf_mul_u64(n, nf_native_fan(nf), &n)) {
            return UINT64_MAX;
        }
    }
    return n;
}

int nf_native_rope_check(const struct nf *nf, const uint8_t *page,
                         uint64_t birth)
{
    if (page[0] != NATIVE_NODE_ROPE || page[1] < 1 ||
        page[1] > NATIVE_ROPE_HEIGHT) {
        return NF_EC_NODE;
    }
    for (uint32_t i = 0; i < nf_native_fan(nf); i++) {
        struct nf_ptr ptr;
        nf_native_ptr_get(nf, page + native_ptr_off(i), &ptr);
        if (!nf_ptr_is_null(&ptr) && !nf_native_ptr_ok(nf, &ptr, birth)) {
            return NF_EC_NODE;
        }
    }
    return 0;
}

int nf_native_node_get(struct nf *nf, const struct nf_ptr *ptr, uint32_t height,
                       struct nf_frame **ret)
{
    struct nf_frame *node;
    int err = nf_cache_get(nf, ptr, NF_KIND_ROPE, &node);
    if (err != 0) {
        return err;
    }
    if (node->data[1] != height) {
        nf_cache_unpin(node);
        return nf_fail_value(nf, NF_EC_NODE, ptr->id, "height of a rope node",
                             height, node->data[1]);
    }
    *ret = node;
    return 0;
}

int nf_native_node_own(struct nf *nf, struct nf_slot slot, uint32_t height,
                       struct nf_frame **ret)
{
    struct nf_ptr ptr;
    int err;
    nf_slot_get(nf, slot, &ptr);
    if (nf_ptr_is_null(&ptr)) {
        err = nf_cache_new(nf, slot, NF_KIND_ROPE, ret);
        if (err == 0) {
            (*ret)->data[0] = NATIVE_NODE_ROPE;
            (*ret)->data[1] = (uint8_t)height;
        }
        return err;
    }
    err = nf_native_node_get(nf, &ptr, height, ret);
    if (err == 0) {
        err = nf_cache_own(nf, *ret, slot);
        if (err != 0) {
            nf_cache_unpin(*ret);
        }
    }
    return err;
}

/* ---- Finding -------------------------------------------------------- */

/* The node of height 1 above a page, pinned; or NULL, and the first page
 * behind the hole that it lies in. */
static int find_node(struct nf *nf, const struct nf_rope *rope, uint64_t page,
                     struct nf_frame **ret, uint64_t *ret_next)
{
    struct nf_ptr ptr = rope->root;
    uint32_t height = rope->height;
    *ret = NULL;
    if (height > NATIVE_ROPE_HEIGHT) {
        return nf_fail(nf, NF_EC_NODE, ptr.id, "height of a rope");
    }
    if (page >= nf_native_span(nf, height)) {
        *ret_next = UINT64_MAX;
        return 0;
    }
    for (;;) {
        struct nf_frame *node;
        uint64_t below = nf_native_span(nf, height);
        if (nf_ptr_is_null(&ptr)) {
            *ret_next = (page / below + 1) * below;
            return 0;
        }
        int err = nf_native_node_get(nf, &ptr, height, &node);
        if (err != 0) {
            return err;
        }
        if (height == 1) {
            *ret = node;
            return 0;
        }
        height--;
        native_child_get(
            nf, node,
            (uint32_t)(page / nf_native_span(nf, height) % nf_native_fan(nf)),
            &ptr);
        nf_cache_unpin(node);
    }
}

/* The pointer to a data page; null in a hole, and *ret_next is the first page
 * behind the hole (or the next page). */
static int find_page(struct nf *nf, const struct nf_rope *rope, uint64_t page,
                     struct nf_ptr *ret, uint64_t *ret_next)
{
    struct nf_ptr null = {0};
    struct nf_frame *node;
    if (rope->height == 0) {
        *ret = page == 0 ? rope->root : null;
        *ret_next = page == 0 ? 1 : UINT64_MAX;
        return 0;
    }
    int err = find_node(nf, rope, page, &node, ret_next);
    if (err != 0) {
        return err;
    }
    *ret = null;
    if (node != NULL) {
        native_child_get(nf, node, (uint32_t)(page % nf_native_fan(nf)), ret);
        *ret_next = page + 1;
        nf_cache_unpin(node);
    }
    return 0;
}

int nf_native_rope_page(struct nf *nf, const struct nf_rope *rope,
                        uint64_t page, struct nf_ptr *ret)
{
    uint64_t next;
    return find_page(nf, rope, page, ret, &next);
}

/* ---- Reading -------------------------------------------------------- */

/* Part of one page, through the cache. */
static int read_part(struct nf *nf, const struct nf_ptr *ptr, size_t in,
                     uint8_t *buf, size_t len)
{
    struct nf_frame *frame;
    if (nf_ptr_is_null(ptr)) {
        memset(buf, 0, len);
        return 0;
    }
    int err = nf_cache_get(nf, ptr, NF_KIND_DATA, &frame);
    if (err == 0) {
        memcpy(buf, frame->data + in, len);
        nf_cache_unpin(frame);
    }
    return err;
}

/* Ask for n whole pages, children from i on of node, around the cache where it
 * has not got them, as far as there are requests left. Returns how many. */
static uint32_t gather(struct nf *nf, const struct nf_frame *node, uint32_t i,
                       uint32_t n, uint8_t *buf, size_t *n_reqs)
{
    size_t size = nf->disk.page_size;
    uint32_t k = 0;
    for (; k < n && *n_reqs < NF_DIRECT; k++, buf += size) {
        struct bd_request *last = &nf->cache.direct[*n_reqs];
        struct nf_ptr ptr;
        native_child_get(nf, node, i + k, &ptr);
        struct nf_frame *frame = nf_cache_peek(nf, ptr.id);
        if (*n_reqs > 0) {
            last--;
        }
        if (nf_ptr_is_null(&ptr)) {
            memset(buf, 0, size);
        } else if (frame != NULL) {
            memcpy(buf, frame->data, size);
        } else if (*n_reqs > 0 && buf == last->in + last->range.count * size &&
                   ptr.id == last->range.first + last->range.count) {
            last->range.count++;
        } else {
            struct bd_request req = {{ptr.id, 1}, buf, NULL};
            nf->cache.direct[(*n_reqs)++] = req;
        }
        nf_cache_unpin(frame);
    }
    return k;
}

/* Verify what was read of the n pages, children from i on of node. */
static int verify(struct nf *nf, const struct nf_frame *node, uint32_t i,
                  uint32_t n, const uint8_t *buf)
{
    for (uint32_t k = 0; k < n; k++, buf += nf->disk.page_size) {
        struct nf_ptr ptr;
        native_child_get(nf, node, i + k, &ptr);
        if (nf_ptr_is_null(&ptr) || nf_cache_knows(nf, ptr.id)) {
            continue;
        }
        uint64_t sum = nf_page_sum(nf, buf);
        if (sum != ptr.sum) {
            return nf_fail_value(nf, NF_EC_CHECKSUM, ptr.id, "data page",
                                 ptr.sum, sum);
        }
    }
    return 0;
}

/* One pass over *n whole pages of a rope that has nodes: the first gathers
 * requests, and lowers *n to the pages that these are for; the second, when
 * they are done (n_reqs NULL), verifies. */
static int pass(struct nf *nf, const struct nf_rope *rope, uint64_t page,
                uint64_t *n, uint8_t *buf, size_t *n_reqs)
{
    uint32_t fan = nf_native_fan(nf);
    uint64_t done = 0;
    int err = 0;
    while (err == 0 && done < *n && (n_reqs == NULL || *n_reqs < NF_DIRECT)) {
        uint8_t *at = buf + done * nf->disk.page_size;
        uint32_t i = (uint32_t)((page + done) % fan);
        uint64_t part = nf_min_u64(*n - done, fan - i);
        struct nf_frame *node;
        uint64_t next;
        err = find_node(nf, rope, page + done, &node, &next);
        if (err == 0 && node == NULL) {
            part = nf_min_u64(*n - done, next - page - done);
            memset(at, 0, (size_t)part * nf->disk.page_size);
        } else if (err == 0 && n_reqs != NULL) {
            part = gather(nf, node, i, (uint32_t)part, at, n_reqs);
        } else if (err == 0) {
            err = verify(nf, node, i, (uint32_t)part, at);
        }
        if (err == 0) {
            nf_cache_unpin(node);
        }
        done += part;
    }
    *n = done;
    return err;
}

/* Whole pages of a rope that has nodes, straight into the caller's buffer. */
static int read_direct(struct nf *nf, const struct nf_rope *rope, uint64_t page,
                       uint64_t n, uint8_t *buf)
{
    while (n > 0) {
        size_t n_reqs = 0;
        uint64_t part = n;
        int err = pass(nf, rope, page, &part, buf, &n_reqs);
        if (err == 0) {
            err = bd_submit(&nf->bd, nf->cache.direct, n_reqs);
            if (err != 0) {
                return nf_fail(nf, err, nf->cache.direct[0].range.first,
                               "read");
            }
            err = pass(nf, rope, page, &part, buf, NULL);
        }
        if (err != 0) {
            return err;
        }
        page += part;
        buf += part * nf->disk.page_size;
        n -= part;
    }
    return 0;
}

/* What is wanted of one page, or a hole; its length. */
static int read_page(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                     uint8_t *buf, size_t len, size_t *ret)
{
    size_t size = nf->disk.page_size;
    uint64_t page = off / size;
    size_t in = (size_t)(off % size);
    uint32_t i = (uint32_t)(page % nf_native_fan(nf));
    struct nf_ptr ptr = rope->root;
    struct nf_frame *node = NULL;
    uint64_t next = page + 1;
    int err = 0;
    if (rope->height > 0) {
        err = find_node(nf, rope, page, &node, &next);
        if (err != 0) {
            return err;
        }
    } else if (page > 0) {
        next = UINT64_MAX;
    }
    uint64_t left = next - page; /* pages */
    *ret = left > (in + len) / size ? len
                                    : (size_t)nf_min_u64(len, left * size - in);
    if (node != NULL) {
        if (len > *ret) {
            nf_cache_prefetch(nf, node, i, nf_native_fan(nf) - i > 1 ? 2 : 1,
                              NF_KIND_DATA);
        }
        native_child_get(nf, node, i, &ptr);
        err = read_part(nf, &ptr, in, buf, *ret);
        nf_cache_unpin(node);
    } else if (rope->height > 0 || page > 0) {
        memset(buf, 0, *ret);
    } else {
        err = read_part(nf, &ptr, in, buf, *ret);
    }
    return err;
}

int nf_native_rope_read(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        uint8_t *buf, size_t len)
{
    size_t size = nf->disk.page_size;
    while (len > 0) {
        uint64_t whole = off % size == 0 ? len / size : 0;
        size_t part = (size_t)whole * size;
        int err = whole >= DIRECT_PAGES && rope->height > 0
                      ? read_direct(nf, rope, off / size, whole, buf)
                      : read_page(nf, rope, off, buf, len, &part);
        if (err != 0) {
            return err;
        }
        off += part;
        buf += part;
        len -= part;
    }
    return 0;
}

int nf_native_rope_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        bool data, uint64_t *ret)
{
    uint64_t size = nf->disk.page_size;
    uint64_t end = nf_div_up_u64(rope->size, size);
    uint64_t page = off / size;
    /* More steps than the disk has pointers: some are met again and again. */
    uint64_t steps = nf->page_count * (nf_native_fan(nf) + 1);
    for (; page < end; steps--) {
        struct nf_ptr ptr;
        uint64_t next;
        int err = find_page(nf, rope, page, &ptr, &next);
        if (err == 0 && steps == 0) {
            err = nf_fail(nf, NF_EC_DOUBLE_USE, rope->root.id, "rope");
        }
        if (err != 0) {
            return err;
        }
        if (nf_ptr_is_null(&ptr) != data) {
            *ret = nf_max_u64(off, page * size);
            return 0;
        }
        page = data ? next : page + 1;
    }
    *ret = rope->size;
    return data ? NF_ERANGE : 0;
}

/* ---- Writing -------------------------------------------------------- */

static uint32_t height_for(const struct nf *nf, const struct nf_rope *rope,
                           uint64_t last_page)
{
    uint32_t height = rope->height;
    while (last_page >= nf_native_span(nf, height)) {
        height++;
    }
    return height;
}

uint64_t nf_native_rope_need(const struct nf *nf, const struct nf_rope *rope,
                             uint64_t off, uint64_t len)
{
    uint64_t size = nf->disk.page_size;
    uint64_t first = off / size;
    uint64_t last = (off + (len > 0 ? len - 1 : 0)) / size;
    uint32_t height = height_for(nf, rope, last);
    uint64_t n = last - first + 1 + (height - rope->height);
    for (uint32_t h = 1; h <= height; h++) {
        n += last / nf_native_span(nf, h) - first / nf_native_span(nf, h) + 1;
    }
    return n;
}

/* Put roots above the root until the rope reaches the page. */
static int grow(struct nf *nf, struct nf_rope *rope, uint64_t last_page)
{
    uint32_t height = height_for(nf, rope, last_page);
    while (rope->height < height) {
        struct nf_ptr top = {0};
        struct nf_slot above = nf_slot_root(&top);
        struct nf_slot root = nf_slot_root(&rope->root);
        if (!nf_ptr_is_null(&rope->root)) {
            struct nf_frame *node;
            int err = nf_native_node_own(nf, above, rope->height + 1u, &node);
            if (err != 0) {
                return err;
            }
            struct nf_slot first = nf_slot_in(node, native_ptr_off(0));
            nf_slot_put(nf, first, &rope->root);
            nf_cache_move(nf, rope->root.id, root, first);
            rope->root = top;
            nf_cache_move(nf, top.id, above, root);
            nf_cache_unpin(node);
        }
        rope->height++;
    }
    return 0;
}

int nf_native_own_above(struct nf *nf, struct nf_rope *rope, uint64_t page,
                        struct nf_frame **ret)
{
    struct nf_slot slot = nf_slot_root(&rope->root);
    struct nf_frame *node = NULL;
    for (uint32_t height = rope->height; height > 0; height--) {
        struct nf_frame *parent = node;
        int err = nf_native_node_own(nf, slot, height, &node);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        slot = nf_slot_in(
            node,
            native_ptr_off((uint32_t)(page / nf_native_span(nf, height - 1) %
                                      nf_native_fan(nf))));
    }
    *ret = node;
    return 0;
}

struct nf_slot nf_native_page_slot(struct nf *nf, struct nf_rope *rope,
                                   struct nf_frame *node, uint64_t page)
{
    return node == NULL
               ? nf_slot_root(&rope->root)
               : nf_slot_in(node, native_ptr_off(
                                      (uint32_t)(page % nf_native_fan(nf))));
}

int nf_native_own_page(struct nf *nf, struct nf_slot slot, bool whole,
                       struct nf_frame **ret)
{
    struct nf_ptr ptr;
    nf_slot_get(nf, slot, &ptr);
    if (nf_ptr_is_null(&ptr)) {
        return nf_cache_new(nf, slot, NF_KIND_DATA, ret);
    }
    struct nf_frame *frame = nf_cache_peek(nf, ptr.id);
    nf_cache_unpin(frame);
    if (whole && frame == NULL) {
        struct nf_ptr null = {0};
        nf_slot_put(nf, slot, &null);
        int err = nf_page_free(nf, &ptr);
        return err == 0 ? nf_cache_new(nf, slot, NF_KIND_DATA, ret) : err;
    }
    return nf_cache_get_own(nf, slot, NF_KIND_DATA, ret);
}

int nf_native_rope_pack(struct nf *nf, struct nf_rope *rope, uint64_t page)
{
    struct nf_frame *node = NULL;
    struct nf_ptr ptr;
    int err = nf_native_own_above(nf, rope, page, &node);
    if (err != 0) {
        return err;
    }
    struct nf_slot slot = nf_native_page_slot(nf, rope, node, page);
    nf_slot_get(nf, slot, &ptr);
    ptr.packed = true;
    nf_slot_put(nf, slot, &ptr);
    nf_cache_unpin(node);
    return 0;
}

static int write_part(struct nf *nf, struct nf_slot slot, size_t in,
                      const uint8_t *buf, size_t len)
{
    struct nf_frame *frame;
    int err = nf_native_own_page(nf, slot, len == nf->disk.page_size, &frame);
    if (err == 0) {
        memcpy(frame->data + in, buf, len);
        nf_cache_unpin(frame);
    }
    return err;
}

/* Give child i of an owned node a new page, already hashed, at id. */
static int replace_page(struct nf *nf, struct nf_frame *node, uint32_t i,
                        uint64_t id, const uint8_t *page)
{
    struct nf_slot slot = nf_slot_in(node, native_ptr_off(i));
    struct nf_ptr old;
    struct nf_ptr ptr = {id, nf_txn_gen(nf), nf_page_sum(nf, page), false};
    nf_slot_get(nf, slot, &old);
    if (!nf_ptr_is_null(&old)) {
        int err = nf_page_free(nf, &old);
        if (err != 0) {
            return err;
        }
    }
    nf_slot_put(nf, slot, &ptr);
    return 0;
}

/* Send the requests that were gathered, whatever has become of the rest. */
static int send(struct nf *nf, size_t *n_reqs)
{
    size_t n = *n_reqs;
    *n_reqs = 0;
    if (n == 0) {
        return 0;
    }
    nf->cache.spilled = true;
    int err = bd_submit(&nf->bd, nf->cache.direct, n);
    return err == 0
               ? 0
               : nf_fail(nf, err, nf->cache.direct[0].range.first, "write");
}

/* Whole pages to children [i, i + n) of an owned node, around the cache. They
 * are on their way when the requests gathered are sent. */
static int write_run(struct nf *nf, struct nf_frame *node, uint32_t i,
                     uint64_t n, const uint8_t *buf, size_t *n_reqs)
{
    size_t size = nf->disk.page_size;
    int err = 0;
    while (err == 0 && n > 0) {
        struct nf_extent run;
        err = nf_space_alloc_run(nf, n, &run);
        if (err != 0) {
            return err;
        }
        struct bd_request req = {{run.first, (uint32_t)run.count}, NULL, buf};
        nf->cache.direct[(*n_reqs)++] = req;
        for (uint64_t k = 0; err == 0 && k < run.count; k++, i++) {
            err = replace_page(nf, node, i, run.first + k, buf);
            buf += size;
        }
        n -= run.count;
        if (err == 0 && *n_reqs == NF_DIRECT) {
            err = send(nf, n_reqs);
        }
    }
    return err;
}

int nf_native_rope_write(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         const uint8_t *buf, size_t len)
{
    size_t size = nf->disk.page_size;
    uint32_t fan = nf_native_fan(nf);
    uint64_t end = off + len;
    size_t n_reqs = 0;
    int err = grow(nf, rope, (end - 1) / size);
    while (err == 0 && len > 0) {
        uint64_t page = off / size;
        size_t in = (size_t)(off % size);
        struct nf_frame *node = NULL;
        err = nf_native_own_above(nf, rope, page, &node);
        /* As many pages as this node has, and one where there is no node. */
        for (uint64_t left = node == NULL ? 1 : fan - page % fan;
             err == 0 && len > 0 && left > 0;) {
            uint64_t whole = in == 0 ? len / size : 0;
            size_t part = (size_t)nf_min_u64(len, size - in);
            uint64_t n = 1;
            if (whole >= DIRECT_PAGES && node != NULL) {
                n = nf_min_u64(whole, left);
                part = (size_t)n * size;
                err = write_run(nf, node, (uint32_t)(page % fan), n, buf,
                                &n_reqs);
            } else {
                err = write_part(nf, nf_native_page_slot(nf, rope, node, page),
                                 in, buf, part);
            }
            page += n;
            left -= n;
            in = 0;
            off += part;
            buf += part;
            len -= part;
        }
        nf_cache_unpin(node);
    }
    if (err == 0) {
        err = send(nf, &n_reqs);
    }
    if (err == 0) {
        rope->size = nf_max_u64(rope->size, end);
    }
    return err;
}
