/* SPDX-License-Identifier: ISC */
/*
 * How far a receiver has come, in the file PK_RECEIVE_STATE_NAME,
 * little-endian:
 *
 *    0  8  "NPRS0001"
 *    8 16  id of the stream
 *   24  8  bytes of the stream that are elements here
 *   32  8  elements that are taken: numbers in PK_RECEIVE_LIST_NAME
 *   40  8  generation of the store
 *   48  8  its end
 *   56  8  number of the last chunk, or all ones
 *   64  8  bytes of the front
 *   72  8  bytes of an element that came in part
 *   80  n  the front
 *    +  n  these bytes, up to the end of a chunk
 *    +  16 BLAKE2b-128 of all that
 *
 * The order is: objects, durable; where they are; the state. So what a state
 * says is there whatever happens.
 */
#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/hash/blake2b.h"
#include "pack/stream/receive.h"

enum { STATE_HEAD_LEN = 80, STATE_CHECK_LEN = 16 };

#define STATE_MAX_LEN (2 * PK_ELEMENT_MAX_LEN)

static const uint8_t state_magic[8] = {'N', 'P', 'R', 'S', '0', '0', '0', '1'};

int pk_checkpoint_remove(struct pk_store *store)
{
    /* The state goes first: without it the others mean nothing. */
    static const char *const names[] = {
        PK_RECEIVE_STATE_NAME, PK_RECEIVE_TMP_NAME, PK_RECEIVE_LIST_NAME,
        PK_RECEIVE_STASH_NAME};
    int err = pk_store_writable(store);

    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && err == 0; i++) {
        err = pk_file_remove(&store->ctx, store->vfs, names[i]);
        if (err == 0 && i == 0) {
            err = pk_file_order(&store->ctx, store->vfs);
        }
    }
    return err == 0 ? pk_file_commit(&store->ctx, store->vfs) : err;
}

int pk_checkpoint_save(struct pk_receive *receive)
{
    struct pk_store *store = receive->store;
    struct pk_buf out = pk_buf_of(&store->ctx.mem);
    uint8_t *p;
    int err = pk_store_flush(store);

    if (err == 0) {
        err = pk_list_file_flush(&receive->offs);
    }
    if (err == 0) {
        err = pk_file_order(&store->ctx, store->vfs);
    }
    if (err != 0) {
        return err;
    }
    p = pk_buf_grow(&out, STATE_HEAD_LEN);
    if (p != NULL) {
        memcpy(p, state_magic, sizeof(state_magic));
        memcpy(p + 8, receive->stats.id, PK_STREAM_ID_LEN);
        nf_put_le64(p + 24, receive->raw_pos);
        nf_put_le64(p + 32, receive->offs.n);
        nf_put_le64(p + 40, store->control.generation);
        nf_put_le64(p + 48, pk_store_end(store));
        nf_put_le64(p + 56, receive->stats.last_chunk);
        nf_put_le64(p + 64, receive->front_bytes.len);
        nf_put_le64(p + 72, receive->raw.len - receive->raw_at);
    }
    pk_put(&out, receive->front_bytes.p, receive->front_bytes.len);
    if (receive->raw.len > receive->raw_at) {
        pk_put(&out, receive->raw.p + receive->raw_at,
               receive->raw.len - receive->raw_at);
    }
    if (!out.failed) {
        size_t len = out.len;

        p = pk_buf_grow(&out, STATE_CHECK_LEN);
        if (p != NULL) {
            pk_blake2b((struct pk_slice){out.p, len},
                       (struct pk_slice){NULL, 0}, STATE_CHECK_LEN, p);
        }
    }
    err = out.failed
              ? pk_fail_mem(&store->ctx)
              : pk_file_replace(&store->ctx, store->vfs, PK_RECEIVE_STATE_NAME,
                                PK_RECEIVE_TMP_NAME, out.p, out.len);
    pk_buf_deinit(&out);
    if (err == 0) {
        receive->saved_at = receive->raw_pos;
        receive->keep = true;
        receive->stats.checkpoints++;
    }
    return err;
}

/* The whole file; an absent or strange one is empty. */
static int state_read(struct pk_store *store, struct pk_buf *out)
{
    struct pk_file file = {0};
    uint64_t size = 0;
    uint8_t *p;
    int err =
        pk_file_open(&store->ctx, store->vfs, PK_RECEIVE_STATE_NAME, 0, &file);

    if (err != 0) {
        return err == NF_ENOENT ? 0 : err;
    }
    err = pk_file_size(&file, &size);
    if (err == 0 && size >= STATE_HEAD_LEN + STATE_CHECK_LEN &&
        size <= STATE_MAX_LEN) {
        p = pk_buf_grow(out, (size_t)size);
        err = p == NULL ? pk_fail_mem(&store->ctx)
                        : pk_file_read(&file, 0, p, (size_t)size);
    }
    (void)pk_file_close(&file); /* only read */
    return err;
}

static bool state_is_whole(const struct pk_buf *state)
{
    uint8_t check[STATE_CHECK_LEN];
    size_t len = state->len - STATE_CHECK_LEN;

    if (memcmp(state->p, state_magic, sizeof(state_magic)) != 0) {
        return false;
    }
    pk_blake2b((struct pk_slice){state->p, len}, (struct pk_slice){NULL, 0},
               STATE_CHECK_LEN, check);
    len -= STATE_HEAD_LEN;
    return memcmp(check, state->p + state->len - STATE_CHECK_LEN,
                  STATE_CHECK_LEN) == 0 &&
           nf_get_le64(state->p + 64) <= len &&
           nf_get_le64(state->p + 72) == len - nf_get_le64(state->p + 64);
}

/* Does it fit the store as it is? A collection has moved what it names. */
static bool state_fits(const struct pk_store *store, const uint8_t *p)
{
    return nf_get_le64(p + 40) == store->control.generation &&
           nf_get_le64(p + 48) <= pk_store_end(store) &&
           (nf_get_le64(p + 24) + nf_get_le64(p + 72)) % PK_CHUNK_RAW_LEN == 0;
}

static int state_take(struct pk_receive *receive, const struct pk_buf *state)
{
    struct pk_store *store = receive->store;
    const uint8_t *p = state->p;
    size_t front_len = (size_t)nf_get_le64(p + 64);
    uint64_t n = nf_get_le64(p + 32);
    uint64_t size = 0;
    int err;

    memcpy(receive->stats.id, p + 8, PK_STREAM_ID_LEN);
    receive->raw_pos = nf_get_le64(p + 24);
    receive->saved_at = receive->raw_pos;
    receive->stats.last_chunk = nf_get_le64(p + 56);
    receive->stats.next_chunk =
        (receive->raw_pos + nf_get_le64(p + 72)) / PK_CHUNK_RAW_LEN;
    pk_put(&receive->front_bytes, p + STATE_HEAD_LEN, front_len);
    pk_put(&receive->raw, p + STATE_HEAD_LEN + front_len,
           (size_t)nf_get_le64(p + 72));
    err = receive->front_bytes.failed || receive->raw.failed
              ? pk_fail_mem(&store->ctx)
              : 0;
    if (err == 0 && receive->front_bytes.len > 0) {
        err = pk_import_front(receive);
    }
    if (err == 0) {
        err = pk_list_file_open(&store->ctx, store->vfs, PK_RECEIVE_LIST_NAME,
                                n, &receive->offs);
    }
    if (err == 0) {
        err = pk_file_size(&receive->offs.file, &size);
    }
    if (err == 0 && size / 8 < n) {
        err = pk_fail_short(&store->ctx, PK_RECEIVE_LIST_NAME, n * 8, size);
    }
    if (err == 0) {
        uint64_t base = receive->front.n_haves + receive->front.n_links;

        receive->stats.objects_done = n > base ? n - base : 0;
        receive->stats.started = true;
        receive->stats.resumed = true;
        receive->keep = true;
    }
    return err;
}

int pk_checkpoint_load(struct pk_receive *receive)
{
    struct pk_store *store = receive->store;
    struct pk_buf state = pk_buf_of(&store->ctx.mem);
    int err = state_read(store, &state);
    bool any = err == 0 && state.len > 0;

    if (err == 0 && any && state_is_whole(&state) &&
        state_fits(store, state.p)) {
        err = state_take(receive, &state);
    } else if (err == 0) {
        if (any) {
            err = pk_checkpoint_remove(store);
        }
        if (err == 0) {
            err = pk_list_file_open(&store->ctx, store->vfs,
                                    PK_RECEIVE_LIST_NAME, 0, &receive->offs);
        }
    }
    pk_buf_deinit(&state);
    return err;
}
