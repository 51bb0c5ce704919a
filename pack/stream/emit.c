/* SPDX-License-Identifier: ISC */
/*
 * Elements of what is to be sent (element.h). Every object is verified when it
 * is read. Where an object is in the stream is found by looking for its offset
 * among those that are sent.
 */
#include <string.h>

#include "pack/inode.h"
#include "pack/locate.h"
#include "pack/stream/send.h"

/* body as an element of the stream. */
static int emit_body(struct pk_send *send)
{
    if (send->body.failed) {
        return pk_fail_mem(&send->store->ctx);
    }
    pk_put_varint(&send->out, send->body.len);
    pk_put(&send->out, send->body.p, send->body.len);
    return send->out.failed ? pk_fail_mem(&send->store->ctx) : 1;
}

static uint64_t emit_n_links(const struct pk_send *send)
{
    return send->links.n / PK_LINK_STRIDE;
}

/* The number of the element at off. Errors: NF_ENOENT: it is not sent. */
static int emit_find(struct pk_send *send, uint64_t off, uint64_t *ret)
{
    uint64_t base = send->options.n_have;
    uint64_t at = 0;
    int err = pk_list_file_find(&send->objects, 1, off, &at);

    if (err == 0) {
        *ret = base + emit_n_links(send) + (send->objects.n - 1 - at);
        return 0;
    }
    if (err == NF_ENOENT) {
        err = pk_list_file_find(&send->links, PK_LINK_STRIDE, off, &at);
        if (err == 0) {
            *ret = base + at;
            return 0;
        }
    }
    for (size_t i = 0; err == NF_ENOENT && i < base; i++) {
        if (send->haves[i] == off) {
            *ret = i;
            return 0;
        }
    }
    return err;
}

static uint64_t emit_number(const struct pk_send *send)
{
    return send->options.n_have + send->next;
}

static int emit_distance(struct pk_send *send, uint64_t off)
{
    uint64_t number = 0;
    int err = emit_find(send, off, &number);

    if (err == NF_ENOENT) {
        return pk_store_fail(send->store, NF_EC_UNRESOLVED, off, "reference");
    }
    if (err == 0) {
        pk_put_varint(&send->body, emit_number(send) - number);
    }
    return err;
}

/* ------------------------------------------------------------------- front */

int pk_emit_front(struct pk_send *send)
{
    const struct pk_send_options *o = &send->options;
    size_t hash_len = send->store->scheme.hash_len;
    char config[PK_STREAM_CONFIG_MAX];
    struct pk_buf *b = &send->body;

    pk_config_print(&send->store->scheme.config, config, sizeof(config));
    pk_buf_clear(b);
    pk_put_u8(b, PK_ELEMENT_FRONT);
    pk_put(b, PK_STREAM_MAGIC, PK_STREAM_MAGIC_LEN);
    pk_put_varint(b, PK_STREAM_VERSION);
    pk_put_boxed(b, (struct pk_slice){(const uint8_t *)config, strlen(config)});
    pk_put_varint(b, 0);
    pk_put_varint(b, send->stats.bytes);
    pk_put_varint(b, o->n_have);
    for (size_t i = 0; i < o->n_have; i++) {
        pk_put(b, o->have[i].b, hash_len);
    }
    pk_put_varint(b, o->n_commits);
    for (size_t i = 0; i < o->n_commits; i++) {
        pk_put(b, o->commits[i].b, hash_len);
    }
    pk_put_varint(b, o->n_refs);
    for (size_t i = 0; i < o->n_refs; i++) {
        pk_put_boxed(b, o->refs[i].name);
        pk_put_varint(b, o->refs[i].commit);
    }
    pk_put_varint(b, emit_n_links(send));
    pk_put_varint(b, send->objects.n);
    if (!b->failed) {
        pk_blake2b_update(&send->seal, (struct pk_slice){b->p, b->len});
    }
    return emit_body(send);
}

/* ----------------------------------------------------------------- objects */

static int emit_link(struct pk_send *send)
{
    uint64_t from = 0;
    uint64_t slot = 0;
    int err =
        pk_list_file_get(&send->links, send->next * PK_LINK_STRIDE + 1, &from);

    if (err == 0) {
        err = pk_list_file_get(&send->links, send->next * PK_LINK_STRIDE + 2,
                               &slot);
    }
    if (err != 0) {
        return err;
    }
    pk_put_u8(&send->body, PK_ELEMENT_LINK);
    pk_put_varint(&send->body, emit_number(send) - from);
    pk_put_varint(&send->body, slot);
    return 0;
}

static int emit_contents(struct pk_send *send, uint64_t off)
{
    struct pk_bytes bytes;
    int err = pk_contents_read(send->store, off, NULL, &bytes);

    if (err != 0) {
        return err;
    }
    pk_put_u8(&send->body, PK_ELEMENT_CONTENTS);
    pk_put(&send->body, bytes.p, bytes.len);
    nf_free(&send->store->ctx.mem, bytes.own, bytes.len);
    return 0;
}

/* The inode at off, verified as what its entry says it is. */
static int emit_load(struct pk_store *store, uint64_t off, uint8_t kind,
                     struct pk_inode **ret)
{
    bool root = kind == 'R';

    if (kind == 'N' || kind == 'I') {
        struct pk_inode *inode = NULL;
        int err = pk_inode_peek(store, off, &inode);

        if (err != 0) {
            return err;
        }
        root = pk_inode_is_root(inode);
        pk_inode_drop(store, inode);
    }
    return pk_inode_load(store, off, root ? PK_ROLE_ROOT : PK_ROLE_CHILD, ret);
}

static int emit_inode(struct pk_send *send, uint64_t off, uint8_t kind)
{
    struct pk_store *store = send->store;
    struct pk_buf *b = &send->body;
    struct pk_inode *inode = NULL;
    int err = emit_load(store, off, kind, &inode);

    if (err != 0) {
        return err;
    }
    pk_put_u8(b, inode->tree ? PK_ELEMENT_CHILDREN : PK_ELEMENT_VALUES);
    pk_put_u8(b, pk_inode_is_root(inode));
    if (inode->tree) {
        pk_put_varint(b, inode->depth);
        pk_put_varint(b, inode->length);
    }
    pk_put_varint(b, inode->n);
    for (uint32_t i = 0; i < inode->n && err == 0; i++) {
        struct pk_slot slot;
        uint64_t to = 0;

        pk_inode_slot(store, inode, i, &slot);
        if (inode->tree) {
            pk_put_varint(b, slot.index);
        } else {
            pk_put_u8(b, slot.kind == PK_NODE);
            pk_put_boxed(b, slot.step);
        }
        err = pk_addr_resolve(store, &slot.addr, &to);
        if (err == 0) {
            err = emit_distance(send, to);
        }
    }
    pk_inode_unpin(store, inode);
    return err;
}

static int emit_parent(struct pk_send *send, const struct pk_commit_at *at,
                       size_t i)
{
    struct pk_buf *b = &send->body;
    uint64_t number = 0;
    int err = at->parent_offs[i] == NF_NOWHERE
                  ? NF_ENOENT
                  : emit_find(send, at->parent_offs[i], &number);

    if (err == 0) {
        pk_put_u8(b, 0);
        pk_put_varint(b, emit_number(send) - number);
    } else if (err == NF_ENOENT) {
        pk_put_u8(b, 1);
        pk_put(b, at->commit->parents[i].b, send->store->scheme.hash_len);
        err = 0;
    }
    return err;
}

static int emit_commit(struct pk_send *send, uint64_t off)
{
    struct pk_buf *b = &send->body;
    struct pk_commit_at at;
    int err = pk_commit_read(send->store, off, &at);

    if (err != 0) {
        return err;
    }
    pk_put_u8(b, PK_ELEMENT_COMMIT);
    pk_put(b, at.commit->hash.b, send->store->scheme.hash_len);
    err = emit_distance(send, at.root_off);
    pk_put_varint(b, at.commit->n_parents);
    for (size_t i = 0; i < at.commit->n_parents && err == 0; i++) {
        err = emit_parent(send, &at, i);
    }
    pk_put_be64(b, (uint64_t)at.commit->info.date);
    pk_put_boxed(b, at.commit->info.author);
    pk_put_boxed(b, at.commit->info.message);
    pk_commit_release(send->store, &at);
    return err;
}

static int emit_object(struct pk_send *send)
{
    uint64_t i = send->next - emit_n_links(send);
    struct pk_head head;
    uint64_t off = 0;
    int err = pk_list_file_get(&send->objects, send->objects.n - 1 - i, &off);

    if (err == 0) {
        err = pk_object_head(send->store, off, &head);
    }
    if (err != 0) {
        return err;
    }
    send->stats.objects_done++;
    send->stats.bytes_done += head.len;
    if (head.kind == 'B') {
        return emit_contents(send, off);
    }
    return pk_kind_is_commit(head.kind) ? emit_commit(send, off)
                                        : emit_inode(send, off, head.kind);
}

int pk_emit(struct pk_send *send)
{
    uint64_t n_links = emit_n_links(send);
    int err;

    if (send->next == n_links + send->objects.n) {
        return 0;
    }
    pk_buf_clear(&send->body);
    err = send->next < n_links ? emit_link(send) : emit_object(send);
    if (err != 0) {
        return err;
    }
    send->next++;
    err = emit_body(send);
    if (send->body.cap > 1 << 20) {
        pk_buf_deinit(&send->body); /* not for keeps */
    }
    return err;
}
