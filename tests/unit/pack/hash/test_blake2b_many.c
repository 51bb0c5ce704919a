/* SPDX-License-Identifier: ISC */
/* Every kernel that this processor has, against libb2. */
#include <blake2.h>
#include <stdlib.h>
#include <string.h>

#include "host/prng.h"
#include "pack/hash/hash.h"
#include "tests/support/unit.h"

enum { MAX_LEN = 5000, MAX_JOBS = 64, GUARD = 0xEE };

static uint8_t pool[MAX_LEN];
static uint8_t digests[MAX_JOBS][80];
static size_t lens[MAX_JOBS];
static struct pk_hash_job jobs[MAX_JOBS];

/* Job i: len bytes of the pool, cut into parts anywhere. */
static void job_set(struct prng *r, size_t i, size_t len)
{
    size_t at = (size_t)prng_below(r, MAX_LEN - len + 1);
    size_t left = len;

    memset(digests[i], GUARD, sizeof(digests[i]));
    lens[i] = len;
    jobs[i].digest = digests[i];
    for (size_t j = 0; j < PK_HASH_JOB_PARTS; j++) {
        size_t n = (size_t)prng_below(r, left + 1);

        if (j == PK_HASH_JOB_PARTS - 1) {
            n = left;
        } else if (prng_below(r, 4) == 0) {
            n = 0;
        }
        jobs[i].parts[j] = (struct pk_slice){n > 0 ? pool + at : NULL, n};
        at += n;
        left -= n;
    }
}

static void jobs_check(size_t n, size_t digest_len, enum pk_cpu cpu)
{
    struct pk_hasher hasher;
    uint8_t guard[sizeof(digests[0])];

    memset(guard, GUARD, sizeof(guard));
    assert_ok(pk_hasher_init(&hasher, NULL, "blake2b", digest_len, cpu));
    assert_ok(pk_hash_many(&hasher, jobs, n));
    for (size_t i = 0; i < n; i++) {
        uint8_t message[MAX_LEN];
        uint8_t want[64];
        uint8_t alone[64];
        size_t at = 0;

        for (size_t j = 0; j < PK_HASH_JOB_PARTS; j++) {
            if (jobs[i].parts[j].len > 0) {
                memcpy(message + at, jobs[i].parts[j].p, jobs[i].parts[j].len);
            }
            at += jobs[i].parts[j].len;
        }
        ck_assert_uint_eq(at, lens[i]);
        ck_assert_int_eq(blake2b(want, message, NULL, digest_len, at, 0), 0);
        ck_assert_mem_eq(digests[i], want, digest_len);
        ck_assert_mem_eq(digests[i] + digest_len, guard,
                         sizeof(guard) - digest_len);
        assert_ok(pk_hash(&hasher, jobs[i].parts, PK_HASH_JOB_PARTS, alone));
        ck_assert_mem_eq(alone, want, digest_len);
    }
}

static void setup(struct prng *r, uint64_t seed)
{
    *r = prng_seed(seed);
    prng_bytes(r, sizeof(pool), pool);
}

/* For each kernel, from plain up. */
#define FOR_EACH_CPU(cpu)                                                      \
    for (enum pk_cpu cpu = PK_CPU_PLAIN; cpu <= pk_cpu_detect(); cpu++)

START_TEST(mixed_lengths)
{
    struct prng r;

    setup(&r, 3);
    FOR_EACH_CPU(cpu)
    {
        for (size_t round = 0; round < 300; round++) {
            const size_t n = (size_t)prng_below(&r, MAX_JOBS + 1);

            for (size_t i = 0; i < n; i++) {
                job_set(&r, i, (size_t)prng_below(&r, MAX_LEN + 1));
            }
            jobs_check(n, 1 + (size_t)prng_below(&r, 64), cpu);
        }
    }
}
END_TEST

/* Each number of messages, with lengths around the ends of blocks. */
START_TEST(block_ends)
{
    static const size_t ends[] = {0, 1, 127, 128, 129, 255, 256, 257, 384};
    struct prng r;

    setup(&r, 4);
    FOR_EACH_CPU(cpu)
    {
        for (size_t n = 0; n <= 20; n++) {
            for (size_t round = 0; round < 30; round++) {
                for (size_t i = 0; i < n; i++) {
                    job_set(&r, i, ends[prng_below(&r, 9)]);
                }
                jobs_check(n, 32, cpu);
            }
        }
    }
}
END_TEST

/* A long message keeps its lane while short ones come and go in the others. */
START_TEST(one_long)
{
    struct prng r;

    setup(&r, 5);
    FOR_EACH_CPU(cpu)
    {
        for (size_t where = 0; where < 20; where++) {
            for (size_t i = 0; i < 20; i++) {
                job_set(&r, i, i == where ? MAX_LEN : 100);
            }
            jobs_check(20, 64, cpu);
        }
    }
}
END_TEST

/* Parts that end where allocated memory ends: nothing is read beyond (under
 * the address sanitizer). */
START_TEST(exact_ends)
{
    struct prng r;
    uint8_t *exact[20];

    setup(&r, 6);
    FOR_EACH_CPU(cpu)
    {
        for (size_t i = 0; i < 20; i++) {
            job_set(&r, i, 37 * i);
            exact[i] = malloc(37 * i + 1);
            ck_assert_ptr_nonnull(exact[i]);
            prng_bytes(&r, 37 * i, exact[i] + 1);
            memset(jobs[i].parts, 0, sizeof(jobs[i].parts));
            jobs[i].parts[2] = (struct pk_slice){exact[i] + 1, 37 * i};
        }
        jobs_check(20, 32, cpu);
        for (size_t i = 0; i < 20; i++) {
            free(exact[i]);
        }
    }
}
END_TEST

UNIT_MAIN("pack/hash/blake2b_many", mixed_lengths, block_ends, one_long,
          exact_ends)
