/* SPDX-License-Identifier: ISC */
/*
 * xorshift64*: the generator behind the data of golden images and of command
 * scripts, and the random choices of tests, so that a seed is all it takes to
 * have any of them again. Not for secrets.
 */
#ifndef HOST_PRNG_H
#define HOST_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state;
};

static inline struct prng prng_seed(uint64_t seed)
{
    const uint64_t state = seed ^ UINT64_C(0x9E3779B97F4A7C15);

    return (struct prng){state == 0 ? 1 : state};
}

static inline uint64_t prng_next(struct prng *prng)
{
    prng->state ^= prng->state >> 12;
    prng->state ^= prng->state << 25;
    prng->state ^= prng->state >> 27;
    return prng->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* A number in 0..n-1; n >= 1. */
static inline uint64_t prng_below(struct prng *prng, uint64_t n)
{
    return (prng_next(prng) >> 2) % n;
}

/* len bytes: whole words, little-endian, the last one cut. */
static inline void prng_bytes(struct prng *prng, size_t len, uint8_t *ret)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++) {
        word = i % 8 == 0 ? prng_next(prng) : word >> 8;
        ret[i] = (uint8_t)word;
    }
}

#endif
