/* SPDX-License-Identifier: ISC */
#include "tests/model/pack_map.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 8

void map_deinit(struct map *map)
{
    free(map->items);
    *map = (struct map){0};
}

static void map_grow(struct map *map, size_t n)
{
    if (n > map->cap) {
        map->cap = 2 * n + 64;
        map->items = realloc(map->items, map->cap * sizeof(*map->items));
        if (map->items == NULL) {
            abort();
        }
    }
}

void map_copy(const struct map *from, struct map *to)
{
    map_grow(to, from->n);
    to->n = from->n;
    if (from->n > 0) {
        memcpy(to->items, from->items, from->n * sizeof(*to->items));
    }
}

/* '/' comes before any other byte. */
static int rank(char c)
{
    return c == '\0' ? 0 : c == '/' ? 1 : 2 + (unsigned char)c;
}

int map_compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

/* The first item that is not before path. */
static size_t map_lower(const struct map *map, const char *path)
{
    size_t lo = 0;
    size_t hi = map->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (map_compare(map->items[mid].path, path) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool is_at_or_below(const char *path, const char *dir)
{
    const size_t len = strlen(dir);
    return len == 0 || (strncmp(path, dir, len) == 0 &&
                        (path[len] == '/' || path[len] == '\0'));
}

void map_range(const struct map *map, const char *path, size_t *ret_first,
               size_t *ret_end)
{
    size_t end = map_lower(map, path);
    *ret_first = end;
    while (end < map->n && is_at_or_below(map->items[end].path, path)) {
        end++;
    }
    *ret_end = end;
}

const struct map_item *map_find(const struct map *map, const char *path)
{
    const size_t i = map_lower(map, path);
    return i < map->n && strcmp(map->items[i].path, path) == 0 ? &map->items[i]
                                                               : NULL;
}

bool map_is_dir(const struct map *map, const char *path)
{
    size_t first;
    size_t end;
    map_range(map, path, &first, &end);
    return first < end && strcmp(map->items[first].path, path) != 0;
}

void map_remove(struct map *map, const char *path)
{
    size_t first;
    size_t end;
    map_range(map, path, &first, &end);
    if (first < end) {
        memmove(map->items + first, map->items + end,
                (map->n - end) * sizeof(*map->items));
        map->n -= end - first;
    }
}

void map_set(struct map *map, const char *path, uint32_t len, uint64_t seed)
{
    char above[MAP_PATH];
    map_remove(map, path);
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            memcpy(above, path, i);
            above[i] = '\0';
            if (map_find(map, above) != NULL) {
                map_remove(map, above);
            }
        }
    }
    map_grow(map, map->n + 1);
    const size_t at = map_lower(map, path);
    memmove(map->items + at + 1, map->items + at,
            (map->n - at) * sizeof(*map->items));
    map->n++;
    map->items[at] = (struct map_item){.len = len, .seed = seed};
    strcpy(map->items[at].path, path);
}

static size_t n_steps(const char *path)
{
    size_t n = 1;
    for (; *path != '\0'; path++) {
        n += *path == '/';
    }
    return n;
}

bool map_graft(struct map *map, const char *to, const struct map *other,
               const char *from)
{
    const size_t skip = strlen(from);
    struct map copy = {0};
    size_t first;
    size_t end;
    map_range(other, from, &first, &end);
    for (size_t i = first; i < end; i++) {
        const char *rest = other->items[i].path + skip;
        if (strlen(to) + strlen(rest) + 2 > MAP_PATH ||
            n_steps(to) + n_steps(rest) > STEPS_MAX) {
            return false;
        }
    }
    map_copy(other, &copy);
    map_remove(map, to);
    for (size_t i = first; i < end; i++) {
        const struct map_item *item = &copy.items[i];
        char path[MAP_PATH];
        strcpy(path, to);
        if (skip == 0) {
            strcat(path, "/");
        }
        strcat(path, item->path + skip);
        map_set(map, path, item->len, item->seed);
    }
    map_deinit(&copy);
    return true;
}

bool map_same(const struct map_item *a, const struct map_item *b)
{
    return (a == NULL) == (b == NULL) &&
           (a == NULL || (a->len == b->len && a->seed == b->seed));
}

/* Is path in a directory that base had, and ours has not? */
static bool is_removed(const struct map *base, const struct map *ours,
                       const char *path)
{
    char dir[MAP_PATH];
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            memcpy(dir, path, i);
            dir[i] = '\0';
            if (map_is_dir(base, dir) && !map_is_dir(ours, dir)) {
                return true;
            }
        }
    }
    return false;
}

void map_merge(const struct map *base, struct map *ours,
               const struct map *theirs)
{
    struct map was = {0};
    map_copy(ours, &was);
    for (size_t i = 0; i < theirs->n; i++) {
        const struct map_item *new = &theirs->items[i];
        const struct map_item *old = map_find(base, new->path);
        if (!map_same(old, new) && map_same(old, map_find(&was, new->path)) &&
            !(old == NULL && is_removed(base, &was, new->path))) {
            map_set(ours, new->path, new->len, new->seed);
        }
    }
    for (size_t i = 0; i < base->n; i++) {
        const struct map_item *old = &base->items[i];
        if (map_find(theirs, old->path) == NULL &&
            map_same(old, map_find(&was, old->path))) {
            map_remove(ours, old->path);
        }
    }
    map_deinit(&was);
}
