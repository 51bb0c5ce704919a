/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_NOTAFS_H
#define NOTAFS_NOTAFS_H

#include <string.h>

#include <notafs/blockdev.h>
#include <notafs/codec.h>
#include <notafs/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Notafs: a few huge copy-on-write files on a raw block device.
 *
 * A disk is a sequence of committed states, its generations. All changes since
 * the last nf_sync form one transaction over any number of files; nf_sync
 * makes them the next generation, atomically and durably, and nf_abort forgets
 * them. After a crash a mount finds the last generation or the one that was
 * being committed, whole.
 *
 * Things that will surprise you:
 * - Nothing is written back by itself: without nf_sync a change is lost, and
 *   nf_unmount does not sync.
 * - What a commit frees can be written again only after the commit that
 *   follows it, so a full disk that was just emptied is full for one more
 *   commit. When space runs short the library makes these commits itself, at
 *   the first change after a sync.
 * - On devices without BD_CAP_FLUSH a commit is durable when the device
 * pleases. Mounting verifies everything there, and falls back to an older
 * generation.
 *
 * Units:   sizes and offsets of files are bytes; counts named *_pages are
 * pages. Owns:    every *_open, *_mount has its *_close, *_unmount; nothing
 * frees what its caller passed. Memory comes from the struct nf_env. Errors:  0
 * or a negative enum nf_err; nf_last_error has page and file. After an error of
 * the device or of memory in the middle of a change, the transaction is failed:
 * changes and nf_sync answer NF_EC_TXN_FAILED until nf_abort. NF_ENOSPC from a
 * change leaves the transaction good. Threads: a handle and all that was opened
 * from it belong to one thread at a time. A view (nf_view_open) may be read in
 * another thread than its writer's; opening and closing it are calls on the
 * writer.
 */
struct nf;
struct nf_file;
struct nf_dir;
struct nf_scrub;

/* ---- Disks ---------------------------------------------------------- */

enum nf_profile {
    NF_PROFILE_NATIVE = 0, /* docs/format-notafs.md, part 2 */
    NF_PROFILE_MIRAGE = 1, /* the disks of OCaml Notafs 0.1 */
};

enum nf_checksum {
    NF_CHECKSUM_DEFAULT = 0, /* XXH3-64 on native, ADLER-32 on mirage */
    NF_CHECKSUM_XXH3 = 1,    /* native only */
    NF_CHECKSUM_ADLER32 = 2, /* mirage only */
    NF_CHECKSUM_NONE = 3,    /* mirage only: NO-CHECK */
};

/* Zero is the default of every field. */
struct nf_format_options {
    enum nf_profile profile;
    enum nf_checksum checksum;
    uint64_t uid; /* tells this format from earlier ones on the disk; 0: native
                     draws it from the clock and the old contents, mirage from
                     the old contents as OCaml Notafs does */
};

/* What the header of a disk says. */
struct nf_disk {
    enum nf_profile profile;
    enum nf_checksum checksum;
    uint32_t page_size;    /* bytes */
    uint64_t page_count;   /* pages when formatted; see nf_stats for now */
    uint32_t checksum_len; /* bytes: 0, 4 or 8 */
    uint64_t uid;
    uint64_t write_features; /* bits that this version does not know, and that
                                allow a read-only mount only */
    uint32_t slots;          /* native: pages for generations ... */
    uint32_t slot_stride;    /* ... and pages from one to the next */
    bool header_damaged;     /* read from a copy: the first is damaged */
};

/*
 * Write an empty disk over all of bd, which has the page size to be.
 * A crash in the middle leaves a disk that does not mount.
 *
 * Errors:  NF_EINVAL: a page size, page count or checksum that the profile does
 *          not have (native: 512..65536, mirage: 512, 1024, 2048, 4096).
 */
NF_MUST_USE int nf_format(struct bd *bd, const struct nf_env *env,
                          const struct nf_format_options *options);

/*
 * Read the header; bd may be open with any page size: ret->page_size tells the
 * right one. Errors: NF_EC_NOT_FORMATTED, NF_EC_HEADER, NF_EC_VERSION, ...
 */
NF_MUST_USE int nf_probe(struct bd *bd, const struct nf_env *env,
                         struct nf_disk *ret);

enum nf_mount_flags {
    NF_MOUNT_READONLY = 1u << 0,
    NF_MOUNT_VERIFY = 1u << 1,    /* walk all that is reachable first */
    NF_MOUNT_NO_VERIFY = 1u << 2, /* not even where that is the default: on
                                     mirage and on devices without flush */
};

/* Zero is the default of every field. */
struct nf_mount_options {
    size_t cache_bytes;  /* page cache; 0: 1 MiB. At least 16 pages, or the
                            mount fails with NF_EC_CACHE_SMALL */
    uint32_t flags;      /* enum nf_mount_flags, or-ed */
    uint64_t generation; /* that one, read-only; 0: the newest valid one */
    const struct nf_codec *codec; /* borrowed until unmount; NULL: none */
};

/*
 * Open the disk on bd at its newest valid generation.
 *
 * Owns:    bd, env and codec are borrowed until nf_unmount. All page buffers
 *          are allocated here.
 * Cost:    native: at most 64 page reads. mirage, and devices without flush:
 *          every page in use is read, unless NF_MOUNT_NO_VERIFY.
 * Errors:  NF_EC_PAGE_SIZE: open bd with the size that nf_probe tells.
 *          NF_EC_NO_GENERATION, NF_EC_BAD_GEN (no such generation),
 *          NF_EC_DISK_SIZE, NF_EROFS (a device that cannot be written).
 */
NF_MUST_USE int nf_mount(struct bd *bd, const struct nf_env *env,
                         const struct nf_mount_options *options,
                         struct nf **ret);

/*
 * As nf_mount with NF_MOUNT_NO_VERIFY, and without the code that verifies: 5 KiB
 * less for a program that calls neither nf_mount nor a scrub. Errors: as there;
 * NF_ENOTSUP: NF_MOUNT_VERIFY, or a device without flush, on which nothing but
 * verification tells a whole generation from a torn one.
 */
NF_MUST_USE int nf_mount_bare(struct bd *bd, const struct nf_env *env,
                              const struct nf_mount_options *options,
                              struct nf **ret);

/* Forget uncommitted changes and release everything. All files, directories,
 * scrubs and views of nf must be closed. NULL is fine. */
void nf_unmount(struct nf *nf);

/* Why the last failed call on nf, or on a file of nf, failed. Valid until the
 * next call. */
const struct nf_error_info *nf_last_error(const struct nf *nf);

/* ---- Transactions --------------------------------------------------- */

/*
 * Commit: what was changed since the last commit becomes the next generation.
 * Without a change it does nothing. When it returns 0 the generation is durable
 * (if the device has a flush).
 *
 * Cost:    native: one batch and one flush while the transaction fits in the
 *          cache and the generation page can list it; else one more flush.
 */
NF_MUST_USE int nf_sync(struct nf *nf);

/* Forget all changes since the last commit. Open files show their committed
 * state again; files that did not exist then become stale (NF_ESTALE). */
NF_MUST_USE int nf_abort(struct nf *nf);

/* Whether there is anything to commit. */
bool nf_is_dirty(const struct nf *nf);

struct nf_stats {
    struct nf_disk disk;
    uint64_t generation;
    uint64_t newest_seen;   /* of all numbers of generations on the disk: more
                               than generation where the mount refused that one
                               as damaged, or was to take an older one */
    uint64_t page_count;    /* pages of the disk */
    uint64_t free_pages;    /* used + free = page_count */
    int64_t free_recorded;  /* free pages as the generation counts them; OCaml
                               Notafs does so wrongly */
    uint64_t usable_pages;  /* of the free ones, for changes right now: without
                               the reserve and those that wait for a commit */
    uint64_t waiting_pages; /* of the free ones, those that a commit or two
                               would make usable; 0 while a view is open */
    uint64_t queue_pages; /* used to remember the free ones, and free with them
                             in the end; 0 on mirage, which does not count */
    uint64_t files;
    uint64_t dirs;           /* without the root */
    uint64_t max_file_bytes; /* largest file that the format can hold */
    uint32_t max_name_bytes; /* longest name */
    size_t cache_pages;      /* frames */
    bool readonly;
    bool has_flush;
    bool failed; /* the transaction: nothing goes on before nf_abort */
};
void nf_stats(const struct nf *nf, struct nf_stats *ret);

/* Always on, since the mount. */
struct nf_counters {
    uint64_t cache_hits;
    uint64_t cache_misses;
    uint64_t commits;
    uint64_t pages_spilled; /* written ahead of the commit */
    uint64_t pages_hashed;  /* checksums computed */
    size_t bytes_allocated; /* from the hook, now */
    size_t bytes_peak;
    struct bd_counters device;
};
void nf_counters(const struct nf *nf, struct nf_counters *ret);

/* ---- Names ---------------------------------------------------------- */

/*
 * A path: segments between slashes, empty ones ignored; the empty path is the
 * root directory. Any byte but '/' may stand in a segment, NUL included; "."
 * and
 * ".." mean nothing special. Borrowed for the call.
 */
struct nf_path {
    const char *p;
    size_t len;
};

static inline struct nf_path nf_path(const char *cstr)
{
    struct nf_path path = {cstr, strlen(cstr)};
    return path;
}

enum nf_type { NF_TYPE_FILE = 1, NF_TYPE_DIR = 2 };

enum nf_compression { NF_COMPRESSION_NONE = 0, NF_COMPRESSION_LZ4 = 1 };

struct nf_stat {
    enum nf_type type;
    uint64_t id;        /* of the file or directory; the root is 1. Stays the
                           same when renamed. On mirage: for this mount only */
    uint64_t size;      /* bytes; 0 for a directory */
    uint64_t root_page; /* files: changes whenever the contents do; 0: inline */
    struct nf_time mtime;
    enum nf_compression compression;
};

/* Errors: NF_ENOENT, NF_ENOTDIR (a file in the middle of the path). */
NF_MUST_USE int nf_stat(struct nf *nf, struct nf_path path,
                        struct nf_stat *ret);

/* Set the modification time. */
NF_MUST_USE int nf_set_mtime(struct nf *nf, struct nf_path path,
                             struct nf_time mtime);

/* Make a directory, and its parents where they miss. A directory that exists
 * already is a success. Errors: NF_ENOTDIR, NF_EEXIST (a file is there). */
NF_MUST_USE int nf_mkdir(struct nf *nf, struct nf_path path);

enum nf_remove_flags {
    NF_REMOVE_RECURSIVE = 1u << 0, /* a directory with all that is in it */
};

/* Remove a file or an empty directory. Its open files become stale.
 * Errors: NF_ENOENT, NF_ENOTEMPTY, NF_EINVAL (the root). */
NF_MUST_USE int nf_remove(struct nf *nf, struct nf_path path, uint32_t flags);

enum nf_rename_flags {
    NF_RENAME_NOREPLACE = 1u << 0, /* NF_EEXIST where `to` exists */
};

/*
 * Move a file or a directory to another name; missing parents of `to` are made.
 * A file replaces a file, and a directory an empty directory; open files follow
 * their names. Errors: NF_ENOENT, NF_EISDIR, NF_ENOTDIR, NF_ENOTEMPTY,
 * NF_EINVAL (a directory into itself).
 */
NF_MUST_USE int nf_rename(struct nf *nf, struct nf_path from, struct nf_path to,
                          uint32_t flags);

/* ---- Directories ---------------------------------------------------- */

struct nf_dirent {
    const char *name; /* not terminated; until the next call on the handle */
    size_t name_len;
    struct nf_stat stat;
};

/* Open a directory for listing. Errors: NF_ENOENT, NF_ENOTDIR. */
NF_MUST_USE int nf_dir_open(struct nf *nf, struct nf_path path,
                            struct nf_dir **ret);
void nf_dir_close(struct nf_dir *dir);

/* The next entry, in ascending byte order of names: 1, or 0 at the end. Entries
 * made or removed meanwhile appear or not; the others appear once. */
NF_MUST_USE int nf_dir_next(struct nf_dir *dir, struct nf_dirent *ret);

/* Go on after that name, whether it exists or not; the empty name: the start.
 */
NF_MUST_USE int nf_dir_seek(struct nf_dir *dir, const char *name, size_t len);

/* ---- Files ---------------------------------------------------------- */

enum nf_open_flags {
    NF_OPEN_CREATE = 1u << 0,    /* make it and its parents where they miss */
    NF_OPEN_EXCLUSIVE = 1u << 1, /* with CREATE: NF_EEXIST if it exists */
    NF_OPEN_TRUNCATE = 1u << 2,  /* to size 0 */
};

/* Open a file. Errors: NF_ENOENT, NF_EISDIR, NF_ENOTDIR, NF_ENAMETOOLONG. */
NF_MUST_USE int nf_open(struct nf *nf, struct nf_path path, uint32_t flags,
                        struct nf_file **ret);
void nf_close(struct nf_file *file);

NF_MUST_USE int nf_fstat(struct nf_file *file, struct nf_stat *ret);

/* Read up to len bytes at off; *ret_len is less than len only at the end of the
 * file. Every page read from the device is verified: NF_EC_CHECKSUM. */
NF_MUST_USE int nf_read(struct nf_file *file, uint64_t off, void *buf,
                        size_t len, size_t *ret_len);

/*
 * Write len bytes at off: inside, across or beyond the end; what lies between
 * the old end and off reads as zeros (a hole on native). All or nothing:
 * on NF_ENOSPC, NF_EFBIG and other refusals nothing has changed.
 */
NF_MUST_USE int nf_write(struct nf_file *file, uint64_t off, const void *buf,
                         size_t len);

/* nf_write at the end. */
NF_MUST_USE int nf_append(struct nf_file *file, const void *buf, size_t len);

/* Cut the file, or extend it with zeros (a hole on native), to size bytes. */
NF_MUST_USE int nf_truncate(struct nf_file *file, uint64_t size);

/* Make [off, off + len) read as zeros, and free its whole pages. The size
 * stays. mirage has no holes: NF_ENOTSUP. */
NF_MUST_USE int nf_punch(struct nf_file *file, uint64_t off, uint64_t len);

/* The first byte at or after off that lies in data, or in a hole; a hole starts
 * at the end of the file at the latest. Errors: NF_ERANGE: none. */
NF_MUST_USE int nf_seek_data(struct nf_file *file, uint64_t off, uint64_t *ret);
NF_MUST_USE int nf_seek_hole(struct nf_file *file, uint64_t off, uint64_t *ret);

/* Store what is written from now on with or without LZ4, and what is there
 * likewise: the file is rewritten. mirage, pages of 64 KiB: NF_ENOTSUP. */
NF_MUST_USE int nf_set_compression(struct nf_file *file,
                                   enum nf_compression compression);

/* ---- From a directory ----------------------------------------------- */

/*
 * A path that begins in the directory with that id (nf_stat.id), so that who
 * knows the directory need not walk down to it again. The calls below are those
 * of the same names, except that:
 * - the directory must exist: nothing is told apart from an empty one;
 * - what is done directly in it leaves its own mtime alone (nf_set_mtime_at);
 * - nf_rename_at finds out that a directory would go into itself only below
 *   to.dir; that to.dir itself is not inside is the caller's to know.
 */
struct nf_at {
    uint64_t dir;
    struct nf_path path;
};

NF_MUST_USE int nf_stat_at(struct nf *nf, struct nf_at at, struct nf_stat *ret);
NF_MUST_USE int nf_set_mtime_at(struct nf *nf, struct nf_at at,
                                struct nf_time mtime);
NF_MUST_USE int nf_mkdir_at(struct nf *nf, struct nf_at at);
NF_MUST_USE int nf_remove_at(struct nf *nf, struct nf_at at, uint32_t flags);
NF_MUST_USE int nf_rename_at(struct nf *nf, struct nf_at from, struct nf_at to,
                             uint32_t flags);
NF_MUST_USE int nf_dir_open_at(struct nf *nf, struct nf_at at,
                               struct nf_dir **ret);
NF_MUST_USE int nf_open_at(struct nf *nf, struct nf_at at, uint32_t flags,
                           struct nf_file **ret);

/* ---- Generations ---------------------------------------------------- */

struct nf_generation {
    uint64_t number;
    struct nf_time time; /* of its commit; 0 on mirage, which has none */
    bool complete; /* none of its pages was given to a later one, or discarded:
                      all is there unless the device damaged it. On mirage: of
                      the newest two only is this known */
};

/* The generations whose root pages are on the disk and valid, newest first, up
 * to max of them: their number. At least two once there were two commits. */
NF_MUST_USE int nf_generations(struct nf *nf, struct nf_generation *ret,
                               size_t max);

/*
 * Open generation number (0: the committed one) of nf, read-only, with a cache
 * of its own, and keep its pages until it is closed by nf_unmount, however many
 * commits nf makes. nf must stay open as long.
 */
NF_MUST_USE int nf_view_open(struct nf *nf, uint64_t number, size_t cache_bytes,
                             struct nf **ret);

/* ---- Size of the disk ----------------------------------------------- */

/*
 * Make the disk page_count pages long (native), as a transaction of its own
 * that nf_sync commits. Shrinking needs the pages beyond to be free: NF_EBUSY,
 * and last_error's page says which one is not. Growing needs a device of that
 * length: NF_ERANGE. The device may be cut after the nf_sync.
 * Errors:  NF_EBUSY: in a transaction, or to shrink while a view is open;
 *          NF_ENOSPC: what is left would be too small.
 */
NF_MUST_USE int nf_resize(struct nf *nf, uint64_t page_count);

/*
 * Discard all free pages on a device that can (NF_ENOTSUP): those that were
 * freed before the mount too. Makes commits until nothing is held back.
 * Errors: NF_EBUSY: in a transaction, or a view is open.
 */
NF_MUST_USE int nf_trim(struct nf *nf);

/* ---- Verification --------------------------------------------------- */

enum nf_page_kind {
    NF_PAGE_UNKNOWN = 0, /* reached by nothing: an error if it stays so */
    NF_PAGE_SYSTEM = 1,  /* header, roots, generation slots */
    NF_PAGE_TABLE = 2,   /* file table */
    NF_PAGE_INNER = 3,   /* pointers of a file */
    NF_PAGE_DATA = 4,    /* data of a file */
    NF_PAGE_QUEUE = 5,   /* the free queue's own pages */
    NF_PAGE_FREE = 6,    /* in the free queue */
    NF_PAGE_UNUSED = 7,  /* never used yet */
};

/* One thing that the walk met: pages [page, page + count) of one kind, or what
 * is wrong there. */
struct nf_finding {
    int err; /* 0: a use; else what is wrong with these pages */
    uint64_t page;
    uint64_t count;
    enum nf_page_kind kind;
    uint64_t birth;   /* generation that wrote the page; 0: not known */
    const char *file; /* path where it belongs to a file; until return */
    size_t file_len;
    uint64_t offset;  /* byte of the file that the page starts at */
    const char *what; /* static text, for an error */
};

enum nf_scrub_flags {
    NF_SCRUB_ACCOUNT = 1u << 0, /* prove that each page is counted once: takes
                                   a bit of memory per page of the disk */
    NF_SCRUB_NO_DATA = 1u << 1, /* data pages are counted, not read */
};

/*
 * Start a walk of all that the committed generation of nf reaches: every page
 * is read and verified. It looks at a pinned view, so nf can be used and commit
 * meanwhile. report is called during nf_scrub_step, for each use and for each
 * damage; ctx is its own.
 *
 * Errors:  NF_ENOMEM.
 */
NF_MUST_USE int nf_scrub_open(struct nf *nf, uint32_t flags,
                              void (*report)(void *ctx,
                                             const struct nf_finding *finding),
                              void *ctx, struct nf_scrub **ret);

/* Read up to about max_pages pages more: 1 when there is more to do, 0 when all
 * is done, or an error that ends the walk (not damage: that is reported). */
NF_MUST_USE int nf_scrub_step(struct nf_scrub *scrub, uint64_t max_pages);

struct nf_scrub_result {
    uint64_t pages_done;    /* pages verified or counted */
    uint64_t pages_total;   /* pages in use */
    uint64_t damaged;       /* findings with an error */
    uint64_t damaged_files; /* files with at least one of them */
};
void nf_scrub_result(const struct nf_scrub *scrub, struct nf_scrub_result *ret);
void nf_scrub_close(struct nf_scrub *scrub);

#ifdef __cplusplus
}
#endif
#endif
