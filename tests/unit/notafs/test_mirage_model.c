/* SPDX-License-Identifier: ISC */
/*
 * Random changes of a few files, compared with a model: commits, aborts,
 * mounts, full disks, with the smallest cache. After each commit all pages are
 * walked and accounted for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/prng.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

#define N_FILES  12
#define MAX_SIZE 60000

struct model_file {
    bool exists;
    size_t len;
    uint8_t bytes[MAX_SIZE];
};

struct model {
    struct model_file files[N_FILES];
};

struct run {
    struct mirage_disk disk;
    struct prng prng;
    struct model now;
    struct model committed;
    uint64_t n_enospc;
    uint8_t bytes[MAX_SIZE];
};

/* Some of them are in directories, and one name is long. */
static const char *path_of(size_t i)
{
    static char paths[N_FILES][300];
    const char *const dirs[] = {"", "a/", "b/c/", "b/"};
    int n = snprintf(paths[i], sizeof(paths[i]), "%sfile%zu", dirs[i % 4], i);
    if (i == 5) {
        memset(paths[i] + n, 'x', 250);
        paths[i][n + 250] = '\0';
    }
    return paths[i];
}

static size_t random_len(struct run *run, size_t max)
{
    switch (prng_below(&run->prng, 4)) {
    case 0:
        return prng_below(&run->prng, 8);
    case 1:
        return prng_below(&run->prng, 600);
    case 2:
        return prng_below(&run->prng, 5000 < max ? 5000 : max);
    default:
        return prng_below(&run->prng, max);
    }
}

static void compare_file(struct run *run, size_t i)
{
    const struct model_file *file = &run->now.files[i];
    uint8_t *bytes;
    size_t len;
    if (file->exists) {
        mirage_disk_expect(&run->disk, path_of(i), file->bytes, file->len);
        return;
    }
    assert_err(mirage_disk_get(&run->disk, path_of(i), &bytes, &len),
               NF_ENOENT);
}

static void compare(struct run *run)
{
    for (size_t i = 0; i < N_FILES; i++) {
        compare_file(run, i);
    }
}

/* Whether a change was done; a full disk is the one reason why not. */
static bool done(struct run *run, int err)
{
    if (err == NF_ENOSPC) {
        run->n_enospc++;
        return false;
    }
    assert_ok(err);
    return true;
}

static void change_write(struct run *run, size_t i)
{
    struct model_file *model = &run->now.files[i];
    size_t off = prng_below(&run->prng, 10) == 0
                     ? random_len(run, MAX_SIZE)
                     : prng_below(&run->prng, model->len + 1);
    size_t len = random_len(run, MAX_SIZE - off);
    struct nf_file *file;
    prng_bytes(&run->prng, len, run->bytes);
    assert_ok(nf_open(run->disk.nf, nf_path(path_of(i)), 0, &file));
    if (done(run, nf_write(file, off, run->bytes, len)) && len > 0) {
        if (off > model->len) {
            memset(model->bytes + model->len, 0, off - model->len);
        }
        memcpy(model->bytes + off, run->bytes, len);
        model->len = off + len > model->len ? off + len : model->len;
    }
    nf_close(file);
}

static void change_truncate(struct run *run, size_t i)
{
    struct model_file *model = &run->now.files[i];
    size_t len = random_len(run, MAX_SIZE);
    struct nf_file *file;
    assert_ok(nf_open(run->disk.nf, nf_path(path_of(i)), 0, &file));
    if (done(run, nf_truncate(file, len))) {
        if (len > model->len) {
            memset(model->bytes + model->len, 0, len - model->len);
        }
        model->len = len;
    }
    nf_close(file);
}

static void change_create(struct run *run, size_t i)
{
    struct model_file *model = &run->now.files[i];
    struct nf_file *file;
    int err = nf_open(run->disk.nf, nf_path(path_of(i)),
                      NF_OPEN_CREATE | NF_OPEN_TRUNCATE, &file);
    if (done(run, err)) {
        model->exists = true;
        model->len = 0;
        nf_close(file);
    }
}

static void change_rename(struct run *run, size_t i, size_t to)
{
    struct model_file *model = &run->now.files[i];
    int err =
        nf_rename(run->disk.nf, nf_path(path_of(i)), nf_path(path_of(to)), 0);
    if (done(run, err) && i != to) {
        run->now.files[to] = *model;
        model->exists = false;
    }
}

static void commit(struct run *run)
{
    assert_ok(nf_sync(run->disk.nf));
    run->committed = run->now;
    ck_assert_uint_eq(mirage_disk_check(&run->disk), 0);
}

static void step(struct run *run)
{
    size_t i = prng_below(&run->prng, N_FILES);
    bool exists = run->now.files[i].exists;
    switch (prng_below(&run->prng, 24)) {
    case 0:
    case 1:
        change_create(run, i);
        break;
    case 2:
        if (exists) {
            assert_ok(nf_remove(run->disk.nf, nf_path(path_of(i)), 0));
            run->now.files[i].exists = false;
        }
        break;
    case 3:
        if (exists) {
            change_rename(run, i, prng_below(&run->prng, N_FILES));
        }
        break;
    case 4:
    case 5:
        if (exists) {
            change_truncate(run, i);
        }
        break;
    case 6:
    case 7:
        commit(run);
        break;
    case 8:
        assert_ok(nf_abort(run->disk.nf));
        run->now = run->committed;
        compare(run);
        break;
    case 9:
        commit(run);
        mirage_disk_remount(&run->disk);
        compare(run);
        break;
    case 10:
    case 11:
        compare_file(run, i);
        break;
    default:
        if (exists) {
            change_write(run, i);
        }
        break;
    }
}

static uint64_t run_model(uint64_t seed, uint32_t page_size,
                          uint64_t page_count, enum nf_checksum checksum,
                          unsigned n_steps)
{
    struct run *run = calloc(1, sizeof(*run));
    ck_assert_ptr_nonnull(run);
    printf("seed %" PRIu64 ": %" PRIu64 " pages of %" PRIu32 "\n", seed,
           page_count, page_size);
    run->prng = prng_seed(seed);
    mirage_disk_open(&run->disk, page_size, page_count, checksum);
    for (unsigned i = 0; i < n_steps; i++) {
        step(run);
    }
    commit(run);
    mirage_disk_remount(&run->disk);
    compare(run);
    mirage_disk_close(&run->disk);
    uint64_t n_enospc = run->n_enospc;
    free(run);
    return n_enospc;
}

START_TEST(one_byte_ids)
{
    uint64_t n_enospc = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        n_enospc += run_model(seed, 512, 255, NF_CHECKSUM_DEFAULT, 1500);
    }
    ck_assert_uint_gt(n_enospc, 100);
}
END_TEST

START_TEST(two_byte_ids)
{
    run_model(11, 512, 1000, NF_CHECKSUM_DEFAULT, 3000);
    run_model(12, 512, 4000, NF_CHECKSUM_DEFAULT, 3000);
    run_model(13, 1024, 600, NF_CHECKSUM_DEFAULT, 3000);
    run_model(14, 4096, 300, NF_CHECKSUM_DEFAULT, 3000);
}
END_TEST

START_TEST(four_byte_ids)
{
    run_model(21, 512, 70000, NF_CHECKSUM_DEFAULT, 2000);
}
END_TEST

START_TEST(eight_byte_ids)
{
    run_model(25, 512, (uint64_t)1 << 40, NF_CHECKSUM_DEFAULT, 2000);
}
END_TEST

START_TEST(without_checksums)
{
    run_model(31, 512, 500, NF_CHECKSUM_NONE, 3000);
    run_model(32, 2048, 300, NF_CHECKSUM_NONE, 2000);
}
END_TEST

UNIT_MAIN("notafs/mirage_model", one_byte_ids, two_byte_ids, four_byte_ids,
          eight_byte_ids, without_checksums)
