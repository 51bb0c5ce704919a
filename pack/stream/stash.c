/* SPDX-License-Identifier: ISC */
/* Chunks that came too early. A slot holds a chunk as it came, so that its
 * checksum tells whether it is whole: nothing of this file need be durable. */
#include <string.h>

#include "pack/stream/receive.h"

/* A chunk may have been put away that is of no use any more: it is passed
 * over. */
static int stash_scan(struct pk_receive *receive, size_t n)
{
    struct pk_stash *stash = &receive->stash;
    struct pk_chunk_info info;

    for (size_t i = 0; i < n; i++) {
        int err = pk_file_read(&stash->file, (uint64_t)i * PK_CHUNK_MAX_LEN,
                               receive->early, PK_CHUNK_MAX_LEN);

        if (err != 0) {
            return err;
        }
        if (pk_chunk_look(receive->early, PK_CHUNK_MAX_LEN, &info) == 1 &&
            memcmp(info.id, receive->stats.id, sizeof(info.id)) == 0 &&
            info.number >= receive->stats.next_chunk &&
            !pk_stash_has(receive, info.number)) {
            stash->slots[i] = info.number + 1;
            stash->n++;
            if (info.last) {
                receive->stats.last_chunk = info.number;
            }
        }
    }
    stash->n_slots = n;
    return 0;
}

int pk_stash_open(struct pk_receive *receive)
{
    struct pk_store *store = receive->store;
    struct pk_stash *stash = &receive->stash;
    uint64_t size = 0;
    int err;

    stash->slots =
        nf_calloc(&store->ctx.mem, PK_STASH_SLOTS, sizeof(*stash->slots));
    if (stash->slots == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    err = pk_file_open(&store->ctx, store->vfs, PK_RECEIVE_STASH_NAME,
                       PK_VFS_WRITE | PK_VFS_CREATE, &stash->file);
    if (err == 0) {
        err = pk_file_size(&stash->file, &size);
    }
    size /= PK_CHUNK_MAX_LEN;
    return err == 0
               ? stash_scan(receive, size < PK_STASH_SLOTS ? (size_t)size
                                                           : PK_STASH_SLOTS)
               : err;
}

void pk_stash_close(struct pk_receive *receive)
{
    struct pk_stash *stash = &receive->stash;

    (void)pk_file_close(&stash->file); /* each slot tells whether it is whole */
    nf_free(&receive->store->ctx.mem, stash->slots,
            PK_STASH_SLOTS * sizeof(*stash->slots));
    stash->slots = NULL;
}

bool pk_stash_has(const struct pk_receive *receive, uint64_t number)
{
    for (size_t i = 0; i < receive->stash.n_slots; i++) {
        if (receive->stash.slots[i] == number + 1) {
            return true;
        }
    }
    return false;
}

int pk_stash_put(struct pk_receive *receive, uint64_t number, const uint8_t *p,
                 size_t len)
{
    static const uint8_t zeros[512];
    struct pk_stash *stash = &receive->stash;
    size_t i = 0;
    int err;

    while (i < stash->n_slots && stash->slots[i] != 0) {
        i++;
    }
    if (i == PK_STASH_SLOTS) {
        return 0;
    }
    err = pk_file_write(&stash->file, (uint64_t)i * PK_CHUNK_MAX_LEN, p, len);
    while (err == 0 && i == stash->n_slots && len < PK_CHUNK_MAX_LEN) {
        size_t n = PK_CHUNK_MAX_LEN - len;

        n = n < sizeof(zeros) ? n : sizeof(zeros);
        err = pk_file_write(&stash->file, (uint64_t)i * PK_CHUNK_MAX_LEN + len,
                            zeros, n);
        len += n;
    }
    if (err != 0) {
        return err;
    }
    stash->n_slots += i == stash->n_slots;
    stash->slots[i] = number + 1;
    stash->n++;
    return 1;
}

int pk_stash_take(struct pk_receive *receive, uint64_t number)
{
    struct pk_stash *stash = &receive->stash;
    struct pk_chunk_info info;
    size_t i = 0;
    int err;

    while (i < stash->n_slots && stash->slots[i] != number + 1) {
        i++;
    }
    if (stash->n == 0 || i == stash->n_slots) {
        return 0;
    }
    stash->slots[i] = 0;
    stash->n--;
    err = pk_file_read(&stash->file, (uint64_t)i * PK_CHUNK_MAX_LEN,
                       receive->early, PK_CHUNK_MAX_LEN);
    if (err != 0) {
        return err;
    }
    return pk_chunk_look(receive->early, PK_CHUNK_MAX_LEN, &info) == 1 &&
           info.number == number;
}
