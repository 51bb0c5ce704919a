/* SPDX-License-Identifier: ISC */
/* notapack: options, and the table of commands. */
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "cli/notapack.h"

static const struct {
    const char *name;
    np_command run;
    int min_words; /* with the command itself */
    int max_words;
    const char *usage;
} commands[] = {
    {"archive", np_archive, 1, INT_MAX,
     "archive [--dry-run] [--heads] [--last N] [--since DATE] [COMMIT ...]"},
    {"branch", np_branches, 1, 3, "branch [-d] [NAME [COMMIT]]"},
    {"cat-object", np_cat_object, 2, 2, "cat-object HASH|OFFSET"},
    {"check", np_check, 1, 1, "check"},
    {"control", np_control, 1, 1, "control"},
    {"dict", np_dict, 1, 1, "dict"},
    {"diff", np_diff, 1, 3, "diff [OLD [NEW]]"},
    {"dump", np_dump, 1, 1, "dump [--all] [--commit HASH]"},
    {"export", np_export, 2, 2, "export DIR|FILE.tar|-"},
    {"find", np_find, 2, 2, "find PATTERN"},
    {"gc", np_gc, 1, INT_MAX,
     "gc [--dry-run] [--heads] [--last N] [--since DATE] [COMMIT ...]"},
    {"get", np_get, 2, 2, "get PATH"},
    {"import", np_import, 2, 3, "import DIR|FILE.tar|- [PATH]"},
    {"index", np_index, 1, 1, "index"},
    {"init", np_init, 1, 1, "init"},
    {"log", np_log, 1, 2, "log [-n N] [COMMIT]"},
    {"ls", np_ls, 1, 2, "ls [PATH]"},
    {"mount", np_mount, 2, 3, "mount [-f] [-o LIST] [STORE] DIR"},
    {"repair", np_repair, 1, 1, "repair"},
    {"replay", np_replay, 3, 3, "replay SRC DST"},
    {"revert", np_revert, 2, 2, "revert COMMIT"},
    {"rm", np_rm, 2, 2, "rm PATH"},
    {"script", np_script, 1, 1, "script <SCRIPT"},
    {"set", np_set, 2, 3, "set PATH [VALUE]"},
    {"show", np_show, 1, 2, "show [COMMIT]"},
    {"split", np_split, 1, 1, "split"},
    {"stat", np_stat, 1, 1, "stat"},
    {"tree", np_tree, 1, 2, "tree [PATH]"},
    {"volumes", np_volumes, 1, 2, "volumes [add]"},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

static int usage(FILE *out)
{
    fprintf(out,
            "usage: notapack -s STORE COMMAND ...\n"
            "STORE is a folder, or an image of notafs, IMAGE[:NAME]\n"
            "  -b, --branch NAME   branch to work on (main)\n"
            "  --commit HASH       look at this commit instead\n"
            "  --config auto|NAME|key=value,...\n"
            "  --strategy minimal|always|minimal_with_contents\n"
            "  --lower DIR         the lower layer\n"
            "  --date SECONDS --author NAME -m, --message TEXT   of a commit\n"
            "  --json              JSON instead of text\n"
            "  -q, --quiet         no progress\n"
            "  -f, -o LIST         of a mount: in the foreground; options\n");
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

/* A list goes on where the last one ended; kept until the program ends. */
static bool add_text(const char **list, const char *more)
{
    char *both;

    if (*list == NULL) {
        *list = more;
        return true;
    }
    if (asprintf(&both, "%s,%s", *list, more) < 0) {
        fprintf(stderr, "notapack: out of memory\n");
        return false;
    }
    *list = both;
    return true;
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
    OPT_LAST,
    OPT_SINCE,
    OPT_HEADS,
    OPT_DRY_RUN,
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
    {"last", required_argument, NULL, OPT_LAST},
    {"since", required_argument, NULL, OPT_SINCE},
    {"heads", no_argument, NULL, OPT_HEADS},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, struct np_options *o)
{
    int c;

    while ((c = getopt_long(argc, argv, "s:b:m:n:qdfo:", long_options, NULL)) !=
           -1) {
        switch (c) {
        case 's':
            o->store = optarg;
            break;
        case 'b':
            o->branch = optarg;
            break;
        case 'n':
            o->number = optarg;
            break;
        case 'd':
            o->remove = true;
            break;
        case 'f':
            o->foreground = true;
            break;
        case 'o':
            if (!add_text(&o->with, optarg)) {
                return NP_FAILED;
            }
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
        case OPT_LAST:
            o->last = optarg;
            break;
        case OPT_SINCE:
            o->since = optarg;
            break;
        case OPT_HEADS:
            o->heads = true;
            break;
        case OPT_DRY_RUN:
            o->dry_run = true;
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
