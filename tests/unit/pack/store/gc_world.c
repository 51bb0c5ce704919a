/* SPDX-License-Identifier: ISC */
#include "tests/unit/pack/store/gc_world.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/unit.h"

void world_open(struct world *w, uint32_t flags)
{
    struct pk_open opts = kit_open(&w->files, w->config, flags);

    opts.lower = w->lower ? &w->files.vfs : NULL;
    opts.cache_len = 65536;
    assert_ok(pk_repo_open(&w->mem.env, &opts, NULL, &w->repo));
}

void world_reopen(struct world *w, uint32_t flags)
{
    assert_ok(pk_repo_close(w->repo));
    world_open(w, flags);
}

/* Directories of so many files that the work list does not fit in memory. */
static int set_many(struct world *w, struct pk_tree *tree)
{
    struct kit_path path;
    char name[64];
    int err = 0;

    for (int f = 0; f < 600 && err == 0; f++) {
        uint8_t data[40];

        kit_contents((uint64_t)(w->n * 1000 + f), sizeof(data), data);
        (void)snprintf(name, sizeof(name), "many%d/a-file-%d", f % 2, f);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, sizeof(data)});
    }
    return err;
}

/* One commit on the last, or an error. */
int world_try_commit(struct world *w)
{
    uint8_t data[300];
    struct pk_tree *tree = NULL;
    struct kit_path path;
    char name[64];
    int n = w->n + 1;
    int err = n == 1 ? pk_tree_empty(w->repo, &tree)
                     : pk_commit_tree(w->repo, &w->commits[n - 1], &tree);

    for (int f = 0; f < 8 && err == 0; f++) {
        uint32_t len = f == 0 ? sizeof(data) : 20;

        kit_contents((uint64_t)(n * 10 + f), len, data);
        (void)snprintf(name, sizeof(name), "dir%d/a-name-that-is-long-%d",
                       f % 3, n % 5 * 8 + f);
        err = pk_tree_set(tree, kit_path(&path, name),
                          (struct pk_slice){data, len});
    }
    if (err == 0 && w->wide && n % 4 == 1) {
        err = set_many(w, tree);
    }
    if (err == 0) {
        err = pk_tree_hash(tree, &w->roots[n]);
    }
    if (err == 0) {
        err = kit_commit(tree, n > 1 ? &w->commits[n - 1] : NULL, n,
                         &w->commits[n]);
    }
    pk_tree_free(tree);
    w->n += err == 0;
    return err;
}

void world_commit(struct world *w)
{
    assert_ok(world_try_commit(w));
}

/* A store of commits, a chunk for every three of them. */
void world_begin(struct world *w, const char *config, bool lower, bool wide)
{
    memset(w, 0, sizeof(*w));
    w->wide = wide;
    mem_fault_init(&w->mem);
    vfs_fault_init(&w->files);
    w->config = config;
    w->lower = lower;
    world_open(w, PK_OPEN_WRITE | PK_OPEN_CREATE);
    while (w->n < N_COMMITS) {
        world_commit(w);
        if (w->n % 3 == 0) {
            assert_ok(pk_repo_split(w->repo));
        }
    }
}

void world_end(struct world *w)
{
    assert_ok(pk_repo_close(w->repo));
    ck_assert_uint_eq(w->files.n_open, 0);
    vfs_fault_deinit(&w->files);
    ck_assert_uint_eq(w->mem.live_bytes, 0);
}

int world_no_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

/* Commits first and all after it are there as they were made; those before are
 * not, unless there is a lower layer. */
void world_look(struct world *w, int first)
{
    struct pk_check_stats stats;

    assert_ok(pk_check(w->repo, world_no_finding, NULL, &stats));
    for (int i = 1; i <= w->n; i++) {
        struct pk_tree *tree = NULL;
        struct pk_digest root;
        int err = pk_commit_tree(w->repo, &w->commits[i], &tree);

        if (i < first && !w->lower) {
            ck_assert_int_eq(nf_err_class(err), NF_ENOENT);
            continue;
        }
        assert_ok(err);
        assert_ok(pk_tree_hash(tree, &root));
        ck_assert_mem_eq(&root, &w->roots[i], sizeof(root));
        pk_tree_free(tree);
    }
}

static int count_name(void *arg, const char *step, uint64_t len)
{
    struct world_names *names = arg;
    const char *dot = strrchr(step, '.');

    (void)len;
    names->prefixes += strcmp(dot, ".prefix") == 0;
    names->chunks += strcmp(dot, ".suffix") == 0;
    names->others += strcmp(dot, ".tmp") == 0;
    if (strncmp(step, "volume.", 7) == 0) {
        names->others += strcmp(step, "volume.control") != 0 &&
                         strcmp(step, "volume.data") != 0 &&
                         strcmp(step, "volume.mapping") != 0;
    }
    return 0;
}

/* What is there beside a store of so many prefixes: nothing. */
struct world_names world_names_of(struct world *w, int prefixes)
{
    struct world_names names = {0};
    const struct pk_vfs *vfs = &w->files.vfs;

    assert_ok(vfs->ops->list(vfs->ctx, "", count_name, &names));
    assert_ok(vfs->ops->list(vfs->ctx, "volume.0", count_name, &names));
    ck_assert_int_eq(names.prefixes, prefixes);
    ck_assert_int_eq(names.others, 0);
    return names;
}

int world_collect(struct world *w, struct pk_gc_options *options,
                  struct pk_gc_stats *ret)
{
    int err = pk_gc_start(w->repo, options);

    while (err == 0 && (err = pk_gc_step(w->repo, PK_GC_MIN_BUDGET)) > 0) {
        err = 0;
    }
    return err == 0 ? pk_gc_finish(w->repo, ret) : err;
}

struct pk_gc_options world_keep_one(struct world *w, int i)
{
    return (struct pk_gc_options){.keep = &w->commits[i], .n_keep = 1};
}
