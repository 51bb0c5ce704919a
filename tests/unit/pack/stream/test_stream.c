/* SPDX-License-Identifier: ISC */
/*
 * Streams from one store to another: whole and in part, over wires that cut,
 * lose, double, shuffle and damage. NOTAFS_STREAM_ROUNDS: how many wires.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/codec_lz4.h>

#include "pack/stream/chunk.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/stream/wire.h"

enum { N_COMMITS = 12, FILE_LEN = 60000 };

static struct mem_fault mem;

/* ------------------------------------------------------------- round trips */

/* All configurations, all strategies, with and without compression. */
START_TEST(every_configuration)
{
    for (size_t i = 0; pk_config_preset(i) != NULL; i++) {
        for (int strategy = (int)wire_strategy(pk_config_preset(i));
             strategy < 3; strategy++) {
            struct wire_store src;
            struct wire_store dst;
            struct pk_repo *repo;
            struct wire wire;

            mem_fault_init(&mem);
            wire_store_init(&src, &mem.env, pk_config_preset(i), 6, 3000);
            wire_empty_init(&dst, &mem.env, pk_config_preset(i),
                            (enum pk_strategy)strategy);
            assert_ok(wire_send(&wire, &mem.env, &src, 0, 6,
                                strategy == 0 ? nf_codec_lz4() : NULL));
            assert_ok(wire_receive(&wire, &mem.env, &dst));
            assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
            ck_assert(wire_check(repo, &src, 5));
            assert_ok(pk_repo_close(repo));
            wire_deinit(&wire);
            wire_store_deinit(&src);
            wire_store_deinit(&dst);
            ck_assert_uint_eq(mem.live_blocks, 0);
        }
    }
}
END_TEST

/* What the receiver has is not sent; what is sent is no more than what the
 * commits in between wrote. */
START_TEST(only_what_is_new)
{
    struct wire_store src;
    struct wire_store dst;
    struct pk_repo *repo;
    struct pk_counters before;
    struct wire full;
    struct wire old;
    struct wire rest;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "smallseeded", N_COMMITS, 100);
    wire_empty_init(&dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
    assert_ok(wire_send(&full, &mem.env, &src, 0, N_COMMITS, NULL));
    assert_ok(wire_send(&old, &mem.env, &src, 0, 5, NULL));
    assert_ok(wire_send(&rest, &mem.env, &src, 5, N_COMMITS, NULL));
    ck_assert_uint_eq(old.stats.objects + rest.stats.objects,
                      full.stats.objects);
    ck_assert_uint_gt(rest.stats.links, 0);
    assert_err(wire_receive(&rest, &mem.env, &dst), NF_EC_STREAM_BASE);
    assert_ok(wire_receive(&old, &mem.env, &dst));
    assert_ok(wire_receive(&rest, &mem.env, &dst));
    assert_ok(wire_receive(&rest, &mem.env, &dst)); /* again: nothing */
    assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
    pk_repo_counters(repo, &before);
    ck_assert_uint_eq(before.objects_appended, 0);
    ck_assert(wire_check(repo, &src, N_COMMITS - 1));
    assert_ok(pk_repo_close(repo));
    wire_deinit(&full);
    wire_deinit(&old);
    wire_deinit(&rest);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
    ck_assert_uint_eq(mem.live_blocks, 0);
}
END_TEST

/* A stream that was not made for this receiver: what it has is not stored once
 * more, whatever the order of commits and branches. */
START_TEST(nothing_is_stored_twice)
{
    struct wire_store src;
    struct wire_store dst;
    struct wire_store fresh;
    struct pk_control_view control;
    struct pk_repo *repo;
    struct wire full;
    struct wire old;
    uint64_t end;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "smallseeded", N_COMMITS, 3000);
    assert_ok(wire_send(&full, &mem.env, &src, 0, N_COMMITS, NULL));
    assert_ok(wire_send(&old, &mem.env, &src, 0, 7, NULL));
    wire_empty_init(&fresh, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
    assert_ok(wire_receive(&full, &mem.env, &fresh));
    assert_ok(pk_repo_open(&mem.env, &fresh.opts, NULL, &repo));
    pk_view_control(repo, &control);
    end = control.end;
    assert_ok(pk_repo_close(repo));
    wire_empty_init(&dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
    assert_ok(wire_receive(&old, &mem.env, &dst));
    wire_set_branch(&dst, &mem.env, &src.commits[6]);
    assert_ok(wire_receive(&full, &mem.env, &dst));
    assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
    pk_view_control(repo, &control);
    ck_assert_uint_eq(control.end, end);
    ck_assert(wire_check(repo, &src, N_COMMITS - 1));
    assert_ok(pk_repo_close(repo));
    wire_deinit(&full);
    wire_deinit(&old);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
    wire_store_deinit(&fresh);
    ck_assert_uint_eq(mem.live_blocks, 0);
}
END_TEST

START_TEST(other_configuration)
{
    struct wire_store src;
    struct wire_store dst;
    struct wire wire;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "kv64", 2, 10);
    wire_empty_init(&dst, &mem.env, "kv32", PK_STRATEGY_MINIMAL);
    assert_ok(wire_send(&wire, &mem.env, &src, 0, 2, NULL));
    assert_err(wire_receive(&wire, &mem.env, &dst), NF_EC_CONFIG);
    wire_deinit(&wire);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
    ck_assert_uint_eq(mem.live_blocks, 0);
}
END_TEST

/* A sender that begins in the middle makes the same chunks. */
START_TEST(same_stream_twice)
{
    struct wire_store src;
    struct wire a;
    struct wire b;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "kv64", N_COMMITS, FILE_LEN);
    assert_ok(wire_send(&a, &mem.env, &src, 0, N_COMMITS, nf_codec_lz4()));
    assert_ok(wire_send(&b, &mem.env, &src, 0, N_COMMITS, nf_codec_lz4()));
    ck_assert_uint_eq(a.n, b.n);
    ck_assert_uint_gt(a.n, 8);
    for (size_t i = 0; i < a.n; i++) {
        struct pk_chunk_info info;

        ck_assert_uint_eq(a.lens[i], b.lens[i]);
        ck_assert_mem_eq(a.chunks[i], b.chunks[i], a.lens[i]);
        ck_assert_int_eq(pk_chunk_look(a.chunks[i], a.lens[i], &info), 1);
        ck_assert_uint_eq(info.number, i);
        ck_assert_int_eq(info.last, i + 1 == a.n);
        ck_assert_int_eq(pk_chunk_look(a.chunks[i], a.lens[i] - 1, &info), 0);
        a.chunks[i][a.lens[i] / 2] ^= 1;
        assert_err(pk_chunk_look(a.chunks[i], a.lens[i], &info), NF_EC_STREAM);
    }
    wire_deinit(&a);
    wire_deinit(&b);
    wire_store_deinit(&src);
}
END_TEST

/* ------------------------------------------------------------------ memory */

/* A directory of n files in one commit. */
static void wide_store(struct wire_store *w, size_t n)
{
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct kit_path path;
    char name[32];

    wire_empty_init(w, &mem.env, "small", PK_STRATEGY_MINIMAL);
    assert_ok(pk_repo_open(&mem.env, &w->opts, NULL, &repo));
    assert_ok(pk_tree_empty(repo, &tree));
    for (size_t i = 0; i < n; i++) {
        uint8_t data[40];

        kit_contents(i, sizeof(data), data);
        (void)snprintf(name, sizeof(name), "d%zu/%c%c%c", i % 7,
                       (char)('A' + i / 7 / 900), (char)('A' + i / 7 / 30 % 30),
                       (char)('A' + i / 7 % 30));
        assert_ok(pk_tree_set(tree, kit_path(&path, name),
                              (struct pk_slice){data, sizeof(data)}));
    }
    assert_ok(kit_commit(tree, NULL, 1, &w->commits[0]));
    assert_ok(pk_tree_hash(tree, &w->roots[0]));
    w->n_commits = 1;
    pk_tree_free(tree);
    assert_ok(pk_repo_close(repo));
}

/* Bytes at most while all of a store goes through, sender and receiver apart,
 * each with its store. */
static void measure(size_t n, size_t *ret_send, size_t *ret_receive)
{
    struct mem_fault quiet; /* the memory of scratch files, and of others */
    struct pk_send_options how = {.n_commits = 1, .mem_len = 65536};
    struct pk_receive_options receiving = {.checkpoint_len = 1 << 20};
    struct pk_send_stats stats;
    struct pk_receive *receive;
    struct mem_fault receiver;
    struct pk_vfs_mem *files;
    struct wire_store src;
    struct wire_store dst;
    struct pk_send *send;
    struct pk_slice chunk;
    struct pk_vfs scratch;
    struct pk_repo *from;
    struct pk_repo *to;
    int more;

    mem_fault_init(&quiet);
    wide_store(&src, n);
    wire_empty_init(&dst, &mem.env, "small", PK_STRATEGY_MINIMAL);
    assert_ok(pk_vfs_mem_open(&quiet.env, &files, &scratch));
    how.scratch = &scratch;
    how.commits = &src.commits[0];
    mem_fault_init(&mem);
    mem_fault_init(&receiver);
    assert_ok(pk_repo_open(&mem.env, &src.opts, NULL, &from));
    assert_ok(pk_repo_open(&receiver.env, &dst.opts, NULL, &to));
    assert_ok(pk_receive_open(to, &receiving, &receive));
    assert_ok(pk_send_open(from, &how, &send));
    while ((more = pk_send_next(send, &chunk)) > 0) {
        assert_ok(pk_receive_feed(receive, chunk.p, chunk.len));
    }
    assert_ok(more);
    pk_send_progress(send, &stats);
    ck_assert_uint_gt(stats.spilled, n / 4);
    assert_ok(pk_receive_finish(receive));
    pk_send_close(send);
    pk_receive_close(receive);
    *ret_send = mem.peak_bytes;
    *ret_receive = receiver.peak_bytes;
    ck_assert(wire_check(to, &src, 0));
    assert_ok(pk_repo_close(from));
    assert_ok(pk_repo_close(to));
    pk_vfs_mem_close(files);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
}

/* Five times the objects, and no more memory. (Names are short: the dictionary
 * takes the others, up to 100 001, whoever writes.) */
START_TEST(bounded_memory)
{
    size_t send[2];
    size_t receive[2];

    mem_fault_init(&mem);
    measure(20000, &send[0], &receive[0]);
    measure(100000, &send[1], &receive[1]);
    printf("send %zu, %zu bytes; receive %zu, %zu bytes\n", send[0], send[1],
           receive[0], receive[1]);
    ck_assert_uint_lt(send[1], send[0] + 65536);
    ck_assert_uint_lt(receive[1], receive[0] + 65536);
    ck_assert_uint_lt(send[1], 4 << 20);
    ck_assert_uint_lt(receive[1], 4 << 20);
}
END_TEST

/* ---------------------------------------------------------------- bad wires */

struct bad {
    struct prng prng;
    struct wire_store *src;
    struct wire_store dst;
    const struct wire *wire;
    uint64_t n_cuts;
    uint64_t n_resumed;
};

/* What is sent in one go: a selection of the chunks, in some order. */
static size_t bad_choose(struct bad *b, uint64_t next, size_t *order)
{
    size_t n = 0;

    for (size_t i = next; i < b->wire->n; i++) {
        for (uint64_t again = prng_below(&b->prng, 8);;) {
            if (again != 0) { /* one in eight is lost */
                order[n++] = i;
            }
            if (again != 7) { /* as many are doubled */
                break;
            }
            again = 1;
        }
    }
    for (size_t i = 0; i < n && prng_below(&b->prng, 2) == 0; i++) {
        size_t j = (size_t)prng_below(&b->prng, n);
        size_t swap = order[i];

        order[i] = order[j];
        order[j] = swap;
    }
    return n;
}

static int bad_feed(struct bad *b, struct pk_receive *receive, const uint8_t *p,
                    size_t len)
{
    uint8_t *copy = malloc(len + 1);
    int err = 0;

    memcpy(copy, p, len);
    if (prng_below(&b->prng, 6) == 0) { /* damaged */
        copy[prng_below(&b->prng, len)] ^=
            (uint8_t)(1 + prng_below(&b->prng, 255));
    }
    for (size_t at = 0; at < len && err == 0;) {
        size_t n = (size_t)(1 + prng_below(&b->prng, len));

        n = n < len - at ? n : len - at;
        err = pk_receive_feed(receive, copy + at, n);
        at += n;
    }
    free(copy);
    return err;
}

/* One connection, cut at any byte. True: all of it came. */
static bool bad_connection(struct bad *b)
{
    struct pk_receive_options how = {.codec = nf_codec_lz4(),
                                     .checkpoint_len =
                                         20000 + prng_below(&b->prng, 300000)};
    size_t order[256];
    struct pk_receive_stats stats;
    struct pk_receive *receive;
    struct pk_repo *repo;
    size_t cut;
    size_t n;

    assert_ok(pk_repo_open(&mem.env, &b->dst.opts, NULL, &repo));
    assert_ok(pk_receive_open(repo, &how, &receive));
    pk_receive_progress(receive, &stats);
    b->n_resumed += stats.resumed;
    n = bad_choose(b, stats.next_chunk, order);
    cut = n == 0 ? 0 : (size_t)prng_below(&b->prng, 2 * n);
    for (size_t i = 0; i < n && i <= cut; i++) {
        size_t len = b->wire->lens[order[i]];

        if (i == cut) {
            b->n_cuts++;
            len = 1 + (size_t)prng_below(&b->prng, len);
        }
        assert_ok(bad_feed(b, receive, b->wire->chunks[order[i]], len));
    }
    pk_receive_progress(receive, &stats);
    ck_assert_int_eq(wire_check(repo, b->src, N_COMMITS - 1), stats.complete);
    if (stats.complete) {
        assert_ok(pk_receive_finish(receive));
    } else if (prng_below(&b->prng, 3) > 0) {
        assert_ok(pk_receive_checkpoint(receive));
    }
    pk_receive_close(receive);
    assert_ok(pk_repo_close(repo));
    return stats.complete;
}

static uint64_t rounds(void)
{
    const char *text = getenv("NOTAFS_STREAM_ROUNDS");

    return text == NULL ? 480 : strtoull(text, NULL, 10);
}

static const char *const receive_names[] = {
    "notapack.receive.state", "notapack.receive.list", "notapack.receive.stash",
    "notapack.receive.state.tmp"};

START_TEST(cut_and_resumed)
{
    struct wire_store src;
    struct wire full;
    struct wire rest;
    struct wire old;
    uint64_t n_cuts = 0;
    uint64_t n_resumed = 0;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "smallseeded", N_COMMITS, FILE_LEN);
    assert_ok(wire_send(&full, &mem.env, &src, 0, N_COMMITS, nf_codec_lz4()));
    assert_ok(wire_send(&old, &mem.env, &src, 0, 2, NULL));
    assert_ok(wire_send(&rest, &mem.env, &src, 2, N_COMMITS, NULL));
    for (uint64_t seed = 1; seed <= rounds(); seed++) {
        struct bad b = {prng_seed(seed), &src, {.n_commits = 0}, NULL, 0, 0};
        size_t len;

        wire_empty_init(&b.dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
        b.wire = seed % 2 == 0 ? &full : &rest;
        if (b.wire == &rest) {
            assert_ok(wire_receive(&old, &mem.env, &b.dst));
        }
        for (int i = 0; !bad_connection(&b); i++) {
            ck_assert_msg(i < 400, "seed %llu", (unsigned long long)seed);
        }
        for (size_t i = 0; i < sizeof(receive_names) / sizeof(char *); i++) {
            ck_assert_ptr_null(
                vfs_fault_bytes(&b.dst.files, receive_names[i], &len));
        }
        n_cuts += b.n_cuts;
        n_resumed += b.n_resumed;
        wire_store_deinit(&b.dst);
    }
    printf("%llu cuts, %llu resumed\n", (unsigned long long)n_cuts,
           (unsigned long long)n_resumed);
    ck_assert_uint_gt(n_cuts, rounds());
    wire_deinit(&full);
    wire_deinit(&old);
    wire_deinit(&rest);
    wire_store_deinit(&src);
    ck_assert_uint_eq(mem.live_blocks, 0);
}
END_TEST

/* ------------------------------------------------------------------- forged */

/* A chunk that is whole, of the right stream, and says something else: no
 * commit but those that were sent may come of it. */
START_TEST(forged)
{
    struct wire_store src;
    struct wire wire;
    uint64_t n_refused = 0;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "smallseeded", 6, 300);
    assert_ok(wire_send(&wire, &mem.env, &src, 0, 6, NULL));
    ck_assert_uint_eq(wire.n, 1);
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct prng prng = prng_seed(seed);
        struct wire_store dst;
        struct pk_chunk_info info;
        uint8_t raw[PK_CHUNK_RAW_LEN];
        uint8_t packed[PK_CHUNK_MAX_LEN];
        struct wire bad = {(uint8_t *[]){packed}, &info.len, 1, wire.stats};
        struct pk_repo *repo;
        size_t len = 0;
        int err;

        ck_assert_int_eq(pk_chunk_look(wire.chunks[0], wire.lens[0], &info), 1);
        assert_ok(pk_chunk_decode(NULL, wire.chunks[0], raw, &len));
        raw[prng_below(&prng, len)] ^= (uint8_t)(1 + prng_below(&prng, 255));
        pk_chunk_encode(NULL, raw, len, &info, packed);
        wire_empty_init(&dst, &mem.env, "smallseeded", PK_STRATEGY_MINIMAL);
        err = wire_receive(&bad, &mem.env, &dst);
        ck_assert_msg(
            err == 0 || err == NF_EAGAIN || err == NF_EC_CONFIG ||
                err == NF_EC_PACK_VERSION || err == NF_EC_STREAM_BASE ||
                nf_err_class(err) == NF_ECORRUPT,
            "seed %llu: %s", (unsigned long long)seed, nf_errname(err));
        n_refused += err != 0;
        assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
        ck_assert(wire_check(repo, &src, 5) || err != 0);
        assert_ok(pk_repo_close(repo));
        wire_store_deinit(&dst);
        ck_assert_uint_eq(mem.live_blocks, 0);
    }
    ck_assert_uint_gt(n_refused, 400);
    wire_deinit(&wire);
    wire_store_deinit(&src);
}
END_TEST

/* ------------------------------------------------------- stale and foreign */

static void receive_part(struct wire_store *dst, const struct wire *wire,
                         size_t n, bool checkpoint)
{
    struct pk_receive_options how = {.codec = nf_codec_lz4()};
    struct pk_receive *receive;
    struct pk_repo *repo;

    assert_ok(pk_repo_open(&mem.env, &dst->opts, NULL, &repo));
    assert_ok(pk_receive_open(repo, &how, &receive));
    for (size_t i = 0; i < n; i++) {
        assert_ok(pk_receive_feed(receive, wire->chunks[i], wire->lens[i]));
    }
    if (checkpoint) {
        assert_ok(pk_receive_checkpoint(receive));
    }
    pk_receive_close(receive);
    assert_ok(pk_repo_close(repo));
}

START_TEST(another_stream)
{
    struct wire_store src;
    struct wire_store dst;
    struct wire a;
    struct wire b;
    struct pk_repo *repo;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "kv64", N_COMMITS, FILE_LEN);
    wire_empty_init(&dst, &mem.env, "kv64", PK_STRATEGY_MINIMAL);
    assert_ok(wire_send(&a, &mem.env, &src, 0, N_COMMITS, NULL));
    assert_ok(wire_send(&b, &mem.env, &src, 0, 4, NULL));
    receive_part(&dst, &a, 5, true);
    assert_err(wire_receive(&b, &mem.env, &dst), NF_EC_STREAM_OTHER);
    assert_ok(wire_receive(&a, &mem.env, &dst)); /* it is still of use */
    assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
    ck_assert(wire_check(repo, &src, N_COMMITS - 1));
    assert_ok(pk_receive_forget(repo));
    assert_ok(pk_repo_close(repo));
    wire_deinit(&a);
    wire_deinit(&b);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
}
END_TEST

static void collect(struct wire_store *dst, const struct pk_digest *keep)
{
    struct pk_gc_options gc = {.keep = keep, .n_keep = 1};
    struct pk_repo *repo;
    int more;

    assert_ok(pk_repo_open(&mem.env, &dst->opts, NULL, &repo));
    assert_ok(pk_gc_start(repo, &gc));
    while ((more = pk_gc_step(repo, 1 << 20)) > 0) {
    }
    assert_ok(more);
    assert_ok(pk_gc_finish(repo, NULL));
    assert_ok(pk_repo_close(repo));
}

/* A collection between two parts: what came before it is gone. Beside a
 * receiver none begins. */
START_TEST(collected_meanwhile)
{
    struct pk_receive_options how = {.codec = nf_codec_lz4()};
    struct wire_store src;
    struct wire_store dst;
    struct wire old;
    struct wire rest;
    struct pk_receive_stats stats;
    struct pk_receive *receive;
    struct pk_receive *second;
    struct pk_gc_options gc = {.n_keep = 1};
    struct pk_gc_policy policy = {.free_len = UINT64_MAX};
    struct pk_repo *repo;

    mem_fault_init(&mem);
    wire_store_init(&src, &mem.env, "kv64", N_COMMITS, FILE_LEN);
    wire_empty_init(&dst, &mem.env, "kv64", PK_STRATEGY_MINIMAL);
    assert_ok(wire_send(&old, &mem.env, &src, 0, 2, NULL));
    assert_ok(wire_send(&rest, &mem.env, &src, 2, N_COMMITS, NULL));
    assert_ok(wire_receive(&old, &mem.env, &dst));
    receive_part(&dst, &rest, 6, true);
    collect(&dst, &src.commits[1]);
    assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
    assert_ok(pk_receive_open(repo, &how, &receive));
    pk_receive_progress(receive, &stats);
    ck_assert(!stats.resumed);
    gc.keep = &src.commits[1];
    assert_err(pk_gc_start(repo, &gc), NF_EC_RECEIVING);
    assert_ok(pk_gc_tend(repo, &policy, 1 << 20, NULL));
    assert_err(pk_receive_open(repo, &how, &second), NF_EC_RECEIVING);
    assert_err(pk_receive_finish(receive), NF_EAGAIN);
    pk_receive_close(receive);
    assert_ok(pk_repo_close(repo));
    assert_ok(wire_receive(&rest, &mem.env, &dst));
    assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
    ck_assert(wire_check(repo, &src, N_COMMITS - 1));
    assert_ok(pk_repo_close(repo));
    wire_deinit(&old);
    wire_deinit(&rest);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
}
END_TEST

UNIT_MAIN("pack/stream/stream", every_configuration, only_what_is_new,
          nothing_is_stored_twice, other_configuration, same_stream_twice,
          bounded_memory, cut_and_resumed, forged, another_stream,
          collected_meanwhile)
