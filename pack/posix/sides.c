/* SPDX-License-Identifier: ISC */
/*
 * Which side commit belongs to which commit. A side commit says to which it
 * belongs, so it is found from there by a table of all of them, made anew when
 * a posix/ branch has moved; what such a branch names itself, which is nearly
 * always what is looked for, is asked first.
 *
 * Commits that were made without any regard for side trees get that of their
 * nearest ancestor, changed like the data (follow).
 */
#include <notafs/merge.h>
#include <string.h>

#include "pack/objects.h"
#include "pack/posix/side.h"
#include "pack/store/repo.h"

struct sides_slot {
    struct pk_digest of;   /* all zero: free */
    struct pk_digest side; /* all zero: nor has any ancestor one */
};

struct pk_sides {
    struct pk_repo *repo;
    struct pk_digest *heads; /* of the branches, when slots were filled */
    size_t n_heads;
    size_t cap_heads;
    struct sides_slot *slots; /* open addressing */
    size_t n_slots;           /* a power of two, or 0 */
    size_t n;
    bool filled;
};

static const struct pk_digest none;

static bool same(const struct pk_digest *a, const struct pk_digest *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static struct nf_mem *mem_of(const struct pk_sides *sides)
{
    return &sides->repo->store.ctx.mem;
}

int pk_sides_open(struct pk_repo *repo, struct pk_sides **ret_sides)
{
    struct pk_sides *sides = nf_calloc(&repo->store.ctx.mem, 1, sizeof(*sides));

    if (sides == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    sides->repo = repo;
    *ret_sides = sides;
    return 0;
}

static void sides_clear(struct pk_sides *sides)
{
    nf_free(mem_of(sides), sides->slots,
            sides->n_slots * sizeof(*sides->slots));
    sides->slots = NULL;
    sides->n_slots = sides->n = 0;
    sides->filled = false;
}

void pk_sides_close(struct pk_sides *sides)
{
    if (sides != NULL) {
        sides_clear(sides);
        nf_free(mem_of(sides), sides->heads,
                sides->cap_heads * sizeof(*sides->heads));
        nf_free(mem_of(sides), sides, sizeof(*sides));
    }
}

/* --------------------------------------------------------------- the table */

/* The slot of a commit, or the free one where it belongs. */
static struct sides_slot *sides_slot(const struct pk_sides *sides,
                                     const struct pk_digest *of)
{
    size_t i = (size_t)nf_get_le64(of->b) & (sides->n_slots - 1);

    while (!same(&sides->slots[i].of, of) &&
           !same(&sides->slots[i].of, &none)) {
        i = (i + 1) & (sides->n_slots - 1);
    }
    return &sides->slots[i];
}

static int sides_grow(struct pk_sides *sides)
{
    const struct pk_sides old = *sides;
    size_t n_slots = old.n_slots == 0 ? 64 : old.n_slots * 2;

    sides->slots = nf_calloc(mem_of(sides), n_slots, sizeof(*sides->slots));
    if (sides->slots == NULL) {
        sides->slots = old.slots;
        return pk_fail_mem(&sides->repo->store.ctx);
    }
    sides->n_slots = n_slots;
    for (size_t i = 0; i < old.n_slots; i++) {
        if (!same(&old.slots[i].of, &none)) {
            *sides_slot(sides, &old.slots[i].of) = old.slots[i];
        }
    }
    nf_free(mem_of(sides), old.slots, old.n_slots * sizeof(*old.slots));
    return 0;
}

/* Unless there is an entry for the commit. */
static int sides_add(struct pk_sides *sides, const struct pk_digest *of,
                     const struct pk_digest *side)
{
    struct sides_slot *slot;

    if (2 * (sides->n + 1) > sides->n_slots) {
        int err = sides_grow(sides);

        if (err != 0) {
            return err;
        }
    }
    slot = sides_slot(sides, of);
    if (!same(&slot->of, of)) {
        slot->of = *of;
        slot->side = *side;
        sides->n++;
    }
    return 0;
}

/* Newest first, so of several for one commit the newest counts. */
static int sides_note(void *arg, const struct pk_commit *commit)
{
    struct pk_sides *sides = arg;
    struct pk_digest of;

    return pk_posix_belongs(sides->repo, commit, &of)
               ? sides_add(sides, &of, &commit->hash)
               : 0;
}

/* That neither it nor any ancestor has one. */
static int sides_note_none(void *arg, const struct pk_commit *commit)
{
    return sides_add(arg, &commit->hash, &none);
}

/* The heads are what they were? If not, they are noted. */
struct sides_heads {
    struct pk_sides *sides;
    size_t n;
    bool moved;
};

static int sides_head(void *arg, struct pk_slice name,
                      const struct pk_digest *hash)
{
    const size_t len = sizeof(PK_POSIX_PREFIX) - 1;
    struct sides_heads *h = arg;
    struct pk_sides *s = h->sides;
    struct pk_commit *commit;
    int err;

    if (name.len < len || memcmp(name.p, PK_POSIX_PREFIX, len) != 0) {
        return 0;
    }
    if (h->n < s->n_heads && same(&s->heads[h->n], hash)) {
        h->n++;
        return 0;
    }
    err = pk_commit_find(s->repo, hash, &commit);
    if (err != 0) {
        return nf_err_class(err) == NF_ENOENT ? 0 : err; /* collected */
    }
    pk_commit_free(s->repo, commit);
    if (h->n == s->cap_heads) {
        size_t cap = s->cap_heads * 2 + 4;
        struct pk_digest *heads =
            nf_realloc(mem_of(s), s->heads, s->cap_heads * sizeof(*heads),
                       cap * sizeof(*heads));

        if (heads == NULL) {
            return pk_fail_mem(&s->repo->store.ctx);
        }
        s->heads = heads;
        s->cap_heads = cap;
    }
    s->heads[h->n++] = *hash;
    h->moved = true;
    return 0;
}

static int sides_look(struct pk_sides *sides)
{
    struct sides_heads h = {sides, 0, false};
    int err = pk_branch_each(sides->repo, sides_head, &h);

    if (err != 0 || h.moved || h.n != sides->n_heads) {
        sides_clear(sides);
    }
    sides->n_heads = err == 0 ? h.n : 0;
    return err;
}

static int sides_fill(struct pk_sides *sides)
{
    int err = 0;

    if (!sides->filled && sides->n_heads > 0) {
        err = pk_history(sides->repo, sides->heads, sides->n_heads, sides_note,
                         NULL, sides);
    }
    if (err != 0) {
        sides_clear(sides);
    }
    sides->filled = err == 0;
    return err;
}

/* What a branch names itself: 1 if it is what is looked for. */
static int sides_try(struct pk_sides *sides, const struct pk_digest *head,
                     const struct pk_digest *commit)
{
    struct pk_commit *side;
    struct pk_digest of;
    int err = pk_commit_find(sides->repo, head, &side);

    if (err != 0) {
        return err;
    }
    err = pk_posix_belongs(sides->repo, side, &of) && same(&of, commit);
    pk_commit_free(sides->repo, side);
    return err;
}

/* What the table says of a commit; NULL: nothing. */
static const struct sides_slot *sides_get(const struct pk_sides *sides,
                                          const struct pk_digest *commit)
{
    const struct sides_slot *slot =
        sides->n > 0 ? sides_slot(sides, commit) : NULL;

    return slot != NULL && same(&slot->of, commit) ? slot : NULL;
}

static bool sides_has(const struct pk_sides *sides,
                      const struct pk_digest *commit, struct pk_digest *ret)
{
    const struct sides_slot *slot = sides_get(sides, commit);

    if (slot == NULL || same(&slot->side, &none)) {
        return false;
    }
    *ret = slot->side;
    return true;
}

int pk_sides_find(struct pk_sides *sides, const struct pk_digest *commit,
                  struct pk_digest *ret_side)
{
    int err = sides_look(sides);

    for (size_t i = 0; err == 0 && !sides->filled && i < sides->n_heads; i++) {
        err = sides_try(sides, &sides->heads[i], commit);
        if (err == 1) {
            *ret_side = sides->heads[i];
            return 0;
        }
    }
    if (err == 0) {
        err = sides_fill(sides);
    }
    if (err != 0) {
        return err;
    }
    return sides_has(sides, commit, ret_side)
               ? 0
               : pk_fail(&sides->repo->store.ctx, NF_EC_NO_COMMIT, NULL,
                         NF_NOWHERE, "side");
}

int pk_sides_branch(struct pk_sides *sides, struct pk_slice branch,
                    const struct pk_digest *commit)
{
    struct pk_digest side;
    int err = pk_sides_find(sides, commit, &side);

    if (err != 0) {
        return err == NF_EC_NO_COMMIT ? 0 : err;
    }
    return pk_posix_branch_set(sides->repo, branch, &side);
}

/* --------------------------------------------------------------- following */

/* A side tree being changed as the data were. */
struct follow {
    struct pk_tree *side;
    struct pk_tree *data; /* as they are now */
    int64_t date;
};

/* The contents are others: the record says when. */
static int follow_touch(struct follow *f, struct pk_path path)
{
    struct pk_posix posix;
    struct pk_bytes bytes;
    int err = pk_posix_get(f->side, path, &bytes, &posix);

    if (err != 0) {
        return nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    posix.mtime = posix.ctime = (struct pk_posix_time){f->date, 0};
    err = pk_posix_set(f->side, path, &posix);
    pk_bytes_free(pk_tree_repo(f->side), &bytes);
    return err;
}

/* What the data had at path is gone, and with it any directory that it was the
 * last of. */
static int follow_remove(struct follow *f, struct pk_path path)
{
    struct pk_path top = {path.steps, 0};
    enum pk_kind kind = PK_NODE;
    int err = 0;

    while (err == 0 && kind == PK_NODE && top.n < path.n) {
        top.n++;
        err = pk_tree_kind(f->data, top, &kind);
    }
    return err == 0 ? pk_tree_remove(f->side, top) : err;
}

static int follow_one(void *arg, struct pk_path path,
                      const struct pk_stat *old_stat,
                      const struct pk_stat *new_stat)
{
    struct follow *f = arg;

    for (size_t i = 0; i < path.n; i++) {
        if (path.steps[i].len == 1 && path.steps[i].p[0] == '.') {
            return 0; /* no file, but a record is bound to such a path */
        }
    }
    if (path.n == 0) {
        return 0;
    }
    if (old_stat->kind == PK_CONTENTS && new_stat->kind == PK_CONTENTS) {
        return follow_touch(f, path);
    }
    /* Of a directory that is new, what was known: it was empty. */
    return old_stat->kind == PK_NONE && new_stat->kind == PK_NODE
               ? 0
               : follow_remove(f, path);
}

/* From what belongs to one commit to what belongs to another. */
static int follow(struct pk_repo *repo, const struct pk_digest *from,
                  const struct pk_digest *to, const struct pk_digest *side,
                  int64_t date, struct pk_tree **ret_tree)
{
    struct follow f = {NULL, NULL, date};
    struct pk_tree *old_tree = NULL;
    int err = pk_commit_tree(repo, from, &old_tree);

    if (err == 0) {
        err = pk_commit_tree(repo, to, &f.data);
    }
    if (err == 0) {
        err = pk_commit_tree(repo, side, &f.side);
    }
    if (err == 0) {
        err = pk_tree_diff(old_tree, f.data, follow_one, &f);
    }
    pk_tree_free(old_tree);
    pk_tree_free(f.data);
    if (err != 0) {
        pk_tree_free(f.side);
        return err;
    }
    *ret_tree = f.side;
    return 0;
}

/* Looking for an ancestor that has a side commit. */
struct nearest {
    struct pk_sides *sides;
    bool found;
    int64_t date; /* of the commit itself */
    bool begun;
    struct pk_digest of;
    struct pk_digest side;
};

static int nearest_commit(void *arg, const struct pk_commit *commit)
{
    struct nearest *n = arg;

    if (!n->begun) {
        n->begun = true;
        n->date = commit->info.date;
    }
    n->of = commit->hash;
    n->found = sides_has(n->sides, &commit->hash, &n->side);
    return n->found;
}

int pk_sides_tree(struct pk_sides *sides, const struct pk_digest *commit,
                  struct pk_tree **ret_tree)
{
    struct nearest n = {.sides = sides};
    struct pk_digest side;
    int err = pk_sides_find(sides, commit, &side);

    if (err == 0) {
        return pk_commit_tree(sides->repo, &side, ret_tree);
    }
    if (err != NF_EC_NO_COMMIT) {
        return err;
    }
    *ret_tree = NULL;
    if (sides->n == 0 || sides_get(sides, commit) != NULL) {
        return 0;
    }
    err = pk_history(sides->repo, commit, 1, nearest_commit, NULL, &n);
    if (err == 0 && !n.found) {
        return pk_history(sides->repo, commit, 1, sides_note_none, NULL, sides);
    }
    if (err < 0) {
        return err;
    }
    err = follow(sides->repo, &n.of, commit, &n.side, n.date, ret_tree);
    /* Trees that were collected tell nothing. */
    if (nf_err_class(err) == NF_ENOENT) {
        err = pk_commit_tree(sides->repo, &n.side, ret_tree);
    }
    return err;
}

/* ------------------------------------------------------------------ merges */

static int merged_first(void *arg, const struct pk_digest *hash)
{
    struct pk_digest *lca = arg;

    *lca = *hash;
    return 1;
}

/* An empty tree where there is none. */
static int merged_tree(struct pk_sides *sides, const struct pk_digest *commit,
                       struct pk_tree **ret_tree)
{
    *ret_tree = NULL;
    if (commit != NULL) {
        int err = pk_sides_tree(sides, commit, ret_tree);

        if (err != 0) {
            return err;
        }
    }
    return *ret_tree != NULL ? 0 : pk_tree_empty(sides->repo, ret_tree);
}

/* Base, ours, theirs: into one. */
static int merged_make(struct pk_sides *sides, const struct pk_digest *ours,
                       const struct pk_digest *theirs,
                       struct pk_tree **ret_tree)
{
    struct pk_tree *trees[3] = {NULL, NULL, NULL};
    struct pk_digest lca;
    int err = pk_lca(sides->repo, ours, theirs, 0, merged_first, &lca);

    if (err >= 0) {
        err = merged_tree(sides, err == 1 ? &lca : NULL, &trees[0]);
    }
    if (err == 0) {
        err = merged_tree(sides, ours, &trees[1]);
    }
    if (err == 0) {
        err = merged_tree(sides, theirs, &trees[2]);
    }
    if (err == 0) {
        err = pk_posix_merge(trees[0], trees[1], trees[2], ret_tree);
    }
    for (size_t i = 0; i < 3; i++) {
        pk_tree_free(trees[i]);
    }
    return err;
}

/* Commit the tree for merged, on what posix/BRANCH and theirs have. */
static int merged_commit(struct pk_sides *sides, struct pk_slice branch,
                         const struct pk_digest *theirs,
                         const struct pk_digest *merged, struct pk_tree *tree,
                         const struct pk_info *info)
{
    struct pk_digest parents[2];
    struct pk_digest side;
    size_t n = 0;
    int err = pk_posix_branch_get(sides->repo, branch, &parents[0]);

    if (err == 0) {
        n = 1;
    } else if (err != NF_EC_NO_BRANCH) {
        return err;
    }
    err = pk_sides_find(sides, theirs, &parents[n]);
    if (err == 0 && (n == 0 || !same(&parents[0], &parents[1]))) {
        n++;
    } else if (err != 0 && err != NF_EC_NO_COMMIT) {
        return err;
    }
    err = pk_posix_commit(tree, merged, parents, n, info, &side);
    return err == 0 ? pk_posix_branch_set(sides->repo, branch, &side) : err;
}

int pk_sides_merged(struct pk_sides *sides, struct pk_slice branch,
                    const struct pk_digest *ours,
                    const struct pk_digest *theirs,
                    const struct pk_digest *merged, const struct pk_info *info)
{
    struct pk_tree *tree = NULL;
    int err = sides_look(sides);

    if (err != 0 || sides->n_heads == 0 ||
        (ours != NULL && same(ours, merged))) {
        return err;
    }
    err = ours != NULL && !same(theirs, merged)
              ? merged_make(sides, ours, theirs, &tree)
              : merged_tree(sides, theirs, &tree);
    if (err == 0) {
        err = merged_commit(sides, branch, theirs, merged, tree, info);
        pk_tree_free(tree);
    }
    return err;
}
