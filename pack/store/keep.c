/* SPDX-License-Identifier: ISC */
/* Rules of what a collection keeps, made into commits. */
#include <string.h>

#include "pack/sort.h"
#include "pack/store/repo.h"

struct keep {
    struct pk_repo *repo;
    const struct pk_keep *rule;
    struct pk_digest *commits;
    size_t n;
    size_t cap;
    uint64_t nth; /* of the present branch's history */
};

static int keep_add(struct keep *k, const struct pk_digest *hash)
{
    if (k->n == k->cap) {
        size_t cap = k->cap == 0 ? 16 : k->cap * 2;
        struct pk_digest *commits =
            nf_realloc(&k->repo->store.ctx.mem, k->commits,
                       k->cap * sizeof(*commits), cap * sizeof(*commits));

        if (commits == NULL) {
            return pk_fail_mem(&k->repo->store.ctx);
        }
        k->commits = commits;
        k->cap = cap;
    }
    k->commits[k->n++] = *hash;
    return 0;
}

/* History comes newest first: what follows one that is too old is, too. */
static int keep_commit(void *arg, const struct pk_commit *commit)
{
    struct keep *k = arg;
    uint64_t nth = k->nth++;
    bool recent =
        k->rule->since != NULL && commit->info.date >= *k->rule->since;

    if (nth > 0 && nth >= k->rule->last && !recent) {
        return 1;
    }
    return keep_add(k, &commit->hash);
}

static int keep_branch(void *arg, struct pk_slice name,
                       const struct pk_digest *hash)
{
    struct keep *k = arg;
    int err;

    (void)name;
    k->nth = 0;
    err = pk_history(k->repo, hash, 1, keep_commit, NULL, k);
    return err < 0 ? err : 0;
}

static int keep_compare(const void *arg, uint32_t a, uint32_t b)
{
    const struct pk_digest *commits = arg;

    return memcmp(&commits[a], &commits[b], sizeof(*commits));
}

/* Those of k, in order, each once. */
static int keep_tidy(const struct keep *k, struct pk_digest **ret_commits,
                     size_t *ret_n)
{
    struct pk_ctx *ctx = &k->repo->store.ctx;
    uint32_t *order =
        k->n > UINT32_MAX ? NULL : nf_calloc(&ctx->mem, k->n, sizeof(*order));
    struct pk_digest *commits = NULL;
    size_t n = 0;

    if (order == NULL) {
        return pk_fail_mem(ctx);
    }
    for (size_t i = 0; i < k->n; i++) {
        order[i] = (uint32_t)i;
    }
    pk_sort(order, k->n, keep_compare, k->commits);
    for (size_t i = 0; i < k->n; i++) {
        if (n == 0 || keep_compare(k->commits, order[n - 1], order[i]) != 0) {
            order[n++] = order[i];
        }
    }
    commits = nf_calloc(&ctx->mem, n, sizeof(*commits));
    for (size_t i = 0; i < n && commits != NULL; i++) {
        commits[i] = k->commits[order[i]];
    }
    nf_free(&ctx->mem, order, k->n * sizeof(*order));
    if (commits == NULL) {
        return pk_fail_mem(ctx);
    }
    *ret_commits = commits;
    *ret_n = n;
    return 0;
}

int pk_keep_commits(struct pk_repo *repo, const struct pk_keep *keep,
                    struct pk_digest **ret_commits, size_t *ret_n)
{
    struct keep k = {.repo = repo, .rule = keep};
    int err = pk_branch_each(repo, keep_branch, &k);

    if (err == 0 && k.n == 0) {
        *ret_commits = NULL;
        *ret_n = 0;
    } else if (err == 0) {
        err = keep_tidy(&k, ret_commits, ret_n);
    }
    nf_free(&repo->store.ctx.mem, k.commits, k.cap * sizeof(*k.commits));
    return err;
}

void pk_keep_free(struct pk_repo *repo, struct pk_digest *commits, size_t n)
{
    nf_free(&repo->store.ctx.mem, commits, n * sizeof(*commits));
}
