/* SPDX-License-Identifier: ISC */
#include "pack/room.h"

#include "notafs/platform/checked.h"

/* For files that grow, pages that are written in part, the index: less than
 * that is never left. */
enum { ROOM_SLACK = 65536 };

/*
 * All objects that can be live, whole or, where only every other one is, half
 * of them and the mapping: a record takes less than the object between two
 * ranges, with its hash. An eighth more is for what the medium needs to keep
 * the files.
 */
uint64_t pk_room_need(const struct pk_store *store)
{
    uint64_t len = pk_store_end(store) - store->control.suffix_start;

    if (store->control.mapping_end != NF_NOWHERE) {
        len += store->control.mapping_end;
    }
    return len + store->prefix.data_len + len / 8 + store->prefix.data_len / 8 +
           ROOM_SLACK;
}

int pk_room_left(const struct pk_store *store, uint64_t *ret_len)
{
    const struct pk_vfs *vfs = store->vfs;
    bool grows = store->reserve == PK_RESERVE_AUTO;
    uint64_t kept = grows ? pk_room_need(store) : store->reserve;
    uint64_t pending = store->suffix.pending.len;
    uint64_t len = 0;
    int err;

    if (vfs->ops->space == NULL) {
        *ret_len = UINT64_MAX;
        return 0;
    }
    err = vfs->ops->space(vfs->ctx, &len);
    if (err != 0) {
        return err;
    }
    kept = nf_max_u64(kept, store->reserve > 0 ? ROOM_SLACK : 0);
    len = len > kept + pending ? len - kept - pending : 0;
    *ret_len = grows ? len / 9 * 4 : len; /* each byte may be kept once more */
    return 0;
}

int pk_room_take(struct pk_store *store, uint64_t len)
{
    if (store->reserve == 0) {
        return 0;
    }
    if (store->room < len) {
        uint64_t left = 0;
        int err = pk_room_left(store, &left);

        if (err == 0 && left < len) {
            err = NF_ENOSPC;
        }
        if (err != 0) {
            return pk_fail(&store->ctx, err, NULL, NF_NOWHERE,
                           "room beside the reserve");
        }
        store->room = left;
    }
    store->room -= len;
    return 0;
}
