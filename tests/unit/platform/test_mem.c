/* SPDX-License-Identifier: ISC */
#include "notafs/platform/mem.h"
#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

START_TEST(counts_bytes)
{
    struct mem_fault fault;
    mem_fault_init(&fault);
    struct nf_mem mem = {.env = &fault.env};

    void *a = nf_alloc(&mem, 100);
    void *b = nf_alloc(&mem, 50);
    ck_assert_uint_eq(mem.used, 150);
    ck_assert_uint_eq(fault.live_bytes, 150);
    nf_free(&mem, a, 100);
    nf_free(&mem, NULL, 7);
    ck_assert_uint_eq(mem.used, 50);
    ck_assert_uint_eq(mem.peak, 150);
    nf_free(&mem, b, 50);
    ck_assert_uint_eq(mem.used, 0);
    ck_assert_uint_eq(fault.live_blocks, 0);
}
END_TEST

START_TEST(nothing_is_one_byte)
{
    struct mem_fault fault;
    mem_fault_init(&fault);
    struct nf_mem mem = {.env = &fault.env};

    void *p = nf_calloc(&mem, 0, 8);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(mem.used, 1);
    p = nf_realloc(&mem, p, 0, 0);
    nf_free(&mem, p, 0);
    ck_assert_uint_eq(fault.live_blocks, 0);
}
END_TEST

START_TEST(aligned_and_zeroed)
{
    struct mem_fault fault;
    mem_fault_init(&fault);
    struct nf_mem mem = {.env = &fault.env};

    for (size_t align = 1; align <= 4096; align *= 2) {
        void *p = nf_alloc_aligned(&mem, 10, align);
        ck_assert_uint_eq((uintptr_t)p % align, 0);
        nf_free(&mem, p, 10);
    }
    uint8_t *z = nf_calloc(&mem, 30, 10);
    for (size_t i = 0; i < 300; i++) {
        ck_assert_uint_eq(z[i], 0);
    }
    nf_free(&mem, z, 300);
}
END_TEST

START_TEST(too_large_to_ask_for)
{
    struct mem_fault fault;
    mem_fault_init(&fault);
    struct nf_mem mem = {.env = &fault.env};

    ck_assert_ptr_null(nf_calloc(&mem, SIZE_MAX / 4, 8));
    ck_assert_uint_eq(fault.n_allocs, 0);
    mem.used = 10;
    ck_assert_ptr_null(nf_alloc(&mem, SIZE_MAX - 9));
    ck_assert_uint_eq(fault.n_allocs, 0);
    ck_assert_uint_eq(mem.used, 10);
}
END_TEST

START_TEST(realloc_keeps_contents)
{
    struct mem_fault fault;
    mem_fault_init(&fault);
    struct nf_mem mem = {.env = &fault.env};

    uint8_t *p = nf_realloc(&mem, NULL, 0, 4);
    memcpy(p, "abcd", 4);
    p = nf_realloc(&mem, p, 4, 100);
    ck_assert_mem_eq(p, "abcd", 4);
    mem_fault_fail(&fault, 1, true);
    ck_assert_ptr_null(nf_realloc(&mem, p, 100, 200));
    ck_assert_mem_eq(p, "abcd", 4);
    ck_assert_uint_eq(mem.used, 100);
    mem_fault_fail(&fault, 0, false);
    p = nf_realloc(&mem, p, 100, 2);
    ck_assert_mem_eq(p, "ab", 2);
    nf_free(&mem, p, 2);
    ck_assert_uint_eq(fault.live_blocks, 0);
}
END_TEST

START_TEST(refusals)
{
    struct mem_fault fault;
    mem_fault_init(&fault);
    struct nf_mem mem = {.env = &fault.env};

    mem_fault_fail(&fault, 1, false);
    ck_assert_ptr_null(nf_alloc(&mem, 1));
    ck_assert_ptr_null(
        nf_calloc(&(struct nf_mem){.env = &fault.env}, SIZE_MAX, 2));
    ck_assert_uint_eq(mem.used, 0);
    ck_assert_uint_eq(mem.peak, 0);
    void *p = nf_alloc(&mem, 1);
    ck_assert_ptr_nonnull(p);
    nf_free(&mem, p, 1);
}
END_TEST

UNIT_MAIN("platform/mem", counts_bytes, nothing_is_one_byte, aligned_and_zeroed,
          too_large_to_ask_for, realloc_keeps_contents, refusals)
