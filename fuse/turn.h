/* SPDX-License-Identifier: ISC */
/*
 * A lock that is given in the order in which it was asked for. Who commits
 * often would take a common mutex again and again before the others woke up,
 * and each of them would need a commit of its own; in order, those who wait
 * have made their changes when the next one commits.
 */
#ifndef FUSE_TURN_H
#define FUSE_TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* More than threads, as a rule, so that a place has one waiter. */
#define TURN_PLACES 16

struct turn {
    pthread_mutex_t mutex;
    pthread_cond_t passed[TURN_PLACES]; /* by number: each wakes its own */
    uint64_t next;    /* number that the next one to ask gets */
    uint64_t serving; /* number whose turn it is */
};

void turn_init(struct turn *turn);
void turn_deinit(struct turn *turn);
void turn_take(struct turn *turn);
bool turn_try(struct turn *turn);
void turn_pass(struct turn *turn);

#endif
