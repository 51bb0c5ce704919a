/* SPDX-License-Identifier: ISC */
/* Receiving, as stream.h has it. */
#include "pack/stream/receive.h"

#include <string.h>

enum { RECEIVE_CHECKPOINT_LEN = 16 << 20 };

/* ------------------------------------------------------------- open, close */

static int receive_alloc(struct pk_receive *receive)
{
    struct pk_ctx *ctx = &receive->store->ctx;

    receive->in = nf_alloc(&ctx->mem, PK_CHUNK_MAX_LEN);
    receive->early = nf_alloc(&ctx->mem, PK_CHUNK_MAX_LEN);
    receive->payload = nf_alloc(&ctx->mem, PK_CHUNK_RAW_LEN);
    return receive->in == NULL || receive->early == NULL ||
                   receive->payload == NULL
               ? pk_fail_mem(ctx)
               : 0;
}

static int receive_check(struct pk_store *store)
{
    int err = pk_store_writable(store);

    if (err == 0 && store->receiving) {
        err = pk_fail(&store->ctx, NF_EC_RECEIVING, NULL, NF_NOWHERE, "stream");
    }
    if (err == 0 && store->gc != NULL) {
        err =
            pk_fail(&store->ctx, NF_EC_GC_RUNNING, NULL, NF_NOWHERE, "stream");
    }
    return err;
}

int pk_receive_open(struct pk_repo *repo,
                    const struct pk_receive_options *options,
                    struct pk_receive **ret_receive)
{
    struct pk_store *store = &repo->store;
    struct pk_receive *receive;
    int err = receive_check(store);

    if (err != 0) {
        return err;
    }
    receive = nf_calloc(&store->ctx.mem, 1, sizeof(*receive));
    if (receive == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    store->receiving = true;
    receive->repo = repo;
    receive->store = store;
    receive->options = *options;
    if (receive->options.checkpoint_len == 0) {
        receive->options.checkpoint_len = RECEIVE_CHECKPOINT_LEN;
    }
    receive->generation = store->control.generation;
    receive->stats.last_chunk = NF_NOWHERE;
    receive->raw = pk_buf_of(&store->ctx.mem);
    receive->front_bytes = pk_buf_of(&store->ctx.mem);
    receive->body = pk_buf_of(&store->ctx.mem);
    err = receive_alloc(receive);
    if (err == 0) {
        err = pk_checkpoint_load(receive);
    }
    if (err == 0) {
        err = pk_stash_open(receive);
    }
    if (err == 0 && receive->has_front) {
        err = pk_import_commits_there(receive, &receive->stats.complete);
    }
    if (err != 0) {
        receive->keep = true; /* whatever it is */
        pk_receive_close(receive);
        return err;
    }
    *ret_receive = receive;
    return 0;
}

void pk_receive_close(struct pk_receive *receive)
{
    struct pk_store *store;
    bool keep;

    if (receive == NULL) {
        return;
    }
    store = receive->store;
    keep = receive->keep;
    pk_known_close(receive);
    pk_stash_close(receive);
    pk_list_file_close(&receive->offs);
    pk_buf_deinit(&receive->raw);
    pk_buf_deinit(&receive->front_bytes);
    pk_buf_deinit(&receive->body);
    nf_free(&store->ctx.mem, receive->in, PK_CHUNK_MAX_LEN);
    nf_free(&store->ctx.mem, receive->early, PK_CHUNK_MAX_LEN);
    nf_free(&store->ctx.mem, receive->payload, PK_CHUNK_RAW_LEN);
    nf_free(&store->ctx.mem, receive, sizeof(*receive));
    store->receiving = false;
    if (!keep) {
        struct nf_error_info why = store->ctx.err;

        (void)pk_checkpoint_remove(store); /* they mean nothing */
        store->ctx.err = why;
    }
}

int pk_receive_forget(struct pk_repo *repo)
{
    int err = receive_check(&repo->store);

    return err == 0 ? pk_checkpoint_remove(&repo->store) : err;
}

/* ---------------------------------------------------------------- elements */

/* The next element, if it is here as a whole. 1, or 0. */
static int receive_element(struct pk_receive *receive)
{
    const uint8_t *p = receive->raw.p + receive->raw_at;
    size_t left = receive->raw.len - receive->raw_at;
    struct pk_cursor c = pk_cursor_of(p, left);
    uint64_t len;
    size_t whole;
    int err;

    if (left == 0) {
        return 0;
    }
    len = pk_take_varint(&c);
    if (c.bad && left < 10) {
        return 0; /* or it is not all here */
    }
    if (c.bad || len == 0 || len > PK_ELEMENT_MAX_LEN) {
        return pk_fail(&receive->store->ctx, NF_EC_STREAM, NULL,
                       receive->raw_pos, "length of an element");
    }
    if (len > pk_cursor_left(&c)) {
        return 0;
    }
    err = pk_import_element(receive, c.p, (size_t)len);
    if (err != 0) {
        return err;
    }
    whole = pk_cursor_pos(&c) + (size_t)len;
    receive->raw_at += whole;
    receive->raw_pos += whole;
    return 1;
}

/* Those that are here. No checkpoint in the last chunk: the end is near. */
static int receive_elements(struct pk_receive *receive, bool last)
{
    int got = 1;

    while (got > 0 && !receive->stats.complete) {
        got = receive_element(receive);
        if (got > 0 && !last &&
            receive->raw_pos - receive->saved_at >=
                receive->options.checkpoint_len) {
            int err = pk_checkpoint_save(receive);

            got = err == 0 ? 1 : err;
        }
    }
    return got < 0 ? got : 0;
}

/* Every object came: what the stream was for must be there. */
static int receive_end(struct pk_receive *receive)
{
    const struct pk_front *front = &receive->front;
    int err;

    if (receive->raw.len != receive->raw_at || !receive->has_front ||
        receive->offs.n != front->n_haves + front->n_links + front->n_objects) {
        return pk_fail(&receive->store->ctx, NF_EC_STREAM, NULL,
                       receive->raw_pos, "end of the stream");
    }
    err = pk_import_commits_there(receive, &receive->stats.complete);
    if (err == 0 && !receive->stats.complete) {
        err = pk_fail(&receive->store->ctx, NF_EC_STREAM, NULL, NF_NOWHERE,
                      "stream without its commit");
    }
    return err;
}

/* The payload of the next chunk, behind what is left of the one before. */
static int receive_payload(struct pk_receive *receive, size_t len)
{
    struct pk_buf *raw = &receive->raw;
    size_t left = raw->len - receive->raw_at;

    if (left == 0 && raw->cap > 1 << 20) {
        pk_buf_deinit(raw); /* not for keeps */
        *raw = pk_buf_of(&receive->store->ctx.mem);
    } else if (receive->raw_at > 0 && left > 0) {
        memmove(raw->p, raw->p + receive->raw_at, left);
    }
    raw->len = left;
    receive->raw_at = 0;
    pk_put(raw, receive->payload, len);
    return raw->failed ? pk_fail_mem(&receive->store->ctx) : 0;
}

/* ------------------------------------------------------------------ chunks */

/* The chunk that is next. */
static int receive_next(struct pk_receive *receive, const uint8_t *p,
                        const struct pk_chunk_info *info)
{
    size_t len = 0;
    int err =
        pk_chunk_decode(receive->options.codec, p, receive->payload, &len);

    if (err != 0) {
        return pk_fail(&receive->store->ctx, err, NULL, receive->raw_pos,
                       "chunk");
    }
    err = receive_payload(receive, len);
    if (err == 0) {
        receive->stats.next_chunk++;
        err = receive_elements(receive, info->last);
    }
    if (err == 0 && info->last && !receive->stats.complete) {
        err = receive_end(receive);
    }
    return err;
}

/* Those that came early, as far as there is no gap. */
static int receive_stashed(struct pk_receive *receive)
{
    int got = 1;

    while (got > 0 && !receive->stats.complete && receive->stash.n > 0) {
        struct pk_chunk_info info;

        got = pk_stash_take(receive, receive->stats.next_chunk);
        if (got > 0 &&
            pk_chunk_look(receive->early, PK_CHUNK_MAX_LEN, &info) == 1) {
            int err = receive_next(receive, receive->early, &info);

            got = err == 0 ? 1 : err;
        }
    }
    return got < 0 ? got : 0;
}

/* The first chunk of all tells which stream it is. */
static int receive_start(struct pk_receive *receive,
                         const struct pk_chunk_info *info)
{
    if (!receive->stats.started) {
        memcpy(receive->stats.id, info->id, sizeof(info->id));
        receive->stats.started = true;
        return 0;
    }
    return receive->stats.resumed && receive->stats.chunks_taken == 0 &&
                   memcmp(receive->stats.id, info->id, sizeof(info->id)) != 0
               ? pk_fail(&receive->store->ctx, NF_EC_STREAM_OTHER, NULL,
                         NF_NOWHERE, "stream")
               : 0;
}

/* A whole chunk. */
static int receive_chunk(struct pk_receive *receive, const uint8_t *p,
                         const struct pk_chunk_info *info)
{
    struct pk_receive_stats *stats = &receive->stats;
    int err = receive_start(receive, info);

    if (err != 0) {
        return err;
    }
    if (memcmp(info->id, stats->id, sizeof(info->id)) != 0) {
        stats->chunks_other++;
        return 0;
    }
    if (info->last) {
        stats->last_chunk = info->number;
    }
    if (stats->complete || pk_receive_has(receive, info->number)) {
        stats->chunks_again++;
        return 0;
    }
    if (info->number > stats->next_chunk) {
        int got = pk_stash_put(receive, info->number, p, info->len);

        stats->chunks_taken += got > 0;
        stats->chunks_full += got == 0;
        return got < 0 ? got : 0;
    }
    stats->chunks_taken++;
    err = receive_next(receive, p, info);
    return err == 0 ? receive_stashed(receive) : err;
}

bool pk_receive_has(const struct pk_receive *receive, uint64_t chunk)
{
    return chunk < receive->stats.next_chunk || pk_stash_has(receive, chunk);
}

/* -------------------------------------------------------------------- feed */

/* What is in `in` does not begin a chunk: on to where one may. */
static void receive_resync(struct pk_receive *receive)
{
    size_t at = 1;
    struct pk_chunk_info info;

    while (at < receive->in_len &&
           (receive->in[at] != 0x5e ||
            pk_chunk_look(receive->in + at,
                          receive->in_len - at < PK_CHUNK_HEAD_LEN
                              ? receive->in_len - at
                              : PK_CHUNK_HEAD_LEN,
                          &info) < 0)) {
        at++;
    }
    memmove(receive->in, receive->in + at, receive->in_len - at);
    receive->in_len -= at;
    receive->stats.bytes_bad += at;
}

/* Take the chunks that are in `in`. */
static int receive_gathered(struct pk_receive *receive)
{
    int err = 0;

    while (err == 0 && receive->in_len > 0) {
        struct pk_chunk_info info;
        int got = pk_chunk_look(receive->in, receive->in_len, &info);

        if (got == 0) {
            break;
        }
        if (got < 0) {
            receive_resync(receive);
            continue;
        }
        err = receive_chunk(receive, receive->in, &info);
        memmove(receive->in, receive->in + info.len,
                receive->in_len - info.len);
        receive->in_len -= info.len;
    }
    return err;
}

/* Bytes that are still needed to tell whether `in` is a chunk. */
static size_t receive_wants(const struct pk_receive *receive)
{
    size_t want = PK_CHUNK_HEAD_LEN;

    if (receive->in_len >= PK_CHUNK_HEAD_LEN) {
        const uint8_t *p = receive->in + 44;

        want += (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
    }
    return want - receive->in_len;
}

static int receive_bytes(struct pk_receive *receive, const uint8_t *p,
                         size_t len)
{
    int err = receive_stashed(receive); /* of an earlier receiver */

    while (err == 0 && len > 0) {
        size_t n = receive_wants(receive);

        n = n < len ? n : len;
        memcpy(receive->in + receive->in_len, p, n);
        receive->in_len += n;
        receive->stats.bytes_in += n;
        p += n;
        len -= n;
        err = receive_gathered(receive);
    }
    return err;
}

int pk_receive_feed(struct pk_receive *receive, const uint8_t *p, size_t len)
{
    struct pk_store *store = receive->store;
    int err = receive->err;

    if (err == 0 && store->control.generation != receive->generation) {
        err = pk_fail(&store->ctx, NF_EC_STREAM_STALE, NULL, NF_NOWHERE,
                      "stream");
    }
    if (err == 0) {
        err = receive_bytes(receive, p, len);
    }
    if (err != 0 && receive->err == 0) {
        receive->err = err;
        if (nf_err_class(err) == NF_ECORRUPT) {
            receive->keep = false;
        }
    }
    return err;
}

/* ------------------------------------------------------------------ the end */

void pk_receive_progress(const struct pk_receive *receive,
                         struct pk_receive_stats *ret)
{
    *ret = receive->stats;
    ret->stashed = receive->stash.n;
}

int pk_receive_refs(struct pk_receive *receive, pk_stream_ref_fn fn, void *arg)
{
    const struct pk_front *front = &receive->front;
    struct pk_cursor names = front->names;
    int err = receive->has_front ? 0 : NF_EAGAIN;

    for (size_t i = 0; i < front->n_names && err == 0; i++) {
        size_t commit = 0;
        struct pk_slice name = pk_front_next_name(&names, &commit);
        struct pk_digest hash = pk_front_hash(front, front->commits, commit);

        err = fn(arg, name, &hash);
    }
    for (size_t i = 0; i < front->n_commits && err == 0; i++) {
        struct pk_digest hash = pk_front_hash(front, front->commits, i);
        bool named = false;

        names = front->names;
        for (size_t n = 0; n < front->n_names && !named; n++) {
            size_t commit = 0;

            (void)pk_front_next_name(&names, &commit);
            named = commit == i;
        }
        if (!named) {
            err = fn(arg, (struct pk_slice){NULL, 0}, &hash);
        }
    }
    return err;
}

int pk_receive_checkpoint(struct pk_receive *receive)
{
    int err = receive->err;

    if (err == 0 && receive->stats.started && !receive->stats.complete) {
        err = pk_checkpoint_save(receive);
        receive->err = err;
    }
    return err;
}

int pk_receive_finish(struct pk_receive *receive)
{
    struct pk_store *store = receive->store;
    int err = receive->err;

    if (err == 0 && !receive->stats.complete) {
        return pk_fail(&store->ctx, NF_EAGAIN, NULL, NF_NOWHERE,
                       "the stream is not complete");
    }
    if (err == 0) {
        err = pk_store_flush(store);
    }
    if (err == 0) {
        err = pk_checkpoint_remove(store);
    }
    receive->err = err;
    return err;
}
