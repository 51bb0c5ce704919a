/* SPDX-License-Identifier: ISC */
/* What goes into a stream, and what becomes of its branches where it comes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <notafs/merge.h>

#include "cli/notapack_stream.h"

/* ----------------------------------------------------------------- scratch */

int np_scratch_open(struct np_scratch *scratch)
{
    const char *tmp = getenv("TMPDIR");
    int err;

    memset(scratch, 0, sizeof(*scratch));
    if (snprintf(scratch->path, sizeof(scratch->path), "%s/notapack.XXXXXX",
                 tmp != NULL ? tmp : "/tmp") >= (int)sizeof(scratch->path) ||
        mkdtemp(scratch->path) == NULL) {
        fprintf(stderr, "notapack: %s: %s\n", tmp != NULL ? tmp : "/tmp",
                strerror(errno));
        return NP_FAILED;
    }
    err = pk_vfs_posix_open(scratch->path, PK_VFS_POSIX_NO_SYNC,
                            &scratch->posix, &scratch->vfs);
    return err == 0 ? 0 : np_complain_info(scratch->path, err, NULL);
}

void np_scratch_close(struct np_scratch *scratch)
{
    char index[sizeof(scratch->path) + 8];

    pk_vfs_posix_close(scratch->posix);
    if (scratch->path[0] != '\0') {
        (void)snprintf(index, sizeof(index), "%s/index", scratch->path);
        (void)rmdir(index);         /* of a receiver's, if there is one */
        (void)rmdir(scratch->path); /* empty, or of use to somebody */
    }
    memset(scratch, 0, sizeof(*scratch));
}

/* ------------------------------------------------------------------ bundle */

static void *grown(void *list, size_t n, size_t size)
{
    return (n & (n - 1)) != 0 ? list
                              : realloc(list, (n == 0 ? 1 : 2 * n) * size);
}

static int add_hash(struct pk_digest **list, size_t *n,
                    const struct pk_digest *hash, size_t *ret_i)
{
    struct pk_digest *more;

    for (size_t i = 0; i < *n; i++) {
        if (memcmp(&(*list)[i], hash, sizeof(*hash)) == 0) {
            *ret_i = i;
            return 0;
        }
    }
    more = grown(*list, *n, sizeof(*more));
    if (more == NULL) {
        return NF_ENOMEM;
    }
    *list = more;
    *ret_i = *n;
    more[(*n)++] = *hash;
    return 0;
}

/* A branch, which goes along by name. arg: the bundle. */
static int add_branch(void *arg, struct pk_slice name,
                      const struct pk_digest *hash)
{
    struct np_bundle *b = arg;
    struct pk_stream_ref *more = grown(b->refs, b->n_refs, sizeof(*more));
    uint8_t *copy = malloc(name.len + 1);
    size_t i = 0;

    if (more != NULL) {
        b->refs = more;
    }
    if (more == NULL || copy == NULL ||
        add_hash(&b->commits, &b->n_commits, hash, &i) != 0) {
        free(copy);
        return NF_ENOMEM;
    }
    memcpy(copy, name.p, name.len);
    more[b->n_refs++] = (struct pk_stream_ref){{copy, name.len}, i};
    return 0;
}

void np_bundle_free(struct np_bundle *bundle)
{
    for (size_t i = 0; i < bundle->n_refs; i++) {
        free((void *)(uintptr_t)bundle->refs[i].name.p);
    }
    free(bundle->refs);
    free(bundle->commits);
    free(bundle->have);
    memset(bundle, 0, sizeof(*bundle));
}

/* Branches whose commit is there; others are told and left out. */
struct branches {
    struct np_store *store;
    struct np_bundle *bundle;
};

static int add_live_branch(void *arg, struct pk_slice name,
                           const struct pk_digest *hash)
{
    struct branches *b = arg;
    struct pk_commit *commit = NULL;
    int err = pk_commit_find(b->store->repo, hash, &commit);

    pk_commit_free(b->store->repo, commit);
    if (nf_err_class(err) == NF_ENOENT) {
        fprintf(stderr, "notapack: branch ");
        np_put_branch(stderr, name);
        fprintf(stderr, " left out: its commit is not in the store\n");
        return 0;
    }
    return err == 0 ? add_branch(b->bundle, name, hash) : err;
}

/* What the receiver has; of what is not here nothing can be left out. */
static int add_have(struct np_bundle *bundle, struct np_store *store,
                    const char *word)
{
    struct pk_slice name = {(const uint8_t *)word, strlen(word)};
    struct pk_commit *commit = NULL;
    struct pk_digest hash;
    size_t i;
    int err = pk_branch_get(store->repo, name, &hash);

    if (err != 0) {
        err = pk_commit_resolve(store->repo, word, &hash);
    }
    if (err == 0) {
        err = pk_commit_find(store->repo, &hash, &commit);
        pk_commit_free(store->repo, commit);
    }
    if (nf_err_class(err) == NF_ENOENT) {
        fprintf(stderr, "notapack: ^%s is not here: nothing is left out\n",
                word);
        return 0;
    }
    return err != 0 ? err : add_hash(&bundle->have, &bundle->n_have, &hash, &i);
}

static int add_word(struct np_bundle *bundle, struct np_store *store,
                    const char *word)
{
    struct pk_slice name = {(const uint8_t *)word, strlen(word)};
    struct pk_digest hash;
    size_t i;
    int err;

    if (word[0] == '^') {
        return add_have(bundle, store, word + 1);
    }
    if (pk_branch_get(store->repo, name, &hash) == 0) {
        return add_branch(bundle, name, &hash);
    }
    err = np_resolve(store, word, &hash);
    return err != 0 ? err
                    : add_hash(&bundle->commits, &bundle->n_commits, &hash, &i);
}

int np_bundle_words(struct np_bundle *bundle, struct np_store *store,
                    int n_words, char **words)
{
    struct branches branches = {store, bundle};
    bool any = false;
    int err = 0;

    memset(bundle, 0, sizeof(*bundle));
    for (int i = 0; i < n_words && err == 0; i++) {
        any = any || words[i][0] != '^';
        err = add_word(bundle, store, words[i]);
    }
    if (err == 0 && !any) {
        err = pk_branch_each(store->repo, add_live_branch, &branches);
    }
    if (err == NP_FAILED || err == NP_USAGE) {
        return err; /* told already */
    }
    if (err != 0) {
        return np_complain(store, err, "what is to be sent");
    }
    return 0;
}

/* ----------------------------------------------------------------- arrival */

struct ancestor {
    const struct pk_digest *hash;
    bool same;
};

static int ancestor_is(void *arg, const struct pk_digest *hash)
{
    struct ancestor *a = arg;

    a->same = a->same || memcmp(hash, a->hash, sizeof(*hash)) == 0;
    return 0;
}

/* What the branch named has the new commit behind it. */
static bool is_ahead(struct pk_repo *repo, const struct pk_digest *old,
                     const struct pk_digest *hash)
{
    struct ancestor a = {hash, false};

    return pk_lca(repo, old, hash, 0, ancestor_is, &a) == 0 && a.same;
}

static void arrival_tell(struct np_arrival *a, struct pk_slice name,
                         const struct pk_digest *hash, const char *what)
{
    if (a->json != NULL) {
        (void)json_array_append_new(
            a->json,
            json_pack("{s:o,s:o,s:s}", "branch", np_json_bytes(name), "commit",
                      np_json_hash(a->store, hash), "outcome", what));
        return;
    }
    if (a->store->options->quiet) {
        return;
    }
    printf("%s ", what);
    np_put_hash(stdout, a->store, hash);
    if (name.p != NULL) {
        putchar(' ');
        np_put_branch(stdout, name);
    }
    putchar('\n');
}

int np_arrive(void *arg, struct pk_slice name, const struct pk_digest *hash)
{
    struct np_arrival *a = arg;
    struct pk_repo *repo = a->store->repo;
    const char *outcome = "updated";
    struct pk_digest old;
    int err;

    if (name.p == NULL && a->store->options->branch != NULL) {
        name = np_branch(a->store);
    }
    if (name.p == NULL) {
        arrival_tell(a, name, hash, "received");
        return 0;
    }
    err = pk_branch_get(repo, name, &old);
    if (err == NF_EC_NO_BRANCH) {
        err = pk_branch_cas(repo, name, NULL, hash);
        outcome = "created";
    } else if (err == 0 && memcmp(&old, hash, sizeof(old)) == 0) {
        outcome = "unchanged";
    } else if (err == 0 && a->force) {
        err = pk_branch_cas(repo, name, &old, hash);
        outcome = "forced";
    } else if (err == 0) {
        err = pk_fast_forward(repo, name, hash);
        if (err == NF_EC_DIVERGED && is_ahead(repo, &old, hash)) {
            err = 0;
            outcome = "ahead";
        } else if (nf_err_class(err) == NF_ECONFLICT ||
                   nf_err_class(err) == NF_ENOENT) {
            fprintf(stderr, "notapack: branch ");
            np_put_branch(stderr, name);
            fprintf(stderr, ": %s; --force sets it all the same\n",
                    nf_strerror(err));
            err = 0;
            outcome = "refused";
            a->n_refused++;
        }
    }
    if (err == 0) {
        arrival_tell(a, name, hash, outcome);
    }
    return err;
}
