/* SPDX-License-Identifier: ISC */
/*
 * The verb generations: a list of those on the disk, and going back to one.
 *
 * A restore makes a new generation that has the old one's content, so that it
 * is a change like any other: one transaction, and it can be undone. Only files
 * that differ are copied; a file is the same if its root page is, since pages
 * are never changed in place and the old generation, which is pinned, keeps
 * its own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notafs_cli.h"

#define MAX_GENERATIONS 4096

/* ---- The list ------------------------------------------------------- */

static int list(struct cli *cli)
{
    struct nf_generation *generations =
        cli_alloc(MAX_GENERATIONS * sizeof(*generations));
    struct nf_stats stats;
    nf_stats(cli->nf, &stats);
    int n = nf_generations(cli->nf, generations, MAX_GENERATIONS);
    if (n < 0) {
        free(generations);
        return cli_fail(cli, n, NULL);
    }
    json_t *array = cli_has(cli, CLI_JSON) ? json_array() : NULL;
    bool tells = stats.disk.profile == NF_PROFILE_NATIVE;
    for (int i = 0; i < n; i++) {
        const struct nf_generation *g = &generations[i];
        bool current = g->number == stats.generation;
        bool known = g->complete || tells;
        if (array != NULL) {
            json_t *object = json_pack(
                "{s:I, s:I, s:I, s:b}", "number", (json_int_t)g->number, "time",
                (json_int_t)g->time.sec, "time_nsec", (json_int_t)g->time.nsec,
                "current", (int)current);
            json_object_set_new(object, "complete",
                                known ? json_boolean(g->complete)
                                      : json_null());
            json_array_append_new(array, object);
            continue;
        }
        char time[CLI_TIME_LEN];
        printf("%8" PRIu64 "  %-26s  %s%s\n", g->number,
               g->time.sec != 0 ? cli_time(time, g->time) : "-",
               !known        ? "not known to be complete"
               : g->complete ? "complete"
                             : "pages reused",
               current ? ", current" : "");
    }
    free(generations);
    return array != NULL ? cli_print_json(cli, array) : 0;
}

/* ---- Going back ----------------------------------------------------- */

struct restore {
    struct cli *cli;
    struct nf *old; /* the generation to go back to */
    struct cli_copy copy;
    uint64_t copied;
    uint64_t removed;
};

/* Whether two small files, kept in the table, have the same bytes; different
 * root pages say no at once. */
static int same_contents(struct restore *restore, struct nf_path path,
                         const struct nf_stat *a, const struct nf_stat *b,
                         bool *ret)
{
    *ret = false;
    if (a->size != b->size || a->root_page != b->root_page ||
        a->compression != b->compression) {
        return 0;
    }
    if (a->root_page != 0) {
        *ret = true;
        return 0;
    }
    char sums[2][CLI_SHA256_LEN];
    struct nf *sides[2] = {restore->cli->nf, restore->old};
    for (int i = 0; i < 2; i++) {
        struct nf_file *file;
        int res = nf_open(sides[i], path, 0, &file);
        if (res == 0) {
            res = cli_sha256(file, sums[i]);
            nf_close(file);
        }
        if (res < 0) {
            return res;
        }
    }
    *ret = strcmp(sums[0], sums[1]) == 0;
    return 0;
}

static int copy_file(struct restore *restore, struct nf_path path,
                     const struct nf_stat *stat)
{
    struct nf_file *from = NULL;
    struct nf_file *to = NULL;
    restore->copy.host_failed = false;
    int res = nf_open(restore->old, path, 0, &from);
    if (res == 0) {
        res = nf_open(restore->cli->nf, path, NF_OPEN_CREATE | NF_OPEN_TRUNCATE,
                      &to);
    }
    if (res == 0) {
        struct nf_stat now;
        res = nf_fstat(to, &now);
        if (res == 0 && now.compression != stat->compression) {
            res = nf_set_compression(to, stat->compression);
        }
    }
    if (res == 0) {
        res = cli_copy_across(&restore->copy, from, to);
    }
    nf_close(to);
    nf_close(from);
    restore->copied++;
    return res;
}

/* Make what is at the path now what it was: a file or a directory. */
static int restore_item(struct restore *restore, const struct cli_item *item)
{
    struct nf *nf = restore->cli->nf;
    struct nf_stat now;
    int res = nf_stat(nf, item->path, &now);
    bool there = res == 0;
    if (there && now.type != item->stat.type) {
        restore->removed++;
        res = nf_remove(nf, item->path, NF_REMOVE_RECURSIVE);
        there = false;
    }
    if (res < 0 && nf_err_class(res) != NF_ENOENT) {
        return res;
    }
    if (item->event == CLI_ENTER) {
        return there ? 0 : nf_mkdir(nf, item->path);
    }
    bool same = false;
    if (there) {
        res = same_contents(restore, item->path, &now, &item->stat, &same);
        if (res < 0) {
            return res;
        }
    }
    return same ? 0 : copy_file(restore, item->path, &item->stat);
}

/* Times come last: each change of an entry sets its directory's. */
static int restore_times(struct restore *restore, const struct cli_item *item)
{
    struct nf *nf = restore->cli->nf;
    struct nf_stat now;
    int res = item->event == CLI_LEAVE ? 0 : nf_stat(nf, item->path, &now);
    if (res == 0 && item->event != CLI_LEAVE &&
        (now.mtime.sec != item->stat.mtime.sec ||
         now.mtime.nsec != item->stat.mtime.nsec)) {
        res = nf_set_mtime(nf, item->path, item->stat.mtime);
    }
    return res;
}

/* Remove what the old generation does not have. An entry that was removed is
 * behind the walk, which goes on. */
static int remove_item(struct restore *restore, const struct cli_item *item,
                       struct cli_walk *walk)
{
    struct nf_stat stat;
    if (item->event == CLI_LEAVE) {
        return 0;
    }
    int res = nf_stat(restore->old, item->path, &stat);
    if (nf_err_class(res) != NF_ENOENT && nf_err_class(res) != NF_ENOTDIR) {
        return res;
    }
    if (item->event == CLI_ENTER) {
        cli_walk_skip(walk);
    }
    restore->removed++;
    return nf_remove(restore->cli->nf, item->path, NF_REMOVE_RECURSIVE);
}

enum pass { REMOVE, COPY, TIMES };

static int run_pass(struct restore *restore, enum pass pass)
{
    struct cli *cli = restore->cli;
    struct cli_walk *walk;
    struct cli_item item;
    int res = cli_walk_open(pass == REMOVE ? cli->nf : restore->old,
                            nf_path("/"), &walk);
    if (res < 0) {
        return cli_fail(cli, res, "/");
    }
    while ((res = cli_walk_next(walk, &item)) > 0) {
        if (cli_interrupted()) {
            res = NF_ECANCELED;
        } else if (pass == REMOVE) {
            res = remove_item(restore, &item, walk);
        } else if (pass == TIMES) {
            res = restore_times(restore, &item);
        } else if (item.event != CLI_LEAVE) {
            res = restore_item(restore, &item);
        }
        if (res < 0) {
            break;
        }
    }
    int status = 0;
    if (res < 0) {
        status =
            cli_copy_fail(cli, &restore->copy, res, cli_walk_path(walk), NULL);
    }
    cli_walk_close(walk);
    return status;
}

static int restore(struct cli *cli, uint64_t number)
{
    struct restore restore = {.cli = cli};
    size_t cache = cli_has(cli, CLI_CACHE_SIZE)
                       ? (size_t)cli->options[CLI_CACHE_SIZE].number
                       : CLI_CACHE;
    int res = nf_view_open(cli->nf, number, cache, &restore.old);
    if (res < 0) {
        return cli_fail(cli, res, cli->options[CLI_RESTORE].text);
    }
    cli_copy_init(&restore.copy);
    int status = run_pass(&restore, REMOVE);
    if (status == 0) {
        status = run_pass(&restore, COPY);
    }
    if (status == 0) {
        status = run_pass(&restore, TIMES);
    }
    if (status == 0) {
        status = cli_commit(cli);
    }
    nf_unmount(restore.old);
    cli_copy_deinit(&restore.copy);
    if (status == 0) {
        struct nf_stats stats;
        nf_stats(cli->nf, &stats);
        printf("Generation %" PRIu64 " is restored as generation %" PRIu64
               " (%" PRIu64 " files copied, %" PRIu64 " entries removed)\n",
               number, stats.generation, restore.copied, restore.removed);
    }
    return status;
}

int cli_verb_generations(struct cli *cli)
{
    bool restoring = cli_has(cli, CLI_RESTORE);
    int status = cli_open(cli, restoring ? CLI_WRITE : CLI_READ);
    if (status != 0) {
        return status;
    }
    return restoring ? restore(cli, cli->options[CLI_RESTORE].number)
                     : list(cli);
}
