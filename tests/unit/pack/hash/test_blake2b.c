/* SPDX-License-Identifier: ISC */
#include <blake2.h>

#include "host/prng.h"
#include "pack/hash/blake2b.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/hash/hex.h"

enum { MAX_LEN = 5000 };

static const struct pk_slice no_key = {NULL, 0};

/* RFC 7693, appendix A. */
START_TEST(rfc_abc)
{
    struct hex want = hex("ba80a53f981c4d0d6a2797b69f12f6e9"
                          "4c212f14685ac4b74b12bb6fdbffa2d1"
                          "7d87c5392aab792dc252d5de4533cc95"
                          "18d38aa8dbf1925ab92386edd4009923");
    uint8_t digest[64];

    pk_blake2b(text_slice("abc"), no_key, 64, digest);
    ck_assert_mem_eq(digest, want.b, 64);
}
END_TEST

/* RFC 7693, appendix E: the input of its self-test. */
static struct pk_slice rfc_sequence(uint8_t *buf, size_t len, uint32_t seed)
{
    uint32_t a = 0xdead4bad * seed;
    uint32_t b = 1;

    for (size_t i = 0; i < len; i++) {
        uint32_t t = a + b;

        a = b;
        b = t;
        buf[i] = (uint8_t)(t >> 24);
    }
    return (struct pk_slice){buf, len};
}

/* RFC 7693, appendix E: a digest over many, with and without key. */
START_TEST(rfc_self_test)
{
    static const uint32_t digest_lens[] = {20, 32, 48, 64};
    static const uint32_t message_lens[] = {0, 3, 128, 129, 255, 1024};
    struct hex want = hex("c23a7800d98123bd10f506c61e29da56"
                          "03d763b8bbad2e737f5e765a7bccd475");
    uint8_t message_buf[1024];
    uint8_t key_buf[64];
    uint8_t digest[64];
    struct pk_blake2b all;

    pk_blake2b_init(&all, no_key, 32);
    for (size_t i = 0; i < 4; i++) {
        const uint32_t digest_len = digest_lens[i];

        for (size_t j = 0; j < 6; j++) {
            const uint32_t len = message_lens[j];
            struct pk_slice message = rfc_sequence(message_buf, len, len);
            struct pk_slice key = rfc_sequence(key_buf, digest_len, digest_len);

            pk_blake2b(message, no_key, digest_len, digest);
            pk_blake2b_update(&all, (struct pk_slice){digest, digest_len});
            pk_blake2b(message, key, digest_len, digest);
            pk_blake2b_update(&all, (struct pk_slice){digest, digest_len});
        }
    }
    pk_blake2b_final(&all, digest);
    ck_assert_mem_eq(digest, want.b, 32);
}
END_TEST

/* Every digest and key size, message lengths around blocks and random. */
START_TEST(like_libb2)
{
    static uint8_t message[MAX_LEN];
    struct prng r = prng_seed(1);
    uint8_t key[64];
    uint8_t want[64];
    uint8_t digest[64];

    for (size_t i = 0; i < 20000; i++) {
        const size_t digest_len = 1 + i % 64;
        const size_t key_len = i / 64 % 65;
        const size_t len = i % 3 == 0
                               ? (size_t)(128 * prng_below(&r, 5) + i / 3 % 4)
                               : (size_t)prng_below(&r, MAX_LEN + 1);

        prng_bytes(&r, len, message);
        prng_bytes(&r, key_len, key);
        ck_assert_int_eq(blake2b(want, message, key, digest_len, len, key_len),
                         0);
        pk_blake2b((struct pk_slice){message, len},
                   (struct pk_slice){key, key_len}, digest_len, digest);
        ck_assert_mem_eq(digest, want, digest_len);
    }
}
END_TEST

/* However a message comes in pieces, its digest is the same. */
START_TEST(streams)
{
    static uint8_t message[MAX_LEN];
    struct prng r = prng_seed(2);
    const struct pk_slice key = {message, 16};
    uint8_t want[32];
    uint8_t digest[32];

    prng_bytes(&r, MAX_LEN, message);
    for (size_t i = 0; i < 3000; i++) {
        const size_t len = (size_t)prng_below(&r, i % 2 ? 400 : MAX_LEN + 1);
        const size_t max_piece = i % 3 == 0 ? 3 : i % 3 == 1 ? 140 : 1000;
        size_t at = 0;
        struct pk_blake2b b;

        pk_blake2b((struct pk_slice){message, len}, key, 32, want);
        pk_blake2b_init(&b, key, 32);
        while (at < len) {
            size_t n = (size_t)prng_below(&r, max_piece);

            n = n < len - at ? n : len - at;
            pk_blake2b_update(&b, (struct pk_slice){message + at, n});
            at += n;
        }
        pk_blake2b_update(&b, no_key);
        pk_blake2b_final(&b, digest);
        ck_assert_mem_eq(digest, want, 32);
    }
}
END_TEST

/* Nothing is written beyond a short digest. */
START_TEST(short_digest)
{
    uint8_t digest[64];

    memset(digest, 0xEE, sizeof(digest));
    pk_blake2b(text_slice("abc"), no_key, 5, digest);
    for (size_t i = 5; i < sizeof(digest); i++) {
        ck_assert_uint_eq(digest[i], 0xEE);
    }
}
END_TEST

UNIT_MAIN("pack/hash/blake2b", rfc_abc, rfc_self_test, like_libb2, streams,
          short_digest)
