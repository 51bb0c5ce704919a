/* SPDX-License-Identifier: ISC */
/*
 * History: the commits that some can be reached from, each once. Those waiting
 * are a heap by date, newest first; a set of hashes tells which have been met.
 * A parent is found where its child says that it is; the index is asked for
 * those at the beginning, for references by hash, and for parents that were
 * collected, as they may have been written again.
 */
#include <string.h>

#include "pack/objects.h"
#include "pack/store/repo.h"

struct history {
    struct pk_repo *repo;
    struct pk_commit_at *heap;
    size_t n;
    size_t cap;
    struct pk_digest *met; /* open addressing; met_used tells which */
    uint8_t *met_used;
    size_t n_met;
    size_t met_cap;
    pk_commit_fn gone;
    void *arg;
};

static size_t met_slot(const struct history *h, const struct pk_digest *hash)
{
    size_t i = (size_t)nf_get_le64(hash->b) & (h->met_cap - 1);

    while (h->met_used[i] != 0 &&
           memcmp(&h->met[i], hash, sizeof(*hash)) != 0) {
        i = (i + 1) & (h->met_cap - 1);
    }
    return i;
}

static void met_release(struct history *h)
{
    struct nf_mem *mem = &h->repo->store.ctx.mem;

    nf_free(mem, h->met, h->met_cap * sizeof(*h->met));
    nf_free(mem, h->met_used, h->met_cap);
}

static int met_grow(struct history *h)
{
    struct nf_mem *mem = &h->repo->store.ctx.mem;
    struct history old = *h;

    h->met_cap = old.met_cap == 0 ? 64 : old.met_cap * 2;
    h->met = nf_calloc(mem, h->met_cap, sizeof(*h->met));
    h->met_used = nf_calloc(mem, h->met_cap, 1);
    if (h->met == NULL || h->met_used == NULL) {
        nf_free(mem, h->met, h->met == NULL ? 0 : h->met_cap * sizeof(*h->met));
        nf_free(mem, h->met_used, h->met_used == NULL ? 0 : h->met_cap);
        h->met = old.met;
        h->met_used = old.met_used;
        h->met_cap = old.met_cap;
        return pk_fail_mem(&h->repo->store.ctx);
    }
    for (size_t i = 0; i < old.met_cap; i++) {
        if (old.met_used[i] != 0) {
            size_t slot = met_slot(h, &old.met[i]);

            h->met[slot] = old.met[i];
            h->met_used[slot] = 1;
        }
    }
    met_release(&old);
    return 0;
}

/* Newer first; equal dates by hash, so that the order is one. */
static bool history_before(const struct pk_commit_at *x,
                           const struct pk_commit_at *y)
{
    const struct pk_commit *a = x->commit;
    const struct pk_commit *b = y->commit;

    if (a->info.date != b->info.date) {
        return a->info.date > b->info.date;
    }
    return memcmp(&a->hash, &b->hash, sizeof(a->hash)) < 0;
}

static int heap_push(struct history *h, const struct pk_commit_at *commit)
{
    size_t i = h->n;

    if (h->n == h->cap) {
        size_t cap = h->cap == 0 ? 16 : h->cap * 2;
        struct pk_commit_at *heap =
            nf_realloc(&h->repo->store.ctx.mem, h->heap, h->cap * sizeof(*heap),
                       cap * sizeof(*heap));

        if (heap == NULL) {
            return pk_fail_mem(&h->repo->store.ctx);
        }
        h->heap = heap;
        h->cap = cap;
    }
    h->n++;
    while (i > 0 && history_before(commit, &h->heap[(i - 1) / 2])) {
        h->heap[i] = h->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->heap[i] = *commit;
    return 0;
}

static struct pk_commit_at heap_pop(struct history *h)
{
    struct pk_commit_at top = h->heap[0];
    struct pk_commit_at last = h->heap[--h->n];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= h->n) {
            break;
        }
        if (child + 1 < h->n &&
            history_before(&h->heap[child + 1], &h->heap[child])) {
            child++;
        }
        if (history_before(&last, &h->heap[child])) {
            break;
        }
        h->heap[i] = h->heap[child];
        i = child;
    }
    if (h->n > 0) {
        h->heap[i] = last;
    }
    return top;
}

/* Read a commit, at off unless that is not known or what is there is only the
 * remains of one. */
static int history_read(struct history *h, const struct pk_digest *hash,
                        uint64_t off, struct pk_commit_at *ret)
{
    struct pk_store *store = &h->repo->store;
    struct pk_head head = {0};
    uint8_t kind;
    int err = off == NF_NOWHERE ? 0 : pk_object_head(store, off, &head);

    if (err != 0) {
        return err;
    }
    if (off == NF_NOWHERE ||
        (head.kind == 'P' && store->lower.n_volumes == 0)) {
        err = pk_object_find(store, hash, true, &off, &kind);
    }
    return err == 0 ? pk_commit_read(store, off, ret) : err;
}

/* A commit met for the first time waits for its turn. */
static int history_meet(struct history *h, const struct pk_digest *hash,
                        uint64_t off)
{
    struct pk_commit_at commit;
    size_t slot;
    int err = 2 * (h->n_met + 1) > h->met_cap ? met_grow(h) : 0;

    if (err != 0) {
        return err;
    }
    slot = met_slot(h, hash);
    if (h->met_used[slot] != 0) {
        return 0;
    }
    h->met_used[slot] = 1;
    h->met[slot] = *hash;
    h->n_met++;
    err = history_read(h, hash, off, &commit);
    if (nf_err_class(err) == NF_ENOENT) {
        return h->gone != NULL ? h->gone(h->arg, hash) : 0;
    }
    if (err == 0) {
        err = heap_push(h, &commit);
        if (err != 0) {
            pk_commit_release(&h->repo->store, &commit);
        }
    }
    return err;
}

int pk_history(struct pk_repo *repo, const struct pk_digest *from,
               size_t n_from, pk_history_fn fn, pk_commit_fn gone, void *arg)
{
    struct history h = {.repo = repo, .gone = gone, .arg = arg};
    int err = 0;

    for (size_t i = 0; i < n_from && err == 0; i++) {
        err = history_meet(&h, &from[i], NF_NOWHERE);
    }
    while (err == 0 && h.n > 0) {
        struct pk_commit_at at = heap_pop(&h);

        err = fn(arg, at.commit);
        for (size_t i = 0; i < at.commit->n_parents && err == 0; i++) {
            err = history_meet(&h, &at.commit->parents[i], at.parent_offs[i]);
        }
        pk_commit_release(&repo->store, &at);
    }
    while (h.n > 0) {
        pk_commit_release(&repo->store, &h.heap[--h.n]);
    }
    nf_free(&repo->store.ctx.mem, h.heap, h.cap * sizeof(*h.heap));
    met_release(&h);
    return err;
}
