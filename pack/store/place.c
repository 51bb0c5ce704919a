/* SPDX-License-Identifier: ISC */
/*
 * Following paths. A directory with changes is looked up in them first, then
 * in the stored one it came from; below an unchanged directory all is stored.
 */
#include "pack/locate.h"
#include "pack/objects.h"
#include "pack/store/repo.h"

struct pk_place pk_place_of_node(struct pk_node *node)
{
    struct pk_place place = {.kind = PK_NODE, .off = node->base};

    if (node->changes != NULL || node->base == NF_NOWHERE) {
        place.node = node;
    }
    place.has_hash = node->hashed;
    if (node->hashed) {
        place.hash = node->hash;
    }
    return place;
}

struct pk_place pk_place_of_item(struct pk_item item)
{
    struct pk_place place = {.kind = PK_NONE, .off = NF_NOWHERE};

    switch (item.what) {
    case PK_ITEM_REMOVED:
        break;
    case PK_ITEM_BLOB:
        place.kind = PK_CONTENTS;
        place.blob = item.u.blob;
        place.has_hash = item.u.blob->hashed;
        place.hash = item.u.blob->hash;
        break;
    case PK_ITEM_NODE:
        return pk_place_of_node(item.u.node);
    case PK_ITEM_KEY:
        place.kind = item.u.key->kind;
        place.off = item.u.key->off;
        place.has_hash = true;
        place.hash = item.u.key->hash;
        break;
    }
    return place;
}

int pk_place_step(struct pk_repo *repo, const struct pk_place *place,
                  struct pk_slice step, bool want_hash, struct pk_place *ret)
{
    struct pk_place next = {.kind = PK_NONE, .off = NF_NOWHERE};
    struct pk_slot slot;
    uint64_t base = place->off;
    int err;

    if (place->node != NULL) {
        struct pk_change *change = pk_change_find(place->node->changes, step);

        if (change != NULL) {
            *ret = pk_place_of_item(change->item);
            return 0;
        }
        base = place->node->base;
    }
    if (place->kind == PK_NODE && place->node == NULL && base == NF_NOWHERE) {
        return pk_store_blinded(&repo->store);
    }
    if (place->kind != PK_NODE || base == NF_NOWHERE) {
        *ret = next;
        return 0;
    }
    err = pk_inode_find(&repo->store, base, step, &slot,
                        want_hash ? &next.hash : NULL);
    if (err == NF_ENOENT) {
        *ret = next;
        return 0;
    }
    if (err == 0) {
        err = pk_addr_resolve(&repo->store, &slot.addr, &next.off);
    }
    if (err == 0) {
        next.kind = slot.kind;
        next.has_hash = want_hash;
        if (next.off == NF_NOWHERE) { /* a proof's: the hash is all there is */
            next.has_hash = true;
            next.hash = slot.addr.hash;
        }
        *ret = next;
    }
    return err;
}

int pk_place_find(struct pk_tree *tree, struct pk_path path, bool want_hash,
                  struct pk_place *ret)
{
    struct pk_place place = pk_place_of_node(tree->root);

    for (size_t i = 0; i < path.n && place.kind != PK_NONE; i++) {
        int err = pk_place_step(tree->repo, &place, path.steps[i],
                                want_hash && i + 1 == path.n, &place);

        if (err != 0) {
            return err;
        }
    }
    *ret = place;
    return 0;
}

int pk_place_hash(struct pk_repo *repo, const struct pk_place *place,
                  struct pk_digest *ret)
{
    struct pk_head head;
    int err = 0;

    if (place->has_hash) {
        *ret = place->hash;
    } else if (place->node != NULL) {
        err = pk_node_rehash(repo, place->node);
        if (err == 0) {
            *ret = place->node->hash;
        }
    } else if (place->blob != NULL) {
        struct pk_blob *blob = place->blob;

        if (!blob->hashed) {
            err = pk_digest_contents(&repo->store.scheme,
                                     (struct pk_slice){blob->data, blob->len},
                                     &blob->hash);
            blob->hashed = err == 0;
        }
        *ret = blob->hash;
    } else {
        err = pk_object_head(&repo->store, place->off, &head);
        if (err == 0) {
            *ret = head.hash;
        }
    }
    return err;
}

int pk_place_length(struct pk_repo *repo, const struct pk_place *place,
                    uint64_t *ret_len)
{
    struct pk_inode *inode;
    int err;

    if (place->node != NULL) {
        *ret_len = place->node->count;
        return 0;
    }
    if (place->blob != NULL) {
        *ret_len = place->blob->len;
        return 0;
    }
    if (place->kind == PK_CONTENTS) {
        return pk_contents_length(&repo->store, place->off, ret_len);
    }
    err = pk_inode_load(&repo->store, place->off, PK_ROLE_ROOT, &inode);
    if (err == 0) {
        *ret_len = inode->length;
        pk_inode_unpin(&repo->store, inode);
    }
    return err;
}

int pk_place_node(struct pk_repo *repo, const struct pk_place *place,
                  struct pk_node **ret_node)
{
    struct pk_inode *inode;
    struct pk_node *node;
    int err;

    if (place->node != NULL) {
        place->node->refs++;
        *ret_node = place->node;
        return 0;
    }
    err = pk_inode_load(&repo->store, place->off, PK_ROLE_ROOT, &inode);
    if (err != 0) {
        return err;
    }
    node = pk_node_new(repo);
    if (node != NULL) {
        node->base = place->off;
        node->count = inode->length;
        node->hashed = true;
        node->hash = inode->hash;
        *ret_node = node;
    }
    pk_inode_unpin(&repo->store, inode);
    return node == NULL ? pk_fail_mem(&repo->store.ctx) : 0;
}
