/* SPDX-License-Identifier: ISC */
/*
 * The file table on disk: one string of bytes in a rope, the payload.
 *
 *   table  := dir                      the root, which has no name or time
 *   dir    := 0x00 varint(n) entry*n   descending by name
 *   file   := 0x01 pointer
 *   entry  := varint(length) name, float64 big-endian mtime, (dir | file)
 *   varint := LEB128
 *
 * It is read once, at the mount, and written whole at each commit that changed
 * a name or a file. Directories are nested to any depth: the way back up is
 * kept in the entries.
 */
#include "notafs/mirage_int.h"

#define TAG_DIR  0
#define TAG_FILE 1

/* ---- Lookups -------------------------------------------------------- */

int nf_mirage_table_get(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, struct nf_rec *ret)
{
    const struct mirage_entry *entry = nf_mirage_names_find(nf, dir, name, len);
    if (entry == NULL) {
        return NF_ENOENT;
    }
    *ret = entry->rec;
    return 0;
}

int nf_mirage_table_next(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, const char **ret_name, size_t *ret_len,
                         struct nf_rec *ret)
{
    const struct mirage_entry *entry =
        nf_mirage_names_after(nf, dir, name, len);
    if (entry == NULL) {
        return 0;
    }
    *ret_name = entry->name;
    *ret_len = entry->name_len;
    *ret = entry->rec;
    return 1;
}

int nf_mirage_table_scan(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, uint64_t *ret_dir, const char **ret_name,
                         size_t *ret_len, struct nf_rec *ret)
{
    const struct mirage_entry *entry = nf_mirage_names_scan(nf, dir, name, len);
    if (entry == NULL) {
        return 0;
    }
    *ret_dir = entry->dir;
    *ret_name = entry->name;
    *ret_len = entry->name_len;
    *ret = entry->rec;
    return 1;
}

uint32_t nf_mirage_max_name_bytes(const struct nf *nf)
{
    (void)nf; /* the format knows no limit; this is ours for new names */
    return MIRAGE_MAX_NAME;
}

uint32_t nf_mirage_max_inline_bytes(const struct nf *nf, size_t name_len)
{
    (void)nf;
    (void)name_len;
    return 0;
}

uint64_t nf_mirage_table_need(const struct nf *nf, uint64_t n)
{
    static const struct nf_rope none;
    const struct nf_mirage *m = nf->mirage;
    uint64_t bytes = 16 + m->names.bytes + n * MIRAGE_MAX_NAME;
    uint64_t paths = 2 * ((uint64_t)m->queue.depth + 1); /* left and right */
    return nf_mirage_rope_need(nf, &none, 0, bytes) + m->n_empty + paths + 1;
}

/* ---- Writing -------------------------------------------------------- */

struct writer {
    struct nf *nf;
    uint32_t len; /* bytes waiting in mirage.buf */
};

static int put_bytes(struct writer *w, const uint8_t *p, size_t n)
{
    struct nf_mirage *m = w->nf->mirage;
    while (n > 0) {
        uint32_t part = m->geo.rope_bytes - w->len;
        part = n < part ? (uint32_t)n : part;
        memcpy(m->buf + w->len, p, part);
        w->len += part;
        p += part;
        n -= part;
        if (w->len == m->geo.rope_bytes) {
            int err = nf_mirage_rope_write(w->nf, &m->table, m->table.size,
                                           m->buf, w->len);
            if (err != 0) {
                return err;
            }
            w->len = 0;
        }
    }
    return 0;
}

static int put_varint(struct writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) {
        bytes[n++] = (uint8_t)(v | 0x80);
    }
    bytes[n++] = (uint8_t)v;
    return put_bytes(w, bytes, n);
}

/* The head of a directory whose greatest entry is last. */
static int put_dir(struct writer *w, const struct mirage_entry *last)
{
    uint64_t count = 0;
    const uint8_t tag = TAG_DIR;
    for (const struct mirage_entry *e = last; e != NULL && e->dir == last->dir;
         e = e->prev) {
        count++;
    }
    int err = put_bytes(w, &tag, 1);
    return err == 0 ? put_varint(w, count) : err;
}

static int put_file(struct writer *w, const struct mirage_entry *entry)
{
    const struct mirage_geo *geo = &w->nf->mirage->geo;
    const struct nf_ptr *root = &entry->rec.rope.root;
    uint8_t bytes[1 + 12] = {TAG_FILE};
    nf_mirage_put_ptr(geo, bytes + 1,
                      nf_ptr_is_null(root) ? &entry->empty : root);
    return put_bytes(w, bytes, 1 + geo->ptr_len);
}

static int put_entry(struct writer *w, const struct mirage_entry *entry,
                     const struct mirage_entry *last)
{
    uint8_t time[8];
    nf_put_be64(time, entry->time);
    int err = put_varint(w, entry->name_len);
    if (err == 0) {
        err = put_bytes(w, (const uint8_t *)entry->name, entry->name_len);
    }
    if (err == 0) {
        err = put_bytes(w, time, sizeof(time));
    }
    if (err != 0) {
        return err;
    }
    return entry->rec.type == NF_TYPE_DIR ? put_dir(w, last)
                                          : put_file(w, entry);
}

/* Names in descending order, a directory's own ones after its name. */
static int put_tree(struct writer *w)
{
    struct nf *nf = w->nf;
    struct mirage_entry *dir = NULL; /* where entry is; NULL: the root */
    struct mirage_entry *entry = nf_mirage_names_last(nf, NF_ROOT_DIR);
    int err = put_dir(w, entry);
    while (err == 0) {
        uint64_t id = dir == NULL ? NF_ROOT_DIR : dir->rec.id;
        if (entry == NULL || entry->dir != id) {
            if (dir == NULL) {
                return 0;
            }
            entry = dir->prev;
            dir = dir->up;
            continue;
        }
        struct mirage_entry *last = NULL;
        bool is_dir = entry->rec.type == NF_TYPE_DIR;
        if (is_dir) {
            last = nf_mirage_names_last(nf, entry->rec.id);
            entry->up = dir;
            dir = entry;
        }
        err = put_entry(w, entry, last);
        entry = is_dir ? last : entry->prev;
    }
    return err;
}

/* Files without a byte get the empty page that stands for them. */
static int give_pages(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    for (struct mirage_entry *entry = m->names.first[0];
         entry != NULL && m->n_empty > 0; entry = entry->next[0]) {
        if (!nf_mirage_entry_needs_page(entry)) {
            continue;
        }
        struct nf_slot slot = nf_slot_root(&entry->empty);
        struct nf_frame *leaf;
        int err = nf_cache_new(nf, slot, NF_KIND_ROPE, &leaf);
        if (err != 0) {
            return err;
        }
        nf_cache_unpin(leaf);
        m->n_empty--;
    }
    return 0;
}

int nf_mirage_table_flush(struct nf *nf)
{
    struct nf_mirage *m = nf->mirage;
    struct writer w = {nf, 0};
    if (!m->table_dirty) {
        return 0;
    }
    int err = give_pages(nf);
    nf_cache_seal(nf); /* pointers to all files are complete now */
    if (err == 0) {
        err = nf_mirage_rope_free(nf, &m->table);
    }
    if (err == 0) {
        err = put_tree(&w);
    }
    if (err == 0) {
        err = nf_mirage_rope_write(nf, &m->table, m->table.size, m->buf, w.len);
    }
    m->table_dirty = err != 0;
    return err;
}

/* ---- Reading -------------------------------------------------------- */

struct reader {
    struct nf *nf;
    uint64_t off; /* of the table: what comes after buf */
    uint32_t at;  /* next byte in mirage.buf */
    uint32_t len;
};

static uint64_t bytes_left(const struct reader *r)
{
    return r->nf->mirage->table.size - r->off + (r->len - r->at);
}

static int malformed(struct reader *r, const char *what)
{
    struct nf *nf = r->nf;
    int err = nf_fail(nf, NF_EC_TABLE, nf->mirage->table.root.id, what);
    nf->error.offset = r->off - (r->len - r->at);
    return err;
}

static int get_bytes(struct reader *r, uint8_t *to, uint64_t n)
{
    struct nf_mirage *m = r->nf->mirage;
    if (n > bytes_left(r)) {
        return malformed(r, "file table ends inside an entry");
    }
    while (n > 0) {
        if (r->at == r->len) {
            r->len =
                (uint32_t)nf_min_u64(m->geo.rope_bytes, m->table.size - r->off);
            r->at = 0;
            int err =
                nf_mirage_rope_read(r->nf, &m->table, r->off, m->buf, r->len);
            if (err != 0) {
                return err;
            }
            r->off += r->len;
        }
        uint32_t part = (uint32_t)nf_min_u64(n, r->len - r->at);
        memcpy(to, m->buf + r->at, part);
        r->at += part;
        to += part;
        n -= part;
    }
    return 0;
}

static int get_varint(struct reader *r, uint64_t *ret)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 63; shift += 7) {
        uint8_t byte;
        int err = get_bytes(r, &byte, 1);
        if (err != 0) {
            return err;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return 0;
        }
    }
    return malformed(r, "number in the file table");
}

/* The head of a directory, up to its number of entries. An entry takes more
 * than a byte. */
static int get_count(struct reader *r, uint64_t *ret)
{
    int err = get_varint(r, ret);
    if (err == 0 && *ret > bytes_left(r)) {
        err = malformed(r, "number of entries");
    }
    return err;
}

/* Look at the root page of a file, which knows its size. When nothing is to be
 * verified, a damaged one does not stop the mount: the file seems to be as
 * large as can be, and reading it tells what is wrong. */
static int learn_size(struct nf *nf, struct mirage_entry *entry)
{
    struct nf_rope *rope = &entry->rec.rope;
    struct nf_frame *frame;
    int err = nf_cache_get(nf, &rope->root, NF_KIND_ROPE, &frame);
    if (err != 0) {
        bool damage = nf_err_class(err) == NF_ECORRUPT || err == NF_EIO;
        rope->size = MIRAGE_MAX_BYTES;
        return damage && (nf->flags & NF_MOUNT_NO_VERIFY) != 0 ? 0 : err;
    }
    rope->size = mirage_node_size(nf, frame->data);
    if (mirage_height(NF_KIND_ROPE, frame->data) == 0 && rope->size == 0) {
        entry->empty = rope->root;
        memset(&rope->root, 0, sizeof(rope->root));
    }
    nf_cache_unpin(frame);
    return 0;
}

static int get_file(struct reader *r, struct mirage_entry *entry)
{
    const struct mirage_geo *geo = &r->nf->mirage->geo;
    uint8_t ptr[12];
    int err = get_bytes(r, ptr, geo->ptr_len);
    if (err != 0) {
        return err;
    }
    entry->rec.type = NF_TYPE_FILE;
    nf_mirage_get_ptr(geo, ptr, &entry->rec.rope.root);
    uint64_t id = entry->rec.rope.root.id;
    if (id < MIRAGE_FIRST_PAGE || id >= r->nf->page_count) {
        return nf_fail(r->nf, NF_EC_PAGE_ID, id, "root page of a file");
    }
    return learn_size(r->nf, entry);
}

/* One entry; of a directory, left is how many are in it. */
static int get_entry(struct reader *r, uint64_t dir, struct mirage_entry **ret)
{
    struct nf *nf = r->nf;
    struct mirage_entry *entry = NULL;
    uint64_t name_len = 0;
    uint64_t tag = 0;
    uint8_t time[8];
    int err = get_varint(r, &name_len);
    if (err == 0 && (name_len == 0 || name_len > bytes_left(r))) {
        err = malformed(r, "length of a name");
    }
    if (err != 0) {
        return err;
    }
    entry = nf_mirage_entry_new(nf, dir, (size_t)name_len);
    if (entry == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "file table");
    }
    err = get_bytes(r, (uint8_t *)entry->name, name_len);
    for (size_t i = 0; err == 0 && i < name_len; i++) {
        if (entry->name[i] == '/') {
            err = malformed(r, "slash in a name");
        }
    }
    if (err == 0) {
        err = get_bytes(r, time, sizeof(time));
    }
    if (err == 0) {
        entry->time = nf_get_be64(time);
        err = get_varint(r, &tag);
    }
    if (err == 0 && !nf_mirage_time_get(entry->time, &entry->rec.mtime)) {
        err = malformed(r, "modification time");
    }
    entry->rec.id = nf->counts.next_id++;
    if (err == 0 && tag == TAG_FILE) {
        err = get_file(r, entry);
    } else if (err == 0 && tag == TAG_DIR) {
        entry->rec.type = NF_TYPE_DIR;
        err = get_count(r, &entry->left);
    } else if (err == 0) {
        err = malformed(r, "kind of an entry");
    }
    if (err != 0) {
        nf_mirage_entry_free(nf, entry);
        return err;
    }
    *ret = entry;
    return 0;
}

static int get_tree(struct reader *r)
{
    struct mirage_entry *dir = NULL; /* the one being read; NULL: the root */
    uint64_t left = 0;
    uint64_t tag = 0;
    int err = get_varint(r, &tag);
    if (err == 0 && tag != TAG_DIR) {
        err = malformed(r, "root of the file table");
    }
    if (err == 0) {
        err = get_count(r, &left);
    }
    while (err == 0) {
        struct mirage_entry *entry = NULL;
        if (left == 0) {
            if (dir == NULL) {
                break;
            }
            left = dir->left;
            dir = dir->up;
            continue;
        }
        left--;
        err = get_entry(r, dir == NULL ? NF_ROOT_DIR : dir->rec.id, &entry);
        if (err != 0) {
            break;
        }
        nf_mirage_names_load(r->nf, entry);
        if (entry->rec.type == NF_TYPE_DIR) {
            uint64_t below = entry->left;
            entry->left = left;
            entry->up = dir;
            dir = entry;
            left = below;
        }
    }
    if (err == 0 && bytes_left(r) > 0) {
        err = malformed(r, "bytes after the file table");
    }
    return err;
}

int nf_mirage_table_load(struct nf *nf, const struct nf_ptr *root)
{
    struct nf_rope *table = &nf->mirage->table;
    struct reader r = {nf, 0, 0, 0};
    struct nf_frame *frame;
    nf_mirage_names_clear(nf);
    memset(&nf->counts, 0, sizeof(nf->counts));
    nf->counts.next_id = NF_ROOT_DIR + 1;
    memset(table, 0, sizeof(*table));
    table->root = *root;
    if (nf_ptr_is_null(root)) {
        return 0;
    }
    int err = nf_cache_get(nf, root, NF_KIND_ROPE, &frame);
    if (err != 0) {
        return err;
    }
    table->size = mirage_node_size(nf, frame->data);
    nf_cache_unpin(frame);
    if (table->size / nf->mirage->geo.rope_bytes >= nf->page_count) {
        return malformed(&r, "size of the file table");
    }
    return get_tree(&r);
}
