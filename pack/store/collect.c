/* SPDX-License-Identifier: ISC */
/* Garbage collection and the lower layer, as a repo offers them. */
#include "pack/gc.h"
#include "pack/store/repo.h"

int pk_gc_start(struct pk_repo *repo, const struct pk_gc_options *options)
{
    return pk_gc_open(&repo->store, options);
}

static int collect_none(struct pk_repo *repo)
{
    return pk_fail(&repo->store.ctx, NF_EINVAL, NULL, NF_NOWHERE,
                   "no collection is running");
}

int pk_gc_step(struct pk_repo *repo, uint64_t budget)
{
    return repo->store.gc == NULL ? collect_none(repo)
                                  : pk_gc_run_step(repo->store.gc, budget);
}

int pk_gc_finish(struct pk_repo *repo, struct pk_gc_stats *ret_stats)
{
    struct pk_gc *gc = repo->store.gc;
    struct pk_gc_stats stats;
    int err;

    if (gc == NULL) {
        return collect_none(repo);
    }
    if (gc->state != PK_STATE_READY) {
        return pk_fail(&repo->store.ctx, NF_EAGAIN, NULL, NF_NOWHERE,
                       "the collection is not ready");
    }
    pk_gc_stats_now(gc, &stats);
    err = gc->dry_run ? pk_gc_break_off(gc) : pk_gc_end(gc);
    if (err == 0 && ret_stats != NULL) {
        *ret_stats = stats;
    }
    return err;
}

int pk_gc_cancel(struct pk_repo *repo)
{
    return repo->store.gc == NULL ? 0 : pk_gc_break_off(repo->store.gc);
}

void pk_gc_progress(struct pk_repo *repo, struct pk_gc_stats *ret_stats)
{
    if (repo->store.gc == NULL) {
        *ret_stats = (struct pk_gc_stats){.phase = PK_GC_NONE};
    } else {
        pk_gc_stats_now(repo->store.gc, ret_stats);
    }
}

int pk_repo_add_volume(struct pk_repo *repo)
{
    return pk_store_add_volume(&repo->store);
}

int pk_volume_each(struct pk_repo *repo, pk_volume_fn fn, void *arg)
{
    const struct pk_lower *lower = &repo->store.lower;
    int err = 0;

    for (size_t i = 0; i < lower->n_volumes && err == 0; i++) {
        struct pk_volume *volume = &lower->volumes[i];
        struct pk_volume_info info = {volume->control.start,
                                      volume->control.end, 0, 0};

        if (!volume->empty) {
            err =
                pk_sparse_extent(&volume->sparse, &info.ranges, &info.data_len);
        }
        if (err == 0) {
            err = fn(arg, i, &info);
        }
    }
    return err;
}
