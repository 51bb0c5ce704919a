/* SPDX-License-Identifier: ISC */
/*
 * Options: one table for parsing, for --help and for what each command takes.
 * Those of all commands may stand before and behind the command's name; the
 * others are refused where they mean nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/notapack_args.h"

#define AT(field) offsetof(struct np_options, field)

/* value: as --help shows it; NULL: a flag, whose field is a bool. */
static const struct option_row {
    const char *name;
    char letter; /* 0: none */
    const char *value;
    size_t at;
    const char *help;
} rows[NP_N_OPTIONS] = {
    [NP_STORE] = {"store", 's', "STORE", AT(store),
                  "a folder, or an image of notafs: IMAGE or IMAGE:NAME"},
    [NP_CONFIG] = {"config", 0, "auto|NAME|KEY=VALUE,...", AT(config),
                   "what a store does not record about itself (auto)"},
    [NP_STRATEGY] = {"strategy", 0, "minimal|always|minimal_with_contents",
                     AT(strategy_text), "which objects the index finds"},
    [NP_LOWER] = {"lower", 0, "DIR", AT(lower), "the lower layer"},
    [NP_BRANCH] = {"branch", 'b', "NAME", AT(branch),
                   "branch to look at or to commit on (main)"},
    [NP_COMMIT] = {"commit", 0, "COMMIT", AT(commit),
                   "look at this commit instead of a branch"},
    [NP_DATE] = {"date", 0, "DATE", AT(date),
                 "of a commit: seconds, or YYYY-MM-DD[THH:MM:SS] (UTC)"},
    [NP_AUTHOR] = {"author", 0, "NAME", AT(author), "of a commit"},
    [NP_MESSAGE] = {"message", 'm', "TEXT", AT(message), "of a commit"},
    [NP_JSON] = {"json", 0, NULL, AT(json), "JSON instead of text"},
    [NP_QUIET] = {"quiet", 'q', NULL, AT(quiet), "no progress, no remarks"},
    [NP_PROGRESS] = {"progress", 0, NULL, AT(progress),
                     "progress even if standard error is no terminal"},
    [NP_HELP] = {"help", 'h', NULL, AT(help), "show this help"},
    [NP_VERSION] = {"version", 0, NULL, AT(version), "show the version"},
    [NP_ALL] = {"all", 0, NULL, AT(all), "the trees of all commits"},
    [NP_NUMBER] = {"number", 'n', "N", AT(number), "at most N commits"},
    [NP_DELETE] = {"delete", 'd', NULL, AT(remove), "remove the branch"},
    [NP_LAST] = {"last", 0, "N", AT(last),
                 "keep the branches' heads and N of each one's history"},
    [NP_SINCE] = {"since", 0, "DATE", AT(since),
                  "keep the heads and what is younger: seconds, YYYY-MM-DD, "
                  "30d, 2w, 12h"},
    [NP_HEADS] = {"heads", 0, NULL, AT(heads), "keep the branches' heads"},
    [NP_DRY_RUN] = {"dry-run", 0, NULL, AT(dry_run),
                    "only tell what would be done"},
    [NP_NO_FF] = {"no-ff", 0, NULL, AT(no_ff),
                  "make a commit even if the branch could just move on"},
    [NP_FF_ONLY] = {"ff-only", 0, NULL, AT(ff_only),
                    "move the branch on or fail"},
    [NP_PREFER] = {"prefer", 'X', "ours|theirs", AT(prefer),
                   "settle conflicts in favour of one side"},
    [NP_PARENT] = {"parent", 0, "N", AT(parent),
                   "undo what changed since the N-th parent (1)"},
    [NP_TO] = {"to", 0, NULL, AT(to),
               "commit the tree of COMMIT instead of undoing it"},
    [NP_EXIT_CODE] = {"exit-code", 0, NULL, AT(exit_code),
                      "exit with 1 if there are differences"},
    [NP_ROOT] = {"root", 0, "HASH", AT(root),
                 "refuse a proof of any other tree"},
    [NP_WITH] = {"options", 'o', "LIST", AT(with), "options of the mount"},
    [NP_FOREGROUND] = {"foreground", 'f', NULL, AT(foreground),
                       "stay in the foreground"},
    [NP_POSIX] = {"posix", 0, NULL, AT(posix),
                  "record modes, owners, times and links, as -o posix"},
    [NP_RESUME] = {"resume", 0, "TOKEN", AT(resume),
                   "leave out what came before: what receive has told"},
    [NP_ALONE] = {"alone", 0, NULL, AT(alone), "without their ancestors"},
    [NP_AS_STORE] = {"as-store", 0, NULL, AT(as_store),
                     "make a store of the one commit"},
    [NP_STATUS] = {"status", 0, NULL, AT(status),
                   "tell how far a stream was received"},
    [NP_ABORT] = {"abort", 0, NULL, AT(abort),
                  "forget a stream that was received in part"},
    [NP_FORCE] = {"force", 0, NULL, AT(force),
                  "set branches that would lose commits, too"},
};

_Static_assert(NP_N_OPTIONS <= 64, "a mask holds all options");

static bool parse_strategy(struct np_options *o)
{
    static const char *const names[] = {"minimal", "always",
                                        "minimal_with_contents"};

    for (unsigned i = 0; i < 3 && o->strategy_text != NULL; i++) {
        if (strcmp(o->strategy_text, names[i]) == 0) {
            o->strategy = (enum pk_strategy)i;
            return true;
        }
    }
    if (o->strategy_text != NULL) {
        fprintf(stderr,
                "notapack: unknown strategy %s: minimal, always or "
                "minimal_with_contents\n",
                o->strategy_text);
    }
    return o->strategy_text == NULL;
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

bool np_args_parse(int argc, char **argv, struct np_options *o,
                   uint64_t *ret_given)
{
    struct option longs[NP_N_OPTIONS + 1] = {{NULL, 0, NULL, 0}};
    char letters[2 * NP_N_OPTIONS + 1];
    char *p = letters;
    int c;

    for (int i = 0; i < NP_N_OPTIONS; i++) {
        int arg = rows[i].value != NULL ? required_argument : no_argument;

        longs[i] = (struct option){rows[i].name, arg, NULL, 256 + i};
        if (rows[i].letter != 0) {
            *p++ = rows[i].letter;
            if (rows[i].value != NULL) {
                *p++ = ':';
            }
        }
    }
    *p = '\0';
    *ret_given = 0;
    while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        int i = c - 256;

        if (c < 256) {
            for (i = 0; i < NP_N_OPTIONS && rows[i].letter != c; i++) {
            }
        }
        if (c == '?' || i == NP_N_OPTIONS) {
            fprintf(stderr, "Try 'notapack --help'.\n");
            return false;
        }
        *ret_given |= UINT64_C(1) << i;
        if (i == NP_WITH) {
            if (!add_text(&o->with, optarg)) {
                return false;
            }
        } else if (rows[i].value == NULL) {
            *(bool *)((char *)o + rows[i].at) = true;
        } else {
            *(const char **)(void *)((char *)o + rows[i].at) = optarg;
        }
    }
    return parse_strategy(o);
}

bool np_args_check(const char *verb, uint64_t given, uint64_t takes)
{
    for (int i = 0; i < NP_N_OPTIONS; i++) {
        if ((given & ~(takes | NP_TAKES_ALWAYS) & UINT64_C(1) << i) != 0) {
            fprintf(stderr,
                    "notapack: %s takes no --%s\n"
                    "Try 'notapack %s --help'.\n",
                    verb, rows[i].name, verb);
            return false;
        }
    }
    return true;
}

void np_args_help(FILE *out, uint64_t which)
{
    for (int i = 0; i < NP_N_OPTIONS; i++) {
        char text[80];
        int n;

        if ((which & UINT64_C(1) << i) == 0) {
            continue;
        }
        n = rows[i].letter != 0
                ? snprintf(text, sizeof(text), "-%c, --%s", rows[i].letter,
                           rows[i].name)
                : snprintf(text, sizeof(text), "    --%s", rows[i].name);
        if (rows[i].value != NULL) {
            (void)snprintf(text + n, sizeof(text) - (size_t)n, " %s",
                           rows[i].value);
        }
        if (strlen(text) > 24) {
            fprintf(out, "  %s\n  %24s", text, "");
        } else {
            fprintf(out, "  %-24s", text);
        }
        fprintf(out, "  %s\n", rows[i].help);
    }
}

bool np_parse_date(const char *text, int64_t *ret)
{
    static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%S",
                                          "%Y-%m-%d %H:%M:%S"};
    char *end;
    long long n;

    errno = 0;
    n = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0) {
        *ret = n;
        return true;
    }
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        struct tm tm = {0};

        end = strptime(text, formats[i], &tm);
        if (end != NULL && (*end == '\0' || strcmp(end, "Z") == 0)) {
            *ret = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}

bool np_parse_number(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}
