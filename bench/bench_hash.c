/* SPDX-License-Identifier: ISC */
/*
 * How fast BLAKE2b is, beside libb2: JSON lines on standard output.
 *
 *   bench_hash [ROUNDS]
 *
 * For each message size a batch of messages is hashed by every kernel that the
 * processor has, one round after the other (all kernels in each round, so that
 * a busy machine slows all alike). Printed per kernel: the median and the
 * quartiles of nanoseconds per message, and the median of the ratios to libb2
 * in the same round. Digests are 32 bytes; all kernels must agree with libb2.
 */
#include <blake2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pack/hash/hash.h"

enum { DIGEST_LEN = 32, MAX_ROUNDS = 999 };

/* Bytes hashed per kernel and round: a few milliseconds. */
static const size_t batch_len = 2 << 20;
static const size_t sizes[] = {64, 100, 256, 1024, 4096, 16384, 65536};

enum runner { LIBB2, ONE, PLAIN, AVX2, AVX512, N_RUNNERS };
static const char *const runner_names[N_RUNNERS] = {
    "libb2", "one at a time", "many, plain", "many, avx2", "many, avx512"};

struct batch {
    size_t message_len;
    size_t n;
    uint8_t *bytes;
    uint8_t *digests;
    struct pk_hash_job *jobs;
};

static void must(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "bench_hash: %s\n", what);
        exit(1);
    }
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void run(const struct batch *b, enum runner runner)
{
    const enum pk_cpu level = runner == AVX512 ? PK_CPU_AVX512
                              : runner == AVX2 ? PK_CPU_AVX2
                                               : PK_CPU_PLAIN;
    struct pk_hasher hasher;

    must(pk_hasher_init(&hasher, NULL, "blake2b", DIGEST_LEN, level) == 0,
         "no BLAKE2b");
    if (runner >= PLAIN) {
        must(pk_hash_many(&hasher, b->jobs, b->n) == 0, "pk_hash_many");
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct pk_slice *message = &b->jobs[i].parts[0];

        if (runner == LIBB2) {
            must(blake2b(b->jobs[i].digest, message->p, NULL, DIGEST_LEN,
                         message->len, 0) == 0,
                 "libb2");
        } else {
            must(pk_hash(&hasher, message, 1, b->jobs[i].digest) == 0,
                 "pk_hash");
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Quantile q of n numbers in order. */
static double quantile(const double *sorted, size_t n, double q)
{
    return sorted[(size_t)((double)(n - 1) * q + 0.5)];
}

static void report(const struct batch *b, enum runner runner, double *ns,
                   const double *libb2_ns, size_t n_rounds)
{
    static double ratio[MAX_ROUNDS];
    double median;

    for (size_t i = 0; i < n_rounds; i++) {
        ratio[i] = libb2_ns[i] / ns[i];
    }
    qsort(ratio, n_rounds, sizeof(*ratio), by_value);
    qsort(ns, n_rounds, sizeof(*ns), by_value);
    median = quantile(ns, n_rounds, 0.5);
    printf("{\"bench\": \"hash\", \"message_len\": %zu, \"runner\": \"%s\", "
           "\"ns\": %.1f, \"ns_q1\": %.1f, \"ns_q3\": %.1f, "
           "\"gb_per_s\": %.2f, \"times_libb2\": %.2f}\n",
           b->message_len, runner_names[runner], median,
           quantile(ns, n_rounds, 0.25), quantile(ns, n_rounds, 0.75),
           (double)b->message_len / median, quantile(ratio, n_rounds, 0.5));
}

static void measure(const struct batch *b, enum runner n_runners,
                    size_t n_rounds)
{
    static double ns[N_RUNNERS][MAX_ROUNDS];
    uint8_t *want = malloc(b->n * DIGEST_LEN);

    must(want != NULL, "no memory");
    for (size_t round = 0; round < n_rounds; round++) {
        for (enum runner runner = 0; runner < n_runners; runner++) {
            double begin = now_ns();

            run(b, runner);
            ns[runner][round] = (now_ns() - begin) / (double)b->n;
            if (runner == LIBB2) {
                memcpy(want, b->digests, b->n * DIGEST_LEN);
            }
            must(memcmp(want, b->digests, b->n * DIGEST_LEN) == 0,
                 "digests differ from libb2's");
        }
    }
    for (enum runner runner = n_runners; runner-- > 0;) {
        report(b, runner, ns[runner], ns[LIBB2], n_rounds);
    }
    free(want);
}

int main(int argc, char **argv)
{
    long n_rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 31;
    enum runner n_runners = PLAIN + (enum runner)pk_cpu_detect() + 1;
    uint8_t *bytes = malloc(batch_len);

    must(n_rounds >= 1 && n_rounds <= MAX_ROUNDS, "ROUNDS is 1 to 999");
    must(bytes != NULL, "no memory");
    for (size_t i = 0; i < batch_len; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        struct batch b = {
            .message_len = sizes[s], .n = batch_len / sizes[s], .bytes = bytes};

        b.digests = malloc(b.n * DIGEST_LEN);
        b.jobs = calloc(b.n, sizeof(*b.jobs));
        must(b.digests != NULL && b.jobs != NULL, "no memory");
        for (size_t i = 0; i < b.n; i++) {
            b.jobs[i].parts[0] =
                (struct pk_slice){bytes + i * sizes[s], sizes[s]};
            b.jobs[i].digest = b.digests + i * DIGEST_LEN;
        }
        measure(&b, n_runners, (size_t)n_rounds);
        free(b.jobs);
        free(b.digests);
    }
    free(bytes);
    return 0;
}
