/* SPDX-License-Identifier: ISC */
/* Calls that begin in a directory do what those from the root do. */
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/host.h>
#include <notafs/notafs.h>

#include "tests/support/unit.h"

enum { PAGE = 512, PAGES = 256 };

static uint8_t disk[PAGE * PAGES];
static struct bd_mem mem;
static struct nf_env env;
static struct bd bd;
static int64_t clock_sec;

static struct nf_time clock_now(void *ctx)
{
    const struct nf_time time = {clock_sec, 0};
    (void)ctx;
    return time;
}

static struct nf *new_disk(enum nf_profile profile)
{
    const struct nf_format_options options = {.profile = profile};
    struct nf *nf;
    nf_env_libc(&env);
    env.now = clock_now;
    clock_sec = 1000;
    assert_ok(bd_mem_init(&bd, &mem, disk, sizeof(disk), PAGE));
    assert_ok(nf_format(&bd, &env, &options));
    assert_ok(nf_mount(&bd, &env, NULL, &nf));
    return nf;
}

static struct nf_at at(uint64_t dir, const char *path)
{
    const struct nf_at at = {dir, nf_path(path)};
    return at;
}

static uint64_t id_of(struct nf *nf, const char *path)
{
    struct nf_stat st;
    assert_ok(nf_stat(nf, nf_path(path), &st));
    return st.id;
}

static void make_and_find(enum nf_profile profile)
{
    struct nf *nf = new_disk(profile);
    struct nf_stat st;
    struct nf_file *file;
    assert_ok(nf_mkdir(nf, nf_path("a/b")));
    uint64_t b = id_of(nf, "a/b");
    assert_ok(nf_open_at(nf, at(b, "file"), NF_OPEN_CREATE, &file));
    assert_ok(nf_append(file, "123", 3));
    nf_close(file);
    assert_ok(nf_mkdir_at(nf, at(b, "c/d")));
    assert_ok(nf_stat(nf, nf_path("a/b/file"), &st));
    ck_assert_uint_eq(st.size, 3);
    ck_assert_uint_eq(id_of(nf, "a/b/c/d"), id_of(nf, "a/b/c") + 1);
    assert_ok(nf_stat_at(nf, at(b, ""), &st));
    ck_assert_uint_eq(st.id, b);
    ck_assert_int_eq(st.type, NF_TYPE_DIR);
    ck_assert_int_eq(nf_stat_at(nf, at(b, "file/x"), &st), NF_ENOTDIR);
    ck_assert_int_eq(nf_stat_at(nf, at(b, "a"), &st), NF_ENOENT);
    assert_ok(nf_sync(nf));
    nf_unmount(nf);
}

START_TEST(native_makes_and_finds)
{
    make_and_find(NF_PROFILE_NATIVE);
}
END_TEST

START_TEST(mirage_makes_and_finds)
{
    make_and_find(NF_PROFILE_MIRAGE);
}
END_TEST

START_TEST(moves_and_removes)
{
    struct nf *nf = new_disk(NF_PROFILE_NATIVE);
    struct nf_stat st;
    assert_ok(nf_mkdir(nf, nf_path("a/b")));
    assert_ok(nf_mkdir(nf, nf_path("c")));
    uint64_t a = id_of(nf, "a");
    uint64_t b = id_of(nf, "a/b");
    uint64_t c = id_of(nf, "c");
    assert_ok(nf_rename_at(nf, at(a, "b"), at(c, "d"), 0));
    ck_assert_uint_eq(id_of(nf, "c/d"), b);
    ck_assert_int_eq(nf_stat(nf, nf_path("a/b"), &st), NF_ENOENT);
    /* Into itself, as far as the way tells. */
    ck_assert_int_eq(nf_rename_at(nf, at(c, "d"), at(b, "e"), 0), NF_EINVAL);
    ck_assert_int_eq(nf_rename_at(nf, at(1, "c"), at(1, "c/d/e"), 0),
                     NF_EINVAL);
    ck_assert_int_eq(nf_remove_at(nf, at(1, "c"), 0), NF_ENOTEMPTY);
    assert_ok(nf_remove_at(nf, at(c, "d"), 0));
    ck_assert_int_eq(nf_stat_at(nf, at(c, "d"), &st), NF_ENOENT);
    nf_unmount(nf);
}
END_TEST

START_TEST(times_of_the_directory_are_the_callers)
{
    struct nf *nf = new_disk(NF_PROFILE_NATIVE);
    const struct nf_time later = {3000, 5};
    struct nf_stat st;
    assert_ok(nf_mkdir(nf, nf_path("a/b")));
    uint64_t a = id_of(nf, "a");
    clock_sec = 2000;
    assert_ok(nf_mkdir_at(nf, at(a, "c")));
    assert_ok(nf_stat(nf, nf_path("a"), &st));
    ck_assert_int_eq(st.mtime.sec, 1000);
    /* One that is named on the way gets it. */
    assert_ok(nf_mkdir_at(nf, at(a, "b/d")));
    assert_ok(nf_stat_at(nf, at(a, "b"), &st));
    ck_assert_int_eq(st.mtime.sec, 2000);
    assert_ok(nf_set_mtime_at(nf, at(1, "a"), later));
    assert_ok(nf_stat(nf, nf_path("a"), &st));
    ck_assert_int_eq(st.mtime.sec, 3000);
    nf_unmount(nf);
}
END_TEST

START_TEST(lists)
{
    struct nf *nf = new_disk(NF_PROFILE_NATIVE);
    struct nf_dirent ent;
    struct nf_dir *dir;
    assert_ok(nf_mkdir(nf, nf_path("a/b/c")));
    assert_ok(nf_dir_open_at(nf, at(id_of(nf, "a/b"), ""), &dir));
    ck_assert_int_eq(nf_dir_next(dir, &ent), 1);
    ck_assert_uint_eq(ent.name_len, 1);
    ck_assert_int_eq(ent.name[0], 'c');
    ck_assert_int_eq(nf_dir_next(dir, &ent), 0);
    nf_dir_close(dir);
    nf_unmount(nf);
}
END_TEST

UNIT_MAIN("notafs/names_at", native_makes_and_finds, mirage_makes_and_finds,
          moves_and_removes, times_of_the_directory_are_the_callers, lists)
