/* SPDX-License-Identifier: ISC */
/* A world: the same store three times, in memory, in a folder and on a Notafs
 * disk, with a reader beside each. */
#ifndef TESTS_PACK_WORLD_H
#define TESTS_PACK_WORLD_H

#include <notafs/pack.h>
#include <notafs/vfs_notafs.h>
#include <notafs/vfs_posix.h>

#include "tests/support/bd_fault.h"
#include "tests/support/mem_fault.h"

enum { STORES = 3 };

struct store {
    const char *name;
    struct mem_fault mem;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct pk_repo *reader;
};

struct world {
    struct store stores[STORES];
    struct pk_open opts; /* but for the vfs and the flags */
    struct pk_vfs_mem *files;
    char folder[64];
    struct pk_vfs_posix *posix;
    struct bd_fault *disk;
    struct nf *nf;
    struct pk_vfs_notafs *vfs;
};

enum world_disk { WORLD_NATIVE_512, WORLD_NATIVE_4096, WORLD_MIRAGE_4096 };

/* Ends the program with what went wrong and how to repeat it. */
_Noreturn void world_die(const char *what, int err);
static inline void world_must(const char *what, int err)
{
    if (err != 0) {
        world_die(what, err);
    }
}

/* opts are w->opts. */
void world_make(struct world *w, enum world_disk kind);
void world_destroy(struct world *w);

/* The stores, and their storage, opened and closed. */
void world_open(struct world *w);
void world_close(struct world *w);

/* Nothing is wrong with any store, and all have the same files. */
void world_check(struct world *w);

#endif
