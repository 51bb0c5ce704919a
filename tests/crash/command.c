/* SPDX-License-Identifier: ISC */
#include "tests/crash/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program;
static char repeat[300]; /* for the signal handler too */

static void on_signal(int sig)
{
    (void)!write(STDERR_FILENO, repeat, strlen(repeat));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static bool read_options(struct command *c, int argc, char **argv)
{
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--scenario") == 0) {
            c->scenario = value;
        } else if (strcmp(argv[i], "--repeat") == 0) {
            c->state = value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            c->seed = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--effort") == 0) {
            c->effort = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--at-least") == 0) {
            c->at_least = strtoull(value, NULL, 0);
        } else {
            return false;
        }
    }
    return argc % 2 == 0;
}

bool command_begin(struct command *c, int argc, char **argv,
                   const struct config *configs, size_t n_configs)
{
    const char *effort = getenv("CRASH_EFFORT");
    *c = (struct command){
        .seed = 1,
        .effort = effort == NULL ? 1 : strtoull(effort, NULL, 0),
        .repeat = repeat,
    };
    program = argv[0];
    for (size_t i = 0; argc > 1 && i < n_configs; i++) {
        if (strcmp(configs[i].name, argv[1]) == 0) {
            c->config = &configs[i];
        }
    }
    if (c->config == NULL || !read_options(c, argc, argv)) {
        fprintf(stderr, "usage: see tests/crash/command.h\n");
        return false;
    }
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGILL, on_signal); /* nf_assert */
    (void)signal(SIGSEGV, on_signal);
    printf("seed %llu, effort %llu\n", (unsigned long long)c->seed,
           (unsigned long long)c->effort);
    return true;
}

bool command_wants(struct command *c, const char *scenario)
{
    if (c->scenario != NULL && strcmp(c->scenario, scenario) != 0) {
        return false;
    }
    (void)snprintf(repeat, sizeof(repeat),
                   "%s %s --scenario %s --seed %llu --repeat ", program,
                   c->config->name, scenario, (unsigned long long)c->seed);
    return true;
}

int command_end(struct command *c, uint64_t n_states)
{
    if (n_states < c->at_least) {
        fprintf(stderr, "fewer states than %llu\n",
                (unsigned long long)c->at_least);
        c->failed++;
    }
    printf("%llu states\n%llu passed, %llu failed\n",
           (unsigned long long)n_states, (unsigned long long)c->passed,
           (unsigned long long)c->failed);
    return c->failed == 0 && c->passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
