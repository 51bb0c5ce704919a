/* SPDX-License-Identifier: ISC */
/*
 * The choice of a hash: BLAKE2b from the core, everything else from the
 * host's table. Only BLAKE2b knows how to hash several messages at once, and
 * not where the core is compiled for size.
 */
#include "pack/hash/hash.h"

#include <string.h>

#include "pack/hash/blake2b.h"

static int hash_blake2b(const struct pk_hasher *hasher,
                        const struct pk_slice *parts, size_t n_parts,
                        uint8_t *ret_digest)
{
    struct pk_blake2b b;

    pk_blake2b_init(&b, (struct pk_slice){NULL, 0}, hasher->digest_len);
    for (size_t i = 0; i < n_parts; i++) {
        pk_blake2b_update(&b, parts[i]);
    }
    pk_blake2b_final(&b, ret_digest);
    return 0;
}

static const struct pk_hash_algo algo_blake2b = {
    .name = "blake2b",
    .digest_len = 0,
    .hash = hash_blake2b,
};

_Static_assert((int)PK_BLAKE2B_MAX_DIGEST_LEN == (int)PK_HASH_MAX_LEN,
               "BLAKE2b fills the longest digest");

/* The digest size that algo makes when asked for that name and size; 0 when it
 * is another algorithm. */
static size_t algo_match(const struct pk_hash_algo *algo, const char *name,
                         size_t digest_len)
{
    size_t name_len = strlen(name);

    if (strlen(algo->name) != name_len ||
        memcmp(algo->name, name, name_len) != 0) {
        return 0;
    }
    if (algo->digest_len != 0) {
        return digest_len == 0 || digest_len == algo->digest_len
                   ? algo->digest_len
                   : 0;
    }
    if (digest_len > PK_HASH_MAX_LEN) {
        return 0;
    }
    return digest_len == 0 ? PK_HASH_MAX_LEN : digest_len;
}

int pk_hasher_init(struct pk_hasher *hasher, const struct pk_hash_table *table,
                   const char *name, size_t digest_len, enum pk_cpu cpu)
{
    const struct pk_hash_algo *algo = &algo_blake2b;
    size_t len = algo_match(algo, name, digest_len);

    for (size_t i = 0; len == 0 && table != NULL && i < table->n_algos; i++) {
        algo = &table->algos[i];
        len = algo_match(algo, name, digest_len);
    }
    if (len == 0) {
        return NF_ENOTSUP;
    }
    *hasher = (struct pk_hasher){algo, len, cpu};
    return 0;
}

int pk_hash(const struct pk_hasher *hasher, const struct pk_slice *parts,
            size_t n_parts, uint8_t *ret_digest)
{
    return hasher->algo->hash(hasher, parts, n_parts, ret_digest);
}

int pk_hash_many(const struct pk_hasher *hasher, const struct pk_hash_job *jobs,
                 size_t n)
{
#if !defined(__OPTIMIZE_SIZE__)
    if (hasher->algo == &algo_blake2b) {
        pk_blake2b_many(hasher, jobs, n);
        return 0;
    }
#endif
    for (size_t i = 0; i < n; i++) {
        int err =
            pk_hash(hasher, jobs[i].parts, PK_HASH_JOB_PARTS, jobs[i].digest);

        if (err < 0) {
            return err;
        }
    }
    return 0;
}
