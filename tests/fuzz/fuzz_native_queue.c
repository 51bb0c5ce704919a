/* SPDX-License-Identifier: ISC */
/*
 * The free queue. The input: how many bytes of the generation's fields about it
 * to replace, these (from byte 96 on, counts of what was ever pushed included),
 * the ranges of the tail (their number, then 4 bytes each), how many bytes of
 * the queue's pages to replace, these, and what exercise takes. Bytes of pages
 * and fields are given as the difference from what is there.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/native_image.h"

#include "notafs/platform/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct native_pages pages;
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    native_image_open(NATIVE_FULL, &disk);
    native_image_pages(&disk, &pages);
    fuzz_check(pages.n_queue > 0);
    const uint32_t page = disk.bd.geo.page_size;
    uint8_t *gen = native_image_gen(&disk);
    uint32_t n = fuzz_u8(&in) % 104;
    for (uint32_t i = 0; i < n && in.len > 0; i++) {
        gen[96 + i] ^= fuzz_u8(&in);
    }
    n = fuzz_u8(&in);
    if (n > 0) {
        nf_put_le16(gen + 226, (uint16_t)n);
        uint8_t *tail = gen + 232 + 14 * nf_get_le16(gen + 224);
        for (; n > 0 && tail + 12 <= gen + page - 8; n--, tail += 12) {
            nf_put_le48(tail, fuzz_u16(&in));
            nf_put_le48(tail + 6, fuzz_u16(&in));
        }
    }
    n = fuzz_u16(&in);
    for (uint32_t i = 0; i < n && in.len > 0; i++) {
        const uint32_t at = pages.queue[i / page % pages.n_queue];
        disk.bytes[at * (size_t)page + i % page] ^= fuzz_u8(&in);
    }
    native_image_seal(&disk);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
