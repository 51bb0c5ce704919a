/* SPDX-License-Identifier: ISC */
/*
 * The root page in use. The input: how many bytes of them to
 * change, what these are xor-ed with, and what exercise takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/mirage_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    mirage_image_open(MIRAGE_FULL, &disk);
    const struct mirage_pages *pages = mirage_image_pages(MIRAGE_FULL);
    mirage_image_xor(&disk, pages->root, 1, &in);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
