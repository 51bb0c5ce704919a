/* SPDX-License-Identifier: ISC */
/* log, show, diff, branch. */
#include <string.h>

#include <notafs/posix.h>

#include "cli/notapack.h"

/* -------------------------------------------------------------------- log */

struct log {
    struct np_store *store;
    json_t *json;
    uint64_t left;
    bool first;
};

static int log_commit(void *arg, const struct pk_commit *commit)
{
    struct log *l = arg;

    if (l->left == 0) {
        return 1;
    }
    l->left--;
    if (l->json != NULL) {
        (void)json_array_append_new(l->json, np_json_commit(l->store, commit));
        return 0;
    }
    if (!l->first) {
        putchar('\n');
    }
    l->first = false;
    np_show_commit(l->store, commit);
    return 0;
}

int np_log(const struct np_options *options, int n_words, char **words)
{
    struct log l = {.left = UINT64_MAX, .first = true};
    struct np_store store;
    struct pk_digest head;
    int err;

    if (options->number != NULL && !np_parse_number(options->number, &l.left)) {
        fprintf(stderr, "notapack: -n takes a number, not %s\n",
                options->number);
        return NP_USAGE;
    }
    err = np_store_open(&store, options, 0);
    if (err != 0) {
        return err;
    }
    l.store = &store;
    l.json = options->json ? json_array() : NULL;
    err = n_words > 1 ? np_resolve(&store, words[1], &head)
                      : np_head(&store, &head);
    if (err == 0) {
        err = pk_history(store.repo, &head, 1, log_commit, NULL, &l);
        err = err >= 0 ? 0 : np_complain(&store, err, "log");
    }
    if (l.json != NULL) {
        np_json_put(l.json);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* ------------------------------------------------------------------- diff */

struct diff {
    struct np_store *store;
    json_t *json;
    uint64_t n;
};

static int diff_binding(void *arg, struct pk_path path,
                        const struct pk_stat *old_stat,
                        const struct pk_stat *new_stat)
{
    struct diff *d = arg;
    const char *what = "M";

    d->n++;
    if (old_stat->kind == PK_NONE) {
        what = "A";
    } else if (new_stat->kind == PK_NONE) {
        what = "D";
    }
    if (d->json != NULL) {
        json_t *entry =
            json_pack("{s:s,s:o}", "change", what, "path", np_json_path(path));

        if (old_stat->kind != PK_NONE) {
            (void)json_object_set_new(entry, "old",
                                      np_json_hash(d->store, &old_stat->hash));
        }
        if (new_stat->kind != PK_NONE) {
            (void)json_object_set_new(entry, "new",
                                      np_json_hash(d->store, &new_stat->hash));
        }
        (void)json_array_append_new(d->json, entry);
        return 0;
    }
    printf("%s ", what);
    for (size_t i = 0; i < path.n; i++) {
        putchar('/');
        (void)fwrite(path.steps[i].p, 1, path.steps[i].len, stdout);
    }
    putchar('\n');
    return 0;
}

/* Between two commits; from NULL: from nothing. */
static int diff_commits(struct diff *d, const struct pk_digest *from,
                        const struct pk_digest *to)
{
    struct pk_repo *repo = d->store->repo;
    struct pk_tree *a = NULL;
    struct pk_tree *b = NULL;
    int err =
        from == NULL ? pk_tree_empty(repo, &a) : pk_commit_tree(repo, from, &a);

    if (err == 0) {
        err = pk_commit_tree(repo, to, &b);
    }
    if (err == 0) {
        err = pk_tree_diff(a, b, diff_binding, d);
    }
    pk_tree_free(a);
    pk_tree_free(b);
    return err;
}

/* A commit and what it changed against its first parent that is there. */
static int show(struct np_store *store, const struct pk_digest *hash,
                bool header)
{
    struct diff d = {store, store->options->json ? json_array() : NULL, 0};
    struct pk_commit *parent = NULL;
    struct pk_commit *commit;
    int err = pk_commit_find(store->repo, hash, &commit);

    if (err != 0) {
        return np_complain(store, err, "show");
    }
    for (size_t i = 0; i < commit->n_parents && parent == NULL; i++) {
        if (pk_commit_find(store->repo, &commit->parents[i], &parent) != 0) {
            parent = NULL;
        }
    }
    if (header && d.json == NULL) {
        np_show_commit(store, commit);
        putchar('\n');
    }
    err = diff_commits(&d, parent == NULL ? NULL : &parent->hash, hash);
    if (d.json != NULL && header) {
        json_t *all = np_json_commit(store, commit);

        (void)json_object_set_new(all, "changes", d.json);
        np_json_put(all);
    } else if (d.json != NULL) {
        np_json_put(d.json);
    }
    pk_commit_free(store->repo, parent);
    pk_commit_free(store->repo, commit);
    if (err == 0) {
        return !header && store->options->exit_code && d.n > 0 ? NP_FAILED : 0;
    }
    return np_complain(store, err, "show");
}

int np_show(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    struct pk_digest hash;
    int err = np_store_open(&store, options, 0);

    if (err != 0) {
        return err;
    }
    err = n_words > 1 ? np_resolve(&store, words[1], &hash)
                      : np_head(&store, &hash);
    if (err == 0) {
        err = show(&store, &hash, true);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

int np_diff(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    struct pk_digest from;
    struct pk_digest to;
    int err = np_store_open(&store, options, 0);

    if (err != 0) {
        return err;
    }
    err =
        n_words > 2 ? np_resolve(&store, words[2], &to) : np_head(&store, &to);
    if (err == 0 && n_words > 1) {
        struct diff d = {&store, options->json ? json_array() : NULL, 0};

        err = np_resolve(&store, words[1], &from);
        if (err == 0) {
            err = diff_commits(&d, &from, &to);
            err = err == 0 ? 0 : np_complain(&store, err, "diff");
            if (err == 0 && options->exit_code && d.n > 0) {
                err = NP_FAILED;
            }
        }
        if (d.json != NULL) {
            np_json_put(d.json);
        }
    } else if (err == 0) {
        err = show(&store, &to, false);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* ----------------------------------------------------------------- branch */

struct branches {
    struct np_store *store;
    json_t *json;
};

static int branch_entry(void *arg, struct pk_slice name,
                        const struct pk_digest *hash)
{
    struct branches *b = arg;

    if (b->json != NULL) {
        (void)json_array_append_new(
            b->json, json_pack("{s:o,s:o}", "name", np_json_bytes(name), "hash",
                               np_json_hash(b->store, hash)));
        return 0;
    }
    printf("%.*s ", (int)name.len, (const char *)name.p);
    np_put_hash(stdout, b->store, hash);
    putchar('\n');
    return 0;
}

static int branch_list(const struct np_options *options)
{
    struct branches b = {.json = options->json ? json_array() : NULL};
    struct np_store store;
    int err = np_store_open(&store, options, 0);

    b.store = &store;
    if (err == 0) {
        err = pk_branch_each(store.repo, branch_entry, &b);
        err = err == 0 ? 0 : np_complain(&store, err, "branch");
        if (np_store_close(&store) != 0) {
            err = NP_FAILED;
        }
    }
    if (b.json != NULL) {
        np_json_put(b.json);
    }
    return err;
}

/* What a mount has recorded of the commit goes with the branch. */
static int branch_set(struct np_store *store, struct pk_slice name,
                      const struct pk_digest *hash)
{
    struct pk_sides *sides;
    int err = pk_sides_open(store->repo, &sides);

    if (err == 0) {
        err = pk_sides_branch(sides, name, hash);
        pk_sides_close(sides);
    }
    return err == 0 ? pk_branch_set(store->repo, name, hash) : err;
}

static int branch_remove(struct np_store *store, struct pk_slice name)
{
    struct pk_digest hash;
    int err = pk_branch_get(store->repo, name, &hash);

    if (err == 0) {
        err = pk_branch_remove(store->repo, name);
    }
    return err == 0 ? pk_posix_branch_set(store->repo, name, NULL) : err;
}

int np_branches(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    struct pk_slice name;
    struct pk_digest hash;
    int err;

    if (n_words == 1) {
        return branch_list(options);
    }
    err = np_store_open(&store, options, PK_OPEN_WRITE);
    if (err != 0) {
        return err;
    }
    name = (struct pk_slice){(const uint8_t *)words[1], strlen(words[1])};
    if (options->remove) {
        err = branch_remove(&store, name);
        err = err == 0 ? 0 : np_complain(&store, err, words[1]);
        if (err == 0 && options->json) {
            np_json_put(
                json_pack("{s:o,s:n}", "name", np_json_bytes(name), "hash"));
        }
    } else {
        err = n_words > 2 ? np_resolve(&store, words[2], &hash)
                          : np_head(&store, &hash);
        if (err == 0) {
            err = branch_set(&store, name, &hash);
            err = err == 0 ? 0 : np_complain(&store, err, words[1]);
        }
        if (err == 0 && options->json) {
            np_json_put(json_pack("{s:o,s:o}", "name", np_json_bytes(name),
                                  "hash", np_json_hash(&store, &hash)));
        }
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}
