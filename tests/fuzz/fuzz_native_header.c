/* SPDX-License-Identifier: ISC */
/*
 * The header of a native disk. The input: options, and the two copies; those of
 * their checksums that options say are put right.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/native_image.h"

#include <string.h>

#include <notafs/notafs.h>

#include "notafs/native_int.h"
#include "tests/support/mem_fault.h"

/* What was decoded is encoded as it was. */
static void check_codec(const uint8_t *p)
{
    uint8_t again[512];
    struct nf_disk disk;

    if (nf_native_header_get(p, &disk) != 0 || disk.write_features != 0) {
        return;
    }
    nf_native_header_put(again, &disk);
    fuzz_check(memcmp(p, again, 40) == 0);
    fuzz_check(memcmp(p + 48, again + 48, 20) == 0);
}

/* Whatever pages the device is seen in, a probe says the same. */
static void check_probe(const struct fuzz_disk *disk)
{
    struct mem_fault mem;
    struct nf_disk first = {0};
    int want = 1;

    mem_fault_init(&mem);
    for (uint32_t size = 512; size <= 8192; size *= 2) {
        struct bd bd = disk->bd;
        struct nf_disk found = {0};

        bd.geo.page_count = bd.geo.page_count * bd.geo.page_size / size;
        bd.geo.page_size = size;
        ((struct fuzz_disk *)bd.dev)->bd.geo = bd.geo;
        const int err = nf_probe(&bd, &mem.env, &found);
        fuzz_check(want == 1 || err == want);
        if (err == 0 && want == 0) {
            fuzz_check(found.page_size == first.page_size);
            fuzz_check(found.uid == first.uid);
        }
        first = found;
        want = err;
    }
    fuzz_check(mem.live_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;
    const uint8_t options = fuzz_u8(&in);

    native_image_open(NATIVE_RICH, &disk);
    const struct bd_geometry geo = disk.bd.geo;
    for (uint32_t copy = 0; copy < 2; copy++) {
        uint8_t *p = disk.bytes + (copy == 0 ? 0 : 9 * geo.page_size);

        for (size_t i = 0; i < 80 && in.len > 0; i++) {
            p[i] = fuzz_u8(&in);
        }
        if ((options >> copy & 1) != 0) {
            nf_put_le64(p + 504, nf_xxh3(p, 504));
        }
        check_codec(p);
    }
    check_probe(&disk);
    disk.bd.geo = geo;
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
