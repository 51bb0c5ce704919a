/* SPDX-License-Identifier: ISC */
/*
 * What is here already, by hash: a minimal store does not know, so a scratch
 * index is made of all that its branches reach. Nothing else counts: an object
 * that a collection has left behind may refer to one that it has not. What is
 * found is read and verified before it stands for what came.
 */
#include <string.h>

#include "pack/inode.h"
#include "pack/stream/receive.h"
#include "pack/stream/send.h"

enum { KNOWN_LOG_N = 65536 }; /* entries of the index in memory */

struct heads {
    struct pk_repo *repo;
    struct pk_digest *list;
    size_t n;
    size_t cap;
};

static int heads_add(void *arg, struct pk_slice name,
                     const struct pk_digest *hash)
{
    struct heads *heads = arg;
    struct pk_ctx *ctx = &heads->repo->store.ctx;
    struct pk_commit *commit = NULL;
    int err = pk_commit_find(heads->repo, hash, &commit);

    (void)name;
    pk_commit_free(heads->repo, commit);
    if (err != 0) {
        return nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    if (heads->n == heads->cap) {
        size_t cap = heads->cap * 2 + 8;
        struct pk_digest *list =
            nf_realloc(&ctx->mem, heads->list, heads->cap * sizeof(*list),
                       cap * sizeof(*list));

        if (list == NULL) {
            return pk_fail_mem(ctx);
        }
        heads->list = list;
        heads->cap = cap;
    }
    heads->list[heads->n++] = *hash;
    return 0;
}

/* What a sender would find. */
static int known_reach(struct pk_receive *receive, struct pk_send *send)
{
    struct pk_store *store = receive->store;
    int err = 1;

    while (err > 0) {
        err = pk_reach(send);
    }
    for (uint64_t i = 0; i < send->objects.n && err == 0; i++) {
        struct pk_binding binding = {.off = 0};
        struct pk_head head;

        err = pk_list_file_get(&send->objects, i, &binding.off);
        if (err == 0) {
            err = pk_object_head(store, binding.off, &head);
        }
        if (err != 0 || pk_kind_is_commit(head.kind)) {
            continue;
        }
        binding.hash = head.hash;
        binding.len = head.len > INT32_MAX ? INT32_MAX : (uint32_t)head.len;
        binding.kind = head.kind;
        err = pk_index_add(&receive->known, &binding);
        if (err == 0 && i % KNOWN_LOG_N == KNOWN_LOG_N - 1) {
            err = pk_index_flush(&receive->known);
        }
    }
    return err;
}

static int known_fill(struct pk_receive *receive, const struct heads *heads)
{
    struct pk_send_options how = {.commits = heads->list,
                                  .n_commits = heads->n,
                                  .scratch = receive->options.scratch};
    struct pk_store *store = receive->store;
    struct pk_send *send = NULL;
    int err = pk_index_create(&store->ctx, how.scratch);

    if (err == 0) {
        err = pk_index_open(&store->ctx, how.scratch, store->scheme.hash_len,
                            KNOWN_LOG_N, true, &receive->known);
    }
    if (err == 0) {
        err = pk_send_open(receive->repo, &how, &send);
    }
    if (err == 0) {
        err = known_reach(receive, send);
    }
    pk_send_close(send);
    return err;
}

int pk_known_open(struct pk_receive *receive)
{
    struct pk_ctx *ctx = &receive->store->ctx;
    struct heads heads = {.repo = receive->repo};
    bool broken = ctx->broken;
    int err;

    receive->known_asked = true;
    if (receive->options.scratch == NULL || receive->front.n_haves > 0 ||
        receive->stats.complete) {
        return 0; /* what is here is not sent, or nobody can tell */
    }
    err = pk_branch_each(receive->repo, heads_add, &heads);
    if (err == 0 && heads.n > 0) {
        err = known_fill(receive, &heads);
        if (err == NF_ENOTSUP) {
            pk_known_close(receive); /* V1: then without */
            err = 0;
        }
    }
    ctx->broken = broken; /* the scratch index is not the store */
    nf_free(&ctx->mem, heads.list, heads.cap * sizeof(*heads.list));
    return err;
}

void pk_known_close(struct pk_receive *receive)
{
    static const char *const names[] = {"index/log", "index/data",
                                        "index/lock"};
    struct pk_ctx *ctx = &receive->store->ctx;
    struct nf_error_info why = ctx->err;

    if (receive->known.ctx == NULL) {
        return;
    }
    (void)pk_index_close(&receive->known); /* not needed any more */
    receive->known = (struct pk_index){0};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (pk_file_remove(ctx, receive->options.scratch, names[i]) != 0) {
            ctx->err = why; /* scratch files that stay do no harm */
        }
    }
}

int pk_known_find(struct pk_receive *receive, uint8_t kind,
                  const struct pk_digest *hash, uint64_t *ret_off)
{
    struct pk_store *store = receive->store;
    struct pk_inode *inode = NULL;
    struct pk_binding binding;
    struct pk_bytes bytes;
    int err;

    if (receive->known.ctx == NULL) {
        return 0;
    }
    err = pk_index_find(&receive->known, hash, &binding);
    if (err != 0 || binding.kind != kind) {
        return err == NF_EC_NO_OBJECT || err == 0 ? 0 : err;
    }
    if (kind == 'B') {
        err = pk_contents_read(store, binding.off, hash, &bytes);
        if (err == 0) {
            nf_free(&store->ctx.mem, bytes.own, bytes.len);
        }
    } else {
        err = pk_inode_load(store, binding.off,
                            kind == 'R' ? PK_ROLE_ROOT : PK_ROLE_CHILD, &inode);
        pk_inode_unpin(store, inode);
    }
    if (nf_err_class(err) == NF_ECORRUPT) {
        return 0; /* what came is better */
    }
    if (err != 0) {
        return err;
    }
    receive->stats.objects_known++;
    *ret_off = binding.off;
    return 1;
}
