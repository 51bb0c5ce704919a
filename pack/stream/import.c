/* SPDX-License-Identifier: ISC */
/*
 * Elements become objects (element.h). What an element refers to is stored
 * already: its number leads to where, and the hash that stands there goes into
 * the hash that is computed of it. So nothing has to be believed: a commit is
 * stored only if all that it is made of has its hash.
 */
#include <string.h>

#include "pack/inode.h"
#include "pack/locate.h"
#include "pack/stream/receive.h"

static int import_bad(struct pk_receive *receive, const char *what)
{
    return pk_fail(&receive->store->ctx, NF_EC_STREAM, NULL, receive->raw_pos,
                   what);
}

/* Where the element is to which a distance leads. */
static int import_ref(struct pk_receive *receive, struct pk_cursor *c,
                      uint64_t *ret_off)
{
    uint64_t distance = pk_take_varint(c);

    if (c->bad || distance == 0 || distance > receive->offs.n) {
        return import_bad(receive, "reference");
    }
    return pk_list_file_get(&receive->offs, receive->offs.n - distance,
                            ret_off);
}

/* ------------------------------------------------------------------- front */

/* A commit that is whole here. Errors: those of class NF_ENOENT: it is not. */
static int import_find(struct pk_receive *receive, const uint8_t *hashes,
                       size_t i, uint64_t *ret_off)
{
    struct pk_digest hash = pk_front_hash(&receive->front, hashes, i);
    uint8_t kind;

    return pk_object_find(receive->store, &hash, true, ret_off, &kind);
}

int pk_import_commits_there(struct pk_receive *receive, bool *ret_there)
{
    const struct pk_front *front = &receive->front;
    uint64_t off;

    *ret_there = true;
    for (size_t i = 0; i < front->n_commits; i++) {
        int err = import_find(receive, front->commits, i, &off);

        if (nf_err_class(err) == NF_ENOENT) {
            *ret_there = false;
            return 0;
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static bool import_same_config(const struct pk_config *a,
                               const struct pk_config *b)
{
    return memcmp(a->hash, b->hash, sizeof(a->hash)) == 0 &&
           a->hash_len == b->hash_len && a->entries == b->entries &&
           a->stable_hash == b->stable_hash && a->schema == b->schema &&
           a->order == b->order && a->contents_header == b->contents_header;
}

int pk_import_front(struct pk_receive *receive)
{
    struct pk_store *store = receive->store;
    struct pk_front *front = &receive->front;
    struct pk_slice bytes = {receive->front_bytes.p, receive->front_bytes.len};
    int err = NF_EC_STREAM;

    if (bytes.len > 0 && bytes.p[0] == PK_ELEMENT_FRONT) {
        err = pk_front_decode(bytes.p + 1, bytes.len - 1, front);
    }
    if (err == 0 &&
        !import_same_config(&front->config, &store->scheme.config)) {
        err = NF_EC_CONFIG;
    }
    if (err != 0) {
        return pk_fail(&store->ctx, err, NULL, NF_NOWHERE, "front of a stream");
    }
    receive->has_front = true;
    receive->stats.objects = front->n_objects;
    receive->stats.bytes = front->bytes;
    return 0;
}

/* What the stream builds on must be here. */
static int import_haves(struct pk_receive *receive)
{
    const struct pk_front *front = &receive->front;
    int err = 0;

    for (size_t i = 0; i < front->n_haves && err == 0; i++) {
        uint64_t off = 0;

        err = import_find(receive, front->haves, i, &off);
        if (nf_err_class(err) == NF_ENOENT) {
            return pk_fail(&receive->store->ctx, NF_EC_STREAM_BASE, NULL,
                           NF_NOWHERE, "commit");
        }
        if (err == 0) {
            err = pk_list_file_add(&receive->offs, off);
        }
    }
    return err;
}

static int import_first(struct pk_receive *receive, const uint8_t *p,
                        size_t len)
{
    int err;

    pk_buf_clear(&receive->front_bytes);
    pk_put(&receive->front_bytes, p, len);
    if (receive->front_bytes.failed) {
        return pk_fail_mem(&receive->store->ctx);
    }
    err = pk_import_front(receive);
    if (err == 0) {
        err = pk_import_commits_there(receive, &receive->stats.complete);
    }
    if (err == 0 && !receive->stats.complete) {
        err = import_haves(receive);
    }
    return err;
}

/* ----------------------------------------------------------------- objects */

/* A slot of what the receiver has. */
static int import_link(struct pk_receive *receive, struct pk_cursor *c,
                       uint64_t *ret_off)
{
    struct pk_store *store = receive->store;
    struct pk_head head;
    uint64_t slot;
    uint64_t from = 0;
    int err = import_ref(receive, c, &from);

    slot = pk_take_varint(c);
    if (err == 0) {
        err = pk_object_head(store, from, &head);
    }
    if (err != 0) {
        return err;
    }
    if (c->bad || head.kind == 'B') {
        return import_bad(receive, "link");
    }
    if (pk_kind_is_commit(head.kind)) {
        struct pk_commit_at at;

        err = pk_commit_read(store, from, &at);
        if (err == 0) {
            *ret_off = at.root_off;
            pk_commit_release(store, &at);
            err = slot != 0 || *ret_off == NF_NOWHERE
                      ? import_bad(receive, "link")
                      : 0;
        }
    } else {
        struct pk_inode *inode = NULL;
        struct pk_slot s;

        err = pk_inode_peek(store, from, &inode);
        if (err == 0 && slot >= inode->n) {
            err = import_bad(receive, "link");
        }
        if (err == 0) {
            pk_inode_slot(store, inode, (uint32_t)slot, &s);
            err = pk_addr_resolve(store, &s.addr, ret_off);
        }
        pk_inode_drop(store, inode);
    }
    return err;
}

static int import_contents(struct pk_receive *receive, struct pk_cursor *c,
                           uint64_t *ret_off)
{
    struct pk_store *store = receive->store;
    struct pk_slice bytes = {c->p, pk_cursor_left(c)};
    struct pk_digest hash;
    int got = pk_digest_contents(&store->scheme, bytes, &hash);

    (void)pk_take(c, bytes.len);
    if (got == 0) {
        got = pk_known_find(receive, 'B', &hash, ret_off);
    }
    if (got != 0) {
        return got > 0 ? 0 : got;
    }
    return pk_object_append_boxed(store, 'B', &hash, bytes, ret_off);
}

/* The bindings of an inode, into body. Names get their ids from the last to the
 * first, as in store/export.c; those of the bindings are in ids, then in body.
 */
static int import_values(struct pk_receive *receive, struct pk_cursor c,
                         uint64_t n, uint64_t *ids)
{
    struct pk_buf *b = &receive->body;

    pk_put_u8(b, 0);
    pk_put_varint(b, n);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t kind = pk_take_u8(&c);
        struct pk_slice step = pk_take_boxed(&c);
        bool boxed = ids[i] == NF_NOWHERE;
        uint64_t off = 0;
        int err = import_ref(receive, &c, &off);

        if (err != 0 || kind > 1) {
            return err != 0 ? err : import_bad(receive, "kind");
        }
        pk_put_u8(b, (uint8_t)((boxed ? 6 : 0) + (kind == 1 ? 2 : 0)));
        if (boxed) {
            pk_put_boxed(b, step);
        } else {
            pk_put_varint(b, ids[i]);
        }
        pk_put_be64(b, off);
    }
    return 0;
}

/* The ids of n names: they are gathered first, as they are encoded forwards. */
static int import_ids(struct pk_receive *receive, struct pk_cursor *c,
                      uint64_t n, struct pk_slice *steps, uint64_t *ids)
{
    for (uint64_t i = 0; i < n; i++) {
        (void)pk_take_u8(c);
        steps[i] = pk_take_boxed(c);
        (void)pk_take_varint(c);
    }
    if (c->bad) {
        return import_bad(receive, "directory");
    }
    for (uint64_t i = n; i > 0; i--) {
        int got = 0;

        if (steps[i - 1].len > PK_DICT_INLINE_LEN) {
            got = pk_dict_add(&receive->store->dict, steps[i - 1], &ids[i - 1]);
        }
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            ids[i - 1] = NF_NOWHERE;
        }
    }
    return 0;
}

static int import_bindings(struct pk_receive *receive, struct pk_cursor *c)
{
    struct nf_mem *mem = &receive->store->ctx.mem;
    uint64_t n = pk_take_varint(c);
    struct pk_cursor again = *c;
    struct pk_slice *steps;
    uint64_t *ids;
    int err;

    if (n > receive->store->scheme.config.entries) {
        return import_bad(receive, "number of bindings");
    }
    steps = nf_calloc(mem, (size_t)n + 1, sizeof(*steps));
    ids = nf_calloc(mem, (size_t)n + 1, sizeof(*ids));
    err = steps == NULL || ids == NULL ? pk_fail_mem(&receive->store->ctx)
                                       : import_ids(receive, c, n, steps, ids);
    if (err == 0) {
        err = import_values(receive, again, n, ids);
    }
    nf_free(mem, ids, ((size_t)n + 1) * sizeof(*ids));
    nf_free(mem, steps, ((size_t)n + 1) * sizeof(*steps));
    return err;
}

static int import_children(struct pk_receive *receive, struct pk_cursor *c)
{
    size_t hash_len = receive->store->scheme.hash_len;
    struct pk_buf *b = &receive->body;
    uint64_t depth = pk_take_varint(c);
    uint64_t length = pk_take_varint(c);
    uint64_t n = pk_take_varint(c);

    if (c->bad || n > receive->store->scheme.config.entries) {
        return import_bad(receive, "number of children");
    }
    pk_put_u8(b, 1);
    pk_put_varint(b, depth);
    pk_put_varint(b, length);
    pk_put_varint(b, n);
    for (uint64_t i = 0; i < n; i++) {
        struct pk_addr addr = {0};
        uint64_t index = pk_take_varint(c);
        int err = import_ref(receive, c, &addr.off);

        if (err != 0) {
            return err;
        }
        pk_put_varint(b, index);
        pk_put_addr(b, &addr, hash_len);
    }
    return 0;
}

/* The children of a new inode are one level below, and hold what it says. */
static int import_check_children(struct pk_receive *receive,
                                 struct pk_inode *inode)
{
    struct pk_store *store = receive->store;
    uint64_t length = 0;

    for (uint32_t i = 0; inode->tree && i < inode->n; i++) {
        struct pk_inode *child = NULL;
        int err = pk_inode_load_child(store, inode, i, &child);

        if (err != 0) {
            return err;
        }
        length += child->length;
        pk_inode_unpin(store, child);
    }
    return inode->tree && length != inode->length
               ? import_bad(receive, "length of a directory")
               : 0;
}

static int import_inode(struct pk_receive *receive, bool tree,
                        struct pk_cursor *c, uint64_t *ret_off)
{
    struct pk_store *store = receive->store;
    uint8_t root = pk_take_u8(c);
    struct pk_inode *inode = NULL;
    struct pk_slice body;
    int err;

    if (root > 1) {
        return import_bad(receive, "directory");
    }
    pk_buf_clear(&receive->body);
    err = tree ? import_children(receive, c) : import_bindings(receive, c);
    if (err == 0 && receive->body.failed) {
        err = pk_fail_mem(&store->ctx);
    }
    body = (struct pk_slice){receive->body.p, receive->body.len};
    if (err == 0) {
        err = pk_inode_make(store, body,
                            root == 1 ? PK_ROLE_ROOT : PK_ROLE_CHILD, &inode);
    }
    if (err != 0) {
        return err;
    }
    err = import_check_children(receive, inode);
    if (err == 0) {
        err = pk_known_find(receive, inode->kind, &inode->hash, ret_off);
    }
    if (err > 0) {
        pk_inode_drop(store, inode);
        return 0;
    }
    if (err == 0) {
        err = pk_object_append_boxed(store, inode->kind, &inode->hash, body,
                                     ret_off);
    }
    if (err != 0 || *ret_off != inode->kept.off) {
        pk_inode_drop(store, inode);
        return err;
    }
    return pk_inode_keep(store, inode);
}

/* ------------------------------------------------------------------ commit */

/* A parent: where it is, if it is here, and its hash. */
static int import_parent(struct pk_receive *receive, struct pk_cursor *c,
                         struct pk_addr *ret)
{
    struct pk_store *store = receive->store;
    size_t hash_len = store->scheme.hash_len;
    uint8_t tag = pk_take_u8(c);
    const uint8_t *p;
    struct pk_head head;
    uint8_t kind;
    int err;

    *ret = (struct pk_addr){0};
    if (tag == 0) {
        err = import_ref(receive, c, &ret->off);
        if (err == 0) {
            err = pk_object_head(store, ret->off, &head);
        }
        if (err == 0 && !pk_kind_is_commit(head.kind)) {
            err = import_bad(receive, "parent");
        }
        if (err == 0) {
            ret->hash = head.hash;
        }
        return err;
    }
    p = pk_take(c, hash_len);
    if (tag != 1 || p == NULL) {
        return import_bad(receive, "parent");
    }
    memcpy(ret->hash.b, p, hash_len);
    err = pk_object_find(store, &ret->hash, true, &ret->off, &kind);
    ret->by_hash = err != 0;
    return nf_err_class(err) == NF_ENOENT ? 0 : err;
}

/* A commit being put together; parents ascend. */
struct import_commit {
    struct pk_digest hash;
    struct pk_digest root;
    struct pk_addr root_addr;
    struct pk_info info;
    size_t n;
    struct pk_addr *parents;
    struct pk_digest *hashes; /* theirs */
};

static int import_root(struct pk_receive *receive, struct pk_cursor *c,
                       struct import_commit *commit)
{
    struct pk_inode *inode = NULL;
    int err = import_ref(receive, c, &commit->root_addr.off);

    if (err == 0) {
        err = pk_inode_load(receive->store, commit->root_addr.off, PK_ROLE_ROOT,
                            &inode);
    }
    if (err == 0) {
        commit->root = inode->hash;
        pk_inode_unpin(receive->store, inode);
    }
    return err;
}

static int import_parents(struct pk_receive *receive, struct pk_cursor *c,
                          struct import_commit *commit)
{
    for (size_t i = 0; i < commit->n; i++) {
        int err = import_parent(receive, c, &commit->parents[i]);

        if (err != 0) {
            return err;
        }
        commit->hashes[i] = commit->parents[i].hash;
        if (i > 0 && memcmp(&commit->hashes[i - 1], &commit->hashes[i],
                            sizeof(struct pk_digest)) > 0) {
            return import_bad(receive, "order of parents");
        }
    }
    commit->info.date = (int64_t)pk_take_be64(c);
    commit->info.author = pk_take_boxed(c);
    commit->info.message = pk_take_boxed(c);
    return c->bad || c->p != c->end ? import_bad(receive, "commit") : 0;
}

static int import_append_commit(struct pk_receive *receive,
                                const struct import_commit *commit,
                                uint64_t *ret_off)
{
    struct pk_store *store = receive->store;
    struct pk_digest hash;
    int err;

    pk_buf_clear(&store->scratch);
    pk_pre_commit(&store->scheme, &commit->root, commit->hashes, commit->n,
                  &commit->info, &store->scratch);
    err = store->scratch.failed ? pk_fail_mem(&store->ctx)
                                : pk_digest_of(&store->scheme, store->scratch.p,
                                               store->scratch.len, &hash);
    if (err == 0 && memcmp(&hash, &commit->hash, sizeof(hash)) != 0) {
        err = pk_fail(&store->ctx, NF_EC_HASH, NULL, receive->raw_pos,
                      "commit of a stream");
    }
    return err == 0 ? pk_commit_append(store, &hash, &commit->root_addr,
                                       commit->parents, commit->n,
                                       &commit->info, ret_off)
                    : err;
}

static int import_commit(struct pk_receive *receive, struct pk_cursor *c,
                         uint64_t *ret_off)
{
    struct nf_mem *mem = &receive->store->ctx.mem;
    size_t hash_len = receive->store->scheme.hash_len;
    const uint8_t *hash = pk_take(c, hash_len);
    struct import_commit commit = {.n = 0};
    uint64_t n;
    int err;

    if (hash == NULL) {
        return import_bad(receive, "commit");
    }
    memcpy(commit.hash.b, hash, hash_len);
    err = import_root(receive, c, &commit);
    n = pk_take_varint(c);
    if (err != 0) {
        return err;
    }
    if (n > pk_cursor_left(c)) {
        return import_bad(receive, "number of parents");
    }
    commit.n = (size_t)n;
    commit.parents = nf_calloc(mem, commit.n + 1, sizeof(*commit.parents));
    commit.hashes = nf_calloc(mem, commit.n + 1, sizeof(*commit.hashes));
    err = commit.parents == NULL || commit.hashes == NULL
              ? pk_fail_mem(&receive->store->ctx)
              : import_parents(receive, c, &commit);
    if (err == 0) {
        err = import_append_commit(receive, &commit, ret_off);
    }
    nf_free(mem, commit.hashes, (commit.n + 1) * sizeof(*commit.hashes));
    nf_free(mem, commit.parents, (commit.n + 1) * sizeof(*commit.parents));
    return err;
}

/* ----------------------------------------------------------------- element */

static int import_object(struct pk_receive *receive, struct pk_cursor *c,
                         uint64_t *ret_off)
{
    uint64_t base = receive->front.n_haves + receive->front.n_links;
    uint8_t tag = pk_take_u8(c);
    bool link = receive->offs.n < base;

    if (receive->offs.n >= base + receive->front.n_objects ||
        link != (tag == PK_ELEMENT_LINK)) {
        return import_bad(receive, "order of elements");
    }
    switch (tag) {
    case PK_ELEMENT_LINK:
        return import_link(receive, c, ret_off);
    case PK_ELEMENT_CONTENTS:
        return import_contents(receive, c, ret_off);
    case PK_ELEMENT_VALUES:
    case PK_ELEMENT_CHILDREN:
        return import_inode(receive, tag == PK_ELEMENT_CHILDREN, c, ret_off);
    case PK_ELEMENT_COMMIT:
        return import_commit(receive, c, ret_off);
    default:
        return import_bad(receive, "tag");
    }
}

int pk_import_element(struct pk_receive *receive, const uint8_t *p, size_t len)
{
    struct pk_cursor c = pk_cursor_of(p, len);
    uint64_t off = 0;
    int err;

    if (!receive->has_front) {
        return import_first(receive, p, len);
    }
    err = receive->known_asked ? 0 : pk_known_open(receive);
    if (err != 0) {
        return err;
    }
    err = import_object(receive, &c, &off);
    if (err == 0 && (c.bad || c.p != c.end)) {
        err = import_bad(receive, "element");
    }
    if (err == 0) {
        receive->stats.objects_done +=
            receive->offs.n >= receive->front.n_haves + receive->front.n_links;
        err = pk_list_file_add(&receive->offs, off);
    }
    return err;
}
