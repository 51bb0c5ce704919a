/* SPDX-License-Identifier: ISC */
#include <notafs/merge.h>

#include "host/prng.h"
#include "tests/unit/pack/store/fixture.h"

/* Histories of at most 64 commits, so that a set of them is a number. */
enum { MAX = 64 };

struct graph {
    struct fixture f;
    size_t n;
    struct pk_digest hash[MAX];
    uint64_t reach[MAX]; /* the commit itself, and all it has behind it */
};

/* A commit whose parents are a set. */
static void graph_add(struct graph *g, struct pk_tree *tree, uint64_t parents)
{
    const struct pk_info info = {.date = (int64_t)g->n};
    struct pk_digest hashes[MAX];
    size_t n = 0;

    g->reach[g->n] = UINT64_C(1) << g->n;
    for (size_t i = 0; i < g->n; i++) {
        if ((parents >> i & 1) != 0) {
            hashes[n++] = g->hash[i];
            g->reach[g->n] |= g->reach[i];
        }
    }
    assert_ok(pk_commit_make(tree, hashes, n, &info, &g->hash[g->n]));
    g->n++;
}

struct found {
    const struct graph *g;
    uint64_t set;
    struct pk_digest last;
    size_t n;
};

static int found_add(void *arg, const struct pk_digest *hash)
{
    struct found *found = arg;

    ck_assert(found->n == 0 || memcmp(&found->last, hash, sizeof(*hash)) < 0);
    found->last = *hash;
    found->n++;
    for (size_t i = 0; i < found->g->n; i++) {
        if (memcmp(&found->g->hash[i], hash, sizeof(*hash)) == 0) {
            found->set |= UINT64_C(1) << i;
            return 0;
        }
    }
    ck_abort_msg("a commit that is not of the history");
}

/* By the definition: common, and behind no other common one. */
static uint64_t lowest(const struct graph *g, size_t a, size_t b)
{
    const uint64_t common = g->reach[a] & g->reach[b];
    uint64_t set = common;

    for (size_t i = 0; i < g->n; i++) {
        if ((common >> i & 1) != 0) {
            set &= ~(g->reach[i] & ~(UINT64_C(1) << i));
        }
    }
    return set;
}

static void check_pair(struct graph *g, size_t a, size_t b)
{
    struct found found = {.g = g};

    assert_ok(
        pk_lca(g->f.repo, &g->hash[a], &g->hash[b], 0, found_add, &found));
    ck_assert_uint_eq(found.set, lowest(g, a, b));
}

/* Histories with forks, merges, several beginnings; parents near and far. */
START_TEST(by_definition)
{
    struct prng r = prng_seed(1);

    for (size_t round = 0; round < 60; round++) {
        const uint64_t reach = 1 + prng_below(&r, MAX);
        struct pk_tree *tree;
        struct graph *g = calloc(1, sizeof(*g));

        ck_assert_ptr_nonnull(g);
        fixture_begin(&g->f, "irmin-32");
        tree = tree_of_text(&g->f, "a=1");
        for (size_t i = 0; i < MAX; i++) {
            const uint64_t n =
                prng_below(&r, 10) == 0 ? 0 : 1 + prng_below(&r, round % 3 + 1);
            uint64_t parents = 0;

            for (uint64_t j = 0; j < n && i > 0; j++) {
                const uint64_t back = 1 + prng_below(&r, reach < i ? reach : i);

                parents |= UINT64_C(1) << (i - back);
            }
            graph_add(g, tree, parents);
        }
        for (size_t i = 0; i < 300; i++) {
            check_pair(g, (size_t)prng_below(&r, MAX),
                       (size_t)prng_below(&r, MAX));
        }
        pk_tree_free(tree);
        fixture_end(&g->f);
        free(g);
    }
}
END_TEST

static int found_one(void *arg, const struct pk_digest *hash)
{
    struct pk_digest *one = arg;

    *one = *hash;
    return 0;
}

/* Two branches at the end of a long history: its beginning is not read. */
START_TEST(looks_no_further)
{
    struct pk_counters before;
    struct pk_counters after;
    struct pk_digest fork;
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest one;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    fork = commit_text(&f, "a=1", NULL, NULL);
    for (int i = 0; i < 2000; i++) {
        fork = commit_text(&f, "a=1", &fork, NULL);
    }
    a = fork;
    b = fork;
    for (int i = 0; i < 5; i++) {
        a = commit_text(&f, "a=2", &a, NULL);
        b = commit_text(&f, "a=3", &b, NULL);
    }
    pk_repo_counters(f.repo, &before);
    assert_ok(pk_lca(f.repo, &a, &b, 0, found_one, &one));
    pk_repo_counters(f.repo, &after);
    assert_same_hash(&one, &fork);
    ck_assert_uint_le(after.objects_read - before.objects_read, 11);
    fixture_end(&f);
}
END_TEST

START_TEST(limited)
{
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest one;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    a = commit_text(&f, "a=1", NULL, NULL);
    b = a;
    for (int i = 0; i < 10; i++) {
        b = commit_text(&f, "a=1", &b, NULL);
    }
    assert_err(pk_lca(f.repo, &a, &b, 10, found_one, &one), NF_EC_HISTORY);
    assert_ok(pk_lca(f.repo, &a, &b, 11, found_one, &one));
    assert_same_hash(&one, &a);
    fixture_end(&f);
}
END_TEST

static int found_none(void *arg, const struct pk_digest *hash)
{
    (void)arg;
    (void)hash;
    ck_abort_msg("nothing is in common");
}

static int found_stop(void *arg, const struct pk_digest *hash)
{
    (void)arg;
    (void)hash;
    return NF_ECANCELED;
}

START_TEST(odd_questions)
{
    struct pk_digest absent = {.b = {1, 2, 3}};
    struct pk_digest a;
    struct pk_digest b;
    struct pk_digest one;
    struct fixture f;

    fixture_begin(&f, "irmin-32");
    a = commit_text(&f, "a=1", NULL, NULL);
    b = commit_text(&f, "a=1", NULL, NULL);
    assert_ok(pk_lca(f.repo, &a, &a, 0, found_one, &one));
    assert_same_hash(&one, &a);
    assert_ok(pk_lca(f.repo, &a, &b, 0, found_none, NULL));
    assert_err(pk_lca(f.repo, &a, &absent, 0, found_none, NULL),
               NF_EC_NO_COMMIT);
    assert_err(pk_lca(f.repo, &absent, &a, 0, found_none, NULL),
               NF_EC_NO_COMMIT);
    assert_err(pk_lca(f.repo, &a, &a, 0, found_stop, NULL), NF_ECANCELED);
    fixture_end(&f);
}
END_TEST

/* Whichever allocation fails, it is told, and nothing is lost. (The first
 * search, undisturbed, fills the store's own buffers.) */
START_TEST(no_memory)
{
    struct pk_digest a[80];
    struct pk_digest b[80];
    struct fixture f;
    size_t live = 0;

    fixture_begin(&f, "irmin-32");
    a[0] = commit_text(&f, "a=1", NULL, NULL);
    b[0] = commit_text(&f, "a=2", NULL, NULL);
    for (size_t i = 1; i < 80; i++) {
        a[i] = commit_text(&f, "a=1", &a[i - 1], &b[i - 1]);
        b[i] = commit_text(&f, "a=2", &b[i - 1], &a[i - 1]);
    }
    for (uint64_t n = 0;; n++) {
        struct pk_digest one;
        bool disturbed;
        int err;

        mem_fault_fail(&f.mem, n, false);
        err = pk_lca(f.repo, &a[79], &b[0], 0, found_one, &one);
        disturbed = f.mem.n_failed > 0;
        mem_fault_fail(&f.mem, 0, false);
        assert_err(err, disturbed ? NF_ENOMEM : 0);
        ck_assert(n == 0 || f.mem.live_bytes == live);
        live = f.mem.live_bytes;
        if (n > 0 && !disturbed) {
            ck_assert_uint_gt(n, 5);
            assert_same_hash(&one, &b[0]);
            break;
        }
    }
    fixture_end(&f);
}
END_TEST

UNIT_MAIN("pack/store/lca", by_definition, looks_no_further, limited,
          odd_questions, no_memory)
