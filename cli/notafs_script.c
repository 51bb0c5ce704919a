/* SPDX-License-Identifier: ISC */
/*
 * The verb script: commands from standard input, one a line, answers on
 * standard output. What a command writes comes from a generator (host/prng.h),
 * and time from a clock of its own that stands where `clock` put it and goes on
 * one second whenever it is looked at, so that a script gives the same disk
 * each time, and the same as the OCaml program.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notafs_cli.h"
#include "host/prng.h"

#define BASE_LEN  ((uint64_t)65536) /* data repeats after that much */
#define MAX_WORDS 5

struct script {
    struct cli *cli;
    struct nf_format_options options;
    uint32_t page_size; /* for format */
    int64_t clock;
    struct nf_path words[MAX_WORDS]; /* paths are decoded in place */
    size_t n_words;
    uint8_t *buf; /* CLI_CHUNK bytes: a multiple of BASE_LEN */
};

static struct nf_time tick(void *ctx)
{
    struct script *script = ctx;
    struct nf_time time = {++script->clock, 0};
    return time;
}

/* ---- Words ---------------------------------------------------------- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, c | 0x20) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

static size_t decode(char *p, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '%' && i + 2 < len && hex_digit(p[i + 1]) >= 0 &&
            hex_digit(p[i + 2]) >= 0) {
            p[to++] = (char)(hex_digit(p[i + 1]) * 16 + hex_digit(p[i + 2]));
            i += 2;
        } else {
            p[to++] = p[i];
        }
    }
    return to;
}

static bool split(struct script *script, char *line)
{
    script->n_words = 0;
    for (char *p = line; *p != '\0';) {
        size_t len = strcspn(p, " \n");
        if (len > 0 && script->n_words == MAX_WORDS) {
            return false;
        }
        if (len > 0) {
            struct nf_path word = {p, len};
            script->words[script->n_words++] = word;
        }
        p += len + (p[len] != '\0');
    }
    for (size_t i = 0; i < script->n_words; i++) {
        struct nf_path *word = &script->words[i];
        word->len = decode(line + (word->p - line), word->len);
    }
    return true;
}

static bool word_is(const struct script *script, const char *text)
{
    const struct nf_path *word = &script->words[0];
    return word->len == strlen(text) && memcmp(word->p, text, word->len) == 0;
}

/* Word i as a number. */
static bool number(const struct script *script, size_t i, uint64_t *ret)
{
    const struct nf_path *word = &script->words[i];
    uint64_t value = 0;
    for (size_t k = 0; k < word->len; k++) {
        char c = word->p[k];
        if (c < '0' || c > '9' || value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = 10 * value + (uint64_t)(c - '0');
    }
    *ret = value;
    return word->len > 0;
}

/* ---- Commands: 0, or a negative enum nf_err ------------------------- */

static int mount(struct script *script)
{
    struct cli *cli = script->cli;
    struct bd *bd = bd_file_bd(cli->device);
    uint32_t flags = 0;
    flags |= cli_has(cli, CLI_VERIFY) ? NF_MOUNT_VERIFY : 0;
    flags |= cli_has(cli, CLI_NO_VERIFY) ? NF_MOUNT_NO_VERIFY : 0;
    nf_unmount(cli->nf);
    cli->nf = NULL;
    int res = nf_probe(bd, &cli->env, &cli->disk);
    if (res == 0 && cli->disk.page_size != bd->geo.page_size) {
        res = bd_file_set_page_size(cli->device, cli->disk.page_size);
    }
    return res < 0 ? res : cli_mount(cli, 0, flags);
}

static int format(struct script *script)
{
    struct cli *cli = script->cli;
    nf_unmount(cli->nf);
    cli->nf = NULL;
    int res = bd_file_set_page_size(cli->device, script->page_size);
    if (res == 0) {
        res = nf_format(bd_file_bd(cli->device), &cli->env, &script->options);
    }
    return res < 0 ? res : mount(script);
}

/* Write len bytes of the seed's data: base[i mod BASE_LEN]. */
static int write_data(struct script *script, struct nf_file *file, uint64_t off,
                      uint64_t len, uint64_t seed)
{
    struct prng prng = prng_seed(seed);
    size_t base_len = (size_t)(len < BASE_LEN ? len : BASE_LEN);
    prng_bytes(&prng, base_len, script->buf);
    if (base_len == BASE_LEN) {
        for (size_t at = BASE_LEN; at < CLI_CHUNK; at += BASE_LEN) {
            memcpy(script->buf + at, script->buf, BASE_LEN);
        }
    }
    while (len > 0) {
        size_t part = (size_t)(len < CLI_CHUNK ? len : CLI_CHUNK);
        int res = nf_write(file, off, script->buf, part);
        if (res < 0) {
            return res;
        }
        off += part;
        len -= part;
    }
    return 0;
}

static int touch(struct script *script, uint64_t len, uint64_t seed)
{
    struct nf_file *file;
    int res = nf_open(script->cli->nf, script->words[1],
                      NF_OPEN_CREATE | NF_OPEN_TRUNCATE, &file);
    if (res == 0) {
        res = write_data(script, file, 0, len, seed);
        nf_close(file);
    }
    return res;
}

/* off NF_NOWHERE: at the end. */
static int write_at(struct script *script, uint64_t off, uint64_t len,
                    uint64_t seed)
{
    struct nf_file *file;
    struct nf_stat stat;
    int res = nf_open(script->cli->nf, script->words[1], 0, &file);
    if (res < 0) {
        return res;
    }
    if (off == NF_NOWHERE) {
        res = nf_fstat(file, &stat);
        off = res == 0 ? stat.size : 0;
    }
    if (res == 0) {
        res = write_data(script, file, off, len, seed);
    }
    nf_close(file);
    return res;
}

static int read_at(struct script *script, uint64_t off, uint64_t len)
{
    struct nf_file *file;
    char sum[CLI_SHA256_LEN];
    uint64_t got = 0;
    int res = nf_open(script->cli->nf, script->words[1], 0, &file);
    if (res < 0) {
        return res;
    }
    res = cli_sha256_range(file, off, len, &got, sum);
    nf_close(file);
    if (res == 0) {
        printf("read %" PRIu64 " %s\n", got, sum);
    }
    return res;
}

static int size(struct script *script)
{
    struct nf_stat stat;
    int res = nf_stat(script->cli->nf, script->words[1], &stat);
    if (res == 0 && stat.type != NF_TYPE_FILE) {
        return NF_EISDIR;
    }
    if (res == 0) {
        printf("size %" PRIu64 "\n", stat.size);
    }
    return res;
}

/* The commands that need a mounted disk. */
static int run_mounted(struct script *script, const uint64_t n[MAX_WORDS])
{
    struct nf *nf = script->cli->nf;
    const struct nf_path *words = script->words;
    if (word_is(script, "flush")) {
        return nf_sync(nf);
    }
    if (word_is(script, "remove")) {
        int res = nf_remove(nf, words[1], NF_REMOVE_RECURSIVE);
        return nf_err_class(res) == NF_ENOENT ? 0 : res;
    }
    if (word_is(script, "rename")) {
        return nf_rename(nf, words[1], words[2], 0);
    }
    if (word_is(script, "touch")) {
        return touch(script, n[2], n[3]);
    }
    if (word_is(script, "append")) {
        return write_at(script, NF_NOWHERE, n[2], n[3]);
    }
    if (word_is(script, "blit")) {
        return write_at(script, n[2], n[3], n[4]);
    }
    if (word_is(script, "read")) {
        return read_at(script, n[2], n[3]);
    }
    return size(script);
}

/* Shapes of the commands: n is a number, p a path. */
static const struct command {
    const char *name;
    const char *operands;
} commands[] = {
    {"clock", "n"},    {"format", ""},   {"reconnect", ""}, {"touch", "pnn"},
    {"append", "pnn"}, {"blit", "pnnn"}, {"remove", "p"},   {"rename", "pp"},
    {"flush", ""},     {"read", "pnn"},  {"size", "p"},
};

static const struct command *find_command(const struct script *script)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (word_is(script, commands[i].name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static int run_line(struct script *script)
{
    uint64_t n[MAX_WORDS] = {0};
    const struct command *command = find_command(script);
    if (command == NULL || strlen(command->operands) + 1 != script->n_words) {
        return NF_EINVAL;
    }
    for (size_t i = 1; i < script->n_words; i++) {
        if (command->operands[i - 1] == 'n' && !number(script, i, &n[i])) {
            return NF_EINVAL;
        }
    }
    if (word_is(script, "clock")) {
        script->clock = (int64_t)n[1];
        return 0;
    }
    if (word_is(script, "format")) {
        return format(script);
    }
    if (word_is(script, "reconnect") || script->cli->nf == NULL) {
        int res = mount(script);
        if (res < 0 || word_is(script, "reconnect")) {
            return res;
        }
    }
    return run_mounted(script, n);
}

/* ---- The verb ------------------------------------------------------- */

static int run_lines(struct script *script)
{
    char *line = NULL;
    size_t cap = 0;
    int status = 0;
    while (!cli_interrupted() && getline(&line, &cap, stdin) >= 0) {
        if (line[0] == '#' || line[strspn(line, " \n")] == '\0') {
            continue;
        }
        int res = split(script, line) ? run_line(script) : NF_EINVAL;
        if (res < 0) {
            printf("error %s\n", nf_strerror(res));
            status = CLI_EXIT_ERROR;
        }
        fflush(stdout);
    }
    free(line);
    return cli_interrupted() ? cli_stop(script->cli) : status;
}

int cli_verb_script(struct cli *cli)
{
    struct script script = {.cli = cli};
    int status = cli_format_options(cli, &script.options, &script.page_size);
    if (status == 0) {
        status = cli_device_open(cli, script.page_size, CLI_WRITE);
    }
    if (status != 0) {
        return status;
    }
    cli->env.ctx = &script; /* the libc environment has no use for it */
    cli->env.now = tick;
    script.buf = cli_alloc(CLI_CHUNK);
    status = run_lines(&script);
    /* Closed here: the clock lives on this stack. */
    cli_close(cli);
    free(script.buf);
    return status;
}
