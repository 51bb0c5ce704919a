/* SPDX-License-Identifier: ISC */
/*
 * The file table in memory: a skip list of names ordered by directory and name,
 * bytewise. It is the one structure of this profile that grows with what is on
 * the disk: about 200 bytes and the name for each file and directory.
 *
 * A transaction never changes an entry that it has not made itself: it puts
 * another in its place and remembers both, so that an abort needs neither
 * memory nor the disk, and ids stay what they were.
 */
#include "notafs/mirage_int.h"

/* ---- The list ------------------------------------------------------- */

static int compare(const struct mirage_entry *entry, uint64_t dir,
                   const char *name, size_t len)
{
    if (entry->dir != dir) {
        return entry->dir < dir ? -1 : 1;
    }
    size_t common = entry->name_len < len ? entry->name_len : len;
    int order = common > 0 ? memcmp(entry->name, name, common) : 0;
    if (order != 0 || entry->name_len == len) {
        return order;
    }
    return entry->name_len < len ? -1 : 1;
}

/* The last entry before that name, NULL if there is none, and on each level
 * the link that leads on from there. */
static struct mirage_entry *seek(struct mirage_names *names, uint64_t dir,
                                 const char *name, size_t len,
                                 struct mirage_entry **links[MIRAGE_LEVELS])
{
    struct mirage_entry *prev = NULL;
    for (uint32_t level = MIRAGE_LEVELS; level-- > 0;) {
        struct mirage_entry **link =
            prev != NULL ? &prev->next[level] : &names->first[level];
        while (*link != NULL && compare(*link, dir, name, len) < 0) {
            prev = *link;
            link = &prev->next[level];
        }
        links[level] = link;
    }
    return prev;
}

/* What an entry takes of the table on disk, at most. */
static uint64_t entry_bytes(const struct nf *nf,
                            const struct mirage_entry *entry)
{
    return 5 + entry->name_len + 8 + 1 + nf->mirage->geo.ptr_len + 5;
}

bool nf_mirage_entry_needs_page(const struct mirage_entry *entry)
{
    return entry->rec.type == NF_TYPE_FILE &&
           nf_ptr_is_null(&entry->rec.rope.root) &&
           nf_ptr_is_null(&entry->empty);
}

static void insert(struct nf *nf, struct mirage_entry *entry)
{
    struct mirage_names *names = &nf->mirage->names;
    struct mirage_entry **links[MIRAGE_LEVELS];
    entry->prev = seek(names, entry->dir, entry->name, entry->name_len, links);
    for (uint32_t level = 0; level < entry->n_levels; level++) {
        entry->next[level] = *links[level];
        *links[level] = entry;
    }
    if (entry->next[0] != NULL) {
        entry->next[0]->prev = entry;
    }
    names->bytes += entry_bytes(nf, entry);
    nf->mirage->n_empty += nf_mirage_entry_needs_page(entry);
}

static void unlink_entry(struct nf *nf, struct mirage_entry *entry)
{
    struct mirage_names *names = &nf->mirage->names;
    struct mirage_entry **links[MIRAGE_LEVELS];
    (void)seek(names, entry->dir, entry->name, entry->name_len, links);
    for (uint32_t level = 0; level < entry->n_levels; level++) {
        *links[level] = entry->next[level];
    }
    if (entry->next[0] != NULL) {
        entry->next[0]->prev = entry->prev;
    }
    names->bytes -= entry_bytes(nf, entry);
    nf->mirage->n_empty -= nf_mirage_entry_needs_page(entry);
}

static size_t entry_size(uint32_t n_levels, size_t name_len)
{
    return sizeof(struct mirage_entry) +
           n_levels * sizeof(struct mirage_entry *) + name_len;
}

struct mirage_entry *nf_mirage_entry_new(struct nf *nf, uint64_t dir,
                                         size_t name_len)
{
    uint64_t *random = &nf->mirage->names.random;
    uint32_t n_levels = 1;
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    for (uint64_t bits = *random; (bits & 3) == 0 && n_levels < MIRAGE_LEVELS;
         bits >>= 2) {
        n_levels++;
    }
    struct mirage_entry *entry =
        nf_calloc(&nf->mem, 1, entry_size(n_levels, name_len));
    if (entry != NULL) {
        entry->dir = dir;
        entry->n_levels = (uint8_t)n_levels;
        entry->name_len = name_len;
        entry->name = (char *)&entry->next[n_levels];
    }
    return entry;
}

void nf_mirage_entry_free(struct nf *nf, struct mirage_entry *entry)
{
    if (entry != NULL) {
        nf_free(&nf->mem, entry, entry_size(entry->n_levels, entry->name_len));
    }
}

struct mirage_entry *nf_mirage_names_find(struct nf *nf, uint64_t dir,
                                          const char *name, size_t len)
{
    struct mirage_entry **links[MIRAGE_LEVELS];
    (void)seek(&nf->mirage->names, dir, name, len, links);
    struct mirage_entry *entry = *links[0];
    return entry != NULL && compare(entry, dir, name, len) == 0 ? entry : NULL;
}

struct mirage_entry *nf_mirage_names_scan(struct nf *nf, uint64_t dir,
                                          const char *name, size_t len)
{
    struct mirage_entry **links[MIRAGE_LEVELS];
    (void)seek(&nf->mirage->names, dir, name, len, links);
    struct mirage_entry *entry = *links[0];
    if (entry != NULL && compare(entry, dir, name, len) == 0) {
        entry = entry->next[0];
    }
    return entry;
}

struct mirage_entry *nf_mirage_names_after(struct nf *nf, uint64_t dir,
                                           const char *name, size_t len)
{
    struct mirage_entry *entry = nf_mirage_names_scan(nf, dir, name, len);
    return entry != NULL && entry->dir == dir ? entry : NULL;
}

struct mirage_entry *nf_mirage_names_last(struct nf *nf, uint64_t dir)
{
    struct mirage_entry **links[MIRAGE_LEVELS];
    struct mirage_entry *entry =
        seek(&nf->mirage->names, dir + 1, "", 0, links);
    return entry != NULL && entry->dir == dir ? entry : NULL;
}

/* Take an entry that was loaded out again, with all that is below it. */
static void unload(struct nf *nf, struct mirage_entry *top)
{
    struct mirage_entry *at = top;
    top->up = NULL;
    while (at != NULL) {
        struct mirage_entry *below = NULL;
        if (at->rec.type == NF_TYPE_DIR) {
            below = nf_mirage_names_after(nf, at->rec.id, "", 0);
        }
        if (below != NULL) {
            below->up = at;
            at = below;
            continue;
        }
        struct mirage_entry *gone = at;
        at = at->up;
        nf->counts.files -= gone->rec.type == NF_TYPE_FILE;
        nf->counts.dirs -= gone->rec.type == NF_TYPE_DIR;
        unlink_entry(nf, gone);
        nf_mirage_entry_free(nf, gone);
    }
}

void nf_mirage_names_load(struct nf *nf, struct mirage_entry *entry)
{
    struct mirage_entry *old =
        nf_mirage_names_find(nf, entry->dir, entry->name, entry->name_len);
    if (old != NULL) {
        unload(nf, old);
    }
    nf->counts.files += entry->rec.type == NF_TYPE_FILE;
    nf->counts.dirs += entry->rec.type == NF_TYPE_DIR;
    insert(nf, entry);
}

/* ---- Changes of a transaction --------------------------------------- */

static int remember(struct nf *nf, struct mirage_entry *old,
                    struct mirage_entry *now)
{
    struct mirage_undo *undo = nf_alloc(&nf->mem, sizeof(*undo));
    if (undo == NULL) {
        return NF_ENOMEM;
    }
    undo->next = nf->mirage->names.undo;
    undo->old = old;
    undo->now = now;
    nf->mirage->names.undo = undo;
    return 0;
}

/* Put entry in the place of old, which may be NULL. */
static int replace(struct nf *nf, struct mirage_entry *old,
                   struct mirage_entry *entry)
{
    int err = remember(nf, old, entry);
    if (err != 0) {
        return nf_fail(nf, err, NF_NOWHERE, "file table");
    }
    if (old != NULL) {
        unlink_entry(nf, old);
    }
    if (entry != NULL) {
        entry->fresh = true;
        insert(nf, entry);
    }
    nf->mirage->table_dirty = true;
    return 0;
}

int nf_mirage_table_put(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, const struct nf_rec *rec)
{
    struct mirage_entry *old = nf_mirage_names_find(nf, dir, name, len);
    struct mirage_entry *entry = old;
    bool no_page = rec->type == NF_TYPE_FILE && nf_ptr_is_null(&rec->rope.root);
    if (!nf_mirage_time_valid(rec->mtime)) {
        return nf_fail(nf, NF_ERANGE, NF_NOWHERE, "modification time");
    }
    if (old == NULL || !old->fresh) {
        entry = nf_mirage_entry_new(nf, dir, len);
        if (entry == NULL) {
            return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "file table");
        }
        memcpy(entry->name, name, len);
        if (old != NULL) {
            entry->rec = old->rec;
            entry->time = old->time;
            entry->empty = old->empty;
        }
        int err = replace(nf, old, entry);
        if (err != 0) {
            nf_mirage_entry_free(nf, entry);
            return err;
        }
    }
    /* A time that did not change keeps the bits that it has on disk. */
    if (old == NULL || rec->mtime.sec != entry->rec.mtime.sec ||
        rec->mtime.nsec != entry->rec.mtime.nsec) {
        entry->time = nf_mirage_time_put(rec->mtime);
    }
    nf->mirage->table_dirty = true;
    nf->mirage->n_empty -= nf_mirage_entry_needs_page(entry);
    struct nf_ptr empty = entry->empty;
    entry->rec = *rec;
    if (!no_page) {
        memset(&entry->empty, 0, sizeof(entry->empty));
    }
    nf->mirage->n_empty += nf_mirage_entry_needs_page(entry);
    return no_page || nf_ptr_is_null(&empty) ? 0 : nf_page_free(nf, &empty);
}

int nf_mirage_table_del(struct nf *nf, uint64_t dir, const char *name,
                        size_t len)
{
    struct mirage_entry *old = nf_mirage_names_find(nf, dir, name, len);
    if (old == NULL) {
        return NF_ENOENT;
    }
    int err = replace(nf, old, NULL);
    if (err != 0 || nf_ptr_is_null(&old->empty)) {
        return err;
    }
    return nf_page_free(nf, &old->empty);
}

void nf_mirage_names_commit(struct nf *nf)
{
    struct mirage_names *names = &nf->mirage->names;
    for (struct mirage_undo *u = names->undo; u != NULL; u = u->next) {
        if (u->now != NULL) {
            u->now->fresh = false;
        }
    }
    while (names->undo != NULL) {
        struct mirage_undo *u = names->undo;
        names->undo = u->next;
        nf_mirage_entry_free(nf, u->old);
        nf_free(&nf->mem, u, sizeof(*u));
    }
    names->committed = nf->counts;
}

void nf_mirage_names_abort(struct nf *nf)
{
    struct mirage_names *names = &nf->mirage->names;
    while (names->undo != NULL) {
        struct mirage_undo *u = names->undo;
        names->undo = u->next;
        if (u->now != NULL) {
            unlink_entry(nf, u->now);
            nf_mirage_entry_free(nf, u->now);
        }
        if (u->old != NULL) {
            insert(nf, u->old);
        }
        nf_free(&nf->mem, u, sizeof(*u));
    }
    nf->mirage->table_dirty = false;
    nf->counts.files = names->committed.files;
    nf->counts.dirs = names->committed.dirs; /* ids are never given again */
}

void nf_mirage_names_clear(struct nf *nf)
{
    struct mirage_names *names = &nf->mirage->names;
    nf_mirage_names_abort(nf);
    while (names->first[0] != NULL) {
        struct mirage_entry *entry = names->first[0];
        names->first[0] = entry->next[0];
        nf_mirage_entry_free(nf, entry);
    }
    memset(names, 0, sizeof(*names));
    names->random = 0x9E3779B97F4A7C15u;
    nf->mirage->n_empty = 0;
}
