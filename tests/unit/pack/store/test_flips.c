/* SPDX-License-Identifier: ISC */
/*
 * One flipped byte in a store that irmin-pack wrote: an error that names the
 * file, and the place in it where there is one, or the same data; never other
 * data. Of kv64-gc, on which the real program was tried
 * (golden/irmin/kv64-gc/faults.json), as many bytes as FLIPS_STRIDE says, of
 * some others fewer. FLIPS_STRIDE=1 takes them all.
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

struct flips {
    struct mem_fault mem;
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
    struct pk_config config;
    const char *store; /* its name */
    struct {
        char name[PK_VFS_NAME_MAX + 1];
        uint64_t len;
    } list[MAX_FILES];
    size_t n;
    const char *dir; /* being copied */
    struct pk_vfs from;
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
    f->list[f->n++].len = len;
    assert_ok(f->from.ops->open(f->from.ctx, name, 0, &in));
    assert_ok(f->from.ops->read(f->from.ctx, in, 0, bytes, (size_t)len, &got));
    ck_assert_uint_eq(got, len);
    assert_ok(f->from.ops->close(f->from.ctx, in));
    assert_ok(
        f->vfs.ops->open(f->vfs.ctx, name, PK_VFS_WRITE | PK_VFS_CREATE, &out));
    assert_ok(f->vfs.ops->write(f->vfs.ctx, out, 0, bytes, (size_t)len));
    assert_ok(f->vfs.ops->close(f->vfs.ctx, out));
    free(bytes);
    return 0;
}

/* The byte at off of the i-th file, xor flip. */
static void flip_byte(struct flips *f, size_t i, uint64_t off, uint8_t flip)
{
    uint8_t byte;
    size_t got;
    void *file;

    assert_ok(
        f->vfs.ops->open(f->vfs.ctx, f->list[i].name, PK_VFS_WRITE, &file));
    assert_ok(f->vfs.ops->read(f->vfs.ctx, file, off, &byte, 1, &got));
    byte ^= flip;
    assert_ok(f->vfs.ops->write(f->vfs.ctx, file, off, &byte, 1));
    assert_ok(f->vfs.ops->close(f->vfs.ctx, file));
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
    struct pk_open open = {.vfs = &f->vfs,
                           .hashes = pk_hash_gcrypt(),
                           .config = f->config,
                           .cache_len = 1 << 16};
    struct listing l = {.sum = 0xcbf29ce484222325u};
    struct heads heads = {.l = &l};
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
    assert_ok(pk_repo_close(l.repo));
    *ret = l.sum;
    return err;
}

/* ------------------------------------------------------------------- flips */

struct outcome {
    uint64_t same;
    uint64_t failed;
    uint64_t no_place; /* of these, without offset */
};

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
    ck_assert_msg(info.err == err && info.file[0] != '\0',
                  "%s %s at %" PRIu64 ": %s, but where?", f->store,
                  f->list[i].name, off, nf_errname(err));
    outcome->no_place += info.offset == NF_NOWHERE;
}

static void check_store(const char *shared, const char *store,
                        const char *config, size_t stride)
{
    struct flips f = {.store = store};
    struct nf_error_info info;
    struct pk_vfs_posix *posix;
    uint64_t wanted;
    char folder[400];

    snprintf(folder, sizeof(folder), "%s/golden/irmin/%s/store", shared, store);
    mem_fault_init(&f.mem);
    assert_ok(pk_config_parse(config, &f.config));
    assert_ok(pk_vfs_posix_open(folder, 0, &posix, &f.from));
    assert_ok(pk_vfs_mem_open(&f.mem.env, &f.files, &f.vfs));
    f.dir = "";
    assert_ok(f.from.ops->list(f.from.ctx, "", copy_file, &f));
    f.dir = "index/";
    assert_ok(f.from.ops->list(f.from.ctx, "index", copy_file, &f));
    assert_ok(list_all(&f, &info, &wanted));
    for (size_t i = 0; i < f.n; i++) {
        struct outcome o = {0};

        /* Nothing protects the names of branches: of all flips, only those that
         * make them impossible are seen. */
        const bool names = strcmp(f.list[i].name, "store.branches") == 0;

        for (uint64_t off = i % stride; off < f.list[i].len; off += stride) {
            const uint8_t bit = (uint8_t)(1u << off % 8);

            flip_one(&f, i, off, names || off % 3 == 0 ? 0xff : bit, wanted,
                     &o);
        }
        /* Only what is missing for a flip elsewhere has no place: a commit that
         * a branch or the index no longer names. */
        ck_assert(strcmp(f.list[i].name, "store.control") != 0 ||
                  o.no_place == 0);
        printf("%s %s: %" PRIu64 " the same, %" PRIu64 " failed, %" PRIu64
               " without a place\n",
               store, f.list[i].name, o.same, o.failed, o.no_place);
    }
    pk_vfs_mem_close(f.files);
    pk_vfs_posix_close(posix);
    ck_assert_uint_eq(f.mem.live_bytes, 0);
}

START_TEST(golden)
{
    static const struct {
        const char *store;
        const char *config;
        size_t times; /* of the stride */
    } stores[] = {
        {"kv64-gc", "kv64", 1},
        {"tezos-nested", "tezos", 4},
        {"kv32-dir300", "kv32", 4},
        {"smallseeded-nested", "smallseeded", 4},
        {"sha1-merge", "sha1", 4},
        {"hashbits-nested", "hashbits", 4},
        {"kv64-dedup-always", "kv64", 4},
    };
    const char *text = getenv("FLIPS_STRIDE");
    const size_t stride = text == NULL ? 13 : (size_t)atoi(text);

    ck_assert_uint_gt(stride, 0);
    for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        check_store(getenv("NOTAFS_SHARED"), stores[i].store, stores[i].config,
                    stride == 1 ? 1 : stride * stores[i].times);
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
