/* SPDX-License-Identifier: ISC */
/*
 * Operations that look at files.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fuse/store_int.h"

#define FOREVER 86400.0 /* seconds: what has a hash does not change */
#define SHORTLY 1.0     /* another process may move the branch */

static struct store *store_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

double store_timeout(const struct snode *node)
{
    bool fixed = node->branch == NULL && node->kind != SNODE_LIVE &&
                 node->kind != SNODE_COMMITS && node->kind != SNODE_TAGS;
    return fixed ? FOREVER : SHORTLY;
}

void store_fill_entry(const struct store *store, const struct snode *node,
                      struct fuse_entry_param *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->ino = store_ino(store, node);
    ret->generation = 1;
    ret->attr_timeout = store_timeout(node);
    ret->entry_timeout = ret->attr_timeout;
    /* Tags move, and branches come and go. */
    if (node->parent != NULL &&
        (node->parent->kind == SNODE_TAGS || node->parent->kind == SNODE_AT)) {
        ret->entry_timeout = SHORTLY;
    }
    store_fill_stat(store, node, &ret->attr);
}

static void op_lookup(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct store *store = store_of(req);
    struct snode *parent = store_node(store, ino);
    struct fuse_entry_param entry;
    struct snode *node;
    turn_take(&store->turn);
    int err = store_child(store, parent, name, strlen(name), &node);
    if (err == 0) {
        node->n_lookups++;
        store_fill_entry(store, node, &entry);
    }
    turn_pass(&store->turn);
    if (err == ENOENT && parent->branch == NULL && parent->kind == SNODE_DIR) {
        memset(&entry, 0, sizeof(entry)); /* nor will it ever be there */
        entry.entry_timeout = FOREVER;
        err = 0;
    }
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_entry(req, &entry);
    }
}

static void forget(struct store *store, fuse_ino_t ino, uint64_t n)
{
    struct snode *node = store_node(store, ino);
    node->n_lookups -= n < node->n_lookups ? n : node->n_lookups;
    store_node_tidy(store, node);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    struct store *store = store_of(req);
    turn_take(&store->turn);
    forget(store, ino, n);
    turn_pass(&store->turn);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
                            struct fuse_forget_data *forgets)
{
    struct store *store = store_of(req);
    turn_take(&store->turn);
    for (size_t i = 0; i < count; i++) {
        forget(store, forgets[i].ino, forgets[i].nlookup);
    }
    turn_pass(&store->turn);
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    struct stat stat;
    (void)fi;
    turn_take(&store->turn);
    int err = store_refresh(store, node);
    store_fill_stat(store, node, &stat);
    double timeout = store_timeout(node);
    turn_pass(&store->turn);
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        fuse_reply_attr(req, &stat, timeout);
    }
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    /* The target of a link never changes. */
    const struct snode *node = store_node(store_of(req), ino);
    if (node->link == NULL) {
        fuse_reply_err(req, EINVAL);
    } else {
        fuse_reply_readlink(req, node->link);
    }
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    (void)fi;
    turn_take(&store->turn);
    int err = store_load(store, node);
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        size_t at = (uint64_t)off < node->size ? (size_t)off : node->size;
        size_t left = node->size - at;
        fuse_reply_buf(req, node->data != NULL ? (char *)node->data + at : "",
                       size < left ? size : left);
    }
    turn_pass(&store->turn);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct store *store = store_of(req);
    struct statvfs st;
    (void)ino;
    /* What a store may take is what lies around it. */
    if (statvfs(store->how->source, &st) != 0) {
        memset(&st, 0, sizeof(st));
        st.f_bsize = st.f_frsize = 4096;
    }
    st.f_namemax = NAME_MAX;
    fuse_reply_statfs(req, &st);
}

void store_ops_read(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    ops->getattr = op_getattr;
    ops->readlink = op_readlink;
    ops->read = op_read;
    ops->statfs = op_statfs;
}
