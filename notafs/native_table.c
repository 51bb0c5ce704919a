/* SPDX-License-Identifier: ISC */
/*
 * File table of the native format: a B+tree from (directory, name), in order of
 * the directory's id and then of bytes, to records.
 *
 * A node is the common header, a slot (2 bytes, the cell's offset) for each
 * cell in order of keys, free space, and the cells up to the end of the page.
 *
 *   Inner cell                     Leaf cell
 *    0 20  pointer to a child       0  8  directory
 *   20  8  directory  } least key   8  1  length of the name
 *   28  1  length     } below it;   9  1  type: 1 file, 2 directory
 *   29  n  name       } ignored    10  1  flags: 1 inline data, 2 LZ4
 *                       in cell 0  11  1  height of the rope
 *                                  12  8  id
 *                                  20  8  modified, seconds
 *                                  28  4  nanoseconds
 *                                  32  8  size, bytes
 *                                  40  n  name
 *                                  then 20 pointer to the rope, or the data
 *
 * No cell is larger than a third of a page's room, so that a node that must
 * take one more can always be split in two; names and inline data are limited
 * accordingly. Nodes that fit into their neighbour are merged with it.
 */
#include "notafs/native_int.h"

#define MAX_HEIGHT  NF_MAX_HEIGHT
#define SLOT_LEN    2u
#define INNER_FIXED 29u
#define LEAF_FIXED  40u
#define CELL_MAX    1400u /* largest cell of any page size; see cell_limit */
#define FLAG_INLINE 1u
#define FLAG_LZ4    2u

struct key {
    uint64_t dir;
    const uint8_t *name;
    size_t len;
};

static int key_cmp(const struct key *a, const struct key *b)
{
    if (a->dir != b->dir) {
        return a->dir < b->dir ? -1 : 1;
    }
    int c = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
    if (c != 0) {
        return c;
    }
    return a->len == b->len ? 0 : a->len < b->len ? -1 : 1;
}

/* ---- Limits --------------------------------------------------------- */

static uint32_t cell_limit(const struct nf *nf)
{
    uint32_t limit = native_table_room(nf) / 3 - SLOT_LEN;
    return limit < CELL_MAX ? limit : CELL_MAX;
}

uint32_t native_max_name(const struct nf *nf)
{
    uint32_t n = cell_limit(nf) - LEAF_FIXED - NATIVE_PTR_LEN;
    return n < NF_NAME_MAX ? n : NF_NAME_MAX;
}

uint32_t native_max_inline(const struct nf *nf, size_t name_len)
{
    uint32_t room = cell_limit(nf) - LEAF_FIXED - (uint32_t)name_len;
    uint32_t quarter = nf->disk.page_size / 4;
    return room < quarter ? room : quarter;
}

uint64_t native_table_need(const struct nf *nf)
{
    return 2u * nf->native.table_height + 4u;
}

/* ---- Nodes ---------------------------------------------------------- */

static uint32_t node_height(const uint8_t *p)
{
    return p[1];
}

static uint32_t node_count(const uint8_t *p)
{
    return nf_get_le16(p + 2);
}

static uint32_t node_low(const uint8_t *p)
{
    uint32_t low = nf_get_le16(p + 4);
    return low == 0 ? 65536 : low; /* an empty node of 64 KiB */
}

static uint32_t cell_off(const uint8_t *p, uint32_t i)
{
    return nf_get_le16(p + NATIVE_NODE_LEN + SLOT_LEN * i);
}

static void set_count(uint8_t *p, uint32_t n)
{
    nf_put_le16(p + 2, (uint16_t)n);
}

static void set_low(uint8_t *p, uint32_t low)
{
    nf_put_le16(p + 4, (uint16_t)low);
}

static uint32_t node_free(const uint8_t *p)
{
    return node_low(p) - NATIVE_NODE_LEN - SLOT_LEN * node_count(p);
}

/* A new page of the table is counted where it is made, and where it goes. */
static void node_init(struct nf *nf, uint8_t *p, uint32_t height)
{
    nf->native.table_pages++;
    p[0] = NATIVE_NODE_TABLE;
    p[1] = (uint8_t)height;
    set_count(p, 0);
    set_low(p, nf->disk.page_size);
}

/* Length of a cell; 0 if it does not fit in room bytes or is malformed. */
static uint32_t cell_len(const uint8_t *cell, uint32_t height, uint32_t room)
{
    uint32_t len;
    if (height > 0) {
        len = room < INNER_FIXED ? room + 1 : INNER_FIXED + cell[28];
        return len <= room ? len : 0;
    }
    if (room < LEAF_FIXED) {
        return 0;
    }
    len = LEAF_FIXED + cell[8];
    if (cell[9] == NF_TYPE_DIR) {
        return len <= room ? len : 0;
    }
    if ((cell[10] & FLAG_INLINE) != 0) {
        uint64_t size = nf_get_le64(cell + 32);
        len = size <= room ? len + (uint32_t)size : room + 1;
    } else {
        len += NATIVE_PTR_LEN;
    }
    return len <= room ? len : 0;
}

static uint32_t cell_len_at(const struct nf *nf, const uint8_t *p, uint32_t i)
{
    uint32_t off = cell_off(p, i);
    return cell_len(p + off, node_height(p), nf->disk.page_size - off);
}

static void cell_key(const uint8_t *cell, uint32_t height, struct key *ret)
{
    if (height > 0) {
        ret->dir = nf_get_le64(cell + 20);
        ret->len = cell[28];
        ret->name = cell + INNER_FIXED;
    } else {
        ret->dir = nf_get_le64(cell);
        ret->len = cell[8];
        ret->name = cell + LEAF_FIXED;
    }
}

static void key_at(const uint8_t *p, uint32_t i, struct key *ret)
{
    cell_key(p + cell_off(p, i), node_height(p), ret);
}

static bool leaf_cell_ok(const struct nf *nf, const uint8_t *cell)
{
    bool file = cell[9] == NF_TYPE_FILE;
    uint8_t flags = cell[10];
    uint64_t size = nf_get_le64(cell + 32);
    uint32_t name_len = cell[8];
    if (name_len == 0 || nf_get_le64(cell) < NF_ROOT_DIR ||
        nf_get_le64(cell + 12) <= NF_ROOT_DIR ||
        nf_get_le32(cell + 28) >= 1000000000u || size > NATIVE_MAX_BYTES ||
        (flags & ~(FLAG_INLINE | FLAG_LZ4)) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < name_len; i++) {
        if (cell[LEAF_FIXED + i] == '/') {
            return false;
        }
    }
    if ((flags & FLAG_INLINE) != 0 && size > native_max_inline(nf, name_len)) {
        return false;
    }
    return file || (cell[9] == NF_TYPE_DIR && flags == 0 && size == 0);
}

/* Everything that the code below trusts: cells lie in the page, do not run
 * into the slots, fill it exactly, and keys ascend. */
int native_table_check(const struct nf *nf, const uint8_t *p)
{
    uint32_t size = nf->disk.page_size;
    uint32_t n = node_count(p);
    uint32_t low = node_low(p);
    uint32_t height = node_height(p);
    uint32_t total = 0;
    struct key last = {0, NULL, 0};
    if (p[0] != NATIVE_NODE_TABLE || height > MAX_HEIGHT || low > size ||
        n > (size - NATIVE_NODE_LEN) / SLOT_LEN ||
        low < NATIVE_NODE_LEN + SLOT_LEN * n || (height > 0 && n == 0)) {
        return NF_EC_TABLE;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct key key;
        uint32_t off = cell_off(p, i);
        uint32_t len = off >= low && off < size
                           ? cell_len(p + off, height, size - off)
                           : 0;
        if (len == 0 || len > cell_limit(nf) ||
            (height == 0 && !leaf_cell_ok(nf, p + off))) {
            return NF_EC_TABLE;
        }
        cell_key(p + off, height, &key);
        if (i > (height > 0 ? 1u : 0u) && key_cmp(&last, &key) >= 0) {
            return NF_EC_TABLE;
        }
        last = key;
        total += len;
    }
    return total == size - low ? 0 : NF_EC_TABLE;
}

uint32_t native_table_ptr_at(const uint8_t *p, uint32_t i)
{
    uint32_t off = cell_off(p, i);
    if (node_height(p) > 0) {
        return off;
    }
    return off + LEAF_FIXED + p[off + 8];
}

static void cell_remove(const struct nf *nf, uint8_t *p, uint32_t i)
{
    uint32_t n = node_count(p);
    uint32_t off = cell_off(p, i);
    uint32_t len = cell_len_at(nf, p, i);
    uint32_t low = node_low(p);
    memmove(p + low + len, p + low, off - low);
    memset(p + low, 0, len);
    uint8_t *slots = p + NATIVE_NODE_LEN;
    memmove(slots + SLOT_LEN * i, slots + SLOT_LEN * (i + 1),
            SLOT_LEN * (n - 1 - i));
    for (uint32_t k = 0; k < n - 1; k++) {
        uint32_t at = nf_get_le16(slots + SLOT_LEN * k);
        if (at < off) {
            nf_put_le16(slots + SLOT_LEN * k, (uint16_t)(at + len));
        }
    }
    nf_put_le16(slots + SLOT_LEN * (n - 1), 0);
    set_count(p, n - 1);
    set_low(p, low + len);
}

/* The node must have room for it. */
static void cell_insert(uint8_t *p, uint32_t i, const uint8_t *cell,
                        uint32_t len)
{
    uint32_t n = node_count(p);
    uint32_t low = node_low(p) - len;
    uint8_t *slots = p + NATIVE_NODE_LEN;
    nf_assert(node_free(p) >= len + SLOT_LEN);
    memcpy(p + low, cell, len);
    memmove(slots + SLOT_LEN * (i + 1), slots + SLOT_LEN * i,
            SLOT_LEN * (n - i));
    nf_put_le16(slots + SLOT_LEN * i, (uint16_t)low);
    set_count(p, n + 1);
    set_low(p, low);
}

/* First cell whose key is not less than key; *ret_equal: it is that key. */
static uint32_t lower_bound(const uint8_t *p, const struct key *key,
                            bool *ret_equal)
{
    uint32_t lo = 0;
    uint32_t hi = node_count(p);
    *ret_equal = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct key at;
        key_at(p, mid, &at);
        int c = key_cmp(&at, key);
        if (c < 0) {
            lo = mid + 1;
        } else {
            *ret_equal = *ret_equal || c == 0;
            hi = mid;
        }
    }
    return lo;
}

/* The child of an inner node below which key belongs. */
static uint32_t child_for(const uint8_t *p, const struct key *key)
{
    uint32_t lo = 1; /* cell 0 has everything before cell 1 */
    uint32_t hi = node_count(p);
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct key at;
        key_at(p, mid, &at);
        if (key_cmp(&at, key) <= 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo - 1;
}

/* ---- Records -------------------------------------------------------- */

static void rec_get(const uint8_t *cell, struct nf_rec *ret)
{
    const uint8_t *tail = cell + LEAF_FIXED + cell[8];
    memset(ret, 0, sizeof(*ret));
    ret->type = cell[9] == NF_TYPE_DIR ? NF_TYPE_DIR : NF_TYPE_FILE;
    ret->id = nf_get_le64(cell + 12);
    ret->mtime.sec = (int64_t)nf_get_le64(cell + 20);
    ret->mtime.nsec = nf_get_le32(cell + 28);
    ret->rope.size = nf_get_le64(cell + 32);
    ret->rope.height = cell[11];
    ret->rope.lz4 = (cell[10] & FLAG_LZ4) != 0;
    if ((cell[10] & FLAG_INLINE) != 0) {
        ret->inline_data = tail;
    } else if (ret->type == NF_TYPE_FILE) {
        nf_native_format.ptr_get(NULL, tail, &ret->rope.root);
    }
}

static uint32_t rec_put(const struct key *key, const struct nf_rec *rec,
                        uint8_t *cell)
{
    uint32_t len = LEAF_FIXED + (uint32_t)key->len;
    bool is_inline = rec->inline_data != NULL;
    nf_put_le64(cell, key->dir);
    cell[8] = (uint8_t)key->len;
    cell[9] = (uint8_t)rec->type;
    cell[10] = (uint8_t)((is_inline ? FLAG_INLINE : 0) |
                         (rec->rope.lz4 ? FLAG_LZ4 : 0));
    cell[11] = rec->rope.height;
    nf_put_le64(cell + 12, rec->id);
    nf_put_le64(cell + 20, (uint64_t)rec->mtime.sec);
    nf_put_le32(cell + 28, rec->mtime.nsec);
    nf_put_le64(cell + 32, rec->rope.size);
    memcpy(cell + LEAF_FIXED, key->name, key->len);
    if (is_inline) {
        memcpy(cell + len, rec->inline_data, (size_t)rec->rope.size);
        return len + (uint32_t)rec->rope.size;
    }
    if (rec->type == NF_TYPE_DIR) {
        return len;
    }
    nf_native_format.ptr_put(NULL, cell + len, &rec->rope.root);
    return len + NATIVE_PTR_LEN;
}

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
    struct nf_slot slot = {NULL, 0, &nf->native.table};
    if (level > 0) {
        slot.parent = path->node[level - 1];
        slot.root = NULL;
        slot.off = cell_off(slot.parent->data, path->cell[level - 1]);
    }
    return slot;
}

/* Go to the leaf of key, making every node on the way writable if own. The
 * tree must not be empty. Release the path, after an error too: it leads as far
 * as there was a way. */
static int descend(struct nf *nf, const struct key *key, bool own,
                   struct path *path)
{
    uint32_t height = nf->native.table_height;
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
            if (node_height(node->data) != height - level) {
                nf_cache_unpin(path->node[--path->n]);
                err = nf_fail(nf, NF_EC_TABLE, node->id, "height of a node");
            }
        }
        if (err != 0) {
            return err;
        }
        path->cell[level] = level < height ? child_for(node->data, key) : 0;
    }
    return 0;
}

/* ---- Looking up ----------------------------------------------------- */

int native_table_get(struct nf *nf, uint64_t dir, const char *name, size_t len,
                     struct nf_rec *ret)
{
    struct key key = {dir, (const uint8_t *)name, len};
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
    uint32_t i = lower_bound(leaf, &key, &equal);
    if (equal) {
        rec_get(leaf + cell_off(leaf, i), ret);
    }
    path_release(&path);
    return equal ? 0 : NF_ENOENT;
}

/* The least key of what lies right of a path, if there is any: a copy. whole:
 * the path ends in a leaf; else below its last node something is missing. */
static bool right_key(const struct path *path, bool whole, struct key *ret,
                      uint8_t *buf)
{
    for (uint32_t level = path->n - (whole ? 1 : 0); level > 0; level--) {
        const uint8_t *p = path->node[level - 1]->data;
        uint32_t next = path->cell[level - 1] + 1;
        if (next < node_count(p)) {
            key_at(p, next, ret);
            memcpy(buf, ret->name, ret->len);
            ret->name = buf;
            return true;
        }
    }
    return false;
}

/* The first entry behind key, of any directory: 1, or 0. With skip, subtrees
 * that cannot be read are passed over. */
static int scan(struct nf *nf, const struct key *from, bool skip,
                uint64_t *ret_dir, const char **ret_name, size_t *ret_len,
                struct nf_rec *ret)
{
    uint8_t buf[NF_NAME_MAX];
    struct key key = *from;
    if (nf_ptr_is_null(&nf->native.table)) {
        return 0;
    }
    for (;;) {
        struct path path;
        struct key at;
        bool equal;
        int err = descend(nf, &key, false, &path);
        if (err != 0 && (!skip || nf_err_class(err) == NF_ENOMEM)) {
            path_release(&path);
            return err;
        }
        if (err == 0) {
            const uint8_t *leaf = path.node[path.n - 1]->data;
            uint32_t i = lower_bound(leaf, from, &equal) + (equal ? 1 : 0);
            if (i < node_count(leaf)) {
                key_at(leaf, i, &at);
                memcpy(nf->name_buf, at.name, at.len);
                *ret_dir = at.dir;
                *ret_name = nf->name_buf;
                *ret_len = at.len;
                rec_get(leaf + cell_off(leaf, i), ret);
                path_release(&path);
                return 1;
            }
        }
        bool more = right_key(&path, err == 0, &at, buf);
        path_release(&path);
        if (!more || key_cmp(&at, &key) <= 0) {
            return 0;
        }
        key = at;
    }
}

int native_table_next(struct nf *nf, uint64_t dir, const char *name, size_t len,
                      const char **ret_name, size_t *ret_len,
                      struct nf_rec *ret)
{
    struct key from = {dir, (const uint8_t *)name, len};
    uint64_t in;
    int got = scan(nf, &from, false, &in, ret_name, ret_len, ret);
    return got == 1 && in != dir ? 0 : got;
}

int native_table_scan(struct nf *nf, uint64_t dir, const char *name, size_t len,
                      uint64_t *ret_dir, const char **ret_name, size_t *ret_len,
                      struct nf_rec *ret)
{
    struct key from = {dir, (const uint8_t *)name, len};
    return scan(nf, &from, true, ret_dir, ret_name, ret_len, ret);
}

/* ---- Changing ------------------------------------------------------- */

/* Where to cut a node that is to take a cell of len more at i: the number of
 * cells, the new one counted in, that stay on the left. */
static uint32_t split_point(const struct nf *nf, const uint8_t *p, uint32_t i,
                            uint32_t len)
{
    uint32_t room = native_table_room(nf);
    uint32_t n = node_count(p) + 1;
    uint32_t total = room - node_free(p) + len + SLOT_LEN;
    uint32_t left = 0;
    uint32_t best = 0;
    uint32_t best_max = UINT32_MAX;
    for (uint32_t k = 0; k + 1 < n; k++) {
        uint32_t old = k < i ? k : k - 1;
        left += SLOT_LEN + (k == i ? len : cell_len_at(nf, p, old));
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
    uint32_t n = node_count(node->data);
    for (uint32_t i = from; i < n; i++) {
        const uint8_t *p = node->data;
        cell_insert(right->data, i - from, p + cell_off(p, i),
                    cell_len_at(nf, p, i));
    }
    if (node_height(node->data) > 0) {
        nf_cache_reparent(nf, node, right);
    }
    for (uint32_t i = n; i > from; i--) {
        cell_remove(nf, node->data, i - 1);
    }
}

/* A root above the root. */
static int add_root(struct nf *nf, struct path *path)
{
    struct nf_ptr ptr = {0};
    struct nf_slot above = {NULL, 0, &ptr};
    struct nf_slot root = {NULL, 0, &nf->native.table};
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
    node_init(nf, top->data, nf->native.table_height);
    nf->format->ptr_put(nf, cell, &nf->native.table);
    cell_insert(top->data, 0, cell, INNER_FIXED);
    struct nf_slot slot = {top, cell_off(top->data, 0), NULL};
    nf_cache_move(nf, nf->native.table.id, slot);
    nf->native.table = ptr;
    nf_cache_move(nf, ptr.id, root);
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
        struct nf_slot slot = {node, cell_off(node->data, i), NULL};
        nf_cache_move(nf, child->id, slot);
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
    struct nf_slot slot = {NULL, 0, right_ptr};
    struct nf_frame *right;
    uint32_t i = path->cell[level];
    uint32_t cut = split_point(nf, node->data, i, *len);
    int err = nf_cache_new(nf, slot, NF_KIND_TABLE, &right);
    if (err != 0) {
        nf_cache_unpin(child);
        return err;
    }
    node_init(nf, right->data, node_height(node->data));
    move_right(nf, node, right, i < cut ? cut - 1 : cut);
    struct nf_frame *in = i < cut ? node : right;
    i = i < cut ? i : i - cut;
    cell_insert(in->data, i, cell, *len);
    adopt(nf, in, i, child);
    struct key least;
    key_at(right->data, 0, &least);
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
        if (node_free(node->data) >= len + SLOT_LEN) {
            cell_insert(node->data, path->cell[level], cell, len);
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

int native_table_put(struct nf *nf, uint64_t dir, const char *name, size_t len,
                     const struct nf_rec *rec)
{
    struct key key = {dir, (const uint8_t *)name, len};
    uint8_t *cell = nf->native.cell_buf;
    uint32_t cell_size = rec_put(&key, rec, cell);
    struct path path;
    bool equal;
    int err;
    nf_assert(cell_size <= cell_limit(nf));
    if (nf_ptr_is_null(&nf->native.table)) {
        struct nf_slot root = {NULL, 0, &nf->native.table};
        struct nf_frame *leaf;
        err = nf_cache_new(nf, root, NF_KIND_TABLE, &leaf);
        if (err != 0) {
            return err;
        }
        node_init(nf, leaf->data, 0);
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
    path.cell[leaf] = lower_bound(p, &key, &equal);
    if (equal && cell_len_at(nf, p, path.cell[leaf]) == cell_size) {
        memcpy(p + cell_off(p, path.cell[leaf]), cell, cell_size);
    } else {
        if (equal) {
            cell_remove(nf, p, path.cell[leaf]);
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
    nf->native.table_pages--;
    return nf_page_free(nf, ptr);
}

/* The root has lost its last cell but one, or its last. */
static int shrink_root(struct nf *nf, struct path *path)
{
    struct nf_frame *root = path->node[0];
    struct nf_ptr old = nf->native.table;
    struct nf_ptr only = {0};
    struct nf_slot slot = {NULL, 0, &nf->native.table};
    if (node_height(root->data) > 0) {
        nf->format->ptr_get(nf, root->data + cell_off(root->data, 0), &only);
        nf_cache_move(nf, only.id, slot);
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
    uint32_t n = node_count(p);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *cell = p + cell_off(p, i);
        uint32_t len = cell_len_at(nf, p, i);
        if (i == 0 && node_height(p) > 0) {
            /* Its own key means nothing there; the parent's is the bound. */
            const uint8_t *bound = parent + cell_off(parent, index);
            uint8_t *copy = nf->native.cell_buf;
            len = INNER_FIXED + bound[28];
            memcpy(copy, bound, len);
            memcpy(copy, cell, NATIVE_PTR_LEN);
            cell = copy;
        }
        cell_insert(left->data, node_count(left->data), cell, len);
    }
    if (node_height(p) > 0) {
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
    uint32_t room = native_table_room(nf);
    bool has_next = i + 1 < node_count(parent->data);
    uint32_t other = has_next || i == 0 ? i + 1 : i - 1;
    struct nf_slot slot = {parent, 0, NULL};
    struct nf_ptr ptr;
    struct nf_frame *sibling;
    *ret_done = false;
    if (node_count(parent->data) < 2) {
        return 0;
    }
    slot.off = cell_off(parent->data, other);
    nf_slot_get(nf, slot, &ptr);
    int err = nf_cache_get(nf, &ptr, NF_KIND_TABLE, &sibling);
    if (err != 0) {
        return err;
    }
    uint32_t bound = (uint32_t)parent->data[slot.off + 28];
    uint32_t used =
        2 * room - node_free(node->data) - node_free(sibling->data) + bound;
    if (used > room || node_height(sibling->data) != node_height(node->data)) {
        nf_cache_unpin(sibling);
        return 0;
    }
    err = nf_cache_own(nf, sibling, slot);
    if (err != 0) {
        nf_cache_unpin(sibling);
        return err;
    }
    /* The right one of the two goes. */
    uint32_t right = other > i ? other : i;
    slot.off = cell_off(parent->data, right);
    nf_slot_get(nf, slot, &ptr);
    if (other > i) {
        move_left(nf, node, sibling, parent->data, right);
        path->node[path->n - 1] = sibling;
        nf_cache_unpin(node);
    } else {
        move_left(nf, sibling, node, parent->data, right);
        nf_cache_unpin(sibling);
    }
    cell_remove(nf, parent->data, right);
    *ret_done = true;
    return drop_last(nf, path, &ptr);
}

/* A cell was removed from the last node of an owned path. */
static int rebalance(struct nf *nf, struct path *path)
{
    uint32_t room = native_table_room(nf);
    while (path->n > 1) {
        struct nf_frame *node = path->node[path->n - 1];
        struct nf_frame *parent = path->node[path->n - 2];
        uint32_t i = path->cell[path->n - 2];
        int err = 0;
        bool merged = false;
        if (node_count(node->data) == 0) {
            struct nf_ptr ptr;
            nf->format->ptr_get(nf, parent->data + cell_off(parent->data, i),
                                &ptr);
            cell_remove(nf, parent->data, i);
            err = drop_last(nf, path, &ptr);
            merged = true;
        } else if (node_free(node->data) > room - room / 4) {
            err = merge(nf, path, &merged);
        }
        if (err != 0 || !merged) {
            return err;
        }
    }
    uint32_t n = node_count(path->node[0]->data);
    uint32_t height = node_height(path->node[0]->data);
    while (path->n > 0 && n == (height > 0 ? 1u : 0u)) {
        int err = shrink_root(nf, path);
        if (err != 0 || height == 0) {
            return err;
        }
        struct nf_slot slot = {NULL, 0, &nf->native.table};
        err = nf_cache_get_own(nf, slot, NF_KIND_TABLE, &path->node[0]);
        if (err != 0) {
            return err;
        }
        path->n = 1;
        n = node_count(path->node[0]->data);
        height = node_height(path->node[0]->data);
    }
    return 0;
}

int native_table_del(struct nf *nf, uint64_t dir, const char *name, size_t len)
{
    struct key key = {dir, (const uint8_t *)name, len};
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
    uint32_t i = lower_bound(leaf, &key, &equal);
    if (equal) {
        cell_remove(nf, leaf, i);
        err = rebalance(nf, &path);
    } else {
        err = NF_ENOENT;
    }
    path_release(&path);
    return err;
}
