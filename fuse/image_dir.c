/* SPDX-License-Identifier: ISC */
/*
 * Looking up and listing.
 *
 * A listing stands behind a name, not at a number: entries that come and go
 * meanwhile disturb no others. The kernel names positions by numbers, though,
 * so an open directory remembers the names of its last batch, and one name of
 * each batch before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/image_int.h"

#define FIRST_ENTRY 2 /* positions of . and .. come before */

/* The entry at a position is the one that follows a name. */
struct mark {
    uint64_t pos;
    size_t len;
    char *name;
};

struct listing {
    pthread_mutex_t lock; /* the kernel may list in parallel */
    struct mark *marks;   /* ascending; those of the last batch at the end */
    size_t n;
    size_t cap;
    size_t batch; /* the first mark of the last batch */
};

static struct image *image_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* ---- Looking up --------------------------------------------------------- */

static bool is_named(const char *name, const char *wanted)
{
    return strcmp(name, wanted) == 0;
}

/* Names in the root that stand for something else. */
static bool is_reserved(const struct node *parent, const char *name)
{
    return parent->id == IMAGE_ROOT && parent->kind == NODE_DIR &&
           is_named(name, IMAGE_REMOVED);
}

/* .generations, or what is directly in it. */
static int look_up_generation(struct image *image, struct node *parent,
                              const char *name, struct fuse_entry_param *ret)
{
    struct nf_stat st = {.type = NF_TYPE_DIR, .id = IMAGE_GENERATIONS_ID};
    struct node *node;
    if (parent->kind != NODE_GENERATIONS) {
        node = image_node_look_up(image, parent, name, strlen(name), &st);
        if (node == NULL) {
            return NF_ENOMEM;
        }
    } else {
        int err = image_generation_open(image, parent, name, &node);
        if (err != 0) {
            return err;
        }
    }
    image_fill_entry(image, node, &st, ret);
    return 0;
}

static int look_up(struct image *image, struct node *parent, const char *name,
                   struct fuse_entry_param *ret)
{
    struct reading reading;
    struct nf_stat st;
    if (parent->kind == NODE_GENERATIONS ||
        (parent == image_root(image) && is_named(name, IMAGE_GENERATIONS))) {
        return look_up_generation(image, parent, name, ret);
    }
    size_t len = strlen(name);
    struct nf_at at = image_at_child(parent, name, len);
    if (is_reserved(parent, name)) {
        return NF_ENOENT;
    }
    image_read_begin(image, parent, &reading);
    int err = parent->removed ? NF_ENOENT : nf_stat_at(reading.nf, at, &st);
    if (err == 0 && !image_reading_is_new(&reading, st.id)) {
        image_read_end(&reading);
        turn_take(&image->live.turn);
        reading.space = &image->live;
        reading.nf = image->live.nf;
        err = nf_stat_at(reading.nf, at, &st);
    }
    if (err == 0) {
        struct node *node = image_node_look_up(image, parent, name, len, &st);
        if (node == NULL) {
            err = NF_ENOMEM;
        } else {
            image_fill_entry(image, node, &st, ret);
        }
    }
    image_read_end(&reading);
    return err;
}

static void op_lookup(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct image *image = image_of(req);
    struct node *parent = image_node(image, ino);
    struct fuse_entry_param entry;
    int err = look_up(image, parent, name, &entry);
    if (err == NF_ENOENT && parent->kind != NODE_GENERATIONS) {
        memset(&entry, 0, sizeof(entry));
        entry.entry_timeout = 86400.0;
        err = 0;
    }
    if (err != 0) {
        fuse_reply_err(req, serve_errno(err));
    } else {
        fuse_reply_entry(req, &entry);
    }
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    struct image *image = image_of(req);
    image_node_forget(image, image_node(image, ino), n);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
                            struct fuse_forget_data *forgets)
{
    struct image *image = image_of(req);
    for (size_t i = 0; i < count; i++) {
        image_node_forget(image, image_node(image, forgets[i].ino),
                          forgets[i].nlookup);
    }
    fuse_reply_none(req);
}

/* ---- Positions ---------------------------------------------------------- */

static bool add_mark(struct listing *listing, uint64_t pos, const char *name,
                     size_t len)
{
    if (listing->n == listing->cap) {
        size_t cap = listing->cap == 0 ? 64 : listing->cap * 2;
        struct mark *marks = realloc(listing->marks, cap * sizeof(struct mark));
        if (marks == NULL) {
            return false;
        }
        listing->marks = marks;
        listing->cap = cap;
    }
    struct mark *mark = &listing->marks[listing->n];
    mark->name = malloc(len + 1);
    if (mark->name == NULL) {
        return false;
    }
    memcpy(mark->name, name, len);
    mark->len = len;
    mark->pos = pos;
    listing->n++;
    return true;
}

static void drop_marks(struct listing *listing, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        free(listing->marks[i].name);
    }
    memmove(listing->marks + from, listing->marks + to,
            (listing->n - to) * sizeof(struct mark));
    listing->n -= to - from;
}

/* The last mark at or before pos becomes the last of all, and begins a batch.
 */
static const struct mark *rewind_to(struct listing *listing, uint64_t pos)
{
    size_t i = listing->n;
    while (i > 1 && listing->marks[i - 1].pos > pos) {
        i--;
    }
    drop_marks(listing, i, listing->n);
    if (i > listing->batch + 1) {
        drop_marks(listing, listing->batch + 1, i - 1);
    }
    listing->batch = listing->n - 1;
    return &listing->marks[listing->n - 1];
}

/* ---- Listing ------------------------------------------------------------ */

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    (void)ino;
    if (listing == NULL || !add_mark(listing, FIRST_ENTRY, "", 0)) {
        free(listing);
        fuse_reply_err(req, ENOMEM);
        return;
    }
    pthread_mutex_init(&listing->lock, NULL);
    fi->fh = (uint64_t)(uintptr_t)listing;
    fuse_reply_open(req, fi);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino,
                          struct fuse_file_info *fi)
{
    struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    (void)ino;
    drop_marks(listing, 0, listing->n);
    pthread_mutex_destroy(&listing->lock);
    free(listing->marks);
    free(listing);
    fuse_reply_err(req, 0);
}

/* A reply that is being filled. */
struct batch {
    fuse_req_t req;
    struct image *image;
    struct node *dir;
    struct reading *reading;
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

/* . and .., which are never looked up. */
static bool put_dots(struct batch *batch, uint64_t pos)
{
    static const char *const names[] = {".", ".."};
    struct fuse_entry_param entry;
    memset(&entry, 0, sizeof(entry));
    entry.attr.st_ino = batch->dir->id;
    entry.attr.st_mode = S_IFDIR;
    for (; pos < FIRST_ENTRY; pos++) {
        if (!put(batch, names[pos], &entry, pos + 1)) {
            return false;
        }
    }
    return true;
}

/* What cannot be shown is passed over. */
static bool is_shown(const struct node *dir, const struct nf_dirent *ent)
{
    return ent->name_len <= NAME_MAX &&
           memchr(ent->name, '\0', ent->name_len) == NULL &&
           !(ent->name_len == 1 && ent->name[0] == '.') &&
           !(ent->name_len == 2 && memcmp(ent->name, "..", 2) == 0) &&
           !(dir->id == IMAGE_ROOT && ent->name_len == strlen(IMAGE_REMOVED) &&
             memcmp(ent->name, IMAGE_REMOVED, ent->name_len) == 0);
}

static bool put_entry(struct batch *batch, const struct nf_dirent *ent,
                      uint64_t next)
{
    struct fuse_entry_param entry;
    struct node *node = NULL;
    char name[NAME_MAX + 1];
    memcpy(name, ent->name, ent->name_len);
    name[ent->name_len] = '\0';
    memset(&entry, 0, sizeof(entry));
    if (batch->plus && image_reading_is_new(batch->reading, ent->stat.id)) {
        node = image_node_look_up(batch->image, batch->dir, ent->name,
                                  ent->name_len, &ent->stat);
    }
    if (node != NULL) {
        image_fill_entry(batch->image, node, &ent->stat, &entry);
    }
    entry.attr.st_ino = batch->dir->space->number << 40 ^ ent->stat.id;
    entry.attr.st_mode |= ent->stat.type == NF_TYPE_DIR ? S_IFDIR : S_IFREG;
    if (put(batch, name, &entry, next)) {
        return true;
    }
    if (node != NULL) {
        image_node_forget(batch->image, node, 1);
    }
    return false;
}

static int fill(struct batch *batch, struct listing *listing, uint64_t pos)
{
    struct nf_at at = image_at_child(batch->dir, "", 0);
    struct nf_dirent ent;
    struct nf_dir *dir;
    int got;
    if (!put_dots(batch, pos)) {
        return 0;
    }
    const struct mark *from =
        rewind_to(listing, pos < FIRST_ENTRY ? FIRST_ENTRY : pos);
    uint64_t at_pos = from->pos;
    int err = nf_dir_open_at(batch->reading->nf, at, &dir);
    if (err != 0) {
        return err;
    }
    got = nf_dir_seek(dir, from->name, from->len);
    while (got >= 0 && (got = nf_dir_next(dir, &ent)) == 1) {
        if (!is_shown(batch->dir, &ent)) {
            continue;
        }
        if (at_pos >= pos && !put_entry(batch, &ent, at_pos + 1)) {
            break;
        }
        at_pos++;
        if (!add_mark(listing, at_pos, ent.name, ent.name_len)) {
            got = NF_ENOMEM;
        }
    }
    nf_dir_close(dir);
    return got < 0 ? got : 0;
}

static int fill_generations(struct batch *batch, uint64_t pos)
{
    char names[64][IMAGE_NUMBER_LEN];
    int n = image_generation_names(batch->image, names, 64);
    if (!put_dots(batch, pos)) {
        return 0;
    }
    uint64_t at = pos < FIRST_ENTRY ? FIRST_ENTRY : pos;
    for (; n > 0 && at - FIRST_ENTRY < (uint64_t)n; at++) {
        struct fuse_entry_param entry;
        memset(&entry, 0, sizeof(entry));
        entry.attr.st_ino = 0xffffffff; /* not known before it is opened */
        entry.attr.st_mode = S_IFDIR;
        if (!put(batch, names[at - FIRST_ENTRY], &entry, at + 1)) {
            break;
        }
    }
    return n < 0 ? n : 0;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi, bool plus)
{
    struct image *image = image_of(req);
    struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    struct reading reading;
    struct batch batch = {req,      image, image_node(image, ino),
                          &reading, plus,  malloc(size),
                          0,        size};
    int err = 0;
    if (batch.buf == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    if (batch.dir->kind == NODE_GENERATIONS) {
        err = fill_generations(&batch, (uint64_t)off);
    } else if (!batch.dir->removed) {
        pthread_mutex_lock(&listing->lock);
        image_read_begin(image, batch.dir, &reading);
        err = fill(&batch, listing, (uint64_t)off);
        image_read_end(&reading);
        pthread_mutex_unlock(&listing->lock);
    }
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
    read_dir(req, ino, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
                           off_t off, struct fuse_file_info *fi)
{
    read_dir(req, ino, size, off, fi, true);
}

void image_ops_dir(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    ops->opendir = op_opendir;
    ops->releasedir = op_releasedir;
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
}
