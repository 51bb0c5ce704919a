/* SPDX-License-Identifier: ISC */
/*
 * The text after -o, as mount(8) and fstab(5) have it.
 */
#ifndef FUSE_OPTIONS_H
#define FUSE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount_options {
    bool readonly;
    bool posix;          /* store: record modes, owners, times, links */
    uint32_t commit_sec; /* commit at least so often; 0: only when asked to */
    uint64_t generation; /* image: show that one; 0: the newest */
    uid_t uid;           /* owner of what has none recorded */
    gid_t gid;
    mode_t umask;     /* bits that 0666 and 0777 lose for these */
    char *author;     /* store: of commits; NULL: the user's name */
    char *message;    /* store: of commits */
    char *config;     /* store: its configuration */
    char kernel[512]; /* what is for libfuse and the kernel */
};

void options_init(struct mount_options *options);
void options_deinit(struct mount_options *options);

/* Take in a list; may be called again. NULL, or the item that is not
 * understood, in storage of the caller's text. */
const char *options_parse(struct mount_options *options, char *text);

#endif
