/* SPDX-License-Identifier: ISC */
/* Hashes by open addressing, at most three quarters full. */
#include "pack/trail.h"

#include <string.h>

#include "notafs/platform/codec.h"

void pk_trail_deinit(struct pk_trail *trail)
{
    nf_free(&trail->ctx->mem, trail->slots,
            trail->n_slots * sizeof(*trail->slots));
    *trail = pk_trail_of(trail->ctx);
}

/* The slot that holds the hash, or the free one that it would take. */
static struct pk_digest *trail_slot(const struct pk_trail *trail,
                                    const struct pk_digest *hash)
{
    static const struct pk_digest none;
    size_t i = (size_t)((nf_get_le64(hash->b) * 0x9e3779b97f4a7c15u) >> 32);

    for (;; i++) {
        struct pk_digest *slot = &trail->slots[i & (trail->n_slots - 1)];

        if (memcmp(slot, hash, sizeof(*hash)) == 0 ||
            memcmp(slot, &none, sizeof(none)) == 0) {
            return slot;
        }
    }
}

static int trail_grow(struct pk_trail *trail)
{
    struct pk_trail old = *trail;
    size_t n = old.n_slots == 0 ? 64 : 2 * old.n_slots;

    trail->slots = nf_calloc(&trail->ctx->mem, n, sizeof(*trail->slots));
    if (trail->slots == NULL) {
        trail->slots = old.slots;
        return pk_fail_mem(trail->ctx);
    }
    trail->n_slots = n;
    for (size_t i = 0; i < old.n_slots; i++) {
        static const struct pk_digest none;

        if (memcmp(&old.slots[i], &none, sizeof(none)) != 0) {
            *trail_slot(trail, &old.slots[i]) = old.slots[i];
        }
    }
    pk_trail_deinit(&old);
    return 0;
}

int pk_trail_add(struct pk_trail *trail, const struct pk_digest *hash)
{
    struct pk_digest *slot;

    if (trail->n >= trail->n_slots / 4 * 3) {
        int err = trail_grow(trail);

        if (err != 0) {
            return err;
        }
    }
    slot = trail_slot(trail, hash);
    if (memcmp(slot, hash, sizeof(*hash)) != 0) {
        *slot = *hash;
        trail->n++;
    }
    return 0;
}

bool pk_trail_has(const struct pk_trail *trail, const struct pk_digest *hash)
{
    return trail->n > 0 &&
           memcmp(trail_slot(trail, hash), hash, sizeof(*hash)) == 0;
}
