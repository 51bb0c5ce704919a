/* SPDX-License-Identifier: ISC */
/*
 * A walk over all below a directory, as an iterator: the stack of open
 * directories is on the heap, since the disk decides how deep it is. Each level
 * has read one entry ahead, so that an item knows whether it is the last.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/notafs_cli.h"

struct level {
    struct nf_dir *dir;
    size_t path_len;     /* of the directory */
    struct nf_stat stat; /* of the directory */
    bool has_next;
    struct nf_stat next;
    char *name; /* of the next entry */
    size_t name_len;
    size_t name_cap;
    bool last; /* this directory is the last of its parent */
};

struct cli_walk {
    struct nf *nf;
    struct level *levels;
    size_t n_levels;
    size_t cap_levels;
    char *path;
    size_t path_len;
    size_t path_cap;
    bool descend; /* the item given last was a directory */
    struct nf_stat entered;
    bool entered_last;
};

static void path_set(struct cli_walk *walk, size_t at, const char *p,
                     size_t len)
{
    if (at + len + 1 > walk->path_cap) {
        walk->path_cap = 2 * (at + len + 1);
        walk->path = cli_realloc(walk->path, walk->path_cap);
    }
    memcpy(walk->path + at, p, len);
    walk->path_len = at + len;
    walk->path[walk->path_len] = '\0';
}

static void path_cut(struct cli_walk *walk, size_t len)
{
    walk->path_len = len;
    walk->path[len] = '\0';
}

/* Read one entry ahead. */
static int look_ahead(struct level *level)
{
    struct nf_dirent entry;
    int res = nf_dir_next(level->dir, &entry);
    level->has_next = res > 0;
    if (res <= 0) {
        return res;
    }
    if (entry.name_len > level->name_cap) {
        level->name_cap = 2 * entry.name_len;
        level->name = cli_realloc(level->name, level->name_cap);
    }
    memcpy(level->name, entry.name, entry.name_len);
    level->name_len = entry.name_len;
    level->next = entry.stat;
    return 0;
}

static void pop(struct cli_walk *walk)
{
    struct level *level = &walk->levels[--walk->n_levels];
    nf_dir_close(level->dir);
    free(level->name);
}

/* Open the directory that the path names. */
static int push(struct cli_walk *walk)
{
    if (walk->n_levels == CLI_MAX_DEPTH) {
        return NF_EC_TABLE;
    }
    if (walk->n_levels == walk->cap_levels) {
        walk->cap_levels = 2 * walk->cap_levels + 8;
        walk->levels =
            cli_realloc(walk->levels, walk->cap_levels * sizeof(*walk->levels));
    }
    struct level level = {.path_len = walk->path_len,
                          .stat = walk->entered,
                          .last = walk->entered_last};
    int res = nf_dir_open(walk->nf, cli_walk_path(walk), &level.dir);
    if (res < 0) {
        return res;
    }
    walk->levels[walk->n_levels++] = level;
    return look_ahead(&walk->levels[walk->n_levels - 1]);
}

int cli_walk_open(struct nf *nf, struct nf_path path, struct cli_walk **ret)
{
    struct cli_walk *walk = cli_alloc(sizeof(*walk));
    memset(walk, 0, sizeof(*walk));
    walk->nf = nf;
    /* One slash before each segment, whatever the caller wrote. */
    path_set(walk, 0, "", 0);
    for (size_t i = 0; i < path.len;) {
        if (path.p[i] == '/') {
            i++;
            continue;
        }
        const char *end = memchr(path.p + i, '/', path.len - i);
        size_t len = end != NULL ? (size_t)(end - (path.p + i)) : path.len - i;
        path_set(walk, walk->path_len, "/", 1);
        path_set(walk, walk->path_len, path.p + i, len);
        i += len;
    }
    int res = push(walk);
    if (res < 0) {
        cli_walk_close(walk);
        return res;
    }
    *ret = walk;
    return 0;
}

int cli_walk_next(struct cli_walk *walk, struct cli_item *ret)
{
    if (walk->descend) {
        walk->descend = false;
        int res = push(walk);
        if (res < 0) {
            return res;
        }
    }
    struct level *level = &walk->levels[walk->n_levels - 1];
    path_cut(walk, level->path_len);
    size_t name_at = 0;
    if (!level->has_next) {
        if (walk->n_levels == 1) {
            return 0;
        }
        ret->event = CLI_LEAVE;
        ret->stat = level->stat;
        ret->last = level->last;
        ret->depth = walk->n_levels - 2;
        pop(walk);
        name_at = walk->levels[walk->n_levels - 1].path_len + 1;
    } else {
        name_at = level->path_len + 1;
        path_set(walk, level->path_len, "/", 1);
        path_set(walk, name_at, level->name, level->name_len);
        ret->stat = level->next;
        ret->depth = walk->n_levels - 1;
        int res = look_ahead(level);
        if (res < 0) {
            path_cut(walk, level->path_len);
            return res;
        }
        ret->last = !level->has_next;
        ret->event = ret->stat.type == NF_TYPE_DIR ? CLI_ENTER : CLI_FILE;
        walk->descend = ret->event == CLI_ENTER;
        walk->entered = ret->stat;
        walk->entered_last = ret->last;
    }
    ret->path = cli_walk_path(walk);
    ret->name.p = walk->path + name_at;
    ret->name.len = walk->path_len - name_at;
    return 1;
}

void cli_walk_skip(struct cli_walk *walk)
{
    walk->descend = false;
}

struct nf_path cli_walk_path(const struct cli_walk *walk)
{
    struct nf_path path = {walk->path, walk->path_len};
    return path;
}

void cli_walk_close(struct cli_walk *walk)
{
    if (walk == NULL) {
        return;
    }
    while (walk->n_levels > 0) {
        pop(walk);
    }
    free(walk->levels);
    free(walk->path);
    free(walk);
}
