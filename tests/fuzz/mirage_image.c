/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/mirage_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/notafs.h>

#include "notafs/mirage_int.h"
#include "tests/support/mem_fault.h"

#define PAGE 512

static const uint32_t page_counts[MIRAGE_BASES] = {80, 900, 200};

/* Made once, and copied. */
static struct {
    uint8_t *bytes;
    struct mirage_pages pages;
} made[MIRAGE_BASES];

static void put(struct nf *nf, const char *path, size_t len)
{
    static uint8_t bytes[40000];
    struct nf_file *file;
    memset(bytes, path[0], sizeof(bytes));
    fuzz_check(nf_open(nf, nf_path(path), NF_OPEN_CREATE | NF_OPEN_TRUNCATE,
                       &file) == 0);
    fuzz_check(nf_write(file, 0, bytes, len) == 0);
    nf_close(file);
}

static void fill_rich(struct nf *nf)
{
    char path[32];
    for (unsigned i = 0; i < 250; i++) {
        snprintf(path, sizeof(path), "f%03u", i);
        put(nf, path, 100);
    }
    fuzz_check(nf_sync(nf) == 0);
    for (unsigned i = 0; i < 250; i++) {
        snprintf(path, sizeof(path), "f%03u", i);
        if (i % 2 == 0 || i > 20) {
            fuzz_check(nf_remove(nf, nf_path(path), 0) == 0);
        }
        if (i % 2 == 0 && i > 20) {
            put(nf, path + 1, 100); /* between free pages */
        }
    }
    fuzz_check(nf_sync(nf) == 0);
    for (unsigned i = 22; i < 250; i += 2) {
        snprintf(path, sizeof(path), "%03u", i);
        fuzz_check(nf_remove(nf, nf_path(path), 0) == 0);
    }
    put(nf, "dir/sub/empty", 0);
    put(nf, "dir/large", 40000);
    put(nf, "dir/medium", 5000);
    fuzz_check(nf_mkdir(nf, nf_path("none")) == 0);
    fuzz_check(nf_sync(nf) == 0);
}

static void fill_full(struct nf *nf)
{
    for (unsigned i = 0; i < 12; i++) {
        put(nf, i % 2 == 0 ? "a" : "b", 9000);
        put(nf, "d/c", 600);
        fuzz_check(nf_sync(nf) == 0);
    }
}

static void note(void *ctx, const struct nf_finding *f)
{
    struct mirage_pages *pages = ctx;
    fuzz_check(f->err == 0);
    if (f->kind == NF_PAGE_TABLE && pages->n_table < 64) {
        pages->table[pages->n_table++] = (uint16_t)f->page;
    } else if (f->kind == NF_PAGE_QUEUE && pages->n_queue < 64) {
        pages->queue[pages->n_queue++] = (uint16_t)f->page;
    } else if ((f->kind == NF_PAGE_INNER || f->kind == NF_PAGE_DATA) &&
               pages->n_rope < 512) {
        pages->rope[pages->n_rope++] = (uint16_t)f->page;
    }
}

static void find_pages(struct nf *nf, struct mirage_pages *pages)
{
    struct nf_scrub *scrub;
    fuzz_check(nf_scrub_open(nf, 0, note, pages, &scrub) == 0);
    while (nf_scrub_step(scrub, 1000) == 1) {
    }
    nf_scrub_close(scrub);
    pages->leaf[0] = (uint16_t)nf->mirage->leaf.page;
    pages->root[0] = (uint16_t)(nf->mirage->leaf.root + 1);
}

static void make(enum mirage_base base)
{
    const struct nf_format_options options = {
        .profile = NF_PROFILE_MIRAGE,
        .checksum = NF_CHECKSUM_NONE,
    };
    struct fuzz_disk disk;
    struct mem_fault mem;
    struct nf *nf;
    mem_fault_init(&mem);
    fuzz_disk_open(&disk, PAGE, (size_t)page_counts[base] * PAGE);
    fuzz_check(nf_format(&disk.bd, &mem.env, &options) == 0);
    fuzz_check(nf_mount(&disk.bd, &mem.env, NULL, &nf) == 0);
    switch (base) {
    case MIRAGE_FRESH:
        break;
    case MIRAGE_RICH:
        fill_rich(nf);
        fuzz_check(nf->mirage->queue_pages > 100);
        break;
    case MIRAGE_FULL:
        fill_full(nf);
        fuzz_check(nf->space.free_start == nf->page_count);
        break;
    }
    find_pages(nf, &made[base].pages);
    nf_unmount(nf);
    made[base].bytes = disk.bytes; /* for ever */
}

void mirage_image_open(enum mirage_base base, struct fuzz_disk *ret)
{
    size_t len = (size_t)page_counts[base] * PAGE;
    if (made[base].bytes == NULL) {
        make(base);
    }
    fuzz_disk_open(ret, PAGE, len);
    memcpy(ret->bytes, made[base].bytes, len);
}

const struct mirage_pages *mirage_image_pages(enum mirage_base base)
{
    return &made[base].pages;
}

void mirage_image_xor(struct fuzz_disk *disk, const uint16_t *pages, uint32_t n,
                      struct fuzz_input *in)
{
    uint32_t len = fuzz_u16(in);
    for (uint32_t i = 0; i < len && i < n * PAGE && in->len > 0; i++) {
        disk->bytes[pages[i / PAGE] * (size_t)PAGE + i % PAGE] ^= fuzz_u8(in);
    }
}
