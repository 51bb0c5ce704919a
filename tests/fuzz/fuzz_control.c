/* SPDX-License-Identifier: ISC */
/*
 * A control file from anywhere. What is taken as one of version 5 comes out as
 * it went in, but for numbers that were longer than need be, and is taken
 * again as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "pack/control.h"
#include "tests/fuzz/fuzz_pack.h"
#include "tests/support/mem_fault.h"

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
    struct pk_buf out = pk_buf_of(&ctx.mem);
    struct pk_volume_control volume;
    struct pk_control control;
    struct pk_control again;
    uint8_t raw[256];

    if (size > sizeof(raw)) {
        return 0;
    }
    memcpy(raw, data, size);
    fuzz_control_sum(raw, size);
    mem_fault_init(&mem);
    if (pk_control_decode(&ctx, raw, size, &control) == 0) {
        pk_control_encode(&control, &out);
        must(!out.failed);
        must(pk_control_decode(&ctx, out.p, out.len, &again) == 0);
        must(again.version == 5 && pk_control_equal(&control, &again));
    }
    pk_buf_clear(&out);
    if (pk_volume_control_decode(&ctx, "volume", data, size, &volume) == 0) {
        pk_volume_control_encode(&volume, &out);
        must(out.len == size && memcmp(out.p, data, size) == 0);
    }
    pk_buf_deinit(&out);
    must(mem.live_bytes == 0);
    return 0;
}
