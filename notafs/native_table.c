/* SPDX-License-Identifier: ISC */
/*
 * File table of the native format: a B+tree from (directory, name), in order of
 * the directory's id and then of bytes, to records. native_node.h has the
 * layout of its pages.
 *
 * No cell is larger than a third of a page's room, so that a node that must
 * take one more can always be split in two; names and inline data are limited
 * accordingly. Nodes that fit into their neighbour are merged with it.
 */
#include "notafs/native_node.h"

#define MAX_HEIGHT NF_MAX_HEIGHT

/* ---- Paths through the tree ----------------------------------------- */

/* The nodes from the root, level 0, to a leaf, pinned, and in each the cell
 * that the way leads through. */
struct path {
    struct nf_frame *node[MAX_HEIGHT + 1];
    uint32_t cell[MAX_HEIGHT + 1];
    uint32_t n;
};

static void path_release(struct path *path)
{
    while (path->n > 0) {
        nf_cache_unpin(path->node[--path->n]);
    }
}

static struct nf_slot slot_above(struct nf *nf, const struct path *path,
                                 uint32_t level)
{
    struct nf_slot slot = nf_slot_root(&nf->native.table);
    if (level > 0) {
        struct nf_frame *node = path->node[level - 1];
        slot = nf_slot_in(node,
                          native_cell_off(node->data, path->cell[level - 1]));
    }
    return slot;
}

/* The keys that may be below a cell: from lo on, up to hi; NULL: no bound. */
struct bounds {
    struct nf_native_key keys[2];
    const struct nf_native_key *lo;
    const struct nf_native_key *hi;
};

/* Narrow bounds down to what is below cell i of an inner node. */
static void narrow(struct bounds *b, const uint8_t *p, uint32_t i)
{
    if (i > 0) {
        nf_native_key_at(p, i, &b->keys[0]);
        b->lo = &b->keys[0];
    }
    if (i + 1 < native_node_count(p)) {
        nf_native_key_at(p, i + 1, &b->keys[1]);
        b->hi = &b->keys[1];
    }
}

/* Whether the keys of a node lie within bounds. So no part of the table can be
 * in two places, and no entry where it would not be found. */
static bool within(const struct bounds *b, const uint8_t *p)
{
    uint32_t first = native_node_height(p) > 0 ? 1 : 0;
    uint32_t n = native_node_count(p);
    struct nf_native_key key;
    if (n <= first) {
        return true;
    }
    nf_native_key_at(p, first, &key);
    if (b->lo != NULL && nf_native_key_cmp(&key, b->lo) < 0) {
        return false;
    }
    nf_native_key_at(p, n - 1, &key);
    return b->hi == NULL || nf_native_key_cmp(&key, b->hi) < 0;
}

/* Go to the leaf of key, making every node on the way writable if own. The
 * tree must not be empty. Release the path, after an error too: it leads as far
 * as there was a way. */
static int descend(struct nf *nf, const struct nf_native_key *key, bool own,
                   struct path *path)
{
    uint32_t height = nf->native.table_height;
    struct bounds bounds = {.lo = NULL, .hi = NULL};
    path->n = 0;
    for (uint32_t level = 0; level <= height; level++) {
        struct nf_slot slot = slot_above(nf, path, level);
        struct nf_frame *node;
        struct nf_ptr ptr;
        nf_slot_get(nf, slot, &ptr);
        int err = own ? nf_cache_get_own(nf, slot, NF_KIND_TABLE, &node)
                      : nf_cache_get(nf, &ptr, NF_KIND_TABLE, &node);
        if (err == 0) {
            path->node[path->n++] = node;
            if (native_node_height(node->data) != height - level ||
                !within(&bounds, node->data)) {
                nf_cache_unpin(path->node[--path->n]);
                err = nf_fail(nf, NF_EC_TABLE, node->id,
                              "height or keys of a node");
            }
        }
        if (err != 0) {
            return err;
        }
        path->cell[level] = 0;
        if (level < height) {
            path->cell[level] = nf_native_child_for(node->data, key);
            narrow(&bounds, node->data, path->cell[level]);
        }
    }
    return 0;
}

/* ---- Looking up ----------------------------------------------------- */

int nf_native_table_get(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, struct nf_rec *ret)
{
    struct nf_native_key key = {dir, (const uint8_t *)name, len};
    struct path path;
    bool equal;
    if (nf_ptr_is_null(&nf->native.table)) {
        return NF_ENOENT;
    }
    int err = descend(nf, &key, false, &path);
    if (err != 0) {
        path_release(&path);
        return err;
    }
    const uint8_t *leaf = path.node[path.n - 1]->data;
    uint32_t i = nf_native_lower_bound(leaf, &key, &equal);
    if (equal) {
        nf_native_rec_get(leaf + native_cell_off(leaf, i), ret);
    }
    path_release(&path);
    return equal ? 0 : NF_ENOENT;
}

/* The least key of what lies right of a path, if there is any: a copy. whole:
 * the path ends in a leaf; else below its last node something is missing. */
static bool right_key(const struct path *path, bool whole,
                      struct nf_native_key *ret, uint8_t *buf)
{
    for (uint32_t level = path->n - (whole ? 1 : 0); level > 0; level--) {
        const uint8_t *p = path->node[level - 1]->data;
        uint32_t next = path->cell[level - 1] + 1;
        if (next < native_node_count(p)) {
            nf_native_key_at(p, next, ret);
            memcpy(buf, ret->name, ret->len);
            ret->name = buf;
            return true;
        }
    }
    return false;
}

/* The first entry behind key, of any directory: 1, or 0. With skip, subtrees
 * that cannot be read are passed over. */
static int scan(struct nf *nf, const struct nf_native_key *from, bool skip,
                uint64_t *ret_dir, const char **ret_name, size_t *ret_len,
                struct nf_rec *ret)
{
    uint8_t buf[NF_NAME_MAX];
    struct nf_native_key key = *from;
    if (nf_ptr_is_null(&nf->native.table)) {
        return 0;
    }
    for (;;) {
        struct path path;
        struct nf_native_key at;
        bool equal;
        int err = descend(nf, &key, false, &path);
        if (err != 0 && (!skip || nf_err_class(err) == NF_ENOMEM)) {
            path_release(&path);
            return err;
        }
        if (err == 0) {
            const uint8_t *leaf = path.node[path.n - 1]->data;
            uint32_t i =
                nf_native_lower_bound(leaf, from, &equal) + (equal ? 1 : 0);
            if (i < native_node_count(leaf)) {
                nf_native_key_at(leaf, i, &at);
                memcpy(nf->name_buf, at.name, at.len);
                *ret_dir = at.dir;
                *ret_name = nf->name_buf;
                *ret_len = at.len;
                nf_native_rec_get(leaf + native_cell_off(leaf, i), ret);
                path_release(&path);
                return 1;
            }
        }
        bool more = right_key(&path, err == 0, &at, buf);
        path_release(&path);
        if (!more || nf_native_key_cmp(&at, &key) <= 0) {
            return 0;
        }
        key = at;
    }
}

int nf_native_table_next(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, const char **ret_name, size_t *ret_len,
                         struct nf_rec *ret)
{
    struct nf_native_key from = {dir, (const uint8_t *)name, len};
    uint64_t in;
    int got = scan(nf, &from, false, &in, ret_name, ret_len, ret);
    return got == 1 && in != dir ? 0 : got;
}

int nf_native_table_scan(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, uint64_t *ret_dir, const char **ret_name,
                         size_t *ret_len, struct nf_rec *ret)
{
    struct nf_native_key from = {dir, (const uint8_t *)name, len};
    return scan(nf, &from, true, ret_dir, ret_name, ret_len, ret);
}

/* ---- Changing ------------------------------------------------------- */

/* Where to cut a node that is to take a cell of len more at i: the number of
 * cells, the new one counted in, that stay on the left. */
static uint32_t split_point(const struct nf *nf, const uint8_t *p, uint32_t i,
                            uint32_t len)
{
    uint32_t room = nf_native_table_room(nf);
    uint32_t n = native_node_count(p) + 1;
    uint32_t total = room - nf_native_node_free(p) + len + SLOT_LEN;
    uint32_t left = 0;
    uint32_t best = 0;
    uint32_t best_max = UINT32_MAX;
    for (uint32_t k = 0; k + 1 < n; k++) {
        uint32_t old = k < i ? k : k - 1;
        left += SLOT_LEN + (k == i ? len : nf_native_cell_len(nf, p, old));
        uint32_t larger = left > total - left ? left : total - left;
        /* Appending in order leaves full nodes behind. */
        if (i == n - 1 && k + 2 == n && left <= room) {
            return n - 1;
        }
        if (larger < best_max) {
            best_max = larger;
            best = k + 1;
        }
    }
    nf_assert(best_max <= room);
    return best;
}

/* Move cells [from, count) of node to the empty node right of it. */
static void move_right(struct nf *nf, struct nf_frame *node,
                       struct nf_frame *right, uint32_t from)
{
    uint32_t n = native_node_count(node->data);
    for (uint32_t i = from; i < n; i++) {
        const uint8_t *p = node->data;
        nf_native_cell_insert(right->data, i - from, p + native_cell_off(p, i),
                              nf_native_cell_len(nf, p, i));
    }
    if (native_node_height(node->data) > 0) {
        nf_cache_reparent(nf, node, right);
    }
    for (uint32_t i = n; i > from; i--) {
        nf_native_cell_remove(nf, node->data, i - 1);
    }
}

/* A root above the root. */
static int add_root(struct nf *nf, struct path *path)
{
    struct nf_ptr ptr = {0};
    struct nf_slot above = nf_slot_root(&ptr);
    struct nf_slot root = nf_slot_root(&nf->native.table);
    struct nf_frame *top;
    uint8_t cell[INNER_FIXED] = {0};
    if (nf->native.table_height >= MAX_HEIGHT) {
        return nf_fail(nf, NF_EFBIG, NF_NOWHERE, "file table");
    }
    int err = nf_cache_new(nf, above, NF_KIND_TABLE, &top);
    if (err != 0) {
        return err;
    }
    nf->native.table_height++;
    nf_native_node_init(nf, top->data, nf->native.table_height);
    nf->format->ptr_put(nf, cell, &nf->native.table);
    nf_native_cell_insert(top->data, 0, cell, INNER_FIXED);
    struct nf_slot slot = nf_slot_in(top, native_cell_off(top->data, 0));
    nf_cache_move(nf, nf->native.table.id, root, slot);
    nf->native.table = ptr;
    nf_cache_move(nf, ptr.id, above, root);
    memmove(path->node + 1, path->node, path->n * sizeof(path->node[0]));
    memmove(path->cell + 1, path->cell, path->n * sizeof(path->cell[0]));
    path->node[0] = top;
    path->cell[0] = 0;
    path->n++;
    return 0;
}

/* A cell was inserted in node at i: the page that it points to, whose pointer
 * was in memory until now, belongs there. */
static void adopt(struct nf *nf, struct nf_frame *node, uint32_t i,
                  struct nf_frame *child)
{
    if (child != NULL) {
        struct nf_slot slot = nf_slot_in(node, native_cell_off(node->data, i));
        struct nf_slot before = child->parent != NULL
                                    ? nf_slot_in(child->parent, 0)
                                    : nf_slot_root(child->root);
        nf_cache_move(nf, child->id, before, slot);
        nf_cache_unpin(child);
    }
}

/* Split the full node of path at level to take one cell more, and leave in cell
 * the one that its parent must take for the new node, *ret_right. */
static int split(struct nf *nf, const struct path *path, uint32_t level,
                 struct nf_ptr *right_ptr, struct nf_frame *child,
                 uint8_t *cell, uint32_t *len, struct nf_frame **ret_right)
{
    struct nf_frame *node = path->node[level];
    struct nf_slot slot = nf_slot_root(right_ptr);
    struct nf_frame *right;
    uint32_t i = path->cell[level];
    uint32_t cut = split_point(nf, node->data, i, *len);
    int err = nf_cache_new(nf, slot, NF_KIND_TABLE, &right);
    if (err != 0) {
        nf_cache_unpin(child);
        return err;
    }
    nf_native_node_init(nf, right->data, native_node_height(node->data));
    move_right(nf, node, right, i < cut ? cut - 1 : cut);
    struct nf_frame *in = i < cut ? node : right;
    i = i < cut ? i : i - cut;
    nf_native_cell_insert(in->data, i, cell, *len);
    adopt(nf, in, i, child);
    struct nf_native_key least;
    nf_native_key_at(right->data, 0, &least);
    *len = INNER_FIXED + (uint32_t)least.len;
    memset(cell, 0, INNER_FIXED);
    nf->format->ptr_put(nf, cell, right_ptr);
    nf_put_le64(cell + 20, least.dir);
    cell[28] = (uint8_t)least.len;
    memcpy(cell + INNER_FIXED, least.name, least.len);
    *ret_right = right;
    return 0;
}

/* Insert a cell where an owned path leads, splitting nodes up to the root where
 * they are full. cell is used up. */
static int insert(struct nf *nf, struct path *path, uint8_t *cell, uint32_t len)
{
    struct nf_ptr ptrs[2] = {{0}, {0}};
    struct nf_frame *child = NULL;
    uint32_t level = path->n - 1;
    for (;;) {
        struct nf_frame *node = path->node[level];
        if (nf_native_node_free(node->data) >= len + SLOT_LEN) {
            nf_native_cell_insert(node->data, path->cell[level], cell, len);
            adopt(nf, node, path->cell[level], child);
            return 0;
        }
        if (level == 0) {
            int err = add_root(nf, path);
            if (err != 0) {
                nf_cache_unpin(child);
                return err;
            }
            level = 1;
        }
        int err =
            split(nf, path, level, &ptrs[level % 2], child, cell, &len, &child);
        if (err != 0) {
            return err;
        }
        level--;
        path->cell[level]++;
    }
}

int nf_native_table_put(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, const struct nf_rec *rec)
{
    struct nf_native_key key = {dir, (const uint8_t *)name, len};
    uint8_t *cell = nf->native.cell_buf;
    uint32_t cell_size = nf_native_rec_put(&key, rec, cell);
    struct path path;
    bool equal;
    int err;
    nf_assert(cell_size <= nf_native_cell_limit(nf));
    if (nf_ptr_is_null(&nf->native.table)) {
        struct nf_slot root = nf_slot_root(&nf->native.table);
        struct nf_frame *leaf;
        err = nf_cache_new(nf, root, NF_KIND_TABLE, &leaf);
        if (err != 0) {
            return err;
        }
        nf_native_node_init(nf, leaf->data, 0);
        nf_cache_unpin(leaf);
        nf->native.table_height = 0;
    }
    key.name = cell + LEAF_FIXED; /* name may lie in what changes now */
    err = descend(nf, &key, true, &path);
    if (err != 0) {
        path_release(&path);
        return err;
    }
    uint32_t leaf = path.n - 1;
    uint8_t *p = path.node[leaf]->data;
    path.cell[leaf] = nf_native_lower_bound(p, &key, &equal);
    if (equal && nf_native_cell_len(nf, p, path.cell[leaf]) == cell_size) {
        memcpy(p + native_cell_off(p, path.cell[leaf]), cell, cell_size);
    } else {
        if (equal) {
            nf_native_cell_remove(nf, p, path.cell[leaf]);
        }
        err = insert(nf, &path, cell, cell_size);
    }
    path_release(&path);
    return err;
}

/* ---- Removing ------------------------------------------------------- */

/* Free the last node of a path, whose pointer is gone already. */
static int drop_last(struct nf *nf, struct path *path, const struct nf_ptr *ptr)
{
    nf_cache_unpin(path->node[--path->n]);
    nf->native.table_pages -= nf->native.table_pages > 0;
    return nf_page_free(nf, ptr);
}

/* The root has lost its last cell but one, or its last. */
static int shrink_root(struct nf *nf, struct path *path)
{
    struct nf_frame *root = path->node[0];
    struct nf_ptr old = nf->native.table;
    struct nf_ptr only = {0};
    struct nf_slot slot = nf_slot_root(&nf->native.table);
    if (native_node_height(root->data) > 0) {
        nf->format->ptr_get(nf, root->data + native_cell_off(root->data, 0),
                            &only);
        struct nf_slot first = nf_slot_in(root, native_cell_off(root->data, 0));
        nf_cache_move(nf, only.id, first, slot);
        nf->native.table_height--;
    }
    nf->native.table = only;
    return drop_last(nf, path, &old);
}

/* Append all cells of right, the cell at index in parent, to left. */
static void move_left(struct nf *nf, struct nf_frame *left,
                      struct nf_frame *right, const uint8_t *parent,
                      uint32_t index)
{
    uint8_t *p = right->data;
    uint32_t n = native_node_count(p);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *cell = p + native_cell_off(p, i);
        uint32_t len = nf_native_cell_len(nf, p, i);
        if (i == 0 && native_node_height(p) > 0) {
            /* Its own key means nothing there; the parent's is the bound. */
            const uint8_t *bound = parent + native_cell_off(parent, index);
            uint8_t *copy = nf->native.cell_buf;
            len = INNER_FIXED + bound[28];
            memcpy(copy, bound, len);
            memcpy(copy, cell, NATIVE_PTR_LEN);
            cell = copy;
        }
        nf_native_cell_insert(left->data, native_node_count(left->data), cell,
                              len);
    }
    if (native_node_height(p) > 0) {
        nf_cache_reparent(nf, right, left);
    }
}

/* Merge the last node of a path with a neighbour if one page holds both:
 * *ret_done. The path ends one level higher then. */
static int merge(struct nf *nf, struct path *path, bool *ret_done)
{
    struct nf_frame *node = path->node[path->n - 1];
    struct nf_frame *parent = path->node[path->n - 2];
    uint32_t i = path->cell[path->n - 2];
    uint32_t room = nf_native_table_room(nf);
    bool has_next = i + 1 < native_node_count(parent->data);
    uint32_t other = has_next || i == 0 ? i + 1 : i - 1;
    struct nf_slot slot = nf_slot_in(parent, 0);
    struct nf_ptr ptr;
    struct nf_frame *sibling;
    *ret_done = false;
    if (native_node_count(parent->data) < 2) {
        return 0;
    }
    slot.off = native_cell_off(parent->data, other);
    nf_slot_get(nf, slot, &ptr);
    int err = nf_cache_get(nf, &ptr, NF_KIND_TABLE, &sibling);
    if (err != 0) {
        return err;
    }
    /* The right one of the two goes, and its first cell gets the bound between
     * them for a key. */
    uint32_t right = other > i ? other : i;
    uint32_t right_off = native_cell_off(parent->data, right);
    uint32_t used = 2 * room - nf_native_node_free(node->data) -
                    nf_native_node_free(sibling->data) +
                    parent->data[right_off + 28];
    struct bounds bounds = {.lo = NULL, .hi = NULL};
    narrow(&bounds, parent->data, other);
    if (native_node_height(sibling->data) != native_node_height(node->data) ||
        !within(&bounds, sibling->data)) {
        err = nf_fail(nf, NF_EC_TABLE, ptr.id, "height or keys of a node");
    }
    if (err == 0 && used <= room) {
        err = nf_cache_own(nf, sibling, slot);
    }
    if (err != 0 || used > room) {
        nf_cache_unpin(sibling);
        return err;
    }
    slot.off = right_off;
    nf_slot_get(nf, slot, &ptr);
    if (other > i) {
        move_left(nf, node, sibling, parent->data, right);
        path->node[path->n - 1] = sibling;
        nf_cache_unpin(node);
    } else {
        move_left(nf, sibling, node, parent->data, right);
        nf_cache_unpin(sibling);
    }
    nf_native_cell_remove(nf, parent->data, right);
    *ret_done = true;
    return drop_last(nf, path, &ptr);
}

/* A cell was removed from the last node of an owned path. */
static int rebalance(struct nf *nf, struct path *path)
{
    uint32_t room = nf_native_table_room(nf);
    while (path->n > 1) {
        struct nf_frame *node = path->node[path->n - 1];
        struct nf_frame *parent = path->node[path->n - 2];
        uint32_t i = path->cell[path->n - 2];
        int err = 0;
        bool merged = false;
        if (native_node_count(node->data) == 0) {
            struct nf_ptr ptr;
            nf->format->ptr_get(
                nf, parent->data + native_cell_off(parent->data, i), &ptr);
            nf_native_cell_remove(nf, parent->data, i);
            err = drop_last(nf, path, &ptr);
            merged = true;
        } else if (nf_native_node_free(node->data) > room - room / 4) {
            err = merge(nf, path, &merged);
        }
        if (err != 0 || !merged) {
            return err;
        }
    }
    uint32_t n = native_node_count(path->node[0]->data);
    uint32_t height = native_node_height(path->node[0]->data);
    while (path->n > 0 && n == (height > 0 ? 1u : 0u)) {
        int err = shrink_root(nf, path);
        if (err != 0 || height == 0) {
            return err;
        }
        struct nf_slot slot = nf_slot_root(&nf->native.table);
        err = nf_cache_get_own(nf, slot, NF_KIND_TABLE, &path->node[0]);
        if (err != 0) {
            return err;
        }
        path->n = 1;
        n = native_node_count(path->node[0]->data);
        height = native_node_height(path->node[0]->data);
    }
    return 0;
}

int nf_native_table_del(struct nf *nf, uint64_t dir, const char *name,
                        size_t len)
{
    struct nf_native_key key = {dir, (const uint8_t *)name, len};
    struct path path;
    bool equal;
    if (nf_ptr_is_null(&nf->native.table)) {
        return NF_ENOENT;
    }
    int err = descend(nf, &key, true, &path);
    if (err != 0) {
        path_release(&path);
        return err;
    }
    uint8_t *leaf = path.node[path.n - 1]->data;
    uint32_t i = nf_native_lower_bound(leaf, &key, &equal);
    if (equal) {
        nf_native_cell_remove(nf, leaf, i);
        err = rebalance(nf, &path);
    } else {
        err = NF_ENOENT;
    }
    path_release(&path);
    return err;
}

uint64_t nf_native_table_need(const struct nf *nf, uint64_t n)
{
    return n * (2u * nf->native.table_height + 4u);
}
