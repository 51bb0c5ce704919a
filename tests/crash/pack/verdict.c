/* SPDX-License-Identifier: ISC */
#include "tests/crash/pack/verdict.h"

#include <string.h>

#define FOLLOW_UP UINT64_C(0xF0110)

static bool told(struct verdict *v, const char *what, int err)
{
    fprintf(v->why, "%s: %s\n", what, nf_errname(err));
    return false;
}

/* An error of a device that lied is no surprise. */
static bool failed(struct verdict *v, const char *what, int err)
{
    if (v->lies && nf_err_class(err) == NF_ECORRUPT) {
        v->damaged = true;
        return true;
    }
    return told(v, what, err);
}

/* A store that was damaged when the play began is repaired first. */
static bool damaged_before(const struct verdict *v, uint32_t flags, int err)
{
    return v->play->script->damaged && (flags & PK_OPEN_WRITE) != 0 &&
           nf_err_class(err) == NF_ECORRUPT;
}

static int open_store(struct verdict *v, const struct pk_vfs *vfs,
                      uint32_t flags, struct pk_repo **ret_repo)
{
    struct pk_open opts = v->play->opts;
    struct nf_error_info info = {0};
    opts.vfs = vfs;
    opts.lower = v->play->script->lower ? vfs : NULL;
    opts.flags = flags;
    const struct nf_env *env = &v->play->stage->mem.env;
    int err = pk_repo_open(env, &opts, &info, ret_repo);
    if (err != 0 && damaged_before(v, flags, err)) {
        struct pk_repair_stats stats;
        opts.flags = PK_OPEN_WRITE;
        err = pk_repair(env, &opts, NULL, NULL, &info, &stats);
        opts.flags = flags;
        err = err == 0 ? pk_repo_open(env, &opts, &info, ret_repo) : err;
    }
    if (err != 0) {
        fprintf(v->why, "%s at %lld: %s\n", info.file, (long long)info.offset,
                info.what == NULL ? "" : info.what);
    }
    return err;
}

/* ---- Which moment ----------------------------------------------------- */

/* Do the branches name what they named at that moment? main: NULL, or what the
 * first one names instead. */
static bool shows(struct pk_repo *repo, const struct play *p,
                  const struct moment *moment, const struct pk_digest *main)
{
    for (int i = 0; i < PLAY_BRANCHES; i++) {
        struct pk_digest hash;
        const int head = moment->heads[i];
        const struct pk_digest *want = head < 0 ? NULL : &p->commits[head].hash;
        const int err = pk_branch_get(repo, play_text(play_branches[i]), &hash);
        want = i == 0 && main != NULL ? main : want;
        if ((err == 0) != (want != NULL) ||
            (err == 0 && memcmp(&hash, want, sizeof(hash)) != 0)) {
            return false;
        }
    }
    return true;
}

static bool find_moment(struct verdict *v, struct pk_repo *repo)
{
    for (size_t i = v->hi + 1; i > v->lo; i--) {
        const struct moment *moment = &v->play->moments[i - 1];
        if ((!v->followed && shows(repo, v->play, moment, NULL)) ||
            (v->follow != NULL && shows(repo, v->play, moment, v->follow))) {
            v->found = i - 1;
            return true;
        }
    }
    fprintf(v->why, "not one of the moments %zu to %zu", v->lo, v->hi);
    for (size_t i = 0; i < v->play->n_moments; i++) {
        if (shows(repo, v->play, &v->play->moments[i], NULL)) {
            fprintf(v->why, ", but %zu", i);
        }
    }
    fputc('\n', v->why);
    return false;
}

/* ---- What is there ---------------------------------------------------- */

static int tell(void *arg, const struct pk_finding *finding)
{
    struct verdict *v = arg;
    v->damaged = true;
    if (!v->lies) {
        fprintf(v->why, "%s at %lld: %s (%s)\n", finding->file,
                (long long)finding->offset, finding->what,
                nf_errname(finding->err));
    }
    return 0;
}

static bool check(struct verdict *v, struct pk_repo *repo)
{
    struct pk_check_stats stats;
    const int err = pk_check(repo, tell, v, &stats);
    if (err != 0) {
        return failed(v, "check", err);
    }
    return stats.findings == 0 || v->lies || told(v, "check", NF_ECORRUPT);
}

/* Commits that must be there are, with the trees that they had; others that
 * are there have them too. */
static bool look_at_commits(struct verdict *v, struct pk_repo *repo)
{
    const struct play *p = v->play;
    for (int i = 0; i < p->n_commits; i++) {
        const struct play_commit *want = &p->commits[i];
        struct pk_commit *commit;
        const int err = pk_commit_find(repo, &want->hash, &commit);
        if (err != 0 && nf_err_class(err) == NF_ENOENT &&
            (i >= v->n_durable || want->gone)) {
            continue;
        }
        if (err != 0) {
            if (!failed(v, "a commit", err)) {
                return false;
            }
            continue;
        }
        const bool same =
            memcmp(&commit->root, &want->root, sizeof(want->root)) == 0;
        pk_commit_free(repo, commit);
        if (!same) {
            return told(v, "a commit has another root", NF_ECORRUPT);
        }
    }
    return true;
}

/* A reader sees the same, as it is, and changes nothing. */
static bool look_as_reader(struct verdict *v, const struct pk_vfs *vfs)
{
    struct pk_repo *repo;
    int err = open_store(v, vfs, 0, &repo);
    if (v->play->script->damaged && nf_err_class(err) == NF_ECORRUPT) {
        return true;
    }
    if (err == NF_EC_LAYOUT && v->may_be_absent) {
        return true;
    }
    if (err != 0) {
        return failed(v, "open for reading", err);
    }
    const bool good = find_moment(v, repo) && look_at_commits(v, repo);
    err = pk_repo_close(repo);
    return good && (err == 0 || told(v, "close a reader", err));
}

/* ---- Going on --------------------------------------------------------- */

static int go_on(struct pk_repo *repo, uint64_t seed,
                 struct pk_digest *ret_hash)
{
    const struct pk_slice main = play_text(play_branches[0]);
    struct pk_digest head;
    struct pk_tree *tree;
    int err = pk_branch_get(repo, main, &head);
    const bool has = err == 0;
    if (!has && err != NF_EC_NO_BRANCH) {
        return err;
    }
    err = play_change(repo, has ? &head : NULL, seed, &tree);
    if (err != 0) {
        return err;
    }
    err = play_make(tree, has ? &head : NULL, seed, ret_hash);
    pk_tree_free(tree);
    return err == 0 ? pk_branch_set(repo, main, ret_hash) : err;
}

int verdict_go_on(struct verdict *v, uint64_t seed, struct pk_digest *ret_hash)
{
    struct pk_repo *repo;
    int err =
        open_store(v, &v->play->vfs, PK_OPEN_WRITE | PK_OPEN_CREATE, &repo);
    if (err != 0) {
        return err;
    }
    err = find_moment(v, repo) ? go_on(repo, seed, ret_hash) : NF_ECORRUPT;
    const int err2 = pk_repo_close(repo);
    return err == 0 ? err2 : err;
}

/* The store, open for writing: all of it, and one commit more. */
static bool look_as_writer(struct verdict *v, struct pk_repo *repo,
                           struct pk_digest *ret_hash)
{
    if (!find_moment(v, repo) || !look_at_commits(v, repo) || !check(v, repo)) {
        return false;
    }
    const int err = go_on(repo, FOLLOW_UP, ret_hash);
    if (err != 0) {
        return failed(v, "the next commit", err);
    }
    return v->nth % 4 != 0 || check(v, repo);
}

/* What was committed after the crash is there. */
static bool look_again(struct verdict *v, const struct pk_vfs *vfs,
                       const struct pk_digest *hash)
{
    struct pk_digest head;
    struct pk_repo *repo;
    int err = open_store(v, vfs, 0, &repo);
    if (err != 0) {
        return failed(v, "open again", err);
    }
    err = pk_branch_get(repo, play_text(play_branches[0]), &head);
    const bool good =
        err == 0 && memcmp(&head, hash, sizeof(head)) == 0 && check(v, repo);
    (void)pk_repo_close(repo); /* only read */
    return good || told(v, "the next commit is not there", err);
}

static bool stage_on(struct verdict *v)
{
    struct pk_digest hash;
    struct pk_repo *repo;
    struct stage *stage = v->play->stage;
    struct pk_vfs vfs;
    int err = stage_power_on(stage, &vfs);
    if (err != 0) {
        return failed(v, "mount", err);
    }
    bool good = (v->lies || stage_is_exact(stage, v->why)) &&
                (v->nth % 4 != 1 || look_as_reader(v, &vfs));
    if (good) {
        err = open_store(v, &vfs, PK_OPEN_WRITE | PK_OPEN_CREATE, &repo);
        good = err == 0 || failed(v, "open", err);
    }
    if (good && err == 0) {
        good = look_as_writer(v, repo, &hash);
        err = pk_repo_close(repo);
        good = good && (err == 0 || v->damaged || told(v, "close", err));
    }
    good =
        good && (v->damaged || v->nth % 2 != 0 || look_again(v, &vfs, &hash));
    good = good && (v->lies || stage_is_exact(stage, v->why));
    stage_power_off(stage);
    return good;
}

bool verdict(struct verdict *v)
{
    const bool good = stage_on(v);
    if (v->play->stage->mem.live_blocks != 0) {
        return told(v, "memory was not released", 0);
    }
    return good;
}
