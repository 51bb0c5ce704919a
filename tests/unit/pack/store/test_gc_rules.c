/* SPDX-License-Identifier: ISC */
/* Which commits the rules keep, and what a split frees beside. */
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/gc_world.h"

static int64_t since_date = 9;

static const struct {
    struct pk_keep keep;
    size_t main;  /* commits of it that are kept ... */
    size_t other; /* ... and of a branch at the fifth, with one of its own */
} rules[] = {
    {{0, NULL}, 1, 1},        {{1, NULL}, 1, 1},
    {{4, NULL}, 4, 4},        {{0, &since_date}, 4, 1},
    {{3, &since_date}, 4, 3}, {{100, NULL}, N_COMMITS, 6},
};

/* Rules name the commits of each branch, each once, ascending. */
START_TEST(rules_keep_commits)
{
    struct world w;
    struct pk_tree *tree;
    struct pk_digest side;
    struct pk_info info = {3, kit_text("a"), kit_text("m")};

    world_begin(&w, "smallseeded", false, false);
    assert_ok(pk_commit_tree(w.repo, &w.commits[5], &tree));
    assert_ok(pk_commit_make(tree, &w.commits[5], 1, &info, &side));
    pk_tree_free(tree);
    assert_ok(pk_branch_set(w.repo, kit_text("side"), &side));
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        struct pk_digest *kept = NULL;
        size_t n = 0;
        size_t found = 0;
        size_t n_main = rules[i].main;
        size_t wanted = n_main + rules[i].other;

        assert_ok(pk_keep_commits(w.repo, &rules[i].keep, &kept, &n));
        for (size_t k = 0; k < n; k++) {
            ck_assert(k == 0 ||
                      memcmp(&kept[k - 1], &kept[k], sizeof(*kept)) < 0);
            found += memcmp(&kept[k], &side, sizeof(side)) == 0;
            for (int c = 1; c <= N_COMMITS; c++) {
                bool here = memcmp(&kept[k], &w.commits[c], sizeof(side)) == 0;

                ck_assert(!here || c > N_COMMITS - (int)n_main ||
                          c > 5 - (int)rules[i].other + 1);
                found += here;
            }
        }
        ck_assert_uint_eq(found, n);
        /* The five that both have are told once. */
        ck_assert_uint_eq(n, n_main == N_COMMITS ? N_COMMITS + 1 : wanted);
        pk_keep_free(w.repo, kept, n);
    }
    world_end(&w);
}
END_TEST

/* Branches whose commit is gone are passed over; no branch, no commit. */
START_TEST(rules_pass_over_what_is_gone)
{
    struct world w;
    struct pk_keep keep = {.last = 100};
    struct pk_gc_options options;
    struct pk_digest *kept = NULL;
    size_t n = 0;

    world_begin(&w, "smallseeded", false, false);
    assert_ok(pk_branch_set(w.repo, kit_text("old"), &w.commits[2]));
    options = world_keep_one(&w, 6);
    assert_ok(world_collect(&w, &options, NULL));
    assert_ok(pk_keep_commits(w.repo, &keep, &kept, &n));
    ck_assert_uint_eq(n, N_COMMITS - 5);
    for (uint64_t nth = 1;; nth++) { /* memory fails */
        struct pk_digest *again = NULL;
        size_t n_again = 0;
        int err;

        mem_fault_fail(&w.mem, nth, false);
        err = pk_keep_commits(w.repo, &keep, &again, &n_again);
        if (w.mem.fail_at == 0 || w.mem.n_allocs < w.mem.fail_at) {
            assert_ok(err);
            ck_assert_mem_eq(again, kept, n * sizeof(*kept));
            pk_keep_free(w.repo, again, n_again);
            break;
        }
        ck_assert_int_eq(nf_err_class(err), NF_ENOMEM);
    }
    mem_fault_fail(&w.mem, 0, false);
    pk_keep_free(w.repo, kept, n);
    assert_ok(pk_branch_remove(w.repo, kit_text("main")));
    assert_ok(pk_keep_commits(w.repo, &keep, &kept, &n));
    ck_assert_uint_eq(n, 0);
    ck_assert_ptr_null(kept);
    world_end(&w);
}
END_TEST

/* With a split first all that is old is freed; a dry run says so. */
START_TEST(splits_first)
{
    struct world w;
    struct pk_gc_options options;
    struct pk_gc_stats said;
    struct pk_gc_stats done;

    world_begin(&w, "smallseeded", false, false);
    world_commit(&w);
    for (int i = 0; i < 2; i++) { /* the second time it is split already */
        options = world_keep_one(&w, w.n);
        options.split = true;
        options.dry_run = true;
        assert_ok(world_collect(&w, &options, &said));
        options.dry_run = false;
        assert_ok(world_collect(&w, &options, &done));
        ck_assert_uint_eq(said.chunks_removed, i == 0 ? N_COMMITS / 3 + 1 : 1);
        ck_assert_uint_eq(said.chunks_removed, done.chunks_removed);
        ck_assert_uint_eq(said.suffix_freed, done.suffix_freed);
        ck_assert_uint_eq(said.mapping_len, done.mapping_len);
        world_look(&w, w.n);
        ck_assert_int_eq(world_names_of(&w, 1).chunks, 1);
        world_commit(&w);
        assert_ok(pk_repo_split(w.repo));
    }
    world_end(&w);
}
END_TEST

UNIT_MAIN("pack/store/gc_rules", rules_keep_commits,
          rules_pass_over_what_is_gone, splits_first)
