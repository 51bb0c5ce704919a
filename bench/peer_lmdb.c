/* SPDX-License-Identifier: ISC */
/* LMDB with its defaults: a commit is on disk when it returns. */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct lmdb_peer {
    struct peer_setup setup;
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reading; /* kept, as LMDB wants it; NULL at first */
};

static void lmdb_must(int err, const char *what)
{
    if (err != 0) {
        bench_fail("LMDB: %s: %s", what, mdb_strerror(err));
    }
}

static void *lmdb_open(const struct peer_setup *setup)
{
    struct lmdb_peer *p = calloc(1, sizeof(*p));
    MDB_txn *txn;

    if (p == NULL) {
        bench_fail("no memory");
    }
    p->setup = *setup;
    lmdb_must(mdb_env_create(&p->env), "create");
    lmdb_must(mdb_env_set_mapsize(p->env, (size_t)setup->image_len), "size");
    lmdb_must(mdb_env_open(p->env, setup->folder, 0, 0600), "open");
    lmdb_must(mdb_txn_begin(p->env, NULL, 0, &txn), "begin");
    lmdb_must(mdb_dbi_open(txn, NULL, 0, &p->dbi), "database");
    lmdb_must(mdb_txn_commit(txn), "commit");
    return p;
}

static void lmdb_commit(void *peer, const struct peer_update *updates, size_t n)
{
    struct lmdb_peer *p = peer;
    MDB_txn *txn;

    lmdb_must(mdb_txn_begin(p->env, NULL, 0, &txn), "begin");
    for (size_t i = 0; i < n; i++) {
        char text[KEY_TEXT_CAP];
        MDB_val key = {key_text(&p->setup.keys, updates[i].i, text), text};
        MDB_val value = {p->setup.value_len, (void *)updates[i].value};

        if (updates[i].value == NULL) {
            lmdb_must(mdb_del(txn, p->dbi, &key, NULL), "delete");
        } else {
            lmdb_must(mdb_put(txn, p->dbi, &key, &value, 0), "put");
        }
    }
    lmdb_must(mdb_txn_commit(txn), "commit");
}

static bool lmdb_find(void *peer, uint64_t i, uint8_t *value)
{
    struct lmdb_peer *p = peer;
    char text[KEY_TEXT_CAP];
    MDB_val key = {key_text(&p->setup.keys, i, text), text};
    MDB_val got;
    int err;

    if (p->reading == NULL) {
        lmdb_must(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &p->reading), "read");
    } else {
        lmdb_must(mdb_txn_renew(p->reading), "read");
    }
    err = mdb_get(p->reading, p->dbi, &key, &got);
    if (err == 0 && value != NULL) {
        memcpy(value, got.mv_data, p->setup.value_len);
    }
    mdb_txn_reset(p->reading);
    if (err != MDB_NOTFOUND) {
        lmdb_must(err, "get");
    }
    return err == 0;
}

static void lmdb_close(void *peer)
{
    struct lmdb_peer *p = peer;

    if (p->reading != NULL) {
        mdb_txn_abort(p->reading);
    }
    mdb_env_close(p->env);
    free(p);
}

const struct peer peer_lmdb = {"LMDB",      0,          lmdb_open,
                               lmdb_commit, lmdb_close, lmdb_find};
