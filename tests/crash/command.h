/* SPDX-License-Identifier: ISC */
/*
 * The command line of the crash explorers:
 *
 *     PROGRAM CONFIG [--scenario NAME] [--seed N] [--effort N] [--at-least N]
 *     PROGRAM CONFIG --scenario NAME [--seed N] --repeat STATE
 *
 * explores all scenarios on the storage of a config, or repeats the one state
 * that a failure named. The seed decides contents and samples.
 */
#ifndef TESTS_CRASH_COMMAND_H
#define TESTS_CRASH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/crash/scene.h"

struct command {
    const struct config *config;
    const char *scenario; /* NULL: all */
    const char *state;    /* the one to repeat; NULL: all */
    uint64_t seed;
    uint64_t effort;
    uint64_t at_least; /* states that all scenarios must come to */
    uint64_t passed;   /* scenarios */
    uint64_t failed;
    char *repeat; /* the command that repeats a state of the scenario at hand,
                     up to the state: told when the process aborts, too */
};

/* false, and the usage told: it is not as above. */
bool command_begin(struct command *c, int argc, char **argv,
                   const struct config *configs, size_t n_configs);

/* Whether a scenario is to be explored; it is at hand then. */
bool command_wants(struct command *c, const char *scenario);

/* Tell the sums; n_states were judged. The exit status. */
int command_end(struct command *c, uint64_t n_states);

#endif
