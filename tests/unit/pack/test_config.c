/* SPDX-License-Identifier: ISC */
#include <notafs/pack.h>

#include <string.h>

#include "tests/support/unit.h"

START_TEST(presets_have_their_names)
{
    size_t n = 0;

    for (; pk_config_preset(n) != NULL; n++) {
        struct pk_config config;
        char text[256];

        assert_ok(pk_config_parse(pk_config_preset(n), &config));
        pk_config_print(&config, text, sizeof(text));
        ck_assert_str_eq(text, pk_config_preset(n));
    }
    ck_assert_uint_eq(n, 8);
}
END_TEST

START_TEST(what_presets_mean)
{
    struct pk_config c;

    assert_ok(pk_config_parse("tezos", &c));
    ck_assert_int_eq(c.schema, PK_SCHEMA_TEZOS);
    ck_assert_str_eq(c.hash, "blake2b");
    ck_assert_uint_eq(c.hash_len, 32);
    ck_assert_uint_eq(c.entries, 32);
    ck_assert_uint_eq(c.stable_hash, 256);
    ck_assert(c.forbid_empty && c.contents_header);
    assert_ok(pk_config_parse("small", &c));
    ck_assert_str_eq(c.hash, "sha1");
    ck_assert_uint_eq(c.entries, 2);
    ck_assert_uint_eq(c.stable_hash, 3);
    ck_assert_int_eq(c.order, PK_ORDER_HASH_BITS);
    assert_ok(pk_config_parse("nohdr", &c));
    ck_assert(!c.contents_header);
}
END_TEST

START_TEST(changes)
{
    struct pk_config c;
    struct pk_config again;
    char text[256];
    char same[256];

    assert_ok(pk_config_parse("kv32,entries=8,stable=0,order=hash_bits", &c));
    ck_assert_uint_eq(c.hash_len, 32);
    ck_assert_uint_eq(c.entries, 8);
    ck_assert_uint_eq(c.stable_hash, 0);
    pk_config_print(&c, text, sizeof(text));
    assert_ok(pk_config_parse(text, &again));
    pk_config_print(&again, same, sizeof(same));
    ck_assert_str_eq(same, text); /* padding may differ, so no memcmp */
    ck_assert_uint_eq(again.entries, c.entries);
    ck_assert_uint_eq(again.stable_hash, c.stable_hash);
    ck_assert(again.order == c.order && again.schema == c.schema);

    assert_ok(pk_config_parse("schema=v2,hash=blake2b20", &c));
    ck_assert_uint_eq(c.hash_len, 20);
    assert_ok(pk_config_parse("inode_child_order=hash_bits,stable_hash=7,"
                              "contents_length_header=null,"
                              "forbid_empty_dir_persistence=true,"
                              "hash=ripemd160",
                              &c));
    ck_assert_str_eq(c.hash, "rmd160");
    ck_assert_uint_eq(c.stable_hash, 7);
    ck_assert(c.forbid_empty && !c.contents_header);
}
END_TEST

START_TEST(refuses)
{
    static const char *const texts[] = {
        "nonsense",       "kv64,tezos",         "entries=3",
        "entries=2048",   "entries=",           "hash=md5",
        "hash=blake2b65", "hash=blake2s33",     "order=sorted",
        "forbid=perhaps", "kv64,entries=4,x=1", "stable=-1",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pk_config c;

        ck_assert_msg(pk_config_parse(texts[i], &c) == NF_EC_CONFIG, "%s",
                      texts[i]);
    }
}
END_TEST

UNIT_MAIN("pack/config", presets_have_their_names, what_presets_mean, changes,
          refuses)
