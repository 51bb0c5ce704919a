/* SPDX-License-Identifier: ISC */
/*
 * Side trees are written as text, "a=f644:5" for a file with a mode and a
 * ctime, "d/.=d755:6" for a directory, "l/.=l777:7" for a link.
 */
#include <notafs/merge.h>
#include <notafs/posix.h>

#include "tests/unit/pack/store/fixture.h"

static const struct pk_slice branch = {(const uint8_t *)"main", 4};

/* A side tree of such a text. */
static int side_tree(struct pk_repo *repo, const char *text,
                     struct pk_tree **ret)
{
    struct pk_tree *side = NULL;
    int err = pk_tree_empty(repo, &side);

    while (err == 0 && *text != '\0') {
        const char *equals = strchr(text, '=');
        struct pk_posix posix = {.kind = (enum pk_posix_kind)equals[1]};
        struct text_path p;
        char *end;

        posix.mode = (uint32_t)strtoul(equals + 2, &end, 8);
        posix.ctime.sec = strtol(end + 1, &end, 10);
        posix.link = text_bytes(posix.kind == PK_POSIX_LINK ? "to" : "");
        text_path_set(&p, text, (size_t)(equals - text));
        p.path.n -= posix.kind != PK_POSIX_FILE; /* the step "." */
        err = pk_posix_set(side, p.path, &posix);
        text = end + strspn(end, " ");
    }
    if (err != 0) {
        pk_tree_free(side);
        return err;
    }
    *ret = side;
    return 0;
}

struct side_text {
    struct pk_tree *side;
    char text[TEXT_MAX];
    size_t len;
};

static int side_text_add(void *arg, struct pk_path path,
                         const struct pk_stat *stat)
{
    struct side_text *t = arg;
    struct pk_path own = path;
    struct pk_bytes bytes;
    struct pk_posix posix;

    if (stat->kind != PK_CONTENTS) {
        return 0;
    }
    own.n -=
        path.steps[path.n - 1].len == 1 && path.steps[path.n - 1].p[0] == '.';
    assert_ok(pk_posix_get(t->side, own, &bytes, &posix));
    pk_bytes_free(pk_tree_repo(t->side), &bytes);
    for (size_t i = 0; i < path.n; i++) {
        t->len += (size_t)snprintf(
            t->text + t->len, TEXT_MAX - t->len, "%s%.*s",
            i > 0        ? "/"
            : t->len > 0 ? " "
                         : "",
            (int)path.steps[i].len, (const char *)path.steps[i].p);
    }
    t->len += (size_t)snprintf(t->text + t->len, TEXT_MAX - t->len, "=%c%o:%d",
                               posix.kind, posix.mode, (int)posix.ctime.sec);
    return 0;
}

static void assert_side(struct pk_tree *side, const char *text)
{
    struct side_text found = {.side = side};

    assert_ok(pk_tree_walk(side, PK_WALK_SORTED, side_text_add, &found));
    ck_assert_str_eq(found.text, text);
}

static void assert_side_of(struct fixture *f, const struct pk_digest *commit,
                           const char *text)
{
    struct pk_sides *sides;
    struct pk_tree *side = NULL;

    assert_ok(pk_sides_open(f->repo, &sides));
    assert_ok(pk_sides_tree(sides, commit, &side));
    if (text == NULL) {
        ck_assert_ptr_null(side);
    } else {
        ck_assert_ptr_nonnull(side);
        assert_side(side, text);
    }
    pk_tree_free(side);
    pk_sides_close(sides);
}

/* A commit of such a side tree for a commit; posix/NAME is set to it. */
static struct pk_digest record(struct fixture *f, const char *name,
                               const struct pk_digest *of, const char *text)
{
    const struct pk_info info = {.date = (int64_t)f->n_commits};
    struct pk_slice to = text_bytes(name);
    struct pk_tree *side = NULL;
    struct pk_digest parent;
    struct pk_digest hash;
    int err = pk_posix_branch_get(f->repo, to, &parent);

    ck_assert(err == 0 || err == NF_EC_NO_BRANCH);
    assert_ok(side_tree(f->repo, text, &side));
    assert_ok(pk_posix_commit(side, of, &parent, err == 0, &info, &hash));
    assert_ok(pk_posix_branch_set(f->repo, to, &hash));
    pk_tree_free(side);
    return hash;
}

START_TEST(found)
{
    struct fixture f;
    struct pk_sides *sides;
    struct pk_digest commits[40];
    struct pk_digest made[40];
    struct pk_digest side;

    fixture_begin(&f, "irmin");
    assert_ok(pk_sides_open(f.repo, &sides));
    for (size_t i = 0; i < 40; i++) {
        char text[32];

        snprintf(text, sizeof(text), "a=%zu", i / 2);
        commits[i] =
            commit_text(&f, text, i > 0 ? &commits[i - 1] : NULL, NULL);
        assert_err(pk_sides_find(sides, &commits[i], &side), NF_EC_NO_COMMIT);
        snprintf(text, sizeof(text), "a=f%zu:1", i % 8);
        made[i] = record(&f, i % 3 == 0 ? "main" : "other", &commits[i], text);
        assert_ok(pk_sides_find(sides, &commits[i], &side));
        assert_same_hash(&side, &made[i]);
    }
    for (size_t i = 0; i < 40; i++) {
        assert_ok(pk_sides_find(sides, &commits[i], &side));
        assert_same_hash(&side, &made[i]);
    }
    /* A branch takes it along, if there is one. */
    assert_ok(pk_sides_branch(sides, text_bytes("tag"), &commits[5]));
    assert_ok(pk_posix_branch_get(f.repo, text_bytes("tag"), &side));
    assert_same_hash(&side, &made[5]);
    assert_ok(pk_posix_branch_set(f.repo, text_bytes("tag"), NULL));
    assert_ok(pk_sides_branch(sides, text_bytes("tag"), &made[5]));
    assert_err(pk_posix_branch_get(f.repo, text_bytes("tag"), &side),
               NF_EC_NO_BRANCH);
    /* A side commit belongs to none itself; removed ones are not found. */
    assert_err(pk_sides_find(sides, &made[0], &side), NF_EC_NO_COMMIT);
    assert_ok(pk_posix_branch_set(f.repo, text_bytes("other"), NULL));
    assert_err(pk_sides_find(sides, &commits[1], &side), NF_EC_NO_COMMIT);
    assert_ok(pk_sides_find(sides, &commits[0], &side));
    pk_sides_close(sides);
    fixture_end(&f);
}
END_TEST

START_TEST(followed)
{
    struct fixture f;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest before;
    struct pk_digest other;

    fixture_begin(&f, "irmin");
    before = commit_text(&f, "a=1", NULL, NULL);
    a = commit_text(&f, "a=1 b=1 d/e/f=1 gone/d/f=1 x=1", &before, NULL);
    record(&f, "main", &a,
           ".=d755:1 a=f600:1 b=f601:1 d/.=d701:1 d/e/.=d702:1 d/e/f=f604:1 "
           "d/l/.=l777:1 empty/.=d711:1 gone/.=d1:1 gone/d/.=d2:1 "
           "gone/d/f=f3:1 gone/l/.=l777:1 l/.=l777:1 x=f666:1");
    f.n_commits = 9;
    /* b changed; d/e/f, all of gone gone; l and new made; x a directory. */
    b = commit_text(&f, "a=1 b=2 d/g=1 empty/f=1 l=1 new=1 x/y=1", &a, NULL);
    assert_side_of(&f, &b,
                   ".=d755:1 a=f600:1 b=f601:9 d/.=d701:1 d/l/.=l777:1 "
                   "empty/.=d711:1");
    /* Ancestors have none, nor has a history of its own. */
    assert_side_of(&f, &before, NULL);
    other = commit_text(&f, "a=1", NULL, NULL);
    assert_side_of(&f, &other, NULL);
    fixture_end(&f);
}
END_TEST

static void merges(struct fixture *f, const char *base, const char *ours,
                   const char *theirs, const char *wanted)
{
    struct pk_tree *trees[3] = {NULL, NULL, NULL};
    struct pk_tree *merged;

    if (base != NULL) {
        assert_ok(side_tree(f->repo, base, &trees[0]));
    }
    assert_ok(side_tree(f->repo, ours, &trees[1]));
    assert_ok(side_tree(f->repo, theirs, &trees[2]));
    assert_ok(pk_posix_merge(trees[0], trees[1], trees[2], &merged));
    assert_side(merged, wanted);
    pk_tree_free(merged);
    for (size_t i = 0; i < 3; i++) {
        pk_tree_free(trees[i]);
    }
}

START_TEST(merged)
{
    struct fixture f;

    fixture_begin(&f, "irmin");
    merges(&f, "a=f1:1 b=f1:1", "a=f2:2 b=f1:1", "a=f1:1 b=f2:3",
           "a=f2:2 b=f2:3");
    merges(&f, "a=f1:1 b=f1:1", "a=f2:2 b=f2:3", "a=f3:3 b=f3:2",
           "a=f3:3 b=f2:3");
    merges(&f, "a=f1:1", "a=f2:2", "a=f3:2", "a=f2:2");
    merges(&f, NULL, "a=f2:2 b=f1:1", "a=f3:3 c=f1:1", "a=f3:3 b=f1:1 c=f1:1");
    /* Removed and changed: it stays. */
    merges(&f, "a=f1:1 b=f1:1", "b=f2:2", "a=f2:2", "a=f2:2 b=f2:2");
    merges(&f, "d/.=d1:1 d/l/.=l1:1", "", "d/.=d2:2 d/l/.=l1:1", "d/.=d2:2");
    /* A link and a directory. */
    merges(&f, "", "l/.=l1:1", "l/.=d1:2 l/f=f1:1", "l/.=d1:2 l/f=f1:1");
    fixture_end(&f);
}
END_TEST

static const struct pk_info info = {.date = 50};

START_TEST(merged_commits)
{
    struct fixture f;
    struct pk_sides *sides;
    struct pk_digest base;
    struct pk_digest ours;
    struct pk_digest theirs;
    struct pk_digest both;
    struct pk_digest side;

    fixture_begin(&f, "irmin");
    assert_ok(pk_sides_open(f.repo, &sides));
    base = commit_text(&f, "a=1 b=1", NULL, NULL);
    ours = commit_text(&f, "a=2 b=1", &base, NULL);
    theirs = commit_text(&f, "a=1 b=2", &base, NULL);
    both = commit_text(&f, "a=2 b=2", &ours, &theirs);
    /* Nobody has any: nothing is made. */
    assert_ok(pk_sides_merged(sides, branch, &ours, &theirs, &both, &info));
    assert_err(pk_posix_branch_get(f.repo, branch, &side), NF_EC_NO_BRANCH);
    record(&f, "main", &base, "a=f1:1 b=f1:1 l/.=l1:1");
    record(&f, "main", &ours, "a=f2:2 b=f1:1 l/.=l1:1");
    record(&f, "main", &theirs, "a=f1:1 b=f3:3 m/.=l1:1");
    assert_ok(pk_sides_merged(sides, branch, &ours, &theirs, &both, &info));
    assert_side_of(&f, &both, "a=f2:2 b=f3:3 m/.=l1:1");
    /* A branch moves on, and one is new. */
    assert_ok(
        pk_sides_merged(sides, text_bytes("new"), NULL, &both, &both, &info));
    assert_ok(pk_posix_branch_set(f.repo, branch, NULL));
    assert_side_of(&f, &both, "a=f2:2 b=f3:3 m/.=l1:1");
    assert_ok(pk_sides_merged(sides, branch, &base, &both, &both, &info));
    assert_ok(pk_posix_branch_get(f.repo, branch, &side));
    pk_sides_close(sides);
    fixture_end(&f);
}
END_TEST

/* All of the above in a short form, each call of which may fail for want of
 * memory: 0, or what it failed with. */
static int scenario(struct fixture *f, const struct pk_digest *commits)
{
    struct pk_sides *sides = NULL;
    struct pk_tree *side = NULL;
    int err = pk_sides_open(f->repo, &sides);

    if (err == 0) {
        err = pk_sides_merged(sides, branch, &commits[1], &commits[2],
                              &commits[3], &info);
    }
    for (size_t i = 0; err == 0 && i < 5; i++) {
        err = pk_sides_tree(sides, &commits[i], &side);
        pk_tree_free(side);
        side = NULL;
    }
    if (err == 0) {
        err = side_tree(f->repo, "a=f1:1 d/.=d1:1 l/.=l1:1", &side);
        pk_tree_free(side);
    }
    pk_sides_close(sides);
    return err;
}

START_TEST(without_memory)
{
    bool done = false;
    uint64_t n = 0;

    while (!done) {
        struct fixture f;
        struct pk_digest commits[5];
        int err;

        fixture_begin(&f, "irmin");
        commits[0] = commit_text(&f, "a=1 b=1", NULL, NULL);
        commits[1] = commit_text(&f, "a=2 b=1", &commits[0], NULL);
        commits[2] = commit_text(&f, "a=1 b=2", &commits[0], NULL);
        commits[3] = commit_text(&f, "a=2 b=2", &commits[1], &commits[2]);
        commits[4] = commit_text(&f, "a=3 d/e=2", &commits[3], NULL);
        record(&f, "main", &commits[0], "a=f1:1 b=f1:1");
        record(&f, "main", &commits[1], "a=f2:2 b=f1:1");
        record(&f, "other", &commits[2], "a=f1:1 b=f3:3");
        mem_fault_fail(&f.mem, ++n, false);
        err = scenario(&f, commits);
        done = f.mem.n_failed == 0;
        ck_assert_msg(err == 0 ||
                          (!done && (err == NF_ENOMEM || err == NF_ENOSPC)),
                      "allocation %u: %s", (unsigned)n, nf_errname(err));
        mem_fault_fail(&f.mem, 0, false);
        assert_ok(scenario(&f, commits)); /* and all is well afterwards */
        assert_side_of(&f, &commits[3], "a=f2:2 b=f3:3");
        fixture_end(&f);
    }
    ck_assert_uint_gt(n, 50);
}
END_TEST

UNIT_MAIN("pack/posix/sides", found, followed, merged, merged_commits,
          without_memory)
