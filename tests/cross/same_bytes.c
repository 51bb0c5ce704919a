/* SPDX-License-Identifier: ISC */
/*
 * The same calls give the same bytes and the same hashes on every machine: each
 * case prints the digest of a disk after some commits, and run.sh compares what
 * two machines have printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/host.h>
#include <notafs/pack.h>
#include <notafs/vfs_notafs.h>

#include "host/prng.h"
#include "pack/hash/blake2b.h"
#include "tests/support/unit.h"

enum { DISK_LEN = 4 << 20, N_COMMITS = 60 };

static struct nf_time always(void *ctx)
{
    (void)ctx;
    return (struct nf_time){.sec = 1700000000, .nsec = 123456789};
}

static void hex(const uint8_t *p, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++) {
        snprintf(ret + 2 * i, 3, "%02x", p[i]);
    }
}

struct disk {
    uint8_t *bytes;
    struct nf_env env;
    struct bd bd;
    struct bd_mem mem;
    struct nf *nf;
};

static void disk_open(struct disk *d, enum nf_profile profile,
                      uint32_t page_size)
{
    const struct nf_format_options how = {.profile = profile, .uid = 77};

    d->bytes = calloc(1, DISK_LEN);
    ck_assert_ptr_nonnull(d->bytes);
    nf_env_libc(&d->env);
    d->env.now = always;
    assert_ok(bd_mem_init(&d->bd, &d->mem, d->bytes, DISK_LEN, page_size));
    assert_ok(nf_format(&d->bd, &d->env, &how));
    assert_ok(nf_mount(&d->bd, &d->env, NULL, &d->nf));
}

/* Unmount, and print the digest of all of the disk. */
static void disk_close(struct disk *d, const char *name)
{
    struct pk_blake2b b;
    uint8_t digest[16];
    char found[33];

    nf_unmount(d->nf);
    pk_blake2b_init(&b, (struct pk_slice){NULL, 0}, sizeof(digest));
    pk_blake2b_update(&b, (struct pk_slice){d->bytes, DISK_LEN});
    pk_blake2b_final(&b, digest);
    free(d->bytes);
    hex(digest, sizeof(digest), found);
    printf("same %s %s\n", name, found);
}

/* ---- Files ------------------------------------------------------------ */

static void change_files(struct disk *d, struct prng *dice)
{
    for (int i = 0; i < 4; i++) {
        static uint8_t bytes[9000];
        char name[] = "some/file x";
        struct nf_file *file = NULL;
        const size_t len = (size_t)prng_below(dice, sizeof(bytes));
        struct nf_stat st;

        name[10] = (char)('a' + prng_below(dice, 12));
        prng_bytes(dice, len, bytes);
        assert_ok(nf_open(d->nf, nf_path(name), NF_OPEN_CREATE, &file));
        assert_ok(nf_fstat(file, &st));
        assert_ok(nf_write(file, prng_below(dice, st.size + 1), bytes, len));
        nf_close(file);
    }
    if (prng_below(dice, 8) == 0) {
        const int err = nf_remove(d->nf, nf_path("some/file c"), 0);
        ck_assert(err == 0 || err == NF_ENOENT);
    }
}

static void files_are_the_same(enum nf_profile profile, uint32_t page_size,
                               const char *name)
{
    struct prng dice = prng_seed(3);
    struct disk d;

    disk_open(&d, profile, page_size);
    for (int i = 0; i < N_COMMITS; i++) {
        change_files(&d, &dice);
        assert_ok(nf_sync(d.nf));
    }
    disk_close(&d, name);
}

START_TEST(native_512)
{
    files_are_the_same(NF_PROFILE_NATIVE, 512, "native_512");
}
END_TEST

START_TEST(native_4096)
{
    files_are_the_same(NF_PROFILE_NATIVE, 4096, "native_4096");
}
END_TEST

START_TEST(mirage_512)
{
    files_are_the_same(NF_PROFILE_MIRAGE, 512, "mirage_512");
}
END_TEST

/* ---- A store ---------------------------------------------------------- */

static struct pk_slice slice(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

static void bind(struct pk_tree *tree, struct prng *dice)
{
    uint8_t bytes[400];
    char folder[] = "folder x";
    char name[] = "xxx";
    const size_t len = (size_t)prng_below(dice, sizeof(bytes));

    folder[7] = (char)('a' + prng_below(dice, 3));
    for (int i = 0; i < 3; i++) {
        name[i] = (char)('a' + prng_below(dice, 10));
    }
    prng_bytes(dice, len, bytes);
    const struct pk_slice steps[] = {slice(folder), slice(name)};
    assert_ok(pk_tree_set(tree, (struct pk_path){steps, 2},
                          (struct pk_slice){bytes, len}));
}

static void commit(struct pk_repo *repo, struct prng *dice, int number,
                   struct pk_digest *head)
{
    const struct pk_info info = {1700000000 + number, slice("me"), slice("it")};
    struct pk_tree *tree = NULL;

    if (number == 0) {
        assert_ok(pk_tree_empty(repo, &tree));
    } else {
        assert_ok(pk_commit_tree(repo, head, &tree));
    }
    for (int i = 0; i < 12; i++) { /* enough for directories of inodes */
        bind(tree, dice);
    }
    assert_ok(pk_commit_make(tree, head, number > 0, &info, head));
    assert_ok(pk_branch_set(repo, slice("main"), head));
    pk_tree_free(tree);
}

static void collect(struct pk_repo *repo, const struct pk_digest *head)
{
    const struct pk_gc_options options = {.keep = head, .n_keep = 1};

    assert_ok(pk_repo_split(repo));
    assert_ok(pk_gc_start(repo, &options));
    while (pk_gc_step(repo, PK_GC_MIN_BUDGET) == 1) {
    }
    assert_ok(pk_gc_finish(repo, NULL));
}

START_TEST(store)
{
    struct prng dice = prng_seed(4);
    struct pk_vfs_notafs *files = NULL;
    struct pk_vfs vfs;
    struct pk_open opts = {
        .vfs = &vfs,
        .flags = PK_OPEN_WRITE | PK_OPEN_CREATE,
        .index_log_entries = 16,
    };
    struct pk_repo *repo = NULL;
    struct pk_digest head;
    char found[2 * PK_HASH_MAX_LEN + 1];
    struct disk d;

    disk_open(&d, NF_PROFILE_NATIVE, 1024);
    assert_ok(pk_config_parse("irmin", &opts.config));
    assert_ok(pk_vfs_notafs_open(d.nf, &d.env, nf_path("s"), &files, &vfs));
    assert_ok(pk_repo_open(&d.env, &opts, NULL, &repo));
    for (int i = 0; i < N_COMMITS; i++) {
        commit(repo, &dice, i, &head);
        if (i == N_COMMITS / 2) {
            collect(repo, &head);
        }
    }
    assert_ok(pk_repo_close(repo));
    pk_vfs_notafs_close(files);
    hex(head.b, PK_HASH_MAX_LEN, found);
    ck_assert_str_eq(
        found,
        "1c1166100660b20a33da4e39b42fb96b66092fcb01e2a5963a89724724cfdeb7"
        "eaa4c059d65ac71d978e483a61045addd319346c4fca837b8bf3eaf07b1efd46");
    disk_close(&d, "store");
}
END_TEST

UNIT_MAIN("cross/same_bytes", native_512, native_4096, mirage_512, store)
