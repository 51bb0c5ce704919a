/* SPDX-License-Identifier: ISC */
/* One power cut: what became of each entry of a log. explore.h says how it is
 * written down. */
#ifndef TESTS_CUT_H
#define TESTS_CUT_H

#include <stdio.h>

#include "tests/support/bd_replay.h"

struct fate {
    bool arrived;
    bool torn;           /* only these sectors of it did: */
    uint64_t sectors[2]; /* as in bd_replay_pick */
};

struct cut {
    size_t settled; /* entries before it are on the disk */
    size_t upto;    /* and those from here on were never sent */
    struct fate *fates;
    struct bd_replay_pick *picks; /* scratch */
};

/* For cuts of a log of n entries. */
void cut_init(struct cut *cut, size_t n);
void cut_deinit(struct cut *cut);

/* Between settled and upto everything arrived, or was lost. */
void cut_all(struct cut *cut, bool arrived);

/* Make the disk of it. */
void cut_apply(const struct cut *cut, struct bd_replay *replay);

/* A number that another cut is not likely to have. */
uint64_t cut_hash(const struct cut *cut);

void cut_print(const struct cut *cut, FILE *out);

/* Read what cut_print wrote, at *text, which is moved behind it; false: that is
 * no cut of a log of n entries. */
bool cut_parse(struct cut *cut, size_t n, const char **text);

#endif
