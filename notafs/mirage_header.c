/* SPDX-License-Identifier: ISC */
/*
 * Header and format of the mirage profile.
 *
 *   page 0        page 1..4: roots            page 5..12: leaves
 *    0  8  magic   0  8  first generation      0  8  uid of the header
 *    8  8  pages   8  2  slots in use: 0 or 8   8  8  generation
 *   16  4  page    10 .  ids of leaves, w each 16  w  first page never used
 *          size    -4  4  checksum             +  p  root of the free queue
 *   20  4  roots: 4                            +  8  free pages, signed
 *   24  1  checksum bytes: 0 or 4              +  p  root of the file table
 *   25  8  its name                           -4  4  checksum
 *   33  8  uid: xor of the words of page 0 before
 *   -4  4  checksum
 *
 * The checksum of such a page is taken with 1 in its own place.
 *
 * OCaml Notafs tells leaves of an earlier format by the uid alone, and may draw
 * the same uid again: pages 6..12 are cleared here, and a uid of 0 is drawn
 * from the pages up to 12 instead. They are all zero on a blank disk, where
 * both programs write the same.
 */
#include "notafs/mirage_int.h"

#define MAGIC      0x0000534641544F4Eu /* NOTAFS */
#define HEADER_LEN 41

static uint32_t self_sum(const struct mirage_geo *geo, uint8_t *page)
{
    uint8_t *at = page + geo->page_size - geo->sum_len;
    if (geo->sum_len == 0) {
        return 0;
    }
    uint32_t stored = nf_get_le32(at);
    nf_put_le32(at, MIRAGE_BLANK_SUM);
    uint32_t sum = nf_adler32(page, geo->page_size);
    nf_put_le32(at, stored);
    return sum;
}

bool nf_mirage_self_ok(const struct mirage_geo *geo, uint8_t *page)
{
    return geo->sum_len == 0 ||
           nf_get_le32(page + geo->page_size - 4) == self_sum(geo, page);
}

void nf_mirage_self_put(const struct mirage_geo *geo, uint8_t *page)
{
    if (geo->sum_len != 0) {
        nf_put_le32(page + geo->page_size - 4, self_sum(geo, page));
    }
}

static const char *checksum_name(enum nf_checksum checksum)
{
    return checksum == NF_CHECKSUM_ADLER32 ? "ADLER-32" : "NO-CHECK";
}

/* The fields of a header; what is not in them is left alone. */
static int header_get(const uint8_t *p, struct nf_disk *ret)
{
    struct nf_disk disk;
    struct mirage_geo geo;
    memset(&disk, 0, sizeof(disk));
    if (nf_get_le64(p) != MAGIC) {
        return NF_EC_NOT_FORMATTED;
    }
    disk.profile = NF_PROFILE_MIRAGE;
    disk.page_count = nf_get_le64(p + 8);
    disk.page_size = nf_get_le32(p + 16);
    disk.checksum_len = p[24];
    disk.uid = nf_get_le64(p + 33);
    if (memcmp(p + 25, "ADLER-32", 8) == 0) {
        disk.checksum = NF_CHECKSUM_ADLER32;
    } else if (memcmp(p + 25, "NO-CHECK", 8) == 0) {
        disk.checksum = NF_CHECKSUM_NONE;
    } else {
        return NF_EC_CHECKSUM_KIND;
    }
    if (!nf_mirage_geo_init(&geo, disk.page_count, disk.page_size,
                            disk.checksum) ||
        nf_get_le32(p + 20) != MIRAGE_ROOTS ||
        geo.sum_len != disk.checksum_len) {
        return NF_EC_HEADER;
    }
    *ret = disk;
    return 0;
}

void nf_mirage_header_put(const struct nf_disk *disk,
                          const struct mirage_geo *geo, uint8_t *page)
{
    memset(page, 0, geo->page_size);
    nf_put_le64(page, MAGIC);
    nf_put_le64(page + 8, disk->page_count);
    nf_put_le32(page + 16, geo->page_size);
    nf_put_le32(page + 20, MIRAGE_ROOTS);
    page[24] = (uint8_t)geo->sum_len;
    memcpy(page + 25, checksum_name(disk->checksum), 8);
    nf_put_le64(page + 33, disk->uid);
    nf_mirage_self_put(geo, page);
}

/* Whether the whole header page has its checksum. The device's pages may be
 * smaller than the disk's: sum over as many of them as it takes. */
static int header_verify(struct bd *bd, struct nf_mem *mem,
                         struct nf_disk *disk)
{
    struct mirage_geo geo;
    uint32_t size = disk->page_size;
    uint32_t unit = bd->geo.page_size;
    uint32_t n = size > unit ? size / unit : 1;
    size_t len = (size_t)n * unit;
    bool ok = nf_mirage_geo_init(&geo, disk->page_count, size, disk->checksum);
    nf_assert(ok);
    if (n > bd->geo.page_count) {
        return NF_EC_DISK_SIZE;
    }
    uint8_t *page = nf_alloc_aligned(mem, len, 4096);
    if (page == NULL) {
        return NF_ENOMEM;
    }
    int err = bd_read(bd, 0, n, page);
    if (err == 0) {
        disk->header_damaged = !nf_mirage_self_ok(&geo, page);
    }
    nf_free(mem, page, len);
    return err;
}

int nf_mirage_probe(struct bd *bd, struct nf_mem *mem, struct nf_disk *ret)
{
    struct nf_disk disk;
    uint8_t *page = nf_alloc_aligned(mem, bd->geo.page_size, 4096);
    if (page == NULL) {
        return NF_ENOMEM;
    }
    int err = bd_read(bd, 0, 1, page);
    if (err == 0) {
        err = header_get(page, &disk);
    }
    nf_free(mem, page, bd->geo.page_size);
    if (err == 0) {
        err = header_verify(bd, mem, &disk);
    }
    if (err == 0) {
        *ret = disk;
    }
    return err;
}

/* ---- Format --------------------------------------------------------- */

static uint64_t words_xor(const uint8_t *p, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        sum ^= nf_get_le64(p + i);
    }
    return sum;
}

/* The uid for a disk whose first pages are these. */
static uint64_t draw_uid(const uint8_t *pages, uint32_t page_size)
{
    uint64_t uid = words_xor(pages, page_size);
    return uid != 0 ? uid
                    : words_xor(pages, (size_t)MIRAGE_BLANK_START * page_size);
}

/* Everything up to the first page of data, as a new disk has it. */
static void blank_pages(const struct nf_disk *disk,
                        const struct mirage_geo *geo, uint8_t *pages)
{
    uint32_t size = geo->page_size;
    struct mirage_root root = {true, 0, 0, {0}};
    struct mirage_leaf leaf;
    memset(pages, 0, (size_t)MIRAGE_BLANK_START * size);
    nf_mirage_header_put(disk, geo, pages);
    for (uint32_t i = 1; i < MIRAGE_ROOTS; i++) {
        nf_mirage_root_put(geo, &root, pages + (size_t)i * size);
    }
    root.first = 1;
    root.n_slots = MIRAGE_SLOTS;
    for (uint32_t i = 0; i < MIRAGE_SLOTS; i++) {
        root.slots[i] = MIRAGE_FIRST_PAGE + i;
    }
    nf_mirage_root_put(geo, &root, pages + (size_t)MIRAGE_ROOTS * size);
    memset(&leaf, 0, sizeof(leaf));
    leaf.generation = 1;
    leaf.free_start = MIRAGE_BLANK_START;
    leaf.free_count = disk->page_count - MIRAGE_BLANK_START;
    nf_mirage_leaf_put(geo, disk->uid, &leaf,
                       pages + (size_t)MIRAGE_FIRST_PAGE * size);
}

/* In three steps, so that a crash leaves a disk that is not formatted: the old
 * header goes before anything else, and the new one comes after. */
static int write_blank(struct bd *bd, uint8_t *pages, uint8_t *zero)
{
    int err = bd_write(bd, 0, 1, zero);
    if (err == 0) {
        err = bd_flush(bd);
    }
    if (err == 0) {
        err =
            bd_write(bd, 1, MIRAGE_BLANK_START - 1, pages + bd->geo.page_size);
    }
    if (err == 0) {
        err = bd_flush(bd);
    }
    if (err == 0) {
        err = bd_write(bd, 0, 1, pages);
    }
    return err == 0 ? bd_flush(bd) : err;
}

/* OCaml Notafs takes ids of 4 bytes for signed ones. */
static bool can_format(uint64_t page_count, uint32_t page_size)
{
    return page_size <= MIRAGE_MAX_FORMAT && page_count >= MIRAGE_MIN_PAGES &&
           (page_count <= INT32_MAX || page_count > UINT32_MAX);
}

int nf_mirage_format_disk(struct bd *bd, struct nf_mem *mem,
                          const struct nf_format_options *options)
{
    struct mirage_geo geo;
    struct nf_disk disk;
    uint32_t size = bd->geo.page_size;
    size_t len = (size_t)(MIRAGE_BLANK_START + 1) * size; /* and a zero page */
    memset(&disk, 0, sizeof(disk));
    disk.page_count = bd->geo.page_count;
    disk.checksum = options->checksum != NF_CHECKSUM_DEFAULT
                        ? options->checksum
                        : NF_CHECKSUM_ADLER32;
    if (!nf_mirage_geo_init(&geo, disk.page_count, size, disk.checksum) ||
        !can_format(disk.page_count, size)) {
        return NF_EINVAL;
    }
    uint8_t *pages = nf_alloc_aligned(mem, len, 4096);
    if (pages == NULL) {
        return NF_ENOMEM;
    }
    uint8_t *zero = pages + (size_t)MIRAGE_BLANK_START * size;
    memset(zero, 0, size);
    int err = bd_read(bd, 0, MIRAGE_BLANK_START, pages);
    if (err == 0) {
        disk.uid = options->uid != 0 ? options->uid : draw_uid(pages, size);
        blank_pages(&disk, &geo, pages);
        err = nf_native_format.forget_copies(bd, mem);
    }
    if (err == 0) {
        err = write_blank(bd, pages, zero);
    }
    nf_free(mem, pages, len);
    return err;
}
