/* SPDX-License-Identifier: ISC */
/*
 * replay: the whole history of one store into a fresh one. Commits come after
 * their parents; each tree is its parent's with the differences, so that what
 * is equal is stored once, as in the source. Every commit must have the hash
 * that it has there.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/notapack.h"

struct replay {
    struct np_store src;
    struct np_store dst;
    struct pk_commit **commits; /* newest first */
    size_t n;
    size_t cap;
    size_t done;
    struct pk_tree *from; /* of the source, while differences are applied */
    struct pk_tree *to;
};

static struct pk_commit *commit_copy(const struct pk_commit *c)
{
    size_t text = c->info.author.len + c->info.message.len;
    struct pk_digest *parents;
    struct pk_commit *copy =
        malloc(sizeof(*c) + c->n_parents * sizeof(*parents) + text);
    char *p;

    if (copy == NULL) {
        return NULL;
    }
    *copy = *c;
    parents = (struct pk_digest *)(copy + 1);
    if (c->n_parents > 0) {
        memcpy(parents, c->parents, c->n_parents * sizeof(*parents));
    }
    copy->parents = parents;
    p = (char *)(parents + c->n_parents);
    memcpy(p, c->info.author.p, c->info.author.len);
    copy->info.author.p = (uint8_t *)p;
    p += c->info.author.len;
    memcpy(p, c->info.message.p, c->info.message.len);
    copy->info.message.p = (uint8_t *)p;
    return copy;
}

static int replay_collect(void *arg, const struct pk_commit *commit)
{
    struct replay *r = arg;

    if (r->n == r->cap) {
        size_t cap = r->cap * 2 + 64;
        void *commits = realloc(r->commits, cap * sizeof(*r->commits));

        if (commits == NULL) {
            return NF_ENOMEM;
        }
        r->commits = commits;
        r->cap = cap;
    }
    r->commits[r->n] = commit_copy(commit);
    return r->commits[r->n++] == NULL ? NF_ENOMEM : 0;
}

/* The branches' commits: where history begins. */
struct heads {
    struct pk_digest *p;
    size_t n;
};

static int replay_head(void *arg, struct pk_slice name,
                       const struct pk_digest *hash)
{
    struct heads *heads = arg;
    void *p = realloc(heads->p, (heads->n + 1) * sizeof(*heads->p));

    (void)name;
    if (p == NULL) {
        return NF_ENOMEM;
    }
    heads->p = p;
    heads->p[heads->n++] = *hash;
    return 0;
}

static int replay_change(void *arg, struct pk_path path,
                         const struct pk_stat *old_stat,
                         const struct pk_stat *new_stat)
{
    struct replay *r = arg;
    struct pk_bytes bytes;
    int err;

    (void)old_stat;
    if (new_stat->kind == PK_NONE) {
        enum pk_kind kind = PK_NONE;

        err = pk_tree_kind(r->to, path, &kind);
        /* What a directory has replaced is gone already. */
        return err == 0 && kind == PK_CONTENTS ? pk_tree_remove(r->to, path)
                                               : err;
    }
    err = pk_tree_get(r->from, path, &bytes);
    if (err == 0) {
        err = pk_tree_set(r->to, path, (struct pk_slice){bytes.p, bytes.len});
        pk_bytes_free(r->src.repo, &bytes);
    }
    return err;
}

/* One commit. Its first parent's tree is the beginning. */
static int replay_commit(struct replay *r, const struct pk_commit *c)
{
    struct pk_tree *before = NULL;
    struct pk_digest hash;
    int err = 0;

    if (c->n_parents > 0) {
        err = pk_commit_tree(r->src.repo, &c->parents[0], &before);
        if (err == 0) {
            err = pk_commit_tree(r->dst.repo, &c->parents[0], &r->to);
        }
    } else {
        err = pk_tree_empty(r->src.repo, &before);
        if (err == 0) {
            err = pk_tree_empty(r->dst.repo, &r->to);
        }
    }
    if (err == 0) {
        err = pk_commit_tree(r->src.repo, &c->hash, &r->from);
    }
    if (err == 0) {
        err = pk_tree_diff(before, r->from, replay_change, r);
    }
    if (err == 0) {
        err = pk_commit_make(r->to, c->parents, c->n_parents, &c->info, &hash);
    }
    if (err == 0 && memcmp(&hash, &c->hash, sizeof(hash)) != 0) {
        err = NF_EC_HASH;
    }
    pk_tree_free(before);
    pk_tree_free(r->from);
    pk_tree_free(r->to);
    r->from = NULL;
    r->to = NULL;
    return err;
}

static bool replayed(struct replay *r, const struct pk_digest *hash)
{
    uint64_t off;

    return pk_view_find(r->dst.repo, hash, &off) == 0;
}

enum { FLUSH_EVERY = 256 }; /* commits: what an interruption costs */

/* A commit whose parents are there, unless an earlier run has made it. */
static int replay_ready(struct replay *r, struct pk_commit **commit)
{
    int err = replayed(r, &(*commit)->hash) ? 0 : replay_commit(r, *commit);

    if (err == 0 && np_interrupted() != 0) {
        err = NF_ECANCELED;
    }
    free(*commit);
    *commit = NULL;
    r->done++;
    if (err == 0 && r->done % FLUSH_EVERY == 0) {
        err = pk_repo_flush(r->dst.repo);
    }
    return err;
}

/* All commits, those first whose parents are there. Dates may lie, so it may
 * take several rounds, each of which gets at least one further. */
static int replay_commits(struct replay *r)
{
    size_t before = SIZE_MAX;
    int err = 0;

    while (err == 0 && r->done < r->n && r->done != before) {
        before = r->done;
        for (size_t i = r->n; i > 0 && err == 0; i--) {
            struct pk_commit *c = r->commits[i - 1];
            bool ready = c != NULL;

            for (size_t p = 0; ready && p < c->n_parents; p++) {
                ready = replayed(r, &c->parents[p]);
            }
            if (ready) {
                err = replay_ready(r, &r->commits[i - 1]);
            }
        }
    }
    if (err == 0 && r->done < r->n) {
        fprintf(stderr,
                "notapack: %zu commits left out: their parents were "
                "collected\n",
                r->n - r->done);
        err = NF_EC_COLLECTED;
    }
    return err;
}

static void replay_show(void *arg, FILE *out)
{
    const struct replay *r = arg;

    fprintf(out, "%zu of %zu commits", r->done, r->n);
}

static int replay_branch(void *arg, struct pk_slice name,
                         const struct pk_digest *hash)
{
    struct replay *r = arg;

    return pk_branch_set(r->dst.repo, name, hash);
}

static int replay_run(struct replay *r)
{
    struct heads heads = {NULL, 0};
    int err = pk_branch_each(r->src.repo, replay_head, &heads);

    if (err == 0) {
        err =
            pk_history(r->src.repo, heads.p, heads.n, replay_collect, NULL, r);
    }
    free(heads.p);
    if (err == 0) {
        err = replay_commits(r);
    }
    if (err == 0) {
        err = pk_branch_each(r->src.repo, replay_branch, r);
    }
    for (size_t i = 0; i < r->n; i++) {
        free(r->commits[i]);
    }
    free(r->commits);
    return err;
}

int np_replay(const struct np_options *options, int n_words, char **words)
{
    struct np_options src = *options;
    struct np_options dst = *options;
    struct replay r = {.n = 0};
    char config[256];
    int err;

    (void)n_words;
    src.store = words[1];
    dst.store = words[2];
    dst.config = config;
    dst.lower = NULL;
    dst.beside = &r.src;
    src.shares = np_same_image(&src, &dst);
    err = np_store_open(&r.src, &src, 0);
    if (err != 0) {
        return err;
    }
    pk_config_print(&r.src.config, config, sizeof(config));
    err = np_store_open(&r.dst, &dst, PK_OPEN_WRITE | PK_OPEN_CREATE);
    if (err == 0) {
        np_progress(&r.dst, "replay", replay_show, &r);
        err = replay_run(&r);
        np_progress_end(&r.dst);
        if (err == 0) {
            err = np_config_record(&r.dst);
        }
        if (err != 0) {
            err = np_complain(&r.dst, err, "replay");
        } else if (options->json) {
            np_json_put(json_pack("{s:I}", "commits", (json_int_t)r.done));
        }
        if (np_store_close(&r.dst) != 0) {
            err = NP_FAILED;
        }
    }
    return np_store_close(&r.src) != 0 ? NP_FAILED : err;
}
