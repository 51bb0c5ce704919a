/* SPDX-License-Identifier: ISC */
/*
 * A hash that leads nowhere may be one that nobody ever had; or one that the
 * index has no longer, because a byte in it has changed, or that a branch has
 * no longer. So, on the way to failing, all entries of the index are gone
 * through for one of nearly that hash: the object that it refers to tells
 * whether the entry has changed. An entry of exactly that hash was missed by
 * the search: what led it astray is the fan-out table, or another entry.
 */
#include "pack/locate.h"

#include <string.h>

#include "pack/objects.h"

struct locate {
    struct pk_store *store;
    const struct pk_digest *hash;
    size_t far; /* bytes in which a hash differs that is not near */
    struct pk_binding near;
    bool found;
};

static size_t locate_distance(const struct pk_digest *a,
                              const struct pk_digest *b)
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof(a->b); i++) {
        n += a->b[i] != b->b[i];
    }
    return n;
}

static int locate_near(void *arg, const struct pk_binding *binding)
{
    struct locate *l = arg;
    size_t distance = locate_distance(&binding->hash, l->hash);

    if (distance >= l->far) {
        return 0;
    }
    l->far = distance;
    l->near = *binding;
    l->found = true;
    return distance == 0;
}

/* Does the object of an entry have another hash? 1 or 0. */
static int locate_differs(struct pk_store *store,
                          const struct pk_binding *binding)
{
    struct pk_head head;
    int err = binding->off > PK_INT63_MAX
                  ? NF_EC_ENTRY
                  : pk_object_head(store, binding->off, &head);

    if (err == NF_ENOMEM || nf_err_class(err) == NF_EIO) {
        return err;
    }
    return err != 0 ||
           memcmp(&head.hash, &binding->hash, sizeof(head.hash)) != 0;
}

static int locate_bad(struct pk_store *store, const struct pk_index_at *at,
                      const char *what)
{
    return pk_fail(&store->ctx, NF_EC_INDEX, at->file, at->off, what);
}

/* The index has an entry of this hash. If the search finds it, its object is
 * not there; else it was led astray, by an entry of the bucket that is on the
 * wrong side of it, or by the bucket's limits. */
static int locate_missed(struct locate *l)
{
    struct pk_index *index = &l->store->index;
    const uint32_t key = pk_index_key(index, l->hash->b);
    struct pk_index_at fan;
    struct pk_binding b;
    uint64_t first = 0;
    uint64_t end = 0;
    int err = pk_index_find(index, l->hash, &b);

    if (err == 0) {
        return locate_bad(l->store, &b.at, "entry of an object not there");
    }
    if (err == NF_EC_NO_OBJECT) {
        err = pk_index_bucket(index, l->hash, &first, &end, &fan);
    }
    for (uint64_t i = first; i < end && err == 0; i++) {
        err = pk_index_data_entry(index, i, &b);
        if (err == 0) {
            uint32_t other = pk_index_key(index, b.hash.b);

            if (b.at.off < l->near.at.off ? other > key : other < key) {
                return locate_bad(l->store, &b.at, "entry out of order");
            }
        }
    }
    return err == 0 ? locate_bad(l->store, &fan, "fan-out table") : err;
}

int pk_locate_damage(struct pk_store *store, const struct pk_digest *hash)
{
    struct locate l = {.store = store, .hash = hash};
    int err;

    l.far = store->scheme.hash_len / 4 + 1;
    err = pk_index_each(&store->index, locate_near, &l);
    if (err < 0 || !l.found) {
        return err;
    }
    if (l.far == 0) {
        return locate_missed(&l);
    }
    err = locate_differs(store, &l.near);
    return err > 0 ? locate_bad(store, &l.near.at, "hash of an entry") : err;
}

int pk_locate_fail(struct pk_store *store, int err,
                   const struct pk_digest *hash, const char *what)
{
    struct pk_binding binding = {.off = 0};
    int found = pk_index_find(&store->index, hash, &binding);

    if (found != 0 && found != NF_EC_NO_OBJECT) {
        return found;
    }
    return pk_fail(&store->ctx, err, binding.at.file, binding.at.off, what);
}

/* The commit is not in the store: a branch that names it is damaged if another
 * commit has nearly that hash. */
static int locate_branch(struct pk_store *store, const struct pk_digest *hash,
                         uint64_t pos)
{
    struct locate l = {.store = store, .hash = hash};
    int err;

    l.far = store->scheme.hash_len / 4 + 1;
    err = pk_index_each(&store->index, locate_near, &l);
    if (err < 0) {
        return err;
    }
    return pk_fail(&store->ctx, l.found ? NF_EC_BRANCHES : NF_EC_NO_COMMIT,
                   "store.branches", pos, "commit of a branch");
}

int pk_locate_commit(struct pk_store *store, const struct pk_digest *hash,
                     uint64_t *ret_off)
{
    struct pk_binding binding;
    uint64_t pos = 0;
    uint8_t kind;
    int err = pk_object_find(store, hash, true, ret_off, &kind);

    if (nf_err_class(err) != NF_ENOENT) {
        return err;
    }
    if (pk_index_find(&store->index, hash, &binding) == 0) {
        /* it was collected, or never written */
        err = err == NF_EC_COLLECTED ? err : NF_EC_NO_COMMIT;
        return pk_locate_fail(store, err, hash, "commit");
    }
    err = pk_locate_damage(store, hash);
    if (err != 0) {
        return err;
    }
    if (pk_branches_names(&store->branches, hash, &pos)) {
        return locate_branch(store, hash, pos);
    }
    return pk_locate_fail(store, NF_EC_NO_COMMIT, hash, "commit");
}

int pk_locate_parent(struct pk_store *store, const struct pk_digest *hash,
                     uint64_t hint, uint64_t *ret_off)
{
    struct pk_head head;
    int err;

    if (hint != NF_NOWHERE) {
        err = pk_object_head(store, hint, &head);
        if (err != 0) {
            return err;
        }
        /* 'P' is what is left of a commit that was collected: it may be in a
         * volume, or have been written again. */
        if (head.kind != 'P' || store->lower.n_volumes > 0) {
            *ret_off = hint;
            return 0;
        }
    }
    return pk_locate_commit(store, hash, ret_off);
}

int pk_addr_resolve(struct pk_store *store, const struct pk_addr *addr,
                    uint64_t *ret_off)
{
    uint8_t kind;
    int err;

    if (!addr->by_hash || store->partial) {
        *ret_off = addr->by_hash ? NF_NOWHERE : addr->off;
        return 0;
    }
    err = pk_object_find(store, &addr->hash, false, ret_off, &kind);
    if (nf_err_class(err) == NF_ENOENT) {
        err = pk_locate_damage(store, &addr->hash);
        if (err == 0) {
            err = pk_locate_fail(store, NF_EC_UNRESOLVED, &addr->hash,
                                 "reference");
        }
    }
    return err;
}
