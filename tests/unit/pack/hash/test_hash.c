/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include <notafs/hash_gcrypt.h>

#include "host/prng.h"
#include "pack/hash/hash.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/hash/hex.h"

static struct pk_hasher hasher_for(const char *name, size_t digest_len)
{
    struct pk_hasher hasher;

    assert_ok(pk_hasher_init(&hasher, pk_hash_gcrypt(), name, digest_len,
                             PK_CPU_PLAIN));
    return hasher;
}

/* The message in two parts, cut in the middle, has the digest want. */
static void check(const char *name, struct pk_slice message, const char *want)
{
    const struct hex digest = hex(want);
    const struct pk_hasher hasher = hasher_for(name, digest.len);
    const size_t half = message.len / 2;
    const struct pk_slice parts[] = {{message.p, half},
                                     {message.p + half, message.len - half}};
    uint8_t found[PK_HASH_MAX_LEN + 1] = {[PK_HASH_MAX_LEN] = 0xEE};

    ck_assert_uint_eq(hasher.digest_len, digest.len);
    assert_ok(pk_hash(&hasher, parts, 2, found));
    ck_assert_mem_eq(found, digest.b, digest.len);
    ck_assert_uint_eq(found[PK_HASH_MAX_LEN], 0xEE);
}

static void check_hex(const char *name, const char *message, const char *want)
{
    const struct hex bytes = hex(message);

    check(name, hex_slice(&bytes), want);
}

/* "abc", of which every standard gives the digest. */
START_TEST(abc)
{
    const struct pk_slice text = text_slice("abc");

    check("sha1", text, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check("sha224", text,
          "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
    check("sha256", text,
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("sha384", text,
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
          "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    check("sha512", text,
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2"
          "0a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
          "454d4423643ce80e2a9ac94fa54ca49f");
    check("rmd160", text, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
    check("blake2s", text,
          "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    check("blake2s", text, "5ae3b99be29b01834c3b508521ede60438f8de17");
    check("blake2b", text,
          "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}
END_TEST

/* Spec 4.6, unprefixed SHA-1. */
START_TEST(spec_sha1)
{
    check_hex("sha1", "78", "11f6ad8ec52a2984abaafd7c3b516503785c2072");
    check_hex("sha1", "00", "5ba93c9db0cff93f52b521d7420e43f6eda2784f");
    check_hex("sha1",
              "01 01 08 737465702d623031"
              "5368d2c2f4fc5521fe8e8acd17cdd7349aa8f753",
              "9b120e5019dcc6cd90b4d9c9826c9ebbebdc0023");
}
END_TEST

/* Spec 4.6, irmin-tezos: contents of ten "0", and two names for them. */
START_TEST(spec_tezos)
{
#define TEN "d81e60258ecc8bd7064c8703888aececfc54e29ff94f7a2d9a84667a500548e1"

    check_hex("blake2b", "000000000000000a 30303030303030303030", TEN);
    check_hex("blake2b",
              "0000000000000002"
              "ff00000000000000 02 3030 0000000000000020" TEN
              "ff00000000000000 02 3031 0000000000000020" TEN,
              "83722c2791a1c47dada4718656a20a2f"
              "3a063ae9945b475e67bbb6ef29d88ca4");
}
END_TEST

/* Spec 4.6, KV: contents, nodes (names in descending order), a commit. */
START_TEST(spec_kv)
{
#define X                                                                      \
    "cfb19bcb00b8cd10efdcad73accce7aaa7ff5f1a8b2eec40160f3a0d06cb41f7"         \
    "9977cadd8dc8d5c3b917138b353116a6759eb65e1faa94aa6b77cecb3da12ff5"
#define N1                                                                     \
    "216bff0e5297a2e5c6f48c878621aec0970cc57fdf531be8aa3ba8134fa337d6"         \
    "7d440b33014879762831f106b4f2665186e1c69f24d411ad34f7e07b05dac7e0"
#define N2                                                                     \
    "60aecd348ca194859c2e9ab11d213521ac6c1843d7898ae2700643f70c962434"         \
    "94ad846c3b900171e0e02a38de3875a141c458e04f7035acfcdb673179226470"
    const struct pk_hasher hasher = hasher_for("blake2b", 64);
    const struct pk_slice y = text_slice("By");
    uint8_t hash_y[64];
    char text_y[129];
    char node[600];

    check_hex("blake2b", "42",
              "b894b2e6b40a51c29369600ad433398c1521f0be45e0e4b97cc024245fd8fec5"
              "54b57e9e6a6b6b8f02847107ef2cd5e47cc929a9e05ffac95ebd58c4a7c1d24"
              "6");
    check_hex("blake2b", "42 78", X);
    check_hex("blake2b", "4e 00",
              "163fe32b0d3a4a460575443fa6639e43e53b48d65207d5fed43540420dbd7866"
              "ce7f69a1b8961801d91f8d0807e311b0f4f3da7c623389da5aa0388af92102e"
              "7");
    assert_ok(pk_hash(&hasher, &y, 1, hash_y));
    for (size_t i = 0; i < 64; i++) {
        snprintf(text_y + 2 * i, 3, "%02x", hash_y[i]);
    }
    snprintf(node, sizeof(node), "4e 02 01 01 62 %s 01 01 61 %s", text_y, X);
    check_hex("blake2b", node, N1);
    check_hex("blake2b", "4e 01 00 01 64" N1, N2);
    check_hex("blake2b",
              "43" N2 "00 000000006553f100 05 616c696365 05 6669727374",
              "a3db491e4308f6ac63217958c32a5aa8b50895284fa8e978f257fdf3189f8ebc"
              "d67bbe2d417055edc22200d30c72e4c1a6fab0079a590731169f5399f9d487b"
              "0");
}
END_TEST

START_TEST(chosen_by_name_and_size)
{
    const struct pk_hash_table *table = pk_hash_gcrypt();
    struct pk_hasher hasher = {.digest_len = 7};

    ck_assert_uint_eq(hasher_for("blake2b", 0).digest_len, 64);
    ck_assert_uint_eq(hasher_for("blake2b", 1).digest_len, 1);
    ck_assert_uint_eq(hasher_for("blake2s", 0).digest_len, 32);
    ck_assert_uint_eq(hasher_for("sha384", 0).digest_len, 48);
    assert_err(pk_hasher_init(&hasher, table, "blake2b", 65, PK_CPU_PLAIN),
               NF_ENOTSUP);
    assert_err(pk_hasher_init(&hasher, table, "blake2s", 31, PK_CPU_PLAIN),
               NF_ENOTSUP);
    assert_err(pk_hasher_init(&hasher, table, "sha1", 32, PK_CPU_PLAIN),
               NF_ENOTSUP);
    assert_err(pk_hasher_init(&hasher, table, "sha", 20, PK_CPU_PLAIN),
               NF_ENOTSUP);
    assert_err(pk_hasher_init(&hasher, table, "", 0, PK_CPU_PLAIN), NF_ENOTSUP);
    ck_assert_uint_eq(hasher.digest_len, 7);
}
END_TEST

/* Without a host's table there is BLAKE2b and nothing else. */
START_TEST(core_alone)
{
    struct pk_hasher hasher;

    assert_ok(pk_hasher_init(&hasher, NULL, "blake2b", 32, PK_CPU_PLAIN));
    assert_err(pk_hasher_init(&hasher, NULL, "sha1", 20, PK_CPU_PLAIN),
               NF_ENOTSUP);
}
END_TEST

/* Algorithms of the host take their messages one at a time. */
START_TEST(many_of_host)
{
    enum { N = 20, LEN = 300 };
    const struct pk_hasher hasher = hasher_for("sha256", 32);
    struct prng r = prng_seed(7);
    uint8_t message[LEN];
    uint8_t digests[N][32];
    struct pk_hash_job jobs[N] = {0};

    prng_bytes(&r, LEN, message);
    for (size_t i = 0; i < N; i++) {
        jobs[i].parts[1] = (struct pk_slice){message, 10 * i};
        jobs[i].parts[3] = (struct pk_slice){message + 10 * i, 5};
        jobs[i].digest = digests[i];
    }
    assert_ok(pk_hash_many(&hasher, jobs, N));
    for (size_t i = 0; i < N; i++) {
        const struct pk_slice whole = {message, 10 * i + 5};
        uint8_t want[32];

        assert_ok(pk_hash(&hasher, &whole, 1, want));
        ck_assert_mem_eq(digests[i], want, 32);
    }
}
END_TEST

static int hash_fails(const struct pk_hasher *hasher,
                      const struct pk_slice *parts, size_t n_parts,
                      uint8_t *ret_digest)
{
    (void)hasher;
    (void)parts;
    (void)n_parts;
    (void)ret_digest;
    return NF_EIO;
}

START_TEST(error_of_host)
{
    const struct pk_hash_algo algo = {"broken", 20, 0, hash_fails};
    const struct pk_hash_table table = {&algo, 1};
    struct pk_hash_job job = {0};
    struct pk_hasher hasher;

    assert_ok(pk_hasher_init(&hasher, &table, "broken", 0, PK_CPU_PLAIN));
    assert_err(pk_hash(&hasher, NULL, 0, NULL), NF_EIO);
    assert_err(pk_hash_many(&hasher, &job, 1), NF_EIO);
    assert_ok(pk_hash_many(&hasher, &job, 0));
}
END_TEST

UNIT_MAIN("pack/hash/hash", abc, spec_sha1, spec_tezos, spec_kv,
          chosen_by_name_and_size, core_alone, many_of_host, error_of_host)
