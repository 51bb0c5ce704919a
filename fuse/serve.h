/* SPDX-License-Identifier: ISC */
/*
 * A mount from its beginning to its end: session, threads, signals.
 */
#ifndef FUSE_SERVE_H
#define FUSE_SERVE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fuse/daemon.h"
#include "fuse/options.h"

struct serve {
    const char *source; /* as /proc/mounts shows it */
    const char *dir;
    const char *type; /* "notafs", "notapack" */
    const struct mount_options *options;
    struct daemon *daemon;
    const struct fuse_lowlevel_ops *ops;
    void *userdata;
    /* Before the first request, and after the last: an errno. */
    int (*start)(void *userdata, struct fuse_session *session);
    void (*stop)(void *userdata);
};

/*
 * Mount and serve until it is unmounted, or SIGTERM, SIGINT or SIGHUP unmounts
 * it: what the kernel has not written yet is asked for first. 0, or an errno
 * when it could not be mounted (libfuse has told why).
 */
int serve(const struct serve *how);

/* Capabilities that both views ask for, and sizes of requests. */
void serve_init(struct fuse_conn_info *conn);

/* An errno for a negative enum nf_err, 0 for others. */
int serve_errno(int err);

#endif
