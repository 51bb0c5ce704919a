/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_VFS_POSIX_H
#define NOTAFS_VFS_POSIX_H

#include <notafs/vfs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Hosted: the files of a folder of the operating system, so that stores of
 * other programs open where they lie. */
enum pk_vfs_posix_flags {
    PK_VFS_POSIX_CREATE = 1u << 0,  /* make the folder if there is none */
    PK_VFS_POSIX_NO_SYNC = 1u << 1, /* order and commit promise nothing */
};

/*
 * Open the folder path.
 *
 * Owns:   *ret_vfs points into the object; pk_vfs_posix_close releases it. All
 *         files must have been closed before.
 * Errors: NF_ENOENT, NF_ENOTDIR, NF_EPERM, NF_ENOMEM, NF_EIO.
 */
struct pk_vfs_posix;
NF_MUST_USE int pk_vfs_posix_open(const char *path, uint32_t flags,
                                  struct pk_vfs_posix **ret_posix,
                                  struct pk_vfs *ret_vfs);
void pk_vfs_posix_close(struct pk_vfs_posix *posix);

#ifdef __cplusplus
}
#endif
#endif
