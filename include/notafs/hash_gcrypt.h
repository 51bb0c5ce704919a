/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_HASH_GCRYPT_H
#define NOTAFS_HASH_GCRYPT_H

#include <notafs/hash.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Hosted: the hashes that irmin knows beside BLAKE2b, by libgcrypt: blake2s
 * (32, 28, 20 or 16 bytes), rmd160, sha1, sha224, sha256, sha384, sha512.
 * Static.
 *
 * Errors:  of the hashes: NF_ENOTSUP (libgcrypt refuses it, as in FIPS mode),
 *          NF_ENOMEM.
 * Threads: any.
 */
const struct pk_hash_table *pk_hash_gcrypt(void);

#ifdef __cplusplus
}
#endif
#endif
