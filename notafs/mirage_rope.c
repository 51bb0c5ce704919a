/* SPDX-License-Identifier: ISC */
/*
 * Ropes: the bytes of a file, or of the file table.
 *
 * A key is the offset, in its node, of the end of a child, so the last key is
 * the node's size. Every leaf from the left is full where OCaml Notafs or this
 * file wrote it, but any length is read. A rope of no bytes has no page here
 * (root null); mirage_names.c gives it the one that the format wants.
 */
#include "notafs/mirage_int.h"

uint64_t nf_mirage_rope_need(const struct nf *nf, const struct nf_rope *rope,
                             uint64_t off, uint64_t len)
{
    const struct mirage_geo *geo = &nf->mirage->geo;
    if (off > rope->size) {
        len += off - rope->size;
        off = rope->size;
    }
    uint64_t end = nf_max_u64(rope->size, off + len);
    uint64_t all = nf_div_up_u64(end, geo->rope_bytes);
    uint64_t changed = nf_min_u64(all, len / geo->rope_bytes + 2);
    uint64_t need = changed + 2; /* uneven: a level more on the way, a root */
    while (all > 1) {
        all = nf_div_up_u64(all, geo->rope_entries);
        changed = nf_min_u64(all, changed / geo->rope_entries + 2);
        need += changed;
    }
    return need;
}

/* ---- Finding -------------------------------------------------------- */

/* The first child whose end is at least off (exact), or beyond it. */
static uint32_t find_child(const struct nf *nf, const uint8_t *page,
                           uint64_t off, bool exact)
{
    uint32_t low = 0;
    uint32_t high = mirage_count(NF_KIND_ROPE, page) - 1;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        uint32_t key = mirage_key(nf, page, mid);
        if (key > off || (exact && key == off)) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

/* A leaf and the bytes of the rope that it holds. */
struct piece {
    struct nf_frame *leaf;
    uint64_t start;
    uint64_t end;
};

/* Child i of a node above leaves, and those behind it that start before byte
 * `end` of the node, are about to be read. */
static void read_ahead(struct nf *nf, struct nf_frame *node, uint32_t i,
                       uint64_t end)
{
    uint32_t count = mirage_count(NF_KIND_ROPE, node->data);
    uint32_t n = 1;
    struct nf_ptr ptr;
    nf_slot_get(nf, mirage_slot(nf, node, i), &ptr);
    if (nf_cache_knows(nf, ptr.id)) {
        return;
    }
    while (i + n < count && n < NF_DIRECT &&
           mirage_key(nf, node->data, i + n - 1) < end) {
        n++;
    }
    if (n > 1) {
        nf_cache_prefetch(nf, node, i, n, NF_KIND_ROPE);
    }
}

/* The leaf that holds byte off of the rope, pinned; len bytes are wanted from
 * there on, to be read or (own) written. */
static int find_leaf(struct nf *nf, struct nf_ptr *root, uint64_t size,
                     uint64_t off, uint64_t len, bool own, struct piece *ret)
{
    struct nf_slot slot = nf_slot_root(root);
    struct nf_frame *parent = NULL;
    struct piece piece = {NULL, 0, size};
    uint32_t below = MIRAGE_ANY_HEIGHT;
    for (uint32_t level = 0;; level++) {
        int err =
            nf_mirage_node_get(nf, slot, NF_KIND_ROPE, below, own, &piece.leaf);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        struct nf_frame *frame = piece.leaf;
        uint64_t found = mirage_node_size(nf, frame->data);
        if (found != piece.end - piece.start) {
            err = nf_fail_value(nf, NF_EC_NODE, frame->id, "size of a node",
                                piece.end - piece.start, found);
        } else if (level > NF_MAX_HEIGHT) {
            err = nf_fail(nf, NF_EC_NODE, frame->id, "depth of a rope");
        }
        if (err != 0) {
            nf_cache_unpin(frame);
            return err;
        }
        below = mirage_height(NF_KIND_ROPE, frame->data);
        if (below == 0) {
            *ret = piece;
            return 0;
        }
        uint32_t i = find_child(nf, frame->data, off - piece.start, false);
        if (below == 1) {
            read_ahead(nf, frame, i, off - piece.start + len);
        }
        piece.end = piece.start + mirage_key(nf, frame->data, i);
        if (i > 0) {
            piece.start += mirage_key(nf, frame->data, i - 1);
        }
        slot = mirage_slot(nf, frame, i);
        parent = frame;
    }
}

int nf_mirage_rope_read(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        uint8_t *buf, size_t len)
{
    while (len > 0) {
        struct piece piece;
        struct nf_ptr root = rope->root; /* reading may seal it */
        int err = find_leaf(nf, &root, rope->size, off, len, false, &piece);
        if (err != 0) {
            return err;
        }
        size_t part = (size_t)nf_min_u64(len, piece.end - off);
        memcpy(buf, piece.leaf->data + MIRAGE_ROPE_HEAD + (off - piece.start),
               part);
        nf_cache_unpin(piece.leaf);
        off += part;
        buf += part;
        len -= part;
    }
    return 0;
}

int nf_mirage_rope_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        bool data, uint64_t *ret)
{
    (void)nf; /* there are no holes to look for */
    *ret = data ? off : rope->size;
    return 0;
}

/* ---- Writing -------------------------------------------------------- */

/* The tree has part bytes more in its last leaf. */
static int add_to_keys(struct nf *nf, struct nf_ptr *root, uint32_t part)
{
    struct nf_slot slot = nf_slot_root(root);
    struct nf_frame *parent = NULL;
    for (;;) {
        struct nf_frame *frame;
        int err = nf_mirage_node_get(nf, slot, NF_KIND_ROPE, MIRAGE_ANY_HEIGHT,
                                     true, &frame);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        if (mirage_height(NF_KIND_ROPE, frame->data) == 0) {
            nf_cache_unpin(frame);
            return 0;
        }
        uint32_t last = mirage_count(NF_KIND_ROPE, frame->data) - 1;
        mirage_key_put(nf, frame->data, last,
                       mirage_key(nf, frame->data, last) + part);
        slot = mirage_slot(nf, frame, last);
        parent = frame;
    }
}

/* Append len bytes from buf, or zeros if it is NULL. */
static int append(struct nf *nf, struct nf_rope *rope, const uint8_t *buf,
                  uint64_t len)
{
    while (len > 0) {
        struct nf_frame *leaf;
        int err = nf_mirage_tree_extend(nf, &rope->root, NF_KIND_ROPE, &leaf);
        if (err != 0) {
            return err;
        }
        uint32_t count = mirage_count(NF_KIND_ROPE, leaf->data);
        uint32_t part =
            (uint32_t)nf_min_u64(len, nf->mirage->geo.rope_bytes - count);
        uint8_t *to = leaf->data + MIRAGE_ROPE_HEAD + count;
        if (buf != NULL) {
            memcpy(to, buf, part);
            buf += part;
        } else {
            memset(to, 0, part);
        }
        mirage_set_count(NF_KIND_ROPE, leaf->data, count + part);
        nf_cache_unpin(leaf);
        err = add_to_keys(nf, &rope->root, part);
        if (err != 0) {
            return err;
        }
        rope->size += part;
        len -= part;
    }
    return 0;
}

int nf_mirage_rope_write(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         const uint8_t *buf, size_t len)
{
    if (off > MIRAGE_MAX_BYTES || len > MIRAGE_MAX_BYTES - off) {
        return nf_fail(nf, NF_EFBIG, NF_NOWHERE, "file size");
    }
    while (len > 0 && off < rope->size) {
        struct piece piece;
        int err =
            find_leaf(nf, &rope->root, rope->size, off, len, true, &piece);
        if (err != 0) {
            return err;
        }
        size_t part = (size_t)nf_min_u64(len, piece.end - off);
        memcpy(piece.leaf->data + MIRAGE_ROPE_HEAD + (off - piece.start), buf,
               part);
        nf_cache_unpin(piece.leaf);
        off += part;
        buf += part;
        len -= part;
    }
    int err = 0;
    if (off > rope->size) {
        err = append(nf, rope, NULL, off - rope->size);
    }
    return err == 0 ? append(nf, rope, buf, len) : err;
}

/* ---- Cutting -------------------------------------------------------- */

int nf_mirage_rope_free(struct nf *nf, struct nf_rope *rope)
{
    rope->size = 0;
    return nf_mirage_tree_free(nf, &rope->root, NF_KIND_ROPE);
}

/* Free the children of frame from i on. */
static int cut_children(struct nf *nf, struct nf_frame *frame, uint32_t i)
{
    uint32_t count = mirage_count(NF_KIND_ROPE, frame->data);
    int err = 0;
    while (err == 0 && count > i) {
        count--;
        nf_mirage_tree_cut(nf, frame, count);
        mirage_set_count(NF_KIND_ROPE, frame->data, count);
        memset(frame->data + mirage_slot(nf, frame, count).off - 4, 0,
               4 + nf->mirage->geo.ptr_len);
        err = nf_mirage_tree_free(nf, &nf->mirage->cut, NF_KIND_ROPE);
    }
    return err;
}

/* Take roots away as long as the first child below holds all that stays. */
static int lower_root(struct nf *nf, struct nf_rope *rope, uint64_t size)
{
    struct nf_slot slot = nf_slot_root(&rope->root);
    for (;;) {
        struct nf_frame *frame;
        int err = nf_mirage_node_get(nf, slot, NF_KIND_ROPE, MIRAGE_ANY_HEIGHT,
                                     false, &frame);
        if (err != 0) {
            return err;
        }
        if (mirage_height(NF_KIND_ROPE, frame->data) == 0 ||
            mirage_key(nf, frame->data, 0) < size) {
            nf_cache_unpin(frame);
            return 0;
        }
        rope->size = mirage_key(nf, frame->data, 0);
        err = nf_cache_own(nf, frame, slot);
        if (err == 0) {
            err = cut_children(nf, frame, 1);
        }
        if (err != 0) {
            nf_cache_unpin(frame);
            return err;
        }
        rope->size = mirage_key(nf, frame->data, 0);
        err = nf_mirage_tree_lower(nf, &rope->root, frame);
        if (err != 0) {
            return err;
        }
    }
}

/* Cut the right edge below the root. */
static int cut_edge(struct nf *nf, struct nf_rope *rope, uint64_t size)
{
    struct nf_slot slot = nf_slot_root(&rope->root);
    struct nf_frame *parent = NULL;
    uint64_t old_size = rope->size;
    uint32_t below = MIRAGE_ANY_HEIGHT;
    for (;;) {
        struct nf_frame *frame;
        int err =
            nf_mirage_node_get(nf, slot, NF_KIND_ROPE, below, true, &frame);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        if (mirage_node_size(nf, frame->data) != old_size) {
            err = nf_fail_value(nf, NF_EC_NODE, frame->id, "size of a node",
                                old_size, mirage_node_size(nf, frame->data));
            nf_cache_unpin(frame);
            return err;
        }
        below = mirage_height(NF_KIND_ROPE, frame->data);
        if (below == 0) {
            uint32_t end = MIRAGE_ROPE_HEAD + (uint32_t)size;
            mirage_set_count(NF_KIND_ROPE, frame->data, (uint32_t)size);
            memset(frame->data + end, 0, nf->disk.page_size - end);
            nf_cache_unpin(frame);
            return 0;
        }
        uint32_t i = find_child(nf, frame->data, size, true);
        err = cut_children(nf, frame, i + 1);
        if (err != 0) {
            nf_cache_unpin(frame);
            return err;
        }
        old_size = mirage_key(nf, frame->data, i);
        mirage_key_put(nf, frame->data, i, (uint32_t)size);
        if (i > 0) {
            old_size -= mirage_key(nf, frame->data, i - 1);
            size -= mirage_key(nf, frame->data, i - 1);
        }
        slot = mirage_slot(nf, frame, i);
        parent = frame;
    }
}

int nf_mirage_rope_truncate(struct nf *nf, struct nf_rope *rope, uint64_t size)
{
    if (size > MIRAGE_MAX_BYTES) {
        return nf_fail(nf, NF_EFBIG, NF_NOWHERE, "file size");
    }
    if (size >= rope->size) {
        return append(nf, rope, NULL, size - rope->size);
    }
    if (size == 0) {
        return nf_mirage_rope_free(nf, rope);
    }
    int err = lower_root(nf, rope, size);
    if (err == 0) {
        err = cut_edge(nf, rope, size);
    }
    if (err == 0) {
        rope->size = size;
    }
    return err;
}
