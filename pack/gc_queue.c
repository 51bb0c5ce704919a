/* SPDX-License-Identifier: ISC */
/*
 * The work list of a garbage collection: which offsets are live and not yet
 * visited. Visits go down, and references point down, so what has been passed
 * never comes back: one window of the offsets, a bit each, is enough to give
 * them in order and each once. References to below the window are remembered
 * as numbers, without those that came twice, and beyond a certain number in
 * sorted runs in a scratch file, of which only the positions stay in memory.
 * When a window is done the next one is put where the largest of them is, and
 * takes from each run the part that lies in it.
 *
 * Memory, of mem_len bytes given: half for the window, an eighth for the
 * numbers, at most a quarter for the runs. With 16 MiB that is a window of 64
 * MiB, 262144 numbers, and runs for 45 * 10^9 references.
 */
#include "pack/gc.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"

enum { QUEUE_MIN_BITS_LEN = 64, QUEUE_MIN_PENDING = 64, QUEUE_MIN_ENTRY = 16 };

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

int pk_gc_queue_open(struct pk_ctx *ctx, struct pk_gc_io *io, size_t mem_len,
                     uint64_t top, struct pk_gc_queue *queue)
{
    size_t bits = mem_len / 2;
    size_t pending = mem_len / 8 / sizeof(uint64_t);

    bits = (size_t)nf_min_u64(bits, top / 8 + 1);
    bits = (size_t)nf_max_u64(bits, QUEUE_MIN_BITS_LEN) / 8 * 8;
    pending = (size_t)nf_min_u64(pending, top / QUEUE_MIN_ENTRY);
    pending = (size_t)nf_max_u64(pending, QUEUE_MIN_PENDING);
    *queue = (struct pk_gc_queue){.ctx = ctx, .io = io};
    queue->bits = nf_alloc(&ctx->mem, bits);
    queue->bits_len = bits;
    queue->pending = nf_calloc(&ctx->mem, pending, sizeof(uint64_t));
    queue->cap_pending = pending;
    queue->max_runs = mem_len / 4 / sizeof(struct pk_gc_run);
    if (queue->bits == NULL || queue->pending == NULL) {
        return pk_fail_mem(ctx); /* pk_gc_queue_close releases the rest */
    }
    pk_gc_queue_reset(queue, top);
    return 0;
}

void pk_gc_queue_close(struct pk_gc_queue *queue)
{
    struct nf_mem *mem;

    if (queue->ctx == NULL) {
        return;
    }
    mem = &queue->ctx->mem;
    nf_free(mem, queue->bits, queue->bits_len);
    nf_free(mem, queue->pending, queue->cap_pending * sizeof(uint64_t));
    nf_free(mem, queue->runs, queue->cap_runs * sizeof(*queue->runs));
    *queue = (struct pk_gc_queue){0};
}

void pk_gc_queue_reset(struct pk_gc_queue *queue, uint64_t top)
{
    queue->base = top; /* an empty window: all that comes is below */
    queue->at = top;
    queue->n_pending = 0;
    queue->spilling = false;
    queue->n_runs = 0;
    queue->loaded = 0;
    queue->n_file = 0;
}

static void queue_set(struct pk_gc_queue *queue, uint64_t off)
{
    uint64_t bit = off - queue->base;

    queue->bits[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* Sort pending, descending, each once. */
static void queue_tidy(struct pk_gc_queue *queue)
{
    uint64_t *p = queue->pending;
    size_t n = 0;

    pk_gc_sort(p, queue->n_pending);
    for (size_t i = 0; i < queue->n_pending; i++) {
        if (n == 0 || p[n - 1] != p[i]) {
            p[n++] = p[i];
        }
    }
    for (size_t i = 0; i < n / 2; i++) {
        uint64_t off = p[i];

        p[i] = p[n - 1 - i];
        p[n - 1 - i] = off;
    }
    queue->n_pending = n;
}

void pk_gc_queue_push(struct pk_gc_queue *queue, uint64_t off)
{
    nf_assert(off < queue->at && !pk_gc_queue_busy(queue));
    if (off >= queue->base) {
        queue_set(queue, off);
        return;
    }
    queue->pending[queue->n_pending++] = off;
    if (queue->n_pending == queue->cap_pending) {
        queue_tidy(queue);
        if (queue->n_pending > queue->cap_pending / 2) {
            queue->spilling = true;
            queue->spilled = 0;
        }
    }
}

/* ----------------------------------------------------------------- windows */

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

/* Put the window where the largest offset left is; false: there is none. */
static bool queue_move(struct pk_gc_queue *queue)
{
    uint64_t window = (uint64_t)queue->bits_len * 8;
    uint64_t top = 0;
    size_t kept = 0;

    for (size_t i = 0; i < queue->n_pending; i++) {
        top = nf_max_u64(top, queue->pending[i] + 1);
    }
    for (size_t i = 0; i < queue->n_runs; i++) {
        top = nf_max_u64(top, queue->runs[i].next + 1);
    }
    if (top == 0) {
        return false;
    }
    queue->base = top > window ? top - window : 0;
    queue->at = top;
    queue->loaded = 0;
    memset(queue->bits, 0, queue->bits_len);
    for (size_t i = 0; i < queue->n_pending; i++) {
        if (queue->pending[i] >= queue->base) {
            queue_set(queue, queue->pending[i]);
        } else {
            queue->pending[kept++] = queue->pending[i];
        }
    }
    queue->n_pending = kept;
    return true;
}

int pk_gc_queue_pop(struct pk_gc_queue *queue, uint64_t *ret_off)
{
    while (!pk_gc_queue_busy(queue)) {
        uint64_t off = 0;

        if (queue_scan(queue, &off)) {
            queue->at = off;
            *ret_off = off;
            return 1;
        }
        if (!queue_move(queue)) {
            return 0;
        }
    }
    return 0;
}

/* -------------------------------------------------------- the scratch file */

static int queue_add_run(struct pk_gc_queue *queue)
{
    if (queue->n_runs == queue->cap_runs) {
        size_t cap = queue->cap_runs == 0 ? 8 : queue->cap_runs * 2;
        struct pk_gc_run *runs;

        if (queue->n_runs >= queue->max_runs) {
            return pk_fail_mem(queue->ctx);
        }
        runs = nf_realloc(&queue->ctx->mem, queue->runs,
                          queue->cap_runs * sizeof(*runs), cap * sizeof(*runs));
        if (runs == NULL) {
            return pk_fail_mem(queue->ctx);
        }
        queue->runs = runs;
        queue->cap_runs = cap;
    }
    queue->runs[queue->n_runs++] = (struct pk_gc_run){
        queue->n_file - queue->n_pending, queue->n_file, queue->pending[0]};
    queue->loaded = queue->n_runs; /* it lies below the window */
    queue->n_pending = 0;
    queue->spilling = false;
    return 0;
}

static int queue_spill(struct pk_gc_queue *queue, struct pk_file *scratch,
                       uint8_t *buf)
{
    size_t n = (size_t)nf_min_u64(PK_GC_BLOCK_LEN / 8,
                                  queue->n_pending - queue->spilled);
    int err;

    for (size_t i = 0; i < n; i++) {
        nf_put_le64(buf + 8 * i, queue->pending[queue->spilled + i]);
    }
    if (queue->n_runs == 0 && queue->spilled == 0) {
        queue->n_file = 0; /* nothing there is needed any more */
    }
    err = pk_file_write(scratch, queue->n_file * 8, buf, n * 8);
    if (err != 0) {
        return err;
    }
    queue->io->written += n * 8;
    queue->n_file += n;
    queue->spilled += n;
    return queue->spilled == queue->n_pending ? queue_add_run(queue) : 0;
}

/* Take what lies in the window from the run that is next. */
static int queue_load(struct pk_gc_queue *queue, struct pk_file *scratch,
                      uint8_t *buf)
{
    struct pk_gc_run *run = &queue->runs[queue->loaded];
    size_t n = (size_t)nf_min_u64(PK_GC_BLOCK_LEN / 8, run->end - run->pos);
    int err;

    if (run->next < queue->base) {
        queue->loaded++;
        return 0;
    }
    err = pk_file_read(scratch, run->pos * 8, buf, n * 8);
    if (err != 0) {
        return err;
    }
    queue->io->read += n * 8;
    for (size_t i = 0; i < n; i++) {
        uint64_t off = nf_get_le64(buf + 8 * i);

        if (off > run->next) {
            return pk_fail(queue->ctx, NF_EIO, scratch->name, run->pos * 8,
                           "work list");
        }
        run->next = off;
        if (off < queue->base) {
            queue->loaded++;
            return 0;
        }
        queue_set(queue, off);
        run->pos++;
    }
    if (run->pos == run->end) {
        *run = queue->runs[--queue->n_runs];
    }
    return 0;
}

int pk_gc_queue_work(struct pk_gc_queue *queue, struct pk_file *scratch,
                     uint8_t *buf)
{
    return queue->spilling ? queue_spill(queue, scratch, buf)
                           : queue_load(queue, scratch, buf);
}
