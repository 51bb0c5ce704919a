/* SPDX-License-Identifier: ISC */
/*
 * Inodes: files that are open, or were changed by the running transaction.
 *
 * All handles of a file share one inode, whatever name it has by now, so none
 * of them can write to pages that another has replaced. While its rope changes,
 * the record in the file table lags behind: it is put once when the change
 * begins, so that no space is missing later, and again at the commit, when the
 * rope's root has its checksum.
 */
#include "notafs/nf_int.h"

static bool same_name(const struct nf_inode *inode, uint64_t dir,
                      const char *name, size_t len)
{
    return inode->dir == dir && inode->name_len == len &&
           memcmp(inode->name, name, len) == 0;
}

static void free_inode(struct nf *nf, struct nf_inode *inode)
{
    struct nf_inode **at = &nf->inodes;
    while (*at != inode) {
        at = &(*at)->next;
    }
    *at = inode->next;
    nf_free(&nf->mem, inode->name, inode->name_len);
    nf_free(&nf->mem, inode->inline_buf, inode->inline_cap);
    nf_free(&nf->mem, inode, sizeof(*inode));
}

static char *copy_name(struct nf *nf, const char *name, size_t len)
{
    char *copy = nf_alloc(&nf->mem, len);
    if (copy != NULL) {
        memcpy(copy, name, len);
    }
    return copy;
}

/* Take over a record. Its inline data must fit the buffer. */
static void set_rec(struct nf_inode *inode, const struct nf_rec *rec)
{
    inode->rec = *rec;
    if (rec->inline_data != NULL) {
        memcpy(inode->inline_buf, rec->inline_data, (size_t)rec->rope.size);
        inode->rec.inline_data = inode->inline_buf;
    }
}

int nf_inode_add(struct nf *nf, uint64_t dir, const char *name, size_t len,
                 const struct nf_rec *rec, struct nf_inode **ret)
{
    struct nf_inode *inode = nf_calloc(&nf->mem, 1, sizeof(*inode));
    size_t cap = nf->format->max_inline_bytes(nf, 1);
    if (inode == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "file");
    }
    if (cap > 0) {
        inode->inline_buf = nf_alloc(&nf->mem, cap);
        inode->inline_cap = inode->inline_buf != NULL ? cap : 0;
    }
    inode->name = copy_name(nf, name, len);
    if (inode->name == NULL || inode->inline_cap != cap) {
        nf_free(&nf->mem, inode->name, len);
        nf_free(&nf->mem, inode->inline_buf, inode->inline_cap);
        nf_free(&nf->mem, inode, sizeof(*inode));
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "file");
    }
    inode->refs = 1;
    inode->dir = dir;
    inode->name_len = len;
    set_rec(inode, rec);
    inode->next = nf->inodes;
    nf->inodes = inode;
    *ret = inode;
    return 0;
}

int nf_inode_get(struct nf *nf, uint64_t dir, const char *name, size_t len,
                 struct nf_inode **ret)
{
    struct nf_rec rec;
    for (struct nf_inode *inode = nf->inodes; inode != NULL;
         inode = inode->next) {
        if (!inode->stale && same_name(inode, dir, name, len)) {
            inode->refs++;
            *ret = inode;
            return 0;
        }
    }
    int err = nf->format->table_get(nf, dir, name, len, &rec);
    if (err != 0) {
        return err;
    }
    if (rec.type != NF_TYPE_FILE) {
        return NF_EISDIR;
    }
    return nf_inode_add(nf, dir, name, len, &rec, ret);
}

void nf_inode_unref(struct nf *nf, struct nf_inode *inode)
{
    nf_assert(inode->refs > 0);
    inode->refs--;
    if (inode->refs == 0 && !inode->dirty) {
        free_inode(nf, inode);
    }
}

int nf_inode_move(struct nf *nf, struct nf_inode *inode, uint64_t dir,
                  const char *name, size_t len)
{
    char *copy = copy_name(nf, name, len);
    if (copy == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "file");
    }
    inode->dirty = false; /* the record at the new place is to be put */
    nf_free(&nf->mem, inode->name, inode->name_len);
    inode->dir = dir;
    inode->name = copy;
    inode->name_len = len;
    return 0;
}

/* Too many closed files wait for the commit: put their records now. */
static int relieve(struct nf *nf)
{
    uint32_t closed = 0;
    for (struct nf_inode *inode = nf->inodes; inode != NULL;
         inode = inode->next) {
        closed += inode->refs == 0;
    }
    if (closed < NF_MAX_OPEN_DIRTY) {
        return 0;
    }
    int err = nf_inodes_flush(nf);
    struct nf_inode *next;
    for (struct nf_inode *inode = nf->inodes; err == 0 && inode != NULL;
         inode = next) {
        next = inode->next;
        if (inode->refs == 0) {
            free_inode(nf, inode);
        }
    }
    return err;
}

int nf_inode_to_rope(struct nf *nf, struct nf_inode *inode)
{
    struct nf_rec *rec = &inode->rec;
    size_t size = (size_t)rec->rope.size;
    if (rec->inline_data == NULL) {
        return 0;
    }
    rec->inline_data = NULL;
    rec->rope.size = 0;
    return size == 0 ? 0
                     : nf->format->rope_write(nf, &rec->rope, 0,
                                              inode->inline_buf, size);
}

int nf_inode_changed(struct nf *nf, struct nf_inode *inode)
{
    int err = 0;
    if (inode->dirty && inode->rec.inline_data == NULL) {
        return 0;
    }
    if (inode->rec.inline_data != NULL &&
        inode->rec.rope.size >
            nf->format->max_inline_bytes(nf, inode->name_len)) {
        err = nf_inode_to_rope(nf, inode); /* it has a longer name now */
    }
    if (err == 0) {
        err = nf->format->table_put(nf, inode->dir, inode->name,
                                    inode->name_len, &inode->rec);
    }
    inode->dirty = inode->rec.inline_data == NULL;
    return err == 0 ? relieve(nf) : err;
}

int nf_inodes_flush(struct nf *nf)
{
    nf_cache_seal(nf);
    for (struct nf_inode *inode = nf->inodes; inode != NULL;
         inode = inode->next) {
        if (!inode->dirty) {
            continue;
        }
        int err = nf->format->table_put(nf, inode->dir, inode->name,
                                        inode->name_len, &inode->rec);
        if (err != 0) {
            return err;
        }
        inode->dirty = false;
    }
    return 0;
}

void nf_inodes_drop(struct nf *nf)
{
    struct nf_inode *next;
    for (struct nf_inode *inode = nf->inodes; inode != NULL; inode = next) {
        next = inode->next;
        if (inode->stale) {
            inode->rec.id = 0;
        }
        if (inode->refs == 0) {
            free_inode(nf, inode);
        }
    }
}

/* The committed record of an inode that a transaction has moved: its number is
 * looked for in the whole table. */
static int find_again(struct nf *nf, struct nf_inode *inode, struct nf_rec *ret)
{
    uint64_t dir = 0;
    const char *name = "";
    size_t len = 0;
    int got;
    while ((got = nf->format->table_scan(nf, dir, name, len, &dir, &name, &len,
                                         ret)) == 1 &&
           ret->id != inode->rec.id) {
    }
    if (got != 1) {
        return got < 0 ? got : NF_ENOENT;
    }
    return nf_inode_move(nf, inode, dir, name, len);
}

static int reload(struct nf *nf, struct nf_inode *inode)
{
    struct nf_rec rec;
    if (inode->rec.id == 0) {
        return 0;
    }
    int err = nf->format->table_get(nf, inode->dir, inode->name,
                                    inode->name_len, &rec);
    if (err == NF_ENOENT || (err == 0 && rec.id != inode->rec.id)) {
        err = find_again(nf, inode, &rec);
    }
    if (err != 0 && err != NF_ENOENT) {
        return err;
    }
    inode->stale = err != 0;
    if (inode->stale) {
        inode->rec.id = 0;
    } else {
        set_rec(inode, &rec);
    }
    return 0;
}

int nf_inodes_reload(struct nf *nf)
{
    struct nf_inode *next;
    for (struct nf_inode *inode = nf->inodes; inode != NULL; inode = next) {
        next = inode->next;
        inode->dirty = false;
        if (inode->refs == 0) {
            free_inode(nf, inode);
            continue;
        }
        int err = reload(nf, inode);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}
