/* SPDX-License-Identifier: ISC */
/*
 * The front of pack entries, addresses and commits (spec 3; entry.h has the
 * layouts). The varint in front of a body counts what follows it; that of
 * contents is their own length, so both give the entry's end.
 */
#include "pack/entry.h"

#include <string.h>

bool pk_head_decode(const uint8_t *p, size_t len, size_t hash_len,
                    struct pk_head *ret)
{
    struct pk_cursor c = pk_cursor_of(p, len);
    const uint8_t *hash = pk_take(&c, hash_len);
    struct pk_head head = {.kind = pk_take_u8(&c)};

    if (c.bad) {
        return false;
    }
    memcpy(head.hash.b, hash, hash_len);
    switch (head.kind) {
    case 'B':
    case 'D':
    case 'P':
    case 'R':
    case 'O':
        head.len = pk_take_varint(&c);
        head.body = (uint32_t)pk_cursor_pos(&c);
        head.len += head.body;
        break;
    case 'C':
    case 'I':
    case 'N':
        head.body = (uint32_t)pk_cursor_pos(&c);
        break;
    default:
        return false;
    }
    if (c.bad) {
        return false;
    }
    *ret = head;
    return true;
}

struct pk_addr pk_take_addr(struct pk_cursor *c, size_t hash_len)
{
    struct pk_addr addr = {0};
    uint8_t tag = pk_take_u8(c);

    if (tag == 0) {
        addr.off = pk_take_int63(c);
    } else if (tag == 1) {
        const uint8_t *hash = pk_take(c, hash_len);

        addr.by_hash = true;
        if (hash != NULL) {
            memcpy(addr.hash.b, hash, hash_len);
        }
    } else {
        c->bad = true;
    }
    return addr;
}

void pk_put_addr(struct pk_buf *b, const struct pk_addr *addr, size_t hash_len)
{
    pk_put_u8(b, addr->by_hash ? 1 : 0);
    if (addr->by_hash) {
        pk_put(b, addr->hash.b, hash_len);
    } else {
        pk_put_be64(b, addr->off);
    }
}

static struct pk_addr take_addr_of(struct pk_cursor *c, uint8_t kind,
                                   size_t hash_len)
{
    struct pk_addr addr = {.by_hash = true};
    const uint8_t *hash;

    if (kind != 'C') {
        return pk_take_addr(c, hash_len);
    }
    hash = pk_take(c, hash_len);
    if (hash != NULL) {
        memcpy(addr.hash.b, hash, hash_len);
    }
    return addr;
}

bool pk_commit_decode(const uint8_t *p, size_t len, uint8_t kind,
                      size_t hash_len, struct pk_commit_body *ret,
                      size_t *ret_len)
{
    struct pk_cursor c = pk_cursor_of(p, len);
    struct pk_commit_body body;

    body.root = take_addr_of(&c, kind, hash_len);
    body.n_parents = pk_take_varint(&c);
    body.parents = c;
    for (uint64_t i = 0; i < body.n_parents && !c.bad; i++) {
        (void)take_addr_of(&c, kind, hash_len); /* to find their end */
    }
    body.info.date = (int64_t)pk_take_be64(&c);
    body.info.author = pk_take_boxed(&c);
    body.info.message = pk_take_boxed(&c);
    if (c.bad) {
        return false;
    }
    *ret = body;
    *ret_len = pk_cursor_pos(&c);
    return true;
}

struct pk_addr pk_commit_next_parent(struct pk_commit_body *body, uint8_t kind,
                                     size_t hash_len)
{
    return take_addr_of(&body->parents, kind, hash_len);
}
