/* SPDX-License-Identifier: ISC */
/*
 * Options: one table for parsing and for --help. A verb names those it takes
 * with a mask; all others are refused. Values are checked for their shape
 * here, for their meaning by the verbs.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notafs_cli.h"

enum kind { FLAG, TEXT, SIZE, NUMBER };

static const struct option_row {
    const char *name;
    char letter; /* 0: none */
    enum kind kind;
    const char *value; /* as --help shows it */
    const char *help;
} rows[CLI_N_OPTIONS] = {
    [CLI_DISK] = {"disk", 'd', TEXT, "DISK",
                  "image file or block device to work on"},
    [CLI_PAGE_SIZE] = {"page_size", 'p', SIZE, "BYTES",
                       "page size (default: 4096 for native, 512 for mirage)"},
    [CLI_PROFILE] = {"profile", 0, TEXT, "native|mirage",
                     "disk format; mirage is that of OCaml Notafs"},
    [CLI_CHECKSUM] = {"checksum", 0, TEXT, "NAME",
                      "XXH3-64 (native), ADLER-32 or NO-CHECK (mirage)"},
    [CLI_SIZE] = {"size", 0, SIZE, "SIZE", "make an image file of that size"},
    [CLI_GENERATION] = {"generation", 0, NUMBER, "N",
                        "look at generation N instead of the newest"},
    [CLI_COMMIT_EVERY] = {"commit-every", 0, SIZE, "SIZE",
                          "commit whenever that much was imported; without "
                          "it, once at the end"},
    [CLI_COMPRESS] = {"compress", 0, FLAG, NULL,
                      "store new files with LZ4 (native)"},
    [CLI_RATE] = {"rate", 0, SIZE, "SIZE", "read at most SIZE bytes a second"},
    [CLI_RESTORE] = {"restore", 0, NUMBER, "N",
                     "make what generation N holds the next generation"},
    [CLI_SVG] = {"svg", 0, TEXT, "FILE", "draw into an SVG file"},
    [CLI_JSON] = {"json", 0, FLAG, NULL, "print JSON"},
    [CLI_DIRECT] = {"direct", 0, FLAG, NULL,
                    "bypass the system's page cache (O_DIRECT)"},
    [CLI_CACHE_SIZE] = {"cache", 0, SIZE, "SIZE",
                        "memory for pages (default: 32m)"},
    [CLI_VERIFY] = {"verify", 0, FLAG, NULL,
                    "verify everything before starting"},
    [CLI_NO_VERIFY] = {"no-verify", 0, FLAG, NULL,
                       "do not, even where that is the default (mirage)"},
    [CLI_FOREGROUND] = {"foreground", 'f', FLAG, NULL,
                        "stay in the foreground"},
    [CLI_WITH] = {"options", 'o', TEXT, "LIST",
                  "ro, commit=SECONDS, ... as the manual lists them"},
    [CLI_FROM] = {"from", 0, TEXT, "DIRECTORY|TAR|-", "what goes in"},
    [CLI_OUT] = {"out", 0, TEXT, "FILE", "the image file to make"},
    [CLI_EXPECT_ROOT] = {"expect-root", 0, TEXT, "HASH",
                         "fail, and make nothing, if the root hash is another"},
    [CLI_HELP] = {"help", 'h', FLAG, NULL, "show this help"},
};

/* --page-size is what everyone types first. */
#define ALIAS "page-size"

bool cli_parse_size(const char *text, uint64_t *ret)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    static const char suffixes[] = "kmgt";
    unsigned shift = 0;
    if (*end != '\0') {
        const char *found = strchr(suffixes, *end | 0x20);
        if (found == NULL || end[1] != '\0') {
            return false;
        }
        shift = 10 * ((unsigned)(found - suffixes) + 1);
    }
    if (number > UINT64_MAX >> shift) {
        return false;
    }
    *ret = (uint64_t)number << shift;
    return true;
}

static int set_option(struct cli *cli, enum cli_option option, const char *text)
{
    const struct option_row *row = &rows[option];
    struct cli_value *value = &cli->options[option];
    if (option == CLI_WITH && value->text != NULL) {
        size_t len = strlen(value->text) + strlen(text) + 2;
        char *both = cli_alloc(len); /* until the program ends */
        snprintf(both, len, "%s,%s", value->text, text);
        text = both;
    }
    value->text = text == NULL ? "" : text;
    bool fine = true;
    if (row->kind == SIZE) {
        fine = cli_parse_size(text, &value->number);
    } else if (row->kind == NUMBER) {
        fine = text[strspn(text, "0123456789")] == '\0' &&
               cli_parse_size(text, &value->number) && value->number > 0;
    }
    if (!fine) {
        return cli_fail_usage(cli, "--%s: '%s' is not a %s", row->name, text,
                              row->kind == SIZE ? "size" : "number");
    }
    return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
    uint32_t mask = cli->verb->options | CLI_BIT(CLI_HELP);
    struct option longs[CLI_N_OPTIONS + 2];
    char shorts[2 * CLI_N_OPTIONS + 2];
    size_t n_longs = 0;
    size_t n_shorts = 0;
    memset(longs, 0, sizeof(longs));
    shorts[n_shorts++] = ':';
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if ((mask & CLI_BIT(i)) == 0) {
            continue;
        }
        bool has_value = rows[i].kind != FLAG;
        struct option row = {rows[i].name, has_value, NULL, 256 + i};
        longs[n_longs++] = row;
        if (i == CLI_PAGE_SIZE) {
            row.name = ALIAS;
            longs[n_longs++] = row;
        }
        if (rows[i].letter != 0) {
            shorts[n_shorts++] = rows[i].letter;
            if (has_value) {
                shorts[n_shorts++] = ':';
            }
        }
    }
    shorts[n_shorts] = '\0';
    optind = 1;
    opterr = 0;
    for (;;) {
        int c = getopt_long(argc, argv, shorts, longs, NULL);
        if (c == -1) {
            break;
        }
        if (c == ':') {
            return cli_fail_usage(cli, "option '%s' needs a value",
                                  argv[optind - 1]);
        }
        int option = c - 256;
        for (int i = 0; option < 0 && i < CLI_N_OPTIONS; i++) {
            if (rows[i].letter != 0 && rows[i].letter == c) {
                option = i;
            }
        }
        if (option < 0) {
            return cli_fail_usage(cli, "unknown option '%s'", argv[optind - 1]);
        }
        int status = set_option(cli, (enum cli_option)option, optarg);
        if (status != 0) {
            return status;
        }
    }
    cli->operands = argv + optind;
    cli->n_operands = argc - optind;
    return 0;
}

void cli_print_options(FILE *out, uint32_t options)
{
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        const struct option_row *row = &rows[i];
        if ((options & CLI_BIT(i)) == 0) {
            continue;
        }
        char left[64];
        snprintf(
            left, sizeof(left), "%c%c%c --%s%s%s", row->letter != 0 ? '-' : ' ',
            row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ',' : ' ',
            row->name, row->value != NULL ? "=" : "",
            row->value != NULL ? row->value : "");
        fprintf(out, "  %-28s %s\n", left, row->help);
    }
}
