/* SPDX-License-Identifier: ISC */
/*
 * send, and snapshot as a stream. A file is written beside its place, as
 * FILE.part, and put there when it is whole; what an earlier run left of it is
 * not written again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <notafs/codec_lz4.h>

#include "cli/notapack_stream.h"

/* The receiver of the bytes. */
struct sink {
    const char *name; /* NULL: standard output */
    char *part;
    FILE *file;
    bool has_id; /* of what was there */
    uint8_t id[PK_STREAM_ID_LEN];
    uint64_t first; /* chunk that is to come */
};

static int sink_fail(const char *name)
{
    fprintf(stderr, "notapack: %s: %s\n", name, strerror(errno));
    return NP_FAILED;
}

/* Keep the whole chunks at the front of the file. */
static int sink_scan(struct sink *sink)
{
    uint8_t *buf = malloc(PK_CHUNK_MAX_LEN);
    struct pk_chunk_info info;
    off_t at = 0;
    int err = buf == NULL ? NP_FAILED : 0;

    while (err == 0) {
        size_t n;

        if (fseeko(sink->file, at, SEEK_SET) != 0) {
            err = sink_fail(sink->part);
            break;
        }
        n = fread(buf, 1, PK_CHUNK_MAX_LEN, sink->file);
        if (n == 0 || pk_chunk_look(buf, n, &info) != 1 || info.last ||
            info.number != sink->first ||
            (sink->has_id && memcmp(info.id, sink->id, sizeof(info.id)) != 0)) {
            break;
        }
        memcpy(sink->id, info.id, sizeof(info.id));
        sink->has_id = true;
        sink->first++;
        at += (off_t)info.len;
    }
    free(buf);
    if (err == 0 && (ferror(sink->file) || fflush(sink->file) != 0 ||
                     ftruncate(fileno(sink->file), at) != 0 ||
                     fseeko(sink->file, at, SEEK_SET) != 0)) {
        err = sink_fail(sink->part);
    }
    return err;
}

static int sink_open(struct sink *sink, const char *name)
{
    memset(sink, 0, sizeof(*sink));
    if (strcmp(name, "-") == 0) {
        if (isatty(1)) {
            fprintf(stderr, "notapack: a stream is nothing for a terminal\n");
            return NP_USAGE;
        }
        sink->file = stdout;
        return 0;
    }
    sink->name = name;
    if (asprintf(&sink->part, "%s.part", name) < 0) {
        sink->part = NULL;
        return np_complain_info(name, NF_ENOMEM, NULL);
    }
    sink->file = fopen(sink->part, "r+e");
    if (sink->file != NULL) {
        return sink_scan(sink);
    }
    sink->file = fopen(sink->part, "w+xe");
    return sink->file != NULL ? 0 : sink_fail(sink->part);
}

/* Everything is in: put it into its place. */
static int sink_commit(struct sink *sink)
{
    if (fflush(sink->file) != 0) {
        return sink_fail(sink->name != NULL ? sink->part : "standard output");
    }
    if (sink->name == NULL) {
        return 0;
    }
    if (fsync(fileno(sink->file)) != 0) {
        return sink_fail(sink->part);
    }
    return rename(sink->part, sink->name) == 0 ? 0 : sink_fail(sink->name);
}

static void sink_close(struct sink *sink)
{
    if (sink->file != NULL && sink->name != NULL) {
        (void)fclose(sink->file); /* committed, or to be gone on with */
    }
    free(sink->part);
}

/* ----------------------------------------------------------------- the run */

static int sink_write(struct sink *sink, struct pk_slice chunk)
{
    return fwrite(chunk.p, 1, chunk.len, sink->file) == chunk.len
               ? 0
               : sink_fail(sink->name != NULL ? sink->part : "standard output");
}

/* 1: the stream is another than what is there of it. */
static int send_chunks(struct np_store *store, struct pk_send *send,
                       struct sink *sink, struct np_eta *progress)
{
    struct pk_send_stats stats = {0};
    struct pk_slice chunk;
    bool planned = false;
    int err = 0;
    int got;

    while (np_signals_caught() == 0 &&
           (got = pk_send_next(send, &chunk)) != 0) {
        if (got < 0) {
            return np_complain(store, got, "send");
        }
        pk_send_progress(send, &stats);
        if (stats.planned && !planned) {
            planned = true;
            np_eta_restart(progress);
            if (sink->has_id &&
                memcmp(stats.id, sink->id, sizeof(sink->id)) != 0) {
                return -1;
            }
        }
        if (chunk.len > 0) {
            err = sink_write(sink, chunk);
        }
        if (err != 0) {
            return err;
        }
        np_eta_show(progress, planned ? "sending" : "finding objects",
                    planned ? stats.objects_done : stats.visited,
                    planned ? stats.objects : 0);
    }
    return 0;
}

static bool token_parse(const char *text, uint8_t *id, uint64_t *chunk)
{
    unsigned long long n;
    unsigned byte;
    int used = 0;

    for (size_t i = 0; i < PK_STREAM_ID_LEN; i++) {
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        id[i] = (uint8_t)byte;
    }
    if (strlen(text) < 2 * PK_STREAM_ID_LEN ||
        sscanf(text + 2 * PK_STREAM_ID_LEN, ":%llu%n", &n, &used) != 1 ||
        text[2 * PK_STREAM_ID_LEN + (size_t)used] != '\0') {
        return false;
    }
    *chunk = n;
    return true;
}

static void send_report(const struct np_options *o, const struct sink *sink,
                        const struct pk_send_stats *s)
{
    FILE *out = sink->name == NULL ? stderr : stdout;

    if (o->json && sink->name != NULL) {
        char id[2 * PK_STREAM_ID_LEN + 1];

        for (size_t i = 0; i < PK_STREAM_ID_LEN; i++) {
            (void)snprintf(id + 2 * i, 3, "%02x", s->id[i]);
        }
        np_json_put(json_pack(
            "{s:s,s:I,s:I,s:I,s:I}", "stream", id, "objects",
            (json_int_t)s->objects, "links", (json_int_t)s->links, "chunks",
            (json_int_t)s->chunks, "bytes", (json_int_t)s->bytes_out));
    } else if (!o->quiet) {
        fprintf(out, "sent %llu objects in %llu chunks, %llu bytes\n",
                (unsigned long long)s->objects, (unsigned long long)s->chunks,
                (unsigned long long)s->bytes_out);
    }
}

static int send_run(struct np_store *store, const struct np_bundle *bundle,
                    bool alone, struct sink *sink)
{
    struct pk_send_options options = {.commits = bundle->commits,
                                      .n_commits = bundle->n_commits,
                                      .have = bundle->have,
                                      .n_have = bundle->n_have,
                                      .refs = bundle->refs,
                                      .n_refs = bundle->n_refs,
                                      .alone = alone,
                                      .codec = nf_codec_lz4()};
    struct pk_send_stats stats = {0};
    struct np_eta progress;
    struct np_scratch scratch;
    struct pk_send *send = NULL;
    int err = np_scratch_open(&scratch);

    options.scratch = &scratch.vfs;
    options.first_chunk = sink->first;
    np_eta_begin(&progress, store->options);
    if (err == 0) {
        err = pk_send_open(store->repo, &options, &send);
        err = err == 0 ? 0 : np_complain(store, err, "send");
    }
    if (err == 0) {
        err = send_chunks(store, send, sink, &progress);
        pk_send_progress(send, &stats);
    }
    np_eta_end(&progress);
    pk_send_close(send);
    np_scratch_close(&scratch);
    if (err == 0 && np_signals_caught() != 0) {
        (void)fflush(sink->file); /* what is not there is written again */
        fprintf(stderr, "notapack: interrupted\n");
        return 128 + np_signals_caught();
    }
    if (err == 0) {
        err = sink_commit(sink);
    }
    if (err == 0) {
        send_report(store->options, sink, &stats);
    }
    return err;
}

/* What is there already is of another stream: begin anew. */
static int sink_restart(struct sink *sink)
{
    sink->has_id = false;
    sink->first = 0;
    rewind(sink->file);
    return ftruncate(fileno(sink->file), 0) == 0 ? 0 : sink_fail(sink->part);
}

static int send_to(struct np_store *store, const struct np_bundle *bundle,
                   bool alone, const char *name)
{
    const char *token = store->options->resume;
    struct sink sink;
    int err = sink_open(&sink, name);

    if (err == 0 && token != NULL) {
        sink.has_id = true;
        if (!token_parse(token, sink.id, &sink.first)) {
            fprintf(stderr, "notapack: %s: no such thing as receive tells\n",
                    token);
            err = NP_USAGE;
        }
    }
    if (err == 0) {
        err = send_run(store, bundle, alone, &sink);
    }
    if (err == -1 && token != NULL) {
        fprintf(stderr, "notapack: the stream is another now: send it from "
                        "its beginning, and receive --abort there\n");
        err = NP_FAILED;
    } else if (err == -1) {
        err = sink_restart(&sink);
        if (err == 0) {
            err = send_run(store, bundle, alone, &sink);
        }
    }
    sink_close(&sink);
    return err;
}

int np_send_words(const struct np_options *options, bool alone, const char *to,
                  int n_words, char **words)
{
    struct np_bundle bundle = {0};
    struct np_store store;
    int err = np_store_open(&store, options, 0);

    if (err != 0) {
        return err;
    }
    np_signals_catch();
    err = np_bundle_words(&bundle, &store, n_words, words);
    if (err == 0 && bundle.n_commits == 0) {
        fprintf(stderr, "notapack: no branch has a commit to send\n");
        err = NP_FAILED;
    }
    if (err == 0) {
        err = send_to(&store, &bundle, alone, to);
    }
    np_bundle_free(&bundle);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

int np_send(const struct np_options *options, int n_words, char **words)
{
    return np_send_words(options, options->alone, words[1], n_words - 2,
                         words + 2);
}
