/* SPDX-License-Identifier: ISC */
/* Repos: opening, closing, and what is asked of the store as a whole. */
#include "pack/store/repo.h"

#include <string.h>

int pk_repo_open(const struct nf_env *env, const struct pk_open *opts,
                 struct nf_error_info *ret_info, struct pk_repo **ret_repo)
{
    struct nf_mem mem = {.env = env};
    struct pk_repo *repo = nf_calloc(&mem, 1, sizeof(*repo));
    int err;

    if (repo == NULL) {
        return NF_ENOMEM;
    }
    err = pk_store_open(&repo->store, env, opts);
    if (err == 0) {
        *ret_repo = repo;
        return 0;
    }
    if (ret_info != NULL) {
        *ret_info = repo->store.ctx.err;
    }
    repo->store.flags &= ~(uint32_t)PK_OPEN_WRITE; /* nothing to flush */
    (void)pk_repo_close(repo);                     /* the first error counts */
    return err;
}

int pk_repo_close(struct pk_repo *repo)
{
    struct nf_mem mem = {.used = sizeof(*repo)};
    int err;

    if (repo == NULL) {
        return 0;
    }
    mem.env = repo->store.ctx.env;
    pk_cache_clear(&repo->store);
    err = pk_store_close(&repo->store);
    nf_free(&mem, repo, sizeof(*repo));
    return err;
}

int pk_repo_flush(struct pk_repo *repo)
{
    bool writer = (repo->store.flags & PK_OPEN_WRITE) != 0;

    return writer ? pk_store_flush(&repo->store) : 0;
}

int pk_repo_split(struct pk_repo *repo)
{
    return pk_store_split(&repo->store);
}

const struct nf_error_info *pk_repo_error(const struct pk_repo *repo)
{
    return &repo->store.ctx.err;
}

const struct pk_config *pk_repo_config(const struct pk_repo *repo)
{
    return &repo->store.scheme.config;
}

void pk_repo_counters(const struct pk_repo *repo, struct pk_counters *ret)
{
    *ret = repo->store.counters;
    ret->cache_len = repo->store.cache.len;
    ret->mem_used = repo->store.ctx.mem.used;
    ret->mem_peak = repo->store.ctx.mem.peak;
}

void pk_bytes_free(struct pk_repo *repo, struct pk_bytes *bytes)
{
    nf_free(&repo->store.ctx.mem, bytes->own, bytes->len);
    *bytes = (struct pk_bytes){NULL, 0, NULL};
}
