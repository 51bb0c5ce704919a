/* SPDX-License-Identifier: ISC */
/*
 * The verbs check and scrub: a walk over all that the newest generation
 * reaches, every page read and verified. check also accounts for each page of
 * the disk; scrub can be told to be slow.
 *
 * The disk is mounted without verification, which could fall back to an older
 * generation: what is damaged in the newest one is what the user asks for. Exit
 * statuses are those of e2fsck.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/notafs_cli.h"

#define SLICE_PAGES  1024 /* between looks at the clock */
#define SLICES_PER_S 10   /* with --rate */

struct check {
    struct cli *cli;
    uint64_t damaged; /* findings */
    uint64_t leaked;  /* pages, on a disk where that is no damage */
    char **files;     /* damaged ones, each once */
    size_t n_files;
    size_t cap_files;
    json_t *findings; /* or NULL */
    json_t *remarks;
};

static void remark(struct check *check, const char *text)
{
    if (check->remarks != NULL) {
        json_array_append_new(check->remarks, json_string(text));
    } else {
        printf("remark: %s\n", text);
    }
}

static void add_file(struct check *check, const struct nf_finding *finding)
{
    struct nf_path path = {finding->file, finding->file_len};
    for (size_t i = 0; i < check->n_files; i++) {
        if (strlen(check->files[i]) == path.len &&
            memcmp(check->files[i], path.p, path.len) == 0) {
            return;
        }
    }
    if (check->n_files == check->cap_files) {
        check->cap_files = 2 * check->cap_files + 8;
        check->files =
            cli_realloc(check->files, check->cap_files * sizeof(*check->files));
    }
    char *copy = cli_alloc(path.len + 1);
    memcpy(copy, path.p, path.len);
    copy[path.len] = '\0';
    check->files[check->n_files++] = copy;
}

static void print_finding(const struct nf_finding *finding)
{
    printf("%s", cli_style(stdout, CLI_BAD));
    if (finding->page == NF_NOWHERE) {
        printf("somewhere");
    } else if (finding->count > 1) {
        printf("pages %" PRIu64 "..%" PRIu64, finding->page,
               finding->page + finding->count - 1);
    } else {
        printf("page %" PRIu64, finding->page);
    }
    printf("%s (%s", cli_style(stdout, CLI_PLAIN),
           cli_kind_name(finding->kind));
    if (finding->file != NULL) {
        struct nf_path path = {finding->file, finding->file_len};
        printf(" of ");
        cli_print_name(stdout, path);
        if (finding->kind == NF_PAGE_DATA) {
            printf(", byte %" PRIu64, finding->offset);
        }
    }
    bool has_text = finding->what != NULL && finding->what[0] != '\0';
    printf("): %s\n", has_text ? finding->what : nf_strerror(finding->err));
}

static json_t *finding_json(const struct nf_finding *finding)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:s}", "error", nf_errname(finding->err), "text",
        nf_strerror(finding->err), "kind", cli_kind_name(finding->kind));
    if (finding->page != NF_NOWHERE) {
        json_object_set_new(object, "page",
                            json_integer((json_int_t)finding->page));
        json_object_set_new(object, "count",
                            json_integer((json_int_t)finding->count));
    }
    if (finding->file != NULL) {
        struct nf_path path = {finding->file, finding->file_len};
        cli_json_bytes(object, "file", path);
        json_object_set_new(object, "offset",
                            json_integer((json_int_t)finding->offset));
    }
    if (finding->what != NULL) {
        json_object_set_new(object, "what", json_string(finding->what));
    }
    return object;
}

static void on_finding(void *ctx, const struct nf_finding *finding)
{
    struct check *check = ctx;
    if (finding->err == 0) {
        return;
    }
    /* OCaml Notafs loses pages when a disk runs full, and lives with it. */
    if (finding->err == NF_EC_LEAK &&
        check->cli->disk.profile == NF_PROFILE_MIRAGE) {
        check->leaked += finding->count;
        return;
    }
    check->damaged++;
    if (finding->file != NULL) {
        add_file(check, finding);
    }
    if (check->findings != NULL) {
        json_array_append_new(check->findings, finding_json(finding));
    } else {
        cli_progress_clear(check->cli);
        print_finding(finding);
    }
}

/* Wait until bytes read since start are no more than the rate allows. */
static void keep_rate(uint64_t start_ns, uint64_t bytes, uint64_t rate)
{
    double due_s = (double)bytes / (double)rate;
    double spent_s = (double)(cli_clock_ns() - start_ns) / 1e9;
    if (due_s > spent_s) {
        double wait_s = due_s - spent_s;
        struct timespec wait = {(time_t)wait_s, 0};
        wait.tv_nsec = (long)((wait_s - (double)wait.tv_sec) * 1e9);
        (void)nanosleep(&wait, NULL); /* a signal ends it: that is fine */
    }
}

static int walk(struct check *check, uint32_t flags,
                struct nf_scrub_result *ret)
{
    struct cli *cli = check->cli;
    uint64_t rate = cli->options[CLI_RATE].number;
    uint64_t page_size = cli->disk.page_size;
    uint64_t slice = SLICE_PAGES;
    if (rate > 0 && rate / page_size / SLICES_PER_S < slice) {
        slice = rate / page_size / SLICES_PER_S + 1;
    }
    struct nf_scrub *scrub;
    int status = 0;
    int res = nf_scrub_open(cli->nf, flags, on_finding, check, &scrub);
    if (res < 0) {
        return cli_fail(cli, res, NULL);
    }
    uint64_t start_ns = cli_clock_ns();
    while ((res = nf_scrub_step(scrub, slice)) > 0) {
        nf_scrub_result(scrub, ret);
        uint64_t total = ret->pages_total > 0 ? ret->pages_total : 1;
        cli_progress(cli,
                     "%s: %" PRIu64 " of %" PRIu64 " pages (%" PRIu64
                     " %%), %" PRIu64 " damaged",
                     cli->verb->name, ret->pages_done, ret->pages_total,
                     ret->pages_done * 100 / total, check->damaged);
        if (rate > 0) {
            keep_rate(start_ns, ret->pages_done * page_size, rate);
        }
    }
    if (res < 0) {
        status = cli_fail(cli, res, NULL);
    }
    nf_scrub_result(scrub, ret);
    nf_scrub_close(scrub);
    cli_progress_end(cli);
    return status;
}

/* Remarks, and damage that lies beside the walk. */
static void look_around(struct check *check)
{
    struct cli *cli = check->cli;
    struct nf_stats stats;
    char text[160];
    nf_stats(cli->nf, &stats);
    if (!cli_has(cli, CLI_GENERATION) && stats.newest_seen > stats.generation) {
        /* On native a crash leaves this, since a small commit is one batch; on
         * mirage all is on the disk before the generation is. */
        bool damage = stats.disk.profile == NF_PROFILE_MIRAGE;
        check->damaged += damage;
        snprintf(text, sizeof(text),
                 "generation %" PRIu64 " cannot be mounted, this is about "
                 "%" PRIu64 ": %s",
                 stats.newest_seen, stats.generation,
                 damage ? "its file table or free queue is damaged"
                        : "its commit was cut off, or it is damaged");
        remark(check, text);
    }
    if (stats.disk.header_damaged) {
        check->damaged++;
        remark(check, "the first copy of the header is damaged");
    }
    if (stats.free_recorded != (int64_t)stats.free_pages) {
        snprintf(text, sizeof(text),
                 "the disk counts %" PRId64 " free pages and has %" PRIu64
                 ": OCaml Notafs miscounts, this does no harm",
                 stats.free_recorded, stats.free_pages);
        remark(check, text);
    }
    if (check->leaked > 0) {
        snprintf(text, sizeof(text),
                 "%" PRIu64 " pages are neither used nor free: OCaml Notafs "
                 "lost them, this does no harm",
                 check->leaked);
        remark(check, text);
    }
}

/* Which generation can still be had whole: its number, or 0. */
static uint64_t whole_generation(struct check *check)
{
    struct cli *cli = check->cli;
    struct nf_stats stats;
    nf_unmount(cli->nf);
    cli->nf = NULL;
    if (cli_mount(cli, 0, NF_MOUNT_READONLY | NF_MOUNT_VERIFY) < 0) {
        return 0;
    }
    nf_stats(cli->nf, &stats);
    return stats.generation;
}

static int report(struct check *check, const struct nf_scrub_result *result,
                  const struct nf_stats *stats)
{
    struct cli *cli = check->cli;
    bool clean = check->damaged == 0;
    uint64_t whole = clean ? stats->generation : whole_generation(check);
    if (check->findings != NULL) {
        json_t *files = json_array();
        for (size_t i = 0; i < check->n_files; i++) {
            json_t *object = json_object();
            cli_json_bytes(object, "path", nf_path(check->files[i]));
            json_array_append_new(files, object);
        }
        int status = cli_print_json(
            cli,
            json_pack("{s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I}", "clean",
                      (int)clean, "generation", (json_int_t)stats->generation,
                      "pages_verified", (json_int_t)result->pages_done,
                      "pages_used", (json_int_t)result->pages_total, "damaged",
                      (json_int_t)check->damaged, "findings",
                      json_incref(check->findings), "damaged_files", files,
                      "remarks", json_incref(check->remarks),
                      "whole_generation", (json_int_t)whole));
        return status != 0 ? status : clean ? 0 : CLI_EXIT_DAMAGE;
    }
    const char *disk = cli->options[CLI_DISK].text;
    if (clean) {
        printf("%s: %sclean%s: generation %" PRIu64 ", %" PRIu64
               " pages in use, %" PRIu64 " free\n",
               disk, cli_style(stdout, CLI_GOOD), cli_style(stdout, CLI_PLAIN),
               stats->generation, result->pages_total, stats->free_pages);
        return 0;
    }
    for (size_t i = 0; i < check->n_files; i++) {
        printf("damaged file: ");
        cli_print_name(stdout, nf_path(check->files[i]));
        printf("\n");
    }
    if (whole != 0 && whole != stats->generation) {
        printf("generation %" PRIu64 " is whole: 'notafs tree -d %s "
               "--generation %" PRIu64 "' shows it, 'notafs generations -d %s "
               "--restore %" PRIu64 "' goes back to it\n",
               whole, disk, whole, disk, whole);
    }
    printf("'notafs salvage -d %s DIRECTORY' copies out what can be read\n",
           disk);
    printf("%s: %sdamaged%s: generation %" PRIu64 ", %" PRIu64
           " findings, %zu files\n",
           disk, cli_style(stdout, CLI_BAD), cli_style(stdout, CLI_PLAIN),
           stats->generation, check->damaged, check->n_files);
    return CLI_EXIT_DAMAGE;
}

static int run(struct cli *cli, uint32_t flags)
{
    int status = cli_probe(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    int res = cli_mount(cli, cli->options[CLI_GENERATION].number,
                        NF_MOUNT_READONLY | NF_MOUNT_NO_VERIFY);
    if (res < 0) {
        return cli_fail(cli, res, cli->options[CLI_DISK].text);
    }
    struct check check = {.cli = cli};
    struct nf_scrub_result result = {0};
    struct nf_stats stats;
    nf_stats(cli->nf, &stats);
    if (cli_has(cli, CLI_JSON)) {
        check.findings = json_array();
        check.remarks = json_array();
    }
    cli_progress_start(cli);
    status = walk(&check, flags, &result);
    if (status == 0) {
        look_around(&check);
        status = report(&check, &result, &stats);
    }
    for (size_t i = 0; i < check.n_files; i++) {
        free(check.files[i]);
    }
    free(check.files);
    json_decref(check.findings);
    json_decref(check.remarks);
    return status;
}

int cli_verb_check(struct cli *cli)
{
    return run(cli, NF_SCRUB_ACCOUNT);
}

int cli_verb_scrub(struct cli *cli)
{
    return run(cli, 0);
}
