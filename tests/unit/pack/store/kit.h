/* SPDX-License-Identifier: ISC */
/* What the tests of stores share: opening on files that can fail, paths from
 * text. */
#ifndef TESTS_PACK_KIT_H
#define TESTS_PACK_KIT_H

#include <notafs/pack.h>

#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

/* Options for a store on fault, of a configuration by name. */
struct pk_open kit_open(struct vfs_fault *fault, const char *config,
                        uint32_t flags);

/* A path of up to 8 steps, "a/b"; text lives as long as it. */
struct kit_path {
    struct pk_slice steps[8];
    struct pk_path path;
};
struct pk_path kit_path(struct kit_path *buf, const char *text);

struct pk_slice kit_text(const char *text);

/* Commit with parents (0 or 1) and a date, moving branch main. */
int kit_commit(struct pk_tree *tree, const struct pk_digest *parent,
               int64_t date, struct pk_digest *ret_hash);

/* Contents for a seed, into buf of len bytes. */
void kit_contents(uint64_t seed, uint32_t len, uint8_t *buf);

/* The file is in both, with the same bytes. */
void kit_same_file(struct vfs_fault *a, struct vfs_fault *b, const char *name);

#endif
