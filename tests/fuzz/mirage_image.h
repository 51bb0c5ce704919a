/* SPDX-License-Identifier: ISC */
/*
 * Hostile mirage disks: small valid ones, to be changed. They have no
 * checksums (NO-CHECK), so that whatever is wrong with them gets in.
 */
#ifndef TESTS_MIRAGE_IMAGE_H
#define TESTS_MIRAGE_IMAGE_H

#include "tests/fuzz/fuzz.h"

enum mirage_base {
    MIRAGE_FRESH, /* just formatted, ids of one byte */
    MIRAGE_RICH,  /* files of all heights, directories, a queue of two levels */
    MIRAGE_FULL,  /* ids of one byte, never-used pages are used up */
};
#define MIRAGE_BASES 3

/* A fresh copy of that disk; close it. */
void mirage_image_open(enum mirage_base base, struct fuzz_disk *ret);

/* What the pages that the newest generation of a base reaches are; lists are
 * never empty. */
struct mirage_pages {
    uint16_t root[1];
    uint16_t leaf[1];   /* of the generation */
    uint16_t table[64]; /* nodes of its rope, the highest first */
    uint16_t rope[512]; /* nodes of files */
    uint16_t queue[64];
    uint32_t n_table;
    uint32_t n_rope;
    uint32_t n_queue;
};
const struct mirage_pages *mirage_image_pages(enum mirage_base base);

/* Change bytes of n pages, one after the other, as the input says: how many,
 * and then what each is xor-ed with. */
void mirage_image_xor(struct fuzz_disk *disk, const uint16_t *pages, uint32_t n,
                      struct fuzz_input *in);

#endif
