/* SPDX-License-Identifier: ISC */
/* A file API in front of another that counts what passes. */
#ifndef BENCH_COUNTED_VFS_H
#define BENCH_COUNTED_VFS_H

#include <notafs/vfs.h>

struct counted_vfs {
    struct pk_vfs below;
    uint64_t reads;
    uint64_t read_bytes;
    uint64_t writes;
    uint64_t written_bytes;
    uint64_t flushes; /* order and commit */
};

/* The front of counted->below; counters start at 0. */
struct pk_vfs counted_vfs_front(struct counted_vfs *counted);

#endif
