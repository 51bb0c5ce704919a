/* SPDX-License-Identifier: ISC */
/* Chunks, see chunk.h. The checksum is over what is sent, not over what it
 * means: nothing is given to the codec that was not sent like that. */
#include "pack/stream/chunk.h"

#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/hash/blake2b.h"

enum {
    CHUNK_CHECK_AT = 48,
    CHUNK_CHECK_LEN = 16,
    CHUNK_FRAME_HEAD_LEN = 7,
    CHUNK_FRAME_LEN = CHUNK_FRAME_HEAD_LEN + 4 + 4, /* beside its block */
};

#define CHUNK_STORED (1u << 31)

static const uint8_t chunk_magic[12] = {0x5e, 0x2a, 0x4d, 0x18, 56,  0,
                                        0,    0,    'N',  'P',  'S', '1'};
static const uint8_t frame_magic[CHUNK_FRAME_HEAD_LEN] = {
    0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};

static void chunk_check(const uint8_t *p, size_t frame_len,
                        uint8_t ret[CHUNK_CHECK_LEN])
{
    struct pk_blake2b b;

    pk_blake2b_init(&b, (struct pk_slice){NULL, 0}, CHUNK_CHECK_LEN);
    pk_blake2b_update(&b, (struct pk_slice){p + 8, CHUNK_CHECK_AT - 8});
    pk_blake2b_update(&b, (struct pk_slice){p + PK_CHUNK_HEAD_LEN, frame_len});
    pk_blake2b_final(&b, ret);
}

void pk_chunk_encode(const struct nf_codec *codec, const uint8_t *raw,
                     size_t raw_len, struct pk_chunk_info *info, uint8_t *out)
{
    uint8_t *frame = out + PK_CHUNK_HEAD_LEN;
    uint8_t *block = frame + CHUNK_FRAME_HEAD_LEN + 4;
    int len = -1;
    size_t block_len;

    if (codec != NULL && raw_len > 1) {
        len = codec->compress(codec->ctx, raw, (int)raw_len, block,
                              (int)raw_len - 1);
    }
    if (len <= 0) {
        memcpy(block, raw, raw_len);
    }
    block_len = len > 0 ? (size_t)len : raw_len;
    memcpy(frame, frame_magic, sizeof(frame_magic));
    nf_put_le32(frame + CHUNK_FRAME_HEAD_LEN,
                (uint32_t)block_len | (len > 0 ? 0u : CHUNK_STORED));
    nf_put_le32(block + block_len, 0);
    memcpy(out, chunk_magic, sizeof(chunk_magic));
    nf_put_le32(out + 12, info->last ? 1 : 0);
    memcpy(out + 16, info->id, PK_STREAM_ID_LEN);
    nf_put_le64(out + 32, info->number);
    nf_put_le32(out + 40, (uint32_t)raw_len);
    nf_put_le32(out + 44, (uint32_t)(block_len + CHUNK_FRAME_LEN));
    chunk_check(out, block_len + CHUNK_FRAME_LEN, out + CHUNK_CHECK_AT);
    info->len = PK_CHUNK_HEAD_LEN + block_len + CHUNK_FRAME_LEN;
}

int pk_chunk_look(const uint8_t *p, size_t len, struct pk_chunk_info *ret_info)
{
    size_t n = len < sizeof(chunk_magic) ? len : sizeof(chunk_magic);
    struct pk_chunk_info info = {.len = 0};
    uint8_t check[CHUNK_CHECK_LEN];
    uint32_t raw_len;
    uint32_t frame_len;
    uint32_t flags;

    if (memcmp(p, chunk_magic, n) != 0) {
        return NF_EC_STREAM;
    }
    if (len < PK_CHUNK_HEAD_LEN) {
        return 0;
    }
    flags = nf_get_le32(p + 12);
    raw_len = nf_get_le32(p + 40);
    frame_len = nf_get_le32(p + 44);
    info.last = flags == 1;
    if (flags > 1 || raw_len > PK_CHUNK_RAW_LEN || raw_len == 0 ||
        (raw_len != PK_CHUNK_RAW_LEN && !info.last) ||
        frame_len <= CHUNK_FRAME_LEN || frame_len > CHUNK_FRAME_LEN + raw_len) {
        return NF_EC_STREAM;
    }
    info.len = PK_CHUNK_HEAD_LEN + frame_len;
    if (len < info.len) {
        return 0;
    }
    chunk_check(p, frame_len, check);
    if (memcmp(check, p + CHUNK_CHECK_AT, sizeof(check)) != 0) {
        return NF_EC_STREAM;
    }
    memcpy(info.id, p + 16, PK_STREAM_ID_LEN);
    info.number = nf_get_le64(p + 32);
    *ret_info = info;
    return 1;
}

int pk_chunk_decode(const struct nf_codec *codec, const uint8_t *p,
                    uint8_t *raw, size_t *ret_raw_len)
{
    const uint8_t *frame = p + PK_CHUNK_HEAD_LEN;
    const uint8_t *block = frame + CHUNK_FRAME_HEAD_LEN + 4;
    uint32_t raw_len = nf_get_le32(p + 40);
    uint32_t block_len = nf_get_le32(p + 44) - CHUNK_FRAME_LEN;
    uint32_t word = nf_get_le32(frame + CHUNK_FRAME_HEAD_LEN);

    if (memcmp(frame, frame_magic, sizeof(frame_magic)) != 0 ||
        (word & ~CHUNK_STORED) != block_len ||
        nf_get_le32(block + block_len) != 0) {
        return NF_EC_STREAM;
    }
    if ((word & CHUNK_STORED) != 0) {
        if (block_len != raw_len) {
            return NF_EC_STREAM;
        }
        memcpy(raw, block, raw_len);
    } else if (codec == NULL) {
        return NF_EC_NO_CODEC;
    } else if (codec->decompress(codec->ctx, block, (int)block_len, raw,
                                 (int)raw_len) != (int)raw_len) {
        return NF_EC_STREAM;
    }
    *ret_raw_len = raw_len;
    return 0;
}
