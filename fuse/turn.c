/* SPDX-License-Identifier: ISC */
#include "fuse/turn.h"

void turn_init(struct turn *turn)
{
    pthread_mutex_init(&turn->mutex, NULL);
    for (size_t i = 0; i < TURN_PLACES; i++) {
        pthread_cond_init(&turn->passed[i], NULL);
    }
    turn->next = 0;
    turn->serving = 0;
}

void turn_deinit(struct turn *turn)
{
    for (size_t i = 0; i < TURN_PLACES; i++) {
        pthread_cond_destroy(&turn->passed[i]);
    }
    pthread_mutex_destroy(&turn->mutex);
}

void turn_take(struct turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    uint64_t mine = turn->next++;
    while (turn->serving != mine) {
        pthread_cond_wait(&turn->passed[mine % TURN_PLACES], &turn->mutex);
    }
    pthread_mutex_unlock(&turn->mutex);
}

bool turn_try(struct turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    bool free = turn->serving == turn->next;
    turn->next += free;
    pthread_mutex_unlock(&turn->mutex);
    return free;
}

void turn_pass(struct turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    turn->serving++;
    if (turn->serving != turn->next) {
        pthread_cond_broadcast(&turn->passed[turn->serving % TURN_PLACES]);
    }
    pthread_mutex_unlock(&turn->mutex);
}
