/* SPDX-License-Identifier: ISC */
/*
 * Page checksums: XXH3-64 of the native profile, ADLER-32 of the mirage one.
 * Both are over a whole page, slack included.
 */
#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "notafs/nf_int.h"

uint64_t nf_xxh3(const uint8_t *p, size_t len)
{
    return XXH3_64bits(p, len);
}

uint64_t nf_page_sum(struct nf *nf, const uint8_t *page)
{
    nf->hashed++;
    switch (nf->disk.checksum) {
    case NF_CHECKSUM_XXH3:
        return nf_xxh3(page, nf->disk.page_size);
    case NF_CHECKSUM_ADLER32:
#if !defined(NF_NO_MIRAGE)
        return nf_adler32(page, nf->disk.page_size);
#endif
    case NF_CHECKSUM_DEFAULT:
    case NF_CHECKSUM_NONE:
        break;
    }
    return 0;
}
