/* SPDX-License-Identifier: ISC */
/*
 * What a program may do with a disk that someone else has made, of whichever
 * profile: mount it, list and read everything, scrub it, change it as ops say,
 * commit, and mount it again.
 *
 * It stops the program where a promise is broken: memory that is not released
 * or more than it should be, an error that does not say where, a commit that
 * is not found again, a disk without damage that gets some.
 */
#ifndef TESTS_EXERCISE_H
#define TESTS_EXERCISE_H

#include "tests/fuzz/fuzz.h"

#define EXERCISE_OP_LEN 8 /* bytes that describe a change */

/* ops: first a byte of options, then the changes. */
void exercise(struct fuzz_disk *disk, struct fuzz_input ops);

#endif
