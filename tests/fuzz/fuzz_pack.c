/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/fuzz_pack.h"

#include "notafs/platform/codec.h"
#include "pack/control.h"
#include "tests/support/mem_fault.h"

void fuzz_control_sum(uint8_t *raw, size_t len)
{
    struct mem_fault mem;
    struct pk_ctx ctx = {.env = &mem.env};
    struct pk_control control;
    size_t at = 25; /* behind two ends and a flag, and: */

    mem_fault_init(&mem);
    if (pk_control_decode(&ctx, raw, len, &control) != NF_EC_CONTROL_SUM) {
        return;
    }
    if (raw[7] == '5' && raw[24] != 0) { /* the version it came from */
        while (at < len && raw[at] >= 128) {
            at++;
        }
        at++;
    }
    nf_put_be64(raw + at, ctx.err.expected);
}
