/* SPDX-License-Identifier: ISC */
/* Proofs made and verified: of random operations on trees of every shape under
 * every configuration; damaged; of other operations; without memory. */
#include <notafs/hash_gcrypt.h>
#include <notafs/proof.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/prng.h"
#include "pack/preimage.h"
#include "tests/support/unit.h"
#include "tests/unit/pack/hash/hex.h"
#include "tests/unit/pack/store/kit.h"

static const char *const configs[] = {
    "kv64",
    "kv32",
    "tezos",
    "small",
    "smallseeded",
    "sha1",
    "nohdr",
    "hashbits",
    "kv32,schema=v2",
    "kv64,entries=2,stable=2",
    "tezos,entries=2,stable=0,order=hash_bits"};
enum { N_CONFIGS = sizeof(configs) / sizeof(configs[0]) };

/* What a failure is told to have happened in. */
static struct {
    const char *config;
    uint64_t seed;
} now;

static void tell_now(void)
{
    if (now.config != NULL) {
        (void)fprintf(stderr, "config %s, seed %" PRIu64 "\n", now.config,
                      now.seed);
    }
}

static void doing(const char *config, uint64_t seed)
{
    static bool told;

    if (!told) {
        (void)atexit(tell_now);
        told = true;
    }
    now.config = config;
    now.seed = seed;
}

/* -------------------------------------------------------------- operations */

enum op_what { GET, KIND, STAT, LENGTH, LIST, SET, REMOVE, MOVE, SUB, N_OPS };

struct op {
    enum op_what what;
    char path[24];
    char to[24]; /* of MOVE; what SET writes */
};

/* Operations, and what they were answered. */
struct ops {
    struct op ops[12];
    size_t n;
    char log[20000];
    size_t len;
    bool patient; /* errors are not told */
};

static void note(struct ops *o, const char *text)
{
    o->len +=
        (size_t)snprintf(o->log + o->len, sizeof(o->log) - o->len, "%s ", text);
    ck_assert_uint_lt(o->len, sizeof(o->log));
}

static void note_number(struct ops *o, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, n);
    note(o, text);
}

static int run_list(struct ops *o, struct pk_tree *tree, struct pk_path path)
{
    const struct pk_range range = {3, 5};
    struct pk_list *list = NULL;
    struct pk_entry entry;
    int err = pk_list_open(tree, path, range, PK_LIST_HASH, &list);

    while (err == 0 && (err = pk_list_next(list, &entry)) > 0) {
        err = 0;
        note_number(o, entry.step.len == 0 ? 0 : entry.step.p[0]);
        note_number(o, entry.hash.b[0]);
    }
    pk_list_close(list);
    return err;
}

static int run_op(struct ops *o, const struct op *op, struct pk_tree *tree)
{
    struct kit_path a;
    struct kit_path b;
    struct pk_path path = kit_path(&a, op->path);
    enum pk_kind kind = PK_NONE;
    struct pk_tree *sub = NULL;
    struct pk_bytes bytes;
    struct pk_stat stat;
    uint64_t length = 0;
    int err = 0;

    switch (op->what) {
    case GET:
        err = pk_tree_get(tree, path, &bytes);
        if (err == 0) {
            note_number(o, bytes.len);
            note_number(o, bytes.len == 0 ? 0 : bytes.p[0]);
            pk_bytes_free(pk_tree_repo(tree), &bytes);
        }
        return err;
    case KIND:
        err = pk_tree_kind(tree, path, &kind);
        note_number(o, kind);
        return err;
    case STAT:
        err = pk_tree_stat(tree, path, &stat);
        if (err == 0) {
            note_number(o, stat.length);
            note_number(o, stat.hash.b[0]);
        }
        return err;
    case LENGTH:
        err = pk_tree_length(tree, path, &length);
        note_number(o, length);
        return err;
    case LIST:
        return run_list(o, tree, path);
    case SET:
        return pk_tree_set(tree, path, kit_text(op->to));
    case REMOVE:
        return pk_tree_remove(tree, path);
    case MOVE:
        return pk_tree_move(tree, path, kit_path(&b, op->to));
    case SUB:
        err = pk_tree_sub(tree, path, &sub);
        if (err == 0) {
            err = pk_tree_set_tree(tree, kit_path(&b, op->to), sub);
        }
        pk_tree_free(sub);
        return err;
    case N_OPS:
        break;
    }
    return 0;
}

/* An operation that finds nothing is answered, not failed. */
static int run(void *arg, struct pk_tree *tree)
{
    struct ops *o = arg;

    o->len = 0;
    o->log[0] = '\0';
    for (size_t i = 0; i < o->n; i++) {
        int err = run_op(o, &o->ops[i], tree);

        note_number(o, (uint64_t)-err);
        if (!o->patient && err != 0 && err != NF_ENOENT && err != NF_EISDIR &&
            err != NF_ENOTDIR && err != NF_EINVAL) {
            return err;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------- trees */

struct scene {
    struct mem_fault mem;
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
    struct pk_config config;
    struct pk_repo *repo;
    struct pk_tree *tree;
};

/* Names of a few directories, small and large, and of files in them. */
static void random_path(struct prng *prng, char *buf)
{
    const unsigned file = (unsigned)prng_below(prng, 400);

    switch (prng_below(prng, 5)) {
    case 0:
        (void)sprintf(buf, "f%u", file % 5);
        break;
    case 1:
        (void)sprintf(buf, "big/f%u", file);
        break;
    case 2:
        (void)sprintf(buf, "mid/f%u", file % 50);
        break;
    case 3:
        (void)sprintf(buf, "d/e/f%u", file % 40);
        break;
    default:
        (void)strcpy(buf, file % 3 == 0 ? "big" : file % 3 == 1 ? "d/e" : "d");
        break;
    }
}

static void random_ops(struct prng *prng, struct ops *o)
{
    o->patient = false;
    o->n = 1 + prng_below(prng, 12);
    for (size_t i = 0; i < o->n; i++) {
        o->ops[i].what = (enum op_what)prng_below(prng, N_OPS);
        random_path(prng, o->ops[i].path);
        random_path(prng, o->ops[i].to);
    }
}

static void set_files(struct pk_tree *tree, const char *form, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct kit_path p;
        char text[24];

        (void)snprintf(text, sizeof(text), form, i);
        assert_ok(pk_tree_set(tree, kit_path(&p, text), kit_text(text)));
    }
}

/* A store whose tree has so many files in its directory "big". */
static void scene_begin(struct scene *s, const char *config, unsigned n_big)
{
    struct pk_open open = {.flags = PK_OPEN_WRITE | PK_OPEN_CREATE};
    struct pk_info info = {.date = 1};
    struct pk_digest hash;
    struct pk_tree *tree;

    mem_fault_init(&s->mem);
    assert_ok(pk_vfs_mem_open(&s->mem.env, &s->files, &s->vfs));
    open.vfs = &s->vfs;
    open.hashes = pk_hash_gcrypt();
    assert_ok(pk_config_parse(config, &open.config));
    if (!open.config.contents_header) {
        open.strategy = PK_STRATEGY_ALWAYS;
    }
    s->config = open.config;
    assert_ok(pk_repo_open(&s->mem.env, &open, NULL, &s->repo));
    assert_ok(pk_tree_empty(s->repo, &tree));
    set_files(tree, "f%u", 4);
    set_files(tree, "big/f%u", n_big);
    set_files(tree, "mid/f%u", 45);
    set_files(tree, "d/e/f%u", 33);
    assert_ok(pk_commit_make(tree, NULL, 0, &info, &hash));
    pk_tree_free(tree);
    assert_ok(pk_commit_tree(s->repo, &hash, &s->tree));
}

static void scene_end(struct scene *s)
{
    pk_tree_free(s->tree);
    assert_ok(pk_repo_close(s->repo));
    pk_vfs_mem_close(s->files);
    ck_assert_uint_eq(s->mem.live_bytes, 0);
}

/* Copied away, as the store has no part in what follows. */
struct proof {
    uint8_t *p;
    size_t len;
    struct pk_proof_ends ends;
};

static struct proof make(struct scene *s, struct ops *o)
{
    struct pk_bytes bytes;
    struct proof proof;

    assert_ok(pk_proof_make(s->tree, 0, run, o, &proof.ends, &bytes));
    proof.p = malloc(bytes.len);
    proof.len = bytes.len;
    ck_assert_ptr_nonnull(proof.p);
    memcpy(proof.p, bytes.p, bytes.len);
    pk_bytes_free(s->repo, &bytes);
    return proof;
}

static struct pk_proof_claim claim_of(const struct scene *s,
                                      const struct proof *proof)
{
    struct pk_proof_claim claim = {.config = s->config,
                                   .hashes = pk_hash_gcrypt(),
                                   .proof = {proof->p, proof->len}};

    claim.root = &proof->ends.before;
    return claim;
}

static int verify(const struct pk_proof_claim *claim, struct ops *o,
                  struct pk_proof_ends *ret_ends)
{
    struct nf_error_info info;
    struct mem_fault mem;
    int err;

    mem_fault_init(&mem);
    err = pk_proof_verify(&mem.env, claim, run, o, &info, ret_ends);
    ck_assert_uint_eq(mem.live_bytes, 0);
    return err;
}

/* The answers and the outcome are those of the store itself. */
static void check_same(struct scene *s, struct ops *o)
{
    struct proof proof = make(s, o);
    const struct pk_proof_claim claim = claim_of(s, &proof);
    struct pk_proof_ends ends;
    struct pk_digest hash;
    struct pk_tree *plain;
    char *log = strdup(o->log);

    assert_ok(pk_tree_clone(s->tree, &plain));
    ck_assert_int_eq(run(o, plain), 0);
    ck_assert_str_eq(o->log, log);
    assert_ok(pk_tree_hash(plain, &hash));
    pk_tree_free(plain);
    ck_assert_mem_eq(&hash, &proof.ends.after, sizeof(hash));
    assert_ok(pk_tree_hash(s->tree, &hash));
    ck_assert_mem_eq(&hash, &proof.ends.before, sizeof(hash));

    assert_ok(verify(&claim, o, &ends));
    ck_assert_str_eq(o->log, log);
    ck_assert_mem_eq(&ends, &proof.ends, sizeof(ends));
    free(log);
    free(proof.p);
}

static const unsigned sizes[] = {3, 60, 300};

START_TEST(random_operations)
{
    struct ops *o = calloc(1, sizeof(*o));
    struct scene s;

    ck_assert_ptr_nonnull(o);
    for (size_t i = 0; i < 3 * N_CONFIGS; i++) {
        scene_begin(&s, configs[i % N_CONFIGS], sizes[i / N_CONFIGS]);
        for (uint64_t seed = 0; seed < 40; seed++) {
            struct prng prng = prng_seed(seed);

            doing(configs[i % N_CONFIGS], seed);
            random_ops(&prng, o);
            check_same(&s, o);
        }
        scene_end(&s);
    }
    free(o);
    doing(NULL, 0);
}
END_TEST

/* A proof of one file is far smaller than the tree: depth times fan-out. */
START_TEST(size)
{
    struct ops o = {.ops = {{GET, "big/f7", ""}}, .n = 1};
    struct scene s;
    struct proof proof;

    scene_begin(&s, "kv32,entries=2,stable=2", 2000);
    proof = make(&s, &o);
    /* Eleven or so inodes of two hashes, and the names of the root. */
    ck_assert_uint_lt(proof.len, 2500);
    free(proof.p);
    o.ops[0].what = KIND;
    proof = make(&s, &o);
    ck_assert_uint_lt(proof.len, 2500);
    free(proof.p);
    scene_end(&s);
}
END_TEST

/* Every so many bytes another, or the end: refused, or the same answers. */
static void damage_one(struct scene *s, struct ops *o, struct prng *prng)
{
    struct proof proof = make(s, o);
    struct pk_proof_claim claim = claim_of(s, &proof);
    const size_t stride = 1 + proof.len / 100;
    char *log = strdup(o->log);
    struct pk_proof_ends ends;

    for (size_t at = prng_below(prng, stride); at < proof.len; at += stride) {
        const uint8_t flip = (uint8_t)(1 + prng_below(prng, 255));
        int err;

        claim.proof.len = at;
        ck_assert_int_eq(verify(&claim, o, &ends), NF_EC_PROOF);
        claim.proof.len = proof.len;
        proof.p[at] ^= flip;
        err = verify(&claim, o, &ends);
        proof.p[at] ^= flip;
        if (err == 0) {
            ck_assert_str_eq(o->log, log);
            ck_assert_mem_eq(&ends, &proof.ends, sizeof(ends));
        } else {
            ck_assert(err == NF_EC_PROOF || err == NF_EC_BLINDED ||
                      err == NF_EC_DEPTH);
        }
    }
    free(log);
    free(proof.p);
}

START_TEST(damage)
{
    struct ops *o = calloc(1, sizeof(*o));
    struct scene s;

    ck_assert_ptr_nonnull(o);
    for (size_t i = 0; i < N_CONFIGS; i++) {
        scene_begin(&s, configs[i], 60);
        for (uint64_t seed = 100; seed < 102; seed++) {
            struct prng prng = prng_seed(seed);

            doing(configs[i], seed);
            random_ops(&prng, o);
            damage_one(&s, o, &prng);
        }
        scene_end(&s);
    }
    free(o);
    doing(NULL, 0);
}
END_TEST

/* Whatever is not shown is not told, also to who does not mind errors. */
START_TEST(other_operations)
{
    struct ops o = {.ops = {{GET, "big/f1", ""}}, .n = 1};
    static const struct op others[] = {
        {GET, "big/f2", ""},    {STAT, "f1", ""},      {KIND, "d/e", ""},
        {LIST, "big", ""},      {LENGTH, "mid", ""},   {SET, "mid/f1", "y"},
        {REMOVE, "d/e/f1", ""}, {MOVE, "mid/f1", "x"},
    };
    struct scene s;
    struct proof proof;
    struct pk_proof_claim claim;
    struct pk_proof_ends ends;

    scene_begin(&s, "kv32,stable=2", 60);
    proof = make(&s, &o);
    claim = claim_of(&s, &proof);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        for (int patient = 0; patient < 2; patient++) {
            struct ops other = {.ops = {others[i]}, .n = 1};

            other.patient = patient != 0;
            ck_assert_int_eq(verify(&claim, &other, &ends), NF_EC_BLINDED);
        }
    }
    /* What needs nothing more is answered. */
    o.ops[1] = (struct op){KIND, "mid", ""};
    o.ops[2] = (struct op){KIND, "none", ""};
    o.n = 3;
    assert_ok(verify(&claim, &o, &ends));
    /* Another outcome. */
    o.ops[1] = (struct op){SET, "f9", "y"};
    ck_assert_int_eq(verify(&claim, &o, &ends), NF_EC_PROOF);
    free(proof.p);
    scene_end(&s);
}
END_TEST

START_TEST(another_root)
{
    struct ops o = {.ops = {{GET, "f1", ""}}, .n = 1};
    struct scene s;
    struct proof proof;
    struct pk_proof_claim claim;
    struct pk_proof_ends ends;
    struct pk_digest other;

    scene_begin(&s, "kv64", 3);
    proof = make(&s, &o);
    claim = claim_of(&s, &proof);
    other = proof.ends.before;
    other.b[63] ^= 1;
    claim.root = &other;
    ck_assert_int_eq(verify(&claim, &o, &ends), NF_EC_PROOF);
    proof.p[64] ^= 1; /* now it says so, too */
    ck_assert_int_eq(verify(&claim, &o, &ends), NF_EC_PROOF);
    free(proof.p);
    scene_end(&s);
}
END_TEST

static int commit_in_proof(void *arg, struct pk_tree *tree)
{
    struct pk_info info = {.date = 1};
    struct pk_digest hash;

    (void)arg;
    ck_assert_int_eq(pk_commit_make(tree, NULL, 0, &info, &hash), NF_EROFS);
    return 77;
}

START_TEST(edges)
{
    struct ops none = {.n = 0};
    struct scene s;
    struct proof proof;
    struct pk_proof_claim claim;
    struct pk_proof_ends ends;
    struct pk_bytes bytes;
    struct nf_env env;
    struct kit_path p;
    struct pk_tree *empty;

    scene_begin(&s, "tezos", 300);
    proof = make(&s, &none); /* the root is always shown */
    claim = claim_of(&s, &proof);
    assert_ok(verify(&claim, &none, &ends));
    env = s.mem.env;
    ck_assert_int_eq(
        pk_proof_verify(&env, &claim, commit_in_proof, NULL, NULL, &ends), 77);
    free(proof.p);

    /* Too long; with changes; of an empty tree. */
    assert_err(pk_proof_make(s.tree, 20, run, &none, &ends, &bytes), NF_EFBIG);
    assert_ok(pk_tree_set(s.tree, kit_path(&p, "new"), kit_text("x")));
    assert_err(pk_proof_make(s.tree, 0, run, &none, &ends, &bytes), NF_EINVAL);
    pk_tree_free(s.tree);
    assert_ok(pk_tree_empty(s.repo, &empty));
    s.tree = empty;
    none.ops[0] = (struct op){SET, "a/b", "c"};
    none.n = 1;
    check_same(&s, &none);
    scene_end(&s);
}
END_TEST

/* Spec 9.4: the hashes that stand for what was not looked at, and a root that
 * is computed from them. Its order of children is none of ours, so nothing is
 * looked up. */
START_TEST(spec_hashes)
{
    const struct hex y = hex("95cb0bfd2977c761298d9624e4b4d4c72a39974a");
    const struct hex z = hex("4295267989ab4c4a036eb78f0610a57042e2b49f");
    struct ops none = {.n = 0};
    struct pk_proof_claim claim = {.hashes = pk_hash_gcrypt()};
    struct pk_digest below;
    struct pk_digest leaf;
    struct pk_scheme scheme;
    struct pk_proof_ends ends;
    struct mem_fault mem;
    struct nf_mem pool = {.env = &mem.env};
    struct pk_buf pre = pk_buf_of(&pool);
    struct pk_buf bytes = pk_buf_of(&pool);

    mem_fault_init(&mem);
    assert_ok(pk_config_parse("sha1,entries=2,stable=2", &claim.config));
    assert_ok(pk_scheme_init(&scheme, &claim.config, claim.hashes));
    assert_ok(pk_digest_contents(&scheme, kit_text("y"), &leaf));
    ck_assert_mem_eq(leaf.b, y.b, 20);
    assert_ok(pk_digest_contents(&scheme, kit_text("z"), &leaf));
    pk_pre_values(&scheme,
                  &(struct pk_leaf){kit_text("00010"), 0, PK_CONTENTS, leaf.b},
                  1, &pre);
    assert_ok(pk_digest_of(&scheme, pre.p, pre.len, &below));
    ck_assert_mem_eq(below.b, z.b, 20);

    assert_ok(pk_digest_contents(&scheme, kit_text("x"), &leaf));
    {
        const struct pk_leaf values[] = {
            {kit_text("00000"), 0, PK_CONTENTS, leaf.b},
            {kit_text("00001"), 0, PK_CONTENTS, y.b}};

        pk_buf_clear(&pre);
        pk_pre_values(&scheme, values, 2, &pre);
        assert_ok(pk_digest_of(&scheme, pre.p, pre.len, &below));
    }
    {
        const struct pk_leaf kids[] = {{{NULL, 0}, 0, PK_NONE, below.b},
                                       {{NULL, 0}, 1, PK_NONE, z.b}};

        pk_buf_clear(&pre);
        pk_pre_tree(&scheme, 3, 3, kids, 2, &pre);
        assert_ok(pk_digest_of(&scheme, pre.p, pre.len, &below));
    }
    for (uint64_t depth = 3; depth > 0; depth--) {
        const struct pk_leaf kid = {{NULL, 0}, 0, PK_NONE, below.b};

        pk_buf_clear(&pre);
        pk_pre_tree(&scheme, depth - 1, 3, &kid, 1, &pre);
        assert_ok(pk_digest_of(&scheme, pre.p, pre.len, &below));
    }
    for (int i = 0; i < 2; i++) {
        pk_put_u8(&bytes, 1);
        pk_put(&bytes, below.b, 20);
    }
    {
        const struct hex state =
            hex("05 03 03 00 00 00 02 03 02 00 01 02 05 3030303030 00 01 78"
                "05 3030303031 01 95cb0bfd2977c761298d9624e4b4d4c72a39974a"
                "01 00 4295267989ab4c4a036eb78f0610a57042e2b49f");

        pk_put(&bytes, state.b, state.len);
    }
    claim.proof = (struct pk_slice){bytes.p, bytes.len};
    claim.root = &below;
    assert_ok(verify(&claim, &none, &ends));
    bytes.p[bytes.len - 1] ^= 1;
    ck_assert_int_eq(verify(&claim, &none, &ends), NF_EC_PROOF);
    pk_buf_deinit(&pre);
    pk_buf_deinit(&bytes);
}
END_TEST

struct part_count {
    size_t n[PK_PART_EXTENDER + 1];
    size_t deepest;
};

static int count_part(void *arg, const struct pk_proof_part *part)
{
    struct part_count *count = arg;

    count->n[part->kind]++;
    if (part->level > count->deepest) {
        count->deepest = part->level;
    }
    return 0;
}

/* Large directories of one hash each are shown by the way to what was read. */
START_TEST(parts)
{
    struct ops o = {.ops = {{GET, "d/e/f3", ""}}, .n = 1};
    struct part_count count = {.deepest = 0};
    struct pk_proof_ends ends;
    struct scene s;
    struct proof proof;

    scene_begin(&s, "kv64", 3);
    proof = make(&s, &o);
    assert_ok(pk_proof_each(&s.mem.env, &s.config,
                            (struct pk_slice){proof.p, proof.len}, count_part,
                            &count, NULL, &ends));
    ck_assert_mem_eq(&ends, &proof.ends, sizeof(ends));
    ck_assert_uint_eq(count.n[PK_PART_CONTENTS], 1);
    ck_assert_uint_eq(count.n[PK_PART_NODE], 3);
    ck_assert_uint_eq(count.n[PK_PART_NODE_HASH], 2);      /* big, mid */
    ck_assert_uint_eq(count.n[PK_PART_CONTENTS_HASH], 36); /* 32 and 4 */
    ck_assert_uint_eq(count.deepest, 3);
    free(proof.p);
    scene_end(&s);
}
END_TEST

/* Let the n-th allocation fail, for n = 1, 2, ...: told, and nothing kept. */
START_TEST(without_memory)
{
    struct ops o = {.ops = {{GET, "big/f1", ""},
                            {SET, "mid/f2", "y"},
                            {REMOVE, "d/e/f3", ""}},
                    .n = 3};
    struct pk_proof_ends ends;
    struct pk_proof_claim claim;
    struct pk_bytes bytes;
    struct mem_fault mem;
    struct scene s;
    struct proof proof;
    int err = NF_ENOMEM;

    scene_begin(&s, "smallseeded", 60);
    proof = make(&s, &o);
    claim = claim_of(&s, &proof);
    for (uint64_t n = 1; err == NF_ENOMEM; n++) {
        mem_fault_init(&mem);
        mem_fault_fail(&mem, n, true);
        err = pk_proof_verify(&mem.env, &claim, run, &o, NULL, &ends);
        ck_assert_msg(err == NF_ENOMEM || err == 0, "%s", nf_strerror(err));
        ck_assert_uint_eq(mem.live_bytes, 0);
    }
    err = NF_ENOMEM;
    for (uint64_t n = 1; err == NF_ENOMEM; n++) {
        mem_fault_fail(&s.mem, n, true);
        err = pk_proof_make(s.tree, 0, run, &o, &ends, &bytes);
        mem_fault_fail(&s.mem, 0, false);
        ck_assert(err == NF_ENOMEM || err == 0);
    }
    ck_assert_uint_eq(bytes.len, proof.len);
    ck_assert_mem_eq(bytes.p, proof.p, proof.len);
    pk_bytes_free(s.repo, &bytes);
    free(proof.p);
    scene_end(&s);
}
END_TEST

UNIT_MAIN("pack/store/prove", random_operations, size, damage, other_operations,
          another_root, edges, spec_hashes, parts, without_memory)
