/* SPDX-License-Identifier: ISC */
/*
 * The verb import: from a directory of the host, or from an archive
 * (notafs_import_tar.c), onto the disk. All of it is one transaction, or with
 * --commit-every one for each so many bytes, at the end of a file: a file is on
 * the disk whole or not at all.
 *
 * Directories of the host are walked with openat, from an open directory to
 * the next, so that one that is moved meanwhile does not lead astray.
 */
#include "cli/notafs_import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Onto the disk -------------------------------------------------- */

void import_path(struct importer *importer, size_t len, struct nf_path name)
{
    size_t need = len + 1 + name.len + 1;
    if (need > importer->path_cap) {
        importer->path_cap = 2 * need;
        importer->path = cli_realloc(importer->path, importer->path_cap);
    }
    importer->path[len] = '/';
    memcpy(importer->path + len + 1, name.p, name.len);
    importer->path_len = len + 1 + name.len;
    importer->path[importer->path_len] = '\0'; /* for messages */
}

struct nf_path import_where(const struct importer *importer)
{
    struct nf_path path = {importer->path, importer->path_len};
    return path;
}

void import_step(void *ctx, uint64_t bytes)
{
    struct importer *importer = ctx;
    importer->bytes += bytes;
    importer->uncommitted += bytes;
    char done[CLI_SIZE_LEN];
    char rate[CLI_SIZE_LEN];
    uint64_t ms = (cli_clock_ns() - importer->start_ns) / 1000000 + 1;
    cli_progress(importer->cli, "import: %" PRIu64 " files, %s, %s/s",
                 importer->files, cli_size(done, importer->bytes),
                 cli_size(rate, importer->bytes * 1000 / ms));
}

void import_skip(struct importer *importer, const char *why)
{
    importer->skipped++;
    cli_left_out(importer->cli, import_where(importer), why);
}

int import_dir(struct importer *importer, struct nf_time mtime)
{
    struct nf_path path = import_where(importer);
    int res = nf_mkdir(importer->cli->nf, path);
    if (res < 0) {
        return cli_fail_path(importer->cli, res, path);
    }
    importer->dirs++;
    if (importer->n_times == importer->cap_times) {
        importer->cap_times = 2 * importer->cap_times + 16;
        importer->times = cli_realloc(
            importer->times, importer->cap_times * sizeof(*importer->times));
    }
    char *copy = cli_alloc(path.len);
    memcpy(copy, path.p, path.len);
    struct dir_time time = {copy, path.len, mtime};
    importer->times[importer->n_times++] = time;
    return 0;
}

int import_file_open(struct importer *importer, struct nf_file **ret)
{
    struct cli *cli = importer->cli;
    struct nf_path path = import_where(importer);
    int res = nf_open(cli->nf, path, NF_OPEN_CREATE | NF_OPEN_TRUNCATE, ret);
    if (res < 0) {
        return cli_fail_path(cli, res, path);
    }
    if (cli_has(cli, CLI_COMPRESS)) {
        res = nf_set_compression(*ret, NF_COMPRESSION_LZ4);
        if (res < 0) {
            nf_close(*ret);
            return cli_fail_path(cli, res, path);
        }
    }
    return 0;
}

static int apply_times(struct importer *importer)
{
    for (size_t i = 0; i < importer->n_times; i++) {
        const struct dir_time *time = &importer->times[i];
        struct nf_path path = {time->path, time->len};
        int res = nf_set_mtime(importer->cli->nf, path, time->mtime);
        if (res < 0) {
            return cli_fail_path(importer->cli, res, path);
        }
    }
    return 0;
}

static int commit(struct importer *importer)
{
    int status = apply_times(importer);
    if (status == 0) {
        status = cli_commit(importer->cli);
    }
    if (status == 0) {
        importer->commits++;
        importer->uncommitted = 0;
    }
    return status;
}

int import_file_done(struct importer *importer, struct nf_file *file,
                     struct nf_time mtime)
{
    struct cli *cli = importer->cli;
    nf_close(file);
    struct nf_path path = import_where(importer);
    int res = nf_set_mtime(cli->nf, path, mtime);
    if (res < 0) {
        return cli_fail_path(cli, res, path);
    }
    importer->files++;
    import_step(importer, 0);
    if (cli_has(cli, CLI_COMMIT_EVERY) &&
        importer->uncommitted >= cli->options[CLI_COMMIT_EVERY].number) {
        return commit(importer);
    }
    return 0;
}

/* ---- Directories of the host ---------------------------------------- */

struct host_dir {
    int fd;
    struct dirent **entries; /* sorted */
    int n_entries;
    int next;
    size_t path_len; /* on the disk */
};

static int is_no_dot(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

struct host_walk {
    struct host_dir *dirs;
    size_t n_dirs;
    size_t cap_dirs;
};

/* Takes fd. */
static int host_push(struct importer *importer, struct host_walk *walk, int fd)
{
    if (walk->n_dirs == walk->cap_dirs) {
        walk->cap_dirs = 2 * walk->cap_dirs + 8;
        walk->dirs =
            cli_realloc(walk->dirs, walk->cap_dirs * sizeof(*walk->dirs));
    }
    struct host_dir dir = {.fd = fd, .path_len = importer->path_len};
    dir.n_entries = scandirat(fd, ".", &dir.entries, is_no_dot, by_name);
    if (dir.n_entries < 0) {
        int status = cli_fail_errno(importer->cli, importer->path);
        close(fd);
        return status;
    }
    walk->dirs[walk->n_dirs++] = dir;
    return 0;
}

static void host_pop(struct host_walk *walk)
{
    struct host_dir *dir = &walk->dirs[--walk->n_dirs];
    for (int i = 0; i < dir->n_entries; i++) {
        free(dir->entries[i]);
    }
    free(dir->entries);
    close(dir->fd);
}

static struct nf_time mtime_of(const struct stat *st)
{
    struct nf_time time = {st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec};
    return time;
}

static int import_host_file(struct importer *importer, int fd,
                            const struct stat *st)
{
    struct nf_file *file;
    int status = import_file_open(importer, &file);
    if (status != 0) {
        return status;
    }
    int res = cli_copy_in(&importer->copy, fd, file);
    if (res < 0) {
        status = cli_copy_fail(importer->cli, &importer->copy, res,
                               import_where(importer), importer->path);
        nf_close(file);
        return status;
    }
    return import_file_done(importer, file, mtime_of(st));
}

/* One entry of a directory: a file is copied, a directory pushed. */
static int import_entry(struct importer *importer, struct host_walk *walk,
                        const struct stat *disk)
{
    struct host_dir *dir = &walk->dirs[walk->n_dirs - 1];
    const char *name = dir->entries[dir->next++]->d_name;
    struct stat st;
    import_path(importer, dir->path_len, nf_path(name));
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return cli_fail_errno(importer->cli, importer->path);
    }
    bool is_dir = S_ISDIR(st.st_mode);
    if (!is_dir && !S_ISREG(st.st_mode)) {
        import_skip(importer, S_ISLNK(st.st_mode)
                                  ? "a symbolic link"
                                  : "neither file nor directory");
        return 0;
    }
    if (st.st_dev == disk->st_dev && st.st_ino == disk->st_ino) {
        import_skip(importer, "the disk itself");
        return 0;
    }
    int fd =
        openat(dir->fd, name,
               O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (is_dir ? O_DIRECTORY : 0));
    if (fd < 0) {
        return cli_fail_errno(importer->cli, importer->path);
    }
    if (!is_dir) {
        int status = import_host_file(importer, fd, &st);
        close(fd);
        return status;
    }
    int status = import_dir(importer, mtime_of(&st));
    if (status != 0) {
        close(fd);
        return status;
    }
    return host_push(importer, walk, fd);
}

int import_directory(struct importer *importer, int fd, const char *name)
{
    struct host_walk walk = {0};
    struct stat top;
    struct stat disk;
    int status = 0;
    if (fstat(fd, &top) < 0 ||
        stat(importer->cli->options[CLI_DISK].text, &disk) < 0) {
        status = cli_fail_errno(importer->cli, name);
        close(fd);
        return status;
    }
    if (importer->base_len > 0) {
        status = import_dir(importer, mtime_of(&top));
    }
    if (status == 0) {
        status = host_push(importer, &walk, fd);
    } else {
        close(fd);
    }
    while (status == 0 && walk.n_dirs > 0) {
        const struct host_dir *dir = &walk.dirs[walk.n_dirs - 1];
        if (cli_interrupted()) {
            status = cli_stop(importer->cli);
        } else if (dir->next < dir->n_entries) {
            status = import_entry(importer, &walk, &disk);
        } else {
            host_pop(&walk);
        }
    }
    while (walk.n_dirs > 0) {
        host_pop(&walk);
    }
    free(walk.dirs);
    return status;
}

/* ---- The verb ------------------------------------------------------- */

static int report(struct importer *importer)
{
    struct cli *cli = importer->cli;
    if (cli_has(cli, CLI_JSON)) {
        return cli_print_json(
            cli, json_pack("{s:I, s:I, s:I, s:I, s:I}", "files",
                           (json_int_t)importer->files, "dirs",
                           (json_int_t)importer->dirs, "bytes",
                           (json_int_t)importer->bytes, "left_out",
                           (json_int_t)importer->skipped, "commits",
                           (json_int_t)importer->commits));
    }
    char size[CLI_SIZE_LEN];
    printf("Imported %" PRIu64 " files and %" PRIu64 " directories (%s)\n",
           importer->files, importer->dirs, cli_size(size, importer->bytes));
    return 0;
}

static int run(struct importer *importer, const char *source)
{
    struct stat st;
    bool is_stdin = strcmp(source, "-") == 0;
    int fd = is_stdin ? dup(STDIN_FILENO) : open(source, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return cli_fail_errno(importer->cli, source);
    }
    int status = S_ISDIR(st.st_mode) ? import_directory(importer, fd, source)
                                     : import_archive(importer, fd, source);
    if (status == 0) {
        status = commit(importer);
    }
    cli_progress_end(importer->cli);
    /* What is not committed now is dropped by closing. */
    if (status != 0 && status <= 128) {
        cli_warn(importer->cli, importer->commits == 0
                                    ? "nothing was imported"
                                    : "only what was committed before stays");
    }
    return status;
}

int cli_verb_import(struct cli *cli)
{
    int status = cli_open(cli, CLI_WRITE);
    if (status != 0) {
        return status;
    }
    struct importer importer = {.cli = cli, .start_ns = cli_clock_ns()};
    cli_copy_init(&importer.copy);
    importer.copy.step = import_step;
    importer.copy.ctx = &importer;
    cli_progress_start(cli);
    import_path(&importer, 0, nf_path(""));
    importer.path_len = 0;
    if (cli->n_operands > 1) {
        const char *path = cli->operands[1];
        import_path(&importer, 0, nf_path(path + strspn(path, "/")));
        while (importer.path_len > 0 &&
               importer.path[importer.path_len - 1] == '/') {
            importer.path_len--;
        }
    }
    importer.base_len = importer.path_len;
    status = run(&importer, cli->operands[0]);
    if (status == 0) {
        status = report(&importer);
    }
    for (size_t i = 0; i < importer.n_times; i++) {
        free(importer.times[i].path);
    }
    free(importer.times);
    free(importer.path);
    cli_copy_deinit(&importer.copy);
    return status;
}
