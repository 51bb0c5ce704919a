/* SPDX-License-Identifier: ISC */
/*
 * Prefixes and volumes: a mapping and the bytes that it maps (spec 8.2;
 * sparse.h has the layout). The whole mapping is validated when opened, page
 * by page, and again page by page as it is read later.
 */
#include "pack/sparse.h"

#include <string.h>

#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"
#include "pack/cursor.h"

/* ---------------------------------------------------------------- samples */

int pk_samples_grow(struct pk_ctx *ctx, uint64_t n_records,
                    struct pk_samples *samples)
{
    uint64_t n_pages = nf_div_up_u64(n_records, PK_SPARSE_PAGE_RECORDS);
    struct pk_samples grown = {.shift = samples->shift};
    size_t stride;

    while (n_pages > (uint64_t)PK_SAMPLES_MAX << grown.shift) {
        grown.shift++;
    }
    grown.n = (size_t)nf_div_up_u64(n_pages, UINT64_C(1) << grown.shift);
    if (grown.n == 0) {
        return 0;
    }
    grown.offs = nf_calloc(&ctx->mem, grown.n, sizeof(*grown.offs));
    if (grown.offs == NULL) {
        return pk_fail_mem(ctx);
    }
    stride = (size_t)1 << (grown.shift - samples->shift);
    for (size_t i = 0; i * stride < samples->n; i++) {
        grown.offs[i] = samples->offs[i * stride];
    }
    pk_samples_free(ctx, samples);
    *samples = grown;
    return 0;
}

void pk_samples_set(struct pk_samples *samples, uint64_t i, uint64_t off)
{
    uint64_t stride = (uint64_t)PK_SPARSE_PAGE_RECORDS << samples->shift;

    if (i % stride == 0) {
        samples->offs[i / stride] = off;
    }
}

void pk_samples_free(struct pk_ctx *ctx, struct pk_samples *samples)
{
    nf_free(&ctx->mem, samples->offs, samples->n * sizeof(*samples->offs));
    *samples = (struct pk_samples){0};
}

/* ---------------------------------------------------------------- records */

static int sparse_bad(struct pk_sparse *sparse, uint64_t record)
{
    return pk_fail(sparse->ctx, NF_EC_MAPPING, sparse->mapping.name,
                   record * PK_MAPPING_RECORD_LEN, "mapping record");
}

/* Bring a page of records into memory. */
static int sparse_load(struct pk_sparse *sparse, uint64_t page)
{
    uint8_t raw[16 * PK_MAPPING_RECORD_LEN];
    uint64_t first = page * PK_SPARSE_PAGE_RECORDS;
    uint64_t n = nf_min_u64(PK_SPARSE_PAGE_RECORDS, sparse->n_records - first);

    if (sparse->page == page) {
        return 0;
    }
    sparse->page = NF_NOWHERE;
    for (uint64_t i = 0; i < n; i++) {
        struct pk_range_record *r = &sparse->records[i];
        const uint8_t *p = raw + i % 16 * PK_MAPPING_RECORD_LEN;

        if (i % 16 == 0) {
            int err = pk_file_read(
                &sparse->mapping, (first + i) * PK_MAPPING_RECORD_LEN, raw,
                (size_t)nf_min_u64(16, n - i) * PK_MAPPING_RECORD_LEN);

            if (err != 0) {
                return err;
            }
        }
        r->off = nf_get_le64(p);
        r->poff = nf_get_le64(p + 8);
        r->len = nf_get_le64(p + 16);
        if (r->off > PK_INT63_MAX || r->poff > PK_INT63_MAX || r->len == 0 ||
            r->len > PK_INT63_MAX) {
            return sparse_bad(sparse, first + i);
        }
    }
    sparse->page = page;
    return 0;
}

/* Order and contiguity of all records, and a sample of each page. */
static int sparse_validate(struct pk_sparse *sparse)
{
    uint64_t off = 0;
    uint64_t poff = 0;
    uint64_t size = 0;

    for (uint64_t i = 0; i < sparse->n_records; i++) {
        struct pk_range_record r;
        int err = pk_sparse_record(sparse, i, &r);

        if (err != 0) {
            return err;
        }
        if (i == 0) {
            poff = r.poff;
        }
        if (r.off < off || r.poff != poff) {
            return sparse_bad(sparse, i);
        }
        off = r.off + r.len;
        poff += r.len;
        pk_samples_set(&sparse->samples, i, r.off);
    }
    if (sparse->n_records > 0) {
        int err = pk_file_size(&sparse->data, &size);

        if (err != 0) {
            return err;
        }
    }
    sparse->data_len = sparse->n_records > 0 ? poff : 0;
    if (poff > size) {
        return pk_fail_short(sparse->ctx, sparse->data.name, poff, size);
    }
    return 0;
}

int pk_sparse_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                   const char *data_name, const char *mapping_name,
                   uint64_t mapping_len, struct pk_sparse *sparse)
{
    uint64_t size = 0;
    int err;

    memset(sparse, 0, sizeof(*sparse));
    sparse->ctx = ctx;
    sparse->page = NF_NOWHERE;
    err = pk_file_open(ctx, vfs, data_name, 0, &sparse->data);
    if (err == 0) {
        err = pk_file_open(ctx, vfs, mapping_name, 0, &sparse->mapping);
    }
    if (err == 0) {
        err = pk_file_size(&sparse->mapping, &size);
    }
    if (err != 0) {
        return err;
    }
    if (mapping_len == NF_NOWHERE) {
        mapping_len = size;
    }
    if (mapping_len > size || mapping_len % PK_MAPPING_RECORD_LEN != 0) {
        return pk_fail(ctx, NF_EC_MAPPING, mapping_name,
                       nf_min_u64(mapping_len, size), "length");
    }
    sparse->n_records = mapping_len / PK_MAPPING_RECORD_LEN;
    err = pk_samples_grow(ctx, sparse->n_records, &sparse->samples);
    return err == 0 ? sparse_validate(sparse) : err;
}

int pk_sparse_adopt(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                    const char *data_name, const char *mapping_name,
                    const struct pk_samples *samples, uint64_t n_records,
                    uint64_t data_len, struct pk_sparse *sparse)
{
    int err;

    memset(sparse, 0, sizeof(*sparse));
    sparse->ctx = ctx;
    sparse->page = NF_NOWHERE;
    err = pk_file_open(ctx, vfs, data_name, 0, &sparse->data);
    if (err == 0) {
        err = pk_file_open(ctx, vfs, mapping_name, 0, &sparse->mapping);
    }
    if (err == 0) {
        sparse->samples = *samples;
        sparse->n_records = n_records;
        sparse->data_len = data_len;
    }
    return err;
}

int pk_sparse_close(struct pk_sparse *sparse)
{
    int err;
    int err2;

    if (sparse->ctx == NULL) {
        return 0;
    }
    pk_samples_free(sparse->ctx, &sparse->samples);
    err = pk_file_close(&sparse->data);
    err2 = pk_file_close(&sparse->mapping);
    memset(sparse, 0, sizeof(*sparse));
    return err == 0 ? err2 : err;
}

int pk_sparse_record(struct pk_sparse *sparse, uint64_t i,
                     struct pk_range_record *ret)
{
    int err = sparse_load(sparse, i / PK_SPARSE_PAGE_RECORDS);

    if (err == 0) {
        *ret = sparse->records[i % PK_SPARSE_PAGE_RECORDS];
    }
    return err;
}

int pk_sparse_extent(struct pk_sparse *sparse, uint64_t *ret_n_records,
                     uint64_t *ret_data_len)
{
    struct pk_range_record last = {0};
    int err = 0;

    if (sparse->n_records > 0) {
        err = pk_sparse_record(sparse, sparse->n_records - 1, &last);
    }
    if (err == 0) {
        *ret_n_records = sparse->n_records;
        *ret_data_len = last.poff + last.len;
    }
    return err;
}

int pk_sparse_ends(struct pk_sparse *sparse, uint64_t end, bool at_most)
{
    struct pk_range_record last = {0};
    int err = 0;

    if (sparse->n_records > 0) {
        err = pk_sparse_record(sparse, sparse->n_records - 1, &last);
    }
    if (err == 0 && (last.off + last.len > end ||
                     (last.off + last.len < end && !at_most))) {
        err = sparse_bad(sparse,
                         sparse->n_records == 0 ? 0 : sparse->n_records - 1);
    }
    return err;
}

/* The last record of a page that begins at off or before, or the first. */
static size_t sparse_find_in_page(const struct pk_sparse *sparse, size_t n,
                                  uint64_t off)
{
    size_t lo = 0;
    size_t hi = n;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (sparse->records[mid].off <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Bring the page into memory that holds the last record which begins at off or
 * before, or else the first; there is one. */
static int sparse_find_page(struct pk_sparse *sparse, uint64_t off)
{
    const struct pk_samples *samples = &sparse->samples;
    uint64_t lo = 0;
    uint64_t hi = samples->n;
    int err;

    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;

        if (samples->offs[mid] <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    lo <<= samples->shift;
    hi = nf_min_u64(lo + (UINT64_C(1) << samples->shift),
                    nf_div_up_u64(sparse->n_records, PK_SPARSE_PAGE_RECORDS));
    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;

        err = sparse_load(sparse, mid);
        if (err != 0) {
            return err;
        }
        if (sparse->records[0].off <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return sparse_load(sparse, lo);
}

/* The same, and which record it is. */
static int sparse_find(struct pk_sparse *sparse, uint64_t off, uint64_t *ret_i)
{
    uint64_t first;
    int err = sparse_find_page(sparse, off);

    if (err == 0) {
        first = sparse->page * PK_SPARSE_PAGE_RECORDS;
        *ret_i = first + sparse_find_in_page(
                             sparse,
                             (size_t)nf_min_u64(PK_SPARSE_PAGE_RECORDS,
                                                sparse->n_records - first),
                             off);
    }
    return err;
}

int pk_sparse_read(struct pk_sparse *sparse, uint64_t off, uint8_t *buf,
                   size_t len, size_t *ret_len)
{
    const struct pk_range_record *r;
    uint64_t i = 0;
    size_t got;
    int err;

    if (sparse->n_records == 0 || off < sparse->samples.offs[0]) {
        return NF_EC_NO_OBJECT;
    }
    err = sparse_find(sparse, off, &i);
    if (err != 0) {
        return err;
    }
    r = &sparse->records[i % PK_SPARSE_PAGE_RECORDS];
    if (off < r->off || off - r->off >= r->len) {
        return NF_EC_NO_OBJECT;
    }
    got = (size_t)nf_min_u64(len, r->len - (off - r->off));
    err = pk_file_read(&sparse->data, r->poff + (off - r->off), buf, got);
    if (err == 0) {
        *ret_len = got;
    }
    return err;
}

int pk_sparse_next(struct pk_sparse *sparse, uint64_t off, uint64_t *ret_off)
{
    struct pk_range_record r = {.off = NF_NOWHERE};
    uint64_t i = 0;
    int err = 0;

    if (sparse->n_records > 0) {
        err = sparse_find(sparse, off, &i);
        if (err == 0) {
            err = pk_sparse_record(sparse, i, &r);
        }
        if (err == 0 && off >= r.off) {
            r.off = NF_NOWHERE;
            err = i + 1 < sparse->n_records
                      ? pk_sparse_record(sparse, i + 1, &r)
                      : 0;
        }
    }
    if (err == 0) {
        *ret_off = r.off;
    }
    return err;
}
