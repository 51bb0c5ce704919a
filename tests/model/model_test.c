/* SPDX-License-Identifier: ISC */
/*
 * Random operations on a disk and on a model of it (tests/support/model.h).
 *
 *     test_model [--profile native|mirage] [--seed N] [--rounds N] [--ops N]
 *
 * Round i of a run has seed N + i, and the seed decides everything: the disk,
 * its cache, the operations. A failure prints the command that repeats it.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/prng.h"
#include "tests/support/account.h"
#include "tests/support/bd_fault.h"
#include "tests/support/mem_fault.h"
#include "tests/support/model.h"

#define N_HANDLES 6
#define N_VIEWS   3
#define N_NAMES   12

struct handle {
    struct nf_file *file; /* NULL: this slot is free */
    uint64_t id;
};

struct view {
    struct nf *nf;
    struct model model;
};

struct round {
    struct prng prng;
    enum nf_profile profile;
    struct bd_geometry geo;
    struct bd_fault *fault;
    struct mem_fault mem;
    struct nf_mount_options options;
    struct nf *nf;
    struct model now;
    struct model committed;
    struct handle handles[N_HANDLES];
    struct view views[N_VIEWS];
    uint8_t names[N_NAMES][256];
    size_t name_len[N_NAMES];
    uint32_t many; /* numbered names, in rounds with many files */
    size_t max_file;
    uint8_t *buf;
    uint64_t n_full; /* NF_ENOSPC answers */
};

/* What a failure prints; static for the signal handler. */
static char replay[200];
static char op[600];

static _Noreturn void die(const struct round *r, const char *what, int err)
{
    struct nf_error_info none = {0};
    const struct nf_error_info *info =
        r->nf != NULL ? nf_last_error(r->nf) : &none;
    fprintf(stderr, "%s\n%s: %s (last error: %s, page %lld, %s)\n%s\n", op,
            what, nf_errname(err), nf_errname(info->err), (long long)info->page,
            info->what == NULL ? "" : info->what, replay);
    printf("0 passed, 1 failed\n");
    exit(EXIT_FAILURE);
}

static void on_signal(int sig)
{
    (void)!write(STDERR_FILENO, op, strlen(op));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)!write(STDERR_FILENO, replay, strlen(replay));
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static bool verbose;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(op, sizeof(op), format, args);
    va_end(args);
    for (char *p = op; *p != '\0'; p++) {
        *p = *p < ' ' || *p > '~' ? '?' : *p;
    }
    if (verbose) {
        fprintf(stderr, "%s\n", op);
    }
}

static uint64_t below(struct round *r, uint64_t n)
{
    return prng_below(&r->prng, n);
}

static bool chance(struct round *r, uint64_t one_in)
{
    return below(r, one_in) == 0;
}

/* ---- Names ------------------------------------------------------------ */

/* A path of one to four segments, sometimes with slashes too many. */
static struct nf_path some_path(struct round *r, char *buf)
{
    const uint64_t depth = chance(r, 3) ? 1 + below(r, 4) : 1 + below(r, 2);
    size_t len = 0;
    if (chance(r, 100)) {
        return (struct nf_path){"//", below(r, 3)};
    }
    for (uint64_t i = 0; i < depth; i++) {
        if (i > 0 || chance(r, 4)) {
            memset(buf + len, '/', 2);
            len += 1 + chance(r, 8);
        }
        if (r->many > 0 && !chance(r, 8)) {
            len += (size_t)sprintf(buf + len, "n%04u",
                                   (unsigned)below(r, r->many));
            continue;
        }
        const uint64_t at =
            chance(r, 4) ? below(r, N_NAMES) : below(r, N_NAMES / 2);
        memcpy(buf + len, r->names[at], r->name_len[at]);
        len += r->name_len[at];
    }
    return (struct nf_path){buf, len};
}

#define PATH_ROOM  (4 * 260)
#define SHOW(path) (int)((path).len < 250 ? (path).len : 250), (path).p

static void make_names(struct round *r, uint32_t max)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        size_t len = i < 6 ? 1 : 1 + (size_t)below(r, max);
        len = i == 6 ? max : len;
        len = i == 7 && max < 255 && chance(r, 8) ? max + 1 : len;
        for (size_t k = 0; k < len; k++) {
            r->names[i][k] = (uint8_t)('a' + i);
        }
        if (i >= 8) { /* any byte but a slash */
            prng_bytes(&r->prng, len, r->names[i]);
            for (size_t k = 0; k < len; k++) {
                r->names[i][k] ^= r->names[i][k] == '/';
            }
        }
        r->name_len[i] = len;
    }
}

/* ---- Checks ----------------------------------------------------------- */

static void do_sync(struct round *r);

/* Space may only run out where something needs it, and there is little; and for
 * what frees space only while views keep what was freed. */
static bool is_full(struct round *r, int err, uint64_t bytes, bool freeing)
{
    struct nf_stats stats;
    if (err != NF_ENOSPC) {
        return false;
    }
    nf_stats(r->nf, &stats);
    const uint64_t need = 3 * (bytes / r->geo.page_size) + 60;
    bool pinned = false;
    for (int i = 0; i < N_VIEWS; i++) {
        pinned = pinned || r->views[i].nf != NULL;
    }
    if ((freeing && !pinned) || stats.usable_pages > need) {
        fprintf(stderr, "flush %d, %llu pages free, %llu usable\n",
                stats.has_flush, (unsigned long long)stats.free_pages,
                (unsigned long long)stats.usable_pages);
        die(r, freeing ? "no space to free space" : "no space, but there is",
            err);
    }
    r->n_full++;
    if (chance(r, 8) && !model_matches(&r->now, r->nf, stderr)) {
        die(r, "refused, but something changed", err);
    }
    if (chance(r, 4)) { /* the transaction is still good */
        do_sync(r);
    }
    return true;
}

static void expect(struct round *r, int err, int want)
{
    if (err != want) {
        fprintf(stderr, "%s, not %s\n", nf_errname(err), nf_errname(want));
        die(r, "another answer than the model's", err);
    }
}

static void check_all(struct round *r)
{
    if (!model_matches(&r->now, r->nf, stderr)) {
        die(r, "the disk is not the model", 0);
    }
}

static void check_views(struct round *r, struct view *view)
{
    if (view->nf != NULL && !model_matches(&view->model, view->nf, stderr)) {
        die(r, "a pinned view has changed", 0);
    }
}

/* ---- Handles ---------------------------------------------------------- */

static void close_handle(struct handle *h)
{
    nf_close(h->file);
    h->file = NULL;
}

static void do_open(struct round *r)
{
    char buf[PATH_ROOM];
    const struct nf_path path = some_path(r, buf);
    struct handle *h = &r->handles[below(r, N_HANDLES)];
    struct handle opened = {0};
    uint32_t flags = chance(r, 4) ? 0 : NF_OPEN_CREATE;
    flags |= chance(r, 8) ? (uint32_t)NF_OPEN_EXCLUSIVE : 0;
    flags |= chance(r, 8) ? (uint32_t)NF_OPEN_TRUNCATE : 0;
    note("open %.*s flags %u", SHOW(path), flags);
    const int err = nf_open(r->nf, path, flags, &opened.file);
    if (is_full(r, err, 0, false)) {
        return;
    }
    expect(r, err, model_open(&r->now, path, flags, &opened.id));
    if (err == 0) {
        close_handle(h);
        *h = opened;
    }
}

/* An open handle, and its file in the model; false: none, or it was stale. */
static bool some_file(struct round *r, struct nf_file **ret,
                      struct model_node **ret_node)
{
    struct handle *h = &r->handles[below(r, N_HANDLES)];
    struct nf_stat st;
    if (h->file == NULL) {
        do_open(r);
        return false;
    }
    *ret = h->file;
    *ret_node = model_file(&r->now, h->id);
    const int err = nf_fstat(h->file, &st);
    expect(r, err, *ret_node != NULL ? 0 : NF_ESTALE);
    if (err != 0) {
        size_t len = 0;
        note("use of a stale handle");
        expect(r, nf_read(h->file, 0, r->buf, 1, &len), NF_ESTALE);
        expect(r, nf_write(h->file, 0, r->buf, 1), NF_ESTALE);
        expect(r, nf_append(h->file, r->buf, 1), NF_ESTALE);
        expect(r, nf_truncate(h->file, 0), NF_ESTALE);
        if (chance(r, 2)) {
            close_handle(h);
        }
        return false;
    }
    if (st.size != (*ret_node)->size) {
        die(r, "size of an open file", 0);
    }
    return true;
}

/* A length: often a few bytes, sometimes whole pages. */
static size_t some_len(struct round *r)
{
    const size_t size = r->geo.page_size;
    switch (below(r, 4)) {
    case 0:
        return (size_t)below(r, 40);
    case 1:
        return (size_t)below(r, 3 * size);
    case 2:
        return size * (size_t)(1 + below(r, 12));
    default:
        return (size_t)below(r, r->max_file / 2);
    }
}

static size_t some_off(struct round *r, size_t size)
{
    switch (below(r, 4)) {
    case 0:
        return size;
    case 1:
        return (size_t)below(r, size + 1) / r->geo.page_size * r->geo.page_size;
    case 2:
        return (size_t)below(r, r->max_file); /* often beyond the end */
    default:
        return (size_t)below(r, size + 1);
    }
}

static void do_write(struct round *r)
{
    struct nf_file *file;
    struct model_node *node;
    if (!some_file(r, &file, &node)) {
        return;
    }
    size_t off = some_off(r, node->size);
    size_t len = some_len(r);
    len = off + len > r->max_file ? r->max_file - off : len;
    const bool append = chance(r, 4) && node->size + len <= r->max_file;
    off = append ? node->size : off;
    note("write %zu at %zu of %zu", len, off, node->size);
    prng_bytes(&r->prng, len, r->buf);
    const int err = append ? nf_append(file, r->buf, len)
                           : nf_write(file, off, r->buf, len);
    const uint64_t gap = off > node->size ? off - node->size : 0;
    if (!is_full(r, err, len + gap, false)) {
        expect(r, err, 0);
        model_write(node, off, r->buf, len);
    }
}

static void do_truncate(struct round *r)
{
    struct nf_file *file;
    struct model_node *node;
    if (!some_file(r, &file, &node)) {
        return;
    }
    const size_t size = chance(r, 4) ? 0 : some_off(r, node->size);
    const size_t more = size > node->size ? size - node->size : 0;
    note("truncate %zu to %zu", node->size, size);
    const int err = nf_truncate(file, size);
    if (!is_full(r, err, more, size < node->size)) {
        expect(r, err, 0);
        model_truncate(node, size);
    }
}

static void do_punch(struct round *r)
{
    struct nf_file *file;
    struct model_node *node;
    if (!some_file(r, &file, &node)) {
        return;
    }
    const size_t off = some_off(r, node->size);
    const size_t len = some_len(r);
    note("punch %zu at %zu of %zu", len, off, node->size);
    const int err = nf_punch(file, off, len);
    if (r->profile == NF_PROFILE_MIRAGE) {
        expect(r, err, NF_ENOTSUP);
    } else if (!is_full(r, err, 0, true)) {
        expect(r, err, 0);
        model_punch(node, off, len);
    }
}

/* Every byte that seek_data passes over must be zero in the model. */
static void do_seek(struct round *r)
{
    struct nf_file *file;
    struct model_node *node;
    uint64_t at = 0;
    if (!some_file(r, &file, &node)) {
        return;
    }
    const size_t off = some_off(r, node->size);
    note("seek from %zu of %zu", off, node->size);
    int err = nf_seek_data(file, off, &at);
    if (err == NF_ERANGE) {
        at = node->size;
    } else {
        expect(r, err, 0);
    }
    for (size_t i = off; i < at && i < node->size; i++) {
        if (model_data(node)[i] != 0) {
            die(r, "data in a hole", 0);
        }
    }
    err = nf_seek_hole(file, off, &at);
    expect(r, err, off < node->size ? 0 : NF_ERANGE);
    if (err == 0 && (at < off || at > node->size)) {
        die(r, "a hole out of bounds", 0);
    }
}

static void do_read(struct round *r)
{
    struct nf_file *file;
    struct model_node *node;
    size_t got = 0;
    if (!some_file(r, &file, &node)) {
        return;
    }
    const size_t off = some_off(r, node->size);
    const size_t len = some_len(r);
    note("read %zu at %zu of %zu", len, off, node->size);
    expect(r, nf_read(file, off, r->buf, len, &got), 0);
    size_t want = off < node->size ? node->size - off : 0;
    want = want < len ? want : len;
    if (got != want || memcmp(r->buf, model_data(node) + off, want) != 0) {
        die(r, "other bytes", 0);
    }
}

/* ---- Paths ------------------------------------------------------------ */

static void do_mkdir(struct round *r)
{
    char buf[PATH_ROOM];
    const struct nf_path path = some_path(r, buf);
    note("mkdir %.*s", SHOW(path));
    const int err = nf_mkdir(r->nf, path);
    if (!is_full(r, err, 0, false)) {
        expect(r, err, model_mkdir(&r->now, path));
    }
}

static void do_remove(struct round *r)
{
    char buf[PATH_ROOM];
    const struct nf_path path = some_path(r, buf);
    const uint32_t flags = chance(r, 3) ? (uint32_t)NF_REMOVE_RECURSIVE : 0;
    note("remove %.*s flags %u", SHOW(path), flags);
    const int err = nf_remove(r->nf, path, flags);
    if (!is_full(r, err, 0, true)) {
        expect(r, err, model_remove(&r->now, path, flags));
    }
}

static void do_rename(struct round *r)
{
    char buf[PATH_ROOM];
    char buf_to[PATH_ROOM];
    const struct nf_path from = some_path(r, buf);
    const struct nf_path to = some_path(r, buf_to);
    const uint32_t flags = chance(r, 8) ? (uint32_t)NF_RENAME_NOREPLACE : 0;
    note("rename %.*s to %.*s flags %u", SHOW(from), SHOW(to), flags);
    const int err = nf_rename(r->nf, from, to, flags);
    if (!is_full(r, err, 0, false)) {
        expect(r, err, model_rename(&r->now, from, to, flags));
    }
}

static void do_stat(struct round *r)
{
    char buf[PATH_ROOM];
    const struct nf_path path = some_path(r, buf);
    struct model_node *node = NULL;
    struct nf_stat st;
    struct nf_time t = {(int64_t)below(r, UINT64_C(1) << 32), 0};
    note("stat %.*s", SHOW(path));
    int err = nf_stat(r->nf, path, &st);
    expect(r, err, model_find(&r->now, path, &node));
    if (err != 0) {
        return;
    }
    const enum nf_type type = node == NULL ? NF_TYPE_DIR : node->type;
    if (st.type != type || st.size != (node == NULL ? 0 : node->size)) {
        die(r, "another stat", 0);
    }
    note("set_mtime %.*s", SHOW(path));
    err = nf_set_mtime(r->nf, path, t);
    if (is_full(r, err, 0, false)) {
        return;
    }
    expect(r, err, node == NULL ? NF_EINVAL : 0);
    expect(r, nf_stat(r->nf, path, &st), 0);
    if (err == 0 && (st.mtime.sec != t.sec || st.mtime.nsec != 0)) {
        die(r, "another time than was set", 0);
    }
}

/* Shrink the disk, or let it grow back. */
static void do_resize(struct round *r)
{
    struct nf_stats stats;
    nf_stats(r->nf, &stats);
    const uint64_t half = r->geo.page_count / 2;
    const uint64_t pages = half + below(r, r->geo.page_count - half + 1);
    note("resize %llu pages to %llu", (unsigned long long)stats.page_count,
         (unsigned long long)pages);
    const bool dirty = nf_is_dirty(r->nf);
    const int err = nf_resize(r->nf, pages);
    if (r->profile == NF_PROFILE_MIRAGE) {
        expect(r, err, NF_ENOTSUP);
    } else if (dirty) {
        expect(r, err, NF_EBUSY);
    } else if ((err != NF_EBUSY && err != NF_ENOSPC) ||
               pages >= stats.page_count) {
        expect(r, err, 0);
        nf_stats(r->nf, &stats);
        if (stats.page_count != pages) {
            die(r, "another number of pages", 0);
        }
    }
}

/* ---- Transactions ----------------------------------------------------- */

static void do_sync(struct round *r)
{
    note("sync");
    expect(r, nf_sync(r->nf), 0);
    model_copy(&r->committed, &r->now);
    if (chance(r, 3)) {
        check_all(r);
    }
    if (chance(r, 2) && !account_exact(r->nf, stderr)) {
        die(r, "the accounting is wrong", 0);
    }
}

static void do_abort(struct round *r)
{
    note("abort");
    expect(r, nf_abort(r->nf), 0);
    model_copy(&r->now, &r->committed);
    if (chance(r, 2)) {
        check_all(r);
    }
}

static void close_view(struct round *r, struct view *view)
{
    note("close a view");
    check_views(r, view);
    nf_unmount(view->nf);
    view->nf = NULL;
    model_deinit(&view->model);
}

static void do_view(struct round *r)
{
    struct view *view = &r->views[below(r, N_VIEWS)];
    if (view->nf != NULL) {
        close_view(r, view);
        return;
    }
    note("open a view");
    const size_t cache = 16 * r->geo.page_size;
    expect(r, nf_view_open(r->nf, 0, cache, &view->nf), 0);
    model_copy(&view->model, &r->committed);
}

static void close_all(struct round *r)
{
    for (int i = 0; i < N_VIEWS; i++) {
        if (r->views[i].nf != NULL) {
            close_view(r, &r->views[i]);
        }
    }
    for (int i = 0; i < N_HANDLES; i++) {
        close_handle(&r->handles[i]);
    }
    nf_unmount(r->nf);
    r->nf = NULL;
    if (r->mem.live_blocks != 0) {
        die(r, "memory was not released", 0);
    }
}

static void do_remount(struct round *r)
{
    close_all(r);
    note("mount");
    expect(r, nf_mount(&r->fault->bd, &r->mem.env, &r->options, &r->nf), 0);
    model_copy(&r->now, &r->committed);
    check_all(r);
    if (!account_exact(r->nf, stderr)) {
        die(r, "the accounting is wrong", 0);
    }
}

/* ---- Rounds ----------------------------------------------------------- */

static void choose_disk(struct round *r)
{
    const bool native = r->profile == NF_PROFILE_NATIVE;
    const uint64_t size_log = native ? below(r, 8) : below(r, 4);
    static const uint32_t weight[] = {0, 0, 0, 1, 1, 2, 2, 3};
    const uint64_t at = chance(r, 2) ? weight[size_log] : size_log;
    const uint64_t pages = chance(r, 2) ? 600 : 64 + below(r, 300);
    const uint64_t frames = chance(r, 2) ? 16 : 16 + below(r, 300);
    r->geo.page_size = UINT32_C(512) << at;
    r->geo.page_count = pages;
    r->geo.caps = chance(r, 4) ? 0 : BD_CAP_FLUSH;
    r->geo.caps |= chance(r, 2) ? BD_CAP_DISCARD : 0;
    r->max_file = (size_t)(1 + below(r, pages / 3)) * r->geo.page_size;
    r->options.cache_bytes = (size_t)frames * r->geo.page_size;
    r->many = chance(r, 4) ? 200 : 0;
}

static void start(struct round *r)
{
    const bool mirage = r->profile == NF_PROFILE_MIRAGE;
    const struct nf_format_options options = {
        .profile = r->profile,
        .checksum =
            mirage && chance(r, 8) ? NF_CHECKSUM_NONE : NF_CHECKSUM_DEFAULT,
    };
    struct nf_stats stats;
    choose_disk(r);
    mem_fault_init(&r->mem);
    r->fault = bd_fault_open(&r->geo);
    r->buf = malloc(r->max_file + 16 * r->geo.page_size);
    note("format of %llu pages of %u", (unsigned long long)r->geo.page_count,
         r->geo.page_size);
    expect(r, nf_format(&r->fault->bd, &r->mem.env, &options), 0);
    expect(r, nf_mount(&r->fault->bd, &r->mem.env, &r->options, &r->nf), 0);
    nf_stats(r->nf, &stats);
    const uint32_t max =
        stats.max_name_bytes < 255 ? stats.max_name_bytes : 255;
    make_names(r, max);
    model_init(&r->now, stats.max_name_bytes);
    model_init(&r->committed, stats.max_name_bytes);
}

static void step(struct round *r)
{
    static void (*const ops[])(struct round *) = {
        do_write,    do_write,  do_write, do_write, do_write,  do_write,
        do_open,     do_open,   do_open,  do_read,  do_read,   do_truncate,
        do_truncate, do_punch,  do_seek,  do_mkdir, do_remove, do_remove,
        do_rename,   do_rename, do_stat,  do_view,  do_sync,   do_sync,
    };
    if (chance(r, 60)) {
        do_abort(r);
    } else if (chance(r, 100)) {
        do_remount(r);
    } else if (chance(r, 100)) {
        do_resize(r);
    } else {
        ops[below(r, sizeof(ops) / sizeof(ops[0]))](r);
    }
}

static void run(enum nf_profile profile, uint64_t seed, uint64_t n_ops)
{
    struct round r = {.prng = prng_seed(seed), .profile = profile};
    start(&r);
    for (uint64_t i = 0; i < n_ops; i++) {
        step(&r);
    }
    do_sync(&r);
    do_remount(&r);
    close_all(&r);
    model_deinit(&r.now);
    model_deinit(&r.committed);
    bd_fault_close(r.fault);
    free(r.buf);
}

int main(int argc, char **argv)
{
    enum nf_profile profile = NF_PROFILE_NATIVE;
    uint64_t seed = 1;
    uint64_t rounds = 1;
    uint64_t n_ops = 600;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--profile") == 0) {
            profile = strcmp(value, "mirage") == 0 ? NF_PROFILE_MIRAGE
                                                   : NF_PROFILE_NATIVE;
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            rounds = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--ops") == 0) {
            n_ops = strtoull(value, NULL, 0);
        } else {
            fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        }
    }
    verbose = getenv("MODEL_VERBOSE") != NULL;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGILL, on_signal); /* nf_assert */
    (void)signal(SIGSEGV, on_signal);
    for (uint64_t i = 0; i < rounds; i++) {
        (void)snprintf(
            replay, sizeof(replay),
            "repeat: %s --profile %s --seed %llu --ops %llu\n", argv[0],
            profile == NF_PROFILE_MIRAGE ? "mirage" : "native",
            (unsigned long long)(seed + i), (unsigned long long)n_ops);
        run(profile, seed + i, n_ops);
    }
    printf("%llu passed, 0 failed\n", (unsigned long long)rounds);
    return 0;
}
