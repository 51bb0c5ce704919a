/* SPDX-License-Identifier: ISC */
/* The options of notapack, and which command takes which. */
#ifndef NOTAPACK_ARGS_H
#define NOTAPACK_ARGS_H

#include "cli/notapack.h"

/* The first group is every command's. */
enum np_option {
    NP_STORE,
    NP_CONFIG,
    NP_STRATEGY,
    NP_LOWER,
    NP_BRANCH,
    NP_COMMIT,
    NP_DATE,
    NP_AUTHOR,
    NP_MESSAGE,
    NP_JSON,
    NP_QUIET,
    NP_PROGRESS,
    NP_HELP,
    NP_VERSION,

    NP_ALL,
    NP_NUMBER,
    NP_DELETE,
    NP_LAST,
    NP_SINCE,
    NP_HEADS,
    NP_DRY_RUN,
    NP_NO_FF,
    NP_FF_ONLY,
    NP_PREFER,
    NP_PARENT,
    NP_TO,
    NP_EXIT_CODE,
    NP_ROOT,
    NP_WITH,
    NP_FOREGROUND,
    NP_POSIX,
    NP_RESUME,
    NP_ALONE,
    NP_AS_STORE,
    NP_STATUS,
    NP_ABORT,
    NP_FORCE,
    NP_N_OPTIONS,
};

#define NP_TAKES(option) (UINT64_C(1) << (option))
#define NP_TAKES_ALWAYS  (NP_TAKES(NP_VERSION + 1) - 1)

/* Fill in options; *ret_given is a mask of those that were there. What is left
 * in argv are words. False: told. */
bool np_args_parse(int argc, char **argv, struct np_options *options,
                   uint64_t *ret_given);

/* Whether a command takes all that was given. False: told. */
bool np_args_check(const char *verb, uint64_t given, uint64_t takes);

/* A line or two for each of these options. */
void np_args_help(FILE *out, uint64_t which);

#endif
