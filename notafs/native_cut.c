/* SPDX-License-Identifier: ISC */
/*
 * Taking pages out of native ropes: freeing, truncating, punching holes, and
 * rebasing the free queue's. Nodes that become empty are freed, and roots with
 * a first child only are taken away, so a rope is as large as what is in it.
 */
#include "notafs/native_int.h"

/* ---- Freeing -------------------------------------------------------- */

/* Free a page and all below it. Its pointer must stay until this returns: dirty
 * pages below may be sealed and written on the way. */
static int free_subtree(struct nf *nf, const struct nf_ptr *top,
                        uint32_t height)
{
    struct {
        struct nf_ptr ptr;
        uint32_t next;
    } stack[NATIVE_ROPE_HEIGHT + 1];
    uint32_t fan = nf_native_fan(nf);
    uint32_t depth = 0;
    if (height == 0) {
        return nf_page_free(nf, top);
    }
    stack[0].ptr = *top;
    stack[0].next = 0;
    for (;;) {
        struct nf_frame *node = NULL;
        uint32_t h = height - depth;
        uint32_t i = stack[depth].next;
        bool down = false;
        int err = nf_native_node_get(nf, &stack[depth].ptr, h, &node);
        for (; err == 0 && !down && i < fan; i++) {
            struct nf_ptr child;
            native_child_get(nf, node, i, &child);
            if (nf_ptr_is_null(&child)) {
                continue;
            }
            if (h == 1) {
                err = nf_page_free(nf, &child);
            } else {
                down = true;
                stack[depth].next = i + 1;
                stack[depth + 1].ptr = child;
                stack[depth + 1].next = 0;
            }
        }
        nf_cache_unpin(node);
        if (err != 0) {
            return err;
        }
        if (down) {
            depth++;
            continue;
        }
        err = nf_page_free(nf, &stack[depth].ptr);
        if (err != 0 || depth == 0) {
            return err;
        }
        depth--;
    }
}

int nf_native_rope_free(struct nf *nf, struct nf_rope *rope)
{
    int err = 0;
    if (rope->height > NATIVE_ROPE_HEIGHT) {
        return nf_fail(nf, NF_EC_NODE, rope->root.id, "height of a rope");
    }
    if (!nf_ptr_is_null(&rope->root)) {
        err = free_subtree(nf, &rope->root, rope->height);
    }
    struct nf_rope empty = {.lz4 = rope->lz4};
    *rope = empty;
    return err;
}

/* Make pages [from, to) a hole, from the first whole subtree there to the next:
 * one of them a call. Returns where to go on. */
static int clear_one(struct nf *nf, struct nf_rope *rope, uint64_t from,
                     uint64_t to, uint64_t *ret_next)
{
    struct nf_slot slot = nf_slot_root(&rope->root);
    struct nf_frame *node = NULL;
    uint32_t height = rope->height;
    uint64_t base = 0;
    int err = 0;
    for (;;) {
        struct nf_ptr ptr;
        struct nf_frame *parent = node;
        uint64_t below = nf_native_span(nf, height);
        uint64_t end = below > UINT64_MAX - base ? UINT64_MAX : base + below;
        nf_slot_get(nf, slot, &ptr);
        if (nf_ptr_is_null(&ptr) || (base >= from && end <= to)) {
            struct nf_ptr null = {0};
            if (!nf_ptr_is_null(&ptr)) {
                err = free_subtree(nf, &ptr, height);
                nf_slot_put(nf, slot, &null);
            }
            *ret_next = end;
            break;
        }
        err = nf_native_node_own(nf, slot, height, &node);
        if (err != 0) {
            node = parent;
            break;
        }
        nf_cache_unpin(parent);
        height--;
        uint32_t i = (uint32_t)((nf_max_u64(from, base) - base) /
                                nf_native_span(nf, height));
        base += i * nf_native_span(nf, height);
        slot = nf_slot_in(node, native_ptr_off(i));
    }
    nf_cache_unpin(node);
    return err;
}

static bool node_is_empty(const struct nf *nf, const struct nf_frame *node,
                          uint32_t from)
{
    for (uint32_t i = from; i < nf_native_fan(nf); i++) {
        if (!native_child_null(node, i)) {
            return false;
        }
    }
    return true;
}

/* Free the nodes above a page that have become empty, the lowest first. */
static int prune(struct nf *nf, struct nf_rope *rope, uint64_t page)
{
    bool again = true;
    while (again) {
        struct nf_slot slot = nf_slot_root(&rope->root);
        struct nf_frame *parent = NULL;
        struct nf_ptr ptr;
        int err = 0;
        again = false;
        nf_slot_get(nf, slot, &ptr);
        for (uint32_t h = rope->height; h > 0 && !nf_ptr_is_null(&ptr); h--) {
            struct nf_frame *node;
            struct nf_ptr null = {0};
            err = nf_native_node_own(nf, slot, h, &node);
            if (err != 0) {
                break;
            }
            if (node_is_empty(nf, node, 0)) {
                nf_cache_unpin(node);
                nf_slot_get(nf, slot, &ptr);
                nf_slot_put(nf, slot, &null);
                err = nf_page_free(nf, &ptr);
                again = true;
                break;
            }
            nf_cache_unpin(parent);
            parent = node;
            slot = nf_slot_in(
                node,
                native_ptr_off((uint32_t)(page / nf_native_span(nf, h - 1) %
                                          nf_native_fan(nf))));
            nf_slot_get(nf, slot, &ptr);
        }
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int clear(struct nf *nf, struct nf_rope *rope, uint64_t from,
                 uint64_t to)
{
    uint64_t page = from;
    to = nf_min_u64(to, nf_native_span(nf, rope->height));
    while (page < to) {
        int err = clear_one(nf, rope, page, to, &page);
        if (err != 0) {
            return err;
        }
    }
    if (from >= to) {
        return 0;
    }
    int err = prune(nf, rope, from);
    return err == 0 ? prune(nf, rope, to - 1) : err;
}

/* Take away roots that have a first child only. */
static int shrink(struct nf *nf, struct nf_rope *rope)
{
    while (rope->height > 0) {
        struct nf_frame *node;
        struct nf_ptr old = rope->root;
        struct nf_ptr child;
        struct nf_slot root = nf_slot_root(&rope->root);
        if (nf_ptr_is_null(&old)) {
            rope->height = 0;
            return 0;
        }
        int err = nf_native_node_get(nf, &old, rope->height, &node);
        if (err != 0) {
            return err;
        }
        bool only_first = node_is_empty(nf, node, 1);
        if (only_first) {
            native_child_get(nf, node, 0, &child);
            struct nf_slot first = nf_slot_in(node, native_ptr_off(0));
            nf_cache_move(nf, child.id, first, root);
        }
        nf_cache_unpin(node);
        if (!only_first) {
            return 0;
        }
        rope->root = child;
        rope->height--;
        err = nf_page_free(nf, &old);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

/* Zero bytes [off, off + len) of one page, if it is there. */
static int zero_part(struct nf *nf, struct nf_rope *rope, uint64_t off,
                     size_t len)
{
    size_t size = nf->disk.page_size;
    struct nf_ptr ptr;
    struct nf_frame *node;
    struct nf_frame *frame;
    uint64_t page = off / size;
    int err = len == 0 ? 0 : nf_native_rope_page(nf, rope, page, &ptr);
    if (err != 0 || len == 0 || nf_ptr_is_null(&ptr)) {
        return err;
    }
    err = nf_native_own_above(nf, rope, page, &node);
    if (err != 0) {
        return err;
    }
    err = nf_native_own_page(nf, nf_native_page_slot(nf, rope, node, page),
                             false, &frame);
    if (err == 0) {
        memset(frame->data + off % size, 0, len);
        nf_cache_unpin(frame);
    }
    nf_cache_unpin(node);
    return err;
}

int nf_native_rope_truncate(struct nf *nf, struct nf_rope *rope, uint64_t size)
{
    uint64_t page_size = nf->disk.page_size;
    int err = 0;
    if (size < rope->size) {
        uint64_t in = size % page_size;
        err = clear(nf, rope, nf_div_up_u64(size, page_size), UINT64_MAX);
        if (err == 0 && in != 0) {
            err = zero_part(nf, rope, size, (size_t)(page_size - in));
        }
        if (err == 0) {
            err = shrink(nf, rope);
        }
    }
    if (err == 0) {
        rope->size = size;
    }
    return err;
}

int nf_native_rope_punch(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         uint64_t len)
{
    uint64_t size = nf->disk.page_size;
    uint64_t end = off + len;
    uint64_t first = nf_div_up_u64(off, size);
    uint64_t last = end == rope->size ? nf_div_up_u64(end, size) : end / size;
    if (first > last) { /* inside one page */
        return zero_part(nf, rope, off, (size_t)len);
    }
    int err = zero_part(nf, rope, off, (size_t)(first * size - off));
    if (err == 0 && last * size < end) {
        err = zero_part(nf, rope, last * size, (size_t)(end - last * size));
    }
    return err == 0 ? clear(nf, rope, first, last) : err;
}

int nf_native_rope_rebase(struct nf *nf, struct nf_rope *rope, uint64_t *ret)
{
    uint32_t fan = nf_native_fan(nf);
    struct nf_slot root = nf_slot_root(&rope->root);
    struct nf_frame *node;
    uint32_t k = 0;
    *ret = 0;
    if (rope->height == 0 || nf_ptr_is_null(&rope->root)) {
        return 0;
    }
    int err = nf_native_node_own(nf, root, rope->height, &node);
    if (err != 0) {
        return err;
    }
    while (k < fan - 1 && native_child_null(node, k)) {
        k++;
    }
    if (k > 0) {
        memmove(node->data + native_ptr_off(0), node->data + native_ptr_off(k),
                (fan - k) * NATIVE_PTR_LEN);
        memset(node->data + native_ptr_off(fan - k), 0, k * NATIVE_PTR_LEN);
        *ret = k * nf_native_span(nf, rope->height - 1u) * nf->disk.page_size;
    }
    nf_cache_unpin(node);
    return shrink(nf, rope);
}
