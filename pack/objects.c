/* SPDX-License-Identifier: ISC */
/*
 * Objects in the pack (spec 3, 6.4). The index is asked for commits, for V1
 * references, and before an append where the strategy indexes the kind; an
 * answer counts only if the object with that hash is there, since entries of
 * collected objects stay in the index.
 *
 * Contents are hashed when they are read into the cache, commits each time
 * they are read. The commit's hash takes in those of its root and parents,
 * which stand in front of those objects; a parent's that was collected and left
 * no trace is not known. A commit beside the history that was collected up to
 * its target can come to that, and counts as collected itself; the target
 * cannot.
 */
#include "pack/objects.h"

#include <string.h>

#include "notafs/platform/checked.h"
#include "pack/locate.h"
#include "pack/room.h"
#include "pack/trail.h"
#include "pack/verified.h"

enum { OBJECT_FIRST_READ = 1024 };

int pk_object_head(struct pk_store *store, uint64_t off, struct pk_head *ret)
{
    uint8_t raw[PK_HEAD_MAX];
    size_t len = store->scheme.hash_len + 10;
    const uint8_t *p;
    bool at_hand;
    int err = 0;

    if (off == NF_NOWHERE && store->partial) {
        return pk_store_blinded(store);
    }
    /* Neighbours of what was read last are looked at where they lie. */
    p = pk_store_peek(store, off, len);
    at_hand = p != NULL;
    if (!at_hand) {
        if (pk_heads_find(&store->heads, off, ret)) {
            return 0;
        }
        p = raw;
        err = pk_store_read_near(store, off, raw, len, &len);
    }
    if (err == 0 && !pk_head_decode(p, len, store->scheme.hash_len, ret)) {
        err = pk_store_fail(store, NF_EC_ENTRY, off, "entry");
    }
    if (err == 0 && ret->len > PK_INT63_MAX - off) {
        err = pk_store_fail(store, NF_EC_ENTRY, off, "length");
    }
    if (err == 0 && !at_hand) {
        pk_heads_put(&store->heads, off, ret);
    }
    return err;
}

int pk_object_hash(struct pk_store *store, uint64_t off, uint8_t *ret_kind,
                   struct pk_digest *ret_hash)
{
    struct pk_verified_object object;
    struct pk_head head;
    int err;

    if (store->known != NULL && pk_verified_find(store->known, off, &object)) {
        *ret_kind = object.kind;
        *ret_hash = object.hash;
        return 0;
    }
    err = pk_object_head(store, off, &head);
    if (err == 0) {
        *ret_kind = head.kind;
        *ret_hash = head.hash;
    }
    return err;
}

/* Bytes [buf->len, want) of the entry at off; fewer at the end of the data. */
static int object_read_on(struct pk_store *store, uint64_t off, size_t want)
{
    struct pk_buf *buf = &store->entry_buf;

    while (buf->len < want) {
        size_t at = buf->len;
        size_t got = 0;
        uint8_t *p = pk_buf_grow(buf, want - at);
        int err;

        if (p == NULL) {
            return pk_fail_mem(&store->ctx);
        }
        err = pk_store_read_near(store, off + at, p, want - at, &got);
        buf->len = at + got;
        if (err == NF_EC_NO_OBJECT && at > 0) {
            buf->len = at;
            return 0;
        }
        if (err != 0) {
            buf->len = at;
            return err;
        }
    }
    return 0;
}

int pk_object_read(struct pk_store *store, uint64_t off, size_t min_len,
                   struct pk_head *ret_head)
{
    struct pk_buf *buf = &store->entry_buf;
    struct pk_head head;
    size_t want = min_len > OBJECT_FIRST_READ ? min_len : OBJECT_FIRST_READ;
    int err;

    err = pk_object_head(store, off, &head);
    if (err != 0) {
        return err;
    }
    if (head.len != 0) {
        uint64_t end = off >= store->control.suffix_start
                           ? pk_store_end(store)
                           : store->control.suffix_start;

        if (head.len > end - off || head.len > SIZE_MAX / 8) {
            return pk_store_fail(store, NF_EC_ENTRY, off, "length");
        }
        want = (size_t)head.len;
    }
    pk_buf_clear(buf);
    err = object_read_on(store, off, want);
    if (err == 0 && buf->len < head.len) {
        err = pk_store_fail(store, NF_EC_ENTRY, off, "length");
    }
    if (err == 0 &&
        (buf->len < head.body ||
         memcmp(buf->p, head.hash.b, store->scheme.hash_len) != 0)) {
        err = pk_store_fail(store, NF_EC_ENTRY, off, "entry");
    }
    if (err == 0) {
        store->counters.objects_read++;
        *ret_head = head;
    }
    return err;
}

int pk_object_find(struct pk_store *store, const struct pk_digest *hash,
                   bool commit, uint64_t *ret_off, uint8_t *ret_kind)
{
    struct pk_binding binding;
    struct pk_head head;
    int err = pk_index_find(&store->index, hash, &binding);

    if (err != 0) {
        return err;
    }
    if (binding.off <= PK_INT63_MAX) {
        err = pk_object_head(store, binding.off, &head);
    } else {
        err = NF_EC_ENTRY;
    }
    if (err == NF_EC_NO_OBJECT) {
        return binding.off < store->control.suffix_start ? NF_EC_COLLECTED
                                                         : err;
    }
    if (err == 0 && (memcmp(&head.hash, hash, sizeof(*hash)) != 0 ||
                     pk_kind_is_commit(head.kind) != commit ||
                     (head.len != 0 && head.len != binding.len))) {
        err = NF_EC_ENTRY;
    }
    if (err == NF_EC_ENTRY) {
        return pk_fail(&store->ctx, NF_EC_INDEX, binding.at.file,
                       binding.at.off, "entry that differs from its object");
    }
    if (err == 0 && head.kind == 'P' && store->lower.n_volumes == 0) {
        err = NF_EC_COLLECTED;
    }
    if (err == 0) {
        *ret_off = binding.off;
        *ret_kind = head.kind;
    }
    return err;
}

/* ---------------------------------------------------------------- contents */

/* Contents in the cache: what is there has been verified. */
struct contents {
    struct pk_cached kept;
    struct pk_digest hash;
    size_t len;
    uint8_t data[];
};

/* Where others would have to go, one in eight may stay: what is read again and
 * again does so soon, and reading everything once costs the others little. */
static bool contents_admitted(struct pk_cache *cache, size_t size)
{
    return cache->len + size <= cache->max_len || cache->turned_away++ % 8 == 0;
}

/* Keep a copy, if there is room and memory. */
static void contents_keep(struct pk_store *store, uint64_t off,
                          const struct pk_digest *hash, struct pk_slice body)
{
    const size_t size = sizeof(struct contents) + body.len;
    struct contents *contents;

    if (!contents_admitted(&store->cache, size) ||
        !pk_cache_make_room(store, size)) {
        return;
    }
    contents = nf_alloc(&store->ctx.mem, size);
    if (contents == NULL) {
        return;
    }
    contents->kept = (struct pk_cached){
        .off = off, .size = size, .what = PK_CACHED_CONTENTS};
    contents->hash = *hash;
    contents->len = body.len;
    if (body.len > 0) {
        memcpy(contents->data, body.p, body.len);
    }
    if (pk_cache_add(store, &contents->kept) != 0) {
        nf_free(&store->ctx.mem, contents, size);
    }
}

/* Read the contents at off, verify them against the hash in front, and keep
 * them. ret_body is in entry_buf. */
static int contents_load(struct pk_store *store, uint64_t off,
                         struct pk_digest *ret_hash, struct pk_slice *ret_body)
{
    struct pk_digest hash;
    struct pk_head head;
    struct pk_slice body;
    int err = pk_object_read(store, off, 0, &head);

    if (err != 0) {
        return err;
    }
    if (head.kind != 'B') {
        return pk_store_fail(store, NF_EC_HASH, off, "contents");
    }
    body.p = store->entry_buf.p + head.body;
    body.len = (size_t)head.len - head.body;
    if ((store->flags & PK_OPEN_NO_VERIFY) == 0) {
        store->counters.objects_hashed++;
        store->counters.bytes_hashed += body.len;
        err = pk_digest_contents(&store->scheme, body, &hash);
        if (err == 0 && memcmp(&hash, &head.hash, sizeof(hash)) != 0) {
            err = pk_store_fail(store, NF_EC_HASH, off, "contents");
        }
    }
    if (err == 0) {
        contents_keep(store, off, &head.hash, body);
        *ret_hash = head.hash;
        *ret_body = body;
    }
    return err;
}

/* The contents at off, from the cache or the store; the body lives until the
 * next object is read. */
static int contents_at(struct pk_store *store, uint64_t off,
                       const struct pk_digest *expected,
                       struct pk_slice *ret_body)
{
    const struct contents *kept =
        (const struct contents *)(const void *)pk_cache_find(
            &store->cache, PK_CACHED_CONTENTS, off);
    struct pk_digest hash;
    int err = 0;

    if (kept != NULL) {
        store->counters.cache_hits++;
        hash = kept->hash;
        *ret_body = (struct pk_slice){kept->data, kept->len};
    } else {
        err = contents_load(store, off, &hash, ret_body);
    }
    if (err == 0 && expected != NULL &&
        memcmp(&hash, expected, sizeof(hash)) != 0) {
        err = pk_store_fail(store, NF_EC_HASH, off, "contents");
    }
    if (err == 0 && store->trail != NULL) {
        err = pk_trail_add(store->trail, &hash);
    }
    return err;
}

int pk_contents_read(struct pk_store *store, uint64_t off,
                     const struct pk_digest *expected,
                     struct pk_bytes *ret_bytes)
{
    struct pk_slice body = {NULL, 0};
    uint8_t *copy;
    int err = contents_at(store, off, expected, &body);

    if (err != 0) {
        return err;
    }
    copy = nf_alloc(&store->ctx.mem, body.len);
    if (copy == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    if (body.len > 0) {
        memcpy(copy, body.p, body.len);
    }
    if (store->entry_buf.cap > 1 << 20) {
        pk_buf_deinit(&store->entry_buf); /* not for keeps */
    }
    *ret_bytes = (struct pk_bytes){copy, body.len, copy};
    return 0;
}

int pk_contents_length(struct pk_store *store, uint64_t off, uint64_t *ret_len)
{
    struct pk_head head;
    int err = pk_object_head(store, off, &head);

    if (err == 0 && head.kind != 'B') {
        err = pk_store_fail(store, NF_EC_ENTRY, off, "kind");
    }
    if (err == 0 && store->trail != NULL) {
        err = pk_trail_add(store->trail, &head.hash);
    }
    if (err == 0 && (store->flags & PK_OPEN_NO_VERIFY) == 0) {
        /* The length in front is covered by the hash of what it measures. */
        struct pk_slice body;

        err = contents_at(store, off, &head.hash, &body);
    }
    if (err == 0) {
        *ret_len = head.len - head.body;
    }
    return err;
}

/* ----------------------------------------------------------------- commits */

/* What the index says about a commit that is not there. */
struct lost {
    struct pk_store *store;
    uint64_t off;
    bool known;    /* it was there once */
    bool dangling; /* the index remembers what was collected */
};

static int lost_look(void *arg, const struct pk_binding *binding)
{
    struct lost *lost = arg;
    struct pk_head head;

    if (!pk_kind_is_commit(binding->kind)) {
        return 0;
    }
    if (binding->off == lost->off) {
        lost->known = true;
        return 1;
    }
    if (!lost->dangling && binding->off < lost->store->control.suffix_start) {
        lost->dangling =
            pk_object_head(lost->store, binding->off, &head) == NF_EC_NO_OBJECT;
    }
    return 0;
}

/* The object at off is not there, which the commit at from refers to. A parent
 * may have been collected; then the index, unless it was made anew since, has
 * a commit there. Else the reference is damaged: that must not make history
 * end in silence. The parents of what was archived were archived with it. */
static int commit_lost(struct pk_store *store, uint64_t from, uint64_t off,
                       bool parent)
{
    struct lost lost = {.store = store, .off = off};
    bool archived = from < store->control.suffix_start &&
                    pk_lower_spans(&store->lower, off);
    bool collected = parent && off < store->control.suffix_start &&
                     from != store->control.gc_target && !archived;

    if (collected) {
        int err = pk_index_each(&store->index, lost_look, &lost);

        if (err < 0) {
            return err;
        }
        collected = lost.known || !lost.dangling;
    }
    return pk_store_fail(store, collected ? NF_EC_COLLECTED : NF_EC_UNRESOLVED,
                         from, "reference");
}

/* Where the object of an address is and which hash it has. One that is missing
 * but known by its hash is no error: off is then NF_NOWHERE. */
static int commit_ref(struct pk_store *store, uint64_t from,
                      const struct pk_addr *addr, bool commit,
                      uint64_t *ret_off, struct pk_digest *ret)
{
    struct pk_head head;
    uint8_t kind;
    int err;

    if (addr->by_hash) {
        *ret = addr->hash;
        err = pk_object_find(store, &addr->hash, commit, ret_off, &kind);
        if (nf_err_class(err) == NF_ENOENT) {
            *ret_off = NF_NOWHERE;
            err = err == NF_EC_COLLECTED ? 0
                                         : pk_locate_damage(store, &addr->hash);
        }
        return err;
    }
    err = pk_object_head(store, addr->off, &head);
    if (err == NF_EC_NO_OBJECT) {
        return commit_lost(store, from, addr->off, commit);
    }
    if (err == 0 && (commit ? !pk_kind_is_commit(head.kind)
                            : !pk_kind_is_inode(head.kind))) {
        err = pk_store_fail(store, NF_EC_ENTRY, addr->off, "kind");
    }
    if (err == 0) {
        *ret = head.hash;
        *ret_off = addr->off;
    }
    return err;
}

/* One block: the commit, its parents' offsets and hashes, author, message. */
static int commit_alloc(struct pk_store *store,
                        const struct pk_commit_body *body,
                        struct pk_commit_at *ret, struct pk_digest **ret_hashes)
{
    size_t n = (size_t)body->n_parents;
    size_t text = body->info.author.len + body->info.message.len;
    size_t size = sizeof(struct pk_commit) +
                  n * (sizeof(struct pk_digest) + sizeof(uint64_t)) + text;
    uint8_t *at = nf_calloc(&store->ctx.mem, 1, size);

    if (at == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    ret->size = size;
    ret->commit = (struct pk_commit *)(void *)at;
    at += sizeof(struct pk_commit);
    ret->parent_offs = (uint64_t *)(void *)at;
    at += n * sizeof(uint64_t);
    *ret_hashes = (struct pk_digest *)(void *)at;
    at += n * sizeof(struct pk_digest);
    ret->commit->parents = *ret_hashes;
    ret->commit->n_parents = n;
    ret->commit->info = body->info;
    memcpy(at, body->info.author.p, body->info.author.len);
    ret->commit->info.author.p = at;
    at += body->info.author.len;
    memcpy(at, body->info.message.p, body->info.message.len);
    ret->commit->info.message.p = at;
    return 0;
}

static int commit_verify(struct pk_store *store, uint64_t off,
                         const struct pk_commit *commit)
{
    struct pk_digest hash;
    int err;

    pk_buf_clear(&store->scratch);
    pk_pre_commit(&store->scheme, &commit->root, commit->parents,
                  commit->n_parents, &commit->info, &store->scratch);
    store->counters.objects_hashed++;
    store->counters.bytes_hashed += store->scratch.len;
    if (store->scratch.failed) {
        return pk_fail_mem(&store->ctx);
    }
    err = pk_digest_of(&store->scheme, store->scratch.p, store->scratch.len,
                       &hash);
    if (err == 0 && memcmp(&hash, &commit->hash, sizeof(hash)) != 0) {
        err = pk_store_fail(store, NF_EC_HASH, off, "commit");
    }
    return err;
}

/* Parents ascend by hash, with what belongs to each. */
static void commit_sort(struct pk_digest *hashes, uint64_t *offs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t j = i;
             j > 0 && memcmp(&hashes[j - 1], &hashes[j], sizeof(*hashes)) > 0;
             j--) {
            struct pk_digest h = hashes[j];
            uint64_t o = offs[j];

            hashes[j] = hashes[j - 1];
            offs[j] = offs[j - 1];
            hashes[j - 1] = h;
            offs[j - 1] = o;
        }
    }
}

/* Read the entry at off and decode its body, which stays in entry_buf. */
static int commit_load(struct pk_store *store, uint64_t off,
                       struct pk_head *head, struct pk_commit_body *body,
                       uint64_t *ret_entry_len)
{
    size_t want = 0;

    for (;;) {
        size_t body_len = 0;
        size_t had;
        int err = pk_object_read(store, off, want, head);

        if (err != 0) {
            return err;
        }
        had = store->entry_buf.len;
        if (pk_kind_is_commit(head->kind) &&
            pk_commit_decode(store->entry_buf.p + head->body, had - head->body,
                             head->kind, store->scheme.hash_len, body,
                             &body_len) &&
            (head->len == 0 || head->body + body_len == head->len)) {
            *ret_entry_len = head->body + body_len;
            return 0;
        }
        if (head->kind != 'C' || had < want || had > SIZE_MAX / 8) {
            return pk_store_fail(store, NF_EC_ENTRY, off, "commit");
        }
        want = had * 2; /* only its body tells how long it is */
    }
}

int pk_commit_read(struct pk_store *store, uint64_t off,
                   struct pk_commit_at *ret)
{
    struct pk_commit_at at = {0};
    struct pk_digest *hashes = NULL;
    struct pk_commit_body body;
    struct pk_head head;
    int err = commit_load(store, off, &head, &body, &at.entry_len);

    if (err == 0) {
        err = commit_alloc(store, &body, &at, &hashes);
    }
    if (err != 0) {
        return err;
    }
    at.kind = head.kind;
    at.commit->hash = head.hash;
    for (size_t i = 0; i < at.commit->n_parents && err == 0; i++) {
        struct pk_addr addr =
            pk_commit_next_parent(&body, head.kind, store->scheme.hash_len);

        err =
            commit_ref(store, off, &addr, true, &at.parent_offs[i], &hashes[i]);
    }
    if (err == 0) {
        err = commit_ref(store, off, &body.root, false, &at.root_off,
                         &at.commit->root);
    }
    if (err == 0) {
        commit_sort(hashes, at.parent_offs, at.commit->n_parents);
        if ((store->flags & PK_OPEN_NO_VERIFY) == 0) {
            err = commit_verify(store, off, at.commit);
        }
    }
    if (err != 0) {
        pk_commit_release(store, &at);
        return err;
    }
    *ret = at;
    return 0;
}

void pk_commit_release(struct pk_store *store, struct pk_commit_at *at)
{
    nf_free(&store->ctx.mem, at->commit, at->size);
    *at = (struct pk_commit_at){0};
}

/* ------------------------------------------------------------------ append */

bool pk_object_is_indexed(const struct pk_store *store, uint8_t kind)
{
    switch (store->strategy) {
    case PK_STRATEGY_MINIMAL:
        return kind == 'D';
    case PK_STRATEGY_ALWAYS:
        return true;
    case PK_STRATEGY_MINIMAL_WITH_CONTENTS:
        return kind == 'D' || kind == 'B';
    }
    return false;
}

int pk_object_known(struct pk_store *store, uint8_t kind,
                    const struct pk_digest *hash, uint64_t *ret_off)
{
    uint8_t found;
    uint64_t off;
    int err;

    if (!pk_object_is_indexed(store, kind)) {
        return NF_EC_NO_OBJECT;
    }
    err = pk_object_find(store, hash, kind == 'D', &off, &found);
    if (err == NF_EC_INDEX || err == NF_EC_COLLECTED) {
        return NF_EC_NO_OBJECT; /* lost in a crash, or collected: once more */
    }
    if (err == 0 && found != kind && kind != 'D') {
        return NF_EC_NO_OBJECT; /* of another kind, with the same hash */
    }
    if (err == 0) {
        *ret_off = off;
    }
    return err;
}

int pk_object_append(struct pk_store *store, uint8_t kind,
                     const struct pk_digest *hash, const struct pk_slice *parts,
                     size_t n_parts, uint64_t *ret_off)
{
    struct pk_buf *out = &store->scratch;
    struct pk_binding binding = {.hash = *hash, .kind = kind};
    struct pk_head head;
    int err = pk_store_writable(store);

    if (err != 0) {
        return err;
    }
    err = pk_object_known(store, kind, hash, ret_off);
    if (err != NF_EC_NO_OBJECT) {
        return err;
    }
    pk_buf_clear(out);
    pk_put(out, hash->b, store->scheme.hash_len);
    pk_put_u8(out, kind);
    for (size_t i = 0; i < n_parts; i++) {
        pk_put(out, parts[i].p, parts[i].len);
    }
    if (out->failed) {
        return pk_fail_mem(&store->ctx);
    }
    if (out->len > INT32_MAX) {
        return pk_fail(&store->ctx, NF_EFBIG, NULL, NF_NOWHERE, "entry");
    }
    err = pk_room_take(store, out->len);
    if (err != 0) {
        return err;
    }
    binding.off = pk_store_end(store);
    binding.len = (uint32_t)out->len;
    err = pk_suffix_append(&store->suffix, out->p, out->len);
    if (err == 0 && pk_object_is_indexed(store, kind)) {
        err = pk_index_add(&store->index, &binding);
    }
    if (err != 0) {
        return err; /* at worst a stored object that nothing names */
    }
    if (pk_head_decode(out->p, out->len, store->scheme.hash_len, &head)) {
        pk_heads_put(&store->heads, binding.off, &head);
    }
    store->counters.objects_appended++;
    store->counters.inodes_appended += kind == 'R' || kind == 'O';
    store->counters.contents_appended += kind == 'B';
    store->counters.commits_appended += kind == 'D';
    *ret_off = binding.off;
    return 0;
}

int pk_object_append_boxed(struct pk_store *store, uint8_t kind,
                           const struct pk_digest *hash, struct pk_slice body,
                           uint64_t *ret_off)
{
    uint8_t raw[9];
    struct pk_slice parts[2] = {{raw, 0}, body};
    uint64_t len = body.len;

    for (; len >= 128; len >>= 7) {
        raw[parts[0].len++] = (uint8_t)(len | 128);
    }
    raw[parts[0].len++] = (uint8_t)len;
    return pk_object_append(store, kind, hash, parts, 2, ret_off);
}

int pk_commit_append(struct pk_store *store, const struct pk_digest *hash,
                     const struct pk_addr *root, const struct pk_addr *parents,
                     size_t n, const struct pk_info *info, uint64_t *ret_off)
{
    size_t hash_len = store->scheme.hash_len;
    struct pk_buf body = pk_buf_of(&store->ctx.mem);
    int err;

    pk_put_addr(&body, root, hash_len);
    pk_put_varint(&body, n);
    for (size_t i = 0; i < n; i++) {
        pk_put_addr(&body, &parents[i], hash_len);
    }
    pk_put_be64(&body, (uint64_t)info->date);
    pk_put_boxed(&body, info->author);
    pk_put_boxed(&body, info->message);
    err = body.failed
              ? pk_fail_mem(&store->ctx)
              : pk_object_append_boxed(store, 'D', hash,
                                       (struct pk_slice){body.p, body.len},
                                       ret_off);
    pk_buf_deinit(&body);
    return err;
}
