/* SPDX-License-Identifier: ISC */
/*
 * mount: the disk as a file system, until it is unmounted. The process forks
 * before it opens anything, so that locks and threads are the daemon's.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/notafs_cli.h"

#ifdef NOTAFS_FUSE
#include "fuse/image.h"

static int parse_options(struct cli *cli, struct mount_options *options)
{
    options_init(options);
    if (!cli_has(cli, CLI_WITH)) {
        return 0;
    }
    size_t len = strlen(cli->options[CLI_WITH].text);
    char *text = cli_alloc(len + 1);
    memcpy(text, cli->options[CLI_WITH].text, len + 1);
    const char *bad = options_parse(options, text);
    if (bad == NULL && options->posix) {
        bad = "posix"; /* of stores */
    }
    int status = bad == NULL ? 0 : cli_fail_usage(cli, "-o: '%s'?", bad);
    free(text);
    return status;
}

/* Where to mount: a directory, or one whose daemon has died. */
static int find_dir(struct cli *cli, char dir[PATH_MAX])
{
    struct stat st;
    const char *operand = cli->operands[1];
    if (realpath(operand, dir) == NULL ||
        (stat(dir, &st) != 0 && errno != ENOTCONN)) {
        return cli_fail_errno(cli, operand);
    }
    return 0;
}

static int mount_in_child(struct cli *cli, struct daemon *daemon,
                          struct mount_options *options, const char *dir)
{
    bool looks = options->readonly || options->generation != 0;
    char source[PATH_MAX];
    cli->options[CLI_DISK].text = cli->operands[0];
    cli->options[CLI_GENERATION].number = options->generation;
    int status = cli_open(cli, looks ? CLI_READ : CLI_WRITE);
    if (status != 0) {
        return status;
    }
    options->readonly = looks;
    const struct image_mount how = {
        .nf = cli->nf,
        .source =
            realpath(cli->operands[0], source) != NULL ? source : "notafs",
        .dir = dir,
        .options = options,
        .daemon = daemon,
    };
    return image_serve(&how) == 0 ? 0 : CLI_EXIT_ERROR;
}

int cli_verb_mount(struct cli *cli)
{
    struct mount_options options;
    struct daemon daemon;
    char dir[PATH_MAX];
    int status = parse_options(cli, &options);
    if (status == 0) {
        status = find_dir(cli, dir);
    }
    if (status == 0 &&
        daemon_begin(&daemon, cli_has(cli, CLI_FOREGROUND)) != 0) {
        status = cli_fail_errno(cli, "background");
    }
    if (status == 0) {
        status = mount_in_child(cli, &daemon, &options, dir);
    }
    options_deinit(&options);
    return status;
}

#else

int cli_verb_mount(struct cli *cli)
{
    return cli_fail_text(cli, "this program was built without libfuse");
}

#endif
