/* SPDX-License-Identifier: ISC */
/*
 * Header of a native disk: written by format, never changed. It fits in 512
 * bytes whatever the page size is, so that any device can be asked for it.
 *
 *    0  8  "NOTAFSN1"           40  8  read-compatible feature bits
 *    8  4  version, 1           48  8  write-compatible feature bits
 *   12  4  page size            56  4  checksum, 1: XXH3-64
 *   16  8  pages when formatted 60  4  generation slots, 8
 *   24  8  uid                  64  4  slot stride, pages
 *   32  8  incompatible bits    68 ..  0
 *  504  8  XXH3-64 of bytes 0..503
 *
 * The first copy is page 0; generation slot i is page (1 + i) * stride; the
 * second copy is page (1 + slots) * stride. The stride keeps slots 4096 bytes
 * apart on all but tiny disks, so that a torn physical sector hits one of them.
 */
#include "notafs/native_int.h"

#define HEADER_LEN   512u
#define HEADER_SUM   504u
#define VERSION      1u
#define MAGIC        "NOTAFSN1"
#define MIRAGE_MAGIC "NOTAFS\0\0"
#define STRIDE_BYTES 4096u
#define TINY_DISK    ((uint64_t)1 << 20) /* bytes: slots are not spread below */
#define MAX_PAGES    ((uint64_t)1 << 48)

static uint32_t stride_for(uint32_t page_size, uint64_t page_count)
{
    bool tiny = page_count < TINY_DISK / page_size;
    return page_size >= STRIDE_BYTES || tiny ? 1 : STRIDE_BYTES / page_size;
}

void nf_native_header_put(uint8_t *p, const struct nf_disk *disk)
{
    memset(p, 0, HEADER_LEN);
    memcpy(p, MAGIC, 8);
    nf_put_le32(p + 8, VERSION);
    nf_put_le32(p + 12, disk->page_size);
    nf_put_le64(p + 16, disk->page_count);
    nf_put_le64(p + 24, disk->uid);
    nf_put_le32(p + 56, 1);
    nf_put_le32(p + 60, disk->slots);
    nf_put_le32(p + 64, disk->slot_stride);
    nf_put_le64(p + HEADER_SUM, nf_xxh3(p, HEADER_SUM));
}

static bool page_size_ok(uint32_t size)
{
    return size >= 512 && size <= 65536 && (size & (size - 1)) == 0;
}

int nf_native_header_get(const uint8_t *p, struct nf_disk *ret)
{
    struct nf_disk disk;
    if (memcmp(p, MAGIC, 8) != 0) {
        return NF_EC_NOT_FORMATTED;
    }
    if (nf_get_le64(p + HEADER_SUM) != nf_xxh3(p, HEADER_SUM)) {
        return NF_EC_HEADER;
    }
    if (nf_get_le32(p + 8) != VERSION || nf_get_le64(p + 32) != 0) {
        return NF_EC_VERSION;
    }
    if (nf_get_le32(p + 56) != 1) {
        return NF_EC_CHECKSUM_KIND;
    }
    memset(&disk, 0, sizeof(disk));
    disk.profile = NF_PROFILE_NATIVE;
    disk.checksum = NF_CHECKSUM_XXH3;
    disk.checksum_len = 8;
    disk.page_size = nf_get_le32(p + 12);
    disk.page_count = nf_get_le64(p + 16);
    disk.uid = nf_get_le64(p + 24);
    disk.write_features = nf_get_le64(p + 48);
    disk.slots = nf_get_le32(p + 60);
    disk.slot_stride = nf_get_le32(p + 64);
    if (!page_size_ok(disk.page_size) || disk.page_count > MAX_PAGES ||
        disk.slots != NATIVE_SLOTS || disk.slot_stride < 1 ||
        disk.slot_stride > STRIDE_BYTES / 512 ||
        disk.page_count < nf_native_first_page(&disk)) {
        return NF_EC_HEADER;
    }
    *ret = disk;
    return 0;
}

/* 512 bytes at a byte offset that is a multiple of 512. buf holds one page. */
static int read_512(struct bd *bd, uint64_t off, uint8_t *buf,
                    const uint8_t **ret)
{
    uint64_t page = off / bd->geo.page_size;
    if (page >= bd->geo.page_count) {
        return NF_ERANGE;
    }
    int err = bd_read(bd, page, 1, buf);
    if (err == 0) {
        *ret = buf + off % bd->geo.page_size;
    }
    return err;
}

/* Look for the second copy where each page size and stride would have it. */
static int find_copy(struct bd *bd, uint8_t *buf, struct nf_disk *ret)
{
    for (uint32_t size = 512; size <= 65536; size *= 2) {
        for (uint32_t unit = size;; unit = STRIDE_BYTES) {
            uint64_t off = (uint64_t)(NATIVE_SLOTS + 1) * unit;
            const uint8_t *p;
            struct nf_disk disk;
            int err = read_512(bd, off, buf, &p);
            if (err == 0) {
                err = nf_native_header_get(p, &disk);
            }
            if (err == 0 && disk.page_size == size &&
                disk.slot_stride * size == unit) {
                *ret = disk;
                ret->header_damaged = true;
                return 0;
            }
            if (unit >= STRIDE_BYTES) {
                break;
            }
        }
    }
    return NF_EC_HEADER;
}

int nf_native_probe(struct bd *bd, struct nf_mem *mem, struct nf_disk *ret)
{
    const uint8_t *p;
    uint8_t *buf = nf_alloc_aligned(mem, bd->geo.page_size, 4096);
    if (buf == NULL) {
        return NF_ENOMEM;
    }
    int err = read_512(bd, 0, buf, &p);
    if (err == 0) {
        err = nf_native_header_get(p, ret);
    }
    if (err != 0 && err != NF_EC_VERSION && err != NF_EC_CHECKSUM_KIND) {
        int copy = find_copy(bd, buf, ret);
        err = copy == 0 ? 0 : err;
    }
    nf_free(mem, buf, bd->geo.page_size);
    return err;
}

/* Make zeros of all second copies that find_copy could take for one. */
int nf_native_forget_copies(struct bd *bd, struct nf_mem *mem)
{
    uint32_t size = bd->geo.page_size;
    uint8_t *page = nf_alloc_aligned(mem, size, 4096);
    if (page == NULL) {
        return NF_ENOMEM;
    }
    int err = 0;
    for (uint32_t unit = 512; err == 0 && unit <= 65536; unit *= 2) {
        uint64_t off = (uint64_t)(NATIVE_SLOTS + 1) * unit;
        const uint8_t *p;
        err = read_512(bd, off, page, &p);
        if (err == NF_ERANGE) {
            err = 0;
            break;
        }
        if (err == 0 && memcmp(p, MAGIC, 8) == 0) {
            memset(page, 0, size);
            err = bd_write(bd, off / size, 1, page);
        }
    }
    if (err == 0) {
        err = bd_flush(bd);
    }
    nf_free(mem, page, size);
    return err;
}

/* A number that no earlier format of this disk is likely to have had. */
static uint64_t draw_uid(const struct nf_env *env, uint8_t *page, size_t len)
{
    if (env->now != NULL) {
        struct nf_time now = env->now(env->ctx);
        nf_put_le64(page, nf_get_le64(page) ^ (uint64_t)now.sec);
        nf_put_le64(page + 8, nf_get_le64(page + 8) ^ now.nsec);
    }
    return nf_xxh3(page, len);
}

int nf_native_format_disk(struct bd *bd, struct nf_mem *mem,
                          const struct nf_format_options *options)
{
    uint32_t size = bd->geo.page_size;
    struct nf_disk disk;
    memset(&disk, 0, sizeof(disk));
    disk.page_size = size;
    disk.page_count = bd->geo.page_count;
    disk.checksum = NF_CHECKSUM_XXH3;
    disk.slots = NATIVE_SLOTS;
    disk.slot_stride = stride_for(size, disk.page_count);
    uint64_t first = nf_native_first_page(&disk);
    if (!page_size_ok(size) || disk.page_count < first + NATIVE_MIN_FREE ||
        disk.page_count > MAX_PAGES ||
        (options->checksum != NF_CHECKSUM_DEFAULT &&
         options->checksum != NF_CHECKSUM_XXH3)) {
        return NF_EINVAL;
    }
    uint8_t *page = nf_alloc_aligned(mem, size, 4096);
    if (page == NULL) {
        return NF_ENOMEM;
    }
    /* Nothing mounts until the new header is there: first the old one goes, its
     * copy before it, then everything else is written, then the header. */
    int err = nf_native_forget_copies(bd, mem);
    if (err == 0) {
        err = bd_read(bd, 0, 1, page);
    }
    disk.uid = options->uid;
    if (err == 0 && disk.uid == 0) {
        disk.uid = draw_uid(mem->env, page, size);
    }
    memset(page, 0, size);
    for (uint64_t i = 0; err == 0 && i < first; i++) {
        err = bd_write(bd, i, 1, page);
        if (err == 0 && (i == 0 || i == first - 1)) {
            err = bd_flush(bd);
        }
    }
    if (err == 0) {
        err = nf_native_gen_first(bd, mem, &disk, page);
    }
    memset(page, 0, size);
    nf_native_header_put(page, &disk);
    if (err == 0) {
        err = bd_write(bd, (uint64_t)(1 + disk.slots) * disk.slot_stride, 1,
                       page);
    }
    if (err == 0) {
        err = bd_flush(bd);
    }
    if (err == 0) {
        err = bd_write(bd, 0, 1, page);
    }
    if (err == 0) {
        err = bd_flush(bd);
    }
    nf_free(mem, page, size);
    return err;
}
