/* SPDX-License-Identifier: ISC */
/*
 * Generation pages. The input: the disk to begin with, how many bytes of the
 * newest generation page to replace and from where, these, and what exercise
 * takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/native_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    native_image_open((enum native_base)(fuzz_u8(&in) % NATIVE_BASES), &disk);
    const uint32_t page = disk.bd.geo.page_size;
    uint8_t *gen = native_image_gen(&disk);
    const uint32_t n = fuzz_u16(&in) % page;
    const uint32_t from = fuzz_u16(&in) % page;
    for (uint32_t i = 0; i < n && in.len > 0; i++) {
        gen[(from + i) % page] = fuzz_u8(&in);
    }
    native_image_seal(&disk);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
