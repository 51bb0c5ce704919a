/* SPDX-License-Identifier: ISC */
/*
 * Walking one tree, or two side by side. The levels are a stack of listings,
 * each with the path up to it, so that nothing depends on how deep directories
 * nest but memory.
 */
#include <string.h>

#include "pack/store/list.h"

/* A stack of levels and the steps that lead to the top one. A walk uses one
 * side, a diff both; a side may be absent. */
struct walk_side {
    struct pk_list *list;
    struct pk_slice step; /* of the binding that is next */
    struct pk_place place;
    bool has; /* there is one */
};

struct walk_level {
    struct walk_side side[2];
};

struct walk {
    struct pk_repo *repo;
    uint32_t flags; /* enum pk_walk_flags */
    struct walk_level *levels;
    struct pk_slice *steps;
    size_t depth;
    size_t cap;
};

static int walk_grow(struct walk *w)
{
    struct nf_mem *mem = &w->repo->store.ctx.mem;
    const size_t cap = w->cap == 0 ? 16 : w->cap * 2;
    struct walk_level *levels = nf_calloc(mem, cap, sizeof(*levels));
    struct pk_slice *steps = nf_calloc(mem, cap, sizeof(*steps));

    if (levels == NULL || steps == NULL) {
        nf_free(mem, levels, levels == NULL ? 0 : cap * sizeof(*levels));
        nf_free(mem, steps, steps == NULL ? 0 : cap * sizeof(*steps));
        return pk_fail_mem(&w->repo->store.ctx);
    }
    if (w->cap > 0) {
        memcpy(levels, w->levels, w->cap * sizeof(*levels));
        memcpy(steps, w->steps, w->cap * sizeof(*steps));
    }
    nf_free(mem, w->levels, w->cap * sizeof(*levels));
    nf_free(mem, w->steps, w->cap * sizeof(*steps));
    w->levels = levels;
    w->steps = steps;
    w->cap = cap;
    return 0;
}

static int side_next(struct walk_side *side)
{
    int got = 0;

    if (side->list != NULL) {
        got = pk_list_next_place(side->list, &side->step, &side->place);
    }
    side->has = got > 0;
    return got < 0 ? got : 0;
}

/* A new level of the directories at a and b; NULL: absent. */
static int walk_push(struct walk *w, const struct pk_place *a,
                     const struct pk_place *b)
{
    const struct pk_place *places[2] = {a, b};
    struct pk_list *lists[2] = {NULL, NULL};
    uint32_t flags = PK_LIST_HASH;
    struct pk_range all = {0, 0};
    struct walk_level *level;
    int err = w->depth == w->cap ? walk_grow(w) : 0;

    if (err != 0) {
        return err;
    }
    if ((w->flags & PK_WALK_SORTED) != 0) {
        flags |= PK_LIST_SORTED;
    }
    level = &w->levels[w->depth];
    memset(level, 0, sizeof(*level));
    w->depth++;
    if (a != NULL && b != NULL) { /* only a diff has both */
        err = pk_list_differing(w->repo, places, 2, lists);
    } else {
        err = pk_list_of_place(w->repo, a != NULL ? a : b, all, flags,
                               &lists[a != NULL ? 0 : 1]);
    }
    for (int i = 0; i < 2 && err == 0; i++) {
        level->side[i].list = lists[i];
    }
    for (int i = 0; i < 2 && err == 0; i++) {
        err = side_next(&level->side[i]);
    }
    return err;
}

static void walk_pop(struct walk *w)
{
    w->depth--;
    pk_list_close(w->levels[w->depth].side[0].list);
    pk_list_close(w->levels[w->depth].side[1].list);
}

static void walk_end(struct walk *w)
{
    struct nf_mem *mem = &w->repo->store.ctx.mem;

    while (w->depth > 0) {
        walk_pop(w);
    }
    nf_free(mem, w->steps, w->cap * sizeof(*w->steps));
    nf_free(mem, w->levels, w->cap * sizeof(*w->levels));
}

static struct pk_path walk_path(const struct walk *w)
{
    return (struct pk_path){w->steps, w->depth};
}

static int place_stat(struct pk_repo *repo, const struct pk_place *place,
                      bool length, struct pk_stat *ret)
{
    int err = pk_place_hash(repo, place, &ret->hash);

    ret->kind = place->kind;
    ret->length = 0;
    return err == 0 && length ? pk_place_length(repo, place, &ret->length)
                              : err;
}

int pk_tree_walk(struct pk_tree *tree, uint32_t flags, pk_walk_fn fn, void *arg)
{
    struct walk w = {.repo = tree->repo, .flags = flags};
    bool length = (flags & PK_WALK_LENGTH) != 0;
    struct pk_place place = pk_place_of_node(tree->root);
    struct pk_stat stat;
    int err = place_stat(tree->repo, &place, length, &stat);

    if (err == 0) {
        err = fn(arg, walk_path(&w), &stat);
    }
    if (err == 0) {
        err = walk_push(&w, &place, NULL);
    }
    while (err == 0 && w.depth > 0) {
        struct walk_side *side = &w.levels[w.depth - 1].side[0];

        if (!side->has) {
            walk_pop(&w);
            if (w.depth > 0) {
                err = side_next(&w.levels[w.depth - 1].side[0]);
            }
            continue;
        }
        place = side->place;
        w.steps[w.depth - 1] = side->step;
        err = place_stat(tree->repo, &place, length, &stat);
        if (err == 0) {
            err = fn(arg, walk_path(&w), &stat);
        }
        if (err == 0) {
            err = place.kind == PK_NODE ? walk_push(&w, &place, NULL)
                                        : side_next(side);
        }
    }
    walk_end(&w);
    return err;
}

/* -------------------------------------------------------------------- diff */

/* Which sides have the binding that comes next at a level. */
static void diff_which(const struct walk_level *level, bool has[2])
{
    const struct walk_side *a = &level->side[0];
    const struct walk_side *b = &level->side[1];
    int c = !a->has ? 1 : !b->has ? -1 : pk_step_compare(a->step, b->step);

    has[0] = a->has && c <= 0;
    has[1] = b->has && c >= 0;
}

/* Go on behind the binding that has just been dealt with. */
static int diff_advance(struct walk_level *level)
{
    bool has[2];
    int err = 0;

    diff_which(level, has);
    for (int i = 0; i < 2 && err == 0; i++) {
        if (has[i]) {
            err = side_next(&level->side[i]);
        }
    }
    return err;
}

/* Report the contents of one binding and go into its directories. */
static int diff_binding(struct walk *w, pk_diff_fn fn, void *arg)
{
    struct walk_level *level = &w->levels[w->depth - 1];
    const struct pk_place *dirs[2] = {NULL, NULL};
    struct pk_stat stats[2];
    struct pk_place places[2];
    bool contents = false;
    bool has[2];

    memset(stats, 0, sizeof(stats));
    diff_which(level, has);
    w->steps[w->depth - 1] = level->side[has[0] ? 0 : 1].step;
    for (int i = 0; i < 2; i++) {
        int err;

        if (!has[i]) {
            continue;
        }
        places[i] = level->side[i].place;
        err = place_stat(w->repo, &places[i], places[i].kind == PK_CONTENTS,
                         &stats[i]);
        if (err != 0) {
            return err;
        }
        if (places[i].kind == PK_NODE) {
            dirs[i] = &places[i];
        } else {
            contents = true;
        }
    }
    if (has[0] && has[1] && stats[0].kind == stats[1].kind &&
        memcmp(&stats[0].hash, &stats[1].hash, sizeof(stats[0].hash)) == 0) {
        return diff_advance(level);
    }
    if (contents) { /* a directory is told by what is in it */
        static const struct pk_stat none;
        int err = fn(arg, walk_path(w), dirs[0] == NULL ? &stats[0] : &none,
                     dirs[1] == NULL ? &stats[1] : &none);

        if (err != 0) {
            return err;
        }
    }
    return dirs[0] != NULL || dirs[1] != NULL ? walk_push(w, dirs[0], dirs[1])
                                              : diff_advance(level);
}

int pk_tree_diff(struct pk_tree *old_tree, struct pk_tree *new_tree,
                 pk_diff_fn fn, void *arg)
{
    struct walk w = {.repo = old_tree->repo, .flags = PK_WALK_SORTED};
    struct pk_place places[2];
    struct pk_digest hashes[2];
    int err;

    if (old_tree->repo != new_tree->repo) {
        return pk_fail(&w.repo->store.ctx, NF_EINVAL, NULL, NF_NOWHERE,
                       "trees of two repos");
    }
    places[0] = pk_place_of_node(old_tree->root);
    places[1] = pk_place_of_node(new_tree->root);
    err = pk_place_hash(w.repo, &places[0], &hashes[0]);
    if (err == 0) {
        err = pk_place_hash(w.repo, &places[1], &hashes[1]);
    }
    if (err != 0 || memcmp(&hashes[0], &hashes[1], sizeof(hashes[0])) == 0) {
        return err;
    }
    err = walk_push(&w, &places[0], &places[1]);
    while (err == 0 && w.depth > 0) {
        struct walk_level *level = &w.levels[w.depth - 1];

        if (level->side[0].has || level->side[1].has) {
            err = diff_binding(&w, fn, arg);
            continue;
        }
        walk_pop(&w);
        if (w.depth > 0) {
            err = diff_advance(&w.levels[w.depth - 1]);
        }
    }
    walk_end(&w);
    return err;
}
