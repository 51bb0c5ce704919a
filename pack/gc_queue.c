/* SPDX-License-Identifier: ISC */
/*
 * The work list of a garbage collection: which offsets are live and not yet
 * visited. Visits go down, and references point down, so what has been passed
 * never comes back: one window of the offsets, a bit each, is enough to give
 * them in order and each once. References to below the window are remembered
 * in gc_far.c; when a window is done the next one is put where the largest of
 * these is.
 *
 * What that had to drop is found again by whoever uses this: when all above
 * the floor was visited, by another look at what is live there (gc_mark.c). So
 * no number of references takes more memory than was given, nor any file.
 *
 * Of the memory a quarter is for the window. With 16 MiB that is one of 32
 * MiB, and some 7 million references to below it.
 */
#include "pack/gc.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"

enum { QUEUE_MIN_BITS_LEN = 64 };

static void sort_sift(uint64_t *offs, size_t at, size_t n)
{
    uint64_t off = offs[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= n) {
            break;
        }
        if (child + 1 < n && offs[child] < offs[child + 1]) {
            child++;
        }
        if (off >= offs[child]) {
            break;
        }
        offs[at] = offs[child];
        at = child;
    }
    offs[at] = off;
}

void pk_gc_sort(uint64_t *offs, size_t n)
{
    for (size_t i = n / 2; i > 0; i--) {
        sort_sift(offs, i - 1, n);
    }
    for (size_t i = n; i > 1; i--) {
        uint64_t top = offs[0];

        offs[0] = offs[i - 1];
        offs[i - 1] = top;
        sort_sift(offs, 0, i - 1);
    }
}

int pk_gc_queue_open(struct pk_ctx *ctx, size_t mem_len, uint64_t top,
                     struct pk_gc_queue *queue)
{
    size_t bits = (size_t)nf_min_u64(mem_len / 4, top / 8 + 1);

    bits = (size_t)nf_max_u64(bits, QUEUE_MIN_BITS_LEN) / 8 * 8;
    *queue = (struct pk_gc_queue){.ctx = ctx, .bits_len = bits};
    queue->bits = nf_alloc(&ctx->mem, bits);
    if (queue->bits == NULL) {
        return pk_fail_mem(ctx); /* pk_gc_queue_close releases the rest */
    }
    pk_gc_queue_reset(queue, top);
    return pk_gc_far_open(ctx, mem_len - mem_len / 4, top, &queue->far);
}

void pk_gc_queue_close(struct pk_gc_queue *queue)
{
    if (queue->ctx == NULL) {
        return;
    }
    nf_free(&queue->ctx->mem, queue->bits, queue->bits_len);
    pk_gc_far_close(&queue->far);
    *queue = (struct pk_gc_queue){0};
}

void pk_gc_queue_reset(struct pk_gc_queue *queue, uint64_t top)
{
    queue->base = top; /* an empty window: all that comes is below */
    queue->at = top;
    pk_gc_far_reset(&queue->far, top);
}

static void queue_set(struct pk_gc_queue *queue, uint64_t off)
{
    uint64_t bit = off - queue->base;

    queue->bits[bit / 8] |= (uint8_t)(1u << bit % 8);
}

void pk_gc_queue_push(struct pk_gc_queue *queue, uint64_t off)
{
    nf_assert(off < queue->at);
    if (off >= queue->base) {
        queue_set(queue, off);
    } else {
        pk_gc_far_push(&queue->far, off);
    }
}

/* The highest bit below at. */
static bool queue_scan(struct pk_gc_queue *queue, uint64_t *ret_off)
{
    uint64_t bit = queue->at - queue->base;

    while (bit > 0) {
        if (bit % 64 == 0 && nf_get_le64(queue->bits + bit / 8 - 8) == 0) {
            bit -= 64;
            continue;
        }
        bit--;
        if ((queue->bits[bit / 8] & 1u << bit % 8) != 0) {
            *ret_off = queue->base + bit;
            return true;
        }
    }
    return false;
}

/* Put the window where the largest offset left is; false: there is none. Below
 * the floor some are not known. */
static bool queue_move(struct pk_gc_queue *queue)
{
    uint64_t window = (uint64_t)queue->bits_len * 8;
    uint64_t off = 0;

    if (!pk_gc_far_pop(&queue->far, 0, &off)) {
        return false;
    }
    queue->at = off + 1;
    queue->base = queue->at > window ? queue->at - window : 0;
    queue->base = nf_max_u64(queue->base, queue->far.floor);
    memset(queue->bits, 0, queue->bits_len);
    do {
        queue_set(queue, off);
    } while (pk_gc_far_pop(&queue->far, queue->base, &off));
    return true;
}

bool pk_gc_queue_pop(struct pk_gc_queue *queue, uint64_t *ret_off)
{
    uint64_t off = 0;

    if (!queue_scan(queue, &off)) {
        if (!queue_move(queue)) {
            return false;
        }
        off = queue->at - 1;
    }
    queue->at = off;
    *ret_off = off;
    return true;
}
