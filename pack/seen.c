/* SPDX-License-Identifier: ISC */
/* A hash table with open addressing, never more than half full. */
#include "pack/seen.h"

static size_t seen_slot(const struct pk_seen *seen, uint64_t off)
{
    size_t i = (size_t)(off * 0x9e3779b97f4a7c15u >> 20) & (seen->n_slots - 1);

    while (seen->slots[i] != 0 && seen->slots[i] != off + 1) {
        i = (i + 1) & (seen->n_slots - 1);
    }
    return i;
}

int pk_seen_add(struct pk_seen *seen, uint64_t off)
{
    size_t i;

    if (2 * (seen->n + 1) > seen->n_slots) {
        struct pk_seen grown = {.ctx = seen->ctx, .n = seen->n};

        grown.n_slots = seen->n_slots == 0 ? 1024 : seen->n_slots * 2;
        grown.slots =
            nf_calloc(&seen->ctx->mem, grown.n_slots, sizeof(*grown.slots));
        if (grown.slots == NULL) {
            return pk_fail_mem(seen->ctx);
        }
        for (i = 0; i < seen->n_slots; i++) {
            if (seen->slots[i] != 0) {
                grown.slots[seen_slot(&grown, seen->slots[i] - 1)] =
                    seen->slots[i];
            }
        }
        pk_seen_deinit(seen);
        *seen = grown;
    }
    i = seen_slot(seen, off);
    if (seen->slots[i] != 0) {
        return 0;
    }
    seen->slots[i] = off + 1;
    seen->n++;
    return 1;
}

void pk_seen_deinit(struct pk_seen *seen)
{
    nf_free(&seen->ctx->mem, seen->slots, seen->n_slots * sizeof(*seen->slots));
    seen->slots = NULL;
    seen->n_slots = 0;
}
