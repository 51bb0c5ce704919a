/* SPDX-License-Identifier: ISC */
/*
 * Extended attributes: what the store knows of a file beside its contents, and
 * with -o posix those of users.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fuse/store_attrs.h"

#define HASH    "user.notafs.hash"
#define COMMIT  "user.notafs.commit"
#define BRANCH  "user.notafs.branch"
#define MESSAGE "user.notafs.message"

static struct store *store_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static bool is_ours(const struct snode *node)
{
    return node->kind == SNODE_DIR || node->kind == SNODE_FILE;
}

/* What the store tells, rather than keeps. */
static bool is_told(const char *name)
{
    return strncmp(name, "user.notafs.", 12) == 0;
}

/* The commit that a node belongs to: false if there is none yet. */
static bool commit_of(const struct snode *node, struct pk_digest *ret)
{
    *ret = node->branch != NULL ? node->branch->head : node->snapshot.commit;
    return node->branch == NULL || node->branch->has_head;
}

static int copy_text(const char *text, size_t len, char **ret)
{
    *ret = malloc(len + 1);
    if (*ret == NULL) {
        return ENOMEM;
    }
    memcpy(*ret, text, len);
    (*ret)[len] = '\0';
    return 0;
}

static int get_hex(struct store *store, const struct pk_digest *hash,
                   char **ret)
{
    char hex[STORE_HEX_LEN];
    store_hex(store, hash, hex);
    return copy_text(hex, strlen(hex), ret);
}

static int get_message(struct store *store, struct snode *node, char **ret)
{
    struct pk_digest hash;
    struct pk_commit *commit;
    if (node->branch != NULL && node->branch->message != NULL) {
        const char *text = node->branch->message;
        return copy_text(text, strlen(text), ret);
    }
    if (!commit_of(node, &hash)) {
        return ENODATA;
    }
    int err = pk_commit_find(store->repo, &hash, &commit);
    if (err != 0) {
        return serve_errno(err);
    }
    err = copy_text((const char *)commit->info.message.p,
                    commit->info.message.len, ret);
    pk_commit_free(store->repo, commit);
    return err;
}

/* The value, ended by NUL: an errno. */
static int get(struct store *store, struct snode *node, const char *name,
               char **ret)
{
    struct pk_digest hash;
    if (!is_ours(node)) {
        return ENODATA;
    }
    if (strcmp(name, HASH) == 0) {
        int err = store_hash(store, node, &hash);
        return err == 0 ? get_hex(store, &hash, ret) : err;
    }
    if (strcmp(name, COMMIT) == 0) {
        return commit_of(node, &hash) ? get_hex(store, &hash, ret) : ENODATA;
    }
    if (strcmp(name, BRANCH) == 0 && node->branch != NULL) {
        return copy_text(node->branch->name, strlen(node->branch->name), ret);
    }
    return strcmp(name, MESSAGE) == 0 ? get_message(store, node, ret) : ENODATA;
}

static void reply(fuse_req_t req, const char *value, size_t len, size_t size)
{
    if (size == 0) {
        fuse_reply_xattr(req, len);
    } else if (len > size) {
        fuse_reply_err(req, ERANGE);
    } else {
        fuse_reply_buf(req, value, len);
    }
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                        size_t size)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    char *value = NULL;
    turn_take(&store->turn);
    if (!is_told(name)) {
        int err = store_refresh(store, node);
        struct pk_slice own = store_attrs_get(node, name);
        if (err == 0 && own.p != NULL) {
            reply(req, (const char *)own.p, own.len, size);
        } else {
            fuse_reply_err(req, err != 0 ? err : ENODATA);
        }
        turn_pass(&store->turn);
        return;
    }
    int err = get(store, node, name, &value);
    turn_pass(&store->turn);
    if (err != 0) {
        fuse_reply_err(req, err);
    } else {
        reply(req, value, strlen(value), size);
    }
    free(value);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    static const char told[] = HASH "\0" COMMIT "\0" MESSAGE "\0" BRANCH;
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    size_t len = sizeof(told);
    if (!is_ours(node) || store->sides != NULL) {
        len = 0; /* who copies files shall not try to copy these */
    } else if (node->branch == NULL) {
        len -= sizeof(BRANCH);
    }
    turn_take(&store->turn);
    char *names = malloc(len + node->xattrs_len + 1);
    if (names != NULL) {
        memcpy(names, told, len);
        len += store_attrs_names(node, names + len);
    }
    turn_pass(&store->turn);
    if (names == NULL) {
        fuse_reply_err(req, ENOMEM);
    } else {
        reply(req, names, len, size);
    }
    free(names);
}

/* One of a user's; p NULL: remove it. */
static int set_user(struct store *store, struct snode *node, const char *name,
                    struct pk_slice value, int flags)
{
    int err = store_refresh(store, node);
    bool has = store_attrs_get(node, name).p != NULL;
    if (err != 0) {
        return err;
    }
    if ((has && (flags & XATTR_CREATE) != 0) ||
        (!has && (flags & XATTR_REPLACE) != 0)) {
        return has ? EEXIST : ENODATA;
    }
    err = store_attrs_set(node, name, value);
    if (err == 0) {
        node->ctime = store_now();
        if (!node->removed) {
            store_changed(store, node);
        }
    }
    return err;
}

/* A message for the next commit, or a new branch where this one is. */
static int set(struct store *store, struct snode *node, const char *name,
               const char *value)
{
    struct branch *branch = node->branch;
    if (strcmp(name, MESSAGE) == 0) {
        char *copy;
        int err = copy_text(value, strlen(value), &copy);
        if (err == 0) {
            free(branch->message);
            branch->message = copy;
        }
        return err;
    }
    if (strcmp(name, BRANCH) == 0 && node == branch->root) {
        turn_pass(&store->turn);
        int err = store_commit(store, branch);
        turn_take(&store->turn);
        return err == 0 ? store_branch_copy(store, branch, value) : err;
    }
    return EPERM;
}

static bool is_users(const struct store *store, const char *name)
{
    return store->sides != NULL && strncmp(name, "user.", 5) == 0;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                        const char *value, size_t size, int flags)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    char *text = NULL;
    int err = store->readonly || node->branch == NULL ? EROFS : 0;
    if (err == 0 && !is_told(name) && !is_users(store, name)) {
        err = EOPNOTSUPP;
    }
    if (err == 0) {
        err = copy_text(value, size, &text);
    }
    if (err == 0) {
        turn_take(&store->change);
        turn_take(&store->turn);
        err = is_told(name)
                  ? set(store, node, name, text)
                  : set_user(store, node, name, slice(text, size), flags);
        turn_pass(&store->turn);
        turn_pass(&store->change);
    }
    free(text);
    fuse_reply_err(req, err);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct store *store = store_of(req);
    struct snode *node = store_node(store, ino);
    int err = store->readonly || node->branch == NULL ? EROFS : 0;
    if (err == 0 && is_told(name)) {
        err = EPERM;
    } else if (err == 0 && !is_users(store, name)) {
        err = EOPNOTSUPP;
    }
    if (err == 0) {
        turn_take(&store->change);
        turn_take(&store->turn);
        err = set_user(store, node, name, (struct pk_slice){NULL, 0},
                       XATTR_REPLACE);
        turn_pass(&store->turn);
        turn_pass(&store->change);
    }
    fuse_reply_err(req, err);
}

void store_ops_xattr(struct fuse_lowlevel_ops *ops)
{
    ops->getxattr = op_getxattr;
    ops->listxattr = op_listxattr;
    ops->setxattr = op_setxattr;
    ops->removexattr = op_removexattr;
}
