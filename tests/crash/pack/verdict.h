/* SPDX-License-Identifier: ISC */
/* Judging what a power cut has left of a play: the store opens, shows one of
 * the moments that it may, whole, and goes on working. */
#ifndef TESTS_VERDICT_H
#define TESTS_VERDICT_H

#include "tests/crash/pack/play.h"

struct verdict {
    struct play *play;
    size_t lo; /* moments that it may show: [lo, hi] */
    size_t hi;
    bool may_be_absent; /* the store: it is being created */
    int n_durable;      /* commits that must be found: those before it */
    bool lies; /* the device: damage is told, and never other data shown */
    /* A commit made on the first branch after another cut: it may be there, or
     * must. */
    const struct pk_digest *follow;
    bool followed;
    uint64_t nth; /* decides which of the dearer questions are asked */
    FILE *why;
    size_t found; /* the moment that it showed */
    bool damaged; /* and that something could not be read */
};

/* false: something is wrong, which was told to why. The stage is off, before
 * and after. */
bool verdict(struct verdict *v);

/* The life after a cut, with the stage on: open the store as it is, commit once
 * more on the first branch, close. v->found: what it showed before. *ret_hash:
 * the commit. */
int verdict_go_on(struct verdict *v, uint64_t seed, struct pk_digest *ret_hash);

#endif
