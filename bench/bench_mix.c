/* SPDX-License-Identifier: ISC */
/*
 * The mix of a Tezos node: of 99 operations 58 find (contents), 22 mem (is it
 * there), 18 add, 1 removes; a commit behind each 390. Reads see the last
 * commit. Beside LMDB and SQLite, all durable; every answer is checked, round
 * after round one after the other does the same.
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

static const struct peer *const peers[] = {&peer_pack_image, &peer_pack_folder,
                                           &peer_lmdb, &peer_sqlite};

enum {
    N_PEERS = BENCH_N(peers),
    MAX_ROUNDS = 99,
    FIND = 58,
    MEM = 22,
    ADD = 18
};

enum act { ACT_FIND, ACT_MEM, ACT_ADD, ACT_REMOVE };

struct mix {
    /* options */
    const char *folder;
    struct keys keys;
    uint64_t entries; /* loaded; twice as many keys there are */
    uint64_t vsize;
    uint64_t rounds;
    uint64_t commits;
    uint64_t ops;
    uint64_t size;
    /* the run */
    void *open[N_PEERS];
    bool *there;    /* of each key, in the last commit */
    uint8_t *stamp; /* of each key: what its value consists of */
    uint8_t *values;
    uint8_t *got;
    struct peer_update *set;
    size_t n_set;
    /* the round */
    struct prng prng;
    uint64_t found;
};

static enum act draw_act(struct mix *m)
{
    uint64_t x = prng_below(&m->prng, FIND + MEM + ADD + 1);

    return x < FIND               ? ACT_FIND
           : x < FIND + MEM       ? ACT_MEM
           : x < FIND + MEM + ADD ? ACT_ADD
                                  : ACT_REMOVE;
}

static void look_up(struct mix *m, size_t peer, uint64_t i, bool contents)
{
    bool found = peers[peer]->find(m->open[peer], i, contents ? m->got : NULL);

    if (found != m->there[i] ||
        (found && contents && m->got[m->vsize - 1] != m->stamp[i])) {
        bench_fail("%s: key %llu is wrong", peers[peer]->name,
                   (unsigned long long)i);
    }
    m->found += found;
}

static void change(struct mix *m, uint64_t i, bool add)
{
    struct peer_update *update = &m->set[m->n_set];
    uint8_t *value = m->values + m->n_set * m->vsize;

    for (size_t k = 0; k < m->n_set; k++) {
        if (m->set[k].i == i) {
            return; /* one change of a key in a commit */
        }
    }
    if (add) {
        memset(value, (int)(prng_next(&m->prng) & 0xff), m->vsize);
    } else if (!m->there[i]) {
        return;
    }
    *update = (struct peer_update){i, add ? value : NULL};
    m->n_set++;
}

/* The operations up to a commit, and it. */
static void block(struct mix *m, size_t peer)
{
    m->n_set = 0;
    for (uint64_t k = 0; k < m->ops; k++) {
        enum act act = draw_act(m);
        uint64_t i = prng_below(&m->prng, 2 * m->entries);

        switch (act) {
        case ACT_FIND:
        case ACT_MEM:
            look_up(m, peer, i, act == ACT_FIND);
            break;
        case ACT_ADD:
        case ACT_REMOVE:
            change(m, i, act == ACT_ADD);
            break;
        }
    }
    peers[peer]->commit(m->open[peer], m->set, m->n_set);
    for (size_t k = 0; k < m->n_set; k++) {
        m->there[m->set[k].i] = m->set[k].value != NULL;
        m->stamp[m->set[k].i] = m->set[k].value != NULL ? *m->set[k].value : 0;
    }
}

/* A round of one peer, which leaves the keys as it found them told of. */
static struct bench_time run_one(struct mix *m, size_t peer, uint64_t round)
{
    struct bench_time begin = bench_now();

    m->prng = prng_seed(5000 + round);
    m->found = 0;
    for (uint64_t c = 0; c < m->commits; c++) {
        block(m, peer);
    }
    return bench_since(begin);
}

struct rates {
    double wall[MAX_ROUNDS];
    double cpu[MAX_ROUNDS];
};

static void report(const struct mix *m, size_t peer, struct rates *all)
{
    const size_t n = (size_t)m->rounds;
    json_t *record = bench_record("mix", "tezos_mix");
    double ratio[MAX_ROUNDS];
    double ratio_cpu[MAX_ROUNDS];

    for (size_t r = 0; r < n; r++) {
        ratio[r] = all[0].wall[r] / all[peer].wall[r];
        ratio_cpu[r] = all[0].cpu[r] / all[peer].cpu[r];
    }
    bench_text(record, "peer", peers[peer]->name);
    bench_count(record, "entries", m->entries);
    bench_count(record, "ops_each", m->ops);
    bench_count(record, "commits", m->commits);
    bench_count(record, "found", m->found);
    bench_count(record, "rounds", n);
    bench_add_spread(record, "per_s", all[peer].wall, n);
    bench_add_spread(record, "per_cpu_s", all[peer].cpu, n);
    bench_add_spread(record, "image_is_times", ratio, n);
    bench_add_spread(record, "image_is_times_cpu", ratio_cpu, n);
    bench_emit(record);
}

static void measure(struct mix *m)
{
    static struct rates all[N_PEERS];
    const size_t n = (size_t)(2 * m->entries);
    bool *there = malloc(n * sizeof(*there));
    uint8_t *stamp = malloc(n);

    if (there == NULL || stamp == NULL) {
        bench_fail("no memory");
    }
    for (uint64_t r = 0; r < m->rounds; r++) {
        memcpy(there, m->there, n * sizeof(*there));
        memcpy(stamp, m->stamp, n);
        for (size_t p = 0; p < N_PEERS; p++) {
            const double ops = (double)(m->ops * m->commits);
            struct bench_time span;

            memcpy(m->there, there, n * sizeof(*there));
            memcpy(m->stamp, stamp, n);
            span = run_one(m, p, r);
            all[p].wall[r] = ops / span.wall;
            all[p].cpu[r] = ops / (span.user + span.system);
        }
    }
    for (size_t p = N_PEERS; p-- > 0;) { /* the first at last: it is sorted */
        report(m, p, all);
    }
    free(there);
    free(stamp);
}

static void *must_alloc(size_t n, size_t len)
{
    void *p = calloc(n, len);

    if (p == NULL) {
        bench_fail("no memory");
    }
    return p;
}

static void load(struct mix *m)
{
    struct peer_update *all = must_alloc((size_t)m->entries, sizeof(*all));
    uint8_t *values = must_alloc((size_t)m->entries, (size_t)m->vsize);

    for (uint64_t i = 0; i < m->entries; i++) {
        uint64_t key = 2 * i; /* every other one */

        m->there[key] = true;
        m->stamp[key] = (uint8_t)(key * 7);
        memset(values + i * m->vsize, m->stamp[key], m->vsize);
        all[i] = (struct peer_update){key, values + i * m->vsize};
    }
    for (size_t p = 0; p < N_PEERS; p++) {
        peers[p]->commit(m->open[p], all, (size_t)m->entries);
    }
    free(all);
    free(values);
}

static void mix_begin(struct mix *m)
{
    struct peer_setup setup = {.keys = m->keys,
                               .entries = 2 * m->entries,
                               .value_len = (size_t)m->vsize,
                               .image_len = m->size};

    keys_check(&m->keys, m->entries);
    if (m->rounds < 1 || m->rounds > MAX_ROUNDS || m->vsize < 1) {
        bench_fail("rounds are 1 to %d, vsize 1 or more", MAX_ROUNDS);
    }
    m->there = must_alloc((size_t)(2 * m->entries), sizeof(*m->there));
    m->stamp = must_alloc((size_t)(2 * m->entries), 1);
    m->values = must_alloc((size_t)m->ops, (size_t)m->vsize);
    m->set = must_alloc((size_t)m->ops, sizeof(*m->set));
    m->got = must_alloc(1, (size_t)m->vsize);
    for (size_t p = 0; p < N_PEERS; p++) {
        char name[] = "peer0";
        char *folder;

        name[4] = (char)('0' + p);
        folder = bench_path(bench_scratch(m->folder), name);
        if (mkdir(folder, 0700) != 0) {
            bench_fail("%s: %s", folder, strerror(errno));
        }
        setup.folder = folder;
        m->open[p] = peers[p]->open(&setup);
        free(folder);
    }
    load(m);
}

int bench_mix(int argc, char **argv)
{
    static struct mix m = {
        .keys = {.depth = 4, .width = 32},
        .entries = 100000,
        .vsize = 64,
        .rounds = 5,
        .commits = 20,
        .ops = 390,
        .size = UINT64_C(1) << 30,
    };
    const struct bench_option options[] = {
        {"entries", BENCH_NUMBER, &m.entries, "keys loaded, half of all"},
        {"vsize", BENCH_NUMBER, &m.vsize, "bytes of a value"},
        {"depth", BENCH_NUMBER, &m.keys.depth, "steps of a key"},
        {"width", BENCH_NUMBER, &m.keys.width, "directories in a directory"},
        {"rounds", BENCH_NUMBER, &m.rounds, "in each of which"},
        {"commits", BENCH_NUMBER, &m.commits, "commits"},
        {"ops", BENCH_NUMBER, &m.ops, "operations before each"},
        {"size", BENCH_NUMBER, &m.size, "bytes of the image, and LMDB's map"},
        {"folder", BENCH_TEXT, &m.folder, "where to make a scratch folder"},
    };

    bench_options("mix", options, BENCH_N(options), argc, argv);
    mix_begin(&m);
    measure(&m);
    for (size_t p = 0; p < N_PEERS; p++) {
        peers[p]->close(m.open[p]);
    }
    free(m.there);
    free(m.stamp);
    free(m.values);
    free(m.set);
    free(m.got);
    bench_scratch_remove();
    return 0;
}
