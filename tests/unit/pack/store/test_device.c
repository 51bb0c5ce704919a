/* SPDX-License-Identifier: ISC */
/*
 * A store on a Notafs disk whose device fails: the n-th read, write or flush,
 * once or for ever, for each n that some commits come to. The error is told; on
 * the same mount, and on the next, the store is whole and has what was
 * acknowledged, or the commit in flight, and the disk accounts for each page.
 */
#include <stdio.h>

#include <notafs/vfs_notafs.h>

#include "tests/support/account.h"
#include "tests/support/bd_fault.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 4, PAGES = 600 };

struct world {
    struct bd_fault *fault;
    struct mem_fault mem;
    enum pk_strategy strategy;
    struct nf *nf;
    struct pk_vfs_notafs *files;
    struct pk_vfs vfs;
    int n_acked;
    struct pk_digest acked;
    struct pk_digest tried;
};

/* ---- Mounts and stores ---------------------------------------------- */

static int power_on(struct world *w)
{
    const struct nf_mount_options options = {.cache_bytes = (size_t)16 * 512};
    int err = nf_mount(&w->fault->bd, &w->mem.env, &options, &w->nf);

    if (err != 0) {
        return err;
    }
    err = pk_vfs_notafs_open(w->nf, &w->mem.env, nf_path("/s"), &w->files,
                             &w->vfs);
    if (err != 0) {
        nf_unmount(w->nf);
    }
    return err;
}

static void power_off(struct world *w)
{
    pk_vfs_notafs_close(w->files);
    nf_unmount(w->nf);
}

static int open_store(struct world *w, struct pk_repo **ret_repo)
{
    struct pk_open opts = {.vfs = &w->vfs, .strategy = w->strategy};

    opts.flags = PK_OPEN_WRITE | PK_OPEN_CREATE;
    opts.cache_len = 4096;
    opts.index_log_entries = 8;
    assert_ok(pk_config_parse("kv32", &opts.config));
    return pk_repo_open(&w->mem.env, &opts, NULL, ret_repo);
}

static int one_commit(struct world *w, struct pk_repo *repo, int n)
{
    struct pk_tree *tree = NULL;
    struct kit_path path;
    uint8_t data[900];
    char name[32];
    int err = w->n_acked == 0 ? pk_tree_empty(repo, &tree)
                              : pk_commit_tree(repo, &w->acked, &tree);

    for (int i = 0; i < 4 && err == 0; i++) {
        kit_contents((uint64_t)(n * 10 + i), sizeof(data), data);
        (void)snprintf(name, sizeof(name), "dir%d/name-%d", i % 2, n + i);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, sizeof(data)});
    }
    if (err == 0) {
        struct pk_info info = {n, kit_text("me"), kit_text("")};

        err = pk_commit_make(tree, &w->acked, w->n_acked > 0, &info, &w->tried);
    }
    if (err == 0) {
        err = pk_branch_set(repo, kit_text("main"), &w->tried);
    }
    if (err == 0) {
        w->acked = w->tried;
        w->n_acked++;
    }
    pk_tree_free(tree);
    return err;
}

/* Some commits in two processes; stops at the first error. */
static int scenario(struct world *w)
{
    struct pk_repo *repo = NULL;
    int err = open_store(w, &repo);
    int close_err;

    for (int n = 0; n < N_COMMITS && err == 0; n++) {
        err = one_commit(w, repo, n);
    }
    if (err == 0 && w->strategy == PK_STRATEGY_MINIMAL) {
        err = pk_repo_split(repo);
    }
    close_err = pk_repo_close(repo);
    return err == 0 ? close_err : err;
}

/* ---- What must be there --------------------------------------------- */

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

/* The store is whole, with what was acknowledged, and takes a commit. */
static void look(struct world *w, int n)
{
    struct pk_check_stats stats;
    struct pk_digest head;
    struct pk_repo *repo;
    int err;

    assert_ok(open_store(w, &repo));
    err = pk_branch_get(repo, kit_text("main"), &head);
    if (w->n_acked > 0 || err != NF_EC_NO_BRANCH) {
        assert_ok(err);
        if (w->n_acked == 0 || memcmp(&head, &w->acked, sizeof(head)) != 0) {
            ck_assert_mem_eq(&head, &w->tried, sizeof(head));
            w->acked = w->tried;
            w->n_acked++;
        }
    }
    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    ck_assert_uint_ge(stats.commits, (uint64_t)w->n_acked);
    assert_ok(one_commit(w, repo, n));
    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    assert_ok(pk_repo_close(repo));
    ck_assert(account_exact(w->nf, stderr));
}

/* The disk as it was formatted, with a failure; false: nothing failed. */
static bool run_once(struct world *w, enum bd_fault_op op, uint64_t n,
                     bool for_ever)
{
    bool failed;
    int err;

    bd_fault_mark(w->fault);
    w->n_acked = 0;
    assert_ok(power_on(w));
    bd_fault_fail(w->fault, op, n, for_ever);
    err = scenario(w);
    failed = w->fault->n_failed > 0;
    ck_assert_msg(err == 0 || (failed && nf_err_class(err) == NF_EIO),
                  "%llu: %s", (unsigned long long)n, nf_errname(err));
    bd_fault_fail(w->fault, op, 0, false);
    look(w, 100);
    power_off(w);
    assert_ok(power_on(w));
    look(w, 200);
    power_off(w);
    ck_assert_uint_eq(w->mem.live_blocks, 0);
    bd_fault_reset(w->fault);
    bd_fault_unmark(w->fault);
    return failed;
}

static void all_failures(enum nf_profile profile, enum pk_strategy strategy)
{
    static const enum bd_fault_op ops[] = {BD_FAULT_READ, BD_FAULT_WRITE,
                                           BD_FAULT_FLUSH};
    const struct nf_format_options options = {.profile = profile};
    struct world w = {.strategy = strategy};

    mem_fault_init(&w.mem);
    w.fault = bd_fault_open(&(struct bd_geometry){PAGES, 512, BD_CAP_FLUSH});
    assert_ok(nf_format(&w.fault->bd, &w.mem.env, &options));
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        uint64_t n = 1;

        while (run_once(&w, ops[i], n, false) &&
               run_once(&w, ops[i], n, true)) {
            n++;
        }
        printf("%llu requests of kind %zu\n", (unsigned long long)n - 1, i);
        ck_assert_uint_gt(n, 4);
    }
    bd_fault_close(w.fault);
}

START_TEST(native_minimal)
{
    all_failures(NF_PROFILE_NATIVE, PK_STRATEGY_MINIMAL);
}
END_TEST

START_TEST(native_always)
{
    all_failures(NF_PROFILE_NATIVE, PK_STRATEGY_ALWAYS);
}
END_TEST

START_TEST(mirage_always)
{
    all_failures(NF_PROFILE_MIRAGE, PK_STRATEGY_ALWAYS);
}
END_TEST

UNIT_MAIN("pack/store/device", native_minimal, native_always, mirage_always)
