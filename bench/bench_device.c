/* SPDX-License-Identifier: ISC */
/*
 * Notafs beside the bare device that it is on: two images of one size, on the
 * same file system; in each round first one, then the other, so that a busy
 * machine slows both alike. A figure is the median of the rounds, a ratio the
 * median of the ratios within a round.
 *
 *   sequential   FSIZE bytes written in MiB, then a flush or commit; read back
 *   random       pages read; written, with a flush or commit at the end
 *   overwrite    one page and a flush, against SMALL bytes and a commit
 *   scrub        of what sequential left, against reading as many bytes
 *   churn        pages overwritten at random with the disk 50, 80, 95 % full
 *   mount        with the disk that full
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

enum { CHUNK = 1 << 20, SMALL = 128, MAX_ROUNDS = 99, CHURN_EVERY = 64 };

struct device {
    /* options */
    const char *profile_text;
    const char *folder;
    uint64_t page;
    uint64_t size;
    uint64_t fsize;
    uint64_t cache;
    uint64_t rounds;
    uint64_t commits;
    uint64_t pages;
    uint64_t churn;
    bool durable;
    bool direct;
    /* the run */
    struct image raw;
    struct image ours;
    struct nf_file *file;
    uint8_t *buf; /* CHUNK bytes */
    struct prng prng;
};

/* One side of a comparison does its work once. */
typedef void (*side_fn)(struct device *d);

struct sides {
    const char *figure;
    const char *what; /* counted in n */
    double n;
    side_fn raw;
    side_fn ours;
};

static struct bench_time time_of(struct device *d, side_fn side)
{
    struct bench_time begin = bench_now();

    side(d);
    return bench_since(begin);
}

static uint64_t requests(const struct bd_counters *from,
                         const struct bd_counters *to)
{
    return to->reads - from->reads + to->writes - from->writes;
}

static void compare(struct device *d, const struct sides *sides)
{
    const size_t n = (size_t)d->rounds;
    struct bd_counters raw = d->raw.count;
    struct bd_counters ours = d->ours.count;
    double raw_s[MAX_ROUNDS];
    double ours_s[MAX_ROUNDS];
    double ratio[MAX_ROUNDS];
    double raw_cpu = 0;
    double ours_cpu = 0;
    json_t *record = bench_record("device", sides->figure);

    for (size_t i = 0; i < n; i++) {
        struct bench_time t = time_of(d, sides->raw);

        raw_s[i] = sides->n / t.wall;
        raw_cpu += t.user + t.system;
        t = time_of(d, sides->ours);
        ours_s[i] = sides->n / t.wall;
        ours_cpu += t.user + t.system;
        ratio[i] = ours_s[i] / raw_s[i];
    }
    bench_text(record, "profile", d->profile_text);
    bench_text(record, "unit", sides->what);
    bench_count(record, "rounds", n);
    bench_add_spread(record, "raw_per_s", raw_s, n);
    bench_add_spread(record, "per_s", ours_s, n);
    bench_add_spread(record, "of_raw", ratio, n);
    bench_number(record, "raw_cpu_s", raw_cpu);
    bench_number(record, "cpu_s", ours_cpu);
    bench_count(record, "raw_pages",
                d->raw.count.pages_written - raw.pages_written +
                    d->raw.count.pages_read - raw.pages_read);
    bench_count(record, "pages",
                d->ours.count.pages_written - ours.pages_written +
                    d->ours.count.pages_read - ours.pages_read);
    bench_count(record, "raw_requests", requests(&raw, &d->raw.count));
    bench_count(record, "requests", requests(&ours, &d->ours.count));
    bench_count(record, "raw_flushes", d->raw.count.flushes - raw.flushes);
    bench_count(record, "flushes", d->ours.count.flushes - ours.flushes);
    bench_emit(record);
}

/* -------------------------------------------------------------- sequential */

static uint32_t chunk_pages(const struct device *d)
{
    return (uint32_t)(CHUNK / d->page);
}

static void raw_write(struct device *d)
{
    for (uint64_t at = 0; at < d->fsize; at += CHUNK) {
        bench_must(bd_write(&d->raw.bd, at / d->page, chunk_pages(d), d->buf),
                   "write");
    }
    bench_must(bd_flush(&d->raw.bd), "flush");
}

static void ours_write(struct device *d)
{
    for (uint64_t at = 0; at < d->fsize; at += CHUNK) {
        bench_must(nf_write(d->file, at, d->buf, CHUNK), "write");
    }
    bench_must(nf_sync(d->ours.nf), "commit");
}

static void raw_read(struct device *d)
{
    for (uint64_t at = 0; at < d->fsize; at += CHUNK) {
        bench_must(bd_read(&d->raw.bd, at / d->page, chunk_pages(d), d->buf),
                   "read");
    }
}

static void ours_read(struct device *d)
{
    size_t got;

    for (uint64_t at = 0; at < d->fsize; at += CHUNK) {
        bench_must(nf_read(d->file, at, d->buf, CHUNK, &got), "read");
    }
}

static void ours_scrub(struct device *d)
{
    struct nf_scrub *scrub = NULL;
    struct nf_scrub_result result;
    int more;

    bench_must(nf_scrub_open(d->ours.nf, 0, NULL, NULL, &scrub), "scrub");
    do {
        more = nf_scrub_step(scrub, 1024);
    } while (more > 0);
    bench_must(more, "scrub");
    nf_scrub_result(scrub, &result);
    nf_scrub_close(scrub);
    if (result.damaged != 0) {
        bench_fail("the scrub found damage");
    }
}

static void sequential(struct device *d)
{
    const double mib = (double)d->fsize / (1 << 20);
    const struct sides write = {"sequential_write", "MiB", mib, raw_write,
                                ours_write};
    const struct sides read = {"sequential_read", "MiB", mib, raw_read,
                               ours_read};
    const struct sides scrub = {"scrub", "MiB", mib, raw_read, ours_scrub};

    compare(d, &write);
    compare(d, &read);
    compare(d, &scrub);
}

/* ------------------------------------------------------------------ random */

static uint64_t random_page(struct device *d)
{
    return prng_below(&d->prng, d->fsize / d->page);
}

static void raw_random_read(struct device *d)
{
    for (uint64_t i = 0; i < d->pages; i++) {
        bench_must(bd_read(&d->raw.bd, random_page(d), 1, d->buf), "read");
    }
}

static void ours_random_read(struct device *d)
{
    size_t got;

    for (uint64_t i = 0; i < d->pages; i++) {
        bench_must(nf_read(d->file, random_page(d) * d->page, d->buf,
                           (size_t)d->page, &got),
                   "read");
    }
}

static void raw_random_write(struct device *d)
{
    for (uint64_t i = 0; i < d->pages; i++) {
        bench_must(bd_write(&d->raw.bd, random_page(d), 1, d->buf), "write");
    }
    bench_must(bd_flush(&d->raw.bd), "flush");
}

static void ours_random_write(struct device *d)
{
    for (uint64_t i = 0; i < d->pages; i++) {
        bench_must(nf_write(d->file, random_page(d) * d->page, d->buf,
                            (size_t)d->page),
                   "write");
    }
    bench_must(nf_sync(d->ours.nf), "commit");
}

static void at_random(struct device *d)
{
    const double n = (double)d->pages;
    const struct sides read = {"random_read", "pages", n, raw_random_read,
                               ours_random_read};
    const struct sides write = {"random_write", "pages", n, raw_random_write,
                                ours_random_write};

    compare(d, &read);
    compare(d, &write);
}

/* --------------------------------------------------------------- overwrite */

static void raw_overwrite(struct device *d)
{
    for (uint64_t i = 0; i < d->commits; i++) {
        uint64_t at = random_page(d);

        bench_must(bd_write(&d->raw.bd, at, 1, d->buf), "write");
        bench_must(bd_flush(&d->raw.bd), "flush");
    }
}

static void ours_overwrite(struct device *d)
{
    for (uint64_t i = 0; i < d->commits; i++) {
        uint64_t at = random_page(d) * d->page;

        d->buf[0]++;
        bench_must(nf_write(d->file, at, d->buf, SMALL), "write");
        bench_must(nf_sync(d->ours.nf), "commit");
    }
}

/* One short file, over and over: the smallest commit there is. */
static void ours_one_key(struct device *d)
{
    struct nf_file *key = NULL;

    bench_must(nf_open(d->ours.nf, nf_path("key"), NF_OPEN_CREATE, &key),
               "key");
    for (uint64_t i = 0; i < d->commits; i++) {
        d->buf[0]++;
        bench_must(nf_write(key, 0, d->buf, SMALL), "write");
        bench_must(nf_sync(d->ours.nf), "commit");
    }
    nf_close(key);
}

static void overwrite(struct device *d)
{
    const double n = (double)d->commits;
    const struct sides page = {"overwrite_commit", "commits", n, raw_overwrite,
                               ours_overwrite};
    const struct sides key = {"one_key_commit", "commits", n, raw_overwrite,
                              ours_one_key};

    compare(d, &page);
    compare(d, &key);
}

/* --------------------------------------------------------- churn and mount */

/* A file of our own that fills the disk to so many per cent. */
static struct nf_file *fill(struct device *d, unsigned per_cent, uint64_t *len)
{
    struct nf_file *file = NULL;
    struct nf_stats stats;
    uint64_t want;

    bench_must(nf_open(d->ours.nf, nf_path("fill"), NF_OPEN_CREATE, &file),
               "fill");
    nf_stats(d->ours.nf, &stats);
    want = stats.page_count * per_cent / 100;
    for (*len = 0; stats.page_count - stats.free_pages < want; *len += CHUNK) {
        bench_must(nf_write(file, *len, d->buf, CHUNK), "fill");
        bench_must(nf_sync(d->ours.nf), "commit");
        nf_stats(d->ours.nf, &stats);
    }
    return file;
}

static void churn(struct device *d, unsigned per_cent)
{
    struct bd_counters counted;
    struct bench_time begin;
    uint64_t len = 0;
    json_t *record;
    struct nf_file *file;

    image_format(&d->ours, image_profile(d->profile_text));
    image_mount(&d->ours, (size_t)d->cache, 0);
    file = fill(d, per_cent, &len);
    counted = d->ours.count;
    begin = bench_now();
    for (uint64_t i = 1; i <= d->churn; i++) {
        uint64_t at = prng_below(&d->prng, len / d->page) * d->page;

        bench_must(nf_write(file, at, d->buf, d->page), "overwrite");
        if (i % CHURN_EVERY == 0) {
            bench_must(nf_sync(d->ours.nf), "commit");
        }
    }
    bench_must(nf_sync(d->ours.nf), "commit");
    record = bench_record("device", "churn");
    bench_text(record, "profile", d->profile_text);
    bench_count(record, "full_per_cent", per_cent);
    bench_rate(record, "pages", (double)d->churn, bench_since(begin));
    bench_number(record, "pages_written_each",
                 (double)(d->ours.count.pages_written - counted.pages_written) /
                     (double)d->churn);
    bench_emit(record);
    nf_close(file);
    image_unmount(&d->ours);

    counted = d->ours.count;
    begin = bench_now();
    image_mount(&d->ours, (size_t)d->cache, NF_MOUNT_NO_VERIFY);
    record = bench_record("device", "mount");
    bench_text(record, "profile", d->profile_text);
    bench_count(record, "full_per_cent", per_cent);
    bench_rate(record, "mounts", 1, bench_since(begin));
    bench_count(record, "pages_read",
                d->ours.count.pages_read - counted.pages_read);
    bench_emit(record);
    image_unmount(&d->ours);
}

/* --------------------------------------------------------------------- run */

static void device_begin(struct device *d)
{
    char *raw = bench_path(bench_scratch(d->folder), "raw");
    char *ours = bench_path(bench_scratch(d->folder), "ours");
    struct image_options options = {.path = raw,
                                    .len = d->size,
                                    .page_size = (uint32_t)d->page,
                                    .durable = d->durable,
                                    .direct = d->direct};

    d->fsize -= d->fsize % CHUNK;
    if (d->rounds < 1 || d->rounds > MAX_ROUNDS || d->fsize < CHUNK ||
        d->fsize > d->size / 3) {
        bench_fail("rounds are 1 to %d, fsize 1m to a third of size",
                   MAX_ROUNDS);
    }
    image_open(&d->raw, &options);
    options.path = ours;
    image_open(&d->ours, &options);
    free(raw);
    free(ours);
    d->buf = aligned_alloc(4096, CHUNK);
    if (d->buf == NULL) {
        bench_fail("no memory");
    }
    d->prng = prng_seed(7);
    prng_bytes(&d->prng, CHUNK, d->buf);
    image_format(&d->ours, image_profile(d->profile_text));
    image_mount(&d->ours, (size_t)d->cache, 0);
    bench_must(nf_open(d->ours.nf, nf_path("file"), NF_OPEN_CREATE, &d->file),
               "file");
    /* Pages of both are there and in use before anything is measured. */
    raw_write(d);
    ours_write(d);
}

int bench_device(int argc, char **argv)
{
    static struct device d = {
        .profile_text = "native",
        .page = 4096,
        .size = 256 << 20,
        .fsize = 64 << 20,
        .cache = 8 << 20,
        .rounds = 11,
        .commits = 50,
        .pages = 4000,
        .churn = 20000,
    };
    const struct bench_option options[] = {
        {"profile", BENCH_TEXT, &d.profile_text, "native or mirage"},
        {"page", BENCH_NUMBER, &d.page, "bytes of a page"},
        {"size", BENCH_NUMBER, &d.size, "bytes of each image"},
        {"fsize", BENCH_NUMBER, &d.fsize, "bytes of the file"},
        {"cache", BENCH_NUMBER, &d.cache, "bytes of the page cache"},
        {"rounds", BENCH_NUMBER, &d.rounds, "of each comparison"},
        {"commits", BENCH_NUMBER, &d.commits, "in a round"},
        {"pages", BENCH_NUMBER, &d.pages, "at random, in a round"},
        {"churn", BENCH_NUMBER, &d.churn, "pages overwritten; 0: none"},
        {"durable", BENCH_FLAG, &d.durable, "flushes reach the disk"},
        {"direct", BENCH_FLAG, &d.direct, "past the system's page cache"},
        {"folder", BENCH_TEXT, &d.folder, "where to make a scratch folder"},
    };
    static const unsigned per_cents[] = {50, 80, 95};

    bench_options("device", options, BENCH_N(options), argc, argv);
    device_begin(&d);
    sequential(&d);
    at_random(&d);
    overwrite(&d);
    nf_close(d.file);
    image_unmount(&d.ours);
    for (size_t i = 0; d.churn > 0 && i < BENCH_N(per_cents); i++) {
        churn(&d, per_cents[i]);
    }
    image_close(&d.ours);
    image_close(&d.raw);
    free(d.buf);
    bench_scratch_remove();
    return 0;
}
