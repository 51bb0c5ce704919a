/* SPDX-License-Identifier: ISC */
/* What all workloads share: clocks, records, scratch folders, statistics. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Print a message and end the program: a run that went wrong has no figures. */
void bench_fail(const char *format, ...) BENCH_PRINTF(1, 2)
    __attribute__((noreturn));

/* End the program if err, a negative enum nf_err, is not 0. */
void bench_must(int err, const char *what);

/* ------------------------------------------------------------------ clocks */

/* Seconds: of this process in user mode and in the kernel, and of the wall. */
struct bench_time {
    double user;
    double system;
    double wall;
};

struct bench_time bench_now(void);
struct bench_time bench_since(struct bench_time begin);

/* Seconds of the processor so far: for what waits for nothing else. */
double bench_cpu(void);

/* The highest resident set of this process so far, in MB (10^6 bytes). */
double bench_max_rss_mb(void);

/* -------------------------------------------------------------- statistics */

/* Of n > 0 numbers, which are put in order. */
struct bench_spread {
    double median;
    double q1;
    double q3;
    double min;
    double max;
};
struct bench_spread bench_spread(double *values, size_t n);

/* Add name, name_q1 and name_q3 to a record. */
void bench_add_spread(json_t *record, const char *name, double *values,
                      size_t n);

/* Add name_p50_us, _p90_us, _p99_us and _max_us of n > 0 times, which are put
 * in order. */
void bench_add_latency(json_t *record, const char *name, double *seconds,
                       size_t n);

/* ----------------------------------------------------------------- records */

/* As JSON lines, with machine, commit, date and command in each; otherwise as
 * text. */
void bench_json(bool on);

/* What was asked for, by the arguments of main. */
void bench_command(int argc, char **argv);

/* A new record of a figure that a workload gives. */
json_t *bench_record(const char *workload, const char *figure);

/* Print a record and release it. A field "value" has no name in text. */
void bench_emit(json_t *record);

/* Set fields of a record. */
void bench_number(json_t *record, const char *name, double value);
void bench_count(json_t *record, const char *name, uint64_t value);
void bench_text(json_t *record, const char *name, const char *value);

/* A figure that is not there, and why: a record, and a line on standard error
 * that nobody overlooks. */
void bench_skip(const char *workload, const char *what, const char *why);

/* Set the fields of a span in which n of what was done: n under the name what,
 * its seconds, and how many a second by the wall and by the processor. */
void bench_rate(json_t *record, const char *what, double n,
                struct bench_time span);

/* ----------------------------------------------------------------- folders */

/* A new folder below parent, or the default for temporary files if that is
 * NULL; removed, with all in it, by bench_scratch_remove or at exit. */
const char *bench_scratch(const char *parent);
void bench_scratch_remove(void);

/* Run fn before that, also when a signal ends the program: so it may do only
 * what a handler may. One function; NULL: none. */
void bench_before_remove(void (*fn)(void));

/* path "FOLDER/NAME", in memory of its own. */
char *bench_path(const char *folder, const char *name);

/* Bytes of all files in and below a folder. */
uint64_t bench_folder_len(const char *folder);

/* Ask the system to forget what it caches of a folder's files, or one file;
 * what is not written yet is written before. */
void bench_drop_cache(const char *path);

#endif
