/* SPDX-License-Identifier: ISC */
/* What the commands share that carry commits from one store to another. */
#ifndef NOTAPACK_STREAM_H
#define NOTAPACK_STREAM_H

#include <notafs/stream.h>
#include <notafs/vfs_posix.h>

#include "cli/notapack_eta.h"

/* A folder for scratch files, gone when it is closed. */
struct np_scratch {
    char path[4096];
    struct pk_vfs_posix *posix;
    struct pk_vfs vfs;
};
int np_scratch_open(struct np_scratch *scratch);
void np_scratch_close(struct np_scratch *scratch);

/* What is to be sent, gathered from words and branches. */
struct np_bundle {
    struct pk_digest *commits;
    size_t n_commits;
    struct pk_digest *have;
    size_t n_have;
    struct pk_stream_ref *refs;
    size_t n_refs;
};
void np_bundle_free(struct np_bundle *bundle);

/* Branch names, commits, and ^commits that the receiver has; no words: all
 * branches. Told what is wrong. */
int np_bundle_words(struct np_bundle *bundle, struct np_store *store,
                    int n_words, char **words);

/* send to a file or "-", of what the words say. */
int np_send_words(const struct np_options *options, bool alone, const char *to,
                  int n_words, char **words);

/* What the branches of a stream become here. */
struct np_arrival {
    struct np_store *store;
    bool force;
    json_t *json; /* a list, or NULL */
    size_t n_refused;
};

/* A branch of a stream: made, moved forwards, or refused. A commit without a
 * name is what the user's --branch shall be. arg: np_arrival. */
int np_arrive(void *arg, struct pk_slice name, const struct pk_digest *hash);

#endif
