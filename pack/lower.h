/* SPDX-License-Identifier: ISC */
/*
 * The lower layer: volumes of archived objects (spec 8.5), the folders
 * volume.N with volume.data, volume.mapping and volume.control. A volume
 * without control file is empty.
 */
#ifndef PK_LOWER_H
#define PK_LOWER_H

#include "pack/control.h"
#include "pack/sparse.h"

struct pk_volume {
    struct pk_volume_control control;
    bool empty;
    struct pk_sparse sparse; /* open unless empty */
};

struct pk_lower {
    struct pk_ctx *ctx;
    const struct pk_vfs *vfs; /* NULL: no lower layer */
    struct pk_volume *volumes;
    size_t n_volumes;
    size_t cap_volumes; /* room for so many */
};

/* Open n volumes of a store of that generation; vfs may be NULL when n is 0.
 * Errors: NF_EC_VOLUME. */
NF_MUST_USE int pk_lower_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                              uint64_t n, uint64_t generation,
                              struct pk_lower *lower);
int pk_lower_close(struct pk_lower *lower);

/* As pk_sparse_read, in whichever volume holds off: the one whose limits say
 * so first, then any. */
NF_MUST_USE int pk_lower_read(struct pk_lower *lower, uint64_t off,
                              uint8_t *buf, size_t len, size_t *ret_len);

/* The data file in which pk_lower_read would find off, or NULL. */
const char *pk_lower_where(struct pk_lower *lower, uint64_t off);

/* Is off between the limits of a volume? It holds all of the archived history
 * that is there, and may lack what was in no history. */
bool pk_lower_spans(const struct pk_lower *lower, uint64_t off);

/* "volume.N/volume." ++ part */
void pk_volume_name(char buf[PK_VFS_NAME_MAX + 1], uint64_t n,
                    const char *part);

/* "volume.N/volume.G.control": the control of a collection that gave the store
 * its generation G, until it has taken its place. */
void pk_volume_stage_name(char buf[PK_VFS_NAME_MAX + 1], uint64_t n,
                          uint64_t generation);

/* Cut what a volume's files hold beyond what its control says. */
NF_MUST_USE int pk_lower_trim(struct pk_lower *lower, uint64_t n);

/* Make the files of volume n, empty; durable when done. */
NF_MUST_USE int pk_volume_create(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                                 uint64_t n);

/* Take in volume n_volumes, which is new and empty. */
NF_MUST_USE int pk_lower_add(struct pk_lower *lower);

#endif
