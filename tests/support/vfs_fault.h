/* SPDX-License-Identifier: ISC */
/*
 * Files in memory that fail on demand, and that remember what was done to them
 * so that every state a power cut could leave can be had.
 *
 *     struct vfs_fault fault;
 *     vfs_fault_init(&fault);
 *     vfs_fault_record(&fault);
 *     ... the scenario runs on &fault.vfs; vfs_fault_mark(&fault, n) says that
 *         n things have been acknowledged ...
 *     for (size_t upto = 1; upto <= fault.n_ops; upto++) {
 *         struct vfs_fault crashed;
 *         vfs_fault_crash(&fault, upto, &prng, kind, &crashed);
 *         ... open crashed.vfs; crashed.marked things must be there ...
 *         vfs_fault_deinit(&crashed);
 *     }
 *     vfs_fault_deinit(&fault);
 *
 * The model is POSIX without favours: what was done before the last order or
 * commit is there; of what follows any subset is, each write in any 512-byte
 * sectors, each change of a name whole or not at all; where a write beyond the
 * end of a file is lost and a later one is not, zeros stand in between.
 */
#ifndef TESTS_VFS_FAULT_H
#define TESTS_VFS_FAULT_H

#include <stdio.h>

#include <notafs/vfs.h>

#include "host/prng.h"

struct vfs_file;
struct vfs_name;
struct vfs_op;

struct vfs_fault {
    struct pk_vfs vfs; /* vfs.ctx is the struct itself: it must not move */
    struct vfs_file **files;
    size_t n_files;
    struct vfs_name *names;
    size_t n_names;
    struct vfs_op *ops; /* recorded */
    size_t n_ops;
    size_t cap_ops;
    bool recording;
    bool locked;
    uint64_t marked;   /* last mark */
    uint64_t n_calls;  /* that could fail, so far */
    uint64_t fail_at;  /* value of n_calls; 0: never */
    uint64_t n_failed; /* calls refused */
    bool for_ever;
    int fail_err;  /* NF_EIO unless set */
    size_t n_open; /* handles */
};

void vfs_fault_init(struct vfs_fault *fault);
void vfs_fault_deinit(struct vfs_fault *fault);

/* Refuse the n-th call from now (the next is 1), and with for_ever all that
 * follow. Every call but close, unlock and size can fail. A write that is
 * refused is done in part. n = 0: refuse none. */
void vfs_fault_fail(struct vfs_fault *fault, uint64_t n, bool for_ever);

/* Begin to remember. What is there now is the beginning. */
void vfs_fault_record(struct vfs_fault *fault);
void vfs_fault_mark(struct vfs_fault *fault, uint64_t mark);

/* Which of the operations that are not settled have reached the disk. */
enum vfs_crash {
    VFS_CRASH_NONE,
    VFS_CRASH_ALL,
    VFS_CRASH_SOME,  /* each with one half */
    VFS_CRASH_TORN,  /* each sector of each with one half */
    VFS_CRASH_LATE,  /* only the last few */
    VFS_CRASH_KINDS, /* how many there are */
};

/* The files after a power cut when upto operations had been begun. *ret is
 * made, with marked set to the last mark before the cut. */
void vfs_fault_crash(const struct vfs_fault *fault, size_t upto,
                     struct prng *prng, enum vfs_crash kind,
                     struct vfs_fault *ret);

/*
 * The same operation by operation, for explorers that choose what was lost.
 *
 * settled: so many of the first upto operations are surely on the disk.
 * sectors: how many pieces a write can be torn into; 0: it is none.
 * changes: false: losing it makes no difference.
 * print:   say what operation i is.
 * redo:    do to other files what operation i says. pieces tears a write: bit k
 *          (of word k / 64, modulo 128) set: its k-th piece arrived; NULL: all.
 *          With VFS_FAULT_END in the second word the file has its new length
 *          though bytes of it did not arrive. Operation 0 is the beginning.
 */
#define VFS_FAULT_END (UINT64_C(1) << 63)
size_t vfs_fault_settled(const struct vfs_fault *fault, size_t upto);
size_t vfs_fault_sectors(const struct vfs_fault *fault, size_t i);
bool vfs_fault_changes(const struct vfs_fault *fault, size_t i);
void vfs_fault_print(const struct vfs_fault *fault, size_t i, FILE *out);
void vfs_fault_redo(const struct vfs_fault *fault, size_t i,
                    const uint64_t *pieces, struct vfs_fault *to);

/* A copy of the files as they are. */
void vfs_fault_copy(const struct vfs_fault *fault, struct vfs_fault *ret);

/* The bytes of a file, NULL if there is none. They live until it changes. */
uint8_t *vfs_fault_bytes(const struct vfs_fault *fault, const char *name,
                         size_t *ret_len);

/* Put a file there as a whole. */
void vfs_fault_put(struct vfs_fault *fault, const char *name,
                   const uint8_t *bytes, size_t len);

#endif
