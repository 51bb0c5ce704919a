/* SPDX-License-Identifier: ISC */
#include "bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"

enum { USAGE = 2 };

static void help(FILE *out, const char *workload,
                 const struct bench_option *options, size_t n)
{
    fprintf(out, "usage: notafs-bench %s [OPTION]...\n", workload);
    for (size_t i = 0; i < n; i++) {
        const struct bench_option *o = &options[i];
        char name[64];

        snprintf(name, sizeof(name), "--%s%s", o->name,
                 o->kind == BENCH_NUMBER ? " N"
                 : o->kind == BENCH_TEXT ? " TEXT"
                                         : "");
        fprintf(out, "  %-18s %s", name, o->help);
        if (o->kind == BENCH_NUMBER) {
            fprintf(out, " (%llu)",
                    (unsigned long long)*(const uint64_t *)o->ret);
        } else if (o->kind == BENCH_TEXT &&
                   *(const char *const *)o->ret != NULL) {
            fprintf(out, " (%s)", *(const char *const *)o->ret);
        }
        fputc('\n', out);
    }
    fputs("  --json             print JSON lines, not text\n", out);
}

static void refuse(const char *workload, const char *what, const char *word)
{
    fprintf(stderr, "notafs-bench %s: %s: %s\n", workload, what, word);
    exit(USAGE);
}

static uint64_t parse_number(const char *workload, const char *text)
{
    static const char suffixes[] = "kmg";
    char *end;
    const char *suffix;
    unsigned long long number;
    unsigned shift = 0;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (end == text || *text == '-' || errno != 0) {
        refuse(workload, "not a number", text);
    }
    suffix = *end == '\0' ? NULL : strchr(suffixes, *end | 32);
    if (suffix != NULL) {
        shift = 10u * (unsigned)(suffix - suffixes + 1);
        end++;
    }
    if (*end != '\0' || number > UINT64_MAX >> shift) {
        refuse(workload, "not a number", text);
    }
    return number << shift;
}

static const struct bench_option *find(const struct bench_option *options,
                                       size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (strncmp(word, "--", 2) == 0 &&
            strcmp(word + 2, options[i].name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

void bench_options(const char *workload, const struct bench_option *options,
                   size_t n, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct bench_option *o = find(options, n, argv[i]);

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help(stdout, workload, options, n);
            exit(0);
        }
        if (strcmp(argv[i], "--json") == 0) {
            bench_json(true);
            continue;
        }
        if (o == NULL) {
            refuse(workload, "unknown option", argv[i]);
        } else if (o->kind == BENCH_FLAG) {
            *(bool *)o->ret = true;
        } else if (++i == argc) {
            refuse(workload, "a value is missing behind", argv[i - 1]);
        } else if (o->kind == BENCH_NUMBER) {
            *(uint64_t *)o->ret = parse_number(workload, argv[i]);
        } else {
            *(const char **)o->ret = argv[i];
        }
    }
}
