/* SPDX-License-Identifier: ISC */
/*
 * The n-th allocation or call of the file API fails, once or for ever, for
 * every n that a scenario reaches. Each error is told; the handle goes on
 * working; what was acknowledged is there; all memory comes back.
 */
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 4, N_FILES = 9 };

/* What a scenario has been told. */
struct run {
    struct vfs_fault *files;
    struct mem_fault *mem;
    const char *config;
    enum pk_strategy strategy;
    uint64_t index_log;
    int n_acked; /* commits whose branch was set */
    struct pk_digest acked;
    struct pk_digest tried; /* the one in flight */
};

static const char *file_name(int i, char *buf)
{
    static const char *const names[N_FILES] = {
        "a", "dir/bcde", "dir/c", "dir/sub/d", "dir/sub/long-name",
        "e", "f",        "gg",    "dir/h"};

    strcpy(buf, names[i]);
    return buf;
}

static int change_tree(struct pk_tree *tree, int commit)
{
    struct kit_path path;
    char name[32];
    int err = 0;

    for (int i = 0; i < N_FILES && err == 0; i++) {
        uint8_t data[2] = {(uint8_t)(commit * 16 + i), 'x'};

        if ((i + commit) % 4 == 3) {
            err = pk_tree_remove(tree, kit_path(&path, file_name(i, name)));
        } else if ((i + commit) % 3 != 0 || commit == 0) {
            err = pk_tree_set(tree, kit_path(&path, file_name(i, name)),
                              (struct pk_slice){data, 2});
        }
    }
    return err;
}

/* The expected file i after so many commits; false: there is none. */
static bool expected_file(int n_commits, int i, uint8_t *ret)
{
    bool has = false;

    for (int commit = 0; commit < n_commits; commit++) {
        if ((i + commit) % 4 == 3) {
            has = false;
        } else if ((i + commit) % 3 != 0 || commit == 0) {
            has = true;
            *ret = (uint8_t)(commit * 16 + i);
        }
    }
    return has;
}

static struct pk_open run_options(struct run *r, uint32_t flags)
{
    struct pk_open opts = kit_open(r->files, r->config, flags);

    opts.strategy = r->strategy;
    opts.index_log_entries = r->index_log;
    opts.cache_len = 4096;
    return opts;
}

static int one_commit(struct run *r, struct pk_repo *repo, int i)
{
    struct pk_tree *tree = NULL;
    int err = i == 0 ? pk_tree_empty(repo, &tree)
                     : pk_commit_tree(repo, &r->acked, &tree);

    if (err == 0) {
        err = change_tree(tree, i);
    }
    if (err == 0) {
        struct pk_info info = {i, kit_text("me"), kit_text("")};

        err = pk_commit_make(tree, &r->acked, i > 0, &info, &r->tried);
    }
    if (err == 0) {
        err = pk_branch_set(repo, kit_text("main"), &r->tried);
    }
    if (err == 0) {
        r->acked = r->tried;
        r->n_acked = i + 1;
    }
    pk_tree_free(tree);
    return err;
}

/* Some commits, a split, a reader beside. Stops at the first error. */
static int scenario(struct run *r)
{
    struct pk_open opts = run_options(r, PK_OPEN_WRITE | PK_OPEN_CREATE);
    struct pk_repo *repo = NULL;
    struct pk_repo *reader = NULL;
    int close_err;
    int err = pk_repo_open(&r->mem->env, &opts, NULL, &repo);

    for (int i = 0; i < N_COMMITS && err == 0; i++) {
        err = one_commit(r, repo, i);
        if (err == 0 && i == 1 && r->strategy == PK_STRATEGY_MINIMAL) {
            err = pk_repo_split(repo);
        }
        if (err == 0 && i == 1) {
            opts.flags = 0;
            err = pk_repo_open(&r->mem->env, &opts, NULL, &reader);
        }
        if (err == 0 && i == 3) {
            struct pk_digest head;

            err = pk_repo_reload(reader);
            if (err == 0) {
                err = pk_branch_get(reader, kit_text("main"), &head);
            }
            if (err == 0) {
                ck_assert_mem_eq(&head, &r->acked, sizeof(head));
            }
        }
    }
    close_err = pk_repo_close(reader);
    err = err == 0 ? close_err : err;
    close_err = pk_repo_close(repo);
    return err == 0 ? close_err : err;
}

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

static void look_at_files(struct pk_repo *repo, const struct pk_digest *head,
                          int n_commits)
{
    struct kit_path path;
    struct pk_tree *tree;
    char name[32];

    assert_ok(pk_commit_tree(repo, head, &tree));
    for (int i = 0; i < N_FILES; i++) {
        struct pk_bytes bytes;
        uint8_t want = 0;
        bool has = expected_file(n_commits, i, &want);
        int err =
            pk_tree_get(tree, kit_path(&path, file_name(i, name)), &bytes);

        if (!has) {
            assert_err(err, NF_ENOENT);
            continue;
        }
        assert_ok(err);
        ck_assert_uint_eq(bytes.len, 2);
        ck_assert_uint_eq(bytes.p[0], want);
        pk_bytes_free(repo, &bytes);
    }
    pk_tree_free(tree);
}

/* The store opens for writing, holds what was acknowledged or one commit more,
 * passes its check, and takes the commits that are missing. */
static void recover(struct run *r)
{
    struct pk_open opts = run_options(r, PK_OPEN_WRITE | PK_OPEN_CREATE);
    struct pk_check_stats stats;
    struct pk_repo *repo;
    struct pk_digest head;
    int err;

    assert_ok(pk_repo_open(&r->mem->env, &opts, NULL, &repo));
    err = pk_branch_get(repo, kit_text("main"), &head);
    if (r->n_acked == 0 && err == NF_EC_NO_BRANCH) {
        err = 0;
    } else {
        assert_ok(err);
        if (r->n_acked == 0 || memcmp(&head, &r->acked, sizeof(head)) != 0) {
            ck_assert_mem_eq(&head, &r->tried, sizeof(head));
            r->acked = r->tried;
            r->n_acked++;
        }
        look_at_files(repo, &head, r->n_acked);
    }
    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    for (int i = r->n_acked; i < N_COMMITS; i++) {
        assert_ok(one_commit(r, repo, i));
    }
    look_at_files(repo, &r->acked, N_COMMITS);
    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    ck_assert_uint_ge(stats.commits, N_COMMITS);
    assert_ok(pk_repo_close(repo));
    ck_assert_uint_eq(r->mem->live_blocks, 0);
}

/* One run with the n-th failure; false: nothing failed any more. */
static bool run_once(struct run *r, uint64_t n, bool memory, bool for_ever)
{
    struct mem_fault mem;
    struct vfs_fault files;
    bool failed;
    int err;

    mem_fault_init(&mem);
    vfs_fault_init(&files);
    r->mem = &mem;
    r->files = &files;
    r->n_acked = 0;
    memset(&r->acked, 0, sizeof(r->acked));
    memset(&r->tried, 0, sizeof(r->tried));
    if (memory) {
        mem_fault_fail(&mem, n, for_ever);
    } else {
        vfs_fault_fail(&files, n, for_ever);
    }
    err = scenario(r);
    failed = memory ? mem.n_failed > 0 : files.n_failed > 0;
    if (!failed) {
        assert_ok(err);
    } else if (err != 0) {
        ck_assert_msg(err == NF_EIO || err == NF_ENOMEM, "%s", nf_errname(err));
    }
    ck_assert_uint_eq(mem.live_blocks, 0);
    ck_assert_uint_eq(files.n_open, 0);
    mem_fault_fail(&mem, 0, false);
    vfs_fault_fail(&files, 0, false);
    recover(r);
    vfs_fault_deinit(&files);
    return failed;
}

static void all_failures(struct run *r, bool memory)
{
    uint64_t n = 1;

    while (run_once(r, n, memory, false)) {
        if (n % 7 == 0) { /* for ever differs less from call to call */
            ck_assert(run_once(r, n, memory, true));
        }
        n++;
    }
    ck_assert_uint_gt(n, 50);
}

START_TEST(memory)
{
    struct run r = {.config = "smallseeded", .strategy = PK_STRATEGY_MINIMAL};

    all_failures(&r, true);
}
END_TEST

START_TEST(files)
{
    struct run r = {.config = "smallseeded", .strategy = PK_STRATEGY_MINIMAL};

    all_failures(&r, false);
}
END_TEST

START_TEST(memory_with_merges)
{
    struct run r = {.config = "kv32", .strategy = PK_STRATEGY_ALWAYS};

    r.index_log = 8;
    all_failures(&r, true);
}
END_TEST

START_TEST(files_with_merges)
{
    struct run r = {.config = "kv32", .strategy = PK_STRATEGY_ALWAYS};

    r.index_log = 8;
    all_failures(&r, false);
}
END_TEST

UNIT_MAIN("pack/store/fault", memory, files, memory_with_merges,
          files_with_merges)
