/* SPDX-License-Identifier: ISC */
/*
 * What the formats can do and not every program asks for. Each of these names
 * the formats itself, where struct nf_format would name them all: so a linker
 * that collects sections leaves out what is not called.
 */
#include "notafs/mirage_int.h"
#include "notafs/native_int.h"

#if defined(NF_NO_MIRAGE)
#define IF_MIRAGE(nf, mirage, native) ((void)(nf), (native))
#else
#define IF_MIRAGE(nf, mirage, native)                                          \
    ((nf)->disk.profile == NF_PROFILE_MIRAGE ? (mirage) : (native))
#endif

const struct nf_walk_format *nf_walk_format(const struct nf *nf)
{
    return IF_MIRAGE(nf, &nf_mirage_walk_format, &nf_native_walk_format);
}

int nf_list_generations(struct nf *nf, struct nf_generation *ret, size_t max)
{
    return IF_MIRAGE(nf, nf_mirage_generations, nf_native_generations)(nf, ret,
                                                                       max);
}

int nf_rope_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                 bool data, uint64_t *ret)
{
    return IF_MIRAGE(nf, nf_mirage_rope_seek,
                     nf_native_file_seek)(nf, rope, off, data, ret);
}

int nf_rope_punch(struct nf *nf, struct nf_rope *rope, uint64_t off,
                  uint64_t len)
{
    nf_assert(nf->format->holes);
    return nf_native_file_punch(nf, rope, off, len);
}

int nf_rope_recode(struct nf *nf, struct nf_rope *rope, bool lz4)
{
    nf_assert(nf->format->recodes);
    return nf_native_file_recode(nf, rope, lz4);
}
