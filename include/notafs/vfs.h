/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_VFS_H
#define NOTAFS_VFS_H

#include <notafs/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * File API: named byte files, the one door through which pack reaches storage.
 *
 * Names:   "store.dict", "index/log": steps joined by '/', relative, without
 *          "." or ".." or empty steps, at most PK_VFS_NAME_MAX bytes. Folders
 *          come with the first file created in them.
 * Units:   offsets and lengths count bytes.
 * Errors:  0 or a negative enum nf_err. A failed write leaves each byte that
 *          it addressed old or new, and the file's end old or new.
 * Threads: one caller at a time per struct pk_vfs; distinct ones are
 *          independent. Callbacks never call back into the layer above.
 *
 * Durability. What a back end promises about a crash is said by two calls:
 *
 *   order    everything done through this vfs before the call is durable
 *            before anything done after it is. A back end whose commits are
 *            atomic transactions has nothing to do here.
 *   commit   everything done through this vfs before is durable when it
 *            returns 0.
 *
 * Between two such calls a crash may keep any subset of what was done, each
 * change of a name (create, rename, remove) whole or not at all, and the
 * written bytes in any part. Back ends with atomic commits keep all or nothing
 * since the last commit.
 */
enum { PK_VFS_NAME_MAX = 120 };

enum pk_vfs_flags {
    PK_VFS_WRITE = 1u << 0,    /* the file will be written, too */
    PK_VFS_CREATE = 1u << 1,   /* make it, empty, if there is none */
    PK_VFS_TRUNCATE = 1u << 2, /* make it empty */
};

/* Called for each file in a folder: its last step and its length. Anything
 * but 0 ends the listing, which returns it. */
typedef int (*pk_vfs_list_fn)(void *arg, const char *step, uint64_t len);

/*
 * Supplied by a back end. ctx is that of struct pk_vfs, file what open gave.
 *
 * open:     NF_ENOENT without PK_VFS_CREATE when there is no such file. A file
 *           that is open stays readable when its name is removed or replaced.
 * close:    releases the handle whatever it returns.
 * read:     the bytes [off, off + len) that lie before the end of the file;
 *           *ret_len < len exactly when the end came first.
 * write:    off is at most the file's length; extends the file as needed.
 * truncate: cuts the file, len is at most its length.
 * size:     the file's length.
 * rename:   replaces a file named to.
 * remove:   NF_ENOENT when there is none.
 * list:     the files directly in a folder ("" is the root), in any order; an
 *           absent folder has none. fn must not change the folder.
 * space:    about how many bytes can be written. NULL: that is not known.
 * lock:     an exclusive lock that other users of the same storage see, until
 *           unlock or the end of the process; NF_EBUSY when it is held. The
 *           file name is created if there is none.
 */
struct pk_vfs_ops {
    int (*open)(void *ctx, const char *name, uint32_t flags, void **ret_file);
    int (*close)(void *ctx, void *file);
    int (*read)(void *ctx, void *file, uint64_t off, uint8_t *buf, size_t len,
                size_t *ret_len);
    int (*write)(void *ctx, void *file, uint64_t off, const uint8_t *buf,
                 size_t len);
    int (*truncate)(void *ctx, void *file, uint64_t len);
    int (*size)(void *ctx, void *file, uint64_t *ret_len);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*remove)(void *ctx, const char *name);
    int (*list)(void *ctx, const char *dir, pk_vfs_list_fn fn, void *arg);
    int (*order)(void *ctx);
    int (*commit)(void *ctx);
    int (*lock)(void *ctx, const char *name, void **ret_lock);
    void (*unlock)(void *ctx, void *lock);
    int (*space)(void *ctx, uint64_t *ret_len);
};

/* A back end, open. The table and ctx must outlive every user. */
struct pk_vfs {
    const struct pk_vfs_ops *ops;
    void *ctx;
};

/*
 * Files in memory, for tests and for stores that need not last.
 *
 * Owns:   *ret_vfs points into the object, which takes its memory from env;
 *         pk_vfs_mem_close releases it with all files.
 * Errors: NF_ENOMEM.
 */
struct pk_vfs_mem;
NF_MUST_USE int pk_vfs_mem_open(const struct nf_env *env,
                                struct pk_vfs_mem **ret_mem,
                                struct pk_vfs *ret_vfs);
void pk_vfs_mem_close(struct pk_vfs_mem *mem);

#ifdef __cplusplus
}
#endif
#endif
