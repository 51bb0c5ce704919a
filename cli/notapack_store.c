/* SPDX-License-Identifier: ISC */
/* Opening what the command line names, and telling what went wrong. */
#include <string.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/host.h>
#include <notafs/vfs_posix.h>

#include "cli/notapack.h"

static int complain_info(const char *what, int err,
                         const struct nf_error_info *info)
{
    fprintf(stderr, "notapack: %s: %s", what, nf_strerror(err));
    if (info != NULL && info->err == err) {
        if (info->file[0] != '\0') {
            fprintf(stderr, ": %s", info->file);
        }
        if (info->offset != NF_NOWHERE) {
            fprintf(stderr, " at %llu", (unsigned long long)info->offset);
        }
        if (info->expected != NF_NOWHERE) {
            fprintf(stderr, ", expected %llu, found %llu",
                    (unsigned long long)info->expected,
                    (unsigned long long)info->found);
        }
        if (info->what != NULL && info->what[0] != '\0') {
            fprintf(stderr, " (%s)", info->what);
        }
    }
    putc('\n', stderr);
    return NP_FAILED;
}

int np_complain(const struct np_store *store, int err, const char *what)
{
    return complain_info(
        what, err, store->repo == NULL ? NULL : pk_repo_error(store->repo));
}

static int store_open_vfs(struct np_store *store, uint32_t flags)
{
    const struct np_options *o = store->options;
    uint32_t posix_flags =
        (flags & PK_OPEN_CREATE) != 0 ? PK_VFS_POSIX_CREATE : 0u;
    int err =
        pk_vfs_posix_open(o->store, posix_flags, &store->posix, &store->vfs);

    if (err != 0) {
        return complain_info(o->store, err, NULL);
    }
    if (o->lower != NULL) {
        err = pk_vfs_posix_open(o->lower, posix_flags, &store->lower_posix,
                                &store->lower_vfs);
        if (err != 0) {
            return complain_info(o->lower, err, NULL);
        }
    }
    return 0;
}

int np_store_open(struct np_store *store, const struct np_options *options,
                  uint32_t flags)
{
    bool detect =
        options->config == NULL || strcmp(options->config, "auto") == 0;
    struct nf_error_info info = {0};
    struct pk_open opts = {0};
    int err;

    memset(store, 0, sizeof(*store));
    store->options = options;
    store->flags = flags;
    nf_env_libc(&store->env);
    if (options->store == NULL) {
        fprintf(stderr, "notapack: no store given: -s STORE\n");
        return NP_USAGE;
    }
    err = store_open_vfs(store, flags);
    if (err != 0) {
        (void)np_store_close(store);
        return err;
    }
    opts.vfs = &store->vfs;
    opts.lower = options->lower != NULL ? &store->lower_vfs : NULL;
    opts.hashes = pk_hash_gcrypt();
    opts.strategy = options->strategy;
    opts.flags = flags;
    if (detect) {
        err = pk_config_detect(&store->env, &opts, &opts.config,
                               &store->config_sure);
        if (err == NF_EC_LAYOUT && (flags & PK_OPEN_CREATE) != 0) {
            err = pk_config_parse("irmin", &opts.config);
        }
    } else {
        err = pk_config_parse(options->config, &opts.config);
    }
    if (err == 0) {
        store->config = opts.config;
        err = pk_repo_open(&store->env, &opts, &info, &store->repo);
    }
    if (err != 0) {
        err = complain_info(options->store, err, &info);
        (void)np_store_close(store);
    }
    return err;
}

int np_store_close(struct np_store *store)
{
    int err = pk_repo_close(store->repo);

    store->repo = NULL;
    pk_vfs_posix_close(store->lower_posix);
    pk_vfs_posix_close(store->posix);
    store->lower_posix = NULL;
    store->posix = NULL;
    if (err != 0) {
        return complain_info(store->options->store, err, NULL);
    }
    return 0;
}
