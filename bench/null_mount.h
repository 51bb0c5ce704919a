/* SPDX-License-Identifier: ISC */
/*
 * A FUSE file system that does nothing: what a mount costs whoever serves it.
 * It has files named f and a number, in the root and in the directory "many",
 * keeps which of them there are and how long they are, and no bytes: reads give
 * zeros, of what is written the length counts. Mounted as ours are.
 */
#ifndef BENCH_NULL_MOUNT_H
#define BENCH_NULL_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct null_mount {
    bool write_back; /* the kernel holds back what is written */
    size_t cap;      /* files have numbers below */
    int64_t *lens;   /* cap lengths, -1 for no such file; shared memory */
};

/* All files absent. End with null_mount_deinit. */
void null_mount_init(struct null_mount *null, size_t cap, bool write_back);
void null_mount_deinit(struct null_mount *null);

/* Serve arg, a struct null_mount, on dir until it is unmounted. 0: it was. */
int null_mount_serve(const char *dir, void *arg);

#endif
