/* SPDX-License-Identifier: ISC */
/*
 * An nf_env whose memory fails on demand and is watched: a block released with
 * another size than it had, twice, or overrun at its front stops the program.
 * New memory is filled with 0xA5. Its clock starts at MEM_FAULT_EPOCH and each
 * look at it moves it on by a second.
 *
 *     struct mem_fault mem;
 *     for (uint64_t n = 1;; n++) {
 *         mem_fault_init(&mem);
 *         mem_fault_fail(&mem, n, false);
 *         err = scenario(&mem.env);
 *         ck_assert_uint_eq(mem.live_bytes, 0);
 *         if (mem.n_failed == 0) break; // ran to its end undisturbed
 *     }
 */
#ifndef TESTS_MEM_FAULT_H
#define TESTS_MEM_FAULT_H

#include <notafs/platform.h>

#define MEM_FAULT_EPOCH 1700000000

struct mem_fault {
    struct nf_env env; /* env.ctx is the struct itself: it must not move */
    uint64_t n_allocs; /* asked for so far */
    uint64_t n_failed; /* of these, refused */
    uint64_t live_blocks;
    size_t live_bytes;
    size_t peak_bytes;
    int64_t clock_sec; /* what the next look at the clock gives */
    uint64_t fail_at;  /* value of n_allocs; 0: never */
    bool for_ever;
};

void mem_fault_init(struct mem_fault *mem);

/* Refuse the n-th allocation from now (the next is 1), and with for_ever all
 * that follow it. n = 0: refuse none. */
void mem_fault_fail(struct mem_fault *mem, uint64_t n, bool for_ever);

#endif
