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
 * use; one of the prefix begins where it was asked for, as what is before may
 * be a hole.
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

/* Load the line of off; *ret_p and *ret_len: what it holds from there on. */
static int line_load(struct pk_store *store, uint64_t off,
                     const uint8_t **ret_p, size_t *ret_len)
{
    size_t i = (size_t)(off / LINE_LEN) & (store->n_lines - 1);
    struct pk_line *line = &store->lines[i];
    uint8_t *bytes = store->line_bytes + i * LINE_LEN;
    uint64_t from = off;
    size_t got = 0;
    int err;

    if (line->off == NF_NOWHERE || off < line->off ||
        off - line->off >= line->len) {
        if (off >= store->control.suffix_start) {
            from =
                nf_max_u64(off - off % LINE_LEN, store->control.suffix_start);
        }
        line->off = NF_NOWHERE;
        err = pk_store_read(store, from, bytes, LINE_LEN, &got);
        if (err != 0) {
            return err;
        }
        line->off = from;
        line->len = (uint32_t)got;
        if (off - from >= got) {
            return pk_store_fail(store, NF_EC_NO_OBJECT, off, "offset");
        }
    }
    *ret_p = bytes + (off - line->off);
    *ret_len = line->len - (size_t)(off - line->off);
    return 0;
}

const uint8_t *pk_store_peek(const struct pk_store *store, uint64_t off,
                             size_t len)
{
    size_t i = (size_t)(off / LINE_LEN) & (store->n_lines - 1);
    const struct pk_line *line = &store->lines[i];

    return line->off != NF_NOWHERE && off >= line->off && len <= line->len &&
                   off - line->off <= line->len - len
               ? store->line_bytes + i * LINE_LEN + (off - line->off)
               : NULL;
}

int pk_store_read_near(struct pk_store *store, uint64_t off, uint8_t *buf,
                       size_t len, size_t *ret_len)
{
    size_t done = 0;

    if (len > LINE_LEN) {
        return pk_store_read(store, off, buf, len, ret_len);
    }
    while (done < len) {
        const uint8_t *p = NULL;
        size_t n = 0;
        int err = line_load(store, off + done, &p, &n);

        if (err == NF_EC_NO_OBJECT && done > 0) {
            break;
        }
        if (err != 0) {
            return err;
        }
        n = n < len - done ? n : len - done;
        memcpy(buf + done, p, n);
        done += n;
    }
    *ret_len = done;
    return 0;
}
