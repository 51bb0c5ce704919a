/* SPDX-License-Identifier: ISC */
/*
 * A mirage disk with edits, then changes to it. The input: the disk to begin
 * with, the number of edits, those (8 bytes each), and what exercise takes.
 */
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/mirage_image.h"

#include <string.h>

#include "notafs/platform/codec.h"

#define MAX_EDITS 16
#define PAGE      512

/* One of the n pages of list. */
static uint8_t *pick(struct fuzz_disk *disk, const uint16_t *list, uint32_t n,
                     uint32_t i)
{
    return disk->bytes + (n == 0 ? 0 : list[i % n]) * (size_t)PAGE;
}

static void put(uint8_t *p, uint32_t len, uint64_t value)
{
    for (uint32_t i = 0; i < len; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

static void apply(struct fuzz_disk *disk, const struct mirage_pages *pages,
                  struct fuzz_input *in)
{
    const uint32_t op = fuzz_u8(in);
    const uint32_t a = fuzz_u8(in);
    const uint32_t b = fuzz_u16(in);
    const uint32_t v = fuzz_u32(in);
    const uint64_t n_pages = disk->bd.geo.page_count;
    const uint64_t value = fuzz_number(v, n_pages);
    const uint32_t id_len = n_pages < 256 ? 1 : 2;
    uint8_t *rope = pick(disk, pages->rope, pages->n_rope, b);
    uint8_t *queue = pick(disk, pages->queue, pages->n_queue, b);
    uint8_t *table = pick(disk, pages->table, pages->n_table, b);
    uint8_t *leaf = pick(disk, pages->leaf, 1, 0);
    uint8_t *node = b % 3 == 0 ? rope : b % 3 == 1 ? queue : table;

    switch (op % 10) {
    case 0: /* a byte of any page */
        disk->bytes[b % n_pages * PAGE + a * 2 + (v & 1)] = (uint8_t)(v >> 8);
        break;
    case 1: /* a number of the generation */
        put(leaf + (const uint8_t[]){0, 8, 16, 17, 18, 20, 22, 26, 28}[a % 9],
            a % 2 == 0 ? id_len : 8, value);
        break;
    case 2: /* a root page */
        put(disk->bytes + (1 + a % 4) * (size_t)PAGE +
                (b % 3 == 0 ? 0 : 8 + b % 11),
            b % 3 == 0 ? 8 : 2, value);
        break;
    case 3: /* a key */
        put(rope + 4 + a * (4 + id_len) % 500, 4, value);
        break;
    case 4: /* a pointer of a rope */
        put(rope + 8 + a * (4 + id_len) % 500, id_len, value);
        break;
    case 5: /* a pointer or a range of the queue */
        put(queue + 3 + a * (a % 2 == 0 ? id_len : id_len + 4) % 500,
            a % 4 == 3 ? 4 : id_len, value);
        break;
    case 6: /* the head of a rope node */
        put(b % 2 == 0 ? rope : table, 2 + a % 3, value);
        break;
    case 7: /* the head of a queue node */
        put(queue, 1 + a % 3, value);
        break;
    case 8: /* a byte of the table */
        table[4 + (a * 2 + (v & 1)) % 508] = (uint8_t)(v >> 8);
        break;
    default: /* a page over another */
        memmove(node, pick(disk, pages->rope, pages->n_rope, v), PAGE);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct fuzz_disk disk;
    const enum mirage_base base =
        (enum mirage_base)(fuzz_u8(&in) % MIRAGE_BASES);

    mirage_image_open(base, &disk);
    const uint32_t n = fuzz_u8(&in) % (MAX_EDITS + 1);
    for (uint32_t i = 0; i < n; i++) {
        apply(&disk, mirage_image_pages(base), &in);
    }
    exercise(&disk, in);
    fuzz_disk_close(&disk);
    return 0;
}
