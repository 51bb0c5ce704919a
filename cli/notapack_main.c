/* SPDX-License-Identifier: ISC */
/* notapack: the table of commands, and help. */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli/notapack_args.h"

#define GC_TAKES                                                               \
    (NP_TAKES(NP_LAST) | NP_TAKES(NP_SINCE) | NP_TAKES(NP_HEADS) |             \
     NP_TAKES(NP_DRY_RUN))

#define PUSH_HELP                                                              \
    "All branches unless some are named; only what is not there is sent. "     \
    "Branches\nchange when all is there, and move forwards only: the exit "    \
    "status is 1 if one\nwould not. Nothing is changed when interrupted."

static const struct command {
    const char *name;
    np_command run;
    int min_words; /* with the command itself */
    int max_words;
    uint64_t takes; /* options beside those of all commands */
    const char *words;
    const char *summary;
    const char *help; /* or NULL */
} commands[] = {
    {"archive", np_archive, 1, INT_MAX, GC_TAKES, "[COMMIT...]",
     "move old commits to the lower layer",
     "As gc, for stores with a lower layer (--lower), where nothing is lost; "
     "keeps\nthe heads of the branches unless told otherwise."},
    {"branch", np_branches, 1, 3, NP_TAKES(NP_DELETE), "[NAME [COMMIT]]",
     "list branches, set one, remove one",
     "Without NAME: lists them. With NAME: makes it name COMMIT, by default "
     "the head\nof the branch -b. With -d: removes it."},
    {"cat-object", np_cat_object, 2, 2, 0, "HASH|OFFSET",
     "show one object as it is stored",
     "Contents as they are, a commit, or what an inode consists of. HASH may "
     "be the\nbeginning of one that the index knows; OFFSET is that of the "
     "entry."},
    {"check", np_check, 1, 1, 0, "", "verify every object",
     "Verifies all that commits and branches reach, the index, the dictionary,"
     "\nmappings and volumes. The last line is CHECK OK or CHECK FAILED; the "
     "exit\nstatus is 1 if anything was found."},
    {"clone", np_clone, 3, INT_MAX, 0, "SRC DST [BRANCH...]",
     "make a store that has what another has",
     "Branches with their history, all of them unless some are named. DST is "
     "made: a\nfolder, or IMAGE:NAME."},
    {"control", np_control, 1, 1, 0, "", "show the control file", NULL},
    {"dict", np_dict, 1, 1, 0, "", "list the names that have a number", NULL},
    {"diff", np_diff, 1, 3, NP_TAKES(NP_EXIT_CODE), "[OLD [NEW]]",
     "paths that differ between two commits",
     "A: added, D: deleted, M: modified. NEW is the branch's head unless "
     "given; without\nOLD, what the last commit changed."},
    {"dump", np_dump, 1, 1, NP_TAKES(NP_ALL), "",
     "branches, commits and trees as text with one form", NULL},
    {"export", np_export, 2, 2, 0, "DIR|FILE.tar|-", "write a tree out",
     "To a folder, a tar archive or (-) a tar stream on standard output."},
    {"find", np_find, 2, 2, 0, "PATTERN",
     "paths whose last step matches a pattern of the shell", NULL},
    {"gc", np_gc, 1, INT_MAX, GC_TAKES, "[COMMIT...]",
     "collect what is older than the commits to keep", NULL},
    {"get", np_get, 2, 2, 0, "PATH", "write contents to standard output", NULL},
    {"import", np_import, 2, 3, 0, "DIR|FILE.tar|- [PATH]",
     "commit the files of a folder or an archive",
     "Binds them at PATH, beside what is there. Archives are what libarchive "
     "reads,\n- is standard input. The same files give the same root hash on "
     "every machine.\nInterrupted, it commits nothing."},
    {"index", np_index, 1, 1, 0, "", "list every entry of the index", NULL},
    {"init", np_init, 1, 1, 0, "", "make an empty store",
     "In a folder, which it makes, or on an image of notafs that exists. The\n"
     "configuration is set down in the file notapack.config of the store, "
     "which irmin\nignores."},
    {"log", np_log, 1, 2, NP_TAKES(NP_NUMBER), "[COMMIT]",
     "history, newest first", NULL},
    {"ls", np_ls, 1, 2, 0, "[PATH]", "list a directory", NULL},
    {"merge", np_merge, 2, 2,
     NP_TAKES(NP_NO_FF) | NP_TAKES(NP_FF_ONLY) | NP_TAKES(NP_PREFER), "COMMIT",
     "bring another branch or commit into a branch",
     "What both sides changed since their last common ancestor goes into a "
     "commit with\nboth as parents. Where the branch has nothing of its own it "
     "just moves on. Paths\nthat both changed in different ways are told, one "
     "line each; then nothing is\ncommitted and the exit status is 1."},
    {"mount", np_mount, 2, 3,
     NP_TAKES(NP_WITH) | NP_TAKES(NP_FOREGROUND) | NP_TAKES(NP_POSIX),
     "[STORE] DIR", "show a store as a file system",
     "Below DIR: live/BRANCH to be read and written, commit/HASH, at/TIME and "
     "tag/NAME.\nEnds with umount."},
    {"proof", np_proof, 3, INT_MAX, NP_TAKES(NP_ROOT),
     "make|verify|show FILE [OPERATION...]",
     "prove what operations find in a tree",
     "make runs the operations on the tree of a commit and writes a proof to "
     "FILE;\nverify runs them on what FILE shows, without the store, and "
     "fails if the proof\nis not sound or shows too little; show prints what "
     "is in it. FILE may be -.\nAn operation is one word of the command line, "
     "or a line of standard input if\nthere are none; paths are "
     "percent-encoded:\n"
     "  get PATH         contents          kind PATH      node, contents, none"
     "\n  stat PATH        hash and length   length PATH    number of entries\n"
     "  list PATH        entries           hash           of the tree as it is"
     "\n  set PATH VALUE   bind contents     rm PATH        unbind\n"
     "  mv PATH PATH     move\n"
     "verify needs the store's configuration: --config, or -s STORE. Only with "
     "--root,\nthe hash of a root that you trust, does it prove anything."},
    {"pull", np_pull, 2, INT_MAX, NP_TAKES(NP_FORCE), "STORE [BRANCH...]",
     "bring what another store has and this one lacks", PUSH_HELP},
    {"push", np_push, 2, INT_MAX, NP_TAKES(NP_FORCE), "STORE [BRANCH...]",
     "send another store what it lacks", PUSH_HELP},
    {"receive", np_receive, 1, 2,
     NP_TAKES(NP_FORCE) | NP_TAKES(NP_STATUS) | NP_TAKES(NP_ABORT), "[FILE|-]",
     "take a stream that send has made",
     "Its branches are made or move forwards when all of it is there. What "
     "came of one\nthat was cut is kept, and how to go on is told; chunks may "
     "come in any order,\ntwice, or damaged."},
    {"repair", np_repair, 1, 1, 0, "", "mend what can be mended",
     "Makes the index anew from the objects and the control file, if it cannot "
     "be read,\nfrom the other files; moves branches whose commit is lost to "
     "the file\nnotapack.parked; names the newest commit that is whole. "
     "Objects are never changed."},
    {"replay", np_replay, 3, 3, 0, "SRC DST",
     "write the whole history of a store into another",
     "DST is made if it is not there: a folder, or IMAGE:NAME. Every commit "
     "gets the hash\nthat it has in SRC. Interrupted, it goes on when run "
     "again."},
    {"revert", np_revert, 2, 2, NP_TAKES(NP_TO) | NP_TAKES(NP_PARENT), "COMMIT",
     "undo what a commit changed",
     "Commits on the branch the opposite of what COMMIT changed. Paths that "
     "were changed\nagain since are told, as by merge. With --to: commits the "
     "tree of COMMIT as it was."},
    {"rm", np_rm, 2, 2, 0, "PATH", "unbind a path and commit", NULL},
    {"script", np_script, 1, 1, 0, "<SCRIPT",
     "commands from standard input, a line each", NULL},
    {"send", np_send, 2, INT_MAX, NP_TAKES(NP_ALONE) | NP_TAKES(NP_RESUME),
     "FILE|- [BRANCH|COMMIT|^COMMIT...]", "write commits as a stream",
     "All that the commits reach, but not ^COMMIT, which the receiver has, "
     "with "
     "its tree\nand what only it leads to; all branches unless some are named. "
     "Interrupted, it goes\non when run again."},
    {"set", np_set, 2, 3, 0, "PATH [VALUE]",
     "bind a path to a value or standard input and commit", NULL},
    {"show", np_show, 1, 2, 0, "[COMMIT]", "a commit and what it changed",
     NULL},
    {"snapshot", np_snapshot, 2, 3, NP_TAKES(NP_AS_STORE),
     "FILE|-|STORE [COMMIT]", "write one commit, as a stream or as a store",
     "With its tree and without its ancestors."},
    {"split", np_split, 1, 1, 0, "", "begin a new file for what is written",
     NULL},
    {"stat", np_stat, 1, 1, 0, "", "figures of a store and a tree", NULL},
    {"tree", np_tree, 1, 2, 0, "[PATH]", "list a directory and all below it",
     NULL},
    {"volumes", np_volumes, 1, 2, 0, "[add]",
     "list the volumes of the lower layer, or begin one", NULL},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int help_all(FILE *out)
{
    fprintf(out, "Usage: notapack -s STORE COMMAND ...\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\nOptions of all commands:\n");
    np_args_help(out, NP_TAKES_ALWAYS);
    fprintf(out, "\n'notapack COMMAND --help' tells more, 'man notapack' all. "
                 "COMMIT is a branch,\na hash, or the beginning of one.\n");
    return out == stderr ? NP_USAGE : NP_OK;
}

static int help_command(FILE *out, const struct command *c)
{
    fprintf(out, "Usage: notapack -s STORE %s%s%s%s\n", c->name,
            c->takes != 0 ? " [OPTION...]" : "", c->words[0] != '\0' ? " " : "",
            c->words);
    if (out == stderr) {
        return NP_USAGE;
    }
    fprintf(out, "%c%s.\n", c->summary[0] - 'a' + 'A', c->summary + 1);
    if (c->help != NULL) {
        fprintf(out, "\n%s\n", c->help);
    }
    if (c->takes != 0) {
        fprintf(out, "\n");
        np_args_help(out, c->takes);
    }
    fprintf(out, "\nOptions of all commands: 'notapack --help'.\n");
    return NP_OK;
}

/* What the options ask for instead of a command; -1: nothing. */
static int help_asked(const struct np_options *o, int n_words, char **words)
{
    const struct command *c = n_words > 0 ? find_command(words[0]) : NULL;
    bool is_help = n_words > 0 && strcmp(words[0], "help") == 0;

    if (o->version) {
        printf("notapack " NOTAFS_VERSION "\n");
        return NP_OK;
    }
    if (is_help && n_words > 1) {
        c = find_command(words[1]);
    }
    if ((o->help || is_help) && c != NULL) {
        return help_command(stdout, c);
    }
    return o->help || is_help ? help_all(stdout) : -1;
}

int main(int argc, char **argv)
{
    struct np_options options = {0};
    const struct command *c;
    uint64_t given;
    int n_words;
    int status;

    if (!np_args_parse(argc, argv, &options, &given)) {
        return NP_USAGE;
    }
    n_words = argc - optind;
    argv += optind;
    status = help_asked(&options, n_words, argv);
    if (status >= 0) {
        return status;
    }
    if (n_words == 0) {
        return help_all(stderr);
    }
    c = find_command(argv[0]);
    if (c == NULL) {
        fprintf(stderr,
                "notapack: no command '%s'\n"
                "Try 'notapack --help'.\n",
                argv[0]);
        return NP_USAGE;
    }
    if (!np_args_check(c->name, given, c->takes)) {
        return NP_USAGE;
    }
    if (n_words < c->min_words || n_words > c->max_words) {
        return help_command(stderr, c);
    }
    if (c->run != np_mount) { /* which has its own idea of signals */
        np_catch_signals();
    }
    status = c->run(&options, n_words, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "notapack: standard output: write error\n");
        status = NP_FAILED;
    }
    return status != NP_OK && np_interrupted() != 0 ? 128 + np_interrupted()
                                                    : status;
}
