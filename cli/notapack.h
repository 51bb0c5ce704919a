/* SPDX-License-Identifier: ISC */
/* What the files of the program notapack share. */
#ifndef NOTAPACK_H
#define NOTAPACK_H

#include <jansson.h>
#include <stdio.h>

#include <notafs/notafs.h>
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
    const char *strategy_text;
    enum pk_strategy strategy;
    const char *number;
    const char *last; /* of gc, as all below */
    const char *since;
    bool heads;
    bool dry_run;
    const char *prefer; /* of merge and revert, as all below */
    const char *parent;
    bool no_ff;
    bool ff_only;
    bool to;
    bool exit_code;   /* of diff */
    const char *root; /* of proof */
    bool json;
    bool all;
    bool quiet;
    const char *with; /* of mount, as below */
    bool foreground;
    bool posix;
    bool progress;
    bool remove;
    const char *resume; /* of streams, as all below */
    bool alone;
    bool as_store;
    bool status;
    bool abort;
    bool force;
    bool help;
    bool version;
    const struct np_store *beside; /* one that is open: its image is shared */
    bool shares;                   /* open the image for a store beside */
};

/* Write how far a command is. */
typedef void (*np_progress_fn)(void *arg, FILE *out);

/* Who gives the library its memory, and so sees it work. */
struct np_meter {
    struct nf_env under;
    uint64_t n_allocs;
    const char *verb; /* NULL: nothing is shown */
    np_progress_fn show;
    void *arg;
    double began; /* seconds */
    double due;
    bool shown;
};

/* A store that a command has opened. */
struct np_store {
    const struct np_options *options;
    struct nf_env env;
    struct np_meter meter;
    struct pk_vfs vfs;
    struct pk_vfs lower_vfs;
    struct pk_vfs_posix *posix;
    struct pk_vfs_posix *lower_posix;
    struct bd_file *device; /* of an image */
    struct nf *disk;
    struct pk_vfs_notafs *on_disk;
    struct pk_vfs_notafs *lower_on_disk;
    struct pk_config config;
    bool config_sure;
    struct pk_repo *repo;
};

/* Exit status of a command. */
enum { NP_OK = 0, NP_FAILED = 1, NP_USAGE = 2 };

/* Open what the options name; flags: enum pk_open_flags. Errors have been told
 * to the user when it returns them. */
int np_store_open(struct np_store *store, const struct np_options *options,
                  uint32_t flags);
int np_store_close(struct np_store *store);

/* Are both on one image? */
bool np_same_image(const struct np_options *a, const struct np_options *b);

/* The image's path, to be released, up to a ':' that is not part of its name,
 * and what is behind that; NULL: no memory. */
char *np_image_path(const char *text, struct nf_path *ret_root);

/* The first half of np_store_open: what would be opened, and how. */
int np_options_open(struct np_store *store, const struct np_options *options,
                    uint32_t flags, struct pk_open *ret);

/* Give the store its memory, see notapack_meter.c. */
void np_meter_env(struct np_store *store);

/* Let signals interrupt; the number of one that has, or 0. */
void np_catch_signals(void);
int np_interrupted(void);

/* Show on a terminal, from now on and until np_progress_end, what show writes;
 * NULL: how many objects. */
void np_progress(struct np_store *store, const char *verb, np_progress_fn show,
                 void *arg);
void np_progress_end(struct np_store *store);

/* All that is to be read. Release with free, also after an error. Errors: enum
 * nf_err. */
int np_read_all(FILE *in, uint8_t **ret, size_t *ret_len);

/* Seconds from --date and its like; a number. False: it is none. */
bool np_parse_date(const char *text, int64_t *ret);
bool np_parse_number(const char *text, uint64_t *ret);

/* Set the configuration down in a file of its own. Errors: enum nf_err. */
int np_config_record(struct np_store *store);

/* Tell the user about an error of the library; returns NP_FAILED. */
int np_complain(const struct np_store *store, int err, const char *what);
int np_complain_info(const char *what, int err,
                     const struct nf_error_info *info);

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

/* The name of the branch to work on. */
struct pk_slice np_branch(const struct np_store *store);

/* A commit by branch, hash or the beginning of one; told if there is none. */
int np_resolve(struct np_store *store, const char *text,
               struct pk_digest *ret_hash);

/* The commit to look at: --commit, or the branch's. Told if there is none. */
int np_head(struct np_store *store, struct pk_digest *ret_hash);

/* Open for reading, and the tree of np_head. */
int np_tree_open(struct np_store *store, const struct np_options *options,
                 struct pk_tree **ret_tree);

/* Open for writing, and the tree of the branch, empty if there is none. */
struct np_change {
    struct np_store store;
    struct pk_tree *tree;
    bool has_head;
    struct pk_digest head;
};
int np_change_open(struct np_change *change, const struct np_options *options);

/* What a commit says beside its tree: from options and environment, or verb
 * and what. Release with np_info_free. Told if a date is none. */
struct np_info {
    struct pk_info info;
    char *message;
};
int np_info_make(const struct np_options *options, const char *verb,
                 const char *what, struct np_info *ret);
void np_info_free(struct np_info *info);

/* Say that the branch is at a commit now, and what it came from. */
void np_put_head(const struct np_store *store, const struct pk_digest *hash);

/* Commit the tree on the branch and close. verb and what make the message if
 * none was given. err: what has failed before, which is told instead. */
int np_change_close(struct np_change *change, int err, const char *verb,
                    const char *what);

/* One commit as text or JSON. */
void np_show_commit(struct np_store *store, const struct pk_commit *commit);

/* Print a value and release it. */
void np_json_put(json_t *json);

/* The same on one line, for lists that may be larger than memory. */
void np_json_line(json_t *json);
json_t *np_json_bytes(struct pk_slice s);
json_t *np_json_hash(const struct np_store *store,
                     const struct pk_digest *hash);
json_t *np_json_path(struct pk_path path);
json_t *np_json_commit(const struct np_store *store,
                       const struct pk_commit *commit);

/* Commands: words[0] is the command itself. They return an exit status. */
typedef int (*np_command)(const struct np_options *options, int n_words,
                          char **words);
int np_dump(const struct np_options *options, int n_words, char **words);
int np_check(const struct np_options *options, int n_words, char **words);
int np_script(const struct np_options *options, int n_words, char **words);
int np_init(const struct np_options *options, int n_words, char **words);
int np_set(const struct np_options *options, int n_words, char **words);
int np_get(const struct np_options *options, int n_words, char **words);
int np_rm(const struct np_options *options, int n_words, char **words);
int np_ls(const struct np_options *options, int n_words, char **words);
int np_tree(const struct np_options *options, int n_words, char **words);
int np_find(const struct np_options *options, int n_words, char **words);
int np_log(const struct np_options *options, int n_words, char **words);
int np_show(const struct np_options *options, int n_words, char **words);
int np_branches(const struct np_options *options, int n_words, char **words);
int np_revert(const struct np_options *options, int n_words, char **words);
int np_merge(const struct np_options *options, int n_words, char **words);
int np_proof(const struct np_options *options, int n_words, char **words);
int np_diff(const struct np_options *options, int n_words, char **words);
int np_import(const struct np_options *options, int n_words, char **words);
int np_export(const struct np_options *options, int n_words, char **words);
int np_cat_object(const struct np_options *options, int n_words, char **words);
int np_stat(const struct np_options *options, int n_words, char **words);
int np_repair(const struct np_options *options, int n_words, char **words);
int np_control(const struct np_options *options, int n_words, char **words);
int np_index(const struct np_options *options, int n_words, char **words);
int np_dict(const struct np_options *options, int n_words, char **words);
int np_gc(const struct np_options *options, int n_words, char **words);
int np_archive(const struct np_options *options, int n_words, char **words);
int np_split(const struct np_options *options, int n_words, char **words);
int np_volumes(const struct np_options *options, int n_words, char **words);
int np_mount(const struct np_options *options, int n_words, char **words);
int np_snapshot(const struct np_options *options, int n_words, char **words);
int np_send(const struct np_options *options, int n_words, char **words);
int np_receive(const struct np_options *options, int n_words, char **words);
int np_push(const struct np_options *options, int n_words, char **words);
int np_pull(const struct np_options *options, int n_words, char **words);
int np_clone(const struct np_options *options, int n_words, char **words);
int np_replay(const struct np_options *options, int n_words, char **words);

#endif
