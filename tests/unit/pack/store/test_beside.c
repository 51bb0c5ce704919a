/* SPDX-License-Identifier: ISC */
/*
 * Processes that share a store in a folder: one writes, others read and reload
 * beside it. A reader sees whole commits and never an older one again; a second
 * writer is kept out until the first is gone, however it went.
 */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/host.h>
#include <notafs/vfs_posix.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

enum { N_COMMITS = 300, N_FILES = 6 };

/* A process's view of the folder. */
struct side {
    struct nf_env env;
    struct pk_vfs_posix *posix;
    struct pk_vfs vfs;
    struct pk_open opts;
    struct pk_repo *repo;
};

static char folder[64];
static enum pk_strategy strategy;

static void make_folder(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/notafs-beside-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int side_open(struct side *s, uint32_t flags)
{
    memset(s, 0, sizeof(*s));
    nf_env_libc(&s->env);
    assert_ok(
        pk_vfs_posix_open(folder, PK_VFS_POSIX_NO_SYNC, &s->posix, &s->vfs));
    s->opts = (struct pk_open){.vfs = &s->vfs,
                               .hashes = pk_hash_gcrypt(),
                               .strategy = strategy,
                               .flags = flags,
                               .cache_len = 8192,
                               .index_log_entries = 3};
    assert_ok(pk_config_parse("small", &s->opts.config));
    return pk_repo_open(&s->env, &s->opts, NULL, &s->repo);
}

static void side_close(struct side *s)
{
    assert_ok(pk_repo_close(s->repo));
    pk_vfs_posix_close(s->posix);
}

/* ---- The writer ------------------------------------------------------- */

/* All files of commit n say n. */
static void write_commit(struct side *s, int n)
{
    struct pk_digest head;
    struct pk_tree *tree;
    struct kit_path path;
    char text[16];
    char name[32];
    bool has = pk_branch_get(s->repo, kit_text("main"), &head) == 0;

    if (has) {
        assert_ok(pk_commit_tree(s->repo, &head, &tree));
    } else {
        assert_ok(pk_tree_empty(s->repo, &tree));
    }
    (void)snprintf(text, sizeof(text), "%d", n);
    for (int i = 0; i < N_FILES; i++) {
        (void)snprintf(name, sizeof(name), "dir%d/file%d", i % 2, i);
        assert_ok(pk_tree_set(tree, kit_path(&path, name), kit_text(text)));
    }
    (void)snprintf(name, sizeof(name), "new/file%d", n);
    assert_ok(pk_tree_set(tree, kit_path(&path, name), kit_text(text)));
    assert_ok(kit_commit(tree, has ? &head : NULL, n, &head));
    pk_tree_free(tree);
}

static void collect(struct side *s)
{
    struct pk_digest head;
    struct pk_gc_options options = {.keep = &head, .n_keep = 1};
    int more = 1;

    assert_ok(pk_branch_get(s->repo, kit_text("main"), &head));
    assert_ok(pk_gc_start(s->repo, &options));
    while (more == 1) {
        more = pk_gc_step(s->repo, PK_GC_MIN_BUDGET);
    }
    assert_ok(more);
    assert_ok(pk_gc_finish(s->repo, NULL));
}

static _Noreturn void writer(void)
{
    struct side s;

    assert_ok(side_open(&s, PK_OPEN_WRITE));
    for (int n = 1; n < N_COMMITS; n++) {
        write_commit(&s, n);
        if (n % 5 == 0 && strategy == PK_STRATEGY_MINIMAL) {
            assert_ok(pk_repo_split(s.repo));
        }
        if (n % 20 == 0 && strategy == PK_STRATEGY_MINIMAL) {
            collect(&s);
        }
    }
    side_close(&s);
    _exit(0);
}

/* ---- A reader --------------------------------------------------------- */

/* The number of the commit that main is at, all of which is there. */
static int read_head(struct side *s)
{
    struct pk_digest head;
    struct pk_tree *tree;
    int number = -1;

    assert_ok(pk_branch_get(s->repo, kit_text("main"), &head));
    assert_ok(pk_commit_tree(s->repo, &head, &tree));
    for (int i = 0; i < N_FILES; i++) {
        struct kit_path path;
        struct pk_bytes bytes;
        char name[32];
        char text[16] = "";

        (void)snprintf(name, sizeof(name), "dir%d/file%d", i % 2, i);
        assert_ok(pk_tree_get(tree, kit_path(&path, name), &bytes));
        ck_assert_uint_lt(bytes.len, sizeof(text));
        memcpy(text, bytes.p, bytes.len);
        pk_bytes_free(s->repo, &bytes);
        ck_assert(i == 0 || atoi(text) == number);
        number = atoi(text);
    }
    pk_tree_free(tree);
    return number;
}

static int find_one(void *arg, const struct pk_digest *hash)
{
    struct pk_repo *repo = arg;
    struct pk_commit *commit = NULL;
    int err = pk_commit_find(repo, hash, &commit);

    ck_assert_msg(err == 0 || err == NF_EC_COLLECTED, "%s", nf_errname(err));
    pk_commit_free(repo, commit);
    return 0;
}

static void read_beside(pid_t pid)
{
    struct side s;
    int status = 0;
    int last = 0;
    uint64_t n = 0;
    bool over = false;

    assert_ok(side_open(&s, 0));
    while (!over) {
        over = waitpid(pid, &status, WNOHANG) == pid;
        if (n % 8 == 7) {
            side_close(&s);
            assert_ok(side_open(&s, 0));
        } else {
            assert_ok(pk_repo_reload(s.repo));
        }
        ck_assert_int_ge(read_head(&s), last);
        last = read_head(&s);
        if (n++ % 4 == 0) {
            assert_ok(pk_commit_each(s.repo, find_one, s.repo));
        }
    }
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(last, N_COMMITS - 1);
    side_close(&s);
}

static void beside(void)
{
    struct side s;
    pid_t pid;

    make_folder();
    assert_ok(side_open(&s, PK_OPEN_WRITE | PK_OPEN_CREATE));
    write_commit(&s, 0);
    side_close(&s);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        writer();
    }
    read_beside(pid);
    remove_folder();
}

START_TEST(minimal)
{
    strategy = PK_STRATEGY_MINIMAL;
    beside();
}
END_TEST

START_TEST(always)
{
    strategy = PK_STRATEGY_ALWAYS;
    beside();
}
END_TEST

/* ---- Two writers ------------------------------------------------------ */

/* A process that holds the lock until it is killed. */
static pid_t holder(void)
{
    int ready[2];
    char byte = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct side s;

        assert_ok(side_open(&s, PK_OPEN_WRITE | PK_OPEN_CREATE));
        write_commit(&s, 0);
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

START_TEST(locks)
{
    struct side s;
    struct side other;
    pid_t pid;

    strategy = PK_STRATEGY_ALWAYS;
    make_folder();
    pid = holder();
    assert_err(side_open(&s, PK_OPEN_WRITE), NF_EC_STORE_LOCKED);
    pk_vfs_posix_close(s.posix);
    assert_ok(side_open(&s, 0)); /* readers need no lock */
    ck_assert_int_eq(read_head(&s), 0);
    side_close(&s);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    assert_ok(side_open(&s, PK_OPEN_WRITE)); /* its lock file means nothing */
    assert_err(side_open(&other, PK_OPEN_WRITE), NF_EC_STORE_LOCKED);
    pk_vfs_posix_close(other.posix);
    write_commit(&s, 1);
    side_close(&s);
    assert_ok(side_open(&s, PK_OPEN_WRITE));
    ck_assert_int_eq(read_head(&s), 1);
    side_close(&s);
    remove_folder();
}
END_TEST

UNIT_MAIN("pack/store/beside", minimal, always, locks)
