/* SPDX-License-Identifier: ISC */
/*
 * The time that a mount takes, and what it reads, against the size of the disk:
 * four times as large each time, with a file of 16 KiB for each MiB. Both
 * profiles, with and without verifying everything first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/image.h"
#include "bench/options.h"
#include "bench/workloads.h"

enum {
    PAGE = 4096,
    CACHE_LEN = 8 << 20,
    FILE_LEN = 16 << 10,
    PER_FILE = 1 << 20,
    MAX_ROUNDS = 99,
};

struct mounting {
    /* options */
    const char *folder;
    uint64_t from;
    uint64_t to;
    uint64_t rounds;
    /* the run */
    const char *profile;
    struct image image;
};

static void fill(struct mounting *m)
{
    static const uint8_t bytes[FILE_LEN] = {1};
    uint64_t n = (uint64_t)m->image.bd.geo.page_count * PAGE / PER_FILE;

    image_mount(&m->image, CACHE_LEN, 0);
    for (uint64_t i = 0; i < n; i++) {
        struct nf_file *file = NULL;
        char name[32];

        snprintf(name, sizeof(name), "d%03llu/f%08llu",
                 (unsigned long long)(i % 32), (unsigned long long)i);
        bench_must(nf_open(m->image.nf, nf_path(name), NF_OPEN_CREATE, &file),
                   name);
        bench_must(nf_write(file, 0, bytes, sizeof(bytes)), name);
        nf_close(file);
    }
    bench_must(nf_sync(m->image.nf), "commit");
    image_unmount(&m->image);
}

static void measure(struct mounting *m, bool verify)
{
    const uint32_t flags = verify ? NF_MOUNT_VERIFY : NF_MOUNT_NO_VERIFY;
    struct bd_counters counted = m->image.count;
    double ms[MAX_ROUNDS];
    json_t *record = bench_record("mount", "mount");

    for (size_t i = 0; i < m->rounds; i++) {
        double begin = bench_now().wall;

        image_mount(&m->image, CACHE_LEN, flags);
        ms[i] = (bench_now().wall - begin) * 1e3;
        image_unmount(&m->image);
    }
    bench_text(record, "profile", m->profile);
    bench_text(record, "reads", verify ? "everything" : "what it needs");
    bench_number(record, "size_mib",
                 (double)m->image.bd.geo.page_count * PAGE / (1 << 20));
    bench_count(record, "rounds", m->rounds);
    bench_add_spread(record, "ms", ms, (size_t)m->rounds);
    bench_count(record, "pages_read",
                (m->image.count.pages_read - counted.pages_read) / m->rounds);
    bench_emit(record);
}

static void run_one(struct mounting *m, const char *profile, uint64_t len)
{
    char *path = bench_path(bench_scratch(m->folder), "image");
    const struct image_options options = {
        .path = path, .len = len, .page_size = PAGE};

    m->profile = profile;
    image_open(&m->image, &options);
    image_format(&m->image, image_profile(profile));
    fill(m);
    measure(m, false);
    measure(m, true);
    image_close(&m->image);
    free(path);
}

int bench_mount(int argc, char **argv)
{
    static struct mounting m = {
        .from = 16 << 20, .to = UINT64_C(4) << 30, .rounds = 5};
    const struct bench_option options[] = {
        {"from", BENCH_NUMBER, &m.from, "bytes of the smallest image"},
        {"to", BENCH_NUMBER, &m.to, "at most of the largest"},
        {"rounds", BENCH_NUMBER, &m.rounds, "mounts of each"},
        {"folder", BENCH_TEXT, &m.folder, "where to make a scratch folder"},
    };

    bench_options("mount", options, BENCH_N(options), argc, argv);
    if (m.rounds < 1 || m.rounds > MAX_ROUNDS || m.from < 1 << 20) {
        bench_fail("rounds are 1 to %d, from is 1m or more", MAX_ROUNDS);
    }
    for (uint64_t len = m.from; len <= m.to; len *= 4) {
        run_one(&m, "native", len);
        run_one(&m, "mirage", len);
    }
    bench_scratch_remove();
    return 0;
}
