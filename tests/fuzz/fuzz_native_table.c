/* SPDX-License-Identifier: ISC */
/*
 * Nodes of the file table. The input: the disk to begin with, a node, how many
 * of its bytes to replace and from where, these, and what exercise takes. What
 * is replaced is given as the difference from what is there.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/native_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct native_pages pages;
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;
    const uint8_t base = fuzz_u8(&in);

    native_image_open(base % 2 == 0 ? NATIVE_NAMES : NATIVE_RICH, &disk);
    native_image_pages(&disk, &pages);
    const uint32_t page = disk.bd.geo.page_size;
    const uint32_t node = pages.node[base / 2 % pages.n_node];
    const uint32_t n = fuzz_u16(&in) % page;
    const uint32_t from = fuzz_u16(&in) % page;
    for (uint32_t i = 0; i < n && in.len > 0; i++) {
        disk.bytes[node * (size_t)page + (from + i) % page] ^= fuzz_u8(&in);
    }
    native_image_seal(&disk);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
