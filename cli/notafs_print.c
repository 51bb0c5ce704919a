/* SPDX-License-Identifier: ISC */
/*
 * Everything that is said to the user, in one voice: errors with what, where
 * and what to do next; names of files, which may hold any byte; times and
 * sizes; progress; JSON. Errors go to standard error, and escape codes only to
 * terminals.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/notafs_cli.h"

/* ---- Styles --------------------------------------------------------- */

bool cli_colours(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) == 1 && getenv("NO_COLOR") == NULL &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

const char *cli_style(FILE *out, enum cli_style style)
{
    if (!cli_colours(out)) {
        return "";
    }
    switch (style) {
    case CLI_PLAIN:
        return "\033[0m";
    case CLI_DIR:
        return "\033[1;34m";
    case CLI_GOOD:
        return "\033[32m";
    case CLI_WARN:
        return "\033[33m";
    case CLI_BAD:
        return "\033[1;31m";
    case CLI_DIM:
        return "\033[2m";
    }
    return "";
}

/* ---- Bytes ---------------------------------------------------------- */

void cli_print_escaped(FILE *out, struct nf_path bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        static const char plain[] = "\\\"\n\t\r\b";
        static const char letters[] = "\\\"ntrb";
        const char *found = c != 0 ? strchr(plain, c) : NULL;
        if (found != NULL) {
            fprintf(out, "\\%c", letters[found - plain]);
        } else if (c >= ' ' && c <= '~') {
            fputc(c, out);
        } else {
            fprintf(out, "\\%03u", c);
        }
    }
}

void cli_print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    cli_print_escaped(out, nf_path(text));
    fputc('"', out);
}

void cli_print_name(FILE *out, struct nf_path bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (c < ' ' || c == 0x7f) {
            fprintf(out, "\\%03u", c);
        } else {
            fputc(c, out);
        }
    }
}

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-' ||
           c == '/';
}

void cli_print_percent(FILE *out, struct nf_path bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (is_plain(c)) {
            fputc(c, out);
        } else {
            fprintf(out, "%%%02x", c);
        }
    }
}

/* ---- Errors --------------------------------------------------------- */

/* "notafs VERB: ", with the verb if there is one. */
static void start_message(const struct cli *cli, enum cli_style style)
{
    fflush(stdout);
    cli_progress_clear(cli);
    fprintf(stderr, "%snotafs%s%s:%s ", cli_style(stderr, style),
            cli->verb != NULL ? " " : "",
            cli->verb != NULL ? cli->verb->name : "",
            cli_style(stderr, CLI_PLAIN));
}

static int error_status(const struct cli *cli)
{
    return cli->verb != NULL ? cli->verb->error_status : CLI_EXIT_ERROR;
}

/* For those who were to look for damage, damage is not a failure. */
static int status_of(const struct cli *cli, int err)
{
    bool damage =
        nf_err_class(err) == NF_ECORRUPT && err != NF_EC_NOT_FORMATTED;
    int status = error_status(cli);
    return damage && status == CLI_EXIT_CHECK_ERROR ? CLI_EXIT_DAMAGE : status;
}

/* What the user can do about an error, or NULL. */
static const char *hint(int err)
{
    switch (err) {
    case NF_EC_NOT_FORMATTED:
        return "'notafs format' writes an empty disk";
    case NF_EC_HEADER:
        return "every copy of the header is damaged; restore page 0 from a "
               "backup";
    case NF_EC_VERSION:
    case NF_EC_CHECKSUM_KIND:
        return "a newer version of notafs made this disk";
    case NF_EC_DISK_SIZE:
        return "the image was cut; make it as long as it was (truncate -s)";
    case NF_EC_NO_GENERATION:
        return "nothing on this disk is whole enough to be mounted";
    case NF_EC_BAD_GEN:
        return "'notafs generations' lists those that are there";
    case NF_EC_CACHE_SMALL:
        return "--cache must hold at least 16 pages";
    case NF_EC_IMAGE_LOCKED:
        return "wait for the other program, or end it";
    case NF_ENOSPC:
        return "removing files frees space; 'notafs resize' makes a disk "
               "larger";
    case NF_EROFS:
        return "the image or device cannot be written; look at its permissions";
    default:
        if (nf_err_class(err) == NF_ECORRUPT) {
            return "'notafs check' lists all damage, 'notafs salvage' copies "
                   "out what can be read";
        }
        return NULL;
    }
}

/* What the handle knows about its last error. */
static void print_where(const struct nf_error_info *info)
{
    if (nf_err_class(info->err) == NF_ENOSPC && info->expected != NF_NOWHERE) {
        fprintf(stderr,
                "  %" PRIu64 " pages may be needed, %" PRIu64
                " can be taken now\n",
                info->expected, info->found);
        return;
    }
    fprintf(stderr, "  in %s",
            info->what != NULL && info->what[0] != '\0' ? info->what
                                                        : "the disk");
    if (info->page != NF_NOWHERE) {
        fprintf(stderr, ", page %" PRIu64, info->page);
    }
    if (info->offset != NF_NOWHERE) {
        fprintf(stderr, ", byte %" PRIu64, info->offset);
    }
    if (info->file[0] != '\0') {
        fprintf(stderr, ", file ");
        cli_print_name(stderr, nf_path(info->file));
    }
    const char *format = info->err == NF_EC_CHECKSUM
                             ? ": expected 0x%" PRIx64 ", found 0x%" PRIx64
                             : ": expected %" PRIu64 ", found %" PRIu64;
    if (info->expected != NF_NOWHERE) {
        fprintf(stderr, format, info->expected, info->found);
    }
    fputc('\n', stderr);
}

int cli_fail_path(struct cli *cli, int err, struct nf_path path)
{
    start_message(cli, CLI_BAD);
    if (path.len > 0) {
        cli_print_name(stderr, path);
        fprintf(stderr, ": ");
    }
    fprintf(stderr, "%s", nf_strerror(err));
    if (nf_err_class(err) == NF_EIO && cli->device != NULL &&
        bd_file_errno(cli->device) != 0) {
        fprintf(stderr, ": %s", strerror(bd_file_errno(cli->device)));
    }
    fputc('\n', stderr);
    const struct nf_error_info *info =
        cli->nf != NULL ? nf_last_error(cli->nf) : NULL;
    if (info != NULL && info->err == err &&
        (info->page != NF_NOWHERE || info->expected != NF_NOWHERE)) {
        print_where(info);
    }
    if (hint(err) != NULL) {
        fprintf(stderr, "  %s%s%s\n", cli_style(stderr, CLI_DIM), hint(err),
                cli_style(stderr, CLI_PLAIN));
    }
    return status_of(cli, err);
}

int cli_fail(struct cli *cli, int err, const char *subject)
{
    return cli_fail_path(cli, err, nf_path(subject != NULL ? subject : ""));
}

int cli_fail_errno(struct cli *cli, const char *subject)
{
    const char *text = strerror(errno);
    start_message(cli, CLI_BAD);
    cli_print_name(stderr, nf_path(subject));
    fprintf(stderr, ": %s\n", text);
    return error_status(cli);
}

int cli_fail_text(struct cli *cli, const char *format, ...)
{
    va_list args;
    start_message(cli, CLI_BAD);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return error_status(cli);
}

int cli_fail_usage(struct cli *cli, const char *format, ...)
{
    va_list args;
    start_message(cli, CLI_BAD);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  'notafs%s%s --help' shows the usage\n",
            cli->verb != NULL ? " " : "",
            cli->verb != NULL ? cli->verb->name : "");
    return cli->verb != NULL ? cli->verb->usage_status : CLI_EXIT_USAGE;
}

void cli_warn(struct cli *cli, const char *format, ...)
{
    va_list args;
    start_message(cli, CLI_WARN);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void cli_left_out(struct cli *cli, struct nf_path path, const char *why)
{
    start_message(cli, CLI_WARN);
    fprintf(stderr, "left out: ");
    cli_print_name(stderr, path);
    fprintf(stderr, " (%s)\n", why);
}

/* ---- Numbers and times ---------------------------------------------- */

const char *cli_time(char buf[CLI_TIME_LEN], struct nf_time t)
{
    time_t sec = (time_t)t.sec;
    struct tm tm;
    if (gmtime_r(&sec, &tm) == NULL ||
        strftime(buf, CLI_TIME_LEN, "%Y-%m-%d %H:%M:%S -00:00", &tm) == 0) {
        snprintf(buf, CLI_TIME_LEN, "@%" PRId64, t.sec);
    }
    return buf;
}

const char *cli_size(char buf[CLI_SIZE_LEN], uint64_t bytes)
{
    static const char *const units[] = {"B",   "KiB", "MiB", "GiB",
                                        "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(buf, CLI_SIZE_LEN, unit == 0 ? "%.0f %s" : "%.1f %s", value,
             units[unit]);
    return buf;
}

const char *cli_checksum_name(enum nf_checksum checksum)
{
    switch (checksum) {
    case NF_CHECKSUM_XXH3:
        return "XXH3-64";
    case NF_CHECKSUM_ADLER32:
        return "ADLER-32";
    case NF_CHECKSUM_NONE:
        return "NO-CHECK";
    case NF_CHECKSUM_DEFAULT:
        break;
    }
    return "default";
}

const char *cli_profile_name(enum nf_profile profile)
{
    return profile == NF_PROFILE_MIRAGE ? "mirage" : "native";
}

const char *cli_kind_name(enum nf_page_kind kind)
{
    switch (kind) {
    case NF_PAGE_UNKNOWN:
        return "unknown";
    case NF_PAGE_SYSTEM:
        return "system";
    case NF_PAGE_TABLE:
        return "table";
    case NF_PAGE_INNER:
        return "inner";
    case NF_PAGE_DATA:
        return "data";
    case NF_PAGE_QUEUE:
        return "queue";
    case NF_PAGE_FREE:
        return "free";
    case NF_PAGE_UNUSED:
        return "unused";
    }
    return "unknown";
}

/* ---- Progress ------------------------------------------------------- */

uint64_t cli_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cli_progress_start(struct cli *cli)
{
    cli->progress = isatty(STDERR_FILENO) == 1;
    cli->progress_ns = cli_clock_ns() + 500000000u;
}

void cli_progress(struct cli *cli, const char *format, ...)
{
    if (!cli->progress || cli_clock_ns() < cli->progress_ns) {
        return;
    }
    cli->progress_ns = cli_clock_ns() + 200000000u;
    va_list args;
    cli_progress_clear(cli);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}

void cli_progress_clear(const struct cli *cli)
{
    if (cli->progress) {
        fputs("\r\033[K", stderr);
    }
}

void cli_progress_end(struct cli *cli)
{
    cli_progress_clear(cli);
    cli->progress = false;
}

/* ---- JSON ----------------------------------------------------------- */

int cli_print_json(struct cli *cli, json_t *value)
{
    int res = json_dumpf(value, stdout, JSON_INDENT(2));
    json_decref(value);
    fputc('\n', stdout);
    return res == 0 ? 0 : cli_fail_text(cli, "cannot print JSON");
}

void cli_json_bytes(json_t *object, const char *key, struct nf_path bytes)
{
    json_t *text = memchr(bytes.p, 0, bytes.len) == NULL
                       ? json_stringn(bytes.p, bytes.len)
                       : NULL;
    if (text != NULL) {
        json_object_set_new(object, key, text);
        return;
    }
    char *encoded = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&encoded, &len);
    if (out == NULL) {
        abort();
    }
    cli_print_percent(out, bytes);
    fclose(out);
    char name[64];
    snprintf(name, sizeof(name), "%s_percent", key);
    json_object_set_new(object, name, json_string(encoded));
    free(encoded);
}

void cli_json_stat(json_t *object, const struct nf_stat *stat)
{
    bool is_file = stat->type == NF_TYPE_FILE;
    json_object_set_new(object, "type", json_string(is_file ? "file" : "dir"));
    json_object_set_new(object, "mtime", json_integer(stat->mtime.sec));
    json_object_set_new(object, "mtime_nsec", json_integer(stat->mtime.nsec));
    if (is_file) {
        json_object_set_new(object, "size",
                            json_integer((json_int_t)stat->size));
        json_object_set_new(object, "compression",
                            json_string(stat->compression == NF_COMPRESSION_LZ4
                                            ? "lz4"
                                            : "none"));
    }
}

json_t *cli_json_disk(const struct nf_disk *disk)
{
    char uid[32];
    snprintf(uid, sizeof(uid), "%016" PRIx64, disk->uid);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:b, s:b}", "profile",
                     cli_profile_name(disk->profile), "checksum",
                     cli_checksum_name(disk->checksum), "checksum_bytes",
                     (json_int_t)disk->checksum_len, "page_size",
                     (json_int_t)disk->page_size, "page_count",
                     (json_int_t)disk->page_count, "uid", uid, "header_damaged",
                     (int)disk->header_damaged, "writable",
                     (int)(disk->write_features == 0));
}
