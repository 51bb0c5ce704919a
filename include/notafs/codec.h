/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_CODEC_H
#define NOTAFS_CODEC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* LZ4 blocks, for compressed files and for streams, so that the core needs no
 * library. Both return the bytes written to out, or a negative number if they
 * do not fit or are wrong. */
struct nf_codec {
    void *ctx;
    int (*compress)(void *ctx, const uint8_t *in, int in_len, uint8_t *out,
                    int out_len);
    int (*decompress)(void *ctx, const uint8_t *in, int in_len, uint8_t *out,
                      int out_len);
};

#ifdef __cplusplus
}
#endif
#endif
