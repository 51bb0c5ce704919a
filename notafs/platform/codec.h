/* SPDX-License-Identifier: ISC */
/*
 * Integers on disk. Names say the order: le is little-endian, be big-endian,
 * and the number is the width in bits. Addresses need no alignment.
 */
#ifndef NF_CODEC_H
#define NF_CODEC_H

#include <stdint.h>

static inline uint16_t nf_get_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}

static inline uint32_t nf_get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static inline uint64_t nf_get_le48(const uint8_t *p)
{
    return (uint64_t)nf_get_le32(p) | (uint64_t)nf_get_le16(p + 4) << 32;
}

static inline uint64_t nf_get_le64(const uint8_t *p)
{
    return (uint64_t)nf_get_le32(p) | (uint64_t)nf_get_le32(p + 4) << 32;
}

static inline void nf_put_le16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void nf_put_le32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static inline void nf_put_le48(uint8_t *p, uint64_t v)
{
    nf_put_le32(p, (uint32_t)v);
    nf_put_le16(p + 4, (uint16_t)(v >> 32));
}

static inline void nf_put_le64(uint8_t *p, uint64_t v)
{
    nf_put_le32(p, (uint32_t)v);
    nf_put_le32(p + 4, (uint32_t)(v >> 32));
}

static inline uint32_t nf_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           (uint32_t)p[3];
}

static inline uint64_t nf_get_be64(const uint8_t *p)
{
    return (uint64_t)nf_get_be32(p) << 32 | nf_get_be32(p + 4);
}

static inline void nf_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void nf_put_be64(uint8_t *p, uint64_t v)
{
    nf_put_be32(p, (uint32_t)(v >> 32));
    nf_put_be32(p + 4, (uint32_t)v);
}

#endif
