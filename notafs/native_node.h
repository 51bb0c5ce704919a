/* SPDX-License-Identifier: ISC */
/*
 * A node of the native file table as a page of cells.
 *
 * A node is the common header, a slot (2 bytes, the cell's offset) for each
 * cell in order of keys, free space, and the cells up to the end of the page.
 *
 *   Inner cell                     Leaf cell
 *    0 20  pointer to a child       0  8  directory
 *   20  8  directory  } least key   8  1  length of the name
 *   28  1  length     } below it;   9  1  type: 1 file, 2 directory
 *   29  n  name       } ignored    10  1  flags: 1 inline data, 2 LZ4
 *                       in cell 0  11  1  height of the rope
 *                                  12  8  id
 *                                  20  8  modified, seconds
 *                                  28  4  nanoseconds
 *                                  32  8  size, bytes
 *                                  40  n  name
 *                                  then 20 pointer to the rope, or the data
 */
#ifndef NF_NATIVE_NODE_H
#define NF_NATIVE_NODE_H

#include "notafs/native_int.h"

#define SLOT_LEN    2u
#define INNER_FIXED 29u
#define LEAF_FIXED  40u

/* A key of the table. name is borrowed. */
struct nf_native_key {
    uint64_t dir;
    const uint8_t *name;
    size_t len;
};

static inline uint32_t native_node_height(const uint8_t *p)
{
    return p[1];
}

static inline uint32_t native_node_count(const uint8_t *p)
{
    return nf_get_le16(p + 2);
}

static inline uint32_t native_cell_off(const uint8_t *p, uint32_t i)
{
    return nf_get_le16(p + NATIVE_NODE_LEN + SLOT_LEN * i);
}

int nf_native_key_cmp(const struct nf_native_key *a,
                      const struct nf_native_key *b);
/* Largest cell: a third of the room, see native_table.c. */
uint32_t nf_native_cell_limit(const struct nf *nf);
uint32_t nf_native_max_name(const struct nf *nf);
uint32_t nf_native_max_inline(const struct nf *nf, size_t name_len);
/* Bytes between slots and cells. */
uint32_t nf_native_node_free(const uint8_t *p);
/* A new page of the table is counted where it is made, and where it goes. */
void nf_native_node_init(struct nf *nf, uint8_t *p, uint32_t height);
uint32_t nf_native_cell_len(const struct nf *nf, const uint8_t *p, uint32_t i);
void nf_native_key_at(const uint8_t *p, uint32_t i, struct nf_native_key *ret);
/* Everything that the code around it trusts: cells lie in the page one after
 * another, do not run into the slots, have a slot each, and keys ascend. */
int nf_native_table_check(const struct nf *nf, const uint8_t *p,
                          uint64_t birth);
/* Byte offset of pointer i: a child, or the rope of a record. */
uint32_t nf_native_table_ptr_at(const uint8_t *p, uint32_t i);
void nf_native_cell_remove(const struct nf *nf, uint8_t *p, uint32_t i);
/* The node must have room for it. */
void nf_native_cell_insert(uint8_t *p, uint32_t i, const uint8_t *cell,
                           uint32_t len);
/* First cell whose key is not less than key; *ret_equal: it is that key. */
uint32_t nf_native_lower_bound(const uint8_t *p,
                               const struct nf_native_key *key,
                               bool *ret_equal);
/* The child of an inner node below which key belongs. */
uint32_t nf_native_child_for(const uint8_t *p, const struct nf_native_key *key);
void nf_native_rec_get(const uint8_t *cell, struct nf_rec *ret);
/* Encode a record; its length. */
uint32_t nf_native_rec_put(const struct nf_native_key *key,
                           const struct nf_rec *rec, uint8_t *cell);

#endif
