/* SPDX-License-Identifier: ISC */
/*
 * Branches (spec 9.2). A branch is only ever set to a commit that the store
 * has, and after that commit is durable.
 */
#include <string.h>

#include "pack/locate.h"
#include "pack/store/repo.h"

static int branch_fail(struct pk_repo *repo, int err)
{
    return pk_fail(&repo->store.ctx, err, "store.branches", NF_NOWHERE,
                   "branch");
}

int pk_branch_get(struct pk_repo *repo, struct pk_slice name,
                  struct pk_digest *ret_hash)
{
    return pk_branches_find(&repo->store.branches, name, ret_hash)
               ? 0
               : branch_fail(repo, NF_EC_NO_BRANCH);
}

/* Set or remove, unconditionally. */
static int branch_write(struct pk_repo *repo, struct pk_slice name,
                        const struct pk_digest *hash)
{
    struct pk_store *store = &repo->store;
    struct pk_digest old;
    bool had = pk_branches_find(&store->branches, name, &old);
    uint64_t off = 0;
    int err = pk_store_writable(store);

    if (err != 0) {
        return err;
    }
    if (hash != NULL) {
        err = pk_locate_commit(store, hash, &off);
        if (err == 0) {
            err = pk_store_write_out(store);
        }
    }
    if (err != 0) {
        return err;
    }
    if (had && hash != NULL && memcmp(&old, hash, sizeof(old)) == 0) {
        return pk_store_commit(store);
    }
    store->dirty = true;
    err = pk_branches_set(&store->branches, name, hash);
    if (err == 0) {
        err = pk_store_commit(store);
    }
    if (err == 0 && repo->watch != NULL && (had || hash != NULL)) {
        repo->watch(repo->watch_arg, name, had ? &old : NULL, hash);
    }
    return err;
}

int pk_branch_set(struct pk_repo *repo, struct pk_slice name,
                  const struct pk_digest *hash)
{
    return branch_write(repo, name, hash);
}

int pk_branch_remove(struct pk_repo *repo, struct pk_slice name)
{
    return branch_write(repo, name, NULL);
}

int pk_branch_cas(struct pk_repo *repo, struct pk_slice name,
                  const struct pk_digest *old_hash,
                  const struct pk_digest *new_hash)
{
    struct pk_digest now;
    bool had = pk_branches_find(&repo->store.branches, name, &now);

    if (had != (old_hash != NULL) ||
        (had && memcmp(&now, old_hash, sizeof(now)) != 0)) {
        return branch_fail(repo, NF_ECONFLICT);
    }
    return branch_write(repo, name, new_hash);
}

int pk_branch_each(struct pk_repo *repo, pk_branch_fn fn, void *arg)
{
    const struct pk_branches *branches = &repo->store.branches;
    int err = 0;

    for (size_t i = 0; i < branches->n && err == 0; i++) {
        struct pk_digest hash;

        if (pk_branches_hash(branches, i, &hash)) {
            err = fn(arg, pk_branches_name(branches, i), &hash);
        }
    }
    return err;
}

void pk_branch_watch(struct pk_repo *repo, pk_watch_fn fn, void *arg)
{
    repo->watch = fn;
    repo->watch_arg = arg;
}

/* Tell the watch how the table differs from what it was. */
static void branch_compare(struct pk_repo *repo, const struct pk_branches *old)
{
    const struct pk_branches *now = &repo->store.branches;
    size_t i = 0;
    size_t j = 0;

    while (i < old->n || j < now->n) {
        struct pk_digest a;
        struct pk_digest b;
        bool has_a = false;
        bool has_b = false;
        struct pk_slice name;
        int c = i == old->n   ? 1
                : j == now->n ? -1
                              : pk_step_compare(pk_branches_name(old, i),
                                                pk_branches_name(now, j));

        name = c <= 0 ? pk_branches_name(old, i) : pk_branches_name(now, j);
        if (c <= 0) {
            has_a = pk_branches_hash(old, i++, &a);
        }
        if (c >= 0) {
            has_b = pk_branches_hash(now, j++, &b);
        }
        if (has_a != has_b || (has_a && memcmp(&a, &b, sizeof(a)) != 0)) {
            repo->watch(repo->watch_arg, name, has_a ? &a : NULL,
                        has_b ? &b : NULL);
        }
    }
}

int pk_repo_reload(struct pk_repo *repo)
{
    struct pk_branches old = repo->store.branches;
    int err;

    if ((repo->store.flags & PK_OPEN_WRITE) != 0) {
        return 0;
    }
    /* The old table is kept aside for the comparison. */
    memset(&repo->store.branches, 0, sizeof(old));
    err = pk_store_reload(&repo->store);
    if (err != 0) {
        pk_branches_close(&repo->store.branches);
        repo->store.branches = old;
        return err;
    }
    if (repo->watch != NULL) {
        branch_compare(repo, &old);
    }
    pk_branches_close(&old);
    return 0;
}
