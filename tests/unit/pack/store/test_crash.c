/* SPDX-License-Identifier: ISC */
/*
 * Power cuts: a scenario is recorded on a file system that promises no more
 * than POSIX does, and every state that a cut could leave is opened. It must
 * show the last commit that was acknowledged or the one being made, whole, and
 * take another.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 6 };

struct crash {
    struct mem_fault mem;
    struct vfs_fault files;
    const char *config;
    enum pk_strategy strategy;
    uint64_t index_log;
    struct pk_digest commits[N_COMMITS + 1]; /* by number of commits */
    struct pk_digest roots[N_COMMITS + 1];
    uint64_t n_states;
    uint64_t rounds; /* random states for each moment */
};

static struct pk_open crash_options(struct crash *c, struct vfs_fault *files)
{
    struct pk_open opts =
        kit_open(files, c->config, PK_OPEN_WRITE | PK_OPEN_CREATE);

    opts.strategy = c->strategy;
    opts.index_log_entries = c->index_log;
    opts.cache_len = 4096;
    return opts;
}

static void commit(struct pk_repo *repo, const struct pk_digest *parent, int i,
                   struct pk_digest *ret_hash, struct pk_digest *ret_root)
{
    uint8_t data[600];
    struct pk_tree *tree;
    struct kit_path path;
    char name[32];

    if (parent == NULL) {
        assert_ok(pk_tree_empty(repo, &tree));
    } else {
        assert_ok(pk_commit_tree(repo, parent, &tree));
    }
    for (int f = 0; f < 5; f++) {
        uint32_t len = f == 0 ? sizeof(data) : 20;

        kit_contents((uint64_t)(i * 10 + f), len, data);
        (void)snprintf(name, sizeof(name), "d%d/some-name-%d", f % 2,
                       f + i % 3);
        assert_ok(pk_tree_set(tree, kit_path(&path, name),
                              (struct pk_slice){data, len}));
    }
    assert_ok(kit_commit(tree, parent, i, ret_hash));
    assert_ok(pk_tree_hash(tree, ret_root));
    pk_tree_free(tree);
}

static void record(struct crash *c)
{
    struct pk_open opts = crash_options(c, &c->files);
    struct pk_repo *repo;

    vfs_fault_record(&c->files);
    for (int i = 0; i < N_COMMITS; i++) {
        if (i % 3 == 0) {
            if (i > 0) {
                assert_ok(pk_repo_close(repo));
            }
            assert_ok(pk_repo_open(&c->mem.env, &opts, NULL, &repo));
        }
        commit(repo, i > 0 ? &c->commits[i] : NULL, i, &c->commits[i + 1],
               &c->roots[i + 1]);
        vfs_fault_mark(&c->files, (uint64_t)i + 1);
        if (i == 3 && c->strategy == PK_STRATEGY_MINIMAL) {
            assert_ok(pk_repo_split(repo));
        }
    }
    assert_ok(pk_repo_close(repo));
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

/* What a state shows: the number of commits. */
static uint64_t look(struct crash *c, struct pk_repo *repo, uint64_t marked)
{
    struct pk_check_stats stats;
    struct pk_tree *tree;
    struct pk_digest head;
    struct pk_digest root;
    uint64_t n = marked;
    int err = pk_branch_get(repo, kit_text("main"), &head);

    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    if (err == NF_EC_NO_BRANCH) {
        ck_assert_uint_eq(marked, 0);
        return 0;
    }
    assert_ok(err);
    if (marked == 0 || memcmp(&head, &c->commits[marked], sizeof(head)) != 0) {
        n = marked + 1;
        ck_assert_uint_le(n, N_COMMITS);
        ck_assert_mem_eq(&head, &c->commits[n], sizeof(head));
    }
    assert_ok(pk_commit_tree(repo, &head, &tree));
    assert_ok(pk_tree_hash(tree, &root));
    ck_assert_mem_eq(&root, &c->roots[n], sizeof(root));
    pk_tree_free(tree);
    return n;
}

static void try_state(struct crash *c, size_t upto, struct prng *prng,
                      enum vfs_crash kind)
{
    struct vfs_fault files;
    struct pk_open opts;
    struct pk_repo *repo;
    struct pk_digest hash;
    struct pk_digest root;
    uint64_t n;

    vfs_fault_crash(&c->files, upto, prng, kind, &files);
    opts = crash_options(c, &files);
    assert_ok(pk_repo_open(&c->mem.env, &opts, NULL, &repo));
    n = look(c, repo, files.marked);
    if (n < N_COMMITS) { /* the same commit has the same hash again */
        commit(repo, n > 0 ? &c->commits[n] : NULL, (int)n, &hash, &root);
        ck_assert_mem_eq(&hash, &c->commits[n + 1], sizeof(hash));
    }
    assert_ok(pk_repo_close(repo));
    opts.flags = 0;
    assert_ok(pk_repo_open(&c->mem.env, &opts, NULL, &repo));
    (void)look(c, repo, n < N_COMMITS ? n + 1 : n);
    assert_ok(pk_repo_close(repo));
    vfs_fault_deinit(&files);
    c->n_states++;
}

static void explore(struct crash *c, uint64_t seed)
{
    struct prng prng = prng_seed(seed);

    printf("config %s seed %llu\n", c->config, (unsigned long long)seed);
    mem_fault_init(&c->mem);
    vfs_fault_init(&c->files);
    record(c);
    for (size_t upto = 1; upto <= c->files.n_ops; upto++) {
        try_state(c, upto, &prng, VFS_CRASH_NONE);
        try_state(c, upto, &prng, VFS_CRASH_ALL);
        for (uint64_t i = 0; i < c->rounds; i++) {
            try_state(c, upto, &prng, VFS_CRASH_SOME);
            try_state(c, upto, &prng, VFS_CRASH_TORN);
            try_state(c, upto, &prng, VFS_CRASH_LATE);
        }
    }
    printf("%llu states\n", (unsigned long long)c->n_states);
    ck_assert_uint_gt(c->n_states, 500);
    vfs_fault_deinit(&c->files);
    ck_assert_uint_eq(c->mem.live_blocks, 0);
}

static uint64_t rounds(void)
{
    const char *text = getenv("NOTAFS_CRASH_ROUNDS");

    return text == NULL ? 4 : strtoull(text, NULL, 10);
}

START_TEST(minimal)
{
    struct crash c = {.config = "smallseeded", .rounds = rounds()};

    explore(&c, 1);
}
END_TEST

START_TEST(always_with_merges)
{
    struct crash c = {.config = "kv32", .rounds = rounds()};

    c.strategy = PK_STRATEGY_ALWAYS;
    c.index_log = 12;
    explore(&c, 2);
}
END_TEST

UNIT_MAIN("pack/store/crash", minimal, always_with_merges)
