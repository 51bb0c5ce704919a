/* SPDX-License-Identifier: ISC */
/*
 * Nodes: what the kernel knows of, counted as it counts (forget), found by
 * number. A node keeps its parent, so that where it is is always known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/image_int.h"

#define FIRST_BUCKETS 1024

static size_t bucket_of(const struct image *image, const struct space *space,
                        uint64_t id)
{
    uint64_t mixed = (id ^ (uint64_t)(uintptr_t)space) * 0x9e3779b97f4a7c15u;
    return (size_t)(mixed >> 24) & (image->n_buckets - 1);
}

static struct node *find(const struct image *image, const struct space *space,
                         uint64_t id)
{
    struct node *node = image->buckets[bucket_of(image, space, id)];
    while (node != NULL && (node->space != space || node->id != id)) {
        node = node->hash_next;
    }
    return node;
}

/* Twice the buckets, if there is memory; else it works as well. */
static void widen(struct image *image)
{
    struct node **old = image->buckets;
    size_t n_old = image->n_buckets;
    struct node **buckets = calloc(n_old * 2, sizeof(struct node *));
    if (buckets == NULL) {
        return;
    }
    image->buckets = buckets;
    image->n_buckets = n_old * 2;
    for (size_t i = 0; i < n_old; i++) {
        struct node *next;
        for (struct node *node = old[i]; node != NULL; node = next) {
            size_t to = bucket_of(image, node->space, node->id);
            next = node->hash_next;
            node->hash_next = buckets[to];
            buckets[to] = node;
        }
    }
    free(old);
}

/* A new node with one look-up. */
static struct node *add(struct image *image, struct space *space, uint64_t id,
                        enum node_kind kind)
{
    struct node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    if (image->n_nodes > image->n_buckets) {
        widen(image);
    }
    node->space = space;
    node->id = id;
    node->kind = kind;
    node->n_lookups = 1;
    node->atime.tv_nsec = UTIME_OMIT;
    size_t to = bucket_of(image, space, id);
    node->hash_next = image->buckets[to];
    image->buckets[to] = node;
    image->n_nodes++;
    space->n_nodes++;
    return node;
}

static void let_go(struct image *image, struct node *node)
{
    while (node != NULL && node->n_lookups == 0 && node->refs == 0) {
        struct node *parent = node->parent;
        struct space *space = node->space;
        struct node **at = &image->buckets[bucket_of(image, space, node->id)];
        while (*at != node) {
            at = &(*at)->hash_next;
        }
        *at = node->hash_next;
        image->n_nodes--;
        if (space == &image->live && node->changed > image->forgotten_changed) {
            image->forgotten_changed = node->changed;
        }
        space->n_nodes--;
        if (space->n_nodes == 0) {
            image_space_close(image, space);
        }
        free(node->name);
        free(node);
        if (parent != NULL) {
            parent->refs--;
        }
        node = parent;
    }
}

int image_nodes_init(struct image *image)
{
    image->n_buckets = FIRST_BUCKETS;
    image->buckets = calloc(FIRST_BUCKETS, sizeof(struct node *));
    if (image->buckets == NULL) {
        return NF_ENOMEM;
    }
    struct node *root = add(image, &image->live, IMAGE_ROOT, NODE_DIR);
    return root != NULL ? 0 : NF_ENOMEM;
}

/* At the end the kernel forgets nothing one by one. */
void image_nodes_deinit(struct image *image)
{
    for (size_t i = 0; i < image->n_buckets; i++) {
        struct node *next;
        for (struct node *node = image->buckets[i]; node != NULL; node = next) {
            next = node->hash_next;
            nf_close(node->file);
            free(node->name);
            free(node);
        }
    }
    free(image->buckets);
}

struct node *image_root(struct image *image)
{
    return find(image, &image->live, IMAGE_ROOT);
}

struct node *image_node(struct image *image, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? image_root(image)
                               : (struct node *)(uintptr_t)ino;
}

fuse_ino_t image_ino(const struct image *image, const struct node *node)
{
    return node->space == &image->live && node->id == IMAGE_ROOT &&
                   node->kind == NODE_DIR
               ? FUSE_ROOT_ID
               : (fuse_ino_t)(uintptr_t)node;
}

static bool set_name(struct node *node, const char *name, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, name, len);
    copy[len] = '\0';
    free(node->name);
    node->name = copy;
    node->name_len = len;
    return true;
}

struct node *image_node_look_up(struct image *image, struct node *parent,
                                const char *name, size_t len,
                                const struct nf_stat *st)
{
    pthread_mutex_lock(&image->lock);
    struct node *node = find(image, parent->space, st->id);
    if (node != NULL) {
        node->n_lookups++;
    } else {
        node = add(image, parent->space, st->id,
                   st->id == IMAGE_GENERATIONS_ID ? NODE_GENERATIONS
                   : st->type == NF_TYPE_DIR      ? NODE_DIR
                                                  : NODE_FILE);
        if (node != NULL && !set_name(node, name, len)) {
            node->n_lookups = 0;
            let_go(image, node);
            node = NULL;
        } else if (node != NULL) {
            node->parent = parent;
            parent->refs++;
        }
    }
    pthread_mutex_unlock(&image->lock);
    return node;
}

struct node *image_node_add_root(struct image *image, struct space *space,
                                 struct node *parent, const char *name)
{
    struct node *node = add(image, space, IMAGE_ROOT, NODE_DIR);
    if (node != NULL && !set_name(node, name, strlen(name))) {
        node->n_lookups = 0;
        let_go(image, node);
        return NULL;
    }
    if (node != NULL) {
        node->parent = parent;
        parent->refs++;
    }
    return node;
}

void image_node_forget(struct image *image, struct node *node, uint64_t n)
{
    pthread_mutex_lock(&image->lock);
    node->n_lookups -= n < node->n_lookups ? n : node->n_lookups;
    if (node != image_root(image)) {
        let_go(image, node);
    }
    pthread_mutex_unlock(&image->lock);
}

void image_node_ref(struct image *image, struct node *node)
{
    pthread_mutex_lock(&image->lock);
    node->refs++;
    pthread_mutex_unlock(&image->lock);
}

void image_node_unref(struct image *image, struct node *node)
{
    pthread_mutex_lock(&image->lock);
    node->refs--;
    if (node != image_root(image)) {
        let_go(image, node);
    }
    pthread_mutex_unlock(&image->lock);
}

struct node *image_node_find(struct image *image, uint64_t id)
{
    pthread_mutex_lock(&image->lock);
    struct node *node = find(image, &image->live, id);
    if (node != NULL) {
        node->refs++;
    }
    pthread_mutex_unlock(&image->lock);
    return node;
}

bool image_node_move(struct image *image, struct node *node,
                     struct node *parent, const char *name, size_t len)
{
    pthread_mutex_lock(&image->lock);
    struct node *old = node->parent;
    bool done = parent == NULL || set_name(node, name, len);
    if (done) {
        node->parent = parent;
        node->removed = parent == NULL;
        if (parent != NULL) {
            parent->refs++;
        }
        if (old != NULL) {
            old->refs--;
            if (old != image_root(image)) {
                let_go(image, old);
            }
        }
    }
    pthread_mutex_unlock(&image->lock);
    return done;
}

bool image_node_is_below(struct image *image, const struct node *dir,
                         const struct node *node)
{
    pthread_mutex_lock(&image->lock);
    while (dir != NULL && dir != node) {
        dir = dir->parent;
    }
    pthread_mutex_unlock(&image->lock);
    return dir != NULL;
}

struct nf_at image_at(struct image *image, const struct node *node,
                      char buf[NAME_MAX + 1])
{
    struct nf_at at = {IMAGE_ROOT, {buf, 0}};
    pthread_mutex_lock(&image->lock);
    if (node->hidden) {
        at.dir = image->removed_dir;
        at.path.len = (size_t)snprintf(buf, NAME_MAX, "%" PRIx64, node->id);
    } else if (node->id != IMAGE_ROOT && node->parent != NULL) {
        at.dir = node->parent->id;
        at.path.len = node->name_len;
        memcpy(buf, node->name, node->name_len);
    }
    pthread_mutex_unlock(&image->lock);
    return at;
}
