/* SPDX-License-Identifier: ISC */
/*
 * BLAKE2b beside libb2. For each message size a batch of messages is hashed by
 * every kernel that the processor has, one round after the other (all kernels
 * in each round, so that a busy machine slows all alike), by processor time.
 * Digests are 32 bytes; all kernels must agree with libb2.
 */
#include <blake2.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/options.h"
#include "bench/workloads.h"
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
        bench_fail("%s", what);
    }
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

static void report(const struct batch *b, enum runner runner, double *ns,
                   const double *libb2_ns, size_t n_rounds)
{
    static double ratio[MAX_ROUNDS];
    json_t *record = bench_record("hash", runner_names[runner]);

    for (size_t i = 0; i < n_rounds; i++) {
        ratio[i] = libb2_ns[i] / ns[i];
    }
    bench_count(record, "message_len", b->message_len);
    bench_count(record, "rounds", n_rounds);
    bench_add_spread(record, "ns", ns, n_rounds);
    bench_number(record, "gb_per_s",
                 (double)b->message_len / bench_spread(ns, n_rounds).median);
    bench_add_spread(record, "times_libb2", ratio, n_rounds);
    bench_emit(record);
}

static void measure(const struct batch *b, enum runner n_runners,
                    size_t n_rounds)
{
    static double ns[N_RUNNERS][MAX_ROUNDS];
    uint8_t *want = malloc(b->n * DIGEST_LEN);

    must(want != NULL, "no memory");
    for (size_t round = 0; round < n_rounds; round++) {
        for (enum runner runner = 0; runner < n_runners; runner++) {
            double begin = bench_cpu();

            run(b, runner);
            ns[runner][round] = (bench_cpu() - begin) * 1e9 / (double)b->n;
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

int bench_hash(int argc, char **argv)
{
    uint64_t n_rounds = 31;
    const struct bench_option options[] = {
        {"rounds", BENCH_NUMBER, &n_rounds, "all kernels in each"},
    };
    enum runner n_runners = PLAIN + (enum runner)pk_cpu_detect() + 1;
    uint8_t *bytes = malloc(batch_len);

    bench_options("hash", options, BENCH_N(options), argc, argv);
    must(n_rounds >= 1 && n_rounds <= MAX_ROUNDS, "rounds are 1 to 999");
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
