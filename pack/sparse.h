/* SPDX-License-Identifier: ISC */
/*
 * Byte ranges that a garbage collection kept (spec 8.2). A mapping is a
 * sequence of 24-byte records, little-endian:
 *
 *   0  off   global offset of the range
 *   8  poff  where it stands in the data file
 *  16  len   bytes, > 0
 *
 * ascending in off, disjoint, and contiguous in poff.
 */
#ifndef PK_SPARSE_H
#define PK_SPARSE_H

#include "pack/file.h"

enum { PK_MAPPING_RECORD_LEN = 24, PK_SPARSE_PAGE_RECORDS = 64 };

struct pk_range_record {
    uint64_t off;
    uint64_t poff;
    uint64_t len;
};

/*
 * Of the records of a mapping, some offsets in memory: that of the first of
 * every page or, where these were more than PK_SAMPLES_MAX, of every second
 * page, every fourth, ..., so that memory does not grow with the mapping.
 */
enum { PK_SAMPLES_MAX = 65536 };

struct pk_samples {
    uint64_t *offs;
    size_t n;
    unsigned shift; /* one for 1 << shift pages */
};

/* Room for those of n_records, and in it those that there are. */
NF_MUST_USE int pk_samples_grow(struct pk_ctx *ctx, uint64_t n_records,
                                struct pk_samples *samples);

/* Record i begins at off. */
void pk_samples_set(struct pk_samples *samples, uint64_t i, uint64_t off);
void pk_samples_free(struct pk_ctx *ctx, struct pk_samples *samples);

/* A data file and its mapping. Of the mapping samples are in memory, and the
 * page that was needed last. */
struct pk_sparse {
    struct pk_ctx *ctx;
    struct pk_file data;
    struct pk_file mapping;
    struct pk_samples samples;
    uint64_t n_records;
    uint64_t data_len; /* bytes that they map, and where those end */
    uint64_t page;     /* which one is in records; NF_NOWHERE: none */
    struct pk_range_record records[PK_SPARSE_PAGE_RECORDS];
};

/* Open both files; mapping_len bytes of the mapping count (NF_NOWHERE: all).
 * Errors: NF_EC_MAPPING. */
NF_MUST_USE int pk_sparse_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                               const char *data_name, const char *mapping_name,
                               uint64_t mapping_len, struct pk_sparse *sparse);

/* As pk_sparse_open, of files that we have just written: the samples of the
 * n_records are taken over, on success. */
NF_MUST_USE int pk_sparse_adopt(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                                const char *data_name, const char *mapping_name,
                                const struct pk_samples *samples,
                                uint64_t n_records, uint64_t data_len,
                                struct pk_sparse *sparse);
int pk_sparse_close(struct pk_sparse *sparse);

/* How many records there are, and where in the data file the last one's bytes
 * end. One that is not open has none. */
NF_MUST_USE int pk_sparse_extent(struct pk_sparse *sparse,
                                 uint64_t *ret_n_records,
                                 uint64_t *ret_data_len);

/* NF_EC_MAPPING unless the last range ends at end, or, where at_most, not
 * behind it. What no other record contradicts is seen here alone. */
NF_MUST_USE int pk_sparse_ends(struct pk_sparse *sparse, uint64_t end,
                               bool at_most);

/* At most len bytes at global offset off, never beyond the record that holds
 * it. Errors: NF_EC_NO_OBJECT: no record does. */
NF_MUST_USE int pk_sparse_read(struct pk_sparse *sparse, uint64_t off,
                               uint8_t *buf, size_t len, size_t *ret_len);

/* Where the first record behind off begins; NF_NOWHERE: there is none. */
NF_MUST_USE int pk_sparse_next(struct pk_sparse *sparse, uint64_t off,
                               uint64_t *ret_off);

/* Record i < n_records. */
NF_MUST_USE int pk_sparse_record(struct pk_sparse *sparse, uint64_t i,
                                 struct pk_range_record *ret);

#endif
