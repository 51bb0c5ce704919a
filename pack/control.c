/* SPDX-License-Identifier: ISC */
/*
 * Control files, versions 3 to 5 (spec 2; control.h has the layouts). Older
 * versions are read into the V5 form by the rules of spec 2.3, and only V5 is
 * written. A decoded control is valid: ends and offsets fit in 62 bits, there
 * is a chunk, and what the status does not have is 0.
 */
#include "pack/control.h"

#include <string.h>

#include "pack/cursor.h"

static const char control_name[] = "store.control";

/* Adler-32 of len bytes, those of [skip, skip + 8) taken as 0. */
static uint32_t control_adler(const uint8_t *p, size_t len, size_t skip)
{
    uint32_t a = 1;
    uint32_t b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + (i >= skip && i < skip + 8 ? 0u : p[i])) % 65521u;
        b = (b + a) % 65521u;
    }
    return b << 16 | a;
}

static void control_take_gced(struct pk_cursor *c, struct pk_control *ret)
{
    ret->suffix_start = pk_take_int63(c);
    ret->generation = pk_take_varint(c);
    ret->gc_target = ret->suffix_start;
    if (ret->version >= 4) {
        ret->gc_target = pk_take_int63(c);
        ret->dead = pk_take_int63(c);
    }
    if (ret->version == 5 && pk_take_u8(c) != 0) {
        ret->mapping_end = pk_take_int63(c);
    }
}

/* The payload. *ret_sum_pos is where the checksum stands, from the start. */
static int control_take(struct pk_ctx *ctx, struct pk_cursor *c,
                        struct pk_control *ret, uint64_t *ret_sum,
                        size_t *ret_sum_pos)
{
    uint64_t status;

    ret->dict_end = pk_take_int63(c);
    ret->chunk_end = pk_take_int63(c);
    if (ret->version == 4) {
        ret->upgraded_from = 4;
        (void)pk_take_u8(c); /* from V3 to V4: forgotten by V5 */
    }
    if (ret->version == 5 && pk_take_u8(c) != 0) {
        ret->upgraded_from = pk_take_varint(c);
    }
    if (ret->version >= 4) {
        *ret_sum_pos = pk_cursor_pos(c);
        *ret_sum = pk_take_be64(c);
        ret->chunk_start = pk_take_varint(c);
        ret->chunk_num = pk_take_varint(c);
    }
    if (ret->version == 5) {
        ret->volume_num = pk_take_varint(c);
    }
    status = pk_take_varint(c);
    if (!c->bad && status > PK_STATUS_GCED) {
        return pk_fail(ctx, NF_EC_PACK_VERSION, control_name, pk_cursor_pos(c),
                       "status");
    }
    ret->status = (enum pk_status)status;
    if (ret->status == PK_STATUS_V1_UPGRADED) {
        ret->upgrade_off = pk_take_int63(c);
    }
    if (ret->status == PK_STATUS_GCED) {
        control_take_gced(c, ret);
    }
    if (ret->version == 3) {
        ret->upgraded_from = 3;
        ret->chunk_start = ret->generation;
        ret->chunk_num = 1;
    }
    return 0;
}

/* The checksum stands at `pos`, and is not that of what is around it. */
static int control_sum_fail(struct pk_ctx *ctx, const char *name, size_t pos,
                            uint32_t want, uint64_t sum)
{
    (void)pk_fail_number(ctx, NF_EC_CONTROL_SUM, name, want, sum, "checksum");
    ctx->err.offset = pos;
    return NF_EC_CONTROL_SUM;
}

int pk_control_decode(struct pk_ctx *ctx, const uint8_t *p, size_t len,
                      struct pk_control *ret)
{
    struct pk_control control = {.mapping_end = NF_NOWHERE};
    struct pk_cursor c = pk_cursor_of(p, len);
    const uint8_t *digits = pk_take(&c, 8);
    uint64_t sum = 0;
    size_t sum_pos = 0;
    int err;

    if (digits == NULL || len > PK_CONTROL_MAX_LEN) {
        return pk_fail(ctx, NF_EC_CONTROL, control_name, len, "length");
    }
    if (memcmp(digits, "0000000", 7) != 0 || digits[7] < '3' ||
        digits[7] > '5') {
        return pk_fail(ctx, NF_EC_PACK_VERSION, control_name, 0, "version");
    }
    control.version = (uint32_t)(digits[7] - '0');
    err = control_take(ctx, &c, &control, &sum, &sum_pos);
    if (control.version >= 4 && !c.bad) {
        uint32_t want = control_adler(p + 8, len - 8, sum_pos - 8);

        if (sum != want) {
            return control_sum_fail(ctx, control_name, sum_pos, want, sum);
        }
    }
    if (err != 0) {
        return err;
    }
    if (c.bad || c.p != c.end || control.chunk_num == 0 ||
        control.dead > PK_INT63_MAX - control.suffix_start) {
        return pk_fail(ctx, NF_EC_CONTROL, control_name, pk_cursor_pos(&c),
                       "payload");
    }
    *ret = control;
    return 0;
}

void pk_control_encode(const struct pk_control *control, struct pk_buf *out)
{
    static const uint8_t version[8] = "00000005";
    size_t start = out->len;
    size_t sum_pos;

    pk_put(out, version, 8);
    pk_put_be64(out, control->dict_end);
    pk_put_be64(out, control->chunk_end);
    pk_put_u8(out, control->upgraded_from != 0 ? 0xff : 0);
    if (control->upgraded_from != 0) {
        pk_put_varint(out, control->upgraded_from);
    }
    sum_pos = out->len;
    pk_put_be64(out, 0);
    pk_put_varint(out, control->chunk_start);
    pk_put_varint(out, control->chunk_num);
    pk_put_varint(out, control->volume_num);
    pk_put_varint(out, (uint64_t)control->status);
    if (control->status == PK_STATUS_V1_UPGRADED) {
        pk_put_be64(out, control->upgrade_off);
    }
    if (control->status == PK_STATUS_GCED) {
        pk_put_be64(out, control->suffix_start);
        pk_put_varint(out, control->generation);
        pk_put_be64(out, control->gc_target);
        pk_put_be64(out, control->dead);
        pk_put_u8(out, control->mapping_end != NF_NOWHERE ? 0xff : 0);
        if (control->mapping_end != NF_NOWHERE) {
            pk_put_be64(out, control->mapping_end);
        }
    }
    if (!out->failed) {
        nf_put_be64(out->p + sum_pos,
                    control_adler(out->p + start + 8, out->len - start - 8,
                                  sum_pos - start - 8));
    }
}

bool pk_control_equal(const struct pk_control *a, const struct pk_control *b)
{
    return a->dict_end == b->dict_end && a->chunk_end == b->chunk_end &&
           a->upgraded_from == b->upgraded_from &&
           a->chunk_start == b->chunk_start && a->chunk_num == b->chunk_num &&
           a->volume_num == b->volume_num && a->status == b->status &&
           a->upgrade_off == b->upgrade_off &&
           a->suffix_start == b->suffix_start &&
           a->generation == b->generation && a->gc_target == b->gc_target &&
           a->dead == b->dead && a->mapping_end == b->mapping_end;
}

int pk_volume_control_decode(struct pk_ctx *ctx, const char *name,
                             const uint8_t *p, size_t len,
                             struct pk_volume_control *ret)
{
    struct pk_cursor c = pk_cursor_of(p, len);
    struct pk_volume_control control;
    uint32_t want;
    uint64_t sum;

    if (len != PK_VOLUME_CONTROL_LEN || memcmp(p, "00000005", 8) != 0) {
        return pk_fail(ctx, NF_EC_VOLUME, name, 0, "volume.control");
    }
    (void)pk_take(&c, 8); /* the version, seen above */
    control.start = pk_take_int63(&c);
    control.end = pk_take_int63(&c);
    control.mapping_end = pk_take_int63(&c);
    sum = pk_take_be64(&c);
    want = control_adler(p + 8, len - 8, 24);
    if (sum != want) {
        return control_sum_fail(ctx, name, 32, want, sum);
    }
    if (c.bad || control.start > control.end) {
        return pk_fail(ctx, NF_EC_VOLUME, name, 8, "volume.control");
    }
    *ret = control;
    return 0;
}

void pk_volume_control_encode(const struct pk_volume_control *control,
                              struct pk_buf *out)
{
    static const uint8_t version[8] = "00000005";
    size_t start = out->len;

    pk_put(out, version, 8);
    pk_put_be64(out, control->start);
    pk_put_be64(out, control->end);
    pk_put_be64(out, control->mapping_end);
    pk_put_be64(out, 0);
    if (!out->failed) {
        nf_put_be64(out->p + start + 32,
                    control_adler(out->p + start + 8, 32, 24));
    }
}
