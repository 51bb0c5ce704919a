/* SPDX-License-Identifier: ISC */
/* What the files of the program notapack share. */
#ifndef NOTAPACK_H
#define NOTAPACK_H

#include <stdio.h>

#include <notafs/pack.h>

/* What the command line says beside the command's own words. */
struct np_options {
    const char *store;
    const char *lower;
    const char *config; /* NULL: auto */
    const char *branch;
    const char *commit;
    const char *author;
    const char *message;
    const char *date;
    enum pk_strategy strategy;
    bool json;
    bool all;
    bool quiet;
};

/* A store that a command has opened. */
struct np_store {
    const struct np_options *options;
    struct nf_env env;
    struct pk_vfs vfs;
    struct pk_vfs lower_vfs;
    struct pk_vfs_posix *posix;
    struct pk_vfs_posix *lower_posix;
    struct pk_config config;
    bool config_sure;
    uint32_t flags;
    struct pk_repo *repo;
};

/* Exit status of a command. */
enum { NP_OK = 0, NP_FAILED = 1, NP_USAGE = 2 };

/* Open what the options name; flags: enum pk_open_flags. Errors have been told
 * to the user when it returns them. */
int np_store_open(struct np_store *store, const struct np_options *options,
                  uint32_t flags);
int np_store_close(struct np_store *store);

/* Tell the user about an error of the library; returns NP_FAILED. */
int np_complain(const struct np_store *store, int err, const char *what);

/* Bytes as text: all but [A-Za-z0-9._-] as %xx. */
void np_put_percent(FILE *out, struct pk_slice s);

/* As np_put_percent, but '/' stays. */
void np_put_branch(FILE *out, struct pk_slice name);

/* The other way, in place; the new length. */
size_t np_unpercent(char *text);
void np_put_path(FILE *out, struct pk_path path);
void np_put_hash(FILE *out, const struct np_store *store,
                 const struct pk_digest *hash);

/* A path from text, percent-encoded if so said, steps between '/'. Release
 * with np_path_free. */
struct np_path {
    struct pk_path path;
    struct pk_slice *steps;
    char *text;
};
bool np_path_parse(const char *text, bool percent, struct np_path *ret);
void np_path_free(struct np_path *path);

/* A whole hash from hexadecimal digits; false: it is none. */
bool np_hash_parse(const struct np_store *store, const char *text,
                   struct pk_digest *ret);

/* Commands: words[0] is the command itself. They return an exit status. */
typedef int (*np_command)(const struct np_options *options, int n_words,
                          char **words);
int np_dump(const struct np_options *options, int n_words, char **words);
int np_check(const struct np_options *options, int n_words, char **words);
int np_script(const struct np_options *options, int n_words, char **words);

#endif
