/* SPDX-License-Identifier: ISC */
/*
 * A garbage collection as a whole (spec 8.3 to 8.6): what is asked, the files,
 * the order of its states, its end.
 *
 * Order of the end, which is all there is of crash safety: what was written is
 * durable; the volume's new control stands beside the old one as
 * volume.G.control; the control file is replaced, which makes it all count;
 * the volume's control takes its place; then old files go. A crash before the
 * control file leaves files of a generation that is not, one after it files
 * that nothing names, or a volume.G.control of the store's generation: the next
 * open for writing sees to all three (layout.c).
 *
 * What goes to a volume stands behind what is there, where nobody looks before
 * the volume's control says so. Nothing else is written: no scratch files.
 */
#include "pack/gc.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "pack/inode.h"
#include "pack/locate.h"
#include "pack/objects.h"

enum { GC_DEFAULT_MEM_LEN = 16 << 20, GC_MIN_MEM_LEN = 2048 };

static bool gc_archives(const struct pk_gc *gc)
{
    return !pk_gc_is_export(gc) && gc->store->control.volume_num > 0 &&
           gc->target >= gc->store->control.suffix_start;
}

/* ------------------------------------------------------------------ opening */

static int gc_check_allowed(struct pk_store *store,
                            const struct pk_gc_options *options)
{
    const struct pk_control *control = &store->control;
    bool changes = !options->dry_run && options->into == NULL;
    int err = changes ? pk_store_writable(store) : 0;

    if (err != 0) {
        return err;
    }
    if (store->gc != NULL) {
        return pk_fail(&store->ctx, NF_EC_GC_RUNNING, NULL, NF_NOWHERE,
                       "collection");
    }
    if (store->receiving && changes) {
        return pk_fail(&store->ctx, NF_EC_RECEIVING, NULL, NF_NOWHERE,
                       "collection");
    }
    if (control->status == PK_STATUS_V1_UPGRADED ||
        control->status == PK_STATUS_NON_MINIMAL || store->legacy) {
        return pk_fail(&store->ctx, NF_EC_GC_FORBIDDEN, "store.control",
                       NF_NOWHERE, "collection");
    }
    if (control->volume_num > 0 && store->lower.vfs == NULL) {
        return pk_fail(&store->ctx, NF_EC_NO_LOWER, NULL, NF_NOWHERE,
                       "collection");
    }
    return options->into == NULL ? 0 : pk_gc_export_check(store, options);
}

/* The offset behind what is in files. */
static uint64_t gc_flushed(const struct pk_store *store)
{
    return pk_store_end(store) - store->suffix.pending.len;
}

/* The offset where the last chunk begins. */
static uint64_t gc_last_chunk(const struct pk_store *store)
{
    const struct pk_suffix *suffix = &store->suffix;

    return suffix->chunks[suffix->n_chunks - 1].soff +
           store->control.suffix_start - store->control.dead;
}

/* Does the suffix stay where it is? When the target is before it, in a volume.
 * Upstream leaves a target that begins it there, too, which costs nothing but
 * its next archiving, so that this is not done with a lower layer. */
static bool gc_stays(const struct pk_store *store, uint64_t target)
{
    const struct pk_control *control = &store->control;

    return control->status == PK_STATUS_GCED &&
           (target < control->suffix_start ||
            (target == control->suffix_start && control->volume_num == 0));
}

/* Where the commits to keep are; the highest is the target. */
static int gc_find_commits(struct pk_gc *gc,
                           const struct pk_gc_options *options)
{
    struct pk_store *store = gc->store;
    struct pk_commit_at at;
    int err = 0;

    for (size_t i = 0; i < options->n_keep && err == 0; i++) {
        err = pk_locate_commit(store, &options->keep[i], &gc->keep[i]);
    }
    if (err != 0) {
        return err;
    }
    pk_gc_sort(gc->keep, gc->n_keep);
    gc->target = gc->keep[gc->n_keep - 1];
    if (!pk_gc_is_export(gc) && store->control.status == PK_STATUS_GCED &&
        gc->target <= store->control.gc_target) {
        return pk_fail_number(&store->ctx, NF_EC_GC_TARGET, "store.control",
                              store->control.gc_target + 1, gc->target,
                              "offset of the commit to keep");
    }
    err = pk_commit_read(store, gc->target, &at);
    if (err == 0) {
        gc->new_start = gc_stays(store, gc->target)
                            ? store->control.suffix_start
                            : gc->target + at.entry_len;
        pk_commit_release(store, &at);
    }
    return err;
}

static int gc_alloc(struct pk_gc *gc, size_t mem_len)
{
    struct nf_mem *mem = &gc->store->ctx.mem;

    mem_len = mem_len != 0 ? mem_len : GC_DEFAULT_MEM_LEN;
    gc->copy_len = (size_t)nf_max_u64(nf_min_u64(mem_len / 4, PK_GC_COPY_LEN),
                                      PK_GC_BLOCK_LEN);
    gc->block = nf_alloc(mem, PK_GC_BLOCK_LEN);
    gc->buf = nf_alloc(mem, gc->copy_len);
    gc->prefix.page = nf_alloc(mem, PK_GC_PAGE_LEN);
    gc->volume.page = nf_alloc(mem, PK_GC_PAGE_LEN);
    if (gc->block == NULL || gc->buf == NULL || gc->prefix.page == NULL ||
        gc->volume.page == NULL) {
        return pk_fail_mem(&gc->store->ctx);
    }
    return pk_gc_queue_open(&gc->store->ctx,
                            (size_t)nf_max_u64(mem_len, GC_MIN_MEM_LEN),
                            pk_store_end(gc->store), &gc->queue);
}

/* -------------------------------------------------------------------- files */

/* The files of the new prefix, empty. */
static int gc_open_prefix(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    const uint32_t flags = PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE;
    char name[PK_VFS_NAME_MAX + 1];
    int err;

    pk_name(name, "store.", gc->generation, ".prefix");
    err = pk_file_open(&store->ctx, gc->vfs, name, flags, &gc->prefix.data);
    if (err == 0) {
        pk_name(name, "store.", gc->generation, ".mapping");
        err = pk_file_open(&store->ctx, gc->vfs, name, flags,
                           &gc->prefix.mapping);
    }
    return err;
}

/* What the volume holds stays; what is behind that is the leaving of a
 * collection that was broken off. */
static int gc_open_volume(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_gc_out *out = &gc->volume;
    uint64_t number = store->control.volume_num - 1;
    struct pk_volume *volume = &store->lower.volumes[number];
    struct pk_sparse *from = volume->empty ? &store->prefix : &volume->sparse;
    const uint32_t flags = PK_VFS_WRITE | PK_VFS_CREATE;
    char name[PK_VFS_NAME_MAX + 1];
    int err;

    pk_volume_name(name, number, "data");
    err = pk_file_open(&store->ctx, store->lower.vfs, name, flags, &out->data);
    if (err == 0) {
        pk_volume_name(name, number, "mapping");
        err = pk_file_open(&store->ctx, store->lower.vfs, name, flags,
                           &out->mapping);
    }
    if (err == 0 && (!volume->empty || number > 0)) {
        err = pk_sparse_extent(from, &out->n_base, &out->data_base);
    }
    if (err == 0 && out->n_base > 0) {
        struct pk_samples there = from->samples;

        out->samples.shift = there.shift;
        err = pk_samples_grow(&store->ctx, out->n_base, &out->samples);
        if (err == 0) {
            memcpy(out->samples.offs, there.offs,
                   there.n * sizeof(*there.offs));
        }
    }
    if (err == 0) {
        err = pk_lower_trim(&store->lower, number);
    }
    if (err == 0 && volume->empty && out->n_base > 0) {
        gc->state = PK_STATE_SEED;
    }
    return err;
}

/* What is newer than the target and has not been flushed comes into the new
 * chunk: it need not hold fast all that is before it. */
static int gc_flush(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    uint64_t at = nf_max_u64(gc->new_start, gc_flushed(store));
    int err = 0;

    if (gc->split && at > gc_last_chunk(store)) {
        store->orphans = NF_NOWHERE; /* they are behind it */
        err = pk_suffix_split(&store->suffix, at - store->control.suffix_start +
                                                  store->control.dead);
    }
    return err == 0 ? pk_store_flush(store) : err;
}

/* One of a collection that failed late: if this one archives nothing, it would
 * take its place. */
static int gc_remove_stage(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    char name[PK_VFS_NAME_MAX + 1];

    pk_volume_stage_name(name, store->control.volume_num - 1, gc->generation);
    return pk_file_remove(&store->ctx, store->lower.vfs, name);
}

int pk_gc_open(struct pk_store *store, const struct pk_gc_options *options)
{
    struct pk_gc *gc;
    int err = gc_check_allowed(store, options);

    if (err == 0 && options->n_keep == 0) {
        err = pk_fail(&store->ctx, NF_EINVAL, NULL, NF_NOWHERE,
                      "commits to keep");
    }
    if (err == 0 && options->n_keep > PK_GC_MAX_COMMITS) {
        err = pk_fail_number(&store->ctx, NF_ERANGE, NULL, PK_GC_MAX_COMMITS,
                             options->n_keep, "commits to keep");
    }
    if (err != 0) {
        return err;
    }
    gc = nf_calloc(&store->ctx.mem, 1, sizeof(*gc));
    if (gc == NULL) {
        return pk_fail_mem(&store->ctx);
    }
    store->gc = gc;
    gc->store = store;
    gc->vfs = options->into != NULL ? options->into : store->vfs;
    gc->dry_run = options->dry_run;
    gc->split = options->split && options->into == NULL;
    gc->generation = store->control.generation + 1;
    gc->late.ctx = &store->ctx;
    gc->keep = nf_calloc(&store->ctx.mem, options->n_keep, sizeof(uint64_t));
    gc->n_keep = options->n_keep;
    err = gc->keep == NULL ? pk_fail_mem(&store->ctx)
                           : gc_find_commits(gc, options);
    if (err == 0 && !gc->dry_run && (store->flags & PK_OPEN_WRITE) != 0) {
        err = gc_flush(gc);
    }
    if (err == 0) {
        err = gc_alloc(gc, options->mem_len);
    }
    if (err == 0 && !gc->dry_run && options->into == NULL &&
        store->control.volume_num > 0) {
        err = gc_remove_stage(gc);
    }
    gc->pass = gc_archives(gc) ? PK_PASS_ARCHIVE : PK_PASS_PREFIX;
    if (err == 0) {
        pk_gc_mark_begin(gc);
    }
    if (err == 0 && !gc->dry_run) {
        err = gc_open_prefix(gc);
    }
    if (err == 0 && !gc->dry_run && gc->pass == PK_PASS_ARCHIVE) {
        err = gc_open_volume(gc);
    }
    if (err != 0) {
        (void)pk_gc_break_off(gc); /* the first error counts */
    }
    return err;
}

/* -------------------------------------------------------------------- steps */

/* Copy a piece of the old prefix, or its mapping, to the volume. */
static int gc_seed_piece(struct pk_gc *gc, struct pk_file *from,
                         struct pk_file *to, uint64_t at, uint64_t end,
                         uint64_t len)
{
    size_t n = (size_t)nf_min_u64(nf_min_u64(len / 2, end - at), gc->copy_len);
    int err = pk_file_read(from, at, gc->buf, n);

    if (err == 0) {
        err = pk_file_write(to, at, gc->buf, n);
    }
    gc->io.read += n;
    gc->io.written += n;
    gc->volume.piece += n;
    return err;
}

/* Make a fresh volume one that needs no other: what it will hold refers to
 * what the prefix holds. */
static int gc_seed(struct pk_gc *gc, uint64_t len)
{
    struct pk_sparse *prefix = &gc->store->prefix;
    struct pk_gc_out *out = &gc->volume;
    uint64_t records = out->n_base * PK_MAPPING_RECORD_LEN;
    uint64_t done = out->piece;

    if (done < records) {
        return gc_seed_piece(gc, &prefix->mapping, &out->mapping, done, records,
                             len);
    }
    done -= records;
    if (done < out->data_base) {
        return gc_seed_piece(gc, &prefix->data, &out->data, done,
                             out->data_base, len);
    }
    pk_gc_mark_begin(gc);
    return 0;
}

/* What was found is known. */
static int gc_marked(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    const struct pk_gc_out *out = pk_gc_out_now(gc);

    if (gc->pass == PK_PASS_ARCHIVE) {
        const struct pk_volume *volume =
            &store->lower.volumes[store->lower.n_volumes - 1];

        gc->stats.archived_len = out->bytes;
        if (!volume->empty && volume->control.end > out->first) {
            return pk_fail_number(&store->ctx, NF_EC_VOLUME,
                                  gc->volume.data.name, volume->control.end,
                                  out->first, "end of the last volume");
        }
    } else {
        gc->stats.ranges = out->n;
        gc->stats.prefix_len = out->bytes;
        gc->stats.mapping_len = out->n * PK_MAPPING_RECORD_LEN;
    }
    gc->state = PK_STATE_REVERSE;
    return 0;
}

/* A pass has come to its end. */
static int gc_next_pass(struct pk_gc *gc)
{
    if (gc->pass == PK_PASS_PREFIX) {
        gc->state = PK_STATE_READY;
        return 0;
    }
    gc->pass = PK_PASS_PREFIX;
    pk_seen_deinit(&gc->late);
    gc->late = (struct pk_seen){.ctx = &gc->store->ctx};
    pk_gc_mark_begin(gc);
    return 0;
}

/* A dry run writes the ranges down only if it has to look at them again. */
static int gc_write_down(struct pk_gc *gc)
{
    int err = (gc->store->flags & PK_OPEN_WRITE) == 0
                  ? pk_fail(&gc->store->ctx, NF_EROFS, NULL, NF_NOWHERE,
                            "more is live than memory holds; a mapping")
                  : gc_open_prefix(gc);

    if (err == 0) {
        pk_gc_mark_begin(gc);
    }
    return err;
}

static int gc_mark_unit(struct pk_gc *gc)
{
    int err;

    if (gc->dry_run && gc->queue.far.floor > 0 &&
        gc->prefix.mapping.handle == NULL) {
        return gc_write_down(gc);
    }
    err = pk_gc_mark(gc);
    if (err == 0) {
        err = gc_marked(gc);
        if (err == 0 && gc->dry_run) {
            err = gc_next_pass(gc);
        }
    }
    return err < 0 ? err : 0;
}

static int gc_reverse_unit(struct pk_gc *gc, uint64_t len)
{
    int err = pk_gc_out_reverse(gc, len);

    if (err != 0) {
        return err < 0 ? err : 0;
    }
    gc->state = PK_STATE_COPY;
    return pk_gc_out_begin_copy(gc);
}

/* As much as fits in len bytes, which is at least PK_GC_UNIT_LEN. */
static int gc_unit(struct pk_gc *gc, uint64_t len)
{
    int err = 0;

    switch (gc->state) {
    case PK_STATE_SEED:
        return gc_seed(gc, len);
    case PK_STATE_ROOTS:
    case PK_STATE_AGAIN:
    case PK_STATE_MARK:
        return gc_mark_unit(gc);
    case PK_STATE_REVERSE:
        return gc_reverse_unit(gc, len);
    case PK_STATE_COPY:
        err = pk_gc_out_copy(gc, len);
        if (err != 0) {
            return err < 0 ? err : 0;
        }
        return gc_next_pass(gc);
    case PK_STATE_READY:
        break;
    }
    return 0;
}

/* The memory that it holds. */
static uint64_t gc_mem(const struct pk_gc *gc)
{
    const struct pk_gc_queue *queue = &gc->queue;

    return sizeof(*gc) + PK_GC_BLOCK_LEN + gc->copy_len +
           2 * (uint64_t)PK_GC_PAGE_LEN + queue->bits_len + queue->far.len +
           (queue->far.cap_news + gc->n_keep + gc->late.n_slots +
            gc->prefix.samples.n + gc->volume.samples.n) *
               sizeof(uint64_t);
}

int pk_gc_run_step(struct pk_gc *gc, uint64_t budget)
{
    const struct pk_gc_io before = gc->io;
    uint64_t used = 0;
    int err = 0;

    if (budget < PK_GC_MIN_BUDGET) {
        return pk_fail(&gc->store->ctx, NF_EINVAL, NULL, NF_NOWHERE, "budget");
    }
    while (err == 0 && gc->state != PK_STATE_READY &&
           budget - used >= PK_GC_UNIT_LEN) {
        err = gc_unit(gc, budget - used);
        used = gc->io.read - before.read + gc->io.written - before.written;
        nf_assert(used <= budget);
    }
    gc->stats.steps++;
    gc->stats.longest_step = nf_max_u64(gc->stats.longest_step, used);
    gc->stats.mem_peak = nf_max_u64(gc->stats.mem_peak, gc_mem(gc));
    if (err != 0) {
        (void)pk_gc_break_off(gc); /* the first error counts */
        return err;
    }
    return gc->state != PK_STATE_READY;
}

/* --------------------------------------------------------------- statistics */

/* Chunks that are of no use once the suffix begins at new_start. */
static size_t gc_dead_chunks(const struct pk_gc *gc)
{
    const struct pk_store *store = gc->store;
    const struct pk_suffix *suffix = &store->suffix;
    uint64_t soff =
        gc->new_start - store->control.suffix_start + store->control.dead;
    size_t n = 0;

    while (n + 1 < suffix->n_chunks && suffix->chunks[n + 1].soff <= soff) {
        n++;
    }
    return n;
}

/* Would the last chunk go, too, if it were sealed first? */
static bool gc_frees_all(const struct pk_gc *gc, size_t n_dead)
{
    return gc->dry_run && gc->split &&
           n_dead + 1 == gc->store->suffix.n_chunks &&
           gc->new_start >= gc_flushed(gc->store) &&
           gc->new_start > gc_last_chunk(gc->store);
}

static void gc_progress(const struct pk_gc *gc, struct pk_gc_stats *stats)
{
    const struct pk_gc_out *out =
        gc->pass == PK_PASS_ARCHIVE ? &gc->volume : &gc->prefix;
    bool archive = gc->pass == PK_PASS_ARCHIVE;

    switch (gc->state) {
    case PK_STATE_SEED:
    case PK_STATE_ROOTS:
    case PK_STATE_AGAIN:
    case PK_STATE_MARK:
        stats->phase = archive ? PK_GC_MARK_ARCHIVE : PK_GC_MARK;
        stats->total =
            gc->new_start - (archive ? gc->store->control.suffix_start : 0);
        stats->done = gc->new_start - nf_min_u64(gc->lowest, gc->new_start);
        break;
    case PK_STATE_REVERSE:
    case PK_STATE_COPY:
        stats->phase = archive ? PK_GC_COPY_ARCHIVE : PK_GC_COPY;
        stats->total = out->bytes;
        stats->done =
            gc->state == PK_STATE_COPY ? out->poff - out->data_base : 0;
        break;
    case PK_STATE_READY:
        stats->phase = PK_GC_READY;
        stats->total = stats->prefix_len;
        stats->done = stats->prefix_len;
        break;
    }
}

void pk_gc_stats_now(struct pk_gc *gc, struct pk_gc_stats *ret)
{
    const struct pk_store *store = gc->store;
    struct pk_gc_stats stats = gc->stats;
    size_t n = gc_dead_chunks(gc);
    uint64_t records = 0;

    gc_progress(gc, &stats);
    stats.bytes_read = gc->io.read;
    stats.bytes_written = gc->io.written;
    stats.generation = gc->generation;
    stats.chunks_removed = n;
    stats.suffix_freed = store->suffix.chunks[n].soff;
    if (gc_frees_all(gc, n)) {
        stats.chunks_removed++;
        stats.suffix_freed += gc->new_start - gc_last_chunk(store);
    }
    if (store->prefix.ctx != NULL &&
        pk_sparse_extent(&gc->store->prefix, &records, &stats.prefix_freed) ==
            0) {
        stats.prefix_freed += records * PK_MAPPING_RECORD_LEN;
    }
    *ret = stats;
}

/* ---------------------------------------------------------------------- end */

/* Release it; its files stay. */
static void gc_free(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct nf_mem *mem = &store->ctx.mem;

    (void)pk_sparse_close(&gc->fresh.prefix); /* only read */
    (void)pk_sparse_close(&gc->fresh.volume); /* likewise */
    pk_gc_out_close(store, &gc->prefix);
    pk_gc_out_close(store, &gc->volume);
    pk_gc_queue_close(&gc->queue);
    pk_seen_deinit(&gc->late);
    nf_free(mem, gc->block, PK_GC_BLOCK_LEN);
    nf_free(mem, gc->buf, gc->copy_len);
    nf_free(mem, gc->keep, gc->n_keep * sizeof(uint64_t));
    nf_free(mem, gc, sizeof(*gc));
    store->gc = NULL;
}

static int gc_remove(struct pk_store *store, const struct pk_vfs *vfs,
                     uint64_t n, const char *suffix)
{
    char name[PK_VFS_NAME_MAX + 1];

    pk_name(name, "store.", n, suffix);
    return pk_file_remove(&store->ctx, vfs, name);
}

int pk_gc_break_off(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    const struct pk_vfs *vfs = gc->vfs;
    uint64_t generation = gc->generation;
    bool prefix = gc->prefix.data.handle != NULL;
    bool volume = gc->volume.data.handle != NULL;
    struct nf_error_info why = store->ctx.err;
    int err = 0;
    int e = 0;

    gc_free(gc);
    if (prefix) {
        err = gc_remove(store, vfs, generation, ".prefix");
        e = gc_remove(store, vfs, generation, ".mapping");
        err = err == 0 ? e : err;
    }
    if (volume) {
        e = pk_lower_trim(&store->lower, store->control.volume_num - 1);
        err = err == 0 ? e : err;
    }
    if (err == 0) {
        store->ctx.err = why;
    }
    return err;
}

static int gc_adopt(struct pk_gc *gc, const struct pk_vfs *vfs,
                    struct pk_gc_out *out, struct pk_sparse *ret)
{
    int err = pk_sparse_adopt(
        &gc->store->ctx, vfs, out->data.name, out->mapping.name, &out->samples,
        out->n_base + out->n, out->data_base + out->bytes, ret);

    if (err == 0) {
        out->samples = (struct pk_samples){0};
    }
    return err;
}

/* The volume's new control, beside the one that counts. */
static int gc_write_volume_control(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_gc_new *fresh = &gc->fresh;
    uint64_t number = store->control.volume_num - 1;
    const struct pk_volume *volume = &store->lower.volumes[number];
    struct pk_buf out = pk_buf_of(&store->ctx.mem);
    char name[PK_VFS_NAME_MAX + 1];
    struct pk_file file = {0};
    int err;

    fresh->limits.start =
        volume->empty ? gc->volume.first : volume->control.start;
    fresh->limits.end = gc->volume.last_end;
    fresh->limits.mapping_end =
        (gc->volume.n_base + gc->volume.n) * PK_MAPPING_RECORD_LEN;
    pk_volume_control_encode(&fresh->limits, &out);
    pk_volume_stage_name(name, number, gc->generation);
    err = out.failed
              ? pk_fail_mem(&store->ctx)
              : pk_file_open(&store->ctx, store->lower.vfs, name,
                             PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE,
                             &file);
    if (err == 0) {
        err = pk_file_write(&file, 0, out.p, out.len);
    }
    (void)pk_file_close(&file); /* the commit below tells */
    pk_buf_deinit(&out);
    return err == 0 ? pk_file_commit(&store->ctx, store->lower.vfs) : err;
}

static int gc_prepare(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_gc_new *fresh = &gc->fresh;
    struct pk_control *control = &fresh->control;
    uint64_t soff;
    int err = pk_store_flush(store);

    if (err == 0) {
        err = gc_adopt(gc, store->vfs, &gc->prefix, &fresh->prefix);
    }
    if (err == 0 && gc->volume.n > 0) {
        err = gc_adopt(gc, store->lower.vfs, &gc->volume, &fresh->volume);
    }
    if (err == 0 && gc->volume.n > 0) {
        err = gc_write_volume_control(gc);
    }
    fresh->dead_chunks = gc_dead_chunks(gc);
    *control = store->control;
    soff = gc->new_start - control->suffix_start + control->dead;
    control->status = PK_STATUS_GCED;
    control->suffix_start = gc->new_start;
    control->generation = gc->generation;
    control->gc_target = gc->target;
    control->dead = soff - store->suffix.chunks[fresh->dead_chunks].soff;
    control->mapping_end = gc->prefix.n * PK_MAPPING_RECORD_LEN;
    control->chunk_start += fresh->dead_chunks;
    control->chunk_num -= fresh->dead_chunks;
    return err;
}

/* The store on disk is the new one; so be that in memory. */
static void gc_adopt_all(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_gc_new *fresh = &gc->fresh;

    pk_suffix_drop(&store->suffix, fresh->dead_chunks);
    (void)pk_sparse_close(&store->prefix); /* only read */
    store->prefix = fresh->prefix;
    if (fresh->volume.ctx != NULL) {
        struct pk_volume *volume =
            &store->lower.volumes[store->lower.n_volumes - 1];

        (void)pk_sparse_close(&volume->sparse); /* only read */
        volume->sparse = fresh->volume;
        volume->control = fresh->limits;
        volume->empty = false;
    }
    memset(fresh, 0, sizeof(*fresh)); /* the store owns them now */
    pk_store_drop_lines(store);
    pk_cache_forget(store);
}

/* Put the volume's control in its place, and remove what is not needed. */
static int gc_clear_up(struct pk_store *store, const struct pk_control *old,
                       bool archived, size_t dead_chunks)
{
    char stage[PK_VFS_NAME_MAX + 1];
    char name[PK_VFS_NAME_MAX + 1];
    int err = pk_file_commit(&store->ctx, store->vfs);

    if (err == 0 && archived) {
        pk_volume_stage_name(stage, old->volume_num - 1,
                             store->control.generation);
        pk_volume_name(name, old->volume_num - 1, "control");
        err = pk_file_rename(&store->ctx, store->lower.vfs, stage, name);
        if (err == 0) {
            err = pk_file_commit(&store->ctx, store->lower.vfs);
        }
    }
    for (size_t i = 0; i < dead_chunks && err == 0; i++) {
        err = gc_remove(store, store->vfs, old->chunk_start + i, ".suffix");
    }
    if (err == 0 && old->generation > 0) {
        err = gc_remove(store, store->vfs, old->generation, ".prefix");
        if (err == 0) {
            err = gc_remove(store, store->vfs, old->generation, ".mapping");
        }
    }
    return err == 0 ? pk_file_commit(&store->ctx, store->vfs) : err;
}

static int gc_end_export(struct pk_gc *gc)
{
    int err = pk_gc_export_files(gc);

    if (err != 0) {
        (void)pk_gc_break_off(gc); /* the first error counts */
        return err;
    }
    err = pk_gc_export_control(gc);
    gc_free(gc); /* written or not: its files stay */
    return err;
}

int pk_gc_end(struct pk_gc *gc)
{
    struct pk_store *store = gc->store;
    struct pk_control old = store->control;
    bool archived = gc->volume.n > 0;
    size_t dead_chunks;
    int err;

    nf_assert(gc->state == PK_STATE_READY && !gc->dry_run);
    if (pk_gc_is_export(gc)) {
        return gc_end_export(gc);
    }
    err = gc_prepare(gc);
    if (err != 0) {
        (void)pk_gc_break_off(gc); /* the first error counts */
        return err;
    }
    err = pk_store_write_control(store, &gc->fresh.control);
    if (err != 0) {
        gc_free(gc); /* replaced or not: both sets of files stay */
        return err;
    }
    dead_chunks = gc->fresh.dead_chunks;
    gc_adopt_all(gc);
    gc_free(gc);
    return gc_clear_up(store, &old, archived, dead_chunks);
}
