/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/host.h>
#include <notafs/vfs_notafs.h>

#include "tests/support/unit.h"

enum { PAGE = 1024, PAGES = 600 };

/* A disk in memory with a store's files below "a/store". */
struct world {
    uint8_t *bytes;
    struct bd_mem mem;
    struct bd bd;
    struct nf_env env;
    struct nf *nf;
    struct pk_vfs_notafs *notafs;
    struct pk_vfs vfs;
};

static void world_mount(struct world *w)
{
    assert_ok(nf_mount(&w->bd, &w->env, NULL, &w->nf));
    assert_ok(pk_vfs_notafs_open(w->nf, &w->env, nf_path("a/store"), &w->notafs,
                                 &w->vfs));
}

static void world_unmount(struct world *w)
{
    pk_vfs_notafs_close(w->notafs);
    nf_unmount(w->nf);
}

static void world_open(struct world *w, enum nf_profile profile)
{
    const struct nf_format_options options = {.profile = profile};
    w->bytes = calloc(PAGES, PAGE);
    ck_assert_ptr_nonnull(w->bytes);
    nf_env_libc(&w->env);
    assert_ok(bd_mem_init(&w->bd, &w->mem, w->bytes, PAGE * PAGES, PAGE));
    assert_ok(nf_format(&w->bd, &w->env, &options));
    world_mount(w);
}

static void world_close(struct world *w)
{
    world_unmount(w);
    free(w->bytes);
}

static void *open_file(struct world *w, const char *name)
{
    void *file;
    assert_ok(w->vfs.ops->open(w->vfs.ctx, name, PK_VFS_WRITE | PK_VFS_CREATE,
                               &file));
    return file;
}

static void put(struct world *w, const char *name, const char *text)
{
    void *file = open_file(w, name);
    assert_ok(w->vfs.ops->write(w->vfs.ctx, file, 0, (const uint8_t *)text,
                                strlen(text)));
    assert_ok(w->vfs.ops->close(w->vfs.ctx, file));
}

static void expect(struct world *w, void *file, const char *text)
{
    uint8_t buf[64];
    size_t len;
    assert_ok(w->vfs.ops->read(w->vfs.ctx, file, 0, buf, sizeof(buf), &len));
    ck_assert_uint_eq(len, strlen(text));
    ck_assert_mem_eq(buf, text, len);
}

static int count_file(void *arg, const char *step, uint64_t len)
{
    (void)step;
    (void)len;
    ++*(int *)arg;
    return 0;
}

static int count(struct world *w, const char *dir)
{
    int n = 0;
    assert_ok(w->vfs.ops->list(w->vfs.ctx, dir, count_file, &n));
    return n;
}

static void files_last_from_commit_to_commit(enum nf_profile profile)
{
    struct world w;
    world_open(&w, profile);
    ck_assert_int_eq(count(&w, ""), 0);
    put(&w, "store.dict", "one");
    put(&w, "index/log", "two");
    assert_ok(w.vfs.ops->commit(w.vfs.ctx));
    put(&w, "store.dict", "lost");
    world_unmount(&w);
    world_mount(&w);
    ck_assert_int_eq(count(&w, ""), 1);
    ck_assert_int_eq(count(&w, "index"), 1);
    void *file = open_file(&w, "store.dict");
    expect(&w, file, "one");
    assert_ok(w.vfs.ops->close(w.vfs.ctx, file));
    world_close(&w);
}

START_TEST(commits)
{
    files_last_from_commit_to_commit(NF_PROFILE_NATIVE);
    files_last_from_commit_to_commit(NF_PROFILE_MIRAGE);
}
END_TEST

START_TEST(open_files_outlive_their_names)
{
    struct world w;
    void *file;
    world_open(&w, NF_PROFILE_NATIVE);
    put(&w, "old", "old");
    put(&w, "new", "new");
    void *old = open_file(&w, "old");
    void *twice = open_file(&w, "old");
    assert_ok(w.vfs.ops->rename(w.vfs.ctx, "new", "old"));
    expect(&w, old, "old");
    ck_assert_int_eq(count(&w, ""), 1);
    void *replaced = open_file(&w, "old");
    expect(&w, replaced, "new");
    assert_ok(w.vfs.ops->remove(w.vfs.ctx, "old"));
    expect(&w, replaced, "new");
    assert_err(w.vfs.ops->open(w.vfs.ctx, "old", 0, &file), NF_ENOENT);
    assert_err(w.vfs.ops->remove(w.vfs.ctx, "old"), NF_ENOENT);
    assert_ok(w.vfs.ops->close(w.vfs.ctx, old));
    expect(&w, twice, "old");
    assert_ok(w.vfs.ops->close(w.vfs.ctx, twice));
    assert_ok(w.vfs.ops->close(w.vfs.ctx, replaced));
    struct nf_stats stats;
    nf_stats(w.nf, &stats);
    ck_assert_uint_eq(stats.files, 0);
    world_close(&w);
}
END_TEST

START_TEST(crash_leaves_no_removed_file)
{
    struct world w;
    struct nf_stats stats;
    world_open(&w, NF_PROFILE_NATIVE);
    put(&w, "f", "text");
    void *file = open_file(&w, "f");
    assert_ok(w.vfs.ops->remove(w.vfs.ctx, "f"));
    assert_ok(w.vfs.ops->commit(w.vfs.ctx));
    nf_stats(w.nf, &stats);
    ck_assert_uint_eq(stats.files, 1);
    assert_ok(w.vfs.ops->close(w.vfs.ctx, file)); /* this is not committed */
    world_unmount(&w);
    world_mount(&w);
    nf_stats(w.nf, &stats);
    ck_assert_uint_eq(stats.files, 0);
    world_close(&w);
}
END_TEST

START_TEST(locks_exclude_each_other)
{
    struct world w;
    void *a;
    void *b;
    world_open(&w, NF_PROFILE_NATIVE);
    assert_ok(w.vfs.ops->lock(w.vfs.ctx, "index/lock", &a));
    assert_err(w.vfs.ops->lock(w.vfs.ctx, "index/lock", &b), NF_EBUSY);
    assert_ok(w.vfs.ops->lock(w.vfs.ctx, "other", &b));
    w.vfs.ops->unlock(w.vfs.ctx, a);
    assert_ok(w.vfs.ops->lock(w.vfs.ctx, "index/lock", &a));
    w.vfs.ops->unlock(w.vfs.ctx, a);
    w.vfs.ops->unlock(w.vfs.ctx, b);
    world_close(&w);
}
END_TEST

/* Append to a file, commit after commit, until the disk has no room. */
static void fill(struct world *w, const char *name, size_t step)
{
    static const uint8_t bytes[PAGE];
    void *file = open_file(w, name);
    uint64_t end;
    int err = 0;
    while (err == 0) {
        assert_ok(w->vfs.ops->size(w->vfs.ctx, file, &end));
        err = w->vfs.ops->write(w->vfs.ctx, file, end, bytes, step);
        if (err == 0) {
            assert_ok(w->vfs.ops->commit(w->vfs.ctx));
        }
    }
    assert_err(err, NF_ENOSPC);
    assert_ok(w->vfs.ops->close(w->vfs.ctx, file));
}

/* Put new files in the place of one, on a disk that gets full: what is there
 * after a failure and a commit is one of them, whole. */
static void full_disk_keeps_a_name(bool is_open, size_t step)
{
    struct world w;
    void *old = NULL;
    char text[] = "text 0";
    int err = 0;
    world_open(&w, NF_PROFILE_NATIVE);
    put(&w, "branches", text);
    assert_ok(w.vfs.ops->commit(w.vfs.ctx));
    fill(&w, "filler", step);
    old = is_open ? open_file(&w, "branches") : NULL;
    for (int i = 0; i < 64 && err == 0; i++) {
        char name[] = {'t', (char)('0' + i), '\0'};
        void *file = NULL;
        err = w.vfs.ops->open(w.vfs.ctx, name, PK_VFS_WRITE | PK_VFS_CREATE,
                              &file);
        if (err == 0) {
            err = w.vfs.ops->write(w.vfs.ctx, file, 0, (uint8_t *)"new", 3);
            assert_ok(w.vfs.ops->close(w.vfs.ctx, file));
        }
        if (err == 0) {
            err = w.vfs.ops->rename(w.vfs.ctx, name, "branches");
        }
    }
    const int commit_err = w.vfs.ops->commit(w.vfs.ctx);
    ck_assert(commit_err == 0 || commit_err == NF_ENOSPC);
    if (old != NULL) {
        (void)w.vfs.ops->close(w.vfs.ctx, old);
    }
    world_unmount(&w);
    world_mount(&w);
    void *file = NULL;
    assert_ok(w.vfs.ops->open(w.vfs.ctx, "branches", 0, &file));
    assert_ok(w.vfs.ops->close(w.vfs.ctx, file));
    world_close(&w);
}

START_TEST(full_disk_keeps_names)
{
    for (size_t step = 64; step <= PAGE; step += 64) {
        full_disk_keeps_a_name(false, step);
        full_disk_keeps_a_name(true, step);
    }
}
END_TEST

UNIT_MAIN("pack/vfs/vfs_notafs", commits, open_files_outlive_their_names,
          crash_leaves_no_removed_file, locks_exclude_each_other,
          full_disk_keeps_names)
