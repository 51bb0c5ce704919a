/* SPDX-License-Identifier: ISC */
/* XXH3-64, and the checksum of a page by its format: XXH3-64 on native, on
 * mirage ADLER-32 or none. It is of a whole page, slack included. */
#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "notafs/nf_int.h"

uint64_t nf_xxh3(const uint8_t *p, size_t len)
{
    nf_assert(len > 240); /* the code for less would never run */
    return XXH3_64bits(p, len);
}

uint64_t nf_page_sum(struct nf *nf, const uint8_t *page)
{
    nf->hashed++;
    return nf->format->page_sum(page, nf->disk.page_size, nf->disk.checksum);
}
