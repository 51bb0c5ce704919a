/* SPDX-License-Identifier: ISC */
/*
 * The configuration of an unknown store: each preset is tried on some of its
 * commits and their trees. Another digest size or hash makes the index or the
 * first commit unreadable, another schema every hash wrong; fan-out and
 * stable_hash show in the first directory that is not small; the order of
 * children only where a directory has more entries than the fan-out.
 */
#include <string.h>

#include "pack/integrity.h"
#include "pack/objects.h"
#include "pack/store/repo.h"

enum { DETECT_COMMITS = 16, DETECT_OBJECTS = 4000 };

/* One preset on trial. */
struct trial {
    struct pk_checker checker;
    uint32_t n_commits;
};

/* What could not be read or held says nothing about the store. */
static bool trial_is_moot(int err)
{
    return err == NF_ENOMEM || nf_err_class(err) == NF_EIO;
}

static int trial_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    return trial_is_moot(finding->err) ? finding->err : 0;
}

static int trial_commit(void *arg, const struct pk_binding *binding)
{
    struct trial *trial = arg;
    struct pk_store *store = trial->checker.store;
    uint8_t kind;
    uint64_t off;
    int err;

    if (!pk_kind_is_commit(binding->kind)) {
        return 0;
    }
    err = pk_object_find(store, &binding->hash, true, &off, &kind);
    if (err != 0) {
        return trial_is_moot(err) ? err : 0;
    }
    if (trial->n_commits++ == DETECT_COMMITS) {
        return 1; /* enough */
    }
    return pk_check_commit(&trial->checker, off);
}

/* Does config fit? 1 or 0; ret_objects: on how many objects that rests. */
static int trial_run(const struct nf_env *env, const struct pk_open *opts,
                     const struct pk_config *config, uint64_t *ret_objects)
{
    struct pk_open attempt = *opts;
    struct pk_repo *repo = NULL;
    struct trial trial = {0};
    int fits;
    int err;

    attempt.config = *config;
    attempt.flags = 0;
    err = pk_repo_open(env, &attempt, NULL, &repo);
    if (err != 0) {
        bool other =
            err == NF_EC_INDEX || err == NF_EC_BRANCHES || err == NF_ENOTSUP;

        return other ? 0 : err;
    }
    pk_checker_init(&trial.checker, &repo->store);
    trial.checker.fn = trial_finding;
    trial.checker.budget = DETECT_OBJECTS;
    err = pk_index_each(&repo->store.index, trial_commit, &trial);
    fits = err >= 0 && trial.checker.stats.findings == 0 &&
           (trial.n_commits > 0 || repo->store.index.log.entries.len == 0);
    *ret_objects = trial.checker.stats.commits + trial.checker.stats.inodes +
                   trial.checker.stats.contents;
    pk_checker_deinit(&trial.checker);
    (void)pk_repo_close(repo); /* only read */
    return err < 0 ? err : fits;
}

int pk_config_detect(const struct nf_env *env, const struct pk_open *opts,
                     struct pk_config *ret_config, bool *ret_sure)
{
    struct pk_config config;
    uint64_t best = 0;
    uint32_t n_fit = 0;

    for (size_t i = 0; pk_config_preset(i) != NULL; i++) {
        uint64_t objects = 0;
        int fits;

        if (pk_config_parse(pk_config_preset(i), &config) != 0 ||
            (!config.contents_header && n_fit > 0)) {
            continue; /* how contents are read is no difference */
        }
        fits = trial_run(env, opts, &config, &objects);
        if (fits < 0) {
            return fits;
        }
        if (fits > 0 && (n_fit == 0 || objects > best)) {
            *ret_config = config;
            best = objects;
        }
        n_fit += (uint32_t)fits;
    }
    *ret_sure = n_fit == 1;
    return n_fit == 0 ? NF_EC_CONFIG : 0;
}
