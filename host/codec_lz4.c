/* SPDX-License-Identifier: ISC */
/* LZ4 blocks by liblz4. */
#include <notafs/codec_lz4.h>

#include <lz4.h>

static int compress_block(void *ctx, const uint8_t *in, int in_len,
                          uint8_t *out, int out_len)
{
    (void)ctx;
    int len =
        LZ4_compress_default((const char *)in, (char *)out, in_len, out_len);
    return len > 0 ? len : -1;
}

static int decompress_block(void *ctx, const uint8_t *in, int in_len,
                            uint8_t *out, int out_len)
{
    (void)ctx;
    return LZ4_decompress_safe((const char *)in, (char *)out, in_len, out_len);
}

const struct nf_codec *nf_codec_lz4(void)
{
    static const struct nf_codec codec = {
        .compress = compress_block,
        .decompress = decompress_block,
    };
    return &codec;
}
