/* SPDX-License-Identifier: ISC */
/*
 * Offset -> file (spec 8.7): at or beyond the suffix's start, the chunks;
 * before it the prefix; what the prefix does not hold, the lower layer. An
 * object is the same bytes wherever it is found, but for the kind byte of the
 * GC target's parents.
 *
 * Small reads go through lines: 4 KiB each, found by the offset's page. An
 * inode is stored behind its children, whose heads every load of it reads, so
 * a line of the suffix begins at a page and serves what stands before its first
 * use, or begins so far before an inode that it most likely has its children
 * (pk_store_bring); one of the prefix begins where it was asked for, as what is
 * before may be a hole.
 */
#include <string.h>

#include "notafs/platform/checked.h"
#include "pack/manager.h"

enum { LINE_LEN = 4096 };

uint64_t pk_store_end(const struct pk_store *store)
{
    return store->control.suffix_start + pk_suffix_end(&store->suffix) -
           store->control.dead;
}

/* Of an offset before the suffix. */
static const char *where_before(struct pk_store *store, uint64_t off)
{
    const char *name = NULL;
    uint8_t byte;
    size_t got;

    if (store->prefix.ctx != NULL) {
        if (pk_sparse_read(&store->prefix, off, &byte, 1, &got) != 0) {
            name = pk_lower_where(&store->lower, off);
        }
        return name != NULL ? name : store->prefix.data.name;
    }
    name = pk_lower_where(&store->lower, off);
    return name != NULL ? name : "store.0.prefix";
}

const char *pk_store_where(struct pk_store *store, uint64_t off)
{
    uint64_t soff;
    size_t i = store->suffix.n_chunks;

    if (off < store->control.suffix_start) {
        return where_before(store, off);
    }
    soff = off - store->control.suffix_start + store->control.dead;
    while (i > 1 && store->suffix.chunks[i - 1].soff > soff) {
        i--;
    }
    return i == 0 ? "store.suffix" : store->suffix.chunks[i - 1].file.name;
}

int pk_store_fail(struct pk_store *store, int err, uint64_t off,
                  const char *what)
{
    return pk_fail(&store->ctx, err, pk_store_where(store, off), off, what);
}

int pk_store_blinded(struct pk_store *store)
{
    store->strayed = true;
    return pk_fail(&store->ctx, NF_EC_BLINDED, NULL, NF_NOWHERE, "proof");
}

int pk_store_read(struct pk_store *store, uint64_t off, uint8_t *buf,
                  size_t len, size_t *ret_len)
{
    uint64_t start = store->control.suffix_start;
    int err = NF_EC_NO_OBJECT;

    if (off >= start) {
        if (off < pk_store_end(store)) {
            return pk_suffix_read(&store->suffix,
                                  off - start + store->control.dead, buf, len,
                                  ret_len);
        }
        return pk_store_fail(store, err, off, "offset beyond the end");
    }
    if (store->prefix.ctx != NULL) {
        err = pk_sparse_read(&store->prefix, off, buf, len, ret_len);
    }
    if (err == NF_EC_NO_OBJECT && store->lower.n_volumes > 0) {
        uint64_t next = NF_NOWHERE; /* what the prefix has, is read there */

        err = store->prefix.ctx == NULL
                  ? 0
                  : pk_sparse_next(&store->prefix, off, &next);
        if (err == 0) {
            err = pk_lower_read(&store->lower, off, buf,
                                (size_t)nf_min_u64(len, next - off), ret_len);
        }
    }
    return err == NF_EC_NO_OBJECT ? pk_store_fail(store, err, off, "collected")
                                  : err;
}

void pk_store_drop_lines(struct pk_store *store)
{
    for (size_t i = 0; i < store->n_lines; i++) {
        store->lines[i].off = NF_NOWHERE;
    }
    pk_heads_clear(&store->heads);
}

/* The line that has the byte at off, or NULL. It was loaded for an offset in
 * the same page, or in one beside it. */
static const struct pk_line *line_find(const struct pk_store *store,
                                       uint64_t off)
{
    for (size_t i = 0; i < 3; i++) {
        const size_t at = (size_t)(off / LINE_LEN) + 1 - i;
        const struct pk_line *line = &store->lines[at & (store->n_lines - 1)];

        if (line->off != NF_NOWHERE && off >= line->off &&
            off - line->off < line->len) {
            return line;
        }
    }
    return NULL;
}

static const uint8_t *line_at(const struct pk_store *store,
                              const struct pk_line *line, uint64_t off)
{
    return store->line_bytes + (size_t)(line - store->lines) * LINE_LEN +
           (off - line->off);
}

/* Load a line for off that begins at from. */
static int line_load(struct pk_store *store, uint64_t off, uint64_t from,
                     const struct pk_line **ret_line)
{
    size_t i = (size_t)(off / LINE_LEN) & (store->n_lines - 1);
    struct pk_line *line = &store->lines[i];
    size_t got = 0;
    int err;

    line->off = NF_NOWHERE;
    err = pk_store_read(store, from, store->line_bytes + i * LINE_LEN, LINE_LEN,
                        &got);
    if (err != 0) {
        return err;
    }
    line->off = from;
    line->len = (uint32_t)got;
    *ret_line = line;
    return off - from < got
               ? 0
               : pk_store_fail(store, NF_EC_NO_OBJECT, off, "offset");
}

const uint8_t *pk_store_peek(const struct pk_store *store, uint64_t off,
                             size_t len)
{
    const struct pk_line *line = line_find(store, off);

    return line != NULL && len <= line->len - (off - line->off)
               ? line_at(store, line, off)
               : NULL;
}

int pk_store_bring(struct pk_store *store, uint64_t off, size_t before)
{
    const uint64_t start = store->control.suffix_start;
    const struct pk_line *line = NULL;
    int err;

    if (off < start || off >= pk_store_end(store) ||
        line_find(store, off) != NULL) {
        return 0;
    }
    before = (size_t)nf_min_u64(before, off - start);
    err = line_load(store, off, off - before, &line);
    return err == NF_EC_NO_OBJECT ? 0 : err;
}

int pk_store_read_near(struct pk_store *store, uint64_t off, uint8_t *buf,
                       size_t len, size_t *ret_len)
{
    size_t done = 0;

    if (len > LINE_LEN) {
        return pk_store_read(store, off, buf, len, ret_len);
    }
    while (done < len) {
        const uint64_t at = off + done;
        const struct pk_line *line = line_find(store, at);
        size_t n;
        int err = 0;

        if (line == NULL) {
            uint64_t start = store->control.suffix_start;

            err = line_load(
                store, at,
                at < start ? at : nf_max_u64(at - at % LINE_LEN, start), &line);
        }
        if (err == NF_EC_NO_OBJECT && done > 0) {
            break;
        }
        if (err != 0) {
            return err;
        }
        n = (size_t)nf_min_u64(len - done, line->len - (at - line->off));
        memcpy(buf + done, line_at(store, line, at), n);
        done += n;
    }
    *ret_len = done;
    return 0;
}
