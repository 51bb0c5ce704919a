/* SPDX-License-Identifier: ISC */
/*
 * The files of a store on a Notafs disk as the last commit has them, to be read
 * while the next one is being made: a file API that writes nothing, on views of
 * the disk that one after the other take each other's place.
 *
 * Threads: the API, vfs_view_switch: whoever reads, one at a time. The others:
 *          whoever uses the disk, one at a time; both may be at work at once.
 */
#ifndef FUSE_VFS_VIEW_H
#define FUSE_VFS_VIEW_H

#include <notafs/notafs.h>
#include <notafs/vfs.h>

struct vfs_view;

/* What is below root (copied) on disk, which stays open as long: an enum
 * nf_err. */
int vfs_view_open(struct nf *disk, struct nf_path root, struct vfs_view **ret,
                  struct pk_vfs *ret_vfs);
/* All files must be closed. NULL is fine. */
void vfs_view_close(struct vfs_view *view);

/* A commit was made: open a view of it, for vfs_view_switch. */
int vfs_view_prepare(struct vfs_view *view);
/* Take it: an enum nf_err, after which all is as before. Files that are open
 * are those of the same name from now on, unless they were replaced or removed:
 * these can be read on. */
int vfs_view_switch(struct vfs_view *view);
/* Close the views that nothing is read from any more. */
void vfs_view_reap(struct vfs_view *view);

#endif
