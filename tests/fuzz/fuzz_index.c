/* SPDX-License-Identifier: ISC */
/*
 * An index from anywhere: a byte that chooses the length of hashes, then log,
 * data and the log of a broken merge, each behind its length of two bytes.
 * Whatever is there, nothing breaks; and what a merge has accepted is an index
 * in which all that it lists is found.
 */
#include <string.h>

#include "pack/index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

struct look {
    struct pk_index *index;
    bool strict;
    size_t n;
};

static int look_one(void *arg, const struct pk_binding *binding)
{
    struct look *look = arg;
    struct pk_binding found;
    const int err = pk_index_find(look->index, &binding->hash, &found);

    look->n++;
    fuzz_check(!look->strict || err == 0);
    fuzz_check(err != 0 ||
               memcmp(&found.hash, &binding->hash, sizeof(found.hash)) == 0);
    return 0;
}

static size_t look(struct pk_index *index, bool strict)
{
    struct look look = {index, strict, 0};
    const int err = pk_index_each(index, look_one, &look);

    fuzz_check(err == 0 || !strict);
    return look.n;
}

static void add_some(struct pk_index *index)
{
    for (uint8_t i = 0; i < 3; i++) {
        struct pk_binding b = {.off = i, .len = 1, .kind = 'D'};

        memset(b.hash.b, 0x11 * i, index->hash_len);
        fuzz_check(pk_index_add(index, &b) == 0);
    }
}

static void run(struct vfs_fault *files, size_t hash_len)
{
    struct mem_fault mem;
    struct pk_ctx ctx = {.env = &mem.env, .mem = {.env = &mem.env}};
    struct pk_index index;
    int err;

    mem_fault_init(&mem);
    if (pk_index_open(&ctx, &files->vfs, hash_len, 100, false, &index) == 0) {
        (void)look(&index, false);
    }
    (void)pk_index_close(&index);
    err = pk_index_open(&ctx, &files->vfs, hash_len, 1000000, true, &index);
    if (err == 0) {
        add_some(&index);
        fuzz_check(pk_index_flush(&index) == 0);
        err = pk_index_merge(&index);
        (void)look(&index, err == 0);
    }
    (void)pk_index_close(&index);
    if (err == 0) {
        fuzz_check(pk_index_open(&ctx, &files->vfs, hash_len, 100, false,
                                 &index) == 0);
        fuzz_check(look(&index, true) >= 3);
        (void)pk_index_close(&index);
    }
    fuzz_check(mem.live_bytes == 0 && files->n_open == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"index/log", "index/data",
                                        "index/log_async"};
    static const size_t lens[] = {20, 32, 64, 5};
    struct vfs_fault files;
    size_t at = 1;

    if (size == 0) {
        return 0;
    }
    vfs_fault_init(&files);
    for (size_t i = 0; i < 3 && size - at >= 2; i++) {
        size_t len = (size_t)data[at] | (size_t)data[at + 1] << 8;

        at += 2;
        len = len < size - at ? len : size - at;
        if (len > 0) {
            vfs_fault_put(&files, names[i], data + at, len);
        }
        at += len;
    }
    run(&files, lens[data[0] & 3]);
    vfs_fault_deinit(&files);
    return 0;
}
