/* SPDX-License-Identifier: ISC */
/*
 * Pages are found here as docs/format-notafs.md says, not by the code under
 * test, and whatever they hold: positions and counts are cut to the page, and
 * a page is visited once.
 */
#include "tests/fuzz/native_image.h"

#include <stdlib.h>
#include <string.h>

#include <notafs/notafs.h>

#include "notafs/native_int.h"
#include "tests/support/mem_fault.h"

#define MAX_PAGES 512

enum context { DATA, ROPE, TABLE };

struct visit {
    struct fuzz_disk *disk;
    uint32_t size;
    uint64_t n_pages;
    bool done[MAX_PAGES];
    uint64_t sum[MAX_PAGES];
    struct native_pages *pages; /* note what there is, or NULL ... */
    bool queue;
    bool seal; /* put checksums right */
};

static uint64_t visit_page(struct visit *v, uint64_t id, enum context context);

static uint8_t *page_at(const struct fuzz_disk *disk, uint64_t id)
{
    return disk->bytes + id * disk->bd.geo.page_size;
}

static void visit_ptr(struct visit *v, uint8_t *ptr, enum context context)
{
    const uint64_t id = nf_get_le48(ptr);

    if (id != 0 && id < v->n_pages) {
        const uint64_t sum = visit_page(v, id, context);
        if (v->seal) {
            nf_put_le64(ptr + 12, sum);
        }
    }
}

static void visit_cell(struct visit *v, uint8_t *p, uint32_t off)
{
    uint32_t at = off;

    if (p[1] == 0) {
        if (off + 40 > v->size || p[off + 9] != 1 || (p[off + 10] & 1) != 0) {
            return;
        }
        at = off + 40 + p[off + 8];
    }
    if (at + 20 <= v->size) {
        const bool low = p[1] == 0 && p[off + 11] == 0;
        visit_ptr(v, p + at, p[1] > 0 ? TABLE : low ? DATA : ROPE);
    }
}

static void note(struct visit *v, uint64_t id, enum context context)
{
    struct native_pages *pages = v->pages;
    const uint16_t page = (uint16_t)id;

    if (context != DATA) {
        pages->node[pages->n_node++] = page;
    }
    if (v->queue) {
        pages->queue[pages->n_queue++] = page;
    } else if (context == ROPE) {
        pages->rope[pages->n_rope++] = page;
    } else if (context == TABLE && page_at(v->disk, id)[1] == 0) {
        pages->leaf[pages->n_leaf++] = page;
    }
}

static uint64_t visit_page(struct visit *v, uint64_t id, enum context context)
{
    uint8_t *p = page_at(v->disk, id);

    if (v->done[id]) {
        return v->sum[id];
    }
    v->done[id] = true;
    if (v->pages != NULL) {
        note(v, id, context);
    }
    if (context == ROPE) {
        for (uint32_t at = 8; at + 20 <= v->size; at += 20) {
            visit_ptr(v, p + at, p[1] > 1 ? ROPE : DATA);
        }
    } else if (context == TABLE) {
        for (uint32_t i = 0; i < nf_get_le16(p + 2); i++) {
            if (8 + 2 * i + 2 <= v->size) {
                visit_cell(v, p, nf_get_le16(p + 8 + 2 * i));
            }
        }
    }
    v->sum[id] = nf_xxh3(p, v->size);
    return v->sum[id];
}

static void visit_gen(struct visit *v, uint8_t *gen)
{
    visit_ptr(v, gen + 56, TABLE);
    v->queue = true;
    visit_ptr(v, gen + 76, gen[37] == 0 ? DATA : ROPE);
    v->queue = false;
}

/* None of the disks made here is so large that its slots are spread. */
static uint8_t *slot_at(const struct fuzz_disk *disk, uint32_t i)
{
    return page_at(disk, 1 + (uint64_t)i);
}

static bool is_gen(const uint8_t *p)
{
    return memcmp(p, "NFGEN", 5) == 0;
}

static void visit_begin(struct visit *v, struct fuzz_disk *disk)
{
    memset(v, 0, sizeof(*v));
    v->disk = disk;
    v->size = disk->bd.geo.page_size;
    v->n_pages = disk->bd.geo.page_count;
    fuzz_check(v->n_pages <= MAX_PAGES);
}

void native_image_seal(struct fuzz_disk *disk)
{
    static struct visit v;
    uint8_t *header = disk->bytes;

    visit_begin(&v, disk);
    v.seal = true;
    for (uint32_t i = 0; i < 8; i++) {
        uint8_t *gen = slot_at(disk, i);
        if (is_gen(gen)) {
            visit_gen(&v, gen);
        }
    }
    for (uint32_t i = 0; i < 8; i++) {
        uint8_t *gen = slot_at(disk, i);
        if (!is_gen(gen)) {
            continue;
        }
        for (uint32_t k = 0; k < nf_get_le16(gen + 224); k++) {
            uint8_t *at = gen + 232 + 14 * k;
            if (at + 14 <= gen + v.size && nf_get_le48(at) < v.n_pages) {
                nf_put_le64(at + 6,
                            nf_xxh3(page_at(disk, nf_get_le48(at)), v.size));
            }
        }
        nf_put_le64(gen + v.size - 8, nf_xxh3(gen, v.size - 8));
    }
    nf_put_le64(header + 504, nf_xxh3(header, 504));
}

uint8_t *native_image_gen(struct fuzz_disk *disk)
{
    uint8_t *newest = NULL;

    for (uint32_t i = 0; i < 8; i++) {
        uint8_t *gen = slot_at(disk, i);
        if (is_gen(gen) && (newest == NULL ||
                            nf_get_le64(gen + 16) > nf_get_le64(newest + 16))) {
            newest = gen;
        }
    }
    return newest != NULL ? newest : slot_at(disk, 0);
}

void native_image_pages(struct fuzz_disk *disk, struct native_pages *ret)
{
    static struct visit v;

    memset(ret, 0, sizeof(*ret));
    visit_begin(&v, disk);
    v.pages = ret;
    visit_gen(&v, native_image_gen(disk));
}

uint8_t *native_image_cell(struct fuzz_disk *disk, uint32_t page, uint32_t n)
{
    uint8_t *p = page_at(disk, page);
    const uint32_t count = nf_get_le16(p + 2);

    return count == 0 ? NULL : p + nf_get_le16(p + 8 + 2 * (n % count));
}

/* ---- Making them ---------------------------------------------------- */

static struct nf *build_mount(struct fuzz_disk *disk, struct mem_fault *mem)
{
    const struct nf_format_options format = {.uid = 0x1122334455667788};
    const struct nf_mount_options options = {.cache_bytes = 128 << 10,
                                             .codec = &fuzz_codec};
    struct nf *nf;

    fuzz_check(nf_format(&disk->bd, &mem->env, &format) == 0);
    fuzz_check(nf_mount(&disk->bd, &mem->env, &options, &nf) == 0);
    return nf;
}

static void put(struct nf *nf, const char *path, uint64_t off, size_t len)
{
    static uint8_t buf[32768];
    struct nf_file *file;

    memset(buf, path[0], sizeof(buf));
    fuzz_check(nf_open(nf, nf_path(path), NF_OPEN_CREATE, &file) == 0);
    fuzz_check(nf_write(file, off, buf, len) == 0);
    nf_close(file);
}

static void put_packed(struct nf *nf, const char *path, size_t len)
{
    struct nf_file *file;

    put(nf, path, 0, 1);
    fuzz_check(nf_open(nf, nf_path(path), 0, &file) == 0);
    fuzz_check(nf_set_compression(file, NF_COMPRESSION_LZ4) == 0);
    nf_close(file);
    for (size_t at = 0; at < len; at += 30000) {
        put(nf, path, at, 30000);
    }
}

static void sync(struct nf *nf)
{
    fuzz_check(nf_sync(nf) == 0);
}

static void build_rich(struct nf *nf)
{
    put(nf, "empty", 0, 0);
    put(nf, "inline", 0, 90);
    put(nf, "docs/one-page", 0, 400);
    put(nf, "docs/ten", 0, 5000);
    put(nf, "docs/deep/er/inline", 0, 30);
    sync(nf);
    put(nf, "high", 0, 15000);
    put(nf, "docs/hole", 300000, 700);
    put(nf, "gone/a", 0, 3000);
    put(nf, "gone/b", 0, 3000);
    sync(nf);
    fuzz_check(nf_mkdir(nf, nf_path("docs/nothing")) == 0);
    fuzz_check(nf_remove(nf, nf_path("gone"), NF_REMOVE_RECURSIVE) == 0);
    sync(nf);
    put(nf, "docs/ten", 2000, 600);
    sync(nf);
    put(nf, "inline", 90, 5);
    sync(nf);
}

/* Takes all pages and gives most back, one here, one there. */
static void build_full(struct nf *nf)
{
    char name[] = "f00";
    int err = 0;
    int n = 0;

    for (; err == 0; n++) {
        struct nf_file *file;
        uint8_t byte[200] = {1};
        name[1] = (char)('0' + n / 10);
        name[2] = (char)('0' + n % 10);
        err = nf_open(nf, nf_path(name), NF_OPEN_CREATE, &file);
        if (err == 0) {
            err = nf_write(file, 0, byte, sizeof(byte));
            nf_close(file);
        }
        if (n % 8 == 0) {
            sync(nf);
        }
    }
    for (int i = 0; i < n; i++) {
        name[1] = (char)('0' + i / 10);
        name[2] = (char)('0' + i % 10);
        if (i % 3 != 0 && i < n - 2) {
            fuzz_check(nf_remove(nf, nf_path(name), 0) == 0);
        }
        if (i % 8 == 0) {
            sync(nf);
        }
    }
    for (int i = 0; i < 4; i++) {
        sync(nf);
        put(nf, "large", 0, 2000);
    }
    sync(nf);
}

static void build_names(struct nf *nf)
{
    char name[100];

    memset(name, 'n', sizeof(name));
    name[99] = '\0';
    for (int i = 0; i < 60; i++) {
        name[i % 3] = (char)('a' + i % 26);
        name[98] = (char)('A' + i % 26);
        put(nf, name, 0, i % 4 == 0 ? 600 : 2);
    }
    sync(nf);
}

static void build(enum native_base base, struct fuzz_disk *ret)
{
    static const struct {
        uint32_t page_size;
        uint32_t n_pages;
    } shape[NATIVE_BASES] = {
        [NATIVE_FRESH] = {512, 64},   [NATIVE_RICH] = {512, 256},
        [NATIVE_FULL] = {512, 160},   [NATIVE_NAMES] = {512, 256},
        [NATIVE_LARGE] = {4096, 100},
    };
    static struct mem_fault mem;

    fuzz_disk_open(ret, shape[base].page_size,
                   shape[base].page_size * (size_t)shape[base].n_pages);
    mem_fault_init(&mem);
    struct nf *nf = build_mount(ret, &mem);
    switch (base) {
    case NATIVE_FRESH:
        break;
    case NATIVE_LARGE:
        put_packed(nf, "packed", 150000);
        build_rich(nf);
        break;
    case NATIVE_RICH:
        build_rich(nf);
        break;
    case NATIVE_FULL:
        build_full(nf);
        break;
    case NATIVE_NAMES:
        build_names(nf);
        break;
    }
    nf_unmount(nf);
}

void native_image_open(enum native_base base, struct fuzz_disk *ret)
{
    static struct fuzz_disk made[NATIVE_BASES]; /* for the whole run */
    const struct fuzz_disk *from = &made[base];

    if (from->bytes == NULL) {
        build(base, &made[base]);
    }
    const struct bd_geometry *geo = &from->bd.geo;
    const size_t len = (size_t)geo->page_count * geo->page_size;
    fuzz_disk_open(ret, geo->page_size, len);
    memcpy(ret->bytes, from->bytes, len);
}
