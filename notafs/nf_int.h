/* SPDX-License-Identifier: ISC */
/*
 * The engine's inside: what its files share.
 *
 * A disk is a forest of pages under one generation: file ropes, the file table
 * and the free queue. A page is found through a pointer that carries its
 * checksum, and a change to a page makes a copy at another place and changes
 * the pointer, up to the root (copy on write). What differs between the two
 * profiles is behind struct nf_format; everything else is common:
 *
 *   fs.c       mount, transactions, the order of a commit
 *   cache.c    frames: pages in memory, made dirty, sealed, spilled, written
 *   space.c    which page may be given out, and when a freed one may return
 *   names.c    paths and directories over the file table
 *   file.c     open files
 *   walk.c     visiting every page of a generation; scrub.c on top of it
 *   native_*.c, mirage_*.c    the two struct nf_format
 */
#ifndef NF_INT_H
#define NF_INT_H

#include <notafs/notafs.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"
#include "notafs/platform/mem.h"
#include "notafs/platform/trace.h"

#define NF_MIN_FRAMES     16  /* smallest page cache */
#define NF_KEEP           2   /* generations whose pages are never given out */
#define NF_KEEP_NO_FLUSH  8   /* the same where the device has no flush */
#define NF_MAX_HEIGHT     24  /* levels of any tree; deeper is corruption */
#define NF_NAME_MAX       255 /* longest name on native */
#define NF_ROOT_DIR       1   /* id of the root directory */
#define NF_TAIL_RANGES    256 /* freed ranges kept in memory */
#define NF_DIRECT         64  /* requests of one batch around the cache */
#define NF_CLUSTER        65536u /* bytes that are compressed together */
#define NF_MAX_OPEN_DIRTY 16     /* closed files that wait for a commit */

/* ---- Pointers ------------------------------------------------------- */

/* A page as its parent knows it. id 0 is the null pointer. birth is the
 * generation that wrote it; where the format does not store that (mirage)
 * it is the running transaction's for pages certainly written by it, else
 * 0. */
struct nf_ptr {
    uint64_t id;
    uint64_t birth;
    uint64_t sum;
    bool packed; /* native: the first page of a compressed cluster */
};

/* Pages [first, first + count). */
struct nf_extent {
    uint64_t first;
    uint64_t count;
};

/* What a page holds decides where its pointers stand. */
enum nf_kind {
    NF_KIND_DATA,  /* bytes of a file, no pointers (native) */
    NF_KIND_ROPE,  /* rope node */
    NF_KIND_TABLE, /* file table node (native) */
    NF_KIND_QUEUE, /* free queue node (mirage) */
};

/* ---- Frames --------------------------------------------------------- */

/*
 * A page in memory. Clean: equal to what is on the device. Dirty: has its own
 * new place already (id), but was not written there yet. A dirty frame is
 * sealed once its checksum stands in its parent; only sealed frames can be
 * written. parent, root and slot_off say where its pointer is, and hold only
 * while it is dirty and not sealed: the parent frame is dirty and in the cache
 * then, kept there by n_unsealed.
 */
struct nf_frame {
    uint64_t id; /* 0: the frame is unused */
    uint8_t *data;
    struct nf_frame *hash_next;
    struct nf_frame *lru_prev;
    struct nf_frame *lru_next;
    struct nf_frame *parent;
    struct nf_ptr *root;
    uint64_t sum;        /* sealed: its checksum */
    uint32_t slot_off;   /* byte of the pointer in the parent: a hint */
    uint32_t n_unsealed; /* dirty children in the cache that are not sealed */
    uint16_t pins;
    uint8_t kind; /* enum nf_kind */
    bool dirty;
    bool sealed;
    bool fresh; /* written by this transaction */
};

/* Where a pointer is: in a frame at a byte offset, or in memory (parent NULL).
 * Two words, so that it is passed in registers. */
struct nf_slot {
    struct nf_frame *parent;
    union {
        uint64_t off;
        struct nf_ptr *root;
    };
};

static inline struct nf_slot nf_slot_in(struct nf_frame *parent, uint32_t off)
{
    const struct nf_slot slot = {.parent = parent, .off = off};
    return slot;
}

static inline struct nf_slot nf_slot_root(struct nf_ptr *root)
{
    const struct nf_slot slot = {.parent = NULL, .root = root};
    return slot;
}

struct nf_cache {
    struct nf_frame *frames;
    uint8_t *pages;
    struct nf_frame **hash;
    struct nf_frame **order; /* scratch: frames to write, by id, or to read */
    struct bd_request *reqs; /* scratch: their requests */
    struct bd_request direct[NF_DIRECT]; /* scratch: transfers around it */
    struct nf_frame lru; /* head: lru.next is the most recently used */
    size_t n_frames;
    size_t n_hash; /* a power of two */
    size_t n_dirty;
    bool spilled; /* something of this transaction was written already */
    uint64_t hits;
    uint64_t misses;
    uint64_t n_spilled;
};

/* ---- Ropes, records, inodes ----------------------------------------- */

/* The bytes of one file. */
struct nf_rope {
    struct nf_ptr root; /* null: no page yet */
    uint8_t height;     /* native: levels of inner pages above the data */
    bool lz4;           /* native: clusters may be compressed */
    uint64_t size;      /* bytes */
};

/* One entry of the file table. */
struct nf_rec {
    enum nf_type type;
    uint64_t id;
    struct nf_time mtime;
    struct nf_rope rope;
    /* Native: the whole file while it is small (rope.root null then). Borrowed:
     * of a lookup until the next call on the table. */
    const uint8_t *inline_data;
};

/* An open file, or a closed one whose record still waits for the commit. */
struct nf_inode {
    struct nf_inode *next;
    uint32_t refs;
    uint64_t dir; /* where its record is */
    char *name;
    size_t name_len;
    struct nf_rec rec;
    uint8_t *inline_buf; /* rec.inline_data points here */
    size_t inline_cap;
    bool dirty; /* the record in the table has an older root */
    bool stale; /* removed; committed so if rec.id is 0 */
};

struct nf_file {
    struct nf *nf;
    struct nf_inode *inode;
};

/* ---- Space ---------------------------------------------------------- */

/*
 * Free pages: [free_start, page_count) never used; the queue; and pages that
 * the running transaction took and gave back. Freed pages go through tail[] to
 * the end of the queue, and pages are taken from its front, so that order is
 * age. pushed counts all pages ever pushed; hist[i] is what it was at the end
 * of generation (committed - i). A page pushed by generation g is in g - 1 but
 * not in g, so the first (pushed as of g) pages in the queue's order are the
 * ones that no generation from g on can reach.
 */
#define NF_HIST 8
struct nf_space {
    uint64_t free_start;
    uint64_t queue_pages; /* free pages in the queue, tail[] included */
    uint64_t pushed;
    uint64_t hist[NF_HIST];
    uint64_t bump_at_begin; /* free_start when the transaction began */
    struct nf_extent tail[NF_TAIL_RANGES];
    size_t n_tail;
    bool spilling; /* tail[] is being moved to pages of the queue */
    struct nf_extent recycle[NF_TAIL_RANGES];
    size_t n_recycle;
    uint64_t recycle_pages;
    uint64_t shrink_to; /* the disk's pages to be, while it shrinks; else 0 */
};

/* Freed pages that the device is not told of yet: see discard.c. */
#define NF_DISCARDS 256
struct nf_discards {
    struct {
        struct nf_extent pages;
        uint64_t pushed; /* space.pushed with them */
        uint64_t before; /* and before their transaction */
    } list[NF_DISCARDS];
    size_t n;
    size_t n_committed;
};

/* A transaction's counts, for the accounting of the generation. */
struct nf_counts {
    uint64_t files;
    uint64_t dirs;
    uint64_t next_id;
};

/* Native: the free queue is a rope of records between two byte offsets. */
struct nf_native_queue {
    struct nf_rope rope;
    uint64_t head;          /* first record with a page not taken yet */
    uint64_t skip;          /* pages of it that were taken */
    uint64_t trim;          /* bytes before this were given back */
    uint64_t end;           /* where the next record goes */
    struct nf_extent front; /* the record at head, count 0: not read yet */
};

struct nf_native {
    struct nf_ptr table;
    uint8_t table_height;
    uint32_t table_pages;
    struct nf_native_queue queue;
    uint8_t *cluster;       /* scratch: a cluster as it is read ... */
    uint8_t *packed;        /* ... and as it is stored */
    uint8_t cell_buf[1400]; /* scratch: a table cell */
};

struct nf_mirage; /* mirage_int.h */

/* ---- The handle ----------------------------------------------------- */

/* What is used in most places stands first, the large parts last: the first 128
 * bytes are reached by shorter instructions. */
struct nf {
    const struct nf_format *format;
    uint64_t generation; /* committed, or viewed */
    uint64_t page_count;
    uint64_t first_page; /* pages before it are in no tree, and never free */
    struct nf_mem mem;
    uint32_t flags; /* enum nf_mount_flags */
    int failed;     /* the transaction cannot go on: its first error */
    bool readonly;
    bool in_txn;        /* something was changed */
    bool commit_failed; /* what is on the disk is not known */
    bool settled; /* the newest two generations hold nothing that is free */
    uint32_t n_closed_dirty;
    struct nf_disk disk;
    struct nf_inode *inodes;
    struct nf_native native;
    struct bd bd; /* a copy: counters of its own */
    const struct nf_codec *codec;
    int (*verify)(struct nf *nf); /* NULL: the program cannot */
    struct nf_mirage *mirage;
    struct nf_discards *discards; /* NULL: the device has no use for them */
    struct nf_counts counts;
    uint64_t seen; /* highest generation number on the disk, valid or not */
    int64_t free_recorded; /* mirage: free pages as the generation has them */
    uint64_t hashed;
    uint64_t commits;
    struct nf *writer; /* a view: whose pages it pins */
    struct nf *views;  /* pinned views, linked by next_view */
    struct nf *next_view;
    uint64_t pin_pushed; /* a view: space.pushed of its generation */
    uint8_t *scratch;    /* one page, for headers and generation pages */
    struct nf_error_info error;
    struct nf_space space;
    struct nf_cache cache;
    char name_buf[NF_NAME_MAX + 1];
};

/* The transaction's generation: what pages written now are born in. */
static inline uint64_t nf_txn_gen(const struct nf *nf)
{
    return nf->generation + 1;
}

static inline bool nf_ptr_is_null(const struct nf_ptr *ptr)
{
    return ptr->id == 0;
}

static inline bool nf_ptr_is_fresh(const struct nf *nf,
                                   const struct nf_ptr *ptr)
{
    return ptr->birth == nf_txn_gen(nf);
}

/* ---- The two formats ------------------------------------------------ */

struct nf_walk;
struct nf_walk_node;

struct nf_format {
    /* Pointers in pages. node_check looks at the page behind ptr; ptr_count
     * and ptr_at trust what it accepted; ptr_at gives the byte offset of
     * pointer i. */
    uint32_t (*ptr_len)(const struct nf *nf); /* bytes */
    int (*node_check)(struct nf *nf, enum nf_kind kind,
                      const struct nf_ptr *ptr, const uint8_t *page);
    uint32_t (*ptr_count)(const struct nf *nf, enum nf_kind kind,
                          const uint8_t *page);
    uint32_t (*ptr_at)(const struct nf *nf, enum nf_kind kind,
                       const uint8_t *page, uint32_t i);
    void (*ptr_get)(const struct nf *nf, const uint8_t *p, struct nf_ptr *ret);
    void (*ptr_put)(const struct nf *nf, uint8_t *p, const struct nf_ptr *ptr);
    uint64_t (*page_sum)(const uint8_t *page, size_t len,
                         enum nf_checksum checksum);

    /* The header, from a device of any page size; NF_EC_NOT_FORMATTED: it is
     * not of this format. */
    int (*probe)(struct bd *bd, struct nf_mem *mem, struct nf_disk *ret);

    /* Native, and for a disk of either format: the copies that an older header
     * left where probe looks for one are gone, durably. */
    int (*forget_copies)(struct bd *bd, struct nf_mem *mem);

    /* Generations. open chooses one and loads it (generation 0: the newest
     * valid), publish writes the next one and all dirty frames. reload returns
     * to the committed one for an abort; if nf.commit_failed, to what is on the
     * disk. */
    int (*format_disk)(struct bd *bd, struct nf_mem *mem,
                       const struct nf_format_options *options);
    int (*open)(struct nf *nf, uint64_t generation);
    int (*reload)(struct nf *nf);
    void (*close)(struct nf *nf);
    int (*publish)(struct nf *nf);

    /* Free queue: what space.c needs. front peeks at the first free pages that
     * were not taken (count 0: none left), take takes the first n of them.
     * spill moves tail[] into pages of the queue, trim gives back the queue's
     * pages before the front. */
    int (*queue_front)(struct nf *nf, struct nf_extent *ret);
    void (*queue_take)(struct nf *nf, uint64_t n);
    int (*queue_spill)(struct nf *nf);
    int (*queue_trim)(struct nf *nf);
    uint64_t (*queue_own)(
        const struct nf *nf); /* its own pages; NULL: unknown */

    /* File table, a map from (directory, name) to record. get: NF_ENOENT.
     * put inserts or replaces. next: the first entry after name in that
     * directory, 1, or 0: none; name_len 0 starts; ret_name lives until the
     * next call on the table. */
    int (*table_get)(struct nf *nf, uint64_t dir, const char *name, size_t len,
                     struct nf_rec *ret);
    int (*table_put)(struct nf *nf, uint64_t dir, const char *name, size_t len,
                     const struct nf_rec *rec);
    int (*table_del)(struct nf *nf, uint64_t dir, const char *name, size_t len);
    int (*table_next)(struct nf *nf, uint64_t dir, const char *name, size_t len,
                      const char **ret_name, size_t *ret_len,
                      struct nf_rec *ret);
    int (*table_flush)(struct nf *nf); /* mirage: write it out */
    /* Pages that n changes of the table may take. */
    uint64_t (*table_need)(const struct nf *nf, uint64_t n);

    /* Ropes. read and write: [off, off + len) lies within / may lie beyond the
     * size. need: pages at most that a write may take. */
    int (*rope_read)(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                     uint8_t *buf, size_t len);
    int (*rope_write)(struct nf *nf, struct nf_rope *rope, uint64_t off,
                      const uint8_t *buf, size_t len);
    int (*rope_truncate)(struct nf *nf, struct nf_rope *rope, uint64_t size);
    int (*rope_free)(struct nf *nf, struct nf_rope *rope);
    uint64_t (*rope_need)(const struct nf *nf, const struct nf_rope *rope,
                          uint64_t off, uint64_t len);

    /* The entry behind (dir, name) in the order of the table, whatever its
     * directory: 1, or 0. What cannot be read is skipped. */
    int (*table_scan)(struct nf *nf, uint64_t dir, const char *name, size_t len,
                      uint64_t *ret_dir, const char **ret_name, size_t *ret_len,
                      struct nf_rec *ret);

    uint64_t (*table_pages)(const struct nf *nf); /* that it consists of; NULL:
                                                     table_need has them */
    uint64_t (*min_pages)(const struct nf *nf);   /* of a disk of this layout */
    /* Generations after which freed pages are used again before fresh ones. 0:
     * fresh ones first: mirage has eight generations in one root page, and
     * needs older ones if that is damaged. */
    uint64_t reuse_age;
    uint64_t max_file_bytes;
    uint32_t (*max_name_bytes)(const struct nf *nf);
    /* Bytes of a file that may live in its record; 0 where none can. */
    uint32_t (*max_inline_bytes)(const struct nf *nf, size_t name_len);
    /* Modification times as OCaml Notafs sets them: not by writes; by creating,
     * emptying, removing and renaming, on every directory of the path; and a
     * file that is replaced by a rename keeps its own. */
    bool mirage_times;
    bool births;  /* pointers tell when their page was written */
    bool holes;   /* nf_rope_punch can be called ... */
    bool recodes; /* ... and nf_rope_recode */
};

extern const struct nf_format nf_native_format;
extern const struct nf_format nf_mirage_format;

/* ---- extras.c ------------------------------------------------------- */

/* For walk.h: the pages that belong to no tree; the root of the queue's
 * tree, of the table's and of a file's, pushed; what a leaf of the queue
 * holds; whether a page has the height that its parent wants; and child i
 * of a page as a node of the walk, false if it is null. */
struct nf_walk_format {
    void (*system)(struct nf *nf, struct nf_walk *walk);
    void (*queue)(struct nf *nf, struct nf_walk *walk);
    void (*table)(struct nf *nf, struct nf_walk *walk);
    void (*file)(struct nf *nf, struct nf_walk *walk, const struct nf_rec *rec);
    void (*queue_leaf)(struct nf *nf, struct nf_walk *walk, uint64_t offset,
                       const uint8_t *page);
    bool (*height_ok)(const struct nf_walk_node *node, const uint8_t *page);
    bool (*child)(const struct nf_walk *walk, const struct nf_walk_node *node,
                  const uint8_t *page, uint32_t i, struct nf_walk_node *ret);
};

/* What a program need not have: not in struct nf_format, so that it is not
 * linked unless it is called. */
const struct nf_walk_format *nf_walk_format(const struct nf *nf);
int nf_list_generations(struct nf *nf, struct nf_generation *ret, size_t max);
int nf_rope_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                 bool data, uint64_t *ret);
int nf_rope_punch(struct nf *nf, struct nf_rope *rope, uint64_t off,
                  uint64_t len);
int nf_rope_recode(struct nf *nf, struct nf_rope *rope, bool lz4);

/* ---- error.c -------------------------------------------------------- */

/* Note where and why, and return err: the one place where corruption is
 * raised. page may be NF_NOWHERE. */
int nf_fail(struct nf *nf, int err, uint64_t page, const char *what);

/* The same for a wrong value. */
int nf_fail_value(struct nf *nf, int err, uint64_t page, const char *what,
                  uint64_t expected, uint64_t found);

/* ---- checksum.c ----------------------------------------------------- */

uint64_t nf_xxh3(const uint8_t *p, size_t len); /* len > 240 */
uint32_t nf_adler32(const uint8_t *p, size_t len);

/* Checksum of a whole page with the disk's algorithm; 0 with none. */
uint64_t nf_page_sum(struct nf *nf, const uint8_t *page);

/* ---- cache.c -------------------------------------------------------- */

NF_MUST_USE int nf_cache_open(struct nf *nf, size_t bytes);
void nf_cache_close(struct nf *nf);

/* The page that ptr names, pinned: read and verified unless it is there. */
NF_MUST_USE int nf_cache_get(struct nf *nf, const struct nf_ptr *ptr,
                             enum nf_kind kind, struct nf_frame **ret);

/* Children first to first + n - 1 of a pinned node are about to be read: what
 * is not there yet comes in one batch, as far as there is room without writing.
 * A page that is damaged or cannot be read stays away, for nf_cache_get to
 * tell.
 */
void nf_cache_prefetch(struct nf *nf, const struct nf_frame *parent,
                       uint32_t first, uint32_t n, enum nf_kind kind);

/* A frame that is there already, pinned, or NULL. */
struct nf_frame *nf_cache_peek(struct nf *nf, uint64_t id);

/* A new page, zeroed, dirty and pinned. Its pointer at slot is set (the
 * checksum follows when it is sealed); slot.parent must be owned. */
NF_MUST_USE int nf_cache_new(struct nf *nf, struct nf_slot slot,
                             enum nf_kind kind, struct nf_frame **ret);

/* Make a pinned frame writable: unless this transaction wrote it, it gets a
 * new place, its old one is freed, and the pointer at slot (which must be its
 * own; slot.parent must be owned) is changed. */
NF_MUST_USE int nf_cache_own(struct nf *nf, struct nf_frame *frame,
                             struct nf_slot slot);

/* nf_cache_get and nf_cache_own of the page that the pointer at slot names. */
NF_MUST_USE int nf_cache_get_own(struct nf *nf, struct nf_slot slot,
                                 enum nf_kind kind, struct nf_frame **ret);

void nf_cache_pin(struct nf_frame *frame);
void nf_cache_unpin(struct nf_frame *frame); /* NULL is fine */

/* The pointer at slot. */
void nf_slot_get(struct nf *nf, struct nf_slot slot, struct nf_ptr *ret);
void nf_slot_put(struct nf *nf, struct nf_slot slot, const struct nf_ptr *ptr);

/* Pointers were moved from page `from` to page `to`: unsealed children that
 * went along get their new parent. */
void nf_cache_reparent(struct nf *nf, struct nf_frame *from,
                       struct nf_frame *to);

/* The pointer to page id was moved from slot `from` to slot `to` (a new root
 * above the old one, say): if its page is unsealed, it belongs there now. The
 * pointer itself is the caller's to copy. */
void nf_cache_move(struct nf *nf, uint64_t id, struct nf_slot from,
                   struct nf_slot to);

/* Whether a page that is about to be given out is in use after all. */
bool nf_cache_knows(const struct nf *nf, uint64_t id);

/* Compute the checksums of all dirty frames, children first. */
void nf_cache_seal(struct nf *nf);

/* Write all dirty frames that are sealed (all must be), and with them, in the
 * same batch, one page more if extra is not NULL. They are clean then. */
NF_MUST_USE int nf_cache_write(struct nf *nf, uint64_t extra_id,
                               const uint8_t *extra);

/* The transaction has ended well: what it wrote is older now. */
void nf_cache_committed(struct nf *nf);

/* Forget every frame. */
void nf_cache_drop(struct nf *nf);

/* Free a page: a pointer that no one will follow any more. */
NF_MUST_USE int nf_page_free(struct nf *nf, const struct nf_ptr *ptr);

/* ---- space.c -------------------------------------------------------- */

/* Pages that changes may still take; freeing ones may dip into the reserve. */
uint64_t nf_space_usable(const struct nf *nf, bool freeing);

/* NF_ENOSPC unless that many pages may be taken. A change that frees more in
 * the end may take from the reserve. */
NF_MUST_USE int nf_space_require(struct nf *nf, uint64_t pages, bool freeing);

/* Take one page, or up to max adjacent ones. */
NF_MUST_USE int nf_space_alloc(struct nf *nf, uint64_t *ret);
NF_MUST_USE int nf_space_alloc_run(struct nf *nf, uint64_t max,
                                   struct nf_extent *ret);

/* Take at most max pages from the front of the queue, whoever may need them:
 * none where they lie beyond the end of a shrinking disk. */
NF_MUST_USE int nf_space_take(struct nf *nf, uint64_t max,
                              struct nf_extent *ret);

/* Put pages that were taken so at the end of the queue, as if all of it had
 * been there for ever: holds stay what they are. */
NF_MUST_USE int nf_space_requeue(struct nf *nf, const struct nf_extent *extent);

/* Give pages back: to this transaction if it wrote them, else to the queue. */
NF_MUST_USE int nf_space_free(struct nf *nf, uint64_t id, uint64_t birth);

/* Settle queue and tail for a commit: everything freed is in the queue, its
 * consumed part is given back, and at most inline_max ranges stay in tail[]. */
NF_MUST_USE int nf_space_flush(struct nf *nf, size_t inline_max);

/* Remove the first n pages of tail[]. */
void nf_space_tail_drop(struct nf *nf, uint64_t n);

/* The transaction has been committed: age what it freed. */
void nf_space_committed(struct nf *nf);

/* Generations whose pages are never given out. */
uint64_t nf_space_keep(const struct nf *nf);

/* Free pages that wait for a later commit before they can be taken. */
uint64_t nf_space_held(const struct nf *nf);

uint64_t nf_space_free_pages(const struct nf *nf);

/* ---- discard.c ------------------------------------------------------ */

NF_MUST_USE int nf_discard_open(struct nf *nf);
void nf_discard_close(struct nf *nf);

/* After an abort: what it would have freed. */
void nf_discard_forget(struct nf *nf);

/* Pages were freed: the device may be told so in good time. */
void nf_discard_note(struct nf *nf, uint64_t first, uint64_t count);

/* Tell it of those that nothing can need any more. */
void nf_discard_run(struct nf *nf);

/* ---- walk.c --------------------------------------------------------- */

/* Walk everything; the first damage that is found, or 0. */
NF_MUST_USE int nf_verify(struct nf *nf);

/* ---- fs.c ----------------------------------------------------------- */

/* To be called before the first change of every operation, which may take that
 * many pages: NF_ENOSPC, and nothing has begun. freeing: see nf_space_require.
 */
NF_MUST_USE int nf_txn_begin(struct nf *nf, uint64_t pages, bool freeing);

/* Make commits until no generation that is kept reaches a free page. NF_EBUSY
 * in a transaction, and while a view is open. */
NF_MUST_USE int nf_txn_release(struct nf *nf);

/* A change failed half-way: the transaction cannot be committed. Returns err.
 */
int nf_txn_fail(struct nf *nf, int err);

/* Now, from the hook. */
struct nf_time nf_now(const struct nf *nf);

/* ---- inode.c -------------------------------------------------------- */

/* The file of that name, loaded if it is not open yet; unref it. */
NF_MUST_USE int nf_inode_get(struct nf *nf, uint64_t dir, const char *name,
                             size_t len, struct nf_inode **ret);

/* The same from a record that was just put there. */
NF_MUST_USE int nf_inode_add(struct nf *nf, uint64_t dir, const char *name,
                             size_t len, const struct nf_rec *rec,
                             struct nf_inode **ret);
void nf_inode_unref(struct nf *nf, struct nf_inode *inode);

/* Give the inode another name. */
NF_MUST_USE int nf_inode_move(struct nf *nf, struct nf_inode *inode,
                              uint64_t dir, const char *name, size_t len);

/* Its contents or record changed: the table's record follows, now if it takes
 * pages, and with the checksums at the commit. */
NF_MUST_USE int nf_inode_changed(struct nf *nf, struct nf_inode *inode);

/* Move inline data to pages. */
NF_MUST_USE int nf_inode_to_rope(struct nf *nf, struct nf_inode *inode);

void nf_inodes_drop(struct nf *nf); /* forget closed ones after a commit */
int nf_inodes_flush(struct nf *nf); /* put records of changed files */
/* After an abort: every open file shows its committed state. */
NF_MUST_USE int nf_inodes_reload(struct nf *nf);

/* ---- names.c -------------------------------------------------------- */

/* An entry's place. len 0: the root directory. */
struct nf_place {
    uint64_t dir;
    const char *name;
    size_t len;
};

/* Find the place of path; its directories must exist, or are made at time t if
 * make is not NULL. With touch, directories on the way get time t as mirage
 * does. avoid: NF_EINVAL if the way leads through the directory of that id. */
struct nf_resolve {
    bool make;
    bool touch;
    struct nf_time time;
    uint64_t avoid;
};
NF_MUST_USE int nf_resolve(struct nf *nf, struct nf_at at,
                           const struct nf_resolve *how, struct nf_place *ret);

/* Entries that must be made so that path exists. */
uint64_t nf_path_missing(struct nf *nf, struct nf_at at);

/* native: the directory that holds an entry changed. */
NF_MUST_USE int nf_touch_parent(struct nf *nf, struct nf_at at,
                                struct nf_time time);

/* Remember which file the last error is about. Returns err. */
int nf_fail_path(struct nf *nf, int err, struct nf_path path);

/* Changes to the contents of an inode, which file.c and names.c share. */
NF_MUST_USE int nf_inode_truncate(struct nf *nf, struct nf_inode *inode,
                                  uint64_t size);
NF_MUST_USE int nf_inode_free(struct nf *nf, struct nf_inode *inode);

#endif
