/* SPDX-License-Identifier: ISC */
#include "fuse/store.h"

#include <string.h>
#include <time.h>

#include "fuse/store_attrs.h"

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    serve_init(conn);
}

static int start(void *userdata, struct fuse_session *session)
{
    struct store *store = userdata;
    store->session = session;
    return store_sync_start(store);
}

static void stop(void *userdata)
{
    store_sync_stop(userdata);
}

static int open_repo(struct store *store)
{
    const struct store_mount *how = store->how;
    struct nf_error_info info;
    if (how->view != NULL) {
        /* What a writer finds to do when it opens a store is done before. */
        struct pk_open open = *how->write;
        struct pk_repo *writer;
        open.flags |= PK_OPEN_WRITE;
        int err = pk_repo_open(how->env, &open, &info, &writer);
        if (err == 0 && store_write_end(store, writer) != 0) {
            err = NF_EIO;
        }
        if (err != 0) {
            return err;
        }
    }
    return pk_repo_open(how->env, how->read, &info, &store->repo);
}

static int store_init(struct store *store, const struct store_mount *how)
{
    pthread_condattr_t attr;
    memset(store, 0, sizeof(*store));
    store->how = how;
    store->readonly = how->options->readonly;
    turn_init(&store->change);
    turn_init(&store->turn);
    pthread_mutex_init(&store->timer_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&store->timer, &attr);
    pthread_condattr_destroy(&attr);
    int err = open_repo(store);
    if (err == 0) {
        err = store_attrs_open(store);
    }
    return err == 0 ? store_nodes_init(store) : err;
}

static void free_branches(struct branch *branch)
{
    while (branch != NULL) {
        struct branch *next = branch->next;
        store_branch_free(branch);
        branch = next;
    }
}

static int store_deinit(struct store *store)
{
    store_listings_close(store);
    if (store->buckets != NULL) {
        store_nodes_deinit(store);
    }
    free_branches(store->branches);
    free_branches(store->old_branches);
    store_attrs_close(store);
    (void)pk_repo_close(store->repo); /* only read */
    int err = pk_repo_close(store->writer);
    pthread_cond_destroy(&store->timer);
    pthread_mutex_destroy(&store->timer_lock);
    turn_deinit(&store->turn);
    turn_deinit(&store->change);
    return err;
}

int store_serve(const struct store_mount *how)
{
    struct store store;
    struct fuse_lowlevel_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.init = op_init;
    store_ops_read(&ops);
    store_ops_dir(&ops);
    store_ops_change(&ops);
    store_ops_names(&ops);
    store_ops_xattr(&ops);
    const struct serve session = {
        .source = how->source,
        .dir = how->dir,
        .type = "notapack",
        .options = how->options,
        .daemon = how->daemon,
        .ops = &ops,
        .userdata = &store,
        .start = start,
        .stop = stop,
    };
    int err = store_init(&store, how);
    if (err != 0) {
        daemon_log(how->daemon, "%s: %s", how->source, nf_strerror(err));
    } else {
        err = serve(&session);
        if (store_sync(&store, NULL) != 0) {
            err = NF_EIO; /* told already */
        }
    }
    int closed = store_deinit(&store);
    return err != 0 || closed != 0;
}
