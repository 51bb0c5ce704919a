/* SPDX-License-Identifier: ISC */
/*
 * import and export: folders, and archives by libarchive. Names and contents
 * are all that a store keeps, so the same files give the same root hash
 * wherever they come from; what is no plain file is passed over and told.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/notapack.h"

struct import {
    struct pk_tree *tree;
    const char *prefix;
    uint64_t n_files;
    uint64_t n_bytes;
    uint64_t n_skipped;
};

static void import_show(void *arg, FILE *out)
{
    const struct import *im = arg;

    fprintf(out, "%llu files, %llu bytes", (unsigned long long)im->n_files,
            (unsigned long long)im->n_bytes);
}

/* Bind prefix/name to bytes. */
static int import_bind(struct import *im, const char *name,
                       const uint8_t *bytes, size_t len)
{
    struct np_path path;
    char *text;
    int err;

    if (asprintf(&text, "%s/%s", im->prefix, name) < 0) {
        return NF_ENOMEM;
    }
    if (!np_path_parse(text, false, &path)) {
        free(text);
        return NF_ENOMEM;
    }
    free(text);
    for (size_t i = 0; i < path.path.n; i++) { /* "./a" is "a" */
        if (path.steps[i].len == 1 && path.steps[i].p[0] == '.') {
            memmove(&path.steps[i], &path.steps[i + 1],
                    (path.path.n - i - 1) * sizeof(*path.steps));
            path.path.n--;
            i--;
        }
    }
    err = pk_tree_set(im->tree, path.path, (struct pk_slice){bytes, len});
    np_path_free(&path);
    im->n_files++;
    im->n_bytes += len;
    return err;
}

static int import_file(struct import *im, const char *name, const char *path,
                       size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    size_t done = 0;
    int err = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || bytes == NULL) {
        err = bytes == NULL ? NF_ENOMEM : NF_EIO;
    }
    while (err == 0 && done < len) {
        ssize_t n = read(fd, bytes + done, len - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            err = n < 0 ? NF_EIO : 0;
            break;
        }
        done += (size_t)n;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (err != 0) {
        fprintf(stderr, "notapack: %s: cannot be read\n", path);
    } else {
        err = import_bind(im, name, bytes, done);
    }
    free(bytes);
    return err;
}

static int import_folder(struct import *im, const char *folder)
{
    char *roots[] = {(char *)(uintptr_t)folder, NULL};
    size_t root_len = strlen(folder);
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    int err = 0;

    if (fts == NULL) {
        return NF_EIO;
    }
    while (err == 0 && (errno = 0, entry = fts_read(fts)) != NULL) {
        const char *name = entry->fts_path + root_len;

        if (entry->fts_info == FTS_F) {
            err = import_file(im, name, entry->fts_path,
                              (size_t)entry->fts_statp->st_size);
        } else if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR ||
                   entry->fts_info == FTS_NS) {
            fprintf(stderr, "notapack: %s: cannot be read\n", entry->fts_path);
            err = NF_EIO;
        } else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP) {
            im->n_skipped++;
        }
    }
    if (err == 0 && errno != 0) {
        err = NF_EIO;
    }
    (void)fts_close(fts); /* only read */
    return err;
}

static int import_entry(struct import *im, struct archive *a,
                        struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    size_t cap = 0;
    size_t len = 0;
    uint8_t *bytes = NULL;
    int err = 0;

    if (name == NULL || archive_entry_filetype(entry) != AE_IFREG ||
        archive_entry_hardlink(entry) != NULL) {
        im->n_skipped +=
            name != NULL && archive_entry_filetype(entry) != AE_IFDIR;
        return 0;
    }
    for (;;) {
        la_ssize_t n;

        if (len == cap) {
            uint8_t *more = realloc(bytes, cap = cap * 2 + 65536);

            if (more == NULL) {
                err = NF_ENOMEM;
                break;
            }
            bytes = more;
        }
        n = archive_read_data(a, bytes + len, cap - len);
        if (n <= 0) {
            err = n < 0 ? NF_EIO : 0;
            break;
        }
        len += (size_t)n;
    }
    if (err == 0) {
        err = import_bind(im, name, bytes, len);
    }
    free(bytes);
    return err;
}

/* Where an archive comes from. */
struct source {
    int fd;
    uint8_t buf[1 << 16];
};

/* libarchive's own would go on waiting for a pipe after a signal. */
static la_ssize_t source_read(struct archive *a, void *arg, const void **buf)
{
    struct source *source = arg;
    ssize_t n;

    do {
        n = read(source->fd, source->buf, sizeof(source->buf));
    } while (n < 0 && errno == EINTR && np_interrupted() == 0);
    if (n < 0) {
        archive_set_error(a, errno, "cannot be read");
        return -1;
    }
    *buf = source->buf;
    return n;
}

static int import_archive(struct import *im, const char *file)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    struct source source = {.fd = 0};
    int err = 0;
    int got;

    if (a == NULL) {
        return NF_ENOMEM;
    }
    if (strcmp(file, "-") != 0) {
        source.fd = open(file, O_RDONLY | O_CLOEXEC);
    }
    (void)archive_read_support_filter_all(a); /* what there is */
    (void)archive_read_support_format_all(a);
    if (source.fd < 0 ||
        archive_read_open(a, &source, NULL, source_read, NULL) != ARCHIVE_OK) {
        err = NF_EIO;
    }
    while (err == 0 &&
           (got = archive_read_next_header(a, &entry)) != ARCHIVE_EOF) {
        err = got < ARCHIVE_WARN ? NF_EIO : import_entry(im, a, entry);
    }
    if (source.fd > 0) {
        close(source.fd);
    }
    if (err == NF_EIO && np_interrupted() == 0) {
        fprintf(stderr, "notapack: %s: %s\n", file,
                archive_error_string(a) != NULL ? archive_error_string(a)
                                                : "cannot be read");
    }
    (void)archive_read_free(a); /* only read */
    return err;
}

int np_import(const struct np_options *options, int n_words, char **words)
{
    struct np_change change;
    struct import im = {.prefix = n_words > 2 ? words[2] : ""};
    struct stat st;
    int err = np_change_open(&change, options);

    if (err != 0) {
        return err;
    }
    im.tree = change.tree;
    np_progress(&change.store, "import", import_show, &im);
    if (stat(words[1], &st) == 0 && S_ISDIR(st.st_mode)) {
        err = import_folder(&im, words[1]);
    } else {
        err = import_archive(&im, words[1]);
    }
    np_progress_end(&change.store);
    if (im.n_skipped > 0) {
        fprintf(stderr, "notapack: %llu that are no plain files passed over\n",
                (unsigned long long)im.n_skipped);
    }
    return np_change_close(&change, err, "import", words[1]);
}

/* ----------------------------------------------------------------- export */

struct export
{
    struct pk_tree *tree;
    uint64_t n_files;
    uint64_t n_bytes;
    int folder;        /* -1: an archive */
    struct archive *a; /* or NULL */
};

/* The path as a name of the system's; NULL: it would mean something else. */
static char *export_name(struct pk_path path)
{
    size_t len = 1;
    char *text;
    char *p;

    for (size_t i = 0; i < path.n; i++) {
        struct pk_slice s = path.steps[i];

        if (s.len == 0 || memchr(s.p, '/', s.len) != NULL ||
            memchr(s.p, '\0', s.len) != NULL ||
            (s.p[0] == '.' && (s.len == 1 || (s.len == 2 && s.p[1] == '.')))) {
            return NULL;
        }
        len += s.len + 1;
    }
    p = text = malloc(len);
    for (size_t i = 0; text != NULL && i < path.n; i++) {
        if (i > 0) {
            *p++ = '/';
        }
        memcpy(p, path.steps[i].p, path.steps[i].len);
        p += path.steps[i].len;
    }
    if (text != NULL) {
        *p = '\0';
    }
    return text;
}

static int export_to_folder(struct export *ex, const char *name,
                            const struct pk_bytes *bytes)
{
    size_t done = 0;
    int fd =
        openat(ex->folder, name,
               O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);

    if (fd < 0) {
        return NF_EIO;
    }
    while (done < bytes->len) {
        ssize_t n = write(fd, bytes->p + done, bytes->len - done);

        if (n < 0 && errno != EINTR) {
            close(fd);
            return errno == ENOSPC ? NF_ENOSPC : NF_EIO;
        }
        done += n < 0 ? 0 : (size_t)n;
    }
    return close(fd) == 0 ? 0 : NF_EIO;
}

static int export_to_archive(struct export *ex, const char *name,
                             const struct pk_bytes *bytes)
{
    struct archive_entry *entry = archive_entry_new();
    int err = 0;

    if (entry == NULL) {
        return NF_ENOMEM;
    }
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)bytes->len);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    if (archive_write_header(ex->a, entry) != ARCHIVE_OK ||
        archive_write_data(ex->a, bytes->p, bytes->len) !=
            (la_ssize_t)bytes->len) {
        err = NF_EIO;
    }
    archive_entry_free(entry);
    return err;
}

static int export_entry(void *arg, struct pk_path path,
                        const struct pk_stat *stat)
{
    struct export *ex = arg;
    struct pk_bytes bytes;
    char *name;
    int err = 0;

    if (path.n == 0) {
        return 0;
    }
    name = export_name(path);
    if (name == NULL) {
        fprintf(stderr, "notapack: ");
        np_put_path(stderr, path);
        fprintf(stderr, ": no name for a file\n");
        return NF_EINVAL;
    }
    if (stat->kind == PK_NODE) {
        if (ex->a == NULL && mkdirat(ex->folder, name, 0777) != 0 &&
            errno != EEXIST) {
            err = NF_EIO;
        }
    } else {
        err = pk_tree_get(ex->tree, path, &bytes);
        if (err == 0) {
            err = ex->a != NULL ? export_to_archive(ex, name, &bytes)
                                : export_to_folder(ex, name, &bytes);
            ex->n_files++;
            ex->n_bytes += bytes.len;
            pk_bytes_free(pk_tree_repo(ex->tree), &bytes);
        }
    }
    if (err != 0 && np_interrupted() == 0) {
        fprintf(stderr, "notapack: %s: not written\n", name);
    }
    free(name);
    return err;
}

static void export_show(void *arg, FILE *out)
{
    const struct export *ex = arg;

    fprintf(out, "%llu files, %llu bytes", (unsigned long long)ex->n_files,
            (unsigned long long)ex->n_bytes);
}

static bool is_archive(const char *text)
{
    size_t len = strlen(text);

    return strcmp(text, "-") == 0 ||
           (len > 4 && strcmp(text + len - 4, ".tar") == 0);
}

static int export_open(struct export *ex, const char *to)
{
    if (!is_archive(to)) {
        if (mkdir(to, 0777) != 0 && errno != EEXIST) {
            return NF_EIO;
        }
        ex->folder = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return ex->folder < 0 ? NF_EIO : 0;
    }
    ex->a = archive_write_new();
    if (ex->a == NULL) {
        return NF_ENOMEM;
    }
    (void)archive_write_set_format_pax_restricted(ex->a); /* always there */
    return archive_write_open_filename(
               ex->a, strcmp(to, "-") == 0 ? NULL : to) == ARCHIVE_OK
               ? 0
               : NF_EIO;
}

int np_export(const struct np_options *options, int n_words, char **words)
{
    struct export ex = {.folder = -1};
    struct np_store store;
    int err = np_tree_open(&store, options, &ex.tree);

    (void)n_words;
    if (err != 0) {
        return err;
    }
    err = export_open(&ex, words[1]);
    if (err == 0) {
        np_progress(&store, "export", export_show, &ex);
        err = pk_tree_walk(ex.tree, PK_WALK_SORTED, export_entry, &ex);
        np_progress_end(&store);
    }
    if (ex.a != NULL) {
        if (archive_write_close(ex.a) != ARCHIVE_OK && err == 0) {
            err = NF_EIO;
        }
        (void)archive_write_free(ex.a); /* closed */
    }
    if (ex.folder >= 0) {
        close(ex.folder);
    }
    if (err != 0) {
        err = np_complain(&store, err, words[1]);
        if (ex.a != NULL && strcmp(words[1], "-") != 0) {
            (void)unlink(words[1]); /* half an archive is none */
        }
    } else if (options->json && strcmp(words[1], "-") != 0) {
        np_json_put(json_pack("{s:I,s:I}", "files", (json_int_t)ex.n_files,
                              "bytes", (json_int_t)ex.n_bytes));
    }
    pk_tree_free(ex.tree);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}
