/* SPDX-License-Identifier: ISC */
/*
 * What a disk should hold: the meaning of notafs.h without a disk. Entries are
 * a plain list of (directory, name) and bytes; each call does what the call of
 * notafs.h of that name does, and returns the error that it should return.
 * A copy costs little: contents are shared until they change.
 *
 * What a model cannot know is NF_ENOSPC: call it after the disk said yes.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <stdio.h>

#include <notafs/notafs.h>

struct model_bytes; /* contents, shared by copies */

struct model_node {
    uint64_t id; /* the model's own; stays the same when renamed or copied */
    uint64_t dir;
    char *name;
    size_t name_len;
    enum nf_type type;
    struct model_bytes *bytes;
    size_t size;
};

struct model {
    struct model_node *nodes;
    size_t n;
    size_t cap;
    uint64_t next_id;
    uint32_t max_name_bytes;
};

void model_init(struct model *m, uint32_t max_name_bytes);
void model_deinit(struct model *m);
/* to was initialised; what it held is released. */
void model_copy(struct model *to, const struct model *from);

/* The entry at path, NULL for the root directory. */
int model_find(const struct model *m, struct nf_path path,
               struct model_node **ret);
/* The file of that id, or NULL. */
struct model_node *model_file(const struct model *m, uint64_t id);
const uint8_t *model_data(const struct model_node *node);

int model_open(struct model *m, struct nf_path path, uint32_t flags,
               uint64_t *ret_id);
int model_mkdir(struct model *m, struct nf_path path);
int model_remove(struct model *m, struct nf_path path, uint32_t flags);
int model_rename(struct model *m, struct nf_path from, struct nf_path to,
                 uint32_t flags);

/* Changes to a file of the model. */
void model_write(struct model_node *file, size_t off, const void *buf,
                 size_t len);
void model_truncate(struct model_node *file, size_t size);
void model_punch(struct model_node *file, size_t off, size_t len);

/* The path of an entry, from the root: malloc'ed, with no byte behind it. */
char *model_path(const struct model *m, const struct model_node *node,
                 size_t *ret_len);

/* Whether nf holds just this: every directory is listed and every byte read.
 * What differs is told to why, unless that is NULL. */
bool model_matches(const struct model *m, struct nf *nf, FILE *why);

#endif
