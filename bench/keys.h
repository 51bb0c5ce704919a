/* SPDX-License-Identifier: ISC */
/*
 * The keys of a workload: path(i), depth K, width W, is K - 1 steps "d%03d" of
 * x mod W, x / W, ..., from x = i on, then "k%08d" of i.
 */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <notafs/pack.h>

enum { KEY_MAX_DEPTH = 64, KEY_STEP_CAP = 24 };
#define KEY_TEXT_CAP ((size_t)KEY_MAX_DEPTH * KEY_STEP_CAP)

struct keys {
    uint64_t depth; /* 1..KEY_MAX_DEPTH */
    uint64_t width; /* >= 1 */
};

/* Room for the steps of a path. */
struct key {
    char text[KEY_MAX_DEPTH][KEY_STEP_CAP];
    struct pk_slice steps[KEY_MAX_DEPTH];
};

/* path(i), in key. */
struct pk_path key_path(const struct keys *keys, uint64_t i, struct key *key);

/* The same with slashes in between, terminated; its length. */
size_t key_text(const struct keys *keys, uint64_t i, char text[KEY_TEXT_CAP]);

/* End the program unless the numbers are in bounds. */
void keys_check(const struct keys *keys, uint64_t entries);

#endif
