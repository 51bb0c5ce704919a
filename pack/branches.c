/* SPDX-License-Identifier: ISC */
/*
 * The branch table, all of it in memory as it is in the file. Upstream
 * overwrites records in place; so that a crash leaves the old table or the
 * new, we write the same bytes to store.branches.tmp and rename it.
 *
 * Nothing protects the table but its own plausibility. A name is made of few
 * characters, and a record that runs beyond the end of the file is an error,
 * not the leaving of a crash, since one flipped length would otherwise hide
 * every branch behind it; repair cuts it.
 */
#include "pack/branches.h"

#include <string.h>

#include "pack/cursor.h"

static const char branches_name[] = "store.branches";
static const char branches_tmp_name[] = "store.branches.tmp";

struct pk_slice pk_branches_name(const struct pk_branches *branches, size_t i)
{
    const struct pk_branch *b = &branches->table[i];

    return (struct pk_slice){branches->file.p + b->pos + 4, b->name_len};
}

bool pk_branches_hash(const struct pk_branches *branches, size_t i,
                      struct pk_digest *ret_hash)
{
    const struct pk_branch *b = &branches->table[i];
    struct pk_digest zero = {{0}};
    struct pk_digest hash = {{0}};

    memcpy(hash.b, branches->file.p + b->pos + 4 + b->name_len,
           branches->hash_len);
    if (memcmp(&hash, &zero, sizeof(hash)) == 0) {
        return false;
    }
    *ret_hash = hash;
    return true;
}

static int branches_compare(struct pk_slice a, struct pk_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Where name is in the table, or where it would go; true if it is there. */
static bool branches_search(const struct pk_branches *branches,
                            struct pk_slice name, size_t *ret_i)
{
    size_t lo = 0;
    size_t hi = branches->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = branches_compare(pk_branches_name(branches, mid), name);

        if (c == 0) {
            *ret_i = mid;
            return true;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *ret_i = lo;
    return false;
}

/* Only these (spec 5.2). */
static bool branches_is_name(struct pk_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';

        if (!letter && !digit && c != '-' && c != '_' && c != '.' && c != '/') {
            return false;
        }
    }
    return name.len > 0 && name.len <= PK_BRANCH_MAX_NAME;
}

/* Enter the record at pos, in place of an earlier one of its name. */
static int branches_enter(struct pk_branches *branches, size_t pos,
                          uint32_t name_len)
{
    struct pk_slice name = {branches->file.p + pos + 4, name_len};
    size_t i;

    if (branches_search(branches, name, &i)) {
        branches->table[i].pos = pos;
        return 0;
    }
    if (branches->n == branches->cap) {
        size_t cap = branches->cap == 0 ? 16 : branches->cap * 2;
        struct pk_branch *table =
            nf_realloc(&branches->ctx->mem, branches->table,
                       branches->cap * sizeof(*table), cap * sizeof(*table));

        if (table == NULL) {
            return pk_fail_mem(branches->ctx);
        }
        branches->table = table;
        branches->cap = cap;
    }
    memmove(&branches->table[i + 1], &branches->table[i],
            (branches->n - i) * sizeof(*branches->table));
    branches->table[i] = (struct pk_branch){pos, name_len};
    branches->n++;
    return 0;
}

/* Write the whole table. */
static int branches_write(struct pk_branches *branches)
{
    return pk_file_replace(branches->ctx, branches->vfs, branches_name,
                           branches_tmp_name, branches->file.p,
                           branches->file.len);
}

/* ret_end: where the first record is that is none, or the end. */
static int branches_read(struct pk_branches *branches, size_t *ret_end)
{
    struct pk_file file = {0};
    struct pk_cursor c;
    uint64_t size = 0;
    uint8_t *p = NULL;
    int err =
        pk_file_open(branches->ctx, branches->vfs, branches_name, 0, &file);

    if (err == NF_ENOENT) {
        return 0;
    }
    if (err == 0) {
        err = pk_file_size(&file, &size);
    }
    if (err == 0 && size > SIZE_MAX / 8) {
        err = pk_fail_mem(branches->ctx);
    }
    if (err == 0) {
        p = pk_buf_grow(&branches->file, (size_t)size);
        err = p == NULL ? pk_fail_mem(branches->ctx)
                        : pk_file_read(&file, 0, p, (size_t)size);
    }
    (void)pk_file_close(&file); /* only read */
    if (err != 0 || size == 0) {
        return err;
    }
    c = pk_cursor_of(p, (size_t)size);
    (void)pk_take(&c, PK_BRANCHES_HEADER_LEN); /* may hold anything */
    while (!c.bad && c.p < c.end && err == 0) {
        size_t pos = *ret_end = pk_cursor_pos(&c);
        uint32_t len = pk_take_be32(&c);
        struct pk_slice name = {pk_take(&c, len), len};

        (void)pk_take(&c, branches->hash_len); /* looked at when asked for */
        if (!c.bad && !branches_is_name(name)) {
            err = pk_fail(branches->ctx, NF_EC_BRANCHES, branches_name, pos + 4,
                          "branch name");
        } else if (!c.bad) {
            err = branches_enter(branches, pos, len);
        }
    }
    if (c.bad) {
        err = pk_fail(branches->ctx, NF_EC_BRANCHES, branches_name,
                      pk_cursor_pos(&c), "record");
    }
    if (err == 0) {
        *ret_end = branches->file.len;
    }
    return err;
}

int pk_branches_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                     size_t hash_len, struct pk_branches *branches)
{
    size_t end = 0;

    *branches = (struct pk_branches){.ctx = ctx, .vfs = vfs};
    branches->hash_len = hash_len;
    branches->file = pk_buf_of(&ctx->mem);
    return branches_read(branches, &end);
}

int pk_branches_salvage(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                        size_t hash_len, struct pk_branches *branches)
{
    size_t end = 0;
    int err;

    *branches = (struct pk_branches){.ctx = ctx, .vfs = vfs};
    branches->hash_len = hash_len;
    branches->file = pk_buf_of(&ctx->mem);
    err = branches_read(branches, &end);
    if (err != NF_EC_BRANCHES) {
        return err;
    }
    if (end == 0) { /* not even the header */
        static const uint8_t header[PK_BRANCHES_HEADER_LEN];

        pk_buf_clear(&branches->file);
        pk_put(&branches->file, header, sizeof(header));
    } else {
        branches->file.len = end;
    }
    err = branches->file.failed ? pk_fail_mem(ctx) : branches_write(branches);
    return err == 0 ? 1 : err;
}

void pk_branches_close(struct pk_branches *branches)
{
    if (branches->ctx != NULL) {
        nf_free(&branches->ctx->mem, branches->table,
                branches->cap * sizeof(*branches->table));
        pk_buf_deinit(&branches->file);
    }
    *branches = (struct pk_branches){0};
}

bool pk_branches_find(const struct pk_branches *branches, struct pk_slice name,
                      struct pk_digest *ret_hash)
{
    size_t i;

    return branches_search(branches, name, &i) &&
           pk_branches_hash(branches, i, ret_hash);
}

bool pk_branches_names(const struct pk_branches *branches,
                       const struct pk_digest *hash, uint64_t *ret_pos)
{
    for (size_t i = 0; i < branches->n; i++) {
        struct pk_digest h;

        if (pk_branches_hash(branches, i, &h) &&
            memcmp(&h, hash, sizeof(h)) == 0) {
            *ret_pos = branches->table[i].pos;
            return true;
        }
    }
    return false;
}

int pk_branches_create(struct pk_ctx *ctx, const struct pk_vfs *vfs)
{
    static const uint8_t header[PK_BRANCHES_HEADER_LEN];

    return pk_file_replace(ctx, vfs, branches_name, branches_tmp_name, header,
                           sizeof(header));
}

/* A record for a new name, at the end. */
static int branches_append(struct pk_branches *branches, struct pk_slice name,
                           const struct pk_digest *hash)
{
    struct pk_buf *file = &branches->file;
    size_t before = file->len;
    size_t pos;
    int err;

    if (before == 0) {
        static const uint8_t header[PK_BRANCHES_HEADER_LEN];

        pk_put(file, header, sizeof(header));
    }
    pos = file->len;
    pk_put_be32(file, (uint32_t)name.len);
    pk_put(file, name.p, name.len);
    pk_put(file, hash->b, branches->hash_len);
    err = file->failed ? pk_fail_mem(branches->ctx)
                       : branches_enter(branches, pos, (uint32_t)name.len);
    if (err != 0) {
        file->failed = false;
        file->len = before;
    }
    return err;
}

int pk_branches_set(struct pk_branches *branches, struct pk_slice name,
                    const struct pk_digest *hash)
{
    struct pk_digest zero = {{0}};
    struct pk_digest before = zero;
    uint8_t *value;
    size_t i;
    int err;

    if (!branches_is_name(name)) {
        return pk_fail(branches->ctx, NF_EINVAL, branches_name, NF_NOWHERE,
                       "branch name");
    }
    if (!branches_search(branches, name, &i)) {
        if (hash == NULL) {
            return 0;
        }
        err = branches_append(branches, name, &zero);
        if (err != 0) {
            return err;
        }
        (void)branches_search(branches, name, &i); /* it is there now */
    }
    value = branches->file.p + branches->table[i].pos + 4 + name.len;
    memcpy(before.b, value, branches->hash_len);
    memcpy(value, hash == NULL ? zero.b : hash->b, branches->hash_len);
    err = branches_write(branches);
    if (err != 0) {
        memcpy(value, before.b, branches->hash_len);
    }
    return err;
}
