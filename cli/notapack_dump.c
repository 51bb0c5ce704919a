/* SPDX-License-Identifier: ISC */
/*
 * notapack dump: everything that a store says, as text with one form:
 *
 *   branch NAME HASH              by name; branch-unresolved without commit
 *   commit HASH root HASH date N author A message M parents HASH...
 *                                 those that branches reach, by hash
 *   unavailable HASH              parents that are gone, by hash
 *   list HASH                     for each branch (--all: each commit), then
 *   PATH kind HASH LENGTH         its tree, by path
 *
 * As JSON it is an object a line, with the first word as "line".
 */
#include <stdlib.h>
#include <string.h>

#include "cli/notapack.h"

struct hashes {
    struct pk_digest *p;
    size_t n;
    size_t cap;
};

struct dump {
    struct np_store store;
    struct hashes heads;   /* of the branches, by name */
    struct hashes commits; /* that can be reached */
    struct hashes gone;
    bool broken; /* something that is wrong has been told */
};

static int hashes_add(struct hashes *h, const struct pk_digest *hash)
{
    if (h->n == h->cap) {
        size_t cap = h->cap == 0 ? 64 : h->cap * 2;
        struct pk_digest *p = realloc(h->p, cap * sizeof(*p));

        if (p == NULL) {
            return NF_ENOMEM;
        }
        h->p = p;
        h->cap = cap;
    }
    h->p[h->n++] = *hash;
    return 0;
}

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct pk_digest));
}

static void hashes_sort(struct hashes *h)
{
    if (h->n > 0) {
        qsort(h->p, h->n, sizeof(*h->p), compare_hashes);
    }
}

/* Tell what is wrong with the store, and go on with the rest; anything else is
 * returned. */
static int dump_go_on(struct dump *d, int err, const char *what)
{
    if (err != NF_EC_NO_COMMIT && nf_err_class(err) != NF_ECORRUPT) {
        return err;
    }
    (void)np_complain(&d->store, err, what); /* it is told at the end, too */
    d->broken = true;
    return 0;
}

static int dump_branch(void *arg, struct pk_slice name,
                       const struct pk_digest *hash)
{
    struct dump *d = arg;
    struct pk_commit *commit = NULL;
    int err = pk_commit_find(d->store.repo, hash, &commit);

    if (err != 0 && err != NF_EC_COLLECTED) {
        char what[128];
        int fatal;

        snprintf(what, sizeof(what), "branch %.*s", (int)name.len,
                 (const char *)name.p);
        fatal = dump_go_on(d, err, what);
        if (fatal != 0) {
            return fatal;
        }
    }
    pk_commit_free(d->store.repo, commit);
    if (d->store.options->json) {
        np_json_line(json_pack("{s:s,s:o,s:o}", "line",
                               err == 0 ? "branch" : "branch-unresolved",
                               "name", np_json_bytes(name), "hash",
                               np_json_hash(&d->store, hash)));
        return err == 0 ? hashes_add(&d->heads, hash) : 0;
    }
    printf(err == 0 ? "branch " : "branch-unresolved ");
    np_put_branch(stdout, name);
    if (err == 0) {
        putchar(' ');
        np_put_hash(stdout, &d->store, hash);
    }
    putchar('\n');
    return err == 0 ? hashes_add(&d->heads, hash) : 0;
}

static int dump_collect(void *arg, const struct pk_commit *commit)
{
    struct dump *d = arg;

    return hashes_add(&d->commits, &commit->hash);
}

static int dump_gone(void *arg, const struct pk_digest *hash)
{
    struct dump *d = arg;

    return hashes_add(&d->gone, hash);
}

static int dump_commit(struct dump *d, const struct pk_digest *hash)
{
    struct pk_commit *c;
    int err = pk_commit_find(d->store.repo, hash, &c);

    if (err != 0) {
        return err;
    }
    if (d->store.options->json) {
        json_t *json = np_json_commit(&d->store, c);

        (void)json_object_set_new(json, "line", json_string("commit"));
        np_json_line(json);
        pk_commit_free(d->store.repo, c);
        return 0;
    }
    printf("commit ");
    np_put_hash(stdout, &d->store, &c->hash);
    printf(" root ");
    np_put_hash(stdout, &d->store, &c->root);
    printf(" date %lld author ", (long long)c->info.date);
    np_put_percent(stdout, c->info.author);
    printf(" message ");
    np_put_percent(stdout, c->info.message);
    printf(" parents");
    for (size_t i = 0; i < c->n_parents; i++) {
        putchar(' ');
        np_put_hash(stdout, &d->store, &c->parents[i]);
    }
    putchar('\n');
    pk_commit_free(d->store.repo, c);
    return 0;
}

static int dump_entry(void *arg, struct pk_path path,
                      const struct pk_stat *stat)
{
    struct dump *d = arg;

    if (d->store.options->json) {
        np_json_line(json_pack("{s:s,s:o,s:s,s:o,s:I}", "line", "entry", "path",
                               np_json_path(path), "kind",
                               stat->kind == PK_NODE ? "node" : "contents",
                               "hash", np_json_hash(&d->store, &stat->hash),
                               "length", (json_int_t)stat->length));
        return 0;
    }
    np_put_path(stdout, path);
    printf(stat->kind == PK_NODE ? " node " : " contents ");
    np_put_hash(stdout, &d->store, &stat->hash);
    printf(" %llu\n", (unsigned long long)stat->length);
    return 0;
}

/* A line of a word and a hash. */
static void dump_hash(const struct dump *d, const char *word,
                      const struct pk_digest *hash)
{
    if (d->store.options->json) {
        np_json_line(json_pack("{s:s,s:o}", "line", word, "hash",
                               np_json_hash(&d->store, hash)));
        return;
    }
    printf("%s ", word);
    np_put_hash(stdout, &d->store, hash);
    putchar('\n');
}

static int dump_list(struct dump *d, const struct pk_digest *hash)
{
    struct pk_tree *tree = NULL;
    int err = pk_commit_tree(d->store.repo, hash, &tree);

    if (err != 0) {
        return err;
    }
    dump_hash(d, "list", hash);
    err = pk_tree_walk(tree, PK_WALK_SORTED | PK_WALK_LENGTH, dump_entry, d);
    pk_tree_free(tree);
    return err;
}

static void dump_unavailable(struct dump *d)
{
    hashes_sort(&d->gone);
    for (size_t i = 0; i < d->gone.n; i++) {
        dump_hash(d, "unavailable", &d->gone.p[i]);
    }
}

static int dump_history(struct dump *d)
{
    int err = pk_history(d->store.repo, d->heads.p, d->heads.n, dump_collect,
                         dump_gone, d);

    if (err != 0) {
        err = dump_go_on(d, err, "history");
    }
    hashes_sort(&d->commits);
    for (size_t i = 0; i < d->commits.n && err == 0; i++) {
        err = dump_commit(d, &d->commits.p[i]);
    }
    if (err == 0) {
        dump_unavailable(d);
    }
    return err;
}

static int dump_all(struct dump *d)
{
    const struct hashes *lists;
    int err = pk_branch_each(d->store.repo, dump_branch, d);

    if (err == 0) {
        err = dump_history(d);
    }
    lists = d->store.options->all ? &d->commits : &d->heads;
    for (size_t i = 0; i < lists->n && err == 0; i++) {
        err = dump_list(d, &lists->p[i]);
        if (err != 0) {
            err = dump_go_on(d, err, "list");
        }
    }
    return err;
}

/* One commit: its line, its parents that are gone, its listing. */
static int dump_one(struct dump *d, const char *text)
{
    struct pk_commit *commit = NULL;
    struct pk_digest hash;
    int err = pk_commit_resolve(d->store.repo, text, &hash);

    if (err == 0) {
        err = dump_commit(d, &hash);
    }
    if (err == 0) {
        err = pk_commit_find(d->store.repo, &hash, &commit);
    }
    for (size_t i = 0; err == 0 && i < commit->n_parents; i++) {
        struct pk_commit *parent = NULL;

        err = pk_commit_find(d->store.repo, &commit->parents[i], &parent);
        pk_commit_free(d->store.repo, parent);
        if (nf_err_class(err) == NF_ENOENT) {
            err = hashes_add(&d->gone, &commit->parents[i]);
        }
    }
    pk_commit_free(d->store.repo, commit);
    dump_unavailable(d);
    return err == 0 ? dump_list(d, &hash) : err;
}

int np_dump(const struct np_options *options, int n_words, char **words)
{
    struct dump d = {0};
    int err = np_store_open(&d.store, options, 0);

    (void)n_words;
    (void)words;
    if (err != 0) {
        return err;
    }
    np_progress(&d.store, "dump", NULL, NULL);
    err =
        options->commit != NULL ? dump_one(&d, options->commit) : dump_all(&d);
    np_progress_end(&d.store);
    if (err != 0) {
        err = np_complain(&d.store, err, "dump");
    } else if (d.broken) {
        err = NP_FAILED;
    }
    free(d.heads.p);
    free(d.commits.p);
    free(d.gone.p);
    return np_store_close(&d.store) != 0 ? NP_FAILED : err;
}
