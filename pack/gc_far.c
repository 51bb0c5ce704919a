/* SPDX-License-Identifier: ISC */
/*
 * A set of offsets in little memory, for the work list of a garbage collection.
 * They stand in descending order, each as its distance to the one before, a
 * varint: one or two bytes where objects are dense. New ones wait as numbers;
 * when there is no more room for these they are sorted and merged with the
 * others, in place: what is encoded stands at the end of the memory, what comes
 * out at its front, and in between there is always room for what the new ones
 * add, at most a varint each.
 *
 * When that room is needed the lower ones are dropped, and all that is below
 * them is from then on: floor tells.
 */
#include "pack/gc.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"

enum { FAR_VARINT_MAX = 9, FAR_MIN_NEWS = 16 };

/* Room that a merge needs at the front. */
static size_t far_gap(const struct pk_gc_far *far)
{
    return far->cap_news * FAR_VARINT_MAX;
}

int pk_gc_far_open(struct pk_ctx *ctx, size_t mem_len, uint64_t top,
                   struct pk_gc_far *far)
{
    size_t n = mem_len / 12 / sizeof(uint64_t);
    size_t len = mem_len - n * sizeof(uint64_t);

    n = (size_t)nf_min_u64(n, top / 64);
    n = (size_t)nf_max_u64(n, FAR_MIN_NEWS);
    /* Distances of less than 128 take most, no entry is shorter than 16. */
    len = (size_t)nf_min_u64(len, top / 8 + 4 * FAR_VARINT_MAX * n);
    len = (size_t)nf_max_u64(len, 4 * FAR_VARINT_MAX * n);
    *far = (struct pk_gc_far){.ctx = ctx, .cap_news = n, .len = len};
    far->news = nf_calloc(&ctx->mem, n, sizeof(uint64_t));
    far->buf = nf_alloc(&ctx->mem, len);
    if (far->news == NULL || far->buf == NULL) {
        return pk_fail_mem(ctx); /* pk_gc_far_close releases the other */
    }
    pk_gc_far_reset(far, top);
    return 0;
}

void pk_gc_far_close(struct pk_gc_far *far)
{
    if (far->ctx != NULL) {
        nf_free(&far->ctx->mem, far->news, far->cap_news * sizeof(uint64_t));
        nf_free(&far->ctx->mem, far->buf, far->len);
    }
    *far = (struct pk_gc_far){0};
}

void pk_gc_far_reset(struct pk_gc_far *far, uint64_t top)
{
    far->n_news = 0;
    far->at = far->len;
    far->from = top;
    far->floor = 0;
}

/* ---------------------------------------------------------------- encoding */

/* The one that is encoded at *at, where the one before was from. */
static uint64_t far_get(const struct pk_gc_far *far, size_t *at, uint64_t from)
{
    uint64_t v = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        nf_assert(*at < far->len && shift < 64);
        byte = far->buf[(*at)++];
        v |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    return from - v;
}

static size_t far_put(struct pk_gc_far *far, size_t at, uint64_t v)
{
    while (v >= 0x80) {
        far->buf[at++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    far->buf[at++] = (uint8_t)v;
    return at;
}

/* Of the end bytes at the front keep about half; returns how many. */
static size_t far_drop(struct pk_gc_far *far, size_t end)
{
    uint64_t off = far->from;
    size_t at = 0;

    while (at < end / 2) {
        off = far_get(far, &at, off);
    }
    far->floor = off;
    return at;
}

/* Bring the new ones among the others. */
static void far_merge(struct pk_gc_far *far)
{
    uint64_t last = far->from;
    uint64_t old = 0;
    bool has_old = far->at < far->len;
    size_t in = far->at;
    size_t out = 0;
    size_t n = far->n_news;

    pk_gc_sort(far->news, n);
    if (has_old) {
        old = far_get(far, &in, far->from);
    }
    while (has_old || n > 0) {
        bool fresh = n > 0 && (!has_old || far->news[n - 1] >= old);
        uint64_t off = fresh ? far->news[n - 1] : old;

        if (off < last) { /* each once */
            out = far_put(far, out, last - off);
            last = off;
        }
        if (fresh) {
            n--;
            continue;
        }
        has_old = in < far->len;
        if (has_old) {
            old = far_get(far, &in, old);
        }
        nf_assert(out <= in);
    }
    far->n_news = 0;
    if (out > far->len - far_gap(far)) {
        out = far_drop(far, out);
    }
    memmove(far->buf + far->len - out, far->buf, out);
    far->at = far->len - out;
}

/* -------------------------------------------------------------------- use */

void pk_gc_far_push(struct pk_gc_far *far, uint64_t off)
{
    nf_assert(off < far->from);
    if (off < far->floor) {
        return;
    }
    far->news[far->n_news++] = off;
    if (far->n_news == far->cap_news) {
        far_merge(far);
    }
}

bool pk_gc_far_pop(struct pk_gc_far *far, uint64_t low, uint64_t *ret_off)
{
    size_t at;
    uint64_t off;

    if (far->n_news > 0) {
        far_merge(far);
    }
    at = far->at;
    if (at == far->len) {
        return false;
    }
    off = far_get(far, &at, far->from);
    if (off < low) {
        return false;
    }
    far->at = at;
    far->from = off;
    *ret_off = off;
    return true;
}
