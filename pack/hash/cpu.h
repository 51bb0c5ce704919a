/* SPDX-License-Identifier: ISC */
#ifndef PK_CPU_H
#define PK_CPU_H

/* What a processor can do for us; each level includes those before. */
enum pk_cpu {
    PK_CPU_PLAIN,  /* C and nothing else */
    PK_CPU_AVX2,   /* vectors of four 64-bit words */
    PK_CPU_AVX512, /* vectors of eight */
};

/* The level of this processor under this operating system, or unikernel: one
 * that does not keep vector registers for us counts as plain. */
enum pk_cpu pk_cpu_detect(void);

#endif
