/* SPDX-License-Identifier: ISC */
/*
 * Page cache: a fixed number of frames.
 *
 * Copy on write happens here. A page that is to change gets its new place at
 * once (nf_cache_own), so that it can be written there at any time: memory is
 * bounded by the frames, however large a transaction is. Its checksum follows
 * when it is sealed, children before parents: a parent stays in memory as long
 * as it has children that are not sealed. When frames run out, all dirty pages
 * that can be sealed are written in one sorted batch (a spill).
 *
 * Invariants:
 * - a dirty frame that is not sealed has a dirty, not sealed parent, or a root;
 * - n_unsealed of a frame counts exactly these children;
 * - a pinned frame is neither sealed by a spill nor evicted.
 *
 * On a disk that is not what its writers made it, a page may have two pointers,
 * or be free and in use at once. None of that may break the invariants, so what
 * would is refused as NF_EC_DOUBLE_USE: a page that is given out while it is
 * here, a changed page that is reached by another pointer than its own.
 */
#include "notafs/nf_int.h"

static size_t hash_of(const struct nf_cache *cache, uint64_t id)
{
    return (size_t)((id * 0x9E3779B97F4A7C15u) >> 32) & (cache->n_hash - 1);
}

static void lru_remove(struct nf_frame *frame)
{
    frame->lru_prev->lru_next = frame->lru_next;
    frame->lru_next->lru_prev = frame->lru_prev;
}

static void lru_insert_after(struct nf_frame *at, struct nf_frame *frame)
{
    frame->lru_prev = at;
    frame->lru_next = at->lru_next;
    at->lru_next->lru_prev = frame;
    at->lru_next = frame;
}

static void touch(struct nf_cache *cache, struct nf_frame *frame)
{
    lru_remove(frame);
    lru_insert_after(&cache->lru, frame);
}

static struct nf_frame *lookup(const struct nf_cache *cache, uint64_t id)
{
    struct nf_frame *frame = cache->hash[hash_of(cache, id)];
    while (frame != NULL && frame->id != id) {
        frame = frame->hash_next;
    }
    return frame;
}

static void hash_insert(struct nf_cache *cache, struct nf_frame *frame)
{
    struct nf_frame **bucket = &cache->hash[hash_of(cache, frame->id)];
    nf_assert(lookup(cache, frame->id) == NULL);
    frame->hash_next = *bucket;
    *bucket = frame;
}

static void hash_remove(struct nf_cache *cache, struct nf_frame *frame)
{
    struct nf_frame **at = &cache->hash[hash_of(cache, frame->id)];
    while (*at != frame) {
        at = &(*at)->hash_next;
    }
    *at = frame->hash_next;
}

int nf_cache_open(struct nf *nf, size_t bytes)
{
    struct nf_cache *cache = &nf->cache;
    size_t n = bytes / nf->disk.page_size;
    if (n < NF_MIN_FRAMES) {
        return nf_fail_value(nf, NF_EC_CACHE_SMALL, NF_NOWHERE, "page cache",
                             (uint64_t)NF_MIN_FRAMES * nf->disk.page_size,
                             bytes);
    }
    memset(cache, 0, sizeof(*cache));
    cache->n_frames = n;
    cache->n_hash = 16;
    while (cache->n_hash < n) {
        cache->n_hash *= 2;
    }
    cache->frames = nf_calloc(&nf->mem, n, sizeof(*cache->frames));
    cache->hash = nf_calloc(&nf->mem, cache->n_hash, sizeof(*cache->hash));
    cache->order = nf_calloc(&nf->mem, n, sizeof(struct nf_frame *));
    cache->reqs = nf_calloc(&nf->mem, n + 1, sizeof(*cache->reqs));
    cache->pages = nf_alloc_aligned(&nf->mem, n * nf->disk.page_size, 4096);
    if (cache->frames == NULL || cache->hash == NULL || cache->order == NULL ||
        cache->reqs == NULL || cache->pages == NULL) {
        nf_cache_close(nf);
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "page cache");
    }
    cache->lru.lru_next = &cache->lru;
    cache->lru.lru_prev = &cache->lru;
    for (size_t i = 0; i < n; i++) {
        cache->frames[i].data = cache->pages + i * nf->disk.page_size;
        lru_insert_after(&cache->lru, &cache->frames[i]);
    }
    return 0;
}

void nf_cache_close(struct nf *nf)
{
    struct nf_cache *cache = &nf->cache;
    size_t n = cache->n_frames;
    nf_free(&nf->mem, cache->pages, n * nf->disk.page_size);
    nf_free(&nf->mem, cache->reqs, (n + 1) * sizeof(*cache->reqs));
    nf_free(&nf->mem, cache->order, n * sizeof(struct nf_frame *));
    nf_free(&nf->mem, cache->hash, cache->n_hash * sizeof(*cache->hash));
    nf_free(&nf->mem, cache->frames, n * sizeof(*cache->frames));
    memset(cache, 0, sizeof(*cache));
}

/* ---- Slots ---------------------------------------------------------- */

void nf_slot_get(struct nf *nf, struct nf_slot slot, struct nf_ptr *ret)
{
    if (slot.parent == NULL) {
        *ret = *slot.root;
    } else {
        nf->format->ptr_get(nf, slot.parent->data + slot.off, ret);
    }
}

void nf_slot_put(struct nf *nf, struct nf_slot slot, const struct nf_ptr *ptr)
{
    if (slot.parent == NULL) {
        *slot.root = *ptr;
    } else {
        nf->format->ptr_put(nf, slot.parent->data + slot.off, ptr);
    }
}

/* Where in parent the pointer to id stands: at the hint, or found. */
static bool slot_find(struct nf *nf, const struct nf_frame *parent, uint64_t id,
                      uint32_t hint, uint32_t *ret)
{
    struct nf_ptr ptr;
    enum nf_kind kind = (enum nf_kind)parent->kind;
    if (hint != 0 && hint + nf->format->ptr_len(nf) <= nf->disk.page_size) {
        nf->format->ptr_get(nf, parent->data + hint, &ptr);
        if (ptr.id == id) {
            *ret = hint;
            return true;
        }
    }
    uint32_t n = nf->format->ptr_count(nf, kind, parent->data);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t off = nf->format->ptr_at(nf, kind, parent->data, i);
        nf->format->ptr_get(nf, parent->data + off, &ptr);
        if (ptr.id == id) {
            *ret = off;
            return true;
        }
    }
    return false;
}

/* ---- Dirty, sealed, clean ------------------------------------------- */

static void link_unsealed(struct nf_frame *frame, struct nf_slot slot)
{
    frame->parent = slot.parent;
    frame->slot_off = 0;
    frame->root = NULL;
    if (slot.parent == NULL) {
        frame->root = slot.root;
    } else {
        nf_assert(slot.parent->dirty && !slot.parent->sealed);
        frame->slot_off = (uint32_t)slot.off;
        slot.parent->n_unsealed++;
    }
}

static void make_dirty(struct nf *nf, struct nf_frame *frame,
                       struct nf_slot slot)
{
    if (!frame->dirty) {
        nf->cache.n_dirty++;
    }
    frame->dirty = true;
    frame->sealed = false;
    frame->fresh = true;
    link_unsealed(frame, slot);
}

static void make_clean(struct nf *nf, struct nf_frame *frame)
{
    frame->dirty = false;
    frame->sealed = false;
    nf->cache.n_dirty--;
}

static bool is_at(const struct nf_frame *frame, struct nf_slot slot)
{
    return frame->parent == slot.parent &&
           (slot.parent != NULL || frame->root == slot.root);
}

static int fail_double(struct nf *nf, uint64_t id)
{
    return nf_fail(nf, NF_EC_DOUBLE_USE, id,
                   "page that is in use and free, or has two pointers");
}

/* Store the checksum of a frame in its parent. */
static void seal(struct nf *nf, struct nf_frame *frame)
{
    struct nf_slot slot = nf_slot_root(frame->root);
    struct nf_ptr ptr;
    frame->sum = nf_page_sum(nf, frame->data);
    if (frame->parent != NULL) {
        uint32_t off = 0;
        bool found =
            slot_find(nf, frame->parent, frame->id, frame->slot_off, &off);
        nf_assert(found);
        frame->parent->n_unsealed--;
        slot = nf_slot_in(frame->parent, off);
    }
    nf_slot_get(nf, slot, &ptr);
    nf_assert(ptr.id == frame->id);
    ptr.sum = frame->sum;
    nf_slot_put(nf, slot, &ptr);
    frame->sealed = true;
    frame->parent = NULL;
    frame->root = NULL;
}

static bool can_seal(const struct nf_frame *frame)
{
    return frame->id != 0 && frame->dirty && !frame->sealed &&
           frame->n_unsealed == 0 && frame->pins == 0;
}

void nf_cache_seal(struct nf *nf)
{
    struct nf_cache *cache = &nf->cache;
    for (size_t i = 0; i < cache->n_frames; i++) {
        struct nf_frame *frame = &cache->frames[i];
        while (frame != NULL && can_seal(frame)) {
            struct nf_frame *parent = frame->parent;
            seal(nf, frame);
            frame = parent;
        }
    }
}

/* Heap sort by page id: no recursion, no memory. */
static void sift_down(struct nf_frame **v, size_t root, size_t n)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= n) {
            return;
        }
        if (child + 1 < n && v[child]->id < v[child + 1]->id) {
            child++;
        }
        if (v[root]->id >= v[child]->id) {
            return;
        }
        struct nf_frame *t = v[root];
        v[root] = v[child];
        v[child] = t;
        root = child;
    }
}

static void sort_by_id(struct nf_frame **v, size_t n)
{
    for (size_t i = n / 2; i > 0; i--) {
        sift_down(v, i - 1, n);
    }
    for (size_t i = n; i > 1; i--) {
        struct nf_frame *t = v[0];
        v[0] = v[i - 1];
        v[i - 1] = t;
        sift_down(v, 0, i - 1);
    }
}

/* Write the first n frames of order[], all sealed, and extra, in one batch. */
static int write_frames(struct nf *nf, size_t n, uint64_t extra_id,
                        const uint8_t *extra)
{
    struct nf_cache *cache = &nf->cache;
    sort_by_id(cache->order, n);
    for (size_t i = 0; i < n; i++) {
        struct bd_request *req = &cache->reqs[i];
        req->range.first = cache->order[i]->id;
        req->range.count = 1;
        req->in = NULL;
        req->out = cache->order[i]->data;
    }
    size_t n_reqs = n;
    if (extra != NULL) {
        struct bd_request *req = &cache->reqs[n_reqs++];
        req->range.first = extra_id;
        req->range.count = 1;
        req->in = NULL;
        req->out = extra;
    }
    int err = bd_submit(&nf->bd, cache->reqs, n_reqs);
    if (err != 0) {
        return nf_fail(nf, err, n > 0 ? cache->order[0]->id : extra_id,
                       "write of changed pages");
    }
    for (size_t i = 0; i < n; i++) {
        make_clean(nf, cache->order[i]);
    }
    return 0;
}

int nf_cache_write(struct nf *nf, uint64_t extra_id, const uint8_t *extra)
{
    struct nf_cache *cache = &nf->cache;
    size_t n = 0;
    for (size_t i = 0; i < cache->n_frames; i++) {
        struct nf_frame *frame = &cache->frames[i];
        if (frame->id != 0 && frame->dirty) {
            nf_assert(frame->sealed);
            cache->order[n++] = frame;
        }
    }
    return write_frames(nf, n, extra_id, extra);
}

/* Write what can be written now, ahead of the commit. A page that changes once
 * more keeps its place and is written again. A failed transaction has left
 * frames half-way, whose parents may be gone: nothing of it is written. */
static int spill(struct nf *nf)
{
    struct nf_cache *cache = &nf->cache;
    size_t n = 0;
    if (nf->failed != 0) {
        return nf_fail(nf, NF_EC_TXN_FAILED, NF_NOWHERE, "page cache");
    }
    nf_cache_seal(nf);
    for (size_t i = 0; i < cache->n_frames; i++) {
        struct nf_frame *frame = &cache->frames[i];
        if (frame->id != 0 && frame->sealed && frame->pins == 0) {
            cache->order[n++] = frame;
        }
    }
    if (n == 0) {
        return 0;
    }
    int err = write_frames(nf, n, 0, NULL);
    if (err == 0) {
        cache->spilled = true;
        cache->n_spilled += n;
        nf_trace(nf->mem.env, NF_EV_SPILLED, n, 0, 0);
    }
    return err;
}

/* ---- Frames --------------------------------------------------------- */

static void release(struct nf_cache *cache, struct nf_frame *frame)
{
    hash_remove(cache, frame);
    frame->id = 0;
    frame->fresh = false;
    lru_remove(frame);
    lru_insert_after(cache->lru.lru_prev, frame);
}

static struct nf_frame *coldest_clean(struct nf_cache *cache)
{
    struct nf_frame *frame = cache->lru.lru_prev;
    while (frame != &cache->lru && (frame->pins > 0 || frame->dirty)) {
        frame = frame->lru_prev;
    }
    return frame == &cache->lru ? NULL : frame;
}

/* An unused frame, if nothing must be written for it; or NULL. */
static struct nf_frame *take_clean(struct nf_cache *cache)
{
    struct nf_frame *frame = coldest_clean(cache);
    if (frame != NULL && frame->id != 0) {
        release(cache, frame);
    }
    return frame;
}

/* An unused frame. Its data are undefined. */
static int claim(struct nf *nf, struct nf_frame **ret)
{
    struct nf_cache *cache = &nf->cache;
    struct nf_frame *frame = NULL;
    if (cache->n_dirty <= cache->n_frames - cache->n_frames / 4) {
        frame = take_clean(cache);
    }
    if (frame == NULL) {
        int err = spill(nf);
        if (err != 0) {
            return err;
        }
        frame = take_clean(cache);
        if (frame == NULL) {
            return nf_fail(nf, NF_EC_CACHE_SMALL, NF_NOWHERE,
                           "page cache: all pages are in use");
        }
    }
    *ret = frame;
    return 0;
}

static void occupy(struct nf_cache *cache, struct nf_frame *frame, uint64_t id,
                   enum nf_kind kind)
{
    frame->id = id;
    frame->kind = (uint8_t)kind;
    frame->pins = 1;
    frame->dirty = false;
    frame->sealed = false;
    frame->fresh = false;
    frame->n_unsealed = 0;
    frame->parent = NULL;
    frame->root = NULL;
    frame->slot_off = 0;
    hash_insert(cache, frame);
    touch(cache, frame);
}

void nf_cache_pin(struct nf_frame *frame)
{
    frame->pins++;
}

void nf_cache_unpin(struct nf_frame *frame)
{
    if (frame != NULL) {
        nf_assert(frame->pins > 0);
        frame->pins--;
    }
}

struct nf_frame *nf_cache_peek(struct nf *nf, uint64_t id)
{
    struct nf_frame *frame = lookup(&nf->cache, id);
    if (frame != NULL) {
        frame->pins++;
    }
    return frame;
}

bool nf_cache_knows(const struct nf *nf, uint64_t id)
{
    return lookup(&nf->cache, id) != NULL;
}

/* Whether a pointer that is older than the transaction leads to a page that
 * was written by it: that one was in use, and in the free queue. */
static bool is_stolen(const struct nf *nf, const struct nf_frame *frame,
                      const struct nf_ptr *ptr)
{
    return nf->format->births && frame->fresh && !nf_ptr_is_fresh(nf, ptr);
}

static bool in_tree(const struct nf *nf, const struct nf_ptr *ptr)
{
    return ptr->id >= nf->first_page && ptr->id < nf->space.free_start;
}

int nf_cache_get(struct nf *nf, const struct nf_ptr *ptr, enum nf_kind kind,
                 struct nf_frame **ret)
{
    struct nf_cache *cache = &nf->cache;
    struct nf_frame *frame = lookup(cache, ptr->id);
    if (frame != NULL) {
        if (frame->kind != (uint8_t)kind || is_stolen(nf, frame, ptr)) {
            return fail_double(nf, ptr->id);
        }
        cache->hits++;
        frame->pins++;
        touch(cache, frame);
        *ret = frame;
        return 0;
    }
    cache->misses++;
    if (!in_tree(nf, ptr)) {
        return nf_fail_value(nf, NF_EC_PAGE_ID, ptr->id, "pointer",
                             nf->space.free_start, ptr->id);
    }
    int err = claim(nf, &frame);
    if (err != 0) {
        return err;
    }
    err = bd_read(&nf->bd, ptr->id, 1, frame->data);
    if (err != 0) {
        return nf_fail(nf, err, ptr->id, "read");
    }
    uint64_t sum = nf_page_sum(nf, frame->data);
    if (sum != ptr->sum) {
        return nf_fail_value(nf, NF_EC_CHECKSUM, ptr->id, "page", ptr->sum,
                             sum);
    }
    err = nf->format->node_check(nf, kind, ptr, frame->data);
    if (err != 0) {
        return nf_fail(nf, err, ptr->id, "page");
    }
    occupy(cache, frame, ptr->id, kind);
    *ret = frame;
    return 0;
}

/* A page that was read ahead is what its pointer says. */
static bool is_right(struct nf *nf, const struct nf_frame *parent,
                     const struct nf_frame *frame)
{
    struct nf_ptr ptr;
    nf->format->ptr_get(nf, parent->data + frame->slot_off, &ptr);
    return nf_page_sum(nf, frame->data) == ptr.sum &&
           nf->format->node_check(nf, (enum nf_kind)frame->kind, &ptr,
                                  frame->data) == 0;
}

void nf_cache_prefetch(struct nf *nf, const struct nf_frame *parent,
                       uint32_t first, uint32_t n, enum nf_kind kind)
{
    struct nf_cache *cache = &nf->cache;
    size_t max = (size_t)nf_min_u64(NF_DIRECT, cache->n_frames / 4);
    size_t n_reqs = 0;
    for (uint32_t i = first; i < first + n && n_reqs < max; i++) {
        uint32_t off =
            nf->format->ptr_at(nf, (enum nf_kind)parent->kind, parent->data, i);
        struct nf_ptr ptr;
        nf->format->ptr_get(nf, parent->data + off, &ptr);
        if (!in_tree(nf, &ptr) || lookup(cache, ptr.id) != NULL) {
            continue;
        }
        struct nf_frame *frame = take_clean(cache);
        if (frame == NULL) {
            break;
        }
        occupy(cache, frame, ptr.id, kind);
        frame->slot_off = off;
        struct bd_request req = {{ptr.id, 1}, frame->data, NULL};
        cache->order[n_reqs] = frame;
        cache->reqs[n_reqs++] = req;
    }
    cache->misses += n_reqs;
    int err = n_reqs == 0 ? 0 : bd_submit(&nf->bd, cache->reqs, n_reqs);
    for (size_t i = 0; i < n_reqs; i++) {
        struct nf_frame *frame = cache->order[i];
        nf_cache_unpin(frame);
        if (err != 0 || !is_right(nf, parent, frame)) {
            release(cache, frame);
        }
    }
}

int nf_cache_new(struct nf *nf, struct nf_slot slot, enum nf_kind kind,
                 struct nf_frame **ret)
{
    struct nf_frame *frame;
    struct nf_ptr ptr = {0, nf_txn_gen(nf), 0, false};
    int err = nf_space_alloc(nf, &ptr.id);
    if (err != 0) {
        return err;
    }
    err = claim(nf, &frame);
    if (err != 0) {
        return err;
    }
    memset(frame->data, 0, nf->disk.page_size);
    occupy(&nf->cache, frame, ptr.id, kind);
    make_dirty(nf, frame, slot);
    nf_slot_put(nf, slot, &ptr);
    *ret = frame;
    return 0;
}

int nf_cache_own(struct nf *nf, struct nf_frame *frame, struct nf_slot slot)
{
    struct nf_ptr old;
    if (frame->dirty && !frame->sealed) {
        return is_at(frame, slot) ? 0 : fail_double(nf, frame->id);
    }
    nf_slot_get(nf, slot, &old);
    nf_assert(old.id == frame->id);
    if (frame->fresh || nf_ptr_is_fresh(nf, &old)) {
        make_dirty(nf, frame, slot);
        return 0;
    }
    struct nf_ptr ptr = {0, nf_txn_gen(nf), 0, false};
    int err = nf_space_alloc(nf, &ptr.id);
    if (err != 0) {
        return err;
    }
    hash_remove(&nf->cache, frame);
    frame->id = ptr.id;
    hash_insert(&nf->cache, frame);
    make_dirty(nf, frame, slot);
    nf_slot_put(nf, slot, &ptr);
    return nf_space_free(nf, old.id, old.birth);
}

int nf_cache_get_own(struct nf *nf, struct nf_slot slot, enum nf_kind kind,
                     struct nf_frame **ret)
{
    struct nf_ptr ptr;
    struct nf_frame *frame;
    nf_slot_get(nf, slot, &ptr);
    int err = nf_cache_get(nf, &ptr, kind, &frame);
    if (err != 0) {
        return err;
    }
    err = nf_cache_own(nf, frame, slot);
    if (err != 0) {
        nf_cache_unpin(frame);
        return err;
    }
    *ret = frame;
    return 0;
}

void nf_cache_reparent(struct nf *nf, struct nf_frame *from,
                       struct nf_frame *to)
{
    struct nf_cache *cache = &nf->cache;
    for (size_t i = 0; i < cache->n_frames && from->n_unsealed > 0; i++) {
        struct nf_frame *frame = &cache->frames[i];
        uint32_t off;
        if (frame->id != 0 && frame->parent == from && frame->dirty &&
            !frame->sealed && slot_find(nf, to, frame->id, 0, &off)) {
            frame->parent = to;
            frame->slot_off = off;
            from->n_unsealed--;
            to->n_unsealed++;
        }
    }
}

void nf_cache_move(struct nf *nf, uint64_t id, struct nf_slot from,
                   struct nf_slot to)
{
    struct nf_frame *frame = lookup(&nf->cache, id);
    if (frame == NULL || !frame->dirty || frame->sealed ||
        !is_at(frame, from)) {
        return;
    }
    if (frame->parent != NULL) {
        frame->parent->n_unsealed--;
    }
    link_unsealed(frame, to);
}

/* Drop the frame of a page that is being freed. */
static void forget(struct nf *nf, struct nf_frame *frame)
{
    if (frame->dirty) {
        if (!frame->sealed && frame->parent != NULL) {
            frame->parent->n_unsealed--;
        }
        make_clean(nf, frame);
    }
    release(&nf->cache, frame);
}

void nf_cache_drop(struct nf *nf)
{
    struct nf_cache *cache = &nf->cache;
    for (size_t i = 0; i < cache->n_frames; i++) {
        struct nf_frame *frame = &cache->frames[i];
        if (frame->id != 0) {
            nf_assert(frame->pins == 0);
            frame->dirty = false;
            frame->sealed = false;
            frame->n_unsealed = 0;
            release(cache, frame);
        }
    }
    cache->n_dirty = 0;
    cache->spilled = false;
}

void nf_cache_committed(struct nf *nf)
{
    struct nf_cache *cache = &nf->cache;
    for (size_t i = 0; i < cache->n_frames; i++) {
        cache->frames[i].fresh = false;
    }
    cache->spilled = false;
}

int nf_page_free(struct nf *nf, const struct nf_ptr *ptr)
{
    struct nf_frame *frame = lookup(&nf->cache, ptr->id);
    uint64_t birth = ptr->birth;
    if (!in_tree(nf, ptr)) {
        return nf_fail_value(nf, NF_EC_PAGE_ID, ptr->id, "pointer",
                             nf->space.free_start, ptr->id);
    }
    if (frame != NULL) {
        if (frame->pins > 0 || frame->n_unsealed > 0 ||
            is_stolen(nf, frame, ptr)) {
            return fail_double(nf, ptr->id);
        }
        birth = frame->fresh ? nf_txn_gen(nf) : birth;
        forget(nf, frame);
    }
    return nf_space_free(nf, ptr->id, birth);
}
