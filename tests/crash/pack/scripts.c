/* SPDX-License-Identifier: ISC */
/* What is played: the life of a store, one side of it at a time. */
#include <stdlib.h>
#include <string.h>

#include "notafs/platform/codec.h"
#include "tests/crash/pack/play.h"

/* From nothing, over two processes. */
static void create(struct play *p)
{
    play_store_open(p);
    play_commit(p, 0);
    play_commit(p, 0);
    play_store_close(p);
    play_store_open(p);
    play_commit(p, 0);
    play_store_close(p);
}

static void before(struct play *p)
{
    play_on(p);
    play_store_open(p);
    play_commit(p, 0);
    play_commit(p, 1);
    play_commit(p, 0);
    play_store_close(p);
    play_off(p);
}

static void commits(struct play *p)
{
    play_store_open(p);
    for (int i = 0; i < 6; i++) {
        play_commit(p, i % 2);
        if (i == 3) {
            play_commit_aside(p, 0);
        }
    }
    play_store_close(p);
}

static void branches(struct play *p)
{
    play_store_open(p);
    play_commit(p, 2);
    play_branch_set(p, 1, p->heads[0]);
    play_branch_set(p, 0, -1);
    play_branch_cas(p, 2, p->heads[1]);
    play_branch_cas(p, 0, p->heads[2]);
    play_branch_set(p, 2, -1);
    play_commit(p, 2);
    play_branch_cas(p, 1, -1);
    play_store_close(p);
}

static void merges(struct play *p)
{
    play_store_open(p);
    play_commit(p, 1);
    play_branch_set(p, 2, p->heads[0]);
    play_commit(p, 2);
    play_commit(p, 0);
    play_merge(p, 0, 2);
    play_commit(p, 2);
    play_merge(p, 2, 0);
    play_store_close(p);
}

/* The index merges its log every few commits. */
static void index_merges(struct play *p)
{
    play_store_open(p);
    for (int i = 0; i < 6; i++) {
        play_commit(p, i % 2);
    }
    play_store_close(p);
    play_store_open(p);
    play_commit(p, 0);
    play_store_close(p);
}

static void splits(struct play *p)
{
    play_store_open(p);
    for (int i = 0; i < 3; i++) {
        play_split(p);
        play_commit(p, 0);
        play_commit_aside(p, 0);
    }
    play_store_close(p);
    play_store_open(p);
    play_split(p);
    play_commit(p, 0);
    play_store_close(p);
}

/* ---- Files of old programs, or damaged -------------------------------- */

static void must_file(struct play *p, const char *name, const uint8_t *bytes,
                      size_t len)
{
    const struct pk_vfs *vfs = &p->vfs;
    void *file;
    const uint32_t flags = PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE;
    play_must(p, name, vfs->ops->open(vfs->ctx, name, flags, &file));
    play_must(p, name, vfs->ops->write(vfs->ctx, file, 0, bytes, len));
    play_must(p, name, vfs->ops->close(vfs->ctx, file));
}

static void must_commit(struct play *p)
{
    play_must(p, "commit", p->vfs.ops->commit(p->vfs.ctx));
}

/* Of version 3: no checksum, one chunk. */
static void before_v3(struct play *p)
{
    static const char name[] = "store.control";
    uint8_t raw[64] = {0};
    size_t len;
    void *file;
    before(p);
    play_on(p);
    play_must(p, name, p->vfs.ops->open(p->vfs.ctx, name, 0, &file));
    play_must(p, name,
              p->vfs.ops->read(p->vfs.ctx, file, 0, raw, sizeof(raw), &len));
    play_must(p, name, p->vfs.ops->close(p->vfs.ctx, file));
    raw[7] = '3';
    raw[24] = 1; /* no collection yet */
    must_file(p, name, raw, 25);
    must_commit(p);
    play_off(p);
}

static void go_on(struct play *p)
{
    play_store_open(p);
    play_commit(p, 0);
    play_store_close(p);
}

static void before_repair(struct play *p)
{
    static const uint8_t garbage[40] = "this was an index";
    static const uint8_t garbled[30] = "00000005 and this a control";
    before(p);
    play_on(p);
    must_file(p, "index/log", garbage, sizeof(garbage));
    must_file(p, "store.control", garbled, sizeof(garbled));
    must_commit(p);
    play_off(p);
}

static void repair(struct play *p)
{
    play_repair(p);
    go_on(p);
}

/* The files of a V1 store, as tests/fuzz/fuzz_store.c has them; or of a V2
 * store, whose pack file says so, and may hold what is of V1. */
static void put_old(struct play *p, char version)
{
    static const struct {
        int nth;
        const char *name;
    } files[] = {{1, "store.dict"},
                 {3, "store.branches"},
                 {4, "index/log"},
                 {10, "store.pack"}};
    static uint8_t raw[4096];
    FILE *in = fopen(V1_STORE, "rb");
    const size_t size = in == NULL ? 0 : fread(raw, 1, sizeof(raw), in);
    size_t at = 1;
    size_t next = 0;
    play_must(p, V1_STORE, size == 0 ? NF_ENOENT : 0);
    fclose(in);
    for (int i = 0; i <= 10; i++) {
        const size_t len = raw[at] | (size_t)raw[at + 1] << 8;
        at += 2;
        play_must(p, V1_STORE, at + len > size ? NF_EC_SHORT_FILE : 0);
        if (files[next].nth == i) {
            if (i == 10) {
                raw[at + 15] = (uint8_t)version;
            }
            must_file(p, files[next++].name, raw + at, len);
        }
        at += len;
    }
}

/* With two branches. */
static void before_old(struct play *p, char version)
{
    play_on(p);
    play_end(p, 0); /* an empty disk */
    put_old(p, version);
    must_commit(p);
    play_must(p, "open",
              pk_repo_open(&p->stage->mem.env, &p->opts, NULL, &p->repo));
    for (int branch = 1; branch < 3; branch++) {
        struct play_commit *commit = &p->commits[p->n_commits];
        struct pk_commit *found;
        play_must(p, "branch",
                  pk_branch_get(p->repo, play_text(play_branches[branch]),
                                &commit->hash));
        play_must(p, "commit", pk_commit_find(p->repo, &commit->hash, &found));
        commit->root = found->root;
        pk_commit_free(p->repo, found);
        p->heads[branch] = p->n_commits++;
    }
    p->n_durable = p->n_commits;
    play_must(p, "close", pk_repo_close(p->repo));
    p->repo = NULL;
    play_off(p);
}

static void before_v1(struct play *p)
{
    before_old(p, '1');
}

static void before_v2(struct play *p)
{
    before_old(p, '2');
}

static void from_v1(struct play *p)
{
    play_store_open(p);
    play_commit(p, 1);
    play_commit(p, 0);
    play_store_close(p);
}

#define MINIMAL PK_STRATEGY_MINIMAL
#define ALWAYS  PK_STRATEGY_ALWAYS

const struct script scripts[] = {
    {"create", "smallseeded", MINIMAL, 0, false, false, NULL, create},
    {"commits", "kv64", MINIMAL, 0, false, false, before, commits},
    {"always", "kv32", ALWAYS, 0, false, false, before, commits},
    {"branches", "tezos", MINIMAL, 0, false, false, before, branches},
    {"merges", "small", MINIMAL, 0, false, false, before, merges},
    {"index-merge", "kv32", ALWAYS, 12, false, false, before, index_merges},
    {"splits", "smallseeded", MINIMAL, 2, false, false, before, splits},
    {"repair", "tezos", MINIMAL, 0, true, false, before_repair, repair},
    {"from-v1", "sha1", MINIMAL, 0, false, false, before_v1, from_v1},
    {"from-v1-all", "sha1", ALWAYS, 4, false, false, before_v1, from_v1},
    {"from-v1-lower", "sha1", MINIMAL, 0, false, true, before_v1, from_v1},
    {"from-v2-lower", "sha1", MINIMAL, 0, false, true, before_v2, from_v1},
    {"from-v3", "small", MINIMAL, 0, false, false, before_v3, go_on},
};

const size_t n_scripts = sizeof(scripts) / sizeof(scripts[0]);
