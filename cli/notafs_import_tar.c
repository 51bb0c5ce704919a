/* SPDX-License-Identifier: ISC */
/*
 * An archive as the source of an import: a stream that libarchive takes apart,
 * compressed or not. Names are made safe before they are used: leading slashes
 * and "." are dropped, and a name with ".." is left out. A hard link becomes a
 * copy of what it links to, which the archive must have brought before.
 */
#include "cli/notafs_import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

struct source {
    struct importer *importer;
    struct archive *archive;
    const char *name;
    int fd;
    uint8_t *buf;
};

static ssize_t read_source(struct archive *archive, void *ctx,
                           const void **ret_buf)
{
    struct source *source = ctx;
    *ret_buf = source->buf;
    for (;;) {
        ssize_t got = read(source->fd, source->buf, CLI_CHUNK);
        if (got < 0 && errno == EINTR && !cli_interrupted()) {
            continue;
        }
        if (got < 0) {
            archive_set_error(archive, errno, "%s", strerror(errno));
        }
        return got;
    }
}

static int archive_failure(struct source *source)
{
    if (cli_interrupted()) {
        return cli_stop(source->importer->cli);
    }
    const char *why = archive_error_string(source->archive);
    return cli_fail_text(source->importer->cli, "%s: %s", source->name,
                         why != NULL ? why : "not an archive");
}

/* Set the path from a name of the archive: whether it can be used. */
static bool set_path(struct importer *importer, const char *name)
{
    importer->path_len = importer->base_len;
    importer->path[importer->path_len] = '\0';
    while (*name != '\0') {
        size_t len = strcspn(name, "/");
        if (len == 2 && memcmp(name, "..", 2) == 0) {
            return false;
        }
        if (len > 0 && !(len == 1 && name[0] == '.')) {
            struct nf_path segment = {name, len};
            import_path(importer, importer->path_len, segment);
        }
        name += len + (name[len] == '/');
    }
    return true;
}

static const char *name_of(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    return name != NULL ? name : archive_entry_pathname_utf8(entry);
}

static struct nf_time mtime_of(struct archive_entry *entry)
{
    struct nf_time time = {archive_entry_mtime(entry),
                           (uint32_t)archive_entry_mtime_nsec(entry)};
    return time;
}

/* The data of the entry; sparse ones come in blocks with gaps. */
static int copy_data(struct source *source, struct nf_file *file, uint64_t size)
{
    struct importer *importer = source->importer;
    for (;;) {
        const void *block;
        size_t len;
        la_int64_t off;
        int got = archive_read_data_block(source->archive, &block, &len, &off);
        if (got == ARCHIVE_EOF) {
            break;
        }
        if (got < ARCHIVE_WARN || off < 0) {
            return archive_failure(source);
        }
        int res = len == 0 ? 0 : nf_write(file, (uint64_t)off, block, len);
        if (res < 0) {
            return cli_fail_path(importer->cli, res, import_where(importer));
        }
        import_step(importer, len);
        if (cli_interrupted()) {
            return cli_stop(importer->cli);
        }
    }
    struct nf_stat stat;
    int res = nf_fstat(file, &stat);
    if (res == 0 && stat.size < size) {
        res = nf_truncate(file, size);
    }
    return res < 0 ? cli_fail_path(importer->cli, res, import_where(importer))
                   : 0;
}

/* The contents of an earlier file of the archive. */
static int copy_link(struct source *source, struct nf_path target,
                     struct nf_file *file)
{
    struct importer *importer = source->importer;
    struct nf_file *from = NULL;
    importer->copy.host_failed = false;
    int res = nf_open(importer->cli->nf, target, 0, &from);
    if (res == 0) {
        res = cli_copy_across(&importer->copy, from, file);
    }
    nf_close(from);
    return res < 0 ? cli_copy_fail(importer->cli, &importer->copy, res, target,
                                   source->name)
                   : 0;
}

static int import_file(struct source *source, struct archive_entry *entry,
                       const struct nf_path *target)
{
    struct nf_file *file;
    int status = import_file_open(source->importer, &file);
    if (status != 0) {
        return status;
    }
    uint64_t size = archive_entry_size_is_set(entry)
                        ? (uint64_t)archive_entry_size(entry)
                        : 0;
    status = target != NULL ? copy_link(source, *target, file)
                            : copy_data(source, file, size);
    if (status != 0) {
        nf_close(file);
        return status;
    }
    return import_file_done(source->importer, file, mtime_of(entry));
}

/* What the entry is a hard link to, as a path on the disk; p NULL: it is none,
 * or one that leads elsewhere or to itself. */
static struct nf_path link_target(struct importer *importer,
                                  struct archive_entry *entry, const char *name)
{
    struct nf_path target = {NULL, 0};
    const char *link = archive_entry_hardlink(entry);
    if (link == NULL || !set_path(importer, link)) {
        return target;
    }
    size_t len = importer->path_len;
    char *copy = cli_alloc(len + 1);
    memcpy(copy, importer->path, len);
    (void)set_path(importer, name); /* it was fine before */
    if (len == importer->path_len && memcmp(copy, importer->path, len) == 0) {
        free(copy);
        return target;
    }
    target.p = copy;
    target.len = len;
    return target;
}

static int import_member(struct source *source, struct archive_entry *entry)
{
    struct importer *importer = source->importer;
    const char *name = name_of(entry);
    if (name == NULL || !set_path(importer, name)) {
        cli_left_out(importer->cli, nf_path(name != NULL ? name : "?"),
                     "a name that leads elsewhere");
        importer->skipped++;
        return 0;
    }
    if (importer->path_len == 0) {
        return 0; /* the root is there */
    }
    if (archive_entry_hardlink(entry) != NULL) {
        struct nf_path target = link_target(importer, entry, name);
        if (target.p == NULL) {
            import_skip(importer, "a link that leads elsewhere");
            return 0;
        }
        int status = import_file(source, entry, &target);
        free((void *)(uintptr_t)target.p);
        return status;
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return import_dir(importer, mtime_of(entry));
    case AE_IFREG:
        return import_file(source, entry, NULL);
    case AE_IFLNK:
        import_skip(importer, "a symbolic link");
        return 0;
    default:
        import_skip(importer, "neither file nor directory");
        return 0;
    }
}

/* Takes fd. */
int import_archive(struct importer *importer, int fd, const char *name)
{
    struct source source = {
        .importer = importer,
        .archive = archive_read_new(),
        .name = name,
        .fd = fd,
        .buf = cli_alloc(CLI_CHUNK),
    };
    int status = 0;
    int got = source.archive != NULL ? ARCHIVE_OK : ARCHIVE_FATAL;
    if (got == ARCHIVE_OK) {
        archive_read_support_filter_all(source.archive);
        archive_read_support_format_tar(source.archive);
        archive_read_support_format_cpio(source.archive);
        archive_read_support_format_empty(source.archive);
        got =
            archive_read_open(source.archive, &source, NULL, read_source, NULL);
    }
    if (got != ARCHIVE_OK) {
        status = archive_failure(&source);
    }
    while (status == 0) {
        struct archive_entry *entry;
        got = archive_read_next_header(source.archive, &entry);
        if (got == ARCHIVE_EOF) {
            break;
        }
        status = got < ARCHIVE_WARN ? archive_failure(&source)
                                    : import_member(&source, entry);
    }
    archive_read_free(source.archive);
    free(source.buf);
    close(fd);
    return status;
}
