/* SPDX-License-Identifier: ISC */
/*
 * Durable commits beside others that keep keys and values: the same keys and
 * values for all, round after round one peer after the other. Loaded first, in
 * one commit; then commits of one random key, and of UPDATES random keys.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/harness.h"
#include "bench/options.h"
#include "bench/peer.h"
#include "bench/workloads.h"
#include "host/prng.h"

/* The first is the one that others are compared with. */
static const struct peer *const peers[] = {
    &peer_pack_image, &peer_pack_folder, &peer_lmdb,
    &peer_sqlite,     &peer_git,         &peer_libgit2,
    &peer_files,      &peer_btrfs,       &peer_overwrite,
};

enum { N_PEERS = BENCH_N(peers), MAX_ROUNDS = 99 };

struct commits {
    /* options */
    const char *folder;
    const char *only;
    struct keys keys;
    uint64_t entries;
    uint64_t vsize;
    uint64_t rounds;
    uint64_t singles;
    uint64_t batches;
    uint64_t updates;
    uint64_t size;
    /* the run */
    void *open[N_PEERS]; /* NULL: not taking part */
    uint8_t *values;
    struct peer_update *set;
    size_t cap;
};

/* n updates for round r: the same for each peer. */
static void draw(struct commits *c, struct prng *prng, size_t n, bool in_order)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *value = c->values + i * c->vsize;

        c->set[i].i = in_order ? i : prng_below(prng, c->entries);
        c->set[i].value = value;
        prng_bytes(prng, c->vsize, value);
    }
}

static void load(struct commits *c)
{
    struct prng prng = prng_seed(42);

    draw(c, &prng, (size_t)c->entries, true);
    for (size_t p = 0; p < N_PEERS; p++) {
        struct bench_time begin;
        json_t *record;

        if (c->open[p] == NULL) {
            continue;
        }
        begin = bench_now();
        peers[p]->commit(c->open[p], c->set, (size_t)c->entries);
        record = bench_record("commits", "load");
        bench_text(record, "peer", peers[p]->name);
        bench_rate(record, "keys", (double)c->entries, bench_since(begin));
        bench_emit(record);
    }
}

/* Commits of n keys each, so many in a round. */
static void measure(struct commits *c, const char *figure, size_t n,
                    uint64_t commits)
{
    static double rate[N_PEERS][MAX_ROUNDS];
    static double ratio[MAX_ROUNDS];
    const size_t rounds = (size_t)c->rounds;

    for (size_t r = 0; r < rounds; r++) {
        for (size_t p = 0; p < N_PEERS; p++) {
            struct prng prng = prng_seed(1000 * n + r);
            double wall = 0;

            for (uint64_t i = 0; c->open[p] != NULL && i < commits; i++) {
                struct bench_time begin;

                draw(c, &prng, n, false);
                begin = bench_now();
                peers[p]->commit(c->open[p], c->set, n);
                wall += bench_since(begin).wall;
            }
            rate[p][r] = wall > 0 ? (double)commits / wall : 0;
        }
    }
    for (size_t p = N_PEERS; p-- > 0;) { /* the first at last: it is sorted */
        json_t *record;

        if (c->open[p] == NULL) {
            continue;
        }
        for (size_t r = 0; r < rounds; r++) {
            ratio[r] = rate[0][r] / rate[p][r];
        }
        record = bench_record("commits", figure);
        bench_text(record, "peer", peers[p]->name);
        bench_count(record, "entries", c->entries);
        bench_count(record, "keys_each", n);
        bench_count(record, "rounds", rounds);
        bench_add_spread(record, "per_s", rate[p], rounds);
        if (c->open[0] != NULL) {
            bench_add_spread(record, "image_is_times", ratio, rounds);
        }
        bench_emit(record);
    }
}

static void commits_begin(struct commits *c)
{
    struct peer_setup setup = {.keys = c->keys,
                               .entries = c->entries,
                               .value_len = (size_t)c->vsize,
                               .image_len = c->size};

    keys_check(&c->keys, c->entries);
    if (c->rounds < 1 || c->rounds > MAX_ROUNDS) {
        bench_fail("rounds are 1 to %d", MAX_ROUNDS);
    }
    c->cap = (size_t)(c->updates > c->entries ? c->updates : c->entries);
    c->values = malloc(c->cap * c->vsize + 1);
    c->set = calloc(c->cap, sizeof(*c->set));
    if (c->values == NULL || c->set == NULL) {
        bench_fail("no memory");
    }
    for (size_t p = 0; p < N_PEERS; p++) {
        char name[32];
        char *folder;

        if ((peers[p]->max_entries != 0 &&
             c->entries > peers[p]->max_entries) ||
            (c->only != NULL && strcmp(c->only, peers[p]->name) != 0)) {
            continue;
        }
        snprintf(name, sizeof(name), "peer%zu", p);
        folder = bench_path(bench_scratch(c->folder), name);
        if (mkdir(folder, 0700) != 0) {
            bench_fail("%s: %s", folder, strerror(errno));
        }
        setup.folder = folder;
        c->open[p] = peers[p]->open(&setup);
        free(folder);
    }
}

int bench_commits(int argc, char **argv)
{
    static struct commits c = {
        .keys = {.depth = 4, .width = 32},
        .entries = 1000000,
        .vsize = 64,
        .rounds = 7,
        .singles = 20,
        .batches = 3,
        .updates = 1000,
        .size = UINT64_C(4) << 30,
    };
    const struct bench_option options[] = {
        {"entries", BENCH_NUMBER, &c.entries, "keys loaded"},
        {"vsize", BENCH_NUMBER, &c.vsize, "bytes of a value"},
        {"depth", BENCH_NUMBER, &c.keys.depth, "steps of a key"},
        {"width", BENCH_NUMBER, &c.keys.width, "directories in a directory"},
        {"rounds", BENCH_NUMBER, &c.rounds, "in each of which"},
        {"singles", BENCH_NUMBER, &c.singles, "commits of one key"},
        {"batches", BENCH_NUMBER, &c.batches, "commits of many"},
        {"updates", BENCH_NUMBER, &c.updates, "keys in each of these"},
        {"size", BENCH_NUMBER, &c.size, "bytes of the image, and LMDB's map"},
        {"only", BENCH_TEXT, &c.only, "one peer, by name"},
        {"folder", BENCH_TEXT, &c.folder, "where to make a scratch folder"},
    };

    bench_options("commits", options, BENCH_N(options), argc, argv);
    commits_begin(&c);
    load(&c);
    measure(&c, "commit_one", 1, c.singles);
    measure(&c, "commit_many", (size_t)c.updates, c.batches);
    for (size_t p = 0; p < N_PEERS; p++) {
        if (c.open[p] != NULL) {
            peers[p]->close(c.open[p]);
        }
    }
    free(c.values);
    free(c.set);
    bench_scratch_remove();
    return 0;
}
