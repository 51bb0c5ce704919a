/* SPDX-License-Identifier: ISC */
/*
 * Verification of a store (spec 10). Every object that a commit of the index
 * reaches is read once, which verifies its hash and form; on top of that
 *
 *   an inode with children binds more than the fan-out, its length is the sum
 *   of its children's, and each step is where its hash says (spec 4.3, 4.4);
 *   an index entry says what is true of the object that it names, unless that
 *   was collected;
 *   a branch names a commit that is or was in the index.
 *
 * A collection keeps one history: what other commits shared with what went is
 * gone with it. That is damage where a branch or the target of the collection
 * begins, and is only counted elsewhere.
 *
 * A finding is told, and the check goes on with the rest.
 */
#include "pack/integrity.h"

#include <string.h>

#include "notafs/platform/checked.h"
#include "pack/inode.h"
#include "pack/locate.h"
#include "pack/objects.h"

/* From this on there is memory to remember what was verified. */
enum { LARGE_CACHE = 1 << 20 };

/* ---------------------------------------------------------------- findings */

static int check_tell(struct pk_checker *checker, int err, const char *file,
                      uint64_t off, const char *what)
{
    struct pk_finding finding = {file, off, what, err};

    checker->stats.findings++;
    return checker->fn == NULL ? 0 : checker->fn(checker->arg, &finding);
}

/* Is the object at off in the lower layer, with all that it refers to? */
static bool check_archived(const struct pk_checker *checker, uint64_t off)
{
    return off < checker->store->control.suffix_start &&
           pk_lower_spans(&checker->store->lower, off);
}

/* A failed read is a finding, unless it says nothing about the store. */
static int check_failed(struct pk_checker *checker, int err, uint64_t off)
{
    const struct nf_error_info *info = &checker->store->ctx.err;

    if (err == NF_ENOMEM) {
        return err;
    }
    if (checker->lenient && !check_archived(checker, off) &&
        (err == NF_EC_UNRESOLVED || nf_err_class(err) == NF_ENOENT)) {
        checker->stats.collected++;
        return 0;
    }
    return check_tell(
        checker, err,
        info->file[0] != '\0' ? info->file
                              : pk_store_where(checker->store, off),
        info->offset != NF_NOWHERE ? info->offset : off, info->what);
}

static bool check_enough(const struct pk_checker *checker)
{
    return checker->budget != 0 &&
           checker->stats.inodes + checker->stats.contents >= checker->budget;
}

/* ------------------------------------------------------------- directories */

static int check_later(struct pk_checker *checker, uint64_t off)
{
    if (checker->n_todo == checker->cap_todo) {
        size_t cap = checker->cap_todo == 0 ? 64 : checker->cap_todo * 2;
        uint64_t *todo =
            nf_realloc(&checker->store->ctx.mem, checker->todo,
                       checker->cap_todo * sizeof(*todo), cap * sizeof(*todo));

        if (todo == NULL) {
            return pk_fail_mem(&checker->store->ctx);
        }
        checker->todo = todo;
        checker->cap_todo = cap;
    }
    checker->todo[checker->n_todo++] = off;
    return 0;
}

/* Contents that were read and are to be hashed together. */
enum { BATCH_MAX = 64, BATCH_LEN = 128 << 10 };
struct pk_check_batch {
    struct pk_buf bytes; /* pre-images, one after the other */
    size_t n;
    struct {
        uint64_t off;
        size_t at;
        size_t len;
        struct pk_digest said;
        struct pk_digest found;
    } items[BATCH_MAX];
    struct pk_hash_job jobs[BATCH_MAX];
};

/* Hash what waits, and tell what is not what its hash says. */
static int batch_check(struct pk_checker *checker)
{
    struct pk_store *store = checker->store;
    struct pk_check_batch *b = checker->batch;
    size_t n = b == NULL ? 0 : b->n;
    int err = 0;

    if (n == 0) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        memset(&b->items[i].found, 0, sizeof(b->items[i].found));
        b->jobs[i].parts[0] =
            (struct pk_slice){b->bytes.p + b->items[i].at, b->items[i].len};
        b->jobs[i].digest = b->items[i].found.b;
    }
    store->counters.objects_hashed += n;
    store->counters.bytes_hashed += b->bytes.len;
    err = pk_hash_many(&store->scheme.hasher, b->jobs, n);
    b->n = 0;
    pk_buf_clear(&b->bytes);
    for (size_t i = 0; i < n && err == 0; i++) {
        if (memcmp(&b->items[i].said, &b->items[i].found,
                   sizeof(struct pk_digest)) != 0) {
            err = pk_store_fail(store, NF_EC_HASH, b->items[i].off, "contents");
            err = check_failed(checker, err, b->items[i].off);
        }
    }
    return err;
}

/* Let the contents in entry_buf wait for the others of a batch. */
static int batch_add(struct pk_checker *checker, uint64_t off,
                     const struct pk_head *head)
{
    struct pk_store *store = checker->store;
    struct pk_check_batch *b = checker->batch;
    const size_t len = (size_t)head->len - head->body;
    uint8_t pre[PK_PRE_CONTENTS_MAX];

    if (b == NULL) {
        b = nf_calloc(&store->ctx.mem, 1, sizeof(*b));
        if (b == NULL) {
            return pk_fail_mem(&store->ctx);
        }
        b->bytes = pk_buf_of(&store->ctx.mem);
        checker->batch = b;
    }
    b->items[b->n].off = off;
    b->items[b->n].at = b->bytes.len;
    b->items[b->n].said = head->hash;
    pk_put(&b->bytes, pre, pk_pre_contents(&store->scheme, len, pre));
    pk_put(&b->bytes, store->entry_buf.p + head->body, len);
    b->items[b->n].len = b->bytes.len - b->items[b->n].at;
    if (b->bytes.failed) {
        return pk_fail_mem(&store->ctx);
    }
    b->n++;
    return b->n == BATCH_MAX || b->bytes.len > BATCH_LEN ? batch_check(checker)
                                                         : 0;
}

static void batch_deinit(struct pk_checker *checker)
{
    if (checker->batch != NULL) {
        pk_buf_deinit(&checker->batch->bytes);
        nf_free(&checker->store->ctx.mem, checker->batch,
                sizeof(*checker->batch));
    }
}

static int check_contents(struct pk_checker *checker, uint64_t off)
{
    struct pk_verified_object object = {.length = 0};
    struct pk_store *store = checker->store;
    struct pk_head head;
    int err;

    if (pk_verified_has(&checker->known, off)) {
        return 0;
    }
    checker->stats.contents++;
    err = pk_object_read(store, off, 0, &head);
    if (err == 0 && head.kind != 'B') {
        err = pk_store_fail(store, NF_EC_HASH, off, "contents");
    }
    if (err == 0) {
        object.kind = head.kind;
        object.hash = head.hash;
        err = batch_add(checker, off, &head);
    } else {
        err = check_failed(checker, err, off);
    }
    if (err == 0) {
        err = pk_verified_add(&checker->known, off,
                              object.kind == 0 ? NULL : &object);
    }
    return err < 0 ? err : 0;
}

/* The inodes from a directory's root to where the check is, each pinned, with
 * which of its children or bindings comes next. */
struct check_level {
    struct pk_inode *inode;
    uint64_t length; /* of the children so far */
    uint32_t next;
    bool failed; /* there is a child that could not be read */
};

struct pk_check_path {
    struct check_level levels[PK_INODE_MAX_DEPTH + 1];
    uint32_t depth;
};

/* Go down into an inode, which is the path's to unpin. */
static void check_enter(struct pk_checker *checker, struct pk_inode *inode)
{
    struct pk_check_path *path = checker->path;

    path->levels[path->depth++] = (struct check_level){.inode = inode};
    checker->stats.inodes++;
}

/* A binding of the lowest inode: each step is where its hash says. */
static int check_binding(struct pk_checker *checker, const struct pk_slot *slot)
{
    const struct pk_check_path *path = checker->path;
    struct pk_store *store = checker->store;
    uint64_t off = 0;
    int err = 0;

    for (uint32_t d = 0; d + 1 < path->depth && err == 0; d++) {
        const struct check_level *level = &path->levels[d];
        struct pk_slot above;
        uint32_t index = 0;

        pk_inode_slot(store, level->inode, level->next - 1, &above);
        err = pk_child_index(&store->scheme, d, slot->step, &index);
        if (err == 0 && index != above.index) {
            err = pk_store_fail(store, NF_EC_SHAPE, level->inode->kept.off,
                                "step in the wrong child");
        }
    }
    if (err == 0) {
        err = pk_addr_resolve(store, &slot->addr, &off);
    }
    if (err != 0) {
        return check_failed(checker, err, path->levels[0].inode->kept.off);
    }
    return slot->kind == PK_CONTENTS ? check_contents(checker, off)
                                     : check_later(checker, off);
}

/* The child at a slot of the lowest inode: gone into, unless it is known. */
static int check_child(struct pk_checker *checker, const struct pk_slot *slot)
{
    struct pk_check_path *path = checker->path;
    struct check_level *level = &path->levels[path->depth - 1];
    struct pk_store *store = checker->store;
    struct pk_verified_object object;
    struct pk_inode *child = NULL;
    uint64_t off = 0;
    int err = pk_addr_resolve(store, &slot->addr, &off);

    if (err == 0 && pk_verified_find(&checker->known, off, &object)) {
        struct pk_inode known = {.tree = object.tree,
                                 .depth = object.depth,
                                 .kind = object.kind,
                                 .length = object.length};

        known.kept.off = off;
        err = pk_inode_check_child(store, level->inode, &known);
        level->length += object.length;
    } else if (err == 0) {
        err = pk_inode_load_child(store, level->inode, level->next - 1, &child);
    }
    if (err != 0) {
        level->failed = true;
        return check_failed(checker, err, level->inode->kept.off);
    }
    if (child != NULL && pk_verified_has(&checker->known, off)) {
        level->length += child->length;
        pk_inode_unpin(store, child);
    } else if (child != NULL) {
        check_enter(checker, child);
    }
    return 0;
}

/* All below the lowest inode was checked. One with children binds more than
 * the fan-out, and its length is the sum of theirs. */
static int check_leave(struct pk_checker *checker)
{
    struct pk_check_path *path = checker->path;
    struct check_level *level = &path->levels[--path->depth];
    struct pk_store *store = checker->store;
    struct pk_inode *inode = level->inode;
    struct pk_verified_object object = {.hash = inode->hash,
                                        .length = inode->length,
                                        .kind = inode->kind,
                                        .depth = (uint8_t)inode->depth,
                                        .tree = inode->tree};
    int err = 0;

    if (path->depth > 0) {
        path->levels[path->depth - 1].length += inode->length;
    }
    if (inode->tree && !level->failed &&
        (inode->length != level->length ||
         inode->length <= store->scheme.config.entries)) {
        err = check_tell(checker, NF_EC_SHAPE,
                         pk_store_where(store, inode->kept.off),
                         inode->kept.off, "length of an inode");
    }
    if (err == 0) {
        err = pk_verified_add(&checker->known, inode->kept.off, &object);
    }
    pk_inode_unpin(store, inode);
    return err < 0 ? err : 0;
}

/* One step of the descent. */
static int check_step(struct pk_checker *checker)
{
    struct check_level *level =
        &checker->path->levels[checker->path->depth - 1];
    struct pk_slot slot;

    if (level->next == level->inode->n) {
        return check_leave(checker);
    }
    pk_inode_slot(checker->store, level->inode, level->next, &slot);
    level->next++;
    return level->inode->tree ? check_child(checker, &slot)
                              : check_binding(checker, &slot);
}

static int check_dir(struct pk_checker *checker, uint64_t off)
{
    struct pk_store *store = checker->store;
    struct pk_verified_object object;
    struct pk_inode *root;
    int err;

    if (pk_verified_find(&checker->known, off, &object) &&
        object.kind == 'R') { /* and was checked as that */
        return 0;
    }
    if (checker->path == NULL) {
        checker->path = nf_calloc(&store->ctx.mem, 1, sizeof(*checker->path));
        if (checker->path == NULL) {
            return pk_fail_mem(&store->ctx);
        }
    }
    err = pk_inode_load(store, off, PK_ROLE_ROOT, &root);
    if (err != 0) {
        return check_failed(checker, err, off);
    }
    if (pk_verified_has(&checker->known, off)) {
        pk_inode_unpin(store, root);
        return 0;
    }
    check_enter(checker, root);
    while (err == 0 && checker->path->depth > 0 && !check_enough(checker)) {
        err = check_step(checker);
    }
    while (checker->path->depth > 0) {
        checker->path->depth--;
        pk_inode_unpin(store,
                       checker->path->levels[checker->path->depth].inode);
    }
    return err;
}

static int check_commit(struct pk_checker *checker, uint64_t off)
{
    struct pk_commit_at at;
    int err = pk_verified_add(&checker->known, off, NULL);

    if (err <= 0) {
        return err;
    }
    err = pk_commit_read(checker->store, off, &at);
    if (err == NF_EC_COLLECTED) {
        checker->stats.collected++;
        return 0;
    }
    if (err != 0) {
        return check_failed(checker, err, off);
    }
    checker->stats.commits++;
    if (at.root_off == NF_NOWHERE) {
        err = check_tell(checker, NF_EC_UNRESOLVED,
                         pk_store_where(checker->store, off), off,
                         "root of a commit");
    } else {
        err = check_later(checker, at.root_off);
    }
    pk_commit_release(checker->store, &at);
    while (err == 0 && checker->n_todo > 0 && !check_enough(checker)) {
        uint64_t dir = checker->todo[--checker->n_todo];

        err = check_dir(checker, dir);
    }
    return err == 0 ? batch_check(checker) : err;
}

int pk_check_commit(struct pk_checker *checker, uint64_t off)
{
    struct pk_store *store = checker->store;
    int err;

    store->known = &checker->known;
    err = check_commit(checker, off);
    store->known = NULL;
    return err;
}

void pk_checker_init(struct pk_checker *checker, struct pk_store *store)
{
    *checker = (struct pk_checker){.store = store};
    checker->known.ctx = &store->ctx;
    checker->known.hash_len = store->scheme.hash_len;
    checker->known.max_len = store->cache.max_len < LARGE_CACHE
                                 ? store->cache.max_len / 4
                                 : store->cache.max_len * 4;
}

void pk_checker_deinit(struct pk_checker *checker)
{
    pk_verified_deinit(&checker->known);
    batch_deinit(checker);
    nf_free(&checker->store->ctx.mem, checker->path, sizeof(*checker->path));
    nf_free(&checker->store->ctx.mem, checker->todo,
            checker->cap_todo * sizeof(*checker->todo));
}

/* -------------------------------------------------------------- everything */

/* An index entry: what it says is true, or its object was collected. */
static int check_entry(void *arg, const struct pk_binding *binding)
{
    struct pk_checker *checker = arg;
    struct pk_store *store = checker->store;
    struct pk_binding found;
    struct pk_head head;
    int err = pk_index_find(&store->index, &binding->hash, &found);
    bool equal;

    checker->stats.bindings++;
    if (err == NF_EC_NO_OBJECT || err == NF_EC_INDEX) {
        return check_tell(checker, NF_EC_INDEX, binding->at.file,
                          binding->at.off, "entry that look-ups do not find");
    }
    if (err != 0) {
        return check_failed(checker, err, binding->off);
    }
    err = NF_EC_NO_OBJECT;
    if (binding->off <= PK_INT63_MAX) {
        err = pk_object_head(store, binding->off, &head);
    }
    if (err == NF_EC_NO_OBJECT && binding->off < store->control.suffix_start) {
        return 0;
    }
    if (err == NF_ENOMEM || nf_err_class(err) == NF_EIO) {
        return check_failed(checker, err, binding->off);
    }
    if (err != 0) {
        return check_tell(checker, NF_EC_INDEX, binding->at.file,
                          binding->at.off,
                          "entry of an object that is not there");
    }
    equal = memcmp(&head.hash, &binding->hash, sizeof(head.hash)) == 0 &&
            (head.kind == binding->kind ||
             (head.kind == 'P' && binding->kind == 'D')) &&
            (head.len == 0 || head.len == binding->len);
    if (!equal) {
        return check_tell(checker, NF_EC_INDEX, binding->at.file,
                          binding->at.off,
                          "entry that differs from its object");
    }
    if (head.kind == 'D' || head.kind == 'C' ||
        (head.kind == 'P' && store->lower.n_volumes > 0)) {
        return pk_check_commit(checker, binding->off);
    }
    return head.kind == 'B' ? check_contents(checker, binding->off) : 0;
}

/* The commit that branch i names, if it was not collected. */
static int check_branch(struct pk_checker *checker, size_t i)
{
    struct pk_store *store = checker->store;
    struct pk_binding binding;
    struct pk_digest hash;
    uint64_t off;
    uint8_t kind;
    int err;

    if (!pk_branches_hash(&store->branches, i, &hash)) {
        return 0;
    }
    err = pk_index_find(&store->index, &hash, &binding);
    if (err == NF_EC_NO_OBJECT) {
        return check_tell(checker, NF_EC_NO_COMMIT, "store.branches",
                          store->branches.table[i].pos,
                          "branch without commit");
    }
    if (err == 0) {
        err = pk_object_find(store, &hash, true, &off, &kind);
    }
    if (err == 0) {
        return pk_check_commit(checker, off);
    }
    return nf_err_class(err) == NF_ENOENT || err == NF_EC_INDEX
               ? 0 /* collected; told with the index's entries */
               : check_failed(checker, err, NF_NOWHERE);
}

/* The commits that must be whole: what branches name and the target of the
 * last collection. */
static int check_heads(struct pk_checker *checker)
{
    const struct pk_store *store = checker->store;
    uint64_t target = store->control.gc_target;
    int err = target > 0 ? pk_check_commit(checker, target) : 0;

    for (size_t i = 0; i < store->branches.n && err == 0; i++) {
        err = check_branch(checker, i);
    }
    return err;
}

/* Bytes of the prefix that are in a volume, too: the copies are equal, but for
 * the kind of the target's parents. Only those of the prefix were read. */
static int check_copy(struct pk_checker *checker, uint64_t off, size_t len,
                      size_t *ret_n)
{
    struct pk_store *store = checker->store;
    uint8_t ours[256];
    uint8_t theirs[256];
    size_t got = 0;
    size_t n = 0;
    int err = pk_sparse_read(&store->prefix, off, ours, len, &got);

    if (err == 0) {
        err = pk_lower_read(&store->lower, off, theirs, got, &n);
    }
    *ret_n = err == 0 ? n : len;
    if (err != 0) {
        return err == NF_EC_NO_OBJECT ? 0 : check_failed(checker, err, off);
    }
    for (size_t i = 0; i < n; i++) {
        if (ours[i] != theirs[i] && !(ours[i] == 'P' && theirs[i] == 'D')) {
            return check_tell(checker, NF_EC_VOLUME,
                              pk_lower_where(&store->lower, off + i), off + i,
                              "copy that differs from the prefix");
        }
    }
    return 0;
}

static int check_copies(struct pk_checker *checker)
{
    struct pk_sparse *prefix = &checker->store->prefix;
    const uint64_t n =
        checker->store->lower.n_volumes > 0 ? prefix->n_records : 0;
    int err = 0;

    for (uint64_t i = 0; i < n && err == 0; i++) {
        struct pk_range_record r = {0};
        size_t got = 0;

        err = pk_sparse_record(prefix, i, &r);
        for (uint64_t at = 0; at < r.len && err == 0; at += got) {
            err = check_copy(checker, r.off + at,
                             (size_t)nf_min_u64(256, r.len - at), &got);
        }
    }
    return err;
}

int pk_check_store(struct pk_store *store, pk_finding_fn fn, void *arg,
                   struct pk_check_stats *ret_stats)
{
    struct pk_checker checker;
    int err;

    pk_checker_init(&checker, store);
    checker.fn = fn;
    checker.arg = arg;
    pk_store_drop_lines(store); /* what is on disk is asked for */
    pk_cache_forget(store);
    err = check_heads(&checker);
    checker.lenient = store->control.status == PK_STATUS_GCED;
    if (err == 0) {
        err = pk_index_each(&store->index, check_entry, &checker);
    }
    if (err == 0) {
        err = batch_check(&checker);
    }
    if (err == 0) {
        err = check_copies(&checker);
    }
    *ret_stats = checker.stats;
    pk_checker_deinit(&checker);
    return err;
}
