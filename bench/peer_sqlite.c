/* SPDX-License-Identifier: ISC */
/* SQLite with a write-ahead log that is synced at each commit. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct sqlite_peer {
    struct peer_setup setup;
    sqlite3 *db;
    sqlite3_stmt *put;
    sqlite3_stmt *del;
    sqlite3_stmt *get;
};

static void sql(struct sqlite_peer *p, const char *text)
{
    if (sqlite3_exec(p->db, text, NULL, NULL, NULL) != SQLITE_OK) {
        bench_fail("SQLite: %s: %s", text, sqlite3_errmsg(p->db));
    }
}

static sqlite3_stmt *prepare(struct sqlite_peer *p, const char *text)
{
    sqlite3_stmt *ret = NULL;

    if (sqlite3_prepare_v2(p->db, text, -1, &ret, NULL) != SQLITE_OK) {
        bench_fail("SQLite: %s: %s", text, sqlite3_errmsg(p->db));
    }
    return ret;
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
    p->put = prepare(p, "INSERT OR REPLACE INTO t VALUES (?, ?)");
    p->del = prepare(p, "DELETE FROM t WHERE k = ?");
    p->get = prepare(p, "SELECT v FROM t WHERE k = ?");
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
        sqlite3_stmt *act = updates[i].value != NULL ? p->put : p->del;

        sqlite3_bind_text(act, 1, text, (int)len, SQLITE_STATIC);
        if (act == p->put) {
            sqlite3_bind_blob(act, 2, updates[i].value, (int)p->setup.value_len,
                              SQLITE_STATIC);
        }
        if (sqlite3_step(act) != SQLITE_DONE) {
            bench_fail("SQLite: %s", sqlite3_errmsg(p->db));
        }
        sqlite3_reset(act);
    }
    sql(p, "COMMIT");
}

static bool sqlite_find(void *peer, uint64_t i, uint8_t *value)
{
    struct sqlite_peer *p = peer;
    char text[KEY_TEXT_CAP];
    size_t len = key_text(&p->setup.keys, i, text);
    bool found;

    sqlite3_bind_text(p->get, 1, text, (int)len, SQLITE_STATIC);
    found = sqlite3_step(p->get) == SQLITE_ROW;
    if (found && value != NULL) {
        memcpy(value, sqlite3_column_blob(p->get, 0), p->setup.value_len);
    }
    sqlite3_reset(p->get);
    return found;
}

static void sqlite_close(void *peer)
{
    struct sqlite_peer *p = peer;

    sqlite3_finalize(p->put);
    sqlite3_finalize(p->del);
    sqlite3_finalize(p->get);
    sqlite3_close(p->db);
    free(p);
}

const struct peer peer_sqlite = {
    "SQLite", 0, sqlite_open, sqlite_commit, sqlite_close, sqlite_find};
