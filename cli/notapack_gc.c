/* SPDX-License-Identifier: ISC */
/*
 * gc, archive, split, volumes. Until a collection takes effect, at once and at
 * its end, nothing of the store is changed: the first SIGINT, SIGTERM or
 * SIGHUP gives it up and leaves the store as it was, a second one ends the
 * program, and what that leaves behind the next open for writing removes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <notafs/posix.h>

#include "cli/notapack_eta.h"

enum { GC_STEP_LEN = 1 << 22 };

/* ---------------------------------------------------------- what to keep */

/* Seconds, YYYY-MM-DD (UTC), or an age: a number with h, d or w. */
static bool parse_since(const char *text, int64_t *ret)
{
    struct tm tm = {0};
    char *end;
    long long n;

    end = strptime(text, "%Y-%m-%d", &tm);
    if (end != NULL && *end == '\0') {
        *ret = (int64_t)timegm(&tm);
        return true;
    }
    errno = 0;
    n = strtoll(text, &end, 10);
    if (end == text || errno != 0) {
        return false;
    }
    if (*end == '\0') {
        *ret = n;
        return true;
    }
    if (end[1] != '\0' || n < 0 || n > 1000000) {
        return false;
    }
    switch (*end) {
    case 'h':
        n *= 3600;
        break;
    case 'd':
        n *= 86400;
        break;
    case 'w':
        n *= 604800;
        break;
    default:
        return false;
    }
    *ret = (int64_t)time(NULL) - n;
    return true;
}

struct rule {
    struct pk_keep keep;
    int64_t since;
    bool given;
};

/* 0, or NP_USAGE, told. */
static int parse_rule(const struct np_options *o, struct rule *ret)
{
    struct rule rule = {.given = o->heads};

    if (o->last != NULL) {
        char *end;

        rule.keep.last = strtoull(o->last, &end, 10);
        if (o->last[0] < '0' || o->last[0] > '9' || *end != '\0' ||
            rule.keep.last == 0) {
            fprintf(stderr, "notapack: %s: no number of commits\n", o->last);
            return NP_USAGE;
        }
        rule.given = true;
    }
    if (o->since != NULL) {
        if (!parse_since(o->since, &rule.since)) {
            fprintf(stderr,
                    "notapack: %s: neither seconds, YYYY-MM-DD nor an age "
                    "as 30d, 2w, 12h\n",
                    o->since);
            return NP_USAGE;
        }
        rule.given = true;
    }
    *ret = rule;
    return 0;
}

/* The commits to keep: those named, and those that a rule keeps. */
struct kept {
    struct pk_digest *commits;
    size_t n;
};

static int kept_add(struct kept *kept, const struct pk_digest *commits,
                    size_t n)
{
    struct pk_digest *all =
        realloc(kept->commits, (kept->n + n + 1) * sizeof(*all));

    if (all == NULL) {
        return NF_ENOMEM;
    }
    if (n > 0) {
        memcpy(all + kept->n, commits, n * sizeof(*all));
    }
    kept->commits = all;
    kept->n += n;
    return 0;
}

/* What mounts have recorded of the commits is kept with them. */
static int kept_sides(struct np_store *store, struct kept *kept)
{
    struct pk_sides *sides;
    size_t n = kept->n;
    int err = pk_sides_open(store->repo, &sides);

    if (err != 0) {
        return err;
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        struct pk_digest side;

        err = pk_sides_find(sides, &kept->commits[i], &side);
        err = err == NF_EC_NO_COMMIT ? 0
              : err == 0             ? kept_add(kept, &side, 1)
                                     : err;
    }
    pk_sides_close(sides);
    return err;
}

static int find_kept(struct np_store *store, const struct rule *rule,
                     int n_words, char **words, struct kept *kept)
{
    struct pk_keep keep = rule->keep;
    struct pk_digest *commits = NULL;
    size_t n = 0;
    int err = 0;

    for (int i = 1; i < n_words && err == 0; i++) {
        struct pk_digest hash;

        err = np_resolve(store, words[i], &hash);
        if (err != 0) {
            return err;
        }
        err = kept_add(kept, &hash, 1);
    }
    if (err == 0 && rule->given) {
        keep.since = store->options->since != NULL ? &rule->since : NULL;
        err = pk_keep_commits(store->repo, &keep, &commits, &n);
        if (err == 0) {
            err = kept_add(kept, commits, n);
            pk_keep_free(store->repo, commits, n);
        }
    }
    if (err == 0) {
        err = kept_sides(store, kept);
    }
    if (err != 0) {
        return np_complain(store, err, "commits to keep");
    }
    if (kept->n == 0) {
        fprintf(stderr, "notapack: no branch has a commit to keep\n");
        return NP_FAILED;
    }
    return 0;
}

/* ---------------------------------------------------------------- progress */

static const char *phase_name(enum pk_gc_phase phase)
{
    switch (phase) {
    case PK_GC_MARK_ARCHIVE:
        return "finding what to archive";
    case PK_GC_COPY_ARCHIVE:
        return "archiving";
    case PK_GC_MARK:
        return "finding what to keep";
    case PK_GC_COPY:
        return "copying what to keep";
    case PK_GC_NONE:
    case PK_GC_READY:
        break;
    }
    return "finishing";
}

/* How far the phase is, and how long it will take from here. */
static void progress_show(struct np_eta *eta, enum pk_gc_phase *phase,
                          struct pk_repo *repo)
{
    struct pk_gc_stats stats;

    pk_gc_progress(repo, &stats);
    if (stats.phase != *phase) {
        *phase = stats.phase;
        np_eta_restart(eta);
    }
    if (stats.total > 0) {
        np_eta_show(eta, phase_name(stats.phase), stats.done, stats.total);
    }
}

/* ----------------------------------------------------------------- outcome */

static json_t *gc_json(const struct pk_gc_stats *s, size_t n_kept, bool dry)
{
    return json_pack(
        "{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
        "collected", !dry, "dry_run", dry, "commits_kept", (json_int_t)n_kept,
        "generation", (json_int_t)s->generation, "objects",
        (json_int_t)s->objects, "ranges", (json_int_t)s->ranges, "prefix_bytes",
        (json_int_t)s->prefix_len, "mapping_bytes", (json_int_t)s->mapping_len,
        "archived_bytes", (json_int_t)s->archived_len, "chunks_removed",
        (json_int_t)s->chunks_removed, "suffix_bytes_freed",
        (json_int_t)s->suffix_freed, "prefix_bytes_freed",
        (json_int_t)s->prefix_freed, "bytes_read", (json_int_t)s->bytes_read,
        "bytes_written", (json_int_t)s->bytes_written, "longest_step",
        (json_int_t)s->longest_step, "memory_peak", (json_int_t)s->mem_peak);
}

static void gc_print(const struct np_options *o, const struct pk_gc_stats *s,
                     size_t n_kept)
{
    uint64_t freed = s->suffix_freed + s->prefix_freed;
    uint64_t taken = s->prefix_len + s->mapping_len;

    if (o->json) {
        np_json_put(gc_json(s, n_kept, o->dry_run));
        return;
    }
    if (o->quiet && !o->dry_run) {
        return;
    }
    printf("%s %zu commit%s: %llu objects, %llu bytes in %llu ranges\n",
           o->dry_run ? "would keep" : "kept", n_kept, n_kept == 1 ? "" : "s",
           (unsigned long long)s->objects, (unsigned long long)s->prefix_len,
           (unsigned long long)s->ranges);
    if (s->archived_len > 0) {
        printf("%s %llu bytes\n", o->dry_run ? "would archive" : "archived",
               (unsigned long long)s->archived_len);
    }
    printf("%s %llu bytes: %llu chunks with %llu, the old prefix with %llu\n",
           o->dry_run ? "would free" : "freed", (unsigned long long)freed,
           (unsigned long long)s->chunks_removed,
           (unsigned long long)s->suffix_freed,
           (unsigned long long)s->prefix_freed);
    printf("%s %llu bytes: the store %s %llu bytes %s\n",
           o->dry_run ? "would take" : "took", (unsigned long long)taken,
           o->dry_run ? "would be" : "is",
           (unsigned long long)(freed > taken ? freed - taken : taken - freed),
           freed >= taken ? "smaller" : "larger");
}

/* A rule may be followed as often as one likes. */
static void gc_print_nothing(const struct np_options *o)
{
    if (o->json) {
        np_json_put(json_pack("{s:b}", "collected", false));
    } else if (!o->quiet) {
        printf("nothing to collect: no commit since the last collection\n");
    }
}

/* All steps. Interrupted: told, and the exit status in *ret_status. */
static int gc_run(struct np_store *store, const struct pk_gc_options *options,
                  struct pk_gc_stats *ret_stats, int *ret_status)
{
    enum pk_gc_phase phase = PK_GC_NONE;
    struct np_eta eta;
    int err;

    np_signals_catch();
    np_eta_begin(&eta, store->options);
    err = pk_gc_start(store->repo, options);
    while (err == 0 && np_signals_caught() == 0 &&
           (err = pk_gc_step(store->repo, GC_STEP_LEN)) > 0) {
        progress_show(&eta, &phase, store->repo);
        err = 0;
    }
    if (err == 0 && np_signals_caught() != 0) {
        err = pk_gc_cancel(store->repo);
        np_eta_end(&eta);
        fprintf(stderr, "notapack: interrupted; the store is as it was\n");
        *ret_status = 128 + np_signals_caught();
        return err;
    }
    if (err == 0) {
        err = pk_gc_finish(store->repo, ret_stats);
    }
    np_eta_end(&eta);
    return err;
}

static int gc_on(struct np_store *store, const struct rule *rule, int n_words,
                 char **words)
{
    const struct np_options *o = store->options;
    struct pk_gc_options options = {.dry_run = o->dry_run, .split = true};
    struct pk_gc_stats stats = {0};
    struct kept kept = {0};
    int status = 0;
    int err = find_kept(store, rule, n_words, words, &kept);

    if (err == 0) {
        options.keep = kept.commits;
        options.n_keep = kept.n;
        err = gc_run(store, &options, &stats, &status);
        if (err == NF_EC_GC_TARGET && n_words == 1) {
            gc_print_nothing(o);
            err = 0;
        } else if (err != 0) {
            err = np_complain(store, err, words[0]);
        } else if (status == 0) {
            gc_print(o, &stats, kept.n);
        }
    }
    free(kept.commits);
    return err == 0 ? status : err;
}

int np_gc(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    struct rule rule;
    int err = parse_rule(options, &rule);

    if (err != 0) {
        return err;
    }
    if (n_words == 1 && !rule.given) {
        fprintf(stderr, "notapack: gc: what is to be kept? COMMIT, --last, "
                        "--since or --heads\n");
        return NP_USAGE;
    }
    err = np_store_open(&store, options,
                        options->dry_run ? 0u : (uint32_t)PK_OPEN_WRITE);
    if (err != 0) {
        return err;
    }
    err = gc_on(&store, &rule, n_words, words);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* gc that loses nothing: there must be a lower layer. */
int np_archive(const struct np_options *options, int n_words, char **words)
{
    struct np_options all = *options;
    struct rule rule;
    int err = parse_rule(options, &rule);

    if (err != 0) {
        return err;
    }
    if (options->lower == NULL) {
        fprintf(stderr, "notapack: archive: no lower layer given: --lower\n");
        return NP_USAGE;
    }
    all.heads = n_words == 1 && !rule.given;
    return np_gc(all.heads ? &all : options, n_words, words);
}

int np_split(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    int err = np_store_open(&store, options, PK_OPEN_WRITE);

    (void)n_words;
    if (err != 0) {
        return err;
    }
    err = pk_repo_split(store.repo);
    if (err != 0) {
        err = np_complain(&store, err, words[0]);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* ----------------------------------------------------------------- volumes */

static int volume_print(void *arg, uint64_t number,
                        const struct pk_volume_info *info)
{
    json_t *list = arg;

    if (list != NULL) {
        (void)json_array_append_new(
            list,
            json_pack("{s:I,s:I,s:I,s:I,s:I}", "number", (json_int_t)number,
                      "start", (json_int_t)info->start, "end",
                      (json_int_t)info->end, "ranges", (json_int_t)info->ranges,
                      "bytes", (json_int_t)info->data_len));
        return 0;
    }
    if (info->ranges == 0) {
        printf("volume.%llu empty\n", (unsigned long long)number);
        return 0;
    }
    printf("volume.%llu %llu..%llu %llu ranges %llu bytes\n",
           (unsigned long long)number, (unsigned long long)info->start,
           (unsigned long long)info->end, (unsigned long long)info->ranges,
           (unsigned long long)info->data_len);
    return 0;
}

int np_volumes(const struct np_options *options, int n_words, char **words)
{
    bool add = n_words > 1;
    json_t *list = options->json && !add ? json_array() : NULL;
    struct np_store store;
    int err;

    if (add && strcmp(words[1], "add") != 0) {
        fprintf(stderr, "usage: notapack -s STORE --lower DIR volumes [add]\n");
        return NP_USAGE;
    }
    if (options->lower == NULL) {
        fprintf(stderr, "notapack: volumes: no lower layer given: --lower\n");
        return NP_USAGE;
    }
    err = np_store_open(&store, options, add ? (uint32_t)PK_OPEN_WRITE : 0u);
    if (err == 0) {
        err = add ? pk_repo_add_volume(store.repo)
                  : pk_volume_each(store.repo, volume_print, list);
        err = err == 0 ? 0 : np_complain(&store, err, words[0]);
        err = np_store_close(&store) != 0 ? NP_FAILED : err;
    }
    if (list != NULL) {
        np_json_put(list);
    }
    return err;
}
