/* SPDX-License-Identifier: ISC */
/*
 * How long it takes until a few appended bytes are durable: a plain file with
 * fdatasync, which grows or has its blocks already, and a file of Notafs with a
 * commit, on an image in the same folder. One append of each in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/image.h"
#include "bench/options.h"
#include "bench/workloads.h"

enum side { GROWING, IN_PLACE, NATIVE, MIRAGE, N_SIDES };
static const char *const names[N_SIDES] = {"plain file",
                                           "plain file, blocks there",
                                           "Notafs, native", "Notafs, mirage"};

enum { PAGE = 4096, MAX_LEN = 1 << 16, CACHE_LEN = 8 << 20 };

struct append {
    /* options */
    const char *folder;
    uint64_t appends;
    uint64_t len;
    uint64_t size;
    /* the run */
    int files[NATIVE];
    struct image images[N_SIDES];
    struct nf_file *logs[N_SIDES];
    double *seconds[N_SIDES];
    uint8_t bytes[MAX_LEN];
};

static void must(bool condition, const char *what)
{
    if (!condition) {
        bench_fail("%s: %s", what, strerror(errno));
    }
}

static void open_file(struct append *a, enum side side)
{
    char *path = bench_path(bench_scratch(a->folder), names[side]);

    a->files[side] = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(a->files[side] >= 0, path);
    if (side == IN_PLACE) {
        must(posix_fallocate(a->files[side], 0, (off_t)(a->appends * a->len)) ==
                 0,
             path);
    }
    must(fsync(a->files[side]) == 0, path);
    free(path);
}

static void open_image(struct append *a, enum side side)
{
    char *path = bench_path(bench_scratch(a->folder), names[side]);
    const struct image_options options = {
        .path = path, .len = a->size, .page_size = PAGE, .durable = true};
    struct image *image = &a->images[side];

    image_open(image, &options);
    image_format(image, side == NATIVE ? NF_PROFILE_NATIVE : NF_PROFILE_MIRAGE);
    image_mount(image, CACHE_LEN, 0);
    bench_must(
        nf_open(image->nf, nf_path("log"), NF_OPEN_CREATE, &a->logs[side]),
        "log");
    bench_must(nf_sync(image->nf), "commit");
    image->count = (struct bd_counters){0};
    free(path);
}

static void append(struct append *a, enum side side, uint64_t i)
{
    if (side >= NATIVE) {
        bench_must(nf_append(a->logs[side], a->bytes, (size_t)a->len),
                   "append");
        bench_must(nf_sync(a->images[side].nf), "commit");
        return;
    }
    must(pwrite(a->files[side], a->bytes, (size_t)a->len,
                (off_t)(i * a->len)) == (ssize_t)a->len &&
             fdatasync(a->files[side]) == 0,
         names[side]);
}

static void report(struct append *a, enum side side)
{
    json_t *record = bench_record("append", "append_sync");
    double all = 0;

    for (uint64_t i = 0; i < a->appends; i++) {
        all += a->seconds[side][i];
    }
    bench_text(record, "peer", names[side]);
    bench_count(record, "len", a->len);
    bench_count(record, "appends", a->appends);
    bench_number(record, "per_s", (double)a->appends / all);
    bench_add_latency(record, "append", a->seconds[side], (size_t)a->appends);
    if (side >= NATIVE) {
        bench_count(record, "flushes", a->images[side].count.flushes);
        bench_count(record, "batches", a->images[side].count.batches);
        bench_count(record, "pages_written",
                    a->images[side].count.pages_written);
    }
    bench_emit(record);
}

static void append_end(struct append *a)
{
    for (enum side side = 0; side < N_SIDES; side++) {
        free(a->seconds[side]);
        if (side >= NATIVE) {
            nf_close(a->logs[side]);
            image_close(&a->images[side]);
        } else {
            close(a->files[side]);
        }
    }
}

int bench_append(int argc, char **argv)
{
    static struct append a = {
        .appends = 500,
        .len = 128,
        .size = 64 << 20,
    };
    const struct bench_option options[] = {
        {"appends", BENCH_NUMBER, &a.appends, "of each"},
        {"len", BENCH_NUMBER, &a.len, "bytes of an append"},
        {"size", BENCH_NUMBER, &a.size, "bytes of each image"},
        {"folder", BENCH_TEXT, &a.folder, "where to make a scratch folder"},
    };

    bench_options("append", options, BENCH_N(options), argc, argv);
    if (a.appends < 1 || a.len < 1 || a.len > MAX_LEN) {
        bench_fail("appends are 1 or more, len is 1 to %d", MAX_LEN);
    }
    memset(a.bytes, 'x', sizeof(a.bytes));
    for (enum side side = 0; side < N_SIDES; side++) {
        a.seconds[side] = malloc((size_t)a.appends * sizeof(double));
        must(a.seconds[side] != NULL, "memory");
        (side >= NATIVE ? open_image : open_file)(&a, side);
    }
    for (uint64_t i = 0; i < a.appends; i++) {
        for (enum side side = 0; side < N_SIDES; side++) {
            double begin = bench_now().wall;

            append(&a, side, i);
            a.seconds[side][i] = bench_now().wall - begin;
        }
    }
    for (enum side side = 0; side < N_SIDES; side++) {
        report(&a, side);
    }
    append_end(&a);
    bench_scratch_remove();
    return 0;
}
