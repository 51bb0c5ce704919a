/* SPDX-License-Identifier: ISC */
/* Mappings beyond what samples of each page would take: they are found by
 * fewer, in bounded memory. */
#include "pack/sparse.h"

#include "host/prng.h"
#include "notafs/platform/codec.h"
#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

enum {
    GAP = 7, /* between two ranges, which are of one byte each */
    BATCH = 4096,
    FEW = 1000,
    MANY = 2 * PK_SAMPLES_MAX * PK_SPARSE_PAGE_RECORDS + 100,
};

struct world {
    struct mem_fault files_mem;
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
    struct mem_fault mem;
    struct pk_ctx ctx;
    struct pk_sparse sparse;
};

static uint8_t byte_of(uint64_t i)
{
    return (uint8_t)(i * 31 + i / 256);
}

static void append(struct pk_file *file, uint64_t *at, const uint8_t *buf,
                   size_t len)
{
    assert_ok(pk_file_write(file, *at, buf, len));
    *at += len;
}

/* n ranges, range i at offset GAP * i. */
static void write_ranges(struct world *w, uint64_t n)
{
    static uint8_t records[BATCH * PK_MAPPING_RECORD_LEN];
    static uint8_t bytes[BATCH];
    const uint32_t flags = PK_VFS_WRITE | PK_VFS_CREATE | PK_VFS_TRUNCATE;
    struct pk_file data;
    struct pk_file mapping;
    uint64_t data_len = 0;
    uint64_t mapping_len = 0;

    assert_ok(pk_file_open(&w->ctx, &w->vfs, "data", flags, &data));
    assert_ok(pk_file_open(&w->ctx, &w->vfs, "mapping", flags, &mapping));
    for (uint64_t i = 0; i < n;) {
        size_t m = 0;

        for (; m < BATCH && i < n; m++, i++) {
            uint8_t *p = records + m * PK_MAPPING_RECORD_LEN;

            nf_put_le64(p, i * GAP);
            nf_put_le64(p + 8, i);
            nf_put_le64(p + 16, 1);
            bytes[m] = byte_of(i);
        }
        append(&data, &data_len, bytes, m);
        append(&mapping, &mapping_len, records, m * PK_MAPPING_RECORD_LEN);
    }
    assert_ok(pk_file_close(&data));
    assert_ok(pk_file_close(&mapping));
}

static void world_begin(struct world *w, uint64_t n)
{
    mem_fault_init(&w->files_mem);
    mem_fault_init(&w->mem);
    assert_ok(pk_vfs_mem_open(&w->files_mem.env, &w->files, &w->vfs));
    w->ctx = (struct pk_ctx){.env = &w->mem.env, .mem = {.env = &w->mem.env}};
    write_ranges(w, n);
    assert_ok(pk_sparse_open(&w->ctx, &w->vfs, "data", "mapping", NF_NOWHERE,
                             &w->sparse));
}

static void world_end(struct world *w)
{
    assert_ok(pk_sparse_close(&w->sparse));
    pk_vfs_mem_close(w->files);
    ck_assert_uint_eq(w->mem.live_bytes, 0);
    ck_assert_uint_eq(w->files_mem.live_bytes, 0);
}

static void read_at(struct world *w, uint64_t n, uint64_t off)
{
    uint8_t buf[2] = {0};
    size_t len = 0;
    int err = pk_sparse_read(&w->sparse, off, buf, sizeof(buf), &len);

    if (off % GAP != 0 || off / GAP >= n) {
        ck_assert_int_eq(err, NF_EC_NO_OBJECT);
        return;
    }
    assert_ok(err);
    ck_assert_uint_eq(len, 1);
    ck_assert_uint_eq(buf[0], byte_of(off / GAP));
}

static void read_much(uint64_t n)
{
    struct world w;
    struct prng prng = prng_seed(n);

    world_begin(&w, n);
    ck_assert_uint_le(w.sparse.samples.n, PK_SAMPLES_MAX);
    ck_assert_uint_le(w.mem.live_bytes, PK_SAMPLES_MAX * sizeof(uint64_t));
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t off = prng_below(&prng, (n + 3) * GAP);

        read_at(&w, n, i % 2 == 0 ? off : off / GAP * GAP);
    }
    for (uint64_t i = 0; i < 3 * PK_SPARSE_PAGE_RECORDS * GAP; i++) {
        read_at(&w, n, i);
        read_at(&w, n, n * GAP - i);
    }
    world_end(&w);
}

START_TEST(all_pages_are_sampled)
{
    read_much(FEW);
}
END_TEST

START_TEST(one_of_several_pages_is_sampled)
{
    read_much(MANY);
}
END_TEST

/* Growing gives what would have been taken from the beginning. */
START_TEST(samples_grow)
{
    struct mem_fault mem;
    struct pk_ctx ctx;
    struct pk_samples samples = {0};
    const uint64_t page = PK_SPARSE_PAGE_RECORDS;
    uint64_t done = 0;

    mem_fault_init(&mem);
    ctx = (struct pk_ctx){.env = &mem.env, .mem = {.env = &mem.env}};
    for (uint64_t n = 1; n < 9 * PK_SAMPLES_MAX * page; n = n * 3 + 1) {
        assert_ok(pk_samples_grow(&ctx, n, &samples));
        for (; done < n; done += page) {
            pk_samples_set(&samples, done, done * GAP);
        }
        ck_assert_uint_le(samples.n, PK_SAMPLES_MAX);
        for (size_t i = 0; i < samples.n; i++) {
            ck_assert_uint_eq(samples.offs[i],
                              ((uint64_t)i << samples.shift) * page * GAP);
        }
    }
    ck_assert_uint_gt(samples.shift, 2);
    pk_samples_free(&ctx, &samples);
    ck_assert_uint_eq(mem.live_bytes, 0);
}
END_TEST

UNIT_MAIN("pack/sparse", all_pages_are_sampled, one_of_several_pages_is_sampled,
          samples_grow)
