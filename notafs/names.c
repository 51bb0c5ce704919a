/* SPDX-License-Identifier: ISC */
/*
 * Paths and directories, over the file table's map from (directory, name) to
 * record. Nothing is replaced silently by something of another type: a file in
 * the middle of a path is NF_ENOTDIR, a directory at its end NF_EISDIR.
 */
#include "notafs/nf_int.h"

int nf_fail_path(struct nf *nf, int err, struct nf_path path)
{
    size_t len = (size_t)nf_min_u64(path.len, sizeof(nf->error.file) - 1);
    if (nf->error.err != err) {
        (void)nf_fail(nf, err, NF_NOWHERE, "path");
    }
    memcpy(nf->error.file, path.p, len);
    nf->error.file[len] = '\0';
    return err;
}

/* Cut the first segment off path; its length, 0 at the end. */
static size_t next_segment(struct nf_path *path, const char **ret)
{
    size_t len = 0;
    while (path->len > 0 && path->p[0] == '/') {
        path->p++;
        path->len--;
    }
    while (len < path->len && path->p[len] != '/') {
        len++;
    }
    *ret = path->p;
    path->p += len;
    path->len -= len;
    return len;
}

static bool at_end(struct nf_path path)
{
    const char *name;
    return next_segment(&path, &name) == 0;
}

uint64_t nf_path_missing(struct nf *nf, struct nf_at at)
{
    uint64_t dir = at.dir;
    uint64_t n = 0;
    const char *name;
    size_t len;
    while ((len = next_segment(&at.path, &name)) > 0) {
        struct nf_rec rec;
        if (n > 0 || nf->format->table_get(nf, dir, name, len, &rec) != 0) {
            n++;
        } else {
            dir = rec.id;
        }
    }
    return n;
}

static int make_dir(struct nf *nf, uint64_t dir, const char *name, size_t len,
                    struct nf_time time, struct nf_rec *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->type = NF_TYPE_DIR;
    ret->id = nf->counts.next_id++;
    ret->mtime = time;
    nf->counts.dirs++;
    return nf->format->table_put(nf, dir, name, len, ret);
}

int nf_resolve(struct nf *nf, struct nf_at at, const struct nf_resolve *how,
               struct nf_place *ret)
{
    struct nf_path path = at.path;
    struct nf_path rest = path;
    struct nf_place place = {at.dir, "", 0};
    /* All names first: with make, nothing may be refused half-way. */
    while (rest.len > 0) {
        if (next_segment(&rest, &place.name) > nf->format->max_name_bytes(nf)) {
            return nf_fail_path(nf, NF_ENAMETOOLONG, path);
        }
    }
    rest = path;
    uint64_t passed = 0; /* a directory on the way, to notice a cycle */
    for (uint64_t depth = 1;; depth++) {
        struct nf_rec rec;
        place.len = next_segment(&rest, &place.name);
        if (how->avoid != 0 && how->avoid == place.dir) {
            return nf_fail_path(nf, NF_EINVAL, path);
        }
        if (place.len == 0 || at_end(rest)) {
            *ret = place;
            return 0;
        }
        int err =
            nf->format->table_get(nf, place.dir, place.name, place.len, &rec);
        if (err == NF_ENOENT && how->make) {
            err =
                make_dir(nf, place.dir, place.name, place.len, how->time, &rec);
        } else if (err == 0 && rec.type != NF_TYPE_DIR) {
            err = NF_ENOTDIR;
        } else if (err == 0 && rec.id == passed) {
            err = nf_fail(nf, NF_EC_TABLE, NF_NOWHERE,
                          "directory that contains itself");
        } else if (err == 0 && how->touch) {
            rec.mtime = how->time;
            err = nf->format->table_put(nf, place.dir, place.name, place.len,
                                        &rec);
        }
        if (err != 0) {
            return nf_fail_path(nf, err, path);
        }
        place.dir = rec.id;
        passed = (depth & (depth - 1)) == 0 ? rec.id : passed;
    }
}

int nf_touch_parent(struct nf *nf, struct nf_at at, struct nf_time time)
{
    static const struct nf_resolve just_look;
    struct nf_path path = at.path;
    struct nf_place place;
    struct nf_rec rec;
    if (nf->format->mirage_times) {
        return 0; /* done on the way */
    }
    while (path.len > 0 && path.p[path.len - 1] == '/') {
        path.len--;
    }
    while (path.len > 0 && path.p[path.len - 1] != '/') {
        path.len--;
    }
    at.path = path;
    int err = nf_resolve(nf, at, &just_look, &place);
    if (err != 0 || place.len == 0) {
        return err;
    }
    err = nf->format->table_get(nf, place.dir, place.name, place.len, &rec);
    if (err == 0) {
        rec.mtime = time;
        err = nf->format->table_put(nf, place.dir, place.name, place.len, &rec);
    }
    return err;
}

/* ---- stat ----------------------------------------------------------- */

static void rec_stat(const struct nf_rec *rec, struct nf_stat *ret)
{
    ret->type = rec->type;
    ret->id = rec->id;
    ret->size = rec->rope.size;
    ret->root_page = rec->rope.root.id;
    ret->mtime = rec->mtime;
    ret->compression = rec->rope.lz4 ? NF_COMPRESSION_LZ4 : NF_COMPRESSION_NONE;
}

/* The record at a place as it is now: an open file's is newer than the
 * table's. */
static int rec_at(struct nf *nf, const struct nf_place *place,
                  struct nf_rec *ret)
{
    struct nf_inode *inode;
    if (place->len == 0) {
        memset(ret, 0, sizeof(*ret));
        ret->type = NF_TYPE_DIR;
        ret->id = place->dir;
        return 0;
    }
    int err =
        nf->format->table_get(nf, place->dir, place->name, place->len, ret);
    if (err != 0 || ret->type != NF_TYPE_FILE) {
        return err;
    }
    for (inode = nf->inodes; inode != NULL; inode = inode->next) {
        if (inode->rec.id == ret->id && !inode->stale) {
            *ret = inode->rec;
        }
    }
    return 0;
}

/* The record that a path leads to, and its place. */
static int locate(struct nf *nf, struct nf_at at, struct nf_place *ret_place,
                  struct nf_rec *ret_rec)
{
    static const struct nf_resolve just_look;
    int err = nf_resolve(nf, at, &just_look, ret_place);
    return err == 0 ? rec_at(nf, ret_place, ret_rec) : err;
}

int nf_stat_at(struct nf *nf, struct nf_at at, struct nf_stat *ret)
{
    struct nf_place place;
    struct nf_rec rec;
    int err = locate(nf, at, &place, &rec);
    if (err != 0) {
        return nf_fail_path(nf, err, at.path);
    }
    rec_stat(&rec, ret);
    return 0;
}

int nf_fstat(struct nf_file *file, struct nf_stat *ret)
{
    if (file->inode->stale) {
        return nf_fail(file->nf, NF_ESTALE, NF_NOWHERE, "file was removed");
    }
    rec_stat(&file->inode->rec, ret);
    return 0;
}

/* ---- Changes -------------------------------------------------------- */

/* Begin n changes of the table, which take pages or, in the end, free them. */
static int begin(struct nf *nf, uint64_t n, bool freeing)
{
    return nf_txn_begin(nf, nf->format->table_need(nf, n), freeing);
}

int nf_set_mtime_at(struct nf *nf, struct nf_at at, struct nf_time mtime)
{
    struct nf_place place;
    struct nf_rec rec;
    int err = locate(nf, at, &place, &rec);
    if (err == 0 && (place.len == 0 || mtime.nsec >= 1000000000u)) {
        err = NF_EINVAL;
    }
    if (err == 0) {
        err = begin(nf, 2, false);
    }
    if (err != 0) {
        return nf_fail_path(nf, err, at.path);
    }
    if (rec.type == NF_TYPE_DIR) {
        rec.mtime = mtime;
        err = nf->format->table_put(nf, place.dir, place.name, place.len, &rec);
    } else {
        struct nf_inode *inode;
        err = nf_inode_get(nf, place.dir, place.name, place.len, &inode);
        if (err == 0) {
            inode->rec.mtime = mtime;
            err = nf_inode_changed(nf, inode);
            nf_inode_unref(nf, inode);
        }
    }
    return err == 0 ? 0 : nf_txn_fail(nf, nf_fail_path(nf, err, at.path));
}

int nf_mkdir_at(struct nf *nf, struct nf_at at)
{
    struct nf_place place;
    struct nf_rec rec;
    int err = locate(nf, at, &place, &rec);
    if (err == 0) {
        return rec.type == NF_TYPE_DIR ? 0
                                       : nf_fail_path(nf, NF_EEXIST, at.path);
    }
    if (err != NF_ENOENT) {
        return nf_fail_path(nf, err, at.path);
    }
    err = begin(nf, 1 + nf_path_missing(nf, at), false);
    if (err != 0) {
        return nf_fail_path(nf, err, at.path);
    }
    struct nf_time now = nf_now(nf);
    struct nf_resolve how = {true, nf->format->mirage_times, now, 0};
    err = nf_resolve(nf, at, &how, &place);
    if (err == 0) {
        err = make_dir(nf, place.dir, place.name, place.len, now, &rec);
    }
    if (err == 0) {
        err = nf_touch_parent(nf, at, now);
    }
    return err == 0 ? 0 : nf_txn_fail(nf, nf_fail_path(nf, err, at.path));
}

/* Remove the file at a place, pages and all. */
static int remove_file(struct nf *nf, const struct nf_place *place)
{
    struct nf_inode *inode;
    int err = nf_inode_get(nf, place->dir, place->name, place->len, &inode);
    if (err != 0) {
        return err;
    }
    err = nf_inode_free(nf, inode);
    if (err == 0) {
        err = nf->format->table_del(nf, place->dir, place->name, place->len);
    }
    if (err == 0) {
        nf->counts.files--;
        inode->stale = true;
        inode->dirty = false;
    }
    nf_inode_unref(nf, inode);
    return err;
}

/* Empty a directory. The way always leads down through first entries, so that
 * going back up needs no memory, however deep it is. */
static int remove_below(struct nf *nf, uint64_t top)
{
    for (;;) {
        uint64_t parent = top;
        uint64_t dir = top;
        uint64_t slow = 0; /* a directory passed earlier, to notice a cycle */
        uint64_t steps = 0;
        for (;;) {
            struct nf_rec rec;
            struct nf_place place = {dir, "", 0};
            int got = nf->format->table_next(nf, dir, "", 0, &place.name,
                                             &place.len, &rec);
            if (got < 0) {
                return got;
            }
            if (got == 0) {
                break;
            }
            if (rec.type == NF_TYPE_FILE) {
                int err = remove_file(nf, &place);
                if (err != 0) {
                    return err;
                }
                continue;
            }
            parent = dir;
            dir = rec.id;
            if (dir == slow || dir == top) {
                return nf_fail(nf, NF_EC_TABLE, NF_NOWHERE,
                               "directory that contains itself");
            }
            steps++;
            slow = (steps & (steps - 1)) == 0 ? dir : slow;
        }
        if (dir == top) {
            return 0;
        }
        struct nf_rec rec;
        struct nf_place place = {parent, "", 0};
        int got = nf->format->table_next(nf, parent, "", 0, &place.name,
                                         &place.len, &rec);
        if (got == 1) {
            got = nf->format->table_del(nf, parent, place.name, place.len);
        }
        if (got < 0) {
            return got;
        }
        nf->counts.dirs--;
    }
}

static int dir_is_empty(struct nf *nf, uint64_t dir)
{
    const char *name;
    size_t len;
    struct nf_rec rec;
    int got = nf->format->table_next(nf, dir, "", 0, &name, &len, &rec);
    return got == 1 ? NF_ENOTEMPTY : got;
}

int nf_remove_at(struct nf *nf, struct nf_at at, uint32_t flags)
{
    struct nf_place place;
    struct nf_rec rec;
    int err = locate(nf, at, &place, &rec);
    if (err == 0 &&
        (place.len == 0 || (flags & ~(uint32_t)NF_REMOVE_RECURSIVE) != 0)) {
        err = NF_EINVAL;
    }
    if (err == 0 && rec.type == NF_TYPE_DIR &&
        (flags & NF_REMOVE_RECURSIVE) == 0) {
        err = dir_is_empty(nf, rec.id);
    }
    if (err == 0) {
        err = begin(nf, 2, true);
    }
    if (err != 0) {
        return nf_fail_path(nf, err, at.path);
    }
    struct nf_time now = nf_now(nf);
    struct nf_resolve how = {false, nf->format->mirage_times, now, 0};
    err = nf_resolve(nf, at, &how, &place);
    if (err == 0 && rec.type == NF_TYPE_FILE) {
        err = remove_file(nf, &place);
    } else if (err == 0) {
        err = remove_below(nf, rec.id);
        if (err == 0) {
            err = nf->format->table_del(nf, place.dir, place.name, place.len);
            nf->counts.dirs--;
        }
    }
    if (err == 0) {
        err = nf_touch_parent(nf, at, now);
    }
    return err == 0 ? 0 : nf_txn_fail(nf, nf_fail_path(nf, err, at.path));
}

/* What stands at the target of a rename must be of the same type. */
static int check_target(struct nf *nf, const struct nf_rec *from,
                        const struct nf_rec *to, uint32_t flags)
{
    if ((flags & NF_RENAME_NOREPLACE) != 0) {
        return NF_EEXIST;
    }
    if (from->type == NF_TYPE_FILE) {
        return to->type == NF_TYPE_FILE ? 0 : NF_EISDIR;
    }
    return to->type == NF_TYPE_DIR ? dir_is_empty(nf, to->id) : NF_ENOTDIR;
}

/* Move the record at a to b, where nothing is any more. */
static int move_record(struct nf *nf, const struct nf_place *a,
                       const struct nf_place *b, struct nf_rec *rec)
{
    struct nf_inode *inode = NULL;
    int err = 0;
    if (rec->type == NF_TYPE_FILE) {
        struct nf_time mtime = rec->mtime;
        err = nf_inode_get(nf, a->dir, a->name, a->len, &inode);
        if (err == 0) {
            inode->rec.mtime = mtime;
            err = nf_inode_move(nf, inode, b->dir, b->name, b->len);
        }
    }
    if (err == 0) {
        err = nf->format->table_del(nf, a->dir, a->name, a->len);
    }
    if (err == 0 && inode != NULL) {
        err = nf_inode_changed(nf, inode);
    } else if (err == 0) {
        err = nf->format->table_put(nf, b->dir, b->name, b->len, rec);
    }
    if (inode != NULL) {
        nf_inode_unref(nf, inode);
    }
    return err;
}

int nf_rename_at(struct nf *nf, struct nf_at from, struct nf_at to,
                 uint32_t flags)
{
    struct nf_resolve look = {false, false, {0, 0}, 0};
    struct nf_place a;
    struct nf_place b;
    struct nf_rec rec;
    struct nf_rec old;
    bool replaces = false;
    int err = locate(nf, from, &a, &rec);
    if (err == 0 &&
        (a.len == 0 || (flags & ~(uint32_t)NF_RENAME_NOREPLACE) != 0)) {
        err = NF_EINVAL;
    }
    if (err != 0) {
        return nf_fail_path(nf, err, from.path);
    }
    look.avoid = rec.type == NF_TYPE_DIR ? rec.id : 0;
    err = nf_resolve(nf, to, &look, &b);
    if (err == 0 && b.len == 0) {
        err = NF_EINVAL;
    }
    if (err == 0) {
        err = rec_at(nf, &b, &old);
        replaces = err == 0;
        if (replaces && old.id == rec.id) {
            return 0;
        }
        if (replaces) {
            err = check_target(nf, &rec, &old, flags);
        }
    }
    if (err == 0 || err == NF_ENOENT) {
        err = begin(nf, 3 + nf_path_missing(nf, to), false);
    }
    if (err != 0) {
        return nf_fail_path(nf, err, to.path);
    }
    struct nf_time now = nf_now(nf);
    struct nf_resolve how = {false, nf->format->mirage_times, now, 0};
    err = nf_resolve(nf, from, &how, &a);
    how.make = true;
    if (err == 0) {
        err = nf_resolve(nf, to, &how, &b);
    }
    if (err == 0 && replaces && rec.type == NF_TYPE_FILE) {
        err = remove_file(nf, &b);
        if (nf->format->mirage_times) {
            rec.mtime = old.mtime;
        }
    } else if (err == 0 && replaces) {
        err = nf->format->table_del(nf, b.dir, b.name, b.len);
        nf->counts.dirs--;
    }
    if (err == 0) {
        err = move_record(nf, &a, &b, &rec);
    }
    if (err == 0) {
        err = nf_touch_parent(nf, from, now);
    }
    if (err == 0) {
        err = nf_touch_parent(nf, to, now);
    }
    return err == 0 ? 0 : nf_txn_fail(nf, nf_fail_path(nf, err, to.path));
}

/* ---- Listing -------------------------------------------------------- */

struct nf_dir {
    struct nf *nf;
    uint64_t id;
    char *name; /* the last entry given */
    size_t name_len;
    size_t name_cap;
};

int nf_dir_open_at(struct nf *nf, struct nf_at at, struct nf_dir **ret)
{
    struct nf_stat st;
    int err = nf_stat_at(nf, at, &st);
    if (err == 0 && st.type != NF_TYPE_DIR) {
        err = nf_fail_path(nf, NF_ENOTDIR, at.path);
    }
    if (err != 0) {
        return err;
    }
    struct nf_dir *dir = nf_calloc(&nf->mem, 1, sizeof(*dir));
    if (dir == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "directory");
    }
    dir->nf = nf;
    dir->id = st.id;
    *ret = dir;
    return 0;
}

void nf_dir_close(struct nf_dir *dir)
{
    if (dir != NULL) {
        struct nf_mem *mem = &dir->nf->mem;
        nf_free(mem, dir->name, dir->name_cap);
        nf_free(mem, dir, sizeof(*dir));
    }
}

int nf_dir_seek(struct nf_dir *dir, const char *name, size_t len)
{
    struct nf_mem *mem = &dir->nf->mem;
    if (len > dir->name_cap) {
        char *p = nf_realloc(mem, dir->name, dir->name_cap, len);
        if (p == NULL) {
            return nf_fail(dir->nf, NF_ENOMEM, NF_NOWHERE, "directory");
        }
        dir->name = p;
        dir->name_cap = len;
    }
    if (len > 0) {
        memcpy(dir->name, name, len);
    }
    dir->name_len = len;
    return 0;
}

int nf_dir_next(struct nf_dir *dir, struct nf_dirent *ret)
{
    struct nf *nf = dir->nf;
    struct nf_rec rec;
    const char *name;
    size_t len;
    const char *after = dir->name != NULL ? dir->name : "";
    int got = nf->format->table_next(nf, dir->id, after, dir->name_len, &name,
                                     &len, &rec);
    if (got != 1) {
        return got;
    }
    int err = nf_dir_seek(dir, name, len);
    if (err == 0) {
        struct nf_place place = {dir->id, dir->name, dir->name_len};
        err = rec_at(nf, &place, &rec);
    }
    if (err != 0) {
        return err;
    }
    ret->name = dir->name;
    ret->name_len = dir->name_len;
    rec_stat(&rec, &ret->stat);
    return 1;
}

/* ---- From the root -------------------------------------------------- */

static struct nf_at from_root(struct nf_path path)
{
    struct nf_at at = {NF_ROOT_DIR, path};
    return at;
}

int nf_stat(struct nf *nf, struct nf_path path, struct nf_stat *ret)
{
    return nf_stat_at(nf, from_root(path), ret);
}

int nf_set_mtime(struct nf *nf, struct nf_path path, struct nf_time mtime)
{
    return nf_set_mtime_at(nf, from_root(path), mtime);
}

int nf_mkdir(struct nf *nf, struct nf_path path)
{
    return nf_mkdir_at(nf, from_root(path));
}

int nf_remove(struct nf *nf, struct nf_path path, uint32_t flags)
{
    return nf_remove_at(nf, from_root(path), flags);
}

int nf_rename(struct nf *nf, struct nf_path from, struct nf_path to,
              uint32_t flags)
{
    return nf_rename_at(nf, from_root(from), from_root(to), flags);
}

int nf_dir_open(struct nf *nf, struct nf_path path, struct nf_dir **ret)
{
    return nf_dir_open_at(nf, from_root(path), ret);
}

int nf_open(struct nf *nf, struct nf_path path, uint32_t flags,
            struct nf_file **ret)
{
    return nf_open_at(nf, from_root(path), flags, ret);
}
