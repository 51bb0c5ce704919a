/* SPDX-License-Identifier: ISC */
/*
 * The image view's inside.
 *
 * Locks, in the order in which they are taken:
 *   space.turn   one thread at a time uses a handle of Notafs
 *   view_lock    the same for the view that readers use while others commit
 *   lock         nodes, attributes; never held over a call of Notafs
 *
 * Reading: who finds the live handle busy reads through a view of the last
 * commit, if what it wants has not changed since (node.changed). Changing: the
 * node is marked as changed before, under the live handle's turn. So no reader
 * waits for a commit but for what is being committed.
 */
#ifndef FUSE_IMAGE_INT_H
#define FUSE_IMAGE_INT_H

#include <limits.h>
#include <sys/stat.h>

#include "fuse/attrs.h"
#include "fuse/image.h"
#include "fuse/serve.h"
#include "fuse/turn.h"

#define IMAGE_ROOT           1 /* id of the root directory in any generation */
#define IMAGE_REMOVED        ".notafs-removed" /* files open without a name */
#define IMAGE_GENERATIONS    ".generations"
#define IMAGE_GENERATIONS_ID UINT64_MAX

/* A generation that is shown: the live one, or one below .generations. */
struct space {
    struct space *next;
    struct nf *nf;
    struct turn turn;
    uint64_t number;  /* of the generation; 0: live */
    uint32_t n_nodes; /* that belong to it; it is closed after the last */
    struct node *root;
    _Atomic bool used; /* lately */
};

enum node_kind { NODE_FILE, NODE_DIR, NODE_GENERATIONS };

/* A file or directory that the kernel knows, or that is open. */
struct node {
    struct node *hash_next;
    struct space *space;
    uint64_t id;
    enum node_kind kind;
    struct node *parent; /* a reference; NULL: a root, or removed */
    char *name;          /* in parent */
    size_t name_len;
    uint64_t n_lookups; /* by the kernel */
    uint32_t refs;      /* children, and ourselves */
    uint32_t n_open;
    uint32_t n_writers;   /* of these, may write */
    struct nf_file *file; /* once read or written while n_open > 0 */
    bool removed;         /* has no name any more ... */
    bool hidden;          /* ... but one below IMAGE_REMOVED */
    uint64_t changed;     /* generation that has its last change */
    struct nf_stat stat;  /* as it is, if known */
    bool has_stat;
    struct node *touch; /* next directory whose mtime is to be recorded */
    bool touched;
    struct timespec mtime; /* of touched directories, and of the root */
    struct timespec atime; /* tv_nsec UTIME_OMIT: as mtime */
    struct timespec ctime;
};

#define IMAGE_VIEW_FILES 16

/* The last commit, for readers. */
struct view {
    struct nf *nf;
    uint64_t generation;
    _Atomic bool used; /* since the last commit */
    struct {
        uint64_t id;
        struct nf_file *file;
    } files[IMAGE_VIEW_FILES];
    size_t next_file; /* to be replaced */
};

struct image {
    const struct image_mount *how;
    struct fuse_session *session;
    bool readonly;
    bool native;
    struct space live;

    /* Under live.turn. */
    uint64_t generation; /* of the last commit */
    bool broken;         /* a commit failed: read-only from now on */
    struct node *touched;
    uint64_t removed_dir; /* id of IMAGE_REMOVED; 0: there is none yet */

    _Atomic uint64_t changes; /* made */
    _Atomic uint64_t synced;  /* of these, durable */

    pthread_mutex_t view_lock;
    struct view view;
    _Atomic bool view_wanted; /* a reader had to wait for lack of it */
    _Atomic bool looked;      /* there were readers since the last commit */

    pthread_mutex_t lock;
    struct node **buckets;
    size_t n_buckets; /* a power of two */
    size_t n_nodes;
    struct attrs attrs;
    struct space *spaces;       /* below .generations */
    struct space *dead_spaces;  /* to be closed */
    uint64_t forgotten_changed; /* the latest change of nodes let go of */

    pthread_t seeker;
    pthread_mutex_t seek_lock;
    pthread_cond_t seek_more;
    struct seek *seeks; /* to be answered */
    bool seek_stopping;

    pthread_t committer;
    pthread_mutex_t timer_lock;
    pthread_cond_t timer;
    bool stopping;
};

/* ---- image_node.c: which nodes there are ----------------------------- */

int image_nodes_init(struct image *image);
void image_nodes_deinit(struct image *image);
struct node *image_root(struct image *image);
struct node *image_node(struct image *image, fuse_ino_t ino);
fuse_ino_t image_ino(const struct image *image, const struct node *node);

/* The node of an entry, made where there is none, with one more look-up.
 * NULL: no memory. */
struct node *image_node_look_up(struct image *image, struct node *parent,
                                const char *name, size_t len,
                                const struct nf_stat *st);
/* The root of a new space, with one look-up. Under lock. */
struct node *image_node_add_root(struct image *image, struct space *space,
                                 struct node *parent, const char *name);
void image_node_forget(struct image *image, struct node *node, uint64_t n);
void image_node_ref(struct image *image, struct node *node);
void image_node_unref(struct image *image, struct node *node);
/* The node with that id in the live space, with a reference, or NULL. */
struct node *image_node_find(struct image *image, uint64_t id);
/* It has another name now; parent NULL: none. False: no memory. */
bool image_node_move(struct image *image, struct node *node,
                     struct node *parent, const char *name, size_t len);
/* Whether dir is node, or below it. */
bool image_node_is_below(struct image *image, const struct node *dir,
                         const struct node *node);
/* Where it is, with its name copied to buf. */
struct nf_at image_at(struct image *image, const struct node *node,
                      char buf[NAME_MAX + 1]);
static inline struct nf_at image_at_child(const struct node *dir,
                                          const char *name, size_t len)
{
    struct nf_at at = {dir->id, {name, len}};
    return at;
}

/* ---- image_sync.c: turns and commits ---------------------------------- */

/* A handle to read through. */
struct reading {
    struct image *image;
    struct space *space; /* NULL: the view */
    struct nf *nf;
    struct nf_file *opened; /* to be closed at the end */
};
void image_read_begin(struct image *image, struct node *node,
                      struct reading *ret);
/* The file to read in, until the end. */
int image_read_file(struct reading *reading, struct node *node,
                    struct nf_file **ret);
void image_read_end(struct reading *reading);
/* Whether what this handle says of that id is the latest. */
bool image_reading_is_new(struct reading *reading, uint64_t id);

/* Commit now. Under live.turn: an errno. */
int image_sync_now(struct image *image);

/* Take the live handle's turn to change something: an errno. */
int image_change_begin(struct image *image);
/* The file to change; *ret_opened, if not NULL, is to be closed after. */
int image_change_file(struct image *image, struct node *node,
                      struct nf_file **ret, struct nf_file **ret_opened);
/* Something of node will change; NULL: none that a reader could see. */
void image_changing(struct image *image, struct node *node);
/* Contents of a directory changed. */
void image_touch(struct image *image, struct node *dir);
/* After a call failed: whether to try it again, as there is more space now. */
bool image_retry(struct image *image, int err, bool *tried);
/* err is that of the last call: an errno. */
int image_change_end(struct image *image, int err);

/* Make all that was changed until now durable: an errno. */
int image_sync(struct image *image);
/* Close what pins old generations. Under live.turn. */
void image_view_close(struct image *image);
int image_sync_start(struct image *image);
void image_sync_stop(struct image *image);

/* ---- image_stat.c ------------------------------------------------------ */

/* What is known of a node without asking: false if nothing. */
bool image_known_stat(struct image *image, struct node *node,
                      struct nf_stat *ret);
void image_fill_stat(struct image *image, struct node *node,
                     const struct nf_stat *st, struct stat *ret);
/* nf_stat of a node, on the handle of its space, whose turn it is. */
int image_stat_node(struct image *image, struct node *node, struct nf *nf,
                    struct nf_stat *ret);
struct timespec image_now(void);
/* The timeouts and all of an entry, whose node was looked up. */
void image_fill_entry(struct image *image, struct node *node,
                      const struct nf_stat *st, struct fuse_entry_param *ret);

/* ---- image_generations.c ------------------------------------------------ */

#define IMAGE_NUMBER_LEN 24
/* The root of a generation, looked up once more: an enum nf_err. */
int image_generation_open(struct image *image, struct node *parent,
                          const char *name, struct node **ret);
/* The names of those that can be opened, newest first: their number. */
int image_generation_names(struct image *image, char (*ret)[IMAGE_NUMBER_LEN],
                           size_t max);
/* Its last node has gone. Under image.lock. */
void image_space_close(struct image *image, struct space *space);
/* Under live.turn: close those whose last node has gone. */
void image_spaces_reap(struct image *image);
/* Have the kernel forget what was not used since the last call. No locks. */
void image_spaces_expire(struct image *image);
void image_spaces_deinit(struct image *image);

/* ---- image_seek.c ------------------------------------------------------- */

int image_seek_start(struct image *image);
void image_seek_stop(struct image *image);

/* ---- Operations ---------------------------------------------------------- */

void image_ops_read(struct fuse_lowlevel_ops *ops);   /* image_read.c */
void image_ops_dir(struct fuse_lowlevel_ops *ops);    /* image_dir.c */
void image_ops_change(struct fuse_lowlevel_ops *ops); /* image_change.c */
void image_ops_names(struct fuse_lowlevel_ops *ops);  /* image_names.c */
void image_ops_seek(struct fuse_lowlevel_ops *ops);

/* For unlink and rename: the name at goes, but the file may be open. Under the
 * turn, in a change. */
int image_remove_entry(struct image *image, struct nf_at at);
/* A handle was opened, or closed; flags are those of open(2). */
void image_add_open(struct image *image, struct node *node, int flags);
void image_drop_open(struct image *image, struct node *node, int flags);
/* After the last one, under the turn. */
void image_drop_hidden(struct image *image, struct node *node);

#endif
