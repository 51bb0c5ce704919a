/* SPDX-License-Identifier: ISC */
/*
 * Power cuts while a stream is received, with a checkpoint after every few
 * objects: every state that a cut could leave opens, shows whole commits only,
 * and takes the rest of the stream. NOTAFS_CRASH_ROUNDS: states for each
 * moment.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/stream/wire.h"

enum { N_COMMITS = 4, N_OLD = 2, FILE_LEN = 50000 };

struct crash {
    struct mem_fault mem;
    struct wire_store src;
    struct wire_store dst;
    struct wire old;
    struct wire rest;
    uint64_t n_states;
    uint64_t n_resumed;
};

/* Chunks the wrong way round, so that some wait. */
static void record(struct crash *c)
{
    struct pk_receive_options how = {.checkpoint_len = 30000};
    struct pk_receive *receive;
    struct pk_repo *repo;

    vfs_fault_record(&c->dst.files);
    assert_ok(pk_repo_open(&c->mem.env, &c->dst.opts, NULL, &repo));
    assert_ok(pk_receive_open(repo, &how, &receive));
    for (size_t i = 0; i < c->rest.n; i++) {
        size_t k = (i ^ 1) < c->rest.n ? i ^ 1 : i;

        assert_ok(pk_receive_feed(receive, c->rest.chunks[k], c->rest.lens[k]));
    }
    assert_ok(pk_receive_finish(receive));
    vfs_fault_mark(&c->dst.files, 1);
    pk_receive_close(receive);
    assert_ok(pk_repo_close(repo));
}

static void try_state(struct crash *c, size_t upto, struct prng *prng,
                      enum vfs_crash kind)
{
    struct pk_receive_options how = {.checkpoint_len = 1000000};
    struct wire_store dst = c->dst;
    struct pk_receive_stats stats;
    struct pk_receive *receive;
    struct pk_repo *repo;
    bool there;

    vfs_fault_crash(&c->dst.files, upto, prng, kind, &dst.files);
    dst.opts.vfs = &dst.files.vfs;
    assert_ok(pk_repo_open(&c->mem.env, &dst.opts, NULL, &repo));
    there = wire_check(repo, &c->src, N_COMMITS - 1);
    ck_assert(there || dst.files.marked == 0);
    assert_ok(pk_receive_open(repo, &how, &receive));
    pk_receive_progress(receive, &stats);
    c->n_resumed += stats.resumed;
    for (size_t i = (size_t)stats.next_chunk; i < c->rest.n; i++) {
        assert_ok(pk_receive_feed(receive, c->rest.chunks[i], c->rest.lens[i]));
    }
    assert_ok(pk_receive_finish(receive));
    pk_receive_close(receive);
    ck_assert(wire_check(repo, &c->src, N_COMMITS - 1));
    assert_ok(pk_repo_close(repo));
    vfs_fault_deinit(&dst.files);
    c->n_states++;
}

static uint64_t rounds(void)
{
    const char *text = getenv("NOTAFS_CRASH_ROUNDS");

    return text == NULL ? 4 : strtoull(text, NULL, 10);
}

START_TEST(while_receiving)
{
    struct crash c = {.n_states = 0};
    struct prng prng = prng_seed(1);

    printf("seed 1\n");
    mem_fault_init(&c.mem);
    wire_store_init(&c.src, &c.mem.env, "smallseeded", N_COMMITS, FILE_LEN);
    wire_empty_init(&c.dst, &c.mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
    assert_ok(wire_send(&c.old, &c.mem.env, &c.src, 0, N_OLD, NULL));
    assert_ok(wire_send(&c.rest, &c.mem.env, &c.src, N_OLD, N_COMMITS, NULL));
    assert_ok(wire_receive(&c.old, &c.mem.env, &c.dst));
    record(&c);
    for (size_t upto = 1; upto <= c.dst.files.n_ops; upto++) {
        try_state(&c, upto, &prng, VFS_CRASH_NONE);
        try_state(&c, upto, &prng, VFS_CRASH_ALL);
        for (uint64_t i = 0; i < rounds(); i++) {
            try_state(&c, upto, &prng, VFS_CRASH_SOME);
            try_state(&c, upto, &prng, VFS_CRASH_TORN);
            try_state(&c, upto, &prng, VFS_CRASH_LATE);
        }
    }
    printf("%llu states, %llu resumed\n", (unsigned long long)c.n_states,
           (unsigned long long)c.n_resumed);
    ck_assert_uint_gt(c.n_states, 500);
    ck_assert_uint_gt(c.n_resumed, 100);
    wire_deinit(&c.old);
    wire_deinit(&c.rest);
    wire_store_deinit(&c.src);
    wire_store_deinit(&c.dst);
    ck_assert_uint_eq(c.mem.live_blocks, 0);
}
END_TEST

UNIT_MAIN("pack/stream/crash", while_receiving)
