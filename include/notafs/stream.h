/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_STREAM_H
#define NOTAFS_STREAM_H

#include <notafs/codec.h>
#include <notafs/pack.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Streams: commits on their way from one store to another, in chunks of at
 * most PK_CHUNK_MAX_LEN bytes that stand for themselves
 * (docs/format-stream.md). Chunks may be lost, doubled, damaged and shuffled on
 * the way; a receiver takes each when it comes, tells which it lacks, and goes
 * on where it was after a crash. Two runs of a sender with the same options
 * over the same store make the same stream, so that one can go on where another
 * ended.
 *
 * What is received is verified on arrival: each chunk by its checksum, each
 * object when it is stored, by its hash. A commit is stored behind all that it
 * needs; until it is there nothing shows of it, and no branch is ever changed.
 *
 * Units, Owns, Errors, Threads: as in pack.h.
 */
enum {
    PK_CHUNK_RAW_LEN = 65536, /* bytes of the stream in a chunk */
    PK_CHUNK_HEAD_LEN = 64,
    PK_CHUNK_MAX_LEN = PK_CHUNK_HEAD_LEN + 7 + 4 + PK_CHUNK_RAW_LEN + 4,
    PK_STREAM_ID_LEN = 16,
};

struct pk_chunk_info {
    uint8_t id[PK_STREAM_ID_LEN]; /* of the stream */
    uint64_t number;              /* counted from 0 */
    bool last;
    size_t len; /* bytes of the chunk */
};

/* Is there a whole chunk at p? 1: it is, *ret_info tells; 0: perhaps, with more
 * bytes. Errors: NF_EC_STREAM: no. */
NF_MUST_USE int pk_chunk_look(const uint8_t *p, size_t len,
                              struct pk_chunk_info *ret_info);

/* ----------------------------------------------------------------- sending */

/* The name of a branch that goes along. */
struct pk_stream_ref {
    struct pk_slice name;
    size_t commit; /* which of the commits */
};

struct pk_send_options {
    const struct pk_digest *commits; /* what the receiver shall have */
    size_t n_commits;                /* >= 1 */
    const struct pk_digest *have;    /* what it has, whole */
    size_t n_have;
    const struct pk_stream_ref *refs;
    size_t n_refs;
    bool alone; /* not their ancestors */
    const struct pk_vfs *scratch;
    const struct nf_codec *codec; /* NULL: not compressed */
    size_t mem_len;               /* for what is to be visited; 0: 4 MiB */
    uint64_t first_chunk;         /* those before were had */
};

/*
 * Begin. Ancestors are followed as far as the store has them; those that
 * `have` names, and their trees, are left out.
 *
 * Owns:   all that options point to is borrowed until pk_send_close. The files
 *         notapack.send.* of scratch are made and removed.
 * Errors: NF_EC_NO_COMMIT, NF_EC_COLLECTED; NF_ENOTSUP: a reference ahead, in a
 *         store of V1.
 * Cost:   memory: mem_len, 2 MiB, and four times the largest object, whatever
 *         the number of objects; scratch: 8 bytes for each.
 */
struct pk_send;
NF_MUST_USE int pk_send_open(struct pk_repo *repo,
                             const struct pk_send_options *options,
                             struct pk_send **ret_send);

/*
 * Go on: visit some objects, or make a chunk. 1: *ret_chunk is the next one,
 * until the next call, or of length 0 as long as there is none; 0: that was the
 * last. After an error the sender can only be closed.
 */
NF_MUST_USE int pk_send_next(struct pk_send *send, struct pk_slice *ret_chunk);

struct pk_send_stats {
    bool planned; /* everything is visited; what follows is known then only */
    uint8_t id[PK_STREAM_ID_LEN];
    uint64_t objects; /* to be sent */
    uint64_t objects_done;
    uint64_t bytes; /* that they take in this store */
    uint64_t bytes_done;
    uint64_t links; /* references into what the receiver has */
    uint64_t chunks;
    uint64_t bytes_out; /* of the chunks */
    uint64_t visited;
    uint64_t spilled; /* records of the work list that went to scratch */
};
void pk_send_progress(const struct pk_send *send, struct pk_send_stats *ret);
void pk_send_close(struct pk_send *send);

/* --------------------------------------------------------------- receiving */

struct pk_receive_options {
    const struct nf_codec *codec; /* NULL: only what is not compressed */
    uint64_t checkpoint_len;      /* bytes between two checkpoints; 0: 16 MiB */

    /* Or NULL. Of a stream that was not made for what the receiver has, do not
     * store again what its branches reach: they are gone through when the front
     * comes, for an index in here. 12 MiB more memory. */
    const struct pk_vfs *scratch;
};

/*
 * Begin, or go on with what was received in part, of which the files
 * notapack.receive.* in the store tell. One at a time for a store; no garbage
 * collection begins meanwhile, and one between two parts lets the second begin
 * anew.
 *
 * Errors: NF_EROFS, NF_EC_RECEIVING, NF_EC_GC_RUNNING.
 * Cost:   memory: 1 MiB, and four times the largest object, whatever the number
 *         of objects, beside the store's own; in the store: 8 bytes for each
 *         object, and chunks that came too early, up to 4096.
 */
struct pk_receive;
NF_MUST_USE int pk_receive_open(struct pk_repo *repo,
                                const struct pk_receive_options *options,
                                struct pk_receive **ret_receive);

/*
 * Take bytes of the stream, in pieces of any size. What is no whole chunk is
 * passed over, in search of the next one; what is there already is, too.
 *
 * Errors: NF_EC_STREAM, NF_EC_HASH: no chunk, but what is in it is wrong: the
 *         stream is bad, what was received of it is forgotten. NF_EC_CONFIG: of
 *         a store of another kind. NF_EC_STREAM_BASE, NF_EC_STREAM_OTHER,
 *         NF_EC_STREAM_STALE, NF_EC_NO_CODEC; those of storing. After an error
 *         it can only be closed.
 */
NF_MUST_USE int pk_receive_feed(struct pk_receive *receive, const uint8_t *p,
                                size_t len);

struct pk_receive_stats {
    bool started; /* a chunk came, now or earlier */
    bool complete;
    bool resumed; /* from a checkpoint */
    uint8_t id[PK_STREAM_ID_LEN];
    uint64_t next_chunk; /* the first that is lacking */
    uint64_t last_chunk; /* NF_NOWHERE: not known yet */
    uint64_t stashed;    /* chunks beyond next_chunk that are here */
    uint64_t objects;    /* 0: not known yet */
    uint64_t objects_done;
    uint64_t objects_known; /* of these: they were here */
    uint64_t bytes;         /* that they took where they come from */
    uint64_t bytes_in;
    uint64_t chunks_taken;
    uint64_t chunks_again; /* had them already */
    uint64_t chunks_full;  /* came too early, and there was no room */
    uint64_t chunks_other; /* of another stream */
    uint64_t bytes_bad;    /* passed over */
    uint64_t checkpoints;
};
void pk_receive_progress(const struct pk_receive *receive,
                         struct pk_receive_stats *ret);

/* Is this chunk here? */
bool pk_receive_has(const struct pk_receive *receive, uint64_t chunk);

/* Of a stream whose front has come: each commit, and the name that goes with
 * it, p NULL if none does. */
typedef int (*pk_stream_ref_fn)(void *arg, struct pk_slice name,
                                const struct pk_digest *commit);
NF_MUST_USE int pk_receive_refs(struct pk_receive *receive, pk_stream_ref_fn fn,
                                void *arg);

/* Make durable what has come; a later receiver goes on from here. */
NF_MUST_USE int pk_receive_checkpoint(struct pk_receive *receive);

/* It is complete: make it durable and remove the files. Errors: NF_EAGAIN: it
 * is not. */
NF_MUST_USE int pk_receive_finish(struct pk_receive *receive);

/* What has come since the last checkpoint will be needed again. */
void pk_receive_close(struct pk_receive *receive);

/* Forget what was received in part. Errors: as pk_receive_open. */
NF_MUST_USE int pk_receive_forget(struct pk_repo *repo);

#ifdef __cplusplus
}
#endif
#endif
