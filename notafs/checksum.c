/* SPDX-License-Identifier: ISC */
/*
 * Page checksums: XXH3-64 of the native profile, ADLER-32 (RFC 1950) of the
 * mirage one. Both are over a whole page, slack included.
 */
#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "notafs/nf_int.h"

#define ADLER_MOD 65521u
#define ADLER_RUN 5552u /* bytes that fit into 32 bits before a modulo */

uint64_t nf_xxh3(const uint8_t *p, size_t len)
{
    return XXH3_64bits(p, len);
}

uint32_t nf_adler32(const uint8_t *p, size_t len)
{
    uint32_t a = 1;
    uint32_t b = 0;
    while (len > 0) {
        size_t run = len < ADLER_RUN ? len : ADLER_RUN;
        len -= run;
        for (; run >= 8; run -= 8) {
            /* b gains 8 a and each byte as often as it will be summed */
            b += 8 * a + 8u * p[0] + 7u * p[1] + 6u * p[2] + 5u * p[3] +
                 4u * p[4] + 3u * p[5] + 2u * p[6] + p[7];
            a +=
                (uint32_t)p[0] + p[1] + p[2] + p[3] + p[4] + p[5] + p[6] + p[7];
            p += 8;
        }
        for (; run > 0; run--) {
            a += *p++;
            b += a;
        }
        a %= ADLER_MOD;
        b %= ADLER_MOD;
    }
    return b << 16 | a;
}

uint64_t nf_page_sum(struct nf *nf, const uint8_t *page)
{
    nf->hashed++;
    switch (nf->disk.checksum) {
    case NF_CHECKSUM_XXH3:
        return nf_xxh3(page, nf->disk.page_size);
    case NF_CHECKSUM_ADLER32:
        return nf_adler32(page, nf->disk.page_size);
    case NF_CHECKSUM_DEFAULT:
    case NF_CHECKSUM_NONE:
        break;
    }
    return 0;
}
