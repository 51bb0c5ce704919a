/* SPDX-License-Identifier: ISC */
/*
 * Open files. A small file lives in its record (native); a larger one has a
 * rope of pages, which format->rope_* change. A change is refused before it
 * begins when it does not fit; when it fails later, on the device or for
 * memory, the transaction is failed with it.
 */
#include "notafs/nf_int.h"

/* ---- Open and close ------------------------------------------------- */

static int create(struct nf *nf, struct nf_at at, struct nf_inode **ret)
{
    struct nf_place place;
    struct nf_rec rec;
    struct nf_time now = nf_now(nf);
    struct nf_resolve how = {true, nf->format->mirage_times, now, 0};
    int err = nf_resolve(nf, at, &how, &place);
    if (err != 0) {
        return err;
    }
    memset(&rec, 0, sizeof(rec));
    rec.type = NF_TYPE_FILE;
    rec.id = nf->counts.next_id++;
    rec.mtime = now;
    if (nf->format->max_inline_bytes(nf, place.len) > 0) {
        rec.inline_data = (const uint8_t *)"";
    }
    err = nf_inode_add(nf, place.dir, place.name, place.len, &rec, ret);
    if (err != 0) {
        return err;
    }
    nf->counts.files++;
    err = nf_inode_changed(nf, *ret);
    if (err == 0) {
        err = nf_touch_parent(nf, at, now);
    }
    if (err != 0) {
        nf_inode_unref(nf, *ret);
    }
    return err;
}

/* Empty a file that exists, as a new one in its place would be. */
static int empty(struct nf *nf, struct nf_at at, struct nf_inode *inode)
{
    struct nf_place place;
    struct nf_time now = nf_now(nf);
    struct nf_resolve how = {false, nf->format->mirage_times, now, 0};
    int err = nf_resolve(nf, at, &how, &place);
    if (err == 0) {
        err = nf_inode_free(nf, inode);
    }
    inode->rec.mtime = now;
    return err == 0 ? nf_inode_changed(nf, inode) : err;
}

/* The inode that at leads to, and whether it is new. */
static int open_inode(struct nf *nf, struct nf_at at, uint32_t flags,
                      struct nf_inode **ret)
{
    static const struct nf_resolve just_look;
    struct nf_place place;
    int err = nf_resolve(nf, at, &just_look, &place);
    if (err == 0 && place.len == 0) {
        err = NF_EISDIR;
    }
    if (err == 0) {
        err = nf_inode_get(nf, place.dir, place.name, place.len, ret);
    }
    bool exists = err == 0;
    if (exists && (flags & NF_OPEN_EXCLUSIVE) != 0) {
        nf_inode_unref(nf, *ret);
        return NF_EEXIST;
    }
    if ((exists && (flags & NF_OPEN_TRUNCATE) == 0) ||
        (!exists && (err != NF_ENOENT || (flags & NF_OPEN_CREATE) == 0))) {
        return err;
    }
    uint64_t changes = exists ? 2 : 1 + nf_path_missing(nf, at);
    err = nf_txn_begin(nf, nf->format->table_need(nf, changes), exists);
    if (err == 0) {
        err = exists ? empty(nf, at, *ret) : create(nf, at, ret);
        if (err != 0) {
            (void)nf_txn_fail(nf, err);
        }
    }
    if (err != 0 && exists) {
        nf_inode_unref(nf, *ret);
    }
    return err;
}

int nf_open_at(struct nf *nf, struct nf_at at, uint32_t flags,
               struct nf_file **ret)
{
    const uint32_t known =
        NF_OPEN_CREATE | NF_OPEN_EXCLUSIVE | NF_OPEN_TRUNCATE;
    if ((flags & ~known) != 0) {
        return nf_fail_path(nf, NF_EINVAL, at.path);
    }
    struct nf_file *file = nf_calloc(&nf->mem, 1, sizeof(*file));
    if (file == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "file");
    }
    int err = open_inode(nf, at, flags, &file->inode);
    if (err != 0) {
        nf_free(&nf->mem, file, sizeof(*file));
        return nf_fail_path(nf, err, at.path);
    }
    file->nf = nf;
    *ret = file;
    return 0;
}

void nf_close(struct nf_file *file)
{
    if (file != NULL) {
        struct nf *nf = file->nf;
        nf_inode_unref(nf, file->inode);
        nf_free(&nf->mem, file, sizeof(*file));
    }
}

/* ---- Errors --------------------------------------------------------- */

/* The last error is about this file. Returns err. */
static int fail_file(struct nf_file *file, int err, uint64_t off)
{
    const struct nf_inode *inode = file->inode;
    struct nf_path name = {inode->name, inode->name_len};
    (void)nf_fail_path(file->nf, err, name);
    file->nf->error.offset = off;
    return err;
}

static int check_open(struct nf_file *file)
{
    if (file->inode->stale) {
        return nf_fail(file->nf, NF_ESTALE, NF_NOWHERE, "file was removed");
    }
    return 0;
}

/* ---- Reading -------------------------------------------------------- */

int nf_read(struct nf_file *file, uint64_t off, void *buf, size_t len,
            size_t *ret_len)
{
    struct nf *nf = file->nf;
    const struct nf_rec *rec = &file->inode->rec;
    int err = check_open(file);
    if (err != 0) {
        return err;
    }
    if (off >= rec->rope.size) {
        *ret_len = 0;
        return 0;
    }
    len = (size_t)nf_min_u64(len, rec->rope.size - off);
    if (rec->inline_data != NULL) {
        memcpy(buf, rec->inline_data + off, len);
    } else if (len > 0) {
        err = nf->format->rope_read(nf, &rec->rope, off, buf, len);
    }
    if (err != 0) {
        return fail_file(file, err, off);
    }
    *ret_len = len;
    return 0;
}

static int seek(struct nf_file *file, uint64_t off, bool data, uint64_t *ret)
{
    struct nf *nf = file->nf;
    const struct nf_rec *rec = &file->inode->rec;
    int err = check_open(file);
    if (err == 0 && off >= rec->rope.size) {
        err = NF_ERANGE;
    } else if (err == 0 && rec->inline_data != NULL) {
        *ret = data ? off : rec->rope.size;
    } else if (err == 0) {
        err = nf_rope_seek(nf, &rec->rope, off, data, ret);
    }
    return err == 0 ? 0 : fail_file(file, err, off);
}

int nf_seek_data(struct nf_file *file, uint64_t off, uint64_t *ret)
{
    return seek(file, off, true, ret);
}

int nf_seek_hole(struct nf_file *file, uint64_t off, uint64_t *ret)
{
    return seek(file, off, false, ret);
}

/* ---- Changing ------------------------------------------------------- */

/* Let a change to [off, off + len) begin, if there is room for it. */
static int begin(struct nf_file *file, uint64_t off, uint64_t len, bool freeing)
{
    struct nf *nf = file->nf;
    const struct nf_rec *rec = &file->inode->rec;
    int err = check_open(file);
    if (err == 0) {
        uint64_t need = nf->format->rope_need(nf, &rec->rope, off, len) +
                        nf->format->table_need(nf, 2);
        err = nf_txn_begin(nf, need, freeing);
    }
    return err == 0 ? 0 : fail_file(file, err, off);
}

/* The end of a change: err is what it came to so far. */
static int end(struct nf_file *file, uint64_t off, int err)
{
    struct nf *nf = file->nf;
    struct nf_inode *inode = file->inode;
    if (err == 0) {
        if (!nf->format->mirage_times) {
            inode->rec.mtime = nf_now(nf);
        }
        err = nf_inode_changed(nf, inode);
    }
    return err == 0 ? 0 : nf_txn_fail(nf, fail_file(file, err, off));
}

/* Change inline data, or leave them behind: false if pages must do it. */
static bool write_inline(struct nf *nf, struct nf_inode *inode, uint64_t off,
                         const uint8_t *buf, uint64_t len)
{
    struct nf_rec *rec = &inode->rec;
    uint64_t end_off = off + len;
    if (rec->inline_data == NULL ||
        end_off > nf->format->max_inline_bytes(nf, inode->name_len)) {
        return false;
    }
    if (off > rec->rope.size) {
        memset(inode->inline_buf + rec->rope.size, 0,
               (size_t)(off - rec->rope.size));
    }
    memcpy(inode->inline_buf + off, buf, (size_t)len);
    rec->rope.size = nf_max_u64(rec->rope.size, end_off);
    rec->inline_data = inode->inline_buf;
    return true;
}

int nf_write(struct nf_file *file, uint64_t off, const void *buf, size_t len)
{
    struct nf *nf = file->nf;
    struct nf_inode *inode = file->inode;
    int err = check_open(file);
    if (err == 0 && (off > nf->format->max_file_bytes ||
                     len > nf->format->max_file_bytes - off)) {
        err = nf_fail(nf, NF_EFBIG, NF_NOWHERE, "file size");
    }
    if (err != 0) {
        return fail_file(file, err, off);
    }
    if (len == 0) {
        return 0;
    }
    err = begin(file, off, len, false);
    if (err != 0) {
        return err;
    }
    if (!write_inline(nf, inode, off, buf, len)) {
        err = nf_inode_to_rope(nf, inode);
        if (err == 0) {
            err = nf->format->rope_write(nf, &inode->rec.rope, off, buf, len);
        }
    }
    return end(file, off, err);
}

int nf_append(struct nf_file *file, const void *buf, size_t len)
{
    return nf_write(file, file->inode->rec.rope.size, buf, len);
}

int nf_inode_free(struct nf *nf, struct nf_inode *inode)
{
    struct nf_rec *rec = &inode->rec;
    int err = 0;
    if (rec->inline_data == NULL) {
        err = nf->format->rope_free(nf, &rec->rope);
    }
    if (err == 0) {
        rec->rope.size = 0;
        rec->inline_data = inode->inline_cap > 0 ? inode->inline_buf : NULL;
    }
    return err;
}

int nf_inode_truncate(struct nf *nf, struct nf_inode *inode, uint64_t size)
{
    struct nf_rec *rec = &inode->rec;
    if (size == 0) {
        return nf_inode_free(nf, inode);
    }
    if (rec->inline_data != NULL && size <= rec->rope.size) {
        rec->rope.size = size;
        return 0;
    }
    if (write_inline(nf, inode, size, (const uint8_t *)"", 0)) {
        return 0;
    }
    int err = nf_inode_to_rope(nf, inode);
    return err == 0 ? nf->format->rope_truncate(nf, &rec->rope, size) : err;
}

int nf_truncate(struct nf_file *file, uint64_t size)
{
    struct nf *nf = file->nf;
    uint64_t old = file->inode->rec.rope.size;
    int err = check_open(file);
    if (err == 0 && size > nf->format->max_file_bytes) {
        err = nf_fail(nf, NF_EFBIG, NF_NOWHERE, "file size");
    }
    if (err != 0) {
        return fail_file(file, err, size);
    }
    if (size == old) {
        return 0;
    }
    /* Only where there are no holes does it cost pages to extend. */
    bool fills = size > old && !nf->format->holes;
    err =
        begin(file, nf_min_u64(old, size), fills ? size - old : 1, size < old);
    if (err != 0) {
        return err;
    }
    return end(file, size, nf_inode_truncate(nf, file->inode, size));
}

int nf_punch(struct nf_file *file, uint64_t off, uint64_t len)
{
    struct nf *nf = file->nf;
    struct nf_inode *inode = file->inode;
    struct nf_rec *rec = &inode->rec;
    int err = check_open(file);
    if (err == 0 && !nf->format->holes) {
        err = nf_fail(nf, NF_ENOTSUP, NF_NOWHERE, "hole");
    }
    if (err != 0) {
        return fail_file(file, err, off);
    }
    if (off >= rec->rope.size || len == 0) {
        return 0;
    }
    len = nf_min_u64(len, rec->rope.size - off);
    err = begin(file, off, 2, true);
    if (err != 0) {
        return err;
    }
    if (rec->inline_data != NULL) {
        memset(inode->inline_buf + off, 0, (size_t)len);
    } else {
        err = nf_rope_punch(nf, &rec->rope, off, len);
    }
    return end(file, off, err);
}

int nf_set_compression(struct nf_file *file, enum nf_compression compression)
{
    struct nf *nf = file->nf;
    struct nf_rope *rope = &file->inode->rec.rope;
    bool lz4 = compression == NF_COMPRESSION_LZ4;
    int err = check_open(file);
    if (err == 0 &&
        (!nf->format->recodes || (lz4 && nf->disk.page_size >= NF_CLUSTER))) {
        err = nf_fail(nf, NF_ENOTSUP, NF_NOWHERE, "compression");
    }
    if (err == 0 && compression != NF_COMPRESSION_NONE && !lz4) {
        err = nf_fail(nf, NF_EINVAL, NF_NOWHERE, "compression");
    }
    if (err == 0 && lz4 && nf->codec == NULL) {
        err = nf_fail(nf, NF_EC_NO_CODEC, NF_NOWHERE, "compression");
    }
    if (err != 0) {
        return fail_file(file, err, NF_NOWHERE);
    }
    if (rope->lz4 == lz4) {
        return 0;
    }
    err = begin(file, 0, rope->size, false);
    if (err != 0) {
        return err;
    }
    if (file->inode->rec.inline_data != NULL) {
        rope->lz4 = lz4;
    } else {
        err = nf_rope_recode(nf, rope, lz4);
    }
    return end(file, 0, err);
}
