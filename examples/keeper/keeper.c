/* SPDX-License-Identifier: ISC */
/*
 * From a disk to a store. A blank disk is formatted; one that holds anything
 * else than a disk of ours is left alone.
 */
#include "examples/keeper/keeper.h"

enum { KEEPER_BLANK_LEN = 16384 }; /* bytes that must be 0 on a blank disk */

static const struct pk_slice main_branch = {(const uint8_t *)"main", 4};

void keeper_init(struct keeper *k, const struct keeper_world *world)
{
    memset(k, 0, sizeof(*k));
    k->world = world;
    nf_arena_init(&k->arena, world->arena, world->arena_len, &k->env);
    k->env.now = world->now;
}

static int keeper_set_page_size(struct keeper *k, uint32_t page_size)
{
    const struct keeper_world *world = k->world;
    const struct bd_geometry geo = {
        .page_count = world->disk_len / page_size,
        .page_size = page_size,
        .caps = world->disk_caps,
    };

    world->disk_set_page_size(world->disk, page_size);
    return bd_init(&k->bd, world->disk_ops, world->disk, &geo);
}

/* 1: the disk begins with zeros; 0: it does not. */
static int keeper_is_blank(struct keeper *k)
{
    const uint32_t page_size = k->bd.geo.page_size;
    uint8_t *page = k->env.alloc(k->env.ctx, page_size, 16);
    int blank = page != NULL ? 1 : NF_ENOMEM;

    for (uint32_t i = 0; blank == 1 && i < KEEPER_BLANK_LEN / page_size; i++) {
        const int err = bd_read(&k->bd, i, 1, page);

        blank = err != 0 ? err : 1;
        for (uint32_t at = 0; blank == 1 && at < page_size; at++) {
            blank = page[at] == 0;
        }
    }
    if (page != NULL) {
        k->env.free(k->env.ctx, page, page_size);
    }
    return blank;
}

/* Leaves k->bd with the page size of the disk, formatted if it was blank. */
static int keeper_probe(struct keeper *k)
{
    struct nf_disk info;
    int err = keeper_set_page_size(k, k->world->page_size);

    if (err == 0) {
        err = nf_probe(&k->bd, &k->env, &info);
    }
    if (err == 0) {
        return keeper_set_page_size(k, info.page_size);
    }
    if (err != NF_EC_NOT_FORMATTED) {
        return err;
    }
    const int blank = keeper_is_blank(k);
    if (blank != 1) {
        return blank < 0 ? blank : err;
    }
    say(k, "the disk is blank: formatting\n");
    return nf_format(&k->bd, &k->env, NULL);
}

/* The commit that the branch names, the loop's number in it, and whether the
 * store is the one that was expected. */
static int keeper_find_head(struct keeper *k)
{
    const struct pk_slice step = {(const uint8_t *)"count", 5};
    const struct pk_path path = {&step, 1};
    struct pk_tree *tree = NULL;
    struct pk_bytes bytes;
    int err = pk_branch_get(k->repo, main_branch, &k->head);

    k->has_head = err == 0;
    k->count = 0;
    if (err == NF_EC_NO_BRANCH) {
        return 0;
    }
    if (err == 0) {
        err = keeper_tree(k, &tree);
    }
    if (err == 0) {
        err = pk_tree_get(tree, path, &bytes);
        if (err == 0) {
            for (size_t i = 0; i < bytes.len && bytes.p[i] >= '0' &&
                               bytes.p[i] <= '9' && i < 18;
                 i++) {
                k->count = k->count * 10 + (uint64_t)(bytes.p[i] - '0');
            }
            pk_bytes_free(k->repo, &bytes);
        }
        err = nf_err_class(err) == NF_ENOENT ? 0 : err;
    }
    pk_tree_free(tree);
    return err;
}

/* The tree that the branch names is the one that was expected. */
static int keeper_check_root(struct keeper *k)
{
    char text[2 * PK_HASH_MAX_LEN + 1];
    struct pk_digest root;
    struct pk_tree *tree = NULL;
    int err = keeper_tree(k, &tree);

    if (err == 0) {
        err = pk_tree_hash(tree, &root);
    }
    pk_tree_free(tree);
    if (err != 0) {
        return err;
    }
    say_hex(k, &root, text);
    say(k, "root ");
    say(k, text);
    say(k, "\n");
    return strlen(k->expected_root) == strlen(text) &&
                   memcmp(k->expected_root, text, strlen(text)) == 0
               ? 0
               : NF_ECONFLICT;
}

static int keeper_open_store(struct keeper *k)
{
    struct pk_open opts = {
        .vfs = &k->vfs,
        .strategy = PK_STRATEGY_MINIMAL,
        .flags = PK_OPEN_WRITE | PK_OPEN_CREATE,
        .cache_len = k->world->arena_len / 8,
        .index_log_entries = 512,
    };
    int err = pk_config_parse("irmin", &opts.config);

    if (err == 0) {
        err = pk_vfs_notafs_open(k->disk, &k->env, nf_path(""), &k->files,
                                 &k->vfs);
    }
    if (err == 0) {
        err = pk_repo_open(&k->env, &opts, NULL, &k->repo);
    }
    if (err == 0) {
        err = keeper_find_head(k);
    }
    if (err == 0 && k->expected_root[0] != '\0') {
        err = keeper_check_root(k);
        k->expected_root[0] = '\0'; /* of the start; it changes then */
    }
    return err;
}

int keeper_open(struct keeper *k)
{
    const struct nf_mount_options mount = {
        .cache_bytes = k->world->arena_len / 8,
    };
    int err = keeper_probe(k);

    if (err == 0) {
        err = nf_mount(&k->bd, &k->env, &mount, &k->disk);
    }
    if (err == 0) {
        err = keeper_open_store(k);
    }
    if (err != 0) {
        say_error(k, "opening the disk", err);
        keeper_close(k);
        return err;
    }
    say(k, "mounted, ");
    say_number(k, k->count);
    say(k, " commits of the loop, head ");
    if (k->has_head) {
        say_hash(k, &k->head);
    } else {
        say(k, "none");
    }
    say(k, "\n");
    return 0;
}

void keeper_close(struct keeper *k)
{
    k->collecting = false;
    k->loop_left = 0;
    (void)pk_repo_close(k->repo); /* what was committed is durable */
    pk_vfs_notafs_close(k->files);
    nf_unmount(k->disk);
    k->repo = NULL;
    k->files = NULL;
    k->disk = NULL;
}

int keeper_format(struct keeper *k)
{
    keeper_close(k);
    int err = keeper_set_page_size(k, k->world->page_size);

    if (err == 0) {
        err = nf_format(&k->bd, &k->env, NULL);
    }
    if (err != 0) {
        say_error(k, "format", err);
        return err;
    }
    return keeper_open(k);
}
