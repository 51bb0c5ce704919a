/* SPDX-License-Identifier: ISC */
/*
 * Room on the medium. What is reserved for a collection is kept from appending:
 * a full medium could not be collected, since the new prefix stands beside the
 * old files until the end.
 */
#ifndef PK_ROOM_H
#define PK_ROOM_H

#include "pack/manager.h"

/* Bytes that a collection can take at most. */
uint64_t pk_room_need(const struct pk_store *store);

/* Bytes that can be appended before the reserve is touched; UINT64_MAX: the
 * back end does not know. */
NF_MUST_USE int pk_room_left(const struct pk_store *store, uint64_t *ret_len);

/* May len bytes be appended? Errors: NF_ENOSPC. Cost: the back end is asked
 * when what it last said is used up. */
NF_MUST_USE int pk_room_take(struct pk_store *store, uint64_t len);

#endif
