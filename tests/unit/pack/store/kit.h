/* SPDX-License-Identifier: ISC */
/* What the tests of stores share: opening on files that can fail, paths from
 * text, trees checked against a plain map. */
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

/* A map from paths to contents, in no order. */
struct kit_map {
    struct kit_item {
        char path[48];
        uint32_t len;
        uint64_t seed; /* of the contents */
    } * items;
    size_t n;
    size_t cap;
};

/* Contents for a seed, into buf of len bytes. */
void kit_contents(uint64_t seed, uint32_t len, uint8_t *buf);

/* Bind in the map as a tree does: what is in the way goes. */
void kit_map_set(struct kit_map *map, const char *path, uint32_t len,
                 uint64_t seed);

/* Unbind a path and all below it. */
void kit_map_remove(struct kit_map *map, const char *path);
const struct kit_item *kit_map_find(const struct kit_map *map,
                                    const char *path);
void kit_map_copy(const struct kit_map *from, struct kit_map *to);
void kit_map_deinit(struct kit_map *map);

/* A tree built from the map, from nothing. */
int kit_map_build(const struct kit_map *map, struct pk_repo *repo,
                  struct pk_tree **ret_tree);

/* Every binding of tree is in the map, and the other way round. */
void kit_map_compare(const struct kit_map *map, struct pk_tree *tree);

#endif
