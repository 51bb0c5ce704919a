/* SPDX-License-Identifier: ISC */
/*
 * Ropes and the free queue as trees: nodes whose children have lower heights,
 * not necessarily by one, and never greater ones to the right.
 *
 * Both grow at the right end only. A leaf is added to the lowest node there
 * that has room, below new nodes of its last child's height, so that the tree
 * stays balanced; next to a child higher than MIRAGE_SPINE they end there, so
 * that trees which OCaml Notafs left deep do not cost a page for each level.
 * Only where no node has room does the tree get a new root.
 *
 * No pointer is kept from one call of the cache to the next but in its slot:
 * the checksum of a page of this transaction is known once it is sealed, and
 * stands in the slot then.
 */
#include "notafs/mirage_int.h"

#define MIRAGE_SPINE 3

int nf_mirage_node_get(struct nf *nf, struct nf_slot slot, enum nf_kind kind,
                       uint32_t below, bool own, struct nf_frame **ret)
{
    struct nf_ptr ptr;
    struct nf_frame *frame;
    nf_slot_get(nf, slot, &ptr);
    int err = nf_cache_get(nf, &ptr, kind, &frame);
    if (err != 0) {
        return err;
    }
    if (mirage_height(kind, frame->data) >= below) {
        err = nf_fail_value(nf, NF_EC_NODE, ptr.id, "height of a node", below,
                            mirage_height(kind, frame->data));
    } else if (own) {
        err = nf_cache_own(nf, frame, slot);
    }
    if (err != 0) {
        nf_cache_unpin(frame);
        return err;
    }
    *ret = frame;
    return 0;
}

/* ---- Growing -------------------------------------------------------- */

/* The lowest node of the right edge that has room. */
struct room {
    bool found;
    uint32_t level;       /* steps from the root */
    uint32_t last_height; /* of its last child */
};

static int find_room(struct nf *nf, struct nf_ptr *root, enum nf_kind kind,
                     struct room *ret)
{
    struct nf_slot slot = nf_slot_root(root);
    struct nf_frame *parent = NULL;
    uint32_t below = MIRAGE_ANY_HEIGHT;
    struct room room = {false, 0, 0};
    int err = 0;
    for (uint32_t level = 0; below > 0; level++) {
        struct nf_frame *frame;
        err = nf_mirage_node_get(nf, slot, kind, below, false, &frame);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        uint32_t height = mirage_height(kind, frame->data);
        uint32_t count = mirage_count(kind, frame->data);
        if (room.found && room.level + 1 == level) {
            room.last_height = height;
        }
        if (count < nf_mirage_capacity(nf, kind, height)) {
            room.found = true;
            room.level = level;
        }
        if (level == MIRAGE_RIGHT_EDGE) {
            err = nf_fail(nf, NF_EC_NODE, frame->id, "depth of a tree");
        }
        if (err != 0 || height == 0) {
            nf_cache_unpin(frame);
            break;
        }
        slot = mirage_slot(nf, frame, count - 1);
        parent = frame;
        below = height;
    }
    if (err == 0) {
        *ret = room;
    }
    return err;
}

/* Put a root above the root. */
static int raise_root(struct nf *nf, struct nf_ptr *root, enum nf_kind kind)
{
    struct nf_ptr *raised = &nf->mirage->raised;
    struct nf_slot top_slot = nf_slot_root(raised);
    struct nf_slot old_slot = nf_slot_root(root);
    struct nf_frame *top;
    struct nf_frame *old;
    int err =
        nf_mirage_node_get(nf, old_slot, kind, MIRAGE_ANY_HEIGHT, false, &old);
    if (err != 0) {
        return err;
    }
    uint32_t height = mirage_height(kind, old->data);
    uint32_t limit = kind == NF_KIND_ROPE ? UINT16_MAX : UINT8_MAX;
    if (height == limit) {
        err = nf_fail(nf, NF_EC_NODE, old->id, "height of a tree");
    } else {
        err = nf_cache_new(nf, top_slot, kind, &top);
    }
    if (err == 0) {
        mirage_set_head(kind, top->data, height + 1, 1);
        if (kind == NF_KIND_ROPE) {
            mirage_key_put(nf, top->data, 0, mirage_node_size(nf, old->data));
        }
        struct nf_slot slot = mirage_slot(nf, top, 0);
        nf_slot_put(nf, slot, root);
        nf_cache_move(nf, root->id, old_slot, slot);
        *root = *raised;
        nf_cache_move(nf, root->id, top_slot, old_slot);
        nf_cache_unpin(top);
        if (kind == NF_KIND_QUEUE) {
            nf_mirage_queue_raised(nf);
        }
    }
    nf_cache_unpin(old);
    return err;
}

/* The node at the right edge at that level, writable and pinned. */
static int own_edge(struct nf *nf, struct nf_ptr *root, enum nf_kind kind,
                    uint32_t level, struct nf_frame **ret)
{
    struct nf_slot slot = nf_slot_root(root);
    struct nf_frame *parent = NULL;
    uint32_t below = MIRAGE_ANY_HEIGHT;
    for (;;) {
        struct nf_frame *frame;
        int err = nf_mirage_node_get(nf, slot, kind, below, true, &frame);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        if (level == 0) {
            *ret = frame;
            return 0;
        }
        level--;
        below = mirage_height(kind, frame->data);
        slot = mirage_slot(nf, frame, mirage_count(kind, frame->data) - 1);
        parent = frame;
    }
}

/* Hang a new child of that height below parent, and others down to a leaf,
 * which is returned pinned; parent is unpinned. */
static int add_spine(struct nf *nf, struct nf_frame *parent, enum nf_kind kind,
                     uint32_t height, struct nf_frame **ret)
{
    for (;; height--) {
        struct nf_frame *frame;
        uint32_t count = mirage_count(kind, parent->data);
        int err =
            nf_cache_new(nf, mirage_slot(nf, parent, count), kind, &frame);
        if (err != 0) {
            nf_cache_unpin(parent);
            return err;
        }
        mirage_set_head(kind, frame->data, height, 0);
        mirage_set_count(kind, parent->data, count + 1);
        if (kind == NF_KIND_ROPE) {
            uint32_t end =
                count == 0 ? 0 : mirage_key(nf, parent->data, count - 1);
            mirage_key_put(nf, parent->data, count, end);
        }
        nf_cache_unpin(parent);
        if (height == 0) {
            *ret = frame;
            return 0;
        }
        parent = frame;
    }
}

int nf_mirage_tree_extend(struct nf *nf, struct nf_ptr *root, enum nf_kind kind,
                          struct nf_frame **ret)
{
    struct nf_slot slot = nf_slot_root(root);
    struct room room;
    if (nf_ptr_is_null(root)) {
        return nf_cache_new(nf, slot, kind, ret);
    }
    int err = find_room(nf, root, kind, &room);
    if (err == 0 && !room.found) {
        err = raise_root(nf, root, kind);
        if (err == 0) {
            err = find_room(nf, root, kind, &room);
        }
    }
    struct nf_frame *frame;
    if (err == 0) {
        err = own_edge(nf, root, kind, room.level, &frame);
    }
    if (err != 0) {
        return err;
    }
    if (mirage_height(kind, frame->data) == 0) {
        *ret = frame;
        return 0;
    }
    uint32_t height =
        room.last_height < MIRAGE_SPINE ? room.last_height : MIRAGE_SPINE;
    return add_spine(nf, frame, kind, height, ret);
}

/* ---- Shrinking ------------------------------------------------------ */

int nf_mirage_tree_lower(struct nf *nf, struct nf_ptr *root,
                         struct nf_frame *frame)
{
    struct nf_slot slot = nf_slot_root(root);
    struct nf_ptr old = *root;
    enum nf_kind kind = (enum nf_kind)frame->kind;
    nf_slot_get(nf, mirage_slot(nf, frame, 0), root);
    nf_cache_move(nf, root->id, mirage_slot(nf, frame, 0), slot);
    nf_cache_unpin(frame);
    if (kind == NF_KIND_QUEUE) {
        nf_mirage_queue_lowered(nf);
    }
    return nf_page_free(nf, &old);
}

/* The node that path[0..depth) leads to, pinned, and its pointer. */
static int node_at(struct nf *nf, struct nf_ptr *root, enum nf_kind kind,
                   const uint16_t *path, uint32_t depth, struct nf_ptr *ret_ptr,
                   struct nf_frame **ret)
{
    struct nf_slot slot = nf_slot_root(root);
    struct nf_frame *parent = NULL;
    uint32_t below = MIRAGE_ANY_HEIGHT;
    for (uint32_t level = 0;; level++) {
        struct nf_frame *frame;
        int err = nf_mirage_node_get(nf, slot, kind, below, false, &frame);
        if (err == 0 && level == depth) {
            nf_slot_get(nf, slot, ret_ptr);
            *ret = frame;
        }
        nf_cache_unpin(parent);
        if (err != 0 || level == depth) {
            return err;
        }
        below = mirage_height(kind, frame->data);
        slot = mirage_slot(nf, frame, path[level]);
        parent = frame;
    }
}

/* Free the leaves below a node of height 1. */
static int free_leaves(struct nf *nf, struct nf_frame *frame, enum nf_kind kind)
{
    uint32_t count = mirage_count(kind, frame->data);
    for (uint32_t i = 0; i < count; i++) {
        struct nf_ptr ptr;
        nf_slot_get(nf, mirage_slot(nf, frame, i), &ptr);
        int err = nf_page_free(nf, &ptr);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

int nf_mirage_tree_free(struct nf *nf, struct nf_ptr *root, enum nf_kind kind)
{
    uint16_t path[MIRAGE_DEPTH];
    uint32_t depth = 0;
    uint64_t freed = 0;
    path[0] = 0;
    while (!nf_ptr_is_null(root)) {
        struct nf_ptr ptr;
        struct nf_frame *frame = NULL;
        int err = node_at(nf, root, kind, path, depth, &ptr, &frame);
        if (err != 0) {
            return err;
        }
        uint32_t height = mirage_height(kind, frame->data);
        uint32_t count = mirage_count(kind, frame->data);
        if (height > 1 && path[depth] < count) {
            nf_cache_unpin(frame);
            if (++depth == MIRAGE_DEPTH) {
                return nf_fail(nf, NF_EC_NODE, ptr.id, "depth of a tree");
            }
            path[depth] = 0;
            continue;
        }
        if (height == 1) {
            freed += count;
            err = free_leaves(nf, frame, kind);
        }
        nf_cache_unpin(frame);
        if (err == 0 && ++freed > nf->page_count) {
            err = nf_fail(nf, NF_EC_DOUBLE_USE, ptr.id, "page of a tree");
        }
        if (err == 0) {
            err = nf_page_free(nf, &ptr);
        }
        if (err != 0) {
            return err;
        }
        if (depth == 0) {
            memset(root, 0, sizeof(*root));
        } else {
            path[--depth]++;
        }
    }
    return 0;
}

void nf_mirage_tree_cut(struct nf *nf, struct nf_frame *frame, uint32_t i)
{
    struct nf_ptr *cut = &nf->mirage->cut;
    struct nf_slot slot = nf_slot_root(cut);
    nf_slot_get(nf, mirage_slot(nf, frame, i), cut);
    nf_cache_move(nf, cut->id, mirage_slot(nf, frame, i), slot);
}
