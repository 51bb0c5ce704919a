/* SPDX-License-Identifier: ISC */
/*
 * Lowest common ancestors. Each commit met is marked with the sides that reach
 * it; one that both reach is found, and all behind it is stale. Commits are
 * taken up newest first, until only stale ones wait.
 *
 * The age of a commit is its offset: parents are appended before children, so
 * that a commit is taken up when all that reach it have been. Where that is not
 * so (a parent was collected and written again), a commit is taken up again for
 * each new mark; marks are few, so the search ends, but among what is found may
 * then be an ancestor of another.
 */
#include "pack/store/lca.h"

#include <notafs/merge.h>

#include <string.h>

#include "pack/locate.h"
#include "pack/objects.h"

enum {
    SIDE_A = 1u << 0,
    SIDE_B = 1u << 1,
    STALE = 1u << 2,
    FOUND = 1u << 3,
    WAITS = 1u << 4,
};

struct lca_mark {
    uint64_t off; /* NF_NOWHERE: a free place */
    uint32_t marks;
};

struct lca {
    struct pk_repo *repo;
    struct lca_mark *table; /* open addressing, at most half full */
    size_t n_table;
    size_t table_cap;
    uint64_t *heap; /* of those that wait, the greatest offset first */
    size_t n_heap;
    size_t heap_cap;
    size_t n_fresh; /* of those that wait, not stale */
    bool cut;
};

static struct lca_mark *mark_place(const struct lca *l, uint64_t off)
{
    size_t i = (size_t)((off * UINT64_C(0x9E3779B97F4A7C15)) >> 32);

    for (i &= l->table_cap - 1;
         l->table[i].off != off && l->table[i].off != NF_NOWHERE;
         i = (i + 1) & (l->table_cap - 1)) {
    }
    return &l->table[i];
}

static int table_grow(struct lca *l)
{
    struct nf_mem *mem = &l->repo->store.ctx.mem;
    const struct lca old = *l;
    const size_t cap = old.table_cap == 0 ? 64 : 2 * old.table_cap;
    struct lca_mark *table = nf_calloc(mem, cap, sizeof(*table));

    if (table == NULL) {
        return pk_fail_mem(&l->repo->store.ctx);
    }
    l->table = table;
    l->table_cap = cap;
    for (size_t i = 0; i < cap; i++) {
        table[i].off = NF_NOWHERE;
    }
    for (size_t i = 0; i < old.table_cap; i++) {
        if (old.table[i].off != NF_NOWHERE) {
            *mark_place(l, old.table[i].off) = old.table[i];
        }
    }
    nf_free(mem, old.table, old.table_cap * sizeof(*old.table));
    return 0;
}

static int heap_push(struct lca *l, uint64_t off)
{
    size_t i = l->n_heap;

    if (l->n_heap == l->heap_cap) {
        const size_t cap = l->heap_cap == 0 ? 16 : 2 * l->heap_cap;
        uint64_t *heap =
            nf_realloc(&l->repo->store.ctx.mem, l->heap,
                       l->heap_cap * sizeof(*heap), cap * sizeof(*heap));

        if (heap == NULL) {
            return pk_fail_mem(&l->repo->store.ctx);
        }
        l->heap = heap;
        l->heap_cap = cap;
    }
    for (; i > 0 && l->heap[(i - 1) / 2] < off; i = (i - 1) / 2) {
        l->heap[i] = l->heap[(i - 1) / 2];
    }
    l->heap[i] = off;
    l->n_heap++;
    return 0;
}

static uint64_t heap_pop(struct lca *l)
{
    const uint64_t top = l->heap[0];
    const uint64_t last = l->heap[--l->n_heap];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < l->n_heap && l->heap[child + 1] > l->heap[child]) {
            child++;
        }
        if (child >= l->n_heap || l->heap[child] <= last) {
            break;
        }
        l->heap[i] = l->heap[child];
        i = child;
    }
    l->heap[i] = last;
    return top;
}

/* Add marks to a commit. If some are new, it waits to hand them on. */
static int lca_mark(struct lca *l, uint64_t off, uint32_t marks)
{
    struct lca_mark *m;
    uint32_t old;
    int err = 2 * (l->n_table + 1) > l->table_cap ? table_grow(l) : 0;

    if (err != 0) {
        return err;
    }
    m = mark_place(l, off);
    old = m->marks;
    if ((marks & ~old) == 0) {
        return 0;
    }
    if ((old & WAITS) == 0) {
        err = heap_push(l, off);
        if (err != 0) {
            return err;
        }
    } else if ((old & STALE) == 0) {
        l->n_fresh--;
    }
    l->n_table += m->off == NF_NOWHERE;
    m->off = off;
    m->marks = old | marks | WAITS;
    l->n_fresh += (m->marks & STALE) == 0;
    return 0;
}

/* Hand marks on to the parents of the commit at off. */
static int lca_hand_on(struct lca *l, uint64_t off, uint32_t marks)
{
    struct pk_commit_at at;
    int err = pk_commit_read(&l->repo->store, off, &at);

    if (err == NF_EC_COLLECTED) {
        l->cut = true;
        return 0;
    }
    if (err != 0) {
        return err;
    }
    for (size_t i = 0; i < at.commit->n_parents && err == 0; i++) {
        uint64_t parent;

        err = pk_locate_parent(&l->repo->store, &at.commit->parents[i],
                               at.parent_offs[i], &parent);
        if (nf_err_class(err) == NF_ENOENT) {
            l->cut = true;
            err = 0;
        } else if (err == 0) {
            err = lca_mark(l, parent, marks);
        }
    }
    pk_commit_release(&l->repo->store, &at);
    return err;
}

static int lca_search(struct lca *l, uint64_t max_commits)
{
    int err = 0;

    for (uint64_t n = 0; l->n_fresh > 0 && err == 0; n++) {
        const uint64_t off = heap_pop(l);
        struct lca_mark *m = mark_place(l, off);
        uint32_t marks;

        if (max_commits != 0 && n == max_commits) {
            return pk_fail(&l->repo->store.ctx, NF_EC_HISTORY, NULL, off,
                           "common ancestors");
        }
        m->marks &= ~(uint32_t)WAITS;
        l->n_fresh -= (m->marks & STALE) == 0;
        if ((m->marks & (SIDE_A | SIDE_B | STALE)) == (SIDE_A | SIDE_B)) {
            m->marks |= FOUND;
        }
        marks = m->marks & (SIDE_A | SIDE_B | STALE);
        if ((m->marks & FOUND) != 0) {
            marks |= STALE;
        }
        err = lca_hand_on(l, off, marks);
    }
    return err;
}

/* Put a commit that was found in its place, by hash. */
static int lcas_insert(struct pk_repo *repo, struct pk_lcas *lcas, uint64_t off)
{
    struct pk_store *store = &repo->store;
    size_t i = lcas->n;
    struct pk_head head;
    struct pk_head other;
    int err = pk_object_head(store, off, &head);

    if (err == 0 && lcas->n == lcas->cap) {
        const size_t cap = lcas->cap == 0 ? 4 : 2 * lcas->cap;
        uint64_t *offs =
            nf_realloc(&store->ctx.mem, lcas->offs, lcas->cap * sizeof(*offs),
                       cap * sizeof(*offs));

        if (offs == NULL) {
            return pk_fail_mem(&store->ctx);
        }
        lcas->offs = offs;
        lcas->cap = cap;
    }
    for (; i > 0 && err == 0; i--) {
        err = pk_object_head(store, lcas->offs[i - 1], &other);
        if (err == 0 &&
            memcmp(&other.hash, &head.hash, sizeof(head.hash)) < 0) {
            break;
        }
        lcas->offs[i] = lcas->offs[i - 1];
    }
    if (err == 0) {
        lcas->offs[i] = off;
        lcas->n++;
    }
    return err;
}

int pk_lcas_find(struct pk_repo *repo, struct pk_offs a, struct pk_offs b,
                 uint64_t max_commits, struct pk_lcas *ret_lcas)
{
    struct nf_mem *mem = &repo->store.ctx.mem;
    struct lca l = {.repo = repo};
    struct pk_lcas lcas = {0};
    int err = 0;

    for (size_t i = 0; i < a.n && err == 0; i++) {
        err = lca_mark(&l, a.offs[i], SIDE_A);
    }
    for (size_t i = 0; i < b.n && err == 0; i++) {
        err = lca_mark(&l, b.offs[i], SIDE_B);
    }
    if (err == 0) {
        err = lca_search(&l, max_commits);
    }
    for (size_t i = 0; i < l.table_cap && err == 0; i++) {
        if ((l.table[i].marks & (FOUND | STALE)) == FOUND) {
            err = lcas_insert(repo, &lcas, l.table[i].off);
        }
    }
    nf_free(mem, l.heap, l.heap_cap * sizeof(*l.heap));
    nf_free(mem, l.table, l.table_cap * sizeof(*l.table));
    if (err == 0 && lcas.n == 0 && l.cut) {
        err = pk_fail(&repo->store.ctx, NF_EC_NO_COMMIT, NULL, NF_NOWHERE,
                      "common ancestor");
    }
    if (err != 0) {
        pk_lcas_deinit(repo, &lcas);
        return err;
    }
    *ret_lcas = lcas;
    return 0;
}

void pk_lcas_deinit(struct pk_repo *repo, struct pk_lcas *lcas)
{
    nf_free(&repo->store.ctx.mem, lcas->offs, lcas->cap * sizeof(*lcas->offs));
    *lcas = (struct pk_lcas){0};
}

int pk_lca(struct pk_repo *repo, const struct pk_digest *a,
           const struct pk_digest *b, uint64_t max_commits, pk_commit_fn fn,
           void *arg)
{
    struct pk_lcas lcas = {0};
    uint64_t off_a = 0;
    uint64_t off_b = 0;
    int err = pk_locate_commit(&repo->store, a, &off_a);

    if (err == 0) {
        err = pk_locate_commit(&repo->store, b, &off_b);
    }
    if (err == 0) {
        err = pk_lcas_find(repo, (struct pk_offs){&off_a, 1},
                           (struct pk_offs){&off_b, 1}, max_commits, &lcas);
    }
    for (size_t i = 0; i < lcas.n && err == 0; i++) {
        struct pk_head head;

        err = pk_object_head(&repo->store, lcas.offs[i], &head);
        if (err == 0) {
            err = fn(arg, &head.hash);
        }
    }
    pk_lcas_deinit(repo, &lcas);
    return err;
}
