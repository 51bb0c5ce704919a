/* SPDX-License-Identifier: ISC */
/* notapack: options, and the table of commands. */
#include <getopt.h>
#include <string.h>

#include "cli/notapack.h"

static const struct {
    const char *name;
    np_command run;
    int min_words; /* with the command itself */
    int max_words;
    const char *usage;
} commands[] = {
    {"check", np_check, 1, 1, "check"},
    {"dump", np_dump, 1, 1, "dump [--all] [--commit HASH]"},
    {"script", np_script, 1, 1, "script <SCRIPT"},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

static int usage(FILE *out)
{
    fprintf(out, "usage: notapack -s STORE COMMAND ...\n"
                 "  --config auto|NAME|key=value,...  --lower DIR\n"
                 "  --strategy minimal|always|minimal_with_contents\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %s\n", commands[i].usage);
    }
    return out == stderr ? NP_USAGE : NP_OK;
}

static bool parse_strategy(const char *text, enum pk_strategy *ret)
{
    static const char *const names[] = {"minimal", "always",
                                        "minimal_with_contents"};

    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum pk_strategy)i;
            return true;
        }
    }
    fprintf(stderr, "notapack: unknown strategy %s\n", text);
    return false;
}

enum {
    OPT_CONFIG = 256,
    OPT_STRATEGY,
    OPT_LOWER,
    OPT_COMMIT,
    OPT_ALL,
    OPT_DATE,
    OPT_AUTHOR,
    OPT_MESSAGE,
    OPT_JSON,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"store", required_argument, NULL, 's'},
    {"branch", required_argument, NULL, 'b'},
    {"quiet", no_argument, NULL, 'q'},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"strategy", required_argument, NULL, OPT_STRATEGY},
    {"lower", required_argument, NULL, OPT_LOWER},
    {"commit", required_argument, NULL, OPT_COMMIT},
    {"all", no_argument, NULL, OPT_ALL},
    {"date", required_argument, NULL, OPT_DATE},
    {"author", required_argument, NULL, OPT_AUTHOR},
    {"message", required_argument, NULL, OPT_MESSAGE},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, struct np_options *o)
{
    int c;

    while ((c = getopt_long(argc, argv, "s:b:m:q", long_options, NULL)) != -1) {
        switch (c) {
        case 's':
            o->store = optarg;
            break;
        case 'b':
            o->branch = optarg;
            break;
        case 'q':
            o->quiet = true;
            break;
        case OPT_CONFIG:
            o->config = optarg;
            break;
        case OPT_STRATEGY:
            if (!parse_strategy(optarg, &o->strategy)) {
                return NP_USAGE;
            }
            break;
        case OPT_LOWER:
            o->lower = optarg;
            break;
        case OPT_COMMIT:
            o->commit = optarg;
            break;
        case OPT_ALL:
            o->all = true;
            break;
        case OPT_DATE:
            o->date = optarg;
            break;
        case OPT_AUTHOR:
            o->author = optarg;
            break;
        case 'm':
        case OPT_MESSAGE:
            o->message = optarg;
            break;
        case OPT_JSON:
            o->json = true;
            break;
        case OPT_HELP:
            return usage(stdout);
        default:
            return usage(stderr);
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct np_options options = {0};
    int status = parse_options(argc, argv, &options);

    if (status >= 0) {
        return status;
    }
    for (size_t i = 0; i < N_COMMANDS && optind < argc; i++) {
        int n_words = argc - optind;

        if (strcmp(argv[optind], commands[i].name) != 0) {
            continue;
        }
        if (n_words < commands[i].min_words ||
            n_words > commands[i].max_words) {
            fprintf(stderr, "usage: notapack -s STORE %s\n", commands[i].usage);
            return NP_USAGE;
        }
        status = commands[i].run(&options, n_words, argv + optind);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "notapack: standard output: write error\n");
            status = NP_FAILED;
        }
        return status;
    }
    return usage(stderr);
}
