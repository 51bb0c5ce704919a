/* SPDX-License-Identifier: ISC */
/*
 * Hostile native disks: small valid ones, changed, with all checksums put
 * right from the leaves to the header, so that what is wrong with them gets
 * past the checksums.
 */
#ifndef TESTS_NATIVE_IMAGE_H
#define TESTS_NATIVE_IMAGE_H

#include "tests/fuzz/fuzz.h"

enum native_base {
    NATIVE_FRESH, /* just formatted */
    NATIVE_RICH,  /* files and directories of all kinds, some removed */
    NATIVE_FULL,  /* never-used pages are used up, the queue has a rope */
    NATIVE_NAMES, /* a high file table */
    NATIVE_LARGE, /* pages of 4096 bytes */
};
#define NATIVE_BASES 5

/* A fresh copy of that disk; close it. */
void native_image_open(enum native_base base, struct fuzz_disk *ret);

/* Put all checksums right. */
void native_image_seal(struct fuzz_disk *disk);

/* ---- Places --------------------------------------------------------- */

/* The newest generation page; where there is none, what is in the first slot.
 */
uint8_t *native_image_gen(struct fuzz_disk *disk);

/* What the pages that the newest generation reaches are. */
struct native_pages {
    uint16_t node[512];  /* nodes of ropes and of the table; then the rest */
    uint16_t leaf[512];  /* leaves of the table */
    uint16_t rope[512];  /* nodes of ropes of files */
    uint16_t queue[512]; /* pages of the queue's rope */
    uint32_t n_node;
    uint32_t n_leaf;
    uint32_t n_rope;
    uint32_t n_queue;
};
void native_image_pages(struct fuzz_disk *disk, struct native_pages *ret);

/* The record of the n-th file or directory of a leaf, NULL if it has none. */
uint8_t *native_image_cell(struct fuzz_disk *disk, uint32_t page, uint32_t n);

#endif
