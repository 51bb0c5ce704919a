/* SPDX-License-Identifier: ISC */
/*
 * Hashes by libgcrypt, in the table that the core calls through.
 *
 * libgcrypt wants to be told when a program has finished configuring it. If
 * the program has not said so itself, we do, with the defaults.
 */
#include <notafs/hash_gcrypt.h>

#include <gcrypt.h>
#include <string.h>

#include "pack/hash/hash.h"

static int hash_gcrypt(const struct pk_hasher *hasher,
                       const struct pk_slice *parts, size_t n_parts,
                       uint8_t *ret_digest)
{
    gcry_md_hd_t md;
    gcry_error_t err = gcry_md_open(&md, hasher->algo->id, 0);

    if (err != 0) {
        return gcry_err_code(err) == GPG_ERR_ENOMEM ? NF_ENOMEM : NF_ENOTSUP;
    }
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].len > 0) {
            gcry_md_write(md, parts[i].p, parts[i].len);
        }
    }
    memcpy(ret_digest, gcry_md_read(md, 0), hasher->digest_len);
    gcry_md_close(md);
    return 0;
}

static const struct pk_hash_algo algos[] = {
    {"blake2s", 32, GCRY_MD_BLAKE2S_256, hash_gcrypt},
    {"blake2s", 28, GCRY_MD_BLAKE2S_224, hash_gcrypt},
    {"blake2s", 20, GCRY_MD_BLAKE2S_160, hash_gcrypt},
    {"blake2s", 16, GCRY_MD_BLAKE2S_128, hash_gcrypt},
    {"rmd160", 20, GCRY_MD_RMD160, hash_gcrypt},
    {"sha1", 20, GCRY_MD_SHA1, hash_gcrypt},
    {"sha224", 28, GCRY_MD_SHA224, hash_gcrypt},
    {"sha256", 32, GCRY_MD_SHA256, hash_gcrypt},
    {"sha384", 48, GCRY_MD_SHA384, hash_gcrypt},
    {"sha512", 64, GCRY_MD_SHA512, hash_gcrypt},
};

static const struct pk_hash_table table = {algos,
                                           sizeof(algos) / sizeof(algos[0])};

const struct pk_hash_table *pk_hash_gcrypt(void)
{
    if (!gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P)) {
        gcry_check_version(NULL);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    return &table;
}
