/* SPDX-License-Identifier: ISC */
/*
 * Random operations on trees against a plain map. Every so often the tree's
 * hash is compared with that of one built from the map from nothing, which
 * holds only if every insertion and removal keeps the canonical shape; commits,
 * reopening, clones and old commits come in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/store/kit.h"

struct model {
    struct mem_fault mem;
    struct vfs_fault files;
    const char *config;
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct kit_map map;
    struct prng prng;
    bool has_head;
    struct pk_digest head;
    int64_t date;
    uint32_t width; /* names in a directory */
};

static void random_path(struct model *m, char *buf)
{
    size_t depth = 1 + (size_t)prng_below(&m->prng, 3);
    size_t at = 0;

    for (size_t i = 0; i < depth; i++) {
        unsigned n =
            (unsigned)prng_below(&m->prng, i + 1 < depth ? 4 : m->width);

        at += (size_t)sprintf(buf + at, "%s%s%u", i > 0 ? "/" : "",
                              n % 3 == 0 ? "long-name-" : "n", n);
    }
}

static void model_open(struct model *m, uint32_t flags)
{
    struct pk_open opts = kit_open(&m->files, m->config, flags);

    opts.cache_len = 1 << 14; /* so that objects come and go */
    assert_ok(pk_repo_open(&m->mem.env, &opts, NULL, &m->repo));
}

static void model_checkout(struct model *m)
{
    pk_tree_free(m->tree);
    assert_ok(pk_commit_tree(m->repo, &m->head, &m->tree));
}

static void model_commit(struct model *m)
{
    if (m->map.n == 0) {
        return; /* some configurations refuse an empty root */
    }
    assert_ok(kit_commit(m->tree, m->has_head ? &m->head : NULL, m->date++,
                         &m->head));
    m->has_head = true;
    if (prng_below(&m->prng, 2) == 0) {
        model_checkout(m);
    }
}

static void model_compare_hash(struct model *m)
{
    struct pk_tree *fresh;
    struct pk_digest a;
    struct pk_digest b;

    assert_ok(kit_map_build(&m->map, m->repo, &fresh));
    assert_ok(pk_tree_hash(fresh, &a));
    assert_ok(pk_tree_hash(m->tree, &b));
    ck_assert_mem_eq(&a, &b, sizeof(a));
    pk_tree_free(fresh);
}

/* A clone changes without the tree, and the tree without the clone. */
static void model_clone(struct model *m)
{
    struct pk_tree *clone;
    struct kit_path path;
    char text[64];

    assert_ok(pk_tree_clone(m->tree, &clone));
    for (int i = 0; i < 5; i++) {
        random_path(m, text);
        assert_ok(pk_tree_set(clone, kit_path(&path, text), kit_text("other")));
        random_path(m, text);
        assert_ok(pk_tree_remove(clone, kit_path(&path, text)));
    }
    kit_map_compare(&m->map, m->tree);
    pk_tree_free(clone);
}

static void model_reopen(struct model *m)
{
    if (!m->has_head) {
        return;
    }
    model_commit(m);
    pk_tree_free(m->tree);
    m->tree = NULL;
    assert_ok(pk_repo_close(m->repo));
    ck_assert_uint_eq(m->mem.live_blocks, 0);
    model_open(m, PK_OPEN_WRITE);
    if (m->map.n > 0) {
        model_checkout(m);
    } else {
        assert_ok(pk_tree_empty(m->repo, &m->tree));
        m->has_head = false;
    }
}

static void model_step(struct model *m)
{
    uint64_t what = prng_below(&m->prng, 1000);
    const struct kit_item *item;
    struct kit_path path;
    enum pk_kind kind;
    uint8_t buf[256];
    char text[64];

    random_path(m, text);
    if (what < 560) {
        uint64_t seed = prng_below(&m->prng, 50);
        uint32_t len = (uint32_t)prng_below(&m->prng, 40);

        kit_contents(seed, len, buf);
        assert_ok(pk_tree_set(m->tree, kit_path(&path, text),
                              (struct pk_slice){buf, len}));
        kit_map_set(&m->map, text, len, seed);
    } else if (what < 900) {
        assert_ok(pk_tree_remove(m->tree, kit_path(&path, text)));
        kit_map_remove(&m->map, text);
    } else if (what < 980) {
        item = kit_map_find(&m->map, text);
        assert_ok(pk_tree_kind(m->tree, kit_path(&path, text), &kind));
        ck_assert_int_eq(kind == PK_CONTENTS, item != NULL);
    } else if (what < 988) {
        model_commit(m);
    } else if (what < 994) {
        model_compare_hash(m);
    } else if (what < 996) {
        model_clone(m);
    } else if (what < 999) {
        kit_map_compare(&m->map, m->tree);
    } else {
        model_reopen(m);
    }
}

static int tell_finding(void *arg, const struct pk_finding *finding)
{
    (void)arg;
    ck_abort_msg("%s at %llu: %s", finding->file,
                 (unsigned long long)finding->offset, finding->what);
    return 0;
}

static void model_run(const char *config, uint32_t width, uint64_t seed,
                      size_t n)
{
    struct pk_check_stats stats;
    struct model m = {.config = config, .width = width};

    printf("config %s width %u seed %llu\n", config, width,
           (unsigned long long)seed);
    m.prng = prng_seed(seed);
    mem_fault_init(&m.mem);
    vfs_fault_init(&m.files);
    model_open(&m, PK_OPEN_WRITE | PK_OPEN_CREATE);
    assert_ok(pk_tree_empty(m.repo, &m.tree));
    for (size_t i = 0; i < n; i++) {
        model_step(&m);
    }
    kit_map_compare(&m.map, m.tree);
    model_compare_hash(&m);
    model_commit(&m);
    assert_ok(pk_check(m.repo, tell_finding, NULL, &stats));
    pk_tree_free(m.tree);
    assert_ok(pk_repo_close(m.repo));
    ck_assert_uint_eq(m.mem.live_blocks, 0);
    kit_map_deinit(&m.map);
    vfs_fault_deinit(&m.files);
}

static size_t steps(void)
{
    const char *text = getenv("NOTAFS_MODEL_STEPS");

    return text == NULL ? 40000 : strtoull(text, NULL, 10);
}

START_TEST(kv_wide)
{
    model_run("kv64", 600, 1, steps());
}
END_TEST

START_TEST(small_seeded)
{
    model_run("smallseeded", 12, 2, steps());
}
END_TEST

START_TEST(small_bits)
{
    model_run("small", 40, 3, steps());
}
END_TEST

START_TEST(tezos)
{
    model_run("tezos", 100, 4, steps());
}
END_TEST

START_TEST(unstable_bits)
{
    model_run("kv32,stable=0,order=hash_bits,entries=8", 60, 5, steps());
}
END_TEST

UNIT_MAIN("pack/store/model", kv_wide, small_seeded, small_bits, tezos,
          unstable_bits)
