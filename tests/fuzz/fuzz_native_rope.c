/* SPDX-License-Identifier: ISC */
/*
 * Rope nodes. The input: height, size and flags of a file, as its record has
 * them; how many bytes of the nodes of its rope to replace, these, the highest
 * node first; and what exercise takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/native_image.h"

#include "notafs/platform/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct native_pages pages;
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    native_image_open(NATIVE_RICH, &disk);
    native_image_pages(&disk, &pages);
    const uint32_t page = disk.bd.geo.page_size;
    uint8_t *cell = NULL;
    for (uint32_t i = 0; i < pages.n_leaf && cell == NULL; i++) {
        for (uint32_t k = 0; k < 8 && cell == NULL; k++) {
            uint8_t *at = native_image_cell(&disk, pages.leaf[i], k);
            cell = at != NULL && at[11] > 1 ? at : NULL;
        }
    }
    fuzz_check(cell != NULL);
    cell[10] = (uint8_t)(cell[10] ^ fuzz_u8(&in));
    cell[11] = (uint8_t)(cell[11] ^ fuzz_u8(&in));
    nf_put_le64(cell + 32,
                nf_get_le64(cell + 32) ^ fuzz_number(fuzz_u32(&in), 0));
    const uint32_t n = fuzz_u16(&in);
    for (uint32_t i = 0; i < n && in.len > 0; i++) {
        const uint32_t node = pages.rope[i / page % pages.n_rope];
        disk.bytes[node * (size_t)page + i % page] ^= fuzz_u8(&in);
    }
    native_image_seal(&disk);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
