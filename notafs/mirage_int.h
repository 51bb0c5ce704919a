/* SPDX-License-Identifier: ISC */
/*
 * The mirage profile: disks of OCaml Notafs 0.1 (docs/format-notafs.md).
 *
 * All integers are little-endian. A pointer is a page id of 1, 2, 4 or 8 bytes,
 * as many as the page count needs, and the ADLER-32 of the whole page in 4
 * bytes, or none. w is the width of an id, p that of a pointer.
 *
 * Rope node                         Queue node
 *    0  2  height, 0: leaf             0  1  height, 0: leaf
 *    2  2  bytes, or children          1  2  ranges, or children
 *    4  .  leaf: the bytes             3  .  leaf: ranges of w + 4 bytes:
 *       .  else entries of 4 + p:            first page, pages u32
 *          end offset u32, pointer           else pointers
 *
 *   mirage_geo.c    widths, pointers, validity of a node
 *   mirage_tree.c   what ropes and the queue have in common as trees
 *   mirage_rope.c   bytes of a file
 *   mirage_queue.c  the free queue
 *   mirage_time.c   modification times
 *   mirage_names.c  the file table in memory: an ordered map
 *   mirage_table.c  the file table on disk
 *   mirage_header.c header, format; layouts of the pages below
 *   mirage_roots.c  root pages and leaves
 *   mirage_commit.c mounts, commits, aborts
 *   mirage_walk.c   every page of a generation
 */
#ifndef NF_MIRAGE_INT_H
#define NF_MIRAGE_INT_H

#include "notafs/nf_int.h"

#define MIRAGE_ROOTS       4
#define MIRAGE_SLOTS       8
#define MIRAGE_LEAVES      (MIRAGE_ROOTS * MIRAGE_SLOTS)
#define MIRAGE_FIRST_PAGE  5  /* pages before it are never in a tree */
#define MIRAGE_BLANK_START 13 /* free_start of an empty disk */
#define MIRAGE_BLANK_SUM   1  /* of a null pointer, or a page being summed */
#define MIRAGE_MIN_PAGES   32 /* of a disk formatted here */
#define MIRAGE_MIN_PAGE    512
#define MIRAGE_MAX_PAGE    65536
#define MIRAGE_MAX_FORMAT  4096      /* larger pages make OCaml Notafs abort */
#define MIRAGE_MAX_BYTES   INT32_MAX /* OCaml Notafs reads keys as signed */
#define MIRAGE_MAX_NAME    255       /* of names made here; any is read */
#define MIRAGE_ROPE_HEAD   4         /* bytes before the entries of a node */
#define MIRAGE_QUEUE_HEAD  3
#define MIRAGE_DEPTH       64 /* levels of a tree */
#define MIRAGE_RIGHT_EDGE                                                      \
    48 /* the same where it grows: space.tail[] has                            \
          room for what a copy of them frees */
#define MIRAGE_ANY_HEIGHT UINT32_MAX
#define MIRAGE_NO_TURN    UINT32_MAX
#define MIRAGE_LEVELS     12 /* of the skip list, 4 times as many names each */

/* Widths and capacities that follow from page count, size and checksum. */
struct mirage_geo {
    uint32_t page_size;
    uint32_t id_len;
    uint32_t sum_len;
    uint32_t ptr_len;
    uint32_t rope_bytes;     /* of a leaf */
    uint32_t rope_entries;   /* of an inner node */
    uint32_t queue_ranges;   /* of a leaf */
    uint32_t queue_children; /* of an inner node */
};

/* A name in the table, in a skip list ordered by (dir, name). A file without
 * a byte has no rope here: the empty page that the format wants for it belongs
 * to the entry. */
struct mirage_entry {
    struct nf_rec rec;
    uint64_t dir;
    uint64_t time;             /* rec.mtime as on disk, a float64 */
    struct nf_ptr empty;       /* the page of a file of size 0 */
    struct mirage_entry *prev; /* in order */
    struct mirage_entry *up;   /* a directory being traversed: the one above */
    uint64_t left;             /* the same: entries to come, while loading */
    char *name;
    size_t name_len;
    bool fresh; /* made by this transaction */
    uint8_t n_levels;
    struct mirage_entry *next[];
};

/* A change of the running transaction: NULL where there was or is no entry. */
struct mirage_undo {
    struct mirage_undo *next;
    struct mirage_entry *old;
    struct mirage_entry *now;
};

/* All names. */
struct mirage_names {
    struct mirage_entry *first[MIRAGE_LEVELS];
    struct mirage_undo *undo;
    struct nf_counts committed; /* counts to return to */
    uint64_t bytes;             /* of the table on disk, at most */
    uint64_t random;            /* state of a xorshift: levels */
};

/*
 * The free queue. Its tree is read from the left by a cursor, a path of indices
 * from the root, and written at the right; what the cursor has passed stays in
 * the tree until it is trimmed.
 */
struct mirage_queue {
    struct nf_ptr root;
    uint16_t path[MIRAGE_DEPTH];
    uint32_t depth;        /* of the leaf; path[depth] is the range */
    uint64_t skip;         /* pages of it that were taken */
    struct nf_extent next; /* what is left of it; count 0: not read yet */
    uint64_t version;      /* counts moves of the cursor */
};

/* A generation as its leaf page tells it. */
struct mirage_leaf {
    uint64_t page;
    uint64_t generation;
    uint64_t free_start;
    uint64_t free_count; /* signed, and wrong where OCaml Notafs wrote it */
    struct nf_ptr queue;
    struct nf_ptr table;
    uint32_t root; /* root page that lists it */
    uint32_t slot; /* and where */
};

/* A root page. */
struct mirage_root {
    bool good;
    uint64_t first; /* generation of slot 0 */
    uint32_t n_slots;
    uint64_t slots[MIRAGE_SLOTS];
};

struct nf_mirage {
    struct mirage_geo geo;
    struct mirage_root roots[MIRAGE_ROOTS]; /* page i + 1 */
    struct mirage_leaf leaf;                /* committed */
    uint64_t queue_pages;                   /* free pages in its queue */
    struct nf_rope committed_table;
    struct mirage_leaf next_leaf; /* being committed */
    struct mirage_root next_root; /* lists it */
    bool rolls;                   /* which is another one than before */
    bool writing;                 /* they may be on the disk, or not */
    struct mirage_queue queue;
    struct mirage_names names;
    struct nf_rope table; /* as last written */
    bool table_dirty;     /* names have changed since */
    uint64_t n_empty;     /* files that wait for the page of an empty file */
    struct nf_ptr raised; /* a tree's new root, while it is made */
    struct nf_ptr cut;    /* a subtree being freed */
    uint8_t *buf;         /* a page: the table being read or written, roots */
};

/* ---- mirage_geo.c --------------------------------------------------- */

/* False: no such disk. */
bool nf_mirage_geo_init(struct mirage_geo *geo, uint64_t page_count,
                        uint32_t page_size, enum nf_checksum checksum);
uint64_t nf_mirage_get_id(const struct mirage_geo *geo, const uint8_t *p);
void nf_mirage_put_id(const struct mirage_geo *geo, uint8_t *p, uint64_t id);
void nf_mirage_get_ptr(const struct mirage_geo *geo, const uint8_t *p,
                       struct nf_ptr *ret);
void nf_mirage_put_ptr(const struct mirage_geo *geo, uint8_t *p,
                       const struct nf_ptr *ptr);

uint32_t nf_mirage_ptr_len(const struct nf *nf);
int nf_mirage_node_check(struct nf *nf, enum nf_kind kind, const uint8_t *page);
uint32_t nf_mirage_ptr_count(const struct nf *nf, enum nf_kind kind,
                             const uint8_t *page);
uint32_t nf_mirage_ptr_at(const struct nf *nf, enum nf_kind kind,
                          const uint8_t *page, uint32_t i);
void nf_mirage_ptr_get(const struct nf *nf, const uint8_t *p,
                       struct nf_ptr *ret);
void nf_mirage_ptr_put(const struct nf *nf, uint8_t *p,
                       const struct nf_ptr *ptr);

uint32_t nf_mirage_capacity(const struct nf *nf, enum nf_kind kind,
                            uint32_t height);

/* Ranges of a leaf of the queue. */
void nf_mirage_range_get(const struct nf *nf, const uint8_t *page, uint32_t i,
                         struct nf_extent *ret);
void nf_mirage_range_put(const struct nf *nf, uint8_t *page, uint32_t i,
                         const struct nf_extent *range);

/* Keys of an inner node of a rope. */
static inline uint32_t mirage_key(const struct nf *nf, const uint8_t *page,
                                  uint32_t i)
{
    return nf_get_le32(page + nf_mirage_ptr_at(nf, NF_KIND_ROPE, page, i) - 4);
}

static inline void mirage_key_put(const struct nf *nf, uint8_t *page,
                                  uint32_t i, uint64_t key)
{
    nf_assert(key <= MIRAGE_MAX_BYTES);
    nf_put_le32(page + nf_mirage_ptr_at(nf, NF_KIND_ROPE, page, i) - 4,
                (uint32_t)key);
}

/* A node's height and count, of either kind. */
static inline uint32_t mirage_height(enum nf_kind kind, const uint8_t *page)
{
    return kind == NF_KIND_ROPE ? nf_get_le16(page) : page[0];
}

static inline uint32_t mirage_count(enum nf_kind kind, const uint8_t *page)
{
    return nf_get_le16(page + (kind == NF_KIND_ROPE ? 2 : 1));
}

static inline void mirage_set_head(enum nf_kind kind, uint8_t *page,
                                   uint32_t height, uint32_t count)
{
    if (kind == NF_KIND_ROPE) {
        nf_put_le16(page, (uint16_t)height);
        nf_put_le16(page + 2, (uint16_t)count);
    } else {
        page[0] = (uint8_t)height;
        nf_put_le16(page + 1, (uint16_t)count);
    }
}

static inline void mirage_set_count(enum nf_kind kind, uint8_t *page,
                                    uint32_t count)
{
    mirage_set_head(kind, page, mirage_height(kind, page), count);
}

/* Bytes below a node of a rope. */
static inline uint32_t mirage_node_size(const struct nf *nf,
                                        const uint8_t *page)
{
    uint32_t count = mirage_count(NF_KIND_ROPE, page);
    return mirage_height(NF_KIND_ROPE, page) == 0
               ? count
               : mirage_key(nf, page, count - 1);
}

/* ---- mirage_tree.c -------------------------------------------------- */

/* The page at slot, pinned; its height must be less than below. own: writable.
 */
NF_MUST_USE int nf_mirage_node_get(struct nf *nf, struct nf_slot slot,
                                   enum nf_kind kind, uint32_t below, bool own,
                                   struct nf_frame **ret);

/* Where the pointer to child i stands. */
static inline struct nf_slot mirage_slot(const struct nf *nf,
                                         struct nf_frame *frame, uint32_t i)
{
    return nf_slot_in(
        frame, nf_mirage_ptr_at(nf, (enum nf_kind)frame->kind, frame->data, i));
}

/* The last leaf, writable and pinned, with room for one range or byte at
 * least: a new one where the old is full, or where there is none. */
NF_MUST_USE int nf_mirage_tree_extend(struct nf *nf, struct nf_ptr *root,
                                      enum nf_kind kind, struct nf_frame **ret);

/* Make the first child of the root page frame, which is unpinned and freed, the
 * root. */
NF_MUST_USE int nf_mirage_tree_lower(struct nf *nf, struct nf_ptr *root,
                                     struct nf_frame *frame);

/* Take child i of a writable page: its pointer is in mirage.cut then, for
 * nf_mirage_tree_free. The caller removes it from the page. */
void nf_mirage_tree_cut(struct nf *nf, struct nf_frame *frame, uint32_t i);

/* Free all pages of a tree. */
NF_MUST_USE int nf_mirage_tree_free(struct nf *nf, struct nf_ptr *root,
                                    enum nf_kind kind);

/* ---- mirage_rope.c -------------------------------------------------- */

int nf_mirage_rope_read(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        uint8_t *buf, size_t len);
int nf_mirage_rope_write(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         const uint8_t *buf, size_t len);
int nf_mirage_rope_truncate(struct nf *nf, struct nf_rope *rope, uint64_t size);
int nf_mirage_rope_free(struct nf *nf, struct nf_rope *rope);
uint64_t nf_mirage_rope_need(const struct nf *nf, const struct nf_rope *rope,
                             uint64_t off, uint64_t len);
int nf_mirage_rope_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        bool data, uint64_t *ret);

/* ---- mirage_queue.c ------------------------------------------------- */

int nf_mirage_queue_front(struct nf *nf, struct nf_extent *ret);
void nf_mirage_queue_take(struct nf *nf, uint64_t n);
int nf_mirage_queue_spill(struct nf *nf);
int nf_mirage_queue_trim(struct nf *nf);

/* Take over a queue, and count it: space.queue_pages. Its ranges must lie below
 * free_start. */
NF_MUST_USE int nf_mirage_queue_load(struct nf *nf, const struct nf_ptr *root,
                                     uint64_t free_start);

/* The cursor is at the front of the tree of that root. */
void nf_mirage_queue_reset(struct nf *nf, const struct nf_ptr *root);

/* The tree got a root above its root, or lost it. */
void nf_mirage_queue_raised(struct nf *nf);
void nf_mirage_queue_lowered(struct nf *nf);

/* ---- mirage_time.c -------------------------------------------------- */

bool nf_mirage_time_valid(struct nf_time time);

/* From the bits of a float64: false if that is no time. */
bool nf_mirage_time_get(uint64_t bits, struct nf_time *ret);
uint64_t nf_mirage_time_put(struct nf_time time); /* a valid one */

/* ---- mirage_names.c ------------------------------------------------- */

/* An entry that is in no list yet; all but dir and the name's room is 0. */
struct mirage_entry *nf_mirage_entry_new(struct nf *nf, uint64_t dir,
                                         size_t name_len);
void nf_mirage_entry_free(struct nf *nf, struct mirage_entry *entry);

/* A file without a byte that has no page for that yet. */
bool nf_mirage_entry_needs_page(const struct mirage_entry *entry);

/* NULL: there is none. after: in that directory; scan: in any. */
struct mirage_entry *nf_mirage_names_find(struct nf *nf, uint64_t dir,
                                          const char *name, size_t len);
struct mirage_entry *nf_mirage_names_after(struct nf *nf, uint64_t dir,
                                           const char *name, size_t len);
struct mirage_entry *nf_mirage_names_scan(struct nf *nf, uint64_t dir,
                                          const char *name, size_t len);
struct mirage_entry *nf_mirage_names_last(struct nf *nf, uint64_t dir);

/* Add an entry of the table on disk, which takes the place of an earlier one of
 * the same name. Takes it. */
void nf_mirage_names_load(struct nf *nf, struct mirage_entry *entry);

void nf_mirage_names_commit(struct nf *nf); /* what was changed stays */
void nf_mirage_names_abort(struct nf *nf);  /* or is undone */
void nf_mirage_names_clear(struct nf *nf);

int nf_mirage_table_put(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, const struct nf_rec *rec);
int nf_mirage_table_del(struct nf *nf, uint64_t dir, const char *name,
                        size_t len);

/* ---- mirage_table.c ------------------------------------------------- */

int nf_mirage_table_get(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, struct nf_rec *ret);
int nf_mirage_table_next(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, const char **ret_name, size_t *ret_len,
                         struct nf_rec *ret);
int nf_mirage_table_scan(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, uint64_t *ret_dir, const char **ret_name,
                         size_t *ret_len, struct nf_rec *ret);
int nf_mirage_table_flush(struct nf *nf);
uint64_t nf_mirage_table_need(const struct nf *nf, uint64_t n);
uint32_t nf_mirage_max_name_bytes(const struct nf *nf);
uint32_t nf_mirage_max_inline_bytes(const struct nf *nf, size_t name_len);

/* Read the table of that root, or none, and the root page of every file. */
NF_MUST_USE int nf_mirage_table_load(struct nf *nf, const struct nf_ptr *root);

/* ---- mirage_header.c ------------------------------------------------ */

/* Checksum of a page that has it in its last bytes. */
bool nf_mirage_self_ok(const struct mirage_geo *geo, uint8_t *page);
void nf_mirage_self_put(const struct mirage_geo *geo, uint8_t *page);

void nf_mirage_header_put(const struct nf_disk *disk,
                          const struct mirage_geo *geo, uint8_t *page);
int nf_mirage_probe(struct bd *bd, struct nf_mem *mem, struct nf_disk *ret);
int nf_mirage_format_disk(struct bd *bd, struct nf_mem *mem,
                          const struct nf_format_options *options);

/* ---- mirage_roots.c ------------------------------------------------- */

/* Between bytes and structs. get: false if the page is damaged. */
void nf_mirage_root_put(const struct mirage_geo *geo,
                        const struct mirage_root *root, uint8_t *page);
bool nf_mirage_root_get(const struct mirage_geo *geo, uint64_t page_count,
                        uint8_t *page, struct mirage_root *ret);
void nf_mirage_leaf_put(const struct mirage_geo *geo, uint64_t uid,
                        const struct mirage_leaf *leaf, uint8_t *page);
bool nf_mirage_leaf_get(const struct mirage_geo *geo,
                        const struct nf_disk *disk, uint8_t *page,
                        struct mirage_leaf *ret);

/* Read all root pages; damaged ones are not good then. */
NF_MUST_USE int nf_mirage_roots_read(struct nf *nf);

/* The leaf in a slot of root page r; ret->generation 0: none that is valid. */
NF_MUST_USE int nf_mirage_slot_read(struct nf *nf, uint32_t r, uint32_t slot,
                                    struct mirage_leaf *ret);

/* All leaves, MIRAGE_LEAVES at most, the newest first: their number. */
NF_MUST_USE int nf_mirage_leaves_read(struct nf *nf, struct mirage_leaf *ret);

int nf_mirage_generations(struct nf *nf, struct nf_generation *ret, size_t max);

/* ---- mirage_commit.c ------------------------------------------------ */

int nf_mirage_open(struct nf *nf, uint64_t generation);
int nf_mirage_reload(struct nf *nf);
void nf_mirage_close(struct nf *nf);
int nf_mirage_publish(struct nf *nf);

/* ---- mirage_walk.c -------------------------------------------------- */

extern const struct nf_walk_format nf_mirage_walk_format;

#endif
