/* SPDX-License-Identifier: ISC */
/* Hashes of objects: the vectors of the specification (4.4, 4.6), computed by
 * committing to stores. */
#include <notafs/hash_gcrypt.h>
#include <notafs/pack.h>

#include <stdio.h>
#include <string.h>

#include "pack/preimage.h"
#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"
#include "tests/support/vfs_fault.h"

static void expect_hex(const struct pk_digest *hash, const char *hex)
{
    char text[2 * PK_HASH_MAX_LEN + 1];

    for (size_t i = 0; hex[2 * i] != '\0'; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", hash->b[i]);
    }
    ck_assert_str_eq(text, hex);
}

static struct pk_slice text_of(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

static struct pk_scheme scheme_of(const char *name)
{
    struct pk_config config;
    struct pk_scheme scheme;

    assert_ok(pk_config_parse(name, &config));
    assert_ok(pk_scheme_init(&scheme, &config, pk_hash_gcrypt()));
    return scheme;
}

START_TEST(contents)
{
    struct pk_scheme sha1 = scheme_of("sha1");
    struct pk_scheme kv = scheme_of("kv64");
    struct pk_scheme tezos = scheme_of("tezos");
    struct pk_digest hash;

    assert_ok(pk_digest_contents(&sha1, text_of("x"), &hash));
    expect_hex(&hash, "11f6ad8ec52a2984abaafd7c3b516503785c2072");
    assert_ok(pk_digest_contents(&kv, text_of("x"), &hash));
    expect_hex(&hash, "cfb19bcb00b8cd10efdcad73accce7aaa7ff5f1a8b2eec40160f3a0d"
                      "06cb41f79977cadd8dc8d5c3b917138b353116a6759eb65e1faa94aa"
                      "6b77cecb3da12ff5");
    assert_ok(pk_digest_contents(&tezos, text_of("0000000000"), &hash));
    expect_hex(&hash, "d81e60258ecc8bd7064c8703888aececfc54e29ff94f7a2d9a84667a"
                      "500548e1");
}
END_TEST

/* The root of entries "0".."n-1", all contents "v". */
static void expect_root(const char *config, unsigned n, const char *hex)
{
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_open opts = {.flags = PK_OPEN_WRITE | PK_OPEN_CREATE};
    struct pk_digest hash;
    struct pk_repo *repo;
    struct pk_tree *tree;

    mem_fault_init(&mem);
    vfs_fault_init(&files);
    opts.vfs = &files.vfs;
    assert_ok(pk_config_parse(config, &opts.config));
    assert_ok(pk_repo_open(&mem.env, &opts, NULL, &repo));
    assert_ok(pk_tree_empty(repo, &tree));
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        struct pk_slice step = {(const uint8_t *)name, 0};
        struct pk_path path = {&step, 1};

        step.len = (size_t)snprintf(name, sizeof(name), "%u", i);
        assert_ok(pk_tree_set(tree, path, text_of("v")));
    }
    assert_ok(pk_tree_hash(tree, &hash));
    expect_hex(&hash, hex);
    pk_tree_free(tree);
    assert_ok(pk_repo_close(repo));
    vfs_fault_deinit(&files);
    ck_assert_uint_eq(mem.live_bytes, 0);
}

START_TEST(directories)
{
    expect_root("tezos", 0,
                "81e47a19e6b29b0a65b9591762ce5143ed30d0261e5d24a320"
                "1752506b20f15c");
    expect_root("tezos", 1,
                "a9054803f7308f06bc182025500ca721118bcce1274187bd6a"
                "b065ccbd8dd5bd");
    expect_root("tezos", 33,
                "7fe28ad6c6da6b32f9f7b9509390bcbae8ec04383b1ceb9fc"
                "9437b4cc5553954");
    expect_root("tezos", 256,
                "961023310166b7c24a09e6afc988ce9ad430c9d181427bdf"
                "4c084bbeaa3c5954");
    expect_root("tezos", 257,
                "68faa4aee608808f75f377408cd2ff3fe3198658822830c2"
                "4e4232bc0fa8847e");
    expect_root("tezos", 2000,
                "fdf2868e5d202f4cd11d47e14a3f5c04a4d302ec74aea0e"
                "9fc7c2b4b3196d221");
    expect_root("kv64,stable=0,order=hash_bits", 33,
                "5e8b56e14dfb4e05734eaaadf997d065553c3b4a4263159c96e96ecc690bdf"
                "ecf32cc8702e3810f26b04fbcadedd12c0e23b0ec833855ed8d539b9827562"
                "38ce");
    expect_root("kv64,stable=0,order=hash_bits", 300,
                "acd7650c3971045ccd0c506a4f269257d2bb15e3aef19bd9ac16f8f35a53e1"
                "3805603c1064ff500625f077bb24f4c7f18126b40044f50f3ab9b158aea94f"
                "f43f");
}
END_TEST

START_TEST(commits)
{
    struct pk_scheme sha1 = scheme_of("sha1");
    struct mem_fault mem;
    struct nf_mem memory = {.env = &mem.env};
    struct pk_buf pre = pk_buf_of(&memory);
    struct pk_info info = {0, {NULL, 0}, {NULL, 0}};
    struct pk_digest root = {{0xfe, 0x00, 0x84, 0xf9, 0x02, 0xd5, 0x54,
                              0x64, 0xe9, 0xe6, 0xdb, 0xd8, 0x2f, 0xb6,
                              0x0f, 0xcf, 0x05, 0x8b, 0xb6, 0xb1}};
    struct pk_digest hash;

    mem_fault_init(&mem);
    pk_pre_commit(&sha1, &root, NULL, 0, &info, &pre);
    ck_assert_uint_eq(pre.len, 20 + 1 + 8 + 1 + 1);
    assert_ok(pk_digest_of(&sha1, pre.p, pre.len, &hash));
    expect_hex(&hash, "22e159de13b427226e5901defd17f0c14e744205");
    pk_buf_deinit(&pre);
}
END_TEST

START_TEST(child_order)
{
    static const uint32_t seeded[] = {1, 23, 28, 1, 23, 31, 9, 31, 10, 8};
    static const uint32_t bits[] = {6, 12, 31, 28, 22, 19, 23, 1, 21, 9};
    struct pk_scheme a = scheme_of("kv64");
    struct pk_scheme b = scheme_of("hashbits");
    uint32_t index;

    for (uint32_t d = 0; d < 10; d++) {
        assert_ok(pk_child_index(&a, d, text_of("a"), &index));
        ck_assert_uint_eq(index, seeded[d]);
        assert_ok(pk_child_index(&b, d, text_of("a"), &index));
        ck_assert_uint_eq(index, bits[d]);
    }
    assert_err(pk_child_index(&a, 10, text_of("a"), &index), NF_EC_DEPTH);
}
END_TEST

UNIT_MAIN("pack/preimage", contents, directories, commits, child_order)
