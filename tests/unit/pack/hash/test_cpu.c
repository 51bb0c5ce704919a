/* SPDX-License-Identifier: ISC */
#include "pack/hash/cpu.h"
#include "tests/support/unit.h"

/* The compiler's run-time library finds what we find. */
START_TEST(detects)
{
    enum pk_cpu expected = PK_CPU_PLAIN;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        expected =
            __builtin_cpu_supports("avx512f") ? PK_CPU_AVX512 : PK_CPU_AVX2;
    }
#endif
    ck_assert_int_eq(pk_cpu_detect(), expected);
}
END_TEST

UNIT_MAIN("pack/hash/cpu", detects)
