/* SPDX-License-Identifier: ISC */
/*
 * Chunks: the frames of a stream (docs/format-stream.md). All little-endian.
 *
 *    0  4  5E 2A 4D 18: an LZ4 frame to be skipped
 *    4  4  56: bytes of it that follow
 *    8  4  "NPS1"
 *   12  4  flags: 1 the last chunk
 *   16 16  id of the stream
 *   32  8  number of the chunk
 *   40  4  bytes of the stream in it: PK_CHUNK_RAW_LEN, in the last 1 or more
 *   44  4  bytes of the LZ4 frame
 *   48 16  BLAKE2b-128 of bytes 8..47 and of the LZ4 frame
 *   64     LZ4 frame: 04 22 4D 18 60 40 82, bytes of the block (bit 31: it is
 *          not compressed), the block, 0 (4 bytes)
 */
#ifndef PK_CHUNK_H
#define PK_CHUNK_H

#include <notafs/stream.h>

/* raw_len bytes as a chunk, into out, of PK_CHUNK_MAX_LEN bytes; info->len is
 * set. */
void pk_chunk_encode(const struct nf_codec *codec, const uint8_t *raw,
                     size_t raw_len, struct pk_chunk_info *info, uint8_t *out);

/* What is in the chunk at p, which pk_chunk_look has found whole, into raw, of
 * PK_CHUNK_RAW_LEN bytes. Errors: NF_EC_STREAM, NF_EC_NO_CODEC. */
NF_MUST_USE int pk_chunk_decode(const struct nf_codec *codec, const uint8_t *p,
                                uint8_t *raw, size_t *ret_raw_len);

#endif
