/* SPDX-License-Identifier: ISC */
/*
 * Listings. A list holds a reference to its node, so changes to the tree go to
 * a copy. Unsorted, it passes over the stored directory in the order of its
 * inodes, leaving out what has changed, and then over the changes; sorted, it
 * first collects all that.
 */
#include "pack/store/list.h"
#include "pack/locate.h"

#include <string.h>

#include "pack/arena.h"
#include "pack/sort.h"

struct list_item {
    struct pk_slice step;
    struct pk_place place;
};

struct pk_list {
    struct pk_repo *repo;
    struct pk_node *node;
    uint32_t flags;
    uint64_t left; /* bindings still to be given */
    struct pk_inode_iter iter;
    struct pk_change_iter changes;
    struct pk_arena arena; /* sorted: steps */
    struct list_item *items;
    size_t n_items;
    size_t cap_items;
    uint32_t *order;
    size_t next;
};

/* The place of a stored binding. */
static int list_place(struct pk_list *list, struct pk_inode *inode, uint32_t i,
                      const struct pk_slot *slot, struct pk_place *ret)
{
    struct pk_place place = {.kind = slot->kind};
    int err = pk_addr_resolve(&list->repo->store, &slot->addr, &place.off);

    if (err == 0 && (list->flags & PK_LIST_HASH) != 0) {
        err = pk_inode_slot_hash(&list->repo->store, inode, i, &place.hash);
        place.has_hash = true;
    }
    if (err == 0) {
        *ret = place;
    }
    return err;
}

/* The next binding in the order of storage. */
static int list_stream(struct pk_list *list, struct pk_slice *ret_step,
                       struct pk_place *ret_place)
{
    struct pk_change *change;
    struct pk_inode *inode;
    struct pk_slot slot;
    uint32_t i;
    int got;

    while ((got = pk_inode_iter_next(&list->iter, &slot, &inode, &i)) > 0) {
        int err;

        if (list->node->changes != NULL &&
            pk_change_find(list->node->changes, slot.step) != NULL) {
            continue;
        }
        err = list_place(list, inode, i, &slot, ret_place);
        if (err != 0) {
            return err;
        }
        *ret_step = slot.step;
        return 1;
    }
    if (got < 0) {
        return got;
    }
    while ((change = pk_change_iter_next(&list->changes)) != NULL) {
        if (change->item.what != PK_ITEM_REMOVED) {
            *ret_step = pk_change_step(change);
            *ret_place = pk_place_of_item(change->item);
            return 1;
        }
    }
    return 0;
}

static int list_compare(const void *arg, uint32_t a, uint32_t b)
{
    const struct pk_list *list = arg;

    return pk_step_compare(list->items[a].step, list->items[b].step);
}

static int list_add(struct pk_list *list, struct pk_slice step,
                    const struct pk_place *place)
{
    struct nf_mem *mem = &list->repo->store.ctx.mem;
    uint8_t *copy = pk_arena_alloc(&list->arena, step.len);

    if (list->n_items == list->cap_items) {
        size_t cap = list->cap_items == 0 ? 32 : list->cap_items * 2;
        struct list_item *items =
            cap > UINT32_MAX
                ? NULL
                : nf_realloc(mem, list->items, list->cap_items * sizeof(*items),
                             cap * sizeof(*items));

        if (items == NULL) {
            return pk_fail_mem(&list->repo->store.ctx);
        }
        list->items = items;
        list->cap_items = cap;
    }
    if (copy == NULL) {
        return pk_fail_mem(&list->repo->store.ctx);
    }
    memcpy(copy, step.p, step.len);
    list->items[list->n_items].step = (struct pk_slice){copy, step.len};
    list->items[list->n_items].place = *place;
    list->n_items++;
    return 0;
}

/* Put what was collected in order. */
static int list_order(struct pk_list *list)
{
    list->order = nf_calloc(&list->repo->store.ctx.mem, list->n_items + 1,
                            sizeof(*list->order));
    if (list->order == NULL) {
        return pk_fail_mem(&list->repo->store.ctx);
    }
    for (size_t i = 0; i < list->n_items; i++) {
        list->order[i] = (uint32_t)i;
    }
    pk_sort(list->order, list->n_items, list_compare, list);
    return 0;
}

static int list_sort(struct pk_list *list)
{
    struct pk_slice step;
    struct pk_place place;
    int got;

    while ((got = list_stream(list, &step, &place)) > 0) {
        int err = list_add(list, step, &place);

        if (err != 0) {
            return err;
        }
    }
    return got < 0 ? got : list_order(list);
}

/* Pass over the first n bindings. */
static int list_skip(struct pk_list *list, uint64_t n)
{
    struct pk_slice step;
    struct pk_place place;

    if ((list->flags & PK_LIST_SORTED) != 0) {
        list->next = n < list->n_items ? (size_t)n : list->n_items;
        return 0;
    }
    if (list->node->changes == NULL) {
        return pk_inode_iter_skip(&list->iter, n);
    }
    for (; n > 0; n--) {
        int got = list_stream(list, &step, &place);

        if (got <= 0) {
            return got;
        }
    }
    return 0;
}

static int list_new(struct pk_repo *repo, const struct pk_place *place,
                    uint32_t flags, struct pk_list **ret_list)
{
    struct pk_list *list =
        nf_calloc(&repo->store.ctx.mem, 1, sizeof(struct pk_list));
    int err;

    if (list == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    list->repo = repo;
    list->flags = flags;
    list->iter.store = &repo->store;
    list->arena = pk_arena_of(&repo->store.ctx.mem);
    list->left = UINT64_MAX;
    err = pk_place_node(repo, place, &list->node);
    if (err != 0) {
        pk_list_close(list);
        return err;
    }
    *ret_list = list;
    return 0;
}

int pk_list_of_place(struct pk_repo *repo, const struct pk_place *place,
                     struct pk_range range, uint32_t flags,
                     struct pk_list **ret_list)
{
    struct pk_list *list = NULL;
    int err = list_new(repo, place, flags, &list);

    if (err != 0) {
        return err;
    }
    if (range.length != 0) {
        list->left = range.length;
    }
    if ((flags & PK_LIST_HASH) != 0 && !list->node->hashed) {
        err = pk_node_rehash(repo, list->node);
    }
    if (err == 0 && list->node->base != NF_NOWHERE) {
        err = pk_inode_iter_begin(&list->iter, &repo->store, list->node->base);
    }
    if (err == 0) {
        pk_change_iter_begin(&list->changes, list->node->changes);
        if ((flags & PK_LIST_SORTED) != 0) {
            err = list_sort(list);
        }
    }
    if (err == 0) {
        err = list_skip(list, range.offset);
    }
    if (err != 0) {
        pk_list_close(list);
        return err;
    }
    *ret_list = list;
    return 0;
}

/* --------------------------------------------------------------- differing */

/* Add all bindings below an inode. */
static int list_below(struct pk_list *list, struct pk_inode *inode)
{
    struct pk_inode *at;
    struct pk_slot slot;
    struct pk_place place;
    uint32_t i;
    int err;

    list->iter.inodes[0] = inode;
    list->iter.next[0] = 0;
    list->iter.depth = 1;
    inode->kept.pins++;
    while ((err = pk_inode_iter_next(&list->iter, &slot, &at, &i)) > 0) {
        err = list_place(list, at, i, &slot, &place);
        if (err == 0) {
            err = list_add(list, slot.step, &place);
        }
        if (err != 0) {
            break;
        }
    }
    pk_inode_iter_end(&list->iter);
    return err;
}

/* The same place in n inode trees, one NULL where a tree has nothing. */
struct sides {
    struct pk_list **lists;
    size_t n;
    struct pk_inode *inodes[PK_LIST_SIDES];
};

/* The child of each side at an index, unless all have the same: those are not
 * even loaded. at: where each side's next child is, moved on. */
static int sides_child(const struct sides *s, uint32_t at[PK_LIST_SIDES],
                       struct sides *ret_child, bool *ret_end)
{
    struct pk_store *store = &s->lists[0]->repo->store;
    struct pk_digest hashes[PK_LIST_SIDES];
    uint32_t slots[PK_LIST_SIDES];
    uint32_t index = UINT32_MAX;
    bool has[PK_LIST_SIDES] = {false};
    size_t n_same = 1;
    int err = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct pk_slot slot;

        slots[i] = UINT32_MAX;
        if (s->inodes[i] != NULL && at[i] < s->inodes[i]->n) {
            pk_inode_slot(store, s->inodes[i], at[i], &slot);
            slots[i] = slot.index;
        }
        index = slots[i] < index ? slots[i] : index;
    }
    *ret_end = index == UINT32_MAX;
    for (size_t i = 0; i < s->n && err == 0 && !*ret_end; i++) {
        ret_child->inodes[i] = NULL;
        has[i] = slots[i] == index;
        if (has[i]) {
            err = pk_inode_slot_hash(store, s->inodes[i], at[i], &hashes[i]);
        }
        n_same += err == 0 && i > 0 && has[i] && has[0] &&
                  memcmp(&hashes[i], &hashes[0], sizeof(hashes[0])) == 0;
    }
    for (size_t i = 0; i < s->n && err == 0; i++) {
        if (has[i] && n_same < s->n) {
            err = pk_inode_load_child(store, s->inodes[i], at[i],
                                      &ret_child->inodes[i]);
        }
        at[i] += has[i];
    }
    return err;
}

/* Recursion is over the depth of inodes, at most PK_INODE_MAX_DEPTH. */
static int sides_collect(const struct sides *s)
{
    struct pk_store *store = &s->lists[0]->repo->store;
    uint32_t at[PK_LIST_SIDES] = {0};
    struct sides child = {.lists = s->lists, .n = s->n};
    bool end = false;
    bool trees = true;
    int err = 0;

    for (size_t i = 0; i < s->n; i++) {
        trees = trees && s->inodes[i] != NULL && s->inodes[i]->tree;
    }
    for (size_t i = 0; i < s->n && !trees && err == 0; i++) {
        if (s->inodes[i] != NULL) {
            err = list_below(s->lists[i], s->inodes[i]);
        }
    }
    while (trees && !end && err == 0) {
        memset(child.inodes, 0, sizeof(child.inodes));
        err = sides_child(s, at, &child, &end);
        if (err == 0 && !end) {
            err = sides_collect(&child);
        }
        for (size_t i = 0; i < s->n; i++) {
            pk_inode_unpin(store, child.inodes[i]);
        }
    }
    return err;
}

static int lists_differing(struct pk_repo *repo, struct pk_list **lists,
                           size_t n)
{
    struct sides sides = {.lists = lists, .n = n};
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++) {
        err = pk_inode_load(&repo->store, lists[i]->node->base, PK_ROLE_ROOT,
                            &sides.inodes[i]);
    }
    if (err == 0) {
        err = sides_collect(&sides);
    }
    for (size_t i = 0; i < n; i++) {
        pk_inode_unpin(&repo->store, sides.inodes[i]);
        if (err == 0) {
            err = list_order(lists[i]);
        }
    }
    return err;
}

int pk_list_differing(struct pk_repo *repo,
                      const struct pk_place *const *places, size_t n,
                      struct pk_list **ret_lists)
{
    const uint32_t flags = PK_LIST_SORTED | PK_LIST_HASH;
    struct pk_list *lists[PK_LIST_SIDES] = {NULL};
    bool stored = true;
    int err = 0;

    for (size_t i = 0; i < n; i++) {
        stored = stored && places[i] != NULL && places[i]->node == NULL;
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        if (stored) {
            err = list_new(repo, places[i], flags, &lists[i]);
        } else if (places[i] != NULL) {
            err = pk_list_of_place(repo, places[i], (struct pk_range){0, 0},
                                   flags, &lists[i]);
        }
    }
    if (err == 0 && stored) {
        err = lists_differing(repo, lists, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (err != 0) {
            pk_list_close(lists[i]);
        } else {
            ret_lists[i] = lists[i];
        }
    }
    return err;
}

/* -------------------------------------------------------------------- next */

int pk_list_next_place(struct pk_list *list, struct pk_slice *ret_step,
                       struct pk_place *ret_place)
{
    int got = 1;

    if (list->left == 0) {
        return 0;
    }
    if ((list->flags & PK_LIST_SORTED) == 0) {
        got = list_stream(list, ret_step, ret_place);
    } else if (list->next < list->n_items) {
        const struct list_item *item = &list->items[list->order[list->next++]];

        *ret_step = item->step;
        *ret_place = item->place;
    } else {
        got = 0;
    }
    list->left -= got > 0;
    return got;
}

int pk_list_open(struct pk_tree *tree, struct pk_path path,
                 struct pk_range range, uint32_t flags,
                 struct pk_list **ret_list)
{
    struct pk_place place;
    int err = pk_place_find(tree, path, false, &place);

    if (err == 0 && place.kind != PK_NODE) {
        err = pk_fail(&tree->repo->store.ctx,
                      place.kind == PK_NONE ? NF_ENOENT : NF_ENOTDIR, NULL,
                      NF_NOWHERE, "path");
    }
    return err == 0
               ? pk_list_of_place(tree->repo, &place, range, flags, ret_list)
               : err;
}

int pk_list_next(struct pk_list *list, struct pk_entry *ret_entry)
{
    struct pk_entry entry = {0};
    struct pk_place place;
    int got = pk_list_next_place(list, &entry.step, &place);

    if (got <= 0) {
        return got;
    }
    entry.kind = place.kind;
    if ((list->flags & PK_LIST_HASH) != 0) {
        int err = pk_place_hash(list->repo, &place, &entry.hash);

        if (err != 0) {
            return err;
        }
    }
    *ret_entry = entry;
    return 1;
}

void pk_list_close(struct pk_list *list)
{
    struct nf_mem *mem;

    if (list == NULL) {
        return;
    }
    mem = &list->repo->store.ctx.mem;
    pk_inode_iter_end(&list->iter);
    nf_free(mem, list->order,
            list->order == NULL ? 0
                                : (list->n_items + 1) * sizeof(*list->order));
    nf_free(mem, list->items, list->cap_items * sizeof(*list->items));
    pk_arena_clear(&list->arena);
    pk_node_unref(list->repo, list->node);
    nf_free(mem, list, sizeof(*list));
}
