/* SPDX-License-Identifier: ISC */
/* The front of a stream, see element.h. */
#include <string.h>

#include "pack/stream/element.h"

static const uint8_t *front_hashes(struct pk_cursor *c, size_t hash_len,
                                   size_t *ret_n)
{
    uint64_t n = pk_take_varint(c);
    const uint8_t *p;

    if (n > pk_cursor_left(c) / hash_len) {
        c->bad = true;
    }
    p = pk_take(c, c->bad ? 0 : n * hash_len);
    *ret_n = c->bad ? 0 : (size_t)n;
    return p;
}

struct pk_slice pk_front_next_name(struct pk_cursor *names, size_t *ret_commit)
{
    struct pk_slice name = pk_take_boxed(names);
    uint64_t commit = pk_take_varint(names);

    *ret_commit = commit > SIZE_MAX ? SIZE_MAX : (size_t)commit;
    return name;
}

static int front_config(struct pk_cursor *c, struct pk_config *ret)
{
    struct pk_slice text = pk_take_boxed(c);
    char buf[PK_STREAM_CONFIG_MAX];

    if (c->bad || text.len >= sizeof(buf)) {
        return NF_EC_STREAM;
    }
    memcpy(buf, text.p, text.len);
    buf[text.len] = '\0';
    return pk_config_parse(buf, ret);
}

int pk_front_decode(const uint8_t *p, size_t len, struct pk_front *ret)
{
    struct pk_cursor c = pk_cursor_of(p, len);
    const uint8_t *magic = pk_take(&c, PK_STREAM_MAGIC_LEN);
    struct pk_front front = {0};
    int err;

    if (magic == NULL ||
        memcmp(magic, PK_STREAM_MAGIC, PK_STREAM_MAGIC_LEN) != 0) {
        return NF_EC_STREAM;
    }
    if (pk_take_varint(&c) != PK_STREAM_VERSION) {
        return NF_EC_PACK_VERSION;
    }
    err = front_config(&c, &front.config);
    if (err != 0) {
        return err;
    }
    if (pk_take_varint(&c) != 0) { /* flags: none are known */
        return NF_EC_PACK_VERSION;
    }
    front.bytes = pk_take_varint(&c);
    front.haves = front_hashes(&c, front.config.hash_len, &front.n_haves);
    front.commits = front_hashes(&c, front.config.hash_len, &front.n_commits);
    front.n_names = (size_t)pk_take_varint(&c);
    front.names = c;
    for (size_t i = 0; i < front.n_names && !c.bad; i++) {
        size_t commit;

        (void)pk_front_next_name(&c, &commit);
        c.bad = c.bad || commit >= front.n_commits;
    }
    front.n_links = pk_take_varint(&c);
    front.n_objects = pk_take_varint(&c);
    if (c.bad || c.p != c.end || front.n_commits == 0) {
        return NF_EC_STREAM;
    }
    *ret = front;
    return 0;
}

struct pk_digest pk_front_hash(const struct pk_front *front,
                               const uint8_t *hashes, size_t i)
{
    struct pk_digest hash = {{0}};

    memcpy(hash.b, hashes + i * front->config.hash_len, front->config.hash_len);
    return hash;
}
