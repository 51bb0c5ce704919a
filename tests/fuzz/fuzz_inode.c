/* SPDX-License-Identifier: ISC */
/*
 * The body of an inode from anywhere, in a store with a few names in its
 * dictionary; the first byte chooses the configuration, and whether the body
 * ends where the input does. What is taken can be looked at binding by binding,
 * each within what was taken.
 */
#include <stdlib.h>
#include <string.h>

#include <notafs/hash_gcrypt.h>

#include "pack/inode.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

static const char *const configs[] = {"kv64", "smallseeded", "small", "tezos"};

static void open_store(struct pk_store *store, const char *config,
                       struct mem_fault *mem, struct vfs_fault *files)
{
    static const char *const names[] = {"name", "another", "the third"};
    struct pk_open opts = {.vfs = &files->vfs, .hashes = pk_hash_gcrypt()};

    opts.flags = PK_OPEN_WRITE | PK_OPEN_CREATE;
    opts.cache_len = 4096;
    fuzz_check(pk_config_parse(config, &opts.config) == 0);
    fuzz_check(pk_store_open(store, &mem->env, &opts) == 0);
    for (size_t i = 0; i < 3; i++) {
        const struct pk_slice s = {(const uint8_t *)names[i], strlen(names[i])};
        uint64_t id;

        fuzz_check(pk_dict_add(&store->dict, s, &id) == 1 && id == i);
    }
}

static void look(const struct pk_store *store, const struct pk_inode *inode)
{
    struct pk_slot before = {.index = 0};

    for (uint32_t i = 0; i < inode->n; i++) {
        struct pk_slot slot;

        pk_inode_slot(store, inode, i, &slot);
        fuzz_check(slot.addr.by_hash || slot.addr.off <= PK_INT63_MAX);
        if (inode->tree) {
            fuzz_check(slot.index < store->scheme.config.entries);
            fuzz_check(i == 0 || slot.index > before.index);
        } else {
            fuzz_check(slot.step.len == 0 || slot.step.p != NULL);
            fuzz_check(i == 0 || pk_step_compare(before.step, slot.step) != 0);
            fuzz_check(slot.kind == PK_NODE || slot.kind == PK_CONTENTS);
        }
        before = slot;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_store *store;
    struct pk_inode *inode = NULL;

    if (size == 0) {
        return 0;
    }
    mem_fault_init(&mem);
    vfs_fault_init(&files);
    store = calloc(1, sizeof(*store));
    fuzz_check(store != NULL);
    open_store(store, configs[data[0] & 3], &mem, &files);
    if (pk_inode_decode(store, data + 1, size - 1, (data[0] & 4) != 0,
                        &inode) == 0) {
        fuzz_check(inode->raw_len <= size - 1);
        fuzz_check((data[0] & 4) == 0 || inode->raw_len == size - 1);
        fuzz_check(memcmp(inode->raw, data + 1, inode->raw_len) == 0);
        look(store, inode);
        nf_free(&store->ctx.mem, inode, inode->kept.size);
    }
    pk_cache_clear(store);
    fuzz_check(pk_store_close(store) == 0);
    free(store);
    fuzz_check(mem.live_bytes == 0 && files.n_open == 0);
    vfs_fault_deinit(&files);
    return 0;
}
