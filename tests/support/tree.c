/* SPDX-License-Identifier: ISC */
#include "tests/support/tree.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "notafs/nf_int.h"

#define PATH_MAX_LEN 4096

struct reading {
    struct nf *nf;
    const char *except;
    struct tree *tree;
    char path[PATH_MAX_LEN];
};

static uint64_t mixed(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9E3779B97F4A7C15);
    return a ^ a >> 32;
}

static void failed(struct tree *tree, int err)
{
    tree->err = tree->err == 0 ? err : tree->err;
}

static void add(struct tree *tree, uint64_t hash)
{
    if (tree->n == tree->cap) {
        tree->cap = 2 * tree->cap + 64;
        tree->entries =
            realloc(tree->entries, tree->cap * sizeof(*tree->entries));
        if (tree->entries == NULL) {
            abort();
        }
    }
    tree->entries[tree->n++] = hash;
    tree->sum += hash;
}

/* The bytes of the file at path, into *hash. */
static int read_file(struct reading *r, struct nf_path path, uint64_t size,
                     uint64_t *hash)
{
    static uint8_t buf[65536];
    struct nf_file *file;
    size_t len = 1;
    int err = nf_open(r->nf, path, 0, &file);
    if (err != 0) {
        return err;
    }
    for (uint64_t off = 0; err == 0 && off < size; off += len) {
        err = nf_read(file, off, buf, sizeof(buf), &len);
        if (err == 0 && len == 0) {
            err = NF_ECORRUPT; /* shorter than it says */
        }
        *hash = err == 0 ? mixed(*hash, XXH3_64bits(buf, len)) : 0;
    }
    nf_close(file);
    return err;
}

static void read_dir(struct reading *r, size_t path_len);

/* The entry of the directory at the first path_len bytes of r->path. */
static void read_entry(struct reading *r, size_t path_len,
                       const struct nf_dirent *ent)
{
    const struct nf_stat st = ent->stat;
    const size_t len = path_len + 1 + ent->name_len;
    if (len > sizeof(r->path)) {
        failed(r->tree, NF_ENAMETOOLONG);
        return;
    }
    r->path[path_len] = '/';
    memcpy(r->path + path_len + 1, ent->name, ent->name_len);
    uint64_t hash = XXH3_64bits(r->path, len);
    hash = mixed(hash, (uint64_t)st.type);
    hash = mixed(hash, st.size);
    hash = mixed(hash, (uint64_t)st.mtime.sec);
    hash = mixed(hash, st.mtime.nsec);
    if (st.type == NF_TYPE_DIR) {
        read_dir(r, len);
    } else {
        const struct nf_path path = {r->path, len};
        const int err = read_file(r, path, st.size, &hash);
        if (err != 0) {
            failed(r->tree, err);
            return;
        }
    }
    add(r->tree, hash);
}

static void read_dir(struct reading *r, size_t path_len)
{
    const size_t except_len = r->except == NULL ? 0 : strlen(r->except);
    struct nf_dir *dir;
    struct nf_dirent ent;
    int got = nf_dir_open(r->nf, (struct nf_path){r->path, path_len}, &dir);
    if (got != 0) {
        failed(r->tree, got);
        return;
    }
    while ((got = nf_dir_next(dir, &ent)) == 1) {
        if (path_len > 0 || except_len != ent.name_len ||
            memcmp(ent.name, r->except, except_len) != 0) {
            read_entry(r, path_len, &ent);
        }
    }
    if (got < 0) {
        failed(r->tree, got);
    }
    nf_dir_close(dir);
}

void tree_read(struct nf *nf, const char *except, struct tree *ret)
{
    struct reading r = {.nf = nf, .except = except, .tree = ret};
    ret->n = 0;
    ret->sum = 0;
    ret->err = 0;
    read_dir(&r, 0);
}

void tree_deinit(struct tree *tree)
{
    free(tree->entries);
    *tree = (struct tree){0};
}

bool tree_within(const struct tree *part, const struct tree *whole)
{
    for (size_t i = 0; i < part->n; i++) {
        size_t k = 0;
        while (k < whole->n && whole->entries[k] != part->entries[i]) {
            k++;
        }
        if (k == whole->n) {
            return false;
        }
    }
    return true;
}
