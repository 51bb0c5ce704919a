/* SPDX-License-Identifier: ISC */
/*
 * Merges of commits (spec 9.3).
 *
 * Commits may have several lowest common ancestors. These are merged into one
 * base, the first with the second, the outcome with the third, and so on, each
 * time over what the commits merged so far and the next have in common, which
 * may again be several. Such merges within merges are a stack in memory; their
 * trees are never stored. Upstream stores a commit for each.
 *
 * What is in conflict within a base is bound to contents of no meaning: other
 * than what either side has, so that sides that disagree are in conflict, too,
 * and sides that agree are not.
 */
#include <notafs/merge.h>

#include <string.h>

#include "pack/locate.h"
#include "pack/objects.h"
#include "pack/store/lca.h"

/* Merges for one base. Histories that need more are not made by people, and
 * their number can double with each layer. */
enum { MAX_BASE_MERGES = 1000 };

/* Ancestors being merged: those before next are, into tree. */
struct base_level {
    struct pk_lcas lcas;
    size_t next;
    struct pk_tree *tree;
    bool pending; /* what next is merged over is asked for, or known */
};

struct base {
    struct pk_repo *repo;
    struct base_level *levels;
    size_t depth;
    size_t cap;
    size_t n_merges;
};

static int commit_tree_at(struct pk_repo *repo, uint64_t off,
                          struct pk_tree **ret_tree)
{
    struct pk_head head;
    int err = pk_object_head(&repo->store, off, &head);

    return err == 0 ? pk_commit_tree(repo, &head.hash, ret_tree) : err;
}

/* A level for ancestors. Takes lcas, on success only. */
static int base_push(struct base *b, const struct pk_lcas *lcas)
{
    struct base_level *levels;

    if (b->depth == b->cap) {
        const size_t cap = b->cap == 0 ? 4 : 2 * b->cap;

        levels = nf_realloc(&b->repo->store.ctx.mem, b->levels,
                            b->cap * sizeof(*levels), cap * sizeof(*levels));
        if (levels == NULL) {
            return pk_fail_mem(&b->repo->store.ctx);
        }
        b->levels = levels;
        b->cap = cap;
    }
    b->levels[b->depth++] = (struct base_level){.lcas = *lcas};
    return 0;
}

static void base_pop(struct base *b)
{
    struct base_level *level = &b->levels[--b->depth];

    pk_lcas_deinit(b->repo, &level->lcas);
    pk_tree_free(level->tree);
}

/* The tree of the one lowest common ancestor, NULL if there is none; if there
 * are several, a level on top to make it. */
static int base_search(struct base *b, struct pk_offs x, struct pk_offs y,
                       struct pk_tree **ret_tree)
{
    struct pk_lcas lcas = {0};
    int err = pk_lcas_find(b->repo, x, y, 0, &lcas);

    if (err == 0 && lcas.n > 1) {
        err = base_push(b, &lcas);
        if (err == 0) {
            return 0;
        }
    }
    if (err == 0 && lcas.n == 1) {
        err = commit_tree_at(b->repo, lcas.offs[0], ret_tree);
    }
    pk_lcas_deinit(b->repo, &lcas);
    return err;
}

/* What a conflict within a base is bound to: both hashes, and words that make
 * it unlike any file. */
struct mark {
    uint8_t bytes[2 * sizeof(struct pk_digest) + 16];
};

static int base_mark(void *arg, const struct pk_conflict *conflict,
                     struct pk_settlement *ret_settlement)
{
    static const uint8_t words[16] = "notafs conflict";
    struct mark *mark = arg;

    memcpy(mark->bytes, words, sizeof(words));
    memcpy(mark->bytes + 16, &conflict->ours.hash, sizeof(struct pk_digest));
    memcpy(mark->bytes + 16 + sizeof(struct pk_digest), &conflict->theirs.hash,
           sizeof(struct pk_digest));
    ret_settlement->how = PK_SETTLE_CONTENTS;
    ret_settlement->contents =
        (struct pk_slice){mark->bytes, sizeof(mark->bytes)};
    return 0;
}

/* Merge the next ancestor of a level, over tree, which may be NULL. */
static int base_merge(struct base *b, struct base_level *level,
                      struct pk_tree *tree)
{
    struct mark mark;
    const struct pk_judge judge = {base_mark, &mark};
    struct pk_tree *next = NULL;
    struct pk_tree *merged = NULL;
    int err;

    if (b->n_merges++ == MAX_BASE_MERGES) {
        return pk_fail(&b->repo->store.ctx, NF_EC_HISTORY, NULL, NF_NOWHERE,
                       "merges of common ancestors");
    }
    err = commit_tree_at(b->repo, level->lcas.offs[level->next], &next);
    if (err == 0) {
        err = pk_merge_trees(tree, level->tree, next, &judge, &merged);
    }
    pk_tree_free(next);
    if (err == 0) {
        pk_tree_free(level->tree);
        level->tree = merged;
        level->next++;
        level->pending = false;
    }
    return err;
}

/* Go on with the level on top. *tree is what was asked for last, and passes to
 * the level below when this one is done. */
static int base_step(struct base *b, struct pk_tree **tree)
{
    struct base_level *level = &b->levels[b->depth - 1];
    const uint64_t *offs = level->lcas.offs;
    int err;

    if (level->next == 0) {
        level->next = 1;
        return commit_tree_at(b->repo, offs[0], &level->tree);
    }
    if (level->pending) {
        err = base_merge(b, level, *tree);
        pk_tree_free(*tree);
        *tree = NULL;
        return err;
    }
    if (level->next < level->lcas.n) {
        level->pending = true;
        return base_search(b, (struct pk_offs){offs, level->next},
                           (struct pk_offs){offs + level->next, 1}, tree);
    }
    *tree = level->tree;
    level->tree = NULL;
    base_pop(b);
    return 0;
}

int pk_merge_base(struct pk_repo *repo, const struct pk_digest *a,
                  const struct pk_digest *b, struct pk_tree **ret_tree)
{
    struct base base = {.repo = repo};
    struct pk_tree *tree = NULL;
    uint64_t off_a = 0;
    uint64_t off_b = 0;
    int err = pk_locate_commit(&repo->store, a, &off_a);

    if (err == 0) {
        err = pk_locate_commit(&repo->store, b, &off_b);
    }
    if (err == 0) {
        err = base_search(&base, (struct pk_offs){&off_a, 1},
                          (struct pk_offs){&off_b, 1}, &tree);
    }
    while (err == 0 && base.depth > 0) {
        err = base_step(&base, &tree);
    }
    while (base.depth > 0) {
        base_pop(&base);
    }
    nf_free(&repo->store.ctx.mem, base.levels, base.cap * sizeof(*base.levels));
    if (err != 0) {
        pk_tree_free(tree);
        return err;
    }
    *ret_tree = tree;
    return 0;
}

/* ------------------------------------------------------------------- commits
 */

static bool digest_same(const struct pk_digest *a, const struct pk_digest *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Which of two commits has the other behind it: then the other is their one
 * lowest common ancestor. */
struct ahead {
    const struct pk_digest *ours;
    const struct pk_digest *theirs;
    bool is_ours;
    bool is_theirs;
};

static int ahead_found(void *arg, const struct pk_digest *hash)
{
    struct ahead *ahead = arg;

    ahead->is_ours |= digest_same(hash, ahead->theirs);
    ahead->is_theirs |= digest_same(hash, ahead->ours);
    return 0;
}

/* Merge the trees and make a commit of the outcome with these parents; ours
 * where nothing is changed and there is but one. */
static int merge_and_commit(struct pk_tree *base, struct pk_tree *ours,
                            struct pk_tree *theirs,
                            const struct pk_digest *parents, size_t n_parents,
                            const struct pk_info *info,
                            const struct pk_judge *judge,
                            struct pk_digest *ret_hash)
{
    struct pk_tree *merged = NULL;
    struct pk_digest before;
    struct pk_digest after;
    int err = pk_merge_trees(base, ours, theirs, judge, &merged);

    if (err == 0) {
        err = pk_tree_hash(ours, &before);
    }
    if (err == 0) {
        err = pk_tree_hash(merged, &after);
    }
    if (err == 0 && n_parents == 1 && digest_same(&before, &after)) {
        *ret_hash = parents[0];
    } else if (err == 0) {
        err = pk_commit_make(merged, parents, n_parents, info, ret_hash);
    }
    pk_tree_free(merged);
    return err;
}

int pk_merge_commits(struct pk_repo *repo, const struct pk_digest *ours,
                     const struct pk_digest *theirs, const struct pk_info *info,
                     const struct pk_judge *judge, struct pk_digest *ret_hash)
{
    const struct pk_digest parents[2] = {*ours, *theirs};
    struct pk_tree *trees[3] = {NULL, NULL, NULL};
    struct ahead ahead = {.ours = ours, .theirs = theirs};
    int err = pk_lca(repo, ours, theirs, 0, ahead_found, &ahead);

    if (err == 0 && (ahead.is_ours || ahead.is_theirs)) {
        *ret_hash = ahead.is_ours ? *ours : *theirs;
        return 0;
    }
    if (err == 0) {
        err = pk_merge_base(repo, ours, theirs, &trees[0]);
    }
    if (err == 0) {
        err = pk_commit_tree(repo, ours, &trees[1]);
    }
    if (err == 0) {
        err = pk_commit_tree(repo, theirs, &trees[2]);
    }
    if (err == 0) {
        err = merge_and_commit(trees[0], trees[1], trees[2], parents, 2, info,
                               judge, ret_hash);
    }
    for (size_t i = 0; i < 3; i++) {
        pk_tree_free(trees[i]);
    }
    return err;
}

/* What the branch names, or NULL if there is no such branch. */
static int branch_head(struct pk_repo *repo, struct pk_slice branch,
                       struct pk_digest *hash, const struct pk_digest **ret)
{
    int err = pk_branch_get(repo, branch, hash);

    *ret = err == 0 ? hash : NULL;
    return err == NF_EC_NO_BRANCH ? 0 : err;
}

int pk_merge_branch(struct pk_repo *repo, struct pk_slice branch,
                    const struct pk_digest *theirs, const struct pk_info *info,
                    const struct pk_judge *judge, struct pk_digest *ret_hash)
{
    const struct pk_digest *head = NULL;
    struct pk_digest merged = *theirs;
    struct pk_digest hash;
    int err = branch_head(repo, branch, &hash, &head);

    if (err == 0 && head != NULL) {
        err = pk_merge_commits(repo, head, theirs, info, judge, &merged);
    }
    if (err == 0) {
        err = pk_branch_cas(repo, branch, head, &merged);
    }
    if (err == 0) {
        *ret_hash = merged;
    }
    return err;
}

int pk_fast_forward(struct pk_repo *repo, struct pk_slice branch,
                    const struct pk_digest *hash)
{
    const struct pk_digest *head = NULL;
    struct pk_digest old;
    struct ahead ahead = {.ours = &old, .theirs = hash};
    int err = branch_head(repo, branch, &old, &head);

    if (err == 0 && head != NULL) {
        err = pk_lca(repo, head, hash, 0, ahead_found, &ahead);
    }
    if (err == 0 && head != NULL && !ahead.is_theirs) {
        err = pk_fail(&repo->store.ctx, NF_EC_DIVERGED, NULL, NF_NOWHERE,
                      "branch");
    }
    return err == 0 ? pk_branch_cas(repo, branch, head, hash) : err;
}

/* The tree of a commit's parent, an empty one for a first commit. */
static int parent_tree(struct pk_repo *repo, const struct pk_digest *commit,
                       size_t parent, struct pk_tree **ret_tree)
{
    struct pk_commit *c = NULL;
    int err = pk_commit_find(repo, commit, &c);

    if (err != 0) {
        return err;
    }
    if (parent < c->n_parents) {
        err = pk_commit_tree(repo, &c->parents[parent], ret_tree);
    } else if (parent == 0) {
        err = pk_tree_empty(repo, ret_tree);
    } else {
        err = pk_fail(&repo->store.ctx, NF_EINVAL, NULL, NF_NOWHERE,
                      "parent of a commit");
    }
    pk_commit_free(repo, c);
    return err;
}

int pk_revert(struct pk_repo *repo, const struct pk_digest *ours,
              const struct pk_digest *commit, size_t parent,
              const struct pk_info *info, const struct pk_judge *judge,
              struct pk_digest *ret_hash)
{
    struct pk_tree *trees[3] = {NULL, NULL, NULL};
    int err = pk_commit_tree(repo, commit, &trees[0]);

    if (err == 0) {
        err = pk_commit_tree(repo, ours, &trees[1]);
    }
    if (err == 0) {
        err = parent_tree(repo, commit, parent, &trees[2]);
    }
    if (err == 0) {
        err = merge_and_commit(trees[0], trees[1], trees[2], ours, 1, info,
                               judge, ret_hash);
    }
    for (size_t i = 0; i < 3; i++) {
        pk_tree_free(trees[i]);
    }
    return err;
}
