/* SPDX-License-Identifier: ISC */
/*
 * The free queue: a tree of ranges of pages, oldest first.
 *
 * A page is taken by moving a cursor, which changes no page of the tree, so
 * that one can be taken in the middle of any change, of the queue's own pages
 * too. For a commit the queue is brought to what the cursor and the freed
 * ranges in space.tail[] say: ranges are appended (nf_mirage_queue_spill), and
 * what the cursor has passed is removed (nf_mirage_queue_trim). Both take pages
 * for the nodes that they change, and so may move the cursor;
 * nf_mirage_queue_trim therefore looks at the cursor again after each step.
 */
#include "notafs/mirage_int.h"

/* ---- The cursor ----------------------------------------------------- */

void nf_mirage_queue_raised(struct nf *nf)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    nf_assert(queue->depth + 1 < MIRAGE_DEPTH);
    memmove(queue->path + 1, queue->path,
            (queue->depth + 1) * sizeof(queue->path[0]));
    queue->path[0] = 0;
    queue->depth++;
    queue->version++;
}

void nf_mirage_queue_lowered(struct nf *nf)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    nf_assert(queue->depth > 0 && queue->path[0] == 0);
    memmove(queue->path, queue->path + 1,
            queue->depth * sizeof(queue->path[0]));
    queue->depth--;
    queue->version++;
}

/* Down to the leaf of the cursor; where its path is not given yet (below
 * depth), it goes to first children. The level of the lowest node on the way
 * that has a child after the path's is *ret_turn, or MIRAGE_NO_TURN. */
static int descend(struct nf *nf, uint32_t *ret_turn, struct nf_frame **ret)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    struct nf_slot slot = nf_slot_root(&queue->root);
    struct nf_frame *parent = NULL;
    uint32_t below = MIRAGE_ANY_HEIGHT;
    uint32_t turn = MIRAGE_NO_TURN;
    for (uint32_t level = 0;; level++) {
        struct nf_frame *frame;
        int err =
            nf_mirage_node_get(nf, slot, NF_KIND_QUEUE, below, false, &frame);
        nf_cache_unpin(parent);
        if (err != 0) {
            return err;
        }
        below = mirage_height(NF_KIND_QUEUE, frame->data);
        if (level > queue->depth) {
            queue->path[level] = 0;
            queue->depth = level;
        }
        if (below == 0) {
            *ret_turn = turn;
            *ret = frame;
            return 0;
        }
        if (level + 1 == MIRAGE_DEPTH) {
            err = nf_fail(nf, NF_EC_QUEUE, frame->id, "depth of the queue");
            nf_cache_unpin(frame);
            return err;
        }
        if (queue->path[level] + 1u <
            mirage_count(NF_KIND_QUEUE, frame->data)) {
            turn = level;
        }
        slot = mirage_slot(nf, frame, queue->path[level]);
        parent = frame;
    }
}

/* Go to the first leaf after the one that turn was found for. */
static void turn_right(struct mirage_queue *queue, uint32_t turn)
{
    queue->path[turn]++;
    queue->depth = turn;
    queue->version++;
}

/* Read the range at the cursor into queue->next, going on to the next leaf
 * where one is used up. At the end of the tree it stays empty. */
static int load_next(struct nf *nf)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    uint64_t turns = 0;
    while (queue->next.count == 0 && !nf_ptr_is_null(&queue->root)) {
        struct nf_frame *leaf = NULL;
        uint32_t turn = MIRAGE_NO_TURN;
        int err = descend(nf, &turn, &leaf);
        if (err != 0) {
            return err;
        }
        uint32_t i = queue->path[queue->depth];
        if (i < mirage_count(NF_KIND_QUEUE, leaf->data)) {
            nf_mirage_range_get(nf, leaf->data, i, &queue->next);
            queue->next.first += queue->skip;
            queue->next.count -= queue->skip;
        }
        nf_cache_unpin(leaf);
        if (queue->next.count > 0 || turn == MIRAGE_NO_TURN) {
            return 0;
        }
        if (turns++ == nf->page_count) {
            return nf_fail(nf, NF_EC_QUEUE, queue->root.id, "empty leaves");
        }
        turn_right(queue, turn);
    }
    return 0;
}

int nf_mirage_queue_front(struct nf *nf, struct nf_extent *ret)
{
    const struct mirage_queue *queue = &nf->mirage->queue;
    int err = load_next(nf);
    if (err != 0) {
        return err;
    }
    if (queue->next.count > 0) {
        *ret = queue->next;
    } else if (nf->space.n_tail > 0) {
        *ret = nf->space.tail[0];
    } else {
        ret->count = 0;
    }
    return 0;
}

void nf_mirage_queue_take(struct nf *nf, uint64_t n)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    if (queue->next.count == 0) {
        nf_space_tail_drop(nf, n);
        return;
    }
    nf_assert(n <= queue->next.count);
    queue->next.first += n;
    queue->next.count -= n;
    queue->skip += n;
    if (queue->next.count == 0) {
        queue->path[queue->depth]++;
        queue->skip = 0;
    }
    queue->version++;
}

void nf_mirage_queue_reset(struct nf *nf, const struct nf_ptr *root)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    queue->root = *root;
    queue->depth = 0;
    queue->path[0] = 0;
    queue->skip = 0;
    queue->next.count = 0;
    queue->version++;
}

/* Whether a page of the range is reserved for a leaf, or that of the newest. */
static bool has_slot(const struct nf_mirage *m, const struct nf_extent *range)
{
    const struct mirage_root *root = &m->roots[m->leaf.root];
    bool found = false;
    for (uint32_t i = m->leaf.slot; i < root->n_slots; i++) {
        found = found || (root->slots[i] >= range->first &&
                          root->slots[i] - range->first < range->count);
    }
    return found;
}

int nf_mirage_queue_load(struct nf *nf, const struct nf_ptr *root,
                         uint64_t free_start)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    uint64_t pages = 0;
    uint32_t depth = 0;
    const struct nf_extent unused = {free_start, nf->page_count - free_start};
    if (has_slot(nf->mirage, &unused)) {
        return nf_fail(nf, NF_EC_QUEUE, nf->mirage->leaf.page,
                       "generation slot that was never used");
    }
    nf_mirage_queue_reset(nf, root);
    for (;;) {
        int err = load_next(nf);
        if (err != 0) {
            return err;
        }
        const struct nf_extent *range = &queue->next;
        depth = queue->depth > depth ? queue->depth : depth;
        if (range->count == 0) {
            break;
        }
        if (range->first >= free_start ||
            range->count > free_start - range->first ||
            range->count > free_start - pages || has_slot(nf->mirage, range)) {
            return nf_fail_value(nf, NF_EC_QUEUE, range->first, "free range",
                                 free_start, range->first + range->count);
        }
        pages += range->count;
        nf_mirage_queue_take(nf, range->count);
    }
    if (!nf->readonly && depth + NF_MIN_FRAMES / 2 > nf->cache.n_frames) {
        return nf_fail_value(nf, NF_EC_CACHE_SMALL, NF_NOWHERE,
                             "depth of the free queue",
                             nf->cache.n_frames - NF_MIN_FRAMES / 2, depth);
    }
    nf_mirage_queue_reset(nf, root);
    nf->space.queue_pages = pages;
    return 0;
}

/* ---- Appending ------------------------------------------------------ */

/* Sort the freed ranges and join those that touch: all of them were freed by
 * this transaction, so their order says nothing. */
static void join_ranges(struct nf_space *space)
{
    struct nf_extent *tail = space->tail;
    size_t n = 0;
    for (size_t i = 1; i < space->n_tail; i++) {
        const struct nf_extent range = tail[i];
        size_t at = i;
        for (; at > 0 && tail[at - 1].first > range.first; at--) {
            tail[at] = tail[at - 1];
        }
        tail[at] = range;
    }
    for (size_t i = 0; i < space->n_tail; i++) {
        if (n > 0 && tail[n - 1].first + tail[n - 1].count == tail[i].first) {
            tail[n - 1].count += tail[i].count;
        } else {
            tail[n++] = tail[i];
        }
    }
    space->n_tail = n;
}

int nf_mirage_queue_spill(struct nf *nf)
{
    struct nf_space *space = &nf->space;
    struct nf_ptr *root = &nf->mirage->queue.root;
    join_ranges(space);
    while (space->n_tail > 0) {
        struct nf_frame *leaf;
        uint64_t pages = 0;
        int err = nf_mirage_tree_extend(nf, root, NF_KIND_QUEUE, &leaf);
        if (err != 0) {
            return err;
        }
        uint32_t count = mirage_count(NF_KIND_QUEUE, leaf->data);
        uint32_t room = nf->mirage->geo.queue_ranges - count;
        for (size_t i = 0; i < space->n_tail && i < room; i++) {
            struct nf_extent range = space->tail[i];
            range.count = nf_min_u64(range.count, UINT32_MAX);
            nf_mirage_range_put(nf, leaf->data, count, &range);
            count++;
            pages += range.count;
            if (range.count < space->tail[i].count) {
                break;
            }
        }
        mirage_set_count(NF_KIND_QUEUE, leaf->data, count);
        nf_cache_unpin(leaf);
        nf_space_tail_drop(nf, pages);
    }
    return 0;
}

/* ---- Trimming ------------------------------------------------------- */

static bool has_passed(const struct mirage_queue *queue)
{
    bool passed = queue->skip > 0;
    for (uint32_t i = 0; i <= queue->depth; i++) {
        passed = passed || queue->path[i] > 0;
    }
    return passed;
}

/* Remove the first n ranges of a leaf, and what was taken of the next. */
static void cut_ranges(struct nf *nf, uint8_t *page, uint32_t n)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    uint32_t count = mirage_count(NF_KIND_QUEUE, page) - n;
    uint32_t len = nf->mirage->geo.id_len + 4;
    uint8_t *first = page + MIRAGE_QUEUE_HEAD;
    memmove(first, first + n * len, count * len);
    memset(first + count * len, 0, n * len);
    mirage_set_count(NF_KIND_QUEUE, page, count);
    if (queue->skip > 0) {
        struct nf_extent range;
        nf_mirage_range_get(nf, page, 0, &range);
        range.first += queue->skip;
        range.count -= queue->skip;
        nf_mirage_range_put(nf, page, 0, &range);
    }
    queue->skip = 0;
    queue->path[queue->depth] = 0;
    queue->version++;
}

/* Remove the first child of a node on the cursor's path, which has passed it,
 * and all pages below it. */
static int cut_first(struct nf *nf, struct nf_frame *frame, uint32_t level)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    uint32_t count = mirage_count(NF_KIND_QUEUE, frame->data) - 1;
    uint32_t len = nf->mirage->geo.ptr_len;
    uint8_t *first = frame->data + MIRAGE_QUEUE_HEAD;
    nf_mirage_tree_cut(nf, frame, 0);
    memmove(first, first + len, count * len);
    memset(first + count * len, 0, len);
    mirage_set_count(NF_KIND_QUEUE, frame->data, count);
    queue->path[level]--;
    queue->version++;
    nf_cache_unpin(frame);
    return nf_mirage_tree_free(nf, &nf->mirage->cut, NF_KIND_QUEUE);
}

/* Go down the cursor's path, making it writable, to the first thing that can
 * be removed. Nothing is, if that moved the cursor. */
static int trim_step(struct nf *nf)
{
    struct mirage_queue *queue = &nf->mirage->queue;
    struct nf_slot slot = nf_slot_root(&queue->root);
    struct nf_frame *parent = NULL;
    uint32_t below = MIRAGE_ANY_HEIGHT;
    uint64_t version = queue->version;
    for (uint32_t level = 0;; level++) {
        struct nf_frame *frame;
        int err =
            nf_mirage_node_get(nf, slot, NF_KIND_QUEUE, below, false, &frame);
        if (err != 0) {
            nf_cache_unpin(parent);
            return err;
        }
        below = mirage_height(NF_KIND_QUEUE, frame->data);
        if (level == 0 && below > 0 &&
            mirage_count(NF_KIND_QUEUE, frame->data) == 1) {
            return nf_mirage_tree_lower(nf, &queue->root, frame);
        }
        err = nf_cache_own(nf, frame, slot);
        nf_cache_unpin(parent);
        if (err != 0 || queue->version != version) {
            nf_cache_unpin(frame);
            return err;
        }
        if (below > 0 && queue->path[level] > 0) {
            return cut_first(nf, frame, level);
        }
        if (below == 0) {
            cut_ranges(nf, frame->data, queue->path[level]);
            nf_cache_unpin(frame);
            return 0;
        }
        slot = mirage_slot(nf, frame, queue->path[level]);
        parent = frame;
    }
}

int nf_mirage_queue_trim(struct nf *nf)
{
    const struct mirage_queue *queue = &nf->mirage->queue;
    int err = load_next(nf);
    while (err == 0 && has_passed(queue)) {
        err = trim_step(nf);
        if (err == 0) {
            err = load_next(nf);
        }
    }
    return err;
}
