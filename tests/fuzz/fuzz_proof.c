/* SPDX-License-Identifier: ISC */
/*
 * A proof from anywhere, under a configuration that the first byte chooses.
 * What is taken as one comes out no longer than it went in, and is taken again
 * as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "pack/proof.h"
#include "tests/support/mem_fault.h"

static const struct pk_config configs[] = {
    {.hash_len = 1, .entries = 2, .stable_hash = 2},
    {.hash_len = 20, .entries = 2, .stable_hash = 3},
    {.hash_len = 32, .entries = 32, .stable_hash = 256},
    {.hash_len = 64, .entries = 1024, .stable_hash = 0},
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_fault mem;
    struct pk_ctx ctx = {.env = &mem.env, .mem = {.env = &mem.env}};
    struct pk_buf first = pk_buf_of(&ctx.mem);
    struct pk_buf second = pk_buf_of(&ctx.mem);
    const struct pk_config *config;
    struct pk_proof proof;

    if (size == 0) {
        return 0;
    }
    config = &configs[data[0] % (sizeof(configs) / sizeof(configs[0]))];
    mem_fault_init(&mem);
    pk_proof_init(&proof, &ctx);
    if (pk_proof_decode(&proof, config,
                        (struct pk_slice){data + 1, size - 1}) == 0) {
        pk_proof_encode(&proof, config, &first);
        must(!first.failed && first.len < size);
        pk_proof_deinit(&proof);
        pk_proof_init(&proof, &ctx);
        must(pk_proof_decode(&proof, config,
                             (struct pk_slice){first.p, first.len}) == 0);
        pk_proof_encode(&proof, config, &second);
        must(second.len == first.len &&
             memcmp(second.p, first.p, first.len) == 0);
    }
    pk_buf_deinit(&first);
    pk_buf_deinit(&second);
    pk_proof_deinit(&proof);
    must(mem.live_bytes == 0);
    return 0;
}
