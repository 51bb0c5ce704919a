/* SPDX-License-Identifier: ISC */
/*
 * A receiver. Chunks come in any order (receive.c); those that come too early
 * wait (stash.c); what is in them, in order, is elements, which become objects
 * (import.c); now and then it is set down how far that is (checkpoint.c).
 */
#ifndef PK_RECEIVE_H
#define PK_RECEIVE_H

#include "pack/objects.h"
#include "pack/store/repo.h"
#include "pack/stream/chunk.h"
#include "pack/stream/element.h"
#include "pack/stream/list.h"

enum { PK_STASH_SLOTS = 4096 };

#define PK_RECEIVE_STATE_NAME "notapack.receive.state"
#define PK_RECEIVE_TMP_NAME   "notapack.receive.state.tmp"
#define PK_RECEIVE_LIST_NAME  "notapack.receive.list"
#define PK_RECEIVE_STASH_NAME "notapack.receive.stash"

/* Chunks that came too early, each in a slot of PK_CHUNK_MAX_LEN bytes. */
struct pk_stash {
    struct pk_file file;
    uint64_t *slots; /* number of the chunk + 1; 0: free */
    size_t n_slots;  /* in the file */
    size_t n;        /* in use */
};

struct pk_receive {
    struct pk_repo *repo;
    struct pk_store *store;
    struct pk_receive_options options;
    struct pk_receive_stats stats;
    uint64_t generation; /* of the store, when it began */
    uint8_t *in;         /* PK_CHUNK_MAX_LEN bytes: a chunk being gathered */
    size_t in_len;
    uint8_t *early;    /* PK_CHUNK_MAX_LEN bytes: one that had to wait */
    uint8_t *payload;  /* PK_CHUNK_RAW_LEN bytes */
    struct pk_buf raw; /* of the stream, from raw_at on not yet taken */
    size_t raw_at;
    uint64_t raw_pos;  /* in the stream, of what is at raw_at */
    uint64_t saved_at; /* raw_pos of the last checkpoint */
    bool has_front;
    struct pk_buf front_bytes;
    struct pk_front front;
    struct pk_list_file offs; /* of elements, where they are here */
    struct pk_buf body;       /* of an object being made */
    struct pk_stash stash;
    bool known_asked;
    struct pk_index known; /* what is here, where ctx is not NULL */
    bool keep;             /* the files are of use to a later receiver */
    int err;               /* the first one: it stays */
};

/* ---------------------------------------------------------------- stash.c */

/* Take in what is in the file, of the stream with that id. */
NF_MUST_USE int pk_stash_open(struct pk_receive *receive);
void pk_stash_close(struct pk_receive *receive);

/* Put a whole chunk away. 1: done; 0: no room. */
NF_MUST_USE int pk_stash_put(struct pk_receive *receive, uint64_t number,
                             const uint8_t *p, size_t len);
bool pk_stash_has(const struct pk_receive *receive, uint64_t number);

/* The chunk `number`, into receive->early, and away with it. 1: there; 0: not.
 */
NF_MUST_USE int pk_stash_take(struct pk_receive *receive, uint64_t number);

/* ---------------------------------------------------------------- known.c */

/* Find out what is here, if that is of use and wanted. The front is here. */
NF_MUST_USE int pk_known_open(struct pk_receive *receive);
void pk_known_close(struct pk_receive *receive);

/* 1: an object of that kind and hash is here; 0: not, as far as is known. */
NF_MUST_USE int pk_known_find(struct pk_receive *receive, uint8_t kind,
                              const struct pk_digest *hash, uint64_t *ret_off);

/* --------------------------------------------------------------- import.c */

/* The front is in front_bytes: take it in. */
NF_MUST_USE int pk_import_front(struct pk_receive *receive);

/* The next element, len bytes without its length. */
NF_MUST_USE int pk_import_element(struct pk_receive *receive, const uint8_t *p,
                                  size_t len);

/* Are all commits there? */
NF_MUST_USE int pk_import_commits_there(struct pk_receive *receive,
                                        bool *ret_there);

/* ----------------------------------------------------------- checkpoint.c */

/* Take in what a checkpoint says, if there is one that is still of use. */
NF_MUST_USE int pk_checkpoint_load(struct pk_receive *receive);
NF_MUST_USE int pk_checkpoint_save(struct pk_receive *receive);

/* Remove all files of a receiver. */
int pk_checkpoint_remove(struct pk_store *store);

#endif
