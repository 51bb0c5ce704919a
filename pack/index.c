/* SPDX-License-Identifier: ISC */
/*
 * The index of a store (spec 6; index.h has the layouts). The log is all in
 * memory, in its encoding, with a table of slots; data is searched in its
 * file: the fan-out table gives the range of a key's bucket, a binary search
 * the entries with that key. Many entries may have one key; they stand beside
 * each other.
 *
 * An entry that names bytes beyond the end of the pack is the leaving of a
 * crash or of a truncated file; whoever looks up checks the object itself.
 */
#include "pack/index.h"

#include <string.h>

#include "notafs/platform/checked.h"
#include "pack/cursor.h"
#include "pack/hash/ocaml_hash.h"

static const char index_log_name[] = "index/log";
static const char index_data_name[] = "index/data";
static const char index_async_name[] = "index/log_async";

int pk_index_header_read(struct pk_file *file, size_t entry_len,
                         struct pk_index_header *ret)
{
    uint8_t raw[PK_INDEX_HEADER_LEN] = {0};
    struct pk_cursor c = pk_cursor_of(raw, sizeof(raw));
    struct pk_index_header header;
    const uint8_t *version;
    uint64_t size = 0;
    int err = pk_file_read(file, 0, raw, sizeof(raw));

    if (err == 0) {
        err = pk_file_size(file, &size);
    }
    if (err != 0) {
        return err;
    }
    header.len = pk_take_int63(&c);
    version = pk_take(&c, 8);
    header.generation = pk_take_int63(&c);
    header.fan_len = pk_take_int63(&c);
    if (c.bad || version == NULL || memcmp(version, "00000001", 8) != 0 ||
        header.len % entry_len != 0 || header.fan_len % 8 != 0 ||
        (header.fan_len & (header.fan_len - 1)) != 0 ||
        header.fan_len > (uint64_t)8 << 30 ||
        size < PK_INDEX_HEADER_LEN + header.fan_len + header.len) {
        return pk_fail(file->ctx, NF_EC_INDEX, file->name, 0, "header");
    }
    *ret = header;
    return 0;
}

void pk_index_header_encode(const struct pk_index_header *header,
                            uint8_t buf[PK_INDEX_HEADER_LEN])
{
    nf_put_be64(buf, header->len);
    memcpy(buf + 8, "00000001", 8);
    nf_put_be64(buf + 16, header->generation);
    nf_put_be64(buf + 24, header->fan_len);
}

void pk_index_decode(const struct pk_index *index, const uint8_t *p,
                     struct pk_binding *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->hash.b, p, index->hash_len);
    ret->off = nf_get_be64(p + index->hash_len);
    ret->len = nf_get_be32(p + index->hash_len + 8);
    ret->kind = p[index->hash_len + 12];
}

uint32_t pk_index_key(const struct pk_index *index, const uint8_t *hash)
{
    return pk_ocaml_hash(0, hash, index->hash_len);
}

uint64_t pk_index_data_entries(const struct pk_index *index)
{
    return index->data_file.handle == NULL
               ? 0
               : index->data_header.len / index->entry_len;
}

/* ------------------------------------------------------- the log in memory */

/* The slot of a hash, or the free one where it would go. n_slots > 0. */
static size_t log_slot(const struct pk_index *index, const uint8_t *hash)
{
    const struct pk_index_log *log = &index->log;
    size_t mask = log->n_slots - 1;
    size_t i = (size_t)nf_get_le32(hash) & mask;

    while (log->slots[i] != 0 &&
           memcmp(log->entries.p + (log->slots[i] - 1) * index->entry_len, hash,
                  index->hash_len) != 0) {
        i = (i + 1) & mask;
    }
    return i;
}

static int log_grow_slots(struct pk_index *index)
{
    struct pk_index_log *log = &index->log;
    size_t n = log->entries.len / index->entry_len;
    size_t n_slots = 64;
    uint32_t *slots;

    if (n > UINT32_MAX / 2) {
        return pk_fail_mem(index->ctx);
    }
    while (n_slots < 2 * n) {
        n_slots *= 2;
    }
    slots = nf_calloc(&index->ctx->mem, n_slots, sizeof(*slots));
    if (slots == NULL) {
        return pk_fail_mem(index->ctx);
    }
    nf_free(&index->ctx->mem, log->slots, log->n_slots * sizeof(*slots));
    log->slots = slots;
    log->n_slots = n_slots;
    for (size_t i = 0; i < n; i++) {
        size_t slot = log_slot(index, log->entries.p + i * index->entry_len);

        log->slots[slot] = (uint32_t)(i + 1);
    }
    return 0;
}

/* Enter the last n entries of the log into the slots. */
int pk_index_enter(struct pk_index *index, size_t n)
{
    struct pk_index_log *log = &index->log;
    size_t end = log->entries.len / index->entry_len;

    for (size_t i = end - n; i < end; i++) {
        size_t slot;

        if (log->n_slots < 2 * (i + 1)) {
            int err = log_grow_slots(index); /* enters all of them */

            if (err != 0) {
                return err;
            }
        }
        slot = log_slot(index, log->entries.p + i * index->entry_len);
        log->slots[slot] = (uint32_t)(i + 1);
    }
    return 0;
}

void pk_index_log_clear(struct pk_index *index)
{
    pk_buf_clear(&index->log.entries);
    if (index->log.n_slots > 0) {
        memset(index->log.slots, 0,
               index->log.n_slots * sizeof(*index->log.slots));
    }
    index->flushed = 0;
}

/* Append the entries of [from, to) bytes of a log file to the one in memory. */
static int log_read(struct pk_index *index, struct pk_file *file, uint64_t from,
                    uint64_t to)
{
    struct pk_buf *entries = &index->log.entries;
    size_t before = entries->len;
    uint8_t *p;
    int err;

    if (to - from > SIZE_MAX / 4) {
        return pk_fail_mem(index->ctx);
    }
    p = pk_buf_grow(entries, (size_t)(to - from));
    if (p == NULL) {
        entries->failed = false;
        return pk_fail_mem(index->ctx);
    }
    err =
        pk_file_read(file, PK_INDEX_HEADER_LEN + from, p, (size_t)(to - from));
    if (err == 0) {
        err = pk_index_enter(index, (size_t)(to - from) / index->entry_len);
    }
    if (err != 0) {
        entries->len = before;
    }
    return err;
}

/* ------------------------------------------------------------- open, close */

int pk_index_create(struct pk_ctx *ctx, const struct pk_vfs *vfs)
{
    struct pk_index_header header = {0, 0, 0};
    uint8_t raw[PK_INDEX_HEADER_LEN];
    int err = pk_file_remove(ctx, vfs, index_data_name);

    if (err == 0) {
        err = pk_file_remove(ctx, vfs, index_async_name);
    }
    if (err == 0) {
        pk_index_header_encode(&header, raw);
        err = pk_file_replace(ctx, vfs, index_log_name, "index/log_tmp", raw,
                              sizeof(raw));
    }
    return err;
}

/* Open one file if it exists and read its header. */
int pk_index_open_file(struct pk_index *index, const char *name, uint32_t flags,
                       struct pk_file *file, struct pk_index_header *header)
{
    int err = pk_file_open(index->ctx, index->vfs, name, flags, file);

    *header = (struct pk_index_header){0, 0, 0};
    if (err == NF_ENOENT) {
        return 0;
    }
    return err == 0 ? pk_index_header_read(file, index->entry_len, header)
                    : err;
}

/* Take in the log of a merge that did not end: its entries go to the log. */
static int index_take_async(struct pk_index *index)
{
    struct pk_file file = {0};
    struct pk_index_header header;
    int err = pk_index_open_file(index, index_async_name, 0, &file, &header);

    if (err == 0 && file.handle != NULL) {
        err = log_read(index, &file, 0, header.len);
    }
    (void)pk_file_close(&file); /* only read */
    if (err == 0 && file.name[0] != '\0') {
        err = pk_index_flush(index);
        if (err == 0) {
            err = pk_file_order(index->ctx, index->vfs);
        }
        if (err == 0) {
            err = pk_file_remove(index->ctx, index->vfs, index_async_name);
        }
    }
    return err;
}

static int index_load(struct pk_index *index)
{
    int err = pk_index_open_file(index, index_data_name, 0, &index->data_file,
                                 &index->data_header);

    if (err == 0) {
        err = pk_index_open_file(index, index_log_name, PK_VFS_WRITE,
                                 &index->log_file, &index->log_header);
    }
    if (err == 0 && index->log_file.handle != NULL) {
        if (index->log_header.fan_len != 0) {
            return pk_fail(index->ctx, NF_EC_INDEX, index_log_name, 24,
                           "fan-out table in a log");
        }
        err = log_read(index, &index->log_file, 0, index->log_header.len);
        index->flushed = index->log.entries.len;
    }
    return err == 0 ? index_take_async(index) : err;
}

/* Write the entries that the log's file does not have, then its header. */
static int index_write_log(struct pk_index *index)
{
    struct pk_buf *entries = &index->log.entries;
    struct pk_index_header header = index->log_header;
    uint8_t raw[PK_INDEX_HEADER_LEN];
    int err;

    if (entries->len == index->flushed) {
        return 0;
    }
    err = pk_file_write(&index->log_file, PK_INDEX_HEADER_LEN + index->flushed,
                        entries->p + index->flushed,
                        entries->len - (size_t)index->flushed);
    if (err == 0) {
        err = pk_file_order(index->ctx, index->vfs);
    }
    if (err == 0) {
        header.len = entries->len;
        pk_index_header_encode(&header, raw);
        err = pk_file_write(&index->log_file, 0, raw, 8);
    }
    if (err == 0) {
        index->log_header = header;
        index->flushed = entries->len;
    }
    return err;
}

int pk_index_open_empty(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                        size_t hash_len, uint64_t max_entries,
                        struct pk_index *index)
{
    memset(index, 0, sizeof(*index));
    index->ctx = ctx;
    index->vfs = vfs;
    index->hash_len = hash_len;
    index->entry_len = hash_len + PK_INDEX_TAIL_LEN;
    index->max_entries = max_entries;
    index->write = true;
    index->log.entries = pk_buf_of(&ctx->mem);
    return 0;
}

int pk_index_replace(struct pk_index *index)
{
    struct pk_ctx *ctx = index->ctx;
    struct pk_index_header header = {.len = 0};
    uint8_t raw[PK_INDEX_HEADER_LEN];
    int err = pk_file_open(ctx, index->vfs, "index/log_tmp",
                           PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE,
                           &index->log_file);

    if (err == 0) {
        pk_index_header_encode(&header, raw);
        err = pk_file_write(&index->log_file, 0, raw, sizeof(raw));
    }
    if (err == 0) {
        index->flushed = 0;
        err = index_write_log(index);
    }
    if (err == 0) { /* its header, too, before its name */
        err = pk_file_order(ctx, index->vfs);
    }
    if (err == 0) { /* its entries count before those of an old data */
        err = pk_file_rename(ctx, index->vfs, "index/log_tmp", index_log_name);
    }
    if (err == 0) {
        err = pk_file_order(ctx, index->vfs);
    }
    if (err == 0) {
        err = pk_file_remove(ctx, index->vfs, index_data_name);
    }
    if (err == 0) {
        err = pk_file_remove(ctx, index->vfs, index_async_name);
    }
    return err == 0 ? pk_index_flush(index) : err;
}

/* A reader's first look. */
static int index_read(struct pk_index *index)
{
    struct pk_index_news news;
    int err = pk_index_look(index, &news);

    if (err == 0) {
        err = pk_index_adopt(index, &news);
        pk_index_news_deinit(&news);
    }
    return err;
}

int pk_index_open(struct pk_ctx *ctx, const struct pk_vfs *vfs, size_t hash_len,
                  uint64_t max_entries, bool write, struct pk_index *index)
{
    struct pk_file file = {0};
    int err = pk_index_open_empty(ctx, vfs, hash_len, max_entries, index);

    index->write = write;
    if (err != 0 || !write) {
        return err == 0 ? index_read(index) : err;
    }
    err = pk_file_open(ctx, vfs, index_log_name, 0, &file);
    (void)pk_file_close(&file); /* only to see whether it is there */
    if (err == NF_ENOENT) {
        err = pk_index_create(ctx, vfs);
    }
    return err == 0 ? index_load(index) : err;
}

int pk_index_close(struct pk_index *index)
{
    int err;
    int err2;

    if (index->ctx == NULL) {
        return 0;
    }
    nf_free(&index->ctx->mem, index->log.slots,
            index->log.n_slots * sizeof(*index->log.slots));
    pk_buf_deinit(&index->log.entries);
    err = pk_file_close(&index->log_file);
    err2 = pk_file_close(&index->data_file);
    index->ctx = NULL;
    return err == 0 ? err2 : err;
}

/* ----------------------------------------------------------------- look up */

enum { EACH_READ_LEN = 16 << 10 };

static struct pk_index_at data_at(const struct pk_index *index, uint64_t i)
{
    return (struct pk_index_at){
        index_data_name, PK_INDEX_HEADER_LEN + index->data_header.fan_len +
                             i * index->entry_len};
}

/* Of entry i of the log in memory: those of an asynchronous log stand behind
 * the log's own. */
static struct pk_index_at log_at(const struct pk_index *index, uint64_t i)
{
    uint64_t off = i * index->entry_len;

    if (index->had_async && off >= index->log_header.len) {
        return (struct pk_index_at){index_async_name,
                                    PK_INDEX_HEADER_LEN + off -
                                        index->log_header.len};
    }
    return (struct pk_index_at){index_log_name, PK_INDEX_HEADER_LEN + off};
}

int pk_index_bucket(struct pk_index *index, const struct pk_digest *hash,
                    uint64_t *ret_first, uint64_t *ret_end,
                    struct pk_index_at *ret_fan)
{
    uint32_t key = pk_index_key(index, hash->b);
    uint64_t n = pk_index_data_entries(index);
    uint64_t n_fans = index->data_header.fan_len / 8;
    uint64_t lo = 0;
    uint64_t hi = n;
    uint64_t fan = 0;
    unsigned bits = 0;
    uint8_t raw[16];

    while (n_fans >> (bits + 1) != 0) {
        bits++;
    }
    if (n_fans > 0) {
        int err;

        fan = bits == 0 ? 0 : key >> (30 - bits);
        if (fan > 0) {
            err = pk_file_read(&index->data_file,
                               PK_INDEX_HEADER_LEN + (fan - 1) * 8, raw, 16);
            lo = nf_get_be64(raw) / index->entry_len;
        } else {
            err = pk_file_read(&index->data_file, PK_INDEX_HEADER_LEN, raw + 8,
                               8);
        }
        if (err != 0) {
            return err;
        }
        hi = nf_get_be64(raw + 8) / index->entry_len + 1;
        if (lo > hi || hi > n) {
            return pk_fail(index->ctx, NF_EC_INDEX, index_data_name,
                           PK_INDEX_HEADER_LEN + fan * 8, "fan-out table");
        }
    }
    *ret_first = lo;
    *ret_end = hi;
    *ret_fan =
        (struct pk_index_at){index_data_name, PK_INDEX_HEADER_LEN + fan * 8};
    return 0;
}

int pk_index_data_entry(struct pk_index *index, uint64_t i,
                        struct pk_binding *ret)
{
    uint8_t raw[PK_HASH_MAX_LEN + PK_INDEX_TAIL_LEN];
    struct pk_index_at at = data_at(index, i);
    int err = pk_file_read(&index->data_file, at.off, raw, index->entry_len);

    if (err == 0) {
        pk_index_decode(index, raw, ret);
        ret->at = at;
    }
    return err;
}

static int data_find(struct pk_index *index, const struct pk_digest *hash,
                     struct pk_binding *ret)
{
    uint32_t key = pk_index_key(index, hash->b);
    struct pk_index_at fan;
    struct pk_binding b;
    uint64_t lo = 0;
    uint64_t hi = 0;
    uint64_t end;
    int err = pk_index_bucket(index, hash, &lo, &hi, &fan);

    end = hi;
    while (err == 0 && lo < hi) { /* the first entry with this key */
        uint64_t mid = lo + (hi - lo) / 2;

        err = pk_index_data_entry(index, mid, &b);
        if (err == 0 && pk_index_key(index, b.hash.b) < key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (; err == 0 && lo < end; lo++) {
        err = pk_index_data_entry(index, lo, &b);
        if (err == 0 && pk_index_key(index, b.hash.b) != key) {
            break;
        }
        if (err == 0 && memcmp(&b.hash, hash, sizeof(*hash)) == 0) {
            *ret = b;
            return 0;
        }
    }
    if (err == 0) {
        ret->at = data_at(index, lo);
        err = NF_EC_NO_OBJECT;
    }
    return err;
}

int pk_index_find(struct pk_index *index, const struct pk_digest *hash,
                  struct pk_binding *ret)
{
    if (index->log.n_slots > 0) {
        uint32_t slot = index->log.slots[log_slot(index, hash->b)];

        if (slot != 0) {
            pk_index_decode(
                index, index->log.entries.p + (slot - 1) * index->entry_len,
                ret);
            ret->at = log_at(index, slot - 1);
            return 0;
        }
    }
    if (pk_index_data_entries(index) == 0) {
        ret->at = log_at(index, index->log.entries.len / index->entry_len);
        return NF_EC_NO_OBJECT;
    }
    return data_find(index, hash, ret);
}

/* Those of n entries of data, from the i-th on, that the log has not. */
static int each_of(struct pk_index *index, const uint8_t *p, uint64_t i,
                   uint64_t n, pk_binding_fn fn, void *arg)
{
    struct pk_binding b;
    int err = 0;

    for (; n > 0 && err == 0; n--, i++, p += index->entry_len) {
        if (index->log.n_slots > 0 &&
            index->log.slots[log_slot(index, p)] != 0) {
            continue;
        }
        pk_index_decode(index, p, &b);
        b.at = data_at(index, i);
        err = fn(arg, &b);
    }
    return err;
}

static int each_in_data(struct pk_index *index, pk_binding_fn fn, void *arg)
{
    const uint64_t n = pk_index_data_entries(index);
    const uint64_t at_once = EACH_READ_LEN / index->entry_len;
    struct pk_buf buf = pk_buf_of(&index->ctx->mem);
    int err = 0;

    for (uint64_t i = 0; i < n && err == 0; i += at_once) {
        const uint64_t some = nf_min_u64(at_once, n - i);
        const size_t len = (size_t)some * index->entry_len;
        uint8_t *p;

        pk_buf_clear(&buf);
        p = pk_buf_grow(&buf, len);
        err = p == NULL ? pk_fail_mem(index->ctx)
                        : pk_file_read(&index->data_file, data_at(index, i).off,
                                       p, len);
        if (err == 0) {
            err = each_of(index, p, i, some, fn, arg);
        }
    }
    pk_buf_deinit(&buf);
    return err;
}

int pk_index_each(struct pk_index *index, pk_binding_fn fn, void *arg)
{
    int err = each_in_data(index, fn, arg);

    for (size_t i = 0;
         i < index->log.entries.len / index->entry_len && err == 0; i++) {
        const uint8_t *p = index->log.entries.p + i * index->entry_len;
        struct pk_binding b;

        if (index->log.slots[log_slot(index, p)] == i + 1) {
            pk_index_decode(index, p, &b);
            b.at = log_at(index, i);
            err = fn(arg, &b);
        }
    }
    return err;
}

/* ----------------------------------------------------------------- writing */

int pk_index_add(struct pk_index *index, const struct pk_binding *binding)
{
    struct pk_buf *entries = &index->log.entries;
    size_t before = entries->len;
    int err;

    pk_put(entries, binding->hash.b, index->hash_len);
    pk_put_be64(entries, binding->off);
    pk_put_be32(entries, binding->len);
    pk_put_u8(entries, binding->kind);
    err = entries->failed ? pk_fail_mem(index->ctx) : pk_index_enter(index, 1);
    if (err != 0) {
        entries->failed = false;
        entries->len = before;
    }
    return err;
}

int pk_index_flush(struct pk_index *index)
{
    bool more = index->log.entries.len / index->entry_len > index->max_entries;
    int err = index_write_log(index);

    return err == 0 && more ? pk_index_merge(index) : err;
}
