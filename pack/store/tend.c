/* SPDX-License-Identifier: ISC */
/* Collecting in time, without being asked. */
#include "pack/gc.h"
#include "pack/room.h"
#include "pack/store/repo.h"

void pk_repo_reserve(struct pk_repo *repo, uint64_t len)
{
    repo->store.reserve = len;
    repo->store.room = 0;
}

uint64_t pk_gc_need(const struct pk_repo *repo)
{
    return pk_room_need(&repo->store);
}

/* 1: begun; 0: there is nothing to keep, or nothing new. */
static int tend_begin(struct pk_repo *repo, const struct pk_gc_policy *policy)
{
    struct pk_gc_options options = {.mem_len = policy->mem_len, .split = true};
    struct pk_digest *keep = NULL;
    size_t n = 0;
    int err = pk_keep_commits(repo, &policy->keep, &keep, &n);

    if (err != 0 || n == 0) {
        return err;
    }
    options.keep = keep;
    options.n_keep = n;
    err = pk_gc_start(repo, &options);
    pk_keep_free(repo, keep, n);
    if (err == NF_EC_GC_TARGET) {
        return 0;
    }
    return err == 0 ? 1 : err;
}

int pk_gc_tend(struct pk_repo *repo, const struct pk_gc_policy *policy,
               uint64_t budget, struct pk_gc_stats *ret_stats)
{
    struct pk_gc_stats stats = {.phase = PK_GC_NONE};
    uint64_t left = 0;
    int err = 0;

    if (repo->store.receiving) {
        /* later: a stream refers to what a collection would move */
    } else if (repo->store.gc == NULL) {
        err = pk_room_left(&repo->store, &left);
        if (err == 0 && left < policy->free_len) {
            err = tend_begin(repo, policy);
        }
    } else {
        err = pk_gc_step(repo, budget);
        if (err == 0) {
            err = pk_gc_finish(repo, &stats);
        }
    }
    if (err >= 0 && ret_stats != NULL) {
        *ret_stats = stats;
    }
    return err;
}
