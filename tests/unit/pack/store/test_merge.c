/* SPDX-License-Identifier: ISC */
#include <notafs/merge.h>

#include "host/prng.h"
#include "tests/unit/pack/store/fixture.h"

static const struct pk_info info = {.date = 7};

/* ------------------------------------------------------------------- trees */

/* A judge that writes conflicts down, as "path:BOT", with a letter for what
 * each side has (- nothing, c contents, d directory), and settles them. */
struct notes {
    struct pk_settlement settlement;
    char text[TEXT_MAX];
    size_t len;
    int err;
};

static int notes_take(void *arg, const struct pk_conflict *conflict,
                      struct pk_settlement *ret_settlement)
{
    static const char letters[] = {
        [PK_NONE] = '-', [PK_NODE] = 'd', [PK_CONTENTS] = 'c'};
    struct notes *notes = arg;

    notes->len +=
        (size_t)snprintf(notes->text + notes->len, TEXT_MAX - notes->len, "%s",
                         notes->len > 0 ? " " : "");
    for (size_t i = 0; i < conflict->path.n; i++) {
        const struct pk_slice step = conflict->path.steps[i];

        notes->len += (size_t)snprintf(
            notes->text + notes->len, TEXT_MAX - notes->len, "%s%.*s",
            i > 0 ? "/" : "", (int)step.len, (const char *)step.p);
    }
    notes->len += (size_t)snprintf(
        notes->text + notes->len, TEXT_MAX - notes->len, ":%c%c%c",
        letters[conflict->base.kind], letters[conflict->ours.kind],
        letters[conflict->theirs.kind]);
    ck_assert_uint_lt(notes->len, TEXT_MAX);
    *ret_settlement = notes->settlement;
    return notes->err;
}

struct three {
    struct pk_tree *base; /* NULL: none */
    struct pk_tree *ours;
    struct pk_tree *theirs;
};

static void three_begin(struct fixture *f, struct three *t, const char *base,
                        const char *ours, const char *theirs)
{
    t->base = base == NULL ? NULL : tree_of_text(f, base);
    t->ours = tree_of_text(f, ours);
    t->theirs = tree_of_text(f, theirs);
}

static void three_end(struct three *t)
{
    pk_tree_free(t->base);
    pk_tree_free(t->ours);
    pk_tree_free(t->theirs);
}

/* Merged one way and the other: the outcome, or the conflicts. */
static void check(struct fixture *f, const char *base, const char *ours,
                  const char *theirs, const char *outcome,
                  const char *conflicts)
{
    struct three t;
    struct tree_text kept;

    three_begin(f, &t, base, ours, theirs);
    for (int turn = 0; turn < 2; turn++) {
        struct notes notes = {.settlement.how = PK_SETTLE_NOT};
        const struct pk_judge judge = {notes_take, &notes};
        struct pk_tree *merged = NULL;
        struct pk_tree *swap = t.ours;
        int err = pk_merge_trees(t.base, t.ours, t.theirs, &judge, &merged);

        if (outcome != NULL) {
            assert_ok(err);
            ck_assert_str_eq(notes.text, "");
            assert_tree(merged, outcome);
            pk_tree_free(merged);
        } else {
            assert_err(err, NF_EC_CONFLICT);
            ck_assert_ptr_null(merged);
            if (turn == 0) {
                ck_assert_str_eq(notes.text, conflicts);
            }
        }
        tree_text_of(t.ours, &kept);
        ck_assert_str_eq(kept.text, turn == 0 ? ours : theirs);
        t.ours = t.theirs;
        t.theirs = swap;
    }
    three_end(&t);
}

static void merges(struct fixture *f, const char *base, const char *ours,
                   const char *theirs, const char *outcome)
{
    check(f, base, ours, theirs, outcome, NULL);
}

static void conflicts(struct fixture *f, const char *base, const char *ours,
                      const char *theirs, const char *paths)
{
    check(f, base, ours, theirs, NULL, paths);
}

START_TEST(one_side)
{
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    merges(&f, "a=1", "a=1", "a=1", "a=1");
    merges(&f, "a=1", "a=2", "a=1", "a=2");
    merges(&f, "a=1", "a=2", "a=2", "a=2");
    merges(&f, "a=1 b=1", "a=1 b=1", "a=1", "a=1");
    merges(&f, "a=1", "", "a=1", "");
    merges(&f, "a=1", "", "", "");
    merges(&f, "", "a=1", "", "a=1");
    merges(&f, "d/a=1 d/b=1", "d/a=1 d/b=1", "e=1", "e=1");
    merges(&f, "a=1", "a/b=1", "a=1", "a/b=1");
    merges(&f, "a/b=1", "a=1", "a/b=1", "a=1");
    fixture_end(&f);
}
END_TEST

START_TEST(both_sides)
{
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    merges(&f, "a=1 b=1 c=1", "a=2 b=1 c=1", "a=1 b=1 c=3", "a=2 b=1 c=3");
    merges(&f, "a=1 b=1", "b=1", "a=1", "");
    merges(&f, "a=1", "a=1 b=2", "a=1 c=3", "a=1 b=2 c=3");
    merges(&f, "a=1", "a=1 b=2", "a=1 b=2 c=3", "a=1 b=2 c=3");
    merges(&f, "d/a=1 d/b=1", "d/a=2 d/b=1", "d/a=1 d/b=2", "d/a=2 d/b=2");
    merges(&f, "d/a=1 d/b=1", "d/b=1", "d/a=1", "");
    merges(&f, "d/e/a=1 x=1", "d/e/a=1 d/e/b=2 x=1", "d/c=3 d/e/a=1",
           "d/c=3 d/e/a=1 d/e/b=2");
    merges(&f, "x=1", "d/a=1 x=1", "d/b=2 x=1", "d/a=1 d/b=2 x=1");
    merges(&f, "d=1", "d/a=1", "d/b=2", "d/a=1 d/b=2");
    fixture_end(&f);
}
END_TEST

START_TEST(in_conflict)
{
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    conflicts(&f, "a=1", "a=2", "a=3", "a:ccc");
    conflicts(&f, "a=1", "a=2", "", "a:cc-");
    conflicts(&f, "", "a=2", "a=3", "a:-cc");
    conflicts(&f, "a=1 d/b=1 z=1", "a=2 d/b=2 z=1", "a=3 d/b=3 z=2",
              "a:ccc d/b:ccc");
    fixture_end(&f);
}
END_TEST

/* What upstream's merge of nodes does not see. */
START_TEST(file_and_directory)
{
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    conflicts(&f, "x=1", "a=1 x=1", "a/b=1 x=1", "a:-cd");
    conflicts(&f, "a=1", "a=2", "a/b=1", "a:ccd");
    conflicts(&f, "a/b=1", "a/b=2", "a=1", "a:ddc");
    conflicts(&f, "a=1", "", "a/b=1", "a:c-d");
    fixture_end(&f);
}
END_TEST

/* A directory that is gone on one side: each change in it is told. */
START_TEST(removed_directory)
{
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    conflicts(&f, "d/a=1 d/b=1 x=1", "x=1", "d/a=1 d/b=2 x=1", "d/b:c-c");
    conflicts(&f, "d/a=1 x=1", "x=1", "d/a=1 d/new=1 x=1", "d/new:--c");
    conflicts(&f, "d/a=1 d/e/b=1 x=1", "x=1", "d/a=1 d/e/b=2 d/e/c=1 x=1",
              "d/e/b:c-c d/e/c:--c");
    conflicts(&f, "d/a=1 x=1", "x=1", "d/a=1 d/n/b=1 x=1", "d/n:--d");
    merges(&f, "d/a=1 d/b=1 x=1", "x=1", "d/a=1 x=1", "x=1");
    fixture_end(&f);
}
END_TEST

START_TEST(no_base)
{
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    merges(&f, NULL, "a=1 d/b=1", "a=1 d/c=1", "a=1 d/b=1 d/c=1");
    merges(&f, NULL, "", "a=1", "a=1");
    conflicts(&f, NULL, "a=1 b=1", "a=2 b=1", "a:-cc");
    fixture_end(&f);
}
END_TEST

START_TEST(settled)
{
    static const char base[] = "a=1 d/b=1 x=1";
    static const char ours[] = "a=2 x=2";
    static const char theirs[] = "a=3 d/b=4 x=1";
    static const struct {
        struct pk_settlement settlement;
        const char *outcome;
    } rows[] = {
        {{.how = PK_SETTLE_OURS}, "a=2 x=2"},
        {{.how = PK_SETTLE_THEIRS}, "a=3 d/b=4 x=2"},
        {{PK_SETTLE_CONTENTS, {(const uint8_t *)"new", 3}},
         "a=new d/b=new x=2"},
    };
    struct fixture f;
    struct three t;

    fixture_begin(&f, "irmin-32");
    three_begin(&f, &t, base, ours, theirs);
    for (size_t i = 0; i < 3; i++) {
        struct notes notes = {.settlement = rows[i].settlement};
        const struct pk_judge judge = {notes_take, &notes};
        struct pk_tree *merged;

        assert_ok(pk_merge_trees(t.base, t.ours, t.theirs, &judge, &merged));
        ck_assert_str_eq(notes.text, "a:ccc d/b:c-c");
        assert_tree(merged, rows[i].outcome);
        pk_tree_free(merged);
    }
    three_end(&t);
    fixture_end(&f);
}
END_TEST

/* Theirs is a removal: settling for it removes. */
START_TEST(settled_by_removal)
{
    struct notes notes = {.settlement.how = PK_SETTLE_THEIRS};
    const struct pk_judge judge = {notes_take, &notes};
    struct pk_tree *merged;
    struct fixture f;
    struct three t;

    fixture_begin(&f, "irmin-32");
    three_begin(&f, &t, "a=1 d/b=1 d/c=1", "a=2 d/b=2 d/c=1", "");
    assert_ok(pk_merge_trees(t.base, t.ours, t.theirs, &judge, &merged));
    ck_assert_str_eq(notes.text, "a:cc- d/b:cc-");
    assert_tree(merged, "");
    pk_tree_free(merged);
    three_end(&t);
    fixture_end(&f);
}
END_TEST

/* A judge may read all three trees, and may give up. */
static int judge_reads(void *arg, const struct pk_conflict *conflict,
                       struct pk_settlement *ret_settlement)
{
    struct pk_tree *const trees[] = {conflict->base_tree, conflict->ours_tree,
                                     conflict->theirs_tree};
    char *text = arg;

    for (size_t i = 0; i < 3; i++) {
        struct pk_bytes bytes;

        assert_ok(pk_tree_get(trees[i], conflict->path, &bytes));
        ck_assert_uint_eq(bytes.len, 1);
        text[i] = (char)bytes.p[0];
        pk_bytes_free(pk_tree_repo(trees[i]), &bytes);
    }
    ret_settlement->how = PK_SETTLE_CONTENTS;
    ret_settlement->contents = (struct pk_slice){(const uint8_t *)text, 3};
    return 0;
}

START_TEST(judged)
{
    char text[3];
    struct notes notes = {.err = NF_ECANCELED};
    const struct pk_judge reads = {judge_reads, text};
    const struct pk_judge gives_up = {notes_take, &notes};
    struct pk_tree *merged = NULL;
    struct fixture f;
    struct three t;

    fixture_begin(&f, "irmin-32");
    three_begin(&f, &t, "d/a=1 d/b=1", "d/a=2 d/b=2", "d/a=3 d/b=1");
    assert_ok(pk_merge_trees(t.base, t.ours, t.theirs, &reads, &merged));
    assert_tree(merged, "d/a=123 d/b=2");
    pk_tree_free(merged);
    assert_err(pk_merge_trees(t.base, t.ours, t.theirs, &gives_up, &merged),
               NF_ECANCELED);
    assert_err(pk_merge_trees(t.base, t.ours, t.theirs, NULL, &merged),
               NF_EC_CONFLICT);
    three_end(&t);
    fixture_end(&f);
}
END_TEST

/* ------------------------------------------------------------ random trees */

/* Files d/f for a few d and f, some of which are directories of two more. */
enum { N_PATHS = 60 };
static void path_text(size_t i, char ret[16])
{
    if (i < 20) {
        snprintf(ret, 16, "d%zu/f%zu", i / 5, i % 5);
    } else if (i < 40) {
        snprintf(ret, 16, "d%zu/s%zu/g%zu", i / 5 % 4, i % 2, i / 2 % 5);
    } else {
        snprintf(ret, 16, "t%02u", (unsigned)i - 40);
    }
}

/* A value for each path, 0: none. */
struct model {
    uint8_t value[N_PATHS];
};

static struct pk_tree *tree_of_model(struct fixture *f, const struct model *m)
{
    struct pk_tree *tree;

    assert_ok(pk_tree_empty(f->repo, &tree));
    for (size_t i = 0; i < N_PATHS; i++) {
        char name[16];
        struct text_path p;

        if (m->value[i] == 0) {
            continue;
        }
        path_text(i, name);
        text_path_set(&p, name, strlen(name));
        assert_ok(
            pk_tree_set(tree, p.path, (struct pk_slice){&m->value[i], 1}));
    }
    return tree;
}

static void model_edit(struct prng *r, struct model *m, size_t n_edits)
{
    for (size_t i = 0; i < n_edits; i++) {
        m->value[prng_below(r, N_PATHS)] = (uint8_t)prng_below(r, 4);
    }
}

/* Path by path; a conflict of values or where a side has no directory left. */
static bool model_merge(const struct model *base, const struct model *ours,
                        const struct model *theirs, struct model *ret)
{
    for (size_t i = 0; i < N_PATHS; i++) {
        const uint8_t b = base->value[i];
        const uint8_t o = ours->value[i];
        const uint8_t t = theirs->value[i];

        if (o != t && b != o && b != t) {
            return false;
        }
        ret->value[i] = b == o ? t : o;
    }
    return true;
}

/* Is there a directory that base has, one side has not, the other has with
 * something that base has not? Directories: the first two, or three letters of
 * a path, or six. */
static bool model_resurrects(const struct model *base, const struct model *gone,
                             const struct model *other)
{
    for (size_t i = 0; i < 40; i++) {
        char mine[16];

        path_text(i, mine);
        if (base->value[i] != 0 || other->value[i] == 0) {
            continue;
        }
        for (size_t len = 3; len <= 6; len += 3) {
            bool in_base = false;
            bool in_gone = false;

            if (len == 6 && i < 20) {
                continue;
            }
            for (size_t j = 0; j < 40; j++) {
                char its[16];

                path_text(j, its);
                if (strncmp(mine, its, len) == 0) {
                    in_base |= base->value[j] != 0;
                    in_gone |= gone->value[j] != 0;
                }
            }
            if (in_base && !in_gone) {
                return true;
            }
        }
    }
    return false;
}

START_TEST(by_model)
{
    static const char *const configs[] = {"irmin-32",
                                          "irmin-32,entries=2,stable=3"};
    struct prng r = prng_seed(5);
    size_t n_merged = 0;
    size_t n_rounds = 0;

    for (size_t c = 0; c < 2; c++) {
        struct fixture f;

        fixture_begin(&f, configs[c]);
        for (size_t round = 0; round < 600; round++, n_rounds++) {
            struct model base = {{0}};
            struct model ours;
            struct model theirs;
            struct model want;
            struct three t;
            struct pk_tree *merged = NULL;
            struct pk_tree *plain;
            struct pk_digest found_hash;
            struct pk_digest want_hash;
            int err;
            bool is_fine;

            model_edit(&r, &base, (size_t)prng_below(&r, 120));
            ours = base;
            theirs = base;
            model_edit(&r, &ours, (size_t)prng_below(&r, 12));
            model_edit(&r, &theirs, (size_t)prng_below(&r, 12));
            t = (struct three){tree_of_model(&f, &base),
                               tree_of_model(&f, &ours),
                               tree_of_model(&f, &theirs)};
            err = pk_merge_trees(t.base, t.ours, t.theirs, NULL, &merged);
            is_fine = model_merge(&base, &ours, &theirs, &want) &&
                      !model_resurrects(&base, &ours, &theirs) &&
                      !model_resurrects(&base, &theirs, &ours);
            assert_err(err, is_fine ? 0 : NF_EC_CONFLICT);
            if (err == 0) {
                plain = tree_of_model(&f, &want);
                assert_ok(pk_tree_hash(merged, &found_hash));
                assert_ok(pk_tree_hash(plain, &want_hash));
                assert_same_hash(&found_hash, &want_hash);
                pk_tree_free(plain);
                n_merged++;
            }
            pk_tree_free(merged);
            three_end(&t);
        }
        fixture_end(&f);
    }
    /* Of each kind enough. */
    ck_assert_uint_gt(n_merged, n_rounds / 10);
    ck_assert_uint_lt(n_merged, n_rounds - n_rounds / 10);
}
END_TEST

/* Directories within directories cost memory, not stack. */
START_TEST(deep)
{
    enum { LEVELS = 3000 };
    static struct pk_slice steps[LEVELS + 1];
    const struct pk_path path = {steps, LEVELS + 1};
    struct pk_tree *trees[3];
    struct pk_tree *merged;
    struct pk_bytes bytes;
    struct fixture f;

    for (size_t i = 0; i < LEVELS; i++) {
        steps[i] = text_bytes("d");
    }
    fixture_begin(&f, "irmin-32");
    for (size_t i = 0; i < 3; i++) {
        assert_ok(pk_tree_empty(f.repo, &trees[i]));
        steps[LEVELS] = text_bytes(i == 0   ? "base"
                                   : i == 1 ? "ours"
                                            : "theirs");
        assert_ok(pk_tree_set(trees[i], path, text_bytes("x")));
        steps[LEVELS] = text_bytes("base");
        assert_ok(pk_tree_set(trees[i], path, text_bytes("x")));
    }
    assert_ok(pk_merge_trees(trees[0], trees[1], trees[2], NULL, &merged));
    for (size_t i = 0; i < 3; i++) {
        steps[LEVELS] = text_bytes(i == 0   ? "base"
                                   : i == 1 ? "ours"
                                            : "theirs");
        assert_ok(pk_tree_get(merged, path, &bytes));
        pk_bytes_free(f.repo, &bytes);
        pk_tree_free(trees[i]);
    }
    pk_tree_free(merged);
    fixture_end(&f);
}
END_TEST

/* ----------------------------------------------------------------- commits */

static void assert_commit(struct fixture *f, const struct pk_digest *hash,
                          const char *text)
{
    struct pk_tree *tree;

    assert_ok(pk_commit_tree(f->repo, hash, &tree));
    assert_tree(tree, text);
    pk_tree_free(tree);
}

static struct pk_digest merged_commit(struct fixture *f,
                                      const struct pk_digest *ours,
                                      const struct pk_digest *theirs)
{
    struct pk_digest hash;

    assert_ok(pk_merge_commits(f->repo, ours, theirs, &info, NULL, &hash));
    return hash;
}

START_TEST(commits)
{
    struct pk_digest base;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest m;
    struct pk_commit *commit;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    base = commit_text(&f, "x=1 y=1", NULL, NULL);
    a = commit_text(&f, "x=2 y=1", &base, NULL);
    b = commit_text(&f, "x=1 y=2", &base, NULL);
    m = merged_commit(&f, &a, &b);
    assert_commit(&f, &m, "x=2 y=2");
    assert_ok(pk_commit_find(f.repo, &m, &commit));
    ck_assert_uint_eq(commit->n_parents, 2);
    ck_assert(memcmp(&commit->parents[0], &a, sizeof(a)) == 0 ||
              memcmp(&commit->parents[1], &a, sizeof(a)) == 0);
    ck_assert(memcmp(&commit->parents[0], &b, sizeof(b)) == 0 ||
              memcmp(&commit->parents[1], &b, sizeof(b)) == 0);
    ck_assert_int_eq(commit->info.date, 7);
    pk_commit_free(f.repo, commit);
    fixture_end(&f);
}
END_TEST

/* Where one has the other behind it, no commit is made. */
START_TEST(nothing_to_merge)
{
    struct pk_counters before;
    struct pk_counters after;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest hash;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    a = commit_text(&f, "x=1", NULL, NULL);
    b = commit_text(&f, "x=2", &a, NULL);
    b = commit_text(&f, "x=3", &b, NULL);
    pk_repo_counters(f.repo, &before);
    hash = merged_commit(&f, &a, &a);
    assert_same_hash(&hash, &a);
    hash = merged_commit(&f, &a, &b);
    assert_same_hash(&hash, &b);
    hash = merged_commit(&f, &b, &a);
    assert_same_hash(&hash, &b);
    pk_repo_counters(f.repo, &after);
    ck_assert_uint_eq(before.commits_appended, after.commits_appended);
    fixture_end(&f);
}
END_TEST

START_TEST(unrelated)
{
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest m;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    a = commit_text(&f, "x=1", NULL, NULL);
    b = commit_text(&f, "y=1", NULL, NULL);
    m = merged_commit(&f, &a, &b);
    assert_commit(&f, &m, "x=1 y=1");
    fixture_end(&f);
}
END_TEST

/*
 * Criss-cross: a and b are both lowest common ancestors of the two ends. Over
 * either alone the merge would be wrong or in conflict: x was changed by a and
 * taken back on one end, y was changed by b and stays.
 */
START_TEST(criss_cross)
{
    struct pk_digest base;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest ours;
    struct pk_digest theirs;
    struct pk_digest m;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    base = commit_text(&f, "x=1 y=1 z=1", NULL, NULL);
    a = commit_text(&f, "x=2 y=1 z=1", &base, NULL);
    b = commit_text(&f, "x=1 y=2 z=1", &base, NULL);
    ours = commit_text(&f, "x=2 y=2 z=1", &a, &b);
    theirs = commit_text(&f, "x=2 y=2 z=2", &b, &a);
    ours = commit_text(&f, "x=1 y=2 z=1", &ours, NULL);
    theirs = commit_text(&f, "w=1 x=2 y=2 z=2", &theirs, NULL);
    m = merged_commit(&f, &ours, &theirs);
    assert_commit(&f, &m, "w=1 x=1 y=2 z=2");
    m = merged_commit(&f, &theirs, &ours);
    assert_commit(&f, &m, "w=1 x=1 y=2 z=2");
    fixture_end(&f);
}
END_TEST

/* Ancestors that disagree: sides that agree again merge, others do not, even
 * where one side has what one ancestor had. */
START_TEST(conflict_among_ancestors)
{
    struct pk_digest base;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest ours;
    struct pk_digest theirs;
    struct pk_digest m;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    base = commit_text(&f, "d/x=1 y=1", NULL, NULL);
    a = commit_text(&f, "d/x=2 y=1", &base, NULL);
    b = commit_text(&f, "d/x=3 y=1", &base, NULL);
    ours = commit_text(&f, "d/x=2 y=1", &a, &b);
    theirs = commit_text(&f, "d/x=2 y=2", &b, &a);
    m = merged_commit(&f, &ours, &theirs);
    assert_commit(&f, &m, "d/x=2 y=2");
    theirs = commit_text(&f, "d/x=3 y=2", &b, &a);
    assert_err(pk_merge_commits(f.repo, &ours, &theirs, &info, NULL, &m),
               NF_EC_CONFLICT);
    fixture_end(&f);
}
END_TEST

/* Three ancestors of two ends; of any two the common ancestor differs. */
START_TEST(three_ancestors)
{
    struct pk_digest root;
    struct pk_digest ab;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest c;
    struct pk_digest ours;
    struct pk_digest theirs;
    struct pk_digest m;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    root = commit_text(&f, "a=0 ab=0 b=0 c=0 o=0 t=0", NULL, NULL);
    ab = commit_text(&f, "a=0 ab=1 b=0 c=0 o=0 t=0", &root, NULL);
    a = commit_text(&f, "a=1 ab=1 b=0 c=0 o=0 t=0", &ab, NULL);
    b = commit_text(&f, "a=0 ab=1 b=1 c=0 o=0 t=0", &ab, NULL);
    c = commit_text(&f, "a=0 ab=0 b=0 c=1 o=0 t=0", &root, NULL);
    ours = merged_commit(&f, &a, &b);
    ours = merged_commit(&f, &ours, &c);
    theirs = merged_commit(&f, &b, &c);
    theirs = merged_commit(&f, &theirs, &a);
    /* Each takes something back, and adds something. */
    ours = commit_text(&f, "a=0 ab=1 b=1 c=1 o=1 t=0", &ours, NULL);
    theirs = commit_text(&f, "a=1 ab=0 b=1 c=0 o=0 t=1", &theirs, NULL);
    m = merged_commit(&f, &ours, &theirs);
    assert_commit(&f, &m, "a=0 ab=0 b=1 c=0 o=1 t=1");
    fixture_end(&f);
}
END_TEST

/* Two lines that take each other in again and again, without ever having a
 * single common ancestor after the first: one merge within another. */
static void ladder(struct fixture *f, size_t n_rungs, struct pk_digest *a,
                   struct pk_digest *b)
{
    struct pk_digest base = commit_text(f, "a=0 b=0", NULL, NULL);

    *a = commit_text(f, "a=1 b=0", &base, NULL);
    *b = commit_text(f, "a=0 b=1", &base, NULL);
    for (size_t i = 0; i < n_rungs; i++) {
        const struct pk_digest old = *a;
        char text[40];

        snprintf(text, sizeof(text), "a=%zu b=%zu", i + 2, i + 1);
        *a = commit_text(f, text, a, b);
        snprintf(text, sizeof(text), "a=%zu b=%zu", i + 1, i + 2);
        *b = commit_text(f, text, b, &old);
    }
}

START_TEST(merges_within_merges)
{
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest m;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    ladder(&f, 100, &a, &b);
    m = merged_commit(&f, &a, &b);
    assert_commit(&f, &m, "a=101 b=101");
    fixture_end(&f);
}
END_TEST

START_TEST(too_many_merges)
{
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest m;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    ladder(&f, 1001, &a, &b);
    assert_err(pk_merge_commits(f.repo, &a, &b, &info, NULL, &m),
               NF_EC_HISTORY);
    fixture_end(&f);
}
END_TEST

START_TEST(branches)
{
    const struct pk_slice main_branch = text_bytes("main");
    const struct pk_slice other = text_bytes("other");
    struct pk_digest base;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest m;
    struct pk_digest head;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    base = commit_text(&f, "x=1 y=1", NULL, NULL);
    a = commit_text(&f, "x=2 y=1", &base, NULL);
    b = commit_text(&f, "x=1 y=2", &base, NULL);
    assert_ok(pk_merge_branch(f.repo, main_branch, &a, &info, NULL, &m));
    assert_same_hash(&m, &a);
    assert_ok(pk_merge_branch(f.repo, main_branch, &b, &info, NULL, &m));
    assert_ok(pk_branch_get(f.repo, main_branch, &head));
    assert_same_hash(&head, &m);
    assert_commit(&f, &m, "x=2 y=2");

    assert_ok(pk_fast_forward(f.repo, other, &a));
    assert_ok(pk_fast_forward(f.repo, other, &a));
    assert_err(pk_fast_forward(f.repo, other, &b), NF_EC_DIVERGED);
    assert_err(pk_fast_forward(f.repo, other, &base), NF_EC_DIVERGED);
    assert_ok(pk_branch_get(f.repo, other, &head));
    assert_same_hash(&head, &a);
    assert_ok(pk_fast_forward(f.repo, other, &m));
    assert_ok(pk_branch_get(f.repo, other, &head));
    assert_same_hash(&head, &m);

    /* A merge that fails leaves the branch. */
    b = commit_text(&f, "x=3 y=1", &base, NULL);
    assert_err(pk_merge_branch(f.repo, other, &b, &info, NULL, &a),
               NF_EC_CONFLICT);
    assert_ok(pk_branch_get(f.repo, other, &head));
    assert_same_hash(&head, &m);
    fixture_end(&f);
}
END_TEST

START_TEST(reverts)
{
    struct pk_digest first;
    struct pk_digest second;
    struct pk_digest third;
    struct pk_digest r;
    struct pk_digest again;
    struct pk_commit *commit;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    first = commit_text(&f, "x=1 y=1", NULL, NULL);
    second = commit_text(&f, "x=2 y=1 z=1", &first, NULL);
    third = commit_text(&f, "x=2 y=3 z=1", &second, NULL);
    assert_ok(pk_revert(f.repo, &third, &second, 0, &info, NULL, &r));
    assert_commit(&f, &r, "x=1 y=3");
    assert_ok(pk_commit_find(f.repo, &r, &commit));
    ck_assert_uint_eq(commit->n_parents, 1);
    assert_same_hash(&commit->parents[0], &third);
    pk_commit_free(f.repo, commit);
    /* It is undone: there is nothing to undo. */
    assert_ok(pk_revert(f.repo, &r, &second, 0, &info, NULL, &again));
    assert_same_hash(&again, &r);
    assert_ok(pk_revert(f.repo, &third, &third, 0, &info, NULL, &r));
    assert_commit(&f, &r, "x=2 y=1 z=1");
    assert_err(pk_revert(f.repo, &third, &first, 0, &info, NULL, &r),
               NF_EC_CONFLICT);
    assert_err(pk_revert(f.repo, &third, &second, 1, &info, NULL, &r),
               NF_EINVAL);
    fixture_end(&f);
}
END_TEST

/* A first commit's parent is the empty tree. */
START_TEST(reverts_first)
{
    struct pk_digest first;
    struct pk_digest second;
    struct pk_digest r;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    first = commit_text(&f, "x=1", NULL, NULL);
    second = commit_text(&f, "x=1 y=1", &first, NULL);
    assert_ok(pk_revert(f.repo, &second, &first, 0, &info, NULL, &r));
    assert_commit(&f, &r, "y=1");
    fixture_end(&f);
}
END_TEST

/* Whichever allocation fails, it is told, and nothing is lost. (The first
 * merge, undisturbed, fills the store's own buffers and cache.) */
START_TEST(no_memory)
{
    struct pk_digest a;
    struct pk_digest b;
    struct fixture f;
    size_t live = 0;

    fixture_begin(&f, "irmin-32");
    ladder(&f, 3, &a, &b);
    for (uint64_t n = 0;; n++) {
        struct pk_tree *tree = NULL;
        bool disturbed;
        int err;

        mem_fault_fail(&f.mem, n, false);
        err = pk_merge_base(f.repo, &a, &b, &tree);
        disturbed = f.mem.n_failed > 0;
        mem_fault_fail(&f.mem, 0, false);
        assert_err(err, disturbed ? NF_ENOMEM : 0);
        if (!disturbed) {
            assert_tree(tree, "a=3 b=3");
        }
        pk_tree_free(tree);
        ck_assert(n == 0 || f.mem.live_bytes == live);
        live = f.mem.live_bytes;
        if (n > 0 && !disturbed) {
            ck_assert_uint_gt(n, 50);
            break;
        }
    }
    fixture_end(&f);
}
END_TEST

UNIT_MAIN("pack/store/merge", one_side, both_sides, in_conflict,
          file_and_directory, removed_directory, no_base, settled,
          settled_by_removal, judged, by_model, deep, commits, nothing_to_merge,
          unrelated, criss_cross, conflict_among_ancestors, three_ancestors,
          merges_within_merges, too_many_merges, branches, reverts,
          reverts_first, no_memory)
