/* SPDX-License-Identifier: ISC */
/*
 * The model of a file system: names lead to files, files are numbered and never
 * forgotten, so that a recorded operation can say which one it means. A crash
 * starts from the files as they were when recording began, does again what was
 * settled, then some of the rest.
 */
#include "tests/support/vfs_fault.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

struct vfs_file {
    uint8_t *p;
    size_t len;
    size_t cap;
};

struct vfs_name {
    char *text;
    size_t file;
};

enum op_kind {
    OP_START, /* the beginning: names and files follow from a copy */
    OP_WRITE,
    OP_TRUNCATE,
    OP_CREATE, /* name -> file */
    OP_RENAME, /* name, other */
    OP_REMOVE,
    OP_SETTLE, /* order or commit */
    OP_MARK,
};

struct vfs_op {
    enum op_kind kind;
    size_t file;
    uint64_t off; /* or the mark */
    uint8_t *bytes;
    size_t len;
    char *name;
    char *other;
    struct vfs_fault *start;
};

/* Not check's asserts: fuzz targets run without its runner. */
static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void *must(void *p)
{
    require(p != NULL);
    return p;
}

static char *text_copy(const char *text)
{
    return must(strdup(text));
}

/* ------------------------------------------------------------ plain files */

static size_t file_new(struct vfs_fault *fault)
{
    fault->files =
        must(realloc(fault->files, (fault->n_files + 1) * sizeof(void *)));
    fault->files[fault->n_files] = must(calloc(1, sizeof(struct vfs_file)));
    return fault->n_files++;
}

static void file_put(struct vfs_file *file, uint64_t off, const uint8_t *bytes,
                     size_t len)
{
    size_t end = (size_t)off + len;

    if (end > file->cap) {
        file->cap = end * 2;
        file->p = must(realloc(file->p, file->cap));
    }
    if (off > file->len) {
        memset(file->p + file->len, 0, (size_t)off - file->len);
    }
    if (len > 0) {
        memcpy(file->p + off, bytes, len);
    }
    file->len = end > file->len ? end : file->len;
}

static struct vfs_name *name_find(const struct vfs_fault *fault,
                                  const char *name)
{
    for (size_t i = 0; i < fault->n_names; i++) {
        if (strcmp(fault->names[i].text, name) == 0) {
            return &fault->names[i];
        }
    }
    return NULL;
}

static void name_set(struct vfs_fault *fault, const char *name, size_t file)
{
    struct vfs_name *entry = name_find(fault, name);

    if (entry == NULL) {
        fault->names = must(realloc(fault->names, (fault->n_names + 1) *
                                                      sizeof(*fault->names)));
        entry = &fault->names[fault->n_names++];
        entry->text = text_copy(name);
    }
    entry->file = file;
}

static void name_drop(struct vfs_fault *fault, const char *name)
{
    struct vfs_name *entry = name_find(fault, name);

    if (entry != NULL) {
        free(entry->text);
        *entry = fault->names[--fault->n_names];
    }
}

static void names_clear(struct vfs_fault *fault)
{
    while (fault->n_names > 0) {
        name_drop(fault, fault->names[0].text);
    }
    free(fault->names);
    fault->names = NULL;
    for (size_t i = 0; i < fault->n_files; i++) {
        free(fault->files[i]->p);
        free(fault->files[i]);
    }
    free(fault->files);
    fault->files = NULL;
    fault->n_files = 0;
}

static void files_copy(const struct vfs_fault *from, struct vfs_fault *to)
{
    for (size_t i = 0; i < from->n_files; i++) {
        size_t file = file_new(to);

        file_put(to->files[file], 0, from->files[i]->p, from->files[i]->len);
    }
    for (size_t i = 0; i < from->n_names; i++) {
        name_set(to, from->names[i].text, from->names[i].file);
    }
}

/* -------------------------------------------------------------- recording */

static struct vfs_op *op_add(struct vfs_fault *fault, enum op_kind kind)
{
    static struct vfs_op unused;

    if (!fault->recording) {
        memset(&unused, 0, sizeof(unused));
        return &unused;
    }
    if (fault->n_ops == fault->cap_ops) {
        fault->cap_ops = fault->cap_ops * 2 + 64;
        fault->ops =
            must(realloc(fault->ops, fault->cap_ops * sizeof(*fault->ops)));
    }
    memset(&fault->ops[fault->n_ops], 0, sizeof(*fault->ops));
    fault->ops[fault->n_ops].kind = kind;
    return &fault->ops[fault->n_ops++];
}

void vfs_fault_record(struct vfs_fault *fault)
{
    struct vfs_op *op;

    fault->recording = true;
    op = op_add(fault, OP_START);
    op->start = must(calloc(1, sizeof(*op->start)));
    files_copy(fault, op->start);
}

void vfs_fault_mark(struct vfs_fault *fault, uint64_t mark)
{
    op_add(fault, OP_MARK)->off = mark;
    fault->marked = mark;
}

/* ------------------------------------------------------------------ the table
 */

static bool refused(struct vfs_fault *fault)
{
    fault->n_calls++;
    if (fault->fail_at == 0 || fault->n_calls < fault->fail_at ||
        (fault->n_calls > fault->fail_at && !fault->for_ever)) {
        return false;
    }
    fault->n_failed++;
    return true;
}

static int refusal(const struct vfs_fault *fault)
{
    return fault->fail_err != 0 ? fault->fail_err : NF_EIO;
}

static int fault_open(void *ctx, const char *name, uint32_t flags,
                      void **ret_file)
{
    struct vfs_fault *fault = ctx;
    size_t *handle;

    if (refused(fault)) {
        return refusal(fault);
    }
    if (name_find(fault, name) == NULL) {
        struct vfs_op *op;
        size_t file;

        if ((flags & PK_VFS_CREATE) == 0) {
            return NF_ENOENT;
        }
        file = file_new(fault);
        name_set(fault, name, file);
        op = op_add(fault, OP_CREATE);
        op->file = file;
        op->name = fault->recording ? text_copy(name) : NULL;
    }
    handle = must(malloc(sizeof(*handle)));
    *handle = name_find(fault, name)->file;
    if ((flags & PK_VFS_TRUNCATE) != 0 && fault->files[*handle]->len > 0) {
        fault->files[*handle]->len = 0;
        op_add(fault, OP_TRUNCATE)->file = *handle;
    }
    fault->n_open++;
    *ret_file = handle;
    return 0;
}

static int fault_close(void *ctx, void *file)
{
    struct vfs_fault *fault = ctx;

    fault->n_open--;
    free(file);
    return 0;
}

static int fault_read(void *ctx, void *handle, uint64_t off, uint8_t *buf,
                      size_t len, size_t *ret_len)
{
    struct vfs_fault *fault = ctx;
    const struct vfs_file *file = fault->files[*(size_t *)handle];

    if (refused(fault)) {
        return refusal(fault);
    }
    if (off >= file->len) {
        len = 0;
    } else if (len > file->len - off) {
        len = file->len - (size_t)off;
    }
    if (len > 0) {
        memcpy(buf, file->p + off, len);
    }
    *ret_len = len;
    return 0;
}

static int fault_write(void *ctx, void *handle, uint64_t off,
                       const uint8_t *buf, size_t len)
{
    struct vfs_fault *fault = ctx;
    size_t file = *(size_t *)handle;
    bool no = refused(fault);
    struct vfs_op *op;

    require(off <= fault->files[file]->len);
    if (no) {
        len /= 2; /* and who knows what is there */
    }
    file_put(fault->files[file], off, buf, len);
    op = op_add(fault, OP_WRITE);
    op->file = file;
    op->off = off;
    op->len = len;
    if (fault->recording) {
        op->bytes = must(malloc(len + 1));
        memcpy(op->bytes, buf, len);
    }
    return no ? refusal(fault) : 0;
}

static int fault_truncate(void *ctx, void *handle, uint64_t len)
{
    struct vfs_fault *fault = ctx;
    size_t file = *(size_t *)handle;
    struct vfs_op *op;

    if (refused(fault)) {
        return refusal(fault);
    }
    require(len <= fault->files[file]->len);
    fault->files[file]->len = (size_t)len;
    op = op_add(fault, OP_TRUNCATE);
    op->file = file;
    op->off = len;
    return 0;
}

static int fault_size(void *ctx, void *handle, uint64_t *ret_len)
{
    const struct vfs_fault *fault = ctx;

    *ret_len = fault->files[*(size_t *)handle]->len;
    return 0;
}

static int fault_rename(void *ctx, const char *from, const char *to)
{
    struct vfs_fault *fault = ctx;
    struct vfs_name *entry = name_find(fault, from);
    struct vfs_op *op;
    size_t file;

    if (refused(fault)) {
        return refusal(fault);
    }
    if (entry == NULL) {
        return NF_ENOENT;
    }
    op = op_add(fault, OP_RENAME);
    if (fault->recording) {
        op->name = text_copy(from);
        op->other = text_copy(to);
    }
    file = entry->file;
    op->file = file;
    name_drop(fault, from);
    name_set(fault, to, file);
    return 0;
}

static int fault_remove(void *ctx, const char *name)
{
    struct vfs_fault *fault = ctx;
    struct vfs_op *op;

    if (refused(fault)) {
        return refusal(fault);
    }
    if (name_find(fault, name) == NULL) {
        return NF_ENOENT;
    }
    op = op_add(fault, OP_REMOVE);
    op->name = fault->recording ? text_copy(name) : NULL;
    name_drop(fault, name);
    return 0;
}

static int fault_list(void *ctx, const char *dir, pk_vfs_list_fn fn, void *arg)
{
    struct vfs_fault *fault = ctx;
    size_t len = strlen(dir);
    int err = 0;

    if (refused(fault)) {
        return refusal(fault);
    }
    for (size_t i = 0; i < fault->n_names && err == 0; i++) {
        const char *step = fault->names[i].text;

        if (len > 0) {
            if (strncmp(step, dir, len) != 0 || step[len] != '/') {
                continue;
            }
            step += len + 1;
        }
        if (strchr(step, '/') == NULL) {
            err = fn(arg, step, fault->files[fault->names[i].file]->len);
        }
    }
    return err;
}

static int fault_settle(void *ctx)
{
    struct vfs_fault *fault = ctx;

    if (refused(fault)) {
        return refusal(fault);
    }
    (void)op_add(fault, OP_SETTLE);
    return 0;
}

static int fault_lock(void *ctx, const char *name, void **ret_lock)
{
    struct vfs_fault *fault = ctx;

    (void)name;
    if (refused(fault)) {
        return refusal(fault);
    }
    if (fault->locked) {
        return NF_EBUSY;
    }
    fault->locked = true;
    *ret_lock = fault;
    return 0;
}

static void fault_unlock(void *ctx, void *lock)
{
    struct vfs_fault *fault = ctx;

    (void)lock;
    fault->locked = false;
}

static const struct pk_vfs_ops fault_ops = {
    .open = fault_open,
    .close = fault_close,
    .read = fault_read,
    .write = fault_write,
    .truncate = fault_truncate,
    .size = fault_size,
    .rename = fault_rename,
    .remove = fault_remove,
    .list = fault_list,
    .order = fault_settle,
    .commit = fault_settle,
    .lock = fault_lock,
    .unlock = fault_unlock,
};

void vfs_fault_init(struct vfs_fault *fault)
{
    memset(fault, 0, sizeof(*fault));
    fault->vfs = (struct pk_vfs){&fault_ops, fault};
}

void vfs_fault_deinit(struct vfs_fault *fault)
{
    for (size_t i = 0; i < fault->n_ops; i++) {
        struct vfs_op *op = &fault->ops[i];

        free(op->bytes);
        free(op->name);
        free(op->other);
        if (op->start != NULL) {
            names_clear(op->start);
            free(op->start);
        }
    }
    free(fault->ops);
    names_clear(fault);
    require(fault->n_open == 0);
}

void vfs_fault_fail(struct vfs_fault *fault, uint64_t n, bool for_ever)
{
    fault->fail_at = n == 0 ? 0 : fault->n_calls + n;
    fault->for_ever = for_ever;
    fault->n_failed = 0;
}

void vfs_fault_copy(const struct vfs_fault *fault, struct vfs_fault *ret)
{
    vfs_fault_init(ret);
    files_copy(fault, ret);
}

uint8_t *vfs_fault_bytes(const struct vfs_fault *fault, const char *name,
                         size_t *ret_len)
{
    const struct vfs_name *entry = name_find(fault, name);

    if (entry == NULL) {
        return NULL;
    }
    *ret_len = fault->files[entry->file]->len;
    return fault->files[entry->file]->p;
}

void vfs_fault_put(struct vfs_fault *fault, const char *name,
                   const uint8_t *bytes, size_t len)
{
    size_t file = file_new(fault);

    file_put(fault->files[file], 0, bytes, len);
    name_set(fault, name, file);
}

/* -------------------------------------------------------------------- crashes
 */

/* Files of a crashed state are numbered as in the scenario. */
static struct vfs_file *redo_file(struct vfs_fault *to, size_t file)
{
    while (to->n_files <= file) {
        (void)file_new(to);
    }
    return to->files[file];
}

/* Which pieces of a write arrive. */
static bool piece_arrives(const uint64_t *pieces, size_t k)
{
    return pieces == NULL || (pieces[k / 64 % 2] >> k % 64 & 1) != 0;
}

static void redo_write(const struct vfs_op *op, struct vfs_fault *to,
                       const uint64_t *pieces)
{
    struct vfs_file *file = redo_file(to, op->file);
    size_t done = 0;

    for (size_t k = 0; done < op->len; k++) {
        uint64_t at = op->off + done;
        size_t n = SECTOR - (size_t)(at % SECTOR);

        n = n < op->len - done ? n : op->len - done;
        if (piece_arrives(pieces, k)) {
            file_put(file, at, op->bytes + done, n);
        }
        done += n;
    }
    if (pieces != NULL && (pieces[1] & VFS_FAULT_END) != 0 &&
        file->len < op->off + op->len) {
        file_put(file, op->off + op->len, NULL, 0);
    }
}

void vfs_fault_redo(const struct vfs_fault *fault, size_t i,
                    const uint64_t *pieces, struct vfs_fault *to)
{
    const struct vfs_op *op = &fault->ops[i];
    struct vfs_name *entry;

    switch (op->kind) {
    case OP_START:
        files_copy(op->start, to);
        break;
    case OP_WRITE:
        redo_write(op, to, pieces);
        break;
    case OP_TRUNCATE:
        if (redo_file(to, op->file)->len > op->off) {
            to->files[op->file]->len = (size_t)op->off;
        }
        break;
    case OP_CREATE:
        (void)redo_file(to, op->file);
        name_set(to, op->name, op->file);
        break;
    case OP_RENAME:
        (void)redo_file(to, op->file);
        entry = name_find(to, op->name);
        if (entry != NULL && entry->file == op->file) {
            name_drop(to, op->name);
        }
        name_set(to, op->other, op->file);
        break;
    case OP_REMOVE:
        name_drop(to, op->name);
        break;
    case OP_SETTLE:
        break;
    case OP_MARK:
        to->marked = op->off;
        break;
    }
}

size_t vfs_fault_settled(const struct vfs_fault *fault, size_t upto)
{
    while (upto > 0 && fault->ops[upto - 1].kind != OP_SETTLE &&
           fault->ops[upto - 1].kind != OP_START) {
        upto--;
    }
    return upto;
}

size_t vfs_fault_sectors(const struct vfs_fault *fault, size_t i)
{
    const struct vfs_op *op = &fault->ops[i];

    if (op->kind != OP_WRITE || op->len == 0) {
        return 0;
    }
    return (size_t)((op->off + op->len - 1) / SECTOR - op->off / SECTOR) + 1;
}

bool vfs_fault_changes(const struct vfs_fault *fault, size_t i)
{
    const enum op_kind kind = fault->ops[i].kind;

    return kind != OP_START && kind != OP_SETTLE && kind != OP_MARK;
}

void vfs_fault_print(const struct vfs_fault *fault, size_t i, FILE *out)
{
    static const char *const kinds[] = {"start",  "write",  "truncate",
                                        "create", "rename", "remove",
                                        "settle", "mark"};
    const struct vfs_op *op = &fault->ops[i];

    fprintf(out, "%s file %zu at %llu, %zu bytes %s %s\n", kinds[op->kind],
            op->file, (unsigned long long)op->off, op->len,
            op->name == NULL ? "" : op->name,
            op->other == NULL ? "" : op->other);
}

static bool crash_keeps(enum vfs_crash kind, struct prng *prng, size_t i,
                        size_t upto)
{
    switch (kind) {
    case VFS_CRASH_NONE:
        return false;
    case VFS_CRASH_ALL:
    case VFS_CRASH_TORN:
        return true;
    case VFS_CRASH_SOME:
        return prng_below(prng, 2) == 0;
    case VFS_CRASH_LATE:
        return upto - i <= 1 + prng_below(prng, 3);
    case VFS_CRASH_KINDS:
        break;
    }
    return false;
}

void vfs_fault_crash(const struct vfs_fault *fault, size_t upto,
                     struct prng *prng, enum vfs_crash kind,
                     struct vfs_fault *ret)
{
    const size_t settled = vfs_fault_settled(fault, upto);

    vfs_fault_init(ret);
    for (size_t i = 0; i < upto; i++) {
        const uint64_t pieces[2] = {prng_next(prng), prng_next(prng)};

        if (i < settled || !vfs_fault_changes(fault, i)) {
            vfs_fault_redo(fault, i, NULL, ret);
        } else if (crash_keeps(kind, prng, i, upto)) {
            vfs_fault_redo(fault, i, kind == VFS_CRASH_TORN ? pieces : NULL,
                           ret);
        }
    }
}
