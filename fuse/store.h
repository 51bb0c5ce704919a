/* SPDX-License-Identifier: ISC */
/*
 * The store view: branches, commits and tags of a pack store as directories.
 */
#ifndef FUSE_STORE_H
#define FUSE_STORE_H

#include <notafs/pack.h>

#include "fuse/daemon.h"
#include "fuse/options.h"
#include "fuse/vfs_view.h"

/* How to open the store, twice: each through a vfs of its own, so that one
 * thread can read while another commits. Other processes can commit in between,
 * unless the store is on a disk, which is open once: then what is read goes
 * through views of it, which are renewed after each commit. */
struct store_mount {
    const struct nf_env *env;
    const struct pk_open *read;
    const struct pk_open *write;
    struct vfs_view *view; /* that read goes through, on a disk, ... */
    struct vfs_view
        *lower_view; /* ... and its lower layer; or NULL. Read-only
                        there is none: read and write are the same */
    const char *source;
    const char *dir;
    const char *branch; /* the one that at/ and new branches go by */
    const struct mount_options *options;
    struct daemon *daemon;
};

/* Mount, serve, commit. The status to end with: 0, or 1 after a message. */
int store_serve(const struct store_mount *how);

#endif
