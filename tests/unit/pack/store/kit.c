/* SPDX-License-Identifier: ISC */
#include "tests/unit/pack/store/kit.h"

#include <notafs/hash_gcrypt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

struct pk_open kit_open(struct vfs_fault *fault, const char *config,
                        uint32_t flags)
{
    struct pk_open opts = {.vfs = &fault->vfs, .flags = flags};

    opts.hashes = pk_hash_gcrypt();
    assert_ok(pk_config_parse(config, &opts.config));
    return opts;
}

struct pk_path kit_path(struct kit_path *buf, const char *text)
{
    size_t n = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "/");

        ck_assert_uint_lt(n, 8);
        buf->steps[n++] = (struct pk_slice){(const uint8_t *)text, len};
        text += len + (text[len] == '/');
    }
    buf->path = (struct pk_path){buf->steps, n};
    return buf->path;
}

struct pk_slice kit_text(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

int kit_commit(struct pk_tree *tree, const struct pk_digest *parent,
               int64_t date, struct pk_digest *ret_hash)
{
    struct pk_info info = {date, kit_text("author"), kit_text("message")};
    int err = pk_commit_make(tree, parent, parent != NULL, &info, ret_hash);

    return err == 0
               ? pk_branch_set(pk_tree_repo(tree), kit_text("main"), ret_hash)
               : err;
}

void kit_contents(uint64_t seed, uint32_t len, uint8_t *buf)
{
    struct prng prng = prng_seed(seed);

    prng_bytes(&prng, len, buf);
}

/* Is path inside dir? */
static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && path[len] == '/';
}

void kit_map_remove(struct kit_map *map, const char *path)
{
    for (size_t i = map->n; i > 0; i--) {
        if (strcmp(map->items[i - 1].path, path) == 0 ||
            is_below(map->items[i - 1].path, path)) {
            map->items[i - 1] = map->items[--map->n];
        }
    }
}

void kit_map_set(struct kit_map *map, const char *path, uint32_t len,
                 uint64_t seed)
{
    struct kit_item *item;

    for (size_t i = map->n; i > 0; i--) {
        const char *other = map->items[i - 1].path;

        if (strcmp(other, path) == 0 || is_below(other, path) ||
            is_below(path, other)) {
            map->items[i - 1] = map->items[--map->n];
        }
    }
    if (map->n == map->cap) {
        map->cap = map->cap * 2 + 64;
        map->items = realloc(map->items, map->cap * sizeof(*map->items));
        ck_assert_ptr_nonnull(map->items);
    }
    item = &map->items[map->n++];
    ck_assert_uint_lt(strlen(path), sizeof(item->path));
    strcpy(item->path, path);
    item->len = len;
    item->seed = seed;
}

const struct kit_item *kit_map_find(const struct kit_map *map, const char *path)
{
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->items[i].path, path) == 0) {
            return &map->items[i];
        }
    }
    return NULL;
}

void kit_map_copy(const struct kit_map *from, struct kit_map *to)
{
    *to = *from;
    to->items = malloc((from->cap + 1) * sizeof(*to->items));
    ck_assert_ptr_nonnull(to->items);
    if (from->n > 0) {
        memcpy(to->items, from->items, from->n * sizeof(*to->items));
    }
}

void kit_map_deinit(struct kit_map *map)
{
    free(map->items);
    memset(map, 0, sizeof(*map));
}

int kit_map_build(const struct kit_map *map, struct pk_repo *repo,
                  struct pk_tree **ret_tree)
{
    struct pk_tree *tree;
    int err = pk_tree_empty(repo, &tree);

    for (size_t i = 0; i < map->n && err == 0; i++) {
        const struct kit_item *item = &map->items[i];
        uint8_t buf[256];
        struct kit_path path;

        kit_contents(item->seed, item->len, buf);
        err = pk_tree_set(tree, kit_path(&path, item->path),
                          (struct pk_slice){buf, item->len});
    }
    if (err == 0) {
        *ret_tree = tree;
    }
    return err;
}

struct compare {
    const struct kit_map *map;
    struct pk_tree *tree;
    size_t n;
};

static int compare_entry(void *arg, struct pk_path path,
                         const struct pk_stat *stat)
{
    struct compare *c = arg;
    const struct kit_item *item;
    struct pk_bytes bytes;
    uint8_t want[256];
    char text[128] = "";

    if (stat->kind == PK_NODE) {
        ck_assert_msg(path.n == 0 || stat->length > 0, "an empty directory");
        return 0;
    }
    for (size_t i = 0; i < path.n; i++) {
        strcat(text, i > 0 ? "/" : "");
        strncat(text, (const char *)path.steps[i].p, path.steps[i].len);
    }
    item = kit_map_find(c->map, text);
    ck_assert_msg(item != NULL, "%s should not be there", text);
    ck_assert_uint_eq(stat->length, item->len);
    assert_ok(pk_tree_get(c->tree, path, &bytes));
    ck_assert_uint_eq(bytes.len, item->len);
    kit_contents(item->seed, item->len, want);
    ck_assert_int_eq(memcmp(bytes.p, want, item->len), 0);
    pk_bytes_free(pk_tree_repo(c->tree), &bytes);
    c->n++;
    return 0;
}

void kit_map_compare(const struct kit_map *map, struct pk_tree *tree)
{
    struct compare c = {map, tree, 0};

    assert_ok(
        pk_tree_walk(tree, PK_WALK_SORTED | PK_WALK_LENGTH, compare_entry, &c));
    ck_assert_uint_eq(c.n, map->n);
}
