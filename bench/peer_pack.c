/* SPDX-License-Identifier: ISC */
/* Ours: a store in a folder, and one on an image of Notafs. */
#include "bench/peer_pack.h"

#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"

enum { NF_CACHE_LEN = 32 << 20, PAGE_SIZE = 4096 };

static struct pack_peer *pack_new(const struct peer_setup *setup)
{
    struct pack_peer *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        bench_fail("no memory");
    }
    p->setup = *setup;
    nf_env_libc(&p->env);
    return p;
}

static void pack_begin(struct pack_peer *p)
{
    struct pk_open open = {.vfs = &p->vfs,
                           .flags = PK_OPEN_WRITE | PK_OPEN_CREATE};

    bench_must(pk_config_parse("tezos", &open.config), "configuration");
    bench_must(pk_repo_open(&p->env, &open, NULL, &p->repo), "store");
    bench_must(pk_tree_empty(p->repo, &p->tree), "tree");
}

static void *folder_open(const struct peer_setup *setup)
{
    struct pack_peer *p = pack_new(setup);

    bench_must(pk_vfs_posix_open(setup->folder, 0, &p->posix, &p->vfs),
               setup->folder);
    pack_begin(p);
    return p;
}

static void *image_store_open(const struct peer_setup *setup)
{
    struct pack_peer *p = pack_new(setup);
    char *path = bench_path(setup->folder, "image");
    const struct image_options options = {.path = path,
                                          .len = setup->image_len,
                                          .page_size = PAGE_SIZE,
                                          .durable = true};

    image_open(&p->image, &options);
    free(path);
    image_format(&p->image, NF_PROFILE_NATIVE);
    image_mount(&p->image, NF_CACHE_LEN, 0);
    bench_must(pk_vfs_notafs_open(p->image.nf, &p->env, nf_path("store"),
                                  &p->notafs, &p->vfs),
               "store");
    pack_begin(p);
    return p;
}

static void pack_commit(void *peer, const struct peer_update *updates, size_t n)
{
    static const uint8_t name[] = "main";
    struct pack_peer *p = peer;
    struct pk_slice main_branch = {name, 4};
    struct pk_info info = {.date = (int64_t)p->n_commits,
                           .author = main_branch,
                           .message = main_branch};

    for (size_t i = 0; i < n; i++) {
        struct pk_slice value = {updates[i].value, p->setup.value_len};
        struct key key;
        struct pk_path path = key_path(&p->setup.keys, updates[i].i, &key);

        if (value.p == NULL) {
            bench_must(pk_tree_remove(p->tree, path), "remove");
        } else {
            bench_must(pk_tree_set(p->tree, path, value), "set");
        }
    }
    bench_must(pk_commit_make(p->tree, &p->head, p->n_commits == 0 ? 0 : 1,
                              &info, &p->head),
               "commit");
    bench_must(pk_branch_set(p->repo, main_branch, &p->head), "branch");
    p->n_commits++;
}

static bool pack_find(void *peer, uint64_t i, uint8_t *value)
{
    struct pack_peer *p = peer;
    struct key key;
    struct pk_path path = key_path(&p->setup.keys, i, &key);
    struct pk_bytes bytes;
    enum pk_kind kind;

    if (value == NULL) {
        bench_must(pk_tree_kind(p->tree, path, &kind), "look up");
        return kind == PK_CONTENTS;
    }
    int err = pk_tree_get(p->tree, path, &bytes);
    if (nf_err_class(err) == NF_ENOENT) {
        return false;
    }
    bench_must(err, "get");
    memcpy(value, bytes.p, p->setup.value_len);
    pk_bytes_free(p->repo, &bytes);
    return true;
}

static void pack_close(void *peer)
{
    struct pack_peer *p = peer;

    pk_tree_free(p->tree);
    bench_must(pk_repo_close(p->repo), "close");
    if (p->posix != NULL) {
        pk_vfs_posix_close(p->posix);
    } else {
        pk_vfs_notafs_close(p->notafs);
        image_close(&p->image);
    }
    free(p);
}

const struct peer peer_pack_folder = {
    "pack in a folder", 0, folder_open, pack_commit, pack_close, pack_find};
const struct peer peer_pack_image = {"pack on an image", 0,
                                     image_store_open,   pack_commit,
                                     pack_close,         pack_find};
