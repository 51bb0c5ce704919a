/* SPDX-License-Identifier: ISC */
/*
 * Hashing of objects: one algorithm and digest size per store.
 *
 * The core carries BLAKE2b, alone and for many messages at once. Other
 * algorithms come from a table that the host gives (host/hash_gcrypt.c);
 * without one they are NF_ENOTSUP.
 */
#ifndef PK_HASH_H
#define PK_HASH_H

#include <notafs/hash.h>

#include "pack/hash/cpu.h"

/* An algorithm made ready. Plain data: copy it, share it, drop it. */
struct pk_hasher {
    const struct pk_hash_algo *algo;
    size_t digest_len; /* bytes, 1..PK_HASH_MAX_LEN */
    enum pk_cpu cpu;
};

/* One of many messages: the parts one after the other (those not needed have
 * length 0), and where its digest goes, which is in none of the messages. */
enum { PK_HASH_JOB_PARTS = 4 };
struct pk_hash_job {
    struct pk_slice parts[PK_HASH_JOB_PARTS];
    uint8_t *digest;
};

/*
 * Choose the algorithm of that name and digest size (0: its usual one), from
 * the core or from table, which may be NULL and outlives the hasher. cpu is
 * what pk_cpu_detect found, or less.
 *
 * Errors: NF_ENOTSUP: nobody has it.
 */
NF_MUST_USE int pk_hasher_init(struct pk_hasher *hasher,
                               const struct pk_hash_table *table,
                               const char *name, size_t digest_len,
                               enum pk_cpu cpu);

/*
 * The digest, of hasher->digest_len bytes, of the parts one after the other.
 *
 * Errors: those of the algorithm's provider; BLAKE2b has none.
 */
NF_MUST_USE int pk_hash(const struct pk_hasher *hasher,
                        const struct pk_slice *parts, size_t n_parts,
                        uint8_t *ret_digest);

/*
 * The digests of n messages, as pk_hash gives them one at a time.
 *
 * Errors: as pk_hash; some digests are then written and some are not.
 * Cost:   BLAKE2b: up to eight messages for the time of two, best when they
 *         are many; lengths may differ freely. 6 KiB of stack.
 */
NF_MUST_USE int pk_hash_many(const struct pk_hasher *hasher,
                             const struct pk_hash_job *jobs, size_t n);

#endif
