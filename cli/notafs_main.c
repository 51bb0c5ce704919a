/* SPDX-License-Identifier: ISC */
/*
 * The program notafs: files on a raw block device, from the command line.
 *
 * The table of verbs is all there is here; each row's function lives in the
 * notafs_*.c of its group. Exit status: 0, 1 when something failed, 124 for a
 * wrong command line (as the OCaml program has it), 128 + n after signal n;
 * check and scrub answer as e2fsck does.
 */
#include <locale.h>
#include <string.h>

#include "cli/notafs_cli.h"

/* Where --generation makes sense, so do the options of a mount. */
#define LOOK          (CLI_MOUNT_OPTIONS | CLI_BIT(CLI_GENERATION))
#define STATUSES      CLI_EXIT_ERROR, CLI_EXIT_USAGE
#define FSCK_STATUSES CLI_EXIT_CHECK_ERROR, CLI_EXIT_CHECK_USAGE

static const struct cli_verb verbs[] = {
    {"format", "", 0, 0,
     CLI_BIT(CLI_DISK) | CLI_BIT(CLI_PROFILE) | CLI_BIT(CLI_PAGE_SIZE) |
         CLI_BIT(CLI_CHECKSUM) | CLI_BIT(CLI_SIZE) | CLI_BIT(CLI_DIRECT),
     STATUSES, cli_verb_format, "write an empty disk",
     "Everything on DISK is lost."},
    {"build", "", 0, 0,
     CLI_BIT(CLI_FROM) | CLI_BIT(CLI_SIZE) | CLI_BIT(CLI_OUT) |
         CLI_BIT(CLI_PAGE_SIZE) | CLI_BIT(CLI_EXPECT_ROOT) | CLI_BIT(CLI_JSON),
     STATUSES, cli_verb_build,
     "make an image with a store, the same everywhere",
     "The store has one commit, on the branch main, with the files of a\n"
     "directory or of an archive (its times: SOURCE_DATE_EPOCH, or 0). The\n"
     "same names and contents give the same bytes, and the same root hash,\n"
     "which is printed. 'notapack -s FILE' shows what is in it."},
    {"info", "[DISK]", 0, 1,
     CLI_BIT(CLI_DISK) | CLI_BIT(CLI_DIRECT) | CLI_BIT(CLI_JSON), STATUSES,
     cli_verb_info, "show what the header of a disk says", NULL},
    {"stats", "[PATH]", 0, 1, LOOK | CLI_BIT(CLI_JSON), STATUSES,
     cli_verb_stats, "show size and time of a file, or the state of the disk",
     NULL},
    {"list", "[PATH]", 0, 1, LOOK | CLI_BIT(CLI_JSON), STATUSES, cli_verb_list,
     "list a directory, one path a line", NULL},
    {"tree", "[PATH]", 0, 1, LOOK | CLI_BIT(CLI_JSON), STATUSES, cli_verb_tree,
     "draw a directory and all below it", NULL},
    {"cat", "PATH", 1, 1, LOOK, STATUSES, cli_verb_cat,
     "write a file to standard output", NULL},
    {"copy", "FROM TO", 2, 2, CLI_MOUNT_OPTIONS, STATUSES, cli_verb_copy,
     "copy a file onto the disk, from it, or within it",
     "FROM and TO are files of this computer, or with an '@' before them "
     "files\n"
     "on the disk; one of them is on the disk."},
    {"touch", "PATH", 1, 1, CLI_MOUNT_OPTIONS, STATUSES, cli_verb_touch,
     "make an empty file, or a file empty",
     "Missing directories of its path are made."},
    {"rename", "FROM TO", 2, 2, CLI_MOUNT_OPTIONS, STATUSES, cli_verb_rename,
     "move a file or a directory",
     "A file replaces a file, a directory an empty directory."},
    {"remove", "PATH", 1, 1, CLI_MOUNT_OPTIONS, STATUSES, cli_verb_remove,
     "remove a file, or a directory with all that is in it",
     "What is not there counts as removed."},
    {"import", "DIRECTORY|TAR|- [PATH]", 1, 2,
     CLI_MOUNT_OPTIONS | CLI_BIT(CLI_COMMIT_EVERY) | CLI_BIT(CLI_COMPRESS) |
         CLI_BIT(CLI_JSON),
     STATUSES, cli_verb_import, "copy a directory or an archive onto the disk",
     "All of it goes below PATH (default: the root) and replaces files of the\n"
     "same names. '-' is an archive on standard input; archives may be\n"
     "compressed. Only directories, files and hard links (as copies) are "
     "taken.\n"
     "Without --commit-every the disk has all of it or, on failure, nothing."},
    {"export", "PATH DIRECTORY|TAR|-", 2, 2, LOOK | CLI_BIT(CLI_JSON), STATUSES,
     cli_verb_export, "copy a directory of the disk into a directory or a tar",
     "A name that ends in .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tar.zst or\n"
     ".tar.lz4 makes an archive, '-' writes one to standard output."},
    {"dump", "", 0, 0, LOOK | CLI_BIT(CLI_JSON), STATUSES, cli_verb_dump,
     "list everything with sizes, SHA-256 and times", NULL},
    {"script", "", 0, 0,
     CLI_MOUNT_OPTIONS | CLI_BIT(CLI_PROFILE) | CLI_BIT(CLI_PAGE_SIZE) |
         CLI_BIT(CLI_CHECKSUM),
     STATUSES, cli_verb_script, "run commands from standard input",
     "One command a line, words separated by spaces, paths percent-encoded:\n"
     "  clock SECONDS          format                 reconnect\n"
     "  touch PATH LEN SEED    append PATH LEN SEED   blit PATH OFF LEN SEED\n"
     "  remove PATH            rename FROM TO         flush\n"
     "  read PATH OFF LEN      size PATH\n"
     "Data comes from a generator with that seed. Only flush commits."},
    {"check", "", 0, 0,
     CLI_BIT(CLI_DISK) | CLI_BIT(CLI_DIRECT) | CLI_BIT(CLI_CACHE_SIZE) |
         CLI_BIT(CLI_GENERATION) | CLI_BIT(CLI_JSON),
     FSCK_STATUSES, cli_verb_check,
     "verify everything and account for every page",
     "Exit status: 0 clean, 4 damage found, 8 check failed, 16 usage."},
    {"scrub", "", 0, 0,
     CLI_BIT(CLI_DISK) | CLI_BIT(CLI_DIRECT) | CLI_BIT(CLI_CACHE_SIZE) |
         CLI_BIT(CLI_GENERATION) | CLI_BIT(CLI_RATE) | CLI_BIT(CLI_JSON),
     FSCK_STATUSES, cli_verb_scrub, "verify everything, slowly if need be",
     "Exit status: 0 clean, 4 damage found, 8 scrub failed, 16 usage."},
    {"salvage", "DIRECTORY", 1, 1,
     CLI_BIT(CLI_DISK) | CLI_BIT(CLI_DIRECT) | CLI_BIT(CLI_CACHE_SIZE) |
         CLI_BIT(CLI_GENERATION) | CLI_BIT(CLI_JSON),
     STATUSES, cli_verb_salvage, "copy out all that can be read",
     "A file that is damaged is taken from the newest generation that has all\n"
     "of it; if none has, zeros stand for what is lost. With --generation "
     "only\n"
     "that one is looked at. Exit status 1 if anything is lost."},
    {"map", "", 0, 0, LOOK | CLI_BIT(CLI_SVG) | CLI_BIT(CLI_JSON), STATUSES,
     cli_verb_map, "draw what the pages of the disk are used for", NULL},
    {"generations", "", 0, 0,
     CLI_MOUNT_OPTIONS | CLI_BIT(CLI_RESTORE) | CLI_BIT(CLI_JSON), STATUSES,
     cli_verb_generations, "list the generations on the disk, or restore one",
     "list, tree, stats, cat, dump, export and others look at an older one "
     "with\n"
     "--generation."},
    {"resize", "[SIZE]", 0, 1, CLI_MOUNT_OPTIONS, STATUSES, cli_verb_resize,
     "make a disk larger or smaller (native)",
     "Without SIZE: as large as the device. An image file gets that size, "
     "too."},
    {"mount", "IMAGE DIRECTORY", 2, 2,
     (CLI_MOUNT_OPTIONS & ~CLI_BIT(CLI_DISK)) | CLI_BIT(CLI_FOREGROUND) |
         CLI_BIT(CLI_WITH),
     STATUSES, cli_verb_mount, "mount a disk as a file system (Linux, FUSE)",
     "Returns when the mount is ready; umount(8) ends it. Options after -o:\n"
     "  ro              change nothing\n"
     "  generation=N    show generation N, read-only\n"
     "  commit=SECONDS  commit at least so often (default: 5; 0: only fsync)\n"
     "  uid= gid= umask=  owner and permissions of what has none recorded\n"
     "  allow_other, noexec and others of mount.fuse(8)"},
    {"set-compression", "PATH lz4|none", 2, 2, CLI_MOUNT_OPTIONS, STATUSES,
     cli_verb_set_compression, "store a file with or without LZ4 (native)",
     NULL},
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_verbs(FILE *out)
{
    fprintf(out, "Usage: notafs VERB [OPTION]... [OPERAND]...\n"
                 "Copy-on-write files on a raw block device.\n\n");
    for (size_t i = 0; i < N_VERBS; i++) {
        fprintf(out, "  %-16s %s\n", verbs[i].name, verbs[i].summary);
    }
    fprintf(out, "\n'notafs VERB --help' tells more. Sizes are bytes, or have "
                 "a suffix k, m, g or t.\n");
}

static void print_verb(FILE *out, const struct cli_verb *verb)
{
    fprintf(out, "Usage: notafs %s %s[OPTION]...%s%s\n", verb->name,
            (verb->options & CLI_BIT(CLI_DISK)) != 0 ? "-d DISK " : "",
            verb->operands[0] != '\0' ? " " : "", verb->operands);
    fprintf(out, "%c%s.\n", verb->summary[0] & ~0x20, verb->summary + 1);
    if (verb->details != NULL) {
        fprintf(out, "\n%s\n", verb->details);
    }
    fprintf(out, "\nOptions:\n");
    cli_print_options(out, verb->options | CLI_BIT(CLI_HELP));
}

static const struct cli_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* Output that got lost (a full disk behind a pipe, say) is a failure, too. */
static int finish(struct cli *cli, int status)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        status = cli_fail_errno(cli, "standard output");
    }
    return status;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
    int status = cli_parse(cli, argc, argv);
    if (status != 0) {
        return status;
    }
    if (cli_has(cli, CLI_HELP)) {
        print_verb(stdout, cli->verb);
        return finish(cli, 0);
    }
    if (cli->n_operands < cli->verb->min_operands) {
        return cli_fail_usage(cli, "too few operands; expected: %s",
                              cli->verb->operands);
    }
    if (cli->n_operands > cli->verb->max_operands) {
        return cli_fail_usage(cli, "unexpected operand '%s'",
                              cli->operands[cli->verb->max_operands]);
    }
    nf_env_libc(&cli->env);
    status = cli->verb->run(cli);
    cli_close(cli);
    return finish(cli, status);
}

int main(int argc, char **argv)
{
    /* Archives and JSON hold UTF-8, whatever the user's language is. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    const char *name = argc > 1 ? argv[1] : "--help";
    struct cli cli;
    memset(&cli, 0, sizeof(cli));
    if (strcmp(name, "help") == 0 && argc > 2 && find_verb(argv[2]) != NULL) {
        print_verb(stdout, find_verb(argv[2]));
        return finish(&cli, 0);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        strcmp(name, "help") == 0) {
        print_verbs(stdout);
        return finish(&cli, 0);
    }
    if (strcmp(name, "--version") == 0) {
        printf("notafs %s\n", NOTAFS_VERSION);
        return finish(&cli, 0);
    }
    cli.verb = find_verb(name);
    if (cli.verb == NULL) {
        return cli_fail_usage(&cli, "no verb '%s'", name);
    }
    return run_verb(&cli, argc - 1, argv + 1);
}
