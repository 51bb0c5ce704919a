/* SPDX-License-Identifier: ISC */
/*
 * Opening and closing the disk that --disk names, and what ends a verb early:
 * signals and lack of memory. A disk needs no clean-up to be mountable, so
 * nothing here tries to do one.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notafs_cli.h"

#define PROBE_PAGE_SIZE 512 /* small enough for every disk */

int cli_device_open(struct cli *cli, uint32_t page_size, enum cli_access access)
{
    const char *path = cli->options[CLI_DISK].text;
    if (path == NULL) {
        return cli_fail_usage(cli, "which disk? -d DISK is missing");
    }
    const struct bd_file_options options = {
        .page_size = page_size,
        .readonly = access == CLI_READ,
        .direct = cli_has(cli, CLI_DIRECT),
    };
    if (access == CLI_WRITE) {
        cli_signals_catch();
    }
    int res = bd_file_open(path, &options, &cli->device);
    if (res == NF_EINVAL) {
        return cli_fail_text(cli,
                             "%s: neither an image nor a block device, or "
                             "smaller than a page",
                             path);
    }
    if (res == NF_ENOTSUP) {
        return cli_fail_text(cli, "%s: its file system has no --direct", path);
    }
    return res < 0 ? cli_fail(cli, res, path) : 0;
}

int cli_probe(struct cli *cli, enum cli_access access)
{
    int status = cli_device_open(cli, PROBE_PAGE_SIZE, access);
    if (status != 0) {
        return status;
    }
    int res = nf_probe(bd_file_bd(cli->device), &cli->env, &cli->disk);
    if (res == 0) {
        res = bd_file_set_page_size(cli->device, cli->disk.page_size);
    }
    return res < 0 ? cli_fail(cli, res, cli->options[CLI_DISK].text) : 0;
}

int cli_mount(struct cli *cli, uint64_t generation, uint32_t flags)
{
    const struct nf_mount_options options = {
        .cache_bytes = cli_has(cli, CLI_CACHE_SIZE)
                           ? (size_t)cli->options[CLI_CACHE_SIZE].number
                           : CLI_CACHE,
        .flags = flags,
        .generation = generation,
        .codec = nf_codec_lz4(),
    };
    return nf_mount(bd_file_bd(cli->device), &cli->env, &options, &cli->nf);
}

int cli_open(struct cli *cli, enum cli_access access)
{
    if (cli_has(cli, CLI_VERIFY) && cli_has(cli, CLI_NO_VERIFY)) {
        return cli_fail_usage(cli, "--verify or --no-verify?");
    }
    int status = cli_probe(cli, access);
    if (status != 0) {
        return status;
    }
    uint32_t flags = 0;
    flags |= access == CLI_READ ? NF_MOUNT_READONLY : 0;
    flags |= cli_has(cli, CLI_VERIFY) ? NF_MOUNT_VERIFY : 0;
    flags |= cli_has(cli, CLI_NO_VERIFY) ? NF_MOUNT_NO_VERIFY : 0;
    uint64_t generation = cli->options[CLI_GENERATION].number;
    int res = cli_mount(cli, generation, flags);
    /* Where nothing is whole, what is still shows. */
    if (res == NF_EC_NO_GENERATION && access == CLI_READ &&
        !cli_has(cli, CLI_VERIFY) && !cli_has(cli, CLI_NO_VERIFY)) {
        res = cli_mount(cli, generation, flags | NF_MOUNT_NO_VERIFY);
        if (res == 0) {
            cli_warn(cli,
                     "%s: no generation is whole; 'notafs check' lists "
                     "the damage",
                     cli->options[CLI_DISK].text);
        }
    }
    return res < 0 ? cli_fail(cli, res, cli->options[CLI_DISK].text) : 0;
}

void cli_close(struct cli *cli)
{
    nf_unmount(cli->nf);
    cli->nf = NULL;
    bd_file_close(cli->device);
    cli->device = NULL;
}

int cli_commit(struct cli *cli)
{
    int res = nf_sync(cli->nf);
    return res < 0 ? cli_fail(cli, res, "commit") : 0;
}

/* ---- Signals -------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

void cli_signals_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = note;
    action.sa_flags = (int)SA_RESETHAND; /* and no SA_RESTART: reads end */
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)sigaction(numbers[i], &action, NULL); /* cannot fail */
    }
}

bool cli_interrupted(void)
{
    return caught != 0;
}

int cli_stop(struct cli *cli)
{
    bool dirty = cli->nf != NULL && nf_is_dirty(cli->nf);
    if (dirty && nf_abort(cli->nf) == 0) {
        cli_warn(cli, "interrupted; the disk is as of its last commit");
    } else {
        cli_warn(cli, "interrupted");
    }
    return 128 + (int)caught;
}

/* ---- Memory --------------------------------------------------------- */

void *cli_alloc(size_t len)
{
    return cli_realloc(NULL, len);
}

void *cli_realloc(void *p, size_t len)
{
    void *grown = realloc(p, len);
    if (grown == NULL) {
        fputs("notafs: out of memory\n", stderr);
        exit(CLI_EXIT_ERROR);
    }
    return grown;
}
