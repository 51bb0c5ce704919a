/* SPDX-License-Identifier: ISC */
/*
 * Objects to be visited, the one at the largest offset first, each once: a heap
 * in memory, of which the lower half goes to a scratch file when it is full, as
 * a run of records in the order of visiting.
 */
#ifndef PK_VISIT_H
#define PK_VISIT_H

#include "pack/file.h"

enum pk_visit_flags {
    PK_VISIT_WANT = 1u << 0, /* to be sent */
    PK_VISIT_HAVE = 1u << 1, /* the receiver has it, as a part of `from` */
};

enum {
    PK_VISIT_LEN = 24,   /* of a record in the scratch file */
    PK_VISIT_RUN_N = 16, /* records of a run in memory */
    PK_VISIT_MAX_RUNS = 4096,
    PK_VISIT_FILTER_N = 8192,
};

struct pk_visit {
    uint64_t off;
    uint64_t from; /* have: element that refers to it ... */
    uint32_t slot; /* ... from this slot */
    uint32_t flags;
};

struct pk_visit_run {
    uint64_t pos; /* of what follows in the file, in records */
    uint64_t end;
    uint32_t n; /* records in memory */
    uint32_t at;
    struct pk_visit records[PK_VISIT_RUN_N];
};

struct pk_visits {
    struct pk_ctx *ctx;
    struct pk_file file;
    struct pk_visit *heap;
    size_t n;
    size_t cap;
    struct pk_visit_run **runs;
    size_t n_runs;
    size_t cap_runs;
    uint64_t n_file;         /* records in the file */
    uint64_t n_want;         /* records with PK_VISIT_WANT */
    uint64_t spilled;        /* records, all in all */
    struct pk_visit *filter; /* pushed of late, by offset; flags 0: none */
};

NF_MUST_USE int pk_visits_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                               const char *name, size_t mem_len,
                               struct pk_visits *visits);
void pk_visits_close(struct pk_visits *visits);

/* Less than what was popped last. Errors: NF_ENOMEM: too many runs, too. */
NF_MUST_USE int pk_visits_push(struct pk_visits *visits,
                               const struct pk_visit *visit);

/* 1 the next, with the flags of all pushes of it; 0: there is none. */
NF_MUST_USE int pk_visits_pop(struct pk_visits *visits, struct pk_visit *ret);

#endif
