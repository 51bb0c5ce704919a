/* SPDX-License-Identifier: ISC */
/* The model of a tree: paths and what they are bound to, in order of path, step
 * by step. */
#ifndef TESTS_PACK_MAP_H
#define TESTS_PACK_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAP_PATH = 96 };

struct map_item {
    char path[MAP_PATH];
    uint32_t len;
    uint64_t seed; /* of the contents */
};

/* Starts as {0}. */
struct map {
    struct map_item *items;
    size_t n;
    size_t cap;
};

void map_deinit(struct map *map);
void map_copy(const struct map *from, struct map *to);

/* The items at path and below it: [*ret_first, *ret_end). "" is all. */
void map_range(const struct map *map, const char *path, size_t *ret_first,
               size_t *ret_end);

/* NULL: path is not bound to contents. */
const struct map_item *map_find(const struct map *map, const char *path);

/* Is there anything below path? */
bool map_is_dir(const struct map *map, const char *path);

/* Bind, and unbind, as trees do it: what is in the way goes. */
void map_set(struct map *map, const char *path, uint32_t len, uint64_t seed);
void map_remove(struct map *map, const char *path);

/* Bind `to` to what `from` in another map, or the same, is bound to. false: the
 * paths would be too long, or too deep; nothing is changed. */
bool map_graft(struct map *map, const char *to, const struct map *other,
               const char *from);

/* The merge of theirs into ours, ours having its way where they are in
 * conflict. No name may be contents in one and a directory in another. */
void map_merge(const struct map *base, struct map *ours,
               const struct map *theirs);

bool map_same(const struct map_item *a, const struct map_item *b);

/* Negative, 0, positive: the order of paths. */
int map_compare(const char *a, const char *b);

#endif
