/* SPDX-License-Identifier: ISC */
/* Judging a disk that a power cut left: what may be on it, and that it goes on
 * working. */
#ifndef TESTS_JUDGE_H
#define TESTS_JUDGE_H

#include "tests/crash/scene.h"

/* What is known of a disk. */
struct expected {
    const struct commit *commits;
    size_t n_commits;
    size_t lo; /* it holds one of commits[lo..hi], whole */
    size_t hi;
    bool may_not_mount; /* a format was going on */
    bool lies;          /* the device: damage is told, and never wrong data */
};

struct judge {
    struct scene *scene; /* its disk, memory and mount options */
    struct tree tree;    /* of the last disk judged, and its commit */
    size_t found;
    uint64_t nth; /* of the one being judged */
    uint64_t n_judged;
    uint64_t n_damaged;
};

/* Mount the disk, look at all of it, change it, commit, and at times mount it
 * again: nth decides how. What is wrong is told to why, and false returned. */
bool judge(struct judge *j, const struct expected *expected, uint64_t nth,
           FILE *why);

/* What the life after a crash does: write a file of that name, or remove
 * something where there is no space for it; and commit. */
int judge_follow_up(struct nf *nf, const char *name, uint32_t page_size,
                    uint64_t nth);

#endif
