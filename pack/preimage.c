/* SPDX-License-Identifier: ISC */
/*
 * Pre-images (spec 4.2). With h a hash and LEN8 an 8-byte big-endian count:
 *
 *   contents  kv  "B" bytes       v2  bytes        tezos  LEN8 bytes
 *   flat      kv  "N" n entry*    v2  n entry*     descending steps
 *             tezos  LEN8 tentry*                  ascending steps
 *   entry     00 node or 01 contents, boxed step, h
 *   tentry    ff (contents) or 00, 7 x 00, boxed step, LEN8 h
 *   values    00 n (boxed step, 00 node or 01 contents, h)*  ascending
 *   tree      01 depth length n (index h)*         ascending
 *   commit    kv  "C" h n h* date author message   v2  without "C"
 *             tezos  every length as LEN8
 */
#include "pack/preimage.h"

#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/hash/ocaml_hash.h"

int pk_scheme_init(struct pk_scheme *scheme, const struct pk_config *config,
                   const struct pk_hash_table *hashes)
{
    uint32_t e = config->entries;
    int err;

    if (e < 2 || (e & (e - 1)) != 0 || e > 1024 || config->hash_len == 0 ||
        config->hash_len > PK_HASH_MAX_LEN) {
        return NF_EC_CONFIG;
    }
    memset(scheme, 0, sizeof(*scheme));
    scheme->config = *config;
    err = pk_hasher_init(&scheme->hasher, hashes, config->hash,
                         config->hash_len, pk_cpu_detect());
    scheme->hash_len = config->hash_len;
    while (e > 1) {
        scheme->bits++;
        e >>= 1;
    }
    scheme->max_depth = 50 / scheme->bits;
    return err;
}

size_t pk_pre_contents(const struct pk_scheme *scheme, uint64_t len,
                       uint8_t buf[PK_PRE_CONTENTS_MAX])
{
    switch (scheme->config.schema) {
    case PK_SCHEMA_KV:
        buf[0] = 'B';
        return 1;
    case PK_SCHEMA_V2:
        return 0;
    case PK_SCHEMA_TEZOS:
        nf_put_be64(buf, len);
        return 8;
    }
    return 0;
}

/* A tentry: most of what a large commit hashes. */
static void put_tentry(const struct pk_scheme *scheme,
                       const struct pk_leaf *leaf, struct pk_buf *out)
{
    uint8_t *to = pk_buf_grow(out, 8);

    if (to != NULL) {
        nf_put_be64(to, leaf->kind == PK_CONTENTS ? UINT64_C(0xff) << 56 : 0);
    }
    pk_put_boxed(out, leaf->step);
    to = pk_buf_grow(out, 8 + scheme->hash_len);
    if (to == NULL) {
        return;
    }
    nf_put_be64(to, scheme->hash_len);
    if (scheme->hash_len == 32) {
        memcpy(to + 8, leaf->hash, 32); /* without a call */
    } else {
        memcpy(to + 8, leaf->hash, scheme->hash_len);
    }
}

void pk_pre_flat(const struct pk_scheme *scheme, const struct pk_leaf *leaves,
                 size_t n, struct pk_buf *out)
{
    if (scheme->config.schema == PK_SCHEMA_TEZOS) {
        pk_put_be64(out, n);
        for (size_t i = 0; i < n; i++) {
            put_tentry(scheme, &leaves[i], out);
        }
        return;
    }
    if (scheme->config.schema == PK_SCHEMA_KV) {
        pk_put_u8(out, 'N');
    }
    pk_put_varint(out, n);
    for (size_t i = n; i > 0; i--) {
        pk_put_u8(out, leaves[i - 1].kind == PK_CONTENTS ? 1 : 0);
        pk_put_boxed(out, leaves[i - 1].step);
        pk_put(out, leaves[i - 1].hash, scheme->hash_len);
    }
}

void pk_pre_values(const struct pk_scheme *scheme, const struct pk_leaf *leaves,
                   size_t n, struct pk_buf *out)
{
    pk_put_u8(out, 0);
    pk_put_varint(out, n);
    for (size_t i = 0; i < n; i++) {
        pk_put_boxed(out, leaves[i].step);
        pk_put_u8(out, leaves[i].kind == PK_CONTENTS ? 1 : 0);
        pk_put(out, leaves[i].hash, scheme->hash_len);
    }
}

void pk_pre_tree(const struct pk_scheme *scheme, uint64_t depth,
                 uint64_t length, const struct pk_leaf *children, size_t n,
                 struct pk_buf *out)
{
    pk_put_u8(out, 1);
    pk_put_varint(out, depth);
    pk_put_varint(out, length);
    pk_put_varint(out, n);
    for (size_t i = 0; i < n; i++) {
        pk_put_varint(out, children[i].index);
        pk_put(out, children[i].hash, scheme->hash_len);
    }
}

static void pre_commit_tezos(const struct pk_scheme *scheme,
                             const struct pk_digest *root,
                             const struct pk_digest *parents, size_t n_parents,
                             const struct pk_info *info, struct pk_buf *out)
{
    pk_put_be64(out, scheme->hash_len);
    pk_put(out, root->b, scheme->hash_len);
    pk_put_be64(out, n_parents);
    for (size_t i = 0; i < n_parents; i++) {
        pk_put_be64(out, scheme->hash_len);
        pk_put(out, parents[i].b, scheme->hash_len);
    }
    pk_put_be64(out, (uint64_t)info->date);
    pk_put_be64(out, info->author.len);
    pk_put(out, info->author.p, info->author.len);
    pk_put_be64(out, info->message.len);
    pk_put(out, info->message.p, info->message.len);
}

void pk_pre_commit(const struct pk_scheme *scheme, const struct pk_digest *root,
                   const struct pk_digest *parents, size_t n_parents,
                   const struct pk_info *info, struct pk_buf *out)
{
    if (scheme->config.schema == PK_SCHEMA_TEZOS) {
        pre_commit_tezos(scheme, root, parents, n_parents, info, out);
        return;
    }
    if (scheme->config.schema == PK_SCHEMA_KV) {
        pk_put_u8(out, 'C');
    }
    pk_put(out, root->b, scheme->hash_len);
    pk_put_varint(out, n_parents);
    for (size_t i = 0; i < n_parents; i++) {
        pk_put(out, parents[i].b, scheme->hash_len);
    }
    pk_put_be64(out, (uint64_t)info->date);
    pk_put_boxed(out, info->author);
    pk_put_boxed(out, info->message);
}

int pk_digest_of(const struct pk_scheme *scheme, const uint8_t *p, size_t len,
                 struct pk_digest *ret)
{
    struct pk_slice part = {p, len};
    struct pk_digest digest = {{0}};
    int err = pk_hash(&scheme->hasher, &part, 1, digest.b);

    if (err == 0) {
        *ret = digest;
    }
    return err;
}

int pk_digest_contents(const struct pk_scheme *scheme, struct pk_slice contents,
                       struct pk_digest *ret)
{
    uint8_t pre[PK_PRE_CONTENTS_MAX];
    struct pk_slice parts[2] = {
        {pre, pk_pre_contents(scheme, contents.len, pre)}, contents};
    struct pk_digest digest = {{0}};
    int err = pk_hash(&scheme->hasher, parts, 2, digest.b);

    if (err == 0) {
        *ret = digest;
    }
    return err;
}

/* Bits [at, at + bits) of a digest, the first bit being the highest. */
static int child_bits(const struct pk_scheme *scheme, uint32_t at,
                      struct pk_slice step, uint32_t *ret)
{
    struct pk_digest digest;
    uint32_t v = 0;
    int err;

    if (at + scheme->bits > scheme->hash_len * 8) {
        return NF_EC_DEPTH;
    }
    err = pk_digest_of(scheme, step.p, step.len, &digest);
    for (uint32_t i = at; i < at + scheme->bits; i++) {
        v = v << 1 | ((uint32_t)digest.b[i / 8] >> (7 - i % 8) & 1u);
    }
    if (err == 0) {
        *ret = v;
    }
    return err;
}

int pk_child_index(const struct pk_scheme *scheme, uint32_t depth,
                   struct pk_slice step, uint32_t *ret)
{
    if (depth >= scheme->max_depth) {
        return NF_EC_DEPTH;
    }
    switch (scheme->config.order) {
    case PK_ORDER_SEEDED_HASH:
        *ret = pk_ocaml_hash(depth, step.p, step.len) &
               (scheme->config.entries - 1);
        return 0;
    case PK_ORDER_HASH_BITS:
        return child_bits(scheme, depth * scheme->bits, step, ret);
    }
    return NF_EC_CONFIG;
}

int pk_step_compare(struct pk_slice a, struct pk_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    size_t i = 0;

    /* Steps are short, and this is asked all day long. */
    for (; n - i >= 8; i += 8) {
        uint64_t x = nf_get_be64(a.p + i);
        uint64_t y = nf_get_be64(b.p + i);

        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    for (; i < n; i++) {
        if (a.p[i] != b.p[i]) {
            return a.p[i] < b.p[i] ? -1 : 1;
        }
    }
    return (a.len > b.len) - (a.len < b.len);
}
