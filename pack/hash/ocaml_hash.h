/* SPDX-License-Identifier: ISC */
/*
 * The hash of strings that OCaml's Hashtbl.seeded_hash computes (its
 * runtime's caml_hash on a string): the order of an index (seed 0) and of the
 * children of an inode (seed = depth). Spec 0.3.
 */
#ifndef PK_OCAML_HASH_H
#define PK_OCAML_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "notafs/platform/codec.h"

static inline uint32_t pk_ocaml_hash_mix(uint32_t h, uint32_t word)
{
    word *= 0xcc9e2d51u;
    word = word << 15 | word >> 17;
    word *= 0x1b873593u;
    h ^= word;
    h = h << 13 | h >> 19;
    return h * 5 + 0xe6546b64u;
}

/* 30 bits. s may be NULL when n is 0. Only the low 32 bits of n count. */
static inline uint32_t pk_ocaml_hash(uint32_t seed, const uint8_t *s, size_t n)
{
    uint32_t h = seed;
    uint32_t tail = 0;
    size_t i = 0;

    for (; n - i >= 4; i += 4) {
        h = pk_ocaml_hash_mix(h, nf_get_le32(s + i));
    }
    for (size_t j = i; j < n; j++) {
        tail |= (uint32_t)s[j] << (8 * (j - i));
    }
    if (i < n) {
        h = pk_ocaml_hash_mix(h, tail);
    }
    h ^= (uint32_t)n;
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return h & 0x3fffffffu;
}

#endif
