/* SPDX-License-Identifier: ISC */
/*
 * The file workload on one image of either profile, fixed to the bit: contents
 * are bytes(FSIZE) of seed(7). Twice "test" is set, each with a commit, twice
 * it is got; the disk is mounted anew; 20 000 reads of 4096 bytes at
 * r.below(FSIZE - 4096), r = seed(8); then s = r.bytes(128): 100 000 appends of
 * s to "log", a commit each 1000; 500 times "small/f(i mod 100)" is replaced by
 * s and committed; 2000 times s goes over r.below(FSIZE - 4096) of "test", a
 * commit each 20. Behind it: a scrub.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/image.h"
#include "bench/options.h"
#include "bench/workloads.h"
#include "host/prng.h"

enum { READ_LEN = 4096, SMALL_LEN = 128, SMALL_FILES = 100 };

struct files {
    /* options */
    const char *profile_text;
    const char *folder;
    uint64_t page;
    uint64_t size;
    uint64_t fsize;
    uint64_t cache;
    uint64_t reads;
    uint64_t appends;
    uint64_t sets;
    uint64_t overwrites;
    bool durable;
    bool direct;
    /* the run */
    struct image image;
    char *path;
    uint8_t *contents;
    uint8_t *buf;
    uint8_t small[SMALL_LEN];
    struct prng prng;
    struct bench_time begin;
    struct bd_counters counted;
    uint64_t hashed;
};

static uint64_t pages_hashed(const struct files *f)
{
    struct nf_counters counters = {0};

    if (f->image.nf != NULL) {
        nf_counters(f->image.nf, &counters);
    }
    return counters.pages_hashed;
}

static void begin(struct files *f)
{
    f->counted = f->image.count;
    f->hashed = pages_hashed(f);
    f->begin = bench_now();
}

/* A record of n of what was done since begin. */
static void end(const struct files *f, const char *figure, const char *what,
                double n)
{
    struct bench_time time = bench_since(f->begin);
    const struct bd_counters *now = &f->image.count;
    json_t *record = bench_record("files", figure);

    bench_text(record, "profile", f->profile_text);
    bench_rate(record, what, n, time);
    bench_count(record, "batches", now->batches - f->counted.batches);
    bench_count(record, "pages_read", now->pages_read - f->counted.pages_read);
    bench_count(record, "pages_written",
                now->pages_written - f->counted.pages_written);
    bench_count(record, "flushes", now->flushes - f->counted.flushes);
    bench_count(record, "pages_hashed", pages_hashed(f) - f->hashed);
    bench_emit(record);
}

static struct nf_file *file_open(struct files *f, const char *name,
                                 uint32_t flags)
{
    struct nf_file *file = NULL;

    bench_must(nf_open(f->image.nf, nf_path(name), flags, &file), name);
    return file;
}

static void sync_all(struct files *f)
{
    bench_must(nf_sync(f->image.nf), "commit");
}

static double mib(const struct files *f)
{
    return (double)f->fsize / (1 << 20);
}

static void set_get(struct files *f)
{
    size_t got = 0;

    for (int i = 0; i < 2; i++) {
        struct nf_file *file;

        begin(f);
        file = file_open(f, "test", NF_OPEN_CREATE | NF_OPEN_TRUNCATE);
        bench_must(nf_write(file, 0, f->contents, f->fsize), "set");
        sync_all(f);
        nf_close(file);
        end(f, i == 0 ? "set_1" : "set_2", "mib", mib(f));
    }
    for (int i = 0; i < 2; i++) {
        struct nf_file *file;

        begin(f);
        file = file_open(f, "test", 0);
        bench_must(nf_read(file, 0, f->buf, f->fsize, &got), "get");
        nf_close(file);
        end(f, i == 0 ? "get_1" : "get_2", "mib", mib(f));
        if (got != f->fsize || memcmp(f->buf, f->contents, got) != 0) {
            bench_fail("what was got is not what was set");
        }
    }
}

static void reconnect(struct files *f)
{
    image_unmount(&f->image);
    begin(f);
    image_mount(&f->image, (size_t)f->cache, 0);
    end(f, "reconnect", "mounts", 1);
}

static void random_reads(struct files *f)
{
    struct nf_file *file = file_open(f, "test", 0);
    size_t got = 0;

    f->prng = prng_seed(8);
    begin(f);
    for (uint64_t i = 0; i < f->reads; i++) {
        bench_must(nf_read(file, prng_below(&f->prng, f->fsize - READ_LEN),
                           f->buf, READ_LEN, &got),
                   "read");
    }
    end(f, "random_read", "reads", (double)f->reads);
    nf_close(file);
}

static void append(struct files *f)
{
    struct nf_file *file = file_open(f, "log", NF_OPEN_CREATE);

    begin(f);
    for (uint64_t i = 1; i <= f->appends; i++) {
        bench_must(nf_append(file, f->small, SMALL_LEN), "append");
        if (i % 1000 == 0) {
            sync_all(f);
        }
    }
    sync_all(f);
    end(f, "append", "mib", (double)(f->appends * SMALL_LEN) / (1 << 20));
    nf_close(file);
}

static void small_sets(struct files *f)
{
    begin(f);
    for (uint64_t i = 1; i <= f->sets; i++) {
        struct nf_file *file;
        char name[32];

        snprintf(name, sizeof(name), "small/f%" PRIu64, i % SMALL_FILES);
        file = file_open(f, name, NF_OPEN_CREATE | NF_OPEN_TRUNCATE);
        bench_must(nf_write(file, 0, f->small, SMALL_LEN), "set");
        sync_all(f);
        nf_close(file);
    }
    end(f, "small_set_commit", "commits", (double)f->sets);
}

static void random_overwrites(struct files *f)
{
    struct nf_file *file = file_open(f, "test", 0);

    begin(f);
    for (uint64_t i = 0; i < f->overwrites; i++) {
        bench_must(nf_write(file, prng_below(&f->prng, f->fsize - READ_LEN),
                            f->small, SMALL_LEN),
                   "overwrite");
        if (i % 20 == 0) {
            sync_all(f);
        }
    }
    sync_all(f);
    end(f, "random_overwrite", "overwrites", (double)f->overwrites);
    nf_close(file);
}

static void scrub(struct files *f)
{
    struct nf_scrub *scrub = NULL;
    struct nf_scrub_result result;
    int more;

    begin(f);
    bench_must(nf_scrub_open(f->image.nf, 0, NULL, NULL, &scrub), "scrub");
    do {
        more = nf_scrub_step(scrub, 1024);
    } while (more > 0);
    bench_must(more, "scrub");
    nf_scrub_result(scrub, &result);
    nf_scrub_close(scrub);
    if (result.damaged != 0) {
        bench_fail("the scrub found %" PRIu64 " damages", result.damaged);
    }
    end(f, "scrub", "mib",
        (double)result.pages_done * (double)f->page / (1 << 20));
}

static void files_begin(struct files *f)
{
    const struct image_options options = {
        .path = f->path = bench_path(bench_scratch(f->folder), "image"),
        .len = f->size,
        .page_size = (uint32_t)f->page,
        .durable = f->durable,
        .direct = f->direct,
    };

    if (f->fsize <= READ_LEN) {
        bench_fail("a file of more than %d bytes is needed", READ_LEN);
    }
    f->contents = malloc(f->fsize);
    f->buf = malloc(f->fsize);
    if (f->contents == NULL || f->buf == NULL) {
        bench_fail("no memory");
    }
    memset(f->buf, 0, f->fsize);
    f->prng = prng_seed(7);
    prng_bytes(&f->prng, f->fsize, f->contents);
    image_open(&f->image, &options);
    image_format(&f->image, image_profile(f->profile_text));
    image_mount(&f->image, (size_t)f->cache, 0);
}

int bench_files(int argc, char **argv)
{
    static struct files f = {
        .profile_text = "native",
        .page = 4096,
        .size = 256 << 20,
        .fsize = 32 << 20,
        .cache = 32 << 20,
        .reads = 20000,
        .appends = 100000,
        .sets = 500,
        .overwrites = 2000,
    };
    const struct bench_option options[] = {
        {"profile", BENCH_TEXT, &f.profile_text, "native or mirage"},
        {"page", BENCH_NUMBER, &f.page, "bytes of a page"},
        {"size", BENCH_NUMBER, &f.size, "bytes of the image"},
        {"fsize", BENCH_NUMBER, &f.fsize, "bytes of the file"},
        {"cache", BENCH_NUMBER, &f.cache, "bytes of the page cache"},
        {"reads", BENCH_NUMBER, &f.reads, "random reads"},
        {"appends", BENCH_NUMBER, &f.appends, "appends of 128 bytes"},
        {"sets", BENCH_NUMBER, &f.sets, "small files set and committed"},
        {"overwrites", BENCH_NUMBER, &f.overwrites, "random overwrites"},
        {"durable", BENCH_FLAG, &f.durable, "flushes reach the disk"},
        {"direct", BENCH_FLAG, &f.direct, "past the system's page cache"},
        {"folder", BENCH_TEXT, &f.folder, "where to make a scratch folder"},
    };

    bench_options("files", options, BENCH_N(options), argc, argv);
    files_begin(&f);
    set_get(&f);
    reconnect(&f);
    random_reads(&f);
    prng_bytes(&f.prng, SMALL_LEN, f.small);
    append(&f);
    small_sets(&f);
    random_overwrites(&f);
    scrub(&f);
    image_close(&f.image);
    free(f.contents);
    free(f.buf);
    free(f.path);
    bench_scratch_remove();
    return 0;
}
