/* SPDX-License-Identifier: ISC */
/*
 * The native format: what its files share. docs/format-notafs.md, part 2, is
 * the specification. Integers are little-endian; P is the page size.
 *
 * Pages: header | generation slots | copy of the header | everything else.
 *
 * Pointer (20 bytes)          Header of a node (8 bytes)
 *    0  6  page id; 0: null      0  1  type: 1 rope, 2 table
 *    6  6  birth, see below      1  1  height: rope >= 1, table >= 0
 *   12  8  XXH3-64 of the page   2  2  table: cells; rope: 0
 *                                4  2  table: start of the cells; rope: 0
 *                                6  2  0
 *
 * Birth: the generation that wrote the page in bits 0..46; bit 47 is set for
 * the first page of a compressed cluster.
 */
#ifndef NF_NATIVE_INT_H
#define NF_NATIVE_INT_H

#include "notafs/nf_int.h"

#define NATIVE_PTR_LEN     20u
#define NATIVE_NODE_LEN    8u
#define NATIVE_NODE_ROPE   1u
#define NATIVE_NODE_TABLE  2u
#define NATIVE_ROPE_HEIGHT 12 /* 24^12 pages of 512 bytes exceed 2^56 */
#define NATIVE_SLOTS       8u
#define NATIVE_PACKED      ((uint64_t)1 << 47) /* in the birth of a pointer */
#define NATIVE_CLUSTER     NF_CLUSTER
#define NATIVE_MIN_FREE    16u /* pages that an empty disk must have */
#define NATIVE_MAX_BYTES   ((uint64_t)1 << 56)
#define NATIVE_MAX_GEN     ((uint64_t)1 << 46) /* fits in a birth */

static inline uint32_t nf_native_fan(const struct nf *nf)
{
    return (nf->disk.page_size - NATIVE_NODE_LEN) / NATIVE_PTR_LEN;
}

/* Room for cells and their slots in a table node. */
static inline uint32_t nf_native_table_room(const struct nf *nf)
{
    return nf->disk.page_size - NATIVE_NODE_LEN;
}

/* First page behind header, slots and copy. */
static inline uint64_t nf_native_first_page(const struct nf_disk *disk)
{
    return (uint64_t)(disk->slots + 2) * disk->slot_stride;
}

/* native.c */
void nf_native_ptr_get(const struct nf *nf, const uint8_t *p,
                       struct nf_ptr *ret);
void nf_native_ptr_put(const struct nf *nf, uint8_t *p,
                       const struct nf_ptr *ptr);
/* Whether a pointer may stand in a page that was written by generation birth:
 * a page is never older than what it points to. So a page that claims to be the
 * running transaction's own, to be changed in place, surely is. */
bool nf_native_ptr_ok(const struct nf *nf, const struct nf_ptr *ptr,
                      uint64_t birth);

/* native_header.c */
void nf_native_header_put(uint8_t *p, const struct nf_disk *disk);
/* The header in 512 bytes. NF_EC_NOT_FORMATTED: no magic; NF_EC_HEADER. */
int nf_native_header_get(const uint8_t *p, struct nf_disk *ret);
int nf_native_probe(struct bd *bd, struct nf_mem *mem, struct nf_disk *ret);
int nf_native_forget_copies(struct bd *bd, struct nf_mem *mem);
int nf_native_format_disk(struct bd *bd, struct nf_mem *mem,
                          const struct nf_format_options *options);

/* native_gen.c */
/* Write the first generation, an empty disk's; page is scratch. */
int nf_native_gen_first(struct bd *bd, struct nf_mem *mem,
                        const struct nf_disk *disk, uint8_t *page);
int nf_native_open(struct nf *nf, uint64_t generation);
int nf_native_reload(struct nf *nf);
void nf_native_close(struct nf *nf);
int nf_native_publish(struct nf *nf);
int nf_native_generations(struct nf *nf, struct nf_generation *ret, size_t max);

/* native_queue.c */
int nf_native_queue_front(struct nf *nf, struct nf_extent *ret);
void nf_native_queue_take(struct nf *nf, uint64_t n);
int nf_native_queue_spill(struct nf *nf);
int nf_native_queue_trim(struct nf *nf);

uint64_t nf_native_queue_own(const struct nf *nf);
void nf_native_walk_queue_leaf(struct nf *nf, struct nf_walk *walk,
                               uint64_t offset, const uint8_t *page);

/* native_walk.c */
extern const struct nf_walk_format nf_native_walk_format;

/* native_rope.c, and native_cut.c for what makes it smaller */
static inline uint32_t native_ptr_off(uint32_t i)
{
    return NATIVE_NODE_LEN + i * NATIVE_PTR_LEN;
}

static inline void native_child_get(struct nf *nf, const struct nf_frame *node,
                                    uint32_t i, struct nf_ptr *ret)
{
    nf_native_ptr_get(nf, node->data + native_ptr_off(i), ret);
}

static inline bool native_child_null(const struct nf_frame *node, uint32_t i)
{
    return nf_get_le48(node->data + native_ptr_off(i)) == 0;
}

/* Pages below a pointer of that height, at most UINT64_MAX. */
uint64_t nf_native_span(const struct nf *nf, uint32_t height);

/* The node at ptr, which must have that height, pinned. */
int nf_native_node_get(struct nf *nf, const struct nf_ptr *ptr, uint32_t height,
                       struct nf_frame **ret);

/* The same, made writable; made at all if the pointer is null. */
int nf_native_node_own(struct nf *nf, struct nf_slot slot, uint32_t height,
                       struct nf_frame **ret);

/* The node of height 1 above a page, writable and pinned, with all above it;
 * NULL where the rope has no node. */
int nf_native_own_above(struct nf *nf, struct nf_rope *rope, uint64_t page,
                        struct nf_frame **ret);

/* Where the pointer to a page is, given its node. */
struct nf_slot nf_native_page_slot(struct nf *nf, struct nf_rope *rope,
                                   struct nf_frame *node, uint64_t page);

/* A data page to write to, pinned; whole: what it held does not matter. */
int nf_native_own_page(struct nf *nf, struct nf_slot slot, bool whole,
                       struct nf_frame **ret);

int nf_native_rope_check(const struct nf *nf, const uint8_t *page,
                         uint64_t birth);
int nf_native_rope_read(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        uint8_t *buf, size_t len);
int nf_native_rope_write(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         const uint8_t *buf, size_t len);
int nf_native_rope_truncate(struct nf *nf, struct nf_rope *rope, uint64_t size);
int nf_native_rope_punch(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         uint64_t len);
int nf_native_rope_free(struct nf *nf, struct nf_rope *rope);
uint64_t nf_native_rope_need(const struct nf *nf, const struct nf_rope *rope,
                             uint64_t off, uint64_t len);
int nf_native_rope_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        bool data, uint64_t *ret);
/* The pointer to a page of the rope, null in a hole; and setting packed in one
 * that is not null. */
int nf_native_rope_page(struct nf *nf, const struct nf_rope *rope,
                        uint64_t page, struct nf_ptr *ret);
int nf_native_rope_pack(struct nf *nf, struct nf_rope *rope, uint64_t page);

/* The first k children of the root are null: let the rope start behind them.
 * Returns the bytes cut off the front, 0 if there is nothing to cut. */
int nf_native_rope_rebase(struct nf *nf, struct nf_rope *rope, uint64_t *ret);

/* native_cluster.c: files, whose ropes may have compressed clusters */
int nf_native_file_read(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        uint8_t *buf, size_t len);
int nf_native_file_write(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         const uint8_t *buf, size_t len);
int nf_native_file_truncate(struct nf *nf, struct nf_rope *rope, uint64_t size);
int nf_native_file_punch(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         uint64_t len);
uint64_t nf_native_file_need(const struct nf *nf, const struct nf_rope *rope,
                             uint64_t off, uint64_t len);
int nf_native_file_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        bool data, uint64_t *ret);
int nf_native_file_recode(struct nf *nf, struct nf_rope *rope, bool lz4);
void nf_native_cluster_release(struct nf *nf);

/* native_table.c */
int nf_native_table_get(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, struct nf_rec *ret);
int nf_native_table_put(struct nf *nf, uint64_t dir, const char *name,
                        size_t len, const struct nf_rec *rec);
int nf_native_table_del(struct nf *nf, uint64_t dir, const char *name,
                        size_t len);
int nf_native_table_next(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, const char **ret_name, size_t *ret_len,
                         struct nf_rec *ret);
int nf_native_table_scan(struct nf *nf, uint64_t dir, const char *name,
                         size_t len, uint64_t *ret_dir, const char **ret_name,
                         size_t *ret_len, struct nf_rec *ret);
uint64_t nf_native_table_need(const struct nf *nf, uint64_t n);

#endif
