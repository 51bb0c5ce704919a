/* SPDX-License-Identifier: ISC */
/*
 * Durable commits while a collection runs in steps, beside commits while none
 * does: on an image and in a folder. A round is a number of commits alone, then
 * one commit and one step in turn until the collection is done. It keeps the
 * commit that was the newest at its start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/harness.h"
#include "bench/options.h"
#include "bench/peer_pack.h"
#include "bench/workloads.h"
#include "host/prng.h"

enum { MAX_SAMPLES = 100000 };

struct gc {
    /* options */
    const char *folder;
    struct keys keys;
    uint64_t entries;
    uint64_t vsize;
    uint64_t updates;
    uint64_t quiet;
    uint64_t rounds;
    uint64_t budget;
    uint64_t size;
    /* the run */
    const struct peer *peer;
    struct pack_peer *open;
    struct prng prng;
    uint8_t *values;
    struct peer_update *set;
    double *quiet_s; /* each commit */
    size_t n_quiet;
    double *busy_s;
    size_t n_busy;
    double *step_s;
    size_t n_steps;
    double *finish_s; /* start and finish of each collection */
    uint64_t longest_step;
    uint64_t freed;
};

static void note(double *samples, size_t *n, double seconds)
{
    if (*n == MAX_SAMPLES) {
        bench_fail("more than %d commits or steps", MAX_SAMPLES);
    }
    samples[(*n)++] = seconds;
}

static void commit(struct gc *g, double *samples, size_t *n)
{
    double begin;

    for (size_t i = 0; i < g->updates; i++) {
        uint8_t *value = g->values + i * g->vsize;

        prng_bytes(&g->prng, g->vsize, value);
        g->set[i] =
            (struct peer_update){prng_below(&g->prng, g->entries), value};
    }
    begin = bench_now().wall;
    g->peer->commit(g->open, g->set, g->updates);
    note(samples, n, bench_now().wall - begin);
}

static void collect(struct gc *g, size_t round)
{
    struct pk_digest keep = g->open->head;
    const struct pk_gc_options options = {
        .keep = &keep, .n_keep = 1, .split = true};
    struct pk_gc_stats stats;
    double begin = bench_now().wall;
    int more;

    bench_must(pk_gc_start(g->open->repo, &options), "start the collection");
    g->finish_s[2 * round] = bench_now().wall - begin;
    do {
        commit(g, g->busy_s, &g->n_busy);
        begin = bench_now().wall;
        more = pk_gc_step(g->open->repo, g->budget);
        note(g->step_s, &g->n_steps, bench_now().wall - begin);
    } while (more > 0);
    bench_must(more, "collect");
    begin = bench_now().wall;
    bench_must(pk_gc_finish(g->open->repo, &stats), "finish the collection");
    g->finish_s[2 * round + 1] = bench_now().wall - begin;
    g->freed += stats.suffix_freed + stats.prefix_freed;
    if (stats.longest_step > g->longest_step) {
        g->longest_step = stats.longest_step;
    }
}

static double sum(const double *samples, size_t n)
{
    double all = 0;

    for (size_t i = 0; i < n; i++) {
        all += samples[i];
    }
    return all;
}

static void report(const struct gc *g)
{
    double quiet = sum(g->quiet_s, g->n_quiet);
    double busy = sum(g->busy_s, g->n_busy);
    double steps = sum(g->step_s, g->n_steps);
    json_t *record = bench_record("gc", "gc_under_load");

    bench_text(record, "peer", g->peer->name);
    bench_count(record, "entries", g->entries);
    bench_count(record, "keys_each", g->updates);
    bench_count(record, "rounds", g->rounds);
    bench_count(record, "budget", g->budget);
    bench_number(record, "quiet_per_s", (double)g->n_quiet / quiet);
    bench_number(record, "per_s", (double)g->n_busy / (busy + steps));
    bench_add_latency(record, "quiet", g->quiet_s, g->n_quiet);
    bench_add_latency(record, "commit", g->busy_s, g->n_busy);
    bench_add_latency(record, "step", g->step_s, g->n_steps);
    bench_add_latency(record, "start_finish", g->finish_s,
                      2 * (size_t)g->rounds);
    bench_count(record, "commits", g->n_busy);
    bench_count(record, "longest_step", g->longest_step);
    bench_count(record, "bytes_freed", g->freed);
    bench_emit(record);
}

static void load(struct gc *g)
{
    struct peer_update *all = calloc((size_t)g->entries, sizeof(*all));
    uint8_t *values = malloc((size_t)(g->entries * g->vsize));

    if (all == NULL || values == NULL) {
        bench_fail("no memory");
    }
    prng_bytes(&g->prng, (size_t)(g->entries * g->vsize), values);
    for (uint64_t i = 0; i < g->entries; i++) {
        all[i] = (struct peer_update){i, values + i * g->vsize};
    }
    g->peer->commit(g->open, all, (size_t)g->entries);
    free(all);
    free(values);
}

static void run_one(struct gc *g, const struct peer *peer, const char *name)
{
    char *folder = bench_path(bench_scratch(g->folder), name);
    const struct peer_setup setup = {.folder = folder,
                                     .keys = g->keys,
                                     .entries = g->entries,
                                     .value_len = (size_t)g->vsize,
                                     .image_len = g->size};

    if (mkdir(folder, 0700) != 0) {
        bench_fail("%s: %s", folder, strerror(errno));
    }
    g->peer = peer;
    g->prng = prng_seed(42);
    g->n_quiet = g->n_busy = g->n_steps = 0;
    g->longest_step = g->freed = 0;
    g->open = peer->open(&setup);
    load(g);
    for (size_t round = 0; round < g->rounds; round++) {
        size_t n = g->quiet;

        while (n-- > 0) {
            commit(g, g->quiet_s, &g->n_quiet);
        }
        collect(g, round);
    }
    report(g);
    peer->close(g->open);
    free(folder);
}

static double *samples(size_t n)
{
    double *p = malloc(n * sizeof(*p));

    if (p == NULL) {
        bench_fail("no memory");
    }
    return p;
}

int bench_gc(int argc, char **argv)
{
    static struct gc g = {
        .keys = {.depth = 4, .width = 32},
        .entries = 100000,
        .vsize = 64,
        .updates = 100,
        .quiet = 100,
        .rounds = 3,
        .budget = 256 << 10,
        .size = UINT64_C(1) << 30,
    };
    const struct bench_option options[] = {
        {"entries", BENCH_NUMBER, &g.entries, "keys loaded"},
        {"vsize", BENCH_NUMBER, &g.vsize, "bytes of a value"},
        {"depth", BENCH_NUMBER, &g.keys.depth, "steps of a key"},
        {"width", BENCH_NUMBER, &g.keys.width, "directories in a directory"},
        {"updates", BENCH_NUMBER, &g.updates, "keys of a commit"},
        {"quiet", BENCH_NUMBER, &g.quiet, "commits before each collection"},
        {"rounds", BENCH_NUMBER, &g.rounds, "collections"},
        {"budget", BENCH_NUMBER, &g.budget, "bytes of a step"},
        {"size", BENCH_NUMBER, &g.size, "bytes of the image"},
        {"folder", BENCH_TEXT, &g.folder, "where to make a scratch folder"},
    };

    bench_options("gc", options, BENCH_N(options), argc, argv);
    keys_check(&g.keys, g.entries);
    if (g.rounds < 1 || g.quiet < 1 || g.updates < 1) {
        bench_fail("rounds, quiet and updates are 1 or more");
    }
    g.values = malloc((size_t)(g.updates * g.vsize));
    g.set = calloc((size_t)g.updates, sizeof(*g.set));
    g.quiet_s = samples(MAX_SAMPLES);
    g.busy_s = samples(MAX_SAMPLES);
    g.step_s = samples(MAX_SAMPLES);
    g.finish_s = samples(2 * (size_t)g.rounds);
    if (g.values == NULL || g.set == NULL) {
        bench_fail("no memory");
    }
    run_one(&g, &peer_pack_image, "image");
    run_one(&g, &peer_pack_folder, "folder");
    free(g.values);
    free(g.set);
    free(g.quiet_s);
    free(g.busy_s);
    free(g.step_s);
    free(g.finish_s);
    bench_scratch_remove();
    return 0;
}
