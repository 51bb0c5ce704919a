/* SPDX-License-Identifier: ISC */
/*
 * Peers: programs that keep keys and values durably, each behind one table. A
 * commit is on disk when it returns: fsync or more, whoever it is.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>

#include "bench/keys.h"

/* Key number i gets a value, of value_len bytes, or is removed. */
struct peer_update {
    uint64_t i;
    const uint8_t *value; /* NULL: removed */
};

struct peer_setup {
    const char *folder; /* the peer's own, empty */
    struct keys keys;
    uint64_t entries;
    size_t value_len;
    uint64_t image_len; /* for what wants an image */
};

struct peer {
    const char *name;
    uint64_t max_entries; /* more would take too long; 0: any number */
    /* What open gives is passed to the others. NULL: it cannot take part, which
     * it has told. */
    void *(*open)(const struct peer_setup *setup);
    void (*commit)(void *peer, const struct peer_update *updates, size_t n);
    void (*close)(void *peer);
    /* Whether the last commit has a key; where value is not NULL, the value.
     * NULL: it takes no part in look-ups. */
    bool (*find)(void *peer, uint64_t i, uint8_t *value);
};

extern const struct peer peer_pack_folder;
extern const struct peer peer_pack_image;
extern const struct peer peer_lmdb;
extern const struct peer peer_sqlite;
extern const struct peer peer_git;
extern const struct peer peer_libgit2;
extern const struct peer peer_files;
extern const struct peer peer_btrfs;
extern const struct peer peer_overwrite;

#endif
