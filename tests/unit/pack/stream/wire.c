/* SPDX-License-Identifier: ISC */
#include "tests/unit/pack/stream/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/codec_lz4.h>

#include "tests/support/unit.h"

static void store_commit(struct wire_store *w, struct pk_repo *repo,
                         uint32_t file_len)
{
    size_t i = w->n_commits;
    uint8_t *data = malloc(file_len + 100);
    struct pk_tree *tree;
    struct kit_path path;
    char name[48];

    if (i == 0) {
        assert_ok(pk_tree_empty(repo, &tree));
    } else {
        assert_ok(pk_commit_tree(repo, &w->commits[i - 1], &tree));
    }
    for (size_t f = 0; f < 12; f++) {
        uint32_t len = f == 0 ? file_len : (uint32_t)(f * 7);

        kit_contents(i * 100 + f, len, data);
        (void)snprintf(name, sizeof(name), "dir%zu/name-%zu-%zu", f % 3, f,
                       f == 5 ? 0 : i % 6);
        assert_ok(pk_tree_set(tree, kit_path(&path, name),
                              (struct pk_slice){data, len}));
    }
    assert_ok(kit_commit(tree, i > 0 ? &w->commits[i - 1] : NULL, (int64_t)i,
                         &w->commits[i]));
    assert_ok(pk_tree_hash(tree, &w->roots[i]));
    pk_tree_free(tree);
    free(data);
    w->n_commits++;
}

enum pk_strategy wire_strategy(const char *config)
{
    return strcmp(config, "nohdr") == 0 ? PK_STRATEGY_ALWAYS
                                        : PK_STRATEGY_MINIMAL;
}

void wire_empty_init(struct wire_store *w, const struct nf_env *env,
                     const char *config, enum pk_strategy strategy)
{
    struct pk_repo *repo;

    memset(w, 0, sizeof(*w));
    vfs_fault_init(&w->files);
    w->opts = kit_open(&w->files, config, PK_OPEN_WRITE | PK_OPEN_CREATE);
    w->opts.strategy = strategy;
    w->opts.cache_len = 16384;
    assert_ok(pk_repo_open(env, &w->opts, NULL, &repo));
    assert_ok(pk_repo_close(repo));
}

void wire_store_init(struct wire_store *w, const struct nf_env *env,
                     const char *config, size_t n_commits, uint32_t file_len)
{
    struct pk_repo *repo;

    wire_empty_init(w, env, config, wire_strategy(config));
    assert_ok(pk_repo_open(env, &w->opts, NULL, &repo));
    while (w->n_commits < n_commits) {
        store_commit(w, repo, file_len);
    }
    assert_ok(pk_repo_close(repo));
}

void wire_store_deinit(struct wire_store *w)
{
    vfs_fault_deinit(&w->files);
}

static void wire_add(struct wire *wire, struct pk_slice chunk)
{
    if ((wire->n & (wire->n - 1)) == 0) {
        size_t cap = wire->n == 0 ? 1 : wire->n * 2;

        wire->chunks = realloc(wire->chunks, cap * sizeof(uint8_t *));
        wire->lens = realloc(wire->lens, cap * sizeof(size_t));
    }
    wire->chunks[wire->n] = malloc(chunk.len);
    memcpy(wire->chunks[wire->n], chunk.p, chunk.len);
    wire->lens[wire->n++] = chunk.len;
}

void wire_deinit(struct wire *wire)
{
    for (size_t i = 0; i < wire->n; i++) {
        free(wire->chunks[i]);
    }
    free(wire->chunks);
    free(wire->lens);
    memset(wire, 0, sizeof(*wire));
}

int wire_send(struct wire *wire, const struct nf_env *env,
              struct wire_store *src, size_t from, size_t to,
              const struct nf_codec *codec)
{
    struct pk_stream_ref ref = {kit_text("main"), 0};
    struct pk_send_options how = {.commits = &src->commits[to - 1],
                                  .n_commits = 1,
                                  .refs = &ref,
                                  .n_refs = 1,
                                  .codec = codec};
    struct pk_open opts = src->opts;
    struct pk_vfs_mem *files = NULL;
    struct pk_send *send = NULL;
    struct pk_slice chunk;
    struct pk_vfs scratch;
    struct pk_repo *repo = NULL;
    int err = pk_vfs_mem_open(env, &files, &scratch);

    memset(wire, 0, sizeof(*wire));
    if (from > 0) {
        how.have = &src->commits[from - 1];
        how.n_have = 1;
    }
    how.scratch = &scratch;
    opts.flags = 0;
    if (err == 0) {
        err = pk_repo_open(env, &opts, NULL, &repo);
    }
    if (err == 0) {
        err = pk_send_open(repo, &how, &send);
    }
    while (err == 0 && (err = pk_send_next(send, &chunk)) > 0) {
        if (chunk.len > 0) {
            wire_add(wire, chunk);
        }
        err = 0;
    }
    if (send != NULL) {
        pk_send_progress(send, &wire->stats);
    }
    pk_send_close(send);
    (void)pk_repo_close(repo); /* only read */
    if (files != NULL) {
        pk_vfs_mem_close(files);
    }
    return err;
}

int wire_receive(const struct wire *wire, const struct nf_env *env,
                 struct wire_store *into)
{
    struct pk_receive_options how = {.codec = nf_codec_lz4(),
                                     .checkpoint_len = 100000};
    struct pk_receive *receive = NULL;
    struct pk_vfs_mem *files = NULL;
    struct pk_repo *repo = NULL;
    struct pk_vfs scratch;
    int err = pk_vfs_mem_open(env, &files, &scratch);
    int close_err;

    how.scratch = &scratch;
    if (err == 0) {
        err = pk_repo_open(env, &into->opts, NULL, &repo);
    }
    if (err == 0) {
        err = pk_receive_open(repo, &how, &receive);
    }
    for (size_t i = 0; i < wire->n && err == 0; i++) {
        err = pk_receive_feed(receive, wire->chunks[i], wire->lens[i]);
    }
    if (err == 0) {
        err = pk_receive_finish(receive);
    }
    pk_receive_close(receive);
    close_err = pk_repo_close(repo);
    if (files != NULL) {
        pk_vfs_mem_close(files);
    }
    return err == 0 ? close_err : err;
}

void wire_set_branch(struct wire_store *w, const struct nf_env *env,
                     const struct pk_digest *hash)
{
    struct pk_repo *repo;

    assert_ok(pk_repo_open(env, &w->opts, NULL, &repo));
    assert_ok(pk_branch_set(repo, kit_text("main"), hash));
    assert_ok(pk_repo_close(repo));
}

struct found {
    struct pk_repo *repo;
    const struct wire_store *src;
    size_t last;
    bool has_last;
};

static int found_commit(void *arg, const struct pk_digest *hash)
{
    struct found *f = arg;
    struct pk_commit *commit;
    size_t i = 0;
    int err;

    while (i < f->src->n_commits &&
           memcmp(&f->src->commits[i], hash, sizeof(*hash)) != 0) {
        i++;
    }
    ck_assert_msg(i < f->src->n_commits, "a commit that nobody sent");
    err = pk_commit_find(f->repo, hash, &commit);
    if (err == NF_EC_COLLECTED) {
        return 0; /* by a collection here */
    }
    assert_ok(err);
    ck_assert_mem_eq(&commit->root, &f->src->roots[i], sizeof(*hash));
    pk_commit_free(f->repo, commit);
    f->has_last = f->has_last || i == f->last;
    return 0;
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

bool wire_check(struct pk_repo *repo, const struct wire_store *src, size_t last)
{
    struct found found = {repo, src, last, false};
    struct pk_check_stats stats;

    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    assert_ok(pk_commit_each(repo, found_commit, &found));
    return found.has_last;
}
