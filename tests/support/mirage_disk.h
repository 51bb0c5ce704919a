/* SPDX-License-Identifier: ISC */
/*
 * A mirage disk on a device and memory that fail on demand. The functions that
 * return nothing fail the test when what they do fails.
 */
#ifndef TESTS_MIRAGE_DISK_H
#define TESTS_MIRAGE_DISK_H

#include <notafs/notafs.h>

#include "tests/support/bd_fault.h"
#include "tests/support/mem_fault.h"

struct mirage_disk {
    struct mem_fault mem;
    struct bd_fault *fault;
    struct nf *nf; /* NULL: not mounted */
    size_t cache_bytes;
    uint32_t flags; /* of mounts */
};

/* A disk of zeros, formatted and mounted with the smallest cache. Of more than
 * 2^20 pages there are the first 2^15 only. */
void mirage_disk_open(struct mirage_disk *disk, uint32_t page_size,
                      uint64_t page_count, enum nf_checksum checksum);

/* A disk with these bytes; not mounted. */
void mirage_disk_load(struct mirage_disk *disk, uint32_t page_size,
                      uint64_t page_count, const uint8_t *bytes);

/* Unmounts, and finds no memory left. */
void mirage_disk_close(struct mirage_disk *disk);

int mirage_disk_mount(struct mirage_disk *disk);
void mirage_disk_unmount(struct mirage_disk *disk);
void mirage_disk_remount(struct mirage_disk *disk);

/* Walks all pages of the committed generation: what is wrong, 0 if nothing. */
uint64_t mirage_disk_check(struct mirage_disk *disk);

/* Whole files. put creates or replaces; get gives a buffer to free. */
int mirage_disk_put(struct mirage_disk *disk, const char *path,
                    const void *bytes, size_t len);
int mirage_disk_get(struct mirage_disk *disk, const char *path,
                    uint8_t **ret_bytes, size_t *ret_len);

/* The file holds these bytes. */
void mirage_disk_expect(struct mirage_disk *disk, const char *path,
                        const void *bytes, size_t len);

#endif
