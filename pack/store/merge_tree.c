/* SPDX-License-Identifier: ISC */
/*
 * Three-way merge of trees (spec 9.3; Irmin.Tree.merge, not the merge of nodes
 * that upstream calls broken: a name that is contents on one side and a
 * directory on the other is a conflict here).
 *
 * The outcome begins as ours. The three trees are gone through side by side,
 * by step, looking only into directories that both sides changed; theirs'
 * changes are bound in the outcome. Levels are a stack in memory, so that
 * nothing depends on how deep directories nest.
 *
 *   ours = theirs, or theirs = base    ours stands
 *   ours = base                        theirs is bound
 *   directories on both sides          step by step; no base: an empty one
 *   anything else                      a conflict
 *
 * A directory that one side removed and the other changed is gone through as
 * well, to tell the paths: whatever differs from base there is a conflict.
 */
#include <notafs/merge.h>

#include <string.h>

#include "pack/store/list.h"

enum side { BASE, OURS, THEIRS, N_SIDES };
_Static_assert(N_SIDES <= (int)PK_LIST_SIDES, "all can be listed together");

/* The binding that a side has next at a level. */
struct merge_next {
    struct pk_slice step;
    struct pk_place place;
    bool has;
};

struct merge_level {
    struct pk_list *list[N_SIDES]; /* NULL: no directory there */
    struct merge_next next[N_SIDES];
    bool removed; /* by one side, all of it */
};

struct merge {
    struct pk_repo *repo;
    struct pk_tree *trees[N_SIDES];
    struct pk_tree *outcome;
    const struct pk_judge *judge;
    struct merge_level *levels;
    struct pk_slice *steps; /* that lead to what each level deals with */
    size_t depth;
    size_t cap;
    uint64_t n_conflicts;
};

static int merge_grow(struct merge *m)
{
    struct nf_mem *mem = &m->repo->store.ctx.mem;
    const size_t cap = m->cap == 0 ? 16 : 2 * m->cap;
    struct merge_level *levels = nf_calloc(mem, cap, sizeof(*levels));
    struct pk_slice *steps = nf_calloc(mem, cap, sizeof(*steps));

    if (levels == NULL || steps == NULL) {
        nf_free(mem, levels, levels == NULL ? 0 : cap * sizeof(*levels));
        nf_free(mem, steps, steps == NULL ? 0 : cap * sizeof(*steps));
        return pk_fail_mem(&m->repo->store.ctx);
    }
    if (m->cap > 0) {
        memcpy(levels, m->levels, m->cap * sizeof(*levels));
        memcpy(steps, m->steps, m->cap * sizeof(*steps));
    }
    nf_free(mem, m->levels, m->cap * sizeof(*levels));
    nf_free(mem, m->steps, m->cap * sizeof(*steps));
    m->levels = levels;
    m->steps = steps;
    m->cap = cap;
    return 0;
}

static int side_advance(struct merge_level *level, enum side side)
{
    struct merge_next *next = &level->next[side];
    int got = 0;

    if (level->list[side] != NULL) {
        got = pk_list_next_place(level->list[side], &next->step, &next->place);
    }
    next->has = got > 0;
    return got < 0 ? got : 0;
}

/* Go into the directories among these places. */
static int merge_push(struct merge *m, const struct pk_place *places,
                      bool removed)
{
    const struct pk_place *dirs[N_SIDES];
    struct merge_level *level;
    int err = m->depth == m->cap ? merge_grow(m) : 0;

    if (err != 0) {
        return err;
    }
    for (int side = BASE; side < N_SIDES; side++) {
        dirs[side] = places[side].kind == PK_NODE ? &places[side] : NULL;
    }
    level = &m->levels[m->depth++];
    *level = (struct merge_level){.removed = removed};
    err = pk_list_differing(m->repo, dirs, N_SIDES, level->list);
    for (int side = BASE; side < N_SIDES && err == 0; side++) {
        err = side_advance(level, (enum side)side);
    }
    return err;
}

static void merge_pop(struct merge *m)
{
    m->depth--;
    for (int side = BASE; side < N_SIDES; side++) {
        pk_list_close(m->levels[m->depth].list[side]);
    }
}

static struct pk_path merge_path(const struct merge *m)
{
    return (struct pk_path){m->steps, m->depth};
}

static int place_same(struct merge *m, const struct pk_place *a,
                      const struct pk_place *b, bool *ret_same)
{
    struct pk_digest hash_a;
    struct pk_digest hash_b;
    int err;

    if (a->kind != b->kind || a->kind == PK_NONE) {
        *ret_same = a->kind == b->kind;
        return 0;
    }
    err = pk_place_hash(m->repo, a, &hash_a);
    if (err == 0) {
        err = pk_place_hash(m->repo, b, &hash_b);
    }
    *ret_same = err == 0 && memcmp(&hash_a, &hash_b, sizeof(hash_a)) == 0;
    return err;
}

static int place_stat(struct merge *m, const struct pk_place *place,
                      struct pk_stat *ret)
{
    int err = 0;

    memset(ret, 0, sizeof(*ret));
    ret->kind = place->kind;
    if (place->kind != PK_NONE) {
        err = pk_place_hash(m->repo, place, &ret->hash);
        if (err == 0) {
            err = pk_place_length(m->repo, place, &ret->length);
        }
    }
    return err;
}

/* Bind the current path in the outcome to what theirs has there. */
static int merge_take(struct merge *m, const struct pk_place *theirs)
{
    const struct pk_path path = merge_path(m);

    if (path.n == 0) {
        return pk_tree_set_tree(m->outcome, path, m->trees[THEIRS]);
    }
    return theirs->kind == PK_NONE
               ? pk_tree_remove(m->outcome, path)
               : pk_tree_bind_place(m->outcome, path, theirs);
}

static int merge_conflict(struct merge *m, const struct pk_place *places)
{
    struct pk_conflict conflict = {.path = merge_path(m),
                                   .base_tree = m->trees[BASE],
                                   .ours_tree = m->trees[OURS],
                                   .theirs_tree = m->trees[THEIRS]};
    struct pk_settlement s = {.how = PK_SETTLE_NOT};
    int err = place_stat(m, &places[BASE], &conflict.base);

    if (err == 0) {
        err = place_stat(m, &places[OURS], &conflict.ours);
    }
    if (err == 0) {
        err = place_stat(m, &places[THEIRS], &conflict.theirs);
    }
    if (err == 0 && m->judge != NULL && m->judge->fn != NULL) {
        err = m->judge->fn(m->judge->arg, &conflict, &s);
    }
    if (err != 0) {
        return err;
    }
    switch (s.how) {
    case PK_SETTLE_NOT:
        m->n_conflicts++;
        return 0;
    case PK_SETTLE_OURS:
        return 0;
    case PK_SETTLE_THEIRS:
        return merge_take(m, &places[THEIRS]);
    case PK_SETTLE_CONTENTS:
        return pk_tree_set(m->outcome, merge_path(m), s.contents);
    }
    return NF_EINVAL; /* not one of ours */
}

/* The binding of a step on the three sides, where the level is: decide, or go
 * into it. *ret_in: gone into. */
static int merge_binding(struct merge *m, const struct pk_place *places,
                         bool removed, bool *ret_in)
{
    const enum pk_kind ours = places[OURS].kind;
    const enum pk_kind theirs = places[THEIRS].kind;
    bool agreed = false;
    bool ours_stands = false;
    bool theirs_stands = false;
    int err = place_same(m, &places[OURS], &places[THEIRS], &agreed);

    *ret_in = false;
    if (err == 0) {
        err = place_same(m, &places[BASE], &places[THEIRS], &ours_stands);
    }
    if (err == 0) {
        err = place_same(m, &places[BASE], &places[OURS], &theirs_stands);
    }
    if (err != 0 || agreed) {
        return err;
    }
    if (removed && places[BASE].kind == PK_NONE) {
        return merge_conflict(m, places);
    }
    if (ours_stands) {
        return 0;
    }
    if (theirs_stands) {
        return merge_take(m, &places[THEIRS]);
    }
    if (ours == PK_NODE && theirs == PK_NODE) {
        *ret_in = true;
        return merge_push(m, places, false);
    }
    if (places[BASE].kind == PK_NODE &&
        ((ours == PK_NODE && theirs == PK_NONE) ||
         (ours == PK_NONE && theirs == PK_NODE))) {
        *ret_in = true;
        return merge_push(m, places, true);
    }
    return merge_conflict(m, places);
}

/* Is there a binding at this level; which step is it, and who has it? */
static bool level_first(const struct merge_level *level,
                        struct pk_slice *ret_step, bool has[N_SIDES])
{
    bool any = false;

    for (int side = BASE; side < N_SIDES; side++) {
        const struct merge_next *next = &level->next[side];

        if (next->has && (!any || pk_step_compare(next->step, *ret_step) < 0)) {
            *ret_step = next->step;
            any = true;
        }
    }
    for (int side = BASE; side < N_SIDES && any; side++) {
        const struct merge_next *next = &level->next[side];

        has[side] = next->has && pk_step_compare(next->step, *ret_step) == 0;
    }
    return any;
}

/* Go on behind the binding that the top level has dealt with. */
static int level_advance(struct merge_level *level)
{
    struct pk_slice step;
    bool has[N_SIDES];
    int err = 0;

    if (!level_first(level, &step, has)) {
        return 0;
    }
    for (int side = BASE; side < N_SIDES && err == 0; side++) {
        if (has[side]) {
            err = side_advance(level, (enum side)side);
        }
    }
    return err;
}

/* One binding of the top level, or the end of it. */
static int merge_step(struct merge *m)
{
    struct merge_level *level = &m->levels[m->depth - 1];
    struct pk_place places[N_SIDES];
    bool has[N_SIDES];
    bool in = false;
    int err;

    if (!level_first(level, &m->steps[m->depth - 1], has)) {
        merge_pop(m);
        return m->depth == 0 ? 0 : level_advance(&m->levels[m->depth - 1]);
    }
    for (int side = BASE; side < N_SIDES; side++) {
        places[side] =
            has[side] ? level->next[side].place
                      : (struct pk_place){.kind = PK_NONE, .off = NF_NOWHERE};
    }
    err = merge_binding(m, places, level->removed, &in);
    return err == 0 && !in ? level_advance(&m->levels[m->depth - 1]) : err;
}

static void merge_end(struct merge *m)
{
    struct nf_mem *mem = &m->repo->store.ctx.mem;

    while (m->depth > 0) {
        merge_pop(m);
    }
    nf_free(mem, m->levels, m->cap * sizeof(*m->levels));
    nf_free(mem, m->steps, m->cap * sizeof(*m->steps));
}

int pk_merge_trees(struct pk_tree *base, struct pk_tree *ours,
                   struct pk_tree *theirs, const struct pk_judge *judge,
                   struct pk_tree **ret_tree)
{
    struct merge m = {
        .repo = ours->repo, .trees = {base, ours, theirs}, .judge = judge};
    struct pk_place places[N_SIDES] = {
        {.kind = PK_NONE, .off = NF_NOWHERE},
        pk_place_of_node(ours->root),
        pk_place_of_node(theirs->root),
    };
    bool in = false;
    int err;

    if (theirs->repo != ours->repo ||
        (base != NULL && base->repo != ours->repo)) {
        return pk_fail(&ours->repo->store.ctx, NF_EINVAL, NULL, NF_NOWHERE,
                       "trees of two repos");
    }
    if (base != NULL) {
        places[BASE] = pk_place_of_node(base->root);
    }
    err = pk_tree_clone(ours, &m.outcome);
    if (err != 0) {
        return err;
    }
    err = merge_binding(&m, places, false, &in);
    while (err == 0 && m.depth > 0) {
        err = merge_step(&m);
    }
    merge_end(&m);
    if (err == 0 && m.n_conflicts > 0) {
        err = pk_fail(&m.repo->store.ctx, NF_EC_CONFLICT, NULL, NF_NOWHERE,
                      "merge");
    }
    if (err != 0) {
        pk_tree_free(m.outcome);
        return err;
    }
    *ret_tree = m.outcome;
    return 0;
}
