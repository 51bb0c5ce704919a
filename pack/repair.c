/* SPDX-License-Identifier: ISC */
/*
 * Repair (spec 10, and more): what follows from other files is made anew.
 *
 *   control   from the names and sizes of the files, when it is missing or
 *             damaged and the store was never collected: chunks are numbered,
 *             the dictionary and the last chunk end where their last whole
 *             entry does
 *   index     from the entries of the pack
 *   branches  a table that ends in half a record is cut; a branch whose commit
 *             is not there is told and taken out, its name and hash kept in
 *             the file notapack.parked
 *
 * At the end the newest commit that verifies as a whole is named.
 */
#include "pack/repair.h"

#include <string.h>

#include "pack/integrity.h"
#include "pack/layout.h"
#include "pack/objects.h"
#include "pack/scan.h"

static const char parked_name[] = "notapack.parked";

struct repair {
    struct pk_store *store;
    pk_finding_fn fn;
    void *arg;
    struct pk_repair_stats *stats; /* the caller's, who may look on */
    struct pk_index index;         /* the new one */
    struct pk_index old;
    uint64_t *commits; /* offsets */
    size_t n_commits;
    size_t cap_commits;
    uint64_t end; /* of the last whole entry */
};

static int repair_tell(struct repair *r, int err, const char *file,
                       uint64_t off, const char *what)
{
    struct pk_finding finding = {file, off, what, err};

    r->stats->findings++;
    return r->fn == NULL ? 0 : r->fn(r->arg, &finding);
}

/* -------------------------------------------------------------- control file
 */

struct repair_files {
    uint64_t first;
    uint64_t last;
    uint64_t last_len;
    uint64_t dict_len;
    bool chunks;
    bool dict;
    bool prefix;
};

static int repair_see_file(void *arg, const char *step, uint64_t len)
{
    struct repair_files *files = arg;
    uint64_t n;

    if (pk_name_parse(step, "store.", ".suffix", &n)) {
        if (!files->chunks || n < files->first) {
            files->first = n;
        }
        if (!files->chunks || n > files->last) {
            files->last = n;
            files->last_len = len;
        }
        files->chunks = true;
    } else if (pk_name_parse(step, "store.", ".prefix", &n)) {
        files->prefix = true;
    } else if (strlen(step) == 10 && memcmp(step, "store.dict", 10) == 0) {
        files->dict = true;
        files->dict_len = len;
    }
    return 0;
}

/* The length of the whole strings at the front of the dictionary. */
static int repair_dict_end(struct pk_store *store, uint64_t header,
                           uint64_t len, uint64_t *ret_end)
{
    struct pk_file file = {0};
    uint64_t at = header;
    int err = pk_file_open(&store->ctx, store->vfs, "store.dict", 0, &file);

    while (err == 0 && len - at >= 4) {
        uint8_t raw[4];
        uint64_t n;

        err = pk_file_read(&file, at, raw, sizeof(raw));
        n = nf_get_be32(raw);
        if (err != 0 || n == 0 || n > len - at - 4) {
            break;
        }
        at += 4 + n;
    }
    (void)pk_file_close(&file); /* only read */
    *ret_end = at - header;
    return err;
}

/* A chunk 0 that was store.pack keeps its header in front. */
static int repair_header(struct pk_store *store, const char *name,
                         uint64_t *ret_header)
{
    uint8_t raw[16] = {0};
    struct pk_file file = {0};
    size_t len = 0;
    int err = pk_file_open(&store->ctx, store->vfs, name, 0, &file);

    if (err == 0) {
        err = pk_file_read_some(&file, 0, raw, sizeof(raw), &len);
    }
    (void)pk_file_close(&file); /* only read */
    *ret_header = len == 16 && memcmp(raw + 8, "0000000", 7) == 0 &&
                          (raw[15] == '1' || raw[15] == '2')
                      ? 16
                      : 0;
    return err;
}

static int repair_entry_end(void *arg, uint64_t off, const struct pk_head *head,
                            uint64_t len)
{
    struct repair *r = arg;

    (void)head;
    r->end = off + len;
    return 0;
}

/* A control file from what there is. Its last chunk reaches to the end of its
 * file until the entries have been seen. */
static int repair_control(struct repair *r)
{
    struct pk_store *store = r->store;
    struct pk_control control = {.version = 5, .mapping_end = NF_NOWHERE};
    struct repair_files files = {0};
    uint64_t header = 0;
    int err =
        store->vfs->ops->list(store->vfs->ctx, "", repair_see_file, &files);

    if (err != 0 || !files.chunks || !files.dict || files.prefix ||
        files.first != 0) {
        return err != 0 ? err
                        : pk_fail(&store->ctx, NF_EC_CONTROL, "store.control",
                                  NF_NOWHERE, "cannot be made anew");
    }
    err = repair_header(store, "store.0.suffix", &header);
    control.status =
        header != 0 ? PK_STATUS_V1_UPGRADED : PK_STATUS_NON_MINIMAL;
    if (store->strategy == PK_STRATEGY_MINIMAL && header == 0) {
        control.status = PK_STATUS_NO_GC_YET;
    }
    control.chunk_num = files.last + 1;
    if (err == 0 && files.last_len < (files.last == 0 ? header : 0)) {
        err = pk_fail(&store->ctx, NF_EC_SHORT_FILE, "store.0.suffix",
                      NF_NOWHERE, "dead header");
    }
    control.chunk_end = files.last_len - (files.last == 0 ? header : 0);
    control.upgrade_off = header != 0 ? control.chunk_end : 0;
    if (err == 0) {
        err = repair_dict_end(store, header, files.dict_len, &control.dict_end);
    }
    if (err == 0 && header + control.dict_end < files.dict_len) {
        err = repair_tell(r, NF_EC_DICT, "store.dict",
                          header + control.dict_end, "cut here");
    }
    if (err == 0) {
        err = repair_tell(r, NF_EC_CONTROL, "store.control", NF_NOWHERE,
                          "made anew");
    }
    store->control = control;
    r->stats->control_rebuilt = true;
    return err;
}

/* Cut the last chunk behind its last whole entry. */
static int repair_chunk_end(struct repair *r)
{
    struct pk_store *store = r->store;
    struct pk_control control = store->control;
    const struct pk_chunk *last =
        &store->suffix.chunks[store->suffix.n_chunks - 1];
    int err = pk_scan(store, repair_entry_end, NULL, r);

    control.chunk_end = r->end > last->soff ? r->end - last->soff : 0;
    return err == 0 ? pk_store_write_control(store, &control) : err;
}

/* --------------------------------------------------------------------- index
 */

static int repair_add_commit(struct repair *r, uint64_t off)
{
    if (r->n_commits == r->cap_commits) {
        size_t cap = r->cap_commits == 0 ? 64 : r->cap_commits * 2;
        uint64_t *commits = nf_realloc(&r->store->ctx.mem, r->commits,
                                       r->cap_commits * sizeof(*commits),
                                       cap * sizeof(*commits));

        if (commits == NULL) {
            return pk_fail_mem(&r->store->ctx);
        }
        r->commits = commits;
        r->cap_commits = cap;
    }
    r->commits[r->n_commits++] = off;
    return 0;
}

static int repair_entry(void *arg, uint64_t off, const struct pk_head *head,
                        uint64_t len)
{
    struct repair *r = arg;
    struct pk_binding binding = {.hash = head->hash, .off = off};
    bool v1 = head->kind == 'C' || head->kind == 'I' || head->kind == 'N';
    int err = 0;

    r->stats->done = off;
    binding.len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
    binding.kind = head->kind == 'P' ? 'D' : head->kind;
    if (head->kind == 'D' || head->kind == 'C') {
        err = repair_add_commit(r, off);
    }
    if (err == 0 && (v1 || pk_object_is_indexed(r->store, binding.kind)) &&
        head->kind != 'P') {
        err = pk_index_add(&r->index, &binding);
        r->stats->bindings++;
    }
    return err;
}

static int repair_gap(void *arg, uint64_t off)
{
    struct repair *r = arg;

    return repair_tell(r, NF_EC_ENTRY, pk_store_where(r->store, off), off,
                       "no entry begins here");
}

/* What the old index has and the pack does not say. */
static int repair_compare(void *arg, const struct pk_binding *binding)
{
    struct repair *r = arg;
    struct pk_binding now;
    int err = pk_index_find(&r->index, &binding->hash, &now);

    if (err == 0 && now.off == binding->off && now.len == binding->len) {
        return 0;
    }
    if (err != 0 && err != NF_EC_NO_OBJECT) {
        return err;
    }
    r->stats->dangling++;
    if (err != 0 && binding->off < r->store->control.suffix_start) {
        return 0; /* collected: no loss */
    }
    return repair_tell(r, NF_EC_INDEX, binding->at.file, binding->at.off,
                       "entry dropped or put right");
}

static int repair_index(struct repair *r)
{
    struct pk_store *store = r->store;
    int err = pk_index_open(&store->ctx, store->vfs, store->scheme.hash_len,
                            UINT64_MAX, false, &r->old);
    bool readable = err == 0;

    if (err == NF_ENOMEM) {
        (void)pk_index_close(&r->old); /* it says nothing about the store */
        return err;
    }
    /* The new one takes the old one's place when it is complete. */
    memset(&r->index, 0, sizeof(r->index));
    err = pk_index_open_empty(&store->ctx, store->vfs, store->scheme.hash_len,
                              store->index_log_entries, &r->index);
    if (err == 0) {
        err = pk_scan(store, repair_entry, repair_gap, r);
    }
    if (err == 0 && readable) {
        err = pk_index_each(&r->old, repair_compare, r);
    } else if (err == 0) {
        err = repair_tell(r, NF_EC_INDEX, "index", NF_NOWHERE, "made anew");
    }
    (void)pk_index_close(&r->old); /* only read */
    if (err == 0) {
        err = pk_index_replace(&r->index);
    }
    return err;
}

/* ------------------------------------------------------------------- branches
 */

static void parked_line(struct pk_buf *out, struct pk_slice name,
                        const struct pk_digest *hash, size_t hash_len)
{
    static const char digits[] = "0123456789abcdef";

    pk_put(out, name.p, name.len);
    pk_put_u8(out, ' ');
    for (size_t i = 0; i < hash_len; i++) {
        pk_put_u8(out, (uint8_t)digits[hash->b[i] >> 4]);
        pk_put_u8(out, (uint8_t)digits[hash->b[i] & 15]);
    }
    pk_put_u8(out, '\n');
}

/* Lines after those that are there. */
static int parked_write(struct pk_store *store, const struct pk_buf *lines)
{
    struct pk_file file = {0};
    uint64_t end = 0;
    int close_err;
    int err = pk_file_open(&store->ctx, store->vfs, parked_name,
                           PK_VFS_WRITE | PK_VFS_CREATE, &file);

    if (err != 0) {
        return err;
    }
    err = pk_file_size(&file, &end);
    if (err == 0) {
        err = pk_file_write(&file, end, lines->p, lines->len);
    }
    if (err == 0) {
        err = pk_file_order(&store->ctx, store->vfs);
    }
    close_err = pk_file_close(&file);
    return err == 0 ? close_err : err;
}

static int repair_branches(struct repair *r)
{
    struct pk_store *store = r->store;
    struct pk_buf lines = pk_buf_of(&store->ctx.mem);
    int err = pk_branches_salvage(&store->ctx, store->vfs,
                                  store->scheme.hash_len, &store->branches);

    if (err > 0) {
        err = repair_tell(r, NF_EC_BRANCHES, "store.branches", NF_NOWHERE,
                          "cut behind its last whole record");
    }
    for (size_t i = 0; i < store->branches.n && err == 0; i++) {
        struct pk_digest hash;
        struct pk_binding binding;

        if (!pk_branches_hash(&store->branches, i, &hash)) {
            continue;
        }
        err = pk_index_find(&r->index, &hash, &binding);
        if (err != NF_EC_NO_OBJECT) {
            continue; /* it is there, or nobody knows: then err ends it */
        }
        err = repair_tell(r, NF_EC_NO_COMMIT, "store.branches",
                          store->branches.table[i].pos, "branch parked");
        parked_line(&lines, pk_branches_name(&store->branches, i), &hash,
                    store->scheme.hash_len);
        r->stats->parked++;
        if (err == 0 && lines.failed) {
            err = pk_fail_mem(&store->ctx);
        }
        if (err == 0) {
            err = parked_write(store, &lines);
        }
        pk_buf_clear(&lines);
        if (err == 0) {
            err = pk_branches_set(&store->branches,
                                  pk_branches_name(&store->branches, i), NULL);
        }
    }
    pk_buf_deinit(&lines);
    return err;
}

/* ----------------------------------------------------------------- good commit
 */

/* A finding is told once by each checker: so one that has any is not asked
 * about older commits, which may share what is damaged. */
static int repair_last_good(struct repair *r)
{
    int err = 0;

    for (size_t i = r->n_commits; i > 0 && err == 0; i--) {
        struct pk_checker checker;
        struct pk_head head;
        bool good;

        pk_checker_init(&checker, r->store);
        err = pk_check_commit(&checker, r->commits[i - 1]);
        good = err == 0 && checker.stats.findings == 0;
        pk_checker_deinit(&checker);
        if (!good) {
            continue;
        }
        err = pk_object_head(r->store, r->commits[i - 1], &head);
        if (err == 0) {
            r->stats->has_last_good = true;
            r->stats->last_good = head.hash;
            break;
        }
    }
    return err;
}

/* -------------------------------------------------------------------- in order
 */

static int repair_open(struct repair *r)
{
    struct pk_store *store = r->store;
    int err = pk_store_open_control(store);

    if (err == NF_EC_CONTROL || err == NF_EC_CONTROL_SUM ||
        err == NF_EC_PACK_VERSION || err == NF_EC_LAYOUT) {
        err = repair_control(r);
    }
    if (err == 0) {
        err = pk_store_open_pack(store);
    }
    if (err == 0 && r->stats->control_rebuilt) {
        err = repair_chunk_end(r);
    }
    return err;
}

int pk_repair_store(struct pk_store *store, pk_finding_fn fn, void *arg,
                    struct pk_repair_stats *ret_stats)
{
    struct nf_mem *mem = &store->ctx.mem;
    struct repair *r = nf_calloc(mem, 1, sizeof(*r));
    int err;

    if (r == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    r->store = store;
    r->fn = fn;
    r->arg = arg;
    r->stats = ret_stats;
    *ret_stats = (struct pk_repair_stats){0};
    err = repair_open(r);
    ret_stats->total = err == 0 ? pk_store_end(store) : 0;
    if (err == 0) {
        err = repair_index(r);
    }
    if (err == 0) {
        err = repair_branches(r);
    }
    if (err == 0) {
        store->index = r->index;
        memset(&r->index, 0, sizeof(r->index));
        err = repair_last_good(r);
    }
    if (err == 0) {
        err = pk_file_commit(&store->ctx, store->vfs);
    }
    (void)pk_index_close(&r->index); /* the first error counts */
    nf_free(mem, r->commits, r->cap_commits * sizeof(*r->commits));
    nf_free(mem, r, sizeof(*r));
    return err;
}
