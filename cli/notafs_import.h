/* SPDX-License-Identifier: ISC */
/* What the sources of an import share: the way onto the disk. */
#ifndef NOTAFS_IMPORT_H
#define NOTAFS_IMPORT_H

#include "cli/notafs_cli.h"

struct importer {
    struct cli *cli;
    struct cli_copy copy;
    uint64_t start_ns;
    char *path; /* on the disk, where the source is now */
    size_t path_len;
    size_t path_cap;
    size_t base_len; /* of the path where it all goes */
    uint64_t files;
    uint64_t dirs;
    uint64_t bytes;
    uint64_t skipped;
    uint64_t commits;
    uint64_t uncommitted; /* bytes */
    /* Directories get their times last: making entries changes them. */
    struct dir_time {
        char *path;
        size_t len;
        struct nf_time mtime;
    } * times;
    size_t n_times;
    size_t cap_times;
};

/* The path becomes its first len bytes, a slash and name. */
void import_path(struct importer *importer, size_t len, struct nf_path name);
struct nf_path import_where(const struct importer *importer);

/* At the path: a directory, or an empty file to be filled and finished. */
int import_dir(struct importer *importer, struct nf_time mtime);
int import_file_open(struct importer *importer, struct nf_file **ret);
int import_file_done(struct importer *importer, struct nf_file *file,
                     struct nf_time mtime);

/* Say that the thing at the path is left out. */
void import_skip(struct importer *importer, const char *why);
void import_step(void *ctx, uint64_t bytes);

/* The sources: notafs_import.c, notafs_import_tar.c. */
int import_directory(struct importer *importer, int fd, const char *name);
int import_archive(struct importer *importer, int fd, const char *name);

#endif
