/* SPDX-License-Identifier: ISC */
/* The survey: all that power cuts could leave of a play, judged. States have
 * names as in explore.h. */
#ifndef TESTS_SURVEY_H
#define TESTS_SURVEY_H

#include "tests/crash/pack/verdict.h"

struct survey {
    struct play *play;
    const char *repeat; /* command that repeats a state, but for its name */
    struct prng prng;   /* of samples */
    uint64_t effort;    /* 1: of `./dev test` */
    uint64_t n_states;
    uint64_t n_nested;  /* of these, cuts after a cut */
    uint64_t n_damaged; /* of these, damage was told: on a device that lies */
    uint64_t n_failed;  /* of the last play; some, and it ends */
    uint64_t nests;     /* cuts after a cut to try yet, about here */
};

void survey(struct survey *s, struct play *play);

/* Judge the one state of that name; false: there is no such state. */
bool survey_one(struct survey *s, struct play *play, const char *name);

#endif
