/* SPDX-License-Identifier: ISC */
/*
 * Commits: what is pending on a branch goes into a tree of the commit that the
 * branch was based on. If another process has moved the branch meanwhile, both
 * are merged; where both changed the same file the other's stays, and ours goes
 * beside it as NAME.conflict-HASH.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <notafs/merge.h>

#include "fuse/store_attrs.h"

#define LOCK_TRIES   500      /* for the writer's lock of another process ... */
#define LOCK_WAIT_NS 20000000 /* ... each after so long */
#define CONFLICT_LEN 12       /* digits of the hash in a name */
#define RELOAD_SEC   1        /* how often to look what others have done */
#define RELOAD_TRIES 3        /* before it has to wait for that */

/* ---- The repo to write to --------------------------------------------- */

int store_write_begin(struct store *store, struct pk_repo **ret)
{
    const struct store_mount *how = store->how;
    struct pk_open open = *how->write;
    struct nf_error_info info;
    int err = NF_EC_STORE_LOCKED;
    *ret = store->writer;
    if (store->writer != NULL) {
        return 0;
    }
    open.flags |= PK_OPEN_WRITE;
    for (int i = 0; i < LOCK_TRIES && err == NF_EC_STORE_LOCKED; i++) {
        const struct timespec wait = {0, LOCK_WAIT_NS};
        if (i > 0) {
            (void)nanosleep(&wait, NULL);
        }
        err = pk_repo_open(how->env, &open, &info, ret);
    }
    if (err != 0) {
        daemon_log(how->daemon, "%s: %s", how->source, nf_strerror(err));
    }
    return serve_errno(err);
}

/* Flush what the repo of a disk has written, and keep it for the next commit
 * unless it failed. */
static int flush_disk(struct store *store, struct pk_repo *repo)
{
    int err = pk_repo_flush(repo);
    store->writer = repo;
    if (err != 0) {
        (void)pk_repo_close(repo);
        store->writer = NULL;
    }
    return err;
}

static int renew(struct store *store, struct vfs_view *view)
{
    int err = vfs_view_prepare(view);
    turn_take(&store->turn);
    err = err == 0 ? vfs_view_switch(view) : err;
    turn_pass(&store->turn);
    vfs_view_reap(view);
    return err;
}

int store_reload(struct store *store)
{
    const struct store_mount *how = store->how;
    int err = how->view != NULL ? renew(store, how->view) : 0;
    if (err == 0 && how->lower_view != NULL) {
        err = renew(store, how->lower_view);
    }
    if (err == 0 && store->repo != NULL) {
        turn_take(&store->turn);
        err = pk_repo_reload(store->repo);
        turn_pass(&store->turn);
    }
    store->stale = err != 0;
    return err;
}

int store_write_end(struct store *store, struct pk_repo *repo)
{
    const struct store_mount *how = store->how;
    int err = how->view != NULL ? flush_disk(store, repo) : pk_repo_close(repo);
    if (err != 0) {
        daemon_log(how->daemon, "%s: %s", how->source, nf_strerror(err));
        return serve_errno(err);
    }
    /* It is committed, whether or not it can be read at once. */
    for (int i = 0; i < RELOAD_TRIES; i++) {
        err = store_reload(store);
        if (err == 0) {
            return 0;
        }
    }
    daemon_log(how->daemon, "%s: to read what was committed: %s", how->source,
               nf_strerror(err));
    return 0;
}

/* ---- What is pending ------------------------------------------------------
 */

void store_changed(struct store *store, struct snode *node)
{
    struct branch *branch = node->branch;
    branch->changes++;
    while (node != branch->root && node->parent != NULL) {
        struct snode *dir = node->parent;
        store_node_pin(store, node);
        if (!node->dirty) {
            node->dirty = true;
            node->dirty_prev = NULL;
            node->dirty_next = dir->dirty_pins;
            if (dir->dirty_pins != NULL) {
                dir->dirty_pins->dirty_prev = node;
            }
            dir->dirty_pins = node;
        }
        node = dir;
    }
}

/* Putting the pending children of a directory into a tree. */
struct applying {
    struct pk_tree *base; /* where origins are */
    struct pk_tree *tree;
    struct attrs_change *attrs; /* or NULL */
    struct pk_slice *steps;     /* from the tree's root */
    size_t n;
    size_t cap;
};

static int push(struct applying *a, const struct snode *node)
{
    if (a->n == a->cap) {
        size_t cap = a->cap == 0 ? 32 : a->cap * 2;
        struct pk_slice *steps = realloc(a->steps, cap * sizeof(*steps));
        if (steps == NULL) {
            return NF_ENOMEM;
        }
        a->steps = steps;
        a->cap = cap;
    }
    a->steps[a->n++] = slice(node->name, node->name_len);
    return 0;
}

static int origin_path(const struct snode *node, struct pk_path *ret,
                       struct pk_slice **ret_steps)
{
    size_t n = 0;
    for (size_t i = 0; i < node->origin_len; i++) {
        n += node->origin[i] == '\0';
    }
    struct pk_slice *steps = calloc(n, sizeof(*steps));
    const char *at = node->origin;
    if (steps == NULL) {
        return NF_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        steps[i] = slice(at, strlen(at));
        at += steps[i].len + 1;
    }
    ret->steps = *ret_steps = steps;
    ret->n = n;
    return 0;
}

/* What a moved node has at its old place, at its new one. */
static int graft(struct applying *a, const struct snode *node,
                 struct pk_path path, struct pk_path from)
{
    struct pk_tree *sub;
    struct pk_bytes bytes;
    int err;
    if (node->kind == SNODE_DIR) {
        err = pk_tree_sub(a->base, from, &sub);
        if (err == 0) {
            err = pk_tree_set_tree(a->tree, path, sub);
            pk_tree_free(sub);
        }
    } else {
        err = pk_tree_get(a->base, from, &bytes);
        if (err == 0) {
            struct pk_slice contents = {bytes.p, bytes.len};
            err = pk_tree_set(a->tree, path, contents);
            pk_bytes_free(pk_tree_repo(a->tree), &bytes);
        }
    }
    return err;
}

static int apply_data(struct applying *a, const struct snode *node,
                      struct pk_path path, struct pk_path origin)
{
    if (node->kind == SNODE_FILE && node->written) {
        struct pk_slice data = {
            node->data != NULL ? node->data : (const uint8_t *)"", node->size};
        return pk_tree_set(a->tree, path, data);
    }
    if (node->stored && origin.n > 0) {
        return graft(a, node, path, origin);
    }
    /* Links, empty directories: no tree has them, nor what was there before. */
    return node->stored ? 0 : pk_tree_remove(a->tree, path);
}

static int apply_node(struct applying *a, const struct snode *node)
{
    struct pk_path path = {a->steps, a->n};
    struct pk_path origin = {NULL, 0};
    struct pk_slice *steps = NULL;
    int err = node->origin != NULL ? origin_path(node, &origin, &steps) : 0;
    if (err == 0) {
        err = apply_data(a, node, path, origin);
    }
    if (err == 0 && a->attrs != NULL) {
        err = attrs_change_put(a->attrs, node, path, origin);
    }
    free(steps);
    return err;
}

/* All that is pending below top. Without recursion: depth is the user's. */
static int apply(struct applying *a, const struct snode *top)
{
    const struct snode *node = top->dirty_pins;
    int err = 0;
    while (node != NULL && err == 0) {
        err = push(a, node);
        if (err == 0) {
            err = apply_node(a, node);
        }
        if (err == 0 && node->dirty_pins != NULL) {
            node = node->dirty_pins;
            continue;
        }
        while (err == 0 && node != NULL) {
            a->n--;
            if (node->dirty_next != NULL) {
                node = node->dirty_next;
                break;
            }
            node = node->parent == top ? NULL : node->parent;
        }
    }
    free(a->steps);
    a->steps = NULL;
    return err;
}

/* It is committed now. */
static void clean(struct store *store, struct snode *top)
{
    struct snode *dir = top;
    for (;;) {
        struct snode *node = dir->dirty_pins;
        if (node != NULL && node->dirty_pins != NULL) {
            dir = node;
            continue;
        }
        if (node == NULL) {
            if (dir == top) {
                return;
            }
            node = dir;
        }
        dir = node->parent;
        store_node_clean(node);
        free(node->origin);
        node->origin = NULL;
        node->origin_len = 0;
        if (node->kind == SNODE_GONE) {
            store_node_unpin(store, node);
            store_node_tidy(store, node);
        } else if (node->kind == SNODE_FILE) {
            node->stored = true;
            memset(&node->hash, 0, sizeof(node->hash)); /* see refresh */
            store->dirty_len -= node->written ? node->size : 0;
            node->written = false;
            if (node->n_open == 0) {
                store_unload(store, node);
            }
        } else if (node->kind == SNODE_DIR) {
            node->stored = true;
            node->unsure = true; /* it may be empty */
            node->sided = store->sides != NULL;
        } else {
            node->sided = store->sides != NULL;
        }
    }
}

int store_hash(struct store *store, struct snode *node, struct pk_digest *ret)
{
    struct applying a = {0};
    struct pk_stat stat;
    struct pk_slice step = slice("x", 1);
    struct pk_path path = {&step, 1};
    int err = store_refresh(store, node);
    if (err != 0) {
        return err;
    }
    bool is_dir = node->kind == SNODE_DIR;
    if (is_dir && node->tree != NULL) {
        err = pk_tree_clone(node->tree, &a.tree);
    } else {
        err = pk_tree_empty(store->repo, &a.tree);
    }
    if (err != 0) {
        return serve_errno(err);
    }
    if (is_dir) {
        a.base = node->branch != NULL ? node->branch->root->tree : NULL;
        err = apply(&a, node);
        err = err == 0 ? pk_tree_hash(a.tree, ret) : err;
    } else if (!node->written && node->stored) {
        *ret = node->hash;
    } else {
        struct pk_slice data = {
            node->data != NULL ? node->data : (const uint8_t *)"", node->size};
        err = pk_tree_set(a.tree, path, data);
        err = err == 0 ? pk_tree_stat(a.tree, path, &stat) : err;
        if (err == 0) {
            *ret = stat.hash;
        }
    }
    pk_tree_free(a.tree);
    return serve_errno(err);
}

/* ---- Merging
 * ----------------------------------------------------------------- */

/* The trees of a commit that is being made. */
struct committing {
    struct pk_repo *repo;
    struct pk_tree *base;
    struct pk_tree *ours;
    struct attrs_change attrs;
    struct pk_digest head; /* what the branch names in the end */
    bool has_head;
    bool merged;
};

struct conflict {
    struct conflict *next;
    struct pk_slice *steps; /* the last one is the new name */
    size_t n;
    size_t name_len; /* of the last one, in the old name */
    struct pk_bytes bytes;
};

struct merging {
    struct store *store;
    struct pk_repo *repo;
    struct conflict *conflicts;
    int err;
};

static void free_conflict(struct pk_repo *repo, struct conflict *conflict)
{
    for (size_t i = 0; i < conflict->n; i++) {
        free((void *)(uintptr_t)conflict->steps[i].p);
    }
    free(conflict->steps);
    pk_bytes_free(repo, &conflict->bytes);
    free(conflict);
}

/* The path beside it: NAME.conflict-HASH. */
static int copy_path(struct merging *merging, const struct pk_conflict *from,
                     struct conflict *to)
{
    char hex[STORE_HEX_LEN];
    store_hex(merging->store, &from->ours.hash, hex);
    to->steps = calloc(from->path.n, sizeof(*to->steps));
    if (to->steps == NULL) {
        return NF_ENOMEM;
    }
    for (size_t i = 0; i < from->path.n; i++) {
        struct pk_slice step = from->path.steps[i];
        char *copy = malloc(step.len + 32);
        if (copy == NULL) {
            return NF_ENOMEM;
        }
        memcpy(copy, step.p, step.len);
        if (i + 1 == from->path.n) {
            to->name_len = step.len;
            step.len += (size_t)snprintf(copy + step.len, 32, ".conflict-%.*s",
                                         CONFLICT_LEN, hex);
        }
        to->steps[i] = slice(copy, step.len);
        to->n++;
    }
    return 0;
}

static int settle(void *arg, const struct pk_conflict *conflict,
                  struct pk_settlement *ret)
{
    struct merging *merging = arg;
    ret->how = PK_SETTLE_THEIRS;
    if (conflict->ours.kind != PK_CONTENTS) {
        return 0; /* we removed it, or it is a directory now */
    }
    struct conflict *kept = calloc(1, sizeof(*kept));
    if (kept == NULL) {
        return NF_ENOMEM;
    }
    kept->next = merging->conflicts;
    merging->conflicts = kept;
    int err = copy_path(merging, conflict, kept);
    return err == 0
               ? pk_tree_get(conflict->ours_tree, conflict->path, &kept->bytes)
               : err;
}

/* Put a file of ours beside theirs, with the attributes that it had. */
static int keep_conflict(struct conflict *conflict, struct attrs_change *attrs,
                         struct pk_tree *tree)
{
    struct pk_path path = {conflict->steps, conflict->n};
    struct pk_slice contents = {conflict->bytes.p, conflict->bytes.len};
    int err = pk_tree_set(tree, path, contents);
    if (err == 0 && attrs->ours != NULL) {
        struct pk_slice last = conflict->steps[conflict->n - 1];
        struct pk_slice *from = malloc(conflict->n * sizeof(*from));
        if (from == NULL) {
            return NF_ENOMEM;
        }
        memcpy(from, conflict->steps, conflict->n * sizeof(*from));
        from[conflict->n - 1] = (struct pk_slice){last.p, conflict->name_len};
        err =
            attrs_change_copy(attrs, (struct pk_path){from, conflict->n}, path);
        free(from);
    }
    return err;
}

/* Our tree, and that of the commit that the branch has now: the tree of both.
 */
static int merge(struct store *store, struct committing *c,
                 const struct pk_digest *theirs, struct pk_tree **ret)
{
    struct merging merging = {.store = store, .repo = c->repo};
    const struct pk_judge judge = {settle, &merging};
    struct pk_tree *their_tree;
    int err = pk_commit_tree(merging.repo, theirs, &their_tree);
    if (err != 0) {
        return err;
    }
    err = pk_merge_trees(c->base, c->ours, their_tree, &judge, ret);
    while (merging.conflicts != NULL) {
        struct conflict *conflict = merging.conflicts;
        merging.conflicts = conflict->next;
        if (err == 0) {
            err = keep_conflict(conflict, &c->attrs, *ret);
            if (err != 0) {
                pk_tree_free(*ret);
            }
        }
        free_conflict(merging.repo, conflict);
    }
    pk_tree_free(their_tree);
    if (err == 0 && c->attrs.ours != NULL) {
        err = attrs_change_merge(&c->attrs, theirs);
        if (err != 0) {
            pk_tree_free(*ret);
        }
    }
    return err;
}

/* ---- A commit
 * ------------------------------------------------------------------ */

static struct pk_info info_of(const struct store *store,
                              const struct branch *branch)
{
    const struct mount_options *options = store->how->options;
    const struct passwd *user = getpwuid(getuid());
    const char *author = options->author != NULL ? options->author
                         : user != NULL          ? user->pw_name
                                                 : "notapack";
    const char *message = branch->message != NULL    ? branch->message
                          : options->message != NULL ? options->message
                                                     : "mounted";
    struct pk_info info = {store_now().tv_sec, slice(author, strlen(author)),
                           slice(message, strlen(message))};
    return info;
}

static int prepare(struct store *store, const struct branch *branch,
                   struct committing *c)
{
    struct pk_path top = {NULL, 0};
    bool none = true;
    struct pk_digest before;
    struct pk_digest after;
    int err = branch->has_head
                  ? pk_commit_tree(c->repo, &branch->head, &c->base)
                  : pk_tree_empty(c->repo, &c->base);
    if (err == 0) {
        err = pk_tree_clone(c->base, &c->ours);
    }
    if (err == 0) {
        err = attrs_change_begin(&c->attrs, store, c->repo,
                                 branch->has_head ? &branch->head : NULL);
    }
    if (err == 0 && branch->root != NULL) {
        struct applying a = {.base = c->base, .tree = c->ours};
        a.attrs = c->attrs.ours != NULL ? &c->attrs : NULL;
        err = apply(&a, branch->root);
        if (err == 0) {
            err = attrs_change_put(&c->attrs, branch->root, top, top);
        }
    }
    if (err == 0) {
        err = pk_tree_hash(c->base, &before);
    }
    if (err == 0) {
        err = pk_tree_hash(c->ours, &after);
    }
    if (err == 0) {
        err = attrs_change_is_none(&c->attrs, &none);
    }
    if (err == 0 && none && memcmp(&before, &after, sizeof(before)) == 0) {
        pk_tree_free(c->ours); /* nothing to commit */
        c->ours = NULL;
    }
    return err;
}

/* Make the commit of what is ours: its attributes are the branch's before it
 * is, so that it is never seen with those of another. */
static int commit_ours(struct committing *c, struct pk_slice name,
                       const struct pk_info *info, struct pk_tree *tree,
                       const struct pk_digest *parents, size_t n)
{
    struct pk_digest side;
    int err = pk_commit_make(tree, parents, n, info, &c->head);
    if (err == 0 && c->attrs.ours != NULL) {
        err = attrs_change_commit(&c->attrs, name, &c->head, info, &side);
        if (err == 0) {
            err = pk_posix_branch_set(c->repo, name, &side);
        }
    }
    return err;
}

static int publish(struct store *store, const struct branch *branch,
                   struct committing *c)
{
    struct pk_slice name = store_branch_name(branch);
    const struct pk_info info = info_of(store, branch);
    struct pk_digest parents[2] = {branch->head};
    struct pk_digest theirs;
    int err = pk_branch_get(c->repo, name, &theirs);
    bool moved =
        err == 0 && (!branch->has_head ||
                     memcmp(&theirs, &branch->head, sizeof(theirs)) != 0);
    bool exists = err == 0;
    if (err != 0 && err != NF_EC_NO_BRANCH) {
        return err;
    }
    err = commit_ours(c, name, &info, c->ours, parents, branch->has_head);
    if (err == 0 && moved) {
        struct pk_tree *merged;
        err = merge(store, c, &theirs, &merged);
        if (err == 0) {
            parents[0] = theirs;
            parents[1] = c->head;
            err = commit_ours(c, name, &info, merged, parents, 2);
            pk_tree_free(merged);
            c->merged = true;
        }
    }
    return err == 0
               ? pk_branch_cas(c->repo, name, exists ? &theirs : NULL, &c->head)
               : err;
}

static void finish(struct store *store, struct branch *branch, uint64_t made,
                   const struct committing *c)
{
    if (c->has_head) {
        branch->head = c->head;
        branch->has_head = true;
        free(branch->message);
        branch->message = NULL;
    }
    branch->epoch++;
    if (branch->root != NULL) {
        struct snode *root = branch->root;
        root->refs++; /* until its children are tidied */
        clean(store, root);
        if (c->merged) {
            store_note_news(store, branch);
        }
        root->refs--;
        store_node_tidy(store, root);
    }
    branch->synced = made;
}

int store_commit(struct store *store, struct branch *branch)
{
    struct committing c = {0};
    uint64_t made = branch->changes;
    if (branch->synced == made) {
        return 0;
    }
    int err = store_write_begin(store, &c.repo);
    if (err == 0) {
        int res = prepare(store, branch, &c);
        if (res == 0 && c.ours != NULL) {
            res = publish(store, branch, &c);
            c.has_head = res == 0;
        }
        if (res != 0) {
            daemon_log(store->how->daemon, "%s: commit: %s", store->how->source,
                       nf_strerror(res));
        }
        attrs_change_end(&c.attrs);
        pk_tree_free(c.ours);
        pk_tree_free(c.base);
        err = store_write_end(store, c.repo);
        err = res != 0 ? serve_errno(res) : err;
    }
    turn_take(&store->turn);
    if (err == 0) {
        finish(store, branch, made, &c);
    }
    turn_pass(&store->turn);
    if (c.merged) {
        pthread_mutex_lock(&store->timer_lock);
        pthread_cond_signal(&store->timer);
        pthread_mutex_unlock(&store->timer_lock);
    }
    return err;
}

int store_sync(struct store *store, struct branch *branch)
{
    int err = 0;
    if (store->readonly) {
        return 0;
    }
    turn_take(&store->change);
    if (branch != NULL) {
        err = store_commit(store, branch);
    } else {
        for (branch = store->branches; branch != NULL; branch = branch->next) {
            int res = store_commit(store, branch);
            err = err == 0 ? res : err;
        }
    }
    turn_pass(&store->change);
    return err;
}

/* ---- By the clock
 * ---------------------------------------------------------------- */

static void *commit_by_clock(void *arg)
{
    struct store *store = arg;
    uint32_t seconds = store->how->options->commit_sec;
    struct timespec last;
    (void)clock_gettime(CLOCK_MONOTONIC, &last);
    pthread_mutex_lock(&store->timer_lock);
    while (!store->stopping) {
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        struct timespec until = {now.tv_sec + RELOAD_SEC, now.tv_nsec};
        (void)pthread_cond_timedwait(&store->timer, &store->timer_lock, &until);
        if (store->stopping) {
            break;
        }
        pthread_mutex_unlock(&store->timer_lock);
        if (seconds != 0 && now.tv_sec - last.tv_sec >= seconds) {
            (void)store_sync(store, NULL); /* has told why */
            last = now;
        }
        store_branches_reload(store);
        store_tell_news(store);
        pthread_mutex_lock(&store->timer_lock);
    }
    pthread_mutex_unlock(&store->timer_lock);
    return NULL;
}

int store_sync_start(struct store *store)
{
    return pthread_create(&store->committer, NULL, commit_by_clock, store);
}

void store_sync_stop(struct store *store)
{
    pthread_mutex_lock(&store->timer_lock);
    store->stopping = true;
    pthread_cond_signal(&store->timer);
    pthread_mutex_unlock(&store->timer_lock);
    (void)pthread_join(store->committer, NULL);
}
