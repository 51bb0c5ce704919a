/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

#define WIDE  ((uint64_t)1 << 20) /* disks of more pages than that ... */
#define THERE ((uint64_t)1 << 15) /* ... have this many */

static void init(struct mirage_disk *disk, uint32_t page_size,
                 uint64_t page_count)
{
    const struct bd_geometry geo = {
        .page_count = page_count > WIDE ? THERE : page_count,
        .page_size = page_size,
        .caps = BD_CAP_FLUSH,
    };
    memset(disk, 0, sizeof(*disk));
    mem_fault_init(&disk->mem);
    disk->fault = bd_fault_open(&geo);
    disk->fault->bd.geo.page_count = page_count;
    disk->cache_bytes = (size_t)16 * page_size;
}

void mirage_disk_open(struct mirage_disk *disk, uint32_t page_size,
                      uint64_t page_count, enum nf_checksum checksum)
{
    const struct nf_format_options options = {
        .profile = NF_PROFILE_MIRAGE,
        .checksum = checksum,
    };
    init(disk, page_size, page_count);
    assert_ok(nf_format(&disk->fault->bd, &disk->mem.env, &options));
    assert_ok(mirage_disk_mount(disk));
}

void mirage_disk_load(struct mirage_disk *disk, uint32_t page_size,
                      uint64_t page_count, const uint8_t *bytes)
{
    init(disk, page_size, page_count);
    for (uint64_t i = 0; i < page_count; i++) {
        bd_fault_store(disk->fault, i, bytes + i * page_size);
    }
}

void mirage_disk_close(struct mirage_disk *disk)
{
    mirage_disk_unmount(disk);
    ck_assert_uint_eq(disk->mem.live_bytes, 0);
    bd_fault_close(disk->fault);
}

int mirage_disk_mount(struct mirage_disk *disk)
{
    const struct nf_mount_options options = {
        .cache_bytes = disk->cache_bytes,
        .flags = disk->flags,
    };
    return nf_mount(&disk->fault->bd, &disk->mem.env, &options, &disk->nf);
}

void mirage_disk_unmount(struct mirage_disk *disk)
{
    nf_unmount(disk->nf);
    disk->nf = NULL;
}

void mirage_disk_remount(struct mirage_disk *disk)
{
    mirage_disk_unmount(disk);
    assert_ok(mirage_disk_mount(disk));
}

static void print_damage(void *ctx, const struct nf_finding *f)
{
    (void)ctx;
    if (f->err != 0) {
        printf("page %" PRIu64 ", byte %" PRIu64 " of %.*s: %s: %s\n", f->page,
               f->offset, (int)f->file_len, f->file, nf_errname(f->err),
               f->what);
    }
}

uint64_t mirage_disk_check(struct mirage_disk *disk)
{
    struct nf_scrub *scrub;
    struct nf_scrub_result result;
    int err;
    struct nf_stats stats;
    nf_stats(disk->nf, &stats);
    bool wide = stats.page_count > WIDE;
    assert_ok(nf_scrub_open(disk->nf, wide ? 0 : NF_SCRUB_ACCOUNT, print_damage,
                            NULL, &scrub));
    do {
        err = nf_scrub_step(scrub, 100);
    } while (err == 1);
    assert_ok(err);
    nf_scrub_result(scrub, &result);
    nf_scrub_close(scrub);
    return result.damaged;
}

int mirage_disk_put(struct mirage_disk *disk, const char *path,
                    const void *bytes, size_t len)
{
    struct nf_file *file;
    int err = nf_open(disk->nf, nf_path(path),
                      NF_OPEN_CREATE | NF_OPEN_TRUNCATE, &file);
    if (err == 0) {
        err = nf_write(file, 0, bytes, len);
        nf_close(file);
    }
    return err;
}

int mirage_disk_get(struct mirage_disk *disk, const char *path,
                    uint8_t **ret_bytes, size_t *ret_len)
{
    struct nf_file *file;
    struct nf_stat st;
    int err = nf_open(disk->nf, nf_path(path), 0, &file);
    if (err != 0) {
        return err;
    }
    assert_ok(nf_fstat(file, &st));
    uint8_t *bytes = malloc((size_t)st.size + 1);
    ck_assert_ptr_nonnull(bytes);
    err = nf_read(file, 0, bytes, (size_t)st.size, ret_len);
    nf_close(file);
    if (err != 0) {
        free(bytes);
        return err;
    }
    *ret_bytes = bytes;
    return 0;
}

void mirage_disk_expect(struct mirage_disk *disk, const char *path,
                        const void *bytes, size_t len)
{
    uint8_t *found;
    size_t found_len;
    assert_ok(mirage_disk_get(disk, path, &found, &found_len));
    ck_assert_uint_eq(found_len, len);
    ck_assert_mem_eq(found, bytes, len);
    free(found);
}
