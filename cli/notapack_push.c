/* SPDX-License-Identifier: ISC */
/*
 * push, pull, clone: a stream from one store to another without leaving the
 * program. What the receiver has is found by going back from what it shall
 * have, as far as it has it not.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/notapack_stream.h"

/* The two ends. */
struct transfer {
    struct np_store src;
    struct np_store dst;
    struct np_bundle bundle;
    struct np_eta progress;
    struct pk_send_stats sent;
};

/* ------------------------------------------------------------- negotiation */

/* Commits that were looked at: a table with free slots all zero. */
struct seen {
    struct pk_digest *slots;
    size_t n_slots; /* a power of two */
    size_t n;
    struct pk_digest *todo; /* those to look at */
    size_t n_todo;
    size_t cap_todo;
};

static struct pk_digest *seen_slot(const struct seen *seen,
                                   const struct pk_digest *hash)
{
    static const struct pk_digest none;
    uint64_t h;
    size_t i;

    memcpy(&h, hash->b, sizeof(h));
    i = (size_t)(h * 0x9e3779b97f4a7c15u >> 32) & (seen->n_slots - 1);
    while (memcmp(&seen->slots[i], &none, sizeof(none)) != 0 &&
           memcmp(&seen->slots[i], hash, sizeof(*hash)) != 0) {
        i = (i + 1) & (seen->n_slots - 1);
    }
    return &seen->slots[i];
}

static int seen_grow(struct seen *seen)
{
    static const struct pk_digest none;
    struct seen old = *seen;

    seen->n_slots = old.n_slots == 0 ? 256 : old.n_slots * 2;
    seen->slots = calloc(seen->n_slots, sizeof(*seen->slots));
    if (seen->slots == NULL) {
        *seen = old;
        return NF_ENOMEM;
    }
    for (size_t i = 0; i < old.n_slots; i++) {
        if (memcmp(&old.slots[i], &none, sizeof(none)) != 0) {
            *seen_slot(seen, &old.slots[i]) = old.slots[i];
        }
    }
    free(old.slots);
    return 0;
}

/* Look at this one later, unless it was before. */
static int seen_add(struct seen *seen, const struct pk_digest *hash)
{
    struct pk_digest *slot;

    if (2 * (seen->n + 1) > seen->n_slots && seen_grow(seen) != 0) {
        return NF_ENOMEM;
    }
    slot = seen_slot(seen, hash);
    if (memcmp(slot, hash, sizeof(*hash)) == 0) {
        return 0;
    }
    if (seen->n_todo == seen->cap_todo) {
        size_t cap = seen->cap_todo * 2 + 64;
        struct pk_digest *todo = realloc(seen->todo, cap * sizeof(*todo));

        if (todo == NULL) {
            return NF_ENOMEM;
        }
        seen->todo = todo;
        seen->cap_todo = cap;
    }
    *slot = *hash;
    seen->n++;
    seen->todo[seen->n_todo++] = *hash;
    return 0;
}

/* The receiver has it, or the sender tells what is behind it. */
static int negotiate_one(struct transfer *t, struct seen *seen)
{
    struct np_bundle *b = &t->bundle;
    struct pk_digest hash = seen->todo[--seen->n_todo];
    struct pk_commit *commit = NULL;
    uint64_t off;
    /* Not pk_commit_find, which would look for the reason that it is not there.
     */
    int err = pk_view_find(t->dst.repo, &hash, &off);

    if (err == 0) {
        struct pk_digest *more =
            realloc(b->have, (b->n_have + 1) * sizeof(*more));

        if (more == NULL) {
            return NF_ENOMEM;
        }
        b->have = more;
        more[b->n_have++] = hash;
        return 0;
    }
    if (nf_err_class(err) != NF_ENOENT) {
        return np_complain(&t->dst, err, "commit");
    }
    err = pk_commit_find(t->src.repo, &hash, &commit);
    for (size_t i = 0; err == 0 && i < commit->n_parents; i++) {
        err = seen_add(seen, &commit->parents[i]);
    }
    pk_commit_free(t->src.repo, commit);
    return nf_err_class(err) == NF_ENOENT ? 0 : err;
}

static int negotiate(struct transfer *t)
{
    struct seen seen = {.n = 0};
    int err = 0;

    for (size_t i = 0; i < t->bundle.n_commits && err == 0; i++) {
        err = seen_add(&seen, &t->bundle.commits[i]);
    }
    while (err == 0 && seen.n_todo > 0 && np_signals_caught() == 0) {
        err = negotiate_one(t, &seen);
    }
    free(seen.slots);
    free(seen.todo);
    return err < 0 ? np_complain(&t->src, err, "what is to be sent") : err;
}

/* ---------------------------------------------------------------- transfer */

static int transfer_chunks(struct transfer *t, struct pk_send *send,
                           struct pk_receive *receive)
{
    struct pk_slice chunk;
    bool planned = false;
    int err = 0;
    int got = 0;

    while (err == 0 && np_signals_caught() == 0 &&
           (got = pk_send_next(send, &chunk)) > 0) {
        if (chunk.len > 0) {
            err = pk_receive_feed(receive, chunk.p, chunk.len);
        }
        pk_send_progress(send, &t->sent);
        if (t->sent.planned && !planned) {
            planned = true;
            np_eta_restart(&t->progress);
        }
        np_eta_show(&t->progress, planned ? "sending" : "finding objects",
                    planned ? t->sent.objects_done : t->sent.visited,
                    planned ? t->sent.objects : 0);
    }
    np_eta_end(&t->progress);
    if (got < 0) {
        return np_complain(&t->src, got, "send");
    }
    return err == 0 ? 0 : np_complain(&t->dst, err, "receive");
}

static int transfer_end(struct transfer *t, struct pk_receive *receive)
{
    int err;

    if (np_signals_caught() != 0) {
        fprintf(stderr, "notapack: interrupted; no branch was changed\n");
        return 128 + np_signals_caught();
    }
    err = pk_receive_finish(receive);
    return err == 0 ? 0 : np_complain(&t->dst, err, "receive");
}

/* All objects; nothing to do if all are there. */
static int transfer_objects(struct transfer *t)
{
    struct pk_send_options how = {.commits = t->bundle.commits,
                                  .n_commits = t->bundle.n_commits,
                                  .have = t->bundle.have,
                                  .n_have = t->bundle.n_have};
    struct pk_receive_options receiving = {.checkpoint_len = UINT64_MAX};
    struct pk_receive *receive = NULL;
    struct pk_send *send = NULL;
    struct np_scratch scratch;
    int err = np_scratch_open(&scratch);

    how.scratch = &scratch.vfs;
    if (err == 0) {
        err = pk_receive_open(t->dst.repo, &receiving, &receive);
        err = err == 0 ? 0 : np_complain(&t->dst, err, "receive");
    }
    if (err == 0) {
        err = pk_send_open(t->src.repo, &how, &send);
        err = err == 0 ? 0 : np_complain(&t->src, err, "send");
    }
    np_eta_begin(&t->progress, t->src.options);
    if (err == 0) {
        err = transfer_chunks(t, send, receive);
    }
    if (err == 0) {
        err = transfer_end(t, receive);
    }
    pk_send_close(send);
    pk_receive_close(receive);
    np_scratch_close(&scratch);
    return err;
}

static int transfer_branches(struct transfer *t)
{
    const struct np_options *o = t->dst.options;
    json_t *list = o->json ? json_array() : NULL;
    struct np_arrival arrival = {&t->dst, o->force, list, 0};
    int err = 0;

    for (size_t i = 0; i < t->bundle.n_refs && err == 0; i++) {
        const struct pk_stream_ref *ref = &t->bundle.refs[i];

        err = np_arrive(&arrival, ref->name, &t->bundle.commits[ref->commit]);
    }
    if (err != 0) {
        err = np_complain(&t->dst, err, "branch");
    }
    if (list != NULL) {
        np_json_put(json_pack("{s:I,s:I,s:o}", "objects",
                              (json_int_t)t->sent.objects, "links",
                              (json_int_t)t->sent.links, "branches", list));
    } else if (!o->quiet && err == 0) {
        printf("%llu objects sent\n", (unsigned long long)t->sent.objects);
    }
    return err == 0 && arrival.n_refused > 0 ? NP_FAILED : err;
}

static int transfer_run(struct transfer *t, int n_words, char **words)
{
    bool all = false;
    int err;

    np_signals_catch();
    err = np_bundle_words(&t->bundle, &t->src, n_words, words);
    if (err == 0) {
        err = negotiate(t);
    }
    if (err == 0) {
        all = true;
        for (size_t i = 0; i < t->bundle.n_commits && all; i++) {
            uint64_t off;

            all = pk_view_find(t->dst.repo, &t->bundle.commits[i], &off) == 0;
        }
    }
    if (err == 0 && !all) {
        err = transfer_objects(t);
    }
    if (err == 0) {
        err = transfer_branches(t);
    }
    np_bundle_free(&t->bundle);
    return err;
}

/* From src to dst, which is made if so said. */
static int transfer(const struct np_options *src, const struct np_options *dst,
                    bool create, int n_words, char **words)
{
    struct np_options from = *src;
    struct np_options into = *dst;
    struct transfer t = {.sent = {0}};
    char config[256];
    int err;

    from.shares = np_same_image(src, dst);
    err = np_store_open(&t.src, &from, 0);
    if (err != 0) {
        return err;
    }
    into.beside = &t.src;
    if (create) {
        pk_config_print(&t.src.config, config, sizeof(config));
        into.config = config;
    }
    err =
        np_store_open(&t.dst, &into,
                      PK_OPEN_WRITE | (create ? (uint32_t)PK_OPEN_CREATE : 0u));
    if (err == 0) {
        if (create) {
            err = np_config_record(&t.dst);
            err = err == 0 ? 0 : np_complain(&t.dst, err, into.store);
        }
        if (err == 0) {
            err = transfer_run(&t, n_words, words);
        }
        if (np_store_close(&t.dst) != 0) {
            err = NP_FAILED;
        }
    }
    return np_store_close(&t.src) != 0 ? NP_FAILED : err;
}

/* The other store: what is said of ours is not said of it. */
static struct np_options other(const struct np_options *options,
                               const char *store)
{
    struct np_options o = *options;

    o.store = store;
    o.lower = NULL;
    o.config = NULL;
    return o;
}

int np_push(const struct np_options *options, int n_words, char **words)
{
    struct np_options dst = other(options, words[1]);

    return transfer(options, &dst, false, n_words - 2, words + 2);
}

int np_pull(const struct np_options *options, int n_words, char **words)
{
    struct np_options src = other(options, words[1]);

    return transfer(&src, options, false, n_words - 2, words + 2);
}

int np_clone(const struct np_options *options, int n_words, char **words)
{
    struct np_options src = *options;
    struct np_options dst = other(options, words[2]);

    src.store = words[1];
    return transfer(&src, &dst, true, n_words - 3, words + 3);
}
