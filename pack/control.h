/* SPDX-License-Identifier: ISC */
/*
 * Control files: which bytes of which files make up the store (spec 2).
 *
 * store.control: 8 ASCII digits of the version, then the payload
 *
 *   V3 dict_end, suffix_end, status
 *   V4 dict_end, chunk_end, from_v3 (bool), checksum, chunk_start, chunk_num,
 *      status
 *   V5 dict_end, chunk_end, upgraded_from (option int), checksum, chunk_start,
 *      chunk_num, volume_num, status
 *
 * Ends, checksum: int63, big-endian; chunks and volumes: varints. A status is
 * a varint and what enum pk_status names. The checksum is Adler-32 of the
 * payload with 8 zero bytes in its place.
 *
 * volume.control: "00000005", start, end, mapping_end, checksum; 40 bytes.
 */
#ifndef PK_CONTROL_H
#define PK_CONTROL_H

#include "pack/buf.h"
#include "pack/ctx.h"

enum { PK_CONTROL_MAX_LEN = 4096, PK_VOLUME_CONTROL_LEN = 40 };

enum pk_status {
    PK_STATUS_V1_UPGRADED, /* upgrade_off */
    PK_STATUS_NO_GC_YET,
    PK_STATUS_NON_MINIMAL,
    PK_STATUS_GCED, /* suffix_start, generation, gc_target, dead, mapping_end */
};

/* The V5 view of store.control, whatever its version. */
struct pk_control {
    uint32_t version; /* of the file: 3, 4 or 5 */
    uint64_t dict_end;
    uint64_t chunk_end;     /* length of the last chunk */
    uint64_t upgraded_from; /* 0: none */
    uint64_t chunk_start;
    uint64_t chunk_num; /* >= 1 */
    uint64_t volume_num;
    enum pk_status status;
    uint64_t upgrade_off;
    uint64_t suffix_start; /* 0 unless GCED, as all below */
    uint64_t generation;
    uint64_t gc_target;
    uint64_t dead;
    uint64_t mapping_end; /* NF_NOWHERE: not recorded */
};

/* Decode and validate. Errors: NF_EC_PACK_VERSION, NF_EC_CONTROL,
 * NF_EC_CONTROL_SUM. */
NF_MUST_USE int pk_control_decode(struct pk_ctx *ctx, const uint8_t *p,
                                  size_t len, struct pk_control *ret);

/* As a V5 file. */
void pk_control_encode(const struct pk_control *control, struct pk_buf *out);

bool pk_control_equal(const struct pk_control *a, const struct pk_control *b);

struct pk_volume_control {
    uint64_t start; /* offsets that the volume holds: start <= off < end */
    uint64_t end;
    uint64_t mapping_end;
};

/* Errors: as pk_control_decode, and NF_EC_VOLUME. */
NF_MUST_USE int pk_volume_control_decode(struct pk_ctx *ctx, const char *name,
                                         const uint8_t *p, size_t len,
                                         struct pk_volume_control *ret);
void pk_volume_control_encode(const struct pk_volume_control *control,
                              struct pk_buf *out);

#endif
