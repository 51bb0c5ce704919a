/* SPDX-License-Identifier: ISC */
/* Cells and records of the native file table: see native_node.h. */
#include "notafs/native_node.h"

#define CELL_MAX    1400u /* largest cell of any page size */
#define FLAG_INLINE 1u
#define FLAG_LZ4    2u

int nf_native_key_cmp(const struct nf_native_key *a,
                      const struct nf_native_key *b)
{
    if (a->dir != b->dir) {
        return a->dir < b->dir ? -1 : 1;
    }
    size_t common = a->len < b->len ? a->len : b->len;
    int c = common == 0 ? 0 : memcmp(a->name, b->name, common);
    if (c != 0) {
        return c;
    }
    return a->len == b->len ? 0 : a->len < b->len ? -1 : 1;
}

/* ---- Limits --------------------------------------------------------- */

uint32_t nf_native_cell_limit(const struct nf *nf)
{
    uint32_t limit = nf_native_table_room(nf) / 3 - SLOT_LEN;
    return limit < CELL_MAX ? limit : CELL_MAX;
}

uint32_t nf_native_max_name(const struct nf *nf)
{
    uint32_t n = nf_native_cell_limit(nf) - LEAF_FIXED - NATIVE_PTR_LEN;
    return n < NF_NAME_MAX ? n : NF_NAME_MAX;
}

uint32_t nf_native_max_inline(const struct nf *nf, size_t name_len)
{
    uint32_t room = nf_native_cell_limit(nf) - LEAF_FIXED - (uint32_t)name_len;
    uint32_t quarter = nf->disk.page_size / 4;
    return room < quarter ? room : quarter;
}

/* ---- Nodes ---------------------------------------------------------- */

static uint32_t node_low(const uint8_t *p)
{
    uint32_t low = nf_get_le16(p + 4);
    return low == 0 ? 65536 : low; /* an empty node of 64 KiB */
}

static void set_count(uint8_t *p, uint32_t n)
{
    nf_put_le16(p + 2, (uint16_t)n);
}

static void set_low(uint8_t *p, uint32_t low)
{
    nf_put_le16(p + 4, (uint16_t)low);
}

uint32_t nf_native_node_free(const uint8_t *p)
{
    return node_low(p) - NATIVE_NODE_LEN - SLOT_LEN * native_node_count(p);
}

void nf_native_node_init(struct nf *nf, uint8_t *p, uint32_t height)
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

uint32_t nf_native_cell_len(const struct nf *nf, const uint8_t *p, uint32_t i)
{
    uint32_t off = native_cell_off(p, i);
    return cell_len(p + off, native_node_height(p), nf->disk.page_size - off);
}

static void cell_key(const uint8_t *cell, uint32_t height,
                     struct nf_native_key *ret)
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

void nf_native_key_at(const uint8_t *p, uint32_t i, struct nf_native_key *ret)
{
    cell_key(p + native_cell_off(p, i), native_node_height(p), ret);
}

static bool name_ok(const uint8_t *name, uint32_t len, uint32_t max)
{
    for (uint32_t i = 0; i < len; i++) {
        if (name[i] == '/') {
            return false;
        }
    }
    return len > 0 && len <= max;
}

/* Where the bytes of a file are: with it, or in a rope. */
static bool body_ok(const struct nf *nf, const uint8_t *cell, uint64_t birth)
{
    uint32_t name_len = cell[8];
    uint64_t size = nf_get_le64(cell + 32);
    struct nf_ptr ptr;
    if ((cell[10] & FLAG_INLINE) != 0) {
        return cell[11] == 0 && size <= nf_native_max_inline(nf, name_len);
    }
    nf_native_ptr_get(nf, cell + LEAF_FIXED + name_len, &ptr);
    return cell[11] <= NATIVE_ROPE_HEIGHT && size <= NATIVE_MAX_BYTES &&
           (nf_ptr_is_null(&ptr) || nf_native_ptr_ok(nf, &ptr, birth));
}

static bool leaf_cell_ok(const struct nf *nf, const uint8_t *cell,
                         uint64_t birth)
{
    uint8_t flags = FLAG_INLINE;
    uint64_t dir = nf_get_le64(cell);
    uint64_t id = nf_get_le64(cell + 12);
    if (nf->disk.page_size < NATIVE_CLUSTER) {
        flags |= FLAG_LZ4;
    }
    if (!name_ok(cell + LEAF_FIXED, cell[8], nf_native_max_name(nf)) ||
        dir < NF_ROOT_DIR || dir >= nf->counts.next_id || id <= NF_ROOT_DIR ||
        id >= nf->counts.next_id || nf_get_le32(cell + 28) >= 1000000000u) {
        return false;
    }
    if (cell[9] == NF_TYPE_DIR) {
        return cell[10] == 0 && cell[11] == 0 && nf_get_le64(cell + 32) == 0;
    }
    return cell[9] == NF_TYPE_FILE && (cell[10] & ~flags) == 0 &&
           body_ok(nf, cell, birth);
}

static bool inner_cell_ok(const struct nf *nf, const uint8_t *cell,
                          uint64_t birth)
{
    struct nf_ptr ptr;
    nf_native_ptr_get(nf, cell, &ptr);
    return nf_native_ptr_ok(nf, &ptr, birth);
}

/* The cell at byte off: its length, 0 if it is not one. */
static uint32_t check_cell(const struct nf *nf, const uint8_t *p, uint32_t off,
                           uint64_t birth)
{
    uint32_t height = native_node_height(p);
    uint32_t len = cell_len(p + off, height, nf->disk.page_size - off);
    if (len == 0 || len > nf_native_cell_limit(nf)) {
        return 0;
    }
    bool ok = height > 0 ? inner_cell_ok(nf, p + off, birth)
                         : leaf_cell_ok(nf, p + off, birth);
    return ok ? len : 0;
}

/* Whether a slot leads to the cell at byte off. Those from `first` on are in
 * order of keys. */
static bool has_slot(const uint8_t *p, uint32_t off, uint32_t first)
{
    struct nf_native_key key;
    uint32_t lo = first;
    uint32_t hi = native_node_count(p);
    if (first > 0 && native_cell_off(p, 0) == off) {
        return true;
    }
    cell_key(p + off, native_node_height(p), &key);
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct nf_native_key at;
        nf_native_key_at(p, mid, &at);
        int c = nf_native_key_cmp(&at, &key);
        if (c == 0) {
            return native_cell_off(p, mid) == off;
        }
        lo = c < 0 ? mid + 1 : lo;
        hi = c < 0 ? hi : mid;
    }
    return false;
}

int nf_native_table_check(const struct nf *nf, const uint8_t *p, uint64_t birth)
{
    uint32_t size = nf->disk.page_size;
    uint32_t n = native_node_count(p);
    uint32_t low = node_low(p);
    uint32_t height = native_node_height(p);
    uint32_t first = height > 0 ? 1 : 0; /* that has a key of its own */
    struct nf_native_key last = {0, NULL, 0};
    if (p[0] != NATIVE_NODE_TABLE || height > NF_MAX_HEIGHT || low > size ||
        n > (size - NATIVE_NODE_LEN) / SLOT_LEN ||
        low < NATIVE_NODE_LEN + SLOT_LEN * n || (height > 0 && n == 0)) {
        return NF_EC_TABLE;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct nf_native_key key;
        uint32_t off = native_cell_off(p, i);
        if (off < low || off >= size || check_cell(nf, p, off, birth) == 0) {
            return NF_EC_TABLE;
        }
        nf_native_key_at(p, i, &key);
        if (i > first && nf_native_key_cmp(&last, &key) >= 0) {
            return NF_EC_TABLE;
        }
        last = key;
    }
    /* As many cells as slots, and a slot for each: none overlap. */
    for (uint32_t off = low; off < size; n--) {
        uint32_t len = check_cell(nf, p, off, birth);
        if (n == 0 || len == 0 || !has_slot(p, off, first)) {
            return NF_EC_TABLE;
        }
        off += len;
    }
    return n == 0 ? 0 : NF_EC_TABLE;
}

uint32_t nf_native_table_ptr_at(const uint8_t *p, uint32_t i)
{
    uint32_t off = native_cell_off(p, i);
    if (native_node_height(p) > 0) {
        return off;
    }
    return off + LEAF_FIXED + p[off + 8];
}

void nf_native_cell_remove(const struct nf *nf, uint8_t *p, uint32_t i)
{
    uint32_t n = native_node_count(p);
    uint32_t off = native_cell_off(p, i);
    uint32_t len = nf_native_cell_len(nf, p, i);
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

void nf_native_cell_insert(uint8_t *p, uint32_t i, const uint8_t *cell,
                           uint32_t len)
{
    uint32_t n = native_node_count(p);
    uint32_t low = node_low(p) - len;
    uint8_t *slots = p + NATIVE_NODE_LEN;
    nf_assert(nf_native_node_free(p) >= len + SLOT_LEN);
    memcpy(p + low, cell, len);
    memmove(slots + SLOT_LEN * (i + 1), slots + SLOT_LEN * i,
            SLOT_LEN * (n - i));
    nf_put_le16(slots + SLOT_LEN * i, (uint16_t)low);
    set_count(p, n + 1);
    set_low(p, low);
}

uint32_t nf_native_lower_bound(const uint8_t *p,
                               const struct nf_native_key *key, bool *ret_equal)
{
    uint32_t lo = 0;
    uint32_t hi = native_node_count(p);
    *ret_equal = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct nf_native_key at;
        nf_native_key_at(p, mid, &at);
        int c = nf_native_key_cmp(&at, key);
        if (c < 0) {
            lo = mid + 1;
        } else {
            *ret_equal = *ret_equal || c == 0;
            hi = mid;
        }
    }
    return lo;
}

uint32_t nf_native_child_for(const uint8_t *p, const struct nf_native_key *key)
{
    uint32_t lo = 1; /* cell 0 has everything before cell 1 */
    uint32_t hi = native_node_count(p);
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct nf_native_key at;
        nf_native_key_at(p, mid, &at);
        if (nf_native_key_cmp(&at, key) <= 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo - 1;
}

/* ---- Records -------------------------------------------------------- */

void nf_native_rec_get(const uint8_t *cell, struct nf_rec *ret)
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

uint32_t nf_native_rec_put(const struct nf_native_key *key,
                           const struct nf_rec *rec, uint8_t *cell)
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
