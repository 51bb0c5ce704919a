/* SPDX-License-Identifier: ISC */
/*
 * The header page. The input: how many bytes of it to change, what these are
 * xor-ed with, and what exercise takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/mirage_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t header[] = {0};
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    mirage_image_open(MIRAGE_FULL, &disk);
    mirage_image_xor(&disk, header, 1, &in);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
