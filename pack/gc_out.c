/* SPDX-License-Identifier: ISC */
/*
 * What a pass of a garbage collection writes: the ranges that are live, to the
 * mapping, then their bytes, to the prefix or the volume (spec 8.2, 8.5).
 *
 * Marking finds ranges from the highest down, fuses those that touch, and
 * appends them to the mapping as they come; once all are there they change
 * places, first with last, in the file; then their bytes are copied from the
 * lowest up, and only now does each record learn its position. A mapping of
 * any size so takes one page of memory, beside the samples of struct pk_sparse.
 *
 * In a prefix the kind of a kept commit is D, that of a parent that is not
 * kept P. Where that has to be changed the record, as long as it has no
 * position, holds in its place where the first such entry is (plus 1); from
 * there on the entries of the range are walked through while it is copied.
 */
#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"
#include "pack/entry.h"
#include "pack/gc.h"

static void record_put(uint8_t *p, const struct pk_range_record *r)
{
    nf_put_le64(p, r->off);
    nf_put_le64(p + 8, r->poff);
    nf_put_le64(p + 16, r->len);
}

static struct pk_range_record record_get(const uint8_t *p)
{
    return (struct pk_range_record){nf_get_le64(p), nf_get_le64(p + 8),
                                    nf_get_le64(p + 16)};
}

/* Where record i of this pass stands in the mapping. */
static uint64_t out_pos(const struct pk_gc_out *out, uint64_t i)
{
    return (out->n_base + i) * PK_MAPPING_RECORD_LEN;
}

/* ----------------------------------------------------------------- taking */

/* A dry run writes to the prefix's only, and only if it has to. */
static struct pk_file *out_mapping(struct pk_gc *gc, struct pk_gc_out *out)
{
    return gc->dry_run ? &gc->prefix.mapping : &out->mapping;
}

/* Write the page of records that is full, or the last. */
static int out_flush_page(struct pk_gc *gc, struct pk_gc_out *out)
{
    size_t len = out->n_page * PK_MAPPING_RECORD_LEN;
    struct pk_file *mapping = out_mapping(gc, out);
    int err = 0;

    if (mapping->handle != NULL && len > 0) {
        err = pk_file_write(mapping, out_pos(out, out->n - out->n_page),
                            out->page, len);
        gc->io.written += len;
    }
    if (err == 0) {
        out->n_page = 0;
    }
    return err;
}

/* The range that was being taken is whole. */
static int out_take_range(struct pk_gc *gc, struct pk_gc_out *out)
{
    if (out->range.len == 0) {
        return 0;
    }
    record_put(out->page + out->n_page * PK_MAPPING_RECORD_LEN, &out->range);
    if (out->n == 0) {
        out->last_end = out->range.off + out->range.len;
    }
    out->first = out->range.off;
    out->n++;
    out->n_page++;
    out->bytes += out->range.len;
    out->range.len = 0;
    return out->n_page == PK_GC_PAGE_RECORDS ? out_flush_page(gc, out) : 0;
}

int pk_gc_out_take(struct pk_gc *gc, uint64_t off, uint64_t end, bool patch)
{
    struct pk_gc_out *out = pk_gc_out_now(gc);
    int err = 0;

    if (out->range.len > 0 && out->range.off == end) {
        out->range.off = off;
        out->range.len += end - off;
    } else {
        err = out_take_range(gc, out);
        if (err == 0) {
            out->range = (struct pk_range_record){off, 0, end - off};
        }
    }
    if (err == 0 && patch) {
        out->range.poff = off + 1;
    }
    return err;
}

int pk_gc_out_sync(struct pk_gc *gc)
{
    return out_flush_page(gc, pk_gc_out_now(gc));
}

int pk_gc_out_range(struct pk_gc *gc, uint64_t i, struct pk_range_record *ret)
{
    struct pk_gc_out *out = pk_gc_out_now(gc);
    uint64_t first = i - i % PK_GC_PAGE_RECORDS;
    size_t len = (size_t)nf_min_u64(PK_GC_PAGE_RECORDS, out->n - first) *
                 PK_MAPPING_RECORD_LEN;
    int err = 0;

    if (i == out->n) { /* the one that is being taken */
        *ret = out->range;
        return out->range.len > 0;
    }
    if (i > out->n) {
        return 0;
    }
    if (i == first) {
        err = pk_file_read(out_mapping(gc, out), out_pos(out, first), gc->buf,
                           len);
        gc->io.read += len;
    }
    *ret = record_get(gc->buf + (i - first) * PK_MAPPING_RECORD_LEN);
    return err == 0 ? 1 : err;
}

void pk_gc_out_restart(struct pk_gc_out *out)
{
    out->n = 0;
    out->n_page = 0;
    out->bytes = 0;
    out->range.len = 0;
    out->reverse = 0;
    out->copied = 0;
    out->piece = 0;
}

int pk_gc_out_end(struct pk_gc *gc)
{
    struct pk_gc_out *out = pk_gc_out_now(gc);
    int err = out_take_range(gc, out);

    return err == 0 ? out_flush_page(gc, out) : err;
}

/* --------------------------------------------------------- turning around */

/* Change n records' places with each other's, first with last. */
static void records_reverse(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t *a = p + i * PK_MAPPING_RECORD_LEN;
        uint8_t *b = p + (n - 1 - i) * PK_MAPPING_RECORD_LEN;
        uint8_t swap[PK_MAPPING_RECORD_LEN];

        memcpy(swap, a, sizeof(swap));
        memcpy(a, b, sizeof(swap));
        memcpy(b, swap, sizeof(swap));
    }
}

/* n records at each end of those that are left, n at most half of them. */
static int out_swap_ends(struct pk_gc *gc, struct pk_gc_out *out, uint64_t n)
{
    size_t len = (size_t)n * PK_MAPPING_RECORD_LEN;
    uint64_t low = out_pos(out, out->reverse);
    uint64_t high = out_pos(out, out->n - out->reverse - n);
    uint8_t *a = gc->buf;
    uint8_t *b = gc->buf + len;
    int err = pk_file_read(&out->mapping, low, a, len);

    if (err == 0) {
        err = pk_file_read(&out->mapping, high, b, len);
    }
    if (err != 0) {
        return err;
    }
    records_reverse(a, (size_t)n);
    records_reverse(b, (size_t)n);
    err = pk_file_write(&out->mapping, low, b, len);
    if (err == 0) {
        err = pk_file_write(&out->mapping, high, a, len);
    }
    gc->io.read += 2 * len;
    gc->io.written += 2 * len;
    out->reverse += n;
    return err;
}

int pk_gc_out_reverse(struct pk_gc *gc, uint64_t len)
{
    struct pk_gc_out *out = pk_gc_out_now(gc);
    uint64_t left = (out->n - 2 * out->reverse) / 2;
    uint64_t n = nf_min_u64(len, gc->copy_len) / 4 / PK_MAPPING_RECORD_LEN;
    int err;

    if (left == 0) {
        return 0;
    }
    err = out_swap_ends(gc, out, nf_min_u64(n, left));
    return err == 0 ? 1 : err;
}

/* ---------------------------------------------------------------- copying */

int pk_gc_out_begin_copy(struct pk_gc *gc)
{
    struct pk_gc_out *out = pk_gc_out_now(gc);

    out->poff = out->data_base;
    return pk_samples_grow(&gc->store->ctx, out->n_base + out->n,
                           &out->samples);
}

/* Of the *len bytes at off, of which gc->buf is a copy, set the kinds of the
 * commits, from out->walk on. *len becomes less where an entry's front is not
 * whole. */
static int out_patch(struct pk_gc *gc, struct pk_gc_out *out, uint64_t off,
                     size_t *len, uint64_t end)
{
    size_t hash_len = gc->store->scheme.hash_len;

    while (out->walk < off + *len) {
        size_t at = (size_t)(out->walk - off);
        struct pk_head head;

        if (*len - at < PK_HEAD_MAX && at > 0 && off + *len < end) {
            *len = at;
            break;
        }
        if (!pk_head_decode(gc->buf + at, *len - at, hash_len, &head) ||
            head.len == 0) {
            return pk_store_fail(gc->store, NF_EC_ENTRY, out->walk, "entry");
        }
        if (head.kind == 'D' || head.kind == 'P') {
            gc->buf[at + hash_len] = pk_gc_keeps(gc, out->walk) ? 'D' : 'P';
        }
        out->walk += head.len;
    }
    return 0;
}

/* Bring the page of records that begins at out->copied into memory. */
static int out_load_page(struct pk_gc *gc, struct pk_gc_out *out)
{
    size_t n = (size_t)nf_min_u64(PK_GC_PAGE_RECORDS, out->n - out->copied);
    int err = pk_file_read(&out->mapping, out_pos(out, out->copied), out->page,
                           n * PK_MAPPING_RECORD_LEN);

    gc->io.read += n * PK_MAPPING_RECORD_LEN;
    if (err == 0) {
        out->n_page = n;
    }
    return err;
}

/* The record was copied: on to the next one. */
static int out_next_record(struct pk_gc *gc, struct pk_gc_out *out)
{
    uint64_t i = out->copied % PK_GC_PAGE_RECORDS;
    uint64_t nth = out->n_base + out->copied;
    uint8_t *p = out->page + i * PK_MAPPING_RECORD_LEN;
    struct pk_range_record r = record_get(p);
    size_t len = out->n_page * PK_MAPPING_RECORD_LEN;

    pk_samples_set(&out->samples, nth, r.off);
    r.poff = out->poff - r.len;
    record_put(p, &r);
    out->copied++;
    out->piece = 0;
    if (i + 1 < out->n_page) {
        return 0;
    }
    gc->io.written += len;
    return pk_file_write(&out->mapping, out_pos(out, out->copied - out->n_page),
                         out->page, len);
}

int pk_gc_out_copy(struct pk_gc *gc, uint64_t len)
{
    struct pk_gc_out *out = pk_gc_out_now(gc);
    uint64_t i = out->copied % PK_GC_PAGE_RECORDS;
    struct pk_range_record r;
    uint64_t off;
    size_t got = 0;
    int err = 0;

    if (out->copied == out->n) {
        return 0;
    }
    if (i == 0 && out->piece == 0) {
        err = out_load_page(gc, out);
        if (err != 0) {
            return err;
        }
    }
    r = record_get(out->page + i * PK_MAPPING_RECORD_LEN);
    off = r.off + out->piece;
    if (out->piece == 0) {
        out->walk = r.poff > 0 ? r.poff - 1 : NF_NOWHERE;
    }
    len = (len - 2 * (uint64_t)PK_GC_PAGE_LEN) / 2;
    len = nf_min_u64(nf_min_u64(len, r.len - out->piece), gc->copy_len);
    err = pk_store_read(gc->store, off, gc->buf, (size_t)len, &got);
    if (err != 0) {
        return err;
    }
    gc->io.read += got;
    err = out_patch(gc, out, off, &got, r.off + r.len);
    if (err != 0) {
        return err;
    }
    err = pk_file_write(&out->data, out->poff, gc->buf, got);
    gc->io.written += got;
    out->poff += got;
    out->piece += got;
    if (err == 0 && out->piece == r.len) {
        err = out_next_record(gc, out);
    }
    return err == 0 ? 1 : err;
}

void pk_gc_out_close(struct pk_store *store, struct pk_gc_out *out)
{
    (void)pk_file_close(&out->data);    /* ordered, or not needed */
    (void)pk_file_close(&out->mapping); /* likewise */
    nf_free(&store->ctx.mem, out->page, PK_GC_PAGE_LEN);
    pk_samples_free(&store->ctx, &out->samples);
    *out = (struct pk_gc_out){0};
}
