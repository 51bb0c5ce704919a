/* SPDX-License-Identifier: ISC */
/*
 * History: the commits that some can be reached from, each once. Those waiting
 * are a heap by date, newest first; a set of hashes tells which have been met.
 * A parent is found where its child says that it is; the index is asked for
 * those at the beginning, for references by hash, and for parents that were
 * collected, as they may have been written again.
 *
 * A commit whose root is not there cannot be verified: it may have been
 * collected with its tree, or be damaged. It is passed over like one that was
 * collected, and told as damage.
 */
#include <string.h>

#include "pack/locate.h"
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
    struct nf_error_info first; /* that came from a damaged commit */
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

/* A commit met for the first time waits for its turn. */
static int history_meet(struct history *h, const struct pk_digest *hash,
                        uint64_t off, bool parent)
{
    struct pk_store *store = &h->repo->store;
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
    err = pk_locate_parent(store, hash, off, &off);
    if (err == 0) {
        err = pk_commit_read(store, off, &commit);
    }
    if (nf_err_class(err) == NF_ECORRUPT && h->first.err == 0) {
        h->first = store->ctx.err; /* told when all else has been shown */
        h->first.err = err;
    }
    if (err == NF_EC_COLLECTED || nf_err_class(err) == NF_ECORRUPT ||
        (parent && nf_err_class(err) == NF_ENOENT)) {
        return h->gone != NULL ? h->gone(h->arg, hash) : 0;
    }
    if (err == 0) {
        err = heap_push(h, &commit);
        if (err != 0) {
            pk_commit_release(store, &commit);
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
        err = history_meet(&h, &from[i], NF_NOWHERE, false);
    }
    while (err == 0 && h.n > 0) {
        struct pk_commit_at at = heap_pop(&h);

        err = fn(arg, at.commit);
        for (size_t i = 0; i < at.commit->n_parents && err == 0; i++) {
            err = history_meet(&h, &at.commit->parents[i], at.parent_offs[i],
                               true);
        }
        pk_commit_release(&repo->store, &at);
    }
    while (h.n > 0) {
        pk_commit_release(&repo->store, &h.heap[--h.n]);
    }
    nf_free(&repo->store.ctx.mem, h.heap, h.cap * sizeof(*h.heap));
    met_release(&h);
    if (err == 0 && h.first.err != 0) {
        repo->store.ctx.err = h.first;
        err = h.first.err;
    }
    return err;
}
