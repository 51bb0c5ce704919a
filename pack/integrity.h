/* SPDX-License-Identifier: ISC */
/* Verification of what can be reached. */
#ifndef PK_INTEGRITY_H
#define PK_INTEGRITY_H

#include "pack/manager.h"
#include "pack/verified.h"

/* A directory to be checked, and what to do about findings. */
struct pk_checker {
    struct pk_store *store;
    struct pk_verified known;
    pk_finding_fn fn;
    void *arg;
    struct pk_check_stats stats;
    bool lenient;    /* references to what was collected are only counted */
    uint64_t budget; /* objects; 0: enough */
    uint64_t *todo;  /* directories */
    size_t n_todo;
    size_t cap_todo;
    struct pk_check_batch *batch; /* contents to be hashed, or NULL */
    struct pk_check_path *path;   /* inodes from the root down, or NULL */
};

/* pk_checker_deinit releases. */
void pk_checker_init(struct pk_checker *checker, struct pk_store *store);

/* Verify the commit at off and its tree. Only memory and the callback end it
 * with an error. */
NF_MUST_USE int pk_check_commit(struct pk_checker *checker, uint64_t off);
void pk_checker_deinit(struct pk_checker *checker);

/* Verify everything, as pk_check says. */
NF_MUST_USE int pk_check_store(struct pk_store *store, pk_finding_fn fn,
                               void *arg, struct pk_check_stats *ret_stats);

#endif
