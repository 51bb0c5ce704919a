/* SPDX-License-Identifier: ISC */
/*
 * A play: a store on a stage, what is done to it while the stage records, and
 * what it must show after each of these acts. Names, contents and choices come
 * from the play's own seed.
 */
#ifndef TESTS_PLAY_H
#define TESTS_PLAY_H

#include <notafs/pack.h>

#include "tests/crash/pack/stage.h"

enum { PLAY_BRANCHES = 3, PLAY_COMMITS = 64 };

/* The branches of a play, by number. */
extern const char *const play_branches[PLAY_BRANCHES];

struct play_commit {
    struct pk_digest hash;
    struct pk_digest root;
    bool gone; /* it need not be found: collected, say */
};

/* What is there once an act is over. */
struct moment {
    size_t begun;             /* entries recorded when the act began ... */
    size_t acked;             /* ... and when it was said to be done */
    uint64_t generation;      /* of the disk */
    int heads[PLAY_BRANCHES]; /* commits that the branches name; -1: none */
    int n_durable;            /* commits that must be found: those before it */
};

struct script;

struct play {
    struct stage *stage;
    const struct script *script;
    struct pk_open opts; /* but for flags */
    struct pk_vfs vfs;
    struct pk_repo *repo; /* NULL: closed */
    struct prng prng;
    int heads[PLAY_BRANCHES];
    struct play_commit commits[PLAY_COMMITS];
    int n_commits;
    int n_durable;
    struct moment *moments;
    size_t n_moments;
};

struct script {
    const char *name;
    const char *config; /* of the store */
    enum pk_strategy strategy;
    uint64_t index_log; /* entries; 0: as large as can be */
    bool damaged;       /* the store, at first: it may have to be repaired */
    bool lower;         /* it has a lower layer, or gets one */
    void (*before)(struct play *p); /* not recorded; NULL: nothing */
    void (*run)(struct play *p);
};

extern const struct script scripts[];
extern const size_t n_scripts;

/* Run a script on a new stage, which is off then, its record complete. */
void play_open(struct play *p, const struct config *config,
               const struct script *script, uint64_t seed);
void play_close(struct play *p);

/* An act that is none of those below: where it began, and that it is over. The
 * second says what must be there from p->heads and p->n_durable. */
size_t play_begin(struct play *p);
void play_end(struct play *p, size_t begun);

/* The process begins, the store is opened for writing; it is closed, and the
 * process ends. Between, the files can be had as p->vfs. */
void play_on(struct play *p);
void play_off(struct play *p);
void play_store_open(struct play *p);
void play_store_close(struct play *p);

/* A commit of some changes on a branch, which it moves. */
void play_commit(struct play *p, int branch);

/* The same, but only flushed, and no branch moved. */
void play_commit_aside(struct play *p, int branch);

/* A merge of the second branch into the first. */
void play_merge(struct play *p, int ours, int theirs);

/* -1: remove it. */
void play_branch_set(struct play *p, int branch, int commit);
void play_branch_cas(struct play *p, int branch, int commit);
void play_split(struct play *p);

/* Repair of the store, which is closed. */
void play_repair(struct play *p);

/* The changes of a commit with that number, as a tree from a commit, or from
 * nothing (NULL), and the commit itself. 0 or an error. */
int play_change(struct pk_repo *repo, const struct pk_digest *from,
                uint64_t seed, struct pk_tree **ret_tree);
int play_make(struct pk_tree *tree, const struct pk_digest *parent,
              uint64_t seed, struct pk_digest *ret_hash);

/* Fail with a message if err is not 0. */
void play_must(struct play *p, const char *what, int err);

struct pk_slice play_text(const char *text);

#endif
