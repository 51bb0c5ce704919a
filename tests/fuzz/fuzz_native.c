/* SPDX-License-Identifier: ISC */
/*
 * A native disk with edits, then changes to it. The input: the disk to begin
 * with, the number of edits, those (8 bytes each), and what exercise takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/native_image.h"

#include <string.h>

#include "notafs/platform/codec.h"

#define MAX_EDITS 16

struct edit {
    uint8_t op;
    uint8_t a;
    uint16_t b;
    uint32_t v;
};

struct field {
    uint16_t off;
    uint8_t len;
};

static const struct field gen_fields[] = {
    {0, 1},   {8, 8},   {16, 8},  {24, 8},  {36, 1},  {37, 1},  {40, 8},
    {48, 8},  {56, 6},  {62, 6},  {76, 6},  {82, 6},  {96, 8},  {104, 8},
    {112, 8}, {120, 8}, {128, 8}, {136, 8}, {144, 8}, {152, 8}, {160, 8},
    {200, 8}, {208, 8}, {216, 8}, {224, 2}, {226, 2}, {228, 4}, {232, 6},
    {246, 6}, {260, 6}, {238, 6}, {252, 6}, {244, 6}, {250, 6}, {256, 6},
};
static const struct field header_fields[] = {
    {8, 4},  {12, 4}, {16, 8}, {24, 8}, {32, 8},
    {40, 8}, {48, 8}, {56, 4}, {60, 4}, {64, 4},
};
static const struct field cell_fields[] = {
    {0, 8},  {8, 1},  {9, 1},  {10, 1}, {11, 1}, {12, 8},
    {20, 8}, {28, 4}, {32, 8}, {40, 1}, {41, 6},
};
static const struct field node_fields[] = {{0, 1}, {1, 1}, {2, 2}, {4, 2}};
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

static void put(uint8_t *p, struct field field, uint64_t value)
{
    for (uint8_t i = 0; i < field.len; i++) {
        p[field.off + i] = (uint8_t)(value >> 8 * i);
    }
}

/* One of the n pages of list, or page 0. */
static uint8_t *pick(struct fuzz_disk *disk, const uint16_t *list, uint32_t n,
                     uint32_t i)
{
    return disk->bytes +
           (n == 0 ? 0 : list[i % n]) * (size_t)disk->bd.geo.page_size;
}

/* Pointer i of a node: where it stands. */
static uint8_t *ptr_in(struct fuzz_disk *disk, uint8_t *node, uint32_t i)
{
    const uint32_t size = disk->bd.geo.page_size;
    uint32_t off = 8 + i % ((size - 8) / 20) * 20;

    if (node[0] == 2) { /* of the table */
        const uint32_t n = nf_get_le16(node + 2);
        off = nf_get_le16(node + 8 + (n == 0 ? 0 : i % n * 2) % (size - 10));
        if (node[1] == 0 && off + 9 <= size) {
            off += 40u + node[off + 8];
        }
    }
    return node + (off + 20 <= size ? off : 8);
}

static void apply(struct fuzz_disk *disk, const struct native_pages *pages,
                  const struct edit *e)
{
    const uint32_t size = disk->bd.geo.page_size;
    const uint64_t n_pages = disk->bd.geo.page_count;
    const uint64_t value = fuzz_number(e->v, n_pages);
    uint8_t *node = pick(disk, pages->node, pages->n_node, e->b);
    uint8_t *leaf = pick(disk, pages->leaf, pages->n_leaf, e->b);
    uint8_t *cell;
    uint8_t *other;

    switch (e->op % 10) {
    case 0: /* a byte of any page */
        disk->bytes[e->b % n_pages * size + (e->v & 0xFFFF) % size] =
            (uint8_t)(e->v >> 16);
        break;
    case 1: /* a number of the generation */
        put(native_image_gen(disk), gen_fields[e->a % COUNT(gen_fields)],
            value);
        break;
    case 2: /* a number of the header */
        put(disk->bytes, header_fields[e->a % COUNT(header_fields)], value);
        break;
    case 3: /* a pointer's page */
        nf_put_le48(ptr_in(disk, node, e->a), value);
        break;
    case 4: /* a pointer's birth */
        nf_put_le48(ptr_in(disk, node, e->a) + 6, value);
        break;
    case 5: /* two pointers to one page */
        other = pick(disk, pages->node, pages->n_node, e->v);
        memmove(ptr_in(disk, node, e->a), ptr_in(disk, other, e->v >> 16), 20);
        break;
    case 6: /* a number of a record */
        cell = native_image_cell(disk, (uint32_t)((leaf - disk->bytes) / size),
                                 e->a / 16);
        if (cell != NULL && cell + 48 <= leaf + size) {
            put(cell, cell_fields[e->a % 16 % COUNT(cell_fields)], value);
        }
        break;
    case 7: /* the head of a node, and its slots */
        if (e->a % 8 < COUNT(node_fields)) {
            put(node, node_fields[e->a % 8], value);
        } else {
            nf_put_le16(node + 8 + e->a / 8 * 2, (uint16_t)value);
        }
        break;
    case 8: /* a record of the queue */
        other = pick(disk, pages->queue, pages->n_queue, e->b);
        put(other + e->a * 8u % size,
            e->v >> 27 & 1 ? (struct field){6, 2} : (struct field){0, 6},
            value);
        break;
    default: /* a page over another */
        memmove(node, pick(disk, pages->node, pages->n_node, e->v), size);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct native_pages pages;
    struct edit edits[MAX_EDITS];
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;

    native_image_open((enum native_base)(fuzz_u8(&in) % NATIVE_BASES), &disk);
    native_image_pages(&disk, &pages);
    const uint32_t n = fuzz_u8(&in) % (MAX_EDITS + 1);
    for (uint32_t i = 0; i < n; i++) {
        edits[i].op = fuzz_u8(&in);
        edits[i].a = fuzz_u8(&in);
        edits[i].b = fuzz_u16(&in);
        edits[i].v = fuzz_u32(&in);
        apply(&disk, &pages, &edits[i]);
    }
    native_image_seal(&disk);
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
