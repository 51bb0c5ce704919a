/* SPDX-License-Identifier: ISC */
/*
 * The verb export: a directory of the disk, or a file, into a directory of the
 * host or into a tar.
 *
 * A name on the disk may be any bytes: those that would lead out of the target
 * ("..") or that the host cannot have are left out with a message, and symbolic
 * links in the target are not followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "cli/notafs_cli.h"

struct exporter {
    struct cli *cli;
    struct cli_copy copy;
    size_t member_at; /* where in a path the name in the tar starts */
    uint64_t files;
    uint64_t dirs;
    uint64_t bytes;
    uint64_t failed;
    int *fds; /* directory: one for each level that is open */
    size_t n_fds;
    size_t cap_fds;
    struct archive *archive; /* tar; or NULL */
    const char *target;
};

static void step(void *ctx, uint64_t bytes)
{
    struct exporter *exporter = ctx;
    exporter->bytes += bytes;
    char done[CLI_SIZE_LEN];
    cli_progress(exporter->cli, "export: %" PRIu64 " files, %s",
                 exporter->files, cli_size(done, exporter->bytes));
}

/* ---- Into a directory ----------------------------------------------- */

static void push_fd(struct exporter *exporter, int fd)
{
    if (exporter->n_fds == exporter->cap_fds) {
        exporter->cap_fds = 2 * exporter->cap_fds + 8;
        exporter->fds = cli_realloc(exporter->fds,
                                    exporter->cap_fds * sizeof(*exporter->fds));
    }
    exporter->fds[exporter->n_fds++] = fd;
}

static void set_host_mtime(int fd, struct nf_time mtime)
{
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)mtime.sec, .tv_nsec = (long)mtime.nsec},
    };
    (void)futimens(fd, times); /* a host that cannot hold the time keeps its */
}

static int export_host_dir(struct exporter *exporter, const char *name,
                           const struct cli_item *item)
{
    int parent = exporter->fds[exporter->n_fds - 1];
    int fd = -1;
    if (mkdirat(parent, name, 0777) == 0 || errno == EEXIST) {
        fd = openat(parent, name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) {
        return cli_fail_errno(exporter->cli, item->path.p);
    }
    push_fd(exporter, fd);
    exporter->dirs++;
    return 0;
}

/* A file that cannot be read whole does not stay, so that none is taken for
 * good; the others go on. */
static int export_host_file(struct exporter *exporter, const char *name,
                            struct nf_file *file, const struct cli_item *item)
{
    int parent = exporter->fds[exporter->n_fds - 1];
    int fd =
        openat(parent, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        return cli_fail_errno(exporter->cli, item->path.p);
    }
    int res = cli_copy_out(&exporter->copy, file, fd);
    int status = 0;
    if (res < 0) {
        status = cli_copy_fail(exporter->cli, &exporter->copy, res, item->path,
                               item->path.p);
        (void)unlinkat(parent, name, 0);
    }
    set_host_mtime(fd, item->stat.mtime);
    if (close(fd) < 0 && status == 0) {
        status = cli_fail_errno(exporter->cli, item->path.p);
    }
    if (status != 0 && !exporter->copy.host_failed && res != NF_ECANCELED) {
        exporter->failed++;
        status = 0;
    }
    return status;
}

/* ---- Into a tar ----------------------------------------------------- */

static int archive_failure(struct exporter *exporter)
{
    return cli_fail_text(exporter->cli, "%s: %s", exporter->target,
                         archive_error_string(exporter->archive));
}

/* Data of one file: holes are told to the archive first. */
static int add_sparse(struct nf_file *file, struct archive_entry *entry,
                      uint64_t size)
{
    uint64_t off = 0;
    uint64_t end = 0;
    for (;;) {
        int res = nf_seek_data(file, off, &off);
        if (res == 0) {
            res = nf_seek_hole(file, off, &end);
        }
        if (nf_err_class(res) == NF_ERANGE) {
            break;
        }
        if (res < 0) {
            return res;
        }
        if (off == 0 && end == size) {
            return 0; /* no hole */
        }
        archive_entry_sparse_add_entry(entry, (la_int64_t)off,
                                       (la_int64_t)(end - off));
        off = end;
    }
    if (end < size) {
        archive_entry_sparse_add_entry(entry, (la_int64_t)size, 0);
    }
    return 0;
}

static int write_member_data(struct exporter *exporter, struct nf_file *file,
                             const struct cli_item *item)
{
    uint64_t off = 0;
    for (;;) {
        size_t len = 0;
        int res = nf_read(file, off, exporter->copy.buf, CLI_CHUNK, &len);
        if (res < 0) {
            return cli_fail_path(exporter->cli, res, item->path);
        }
        if (cli_interrupted()) {
            return cli_stop(exporter->cli);
        }
        if (len == 0) {
            return 0;
        }
        if (archive_write_data(exporter->archive, exporter->copy.buf, len) <
            0) {
            return archive_failure(exporter);
        }
        off += len;
        step(exporter, len);
    }
}

static int export_member(struct exporter *exporter, const char *name,
                         struct nf_file *file, const struct cli_item *item)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL) {
        return cli_fail(exporter->cli, NF_ENOMEM, exporter->target);
    }
    int status = 0;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_mtime(entry, (time_t)item->stat.mtime.sec,
                            (long)item->stat.mtime.nsec);
    archive_entry_set_filetype(entry, file != NULL ? AE_IFREG : AE_IFDIR);
    archive_entry_set_perm(entry, file != NULL ? 0644 : 0755);
    if (file != NULL) {
        archive_entry_set_size(entry, (la_int64_t)item->stat.size);
        int res = add_sparse(file, entry, item->stat.size);
        if (res < 0) {
            status = cli_fail_path(exporter->cli, res, item->path);
        }
    }
    if (status == 0 &&
        archive_write_header(exporter->archive, entry) < ARCHIVE_WARN) {
        status = archive_failure(exporter);
    }
    if (status == 0 && file != NULL) {
        status = write_member_data(exporter, file, item);
    }
    archive_entry_free(entry);
    return status;
}

/* ---- The walk ------------------------------------------------------- */

static int export_file(struct exporter *exporter, const char *name,
                       const char *member, const struct cli_item *item)
{
    struct nf_file *file;
    int res = nf_open(exporter->cli->nf, item->path, 0, &file);
    if (res < 0) {
        (void)cli_fail_path(exporter->cli, res, item->path);
        exporter->failed++;
        return 0;
    }
    int status = exporter->archive != NULL
                     ? export_member(exporter, member, file, item)
                     : export_host_file(exporter, name, file, item);
    nf_close(file);
    exporter->files++;
    return status;
}

static int export_item(struct exporter *exporter, const struct cli_item *item,
                       struct cli_walk *walk)
{
    if (cli_interrupted()) {
        return cli_stop(exporter->cli);
    }
    if (item->event == CLI_LEAVE) {
        if (exporter->archive == NULL) {
            int fd = exporter->fds[--exporter->n_fds];
            set_host_mtime(fd, item->stat.mtime);
            close(fd);
        }
        return 0;
    }
    if (!cli_is_host_name(item->name)) {
        cli_left_out(exporter->cli, item->path, "no name for a file here");
        exporter->failed++;
        if (item->event == CLI_ENTER) {
            cli_walk_skip(walk);
        }
        return 0;
    }
    const char *member = item->path.p + exporter->member_at;
    if (item->event == CLI_FILE) {
        return export_file(exporter, item->name.p, member, item);
    }
    if (exporter->archive == NULL) {
        return export_host_dir(exporter, item->name.p, item);
    }
    exporter->dirs++;
    return export_member(exporter, member, NULL, item);
}

static int export_tree(struct exporter *exporter, const char *path)
{
    struct cli_walk *walk;
    struct cli_item item;
    int res = cli_walk_open(exporter->cli->nf, nf_path(path), &walk);
    if (res < 0) {
        return cli_fail(exporter->cli, res, path);
    }
    int status = 0;
    exporter->member_at = cli_walk_path(walk).len + 1;
    while (status == 0 && (res = cli_walk_next(walk, &item)) > 0) {
        status = export_item(exporter, &item, walk);
    }
    if (status == 0 && res < 0) {
        status = cli_fail_path(exporter->cli, res, cli_walk_path(walk));
    }
    cli_walk_close(walk);
    return status;
}

/* A single file: under its own name. */
static int export_one(struct exporter *exporter, const char *path,
                      const struct nf_stat *stat)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    struct cli_item item = {.event = CLI_FILE,
                            .path = nf_path(path),
                            .name = nf_path(name),
                            .stat = *stat};
    exporter->member_at = (size_t)(name - path);
    return export_item(exporter, &item, NULL);
}

/* ---- Targets -------------------------------------------------------- */

/* The filter of a name that is a tar's, or -1. */
static int tar_filter(const char *name)
{
    static const struct {
        const char *suffix;
        int filter;
    } rows[] = {
        {".tar", ARCHIVE_FILTER_NONE},    {".tar.gz", ARCHIVE_FILTER_GZIP},
        {".tgz", ARCHIVE_FILTER_GZIP},    {".tar.bz2", ARCHIVE_FILTER_BZIP2},
        {".tar.xz", ARCHIVE_FILTER_XZ},   {".tar.zst", ARCHIVE_FILTER_ZSTD},
        {".tar.lz4", ARCHIVE_FILTER_LZ4},
    };
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t suffix_len = strlen(rows[i].suffix);
        if (len > suffix_len &&
            strcmp(name + len - suffix_len, rows[i].suffix) == 0) {
            return rows[i].filter;
        }
    }
    return -1;
}

static int open_archive(struct exporter *exporter, int filter)
{
    bool is_stdout = strcmp(exporter->target, "-") == 0;
    if (is_stdout && isatty(STDOUT_FILENO) == 1) {
        return cli_fail_usage(exporter->cli,
                              "an archive is nothing for a terminal");
    }
    exporter->archive = archive_write_new();
    if (exporter->archive == NULL) {
        return cli_fail(exporter->cli, NF_ENOMEM, exporter->target);
    }
    int got = archive_write_set_format_pax_restricted(exporter->archive);
    if (got == ARCHIVE_OK && filter != ARCHIVE_FILTER_NONE) {
        got = archive_write_add_filter(exporter->archive, filter);
    }
    if (got >= ARCHIVE_WARN && is_stdout) {
        archive_write_set_bytes_in_last_block(exporter->archive, 1);
        got = archive_write_open_fd(exporter->archive, STDOUT_FILENO);
    } else if (got >= ARCHIVE_WARN) {
        got = archive_write_open_filename(exporter->archive, exporter->target);
    }
    return got < ARCHIVE_WARN ? archive_failure(exporter) : 0;
}

static int open_directory(struct exporter *exporter)
{
    const char *target = exporter->target;
    if (mkdir(target, 0777) < 0 && errno != EEXIST) {
        return cli_fail_errno(exporter->cli, target);
    }
    int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return cli_fail_errno(exporter->cli, target);
    }
    push_fd(exporter, fd);
    return 0;
}

static int open_target(struct exporter *exporter)
{
    struct stat st;
    int filter = tar_filter(exporter->target);
    if (strcmp(exporter->target, "-") == 0) {
        return open_archive(exporter, ARCHIVE_FILTER_NONE);
    }
    if (filter < 0 ||
        (stat(exporter->target, &st) == 0 && S_ISDIR(st.st_mode))) {
        return open_directory(exporter);
    }
    return open_archive(exporter, filter);
}

static int close_target(struct exporter *exporter, int status)
{
    if (exporter->archive != NULL) {
        if (archive_write_close(exporter->archive) < ARCHIVE_WARN &&
            status == 0) {
            status = archive_failure(exporter);
        }
        archive_write_free(exporter->archive);
    }
    while (exporter->n_fds > 0) {
        close(exporter->fds[--exporter->n_fds]);
    }
    free(exporter->fds);
    return status;
}

static int report(struct exporter *exporter)
{
    struct cli *cli = exporter->cli;
    FILE *out = strcmp(exporter->target, "-") == 0 ? stderr : stdout;
    if (cli_has(cli, CLI_JSON) && out == stdout) {
        int status =
            cli_print_json(cli, json_pack("{s:I, s:I, s:I, s:I}", "files",
                                          (json_int_t)exporter->files, "dirs",
                                          (json_int_t)exporter->dirs, "bytes",
                                          (json_int_t)exporter->bytes, "failed",
                                          (json_int_t)exporter->failed));
        return exporter->failed > 0 ? CLI_EXIT_ERROR : status;
    }
    char size[CLI_SIZE_LEN];
    fprintf(out,
            "Exported %" PRIu64 " files and %" PRIu64 " directories (%s)\n",
            exporter->files, exporter->dirs, cli_size(size, exporter->bytes));
    return exporter->failed > 0
               ? cli_fail_text(cli,
                               "%" PRIu64 " were not exported; 'notafs "
                               "salvage' copies out what can be read",
                               exporter->failed)
               : 0;
}

int cli_verb_export(struct cli *cli)
{
    char *path = cli->operands[0];
    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--) {
        path[len - 1] = '\0';
    }
    int status = cli_open(cli, CLI_READ);
    if (status != 0) {
        return status;
    }
    struct nf_stat stat;
    int res = nf_stat(cli->nf, nf_path(path), &stat);
    if (res < 0) {
        return cli_fail(cli, res, path);
    }
    cli_signals_catch();
    struct exporter exporter = {.cli = cli, .target = cli->operands[1]};
    cli_copy_init(&exporter.copy);
    exporter.copy.step = step;
    exporter.copy.ctx = &exporter;
    cli_progress_start(cli);
    status = open_target(&exporter);
    if (status == 0) {
        status = stat.type == NF_TYPE_FILE ? export_one(&exporter, path, &stat)
                                           : export_tree(&exporter, path);
    }
    cli_progress_end(cli);
    status = close_target(&exporter, status);
    if (status == 0) {
        status = report(&exporter);
    }
    cli_copy_deinit(&exporter.copy);
    return status;
}
