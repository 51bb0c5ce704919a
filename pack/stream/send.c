/* SPDX-License-Identifier: ISC */
/* Sending, as stream.h has it. */
#include "pack/stream/send.h"

#include <string.h>

enum { SEND_MEM_LEN = 4 << 20, SEND_STEP_N = 256 };

static const char objects_name[] = "notapack.send.objects";
static const char found_name[] = "notapack.send.found";
static const char links_name[] = "notapack.send.links";
static const char visits_name[] = "notapack.send.visits";

static int send_alloc(struct pk_send *send)
{
    const struct pk_send_options *o = &send->options;
    struct pk_ctx *ctx = &send->store->ctx;
    int err;

    send->haves = nf_calloc(&ctx->mem, o->n_have + 1, sizeof(*send->haves));
    send->packed = nf_alloc(&ctx->mem, PK_CHUNK_MAX_LEN);
    if (send->haves == NULL || send->packed == NULL) {
        return pk_fail_mem(ctx);
    }
    err = pk_visits_open(ctx, o->scratch, visits_name,
                         o->mem_len == 0 ? SEND_MEM_LEN : o->mem_len,
                         &send->visits);
    if (err == 0) {
        err =
            pk_list_file_open(ctx, o->scratch, objects_name, 0, &send->objects);
    }
    if (err == 0) {
        err = pk_list_file_open(ctx, o->scratch, found_name, 0, &send->found);
    }
    if (err == 0) {
        err = pk_list_file_open(ctx, o->scratch, links_name, 0, &send->links);
    }
    return err;
}

int pk_send_open(struct pk_repo *repo, const struct pk_send_options *options,
                 struct pk_send **ret_send)
{
    struct pk_store *store = &repo->store;
    struct pk_send *send;
    int err;

    if (options->n_commits == 0 || options->scratch == NULL) {
        return pk_fail(&store->ctx, NF_EINVAL, NULL, NF_NOWHERE,
                       "what is to be sent");
    }
    send = nf_calloc(&store->ctx.mem, 1, sizeof(*send));
    if (send == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    send->store = store;
    send->options = *options;
    send->out = pk_buf_of(&store->ctx.mem);
    send->body = pk_buf_of(&store->ctx.mem);
    pk_blake2b_init(&send->seal, (struct pk_slice){NULL, 0}, PK_STREAM_ID_LEN);
    err = send_alloc(send);
    if (err != 0) {
        pk_send_close(send);
        return err;
    }
    *ret_send = send;
    return 0;
}

/* Scratch files that stay do no harm. */
static void send_remove_scratch(struct pk_ctx *ctx, const struct pk_vfs *vfs)
{
    static const char *const names[] = {visits_name, objects_name, found_name,
                                        links_name};
    struct nf_error_info why = ctx->err;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (pk_file_remove(ctx, vfs, names[i]) != 0) {
            ctx->err = why;
        }
    }
}

void pk_send_close(struct pk_send *send)
{
    struct pk_store *store;
    const struct pk_vfs *scratch;
    struct nf_mem *mem;

    if (send == NULL) {
        return;
    }
    store = send->store;
    scratch = send->options.scratch;
    mem = &store->ctx.mem;
    pk_visits_close(&send->visits);
    pk_list_file_close(&send->objects);
    pk_list_file_close(&send->found);
    pk_list_file_close(&send->links);
    pk_buf_deinit(&send->out);
    pk_buf_deinit(&send->body);
    nf_free(mem, send->haves, (send->options.n_have + 1) * sizeof(uint64_t));
    nf_free(mem, send->packed, PK_CHUNK_MAX_LEN);
    nf_free(mem, send, sizeof(*send));
    send_remove_scratch(&store->ctx, scratch);
}

/* Everything is visited: the front comes next, and its seal. */
static int send_planned(struct pk_send *send)
{
    int err = pk_links_prune(send);

    if (err == 0) {
        err = pk_emit_front(send);
    }
    pk_blake2b_final(&send->seal, send->stats.id);
    send->stats.planned = true;
    send->stats.objects = send->objects.n;
    send->stats.links = send->links.n / PK_LINK_STRIDE;
    send->stats.spilled = send->visits.spilled;
    pk_visits_close(&send->visits);
    send->state = PK_SEND_EMIT;
    return err < 0 ? err : 0;
}

/* A piece of the stream as a chunk, or past it if it is not asked for. */
static void send_chunk(struct pk_send *send, struct pk_slice *ret_chunk)
{
    size_t left = send->out.len - send->out_at;
    size_t n = left < PK_CHUNK_RAW_LEN ? left : PK_CHUNK_RAW_LEN;
    struct pk_chunk_info info = {.number = send->chunk++};

    info.last = send->state == PK_SEND_END && n == left;
    memcpy(info.id, send->stats.id, sizeof(info.id));
    if (info.number >= send->options.first_chunk) {
        pk_chunk_encode(send->options.codec, send->out.p + send->out_at, n,
                        &info, send->packed);
        *ret_chunk = (struct pk_slice){send->packed, info.len};
        send->stats.chunks++;
        send->stats.bytes_out += info.len;
    }
    send->out_at += n;
}

/* What was sent makes room. */
static void send_compact(struct pk_send *send)
{
    size_t left = send->out.len - send->out_at;

    if (send->out_at == 0) {
        return;
    }
    if (left == 0 && send->out.cap > 1 << 20) {
        pk_buf_deinit(&send->out); /* not for keeps */
        send->out = pk_buf_of(&send->store->ctx.mem);
    } else if (left > 0) {
        memmove(send->out.p, send->out.p + send->out_at, left);
    }
    send->out.len = left;
    send->out_at = 0;
}

static int send_emit(struct pk_send *send, struct pk_slice *ret_chunk)
{
    int err = 1;

    while (send->state == PK_SEND_EMIT &&
           send->out.len - send->out_at <= PK_CHUNK_RAW_LEN && err > 0) {
        send_compact(send);
        err = pk_emit(send);
        if (err == 0) {
            send->state = PK_SEND_END;
        }
    }
    if (err < 0) {
        return err;
    }
    if (send->out.len == send->out_at) {
        return 0;
    }
    send_chunk(send, ret_chunk);
    return 1;
}

int pk_send_next(struct pk_send *send, struct pk_slice *ret_chunk)
{
    int err = send->err;

    *ret_chunk = (struct pk_slice){NULL, 0};
    if (err == 0 && send->state < PK_SEND_EMIT) {
        err = 1;
        for (int i = 0; i < SEND_STEP_N && err > 0; i++) {
            err = pk_reach(send);
        }
        if (err == 0) {
            err = send_planned(send);
        }
        err = err < 0 ? err : 1;
    } else if (err == 0) {
        err = send_emit(send, ret_chunk);
    }
    send->err = err < 0 ? err : 0;
    return err;
}

void pk_send_progress(const struct pk_send *send, struct pk_send_stats *ret)
{
    *ret = send->stats;
    if (!send->stats.planned) {
        ret->spilled = send->visits.spilled;
    }
}
