/* SPDX-License-Identifier: ISC */
/*
 * Nodes of the store view, found by parent and name.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuse/store_int.h"

#define FIRST_BUCKETS 1024

struct timespec store_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

static size_t bucket_of(const struct store *store, const struct snode *parent,
                        const char *name, size_t len)
{
    uint64_t h = (uint64_t)(uintptr_t)parent;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
    }
    h *= 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 24) & (store->n_buckets - 1);
}

struct snode *store_node_find(struct store *store, const struct snode *parent,
                              const char *name, size_t len)
{
    struct snode *node = store->buckets[bucket_of(store, parent, name, len)];
    while (node != NULL && (node->parent != parent || node->name_len != len ||
                            memcmp(node->name, name, len) != 0)) {
        node = node->hash_next;
    }
    return node;
}

static void hash_in(struct store *store, struct snode *node)
{
    size_t to = bucket_of(store, node->parent, node->name, node->name_len);
    node->hash_next = store->buckets[to];
    store->buckets[to] = node;
}

static void hash_out(struct store *store, struct snode *node)
{
    struct snode **at = &store->buckets[bucket_of(store, node->parent,
                                                  node->name, node->name_len)];
    while (*at != node) {
        at = &(*at)->hash_next;
    }
    *at = node->hash_next;
}

static void widen(struct store *store)
{
    struct snode **old = store->buckets;
    size_t n_old = store->n_buckets;
    struct snode **buckets = calloc(n_old * 2, sizeof(struct snode *));
    if (buckets == NULL) {
        return;
    }
    store->buckets = buckets;
    store->n_buckets = n_old * 2;
    for (size_t i = 0; i < n_old; i++) {
        struct snode *next;
        for (struct snode *node = old[i]; node != NULL; node = next) {
            next = node->hash_next;
            hash_in(store, node);
        }
    }
    free(old);
}

static char *copy_name(const char *name, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, name, len);
        copy[len] = '\0';
    }
    return copy;
}

static void set_first_attr(const struct store *store, struct snode *node)
{
    const struct mount_options *options = store->how->options;
    bool is_dir = node->kind != SNODE_FILE && node->kind != SNODE_LINK;
    node->mode = (is_dir ? 0777u : 0666u) & ~options->umask;
    if (node->branch == NULL && node->kind != SNODE_LIVE) {
        node->mode &= ~0222u;
    }
    node->uid = options->uid;
    node->gid = options->gid;
    node->mtime.tv_sec = node->snapshot.date;
    node->atime = node->ctime = node->mtime;
}

struct snode *store_node_add(struct store *store, struct snode *parent,
                             const char *name, size_t len, enum snode_kind kind)
{
    struct snode *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->name = copy_name(name, len);
    if (node->name == NULL) {
        free(node);
        return NULL;
    }
    if (store->n_nodes > store->n_buckets) {
        widen(store);
    }
    node->name_len = len;
    node->kind = kind;
    node->ino = store->next_ino++;
    node->parent = parent;
    if (parent != NULL) {
        parent->refs++;
        node->branch = parent->branch;
        node->snapshot = parent->snapshot;
        hash_in(store, node);
    }
    set_first_attr(store, node);
    store->n_nodes++;
    return node;
}

static void release(struct store *store, struct snode *node)
{
    if (node->branch != NULL && node->branch->root == node) {
        node->branch->root = NULL;
    }
    store_unload(store, node);
    pk_tree_free(node->tree);
    pk_tree_free(node->side);
    free(node->xattrs);
    free(node->origin);
    free(node->link);
    free(node->name);
    free(node);
    store->n_nodes--;
}

void store_node_tidy(struct store *store, struct snode *node)
{
    while (node != NULL && node->n_lookups == 0 && node->refs == 0 &&
           node != store->root) {
        struct snode *parent = node->parent;
        if (parent != NULL) {
            hash_out(store, node);
            parent->refs--;
        }
        release(store, node);
        node = parent;
    }
}

void store_node_pin(struct store *store, struct snode *node)
{
    struct snode *dir = node->parent;
    if (node->pinned || dir == NULL) {
        return;
    }
    node->pinned = true;
    node->refs++;
    node->pin_seq = store->next_pin++;
    node->pin_next = NULL;
    node->pin_prev = dir->last_pin;
    if (dir->last_pin != NULL) {
        dir->last_pin->pin_next = node;
    } else {
        dir->pins = node;
    }
    dir->last_pin = node;
}

void store_node_clean(struct snode *node)
{
    if (!node->dirty) {
        return;
    }
    if (node->dirty_prev != NULL) {
        node->dirty_prev->dirty_next = node->dirty_next;
    } else {
        node->parent->dirty_pins = node->dirty_next;
    }
    if (node->dirty_next != NULL) {
        node->dirty_next->dirty_prev = node->dirty_prev;
    }
    node->dirty_next = node->dirty_prev = NULL;
    node->dirty = false;
}

void store_node_unpin(struct store *store, struct snode *node)
{
    struct snode *dir = node->parent;
    (void)store;
    store_node_clean(node);
    if (!node->pinned) {
        return;
    }
    if (node->pin_prev != NULL) {
        node->pin_prev->pin_next = node->pin_next;
    } else {
        dir->pins = node->pin_next;
    }
    if (node->pin_next != NULL) {
        node->pin_next->pin_prev = node->pin_prev;
    } else {
        dir->last_pin = node->pin_prev;
    }
    node->pinned = false;
    node->refs--;
}

bool store_node_move(struct store *store, struct snode *node,
                     struct snode *parent, const char *name, size_t len)
{
    struct snode *old = node->parent;
    char *copy = parent != NULL ? copy_name(name, len) : NULL;
    if (parent != NULL && copy == NULL) {
        return false;
    }
    store_node_unpin(store, node);
    hash_out(store, node);
    node->parent = parent;
    if (parent != NULL) {
        free(node->name);
        node->name = copy;
        node->name_len = len;
        parent->refs++;
        hash_in(store, node);
        store_node_pin(store, node);
    } else {
        node->removed = true;
    }
    old->refs--;
    store_node_tidy(store, old);
    return true;
}

int store_nodes_init(struct store *store)
{
    store->n_buckets = FIRST_BUCKETS;
    store->buckets = calloc(FIRST_BUCKETS, sizeof(struct snode *));
    store->next_ino = FUSE_ROOT_ID;
    if (store->buckets == NULL) {
        return NF_ENOMEM;
    }
    store->root = store_node_add(store, NULL, "", 0, SNODE_ROOT);
    return store->root != NULL ? 0 : NF_ENOMEM;
}

void store_nodes_deinit(struct store *store)
{
    for (size_t i = 0; i < store->n_buckets; i++) {
        struct snode *next;
        for (struct snode *node = store->buckets[i]; node != NULL;
             node = next) {
            next = node->hash_next;
            release(store, node);
        }
    }
    if (store->root != NULL) {
        release(store, store->root);
    }
    free(store->buckets);
}

struct snode *store_node(struct store *store, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? store->root : (struct snode *)(uintptr_t)ino;
}

fuse_ino_t store_ino(const struct store *store, const struct snode *node)
{
    return node == store->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node;
}

void store_fill_stat(const struct store *store, const struct snode *node,
                     struct stat *ret)
{
    (void)store;
    memset(ret, 0, sizeof(*ret));
    bool is_dir = node->kind != SNODE_FILE && node->kind != SNODE_LINK;
    ret->st_ino = node->ino;
    ret->st_mode = node->mode | (node->kind == SNODE_LINK   ? S_IFLNK
                                 : node->kind == SNODE_FILE ? S_IFREG
                                                            : S_IFDIR);
    ret->st_nlink = is_dir ? 2 : !node->removed;
    ret->st_uid = node->uid;
    ret->st_gid = node->gid;
    ret->st_size = (off_t)node->size;
    ret->st_blocks = (blkcnt_t)((node->size + 511) / 512);
    ret->st_blksize = 65536;
    ret->st_atim = node->atime;
    ret->st_mtim = node->mtime;
    ret->st_ctim = node->ctime;
}
