/* SPDX-License-Identifier: ISC */
/*
 * Records in blocks, one after the other, and a table of their numbers.
 *
 *   record  word 0       offset * 2 + (1 if more follows)
 *           word 1       length << 16 | depth << 9 | tree << 8 | kind
 *           words 2 ...  hash
 *
 * A record's number is that of its first word. A slot has a part of its
 * offset's hash above the number + 1, so that few records are looked at in
 * vain. Objects that are neighbours in the store are asked for together, so
 * their slots are neighbours, too.
 */
#include "pack/verified.h"

#include <string.h>

enum {
    BLOCK_WORDS = 1 << 10,
    NEAR_LEN = 1 << 10, /* bytes of the store that share a run of slots */
    NEAR_GRAIN = 32,    /* bytes for each of these */
    SLOTS_MIN = 64,
};

static uint32_t known_tag(uint64_t off)
{
    return (uint32_t)(off * 0x9e3779b97f4a7c15u >> 32);
}

/* The record of a slot that is not free. */
static uint64_t *known_record(const struct pk_verified *known, uint64_t slot)
{
    uint32_t number = (uint32_t)slot - 1;

    return (uint64_t *)(void *)known->blocks[number / BLOCK_WORDS] +
           number % BLOCK_WORDS;
}

/* The slot of off, or the free one where it would be. */
static size_t known_slot(const struct pk_verified *known, uint64_t off)
{
    uint64_t run = (off / NEAR_LEN) * 0x9e3779b97f4a7c15u >> 24;
    size_t i = (size_t)(run + off % NEAR_LEN / NEAR_GRAIN);
    uint32_t tag = known_tag(off);

    for (;; i++) {
        uint64_t slot = known->slots[i &= known->n_slots - 1];

        if (slot == 0 ||
            (slot >> 32 == tag && *known_record(known, slot) >> 1 == off)) {
            return i;
        }
    }
}

static int known_grow(struct pk_verified *known)
{
    struct pk_verified grown = *known;

    grown.n_slots = known->n_slots == 0 ? SLOTS_MIN : known->n_slots * 2;
    grown.slots =
        nf_calloc(&known->ctx->mem, grown.n_slots, sizeof(*grown.slots));
    if (grown.slots == NULL) {
        return pk_fail_mem(known->ctx);
    }
    for (size_t i = 0; i < known->n_slots; i++) {
        uint64_t slot = known->slots[i];

        if (slot != 0) {
            uint64_t off = *known_record(known, slot) >> 1;

            grown.slots[known_slot(&grown, off)] = slot;
        }
    }
    nf_free(&known->ctx->mem, known->slots,
            known->n_slots * sizeof(*known->slots));
    *known = grown;
    return 0;
}

static int known_add_block(struct pk_verified *known)
{
    struct nf_mem *mem = &known->ctx->mem;
    uint8_t *block;

    if (known->n_blocks == known->cap_blocks) {
        size_t cap = known->cap_blocks == 0 ? 16 : known->cap_blocks * 2;
        uint8_t **blocks =
            nf_realloc(mem, known->blocks, known->cap_blocks * sizeof(*blocks),
                       cap * sizeof(*blocks));

        if (blocks == NULL) {
            return pk_fail_mem(known->ctx);
        }
        known->blocks = blocks;
        known->cap_blocks = cap;
    }
    block = known->n_blocks > UINT32_MAX / BLOCK_WORDS - 1
                ? NULL
                : nf_alloc(mem, BLOCK_WORDS * sizeof(uint64_t));
    if (block == NULL) {
        return pk_fail_mem(known->ctx);
    }
    known->blocks[known->n_blocks++] = block;
    known->used = 0;
    return 0;
}

static size_t known_words(const struct pk_verified *known)
{
    return 2 + (known->hash_len + 7) / 8;
}

int pk_verified_add(struct pk_verified *known, uint64_t off,
                    const struct pk_verified_object *object)
{
    size_t words = 1;
    uint64_t *record;
    uint64_t entry;
    size_t slot;
    int err = 0;

    if (2 * (known->n + 1) > known->n_slots) {
        err = known_grow(known);
    }
    if (err != 0) {
        return err;
    }
    slot = known_slot(known, off);
    if (known->slots[slot] != 0) {
        return 0;
    }
    if (object != NULL && object->length >> 48 == 0 &&
        (known->n_blocks + 1) * BLOCK_WORDS * 8 <= known->max_len) {
        words = known_words(known);
    }
    if (known->n_blocks == 0 || known->used + words > BLOCK_WORDS) {
        err = known_add_block(known);
    }
    if (err != 0) {
        return err;
    }
    entry = (uint64_t)known_tag(off) << 32 |
            ((known->n_blocks - 1) * BLOCK_WORDS + known->used + 1);
    record = known_record(known, entry);
    record[0] = off << 1 | (words > 1);
    if (words > 1) {
        record[1] = object->length << 16 | (uint64_t)object->depth << 9 |
                    (uint64_t)object->tree << 8 | object->kind;
        memcpy(record + 2, object->hash.b, known->hash_len);
    }
    known->used += words;
    known->slots[slot] = entry;
    known->n++;
    return 1;
}

bool pk_verified_has(const struct pk_verified *known, uint64_t off)
{
    return known->n > 0 && known->slots[known_slot(known, off)] != 0;
}

bool pk_verified_find(const struct pk_verified *known, uint64_t off,
                      struct pk_verified_object *ret)
{
    const uint64_t *record;
    size_t slot;

    if (known->n == 0) {
        return false;
    }
    slot = known_slot(known, off);
    if (known->slots[slot] == 0) {
        return false;
    }
    record = known_record(known, known->slots[slot]);
    if ((record[0] & 1) == 0) {
        return false;
    }
    ret->kind = (uint8_t)record[1];
    ret->tree = (record[1] >> 8 & 1) != 0;
    ret->depth = (uint8_t)(record[1] >> 9 & 127);
    ret->length = record[1] >> 16;
    memset(&ret->hash, 0, sizeof(ret->hash));
    memcpy(ret->hash.b, record + 2, known->hash_len);
    return true;
}

void pk_verified_deinit(struct pk_verified *known)
{
    struct nf_mem *mem = &known->ctx->mem;

    for (size_t i = 0; i < known->n_blocks; i++) {
        nf_free(mem, known->blocks[i], BLOCK_WORDS * sizeof(uint64_t));
    }
    nf_free(mem, known->blocks, known->cap_blocks * sizeof(*known->blocks));
    nf_free(mem, known->slots, known->n_slots * sizeof(*known->slots));
    *known = (struct pk_verified){.ctx = known->ctx};
}
