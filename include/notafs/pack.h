/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_PACK_H
#define NOTAFS_PACK_H

#include <notafs/hash.h>
#include <notafs/platform.h>
#include <notafs/vfs.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Pack: a versioned, Merkle-hashed tree of files in the formats of irmin-pack.
 *
 * A repo holds commits; a commit names the root of a tree, its parents, and
 * who made it when; a tree binds steps (names without meaning to us, any bytes)
 * to subtrees and contents; branches name commits.
 *
 * Units:   lengths count bytes, or entries where they are a directory's.
 * Owns:    arguments are borrowed for the call. What a call gives is the
 *          caller's to release before pk_repo_close, by the call named with it.
 * Errors:  0, or a negative enum nf_err; pk_repo_error tells where. A repo is
 *          usable after any error, but writes no more once a sync has failed
 *          (NF_EC_TXN_FAILED): then it must be opened anew. Nothing that fails
 *          its hash is returned.
 * Threads: one caller at a time per repo and all that belongs to it; distinct
 *          repos are independent.
 */

/* A hash; bytes beyond the store's digest size are 0, so that memcmp of the
 * whole tells equality. */
struct pk_digest {
    uint8_t b[PK_HASH_MAX_LEN];
};

/* ------------------------------------------------------- configurations */

enum pk_schema {
    PK_SCHEMA_KV,    /* pre-images start with a letter */
    PK_SCHEMA_V2,    /* no letter: stores of old, and irmin's own tests */
    PK_SCHEMA_TEZOS, /* fixed-width lengths */
};

enum pk_child_order {
    PK_ORDER_SEEDED_HASH,
    PK_ORDER_HASH_BITS,
};

/* Which objects are found by their hash. Only a minimal store can collect
 * garbage, and it stays minimal only as long as nothing else writes to it. */
enum pk_strategy {
    PK_STRATEGY_MINIMAL,
    PK_STRATEGY_ALWAYS,
    PK_STRATEGY_MINIMAL_WITH_CONTENTS,
};

/* All that a store does not record about itself. */
struct pk_config {
    char hash[16];     /* family: blake2b blake2s sha1 sha256 sha512 rmd160 */
    uint32_t hash_len; /* bytes of a digest */
    uint32_t entries;  /* fan-out of inodes, a power of two in 2..1024 */
    uint32_t stable_hash; /* roots with at most this many hash like a list */
    enum pk_schema schema;
    enum pk_child_order order;
    bool contents_header; /* the length of contents stands in front of them */
    bool forbid_empty;    /* refuse to write an empty directory */
};

/*
 * The configuration that text names: a preset (kv64 kv32 tezos small
 * smallseeded sha1 nohdr hashbits; irmin is kv64, irmin-32 is kv32), changes
 * `key=value` to it, or changes alone, to kv64, separated by commas. Keys:
 * schema hash entries stable order hdr forbid (the manifests' longer names,
 * too).
 *
 * Errors: NF_EC_CONFIG.
 */
NF_MUST_USE int pk_config_parse(const char *text, struct pk_config *ret_config);

/* The other way: the shortest text for config, cut to fit cap. */
void pk_config_print(const struct pk_config *config, char *buf, size_t cap);

/* The i-th preset's name, NULL beyond the last. */
const char *pk_config_preset(size_t i);

/* ---------------------------------------------------------------- stores */

enum pk_open_flags {
    PK_OPEN_WRITE = 1u << 0,      /* take the writer's lock */
    PK_OPEN_CREATE = 1u << 1,     /* make an empty store if there is none */
    PK_OPEN_NO_MIGRATE = 1u << 2, /* leave old layouts as they are */
    PK_OPEN_NO_VERIFY = 1u << 3,  /* trust what is read */
};

struct pk_open {
    const struct pk_vfs *vfs;
    const struct pk_vfs *lower;         /* or NULL: no lower layer */
    const struct pk_hash_table *hashes; /* or NULL: BLAKE2b alone */
    struct pk_config config;
    enum pk_strategy strategy;
    uint32_t flags;             /* enum pk_open_flags */
    size_t cache_len;           /* bytes of clean objects kept; 0: 16 MiB */
    uint64_t index_log_entries; /* a merge after so many; 0: 2 500 000 */
};

struct pk_repo;

/*
 * Open a store. For reading, any number may be open at once, beside one for
 * writing. V1 and V2 layouts are migrated when opened for writing; and so is a
 * store, neither collected nor split, to which a lower layer is given that it
 * did not have: all that it holds becomes the first volume, and it counts as
 * collected from then on.
 *
 * Owns:   opts->vfs and opts->lower are kept: they outlive the repo.
 * Errors: NF_EC_LAYOUT (no store there), NF_EC_STORE_LOCKED, NF_EC_CONTROL,
 *         NF_EC_MIGRATION, NF_EC_STRATEGY, ...; *ret_info, where not NULL,
 *         tells more, as there is no repo to ask.
 */
NF_MUST_USE int pk_repo_open(const struct nf_env *env,
                             const struct pk_open *opts,
                             struct nf_error_info *ret_info,
                             struct pk_repo **ret_repo);

/* Flush and release. An error says that the flush failed. NULL is fine. */
int pk_repo_close(struct pk_repo *repo);

/* Make all commits durable. */
NF_MUST_USE int pk_repo_flush(struct pk_repo *repo);

/* A reader: see what the writer has flushed. Trees and commits at hand stay. */
NF_MUST_USE int pk_repo_reload(struct pk_repo *repo);

/* Seal the last chunk and begin another, for a garbage collection to free.
 * Errors: NF_EC_GC_FORBIDDEN, NF_EC_EMPTY_CHUNK. */
NF_MUST_USE int pk_repo_split(struct pk_repo *repo);

/* The last failure of a call on this repo. Valid until the next one. */
const struct nf_error_info *pk_repo_error(const struct pk_repo *repo);

const struct pk_config *pk_repo_config(const struct pk_repo *repo);

/* What the repo did since it was opened. */
struct pk_counters {
    uint64_t objects_read;     /* inodes, contents, commits decoded */
    uint64_t objects_hashed;   /* to verify or to write */
    uint64_t bytes_hashed;     /* of these */
    uint64_t objects_appended; /* by kind below */
    uint64_t inodes_appended;
    uint64_t contents_appended;
    uint64_t commits_appended;
    uint64_t cache_hits;
    uint64_t cache_len; /* bytes in the cache now */
    uint64_t mem_used;  /* bytes allocated now, all in all */
    uint64_t mem_peak;
};
void pk_repo_counters(const struct pk_repo *repo, struct pk_counters *ret);

/*
 * The presets under which the first objects of an unknown store have their
 * hashes. ret_sure: one and no other fits what was tried.
 *
 * Errors: NF_EC_CONFIG: none does. Those of pk_repo_open.
 */
NF_MUST_USE int pk_config_detect(const struct nf_env *env,
                                 const struct pk_open *opts,
                                 struct pk_config *ret_config, bool *ret_sure);

/* ----------------------------------------------------------------- trees */

/* Steps from a root. No steps: the root itself. */
struct pk_path {
    const struct pk_slice *steps;
    size_t n;
};

enum pk_kind {
    PK_NONE,
    PK_NODE,
    PK_CONTENTS,
};

struct pk_stat {
    enum pk_kind kind;
    struct pk_digest hash;
    uint64_t length; /* entries or bytes */
};

/* Contents, or other bytes, given away: release with pk_bytes_free. */
struct pk_bytes {
    const uint8_t *p;
    size_t len;
    void *own; /* what to release */
};
void pk_bytes_free(struct pk_repo *repo, struct pk_bytes *bytes);

/*
 * A directory and all below it, as a value: pk_tree_clone costs nothing, and
 * what is done to one of the two is not seen in the other. Loaded when looked
 * at; changes stay in memory until a commit, which writes them and lets go of
 * their memory.
 */
struct pk_tree;

NF_MUST_USE int pk_tree_empty(struct pk_repo *repo, struct pk_tree **ret_tree);
NF_MUST_USE int pk_tree_clone(struct pk_tree *tree, struct pk_tree **ret_tree);
void pk_tree_free(struct pk_tree *tree);
struct pk_repo *pk_tree_repo(const struct pk_tree *tree);

/* What path is bound to; PK_NONE is no error. Cost: as many objects as path
 * has steps, and inodes of large directories in between. */
NF_MUST_USE int pk_tree_kind(struct pk_tree *tree, struct pk_path path,
                             enum pk_kind *ret_kind);

/* Kind, hash and length of what path is bound to. Errors: NF_ENOENT. Cost: of
 * changed directories below, the hash. */
NF_MUST_USE int pk_tree_stat(struct pk_tree *tree, struct pk_path path,
                             struct pk_stat *ret_stat);

/* The contents at path. Errors: NF_ENOENT, NF_EISDIR. */
NF_MUST_USE int pk_tree_get(struct pk_tree *tree, struct pk_path path,
                            struct pk_bytes *ret_bytes);

/* The directory at path as a tree. Errors: NF_ENOENT, NF_ENOTDIR. */
NF_MUST_USE int pk_tree_sub(struct pk_tree *tree, struct pk_path path,
                            struct pk_tree **ret_tree);

/* The number of entries of the directory at path. Errors: as pk_tree_sub. */
NF_MUST_USE int pk_tree_length(struct pk_tree *tree, struct pk_path path,
                               uint64_t *ret_length);

/* Bind path, of at least one step, to contents, making directories on the way
 * and replacing what is there. Binding what is bound already changes nothing.
 * Errors: NF_EINVAL, NF_EC_DEPTH: too many names with one hash. */
NF_MUST_USE int pk_tree_set(struct pk_tree *tree, struct pk_path path,
                            struct pk_slice contents);

/* As pk_tree_set, to a directory of the same repo; an empty one removes. */
NF_MUST_USE int pk_tree_set_tree(struct pk_tree *tree, struct pk_path path,
                                 struct pk_tree *sub);

/* Unbind path, and directories left empty. An absent path changes nothing. */
NF_MUST_USE int pk_tree_remove(struct pk_tree *tree, struct pk_path path);

/* Bind to what from is bound to, and unbind from. Errors: NF_ENOENT, NF_EINVAL
 * (one is inside the other). */
NF_MUST_USE int pk_tree_move(struct pk_tree *tree, struct pk_path from,
                             struct pk_path to);

/* Replace the contents at path by what fn makes of them: old->p is NULL when
 * there are none, and fn gives a slice that lives until the call returns, or
 * p NULL to unbind. Anything but 0 from fn ends the call. */
typedef int (*pk_update_fn)(void *arg, const struct pk_slice *old,
                            struct pk_slice *ret_new);
NF_MUST_USE int pk_tree_update(struct pk_tree *tree, struct pk_path path,
                               pk_update_fn fn, void *arg);

/* The hash of the tree's root. Nothing is written. */
NF_MUST_USE int pk_tree_hash(struct pk_tree *tree, struct pk_digest *ret_hash);

/* One binding of a directory; step lives until the next call on the list. */
struct pk_entry {
    struct pk_slice step;
    enum pk_kind kind;
    struct pk_digest hash; /* with PK_LIST_HASH */
};

enum pk_list_flags {
    PK_LIST_SORTED = 1u << 0, /* by step; takes memory for the whole */
    PK_LIST_HASH = 1u << 1,   /* fill in the hashes */
};

/* Which bindings: skip the first offset, give at most length (0: all). */
struct pk_range {
    uint64_t offset;
    uint64_t length;
};

/*
 * The bindings of the directory at path. The tree may be changed meanwhile:
 * the list shows it as it was.
 *
 * Errors: NF_ENOENT, NF_ENOTDIR. pk_list_next: 1 an entry, 0 the end.
 * Cost:   what an offset leaves out is passed over by whole inodes, unless the
 *         list is sorted or the directory has changes.
 */
struct pk_list;
NF_MUST_USE int pk_list_open(struct pk_tree *tree, struct pk_path path,
                             struct pk_range range, uint32_t flags,
                             struct pk_list **ret_list);
NF_MUST_USE int pk_list_next(struct pk_list *list, struct pk_entry *ret_entry);
void pk_list_close(struct pk_list *list);

enum pk_walk_flags {
    PK_WALK_SORTED = 1u << 0, /* siblings by step */
    PK_WALK_LENGTH = 1u << 1, /* fill in stat.length */
};

/* Called for every directory (before what is in it) and contents; path lives
 * until it returns. Anything but 0 ends the walk, which returns it. */
typedef int (*pk_walk_fn)(void *arg, struct pk_path path,
                          const struct pk_stat *stat);
NF_MUST_USE int pk_tree_walk(struct pk_tree *tree, uint32_t flags,
                             pk_walk_fn fn, void *arg);

/* A path whose binding differs between two trees; PK_NONE on the side that
 * has none. Only contents and directories that are new or gone as a whole are
 * reported, of these each contents. */
typedef int (*pk_diff_fn)(void *arg, struct pk_path path,
                          const struct pk_stat *old_stat,
                          const struct pk_stat *new_stat);

/* The differences, in order of path. Cost: what has equal hashes is not looked
 * into. */
NF_MUST_USE int pk_tree_diff(struct pk_tree *old_tree, struct pk_tree *new_tree,
                             pk_diff_fn fn, void *arg);

/* --------------------------------------------------------------- commits */

struct pk_info {
    int64_t date; /* seconds since 1970 */
    struct pk_slice author;
    struct pk_slice message;
};

/* One commit, one block of memory. */
struct pk_commit {
    struct pk_digest hash;
    struct pk_digest root; /* hash of the tree */
    struct pk_info info;
    size_t n_parents;
    const struct pk_digest *parents; /* ascending */
};

/* Errors: NF_EC_NO_COMMIT; NF_EC_COLLECTED: it was there once; NF_EC_INDEX,
 * NF_EC_BRANCHES: an entry there, or a branch of this commit, is damaged.
 * Release with pk_commit_free (NULL is fine). Cost: of a failure, all of the
 * index. */
NF_MUST_USE int pk_commit_find(struct pk_repo *repo,
                               const struct pk_digest *hash,
                               struct pk_commit **ret_commit);
void pk_commit_free(struct pk_repo *repo, struct pk_commit *commit);

/* The tree of a commit. Errors: as pk_commit_find; NF_EC_UNRESOLVED. */
NF_MUST_USE int pk_commit_tree(struct pk_repo *repo,
                               const struct pk_digest *hash,
                               struct pk_tree **ret_tree);

/*
 * Write the tree and a commit of it. Not durable before pk_repo_flush. The
 * tree stays as it is, its memory is let go of.
 *
 * Errors: NF_EROFS, NF_EC_EMPTY_DIR, NF_ENOSPC; of a parent as
 *         pk_commit_find.
 */
NF_MUST_USE int pk_commit_make(struct pk_tree *tree,
                               const struct pk_digest *parents,
                               size_t n_parents, const struct pk_info *info,
                               struct pk_digest *ret_hash);

/* Called for each commit known by hash, in any order. */
typedef int (*pk_commit_fn)(void *arg, const struct pk_digest *hash);
NF_MUST_USE int pk_commit_each(struct pk_repo *repo, pk_commit_fn fn,
                               void *arg);

/* The commits whose hash begins with the n_digits hexadecimal digits of text.
 * Errors: NF_EC_NO_COMMIT; NF_EC_AMBIGUOUS: more than one. */
NF_MUST_USE int pk_commit_resolve(struct pk_repo *repo, const char *text,
                                  struct pk_digest *ret_hash);

/*
 * The commits that can be reached from some, each once, newest date first as
 * far as parents come after their children. commit lives until fn returns.
 * Those that were collected, or cannot be read, are passed over, or told to
 * gone, where not NULL.
 *
 * Errors: NF_EC_NO_COMMIT: one of from is not in the store. Those of class
 *         NF_ECORRUPT: one could not be read; all others were shown.
 */
typedef int (*pk_history_fn)(void *arg, const struct pk_commit *commit);
NF_MUST_USE int pk_history(struct pk_repo *repo, const struct pk_digest *from,
                           size_t n_from, pk_history_fn fn, pk_commit_fn gone,
                           void *arg);

/* -------------------------------------------------------------- branches */

/* The commit that a branch names. Errors: NF_EC_NO_BRANCH. */
NF_MUST_USE int pk_branch_get(struct pk_repo *repo, struct pk_slice name,
                              struct pk_digest *ret_hash);

/* Make a branch name a commit of the store, durably, the commit included. */
NF_MUST_USE int pk_branch_set(struct pk_repo *repo, struct pk_slice name,
                              const struct pk_digest *hash);

/* Remove a branch; an absent one is fine. */
NF_MUST_USE int pk_branch_remove(struct pk_repo *repo, struct pk_slice name);

/* Set (NULL: remove) a branch if it names old (NULL: if there is none).
 * Errors: NF_ECONFLICT: it does not. */
NF_MUST_USE int pk_branch_cas(struct pk_repo *repo, struct pk_slice name,
                              const struct pk_digest *old_hash,
                              const struct pk_digest *new_hash);

/* All branches, by name. */
typedef int (*pk_branch_fn)(void *arg, struct pk_slice name,
                            const struct pk_digest *hash);
NF_MUST_USE int pk_branch_each(struct pk_repo *repo, pk_branch_fn fn,
                               void *arg);

/* Told after a branch has changed: set or removed here, or found changed by
 * pk_repo_reload. old_hash or new_hash is NULL where there is none. One watch
 * a repo; NULL ends it. fn must not call the repo. */
typedef void (*pk_watch_fn)(void *arg, struct pk_slice name,
                            const struct pk_digest *old_hash,
                            const struct pk_digest *new_hash);
void pk_branch_watch(struct pk_repo *repo, pk_watch_fn fn, void *arg);

/* ------------------------------------------------------------ collection */

/*
 * Garbage collection: of what is older than a commit only that commit with its
 * tree is kept, and the bare entries of its parents; all that is newer stays.
 * Where the store has a lower layer, the ancestors and their trees go to its
 * last volume before. Space is freed in whole chunks: pk_repo_split, right
 * after the commit that the next collection will keep.
 *
 * Branches are no roots. A branch whose commit is collected, and a commit that
 * is newer but not a descendant of the commit kept, is left dangling; keep more
 * than one commit to avoid that.
 *
 * It runs in steps, between which the repo can be used at will: read, commit,
 * split, flush. Nothing is changed until pk_gc_finish; closing the repo, or a
 * crash, before that leaves the store as it was.
 */
struct pk_gc_options {
    const struct pk_digest *keep; /* the commits to keep */
    size_t n_keep;                /* >= 1 */
    size_t mem_len;               /* bytes of memory for marking; 0: 16 MiB,
                                     and with all else below 32 MiB */
    bool dry_run; /* find out what would be freed; a reader may, too */
    bool split;   /* seal the last chunk first, so that it can be freed */

    /* Or NULL. Make a store of the one commit to keep there, where there is
     * none, and leave this one as it is; a reader may, too. */
    const struct pk_vfs *into;
};

enum { PK_GC_MIN_BUDGET = 32768 };

enum pk_gc_phase {
    PK_GC_NONE,         /* none runs */
    PK_GC_MARK_ARCHIVE, /* finding what goes to the lower layer */
    PK_GC_COPY_ARCHIVE,
    PK_GC_MARK, /* finding what is live */
    PK_GC_COPY,
    PK_GC_READY, /* to be finished */
};

struct pk_gc_stats {
    enum pk_gc_phase phase;
    uint64_t done;  /* of the phase, in bytes ... */
    uint64_t total; /* ... out of so many */
    uint64_t steps;
    uint64_t bytes_read; /* in all steps */
    uint64_t bytes_written;
    uint64_t longest_step;   /* bytes read and written */
    uint64_t looks;          /* at what was found, as memory is scarce */
    uint64_t mem_peak;       /* bytes held, beside what the store holds */
    uint64_t generation;     /* of the store, once it is done */
    uint64_t objects;        /* that the new prefix holds */
    uint64_t ranges;         /* of offsets that they form */
    uint64_t prefix_len;     /* bytes that they take ... */
    uint64_t mapping_len;    /* ... and the mapping of them */
    uint64_t archived_len;   /* bytes that went to the lower layer */
    uint64_t chunks_removed; /* files */
    uint64_t suffix_freed;   /* bytes of these */
    uint64_t prefix_freed;   /* bytes of the old prefix and mapping */
};

/*
 * Begin. The collection is the repo's until it ends.
 *
 * Errors: NF_EROFS, NF_EC_GC_RUNNING, NF_EC_NO_COMMIT. NF_ERANGE: more than
 *         262144 commits to keep.
 *         NF_EC_GC_FORBIDDEN: the store was not always indexed minimally, or
 *         was born V1 or V2 and has no lower layer. NF_EC_GC_TARGET: none of
 *         the commits is newer than that of the last collection.
 *         NF_EC_NO_LOWER, NF_EC_VOLUME.
 * Cost:   memory: mem_len, but at least 2 KiB; 96 KiB; 8 bytes for each commit
 *         to keep; 512 KiB each to find ranges in the prefix and in the volume,
 *         8 bytes for 64 of them where these are few; 6 MiB if the store was
 *         born V1. Disk: the new prefix and its mapping, what is archived and
 *         its mapping, nothing else. Where the references that wait (1 to 2
 *         bytes for each, mostly) exceed mem_len, what is live is read again,
 *         each time a part of them comes in.
 */
NF_MUST_USE int pk_gc_start(struct pk_repo *repo,
                            const struct pk_gc_options *options);

/*
 * Go on, reading and writing at most budget bytes (>= PK_GC_MIN_BUDGET), not
 * counting look-ups of objects that only a hash refers to (stores of V1). 1:
 * there is more to do; 0: it is ready to be finished. An error ends the
 * collection, as pk_gc_cancel does.
 */
NF_MUST_USE int pk_gc_step(struct pk_repo *repo, uint64_t budget);

/*
 * Make it take effect, at once and durably, and remove the files that are not
 * needed any more. ret_stats may be NULL. Trees and commits at hand that were
 * collected fail from now on.
 *
 * Errors: NF_EAGAIN: it is not ready. Any other ends the collection; the store
 *         is as it was or as it should be.
 */
NF_MUST_USE int pk_gc_finish(struct pk_repo *repo,
                             struct pk_gc_stats *ret_stats);

/* Give it up, and remove what it has written. None running is fine. */
int pk_gc_cancel(struct pk_repo *repo);

/* How it goes. With a dry run, or when it is ready: what will be freed. */
void pk_gc_progress(struct pk_repo *repo, struct pk_gc_stats *ret_stats);

/*
 * Which commits to keep, as a rule: what the branches name, always; of the
 * history of each branch the newest `last`, and all as far back as none is
 * older than `since`.
 */
struct pk_keep {
    uint64_t last;        /* 0 and 1: no more than the branch's commit */
    const int64_t *since; /* seconds since 1970; or NULL */
};

/*
 * The commits that a rule keeps, ascending, each once. What a branch names but
 * is not there any more is passed over.
 *
 * Owns:   release *ret_commits, which may be NULL if there are none, with
 *         pk_keep_free.
 * Cost:   memory and reads as of the commits kept.
 */
NF_MUST_USE int pk_keep_commits(struct pk_repo *repo,
                                const struct pk_keep *keep,
                                struct pk_digest **ret_commits, size_t *ret_n);
void pk_keep_free(struct pk_repo *repo, struct pk_digest *commits, size_t n);

/*
 * Leave so many bytes of the medium alone, for a collection: commits then fail
 * with NF_ENOSPC before the medium is full, and pk_gc_start and what follows
 * may use the rest. PK_RESERVE_AUTO: as many as pk_gc_need says, which grows
 * with the store. 0, as at first: none. Where the back end does not know how
 * much room there is, nothing is reserved.
 *
 * A commit of more than an eighth of cache_len, or than 256 KiB, that finds no
 * room leaves what it has written by then, which may be all the room there was.
 * A collection of the commit before it does not free that; reserve less for one
 * small commit, and keep that one.
 */
#define PK_RESERVE_AUTO UINT64_MAX
void pk_repo_reserve(struct pk_repo *repo, uint64_t len);

/* Bytes that a collection can take at most beside what is there, which is when
 * all is live. A dry run tells how many it would be. */
uint64_t pk_gc_need(const struct pk_repo *repo);

/* A store that looks after itself: when to collect, and what to keep. */
struct pk_gc_policy {
    struct pk_keep keep;
    uint64_t free_len; /* begin when commits can write less than that */
    size_t mem_len;    /* as in struct pk_gc_options */
};

/*
 * Do what is due: begin a collection (pk_gc_options.split) when there is little
 * room left, go on with the one that runs by a step of budget bytes, finish it.
 * To be called after commits, and when there is nothing else to do.
 *
 * 1: one is under way; 0: none, ret_stats, where not NULL, tells of one that
 * was finished just now by phase PK_GC_READY, otherwise PK_GC_NONE.
 *
 * Errors: those of pk_gc_start, pk_gc_step, pk_gc_finish; that there is no
 *         newer commit than at the last collection is none, nor that a stream
 *         is being received, during which none begins.
 */
NF_MUST_USE int pk_gc_tend(struct pk_repo *repo,
                           const struct pk_gc_policy *policy, uint64_t budget,
                           struct pk_gc_stats *ret_stats);

/* Begin a new, empty volume of the lower layer; the last one is complete then.
 * Errors: NF_EROFS, NF_EC_NO_LOWER, NF_EC_GC_RUNNING, NF_EC_EMPTY_VOLUME. */
NF_MUST_USE int pk_repo_add_volume(struct pk_repo *repo);

/* A volume of the lower layer: the offsets that it was made for, and how much
 * it holds. */
struct pk_volume_info {
    uint64_t start;
    uint64_t end;
    uint64_t ranges;
    uint64_t data_len;
};

/* Called for each volume, in order. Anything but 0 ends it. */
typedef int (*pk_volume_fn)(void *arg, uint64_t number,
                            const struct pk_volume_info *info);
NF_MUST_USE int pk_volume_each(struct pk_repo *repo, pk_volume_fn fn,
                               void *arg);

/* ---------------------------------------------------------------- checks */

/* A finding: what is wrong, and where. */
struct pk_finding {
    const char *file;
    uint64_t offset;  /* byte in the file, or NF_NOWHERE */
    const char *what; /* English */
    int err;
};
typedef int (*pk_finding_fn)(void *arg, const struct pk_finding *finding);

struct pk_check_stats {
    uint64_t commits;
    uint64_t inodes;
    uint64_t contents;
    uint64_t bindings;  /* of the index */
    uint64_t collected; /* commits and references that a collection cut off */
    uint64_t findings;
};

/*
 * Verify all that can be reached: every commit of the index and the branches,
 * their trees (hashes, canonical shape, order, names), the index, the
 * dictionary, mappings and volumes. fn, or NULL, is told each finding. What a
 * collection took from commits that no branch names is none.
 *
 * Cost: each object is read and hashed once, as long as what is remembered of
 * them, 50 bytes each, is not more than four times the cache (a fourth of one
 * below 1 MiB). Beside that, 24 to 40 bytes for each object.
 */
NF_MUST_USE int pk_check(struct pk_repo *repo, pk_finding_fn fn, void *arg,
                         struct pk_check_stats *ret_stats);

struct pk_repair_stats {
    uint64_t done;  /* offset that the new index has come to ... */
    uint64_t total; /* ... of where the objects end; 0: not known yet */
    uint64_t findings;
    uint64_t bindings; /* of the new index */
    uint64_t dangling; /* entries of the old index that said otherwise */
    uint64_t parked;   /* branches */
    bool control_rebuilt;
    bool has_last_good;
    struct pk_digest last_good; /* the newest commit that is whole */
};

/*
 * Mend a store that is closed: make its index anew from its objects, its
 * control file, if that is unreadable, from the other files, and take out
 * branches whose commit is lost (they are kept in the file notapack.parked).
 * Objects are never changed. fn, or NULL, is told what was found. *ret_stats is
 * kept up to date on the way, for fn and env to look at.
 *
 * Errors: as pk_repo_open, for what cannot be mended.
 */
NF_MUST_USE int pk_repair(const struct nf_env *env, const struct pk_open *opts,
                          pk_finding_fn fn, void *arg,
                          struct nf_error_info *ret_info,
                          struct pk_repair_stats *ret_stats);

/* ---------------------------------------------------------- looking inside */

/* The control file, as of version 5. */
struct pk_control_view {
    uint32_t version; /* of the file; 0: there is none, V1 or V2 */
    const char *status;
    uint64_t dict_end;
    uint64_t chunk_end;
    uint64_t chunk_start;
    uint64_t chunk_num;
    uint64_t volume_num;
    uint64_t upgraded_from; /* 0: none */
    uint64_t suffix_start;
    uint64_t generation;
    uint64_t gc_target;
    uint64_t dead;
    uint64_t mapping_end; /* NF_NOWHERE: none */
    uint64_t end;         /* offset behind the last object */
};
void pk_view_control(const struct pk_repo *repo, struct pk_control_view *ret);

/* Every entry of the index. */
struct pk_index_view {
    struct pk_digest hash;
    uint64_t off;
    uint32_t len;
    char kind;
};
typedef int (*pk_index_view_fn)(void *arg, const struct pk_index_view *entry);
NF_MUST_USE int pk_view_index(struct pk_repo *repo, pk_index_view_fn fn,
                              void *arg);

/* The i-th string of the dictionary; p NULL beyond the last. */
struct pk_slice pk_view_dict(const struct pk_repo *repo, uint64_t i);

/* The front of the object at an offset. Errors: NF_EC_NO_OBJECT, NF_EC_ENTRY.
 */
struct pk_object_view {
    struct pk_digest hash;
    uint64_t off;
    uint64_t len; /* of the entry */
    char kind;    /* B C D I N O P R, see docs/format-pack.md */
};
NF_MUST_USE int pk_view_object(struct pk_repo *repo, uint64_t off,
                               struct pk_object_view *ret);

/* Where the index says that an object is. Errors: NF_EC_NO_OBJECT,
 * NF_EC_COLLECTED, NF_EC_INDEX. */
NF_MUST_USE int pk_view_find(struct pk_repo *repo, const struct pk_digest *hash,
                             uint64_t *ret_off);

/* The contents at an offset (kind B). */
NF_MUST_USE int pk_view_contents(struct pk_repo *repo, uint64_t off,
                                 struct pk_bytes *ret_bytes);

/* What an inode (kinds I N O R) consists of: bindings, or children with an
 * index and kind PK_NONE. */
struct pk_inode_view {
    enum pk_kind kind;
    struct pk_slice step;
    uint32_t index;
    struct pk_digest hash;
};
typedef int (*pk_inode_view_fn)(void *arg, const struct pk_inode_view *slot);
NF_MUST_USE int pk_view_inode(struct pk_repo *repo, uint64_t off,
                              pk_inode_view_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
