/* SPDX-License-Identifier: ISC */
/*
 * merge and revert. Either the branch has the outcome, or there are conflicts:
 * then these are told, one line for each path, and nothing has changed.
 */
#include <stdlib.h>
#include <string.h>

#include <notafs/merge.h>
#include <notafs/posix.h>

#include "cli/notapack.h"

struct conflicts {
    struct np_store *store;
    enum pk_settle how; /* --prefer */
    json_t *json;       /* or NULL: text */
    uint64_t n;         /* that nobody settled */
};

static const char *kind_name(enum pk_kind kind)
{
    switch (kind) {
    case PK_NONE:
        return "nothing";
    case PK_NODE:
        return "a directory";
    case PK_CONTENTS:
        return "contents";
    }
    return "";
}

static json_t *side_json(const struct np_store *store,
                         const struct pk_stat *stat)
{
    return stat->kind == PK_NONE
               ? json_null()
               : json_pack("{s:s,s:o,s:I}", "kind",
                           stat->kind == PK_NODE ? "node" : "contents", "hash",
                           np_json_hash(store, &stat->hash), "length",
                           (json_int_t)stat->length);
}

static int take_conflict(void *arg, const struct pk_conflict *conflict,
                         struct pk_settlement *ret_settlement)
{
    struct conflicts *c = arg;
    const char *what = "both changed it";

    ret_settlement->how = c->how;
    if (c->how != PK_SETTLE_NOT) {
        return 0;
    }
    c->n++;
    if (c->json != NULL) {
        (void)json_array_append_new(
            c->json,
            json_pack("{s:o,s:o,s:o,s:o}", "path", np_json_path(conflict->path),
                      "base", side_json(c->store, &conflict->base), "ours",
                      side_json(c->store, &conflict->ours), "theirs",
                      side_json(c->store, &conflict->theirs)));
        return 0;
    }
    if (conflict->base.kind == PK_NONE) {
        what = "both made it";
    } else if (conflict->ours.kind == PK_NONE) {
        what = "removed here, changed there";
    } else if (conflict->theirs.kind == PK_NONE) {
        what = "changed here, removed there";
    }
    printf("CONFLICT ");
    np_put_path(stdout, conflict->path);
    printf(": %s (here %s, there %s)\n", what, kind_name(conflict->ours.kind),
           kind_name(conflict->theirs.kind));
    return 0;
}

static bool parse_prefer(const char *text, enum pk_settle *ret)
{
    *ret = PK_SETTLE_NOT;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "ours") == 0) {
        *ret = PK_SETTLE_OURS;
        return true;
    }
    if (strcmp(text, "theirs") == 0) {
        *ret = PK_SETTLE_THEIRS;
        return true;
    }
    fprintf(stderr, "notapack: --prefer takes ours or theirs, not %s\n", text);
    return false;
}

/* Say what has become of it; hash: what the branch names now, or NULL. */
static void put_outcome(struct conflicts *c, const char *outcome,
                        const struct pk_digest *hash)
{
    struct np_store *store = c->store;

    if (store->options->json) {
        json_t *json =
            json_pack("{s:s,s:o,s:O}", "outcome", outcome, "branch",
                      np_json_bytes(np_branch(store)), "conflicts", c->json);

        if (hash != NULL) {
            (void)json_object_set_new(json, "hash", np_json_hash(store, hash));
        }
        np_json_put(json);
    } else if (hash != NULL) {
        printf("%s ", outcome);
        np_put_hash(stdout, store, hash);
        putchar('\n');
    }
}

/* Tell an error; conflicts have been told already. */
static int complain(struct conflicts *c, int err, const char *verb)
{
    if (err != NF_EC_CONFLICT) {
        return np_complain(c->store, err, verb);
    }
    put_outcome(c, "conflict", NULL);
    fprintf(stderr,
            "notapack: %s: %llu conflict%s; nothing was committed\n"
            "hint: change one side, or say --prefer ours or theirs\n",
            verb, (unsigned long long)c->n, c->n == 1 ? "" : "s");
    return NP_FAILED;
}

static bool same_hash(const struct pk_digest *a, const struct pk_digest *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* A commit of theirs' tree with both as parents, where ours has nothing that
 * theirs has not. */
static int commit_both(struct np_store *store, const struct pk_digest *ours,
                       const struct pk_digest *theirs,
                       const struct pk_info *info, struct pk_digest *ret)
{
    const struct pk_digest parents[2] = {*ours, *theirs};
    struct pk_tree *tree;
    int err = pk_commit_tree(store->repo, theirs, &tree);

    if (err == 0) {
        err = pk_commit_make(tree, parents, 2, info, ret);
        pk_tree_free(tree);
    }
    return err;
}

/* Attributes that a mount has recorded are merged, too, before the branch is
 * set. ours: NULL for a branch that was not there. */
static int merge_sides(struct np_store *store, const struct pk_digest *ours,
                       const struct pk_digest *theirs,
                       const struct pk_digest *now, const struct pk_info *info)
{
    struct pk_sides *sides;
    int err = pk_sides_open(store->repo, &sides);

    if (err == 0) {
        err = pk_sides_merged(sides, np_branch(store), ours, theirs, now, info);
        pk_sides_close(sides);
    }
    return err;
}

static int merge_into(struct conflicts *c, const struct pk_digest *theirs,
                      const struct pk_info *info)
{
    const struct np_options *o = c->store->options;
    const struct pk_judge judge = {take_conflict, c};
    struct pk_repo *repo = c->store->repo;
    struct pk_slice branch = np_branch(c->store);
    struct pk_digest ours;
    struct pk_digest now;
    const char *outcome = "merged";
    int err = pk_branch_get(repo, branch, &ours);
    bool is_new = err == NF_EC_NO_BRANCH;

    if (is_new || (err == 0 && o->ff_only)) {
        now = *theirs;
        err = merge_sides(c->store, is_new ? NULL : &ours, theirs, &now, info);
        err = err == 0 ? pk_fast_forward(repo, branch, theirs) : err;
    } else if (err == 0) {
        err = pk_merge_commits(repo, &ours, theirs, info, &judge, &now);
        if (err == 0 && o->no_ff && same_hash(&now, theirs) &&
            !same_hash(&now, &ours)) {
            err = commit_both(c->store, &ours, theirs, info, &now);
        }
        if (err == 0) {
            err = merge_sides(c->store, &ours, theirs, &now, info);
        }
        if (err == 0 && !same_hash(&now, &ours)) {
            err = pk_branch_cas(repo, branch, &ours, &now);
        }
    }
    if (err != 0) {
        return complain(c, err, "merge");
    }
    if (!is_new && same_hash(&now, &ours)) {
        outcome = "up-to-date";
    } else if (same_hash(&now, theirs)) {
        outcome = "fast-forward";
    }
    put_outcome(c, outcome, &now);
    return 0;
}

int np_merge(const struct np_options *options, int n_words, char **words)
{
    struct conflicts c = {.n = 0};
    struct np_store store;
    struct pk_digest theirs;
    struct np_info info;
    int err;

    (void)n_words;
    if (!parse_prefer(options->prefer, &c.how)) {
        return NP_USAGE;
    }
    if (options->no_ff && options->ff_only) {
        fprintf(stderr, "notapack: --no-ff and --ff-only exclude each other\n");
        return NP_USAGE;
    }
    err = np_info_make(options, "merge", words[1], &info);
    if (err != 0) {
        return err;
    }
    err = np_store_open(&store, options, PK_OPEN_WRITE);
    if (err == 0) {
        c.store = &store;
        c.json = options->json ? json_array() : NULL;
        np_progress(&store, "merge", NULL, NULL);
        err = np_resolve(&store, words[1], &theirs);
        if (err == 0) {
            err = merge_into(&c, &theirs, &info.info);
        }
        np_progress_end(&store);
        json_decref(c.json);
        err = np_store_close(&store) != 0 ? NP_FAILED : err;
    }
    np_info_free(&info);
    return err;
}

/* ------------------------------------------------------------------ revert */

static int revert_commit(struct conflicts *c, const struct pk_digest *commit,
                         uint64_t parent, const struct pk_info *info)
{
    const struct pk_judge judge = {take_conflict, c};
    struct pk_repo *repo = c->store->repo;
    struct pk_slice branch = np_branch(c->store);
    struct pk_digest ours;
    struct pk_digest now;
    int err = pk_branch_get(repo, branch, &ours);

    if (err == 0) {
        err = pk_revert(repo, &ours, commit, (size_t)parent - 1, info, &judge,
                        &now);
    }
    if (err == 0 && !same_hash(&now, &ours)) {
        err = pk_branch_cas(repo, branch, &ours, &now);
    }
    if (err != 0) {
        return complain(c, err, "revert");
    }
    put_outcome(c, same_hash(&now, &ours) ? "up-to-date" : "reverted", &now);
    return 0;
}

/* The tree of an earlier commit, committed anew. */
static int revert_to(const struct np_options *options, const char *text)
{
    struct np_change change;
    struct pk_tree *tree = NULL;
    struct pk_digest hash;
    int err = np_change_open(&change, options);

    if (err != 0) {
        return err;
    }
    err = np_resolve(&change.store, text, &hash);
    if (err == 0) {
        err = pk_commit_tree(change.store.repo, &hash, &tree);
    }
    if (err == 0) {
        pk_tree_free(change.tree);
        change.tree = tree;
    }
    return np_change_close(&change, err, "revert to", text);
}

int np_revert(const struct np_options *options, int n_words, char **words)
{
    struct conflicts c = {.how = PK_SETTLE_NOT};
    struct np_store store;
    struct pk_digest commit;
    struct np_info info;
    uint64_t parent = 1;
    int err;

    (void)n_words;
    if (options->parent != NULL &&
        (!np_parse_number(options->parent, &parent) || parent == 0)) {
        fprintf(stderr, "notapack: --parent takes a number from 1\n");
        return NP_USAGE;
    }
    if (options->to) {
        return revert_to(options, words[1]);
    }
    err = np_info_make(options, "revert", words[1], &info);
    if (err != 0) {
        return err;
    }
    err = np_store_open(&store, options, PK_OPEN_WRITE);
    if (err == 0) {
        c.store = &store;
        c.json = options->json ? json_array() : NULL;
        err = np_resolve(&store, words[1], &commit);
        if (err == 0) {
            err = revert_commit(&c, &commit, parent, &info.info);
        }
        json_decref(c.json);
        err = np_store_close(&store) != 0 ? NP_FAILED : err;
    }
    np_info_free(&info);
    return err;
}
