/* SPDX-License-Identifier: ISC */
/* Control files: the examples of the specification (2.6), and what is wrong
 * with others. */
#include "pack/control.h"

#include <string.h>

#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

static size_t from_hex(const char *hex, uint8_t *buf)
{
    size_t n = 0;

    for (; hex[0] != '\0'; hex += 2) {
        unsigned byte = 0;

        if (hex[0] == ' ') {
            hex--;
            continue;
        }
        for (int i = 0; i < 2; i++) {
            unsigned c = (unsigned char)hex[i];

            byte = byte * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
        }
        buf[n++] = (uint8_t)byte;
    }
    return n;
}

static struct mem_fault memory;

static struct pk_ctx context(void)
{
    mem_fault_init(&memory);
    return (struct pk_ctx){.env = &memory.env, .mem = {.env = &memory.env}};
}

static int decode(const char *hex, struct pk_control *ret)
{
    struct pk_ctx ctx = context();
    uint8_t raw[128];
    size_t len = from_hex(hex, raw);

    return pk_control_decode(&ctx, raw, len, ret);
}

/* control encodes to these bytes, and they decode to it. */
static void both_ways(const struct pk_control *control, const char *hex)
{
    struct pk_ctx ctx = context();
    struct pk_buf out = pk_buf_of(&ctx.mem);
    struct pk_control again;
    uint8_t raw[128];
    size_t len = from_hex(hex, raw);

    pk_control_encode(control, &out);
    ck_assert_uint_eq(out.len, len);
    ck_assert_mem_eq(out.p, raw, len);
    assert_ok(pk_control_decode(&ctx, raw, len, &again));
    ck_assert(pk_control_equal(control, &again));
    pk_buf_deinit(&out);
    ck_assert_uint_eq(memory.live_bytes, 0);
}

START_TEST(version_3)
{
    struct pk_control c;

    assert_ok(
        decode("3030303030303033 0000000000000018 00000000000000a4 02", &c));
    ck_assert_uint_eq(c.version, 3);
    ck_assert_uint_eq(c.dict_end, 24);
    ck_assert_uint_eq(c.chunk_end, 164);
    ck_assert_uint_eq(c.chunk_num, 1);
    ck_assert_uint_eq(c.upgraded_from, 3);
    ck_assert_int_eq(c.status, PK_STATUS_NON_MINIMAL);
}
END_TEST

START_TEST(version_3_gced_becomes_5)
{
    struct pk_control c;

    assert_ok(decode("3030303030303033 0000000000000018 000000000000002a 03"
                     " 000000000000007a 01",
                     &c));
    both_ways(&c, "3030303030303035 0000000000000018 000000000000002a ff03"
                  " 000000004247023f 01 01 00 03 000000000000007a 01"
                  " 000000000000007a 0000000000000000 00");
}
END_TEST

START_TEST(version_4)
{
    struct pk_control c;

    assert_ok(decode("3030303030303034 0000000000000018 00000000000000a4 00"
                     " 0000000010fe0162 00 01 00 00000000000000a4",
                     &c));
    ck_assert_uint_eq(c.upgraded_from, 4);
    both_ways(&c, "3030303030303035 0000000000000018 00000000000000a4 ff04"
                  " 0000000028b70265 00 01 00 00 00000000000000a4");
}
END_TEST

START_TEST(version_5)
{
    struct pk_control fresh = {.chunk_num = 1,
                               .status = PK_STATUS_NO_GC_YET,
                               .mapping_end = NF_NOWHERE};
    struct pk_control lower = {.dict_end = 667,
                               .chunk_end = 11812,
                               .chunk_start = 7,
                               .chunk_num = 3,
                               .volume_num = 2,
                               .status = PK_STATUS_GCED,
                               .suffix_start = 124966,
                               .generation = 3,
                               .gc_target = 124839,
                               .dead = 2739,
                               .mapping_end = 3336};

    both_ways(&fresh, "3030303030303035 0000000000000000 0000000000000000 00"
                      " 0000000000210003 00 01 00 01");
    both_ways(&lower, "3030303030303035 000000000000029b 0000000000002e24 00"
                      " 000000007f9a0571 07 03 02 03 000000000001e826 03"
                      " 000000000001e7a7 0000000000000ab3 ff"
                      " 0000000000000d08");
}
END_TEST

START_TEST(volumes)
{
    static const char *const hex =
        "3030303030303035 0000000000006f93 000000000001e826 00000000000005d0"
        " 00000000342c02e7";
    struct pk_ctx ctx = context();
    struct pk_buf out = pk_buf_of(&ctx.mem);
    struct pk_volume_control c;
    uint8_t raw[64];
    size_t len = from_hex(hex, raw);

    assert_ok(pk_volume_control_decode(&ctx, "volume.control", raw, len, &c));
    ck_assert_uint_eq(c.start, 28563);
    ck_assert_uint_eq(c.end, 124966);
    ck_assert_uint_eq(c.mapping_end, 62 * 24);
    pk_volume_control_encode(&c, &out);
    ck_assert_mem_eq(out.p, raw, len);
    for (size_t i = 0; i < len; i++) {
        raw[i] ^= 1;
        ck_assert_int_ne(
            pk_volume_control_decode(&ctx, "volume.control", raw, len, &c), 0);
        raw[i] ^= 1;
    }
    assert_err(pk_volume_control_decode(&ctx, "volume.control", raw, 39, &c),
               NF_EC_VOLUME);
    pk_buf_deinit(&out);
}
END_TEST

START_TEST(refuses)
{
    struct pk_control c;

    assert_err(decode("3030303030303036 0000000000000000 00", &c),
               NF_EC_PACK_VERSION);
    assert_err(decode("30303030303030", &c), NF_EC_CONTROL);
    /* reserved status, no more bytes, more bytes, negative offset */
    assert_err(
        decode("3030303030303033 0000000000000018 00000000000000a4 04", &c),
        NF_EC_PACK_VERSION);
    assert_err(decode("3030303030303033 0000000000000018 00000000000000a4", &c),
               NF_EC_CONTROL);
    assert_err(
        decode("3030303030303033 0000000000000018 00000000000000a4 0200", &c),
        NF_EC_CONTROL);
    assert_err(
        decode("3030303030303033 8000000000000018 00000000000000a4 02", &c),
        NF_EC_CONTROL);
    assert_err(decode("3030303030303035 0000000000000000 0000000000000000 00"
                      " 0000000000210004 00 01 00 01",
                      &c),
               NF_EC_CONTROL_SUM);
}
END_TEST

UNIT_MAIN("pack/control", version_3, version_3_gced_becomes_5, version_4,
          version_5, volumes, refuses)
