/* SPDX-License-Identifier: ISC */
/* Clean inodes in memory, by offset: those used least recently go first. */
#include <string.h>

#include "notafs/platform/assert.h"
#include "pack/inode.h"

static struct pk_inode **cache_slot(const struct pk_cache *cache, uint64_t off)
{
    uint64_t h = off * 0x9e3779b97f4a7c15u;

    return &cache->slots[(size_t)(h >> 32) & (cache->n_slots - 1)];
}

static void cache_unlink_age(struct pk_cache *cache, struct pk_inode *inode)
{
    if (inode->newer != NULL) {
        inode->newer->older = inode->older;
    } else {
        cache->newest = inode->older;
    }
    if (inode->older != NULL) {
        inode->older->newer = inode->newer;
    } else {
        cache->oldest = inode->newer;
    }
}

static void cache_link_newest(struct pk_cache *cache, struct pk_inode *inode)
{
    inode->newer = NULL;
    inode->older = cache->newest;
    if (cache->newest != NULL) {
        cache->newest->newer = inode;
    } else {
        cache->oldest = inode;
    }
    cache->newest = inode;
}

struct pk_inode *pk_cache_find(struct pk_cache *cache, uint64_t off)
{
    struct pk_inode *inode;

    if (cache->n_slots == 0) {
        return NULL;
    }
    inode = *cache_slot(cache, off);
    while (inode != NULL && inode->off != off) {
        inode = inode->slot_next;
    }
    if (inode != NULL && !inode->used) {
        inode->used = true;
    }
    return inode;
}

static void cache_remove(struct pk_store *store, struct pk_inode *inode)
{
    struct pk_inode **slot = cache_slot(&store->cache, inode->off);

    while (*slot != inode) {
        slot = &(*slot)->slot_next;
    }
    *slot = inode->slot_next;
    cache_unlink_age(&store->cache, inode);
    store->cache.n--;
    store->cache.len -= inode->size;
    nf_free(&store->ctx.mem, inode, inode->size);
}

/* More slots, if there is memory: fewer only take longer. */
static int cache_grow(struct pk_store *store)
{
    struct pk_cache *cache = &store->cache;
    struct pk_cache old = *cache;
    size_t n = cache->n_slots == 0 ? 256 : cache->n_slots * 2;
    struct pk_inode **slots = nf_calloc(&store->ctx.mem, n, sizeof(*slots));

    if (slots == NULL) {
        return old.n_slots == 0 ? pk_fail_mem(&store->ctx) : 0;
    }
    cache->slots = slots;
    cache->n_slots = n;
    for (struct pk_inode *inode = cache->oldest; inode != NULL;
         inode = inode->newer) {
        struct pk_inode **slot = cache_slot(cache, inode->off);

        inode->slot_next = *slot;
        *slot = inode;
    }
    nf_free(&store->ctx.mem, old.slots, old.n_slots * sizeof(*slots));
    return 0;
}

/* Make room. What was used since it was last asked for its age, or is pinned,
 * is young again: so a hit costs no more than a mark. Two rounds at most. */
static void cache_evict(struct pk_store *store, size_t size)
{
    struct pk_cache *cache = &store->cache;

    for (size_t left = 2 * cache->n;
         left > 0 && cache->len + size > cache->max_len; left--) {
        struct pk_inode *old = cache->oldest;

        if (old->pins == 0 && !old->used) {
            cache_remove(store, old);
            continue;
        }
        old->used = false;
        cache_unlink_age(cache, old);
        cache_link_newest(cache, old);
    }
}

int pk_cache_add(struct pk_store *store, struct pk_inode *inode)
{
    struct pk_cache *cache = &store->cache;
    struct pk_inode **slot;

    if (cache->n >= cache->n_slots) {
        int err = cache_grow(store);

        if (err != 0) {
            return err;
        }
    }
    cache_evict(store, inode->size);
    slot = cache_slot(cache, inode->off);
    inode->slot_next = *slot;
    *slot = inode;
    cache_link_newest(cache, inode);
    cache->n++;
    cache->len += inode->size;
    return 0;
}

void pk_cache_demote(struct pk_store *store, uint64_t off)
{
    struct pk_cache *cache = &store->cache;
    struct pk_inode *inode = pk_cache_find(cache, off);

    if (inode != NULL) {
        inode->used = false;
    }
    if (inode != NULL && inode != cache->oldest) {
        cache_unlink_age(cache, inode);
        inode->older = NULL;
        inode->newer = cache->oldest;
        cache->oldest->older = inode;
        cache->oldest = inode;
    }
}

void pk_cache_forget(struct pk_store *store)
{
    struct pk_inode *inode = store->cache.oldest;

    while (inode != NULL) {
        struct pk_inode *next = inode->newer;

        if (inode->pins == 0) {
            cache_remove(store, inode);
        }
        inode = next;
    }
}

void pk_cache_clear(struct pk_store *store)
{
    struct pk_cache *cache = &store->cache;

    pk_cache_forget(store);
    nf_assert(cache->oldest == NULL);
    nf_free(&store->ctx.mem, cache->slots,
            cache->n_slots * sizeof(*cache->slots));
    cache->slots = NULL;
    cache->n_slots = 0;
}

void pk_inode_unpin(struct pk_store *store, struct pk_inode *inode)
{
    (void)store;
    if (inode != NULL) {
        nf_assert(inode->pins > 0);
        inode->pins--;
    }
}
