/* SPDX-License-Identifier: ISC */
/* The work list of a sender, see visit.h. */
#include "pack/stream/visit.h"

#include <string.h>

#include "notafs/platform/codec.h"

int pk_visits_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                   const char *name, size_t mem_len, struct pk_visits *visits)
{
    size_t cap = mem_len / sizeof(struct pk_visit);

    *visits = (struct pk_visits){.ctx = ctx};
    visits->cap = cap < 64 ? 64 : cap;
    visits->heap = nf_calloc(&ctx->mem, visits->cap, sizeof(*visits->heap));
    visits->filter =
        nf_calloc(&ctx->mem, PK_VISIT_FILTER_N, sizeof(*visits->filter));
    if (visits->heap == NULL || visits->filter == NULL) {
        return pk_fail_mem(ctx);
    }
    return pk_file_open(ctx, vfs, name,
                        PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE,
                        &visits->file);
}

void pk_visits_close(struct pk_visits *visits)
{
    struct nf_mem *mem;

    if (visits->ctx == NULL) {
        return;
    }
    mem = &visits->ctx->mem;
    (void)pk_file_close(&visits->file); /* not needed any more */
    for (size_t i = 0; i < visits->n_runs; i++) {
        nf_free(mem, visits->runs[i], sizeof(**visits->runs));
    }
    nf_free(mem, visits->runs, visits->cap_runs * sizeof(*visits->runs));
    nf_free(mem, visits->heap, visits->cap * sizeof(*visits->heap));
    nf_free(mem, visits->filter, PK_VISIT_FILTER_N * sizeof(*visits->filter));
    *visits = (struct pk_visits){0};
}

/* -------------------------------------------------------------------- heap */

static void heap_sift_down(struct pk_visit *heap, size_t n, size_t at)
{
    struct pk_visit item = heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= n) {
            break;
        }
        if (child + 1 < n && heap[child + 1].off > heap[child].off) {
            child++;
        }
        if (item.off >= heap[child].off) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = item;
}

static void heap_push(struct pk_visits *visits, const struct pk_visit *visit)
{
    size_t at = visits->n++;

    while (at > 0 && visits->heap[(at - 1) / 2].off < visit->off) {
        visits->heap[at] = visits->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    visits->heap[at] = *visit;
}

static struct pk_visit heap_pop(struct pk_visits *visits)
{
    struct pk_visit top = visits->heap[0];

    visits->heap[0] = visits->heap[--visits->n];
    if (visits->n > 0) {
        heap_sift_down(visits->heap, visits->n, 0);
    }
    return top;
}

/* By descending offset, which is a heap, too. */
static void heap_sort(struct pk_visit *heap, size_t n)
{
    for (size_t left = n; left > 1; left--) {
        struct pk_visit top = heap[0];

        heap[0] = heap[left - 1];
        heap_sift_down(heap, left - 1, 0);
        heap[left - 1] = top;
    }
    for (size_t i = 0; i < n / 2; i++) {
        struct pk_visit swap = heap[i];

        heap[i] = heap[n - 1 - i];
        heap[n - 1 - i] = swap;
    }
}

/* -------------------------------------------------------------------- runs */

static int run_fill(struct pk_visits *visits, struct pk_visit_run *run)
{
    uint8_t raw[PK_VISIT_RUN_N * PK_VISIT_LEN];
    uint64_t left = run->end - run->pos;
    uint32_t n = left < PK_VISIT_RUN_N ? (uint32_t)left : PK_VISIT_RUN_N;
    int err = pk_file_read(&visits->file, run->pos * PK_VISIT_LEN, raw,
                           n * PK_VISIT_LEN);

    if (err != 0) {
        return err;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *p = raw + i * PK_VISIT_LEN;

        run->records[i] =
            (struct pk_visit){nf_get_le64(p), nf_get_le64(p + 8),
                              nf_get_le32(p + 16), nf_get_le32(p + 20)};
    }
    run->pos += n;
    run->n = n;
    run->at = 0;
    return 0;
}

/* Take the first record of a run away, and the run with its last one. */
static int run_next(struct pk_visits *visits, size_t i)
{
    struct pk_visit_run *run = visits->runs[i];

    if (++run->at < run->n) {
        return 0;
    }
    if (run->pos < run->end) {
        return run_fill(visits, run);
    }
    nf_free(&visits->ctx->mem, run, sizeof(*run));
    visits->runs[i] = visits->runs[--visits->n_runs];
    if (visits->n_runs == 0) {
        visits->n_file = 0; /* nothing there is needed any more */
    }
    return 0;
}

static int run_add(struct pk_visits *visits, uint64_t pos, uint64_t end)
{
    struct nf_mem *mem = &visits->ctx->mem;
    struct pk_visit_run *run;
    int err;

    if (visits->n_runs == visits->cap_runs) {
        size_t cap = visits->cap_runs == 0 ? 8 : visits->cap_runs * 2;
        struct pk_visit_run **runs;

        if (visits->n_runs >= PK_VISIT_MAX_RUNS) {
            return pk_fail_mem(visits->ctx);
        }
        runs = nf_realloc(mem, visits->runs, visits->cap_runs * sizeof(*runs),
                          cap * sizeof(*runs));
        if (runs == NULL) {
            return pk_fail_mem(visits->ctx);
        }
        visits->runs = runs;
        visits->cap_runs = cap;
    }
    run = nf_calloc(mem, 1, sizeof(*run));
    if (run == NULL) {
        return pk_fail_mem(visits->ctx);
    }
    run->pos = pos;
    run->end = end;
    err = run_fill(visits, run);
    if (err != 0) {
        nf_free(mem, run, sizeof(*run));
        return err;
    }
    visits->runs[visits->n_runs++] = run;
    return 0;
}

/* The lower half of the heap goes to the scratch file. */
static int visits_spill(struct pk_visits *visits)
{
    uint8_t raw[PK_VISIT_RUN_N * PK_VISIT_LEN];
    size_t keep = visits->n / 2;
    uint64_t pos = visits->n_file;
    int err = 0;

    heap_sort(visits->heap, visits->n);
    for (size_t i = keep; i < visits->n && err == 0;) {
        size_t n = 0;

        for (; n < PK_VISIT_RUN_N && i < visits->n; n++, i++) {
            uint8_t *p = raw + n * PK_VISIT_LEN;

            nf_put_le64(p, visits->heap[i].off);
            nf_put_le64(p + 8, visits->heap[i].from);
            nf_put_le32(p + 16, visits->heap[i].slot);
            nf_put_le32(p + 20, visits->heap[i].flags);
        }
        err = pk_file_write(&visits->file, visits->n_file * PK_VISIT_LEN, raw,
                            n * PK_VISIT_LEN);
        visits->n_file += n;
    }
    if (err == 0) {
        err = run_add(visits, pos, visits->n_file);
    }
    if (err == 0) {
        visits->spilled += visits->n - keep;
        visits->n = keep;
    }
    return err;
}

/* --------------------------------------------------------------- push, pop */

/* Was the same pushed of late? What was pushed waits until it is popped, and is
 * not pushed after that: an entry never grows stale. */
static bool visits_known(struct pk_visits *visits, const struct pk_visit *visit)
{
    uint64_t h = visit->off * 0x9e3779b97f4a7c15u >> 32;
    struct pk_visit *seen = &visits->filter[h % PK_VISIT_FILTER_N];

    if (seen->flags != 0 && seen->off == visit->off) {
        if ((visit->flags & ~seen->flags) == 0) {
            return true;
        }
        seen->flags |= visit->flags;
        return false;
    }
    *seen = *visit;
    return false;
}

int pk_visits_push(struct pk_visits *visits, const struct pk_visit *visit)
{
    if (visits_known(visits, visit)) {
        return 0;
    }
    if (visits->n == visits->cap) {
        int err = visits_spill(visits);

        if (err != 0) {
            return err;
        }
    }
    heap_push(visits, visit);
    visits->n_want += (visit->flags & PK_VISIT_WANT) != 0;
    return 0;
}

/* The record at the largest offset, and away with it. 0: none. */
static int visits_take(struct pk_visits *visits, struct pk_visit *ret)
{
    size_t best = SIZE_MAX;
    uint64_t off = 0;
    int err;

    for (size_t i = 0; i < visits->n_runs; i++) {
        const struct pk_visit_run *run = visits->runs[i];

        if (best == SIZE_MAX || run->records[run->at].off > off) {
            best = i;
            off = run->records[run->at].off;
        }
    }
    if (visits->n > 0 && (best == SIZE_MAX || visits->heap[0].off >= off)) {
        *ret = heap_pop(visits);
        return 1;
    }
    if (best == SIZE_MAX) {
        return 0;
    }
    *ret = visits->runs[best]->records[visits->runs[best]->at];
    err = run_next(visits, best);
    return err == 0 ? 1 : err;
}

/* The largest offset that is left, in *ret_off. */
static bool visits_peek(const struct pk_visits *visits, uint64_t *ret_off)
{
    bool any = visits->n > 0;
    uint64_t off = any ? visits->heap[0].off : 0;

    for (size_t i = 0; i < visits->n_runs; i++) {
        const struct pk_visit_run *run = visits->runs[i];

        if (!any || run->records[run->at].off > off) {
            off = run->records[run->at].off;
        }
        any = true;
    }
    *ret_off = off;
    return any;
}

int pk_visits_pop(struct pk_visits *visits, struct pk_visit *ret)
{
    struct pk_visit visit;
    uint64_t off;
    int got = visits_take(visits, ret);

    if (got <= 0) {
        return got;
    }
    visits->n_want -= (ret->flags & PK_VISIT_WANT) != 0;
    while (visits_peek(visits, &off) && off == ret->off) {
        got = visits_take(visits, &visit);
        if (got < 0) {
            return got;
        }
        visits->n_want -= (visit.flags & PK_VISIT_WANT) != 0;
        if ((ret->flags & PK_VISIT_HAVE) == 0) {
            ret->from = visit.from;
            ret->slot = visit.slot;
        }
        ret->flags |= visit.flags;
    }
    return 1;
}
