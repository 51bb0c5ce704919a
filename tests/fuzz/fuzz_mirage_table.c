/* SPDX-License-Identifier: ISC */
/*
 * Nodes of the file table, and so its bytes. The input: how many bytes of them
 * to change, what these are xor-ed with, and what exercise takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/mirage_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    mirage_image_open(MIRAGE_RICH, &disk);
    const struct mirage_pages *pages = mirage_image_pages(MIRAGE_RICH);
    mirage_image_xor(&disk, pages->table, pages->n_table, &in);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
