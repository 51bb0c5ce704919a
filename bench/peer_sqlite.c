/* SPDX-License-Identifier: ISC */
/* SQLite with a write-ahead log that is synced at each commit. */
#include <sqlite3.h>
#include <stdlib.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct sqlite_peer {
    struct peer_setup setup;
    sqlite3 *db;
    sqlite3_stmt *put;
};

static void sql(struct sqlite_peer *p, const char *text)
{
    if (sqlite3_exec(p->db, text, NULL, NULL, NULL) != SQLITE_OK) {
        bench_fail("SQLite: %s: %s", text, sqlite3_errmsg(p->db));
    }
}

static void *sqlite_open(const struct peer_setup *setup)
{
    struct sqlite_peer *p = calloc(1, sizeof(*p));
    char *path = bench_path(setup->folder, "db");

    if (p == NULL || sqlite3_open(path, &p->db) != SQLITE_OK) {
        bench_fail("SQLite: %s", path);
    }
    free(path);
    p->setup = *setup;
    sql(p, "PRAGMA journal_mode = WAL");
    sql(p, "PRAGMA synchronous = FULL");
    sql(p, "CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID");
    if (sqlite3_prepare_v2(p->db, "INSERT OR REPLACE INTO t VALUES (?, ?)", -1,
                           &p->put, NULL) != SQLITE_OK) {
        bench_fail("SQLite: %s", sqlite3_errmsg(p->db));
    }
    return p;
}

static void sqlite_commit(void *peer, const struct peer_update *updates,
                          size_t n)
{
    struct sqlite_peer *p = peer;

    sql(p, "BEGIN");
    for (size_t i = 0; i < n; i++) {
        char text[KEY_TEXT_CAP];
        size_t len = key_text(&p->setup.keys, updates[i].i, text);

        sqlite3_bind_text(p->put, 1, text, (int)len, SQLITE_STATIC);
        sqlite3_bind_blob(p->put, 2, updates[i].value, (int)p->setup.value_len,
                          SQLITE_STATIC);
        if (sqlite3_step(p->put) != SQLITE_DONE) {
            bench_fail("SQLite: %s", sqlite3_errmsg(p->db));
        }
        sqlite3_reset(p->put);
    }
    sql(p, "COMMIT");
}

static void sqlite_close(void *peer)
{
    struct sqlite_peer *p = peer;

    sqlite3_finalize(p->put);
    sqlite3_close(p->db);
    free(p);
}

const struct peer peer_sqlite = {"SQLite", 0, sqlite_open, sqlite_commit,
                                 sqlite_close};
