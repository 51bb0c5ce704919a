/* SPDX-License-Identifier: ISC */
/*
 * The explorer: every disk that a power cut could leave of a scene, judged.
 *
 * After `upto` entries of the log the power fails. What was before the last
 * completed flush is on the disk; of each entry after it anything is: all, some
 * of its 512-byte sectors, or nothing. A state is written down as
 *
 *     SETTLED-UPTO:FATES
 *
 * one fate for each entry from SETTLED to UPTO: # arrived, . lost, t and two
 * hex numbers: only the sectors arrived whose bits are set; a number behind #
 * or . repeats it. A crash of the mount and commit that follow is added behind
 * a +, in the same way.
 */
#ifndef TESTS_EXPLORE_H
#define TESTS_EXPLORE_H

#include "tests/crash/judge.h"

struct explorer {
    struct scene *scene;
    const char *repeat; /* command that repeats a state, but for its name */
    struct prng prng;   /* of samples */
    uint64_t effort;    /* 1: of `./dev test`; more samples where not all is
                           tried */
    struct judge judge;
    uint64_t nests;    /* crashes after a crash to try yet, about here */
    uint64_t n_nested; /* states that were crashes after a crash */
    uint64_t n_failed; /* of the last scene; some, and it ends */
};

void explore(struct explorer *x, struct scene *scene);

/* Judge the one state of that name; false: there is no such state. */
bool explore_one(struct explorer *x, struct scene *scene, const char *name);

#endif
