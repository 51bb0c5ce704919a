/* SPDX-License-Identifier: ISC */
/*
 * Clocks, records, scratch folders. Machines are shared and busy, so a figure
 * carries the processor's seconds beside the wall's.
 */
#include "bench/harness.h"

#include <bench_version.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <notafs/platform.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_OPEN_DIRS = 32 };

void bench_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("notafs-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void bench_must(int err, const char *what)
{
    if (err != 0) {
        bench_fail("%s: %s", what, nf_strerror(err));
    }
}

/* ------------------------------------------------------------------ clocks */

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

struct bench_time bench_now(void)
{
    struct rusage usage;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    getrusage(RUSAGE_SELF, &usage);
    return (struct bench_time){seconds(usage.ru_utime), seconds(usage.ru_stime),
                               (double)t.tv_sec + (double)t.tv_nsec / 1e9};
}

struct bench_time bench_since(struct bench_time begin)
{
    struct bench_time now = bench_now();

    return (struct bench_time){now.user - begin.user, now.system - begin.system,
                               now.wall - begin.wall};
}

double bench_cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_max_rss_mb(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024 / 1e6;
}

/* -------------------------------------------------------------- statistics */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double q)
{
    double at = (double)(n - 1) * q;
    size_t i = (size_t)at;

    return i + 1 == n
               ? sorted[i]
               : sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

struct bench_spread bench_spread(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), by_value);
    return (struct bench_spread){
        quantile(values, n, 0.5), quantile(values, n, 0.25),
        quantile(values, n, 0.75), values[0], values[n - 1]};
}

void bench_add_spread(json_t *record, const char *name, double *values,
                      size_t n)
{
    struct bench_spread spread = bench_spread(values, n);
    char field[64];

    bench_number(record, name, spread.median);
    snprintf(field, sizeof(field), "%s_q1", name);
    bench_number(record, field, spread.q1);
    snprintf(field, sizeof(field), "%s_q3", name);
    bench_number(record, field, spread.q3);
}

void bench_add_latency(json_t *record, const char *name, double *seconds,
                       size_t n)
{
    static const struct {
        const char *name;
        double q;
    } marks[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};
    char field[64];

    qsort(seconds, n, sizeof(*seconds), by_value);
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        snprintf(field, sizeof(field), "%s_%s_us", name, marks[i].name);
        bench_number(record, field, quantile(seconds, n, marks[i].q) * 1e6);
    }
}

/* ----------------------------------------------------------------- records */

static bool json_lines;

void bench_json(bool on)
{
    json_lines = on;
}

static char command[1024];

void bench_command(int argc, char **argv)
{
    size_t len = 0;

    for (int i = 1; i < argc && len < sizeof(command); i++) {
        len += (size_t)snprintf(command + len, sizeof(command) - len, "%s%s",
                                i == 1 ? "" : " ", argv[i]);
    }
}

/* "AMD EPYC, 2 processors, Linux 6.1.0". */
static const char *machine(void)
{
    static char text[320];
    FILE *info = fopen("/proc/cpuinfo", "r");
    struct utsname name;
    char line[256];
    char model[128] = "unknown processor";

    while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
        if (sscanf(line, "model name : %127[^\n]", model) == 1) {
            break;
        }
    }
    if (info != NULL) {
        fclose(info);
    }
    uname(&name);
    snprintf(text, sizeof(text), "%s, %ld processors, %s %s", model,
             sysconf(_SC_NPROCESSORS_ONLN), name.sysname, name.release);
    return text;
}

static const char *now_text(void)
{
    static char text[32];
    time_t now = time(NULL);
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    return text;
}

json_t *bench_record(const char *workload, const char *figure)
{
    json_t *record = json_object();

    bench_text(record, "bench", workload);
    bench_text(record, "figure", figure);
    return record;
}

static void emit_text(const json_t *record)
{
    const char *name;
    json_t *value;

    fputs(json_string_value(json_object_get(record, "figure")), stdout);
    json_object_foreach((json_t *)record, name, value)
    {
        if (strcmp(name, "bench") == 0 || strcmp(name, "figure") == 0) {
            continue;
        }
        putchar(' ');
        if (strcmp(name, "value") != 0) {
            printf("%s=", name);
        }
        if (json_is_string(value)) {
            fputs(json_string_value(value), stdout);
        } else if (json_is_integer(value)) {
            printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        } else {
            double x = json_real_value(value);

            printf(x >= 1000 || x <= -1000 ? "%.0f" : "%.4g", x);
        }
    }
    putchar('\n');
}

void bench_emit(json_t *record)
{
    if (json_lines) {
        bench_text(record, "machine", machine());
        bench_text(record, "commit", BENCH_COMMIT);
        bench_text(record, "date", now_text());
        bench_text(record, "command", command);
        json_dumpf(record, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
    } else {
        emit_text(record);
    }
    fflush(stdout);
    json_decref(record);
}

static void set(json_t *record, const char *name, json_t *value)
{
    if (json_object_set_new(record, name, value) != 0) {
        bench_fail("no memory");
    }
}

void bench_number(json_t *record, const char *name, double value)
{
    set(record, name, json_real(value));
}

void bench_count(json_t *record, const char *name, uint64_t value)
{
    set(record, name, json_integer((json_int_t)value));
}

void bench_text(json_t *record, const char *name, const char *value)
{
    set(record, name, json_string(value));
}

void bench_skip(const char *workload, const char *what, const char *why)
{
    json_t *record = bench_record(workload, "skipped");

    bench_text(record, "what", what);
    bench_text(record, "why", why);
    bench_emit(record);
    fprintf(stderr, "notafs-bench %s: SKIPPED %s: %s\n", workload, what, why);
}

void bench_rate(json_t *record, const char *what, double n,
                struct bench_time span)
{
    double cpu = span.user + span.system;

    bench_number(record, what, n);
    bench_number(record, "cpu_s", cpu);
    bench_number(record, "user_s", span.user);
    bench_number(record, "wall_s", span.wall);
    bench_number(record, "per_s", n / (span.wall > 0 ? span.wall : 1e-9));
    bench_number(record, "per_cpu_s", n / (cpu > 0 ? cpu : 1e-6));
}

/* ----------------------------------------------------------------- folders */

static char *scratch;
static void (*before_remove)(void);

char *bench_path(const char *folder, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        bench_fail("no memory");
    }
    return path;
}

/* Ctrl-C leaves no gigabytes behind. All calls here are safe in a handler. */
static void on_signal(int number)
{
    pid_t pid;

    if (before_remove != NULL) {
        before_remove();
    }
    pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", "--", scratch, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
    signal(number, SIG_DFL);
    raise(number);
}

const char *bench_scratch(const char *parent)
{
    const char *tmp = getenv("TMPDIR");

    if (scratch == NULL) {
        scratch = bench_path(parent != NULL ? parent
                             : tmp != NULL  ? tmp
                                            : "/tmp",
                             "notafs-bench-XXXXXX");
        if (mkdtemp(scratch) == NULL) {
            bench_fail("%s: %s", scratch, strerror(errno));
        }
        atexit(bench_scratch_remove);
        signal(SIGHUP, on_signal);
        signal(SIGINT, on_signal);
        signal(SIGPIPE, on_signal); /* whoever reads the figures has ended */
        signal(SIGTERM, on_signal);
    }
    return scratch;
}

static int remove_one(const char *path, const struct stat *stat, int type,
                      struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    remove(path); /* what stays is seen by the next run of rm */
    return 0;
}

void bench_before_remove(void (*fn)(void))
{
    before_remove = fn;
}

void bench_scratch_remove(void)
{
    if (before_remove != NULL) {
        before_remove();
    }
    if (scratch != NULL) {
        nftw(scratch, remove_one, MAX_OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
        free(scratch);
        scratch = NULL;
    }
}

static uint64_t folder_len;

static int measure_one(const char *path, const struct stat *stat, int type,
                       struct FTW *ftw)
{
    (void)path;
    (void)ftw;
    folder_len += type == FTW_F ? (uint64_t)stat->st_size : 0;
    return 0;
}

uint64_t bench_folder_len(const char *folder)
{
    folder_len = 0;
    nftw(folder, measure_one, MAX_OPEN_DIRS, FTW_PHYS);
    return folder_len;
}

static int drop_one(const char *path, const struct stat *stat, int type,
                    struct FTW *ftw)
{
    int fd = type == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    (void)stat;
    (void)ftw;
    if (fd >= 0) {
        fdatasync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    return 0;
}

void bench_drop_cache(const char *path)
{
    nftw(path, drop_one, MAX_OPEN_DIRS, FTW_PHYS);
}
