/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_CODEC_LZ4_H
#define NOTAFS_CODEC_LZ4_H

#include <notafs/codec.h>

#ifdef __cplusplus
extern "C" {
#endif

/* LZ4 by liblz4, for nf_mount_options.codec. Static; threads may share it. */
const struct nf_codec *nf_codec_lz4(void);

#ifdef __cplusplus
}
#endif
#endif
