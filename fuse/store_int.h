/* SPDX-License-Identifier: ISC */
/*
 * The store view's inside.
 *
 * A directory of a branch is the stored tree that it came from and, by name,
 * what has been done to it since: these children are pinned. What is removed is
 * a pinned node, too, of kind NODE_GONE. A commit puts the pinned children into
 * a tree; nodes stay pinned after it, for the times and modes that only they
 * know.
 *
 * Locks, in the order in which they are taken:
 *   change   whoever changes something, and a commit from its beginning to its
 *            end
 *   turn     nodes, and the repo that is read from; a commit holds it at its
 *            end only, so readers do not wait for it.
 */
#ifndef FUSE_STORE_INT_H
#define FUSE_STORE_INT_H

#include <limits.h>
#include <sys/stat.h>

#include "fuse/serve.h"
#include "fuse/store.h"
#include "fuse/turn.h"

enum snode_kind {
    SNODE_ROOT,
    SNODE_LIVE,    /* live/: branches */
    SNODE_COMMITS, /* commit/ */
    SNODE_AT,      /* at/ */
    SNODE_TAGS,    /* tag/ */
    SNODE_DIR,
    SNODE_FILE,
    SNODE_LINK,
    SNODE_GONE, /* not there any more, though the tree has it */
};

/* A branch that has been looked at. */
struct branch {
    struct branch *next;
    char *name;
    bool has_head;
    struct pk_digest head; /* what its nodes are based on */
    int64_t date;          /* of head, when it was first looked at */
    uint64_t epoch;        /* head has changed so often */
    char *message;         /* of the next commit, or NULL */
    uint64_t changes;      /* made */
    uint64_t synced;       /* of these, committed */
    struct snode *root;    /* or NULL: nobody knows it */
};

/* What a snapshot, or a branch when it was looked at, is. */
struct snapshot {
    struct pk_digest commit;
    int64_t date;
};

struct snode {
    struct snode *hash_next;
    struct snode *parent; /* a reference; NULL: the root, or removed */
    char *name;
    size_t name_len;
    enum snode_kind kind;
    uint64_t ino;
    uint64_t n_lookups;
    uint32_t refs; /* children, pinning, ourselves */
    uint32_t n_open;
    struct branch *branch; /* NULL: not below live/ */
    struct snapshot snapshot;

    struct pk_tree *tree;  /* stored directory; NULL: none */
    struct pk_tree *side;  /* what is recorded beside it; store_attrs.h */
    uint64_t epoch;        /* of the branch, when tree and hash were right */
    struct pk_digest hash; /* stored contents */
    bool stored;           /* the tree of parent has it, as hash or tree says */
    bool unsure;           /* refresh tells whether it is stored */
    bool sided;   /* a link or an empty directory that a side tree has */
    char *origin; /* where the tree of head has it: steps, each ended by NUL;
                     NULL: where it is */
    size_t origin_len;

    uint8_t *data; /* contents, once loaded */
    size_t size;   /* of the file, loaded or not */
    size_t cap;
    bool loaded;
    bool dirty;   /* in the list of the parent: something must be stored */
    bool written; /* file: the data */
    bool removed;
    char *link;

    bool pinned;
    uint64_t pin_seq; /* ascending in the list of a directory */
    struct snode *pin_next;
    struct snode *pin_prev;
    struct snode *pins; /* of a directory, in order, and the last of them */
    struct snode *last_pin;
    struct snode *dirty_next; /* in the list of the parent */
    struct snode *dirty_prev;
    struct snode *dirty_pins; /* of a directory: what a commit must look at */

    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec atime;
    struct timespec mtime;
    struct timespec ctime;
    uint8_t *xattrs; /* of users, encoded; with -o posix */
    size_t xattrs_len;
};

struct store {
    const struct store_mount *how;
    struct fuse_session *session;
    bool readonly;
    struct turn change;
    struct turn turn;
    struct pk_repo *repo;   /* to read from */
    struct pk_sides *sides; /* of it; NULL: no -o posix */
    bool stale;             /* repo does not show the last commit yet */
    struct pk_repo *writer; /* of a disk, between commits; under change */
    struct branch *branches;
    struct branch *old_branches; /* removed */
    struct news *news;           /* that the kernel must be told */
    struct listing *listings;    /* directories that are open; store_dir.c */

    struct snode **buckets;
    size_t n_buckets; /* a power of two */
    size_t n_nodes;
    struct snode *root;
    uint64_t next_ino;
    uint64_t next_pin;
    size_t dirty_len; /* bytes of data that are not stored */

    pthread_t committer;
    pthread_mutex_t timer_lock;
    pthread_cond_t timer;
    bool stopping;
};

#define STORE_DIRTY_MAX ((size_t)64 << 20) /* bytes; then a commit is made */

static inline struct pk_slice slice(const char *p, size_t len)
{
    struct pk_slice s = {(const uint8_t *)p, len};
    return s;
}

/* ---- store_node.c: which nodes there are; all under turn --------------- */

int store_nodes_init(struct store *store);
void store_nodes_deinit(struct store *store);
struct snode *store_node(struct store *store, fuse_ino_t ino);
fuse_ino_t store_ino(const struct store *store, const struct snode *node);
/* The child that is known, gone ones too, or NULL. */
struct snode *store_node_find(struct store *store, const struct snode *parent,
                              const char *name, size_t len);
/* A new child, not referenced yet, with what its parent has. NULL: no memory.
 */
struct snode *store_node_add(struct store *store, struct snode *parent,
                             const char *name, size_t len,
                             enum snode_kind kind);
/* Release it if nobody refers to it, and its parents likewise. */
void store_node_tidy(struct store *store, struct snode *node);
void store_node_pin(struct store *store, struct snode *node);
void store_node_unpin(struct store *store, struct snode *node);
void store_node_clean(struct snode *node);
/* Another name; parent NULL: none any more. False: no memory. */
bool store_node_move(struct store *store, struct snode *node,
                     struct snode *parent, const char *name, size_t len);
void store_fill_stat(const struct store *store, const struct snode *node,
                     struct stat *ret);
struct timespec store_now(void);

/* ---- store_tree.c: what the stored trees say; under turn --------------- */

/* The child by that name, looked up in the tree if it is not known: an errno.
 * It is to be tidied if it is not used. */
int store_child(struct store *store, struct snode *parent, const char *name,
                size_t len, struct snode **ret);
/* After a branch has moved: tree and hash as of now: an errno. */
int store_refresh(struct store *store, struct snode *node);
/* All contents into data: an errno. */
int store_load(struct store *store, struct snode *node);
void store_unload(struct store *store, struct snode *node);
/* The origin that a node has, made explicit before it moves. False: no memory.
 */
bool store_keep_origin(struct snode *node);
bool store_is_empty_dir(struct store *store, struct snode *dir, int *ret_err);

/* ---- store_branch.c: what stands above the trees ------------------------ */

int store_top_child(struct store *store, struct snode *parent, const char *name,
                    size_t len, struct snode **ret);
/* Called for each entry of a top directory. False ends it. */
typedef bool (*store_name_fn)(void *arg, const char *name);
int store_top_list(struct store *store, const struct snode *dir,
                   store_name_fn fn, void *arg);
int store_branch_make(struct store *store, const char *name);
int store_branch_copy(struct store *store, struct branch *from,
                      const char *name);
int store_branch_remove(struct store *store, const char *name);
/* Notice branches that others have moved. Without locks. */
void store_branches_reload(struct store *store);
/* A branch has moved: what the kernel must forget becomes news. Under turn. */
void store_note_news(struct store *store, struct branch *branch);
/* Tell the kernel. Without locks: it may be waiting for an answer itself. */
void store_tell_news(struct store *store);
void store_branch_free(struct branch *branch);
struct pk_slice store_branch_name(const struct branch *branch);
#define STORE_HEX_LEN (2 * PK_HASH_MAX_LEN + 1)
void store_hex(const struct store *store, const struct pk_digest *hash,
               char ret[STORE_HEX_LEN]);

/* ---- store_commit.c ------------------------------------------------------ */

/* Something of a node of a branch changes; under both locks. */
void store_changed(struct store *store, struct snode *node);
/* The repo to write to, and its release: an errno. Under change. */
int store_write_begin(struct store *store, struct pk_repo **ret);
int store_write_end(struct store *store, struct pk_repo *repo);
/* Have repo show the last commit: an error of the store. Under change, not
 * turn. */
int store_reload(struct store *store);
/* Commit what is pending on a branch: an errno. Under change, not turn. */
int store_commit(struct store *store, struct branch *branch);
/* The same from outside; NULL: all branches. */
int store_sync(struct store *store, struct branch *branch);
/* Hash of a node as it is, changes counted; under turn. */
int store_hash(struct store *store, struct snode *node, struct pk_digest *ret);
int store_sync_start(struct store *store);
void store_sync_stop(struct store *store);

void store_listings_close(struct store *store);

/* ---- Operations ---------------------------------------------------------- */

void store_ops_read(struct fuse_lowlevel_ops *ops);
void store_ops_dir(struct fuse_lowlevel_ops *ops);
void store_ops_change(struct fuse_lowlevel_ops *ops);
void store_ops_names(struct fuse_lowlevel_ops *ops);
void store_ops_xattr(struct fuse_lowlevel_ops *ops);
void store_fill_entry(const struct store *store, const struct snode *node,
                      struct fuse_entry_param *ret);
double store_timeout(const struct snode *node);

#endif
