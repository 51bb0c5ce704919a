/* SPDX-License-Identifier: ISC */
/* Long options of a workload, from one table for parsing and for --help. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bench_kind {
    BENCH_FLAG,   /* ret: bool */
    BENCH_NUMBER, /* ret: uint64_t; k, m, g stand for 2^10, 2^20, 2^30 */
    BENCH_TEXT,   /* ret: const char * */
};

struct bench_option {
    const char *name;
    enum bench_kind kind;
    void *ret; /* holds the default before */
    const char *help;
};

/* Parse; --json is every workload's. Wrong options end the program with 2,
 * --help with 0. */
void bench_options(const char *workload, const struct bench_option *options,
                   size_t n, int argc, char **argv);

#define BENCH_N(array) (sizeof(array) / sizeof(*(array)))

#endif
