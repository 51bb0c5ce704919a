/* SPDX-License-Identifier: ISC */
/*
 * A proof from anywhere, verified under a configuration that the first byte
 * chooses, by operations that the second chooses: no more memory than a
 * hundred times the proof and what a tree takes at all, none kept; and what is
 * accepted once is accepted again, with the same answers.
 */
#include <notafs/hash_gcrypt.h>
#include <notafs/proof.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/mem_fault.h"

static const char *const configs[] = {
    "kv32", "tezos", "small",          "smallseeded",
    "sha1", "kv64",  "kv32,schema=v2", "hashbits,entries=2,stable=0"};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct run {
    struct pk_tree *tree;
    uint8_t ops;
    uint64_t answers;
};

static int look(void *arg, struct pk_path path, const struct pk_stat *stat)
{
    struct run *r = arg;
    struct pk_bytes bytes;
    int err = 0;

    r->answers = r->answers * 31 + stat->kind + stat->hash.b[0];
    if (stat->kind == PK_CONTENTS && (r->ops & 1) != 0) {
        err = pk_tree_get(r->tree, path, &bytes);
        if (err == 0) {
            r->answers = r->answers * 31 + bytes.len;
            pk_bytes_free(pk_tree_repo(r->tree), &bytes);
        }
    }
    return err;
}

static int run(void *arg, struct pk_tree *tree)
{
    static const uint8_t names[] = "aab";
    const struct pk_slice steps[] = {{names, 1}, {names + 2, 1}};
    struct run *r = arg;
    int err = 0;

    r->tree = tree;
    r->answers = 0;
    if ((r->ops & 2) != 0) {
        err = pk_tree_walk(tree, PK_WALK_SORTED, look, r);
    }
    if (err == 0 && (r->ops & 4) != 0) {
        err = pk_tree_set(tree, (struct pk_path){steps, 2}, steps[0]);
    }
    if (err == 0 && (r->ops & 8) != 0) {
        err = pk_tree_remove(tree, (struct pk_path){steps, 1});
    }
    if (err == 0 && (r->ops & 16) != 0) {
        err = pk_tree_length(tree, (struct pk_path){steps, 0}, &r->answers);
    }
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pk_proof_claim claim = {.hashes = pk_hash_gcrypt()};
    struct run first = {NULL, 0, 0};
    struct run second;
    struct pk_proof_ends ends;
    struct pk_proof_ends again;
    struct mem_fault mem;
    size_t base;

    if (size < 2) {
        return 0;
    }
    must(pk_config_parse(configs[data[0] % 8], &claim.config) == 0);
    first.ops = data[1];
    second = first;
    mem_fault_init(&mem);
    /* What an empty proof takes is the store's, not the proof's. */
    must(pk_proof_verify(&mem.env, &claim, run, &first, NULL, &ends) < 0);
    base = mem.peak_bytes;
    claim.proof = (struct pk_slice){data + 2, size - 2};
    if (pk_proof_verify(&mem.env, &claim, run, &first, NULL, &ends) == 0) {
        must(pk_proof_verify(&mem.env, &claim, run, &second, NULL, &again) ==
             0);
        must(first.answers == second.answers);
        must(memcmp(&ends, &again, sizeof(ends)) == 0);
    }
    must(mem.peak_bytes <= base + (256 << 10) + 100 * size);
    must(mem.live_bytes == 0);
    return 0;
}
