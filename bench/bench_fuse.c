/* SPDX-License-Identifier: ISC */
/*
 * Our mounts beside a FUSE loop that does nothing, bindfs, and the folder that
 * all are in. In each round every place does the same, one after the other. A
 * ratio is the median of the ratios within a round, by the wall and by the
 * processor's time of this process and of the one that serves the mount.
 *
 *   write, read         FSIZE bytes in pieces of 128 KiB
 *   random_write, read  4 KiB at multiples of 4096
 *   create              empty files, ENTRIES in all, in one directory
 *   stat                of random ones, just mounted
 *   list, list_stat     the whole directory, just mounted; and stat of each
 *   remove              a part of it
 *   sync                4 KiB and fsync, where that means something
 *
 * What is written is handed over (sync_file_range), or it would be the kernel
 * that is measured; nothing but sync waits for a disk. Reads come from who
 * serves the mount, and from the system's cache in the bare folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/options.h"
#include "bench/places.h"
#include "bench/workloads.h"
#include "host/prng.h"

enum { PIECE = 128 << 10, PAGE = 4096, MAX_ROUNDS = 99, NAME_CAP = 32 };
static const char many[] = "many"; /* the directory that is large */

struct fuse {
    /* options */
    const char *folder;
    const char *programs;
    const char *image_len;
    uint64_t fsize;
    uint64_t entries;
    uint64_t rounds;
    uint64_t pages;
    uint64_t stats;
    uint64_t syncs;
    /* the run */
    struct place places[N_PLACES];
    uint8_t *piece;
    size_t round;
    int file; /* open in the place that is measured, or -1 */
    int dir;
};

struct figure {
    const char *name;
    const char *unit;
    double n;
    void (*prepare)(struct fuse *f, struct place *place); /* not measured */
    void (*run)(struct fuse *f, struct place *place);
    bool durable; /* for those that have a disk */
};

static void must(bool condition, const struct place *place, const char *what)
{
    if (!condition) {
        bench_fail("%s: %s: %s", place->name, what, strerror(errno));
    }
}

/* ---------------------------------------------------------------- contents */

static void open_file(struct fuse *f, struct place *place)
{
    char *path = bench_path(place->root, "f00000000");

    f->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    must(f->file >= 0, place, path);
    free(path);
}

/* With nothing of it in the kernel's cache of the mount. */
static void open_cold(struct fuse *f, struct place *place)
{
    open_file(f, place);
    if (place_is_served(place)) {
        must(sync_file_range(f->file, 0, 0,
                             SYNC_FILE_RANGE_WRITE |
                                 SYNC_FILE_RANGE_WAIT_AFTER) == 0,
             place, "sync_file_range");
        (void)posix_fadvise(f->file, 0, 0, POSIX_FADV_DONTNEED);
    }
}

static void open_random(struct fuse *f, struct place *place)
{
    open_cold(f, place);
    (void)posix_fadvise(f->file, 0, 0, POSIX_FADV_RANDOM);
}

/* The kernel holds nothing back any more. */
static void hand_over(struct fuse *f, struct place *place)
{
    if (place_is_served(place)) {
        must(sync_file_range(f->file, 0, 0,
                             SYNC_FILE_RANGE_WAIT_BEFORE |
                                 SYNC_FILE_RANGE_WRITE |
                                 SYNC_FILE_RANGE_WAIT_AFTER) == 0,
             place, "sync_file_range");
    }
}

static void write_all(struct fuse *f, struct place *place)
{
    for (uint64_t at = 0; at < f->fsize; at += PIECE) {
        must(pwrite(f->file, f->piece, PIECE, (off_t)at) == PIECE, place,
             "write");
    }
    hand_over(f, place);
}

static void read_all(struct fuse *f, struct place *place)
{
    static uint8_t got[PIECE];

    for (uint64_t at = 0; at < f->fsize; at += PIECE) {
        must(pread(f->file, got, PIECE, (off_t)at) == PIECE, place, "read");
    }
    /* The loop that does nothing has nothing to give. */
    if (place->null.lens == NULL && memcmp(got, f->piece, PIECE) != 0) {
        bench_fail("%s: other bytes were read", place->name);
    }
}

/* The same places in each place. */
static struct prng prng_of(const struct fuse *f)
{
    return prng_seed(1000 + f->round);
}

static void write_random(struct fuse *f, struct place *place)
{
    struct prng prng = prng_of(f);

    for (uint64_t i = 0; i < f->pages; i++) {
        uint64_t page = prng_below(&prng, f->fsize / PAGE);
        /* what is there already, so that a read can be sure of it */
        const uint8_t *bytes = f->piece + page * PAGE % PIECE;

        must(pwrite(f->file, bytes, PAGE, (off_t)(page * PAGE)) == PAGE, place,
             "write");
    }
    hand_over(f, place);
}

static void read_random(struct fuse *f, struct place *place)
{
    struct prng prng = prng_of(f);
    uint8_t got[PAGE];

    for (uint64_t i = 0; i < f->pages; i++) {
        uint64_t page = prng_below(&prng, f->fsize / PAGE);

        must(pread(f->file, got, PAGE, (off_t)(page * PAGE)) == PAGE, place,
             "read");
    }
}

/* Other bytes each time, or a store would have nothing to commit. */
static void sync_each(struct fuse *f, struct place *place)
{
    uint8_t page[PAGE];

    memcpy(page, f->piece, PAGE);
    for (uint64_t i = 0; i < f->syncs; i++) {
        uint64_t mark = 1 + f->round * f->syncs + i;

        memcpy(page, &mark, sizeof(mark));
        must(pwrite(f->file, page, PAGE, (off_t)(i * PAGE)) == PAGE &&
                 fsync(f->file) == 0,
             place, "fsync");
    }
}

/* ------------------------------------------------------------------- names */

static void open_dir(struct fuse *f, struct place *place)
{
    char *path = bench_path(place->root, many);

    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        bench_fail("%s: %s", path, strerror(errno));
    }
    f->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(f->dir >= 0, place, path);
    free(path);
}

static void open_dir_cold(struct fuse *f, struct place *place)
{
    place_remount(place);
    open_dir(f, place);
}

static void name_of(char name[NAME_CAP], uint64_t i)
{
    snprintf(name, NAME_CAP, "f%08llu", (unsigned long long)i);
}

static uint64_t part(const struct fuse *f)
{
    return f->entries / f->rounds;
}

static void create(struct fuse *f, struct place *place)
{
    uint64_t first = 1 + f->round * part(f);

    for (uint64_t i = first; i < first + part(f); i++) {
        char name[NAME_CAP];
        int fd;

        name_of(name, i);
        fd =
            openat(f->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        must(fd >= 0 && close(fd) == 0, place, name);
    }
}

static void remove_part(struct fuse *f, struct place *place)
{
    uint64_t first = 1 + f->round * part(f);

    for (uint64_t i = first; i < first + part(f); i++) {
        char name[NAME_CAP];

        name_of(name, i);
        must(unlinkat(f->dir, name, 0) == 0, place, name);
    }
}

static void stat_random(struct fuse *f, struct place *place)
{
    struct prng prng = prng_of(f);

    for (uint64_t i = 0; i < f->stats; i++) {
        char name[NAME_CAP];
        struct stat st;

        name_of(name, 1 + prng_below(&prng, part(f) * f->rounds));
        must(fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0, place, name);
    }
}

static void list_with(struct fuse *f, struct place *place, bool with_stat)
{
    DIR *dir = fdopendir(f->dir);
    uint64_t n = 0;
    struct dirent *entry;

    must(dir != NULL, place, many);
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;

        if (entry->d_name[0] != 'f') {
            continue;
        }
        n++;
        must(!with_stat ||
                 fstatat(f->dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0,
             place, entry->d_name);
    }
    closedir(dir);
    f->dir = -1;
    if (n != part(f) * f->rounds) {
        bench_fail("%s: %llu entries", place->name, (unsigned long long)n);
    }
}

static void list(struct fuse *f, struct place *place)
{
    list_with(f, place, false);
}

static void list_stat(struct fuse *f, struct place *place)
{
    list_with(f, place, true);
}

/* ----------------------------------------------------------------- compare */

/* Seconds of each round. */
struct seconds {
    double wall[MAX_ROUNDS];
    double cpu[MAX_ROUNDS];
};

static void measure_one(struct fuse *f, const struct figure *figure,
                        struct place *place, struct seconds *ret)
{
    struct bench_time begin;
    struct bench_time span;
    double served;

    f->file = f->dir = -1;
    figure->prepare(f, place);
    served = mount_cpu(&place->mount);
    begin = bench_now();
    figure->run(f, place);
    span = bench_since(begin);
    ret->wall[f->round] = span.wall;
    ret->cpu[f->round] =
        span.user + span.system + mount_cpu(&place->mount) - served;
    if (f->file >= 0) {
        close(f->file);
    }
    if (f->dir >= 0) {
        close(f->dir);
    }
}

static void add_ratio(const struct fuse *f, json_t *record, const char *name,
                      const double *theirs, const double *ours)
{
    double ratio[MAX_ROUNDS];

    for (size_t i = 0; i < f->rounds; i++) {
        ratio[i] = theirs[i] / ours[i];
    }
    bench_add_spread(record, name, ratio, f->rounds);
}

static void add_rate(const struct fuse *f, json_t *record, const char *name,
                     double n, const double *seconds)
{
    double rate[MAX_ROUNDS];

    for (size_t i = 0; i < f->rounds; i++) {
        rate[i] = n / (seconds[i] > 0 ? seconds[i] : 1e-9);
    }
    bench_add_spread(record, name, rate, f->rounds);
}

static void report(const struct fuse *f, const struct figure *figure,
                   const struct place *place, const struct seconds *all)
{
    const struct seconds *ours = &all[place->kind];
    const struct seconds *null = &all[place_null_of(place->kind)];
    json_t *record = bench_record("fuse", figure->name);

    bench_text(record, "place", place->name);
    bench_text(record, "unit", figure->unit);
    bench_number(record, "n", figure->n);
    bench_count(record, "rounds", f->rounds);
    add_rate(f, record, "per_s", figure->n, ours->wall);
    add_rate(f, record, "per_cpu_s", figure->n, ours->cpu);
    if (!figure->durable && place_is_served(place)) {
        add_ratio(f, record, "of_null", null->wall, ours->wall);
        add_ratio(f, record, "of_null_cpu", null->cpu, ours->cpu);
    }
    if (f->places[PLACE_BINDFS].open) {
        const struct seconds *bindfs = &all[PLACE_BINDFS];

        add_ratio(f, record, "of_bindfs", bindfs->wall, ours->wall);
        add_ratio(f, record, "of_bindfs_cpu", bindfs->cpu, ours->cpu);
    }
    bench_emit(record);
}

static bool takes_part(const struct place *place, const struct figure *figure)
{
    return place->open && !(figure->durable && place->null.lens != NULL);
}

static void measure(struct fuse *f, const struct figure *figure)
{
    static struct seconds all[N_PLACES];

    for (f->round = 0; f->round < f->rounds; f->round++) {
        for (size_t i = 0; i < N_PLACES; i++) {
            if (takes_part(&f->places[i], figure)) {
                measure_one(f, figure, &f->places[i], &all[i]);
            }
        }
    }
    for (size_t i = 0; i < N_PLACES; i++) {
        if (takes_part(&f->places[i], figure)) {
            report(f, figure, &f->places[i], all);
        }
    }
}

static void measure_all(struct fuse *f)
{
    const double mib = (double)f->fsize / (1 << 20);
    const double n = (double)part(f);
    const double all = n * (double)f->rounds;
    const struct figure figures[] = {
        {"write", "MiB", mib, open_file, write_all, false},
        {"read", "MiB", mib, open_cold, read_all, false},
        {"random_write", "pages", (double)f->pages, open_file, write_random,
         false},
        {"random_read", "pages", (double)f->pages, open_random, read_random,
         false},
        {"sync", "fsyncs", (double)f->syncs, open_file, sync_each, true},
        {"create", "files", n, open_dir, create, false},
        {"stat", "files", (double)f->stats, open_dir_cold, stat_random, false},
        {"list", "entries", all, open_dir_cold, list, false},
        {"list_stat", "entries", all, open_dir_cold, list_stat, false},
        {"remove", "files", n, open_dir, remove_part, false},
    };

    for (size_t i = 0; i < BENCH_N(figures); i++) {
        measure(f, &figures[i]);
    }
}

static void fuse_begin(struct fuse *f)
{
    const struct place_options options = {
        .scratch = bench_scratch(f->folder),
        .programs = f->programs,
        .image_len = f->image_len,
        .n_files = (size_t)f->entries + 1,
    };
    struct prng prng = prng_seed(7);

    f->fsize -= f->fsize % PIECE;
    if (f->rounds < 1 || f->rounds > MAX_ROUNDS || f->fsize < PIECE ||
        f->entries < f->rounds || f->syncs > f->fsize / PAGE) {
        bench_fail("rounds are 1 to %d, fsize 128k or more, entries at least "
                   "one a round",
                   MAX_ROUNDS);
    }
    f->piece = malloc(PIECE);
    if (f->piece == NULL) {
        bench_fail("no memory");
    }
    prng_bytes(&prng, PIECE, f->piece);
    for (size_t i = 0; i < N_PLACES; i++) {
        (void)place_open(&f->places[i], (enum place_kind)i, &options);
    }
}

int bench_fuse(int argc, char **argv)
{
    static struct fuse f = {
        .image_len = "1g",
        .fsize = 64 << 20,
        .entries = 100000,
        .rounds = 5,
        .pages = 5000,
        .stats = 10000,
        .syncs = 20,
    };
    const struct bench_option options[] = {
        {"fsize", BENCH_NUMBER, &f.fsize, "bytes of the file"},
        {"entries", BENCH_NUMBER, &f.entries, "files in one directory"},
        {"rounds", BENCH_NUMBER, &f.rounds, "all places in each"},
        {"pages", BENCH_NUMBER, &f.pages, "read and written at random"},
        {"stats", BENCH_NUMBER, &f.stats, "files looked at"},
        {"syncs", BENCH_NUMBER, &f.syncs, "pages written and synced"},
        {"size", BENCH_TEXT, &f.image_len, "of the image"},
        {"programs", BENCH_TEXT, &f.programs, "where notafs and notapack are"},
        {"folder", BENCH_TEXT, &f.folder, "where to make a scratch folder"},
    };

    bench_options("fuse", options, BENCH_N(options), argc, argv);
    if (access("/dev/fuse", R_OK | W_OK) != 0 || geteuid() != 0) {
        bench_skip("fuse", "all of it", "no /dev/fuse, or not root");
        return 0;
    }
    fuse_begin(&f);
    measure_all(&f);
    for (size_t i = 0; i < N_PLACES; i++) {
        if (f.places[i].open) {
            place_close(&f.places[i]);
        }
    }
    free(f.piece);
    bench_scratch_remove();
    return 0;
}
