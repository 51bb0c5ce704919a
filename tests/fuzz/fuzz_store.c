/* SPDX-License-Identifier: ISC */
/*
 * All files of a store from anywhere: each a length of two bytes,
 * little-endian, and its bytes, in the order of `names`. The first byte chooses
 * configuration and flags. It is opened for reading and for writing, checked,
 * and its objects are looked into one by one; whatever is there, nothing may
 * break, and nothing is left behind.
 */
#include <stdlib.h>
#include <string.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/pack.h>

#include "tests/fuzz/fuzz_pack.h"
#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

static const char *const names[] = {
    "store.control",   "store.dict",      "store.0.suffix", "store.branches",
    "index/log",       "index/data",      "store.1.suffix", "store.1.prefix",
    "store.1.mapping", "index/log_async", "store.pack",
};

static const char *const configs[] = {"kv64", "smallseeded", "small", "tezos"};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static int nothing(void *arg, const struct pk_inode_view *slot)
{
    (void)arg;
    (void)slot;
    return 0;
}

/* Objects at the first offsets, whatever they are. */
static void look_inside(struct pk_repo *repo)
{
    struct pk_control_view control;

    pk_view_control(repo, &control);
    for (uint64_t off = 0; off < control.end && off < 600; off++) {
        struct pk_object_view view;
        struct pk_bytes bytes;

        if (pk_view_object(repo, off, &view) != 0) {
            continue;
        }
        must(view.len > 0);
        must(pk_view_inode(repo, off, nothing, NULL) <= 0);
        if (pk_view_contents(repo, off, &bytes) == 0) {
            pk_bytes_free(repo, &bytes);
        }
    }
}

static void open_once(struct mem_fault *mem, struct vfs_fault *files,
                      const char *config, uint32_t flags)
{
    struct pk_open opts = {.vfs = &files->vfs, .flags = flags};
    struct pk_check_stats stats;
    struct pk_repo *repo;

    opts.hashes = pk_hash_gcrypt();
    opts.cache_len = 8192;
    must(pk_config_parse(config, &opts.config) == 0);
    if (pk_repo_open(&mem->env, &opts, NULL, &repo) == 0) {
        must(pk_check(repo, NULL, NULL, &stats) <= 0);
        look_inside(repo);
        (void)pk_repo_close(repo); /* nothing was changed */
    }
    must(mem->live_bytes == 0 && files->n_open == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_fault mem;
    struct vfs_fault files;
    uint8_t control[256];
    uint8_t choice;
    size_t at = 1;

    if (size == 0) {
        return 0;
    }
    choice = data[0];
    mem_fault_init(&mem);
    vfs_fault_init(&files);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        size_t len;

        if (size - at < 2) {
            break;
        }
        len = (size_t)data[at] | (size_t)data[at + 1] << 8;
        at += 2;
        len = len < size - at ? len : size - at;
        if (i == 0 && len > 0 && len < sizeof(control)) {
            memcpy(control, data + at, len);
            fuzz_control_sum(control, len);
            vfs_fault_put(&files, names[i], control, len);
        } else if (len > 0 || i == 2 || i == 1) {
            vfs_fault_put(&files, names[i], data + at, len);
        }
        at += len;
    }
    open_once(&mem, &files, configs[choice & 3],
              (choice & 4) != 0 ? PK_OPEN_NO_VERIFY : 0u);
    open_once(&mem, &files, configs[choice & 3], PK_OPEN_WRITE);
    vfs_fault_deinit(&files);
    return 0;
}
