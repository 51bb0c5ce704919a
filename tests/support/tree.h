/* SPDX-License-Identifier: ISC */
/*
 * All that a mounted disk holds, as numbers that can be compared: one hash for
 * each entry, over its path, kind, size, time and bytes.
 */
#ifndef TESTS_TREE_H
#define TESTS_TREE_H

#include <notafs/notafs.h>

/* Starts as {0}, and can be read again and again. */
struct tree {
    uint64_t *entries;
    size_t n;
    size_t cap;
    uint64_t sum; /* of all entries, in any order */
    int err;      /* the first error met; 0: everything could be read */
};

/* Read everything but the entry of that name in the root (NULL: everything).
 * What cannot be read is left out, and err says so. */
void tree_read(struct nf *nf, const char *except, struct tree *ret);

void tree_deinit(struct tree *tree);

/* Every entry of part is one of whole. */
bool tree_within(const struct tree *part, const struct tree *whole);

#endif
