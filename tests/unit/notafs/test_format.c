/* SPDX-License-Identifier: ISC */
/* The example of docs/format-notafs.md is what the code writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/host.h>
#include <notafs/notafs.h>

#include "tests/support/unit.h"

enum { PAGE = 512, PAGES = 64 };

static struct nf_time stopped_clock(void *ctx)
{
    const struct nf_time time = {1700000000, 0};
    (void)ctx;
    return time;
}

static void put(struct nf *nf, const char *path, const void *bytes, size_t len)
{
    struct nf_file *file;
    assert_ok(nf_open(nf, nf_path(path), NF_OPEN_CREATE, &file));
    assert_ok(nf_append(file, bytes, len));
    nf_close(file);
}

static void write_example(uint8_t *disk)
{
    const struct nf_format_options options = {.uid = 0x0123456789abcdef};
    uint8_t x[600];
    struct bd_mem mem;
    struct nf_env env;
    struct bd bd;
    struct nf *nf;
    memset(x, 'x', sizeof(x));
    nf_env_libc(&env);
    env.now = stopped_clock;
    assert_ok(bd_mem_init(&bd, &mem, disk, PAGE * PAGES, PAGE));
    assert_ok(nf_format(&bd, &env, &options));
    assert_ok(nf_mount(&bd, &env, NULL, &nf));
    put(nf, "hello", "world!", 6);
    put(nf, "data", x, sizeof(x));
    assert_ok(nf_sync(nf));
    nf_unmount(nf);
}

/* A line of the document as 16 bytes of a disk: true, or it is not one. */
static bool parse(const char *line, size_t *ret_at, uint8_t *ret)
{
    unsigned page;
    unsigned byte;
    unsigned v;
    int len;
    if (sscanf(line, "    %2x:%3x%n", &page, &byte, &len) != 2) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        ck_assert_int_eq(sscanf(line + len + 1 + 3 * i, " %2x", &v), 1);
        ret[i] = (uint8_t)v;
    }
    *ret_at = (size_t)page * PAGE + byte;
    return *ret_at + 16 <= PAGE * PAGES;
}

START_TEST(example_is_what_is_written)
{
    static uint8_t disk[PAGE * PAGES];
    static uint8_t told[PAGE * PAGES];
    char line[256];
    size_t at;
    uint8_t bytes[16];
    unsigned n = 0;
    FILE *doc = fopen(FORMAT_DOC, "r");
    ck_assert_ptr_nonnull(doc);
    write_example(disk);
    while (fgets(line, sizeof(line), doc) != NULL) {
        if (parse(line, &at, bytes)) {
            memcpy(told + at, bytes, 16);
            n++;
        }
    }
    fclose(doc);
    ck_assert_uint_gt(n, 40);
    memset(told + 12 * PAGE, 'x', 592); /* the lines left out */
    ck_assert_mem_eq(told, disk, sizeof(disk));
}
END_TEST

UNIT_MAIN("notafs/format", example_is_what_is_written)
