/* SPDX-License-Identifier: ISC */
/*
 * Listing. First what the stored tree has and nothing has been done to, in the
 * order of storage, without ever holding all of it; then likewise what only the
 * side tree has; then what is pinned, in the order in which it was. Positions
 * are numbers in the first part, SIDES plus such in the second, and PINS plus a
 * node's own number in the third.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/store_int.h"

#define FIRST_ENTRY 2 /* positions of . and .. come before */
#define SIDES       ((uint64_t)1 << 61)
#define PINS        ((uint64_t)1 << 62)

/* The entries of a tree, one after the other. */
struct reader {
    struct pk_list *list; /* or NULL */
    uint64_t pos;         /* of what the list gives next */
    bool ended;
    struct pk_entry held; /* given, but there was no room for it */
    bool holds;
    char held_name[NAME_MAX + 1];
};

struct listing {
    struct listing *next; /* of all that are open */
    struct snode *dir;
    struct reader stored;
    struct reader sided;
    char **names; /* of a top directory */
    size_t n;
    size_t cap;
};

static struct store *store_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static bool note_name(void *arg, const char *name)
{
    struct listing *listing = arg;
    if (listing->n == listing->cap) {
        size_t cap = listing->cap == 0 ? 16 : listing->cap * 2;
        char **names = realloc(listing->names, cap * sizeof(char *));
        if (names == NULL) {
            return false;
        }
        listing->names = names;
        listing->cap = cap;
    }
    listing->names[listing->n] = strdup(name);
    listing->n += listing->names[listing->n] != NULL;
    return true;
}

static void close_listing(struct listing *listing)
{
    pk_list_close(listing->stored.list);
    pk_list_close(listing->sided.list);
    for (size_t i = 0; i < listing->n; i++) {
        free(listing->names[i]);
    }
    free(listing->names);
    free(listing);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct listing *listing = calloc(1, sizeof(*listing));
    int err = listing == NULL ? ENOMEM : 0;
    turn_take(&store->turn);
    if (err == 0) {
        listing->dir = store_node(store, ino);
        err = listing->dir->kind == SNODE_DIR
                  ? store_refresh(store, listing->dir)
                  : store_top_list(store, listing->dir, note_name, listing);
    }
    if (err == 0) {
        listing->next = store->listings;
        store->listings = listing;
        fi->fh = (uint64_t)(uintptr_t)listing;
        if (listing->dir->kind == SNODE_DIR && listing->dir->branch == NULL) {
            fi->cache_readdir = 1;
            fi->keep_cache = 1;
        }
    } else if (listing != NULL) {
        close_listing(listing);
    }
    turn_pass(&store->turn);
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_open(req, fi);
    }
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino,
                          struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    (void)ino;
    turn_take(&store->turn);
    struct listing **at = &store->listings;
    while (*at != listing) {
        at = &(*at)->next;
    }
    *at = listing->next;
    close_listing(listing);
    turn_pass(&store->turn);
    fuse_reply_err(req, 0);
}

void store_listings_close(struct store *store)
{
    while (store->listings != NULL) {
        struct listing *listing = store->listings;
        store->listings = listing->next;
        close_listing(listing);
    }
}

/* A reply that is being filled. */
struct batch {
    fuse_req_t req;
    struct store *store;
    struct snode *dir;
    bool plus;
    char *buf;
    size_t len;
    size_t cap;
};

static bool put(struct batch *batch, const char *name,
                const struct fuse_entry_param *entry, uint64_t next)
{
    char *to = batch->buf + batch->len;
    size_t room = batch->cap - batch->len;
    size_t len = batch->plus ? fuse_add_direntry_plus(batch->req, to, room,
                                                      name, entry, (off_t)next)
                             : fuse_add_direntry(batch->req, to, room, name,
                                                 &entry->attr, (off_t)next);
    if (len > room) {
        return false;
    }
    batch->len += len;
    return true;
}

static bool put_plain(struct batch *batch, const char *name, mode_t type,
                      uint64_t next)
{
    struct fuse_entry_param entry;
    memset(&entry, 0, sizeof(entry));
    entry.attr.st_ino = 0xffffffff; /* not known before it is looked up */
    entry.attr.st_mode = type;
    return put(batch, name, &entry, next);
}

static bool put_node(struct batch *batch, struct snode *node, uint64_t next)
{
    struct fuse_entry_param entry;
    store_fill_entry(batch->store, node, &entry);
    if (!put(batch, node->name, &entry, next)) {
        return false;
    }
    node->n_lookups += batch->plus;
    return true;
}

/* An entry of a stored tree, or of a top directory; type 0: of a side tree, if
 * that shows there. */
static bool put_name(struct batch *batch, const char *name, mode_t type,
                     uint64_t next)
{
    struct snode *node;
    if ((!batch->plus && type != 0) ||
        store_child(batch->store, batch->dir, name, strlen(name), &node) != 0) {
        return type == 0 || put_plain(batch, name, type, next);
    }
    bool done = put_node(batch, node, next);
    store_node_tidy(batch->store, node);
    return done;
}

static bool is_shown(const struct pk_entry *entry)
{
    const uint8_t *p = entry->step.p;
    size_t len = entry->step.len;
    return len > 0 && len <= NAME_MAX && memchr(p, '\0', len) == NULL &&
           memchr(p, '/', len) == NULL && !(len == 1 && p[0] == '.') &&
           !(len == 2 && p[0] == '.' && p[1] == '.');
}

/* From the n-th entry on, which is at pos. */
static int open_list(struct reader *reader, struct pk_tree *tree, uint64_t n,
                     uint64_t pos)
{
    struct pk_range range = {n, 0};
    struct pk_path here = {NULL, 0};
    pk_list_close(reader->list);
    reader->list = NULL;
    reader->holds = false;
    reader->ended = false;
    reader->pos = pos;
    return pk_list_open(tree, here, range, 0, &reader->list);
}

/* The next entry into held: 1, 0 at the end. */
static int advance(struct reader *reader)
{
    if (reader->holds) {
        return 1;
    }
    int got = reader->ended ? 0 : pk_list_next(reader->list, &reader->held);
    reader->ended = got == 0;
    if (got == 1) {
        reader->holds = true;
        if (is_shown(&reader->held)) {
            memcpy(reader->held_name, reader->held.step.p,
                   reader->held.step.len);
            reader->held_name[reader->held.step.len] = '\0';
        } else {
            reader->held_name[0] = '\0';
        }
    }
    return got;
}

/* What is known of it comes later, or is the same in another tree. */
static bool is_skipped(const struct batch *batch, const struct reader *reader,
                       bool sided)
{
    const char *name = reader->held_name;
    struct pk_slice step = slice(name, strlen(name));
    struct pk_path path = {&step, 1};
    enum pk_kind kind = PK_NONE;
    const struct snode *known =
        store_node_find(batch->store, batch->dir, name, step.len);
    if (name[0] == '\0' || (known != NULL && known->pinned)) {
        return true;
    }
    /* Files that a side tree has are the data's. */
    return sided && (reader->held.kind != PK_NODE ||
                     (batch->dir->tree != NULL &&
                      pk_tree_kind(batch->dir->tree, path, &kind) == 0 &&
                      kind != PK_NONE));
}

/* What the stored tree has, or the side tree beyond that; it begins at first.
 * 1: there was room for all. */
static int fill_tree(struct batch *batch, struct reader *reader, uint64_t first,
                     uint64_t pos)
{
    bool sided = first == SIDES;
    struct pk_tree *tree = sided ? batch->dir->side : batch->dir->tree;
    int got = 0;
    if (tree == NULL) {
        return 1;
    }
    if (reader->list == NULL || reader->pos != pos) {
        int err = open_list(reader, tree, pos - first, pos);
        if (err != 0) {
            return err;
        }
    }
    while ((got = advance(reader)) == 1) {
        mode_t type = sided                          ? 0
                      : reader->held.kind == PK_NODE ? S_IFDIR
                                                     : S_IFREG;
        if (!is_skipped(batch, reader, sided) &&
            !put_name(batch, reader->held_name, type, reader->pos + 1)) {
            return 0;
        }
        reader->holds = false;
        reader->pos++;
    }
    return got < 0 ? got : 1;
}

static void fill_pins(struct batch *batch, const struct snode *dir,
                      uint64_t seq)
{
    for (struct snode *pin = dir->pins; pin != NULL; pin = pin->pin_next) {
        if (pin->pin_seq >= seq && pin->kind != SNODE_GONE &&
            !put_node(batch, pin, PINS + pin->pin_seq + 1)) {
            return;
        }
    }
}

static int fill(struct batch *batch, struct listing *listing, uint64_t pos)
{
    static const char *const dots[] = {".", ".."};
    int got = 1;
    for (; pos < FIRST_ENTRY; pos++) {
        struct fuse_entry_param entry;
        memset(&entry, 0, sizeof(entry));
        entry.attr.st_ino = batch->dir->ino;
        entry.attr.st_mode = S_IFDIR;
        if (!put(batch, dots[pos], &entry, pos + 1)) {
            return 0;
        }
    }
    if (batch->dir->kind != SNODE_DIR) {
        for (uint64_t i = pos - FIRST_ENTRY; i < listing->n; i++) {
            if (!put_name(batch, listing->names[i], S_IFDIR,
                          i + FIRST_ENTRY + 1)) {
                break;
            }
        }
        return 0;
    }
    if (pos < SIDES) {
        got = fill_tree(batch, &listing->stored, FIRST_ENTRY, pos);
        pos = SIDES;
    }
    if (got == 1 && pos < PINS) {
        got = fill_tree(batch, &listing->sided, SIDES, pos);
        pos = PINS;
    }
    if (got == 1) {
        fill_pins(batch, batch->dir, pos - PINS);
    }
    return got < 0 ? got : 0;
}

static void read_dir(fuse_req_t req, size_t size, off_t off,
                     struct fuse_file_info *fi, bool plus)
{
    struct store *store = store_of(req);
    struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    struct batch batch = {req,          store, listing->dir, plus,
                          malloc(size), 0,     size};
    if (batch.buf == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    turn_take(&store->turn);
    int err = fill(&batch, listing, (uint64_t)off);
    turn_pass(&store->turn);
    if (err != 0 && batch.len == 0) {
        fuse_reply_err(req, serve_errno(err));
    } else {
        fuse_reply_buf(req, batch.buf, batch.len);
    }
    free(batch.buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)ino;
    read_dir(req, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
                           off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    read_dir(req, size, off, fi, true);
}

void store_ops_dir(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
    ops->releasedir = op_releasedir;
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
}
