/* SPDX-License-Identifier: ISC */
/*
 * What the verbs of the program notafs share.
 *
 * A verb is a row of the table in notafs_main.c and a function that takes a
 * struct cli and returns the exit status. The functions below that return
 * `int` status have told the user already when it is not 0; those that return
 * a negative enum nf_err have not.
 */
#ifndef NOTAFS_CLI_H
#define NOTAFS_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include <notafs/codec_lz4.h>
#include <notafs/host.h>
#include <notafs/notafs.h>

#define CLI_CHUNK     ((size_t)1 << 20)  /* bytes copied at a time */
#define CLI_CACHE     ((size_t)32 << 20) /* page cache unless --cache */
#define CLI_MAX_DEPTH 4096 /* nested directories: deeper is damage */

/* Exit statuses. check and scrub have those of e2fsck. */
#define CLI_EXIT_ERROR       1
#define CLI_EXIT_USAGE       124 /* as the OCaml program */
#define CLI_EXIT_DAMAGE      4
#define CLI_EXIT_CHECK_ERROR 8
#define CLI_EXIT_CHECK_USAGE 16

/* ---- Options and verbs ---------------------------------------------- */

enum cli_option {
    CLI_DISK,
    CLI_PAGE_SIZE,
    CLI_PROFILE,
    CLI_CHECKSUM,
    CLI_SIZE,
    CLI_GENERATION,
    CLI_COMMIT_EVERY,
    CLI_COMPRESS,
    CLI_RATE,
    CLI_RESTORE,
    CLI_SVG,
    CLI_JSON,
    CLI_DIRECT,
    CLI_CACHE_SIZE,
    CLI_VERIFY,
    CLI_NO_VERIFY,
    CLI_FOREGROUND,
    CLI_WITH,
    CLI_FROM,
    CLI_OUT,
    CLI_EXPECT_ROOT,
    CLI_HELP,
    CLI_N_OPTIONS,
};

#define CLI_BIT(option) (1u << (option))

/* What every verb that mounts takes. */
#define CLI_MOUNT_OPTIONS                                                      \
    (CLI_BIT(CLI_DISK) | CLI_BIT(CLI_DIRECT) | CLI_BIT(CLI_CACHE_SIZE) |       \
     CLI_BIT(CLI_VERIFY) | CLI_BIT(CLI_NO_VERIFY))

struct cli_value {
    const char *text; /* NULL: not given */
    uint64_t number;  /* of options that take a number or a size */
};

struct cli;

struct cli_verb {
    const char *name;
    const char *operands; /* as the usage line shows them */
    int min_operands;
    int max_operands;
    uint32_t options; /* CLI_BIT, or-ed; --help is always there */
    int error_status;
    int usage_status;
    int (*run)(struct cli *cli);
    const char *summary; /* one line */
    const char *details; /* more lines, or NULL */
};

struct cli {
    const struct cli_verb *verb;
    struct cli_value options[CLI_N_OPTIONS];
    char **operands;
    int n_operands;
    struct nf_env env;
    struct bd_file *device; /* NULL: not open */
    struct nf_disk disk;    /* what the header says, once probed */
    struct nf *nf;          /* NULL: not mounted */
    bool progress;          /* there is a line of progress */
    uint64_t progress_ns;   /* when it is due again */
};

/* notafs_args.c: fill in options and operands. */
int cli_parse(struct cli *cli, int argc, char **argv);
void cli_print_options(FILE *out, uint32_t options);

static inline bool cli_has(const struct cli *cli, enum cli_option option)
{
    return cli->options[option].text != NULL;
}

/* A number with an optional suffix k, m, g or t (powers of 1024): whether text
 * is one. */
bool cli_parse_size(const char *text, uint64_t *ret);

/* ---- The disk: notafs_disk.c ---------------------------------------- */

enum cli_access { CLI_READ, CLI_WRITE };

/* Open the device that --disk names, with pages of that size, and lock it. */
int cli_device_open(struct cli *cli, uint32_t page_size,
                    enum cli_access access);

/* Open the device with the page size that its header tells. */
int cli_probe(struct cli *cli, enum cli_access access);

/* The same and mount, as the options say. */
int cli_open(struct cli *cli, enum cli_access access);

/* Mount the device that is open: 0 or a negative enum nf_err. */
int cli_mount(struct cli *cli, uint64_t generation, uint32_t flags);

/* Unmount and close, whatever is open. */
void cli_close(struct cli *cli);

/* Commit, or fail with a message. */
int cli_commit(struct cli *cli);

/* Catch SIGINT, SIGTERM and SIGHUP: the first one asks the verb to stop, the
 * second one kills. Done when a disk is opened for writing; for those that only
 * read, to be killed is the best that can happen, unless they leave files. */
void cli_signals_catch(void);
bool cli_interrupted(void);

/* Abort the transaction after cli_interrupted, say so: the exit status. */
int cli_stop(struct cli *cli);

/* Memory, or the end of the program. */
void *cli_alloc(size_t len);
void *cli_realloc(void *p, size_t len);

/* ---- Messages: notafs_print.c --------------------------------------- */

/* Why something failed, where, and what to do next. subject is a path or the
 * like, NULL for none. */
int cli_fail(struct cli *cli, int err, const char *subject);
int cli_fail_path(struct cli *cli, int err, struct nf_path path);
int cli_fail_errno(struct cli *cli, const char *subject);
int cli_fail_text(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int cli_fail_usage(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Something that the user should know and that is no failure. */
void cli_warn(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A thing that is not copied, and why. */
void cli_left_out(struct cli *cli, struct nf_path path, const char *why);

enum cli_style { CLI_PLAIN, CLI_DIR, CLI_GOOD, CLI_WARN, CLI_BAD, CLI_DIM };

/* Whether escape codes belong on that stream. */
bool cli_colours(FILE *out);
/* The code that starts a style, or "". */
const char *cli_style(FILE *out, enum cli_style style);

/* Bytes with the escapes of the OCaml program: \n, \", \ddd. */
void cli_print_escaped(FILE *out, struct nf_path bytes);
/* The same in quotes. */
void cli_print_quoted(FILE *out, const char *text);
/* Bytes as they are, but for control characters. */
void cli_print_name(FILE *out, struct nf_path bytes);
/* Percent-encoded as in dumps and scripts; '/' stays. */
void cli_print_percent(FILE *out, struct nf_path bytes);

#define CLI_TIME_LEN 64
/* Like "2023-11-14 22:13:20 -00:00". */
const char *cli_time(char buf[CLI_TIME_LEN], struct nf_time t);
#define CLI_SIZE_LEN 32
/* Like "12.3 MiB". */
const char *cli_size(char buf[CLI_SIZE_LEN], uint64_t bytes);

/* Name of a checksum as headers and dumps have it. */
const char *cli_checksum_name(enum nf_checksum checksum);
const char *cli_profile_name(enum nf_profile profile);
const char *cli_kind_name(enum nf_page_kind kind);

/* One line on stderr that is written over, if that is a terminal. What else is
 * printed meanwhile clears it first; messages do so themselves. */
void cli_progress_start(struct cli *cli);
void cli_progress(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cli_progress_clear(const struct cli *cli);
void cli_progress_end(struct cli *cli);
uint64_t cli_clock_ns(void);

/* Print value on stdout and release it. */
int cli_print_json(struct cli *cli, json_t *value);
/* Member key: text where the bytes are UTF-8, else key_percent, encoded. */
void cli_json_bytes(json_t *object, const char *key, struct nf_path bytes);
void cli_json_stat(json_t *object, const struct nf_stat *stat);
json_t *cli_json_disk(const struct nf_disk *disk);

/* ---- Digests: notafs_sha256.c --------------------------------------- */

#define CLI_SHA256_LEN 65
/* SHA-256, in hexadecimal digits, of a file; of up to len bytes at off. */
NF_MUST_USE int cli_sha256(struct nf_file *file, char ret[CLI_SHA256_LEN]);
NF_MUST_USE int cli_sha256_range(struct nf_file *file, uint64_t off,
                                 uint64_t len, uint64_t *ret_len,
                                 char ret[CLI_SHA256_LEN]);

/* ---- Walking a tree: notafs_walk.c ---------------------------------- */

enum cli_event {
    CLI_FILE,
    CLI_ENTER, /* a directory, before its entries */
    CLI_LEAVE, /* the same one, after them */
};

struct cli_item {
    enum cli_event event;
    struct nf_path path; /* starts with a slash, terminated; until the next
                            call */
    struct nf_path name; /* its last segment */
    struct nf_stat stat;
    size_t depth; /* 0: directly in the directory that was opened */
    bool last;    /* no entry follows in this directory */
};

struct cli_walk;

/* Walk all below a directory, in order of names, parents first. */
NF_MUST_USE int cli_walk_open(struct nf *nf, struct nf_path path,
                              struct cli_walk **ret);
/* 1, or 0 at the end. After an error the path is where it happened. */
NF_MUST_USE int cli_walk_next(struct cli_walk *walk, struct cli_item *ret);
/* Leave out what is below the directory that was given last; it is not left
 * either. */
void cli_walk_skip(struct cli_walk *walk);
struct nf_path cli_walk_path(const struct cli_walk *walk);
void cli_walk_close(struct cli_walk *walk);

/* ---- Copying: notafs_copy.c ----------------------------------------- */

/* A buffer for copies, and how the last one failed: an interrupt comes as
 * NF_ECANCELED, an error of the host as NF_EIO with host_failed and errno. */
struct cli_copy {
    uint8_t *buf;                            /* CLI_CHUNK bytes */
    void (*step)(void *ctx, uint64_t bytes); /* so many more done; or NULL */
    void *ctx;
    bool host_failed;
};
void cli_copy_init(struct cli_copy *copy);
void cli_copy_deinit(struct cli_copy *copy);

/* All of fd into an empty file, holes as holes. */
NF_MUST_USE int cli_copy_in(struct cli_copy *copy, int fd,
                            struct nf_file *file);
/* All of a file to fd, one byte after the other. */
NF_MUST_USE int cli_copy_stream(struct cli_copy *copy, struct nf_file *file,
                                int fd);
/* All of a file into fd; if that is a regular file it is replaced, holes as
 * holes. */
NF_MUST_USE int cli_copy_out(struct cli_copy *copy, struct nf_file *file,
                             int fd);
/* All of a file into an empty file. */
NF_MUST_USE int cli_copy_across(struct cli_copy *copy, struct nf_file *from,
                                struct nf_file *to);
/* What to tell after one of them failed: the status. */
int cli_copy_fail(struct cli *cli, const struct cli_copy *copy, int err,
                  struct nf_path path, const char *host_path);
/* Whether a name of the disk can be that of a file of the host, and leads
 * nowhere else. */
bool cli_is_host_name(struct nf_path name);
/* All len bytes to fd: 0 or -1 with errno. */
NF_MUST_USE int cli_write_all(int fd, const void *buf, size_t len);

/* ---- Verbs ---------------------------------------------------------- */

/* --profile, --checksum and --page_size, for format and script. */
int cli_format_options(struct cli *cli, struct nf_format_options *ret,
                       uint32_t *ret_page_size);

int cli_verb_format(struct cli *cli);
int cli_verb_info(struct cli *cli);
int cli_verb_resize(struct cli *cli);
int cli_verb_touch(struct cli *cli);
int cli_verb_remove(struct cli *cli);
int cli_verb_rename(struct cli *cli);
int cli_verb_cat(struct cli *cli);
int cli_verb_copy(struct cli *cli);
int cli_verb_stats(struct cli *cli);
int cli_verb_set_compression(struct cli *cli);
int cli_verb_list(struct cli *cli);
int cli_verb_tree(struct cli *cli);
int cli_verb_dump(struct cli *cli);
int cli_verb_import(struct cli *cli);
int cli_verb_export(struct cli *cli);
int cli_verb_script(struct cli *cli);
int cli_verb_check(struct cli *cli);
int cli_verb_scrub(struct cli *cli);
int cli_verb_salvage(struct cli *cli);
int cli_verb_map(struct cli *cli);
int cli_verb_generations(struct cli *cli);
int cli_verb_mount(struct cli *cli);
int cli_verb_build(struct cli *cli);

#endif
