/* SPDX-License-Identifier: ISC */
/*
 * Frame of a fuzz target. A target is one file with LLVMFuzzerTestOneInput,
 * and is built twice: with libFuzzer (./dev fuzz), and with replay.c, which
 * feeds it the corpus and a few mutants of it (./dev test).
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <notafs/notafs.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is; it stops the program if not. */
#define fuzz_check(cond)                                                       \
    ((cond) ? (void)0 : fuzz_failed(#cond, __FILE__, __LINE__))
_Noreturn void fuzz_failed(const char *what, const char *file, int line);

/* ---- Input ---------------------------------------------------------- */

/* What is left of an input. Behind its end all bytes are 0. */
struct fuzz_input {
    const uint8_t *p;
    size_t len;
};

uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in);
uint32_t fuzz_u32(struct fuzz_input *in);

/* A number that code is likely to trip over: small, or just around a power of
 * two or `near`. */
uint64_t fuzz_number(uint32_t v, uint64_t near);

/* ---- Disk ----------------------------------------------------------- */

/* A disk in memory. The watchdog: code that reads and writes more than budget
 * pages hangs. */
struct fuzz_disk {
    struct bd bd;
    uint8_t *bytes;
    uint64_t budget;
};

/* len bytes of zeros, a multiple of page_size. */
void fuzz_disk_open(struct fuzz_disk *disk, uint32_t page_size, size_t len);
void fuzz_disk_close(struct fuzz_disk *disk);

/* ---- Compression ---------------------------------------------------- */

/* Stands in for LZ4: runs of a byte, as pairs of their length and the byte. */
extern const struct nf_codec fuzz_codec;

#endif
