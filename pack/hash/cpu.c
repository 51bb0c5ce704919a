/* SPDX-License-Identifier: ISC */
/*
 * Processor features by cpuid and xgetbv: a vector unit counts when the
 * processor has it and the system has switched on the saving of its registers.
 * The compiler's own detection is avoided: it needs a run-time library.
 */
#include "pack/hash/cpu.h"

#if defined(__x86_64__)

#include <stdbool.h>
#include <stdint.h>

struct cpuid {
    uint32_t eax;
    uint32_t ebx;
    uint32_t ecx;
    uint32_t edx;
};

static struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(0));
    return r;
}

/* Which registers the system saves: XCR0. Needs OSXSAVE. */
static uint32_t saved_registers(void)
{
    uint32_t low;
    uint32_t high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

enum pk_cpu pk_cpu_detect(void)
{
    const uint32_t osxsave_avx = 1u << 27 | 1u << 28; /* leaf 1, ecx */
    const uint32_t avx2 = 1u << 5;                    /* leaf 7, ebx */
    const uint32_t avx512f = 1u << 16;                /* leaf 7, ebx */
    const uint32_t xmm_ymm = 0x06;                    /* XCR0 */
    const uint32_t mask_zmm = 0xe0;                   /* XCR0 */
    uint32_t saved;
    uint32_t features;

    if (cpuid(0).eax < 7 || !has(cpuid(1).ecx, osxsave_avx)) {
        return PK_CPU_PLAIN;
    }
    saved = saved_registers();
    features = cpuid(7).ebx;
    if (!has(saved, xmm_ymm) || !has(features, avx2)) {
        return PK_CPU_PLAIN;
    }
    if (!has(saved, mask_zmm) || !has(features, avx512f)) {
        return PK_CPU_AVX2;
    }
    return PK_CPU_AVX512;
}

#else

enum pk_cpu pk_cpu_detect(void)
{
    return PK_CPU_PLAIN;
}

#endif
