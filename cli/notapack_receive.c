/* SPDX-License-Identifier: ISC */
/*
 * receive. What comes is taken as far as it is whole; an end before the end of
 * the stream, or a signal, leaves what came where it is, and the user is told
 * how to go on. Branches are changed at the very end.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <notafs/codec_lz4.h>

#include "cli/notapack_stream.h"

static int receive_fail(const char *name)
{
    fprintf(stderr, "notapack: %s: %s\n", name, strerror(errno));
    return NP_FAILED;
}

static void token_print(FILE *out, const uint8_t *id, uint64_t chunk)
{
    for (size_t i = 0; i < PK_STREAM_ID_LEN; i++) {
        fprintf(out, "%02x", id[i]);
    }
    fprintf(out, ":%llu", (unsigned long long)chunk);
}

static void receive_tell(struct np_store *store,
                         const struct pk_receive_stats *s)
{
    FILE *out = store->options->json ? stderr : stdout;

    if (!s->started) {
        fprintf(out, "nothing is half received\n");
        return;
    }
    fprintf(out, "received %llu chunks", (unsigned long long)s->next_chunk);
    if (s->last_chunk != NF_NOWHERE) {
        fprintf(out, " of %llu", (unsigned long long)s->last_chunk + 1);
    }
    if (s->objects > 0) {
        fprintf(out, ", %llu of %llu objects",
                (unsigned long long)s->objects_done,
                (unsigned long long)s->objects);
    }
    if (s->stashed > 0) {
        fprintf(out, ", and %llu chunks ahead", (unsigned long long)s->stashed);
    }
    fprintf(out, "\nto go on: notapack send --resume ");
    token_print(out, s->id, s->next_chunk);
    fprintf(out, " ...\n");
}

static int receive_file(struct np_store *store, struct pk_receive *receive,
                        FILE *file, const char *name)
{
    static uint8_t buf[1 << 16];
    struct pk_receive_stats stats;
    struct np_eta progress;
    int err = 0;

    np_eta_begin(&progress, store->options);
    while (err == 0 && np_signals_caught() == 0) {
        ssize_t n = read(fileno(file), buf, sizeof(buf));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            err = n < 0 ? receive_fail(name) : 0;
            break;
        }
        err = pk_receive_feed(receive, buf, (size_t)n);
        if (err != 0) {
            np_eta_end(&progress);
            err = np_complain(store, err, name);
        }
        pk_receive_progress(receive, &stats);
        np_eta_show(&progress, "receiving", stats.objects_done, stats.objects);
    }
    np_eta_end(&progress);
    return err;
}

/* The names that come with a stream become branches; -b NAME: that one. */
static int receive_branches(struct np_store *store, struct pk_receive *receive,
                            json_t *list)
{
    struct np_arrival arrival = {store, store->options->force, list, 0};
    int err = pk_receive_refs(receive, np_arrive, &arrival);

    if (err != 0) {
        return np_complain(store, err, "branches");
    }
    return arrival.n_refused > 0 ? NP_FAILED : 0;
}

static int receive_end(struct np_store *store, struct pk_receive *receive)
{
    json_t *list = store->options->json ? json_array() : NULL;
    struct pk_receive_stats stats;
    int err;

    pk_receive_progress(receive, &stats);
    if (!stats.complete) {
        err = pk_receive_checkpoint(receive);
        if (err != 0) {
            return np_complain(store, err, "receive");
        }
        fprintf(stderr, np_signals_caught() != 0
                            ? "notapack: interrupted\n"
                            : "notapack: the stream is not complete\n");
        receive_tell(store, &stats);
        json_decref(list);
        return np_signals_caught() != 0 ? 128 + np_signals_caught() : NP_FAILED;
    }
    err = pk_receive_finish(receive);
    if (err != 0) {
        json_decref(list);
        return np_complain(store, err, "receive");
    }
    err = receive_branches(store, receive, list);
    if (list != NULL) {
        np_json_put(json_pack("{s:I,s:I,s:I,s:I,s:o}", "objects",
                              (json_int_t)stats.objects, "known",
                              (json_int_t)stats.objects_known, "chunks",
                              (json_int_t)stats.chunks_taken, "bytes_passed",
                              (json_int_t)stats.bytes_bad, "branches", list));
    }
    return err;
}

static int receive_status(struct np_store *store, struct pk_receive *receive)
{
    struct pk_receive_stats stats;

    pk_receive_progress(receive, &stats);
    receive_tell(store, &stats);
    return pk_receive_checkpoint(receive) == 0 ? 0 : NP_FAILED;
}

static int receive_open(const char *name, FILE **ret)
{
    if (strcmp(name, "-") == 0) {
        *ret = stdin;
        return 0;
    }
    *ret = fopen(name, "re");
    return *ret != NULL ? 0 : receive_fail(name);
}

int np_receive(const struct np_options *options, int n_words, char **words)
{
    struct pk_receive_options how = {.codec = nf_codec_lz4()};
    struct np_scratch scratch = {.posix = NULL};
    struct pk_receive *receive = NULL;
    FILE *file = NULL;
    struct np_store store;
    int err;

    if (n_words < 2 && !options->status && !options->abort) {
        fprintf(stderr, "usage: notapack -s STORE receive FILE|-\n");
        return NP_USAGE;
    }
    err = np_store_open(&store, options, PK_OPEN_WRITE);
    if (err != 0) {
        return err;
    }
    np_signals_catch();
    if (options->abort) {
        err = pk_receive_forget(store.repo);
        err = err == 0 ? 0 : np_complain(&store, err, words[0]);
        return np_store_close(&store) != 0 ? NP_FAILED : err;
    }
    if (!options->status) {
        err = receive_open(words[1], &file);
    }
    if (err == 0) {
        err = np_scratch_open(&scratch);
        how.scratch = &scratch.vfs;
    }
    if (err == 0) {
        err = pk_receive_open(store.repo, &how, &receive);
        err = err == 0 ? 0 : np_complain(&store, err, words[0]);
    }
    if (err == 0) {
        err = options->status ? receive_status(&store, receive)
                              : receive_file(&store, receive, file, words[1]);
    }
    if (err == 0 && !options->status) {
        err = receive_end(&store, receive);
    }
    pk_receive_close(receive);
    np_scratch_close(&scratch);
    if (file != NULL && file != stdin) {
        (void)fclose(file); /* only read */
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}
