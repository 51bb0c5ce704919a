/* SPDX-License-Identifier: ISC */
/*
 * The dictionary, all of it in memory: at most 100 001 strings, which are
 * never removed (spec 5.1). Strings are unique in what V3 and later wrote, but
 * migrated stores may hold copies: the first id is the one that is given out.
 * Bytes beyond the recorded end are leavings of a crash.
 */
#include "pack/dict.h"

#include <string.h>

#include "pack/cursor.h"
#include "pack/hash/ocaml_hash.h"

struct pk_slice pk_dict_string(const struct pk_dict *dict, uint64_t id)
{
    struct pk_slice s = {NULL, 0};

    return id < dict->n ? dict->strings[id] : s;
}

enum { DICT_ID_BITS = 17, DICT_ID_MASK = (1 << DICT_ID_BITS) - 1 };
_Static_assert((int)PK_DICT_MAX_STRINGS < (int)DICT_ID_MASK,
               "ids fit into slots");

/* The slot of a string, or the free one where it would go; with the bits of
 * the hash that the slot of this string has. They spare looking at others. */
static uint32_t dict_slot(const struct pk_dict *dict, struct pk_slice s,
                          uint32_t *ret_bits)
{
    uint32_t mask = dict->n_slots - 1;
    uint32_t hash = pk_ocaml_hash(0, s.p, s.len);
    uint32_t i = hash & mask;

    *ret_bits = hash << 2 & ~(uint32_t)DICT_ID_MASK; /* it has 30 */
    for (; dict->slots[i] != 0; i = (i + 1) & mask) {
        struct pk_slice other;

        if (((dict->slots[i] ^ *ret_bits) & ~(uint32_t)DICT_ID_MASK) != 0) {
            continue;
        }
        other = pk_dict_string(dict, (dict->slots[i] & DICT_ID_MASK) - 1);
        if (other.len == s.len && memcmp(other.p, s.p, s.len) == 0) {
            break;
        }
    }
    return i;
}

/* Enter all strings into the slots, which are free. */
static void dict_fill_slots(struct pk_dict *dict)
{
    for (uint32_t id = 0; id < dict->n; id++) {
        uint32_t bits;
        uint32_t i = dict_slot(dict, pk_dict_string(dict, id), &bits);

        if (dict->slots[i] == 0) {
            dict->slots[i] = bits | (id + 1);
        }
    }
}

static int dict_grow(struct pk_dict *dict)
{
    uint32_t cap = dict->cap == 0 ? 64 : dict->cap * 2;
    uint32_t n_slots = cap * 2;
    struct pk_slice *strings;
    uint32_t *slots = nf_calloc(&dict->ctx->mem, n_slots, sizeof(*slots));

    if (slots == NULL) {
        return pk_fail_mem(dict->ctx);
    }
    strings = nf_realloc(&dict->ctx->mem, dict->strings,
                         dict->cap * sizeof(*strings), cap * sizeof(*strings));
    if (strings == NULL) {
        nf_free(&dict->ctx->mem, slots, n_slots * sizeof(*slots));
        return pk_fail_mem(dict->ctx);
    }
    nf_free(&dict->ctx->mem, dict->slots, dict->n_slots * sizeof(*slots));
    dict->strings = strings;
    dict->cap = cap;
    dict->slots = slots;
    dict->n_slots = n_slots;
    dict_fill_slots(dict);
    return 0;
}

/* Enter a string that the arena holds. */
static int dict_enter(struct pk_dict *dict, struct pk_slice string)
{
    uint32_t bits;
    uint32_t i;
    int err = dict->n == dict->cap ? dict_grow(dict) : 0;

    if (err != 0) {
        return err;
    }
    dict->strings[dict->n] = string;
    i = dict_slot(dict, string, &bits);
    dict->n++;
    if (dict->slots[i] == 0) {
        dict->slots[i] = bits | dict->n;
    } else {
        dict->repeats = true;
    }
    return 0;
}

int pk_dict_open(struct pk_ctx *ctx, const struct pk_vfs *vfs, uint64_t header,
                 uint64_t end, bool write, struct pk_dict *dict)
{
    uint64_t size = 0;
    int err;

    *dict = (struct pk_dict){.ctx = ctx, .header = header};
    dict->pending = pk_buf_of(&ctx->mem);
    dict->arena = pk_arena_of(&ctx->mem);
    err = pk_file_open(ctx, vfs, "store.dict", write ? PK_VFS_WRITE : 0u,
                       &dict->file);
    if (err == 0) {
        err = pk_file_size(&dict->file, &size);
    }
    if (err == 0 && (size < header || size - header < end)) {
        err = pk_fail_short(ctx, "store.dict", header + end, size);
    }
    if (err == 0) {
        err = pk_dict_extend(dict, end);
    }
    if (err == 0 && write && size > header + end) {
        err = pk_file_truncate(&dict->file, header + end);
    }
    return err;
}

int pk_dict_close(struct pk_dict *dict)
{
    if (dict->ctx == NULL) {
        return 0;
    }
    nf_free(&dict->ctx->mem, dict->slots, dict->n_slots * sizeof(*dict->slots));
    nf_free(&dict->ctx->mem, dict->strings, dict->cap * sizeof(*dict->strings));
    pk_buf_deinit(&dict->pending);
    pk_arena_clear(&dict->arena);
    return pk_file_close(&dict->file);
}

/* Forget the strings from id n on. */
static void dict_cut(struct pk_dict *dict, uint32_t n)
{
    dict->n = n;
    if (dict->n_slots > 0) {
        memset(dict->slots, 0, dict->n_slots * sizeof(*dict->slots));
        dict_fill_slots(dict);
    }
}

int pk_dict_extend(struct pk_dict *dict, uint64_t end)
{
    uint64_t start = dict->flushed;
    uint32_t n = dict->n;
    struct pk_cursor c;
    size_t len;
    uint8_t *p;
    int err;

    if (end < start || end - start > SIZE_MAX / 4) {
        return pk_fail(dict->ctx, NF_EC_DICT, "store.dict", end, "end");
    }
    len = (size_t)(end - start);
    p = pk_arena_alloc(&dict->arena, len);
    if (p == NULL) {
        return pk_fail_mem(dict->ctx);
    }
    err = pk_file_read(&dict->file, dict->header + start, p, len);
    c = pk_cursor_of(p, err == 0 ? len : 0);
    while (err == 0 && pk_cursor_left(&c) > 0) {
        struct pk_slice s = {NULL, pk_take_be32(&c)};

        s.p = pk_take(&c, s.len);
        if (s.p == NULL || pk_dict_is_full(dict)) {
            err = pk_fail(dict->ctx, NF_EC_DICT, "store.dict",
                          dict->header + start + pk_cursor_pos(&c), "string");
        } else {
            err = dict_enter(dict, s);
        }
    }
    if (err != 0) {
        dict_cut(dict, n);
        return err;
    }
    dict->flushed = end;
    return 0;
}

int pk_dict_add(struct pk_dict *dict, struct pk_slice s, uint64_t *ret_id)
{
    size_t before = dict->pending.len;
    uint8_t *copy;
    int err;

    if (dict->n_slots > 0) {
        uint32_t bits;
        uint32_t i = dict_slot(dict, s, &bits);

        if (dict->slots[i] != 0) {
            *ret_id = (dict->slots[i] & DICT_ID_MASK) - 1;
            return 1;
        }
    }
    if (pk_dict_is_full(dict) || s.len > INT32_MAX) {
        return 0;
    }
    copy = pk_arena_alloc(&dict->arena, s.len);
    pk_put_be32(&dict->pending, (uint32_t)s.len);
    pk_put(&dict->pending, s.p, s.len);
    if (copy == NULL || dict->pending.failed) {
        err = pk_fail_mem(dict->ctx);
    } else {
        memcpy(copy, s.p, s.len);
        err = dict_enter(dict, (struct pk_slice){copy, s.len});
    }
    if (err != 0) {
        dict->pending.failed = false;
        dict->pending.len = before;
        return err;
    }
    *ret_id = dict->n - 1;
    return 1;
}

int pk_dict_flush(struct pk_dict *dict)
{
    int err;

    if (dict->pending.len == 0) {
        return 0;
    }
    err = pk_file_write(&dict->file, dict->header + dict->flushed,
                        dict->pending.p, dict->pending.len);
    if (err == 0) {
        dict->flushed += dict->pending.len;
        pk_buf_clear(&dict->pending);
    }
    return err;
}

uint64_t pk_dict_end(const struct pk_dict *dict)
{
    return dict->flushed + dict->pending.len;
}
