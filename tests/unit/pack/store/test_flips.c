/* SPDX-License-Identifier: ISC */
/*
 * One flipped byte in a store that irmin-pack wrote: an error that names file
 * and offset, or the same data; never other data. An entry of the index or a
 * branch that is damaged is named itself. Of kv64-gc, on which the real program
 * was tried (golden/irmin/kv64-gc/faults.json), as many bytes as FLIPS_STRIDE
 * says, of others fewer. FLIPS_STRIDE=1 takes them all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/pack.h>
#include <notafs/vfs_posix.h>

#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

enum { MAX_FILES = 16 };

/* A folder in memory. */
struct folder {
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
};

struct flips {
    struct mem_fault mem;
    struct folder main;
    struct folder lower;
    struct pk_config config;
    const char *store; /* its name */
    struct {
        char name[PK_VFS_NAME_MAX + 1];
        uint64_t len;
        struct folder *in;
    } list[MAX_FILES];
    size_t n;
    const char *dir; /* being copied, */
    struct pk_vfs from;
    struct folder *to;
};

static int copy_file(void *arg, const char *step, uint64_t len)
{
    struct flips *f = arg;
    uint8_t *bytes = malloc((size_t)len + 1);
    char *name = f->list[f->n].name;
    size_t got;
    void *in;
    void *out;

    if (strcmp(step, "lock") == 0) {
        free(bytes);
        return 0;
    }
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_lt(f->n, MAX_FILES);
    snprintf(name, PK_VFS_NAME_MAX, "%s%s", f->dir, step);
    f->list[f->n].in = f->to;
    f->list[f->n++].len = len;
    assert_ok(f->from.ops->open(f->from.ctx, name, 0, &in));
    assert_ok(f->from.ops->read(f->from.ctx, in, 0, bytes, (size_t)len, &got));
    ck_assert_uint_eq(got, len);
    assert_ok(f->from.ops->close(f->from.ctx, in));
    assert_ok(f->to->vfs.ops->open(f->to->vfs.ctx, name,
                                   PK_VFS_WRITE | PK_VFS_CREATE, &out));
    assert_ok(
        f->to->vfs.ops->write(f->to->vfs.ctx, out, 0, bytes, (size_t)len));
    assert_ok(f->to->vfs.ops->close(f->to->vfs.ctx, out));
    free(bytes);
    return 0;
}

static void copy_folder(struct flips *f, const char *path, const char *dir,
                        struct folder *to)
{
    struct pk_vfs_posix *posix;

    assert_ok(pk_vfs_posix_open(path, 0, &posix, &f->from));
    f->dir = dir;
    f->to = to;
    assert_ok(f->from.ops->list(f->from.ctx, dir, copy_file, f));
    pk_vfs_posix_close(posix);
}

/* The byte at off of the i-th file, xor flip. */
static void flip_byte(struct flips *f, size_t i, uint64_t off, uint8_t flip)
{
    const struct pk_vfs *vfs = &f->list[i].in->vfs;
    uint8_t byte;
    size_t got;
    void *file;

    assert_ok(vfs->ops->open(vfs->ctx, f->list[i].name, PK_VFS_WRITE, &file));
    assert_ok(vfs->ops->read(vfs->ctx, file, off, &byte, 1, &got));
    byte ^= flip;
    assert_ok(vfs->ops->write(vfs->ctx, file, off, &byte, 1));
    assert_ok(vfs->ops->close(vfs->ctx, file));
}

/* ----------------------------------------------------------------- listing */

/* All that a reader can see, as one number. */
struct listing {
    struct pk_repo *repo;
    struct pk_tree *tree;
    uint64_t sum;
};

static void take(struct listing *l, const void *p, size_t len)
{
    const uint8_t *bytes = p;

    for (size_t i = 0; i < len; i++) {
        l->sum = (l->sum ^ bytes[i]) * 0x100000001b3u;
    }
}

static int take_entry(void *arg, struct pk_path path,
                      const struct pk_stat *stat)
{
    struct listing *l = arg;
    struct pk_bytes bytes;
    int err;

    for (size_t i = 0; i < path.n; i++) {
        take(l, path.steps[i].p, path.steps[i].len);
        take(l, "/", 1);
    }
    take(l, &stat->kind, sizeof(stat->kind));
    take(l, &stat->hash, sizeof(stat->hash));
    take(l, &stat->length, sizeof(stat->length));
    if (stat->kind != PK_CONTENTS) {
        return 0;
    }
    err = pk_tree_get(l->tree, path, &bytes);
    if (err == 0) {
        take(l, bytes.p, bytes.len);
        pk_bytes_free(l->repo, &bytes);
    }
    return err;
}

static int take_commit(void *arg, const struct pk_commit *commit)
{
    struct listing *l = arg;
    int err;

    take(l, &commit->hash, sizeof(commit->hash));
    take(l, &commit->root, sizeof(commit->root));
    take(l, &commit->info.date, sizeof(commit->info.date));
    take(l, commit->info.author.p, commit->info.author.len);
    take(l, commit->info.message.p, commit->info.message.len);
    err = pk_commit_tree(l->repo, &commit->hash, &l->tree);
    if (err == 0) {
        err = pk_tree_walk(l->tree, PK_WALK_SORTED | PK_WALK_LENGTH, take_entry,
                           l);
        pk_tree_free(l->tree);
    }
    return err;
}

static int take_gone(void *arg, const struct pk_digest *hash)
{
    take(arg, hash, sizeof(*hash));
    return 0;
}

struct heads {
    struct listing *l;
    struct pk_digest p[8];
    size_t n;
};

static int take_branch(void *arg, struct pk_slice name,
                       const struct pk_digest *hash)
{
    struct heads *heads = arg;
    struct pk_commit *commit = NULL;
    int err = pk_commit_find(heads->l->repo, hash, &commit);

    if (err != 0) { /* what was collected has an entry in the index */
        return err == NF_EC_COLLECTED ? 0 : err;
    }
    pk_commit_free(heads->l->repo, commit);
    take(heads->l, name.p, name.len);
    take(heads->l, hash, sizeof(*hash));
    ck_assert_uint_lt(heads->n, 8);
    heads->p[heads->n++] = *hash;
    return 0;
}

/* Open, and look at everything. */
static int list_all(struct flips *f, struct nf_error_info *info, uint64_t *ret)
{
    struct pk_open open = {.vfs = &f->main.vfs,
                           .lower =
                               f->lower.files == NULL ? NULL : &f->lower.vfs,
                           .hashes = pk_hash_gcrypt(),
                           .config = f->config,
                           .cache_len = 1 << 16};
    struct listing l = {.sum = 0xcbf29ce484222325u};
    struct heads heads = {.l = &l};
    struct pk_check_stats check;
    int err;

    memset(info, 0, sizeof(*info));
    err = pk_repo_open(&f->mem.env, &open, info, &l.repo);
    if (err != 0) {
        return err;
    }
    err = pk_branch_each(l.repo, take_branch, &heads);
    if (err == 0) {
        err = pk_history(l.repo, heads.p, heads.n, take_commit, take_gone, &l);
    }
    *info = *pk_repo_error(l.repo);
    if (err != 0) { /* what a reader meets, a check finds; what is not there
                       may have been collected */
        assert_ok(pk_check(l.repo, NULL, NULL, &check));
        ck_assert_msg(check.findings > 0 || err == NF_EC_UNRESOLVED ||
                          err == NF_EC_COLLECTED,
                      "check finds nothing: %s in %s at %" PRIu64 " (%s)",
                      nf_errname(err), info->file, info->offset, info->what);
    }
    assert_ok(pk_repo_close(l.repo));
    *ret = l.sum;
    return err;
}

/* ------------------------------------------------------------------- flips */

struct outcome {
    uint64_t same;
    uint64_t failed;
};

/* A flip in an entry of the index, or in a branch, is told as that: another
 * entry, or what it leads to, may be whole. */
static void check_place(const struct flips *f, size_t i, uint64_t off,
                        const struct nf_error_info *info)
{
    const char *name = f->list[i].name;
    const uint64_t entry_len = f->config.hash_len + 13;
    bool here = true;

    if (strcmp(name, "store.branches") == 0) {
        here = strcmp(info->file, name) == 0;
    } else if (strncmp(name, "index/", 6) == 0) {
        here = strcmp(info->file, name) == 0 &&
               (off < info->offset ? info->offset - off < 32
                                   : off - info->offset < entry_len);
    }
    ck_assert_msg(here && info->offset != NF_NOWHERE,
                  "%s %s at %" PRIu64 ": %s in %s at %" PRIu64 " (%s)",
                  f->store, name, off, nf_errname(info->err), info->file,
                  info->offset, info->what);
}

static void flip_one(struct flips *f, size_t i, uint64_t off, uint8_t flip,
                     uint64_t wanted, struct outcome *outcome)
{
    struct nf_error_info info;
    uint64_t sum = 0;
    int err;

    flip_byte(f, i, off, flip);
    err = list_all(f, &info, &sum);
    flip_byte(f, i, off, flip);
    if (err == 0) {
        ck_assert_msg(sum == wanted, "%s %s at %" PRIu64 " ^ %02x: other data",
                      f->store, f->list[i].name, off, flip);
        outcome->same++;
        return;
    }
    outcome->failed++;
    ck_assert_int_eq(info.err, err);
    check_place(f, i, off, &info);
}

static void load(struct flips *f, const char *shared)
{
    char folder[400];

    snprintf(folder, sizeof(folder), "%s/golden/irmin/%s/store", shared,
             f->store);
    mem_fault_init(&f->mem);
    assert_ok(pk_vfs_mem_open(&f->mem.env, &f->main.files, &f->main.vfs));
    copy_folder(f, folder, "", &f->main);
    copy_folder(f, folder, "index/", &f->main);
    if (strstr(f->store, "lower") != NULL) {
        snprintf(folder, sizeof(folder), "%s/golden/irmin/%s/lower", shared,
                 f->store);
        assert_ok(pk_vfs_mem_open(&f->mem.env, &f->lower.files, &f->lower.vfs));
        copy_folder(f, folder, "volume.0/", &f->lower);
        copy_folder(f, folder, "volume.1/", &f->lower);
    }
}

/* A commit more, whose flush merges the index: it is flipped, and no other. */
static void merge_index(struct flips *f)
{
    struct pk_open open = {.vfs = &f->main.vfs,
                           .hashes = pk_hash_gcrypt(),
                           .config = f->config,
                           .flags = PK_OPEN_WRITE,
                           .index_log_entries = 1};
    struct pk_info info = {.date = 1};
    struct pk_digest hash;
    struct pk_repo *repo;
    struct pk_tree *tree;
    void *file;

    open.strategy = strstr(f->store, "always") != NULL ? PK_STRATEGY_ALWAYS
                                                       : PK_STRATEGY_MINIMAL;
    assert_ok(pk_repo_open(&f->mem.env, &open, NULL, &repo));
    assert_ok(pk_tree_empty(repo, &tree));
    assert_ok(pk_commit_make(tree, NULL, 0, &info, &hash));
    assert_ok(pk_branch_set(repo, (struct pk_slice){(const uint8_t *)"one", 3},
                            &hash));
    pk_tree_free(tree);
    assert_ok(pk_repo_close(repo));
    f->n = 1;
    f->list[0].in = &f->main;
    strcpy(f->list[0].name, "index/data");
    assert_ok(f->main.vfs.ops->open(f->main.vfs.ctx, "index/data", 0, &file));
    assert_ok(f->main.vfs.ops->size(f->main.vfs.ctx, file, &f->list[0].len));
    assert_ok(f->main.vfs.ops->close(f->main.vfs.ctx, file));
}

static void check_store(struct flips *f, size_t stride)
{
    struct nf_error_info info;
    uint64_t wanted;

    assert_ok(list_all(f, &info, &wanted));
    for (size_t i = 0; i < f->n; i++) {
        struct outcome o = {0};

        /* Nothing protects the names of branches: of all flips, only those that
         * make them impossible are seen. */
        const bool names = strcmp(f->list[i].name, "store.branches") == 0;

        for (uint64_t off = i % stride; off < f->list[i].len; off += stride) {
            const uint8_t bit = (uint8_t)(1u << off % 8);

            flip_one(f, i, off, names || off % 3 == 0 ? 0xff : bit, wanted, &o);
        }
        printf("%s %s: %" PRIu64 " the same, %" PRIu64 " failed\n", f->store,
               f->list[i].name, o.same, o.failed);
    }
    pk_vfs_mem_close(f->main.files);
    pk_vfs_mem_close(f->lower.files);
    ck_assert_uint_eq(f->mem.live_bytes, 0);
}

START_TEST(golden)
{
    static const struct {
        const char *store;
        const char *config;
        size_t times; /* of the stride */
        bool merge;   /* the index, and of that alone */
    } stores[] = {
        {"kv64-gc", "kv64", 1, false},
        {"tezos-nested", "tezos", 4, false},
        {"kv32-dir300", "kv32", 4, false},
        {"smallseeded-nested", "smallseeded", 4, false},
        {"sha1-merge", "sha1", 4, false},
        {"hashbits-nested", "hashbits", 4, false},
        {"kv64-dedup-always", "kv64", 4, false},
        {"sha1-raw-v1", "sha1", 1, false},
        {"sha1-upgraded-v1", "sha1", 1, false},
        {"nohdr-nested", "nohdr", 8, false},
        {"kv64-lower", "kv64", 40, false},
        {"tezos-lower", "tezos", 40, false},
        {"kv64-gc", "kv64", 1, true},
        {"kv64-dedup-always", "kv64", 4, true},
    };
    const char *text = getenv("FLIPS_STRIDE");
    const size_t stride = text == NULL ? 13 : (size_t)atoi(text);

    ck_assert_uint_gt(stride, 0);
    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        struct flips f = {.store = stores[i].store};

        assert_ok(pk_config_parse(stores[i].config, &f.config));
        load(&f, getenv("NOTAFS_SHARED"));
        if (stores[i].merge) {
            merge_index(&f);
        }
        check_store(&f, stride == 1 ? 1 : stride * stores[i].times);
    }
}
END_TEST

/* Exit status 77 says that the test was skipped. */
int main(int argc, char **argv)
{
    const TTest *const tests[] = {golden};

    if (getenv("NOTAFS_SHARED") == NULL) {
        printf("NOTAFS_SHARED names no folder: skipped\n");
        return getenv("NOTAFS_REQUIRE_SHARED") != NULL ? 1 : 77;
    }
    return unit_run("pack/store/flips", tests, 1, argc, argv);
}
