/* SPDX-License-Identifier: ISC */
/*
 * The store workload: bulk load, incremental commits, reads, traversal, check,
 * collection. Generator, paths and order of operations are fixed to the bit,
 * so that other programs can do the same work and must end in the same root
 * hashes:
 *
 *   one stream r = seed(SEED) for what is written. Bulk: path(i) = r.bytes(V)
 *   for i = 0 .. ENTRIES - 1, one commit. Then COMMITS times: SETS times
 *   { i = r.below(ENTRIES); path(i) = r.bytes(V) }, commit. Reads draw from
 *   seed(SEED + 1), started anew for each pass. path(i): see keys.h.
 */
#include <inttypes.h>
#include <notafs/hash_gcrypt.h>
#include <notafs/host.h>
#include <notafs/pack.h>
#include <notafs/vfs_posix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/counted_vfs.h"
#include "bench/harness.h"
#include "bench/keys.h"
#include "bench/options.h"
#include "bench/workloads.h"
#include "host/prng.h"

/* Phases are functions of their own in profiles. */
#define PHASE static __attribute__((noinline)) void

struct pack {
    /* options */
    const char *config_text;
    const char *strategy_text;
    const char *folder; /* where a scratch folder is made */
    uint64_t entries;
    uint64_t commits;
    uint64_t sets;
    uint64_t vsize;
    struct keys keys;
    uint64_t reads;
    uint64_t seed;
    uint64_t split_every;
    uint64_t cache;
    bool gc;
    bool check;
    bool clear;
    bool durable;
    /* the run */
    struct pk_config config;
    enum pk_strategy strategy;
    struct nf_env env;
    const char *store_folder;
    struct pk_vfs_posix *posix;
    struct counted_vfs counted;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_tree *tree; /* being written */
    struct prng prng;
    uint8_t *value;
    struct pk_digest head;   /* the newest commit */
    struct pk_digest middle; /* what a collection will keep */
};

/* ----------------------------------------------------------------- records */

static void print_hash(const struct pack *p, const char *figure,
                       const struct pk_digest *hash)
{
    json_t *record = bench_record("pack", figure);
    char text[2 * PK_HASH_MAX_LEN + 1];

    for (size_t i = 0; i < p->config.hash_len; i++) {
        snprintf(text + 2 * i, 3, "%02x", hash->b[i]);
    }
    bench_text(record, "value", text);
    bench_emit(record);
}

/* A record of a span in which n of what was done, with what was asked of the
 * system and hashed meanwhile. */
struct span {
    struct bench_time begin;
    struct counted_vfs counted;
    struct pk_counters counters;
};

static struct span span_begin(const struct pack *p)
{
    struct span span = {.counted = p->counted};

    if (p->repo != NULL) {
        pk_repo_counters(p->repo, &span.counters);
    }
    span.begin = bench_now();
    return span;
}

static json_t *span_end(const struct pack *p, const struct span *span,
                        const char *figure, const char *what, double n)
{
    struct bench_time time = bench_since(span->begin);
    const struct counted_vfs *was = &span->counted;
    const struct counted_vfs *now = &p->counted;
    json_t *record = bench_record("pack", figure);
    struct pk_counters counters = {0};

    bench_rate(record, what, n, time);
    bench_count(record, "reads", now->reads - was->reads);
    bench_count(record, "read_bytes", now->read_bytes - was->read_bytes);
    bench_count(record, "writes", now->writes - was->writes);
    bench_count(record, "written_bytes",
                now->written_bytes - was->written_bytes);
    bench_count(record, "flushes", now->flushes - was->flushes);
    if (p->repo != NULL) {
        pk_repo_counters(p->repo, &counters);
        bench_count(record, "objects_hashed",
                    counters.objects_hashed - span->counters.objects_hashed);
        bench_count(record, "bytes_hashed",
                    counters.bytes_hashed - span->counters.bytes_hashed);
        bench_count(record, "objects_read",
                    counters.objects_read - span->counters.objects_read);
    }
    return record;
}

/* ----------------------------------------------------------------- opening */

static void store_open(struct pack *p, uint32_t flags)
{
    struct pk_open open = {
        .vfs = &p->vfs,
        .hashes = pk_hash_gcrypt(),
        .config = p->config,
        .strategy = p->strategy,
        .flags = flags,
        .cache_len = (size_t)p->cache,
    };

    bench_must(pk_repo_open(&p->env, &open, NULL, &p->repo), "open the store");
}

static void store_close(struct pack *p)
{
    bench_must(pk_repo_close(p->repo), "close the store");
    p->repo = NULL;
}

static struct pk_tree *head_tree(struct pack *p)
{
    struct pk_tree *tree = NULL;

    bench_must(pk_commit_tree(p->repo, &p->head, &tree), "find the commit");
    return tree;
}

/* ----------------------------------------------------------------- writing */

static void set_one(struct pack *p, uint64_t i)
{
    struct pk_slice value = {p->value, (size_t)p->vsize};
    struct key key;

    prng_bytes(&p->prng, value.len, p->value);
    bench_must(pk_tree_set(p->tree, key_path(&p->keys, i, &key), value), "set");
}

static struct pk_slice slice_of(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

/* Commit number n, on branch main. */
static void commit_one(struct pack *p, uint64_t n)
{
    char message[32];
    struct pk_info info = {.date = (int64_t)n, .author = slice_of("bench")};

    snprintf(message, sizeof(message), "commit %" PRIu64, n);
    info.message = slice_of(message);
    bench_must(
        pk_commit_make(p->tree, &p->head, n == 0 ? 0 : 1, &info, &p->head),
        "commit");
    bench_must(pk_branch_set(p->repo, slice_of("main"), &p->head), "branch");
}

static void print_head(struct pack *p, const char *commit, const char *root)
{
    struct pk_digest hash;

    print_hash(p, commit, &p->head);
    bench_must(pk_tree_hash(p->tree, &hash), "hash");
    print_hash(p, root, &hash);
}

PHASE bulk_load(struct pack *p)
{
    struct span span = span_begin(p);

    bench_must(pk_tree_empty(p->repo, &p->tree), "empty tree");
    for (uint64_t i = 0; i < p->entries; i++) {
        set_one(p, i);
    }
    commit_one(p, 0);
    bench_emit(span_end(p, &span, "bulk_load", "sets", (double)p->entries));
    p->middle = p->head;
    print_head(p, "bulk_commit", "bulk_root");
}

PHASE incremental(struct pack *p)
{
    struct span span = span_begin(p);
    json_t *record;

    for (uint64_t n = 1; n <= p->commits; n++) {
        for (uint64_t m = 0; m < p->sets; m++) {
            set_one(p, prng_below(&p->prng, p->entries));
        }
        commit_one(p, n);
        if (n == p->commits - (p->commits + 1) / 2) {
            p->middle = p->head;
        }
        if (p->split_every != 0 && n % p->split_every == 0) {
            bench_must(pk_repo_split(p->repo), "split");
        }
        if (p->clear) {
            pk_tree_free(p->tree);
            p->tree = head_tree(p);
        }
    }
    record = span_end(p, &span, "incremental", "commits", (double)p->commits);
    bench_number(record, "sets_per_s",
                 json_real_value(json_object_get(record, "per_s")) *
                     (double)p->sets);
    bench_emit(record);
    print_head(p, "final_commit", "final_root");
}

/* ----------------------------------------------------------------- reading */

static void find_one(struct pack *p, struct pk_tree *tree, struct prng *prng)
{
    struct key key;
    struct pk_bytes bytes;

    bench_must(pk_tree_get(
                   tree, key_path(&p->keys, prng_below(prng, p->entries), &key),
                   &bytes),
               "find");
    if (bytes.len != p->vsize) {
        bench_fail("contents of %zu bytes", bytes.len);
    }
    pk_bytes_free(p->repo, &bytes);
}

/* All reads, each from a new handle of the root. */
PHASE read_fresh(struct pack *p, const char *figure)
{
    struct prng prng = prng_seed(p->seed + 1);
    struct span span = span_begin(p);

    for (uint64_t i = 0; i < p->reads; i++) {
        struct pk_tree *tree = head_tree(p);

        find_one(p, tree, &prng);
        pk_tree_free(tree);
    }
    bench_emit(span_end(p, &span, figure, "finds", (double)p->reads));
}

PHASE read_onetree(struct pack *p)
{
    struct prng prng = prng_seed(p->seed + 1);
    struct span span = span_begin(p);
    struct pk_tree *tree = head_tree(p);

    for (uint64_t i = 0; i < p->reads; i++) {
        find_one(p, tree, &prng);
    }
    pk_tree_free(tree);
    bench_emit(span_end(p, &span, "read_onetree", "finds", (double)p->reads));
}

static void read_all(struct pack *p)
{
    if (p->reads == 0) {
        return;
    }
    bench_drop_cache(p->store_folder);
    store_open(p, 0);
    read_fresh(p, "read_reopened_first");
    read_fresh(p, "read_freshtree_lruwarm");
    read_onetree(p);
    store_close(p);
}

/* --------------------------------------------------------------- traversal */

struct traversal {
    struct pk_tree *tree;
    struct pk_repo *repo;
    uint64_t files;
    uint64_t bytes;
};

static int traverse_one(void *arg, struct pk_path path,
                        const struct pk_stat *stat)
{
    struct traversal *t = arg;
    struct pk_bytes bytes;
    int err;

    if (stat->kind != PK_CONTENTS) {
        return 0;
    }
    err = pk_tree_get(t->tree, path, &bytes);
    if (err == 0) {
        t->files++;
        t->bytes += bytes.len;
        pk_bytes_free(t->repo, &bytes);
    }
    return err;
}

PHASE traverse(struct pack *p, const char *figure, uint32_t flags)
{
    struct traversal t = {0};
    struct span span;

    bench_drop_cache(p->store_folder);
    store_open(p, 0);
    span = span_begin(p);
    t.repo = p->repo;
    t.tree = head_tree(p);
    bench_must(pk_tree_walk(t.tree, flags, traverse_one, &t), "walk");
    if (t.files != p->entries || t.bytes != p->entries * p->vsize) {
        bench_fail("%" PRIu64 " files in the tree", t.files);
    }
    pk_tree_free(t.tree);
    bench_emit(span_end(p, &span, figure, "files", (double)t.files));
    store_close(p);
}

/* -------------------------------------------------------- check and collect */

static int print_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    fprintf(stderr, "%s: %s\n", finding->file, finding->what);
    return 0;
}

/* All that any commit reaches, so the head too. */
PHASE check(struct pack *p)
{
    struct pk_check_stats stats;
    struct span span;

    store_open(p, 0);
    span = span_begin(p);
    bench_must(pk_check(p->repo, print_finding, NULL, &stats), "check");
    if (stats.findings != 0) {
        bench_fail("%" PRIu64 " findings", stats.findings);
    }
    bench_emit(
        span_end(p, &span, "integrity_check", "objects",
                 (double)(stats.commits + stats.inodes + stats.contents)));
    store_close(p);
}

PHASE collect(struct pack *p)
{
    struct pk_gc_options options = {.keep = &p->middle, .n_keep = 1};
    struct pk_gc_stats stats;
    struct span span;
    uint64_t before;
    json_t *record;
    int more;

    store_open(p, PK_OPEN_WRITE);
    before = bench_folder_len(p->store_folder);
    span = span_begin(p);
    bench_must(pk_gc_start(p->repo, &options), "start the collection");
    do {
        more = pk_gc_step(p->repo, 1 << 20);
    } while (more > 0);
    bench_must(more, "collect");
    bench_must(pk_gc_finish(p->repo, &stats), "finish the collection");
    record = span_end(p, &span, "gc", "objects", (double)stats.objects);
    bench_count(record, "disk_before", before);
    bench_count(record, "disk_after", bench_folder_len(p->store_folder));
    bench_count(record, "longest_step", stats.longest_step);
    bench_emit(record);
    store_close(p);
}

/* --------------------------------------------------------------------- run */

static void pack_begin(struct pack *p)
{
    static const char *const strategies[] = {
        [PK_STRATEGY_MINIMAL] = "minimal",
        [PK_STRATEGY_ALWAYS] = "always",
    };

    nf_env_libc(&p->env);
    bench_must(pk_config_parse(p->config_text, &p->config), p->config_text);
    p->strategy = PK_STRATEGY_MINIMAL;
    if (strcmp(p->strategy_text, strategies[PK_STRATEGY_ALWAYS]) == 0) {
        p->strategy = PK_STRATEGY_ALWAYS;
    } else if (strcmp(p->strategy_text, strategies[PK_STRATEGY_MINIMAL]) != 0) {
        bench_fail("no such strategy: %s", p->strategy_text);
    }
    keys_check(&p->keys, p->entries);
    p->store_folder = bench_scratch(p->folder);
    bench_must(pk_vfs_posix_open(p->store_folder,
                                 p->durable ? 0u : PK_VFS_POSIX_NO_SYNC,
                                 &p->posix, &p->counted.below),
               p->store_folder);
    p->vfs = counted_vfs_front(&p->counted);
    p->prng = prng_seed(p->seed);
    p->value = malloc((size_t)p->vsize + 1);
    if (p->value == NULL) {
        bench_fail("no memory");
    }
}

static void pack_run(struct pack *p)
{
    json_t *record;

    store_open(p, PK_OPEN_WRITE | PK_OPEN_CREATE);
    bulk_load(p);
    incremental(p);
    pk_tree_free(p->tree);
    p->tree = NULL;
    store_close(p);
    read_all(p);
    traverse(p, "traverse_unordered", 0);
    traverse(p, "traverse_sorted", PK_WALK_SORTED);
    if (p->check) {
        check(p);
    }
    if (p->gc) {
        collect(p);
    }
    record = bench_record("pack", "max_rss_mb");
    bench_number(record, "value", bench_max_rss_mb());
    bench_emit(record);
}

int bench_pack(int argc, char **argv)
{
    static struct pack p = {
        .config_text = "tezos",
        .strategy_text = "minimal",
        .entries = 100000,
        .commits = 200,
        .sets = 500,
        .vsize = 64,
        .keys = {.depth = 3, .width = 32},
        .reads = 100000,
        .seed = 42,
        .split_every = 10,
        .cache = 16 << 20,
    };
    const struct bench_option options[] = {
        {"config", BENCH_TEXT, &p.config_text, "kind of store"},
        {"entries", BENCH_NUMBER, &p.entries, "contents of the bulk load"},
        {"commits", BENCH_NUMBER, &p.commits, "incremental commits"},
        {"sets", BENCH_NUMBER, &p.sets, "changes in each of them"},
        {"vsize", BENCH_NUMBER, &p.vsize, "bytes of contents"},
        {"depth", BENCH_NUMBER, &p.keys.depth, "steps of a path"},
        {"width", BENCH_NUMBER, &p.keys.width, "directories in a directory"},
        {"reads", BENCH_NUMBER, &p.reads, "lookups of each kind"},
        {"seed", BENCH_NUMBER, &p.seed, "of the generator"},
        {"strategy", BENCH_TEXT, &p.strategy_text, "minimal or always"},
        {"split-every", BENCH_NUMBER, &p.split_every,
         "split after so many commits; 0: never"},
        {"cache", BENCH_NUMBER, &p.cache, "bytes of the object cache"},
        {"gc", BENCH_FLAG, &p.gc, "collect what is older than the middle"},
        {"check", BENCH_FLAG, &p.check, "verify everything"},
        {"clear", BENCH_FLAG, &p.clear, "drop the tree after each commit"},
        {"durable", BENCH_FLAG, &p.durable, "fsync each commit"},
        {"folder", BENCH_TEXT, &p.folder, "where to make a scratch folder"},
    };

    bench_options("pack", options, BENCH_N(options), argc, argv);
    pack_begin(&p);
    pack_run(&p);
    pk_vfs_posix_close(p.posix);
    free(p.value);
    bench_scratch_remove();
    return 0;
}
