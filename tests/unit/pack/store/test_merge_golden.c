/* SPDX-License-Identifier: ISC */
/* The merges that irmin-pack made in the golden stores, made again. */
#include <notafs/hash_gcrypt.h>
#include <notafs/merge.h>
#include <notafs/vfs_posix.h>

#include "tests/unit/pack/store/fixture.h"

/* Copying a store's files into memory, to be written to there. */
struct copy {
    const struct pk_vfs *from;
    const struct pk_vfs *to;
    const char *dir;
};

static int copy_file(void *arg, const char *step, uint64_t len)
{
    const struct copy *copy = arg;
    uint8_t *bytes = malloc((size_t)len + 1);
    char name[PK_VFS_NAME_MAX + 1];
    size_t got;
    void *in;
    void *out;

    ck_assert_ptr_nonnull(bytes);
    snprintf(name, sizeof(name), "%s%s%s", copy->dir,
             copy->dir[0] != '\0' ? "/" : "", step);
    assert_ok(copy->from->ops->open(copy->from->ctx, name, 0, &in));
    assert_ok(copy->from->ops->read(copy->from->ctx, in, 0, bytes, (size_t)len,
                                    &got));
    ck_assert_uint_eq(got, len);
    assert_ok(copy->from->ops->close(copy->from->ctx, in));
    assert_ok(copy->to->ops->open(copy->to->ctx, name,
                                  PK_VFS_WRITE | PK_VFS_CREATE, &out));
    assert_ok(copy->to->ops->write(copy->to->ctx, out, 0, bytes, (size_t)len));
    assert_ok(copy->to->ops->close(copy->to->ctx, out));
    free(bytes);
    return 0;
}

struct merged {
    struct pk_repo *repo;
    struct pk_digest hash;
    size_t n;
};

/* Of the commits with two parents, that which irmin's merge made. */
static int merged_find(void *arg, const struct pk_digest *hash)
{
    const struct pk_slice message = text_bytes("irmin three-way merge");
    struct merged *merged = arg;
    struct pk_commit *commit;

    assert_ok(pk_commit_find(merged->repo, hash, &commit));
    if (commit->info.message.len == message.len &&
        memcmp(commit->info.message.p, message.p, message.len) == 0) {
        merged->hash = *hash;
        merged->n++;
    }
    pk_commit_free(merged->repo, commit);
    return 0;
}

static void check_store(const char *shared, const char *config)
{
    struct pk_open open = {.flags = PK_OPEN_WRITE, .hashes = pk_hash_gcrypt()};
    struct pk_vfs_posix *posix;
    struct pk_vfs from;
    struct fixture f = {0};
    struct copy copy = {&from, &f.vfs, ""};
    struct merged merged = {0};
    struct pk_commit *commit;
    struct pk_digest again;
    char folder[400];

    snprintf(folder, sizeof(folder), "%s/golden/irmin/%s-merge/store", shared,
             config);
    mem_fault_init(&f.mem);
    assert_ok(pk_vfs_posix_open(folder, 0, &posix, &from));
    assert_ok(pk_vfs_mem_open(&f.mem.env, &f.files, &f.vfs));
    assert_ok(from.ops->list(from.ctx, "", copy_file, &copy));
    copy.dir = "index";
    assert_ok(from.ops->list(from.ctx, "index", copy_file, &copy));
    pk_vfs_posix_close(posix);

    open.vfs = &f.vfs;
    assert_ok(pk_config_parse(config, &open.config));
    assert_ok(pk_repo_open(&f.mem.env, &open, NULL, &f.repo));
    merged.repo = f.repo;
    assert_ok(pk_commit_each(f.repo, merged_find, &merged));
    ck_assert_uint_eq(merged.n, 1);
    assert_ok(pk_commit_find(f.repo, &merged.hash, &commit));
    ck_assert_uint_eq(commit->n_parents, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(pk_merge_commits(f.repo, &commit->parents[i],
                                   &commit->parents[1 - i], &commit->info, NULL,
                                   &again));
        assert_same_hash(&again, &merged.hash);
    }
    pk_commit_free(f.repo, commit);
    fixture_end(&f);
}

START_TEST(like_irmin)
{
    static const char *const configs[] = {"kv64", "tezos", "sha1", "small"};
    const char *shared = getenv("NOTAFS_SHARED");

    for (size_t i = 0; i < 4; i++) {
        check_store(shared, configs[i]);
    }
}
END_TEST

/* Exit status 77 says that the test was skipped. */
int main(int argc, char **argv)
{
    const TTest *const tests[] = {like_irmin};
    const char *shared = getenv("NOTAFS_SHARED");

    if (shared == NULL) {
        printf("NOTAFS_SHARED names no folder: skipped\n");
        return getenv("NOTAFS_REQUIRE_SHARED") != NULL ? 1 : 77;
    }
    return unit_run("pack/store/merge_golden", tests, 1, argc, argv);
}
