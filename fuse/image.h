/* SPDX-License-Identifier: ISC */
/*
 * The image view: a Notafs disk as a file system.
 */
#ifndef FUSE_IMAGE_H
#define FUSE_IMAGE_H

#include <notafs/notafs.h>

#include "fuse/daemon.h"
#include "fuse/options.h"

/* What the caller has opened already, and how to mount it. */
struct image_mount {
    struct nf *nf; /* the caller's; mounted read-only where options say so */
    const char *source;
    const char *dir;
    const struct mount_options *options;
    struct daemon *daemon;
};

/* Mount, serve, commit. The status to end with: 0, or 1 after a message. */
int image_serve(const struct image_mount *how);

#endif
