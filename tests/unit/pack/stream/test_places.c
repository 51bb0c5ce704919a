/* SPDX-License-Identifier: ISC */
/* The same stream into memory, a folder and a Notafs disk, with commits of the
 * receiver's own in between: the same hashes everywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/codec_lz4.h>
#include <notafs/vfs_notafs.h>
#include <notafs/vfs_posix.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/stream/wire.h"

enum { N_COMMITS = 8, FILE_LEN = 50000, DISK_LEN = 16 << 20 };

static struct mem_fault mem;
static struct wire_store src;
static struct wire wire;

static void setup(void)
{
    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "kv64", N_COMMITS, FILE_LEN);
    assert_ok(wire_send(&wire, &mem.env, &src, 0, N_COMMITS, nf_codec_lz4()));
}

static void teardown(void)
{
    wire_deinit(&wire);
    wire_store_deinit(&src);
    ck_assert_uint_eq(mem.live_blocks, 0);
}

/* The receiver goes on with its own work. */
static void own_commit(struct pk_repo *repo, size_t i)
{
    const struct pk_info info = {(int64_t)i, kit_text("own"), kit_text("own")};
    struct pk_digest hash;
    struct pk_tree *tree;
    struct kit_path path;

    assert_ok(pk_tree_empty(repo, &tree));
    assert_ok(
        pk_tree_set(tree, kit_path(&path, "own/file"),
                    (struct pk_slice){(const uint8_t *)&"abcdefgh"[i % 8], 1}));
    assert_ok(pk_commit_make(tree, NULL, 0, &info, &hash));
    assert_ok(pk_branch_set(repo, kit_text("own"), &hash));
    pk_tree_free(tree);
}

static void receive_at(const struct pk_vfs *vfs)
{
    struct pk_receive_options how = {.codec = nf_codec_lz4(),
                                     .checkpoint_len = 100000};
    struct pk_open opts = src.opts;
    struct pk_check_stats stats;
    struct pk_receive *receive;
    struct pk_commit *commit;
    struct pk_repo *repo;

    opts.vfs = vfs;
    opts.flags = PK_OPEN_WRITE | PK_OPEN_CREATE;
    for (size_t i = 0; i < wire.n;) { /* two chunks in each session */
        assert_ok(pk_repo_open(&mem.env, &opts, NULL, &repo));
        assert_ok(pk_receive_open(repo, &how, &receive));
        for (size_t end = i + 2; i < end && i < wire.n; i++) {
            own_commit(repo, i);
            assert_ok(pk_receive_feed(receive, wire.chunks[i], wire.lens[i]));
        }
        assert_ok(i < wire.n ? pk_receive_checkpoint(receive)
                             : pk_receive_finish(receive));
        pk_receive_close(receive);
        assert_ok(pk_repo_close(repo));
    }
    opts.flags = 0;
    assert_ok(pk_repo_open(&mem.env, &opts, NULL, &repo));
    assert_ok(pk_check(repo, NULL, NULL, &stats));
    ck_assert_uint_eq(stats.findings, 0);
    for (size_t i = 0; i < N_COMMITS; i++) {
        assert_ok(pk_commit_find(repo, &src.commits[i], &commit));
        ck_assert_mem_eq(&commit->root, &src.roots[i], sizeof(commit->root));
        pk_commit_free(repo, commit);
    }
    assert_ok(pk_repo_close(repo));
}

START_TEST(memory)
{
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;

    setup();
    assert_ok(pk_vfs_mem_open(&mem.env, &files, &vfs));
    receive_at(&vfs);
    pk_vfs_mem_close(files);
    teardown();
}
END_TEST

START_TEST(folder)
{
    char path[] = "/tmp/notapack-places.XXXXXX";
    char command[64];
    struct pk_vfs_posix *posix;
    struct pk_vfs vfs;

    setup();
    ck_assert_ptr_nonnull(mkdtemp(path));
    assert_ok(pk_vfs_posix_open(path, PK_VFS_POSIX_NO_SYNC, &posix, &vfs));
    receive_at(&vfs);
    pk_vfs_posix_close(posix);
    (void)snprintf(command, sizeof(command), "rm -r %s", path);
    ck_assert_int_eq(system(command), 0);
    teardown();
}
END_TEST

START_TEST(disk)
{
    uint8_t *bytes = calloc(1, DISK_LEN);
    struct pk_vfs_notafs *on_disk;
    struct bd_mem device;
    struct pk_vfs vfs;
    struct nf *nf;
    struct bd bd;

    setup();
    assert_ok(bd_mem_init(&bd, &device, bytes, DISK_LEN, 4096));
    assert_ok(nf_format(&bd, &mem.env, NULL));
    assert_ok(nf_mount(&bd, &mem.env, NULL, &nf));
    assert_ok(
        pk_vfs_notafs_open(nf, &mem.env, nf_path("store"), &on_disk, &vfs));
    receive_at(&vfs);
    pk_vfs_notafs_close(on_disk);
    nf_unmount(nf);
    teardown();
    free(bytes);
}
END_TEST

UNIT_MAIN("pack/stream/places", memory, folder, disk)
