/* SPDX-License-Identifier: ISC */
/*
 * The verbs on single files: touch, remove, rename, cat, copy, stats and
 * set-compression. The lines that they print are those of the OCaml program.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/notafs_cli.h"

int cli_verb_touch(struct cli *cli)
{
    const char *path = cli->operands[0];
    int status = cli_open(cli, CLI_WRITE);
    if (status != 0) {
        return status;
    }
    struct nf_file *file;
    int res = nf_open(cli->nf, nf_path(path), NF_OPEN_CREATE | NF_OPEN_TRUNCATE,
                      &file);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    nf_close(file);
    status = cli_commit(cli);
    if (status == 0) {
        printf("File ");
        cli_print_quoted(stdout, path);
        printf(" created\n");
    }
    return status;
}

int cli_verb_remove(struct cli *cli)
{
    const char *path = cli->operands[0];
    int status = cli_open(cli, CLI_WRITE);
    if (status != 0) {
        return status;
    }
    int res = nf_remove(cli->nf, nf_path(path), NF_REMOVE_RECURSIVE);
    if (res < 0 && nf_err_class(res) != NF_ENOENT) {
        return cli_fail(cli, res, path);
    }
    status = cli_commit(cli);
    if (status == 0) {
        printf("File ");
        cli_print_quoted(stdout, path);
        printf(" removed\n");
    }
    return status;
}

int cli_verb_rename(struct cli *cli)
{
    const char *from = cli->operands[0];
    const char *to = cli->operands[1];
    int status = cli_open(cli, CLI_WRITE);
    if (status != 0) {
        return status;
    }
    int res = nf_rename(cli->nf, nf_path(from), nf_path(to), 0);
    if (res < 0) {
        return cli_fail(cli, res, nf_err_class(res) == NF_ENOENT ? from : to);
    }
    status = cli_commit(cli);
    if (status == 0) {
        printf("File ");
        cli_print_quoted(stdout, from);
        printf(" renamed to ");
        cli_print_quoted(stdout, to);
        printf("\n");
    }
    return status;
}

int cli_verb_cat(struct cli *cli)
{
    const char *path = cli->operands[0];
    int status = cli_open(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    struct nf_file *file;
    int res = nf_open(cli->nf, nf_path(path), 0, &file);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    struct cli_copy copy;
    cli_copy_init(&copy);
    res = cli_copy_stream(&copy, file, STDOUT_FILENO);
    if (res < 0) {
        status =
            cli_copy_fail(cli, &copy, res, nf_path(path), "standard output");
    }
    cli_copy_deinit(&copy);
    nf_close(file);
    return status;
}

/* ---- copy ----------------------------------------------------------- */

static int copy_to_disk(struct cli *cli, struct cli_copy *copy,
                        const char *from, const char *to)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cli_fail_errno(cli, from);
    }
    struct nf_file *file = NULL;
    int res =
        nf_open(cli->nf, nf_path(to), NF_OPEN_CREATE | NF_OPEN_TRUNCATE, &file);
    copy->host_failed = false;
    if (res == 0) {
        res = cli_copy_in(copy, fd, file);
    }
    int status = 0;
    if (res < 0) {
        status = cli_copy_fail(cli, copy, res, nf_path(to), from);
    }
    nf_close(file);
    close(fd);
    return status != 0 ? status : cli_commit(cli);
}

static int copy_from_disk(struct cli *cli, struct cli_copy *copy,
                          const char *from, const char *to)
{
    struct nf_file *file;
    int res = nf_open(cli->nf, nf_path(from), 0, &file);
    if (res < 0) {
        return cli_fail(cli, res, from);
    }
    int status = 0;
    int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0664);
    if (fd < 0) {
        status = cli_fail_errno(cli, to);
        nf_close(file);
        return status;
    }
    res = cli_copy_out(copy, file, fd);
    if (res < 0) {
        status = cli_copy_fail(cli, copy, res, nf_path(from), to);
    }
    if (close(fd) < 0 && status == 0) {
        status = cli_fail_errno(cli, to);
    }
    nf_close(file);
    return status;
}

static int copy_on_disk(struct cli *cli, struct cli_copy *copy,
                        const char *from, const char *to)
{
    struct nf_stat a;
    struct nf_stat b;
    int res = nf_stat(cli->nf, nf_path(from), &a);
    if (res < 0) {
        return cli_fail(cli, res, from);
    }
    /* A file onto itself would be emptied first. */
    if (nf_stat(cli->nf, nf_path(to), &b) == 0 && a.id == b.id) {
        return 0;
    }
    struct nf_file *source = NULL;
    struct nf_file *file = NULL;
    int status = 0;
    const char *subject = from;
    copy->host_failed = false;
    res = nf_open(cli->nf, nf_path(from), 0, &source);
    if (res == 0) {
        subject = to;
        res = nf_open(cli->nf, nf_path(to), NF_OPEN_CREATE | NF_OPEN_TRUNCATE,
                      &file);
    }
    if (res == 0 && a.compression != NF_COMPRESSION_NONE) {
        res = nf_set_compression(file, a.compression);
    }
    if (res == 0) {
        res = cli_copy_across(copy, source, file);
    }
    if (res < 0) {
        status = cli_copy_fail(cli, copy, res, nf_path(subject), subject);
    }
    nf_close(file);
    nf_close(source);
    return status != 0 ? status : cli_commit(cli);
}

int cli_verb_copy(struct cli *cli)
{
    const char *from = cli->operands[0];
    const char *to = cli->operands[1];
    bool from_disk = from[0] == '@';
    bool to_disk = to[0] == '@';
    if (!from_disk && !to_disk) {
        return cli_fail_usage(cli,
                              "neither '%s' nor '%s' is on the disk: put "
                              "an '@' before the one that is",
                              from, to);
    }
    int status = cli_open(cli, to_disk ? CLI_WRITE : CLI_READ);
    if (status != 0) {
        return status;
    }
    from += from_disk;
    to += to_disk;
    struct cli_copy copy;
    cli_copy_init(&copy);
    if (from_disk && to_disk) {
        status = copy_on_disk(cli, &copy, from, to);
    } else if (to_disk) {
        status = copy_to_disk(cli, &copy, from, to);
    } else {
        status = copy_from_disk(cli, &copy, from, to);
    }
    cli_copy_deinit(&copy);
    if (status == 0) {
        printf("%s ", from_disk ? "Key" : "File");
        cli_print_quoted(stdout, from);
        printf(" has been copied to %s ", to_disk ? "key" : "file");
        cli_print_quoted(stdout, to);
        printf("\n");
    }
    return status;
}

/* ---- stats, set-compression ----------------------------------------- */

static int print_disk_stats(struct cli *cli)
{
    struct nf_stats s;
    nf_stats(cli->nf, &s);
    if (cli_has(cli, CLI_JSON)) {
        return cli_print_json(
            cli, json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                           "disk", cli_json_disk(&s.disk), "generation",
                           (json_int_t)s.generation, "page_count",
                           (json_int_t)s.page_count, "free_pages",
                           (json_int_t)s.free_pages, "usable_pages",
                           (json_int_t)s.usable_pages, "files",
                           (json_int_t)s.files, "dirs", (json_int_t)s.dirs,
                           "max_file_bytes", (json_int_t)s.max_file_bytes,
                           "max_name_bytes", (json_int_t)s.max_name_bytes));
    }
    uint64_t page = s.disk.page_size;
    char a[CLI_SIZE_LEN];
    char b[CLI_SIZE_LEN];
    char c[CLI_SIZE_LEN];
    printf("Profile: %s\n", cli_profile_name(s.disk.profile));
    printf("Generation: %" PRIu64 "\n", s.generation);
    printf("Files: %" PRIu64 ", directories: %" PRIu64 "\n", s.files, s.dirs);
    printf("Pages: %" PRIu64 " of %" PRIu64 " bytes (%s)\n", s.page_count, page,
           cli_size(a, s.page_count * page));
    printf("Used: %" PRIu64 " (%s)\n", s.page_count - s.free_pages,
           cli_size(b, (s.page_count - s.free_pages) * page));
    printf("Free: %" PRIu64 " (%s)\n", s.free_pages,
           cli_size(c, s.free_pages * page));
    return 0;
}

int cli_verb_stats(struct cli *cli)
{
    int status = cli_open(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    if (cli->n_operands == 0) {
        return print_disk_stats(cli);
    }
    const char *path = cli->operands[0];
    struct nf_stat stat;
    int res = nf_stat(cli->nf, nf_path(path), &stat);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    if (cli_has(cli, CLI_JSON)) {
        json_t *object = json_object();
        cli_json_bytes(object, "path", nf_path(path));
        cli_json_stat(object, &stat);
        return cli_print_json(cli, object);
    }
    char time[CLI_TIME_LEN];
    printf("Size: %" PRIu64 "\n", stat.size);
    printf("Last modified: %s\n", cli_time(time, stat.mtime));
    if (stat.compression == NF_COMPRESSION_LZ4) {
        printf("Compression: lz4\n");
    }
    return 0;
}

int cli_verb_set_compression(struct cli *cli)
{
    const char *path = cli->operands[0];
    const char *name = cli->operands[1];
    enum nf_compression compression = NF_COMPRESSION_NONE;
    if (strcmp(name, "lz4") == 0) {
        compression = NF_COMPRESSION_LZ4;
    } else if (strcmp(name, "none") != 0) {
        return cli_fail_usage(cli, "'%s' is neither lz4 nor none", name);
    }
    int status = cli_open(cli, CLI_WRITE);
    if (status != 0) {
        return status;
    }
    struct nf_file *file;
    int res = nf_open(cli->nf, nf_path(path), 0, &file);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    res = nf_set_compression(file, compression);
    nf_close(file);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    status = cli_commit(cli);
    if (status == 0) {
        printf("File ");
        cli_print_quoted(stdout, path);
        printf(" is stored with compression %s\n", name);
    }
    return status;
}
