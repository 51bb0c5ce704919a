/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_VFS_NOTAFS_H
#define NOTAFS_VFS_NOTAFS_H

#include <notafs/notafs.h>
#include <notafs/vfs.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pk_vfs_notafs;

/*
 * The files below one directory of a mounted disk, as a file API. What was done
 * through it becomes durable, all or nothing, with pk_vfs_ops.commit, which is
 * nf_sync: other changes of the same mount go along. A commit that fails aborts
 * the transaction, and users of the files must open them anew; so does whoever
 * takes a lock, if the transaction has failed.
 *
 * The directory is made by the first file in it. Names in it that begin with
 * ".removed-" belong to files that were removed while they were open; those
 * that a crash left behind go when a writable mount is opened here.
 *
 * Owns:   nf and env are borrowed until pk_vfs_notafs_close; root is copied.
 *         *ret_vfs points into the object.
 * Errors: NF_ENOMEM, NF_ENAMETOOLONG, NF_ENOTDIR, those of nf_dir_open.
 */
NF_MUST_USE int pk_vfs_notafs_open(struct nf *nf, const struct nf_env *env,
                                   struct nf_path root,
                                   struct pk_vfs_notafs **ret,
                                   struct pk_vfs *ret_vfs);

/* All files must be closed, and all locks released. NULL is fine. */
void pk_vfs_notafs_close(struct pk_vfs_notafs *vfs);

#ifdef __cplusplus
}
#endif
#endif
