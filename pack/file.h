/* SPDX-License-Identifier: ISC */
/* An open file of the file API, that sets down its errors. */
#ifndef PK_FILE_H
#define PK_FILE_H

#include <notafs/vfs.h>

#include "pack/ctx.h"

struct pk_file {
    struct pk_ctx *ctx;
    const struct pk_vfs *vfs;
    void *handle; /* NULL: not open */
    char name[PK_VFS_NAME_MAX + 1];
};

/* As vfs.h says of open. *file is set on success only. */
NF_MUST_USE int pk_file_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                             const char *name, uint32_t flags,
                             struct pk_file *file);

/* A file that is not open is fine. */
int pk_file_close(struct pk_file *file);

/* At most len bytes at off; *ret_len < len at the end of the file only. */
NF_MUST_USE int pk_file_read_some(struct pk_file *file, uint64_t off,
                                  uint8_t *buf, size_t len, size_t *ret_len);

/* All len bytes; NF_EC_SHORT_FILE when the file ends before. */
NF_MUST_USE int pk_file_read(struct pk_file *file, uint64_t off, uint8_t *buf,
                             size_t len);
NF_MUST_USE int pk_file_write(struct pk_file *file, uint64_t off,
                              const uint8_t *buf, size_t len);
NF_MUST_USE int pk_file_truncate(struct pk_file *file, uint64_t len);
NF_MUST_USE int pk_file_size(struct pk_file *file, uint64_t *ret_len);

NF_MUST_USE int pk_file_rename(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                               const char *from, const char *to);

/* An absent file is fine. */
NF_MUST_USE int pk_file_remove(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                               const char *name);

/* After one of these has failed, ctx->broken: what was written since the last
 * is there or not, and trying again proves nothing (a transaction was aborted,
 * a kernel has forgotten dirty pages). The store must be opened anew. */
NF_MUST_USE int pk_file_order(struct pk_ctx *ctx, const struct pk_vfs *vfs);
NF_MUST_USE int pk_file_commit(struct pk_ctx *ctx, const struct pk_vfs *vfs);

/* Write a small file as a whole, so that a crash leaves the old or the new
 * one: to tmp first, then renamed. Durable, in order, when done. */
NF_MUST_USE int pk_file_replace(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                                const char *name, const char *tmp,
                                const uint8_t *buf, size_t len);

/* Names with a number: prefix ++ decimal n ++ suffix, which fits. */
void pk_name(char buf[PK_VFS_NAME_MAX + 1], const char *prefix, uint64_t n,
             const char *suffix);

/* The number in such a name, without leading zeros. */
bool pk_name_parse(const char *name, const char *prefix, const char *suffix,
                   uint64_t *ret_n);

#endif
