/* SPDX-License-Identifier: ISC */
/* The cache: a hash table by offset, and a list by age. */
#include "notafs/platform/assert.h"
#include "pack/manager.h"

static struct pk_cached **cache_slot(const struct pk_cache *cache, uint64_t off)
{
    uint64_t h = off * 0x9e3779b97f4a7c15u;

    return &cache->slots[(size_t)(h >> 32) & (cache->n_slots - 1)];
}

static void cache_unlink_age(struct pk_cache *cache, struct pk_cached *kept)
{
    struct pk_ages *ages = &cache->ages[kept->what];

    if (kept->newer != NULL) {
        kept->newer->older = kept->older;
    } else {
        ages->newest = kept->older;
    }
    if (kept->older != NULL) {
        kept->older->newer = kept->newer;
    } else {
        ages->oldest = kept->newer;
    }
}

static void cache_link_newest(struct pk_cache *cache, struct pk_cached *kept)
{
    struct pk_ages *ages = &cache->ages[kept->what];

    kept->newer = NULL;
    kept->older = ages->newest;
    if (ages->newest != NULL) {
        ages->newest->newer = kept;
    } else {
        ages->oldest = kept;
    }
    ages->newest = kept;
}

/* Count an object in, or out. */
static void cache_count(struct pk_cache *cache, const struct pk_cached *kept,
                        bool in)
{
    struct pk_ages *ages = &cache->ages[kept->what];

    if (in) {
        cache->n++;
        cache->len += kept->size;
        ages->n++;
        ages->len += kept->size;
    } else {
        cache->n--;
        cache->len -= kept->size;
        ages->n--;
        ages->len -= kept->size;
    }
}

struct pk_cached *pk_cache_find(struct pk_cache *cache,
                                enum pk_cached_what what, uint64_t off)
{
    struct pk_cached *kept;

    if (cache->n_slots == 0) {
        return NULL;
    }
    kept = *cache_slot(cache, off);
    while (kept != NULL && (kept->off != off || kept->what != what)) {
        kept = kept->slot_next;
    }
    if (kept != NULL && !kept->used) {
        kept->used = true;
    }
    return kept;
}

static void cache_remove(struct pk_store *store, struct pk_cached *kept)
{
    struct pk_cached **slot = cache_slot(&store->cache, kept->off);

    while (*slot != kept) {
        slot = &(*slot)->slot_next;
    }
    *slot = kept->slot_next;
    cache_unlink_age(&store->cache, kept);
    cache_count(&store->cache, kept, false);
    nf_free(&store->ctx.mem, kept, kept->size);
}

/* More slots, if there is memory: fewer only take longer. */
static int cache_grow(struct pk_store *store)
{
    struct pk_cache *cache = &store->cache;
    struct pk_cache old = *cache;
    size_t n = cache->n_slots == 0 ? 256 : cache->n_slots * 2;
    struct pk_cached **slots = nf_calloc(&store->ctx.mem, n, sizeof(*slots));

    if (slots == NULL) {
        return old.n_slots == 0 ? pk_fail_mem(&store->ctx) : 0;
    }
    cache->slots = slots;
    cache->n_slots = n;
    for (size_t what = 0; what < PK_CACHED_KINDS; what++) {
        for (struct pk_cached *kept = cache->ages[what].oldest; kept != NULL;
             kept = kept->newer) {
            struct pk_cached **slot = cache_slot(cache, kept->off);

            kept->slot_next = *slot;
            *slot = kept;
        }
    }
    nf_free(&store->ctx.mem, old.slots, old.n_slots * sizeof(*slots));
    return 0;
}

/* Make room among the objects of one sort, down to floor bytes of them. What
 * was used since it was last asked for its age, or is pinned, is young again:
 * so a hit costs no more than a mark. Two rounds at most. */
static void cache_evict_of(struct pk_store *store, enum pk_cached_what what,
                           size_t size, size_t floor)
{
    struct pk_cache *cache = &store->cache;
    struct pk_ages *ages = &cache->ages[what];

    for (size_t left = 2 * ages->n;
         left > 0 && ages->len > floor && cache->len + size > cache->max_len;
         left--) {
        struct pk_cached *old = ages->oldest;

        if (old->pins == 0 && !old->used) {
            cache_remove(store, old);
            continue;
        }
        old->used = false;
        cache_unlink_age(cache, old);
        cache_link_newest(cache, old);
    }
}

static void cache_evict(struct pk_store *store, size_t size)
{
    cache_evict_of(store, PK_CACHED_CONTENTS, size, store->cache.max_len / 4);
    cache_evict_of(store, PK_CACHED_INODE, size, 0);
    cache_evict_of(store, PK_CACHED_CONTENTS, size, 0);
}

bool pk_cache_make_room(struct pk_store *store, size_t size)
{
    struct pk_cache *cache = &store->cache;

    if (size > cache->max_len / 16) {
        return false;
    }
    cache_evict(store, size);
    return cache->len + size <= cache->max_len;
}

int pk_cache_add(struct pk_store *store, struct pk_cached *kept)
{
    struct pk_cache *cache = &store->cache;
    struct pk_cached **slot;

    if (cache->n >= cache->n_slots) {
        int err = cache_grow(store);

        if (err != 0) {
            return err;
        }
    }
    cache_evict(store, kept->size);
    slot = cache_slot(cache, kept->off);
    kept->slot_next = *slot;
    *slot = kept;
    cache_link_newest(cache, kept);
    cache_count(cache, kept, true);
    return 0;
}

void pk_cache_demote(struct pk_store *store, uint64_t off)
{
    struct pk_cache *cache = &store->cache;
    struct pk_ages *ages = &cache->ages[PK_CACHED_INODE];
    struct pk_cached *kept = pk_cache_find(cache, PK_CACHED_INODE, off);

    if (kept != NULL) {
        kept->used = false;
    }
    if (kept != NULL && kept != ages->oldest) {
        cache_unlink_age(cache, kept);
        kept->older = NULL;
        kept->newer = ages->oldest;
        ages->oldest->older = kept;
        ages->oldest = kept;
    }
}

void pk_cache_forget(struct pk_store *store)
{
    for (size_t what = 0; what < PK_CACHED_KINDS; what++) {
        struct pk_cached *kept = store->cache.ages[what].oldest;

        while (kept != NULL) {
            struct pk_cached *next = kept->newer;

            if (kept->pins == 0) {
                cache_remove(store, kept);
            }
            kept = next;
        }
    }
}

void pk_cache_clear(struct pk_store *store)
{
    struct pk_cache *cache = &store->cache;

    pk_cache_forget(store);
    nf_assert(cache->n == 0);
    nf_free(&store->ctx.mem, cache->slots,
            cache->n_slots * sizeof(*cache->slots));
    cache->slots = NULL;
    cache->n_slots = 0;
}
