/* SPDX-License-Identifier: ISC */
/* What the tests of garbage collections share: a store of a dozen commits, the
 * first of which go. */
#ifndef TESTS_PACK_GC_WORLD_H
#define TESTS_PACK_GC_WORLD_H

#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 12, N_MORE = 6, N_ALL = N_COMMITS + N_MORE };

struct world {
    struct mem_fault mem;
    struct vfs_fault files;
    const char *config;
    bool lower;
    bool wide; /* with large directories */
    struct pk_repo *repo;
    struct pk_digest commits[N_ALL + 1]; /* from 1 on */
    struct pk_digest roots[N_ALL + 1];
    int n; /* commits made */
};

struct world_names {
    int prefixes;
    int chunks;
    int others;
};

/* A store of N_COMMITS commits, a chunk for every three of them. */
void world_begin(struct world *w, const char *config, bool lower, bool wide);
void world_end(struct world *w);
void world_open(struct world *w, uint32_t flags);
void world_reopen(struct world *w, uint32_t flags);

/* One commit on the last; try: or an error. */
void world_commit(struct world *w);
int world_try_commit(struct world *w);

/* Commits first and all after it are there as they were made; those before are
 * not, unless there is a lower layer. */
void world_look(struct world *w, int first);

/* What is there beside a store of so many prefixes: nothing. */
struct world_names world_names_of(struct world *w, int prefixes);

/* A whole collection, and the options for one that keeps commit i. */
int world_collect(struct world *w, struct pk_gc_options *options,
                  struct pk_gc_stats *ret);
struct pk_gc_options world_keep_one(struct world *w, int i);

/* For pk_check: there is nothing to be found. */
int world_no_finding(void *arg, const struct pk_finding *finding);

#endif
