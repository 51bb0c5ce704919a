/* SPDX-License-Identifier: ISC */
/* The index against a plain array, over merges and reopening; its file layout.
 */
#include "pack/index.h"

#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/hash/ocaml_hash.h"
#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"
#include "tests/support/vfs_fault.h"

enum { HASH_LEN = 20, N = 700 };

struct kit {
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_ctx ctx;
    struct pk_index index;
};

static void kit_begin(struct kit *k)
{
    mem_fault_init(&k->mem);
    vfs_fault_init(&k->files);
    k->ctx = (struct pk_ctx){.env = &k->mem.env, .mem = {.env = &k->mem.env}};
}

static void kit_open(struct kit *k, uint64_t max_entries, bool write)
{
    assert_ok(pk_index_open(&k->ctx, &k->files.vfs, HASH_LEN, max_entries,
                            write, &k->index));
}

static void kit_end(struct kit *k)
{
    assert_ok(pk_index_close(&k->index));
    ck_assert_uint_eq(k->mem.live_bytes, 0);
    vfs_fault_deinit(&k->files);
}

/* Binding i; half of the keys collide on purpose in their first bytes. */
static struct pk_binding binding_of(uint32_t i, uint64_t off)
{
    struct prng prng = prng_seed(i);
    struct pk_binding b = {.off = off, .len = i + 1, .kind = 'D'};

    prng_bytes(&prng, HASH_LEN, b.hash.b);
    if (i % 2 == 0) {
        memset(b.hash.b, 0, 4);
    }
    return b;
}

static void expect(struct kit *k, uint32_t i, uint64_t off)
{
    struct pk_binding want = binding_of(i, off);
    struct pk_binding got;

    assert_ok(pk_index_find(&k->index, &want.hash, &got));
    ck_assert_uint_eq(got.off, off);
    ck_assert_uint_eq(got.len, i + 1);
    ck_assert_int_eq(got.kind, 'D');
}

static int count(void *arg, const struct pk_binding *binding)
{
    (void)binding;
    ++*(unsigned *)arg;
    return 0;
}

/* Entries ascend by key and hash, the table points at each bucket's last. */
static void look_at_data(struct kit *k)
{
    size_t len = 0;
    const uint8_t *p = vfs_fault_bytes(&k->files, "index/data", &len);
    size_t entry_len = HASH_LEN + PK_INDEX_TAIL_LEN;
    size_t fans;
    size_t n;
    uint32_t last = 0;

    ck_assert_ptr_nonnull(p);
    n = (size_t)nf_get_be64(p) / entry_len;
    fans = (size_t)nf_get_be64(p + 24) / 8;
    ck_assert_mem_eq(p + 8, "00000001", 8);
    ck_assert_uint_eq(len, 32 + fans * 8 + n * entry_len);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *entry = p + 32 + fans * 8 + i * entry_len;
        uint32_t key = pk_ocaml_hash(0, entry, HASH_LEN);
        size_t fan = (size_t)((uint64_t)key * fans >> 30);

        ck_assert_uint_ge(key, last);
        if (key == last && i > 0) {
            ck_assert_int_lt(memcmp(entry - entry_len, entry, HASH_LEN), 0);
        }
        ck_assert_uint_ge(nf_get_be64(p + 32 + fan * 8), i * entry_len);
        last = key;
    }
}

START_TEST(merges)
{
    struct kit k;
    unsigned n = 0;

    kit_begin(&k);
    kit_open(&k, 50, true);
    for (uint32_t i = 0; i < N; i++) {
        struct pk_binding b = binding_of(i, i);

        assert_ok(pk_index_add(&k.index, &b));
        if (i % 3 == 0) { /* bound again: the later one counts */
            b = binding_of(i / 2, 1000 + i);
            assert_ok(pk_index_add(&k.index, &b));
        }
        if (i % 7 == 6) {
            assert_ok(pk_index_flush(&k.index));
        }
    }
    assert_ok(pk_index_flush(&k.index));
    look_at_data(&k);
    for (int round = 0; round < 2; round++) {
        uint64_t want[N];
        struct pk_digest absent = {{7, 7, 7}};
        struct pk_binding got;

        for (uint32_t i = 0; i < N; i++) {
            want[i] = i;
            if (i % 3 == 0) {
                want[i / 2] = 1000 + i;
            }
        }
        for (uint32_t i = 0; i < N; i++) {
            expect(&k, i, want[i]);
        }
        assert_err(pk_index_find(&k.index, &absent, &got), NF_EC_NO_OBJECT);
        n = 0;
        assert_ok(pk_index_each(&k.index, count, &n));
        ck_assert_uint_eq(n, N);
        assert_ok(pk_index_close(&k.index));
        kit_open(&k, 50, round == 0);
    }
    kit_end(&k);
}
END_TEST

START_TEST(log_layout)
{
    struct pk_binding b = {.off = 122, .len = 42, .kind = 'D'};
    struct kit k;
    size_t len = 0;
    const uint8_t *p;

    memset(b.hash.b, 0x22, HASH_LEN);
    kit_begin(&k);
    kit_open(&k, 50, true);
    assert_ok(pk_index_add(&k.index, &b));
    assert_ok(pk_index_flush(&k.index));
    p = vfs_fault_bytes(&k.files, "index/log", &len);
    ck_assert_uint_eq(len, 32 + 33);
    ck_assert_uint_eq(nf_get_be64(p), 33);
    ck_assert_mem_eq(p + 8, "00000001", 8);
    ck_assert_mem_eq(p + 32, b.hash.b, HASH_LEN);
    ck_assert_uint_eq(nf_get_be64(p + 52), 122);
    ck_assert_uint_eq(nf_get_be32(p + 60), 42);
    ck_assert_int_eq(p[64], 'D');
    kit_end(&k);
}
END_TEST

/* A merge that was broken off left a second log. */
START_TEST(takes_log_async)
{
    struct kit k;
    struct kit other;
    size_t len = 0;
    const uint8_t *p;

    kit_begin(&other);
    kit_open(&other, 50, true);
    for (uint32_t i = 5; i < 9; i++) {
        struct pk_binding b = binding_of(i, 100 + i);

        assert_ok(pk_index_add(&other.index, &b));
    }
    assert_ok(pk_index_flush(&other.index));
    kit_begin(&k);
    kit_open(&k, 50, true);
    for (uint32_t i = 0; i < 7; i++) {
        struct pk_binding b = binding_of(i, i);

        assert_ok(pk_index_add(&k.index, &b));
    }
    assert_ok(pk_index_flush(&k.index));
    assert_ok(pk_index_close(&k.index));
    p = vfs_fault_bytes(&other.files, "index/log", &len);
    vfs_fault_put(&k.files, "index/log_async", p, len);
    for (int write = 0; write < 2; write++) {
        kit_open(&k, 50, write == 1);
        for (uint32_t i = 0; i < 9; i++) {
            expect(&k, i, i < 5 ? i : 100 + i);
        }
        assert_ok(pk_index_close(&k.index));
    }
    ck_assert_ptr_null(vfs_fault_bytes(&k.files, "index/log_async", &len));
    kit_open(&k, 50, false);
    expect(&k, 8, 108);
    kit_end(&k);
    kit_end(&other);
}
END_TEST

UNIT_MAIN("pack/index", merges, log_layout, takes_log_async)
