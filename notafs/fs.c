/* SPDX-License-Identifier: ISC */
/*
 * Mounts and transactions.
 *
 * A transaction begins with the first change after a commit and ends with
 * nf_sync or nf_abort. Its pages are written at their final places at any time;
 * they become visible with the generation page that format->publish writes
 * last. An abort, or a crash, simply returns to the last generation.
 *
 * Two kinds of empty commits are made on the way, when nothing is changed yet:
 * - settling: after a mount that refused a newer generation, or that does not
 *   know which pages the previous one holds (mirage), one commit makes the
 *   newest two generations equal, and every free page safe to take;
 * - reclaiming: when more pages are held back than can be taken, commits age
 *   them.
 */
#include "notafs/nf_int.h"

#define RECLAIM_WORTH       8 /* pages; a commit itself frees about as many */
#define DEFAULT_CACHE_BYTES ((size_t)1 << 20)

/* The formats that this build knows, by enum nf_profile. */
static const struct nf_format *const formats[] = {
    [NF_PROFILE_NATIVE] = &nf_native_format,
#if !defined(NF_NO_MIRAGE)
    [NF_PROFILE_MIRAGE] = &nf_mirage_format,
#endif
};
enum { N_FORMATS = sizeof(formats) / sizeof(formats[0]) };

struct nf_time nf_now(const struct nf *nf)
{
    struct nf_time zero = {0, 0};
    const struct nf_env *env = nf->mem.env;
    return env->now != NULL ? env->now(env->ctx) : zero;
}

/* ---- Mount ---------------------------------------------------------- */

int nf_probe(struct bd *bd, const struct nf_env *env, struct nf_disk *ret)
{
    struct nf_mem mem = {env, 0, 0};
    struct nf_disk disk;
    int err = NF_EC_NOT_FORMATTED;
    for (size_t i = N_FORMATS; i > 0 && err == NF_EC_NOT_FORMATTED; i--) {
        err = formats[i - 1]->probe(bd, &mem, &disk);
    }
    if (err == 0) {
        *ret = disk;
    }
    return err;
}

int nf_format(struct bd *bd, const struct nf_env *env,
              const struct nf_format_options *options)
{
    static const struct nf_format_options defaults;
    const struct nf_format_options *o = options != NULL ? options : &defaults;
    struct nf_mem mem = {env, 0, 0};
    if ((bd->geo.caps & BD_CAP_READONLY) != 0) {
        return NF_EROFS;
    }
    return (size_t)o->profile < N_FORMATS
               ? formats[o->profile]->format_disk(bd, &mem, o)
               : NF_EINVAL;
}

static void free_handle(struct nf *nf)
{
    struct nf_mem mem = nf->mem;
    nf_cache_close(nf);
    nf_discard_close(nf);
    nf_free(&mem, nf->scratch, nf->disk.page_size);
    nf_free(&mem, nf, sizeof(*nf));
}

/* A handle with a cache, and no generation yet. */
static int new_handle(struct bd *bd, const struct nf_env *env,
                      const struct nf_mount_options *options, struct nf **ret)
{
    struct nf_mem mem = {env, 0, 0};
    struct nf_disk disk;
    int err = nf_probe(bd, env, &disk);
    if (err != 0) {
        return err;
    }
    if (disk.page_size != bd->geo.page_size) {
        return NF_EC_PAGE_SIZE;
    }
    if (disk.write_features != 0 && (options->flags & NF_MOUNT_READONLY) == 0) {
        return NF_EC_VERSION;
    }
    struct nf *nf = nf_calloc(&mem, 1, sizeof(*nf));
    if (nf == NULL) {
        return NF_ENOMEM;
    }
    nf->mem = mem;
    nf->bd = *bd;
    memset(&nf->bd.count, 0, sizeof(nf->bd.count));
    nf->disk = disk;
    nf->page_count = disk.page_count;
    nf->flags = options->flags;
    nf->readonly =
        (options->flags & NF_MOUNT_READONLY) != 0 || options->generation != 0;
    nf->codec = options->codec;
    nf->format = formats[disk.profile];
    nf->settled = true;
    size_t cache =
        options->cache_bytes != 0 ? options->cache_bytes : DEFAULT_CACHE_BYTES;
    err = nf_cache_open(nf, cache);
    if (err == 0) {
        nf->scratch = nf_alloc_aligned(&nf->mem, disk.page_size, 4096);
        err = nf->scratch == NULL ? NF_ENOMEM : nf_discard_open(nf);
    }
    if (err == 0 && !nf->readonly && (bd->geo.caps & BD_CAP_READONLY) != 0) {
        err = NF_EROFS;
    }
    if (err != 0) {
        free_handle(nf);
        return err;
    }
    *ret = nf;
    return 0;
}

/* verify: what is reachable, where that is asked for. */
static int mount(struct bd *bd, const struct nf_env *env,
                 const struct nf_mount_options *options,
                 int (*verify)(struct nf *nf), struct nf **ret)
{
    struct nf *nf;
    int err = new_handle(bd, env, options, &nf);
    if (err != 0) {
        return err;
    }
    nf->verify = verify;
    err = nf->format->open(nf, options->generation);
    if (err == 0 && !nf->readonly) {
        /* A process that died in a commit may have left it in the device's
         * cache only: nothing must be built on that. */
        err = bd_flush(&nf->bd);
        if (err != 0) {
            nf->format->close(nf);
        }
    }
    if (err != 0) {
        free_handle(nf);
        return err;
    }
    nf->space.bump_at_begin = nf->space.free_start;
    nf_trace(env, NF_EV_MOUNTED, nf->generation, nf->bd.count.pages_read, 0);
    *ret = nf;
    return 0;
}

int nf_mount(struct bd *bd, const struct nf_env *env,
             const struct nf_mount_options *options, struct nf **ret)
{
    static const struct nf_mount_options defaults;
    return mount(bd, env, options != NULL ? options : &defaults, nf_verify,
                 ret);
}

int nf_mount_bare(struct bd *bd, const struct nf_env *env,
                  const struct nf_mount_options *options, struct nf **ret)
{
    struct nf_mount_options o = {0};
    if (options != NULL) {
        o = *options;
    }
    if ((o.flags & NF_MOUNT_VERIFY) != 0 ||
        (bd->geo.caps & BD_CAP_FLUSH) == 0) {
        return NF_ENOTSUP;
    }
    o.flags |= NF_MOUNT_NO_VERIFY;
    return mount(bd, env, &o, NULL, ret);
}

void nf_unmount(struct nf *nf)
{
    if (nf == NULL) {
        return;
    }
    nf_assert(nf->views == NULL);
    if (nf->writer != NULL) {
        struct nf **at = &nf->writer->views;
        while (*at != nf) {
            at = &(*at)->next_view;
        }
        *at = nf->next_view;
    }
    nf_inodes_drop(nf);
    nf_assert(nf->inodes == NULL);
    nf->format->close(nf);
    free_handle(nf);
}

/* ---- Views ---------------------------------------------------------- */

int nf_generations(struct nf *nf, struct nf_generation *ret, size_t max)
{
    return nf_list_generations(nf, ret, max);
}

int nf_view_open(struct nf *nf, uint64_t number, size_t cache_bytes,
                 struct nf **ret)
{
    struct nf_mount_options options = {
        .cache_bytes = cache_bytes,
        .flags = NF_MOUNT_READONLY | NF_MOUNT_NO_VERIFY,
        .generation = number != 0 ? number : nf->generation,
        .codec = nf->codec,
    };
    struct nf *view;
    int err = mount(&nf->bd, nf->mem.env, &options, nf->verify, &view);
    if (err != 0) {
        return nf_fail(nf, err, NF_NOWHERE, "generation");
    }
    view->writer = nf;
    view->pin_pushed = view->space.pushed;
    if (nf->disk.profile == NF_PROFILE_MIRAGE) {
        /* mirage counts what was pushed from the mount on: older generations
         * pin all of it, the committed one what follows */
        view->pin_pushed =
            view->generation == nf->generation ? nf->space.hist[0] : 0;
    }
    view->next_view = nf->views;
    nf->views = view;
    *ret = view;
    return 0;
}

/* ---- Transactions --------------------------------------------------- */

/* Publish what there is as the next generation. */
static int commit(struct nf *nf)
{
    uint64_t batches = nf->bd.count.batches;
    uint64_t pages = nf->bd.count.pages_written;
    int err = nf->format->publish(nf);
    if (err != 0) {
        nf->commit_failed = true;
        return nf_txn_fail(nf, err);
    }
    nf->generation++;
    nf->seen = nf_max_u64(nf->seen, nf->generation);
    nf->commits++;
    nf->in_txn = false;
    nf->settled = nf->generation >= nf->seen;
    nf_cache_committed(nf);
    nf_space_committed(nf);
    nf_discard_run(nf);
    nf_inodes_drop(nf);
    nf_trace(nf->mem.env, NF_EV_COMMITTED, nf->generation,
             nf->bd.count.pages_written - pages,
             nf->bd.count.batches - batches);
    return 0;
}

static int settle(struct nf *nf)
{
    int err = 0;
    while (err == 0 && !nf->settled) {
        err = commit(nf);
    }
    return err;
}

/* Commit until what was freed can be taken again, if that is the larger part
 * of what is free. */
static int reclaim(struct nf *nf)
{
    for (uint64_t i = 0; i < nf_space_keep(nf); i++) {
        uint64_t held = nf_space_held(nf);
        if (nf->views != NULL ||
            held <= nf_space_usable(nf, false) + RECLAIM_WORTH) {
            return 0;
        }
        int err = commit(nf);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

int nf_txn_begin(struct nf *nf, uint64_t pages, bool freeing)
{
    if (nf->readonly) {
        return nf_fail(nf, NF_EROFS, NF_NOWHERE, "mount");
    }
    if (nf->failed != 0) {
        return nf_fail(nf, NF_EC_TXN_FAILED, NF_NOWHERE, "transaction");
    }
    int err = 0;
    if (!nf->in_txn) {
        err = nf->settled ? 0 : settle(nf);
        if (err == 0) {
            err = reclaim(nf);
        }
    }
    if (err == 0) {
        err = nf_space_require(nf, pages, freeing);
    }
    nf->in_txn = nf->in_txn || err == 0;
    return err;
}

int nf_txn_release(struct nf *nf)
{
    if (nf->in_txn || nf->views != NULL) {
        return nf_fail(nf, NF_EBUSY, NF_NOWHERE, "transaction or view");
    }
    int err = nf_txn_begin(nf, 0, true);
    nf->in_txn = false;
    /* At least one of this mount: it tells whether its writer discards. */
    for (uint64_t i = 0; err == 0 && i < 2 * nf_space_keep(nf); i++) {
        err = nf->commits == 0 || nf_space_held(nf) > 0 ? commit(nf) : 0;
    }
    return err;
}

int nf_txn_fail(struct nf *nf, int err)
{
    nf->failed = err;
    return err;
}

bool nf_is_dirty(const struct nf *nf)
{
    return nf->in_txn;
}

int nf_sync(struct nf *nf)
{
    if (nf->failed != 0) {
        return nf_fail(nf, NF_EC_TXN_FAILED, NF_NOWHERE, "transaction");
    }
    if (!nf->in_txn) {
        return 0;
    }
    int err = nf_inodes_flush(nf);
    if (err == 0) {
        err = nf->format->table_flush(nf);
    }
    return err == 0 ? commit(nf) : nf_txn_fail(nf, err);
}

int nf_abort(struct nf *nf)
{
    if (!nf->in_txn && nf->failed == 0) {
        return 0;
    }
    uint64_t next_id = nf->counts.next_id;
    nf_cache_drop(nf);
    int err = nf->format->reload(nf);
    if (err == 0 && nf->commit_failed) {
        err = bd_flush(&nf->bd); /* as a mount does */
    }
    nf->commit_failed = err != 0;
    nf->in_txn = false;
    nf->space.bump_at_begin = nf->space.free_start;
    nf_discard_forget(nf);
    /* Stale handles go by ids: none is given twice. */
    nf->counts.next_id = nf_max_u64(next_id, nf->counts.next_id);
    if (err == 0) {
        err = nf_inodes_reload(nf);
    }
    nf->failed = err;
    nf_trace(nf->mem.env, NF_EV_ABORTED, nf->generation, 0, 0);
    return err;
}

/* ---- Facts ---------------------------------------------------------- */

void nf_stats(const struct nf *nf, struct nf_stats *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->disk = nf->disk;
    ret->generation = nf->generation;
    ret->newest_seen = nf->seen;
    ret->page_count = nf->page_count;
    ret->free_pages = nf_space_free_pages(nf);
    ret->free_recorded = nf->disk.profile == NF_PROFILE_MIRAGE
                             ? nf->free_recorded
                             : (int64_t)ret->free_pages;
    ret->usable_pages = nf_space_usable(nf, false);
    ret->waiting_pages = nf->views == NULL ? nf_space_held(nf) : 0;
    if (nf->format->queue_own != NULL) {
        ret->queue_pages = nf->format->queue_own(nf);
    }
    ret->files = nf->counts.files;
    ret->dirs = nf->counts.dirs;
    ret->max_file_bytes = nf->format->max_file_bytes;
    ret->max_name_bytes = nf->format->max_name_bytes(nf);
    ret->cache_pages = nf->cache.n_frames;
    ret->readonly = nf->readonly;
    ret->has_flush = (nf->bd.geo.caps & BD_CAP_FLUSH) != 0;
    ret->failed = nf->failed != 0;
}

void nf_counters(const struct nf *nf, struct nf_counters *ret)
{
    ret->cache_hits = nf->cache.hits;
    ret->cache_misses = nf->cache.misses;
    ret->commits = nf->commits;
    ret->pages_spilled = nf->cache.n_spilled;
    ret->pages_hashed = nf->hashed;
    ret->bytes_allocated = nf->mem.used;
    ret->bytes_peak = nf->mem.peak;
    ret->device = nf->bd.count;
}
