/* SPDX-License-Identifier: ISC */
/*
 * Modification times: float64 seconds since 1970 on disk, nanoseconds in
 * memory, converted with integers alone, each to the nearest of the other.
 * Only times of the years 0 to 9999 exist, as in OCaml Notafs.
 */
#include "notafs/mirage_int.h"

#define NSEC          1000000000u
#define FIRST_SEC     (-62167219200) /* 0000-01-01 */
#define LAST_SEC      253402300799   /* 9999-12-31 23:59:59 */
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define EXPONENT_MAX  2047 /* infinities and NaN */

bool nf_mirage_time_valid(struct nf_time time)
{
    return time.sec >= FIRST_SEC && time.sec <= LAST_SEC && time.nsec < NSEC;
}

/* frac / 2^shift seconds in nanoseconds; frac < 2^shift, frac < 2^53. */
static uint32_t fraction_nsec(uint64_t frac, uint32_t shift)
{
    if (shift > 95) {
        return 0;
    }
    /* frac * NSEC + half, as high * 2^32 + low */
    uint64_t low = (frac & UINT32_MAX) * NSEC;
    uint64_t high = (frac >> 32) * NSEC + (low >> 32);
    low &= UINT32_MAX;
    if (shift > 32) {
        high += (uint64_t)1 << (shift - 33);
        return (uint32_t)(high >> (shift - 32));
    }
    uint64_t sum = (high << 32 | low) + ((uint64_t)1 << (shift - 1));
    return (uint32_t)(sum >> shift);
}

bool nf_mirage_time_get(uint64_t bits, struct nf_time *ret)
{
    uint32_t exponent = (uint32_t)(bits >> MANTISSA_BITS) & EXPONENT_MAX;
    uint64_t mantissa = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
    struct nf_time time = {0, 0};
    if (exponent >= EXPONENT_BIAS + MANTISSA_BITS) {
        return false; /* too large, infinite or not a number */
    }
    if (exponent > 0) {
        mantissa |= (uint64_t)1 << MANTISSA_BITS;
    } else {
        exponent = 1;
    }
    uint32_t shift = EXPONENT_BIAS + MANTISSA_BITS - exponent;
    uint64_t whole = shift < 64 ? mantissa >> shift : 0;
    uint64_t frac =
        shift < 64 ? mantissa & (((uint64_t)1 << shift) - 1) : mantissa;
    time.sec = (int64_t)whole;
    time.nsec = fraction_nsec(frac, shift);
    if (time.nsec == NSEC) {
        time.sec++;
        time.nsec = 0;
    }
    if (bits >> 63 != 0) {
        time.sec = -time.sec;
        if (time.nsec > 0) {
            time.sec--;
            time.nsec = NSEC - time.nsec;
        }
    }
    if (!nf_mirage_time_valid(time)) {
        return false;
    }
    *ret = time;
    return true;
}

uint64_t nf_mirage_time_put(struct nf_time time)
{
    nf_assert(nf_mirage_time_valid(time));
    uint64_t sign = time.sec < 0 ? (uint64_t)1 << 63 : 0;
    uint64_t mantissa = (uint64_t)time.sec;
    uint32_t rest = time.nsec;
    if (time.sec < 0) {
        mantissa = (uint64_t)-time.sec;
        if (rest > 0) {
            mantissa--;
            rest = NSEC - rest;
        }
    }
    if (mantissa == 0 && rest == 0) {
        return 0;
    }
    /* Binary digits of the fraction until the mantissa is full. */
    uint32_t exponent = EXPONENT_BIAS + MANTISSA_BITS;
    while (mantissa >> MANTISSA_BITS == 0) {
        rest *= 2;
        mantissa = mantissa << 1 | (rest >= NSEC);
        rest -= rest >= NSEC ? NSEC : 0;
        exponent--;
    }
    rest *= 2;
    if (rest > NSEC || (rest == NSEC && (mantissa & 1) != 0)) {
        mantissa++; /* a carry runs into the exponent, as it should */
    }
    return sign | (((uint64_t)exponent << MANTISSA_BITS) +
                   (mantissa - ((uint64_t)1 << MANTISSA_BITS)));
}
