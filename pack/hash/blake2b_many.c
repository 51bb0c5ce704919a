/* SPDX-License-Identifier: ISC */
/*
 * BLAKE2b of many messages: each takes a lane of a kernel, and when it ends
 * the next message takes its place. With two left, or on a plain processor,
 * one at a time is faster.
 *
 * A lane keeps a cursor over the parts of its message. Its chaining value is
 * its column of struct pk_blake2b_lanes.
 */
#include <string.h>

#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"
#include "pack/hash/blake2b_int.h"

/* Blocks of eight lanes do not fit into the usual limit of a frame. */
#pragma GCC diagnostic ignored "-Wframe-larger-than="

/* As many lanes as one message after the other takes the same time. */
enum { SLOW_LANES = 2 };

static const uint8_t nothing[PK_BLAKE2B_BLOCK_LEN];

struct lane {
    const struct pk_hash_job *job; /* NULL: no message */
    size_t part;
    size_t part_at; /* bytes of the part that are behind */
    uint64_t left;  /* bytes of the message that are ahead */
    uint8_t buf[PK_BLAKE2B_BLOCK_LEN];
};

struct kernel {
    size_t n_lanes;
    void (*compress)(struct pk_blake2b_lanes *lanes);
};

static struct kernel kernel_for(enum pk_cpu cpu)
{
    switch (cpu) {
#if defined(__x86_64__)
    case PK_CPU_AVX512:
        return (struct kernel){8, pk_blake2b_compress_x8};
    case PK_CPU_AVX2:
        return (struct kernel){4, pk_blake2b_compress_x4};
#else
    case PK_CPU_AVX512:
    case PK_CPU_AVX2:
#endif
    case PK_CPU_PLAIN:
        break;
    }
    return (struct kernel){0, NULL};
}

/* All that a call works on; nothing is kept after it. */
struct run {
    struct pk_blake2b_lanes lanes;
    struct lane lane[PK_BLAKE2B_MAX_LANES];
    uint64_t start[8]; /* h before the first block */
    size_t digest_len;
};

static void lane_start(struct run *run, size_t i, const struct pk_hash_job *job)
{
    struct lane *lane = &run->lane[i];

    lane->job = job;
    lane->part = 0;
    lane->part_at = 0;
    lane->left = 0;
    for (size_t j = 0; j < PK_HASH_JOB_PARTS; j++) {
        lane->left += job->parts[j].len;
    }
    run->lanes.n_bytes[i] = 0;
    for (size_t j = 0; j < 8; j++) {
        run->lanes.h[j][i] = run->start[j];
    }
}

/* Lay out the next block of a lane: the bytes where they lie if one part holds
 * them all, or else copied together, with zeros after the end. */
static void lane_next(struct run *run, size_t i)
{
    struct lane *lane = &run->lane[i];
    size_t len = (size_t)nf_min_u64(lane->left, sizeof(lane->buf));
    size_t at = 0;

    lane->left -= len;
    run->lanes.n_bytes[i] += len;
    run->lanes.last[i] = lane->left == 0 ? UINT64_MAX : 0;
    run->lanes.block[i] = lane->buf;
    while (at < len) {
        const struct pk_slice *part = &lane->job->parts[lane->part];
        size_t n = part->len - lane->part_at;

        if (n == 0) {
            lane->part++;
            lane->part_at = 0;
            continue;
        }
        if (n >= sizeof(lane->buf) && at == 0 && len == sizeof(lane->buf)) {
            run->lanes.block[i] = part->p + lane->part_at;
            lane->part_at += len;
            return;
        }
        n = n < len - at ? n : len - at;
        memcpy(lane->buf + at, part->p + lane->part_at, n);
        lane->part_at += n;
        at += n;
    }
    memset(lane->buf + len, 0, sizeof(lane->buf) - len);
}

static void lane_end(struct run *run, size_t i)
{
    uint8_t digest[PK_BLAKE2B_MAX_DIGEST_LEN];

    for (size_t j = 0; j < 8; j++) {
        nf_put_le64(digest + 8 * j, run->lanes.h[j][i]);
    }
    memcpy(run->lane[i].job->digest, digest, run->digest_len);
    run->lane[i].job = NULL;
}

/* What is left of a message, alone. */
static void lane_finish(struct run *run, size_t i)
{
    uint64_t h[8];

    for (size_t j = 0; j < 8; j++) {
        h[j] = run->lanes.h[j][i];
    }
    do {
        lane_next(run, i);
        pk_blake2b_compress(h, run->lanes.block[i], run->lanes.n_bytes[i],
                            run->lanes.last[i] != 0);
    } while (run->lanes.last[i] == 0);
    for (size_t j = 0; j < 8; j++) {
        run->lanes.h[j][i] = h[j];
    }
    lane_end(run, i);
}

void pk_blake2b_many(const struct pk_hasher *hasher,
                     const struct pk_hash_job *jobs, size_t n)
{
    const struct kernel kernel = kernel_for(hasher->cpu);
    struct run run;
    size_t next = 0;
    size_t n_active = 0;

    run.digest_len = hasher->digest_len;
    pk_blake2b_start(run.start, hasher->digest_len, 0);
    /* Lanes without a message compress anything. */
    memset(&run.lanes, 0, sizeof(run.lanes));
    for (size_t i = 0; i < kernel.n_lanes; i++) {
        run.lane[i].job = NULL;
        run.lanes.block[i] = nothing;
    }
    for (; n_active < kernel.n_lanes && next < n; n_active++) {
        lane_start(&run, n_active, &jobs[next++]);
    }
    while (n_active > SLOW_LANES) {
        for (size_t i = 0; i < kernel.n_lanes; i++) {
            if (run.lane[i].job != NULL) {
                lane_next(&run, i);
            }
        }
        kernel.compress(&run.lanes);
        for (size_t i = 0; i < kernel.n_lanes; i++) {
            if (run.lane[i].job == NULL || run.lane[i].left > 0) {
                continue;
            }
            lane_end(&run, i);
            if (next < n) {
                lane_start(&run, i, &jobs[next++]);
            } else {
                n_active--;
            }
        }
    }
    for (size_t i = 0; i < kernel.n_lanes; i++) {
        if (run.lane[i].job != NULL) {
            lane_finish(&run, i);
        }
    }
    for (; next < n; next++) {
        lane_start(&run, 0, &jobs[next]);
        lane_finish(&run, 0);
    }
}
