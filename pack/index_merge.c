/* SPDX-License-Identifier: ISC */
/*
 * The merge of the index (spec 6.2, 6.3): log and data, both in order of
 * (key, hash), become a new data file, and the log begins again, empty.
 *
 * The order on disk: the file `merge` whole, then its renaming to data, then
 * the new log over the old. A crash in between leaves a log whose entries data
 * has already, which does no harm.
 *
 * The fan-out table is made for the number of entries that there can be; with
 * S bytes an entry, the least power of two of buckets with n * S <= 4096 * it.
 */
#include <string.h>

#include "notafs/platform/checked.h"
#include "notafs/platform/codec.h"
#include "pack/index.h"
#include "pack/sort.h"

enum { MERGE_BUF_MIN = 16, MERGE_BUF_MAX = 512 };

struct merge {
    struct pk_index *index;
    struct pk_file out;
    struct pk_buf buf; /* entries to be written */
    uint64_t written;  /* bytes of entries, those in buf included */
    uint64_t *fans;
    uint64_t n_fans;
    unsigned shift;
    uint32_t *order; /* of the log's entries */
    size_t n_log;
    uint64_t n_buf; /* entries read and written at once */
    uint8_t *old;   /* entries of data, read ahead */
    uint64_t old_first;
    uint64_t old_n;
    uint32_t old_key; /* of the last one */
};

static int merge_compare(const void *arg, uint32_t a, uint32_t b)
{
    const struct pk_index *index = arg;
    const uint8_t *pa = index->log.entries.p + a * index->entry_len;
    const uint8_t *pb = index->log.entries.p + b * index->entry_len;
    uint32_t ka = pk_index_key(index, pa);
    uint32_t kb = pk_index_key(index, pb);
    int c;

    if (ka != kb) {
        return ka < kb ? -1 : 1;
    }
    c = memcmp(pa, pb, index->hash_len);
    return c != 0 ? c : (a > b) - (a < b);
}

static int merge_put_out(struct merge *m)
{
    uint64_t at = PK_INDEX_HEADER_LEN + m->n_fans * 8 + m->written - m->buf.len;
    int err = pk_file_write(&m->out, at, m->buf.p, m->buf.len);

    pk_buf_clear(&m->buf);
    return err;
}

static int merge_put(struct merge *m, const uint8_t *entry)
{
    size_t entry_len = m->index->entry_len;

    m->fans[pk_index_key(m->index, entry) >> m->shift] = m->written;
    pk_put(&m->buf, entry, entry_len);
    if (m->buf.failed) {
        return pk_fail_mem(m->index->ctx);
    }
    m->written += entry_len;
    return m->buf.len >= m->n_buf * entry_len ? merge_put_out(m) : 0;
}

/* Entry i of the old data; it lives until the next call. */
static int merge_old(struct merge *m, uint64_t i, const uint8_t **ret)
{
    struct pk_index *index = m->index;
    int err = 0;

    if (i < m->old_first || i >= m->old_first + m->old_n) {
        m->old_first = i;
        m->old_n = nf_min_u64(m->n_buf, pk_index_data_entries(index) - i);
        err = pk_file_read(&index->data_file,
                           PK_INDEX_HEADER_LEN + index->data_header.fan_len +
                               i * index->entry_len,
                           m->old, (size_t)m->old_n * index->entry_len);
    }
    if (err == 0) {
        *ret = m->old + (i - m->old_first) * index->entry_len;
    }
    return err;
}

/* The same, of one after the other: data that is out of order would hide
 * entries from every look-up, and a merge would make it permanent. */
static int merge_old_next(struct merge *m, uint64_t i, const uint8_t **ret)
{
    struct pk_index *index = m->index;
    int err = merge_old(m, i, ret);
    uint32_t key;

    if (err != 0) {
        return err;
    }
    key = pk_index_key(index, *ret);
    if (key < m->old_key) {
        return pk_fail(index->ctx, NF_EC_INDEX, index->data_file.name,
                       PK_INDEX_HEADER_LEN + index->data_header.fan_len +
                           i * index->entry_len,
                       "order of entries");
    }
    m->old_key = key;
    return 0;
}

/* The two sorted sequences into one; of equal hashes the log's last counts. */
static int merge_entries(struct merge *m)
{
    struct pk_index *index = m->index;
    const uint8_t *log = index->log.entries.p;
    uint64_t n_old = pk_index_data_entries(index);
    uint64_t i = 0;
    size_t j = 0;
    int err = 0;

    while (err == 0 && (i < n_old || j < m->n_log)) {
        const uint8_t *old = NULL;
        const uint8_t *new = NULL;
        int c = 1;

        if (i < n_old) {
            err = merge_old_next(m, i, &old);
            if (err != 0) {
                break;
            }
            c = -1;
        }
        if (j < m->n_log) {
            new = log + m->order[j] * index->entry_len;
            if (j + 1 < m->n_log &&
                memcmp(new, log + m->order[j + 1] * index->entry_len,
                       index->hash_len) == 0) {
                j++;
                continue;
            }
        }
        if (old != NULL && new != NULL) {
            uint32_t ko = pk_index_key(index, old);
            uint32_t kn = pk_index_key(index, new);

            c = ko != kn ? (ko < kn ? -1 : 1)
                         : memcmp(old, new, index->hash_len);
        }
        err = merge_put(m, c < 0 ? old : new);
        i += c <= 0;
        j += c >= 0;
    }
    return err == 0 && m->buf.len > 0 ? merge_put_out(m) : err;
}

static int merge_fans(struct merge *m)
{
    struct pk_index_header header = {
        .len = m->written,
        .generation = m->index->log_header.generation + 1,
        .fan_len = m->n_fans * 8,
    };
    uint8_t raw[PK_INDEX_HEADER_LEN];
    int err;

    for (uint64_t f = 0; f < m->n_fans; f++) {
        if (f > 0 && m->fans[f] == 0) {
            m->fans[f] = m->fans[f - 1];
        }
    }
    for (uint64_t f = 0; f < m->n_fans; f++) {
        uint64_t fan = m->fans[f];

        nf_put_be64((uint8_t *)&m->fans[f], fan);
    }
    pk_index_header_encode(&header, raw);
    err = pk_file_write(&m->out, 0, raw, sizeof(raw));
    if (err == 0) {
        err = pk_file_write(&m->out, PK_INDEX_HEADER_LEN,
                            (const uint8_t *)m->fans, (size_t)m->n_fans * 8);
    }
    return err;
}

static int merge_prepare(struct merge *m)
{
    struct pk_index *index = m->index;
    struct nf_mem *mem = &index->ctx->mem;
    uint64_t n;

    m->n_log = index->log.entries.len / index->entry_len;
    n = m->n_log + pk_index_data_entries(index);
    m->n_fans = 1;
    m->shift = 30;
    while (m->n_fans * 4096 < n * index->entry_len && m->shift > 0) {
        m->n_fans *= 2;
        m->shift--;
    }
    /* The log is in memory anyway: a fraction of it does not matter. */
    m->n_buf =
        nf_min_u64(nf_max_u64(m->n_log / 8, MERGE_BUF_MIN), MERGE_BUF_MAX);
    m->buf = pk_buf_of(mem);
    m->fans = nf_calloc(mem, (size_t)m->n_fans, 8);
    m->order = nf_calloc(mem, m->n_log + 1, sizeof(*m->order));
    m->old = nf_alloc(mem, (size_t)m->n_buf * index->entry_len);
    if (m->fans == NULL || m->order == NULL || m->old == NULL) {
        return pk_fail_mem(index->ctx);
    }
    for (size_t i = 0; i < m->n_log; i++) {
        m->order[i] = (uint32_t)i;
    }
    pk_sort(m->order, m->n_log, merge_compare, index);
    return 0;
}

static void merge_release(struct merge *m)
{
    struct nf_mem *mem = &m->index->ctx->mem;

    nf_free(mem, m->old, (size_t)m->n_buf * m->index->entry_len);
    nf_free(mem, m->order, (m->n_log + 1) * sizeof(*m->order));
    nf_free(mem, m->fans, (size_t)m->n_fans * 8);
    pk_buf_deinit(&m->buf);
}

/* The new files in place of the old: names first, then our handles. */
static int merge_swap(struct pk_index *index)
{
    struct pk_index_header header = {
        .generation = index->log_header.generation + 1,
    };
    uint8_t raw[PK_INDEX_HEADER_LEN];
    struct pk_file log = {0};
    struct pk_file data = {0};
    int err =
        pk_file_rename(index->ctx, index->vfs, "index/merge", "index/data");

    if (err == 0) {
        err = pk_file_order(index->ctx, index->vfs);
    }
    if (err == 0) {
        pk_index_header_encode(&header, raw);
        err = pk_file_replace(index->ctx, index->vfs, "index/log",
                              "index/log_tmp", raw, sizeof(raw));
    }
    if (err == 0) {
        err = pk_file_open(index->ctx, index->vfs, "index/log", PK_VFS_WRITE,
                           &log);
    }
    if (err == 0) {
        err = pk_file_open(index->ctx, index->vfs, "index/data", 0, &data);
    }
    if (err == 0) {
        err =
            pk_index_header_read(&data, index->entry_len, &index->data_header);
    }
    if (err != 0) {
        (void)pk_file_close(&log); /* the first error counts */
        (void)pk_file_close(&data);
        return err;
    }
    (void)pk_file_close(&index->log_file); /* replaced: nothing to lose */
    (void)pk_file_close(&index->data_file);
    index->log_file = log;
    index->data_file = data;
    index->log_header = header;
    pk_index_log_clear(index);
    return 0;
}

int pk_index_merge(struct pk_index *index)
{
    struct merge m = {.index = index};
    int close_err;
    int err = merge_prepare(&m);

    if (err == 0) {
        err = pk_file_open(index->ctx, index->vfs, "index/merge",
                           PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE,
                           &m.out);
    }
    if (err == 0) {
        static const uint8_t zero[PK_INDEX_HEADER_LEN];
        uint64_t head = PK_INDEX_HEADER_LEN + m.n_fans * 8;

        for (uint64_t at = 0; at < head && err == 0; at += sizeof(zero)) {
            err = pk_file_write(&m.out, at, zero,
                                (size_t)nf_min_u64(sizeof(zero), head - at));
        }
    }
    if (err == 0) {
        err = merge_entries(&m);
    }
    if (err == 0) {
        err = merge_fans(&m);
    }
    if (err == 0) {
        err = pk_file_order(index->ctx, index->vfs);
    }
    close_err = pk_file_close(&m.out);
    err = err == 0 ? close_err : err;
    merge_release(&m);
    return err == 0 ? merge_swap(index) : err;
}
