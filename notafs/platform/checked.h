/* SPDX-License-Identifier: ISC */
/* Arithmetic on numbers that nobody has vouched for: true means it fitted, and
 * *ret is set then only. */
#ifndef NF_CHECKED_H
#define NF_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool nf_add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    if (b > UINT64_MAX - a) {
        return false;
    }
    *ret = a + b;
    return true;
}

static inline bool nf_sub_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    if (b > a) {
        return false;
    }
    *ret = a - b;
    return true;
}

static inline bool nf_mul_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    if (a != 0 && b > UINT64_MAX / a) {
        return false;
    }
    *ret = a * b;
    return true;
}

static inline uint64_t nf_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t nf_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t nf_div_up_u64(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

#endif
