/* SPDX-License-Identifier: ISC */
/*
 * Into the background, in such a way that the command returns when the mount
 * is ready, with its exit status, or after it has said why not.
 */
#ifndef FUSE_DAEMON_H
#define FUSE_DAEMON_H

#include <stdbool.h>

struct daemon {
    int pipe; /* to the process that waits; -1: none does */
};

/* Go on in a child, unless in the foreground; the caller's process waits and
 * ends with the status that the child reports. Must come before threads and
 * locks. Errors: -1 with errno. */
int daemon_begin(struct daemon *daemon, bool foreground);

/* All is well: let the other process end with 0, and leave its terminal. */
void daemon_ready(struct daemon *daemon);

/* Tell a problem: to standard error, or once in the background to the log. */
void daemon_log(const struct daemon *daemon, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
