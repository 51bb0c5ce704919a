/* SPDX-License-Identifier: ISC */
/*
 * A branch table from anywhere; the first byte chooses the length of hashes.
 * Salvaged, it opens; what it lists is found, and a branch that is set is there
 * when it is read again, with the others.
 */
#include <string.h>

#include "pack/branches.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

static void look(const struct pk_branches *branches)
{
    for (size_t i = 0; i < branches->n; i++) {
        const struct pk_slice name = pk_branches_name(branches, i);
        struct pk_digest hash;
        struct pk_digest found;
        const bool has = pk_branches_hash(branches, i, &hash);

        fuzz_check(name.len > 0);
        fuzz_check(pk_branches_find(branches, name, &found) == has);
        fuzz_check(!has || memcmp(&hash, &found, sizeof(hash)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pk_slice name = {(const uint8_t *)"a/new-one", 9};
    static const struct pk_digest hash = {{1, 2, 3}};
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_ctx ctx = {.env = &mem.env, .mem = {.env = &mem.env}};
    struct pk_branches branches;
    struct pk_digest found;
    size_t hash_len;
    size_t n;
    int err;

    if (size == 0) {
        return 0;
    }
    hash_len = (data[0] & 1) != 0 ? 20 : 64;
    mem_fault_init(&mem);
    vfs_fault_init(&files);
    vfs_fault_put(&files, "store.branches", data + 1, size - 1);
    err = pk_branches_open(&ctx, &files.vfs, hash_len, &branches);
    if (err == 0) {
        look(&branches);
    }
    pk_branches_close(&branches);
    fuzz_check(pk_branches_salvage(&ctx, &files.vfs, hash_len, &branches) ==
               (err == 0 ? 0 : 1));
    n = branches.n + !pk_branches_find(&branches, name, &found);
    fuzz_check(pk_branches_set(&branches, name, &hash) == 0);
    pk_branches_close(&branches);
    fuzz_check(pk_branches_open(&ctx, &files.vfs, hash_len, &branches) == 0);
    look(&branches);
    fuzz_check(branches.n == n || branches.n + 1 == n); /* it was removed */
    fuzz_check(pk_branches_find(&branches, name, &found));
    fuzz_check(memcmp(&found, &hash, sizeof(hash)) == 0);
    pk_branches_close(&branches);
    fuzz_check(mem.live_bytes == 0 && files.n_open == 0);
    vfs_fault_deinit(&files);
    return 0;
}
