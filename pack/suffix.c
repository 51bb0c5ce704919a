/* SPDX-License-Identifier: ISC */
/*
 * The chunks of the suffix. All but the last are sealed: their length is their
 * file's. The last one's length is the control file's, and what its file holds
 * beyond is the leavings of a crash, cut when the store is opened for writing
 * (spec 7.3). A dead header exists in chunk 0 of a store that was born V1 or
 * V2. pending is never dropped: a failed flush may be tried again.
 */
#include "pack/suffix.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"

enum { SUFFIX_MAX_CHUNKS = 1 << 20 };

static struct pk_chunk *suffix_last(const struct pk_suffix *suffix)
{
    return &suffix->chunks[suffix->n_chunks - 1];
}

static int chunk_open(struct pk_suffix *suffix, uint64_t number, bool legacy,
                      bool last, bool write, struct pk_chunk *chunk)
{
    char name[PK_VFS_NAME_MAX + 1];
    uint64_t size = 0;
    int err;

    if (legacy) {
        memcpy(name, "store.pack", sizeof("store.pack"));
    } else {
        pk_name(name, "store.", number, ".suffix");
    }
    err = pk_file_open(suffix->ctx, suffix->vfs, name,
                       write && last ? PK_VFS_WRITE : 0u, &chunk->file);
    if (err == 0) {
        err = pk_file_size(&chunk->file, &size);
    }
    if (err == 0 && size < chunk->header) {
        err = pk_fail_short(suffix->ctx, name, chunk->header, size);
    }
    if (err == 0) {
        chunk->len = size - chunk->header;
    }
    return err;
}

int pk_suffix_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                   const struct pk_control *control, bool legacy, bool write,
                   struct pk_suffix *suffix)
{
    uint64_t soff = 0;
    int err = 0;

    *suffix = (struct pk_suffix){.ctx = ctx, .vfs = vfs};
    suffix->first = control->chunk_start;
    suffix->pending = pk_buf_of(&ctx->mem);
    if (control->chunk_num > SUFFIX_MAX_CHUNKS) {
        return pk_fail(ctx, NF_EC_CONTROL, "store.control", NF_NOWHERE,
                       "number of chunks");
    }
    suffix->chunks = nf_calloc(&ctx->mem, (size_t)control->chunk_num,
                               sizeof(struct pk_chunk));
    if (suffix->chunks == NULL) {
        return pk_fail_mem(ctx);
    }
    suffix->n_chunks = (size_t)control->chunk_num;
    suffix->cap_chunks = suffix->n_chunks;
    for (size_t i = 0; i < suffix->n_chunks && err == 0; i++) {
        struct pk_chunk *chunk = &suffix->chunks[i];
        bool last = i + 1 == suffix->n_chunks;

        if (control->status == PK_STATUS_V1_UPGRADED &&
            suffix->first + i == 0) {
            chunk->header = 16;
        }
        chunk->soff = soff;
        err = chunk_open(suffix, suffix->first + i, legacy, last, write, chunk);
        if (err == 0 && last) {
            if (chunk->len < control->chunk_end) {
                err = pk_fail_short(ctx, chunk->file.name,
                                    chunk->header + control->chunk_end,
                                    chunk->header + chunk->len);
            } else if (write && chunk->len > control->chunk_end) {
                err = pk_file_truncate(&chunk->file,
                                       chunk->header + control->chunk_end);
            }
            chunk->len = control->chunk_end;
        }
        if (err == 0 && !nf_add_u64(soff, chunk->len, &soff)) {
            err = pk_fail(ctx, NF_EC_CONTROL, chunk->file.name, NF_NOWHERE,
                          "length");
        }
    }
    return err;
}

int pk_suffix_close(struct pk_suffix *suffix)
{
    int err = 0;

    for (size_t i = 0; i < suffix->n_chunks; i++) {
        int e = pk_file_close(&suffix->chunks[i].file);

        err = err == 0 ? e : err;
    }
    if (suffix->ctx != NULL) {
        pk_buf_deinit(&suffix->pending);
        nf_free(&suffix->ctx->mem, suffix->chunks,
                suffix->cap_chunks * sizeof(*suffix->chunks));
    }
    *suffix = (struct pk_suffix){0};
    return err;
}

uint64_t pk_suffix_end(const struct pk_suffix *suffix)
{
    const struct pk_chunk *last = suffix_last(suffix);

    return last->soff + last->len + suffix->pending.len;
}

uint64_t pk_suffix_chunk_end(const struct pk_suffix *suffix)
{
    return suffix_last(suffix)->len;
}

int pk_suffix_extend(struct pk_suffix *suffix, uint64_t chunk_end)
{
    struct pk_chunk *last = suffix_last(suffix);
    uint64_t size = 0;
    int err = pk_file_size(&last->file, &size);

    if (err == 0 && (size < last->header || size - last->header < chunk_end ||
                     chunk_end < last->len)) {
        err = pk_fail_short(suffix->ctx, last->file.name,
                            last->header + chunk_end, size);
    }
    if (err == 0) {
        last->len = chunk_end;
    }
    return err;
}

/* The chunk that holds soff: the last one that begins at it or before. */
static size_t suffix_find(const struct pk_suffix *suffix, uint64_t soff)
{
    size_t lo = 0;
    size_t hi = suffix->n_chunks;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (suffix->chunks[mid].soff <= soff) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

int pk_suffix_read(struct pk_suffix *suffix, uint64_t soff, uint8_t *buf,
                   size_t len, size_t *ret_len)
{
    size_t done = 0;

    for (size_t i = suffix_find(suffix, soff);
         i < suffix->n_chunks && done < len; i++) {
        struct pk_chunk *chunk = &suffix->chunks[i];
        uint64_t at = soff + done - chunk->soff;
        size_t n;
        int err;

        if (at >= chunk->len) {
            continue;
        }
        n = (size_t)nf_min_u64(len - done, chunk->len - at);
        err = pk_file_read(&chunk->file, chunk->header + at, buf + done, n);
        if (err != 0) {
            return err;
        }
        done += n;
    }
    if (done < len) {
        struct pk_chunk *last = suffix_last(suffix);
        uint64_t at = soff + done - (last->soff + last->len);

        if (at < suffix->pending.len) {
            size_t n = (size_t)nf_min_u64(len - done, suffix->pending.len - at);

            memcpy(buf + done, suffix->pending.p + at, n);
            done += n;
        }
    }
    *ret_len = done;
    return 0;
}

int pk_suffix_append(struct pk_suffix *suffix, const uint8_t *p, size_t len)
{
    if (suffix->pending.len >= suffix->ctx->bulk_len) {
        int err = pk_suffix_flush(suffix);

        if (err != 0) {
            return err;
        }
    }
    pk_put(&suffix->pending, p, len);
    if (suffix->pending.failed) {
        suffix->pending.failed = false;
        return pk_fail_mem(suffix->ctx);
    }
    return 0;
}

/* Write the first len bytes of what is pending. */
static int suffix_flush(struct pk_suffix *suffix, size_t len)
{
    struct pk_chunk *last = suffix_last(suffix);
    struct pk_buf *pending = &suffix->pending;
    int err;

    if (len == 0) {
        return 0;
    }
    err = pk_file_write(&last->file, last->header + last->len, pending->p, len);
    if (err == 0) {
        last->len += len;
        pending->len -= len;
        memmove(pending->p, pending->p + len, pending->len);
    }
    return err;
}

int pk_suffix_flush(struct pk_suffix *suffix)
{
    return suffix_flush(suffix, suffix->pending.len);
}

int pk_suffix_split(struct pk_suffix *suffix, uint64_t soff)
{
    struct pk_chunk *last = suffix_last(suffix);
    struct pk_chunk fresh = {.soff = soff};
    char name[PK_VFS_NAME_MAX + 1];
    struct pk_chunk *chunks;
    uint64_t size = 0;
    int err;

    nf_assert(soff >= last->soff + last->len && soff <= pk_suffix_end(suffix));
    err = suffix_flush(suffix, (size_t)(soff - last->soff - last->len));
    if (err == 0) {
        err = pk_file_size(&last->file, &size);
    }
    if (err == 0 && size > last->header + last->len) {
        err = pk_file_truncate(&last->file, last->header + last->len);
    }
    if (err != 0) {
        return err;
    }
    pk_name(name, "store.", suffix->first + suffix->n_chunks, ".suffix");
    err = pk_file_open(suffix->ctx, suffix->vfs, name,
                       PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE,
                       &fresh.file);
    if (err != 0) {
        return err;
    }
    chunks = nf_realloc(&suffix->ctx->mem, suffix->chunks,
                        suffix->cap_chunks * sizeof(*chunks),
                        (suffix->n_chunks + 1) * sizeof(*chunks));
    if (chunks == NULL) {
        (void)pk_file_close(&fresh.file); /* empty, and known to nobody */
        return pk_fail_mem(suffix->ctx);
    }
    suffix->chunks = chunks;
    suffix->chunks[suffix->n_chunks++] = fresh;
    suffix->cap_chunks = suffix->n_chunks;
    return 0;
}

void pk_suffix_drop(struct pk_suffix *suffix, size_t n)
{
    uint64_t soff = suffix->chunks[n].soff;

    nf_assert(n < suffix->n_chunks);
    for (size_t i = 0; i < n; i++) {
        (void)pk_file_close(&suffix->chunks[i].file); /* sealed long ago */
    }
    suffix->n_chunks -= n;
    suffix->first += n;
    memmove(suffix->chunks, suffix->chunks + n,
            suffix->n_chunks * sizeof(*suffix->chunks));
    for (size_t i = 0; i < suffix->n_chunks; i++) {
        suffix->chunks[i].soff -= soff;
    }
}
