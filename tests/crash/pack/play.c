/* SPDX-License-Identifier: ISC */
#include "tests/crash/pack/play.h"

#include <stdlib.h>
#include <string.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/merge.h>

const char *const play_branches[PLAY_BRANCHES] = {"main", "foo", "bar"};

void play_must(struct play *p, const char *what, int err)
{
    if (err == 0) {
        return;
    }
    fprintf(stderr, "play %s on %s: %s: %s\n", p->script->name,
            p->stage->config->name, what, nf_errname(err));
    if (p->repo != NULL) {
        const struct nf_error_info *info = pk_repo_error(p->repo);
        fprintf(stderr, "%s at %lld: %s\n", info->file, (long long)info->offset,
                info->what == NULL ? "" : info->what);
    }
    exit(EXIT_FAILURE);
}

struct pk_slice play_text(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

/* ---- Changes ---------------------------------------------------------- */

static int change_one(struct pk_tree *tree, struct prng *prng)
{
    uint8_t data[700];
    char name[2][24];
    (void)snprintf(name[0], sizeof(name[0]), "d%d", (int)prng_below(prng, 3));
    (void)snprintf(name[1], sizeof(name[1]), "some-name-%d",
                   (int)prng_below(prng, 12));
    const struct pk_slice steps[2] = {play_text(name[0]), play_text(name[1])};
    const struct pk_path path = {steps, 2};
    if (prng_below(prng, 5) == 0) {
        return pk_tree_remove(tree, path);
    }
    const size_t len =
        prng_below(prng, 6) == 0 ? sizeof(data) : 1 + prng_below(prng, 40);
    prng_bytes(prng, len, data);
    return pk_tree_set(tree, path, (struct pk_slice){data, len});
}

int play_change(struct pk_repo *repo, const struct pk_digest *from,
                uint64_t seed, struct pk_tree **ret_tree)
{
    struct prng prng = prng_seed(seed);
    const struct pk_slice step = play_text("n");
    const struct pk_path path = {&step, 1};
    uint8_t number[8];
    struct pk_tree *tree;
    int err = from == NULL ? pk_tree_empty(repo, &tree)
                           : pk_commit_tree(repo, from, &tree);
    if (err != 0) {
        return err;
    }
    for (int i = 0; err == 0 && i < 5; i++) {
        err = change_one(tree, &prng);
    }
    if (err == 0) { /* no two commits are the same, none is empty */
        prng_bytes(&prng, sizeof(number), number);
        err =
            pk_tree_set(tree, path, (struct pk_slice){number, sizeof(number)});
    }
    if (err != 0) {
        pk_tree_free(tree);
        return err;
    }
    *ret_tree = tree;
    return 0;
}

int play_make(struct pk_tree *tree, const struct pk_digest *parent,
              uint64_t seed, struct pk_digest *ret_hash)
{
    const struct pk_info info = {
        .date = (int64_t)(seed % 1000000),
        .author = play_text("author"),
        .message = play_text("message"),
    };
    return pk_commit_make(tree, parent, parent != NULL, &info, ret_hash);
}

/* ---- Moments ---------------------------------------------------------- */

size_t play_begin(struct play *p)
{
    return p->stage->n_records > 0 ? stage_n_entries(p->stage) : 0;
}

void play_end(struct play *p, size_t begun)
{
    p->moments = realloc(p->moments, (p->n_moments + 1) * sizeof(*p->moments));
    if (p->moments == NULL) {
        abort();
    }
    struct moment *moment = &p->moments[p->n_moments++];
    *moment = (struct moment){
        .begun = begun,
        .acked = play_begin(p),
        .generation = stage_generation(p->stage),
        .n_durable = p->n_durable,
    };
    memcpy(moment->heads, p->heads, sizeof(p->heads));
}

/* ---- Acts ------------------------------------------------------------- */

void play_on(struct play *p)
{
    play_must(p, "power on", stage_power_on(p->stage, &p->vfs));
}

void play_off(struct play *p)
{
    stage_power_off(p->stage);
}

void play_store_open(struct play *p)
{
    const size_t begun = play_begin(p);
    p->opts.flags = PK_OPEN_WRITE | PK_OPEN_CREATE;
    play_must(p, "open",
              pk_repo_open(&p->stage->mem.env, &p->opts, NULL, &p->repo));
    play_end(p, begun);
}

void play_store_close(struct play *p)
{
    const size_t begun = play_begin(p);
    struct pk_repo *repo = p->repo;
    p->repo = NULL;
    play_must(p, "close", pk_repo_close(repo));
    p->n_durable = p->n_commits;
    play_end(p, begun);
}

static const struct pk_digest *head_of(const struct play *p, int branch)
{
    return p->heads[branch] < 0 ? NULL : &p->commits[p->heads[branch]].hash;
}

static struct play_commit *commit_new(struct play *p)
{
    if (p->n_commits == PLAY_COMMITS) {
        play_must(p, "commits", NF_ERANGE);
    }
    return &p->commits[p->n_commits++];
}

static void make(struct play *p, int branch)
{
    struct play_commit *commit = commit_new(p);
    const struct pk_digest *head = head_of(p, branch);
    const uint64_t seed = prng_next(&p->prng);
    struct pk_tree *tree;
    play_must(p, "change", play_change(p->repo, head, seed, &tree));
    play_must(p, "commit", play_make(tree, head, seed, &commit->hash));
    play_must(p, "hash", pk_tree_hash(tree, &commit->root));
    pk_tree_free(tree);
}

void play_branch_set(struct play *p, int branch, int commit)
{
    const struct pk_slice name = play_text(play_branches[branch]);
    const size_t begun = play_begin(p);
    const int err =
        commit < 0 ? pk_branch_remove(p->repo, name)
                   : pk_branch_set(p->repo, name, &p->commits[commit].hash);
    play_must(p, "branch", err);
    p->heads[branch] = commit;
    p->n_durable = commit < 0 ? p->n_durable : p->n_commits;
    play_end(p, begun);
}

void play_branch_cas(struct play *p, int branch, int commit)
{
    const struct pk_slice name = play_text(play_branches[branch]);
    const struct pk_digest *now = head_of(p, branch);
    const struct pk_digest *wish = commit < 0 ? NULL : &p->commits[commit].hash;
    struct pk_digest wrong = {{1}};
    const size_t begun = play_begin(p);
    if (pk_branch_cas(p->repo, name, &wrong, wish) != NF_ECONFLICT) {
        play_must(p, "compare-and-set took a wrong value", NF_EINVAL);
    }
    play_must(p, "compare-and-set", pk_branch_cas(p->repo, name, now, wish));
    p->heads[branch] = commit;
    p->n_durable = commit < 0 ? p->n_durable : p->n_commits;
    play_end(p, begun);
}

void play_commit(struct play *p, int branch)
{
    make(p, branch);
    play_branch_set(p, branch, p->n_commits - 1);
}

void play_commit_aside(struct play *p, int branch)
{
    make(p, branch);
    const size_t begun = play_begin(p);
    play_must(p, "flush", pk_repo_flush(p->repo));
    p->n_durable = p->n_commits;
    play_end(p, begun);
}

/* Where both have changed the same, ours counts. */
static int prefer_ours(void *arg, const struct pk_conflict *conflict,
                       struct pk_settlement *ret_settlement)
{
    (void)arg;
    (void)conflict;
    *ret_settlement = (struct pk_settlement){.how = PK_SETTLE_OURS};
    return 0;
}

void play_merge(struct play *p, int ours, int theirs)
{
    const struct pk_info info = {.date = p->n_commits,
                                 .author = play_text("merger"),
                                 .message = play_text("")};
    const struct pk_judge settle = {prefer_ours, NULL};
    struct play_commit *commit = commit_new(p);
    struct pk_commit *found;
    const size_t begun = play_begin(p);
    play_must(p, "merge",
              pk_merge_branch(p->repo, play_text(play_branches[ours]),
                              head_of(p, theirs), &info, &settle,
                              &commit->hash));
    play_must(p, "find", pk_commit_find(p->repo, &commit->hash, &found));
    commit->root = found->root;
    pk_commit_free(p->repo, found);
    p->heads[ours] = p->n_commits - 1;
    p->n_durable = p->n_commits;
    play_end(p, begun);
}

void play_split(struct play *p)
{
    const size_t begun = play_begin(p);
    play_must(p, "split", pk_repo_split(p->repo));
    p->n_durable = p->n_commits;
    play_end(p, begun);
}

void play_repair(struct play *p)
{
    struct pk_repair_stats stats;
    const size_t begun = play_begin(p);
    p->opts.flags = PK_OPEN_WRITE;
    play_must(
        p, "repair",
        pk_repair(&p->stage->mem.env, &p->opts, NULL, NULL, NULL, &stats));
    play_end(p, begun);
}

/* ---- Open and close --------------------------------------------------- */

struct stage *stage_open(const struct config *config)
{
    return config->page_size == 0 ? stage_files_open(config)
                                  : stage_disk_open(config);
}

void play_open(struct play *p, const struct config *config,
               const struct script *script, uint64_t seed)
{
    *p = (struct play){
        .stage = stage_open(config),
        .script = script,
        .prng = prng_seed(seed),
        .opts = {.strategy = script->strategy,
                 .cache_len = 8192,
                 .index_log_entries = script->index_log,
                 .hashes = pk_hash_gcrypt()},
    };
    for (int i = 0; i < PLAY_BRANCHES; i++) {
        p->heads[i] = -1;
    }
    play_must(p, script->config,
              pk_config_parse(script->config, &p->opts.config));
    p->opts.vfs = &p->vfs;
    p->opts.lower = script->lower ? &p->vfs : NULL;
    if (script->before != NULL) {
        script->before(p);
    }
    stage_record(p->stage);
    play_on(p);
    play_end(p, 0); /* this is how it begins */
    p->moments[p->n_moments - 1].acked = 0;
    script->run(p);
    play_off(p);
    if (p->stage->mem.live_blocks != 0) {
        play_must(p, "memory was not released", NF_ENOMEM);
    }
    stage_rewind(p->stage);
}

void play_close(struct play *p)
{
    stage_forget(p->stage);
    stage_close(p->stage);
    free(p->moments);
}
