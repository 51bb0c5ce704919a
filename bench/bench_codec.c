/* SPDX-License-Identifier: ISC */
/*
 * What the core does to pages and blocks beside hashing: XXH3 and ADLER-32 as
 * they are built into it, LZ4 through its hook, beside libxxhash and liblz4
 * called as they come. All in each round, by processor
 * time, as in the workload hash.
 */
#include <lz4.h>
#include <notafs/codec_lz4.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/harness.h"
#include "bench/options.h"
#include "bench/workloads.h"
#include "host/prng.h"
#include "notafs/nf_int.h"

enum { BATCH_LEN = 1 << 20, MAX_ROUNDS = 999 };
static const int sizes[] = {64, 256, 1024, 4096, 16384, 65536};

struct batch {
    const uint8_t *bytes;
    uint8_t *packed; /* each piece at twice its place */
    int *packed_len; /* of each piece */
    uint8_t *out;
    int len; /* of a piece */
    size_t n;
    uint64_t sum; /* so that nothing is left out */
};

static void xxh3_core(struct batch *b, size_t i)
{
    b->sum += nf_xxh3(b->bytes + i * (size_t)b->len, (size_t)b->len);
}

static void xxh3_library(struct batch *b, size_t i)
{
    b->sum += XXH3_64bits(b->bytes + i * (size_t)b->len, (size_t)b->len);
}

static void adler32_core(struct batch *b, size_t i)
{
    b->sum += nf_adler32(b->bytes + i * (size_t)b->len, (size_t)b->len);
}

static uint8_t *packed_at(const struct batch *b, size_t i)
{
    return b->packed + 2 * i * (size_t)b->len;
}

static void pack_core(struct batch *b, size_t i)
{
    const struct nf_codec *codec = nf_codec_lz4();

    b->packed_len[i] =
        codec->compress(codec->ctx, b->bytes + i * (size_t)b->len, b->len,
                        packed_at(b, i), 2 * b->len);
}

static void pack_library(struct batch *b, size_t i)
{
    b->packed_len[i] =
        LZ4_compress_default((const char *)b->bytes + i * (size_t)b->len,
                             (char *)packed_at(b, i), b->len, 2 * b->len);
}

static void unpack_core(struct batch *b, size_t i)
{
    const struct nf_codec *codec = nf_codec_lz4();

    b->sum += (uint64_t)codec->decompress(codec->ctx, packed_at(b, i),
                                          b->packed_len[i], b->out, b->len);
}

static void unpack_library(struct batch *b, size_t i)
{
    b->sum +=
        (uint64_t)LZ4_decompress_safe((const char *)packed_at(b, i),
                                      (char *)b->out, b->packed_len[i], b->len);
}

static const struct runner {
    const char *name;
    void (*run)(struct batch *b, size_t i);
    size_t beside; /* the runner that it is compared with */
} runners[] = {
    {"libxxhash XXH3", xxh3_library, 0},
    {"XXH3", xxh3_core, 0},
    {"ADLER-32", adler32_core, 0},
    {"liblz4 compress", pack_library, 3},
    {"LZ4 compress", pack_core, 3},
    {"liblz4 decompress", unpack_library, 5},
    {"LZ4 decompress", unpack_core, 5},
};

/* Words of a few letters out of 200: text, as far as LZ4 can tell. */
static void fill(uint8_t *bytes, size_t len)
{
    struct prng prng = prng_seed(7);

    for (size_t at = 0; at < len;) {
        struct prng word = prng_seed(prng_below(&prng, 200));

        for (uint64_t n = 2 + prng_below(&word, 8); n > 0 && at < len; n--) {
            bytes[at++] = (uint8_t)('a' + prng_below(&word, 26));
        }
        if (at < len) {
            bytes[at++] = ' ';
        }
    }
}

static void report(const struct batch *b, size_t r, double ns[][MAX_ROUNDS],
                   size_t rounds)
{
    json_t *record = bench_record("codec", runners[r].name);
    double ratio[MAX_ROUNDS];
    double mine[MAX_ROUNDS];

    memcpy(mine, ns[r], rounds * sizeof(*mine));
    for (size_t i = 0; i < rounds; i++) {
        ratio[i] = ns[runners[r].beside][i] / mine[i];
    }
    bench_count(record, "message_len", (uint64_t)b->len);
    bench_count(record, "rounds", rounds);
    bench_add_spread(record, "ns", mine, rounds);
    bench_number(record, "gb_per_s",
                 (double)b->len / bench_spread(mine, rounds).median);
    bench_text(record, "peer", runners[runners[r].beside].name);
    bench_add_spread(record, "times_peer", ratio, rounds);
    bench_emit(record);
}

/* The core hashes pages, and has no code for what is shorter than any. */
static bool can_run(size_t r, int len)
{
    return runners[r].run != xxh3_core || len > 240;
}

static void measure(struct batch *b, size_t rounds)
{
    static double ns[BENCH_N(runners)][MAX_ROUNDS];

    for (size_t round = 0; round < rounds; round++) {
        for (size_t r = 0; r < BENCH_N(runners); r++) {
            double begin = bench_cpu();

            for (size_t i = 0; can_run(r, b->len) && i < b->n; i++) {
                runners[r].run(b, i);
            }
            ns[r][round] = (bench_cpu() - begin) * 1e9 / (double)b->n;
        }
        if (memcmp(b->out, b->bytes + (b->n - 1) * (size_t)b->len,
                   (size_t)b->len) != 0) {
            bench_fail("LZ4 gives other bytes");
        }
    }
    for (size_t r = 0; r < BENCH_N(runners); r++) {
        if (can_run(r, b->len)) {
            report(b, r, ns, rounds);
        }
    }
}

int bench_codec(int argc, char **argv)
{
    uint64_t rounds = 15;
    const struct bench_option options[] = {
        {"rounds", BENCH_NUMBER, &rounds, "all in each"},
    };
    uint8_t *bytes = malloc(BATCH_LEN);
    struct batch b = {.bytes = bytes};

    bench_options("codec", options, BENCH_N(options), argc, argv);
    b.packed = malloc(2 * BATCH_LEN);
    b.packed_len = calloc(BATCH_LEN / 64, sizeof(*b.packed_len));
    b.out = malloc(BATCH_LEN);
    if (rounds < 1 || rounds > MAX_ROUNDS || bytes == NULL ||
        b.packed == NULL || b.packed_len == NULL || b.out == NULL) {
        bench_fail("rounds are 1 to %d", MAX_ROUNDS);
    }
    fill(bytes, BATCH_LEN);
    for (size_t s = 0; s < BENCH_N(sizes); s++) {
        b.len = sizes[s];
        b.n = BATCH_LEN / (size_t)sizes[s];
        measure(&b, (size_t)rounds);
    }
    free(bytes);
    free(b.packed);
    free(b.packed_len);
    free(b.out);
    return 0;
}
