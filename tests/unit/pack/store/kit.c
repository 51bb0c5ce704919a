/* SPDX-License-Identifier: ISC */
#include "tests/unit/pack/store/kit.h"

#include <notafs/hash_gcrypt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

struct pk_open kit_open(struct vfs_fault *fault, const char *config,
                        uint32_t flags)
{
    struct pk_open opts = {.vfs = &fault->vfs, .flags = flags};

    opts.hashes = pk_hash_gcrypt();
    assert_ok(pk_config_parse(config, &opts.config));
    return opts;
}

struct pk_path kit_path(struct kit_path *buf, const char *text)
{
    size_t n = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "/");

        ck_assert_uint_lt(n, 8);
        buf->steps[n++] = (struct pk_slice){(const uint8_t *)text, len};
        text += len + (text[len] == '/');
    }
    buf->path = (struct pk_path){buf->steps, n};
    return buf->path;
}

struct pk_slice kit_text(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

int kit_commit(struct pk_tree *tree, const struct pk_digest *parent,
               int64_t date, struct pk_digest *ret_hash)
{
    struct pk_info info = {date, kit_text("author"), kit_text("message")};
    int err = pk_commit_make(tree, parent, parent != NULL, &info, ret_hash);

    return err == 0
               ? pk_branch_set(pk_tree_repo(tree), kit_text("main"), ret_hash)
               : err;
}

void kit_contents(uint64_t seed, uint32_t len, uint8_t *buf)
{
    struct prng prng = prng_seed(seed);

    prng_bytes(&prng, len, buf);
}

void kit_same_file(struct vfs_fault *a, struct vfs_fault *b, const char *name)
{
    size_t len_a = 0;
    size_t len_b = 0;
    uint8_t *p = vfs_fault_bytes(a, name, &len_a);
    uint8_t *q = vfs_fault_bytes(b, name, &len_b);

    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_nonnull(q);
    ck_assert_uint_eq(len_a, len_b);
    ck_assert_mem_eq(p, q, len_a);
}
