/* SPDX-License-Identifier: ISC */
/*
 * Commits (spec 3.4, 9.2): found by hash in the index, written behind their
 * tree. A parent is addressed by its offset; its hash is part of what ours is
 * made of.
 */
#include <string.h>

#include "pack/locate.h"
#include "pack/objects.h"
#include "pack/store/repo.h"

static int commit_find_at(struct pk_repo *repo, const struct pk_digest *hash,
                          uint64_t *ret_off, struct pk_commit_at *ret)
{
    int err = pk_locate_commit(&repo->store, hash, ret_off);

    return err == 0 ? pk_commit_read(&repo->store, *ret_off, ret) : err;
}

/* The size of a commit's block follows from what is in it. */
static size_t commit_size(const struct pk_commit *c)
{
    return sizeof(*c) +
           c->n_parents * (sizeof(uint64_t) + sizeof(struct pk_digest)) +
           c->info.author.len + c->info.message.len;
}

int pk_commit_find(struct pk_repo *repo, const struct pk_digest *hash,
                   struct pk_commit **ret_commit)
{
    struct pk_commit_at at;
    uint64_t off = 0;
    int err = commit_find_at(repo, hash, &off, &at);

    if (err == 0) {
        *ret_commit = at.commit;
    }
    return err;
}

void pk_commit_free(struct pk_repo *repo, struct pk_commit *commit)
{
    if (commit != NULL) {
        nf_free(&repo->store.ctx.mem, commit, commit_size(commit));
    }
}

int pk_commit_tree(struct pk_repo *repo, const struct pk_digest *hash,
                   struct pk_tree **ret_tree)
{
    struct pk_place place = {.kind = PK_NODE};
    struct pk_node *node = NULL;
    struct pk_commit_at at;
    uint64_t off = 0;
    int err = commit_find_at(repo, hash, &off, &at);

    if (err != 0) {
        return err;
    }
    place.off = at.root_off;
    pk_commit_release(&repo->store, &at);
    if (place.off == NF_NOWHERE) {
        return pk_store_fail(&repo->store, NF_EC_UNRESOLVED, off,
                             "root of a commit");
    }
    err = pk_place_node(repo, &place, &node);
    if (err == 0) {
        err = pk_tree_of_node(repo, node, ret_tree);
        if (err != 0) {
            pk_node_unref(repo, node);
        }
    }
    return err;
}

/* The parents' hashes, ascending, and where they are. */
static int commit_parents(struct pk_repo *repo, const struct pk_digest *given,
                          size_t n, struct pk_digest *hashes,
                          struct pk_addr *addrs)
{
    for (size_t i = 0; i < n; i++) {
        size_t j = i;

        for (; j > 0 && memcmp(&hashes[j - 1], &given[i], sizeof(*hashes)) > 0;
             j--) {
            hashes[j] = hashes[j - 1];
        }
        hashes[j] = given[i];
    }
    for (size_t i = 0; i < n; i++) {
        int err;

        addrs[i] = (struct pk_addr){.hash = hashes[i]};
        err = pk_locate_commit(&repo->store, &hashes[i], &addrs[i].off);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

/* Hash and append; root is stored. */
static int commit_append(struct pk_repo *repo, const struct pk_node *root,
                         const struct pk_digest *hashes,
                         const struct pk_addr *addrs, size_t n,
                         const struct pk_info *info, struct pk_digest *ret_hash)
{
    struct pk_store *store = &repo->store;
    struct pk_addr root_addr = {.off = root->base};
    struct pk_digest hash;
    uint64_t off;
    int err;

    pk_buf_clear(&store->scratch);
    pk_pre_commit(&store->scheme, &root->hash, hashes, n, info,
                  &store->scratch);
    err = store->scratch.failed ? pk_fail_mem(&store->ctx)
                                : pk_digest_of(&store->scheme, store->scratch.p,
                                               store->scratch.len, &hash);
    if (err == 0) {
        err = pk_commit_append(store, &hash, &root_addr, addrs, n, info, &off);
    }
    if (err == 0) {
        *ret_hash = hash;
    }
    return err;
}

int pk_commit_make(struct pk_tree *tree, const struct pk_digest *parents,
                   size_t n_parents, const struct pk_info *info,
                   struct pk_digest *ret_hash)
{
    struct pk_repo *repo = tree->repo;
    struct nf_mem *mem = &repo->store.ctx.mem;
    struct pk_digest *hashes;
    struct pk_addr *addrs;
    uint64_t from = pk_store_end(&repo->store);
    int err = pk_store_writable(&repo->store);

    if (err != 0) {
        return err;
    }
    hashes = nf_calloc(mem, n_parents + 1, sizeof(*hashes));
    addrs = nf_calloc(mem, n_parents + 1, sizeof(*addrs));
    if (hashes == NULL || addrs == NULL) {
        err = pk_fail_mem(&repo->store.ctx);
    } else {
        err = commit_parents(repo, parents, n_parents, hashes, addrs);
    }
    if (err == 0) {
        err = pk_node_export(repo, tree->root);
    }
    if (err == 0) {
        err = commit_append(repo, tree->root, hashes, addrs, n_parents, info,
                            ret_hash);
    }
    if (err == NF_ENOSPC && repo->store.orphans == NF_NOWHERE) {
        repo->store.orphans = from;
    }
    nf_free(mem, addrs, addrs == NULL ? 0 : (n_parents + 1) * sizeof(*addrs));
    nf_free(mem, hashes,
            hashes == NULL ? 0 : (n_parents + 1) * sizeof(*hashes));
    return err;
}

/* ------------------------------------------------------------- all commits */

struct commit_each {
    pk_commit_fn fn;
    void *arg;
};

static int commit_each_binding(void *arg, const struct pk_binding *binding)
{
    struct commit_each *each = arg;

    return pk_kind_is_commit(binding->kind)
               ? each->fn(each->arg, &binding->hash)
               : 0;
}

int pk_commit_each(struct pk_repo *repo, pk_commit_fn fn, void *arg)
{
    struct commit_each each = {fn, arg};

    return pk_index_each(&repo->store.index, commit_each_binding, &each);
}

struct commit_resolve {
    const char *text;
    size_t len;
    size_t hits;
    struct pk_digest hash;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int commit_resolve_one(void *arg, const struct pk_digest *hash)
{
    struct commit_resolve *r = arg;

    for (size_t i = 0; i < r->len; i++) {
        int digit = hash->b[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;

        if (digit != hex_digit(r->text[i])) {
            return 0;
        }
    }
    r->hits++;
    r->hash = *hash;
    return 0;
}

int pk_commit_resolve(struct pk_repo *repo, const char *text,
                      struct pk_digest *ret_hash)
{
    struct commit_resolve r = {.text = text, .len = strlen(text)};
    int err = 0;

    if (r.len == 0 || r.len > 2 * repo->store.scheme.hash_len) {
        err = NF_EC_NO_COMMIT;
    }
    if (err == 0) {
        err = pk_commit_each(repo, commit_resolve_one, &r);
    }
    if (err == 0 && r.hits != 1) {
        err = r.hits == 0 ? NF_EC_NO_COMMIT : NF_EC_AMBIGUOUS;
    }
    if (err != 0) {
        return pk_fail(&repo->store.ctx, err, NULL, NF_NOWHERE, "hash prefix");
    }
    *ret_hash = r.hash;
    return 0;
}
