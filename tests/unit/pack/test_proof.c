/* SPDX-License-Identifier: ISC */
#include "pack/proof.h"

#include <stdlib.h>

#include "host/prng.h"
#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/hash/hex.h"

/* Hashes of one byte, so that proofs can be written down. */
static const struct pk_config tiny = {
    .hash_len = 1, .entries = 2, .stable_hash = 2};

struct fixture {
    struct mem_fault mem;
    struct pk_ctx ctx;
    struct pk_proof proof;
    struct pk_buf out;
};

static void begin(struct fixture *f)
{
    mem_fault_init(&f->mem);
    f->ctx = (struct pk_ctx){.env = &f->mem.env, .mem = {.env = &f->mem.env}};
    pk_proof_init(&f->proof, &f->ctx);
    f->out = pk_buf_of(&f->ctx.mem);
}

static void end(struct fixture *f)
{
    pk_buf_deinit(&f->out);
    pk_proof_deinit(&f->proof);
    ck_assert_uint_eq(f->mem.live_bytes, 0);
}

/* The bytes are a proof, and come out as they went in. */
static void check_good(const struct pk_config *config, struct pk_slice bytes)
{
    struct fixture f;

    begin(&f);
    assert_ok(pk_proof_decode(&f.proof, config, bytes));
    pk_proof_encode(&f.proof, config, &f.out);
    ck_assert(!f.out.failed);
    ck_assert_uint_eq(f.out.len, bytes.len);
    ck_assert_mem_eq(f.out.p, bytes.p, bytes.len);
    end(&f);
}

/* The bytes are refused for that reason. */
static void check_bad(const struct pk_config *config, struct pk_slice bytes,
                      const char *what)
{
    struct fixture f;

    begin(&f);
    assert_err(pk_proof_decode(&f.proof, config, bytes), NF_EC_PROOF);
    ck_assert_str_eq(f.ctx.err.what, what);
    end(&f);
}

static void good(const char *text)
{
    const struct hex bytes = hex(text);

    check_good(&tiny, hex_slice(&bytes));
}

static void bad(const char *text, const char *what)
{
    const struct hex bytes = hex(text);

    check_bad(&tiny, hex_slice(&bytes), what);
}

/* Spec 9.4: three names, of which the first is looked at. */
#define SPEC_BEFORE "01 1111111111111111111111111111111111111111"
#define SPEC_AFTER  "01 2222222222222222222222222222222222222222"
#define SPEC_Y      "95cb0bfd2977c761298d9624e4b4d4c72a39974a"
#define SPEC_Z      "4295267989ab4c4a036eb78f0610a57042e2b49f"

START_TEST(spec_example)
{
    static const struct pk_config config = {
        .hash_len = 20, .entries = 2, .stable_hash = 2};
    const struct hex want =
        hex(SPEC_BEFORE SPEC_AFTER "05 03 03 00 00 00"
                                   "02 03 02"
                                   "00 01 02 05 3030303030 00 01 78"
                                   "05 3030303031 01" SPEC_Y "01 00" SPEC_Z);
    const struct hex before = hex(SPEC_BEFORE);
    const struct hex after = hex(SPEC_AFTER);
    const struct hex y = hex(SPEC_Y);
    const struct hex z = hex(SPEC_Z);
    const struct pk_proof_node nodes[] = {
        {.kind = PK_PROOF_EXTENDER,
         .length = 3,
         .n_segments = 3,
         .bytes = {(const uint8_t[]){0, 0, 0}, 3},
         .n_children = 1},
        {.kind = PK_PROOF_INODE, .length = 3, .n_children = 2},
        {.kind = PK_PROOF_NODE, .index = 0, .n_children = 2},
        {.kind = PK_PROOF_CONTENTS,
         .step = text_slice("00000"),
         .bytes = text_slice("x")},
        {.kind = PK_PROOF_BLINDED_CONTENTS,
         .step = text_slice("00001"),
         .bytes = hex_slice(&y)},
        {.kind = PK_PROOF_BLINDED_NODE, .index = 1, .bytes = hex_slice(&z)},
    };
    static const uint32_t parents[] = {PK_PROOF_NOWHERE, 0, 1, 2, 2, 1};
    static const uint32_t ends[] = {6, 6, 5, 4, 5, 6};
    static const uint64_t depths[] = {0, 3, 4, 0, 0, 4};
    struct fixture f;

    begin(&f);
    f.proof.before.kind = PK_NODE;
    memcpy(f.proof.before.hash.b, before.b + 1, 20);
    f.proof.after.kind = PK_NODE;
    memcpy(f.proof.after.hash.b, after.b + 1, 20);
    for (size_t i = 0; i < 6; i++) {
        ck_assert(!pk_proof_is_whole(&f.proof));
        assert_ok(pk_proof_add(&f.proof, &nodes[i]));
    }
    ck_assert(pk_proof_is_whole(&f.proof));
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(f.proof.nodes[i].parent, parents[i]);
        ck_assert_uint_eq(f.proof.nodes[i].end, ends[i]);
        ck_assert_uint_eq(f.proof.nodes[i].depth, depths[i]);
    }
    assert_ok(pk_proof_check(&f.proof, &config));
    pk_proof_encode(&f.proof, &config, &f.out);
    ck_assert_uint_eq(f.out.len, want.len);
    ck_assert_mem_eq(f.out.p, want.b, want.len);
    end(&f);
    check_good(&config, hex_slice(&want));
}
END_TEST

START_TEST(roots)
{
    good("01aa 01bb 02 00");        /* an empty directory */
    good("00aa 00bb 00 03 616263"); /* contents */
    good("00aa 01bb 00 00");        /* no contents, and a directory after */
    bad("01aa 01bb 03 cc", "root that is not shown");
    bad("00aa 00bb 01 cc", "root that is not shown");
    bad("01aa 01bb 00 03 616263", "root of another kind than its hash");
    bad("00aa 00bb 02 00", "root of another kind than its hash");
}
END_TEST

START_TEST(bindings)
{
    good("01aa 01bb 02 02  01 61 01 cc  01 62 03 dd");
    good("01aa 01bb 02 02  01 61 01 cc  02 6162 03 dd"); /* "a" < "ab" */
    good("01aa 01bb 02 02  00 01 cc  01 00 03 dd");      /* "" < "\0" */
    good("01aa 01bb 02 01  01 61 02 01  01 62 02 01  01 63 00 00");
    bad("01aa 01bb 02 02  01 62 01 cc  01 61 03 dd", "steps out of order");
    bad("01aa 01bb 02 02  01 61 01 cc  01 61 03 dd", "steps out of order");
    bad("01aa 01bb 02 02  02 6162 01 cc  01 61 03 dd", "steps out of order");
    bad("01aa 01bb 02 01  01 61 02 00", "empty directory below the root");
    bad("01aa 01bb 02 03  01 61 01 cc  01 62 01 cc  01 63 01 cc",
        "bindings that an inode would hold");
}
END_TEST

/* Two shown bindings, and what is not shown: a leaf, the right half. */
#define LEAF "01 02 01 61 01 cc 01 62 01 cc"

START_TEST(inodes)
{
    good("01aa 01bb 04 05 02  00" LEAF "01 00 dd");
    good("01aa 01bb 04 03 02  00 00 cc  01 00 dd");
    good("01aa 01bb 04 03 01  01 00 cc");
    good("01aa 01bb 04 04 02  00" LEAF "01" LEAF);
    good("01aa 01bb 02 01  01 61 04 03 01  00 00 cc"); /* below a step */
    good("01aa 01bb 04 04 01  00 02 04 02  00" LEAF "01" LEAF);
    bad("01aa 01bb 04 03 00", "empty inode");
    bad("01aa 01bb 04 03 02  01 00 cc  00 00 dd",
        "indices out of order or range");
    bad("01aa 01bb 04 03 02  01 00 cc  01 00 dd",
        "indices out of order or range");
    bad("01aa 01bb 04 03 02  01 00 cc  02 00 dd",
        "indices out of order or range");
    bad("01aa 01bb 04 02 02  00 00 cc  01 00 dd", "inode of few bindings");
    bad("01aa 01bb 04 05 02  00" LEAF "01" LEAF,
        "inode longer than its children");
    bad("01aa 01bb 04 03 02  00" LEAF "01" LEAF,
        "inode shorter than its children");
    bad("01aa 01bb 04 04 02  00 02 04 02 00" LEAF "01" LEAF "01 00 cc",
        "inode shorter than its children");
    bad("01aa 01bb 04 05 01  00 02 03 01 00 00 cc",
        "inode longer than its children");
    bad("01aa 01bb 04 03 02  00 01 00  01 00 cc",
        "empty directory below the root");
    bad("01aa 01bb 04 05 02  00 01 03 01 61 01 cc 01 62 01 cc 01 63 01 cc"
        "01 00 cc",
        "bindings that an inode would hold");
}
END_TEST

/* What hashes as a list is shown as one. */
START_TEST(stable)
{
    static const struct pk_config config = {
        .hash_len = 1, .entries = 2, .stable_hash = 4};
    const struct hex list = hex("01aa 01bb 02 04  01 61 01 cc  01 62 01 cc"
                                "01 63 01 cc  01 64 01 cc");
    const struct hex four = hex("01aa 01bb 04 04 01  00 00 cc");
    const struct hex five = hex("01aa 01bb 04 05 01  00 02 04 01 00 00 cc");

    check_good(&config, hex_slice(&list));
    check_bad(&config, hex_slice(&four), "inode of few bindings");
    check_bad(&config, hex_slice(&five), "inode longer than its children");
}
END_TEST

START_TEST(extenders)
{
    good("01aa 01bb 05 03 02 00 01  00 cc");
    good("01aa 01bb 05 03 01 01  03 03 01 00  00 cc");
    good("01aa 01bb 04 04 02  00 03 03 02 00 01 00 cc  01 00 dd");
    bad("01aa 01bb 05 03 00  00 cc", "empty extender");
    bad("01aa 01bb 05 03 02 00 02  00 cc", "segment out of range");
    bad("01aa 01bb 05 02 02 00 01  00 cc", "inode of few bindings");
    bad("01aa 01bb 05 03 02 00 01  01 01 01 61 01 cc",
        "inode longer than its children");
    bad("01aa 01bb 05 04 02 00 01  02 03 01 00 00 cc",
        "inode longer than its children");
}
END_TEST

/* 50 bits of a step's hash are told apart: 25 levels of four. */
START_TEST(too_deep)
{
    static const struct pk_config config = {
        .hash_len = 1, .entries = 4, .stable_hash = 4};
    struct hex h = hex("01aa 01bb 05 05 19");

    for (int i = 0; i < 25; i++) {
        h.b[h.len++] = 3;
    }
    h.b[h.len++] = 0;
    h.b[h.len++] = 0xcc;
    check_good(&config, hex_slice(&h));
    h.b[6] = 0x1a; /* one segment more */
    h.b[h.len - 2] = 3;
    h.b[h.len - 1] = 0;
    h.b[h.len++] = 0xcc;
    check_bad(&config, hex_slice(&h), "inode too deep");
    h.b[6] = 0x19; /* an inode instead */
    h.b[h.len - 3] = 2;
    h.b[h.len - 2] = 5;
    h.b[h.len - 1] = 1;
    h.b[h.len++] = 0;
    h.b[h.len++] = 0;
    h.b[h.len++] = 0xcc;
    check_bad(&config, hex_slice(&h), "inode too deep");
}
END_TEST

START_TEST(malformed)
{
    static const char cut[] = "cut off, or not a proof";

    bad("", cut);
    bad("02aa 01bb 02 00", cut);                 /* a tag beyond the last */
    bad("01aa 01bb 06 00", cut);                 /* likewise */
    bad("01aa 01bb ff01 00", cut);               /* likewise, 255 */
    bad("01aa 01bb 04 03 01  00 04 03 00", cut); /* likewise, in an inode */
    bad("01aa 01bb 02 7f  01 61 01 cc", cut);    /* more than there can be */
    bad("01aa 01bb 02 ffffffffffffffff3f 01 61 01 cc", cut);
    bad("01aa 01bb 02 ffffffffffffffffffff01", cut); /* no number at all */
    bad("01aa 01bb 05 03 7f 00 00 cc", cut);         /* too few segments */
    bad("00aa 00bb 00 04 616263", cut);
    bad("00aa 00bb 00 03 616263 00", "bytes behind its end");
}
END_TEST

/* Each of the first bytes of a proof is none. */
START_TEST(every_cut)
{
    const struct hex h =
        hex("01aa 01bb 02 02 01 61 04 05 02  00" LEAF
            "01 00 dd 01 62 05 04 02 00 01 02 04 02 00" LEAF "01" LEAF);

    check_good(&tiny, hex_slice(&h));
    for (size_t len = 0; len < h.len; len++) {
        check_bad(&tiny, (struct pk_slice){h.b, len},
                  "cut off, or not a proof");
    }
}
END_TEST

/* Directories within directories cost memory, not stack. */
START_TEST(deep)
{
    enum { LEVELS = 1000000 };
    const size_t len = 4 + 3 * LEVELS + 2;
    uint8_t *p = malloc(len);

    ck_assert_ptr_nonnull(p);
    memcpy(p, "\1\xaa\1\xbb", 4);
    for (size_t i = 0; i < LEVELS; i++) {
        memcpy(p + 4 + 3 * i, "\2\1\0", 3);
    }
    memcpy(p + len - 2, "\1\xcc", 2);
    check_good(&tiny, (struct pk_slice){p, len});
    free(p);
}
END_TEST

/* ------------------------------------------------------- random proofs */

enum { MAX_DIRS = 20 };

struct maker {
    struct prng r;
    struct pk_proof *proof;
    struct pk_config config;
    size_t n_dirs;
    uint64_t max_depth;
    uint8_t pool[256]; /* contents, names and hashes are somewhere in it */
};

static bool coin(struct maker *m)
{
    return prng_below(&m->r, 2) == 0;
}

static void make_dir(struct maker *m, struct pk_slice step);

/* n bindings in order. Their names are two bytes: order, then noise. */
static void make_bindings(struct maker *m, struct pk_proof_node head,
                          uint32_t n)
{
    head.kind = PK_PROOF_NODE;
    head.n_children = n;
    assert_ok(pk_proof_add(m->proof, &head));
    for (uint32_t i = 0; i < n; i++) {
        /* pool[i] is i: pairs of bytes that begin so, in order. */
        const struct pk_slice step = {m->pool + i,
                                      1 + (size_t)prng_below(&m->r, 2)};
        struct pk_proof_node leaf = {.step = step};

        if (m->n_dirs < MAX_DIRS && prng_below(&m->r, 4) == 0) {
            make_dir(m, step);
            continue;
        }
        leaf.kind = coin(m)   ? PK_PROOF_CONTENTS
                    : coin(m) ? PK_PROOF_BLINDED_CONTENTS
                              : PK_PROOF_BLINDED_NODE;
        leaf.bytes =
            (struct pk_slice){m->pool, leaf.kind == PK_PROOF_CONTENTS
                                           ? (size_t)prng_below(&m->r, 200)
                                           : m->config.hash_len};
        assert_ok(pk_proof_add(m->proof, &leaf));
    }
}

/* An inode, or what stands for it, of so many bindings, so deep. */
static void make_inode(struct maker *m, struct pk_proof_node head,
                       uint64_t length, uint64_t depth)
{
    const uint32_t e = m->config.entries;
    const bool is_first = depth == 0;

    if (!is_first && length <= e && coin(m)) {
        make_bindings(m, head, (uint32_t)length);
        return;
    }
    if (!is_first && (length <= e || depth == m->max_depth || coin(m))) {
        head.kind = PK_PROOF_BLINDED_NODE;
        head.bytes = (struct pk_slice){m->pool, m->config.hash_len};
        assert_ok(pk_proof_add(m->proof, &head));
        return;
    }
    head.length = length;
    if (coin(m)) {
        const uint64_t n = 1 + prng_below(&m->r, m->max_depth - depth);

        head.kind = PK_PROOF_EXTENDER;
        head.n_children = 1;
        head.n_segments = n;
        head.bytes = (struct pk_slice){m->pool + 200, (size_t)n}; /* zeros */
        assert_ok(pk_proof_add(m->proof, &head));
        make_inode(m, (struct pk_proof_node){0}, length, depth + n);
        return;
    }
    head.kind = PK_PROOF_INODE;
    head.n_children = e;
    assert_ok(pk_proof_add(m->proof, &head));
    for (uint32_t i = 0; i < e; i++) {
        const uint64_t n =
            i == e - 1 ? length - (e - 1) * (length / e) : length / e;

        make_inode(m, (struct pk_proof_node){.index = i}, n, depth + 1);
    }
}

static void make_dir(struct maker *m, struct pk_slice step)
{
    const uint32_t most = m->config.entries > m->config.stable_hash
                              ? m->config.entries
                              : m->config.stable_hash;
    const struct pk_proof_node head = {.step = step};

    m->n_dirs++;
    if (coin(m)) {
        make_bindings(m, head, 1 + (uint32_t)prng_below(&m->r, most));
    } else {
        make_inode(m, head, most + 1 + prng_below(&m->r, 10000), 0);
    }
}

static bool same_bytes(struct pk_slice a, struct pk_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool same_node(const struct pk_proof_node *a,
                      const struct pk_proof_node *b)
{
    return a->kind == b->kind && same_bytes(a->step, b->step) &&
           same_bytes(a->bytes, b->bytes) && a->index == b->index &&
           a->length == b->length && a->n_segments == b->n_segments &&
           a->n_children == b->n_children && a->parent == b->parent &&
           a->end == b->end && a->depth == b->depth;
}

/* Random proofs pass the check and come back from bytes as they were. */
START_TEST(random_proofs)
{
    static const struct pk_config configs[] = {
        {.hash_len = 1, .entries = 2, .stable_hash = 2},
        {.hash_len = 64, .entries = 4, .stable_hash = 0},
        {.hash_len = 32, .entries = 32, .stable_hash = 100},
    };
    static const uint64_t max_depths[] = {50, 25, 10};
    struct maker m = {.r = prng_seed(11)};

    for (size_t i = 0; i < 256; i++) {
        m.pool[i] = i < 150 ? (uint8_t)i : 0;
    }
    for (size_t round = 0; round < 300; round++) {
        struct fixture f;
        struct pk_proof again;
        size_t n_same = 0;

        begin(&f);
        m.proof = &f.proof;
        m.config = configs[round % 3];
        m.max_depth = max_depths[round % 3];
        m.n_dirs = 0;
        f.proof.before.kind = PK_NODE;
        f.proof.after.kind = coin(&m) ? PK_NODE : PK_CONTENTS;
        prng_bytes(&m.r, m.config.hash_len, f.proof.before.hash.b);
        prng_bytes(&m.r, m.config.hash_len, f.proof.after.hash.b);
        make_dir(&m, (struct pk_slice){0});
        ck_assert(pk_proof_is_whole(&f.proof));
        assert_ok(pk_proof_check(&f.proof, &m.config));
        pk_proof_encode(&f.proof, &m.config, &f.out);
        pk_proof_init(&again, &f.ctx);
        assert_ok(pk_proof_decode(&again, &m.config,
                                  (struct pk_slice){f.out.p, f.out.len}));
        ck_assert_int_eq(again.after.kind, f.proof.after.kind);
        ck_assert_mem_eq(&again.before.hash, &f.proof.before.hash, 64);
        ck_assert_mem_eq(&again.after.hash, &f.proof.after.hash, 64);
        ck_assert_uint_eq(again.n_nodes, f.proof.n_nodes);
        for (size_t i = 0; i < again.n_nodes; i++) {
            n_same += same_node(&again.nodes[i], &f.proof.nodes[i]);
        }
        ck_assert_uint_eq(n_same, again.n_nodes);
        pk_proof_deinit(&again);
        end(&f);
    }
}
END_TEST

/* Bytes that are almost a proof: refused as such, or one after all, and then
 * the same again when it has been written and read. */
START_TEST(mutants)
{
    const struct hex good_ones[] = {
        hex("01aa 01bb 02 02 01 61 04 05 02  00" LEAF
            "01 00 dd 01 62 05 04 02 00 01 02 04 02 00" LEAF "01" LEAF),
        hex("01aa 01bb 04 04 02  00 03 03 02 00 01 00 cc  01 00 dd"),
        hex("01aa 01bb 02 02  01 61 00 03 616263  01 62 03 dd"),
    };
    struct prng r = prng_seed(12);
    size_t n_good = 0;
    size_t n_bad = 0;

    for (size_t round = 0; round < 20000; round++) {
        struct hex h = good_ones[round % 3];
        struct fixture f;
        struct pk_proof again;
        struct pk_buf out;
        int err;

        for (uint64_t i = 1 + prng_below(&r, 3); i > 0; i--) {
            h.b[prng_below(&r, h.len)] = (uint8_t)prng_below(&r, 8);
        }
        begin(&f);
        err = pk_proof_decode(&f.proof, &tiny, hex_slice(&h));
        if (err != 0) {
            assert_err(err, NF_EC_PROOF);
            n_bad++;
            end(&f);
            continue;
        }
        n_good++;
        pk_proof_encode(&f.proof, &tiny, &f.out);
        ck_assert_uint_le(f.out.len, h.len);
        pk_proof_init(&again, &f.ctx);
        assert_ok(pk_proof_decode(&again, &tiny,
                                  (struct pk_slice){f.out.p, f.out.len}));
        out = pk_buf_of(&f.ctx.mem);
        pk_proof_encode(&again, &tiny, &out);
        ck_assert_uint_eq(out.len, f.out.len);
        ck_assert_mem_eq(out.p, f.out.p, out.len);
        pk_buf_deinit(&out);
        pk_proof_deinit(&again);
        end(&f);
    }
    ck_assert_uint_gt(n_good, 100);
    ck_assert_uint_gt(n_bad, 100);
}
END_TEST

/* Without memory there is an error, and nothing is lost. */
START_TEST(no_memory)
{
    uint8_t bytes[4 + 3 * 100 + 2] = {1, 0xaa, 1, 0xbb};
    uint64_t n = 1;

    for (size_t i = 0; i < 100; i++) {
        memcpy(bytes + 4 + 3 * i, "\2\1\0", 3);
    }
    memcpy(bytes + sizeof(bytes) - 2, "\1\xcc", 2);
    for (;; n++) {
        struct fixture f;
        int err;

        begin(&f);
        mem_fault_fail(&f.mem, n, false);
        err = pk_proof_decode(&f.proof, &tiny,
                              (struct pk_slice){bytes, sizeof(bytes)});
        if (f.mem.n_failed == 0) {
            assert_ok(err);
            end(&f);
            break;
        }
        assert_err(err, NF_ENOMEM);
        end(&f);
    }
    ck_assert_uint_gt(n, 3);
}
END_TEST

UNIT_MAIN("pack/proof", spec_example, roots, bindings, inodes, stable,
          extenders, too_deep, malformed, every_cut, deep, random_proofs,
          mutants, no_memory)
