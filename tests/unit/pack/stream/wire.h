/* SPDX-License-Identifier: ISC */
/* What the tests of streams share: a store to send, a stream as an array of
 * chunks, and what a receiver's store must look like at any time. */
#ifndef TESTS_STREAM_WIRE_H
#define TESTS_STREAM_WIRE_H

#include <notafs/stream.h>

#include "tests/unit/pack/store/kit.h"

enum { WIRE_MAX_COMMITS = 24 };

/* A store with a history in one line; files grow a directory of many inodes,
 * and contents so much that the stream has several chunks. */
struct wire_store {
    struct vfs_fault files;
    struct pk_open opts;
    struct pk_digest commits[WIRE_MAX_COMMITS];
    struct pk_digest roots[WIRE_MAX_COMMITS];
    size_t n_commits;
};
void wire_store_init(struct wire_store *w, const struct nf_env *env,
                     const char *config, size_t n_commits, uint32_t file_len);
void wire_store_deinit(struct wire_store *w);

/* The one that a configuration is used with. */
enum pk_strategy wire_strategy(const char *config);

/* An empty store of the same configuration. */
void wire_empty_init(struct wire_store *w, const struct nf_env *env,
                     const char *config, enum pk_strategy strategy);

/* The chunks of a stream. */
struct wire {
    uint8_t **chunks;
    size_t *lens;
    size_t n;
    struct pk_send_stats stats;
};

/* The commits numbered below `to`, for one who has those below `from` (0:
 * nothing). */
int wire_send(struct wire *wire, const struct nf_env *env,
              struct wire_store *from_store, size_t from, size_t to,
              const struct nf_codec *codec);
void wire_deinit(struct wire *wire);

/* All of it into a store. */
int wire_receive(const struct wire *wire, const struct nf_env *env,
                 struct wire_store *into);

/* Branch main, by which a receiver knows what it has. */
void wire_set_branch(struct wire_store *w, const struct nf_env *env,
                     const struct pk_digest *hash);

/* Every commit in the index is one of src's and whole; pk_check finds nothing;
 * whether the one numbered `last` is there. */
bool wire_check(struct pk_repo *repo, const struct wire_store *src,
                size_t last);

#endif
