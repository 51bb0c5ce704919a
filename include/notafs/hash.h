/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_HASH_H
#define NOTAFS_HASH_H

#include <notafs/platform.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Hash functions that pack takes from outside. BLAKE2b is its own.
 */
enum { PK_HASH_MAX_LEN = 64 }; /* bytes of the longest digest */

/* Bytes of somebody else's memory. p may be NULL when len is 0. */
struct pk_slice {
    const uint8_t *p;
    size_t len;
};

struct pk_hasher; /* an algorithm made ready; pack's own */

/* One algorithm, static data of whoever provides it. */
struct pk_hash_algo {
    const char *name;  /* of the family: "blake2b", "sha1", ... */
    size_t digest_len; /* bytes; 0: any from 1 to 64, 64 unless asked */
    int id;            /* the provider's own number */

    /* The digest of the parts one after the other. Errors: the provider's. */
    int (*hash)(const struct pk_hasher *hasher, const struct pk_slice *parts,
                size_t n_parts, uint8_t *ret_digest);
};

struct pk_hash_table {
    const struct pk_hash_algo *algos;
    size_t n_algos;
};

#ifdef __cplusplus
}
#endif
#endif
