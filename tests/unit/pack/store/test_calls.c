/* SPDX-License-Identifier: ISC */
/*
 * Every call of pack.h and merge.h while the n-th allocation, or the n-th use
 * of a file, fails, once or for ever, for each n that it comes to. Where it
 * says that all is well its answer is right; otherwise the handle is as usable
 * as it was, the same call then succeeds, and nothing has been lost or leaked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/merge.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

/* A store on which a call is tried. */
struct scene {
    struct vfs_fault *files;
    struct mem_fault mem;
    struct pk_repo *repo;   /* open for writing, unless the call opens it */
    struct pk_repo *reader; /* opened before the last commit */
    struct pk_tree *tree;   /* of main, with a change */
    struct pk_digest main;
    struct pk_digest side;
    size_t n_unread; /* findings of a check */
};

struct call {
    const char *name;
    int (*fn)(struct scene *s); /* 0, with its answer proved, or an error */
    bool opens;                 /* there is no repo before it */
    enum { STORE, VERSION_1, NOTHING } files;
};

static const struct pk_info info = {1, {(const uint8_t *)"me", 2}, {NULL, 0}};

static int tree_of(struct scene *s, const struct pk_digest *hash,
                   struct pk_tree **ret_tree)
{
    return pk_commit_tree(s->repo, hash, ret_tree);
}

/* ---- Repos ---------------------------------------------------------- */

static struct pk_open options(struct scene *s, uint32_t flags)
{
    struct pk_open opts = kit_open(s->files, "smallseeded", flags);

    opts.cache_len = 4096;
    opts.strategy = PK_STRATEGY_ALWAYS;
    opts.index_log_entries = 30;
    return opts;
}

static int open_and_close(struct scene *s, const struct pk_open *opts)
{
    struct nf_error_info told = {0};
    struct pk_repo *repo = NULL;
    int err = pk_repo_open(&s->mem.env, opts, &told, &repo);

    if (err == 0) {
        return pk_repo_close(repo);
    }
    ck_assert(told.err != 0 || err == NF_ENOMEM);
    return err;
}

static int call_open(struct scene *s)
{
    const struct pk_open opts = options(s, 0);

    return open_and_close(s, &opts);
}

static int call_open_write(struct scene *s)
{
    const struct pk_open opts = options(s, PK_OPEN_WRITE);

    return open_and_close(s, &opts);
}

static int call_create(struct scene *s)
{
    const struct pk_open opts = options(s, PK_OPEN_WRITE | PK_OPEN_CREATE);

    return open_and_close(s, &opts);
}

static int call_migrate(struct scene *s)
{
    struct pk_open opts = options(s, PK_OPEN_WRITE);

    assert_ok(pk_config_parse("sha1", &opts.config));
    return open_and_close(s, &opts);
}

static int call_legacy(struct scene *s)
{
    struct pk_open opts = options(s, 0);

    assert_ok(pk_config_parse("sha1", &opts.config));
    return open_and_close(s, &opts);
}

static int call_detect(struct scene *s)
{
    const struct pk_open opts = options(s, 0);
    struct pk_config config;
    char text[80];
    bool sure = false;
    int err = pk_config_detect(&s->mem.env, &opts, &config, &sure);

    if (err == 0) {
        pk_config_print(&config, text, sizeof(text));
        ck_assert_str_eq(text, "smallseeded");
    }
    return err;
}

static int call_repair(struct scene *s)
{
    const struct pk_open opts = options(s, PK_OPEN_WRITE);
    struct pk_repair_stats stats = {0};
    int err = pk_repair(&s->mem.env, &opts, NULL, NULL, NULL, &stats);

    if (err == 0) {
        ck_assert(stats.has_last_good);
        ck_assert_uint_eq(stats.parked, 0);
    }
    return err;
}

static int call_flush(struct scene *s)
{
    struct pk_digest hash;
    int err = pk_commit_make(s->tree, &s->main, 1, &info, &hash);

    return err == 0 ? pk_repo_flush(s->repo) : err;
}

static int call_reload(struct scene *s)
{
    struct pk_digest head;
    int err = pk_repo_reload(s->reader);

    if (err == 0) {
        err = pk_branch_get(s->reader, kit_text("main"), &head);
    }
    if (err == 0) {
        ck_assert_mem_eq(&head, &s->main, sizeof(head));
    }
    return err;
}

/* No failure is taken for damage. */
static int only_unread(void *arg, const struct pk_finding *finding)
{
    struct scene *s = arg;

    assert_err(finding->err, NF_EIO);
    s->n_unread++;
    return 0;
}

static int call_check(struct scene *s)
{
    struct pk_check_stats stats = {0};
    int err;

    s->n_unread = 0;
    err = pk_check(s->repo, only_unread, s, &stats);

    if (err == 0 && s->n_unread > 0) {
        return NF_EIO; /* that is told, too */
    }
    ck_assert(err != 0 || stats.commits >= 4);
    return err;
}

/* ---- Trees ---------------------------------------------------------- */

static int call_tree(struct scene *s)
{
    struct pk_tree *tree = NULL;
    struct pk_tree *clone = NULL;
    struct pk_tree *empty = NULL;
    int err = tree_of(s, &s->main, &tree);

    if (err == 0) {
        err = pk_tree_clone(tree, &clone);
    }
    if (err == 0) {
        err = pk_tree_empty(s->repo, &empty);
    }
    pk_tree_free(empty);
    pk_tree_free(clone);
    pk_tree_free(tree);
    return err;
}

static int call_look(struct scene *s)
{
    struct kit_path path;
    struct pk_bytes bytes = {0};
    struct pk_tree *sub = NULL;
    struct pk_stat stat;
    enum pk_kind kind;
    uint64_t len = 0;
    int err = pk_tree_kind(s->tree, kit_path(&path, "dir/name-3"), &kind);

    if (err == 0) {
        ck_assert_int_eq(kind, PK_CONTENTS);
        err = pk_tree_stat(s->tree, path.path, &stat);
    }
    if (err == 0) {
        ck_assert_uint_eq(stat.length, 1);
        err = pk_tree_get(s->tree, path.path, &bytes);
    }
    if (err == 0) {
        ck_assert_uint_eq(bytes.p[0], '3');
        pk_bytes_free(s->repo, &bytes);
        err = pk_tree_length(s->tree, kit_path(&path, "dir"), &len);
    }
    if (err == 0) {
        ck_assert_uint_eq(len, 9);
        err = pk_tree_sub(s->tree, path.path, &sub);
    }
    if (err == 0) {
        err = pk_tree_stat(sub, kit_path(&path, ""), &stat);
    }
    pk_tree_free(sub);
    return err;
}

/* Stop failing, and count on. */
static void calm(struct scene *s)
{
    s->mem.fail_at = 0;
    s->files->fail_at = 0;
}

/* A change that fails changes nothing. */
static int call_set(struct scene *s)
{
    struct kit_path path;
    struct pk_tree *tree = NULL;
    struct pk_digest before;
    struct pk_digest after;
    int err = pk_tree_clone(s->tree, &tree);

    if (err == 0) {
        err = pk_tree_hash(tree, &before);
    }
    if (err == 0) {
        err = pk_tree_set(tree, kit_path(&path, "x/dir/file"), kit_text("1"));
        if (err == 0) {
            err = pk_tree_remove(tree, kit_path(&path, "x"));
        }
        calm(s);
        if (err != 0) {
            assert_ok(pk_tree_remove(tree, kit_path(&path, "x")));
        }
        assert_ok(pk_tree_hash(tree, &after));
        ck_assert_mem_eq(&before, &after, sizeof(before));
    }
    pk_tree_free(tree);
    return err;
}

static int twice(void *arg, const struct pk_slice *old_contents,
                 struct pk_slice *ret_new)
{
    (void)arg;
    ck_assert_uint_eq(old_contents->len, 1);
    *ret_new = kit_text("22");
    return 0;
}

static int call_move(struct scene *s)
{
    struct kit_path a;
    struct kit_path b;
    struct pk_tree *tree = NULL;
    struct pk_tree *sub = NULL;
    struct pk_digest before;
    struct pk_digest after;
    int err = pk_tree_clone(s->tree, &tree);

    if (err == 0) {
        err = pk_tree_hash(tree, &before);
    }
    if (err == 0) {
        err = pk_tree_move(tree, kit_path(&a, "dir"), kit_path(&b, "x/y"));
    }
    if (err == 0) {
        err = pk_tree_move(tree, b.path, a.path);
    }
    if (err == 0) {
        err = pk_tree_hash(tree, &after);
    }
    if (err == 0) {
        ck_assert_mem_eq(&before, &after, sizeof(before));
        err = pk_tree_sub(tree, a.path, &sub);
    }
    if (err == 0) {
        err = pk_tree_set_tree(tree, b.path, sub);
    }
    if (err == 0) {
        err = pk_tree_update(tree, kit_path(&a, "x/y/name-1"), twice, NULL);
    }
    pk_tree_free(sub);
    pk_tree_free(tree);
    return err;
}

static int call_list(struct scene *s)
{
    struct kit_path path;
    struct pk_list *list;
    struct pk_entry entry;
    size_t n = 0;
    int err =
        pk_list_open(s->tree, kit_path(&path, "dir"), (struct pk_range){0, 0},
                     PK_LIST_SORTED | PK_LIST_HASH, &list);

    if (err != 0) {
        return err;
    }
    while ((err = pk_list_next(list, &entry)) == 1) {
        n++;
    }
    pk_list_close(list);
    ck_assert(err != 0 || n == 9);
    return err;
}

static int count_stat(void *arg, struct pk_path path, const struct pk_stat *st)
{
    (void)path;
    (void)st;
    ++*(size_t *)arg;
    return 0;
}

static int call_walk(struct scene *s)
{
    size_t n = 0;
    int err =
        pk_tree_walk(s->tree, PK_WALK_SORTED | PK_WALK_LENGTH, count_stat, &n);

    ck_assert(err != 0 || n == 14);
    return err;
}

static int count_diff(void *arg, struct pk_path path,
                      const struct pk_stat *old_stat,
                      const struct pk_stat *new_stat)
{
    (void)path;
    (void)old_stat;
    (void)new_stat;
    ++*(size_t *)arg;
    return 0;
}

static int call_diff(struct scene *s)
{
    struct pk_tree *side = NULL;
    size_t n = 0;
    int err = tree_of(s, &s->side, &side);

    if (err == 0) {
        err = pk_tree_diff(side, s->tree, count_diff, &n);
    }
    ck_assert(err != 0 || n == 4);
    pk_tree_free(side);
    return err;
}

/* ---- Commits and branches ------------------------------------------- */

static int call_commit(struct scene *s)
{
    struct pk_digest hash;
    struct pk_commit *commit = NULL;
    int err = pk_commit_make(s->tree, &s->main, 1, &info, &hash);

    if (err == 0) {
        err = pk_branch_set(s->repo, kit_text("new"), &hash);
    }
    if (err == 0) {
        err = pk_commit_find(s->repo, &hash, &commit);
    }
    if (err == 0) {
        ck_assert_uint_eq(commit->n_parents, 1);
    }
    pk_commit_free(s->repo, commit);
    return err;
}

static int count_hash(void *arg, const struct pk_digest *hash)
{
    (void)hash;
    ++*(size_t *)arg;
    return 0;
}

static int count_commit(void *arg, const struct pk_commit *commit)
{
    (void)commit;
    ++*(size_t *)arg;
    return 0;
}

static int call_history(struct scene *s)
{
    struct pk_digest from[2] = {s->main, s->side};
    struct pk_digest found;
    char text[20];
    size_t n = 0;
    int err = pk_history(s->repo, from, 2, count_commit, count_hash, &n);

    ck_assert(err != 0 || n == 4);
    if (err == 0) {
        n = 0;
        err = pk_commit_each(s->repo, count_hash, &n);
    }
    if (err == 0) {
        ck_assert_uint_ge(n, 4);
        for (int i = 0; i < 8; i++) {
            (void)snprintf(text + 2 * i, 3, "%02x", s->main.b[i]);
        }
        err = pk_commit_resolve(s->repo, text, &found);
    }
    if (err == 0) {
        ck_assert_mem_eq(&found, &s->main, sizeof(found));
    }
    return err;
}

/* Makes a branch, moves it and takes it away again. */
static int call_branch(struct scene *s)
{
    struct pk_digest hash;
    int err = pk_branch_set(s->repo, kit_text("b"), &s->side);

    if (err == 0) {
        err = pk_branch_cas(s->repo, kit_text("b"), &s->side, &s->main);
    }
    if (err == 0) {
        err = pk_branch_get(s->repo, kit_text("b"), &hash);
    }
    if (err == 0) {
        ck_assert_mem_eq(&hash, &s->main, sizeof(hash));
        err = pk_branch_remove(s->repo, kit_text("b"));
    }
    if (err == 0) {
        assert_err(pk_branch_get(s->repo, kit_text("b"), &hash),
                   NF_EC_NO_BRANCH);
    }
    return err;
}

/* ---- Merges --------------------------------------------------------- */

static int call_lca(struct scene *s)
{
    struct pk_tree *base = NULL;
    size_t n = 0;
    int err = pk_lca(s->repo, &s->main, &s->side, 0, count_hash, &n);

    if (err == 0) {
        ck_assert_uint_eq(n, 1);
        err = pk_merge_base(s->repo, &s->main, &s->side, &base);
    }
    pk_tree_free(base);
    return err;
}

static int call_merge(struct scene *s)
{
    struct pk_digest hash;
    struct pk_commit *commit = NULL;
    int err = pk_merge_commits(s->repo, &s->main, &s->side, &info, NULL, &hash);

    if (err == 0) {
        err = pk_commit_find(s->repo, &hash, &commit);
    }
    if (err == 0) {
        ck_assert_uint_eq(commit->n_parents, 2);
    }
    pk_commit_free(s->repo, commit);
    return err;
}

static int call_merge_branch(struct scene *s)
{
    struct pk_digest hash;
    int err = pk_branch_set(s->repo, kit_text("new"), &s->main);

    if (err == 0) {
        err = pk_merge_branch(s->repo, kit_text("new"), &s->side, &info, NULL,
                              &hash);
    }
    if (err == 0) {
        err = pk_fast_forward(s->repo, kit_text("new"), &hash);
    }
    return err;
}

static int call_revert(struct scene *s)
{
    struct pk_digest hash;
    int err = pk_revert(s->repo, &s->main, &s->main, 0, &info, NULL, &hash);

    if (err == 0) {
        ck_assert_mem_ne(&hash, &s->main, sizeof(hash));
    }
    return err;
}

/* ---- Looking inside ------------------------------------------------- */

static int count_entry(void *arg, const struct pk_index_view *entry)
{
    (void)entry;
    ++*(size_t *)arg;
    return 0;
}

static int count_slot(void *arg, const struct pk_inode_view *slot)
{
    (void)slot;
    ++*(size_t *)arg;
    return 0;
}

static int view_object(struct scene *s, const struct pk_object_view *view)
{
    struct pk_bytes bytes = {0};
    size_t n = 0;
    int err;

    if (view->kind == 'B') {
        err = pk_view_contents(s->repo, view->off, &bytes);
        pk_bytes_free(s->repo, &bytes);
        return err;
    }
    if (view->kind == 'D') {
        return 0;
    }
    err = pk_view_inode(s->repo, view->off, count_slot, &n);
    ck_assert(err != 0 || n > 0);
    return err;
}

static int call_view(struct scene *s)
{
    struct pk_object_view view = {0};
    size_t n = 0;
    uint64_t off = 0;
    int err = pk_view_index(s->repo, count_entry, &n);

    ck_assert(err != 0 || n > 0);
    while (err == 0 && off < 700) {
        err = pk_view_object(s->repo, off, &view);
        if (err == 0) {
            err = view_object(s, &view);
            off += view.len;
        }
    }
    return err == 0 ? pk_view_find(s->repo, &s->main, &off) : err;
}

static const struct call calls[] = {
    {"open", call_open, true, STORE},
    {"open for writing", call_open_write, true, STORE},
    {"create", call_create, true, NOTHING},
    {"migrate", call_migrate, true, VERSION_1},
    {"read version 1", call_legacy, true, VERSION_1},
    {"detect", call_detect, true, STORE},
    {"repair", call_repair, true, STORE},
    {"flush", call_flush, false, STORE},
    {"reload", call_reload, false, STORE},
    {"check", call_check, false, STORE},
    {"tree", call_tree, false, STORE},
    {"look", call_look, false, STORE},
    {"set", call_set, false, STORE},
    {"move", call_move, false, STORE},
    {"list", call_list, false, STORE},
    {"walk", call_walk, false, STORE},
    {"diff", call_diff, false, STORE},
    {"commit", call_commit, false, STORE},
    {"history", call_history, false, STORE},
    {"branch", call_branch, false, STORE},
    {"lca", call_lca, false, STORE},
    {"merge", call_merge, false, STORE},
    {"merge into a branch", call_merge_branch, false, STORE},
    {"revert", call_revert, false, STORE},
    {"view", call_view, false, STORE},
};

/* ---- The store ------------------------------------------------------ */

/* Bindings name-0 to name-8 of dir and two others; a commit on a branch. */
static void make_commit(struct pk_repo *repo, const struct pk_digest *parent,
                        const char *change, const char *branch,
                        struct pk_digest *ret_hash)
{
    struct pk_tree *tree;
    struct kit_path path;
    char name[20];
    char digit[2] = "0";

    if (parent != NULL) {
        assert_ok(pk_commit_tree(repo, parent, &tree));
    } else {
        assert_ok(pk_tree_empty(repo, &tree));
        for (; digit[0] < '9'; digit[0]++) {
            (void)snprintf(name, sizeof(name), "dir/name-%s", digit);
            assert_ok(
                pk_tree_set(tree, kit_path(&path, name), kit_text(digit)));
        }
        assert_ok(pk_tree_set(tree, kit_path(&path, "a"), kit_text("a")));
    }
    assert_ok(pk_tree_set(tree, kit_path(&path, change), kit_text(change)));
    assert_ok(pk_commit_make(tree, parent, parent != NULL, &info, ret_hash));
    assert_ok(pk_branch_set(repo, kit_text(branch), ret_hash));
    pk_tree_free(tree);
}

/* A base, and a commit on top of it on main and on side. */
static void make_store(struct scene *s)
{
    struct pk_open opts = options(s, PK_OPEN_WRITE | PK_OPEN_CREATE);
    struct pk_digest base;
    struct pk_repo *repo;

    assert_ok(pk_repo_open(&s->mem.env, &opts, NULL, &repo));
    make_commit(repo, NULL, "b", "main", &base);
    make_commit(repo, &base, "dir/name-1", "side", &s->side);
    make_commit(repo, &base, "dir/name-2", "main", &s->main);
    assert_ok(pk_repo_close(repo));
}

/* A V1 store, from the corpus of tests/fuzz/fuzz_store.c. */
static void make_v1(struct scene *s)
{
    static const char *const names[] = {
        NULL, "store.dict", NULL, "store.branches", "index/log", NULL, NULL,
        NULL, NULL,         NULL, "store.pack"};
    uint8_t raw[4096];
    FILE *in = fopen(V1_STORE, "rb");
    size_t at = 1;
    size_t size;

    ck_assert_ptr_nonnull(in);
    size = fread(raw, 1, sizeof(raw), in);
    fclose(in);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        size_t len = raw[at] | (size_t)raw[at + 1] << 8;

        ck_assert_uint_le(at + 2 + len, size);
        if (names[i] != NULL) {
            vfs_fault_put(s->files, names[i], raw + at + 2, len);
        }
        at += 2 + len;
    }
}

/* As the call finds it: the tree of main with a change that is not stored. */
static void scene_open(struct scene *s)
{
    struct pk_open opts = options(s, PK_OPEN_WRITE);
    struct kit_path path;

    assert_ok(pk_repo_open(&s->mem.env, &opts, NULL, &s->repo));
    opts.flags = 0;
    assert_ok(pk_repo_open(&s->mem.env, &opts, NULL, &s->reader));
    make_commit(s->repo, &s->main, "dir/name-4", "main", &s->main); /* unseen */
    assert_ok(pk_commit_tree(s->repo, &s->main, &s->tree));
    assert_ok(pk_tree_set(s->tree, kit_path(&path, "c"), kit_text("c")));
}

static void scene_close(struct scene *s)
{
    pk_tree_free(s->tree);
    s->tree = NULL;
    assert_ok(pk_repo_close(s->reader));
    s->reader = NULL;
    (void)pk_repo_close(s->repo); /* a broken one says so again */
    s->repo = NULL;
}

static void disturb(struct scene *s, bool memory, uint64_t n, bool for_ever)
{
    if (memory) {
        mem_fault_fail(&s->mem, n, for_ever);
    } else {
        vfs_fault_fail(s->files, n, for_ever);
    }
}

/* ---- Failures ------------------------------------------------------- */

static int no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

/* A store that the failure left behind: whole, and with its commits. */
static void look_at_store(struct scene *s, const struct pk_digest *main)
{
    struct pk_open opts = options(s, PK_OPEN_WRITE);
    struct pk_check_stats stats;
    struct pk_digest head;
    struct pk_repo *repo;

    assert_ok(pk_repo_open(&s->mem.env, &opts, NULL, &repo));
    assert_ok(pk_check(repo, no_finding, NULL, &stats));
    assert_ok(pk_branch_get(repo, kit_text("main"), &head));
    ck_assert_mem_eq(&head, main, sizeof(head));
    assert_ok(pk_branch_get(repo, kit_text("side"), &head));
    ck_assert_mem_eq(&head, &s->side, sizeof(head));
    assert_ok(pk_repo_close(repo));
}

/* The call is tried again, on the same handles unless a sync has failed. */
static void again(struct scene *s, const struct call *call, int first)
{
    int err = call->fn(s);

    if (err == NF_EC_TXN_FAILED) {
        ck_assert_int_ne(first, 0);
        scene_close(s);
        scene_open(s);
        err = call->fn(s);
    }
    ck_assert_msg(err == 0, "%s, again: %s", call->name, nf_errname(err));
}

/* false: nothing failed any more. */
static bool try_call(const struct call *call, const struct vfs_fault *base,
                     const struct scene *made, bool memory, uint64_t n,
                     bool for_ever)
{
    struct vfs_fault files;
    struct scene s = {.files = &files, .main = made->main, .side = made->side};
    bool failed;
    int err;

    mem_fault_init(&s.mem);
    vfs_fault_copy(base, &files);
    if (!call->opens) {
        scene_open(&s);
    }
    disturb(&s, memory, n, for_ever);
    err = call->fn(&s);
    failed = (memory ? s.mem.n_failed : files.n_failed) > 0;
    disturb(&s, memory, 0, false);
    ck_assert_msg(err == 0 || (failed && (err == NF_ENOMEM || err == NF_EIO)),
                  "%s, %llu: %s", call->name, (unsigned long long)n,
                  nf_errname(err));
    again(&s, call, err);
    if (!call->opens) {
        scene_close(&s);
    }
    if (call->files == STORE) {
        look_at_store(&s, &s.main);
    }
    ck_assert_uint_eq(s.mem.live_blocks, 0);
    vfs_fault_deinit(&files);
    return failed;
}

static void try_all(bool memory)
{
    struct vfs_fault stores[3];
    struct scene made[3];

    for (int i = STORE; i <= NOTHING; i++) {
        vfs_fault_init(&stores[i]);
        made[i] = (struct scene){.files = &stores[i]};
        mem_fault_init(&made[i].mem);
    }
    make_store(&made[STORE]);
    make_v1(&made[VERSION_1]);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        const struct call *call = &calls[i];
        uint64_t n = 1;

        while (try_call(call, &stores[call->files], &made[call->files], memory,
                        n, false) &&
               try_call(call, &stores[call->files], &made[call->files], memory,
                        n, true)) {
            n++;
        }
        printf("%s: %llu\n", call->name, (unsigned long long)n - 1);
        fflush(stdout);
        ck_assert(n > 1 || !memory); /* all of them need memory */
    }
    for (int i = STORE; i <= NOTHING; i++) {
        vfs_fault_deinit(&stores[i]);
    }
}

START_TEST(memory)
{
    try_all(true);
}
END_TEST

START_TEST(files)
{
    try_all(false);
}
END_TEST

UNIT_MAIN("pack/store/calls", memory, files)
