/* SPDX-License-Identifier: ISC */
/*
 * The verbs that list names: list and tree with the lines of the OCaml program,
 * and dump, whose text conformance tests compare: the disk's geometry, the
 * count of free pages that the generation records, then a line for each
 * directory and file, paths percent-encoded, parents before their children.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notafs_cli.h"

static json_t *item_json(const struct cli_item *item)
{
    json_t *object = json_object();
    cli_json_bytes(object, "path", item->path);
    cli_json_stat(object, &item->stat);
    return object;
}

static void print_list_line(const struct cli_item *item)
{
    bool is_dir = item->stat.type == NF_TYPE_DIR;
    fputs(is_dir ? cli_style(stdout, CLI_DIR) : "", stdout);
    cli_print_escaped(stdout, item->path);
    fputs(is_dir ? cli_style(stdout, CLI_PLAIN) : "", stdout);
    fputc('\n', stdout);
}

/* tree: bars for the directories that go on below this line. */
struct bars {
    bool last[CLI_MAX_DEPTH];
};

static void print_tree_line(struct bars *bars, const struct cli_item *item)
{
    bool is_dir = item->stat.type == NF_TYPE_DIR;
    for (size_t i = 0; i < item->depth; i++) {
        fputs(bars->last[i] ? "    " : "│   ", stdout);
    }
    bars->last[item->depth] = item->last;
    fputs(item->last ? "└── " : "├── ", stdout);
    fputs(is_dir ? cli_style(stdout, CLI_DIR) : "", stdout);
    cli_print_name(stdout, item->name);
    fputs(is_dir ? cli_style(stdout, CLI_PLAIN) : "", stdout);
    fputc('\n', stdout);
}

/* Both list and tree; bars are there for tree. */
static int list(struct cli *cli, struct bars *bars)
{
    const char *path = cli->n_operands > 0 ? cli->operands[0] : "/";
    int status = cli_open(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    struct cli_walk *walk;
    int res = cli_walk_open(cli->nf, nf_path(path), &walk);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    json_t *array = cli_has(cli, CLI_JSON) ? json_array() : NULL;
    if (array == NULL && bars != NULL) {
        struct nf_path top = cli_walk_path(walk);
        fputs(cli_style(stdout, CLI_DIR), stdout);
        cli_print_name(stdout, top.len > 0 ? top : nf_path("/"));
        fputs(cli_style(stdout, CLI_PLAIN), stdout);
        fputc('\n', stdout);
    }
    struct cli_item item;
    while ((res = cli_walk_next(walk, &item)) > 0) {
        if (item.event == CLI_LEAVE) {
            continue;
        }
        if (array != NULL) {
            json_array_append_new(array, item_json(&item));
        } else if (bars != NULL) {
            print_tree_line(bars, &item);
        } else {
            print_list_line(&item);
        }
        if (bars == NULL) {
            cli_walk_skip(walk);
        }
    }
    if (array != NULL) {
        status = cli_print_json(cli, array);
    }
    if (res < 0) {
        status = cli_fail_path(cli, res, cli_walk_path(walk));
    }
    cli_walk_close(walk);
    return status;
}

int cli_verb_list(struct cli *cli)
{
    return list(cli, NULL);
}

int cli_verb_tree(struct cli *cli)
{
    struct bars *bars = cli_alloc(sizeof(*bars));
    int status = list(cli, bars);
    free(bars);
    return status;
}

/* ---- dump ----------------------------------------------------------- */

/* One directory or file, as text or into the array. */
static int dump_item(struct cli *cli, const struct cli_item *item,
                     json_t *array)
{
    char sum[CLI_SHA256_LEN];
    bool is_file = item->event == CLI_FILE;
    if (is_file) {
        struct nf_file *file;
        int res = nf_open(cli->nf, item->path, 0, &file);
        if (res == 0) {
            res = cli_sha256(file, sum);
            nf_close(file);
        }
        if (res < 0) {
            return cli_fail_path(cli, res, item->path);
        }
    }
    if (array != NULL) {
        json_t *object = item_json(item);
        if (is_file) {
            json_object_set_new(object, "sha256", json_string(sum));
        }
        json_array_append_new(array, object);
        return 0;
    }
    cli_print_percent(stdout, item->path);
    if (is_file) {
        printf(" file %" PRIu64 " %s", item->stat.size, sum);
    } else {
        printf(" dir");
    }
    printf(" %" PRId64 "\n", item->stat.mtime.sec);
    return 0;
}

static int dump_items(struct cli *cli, json_t *array)
{
    struct cli_walk *walk;
    struct cli_item item;
    int status = 0;
    int res = cli_walk_open(cli->nf, nf_path("/"), &walk);
    if (res < 0) {
        return cli_fail(cli, res, "/");
    }
    /* A damaged file leaves the others to be listed. */
    while ((res = cli_walk_next(walk, &item)) > 0) {
        if (item.event == CLI_LEAVE) {
            continue;
        }
        int one = dump_item(cli, &item, array);
        status = status != 0 ? status : one;
    }
    if (res < 0) {
        status = cli_fail_path(cli, res, cli_walk_path(walk));
    }
    cli_walk_close(walk);
    return status;
}

int cli_verb_dump(struct cli *cli)
{
    struct nf_stats stats;
    int status = cli_open(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    nf_stats(cli->nf, &stats);
    json_t *array = NULL;
    if (cli_has(cli, CLI_JSON)) {
        array = json_array();
    } else {
        printf("config disk_size %" PRIu64 " page_size %" PRIu32
               " checksum %s/%" PRIu32 "\n",
               stats.page_count, stats.disk.page_size,
               cli_checksum_name(stats.disk.checksum), stats.disk.checksum_len);
        printf("free_sectors %" PRId64 "\n", stats.free_recorded);
    }
    status = dump_items(cli, array);
    if (array != NULL) {
        int printed = cli_print_json(
            cli, json_pack("{s:o, s:I, s:I, s:o}", "disk",
                           cli_json_disk(&stats.disk), "generation",
                           (json_int_t)stats.generation, "free_sectors",
                           (json_int_t)stats.free_recorded, "entries", array));
        status = status != 0 ? status : printed;
    }
    return status;
}
