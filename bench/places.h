/* SPDX-License-Identifier: ISC */
/* Directories on file systems that are compared: our two views, a loop that
 * does nothing, bindfs, and the folder that all of them are in. */
#ifndef BENCH_PLACES_H
#define BENCH_PLACES_H

#include "bench/mounts.h"
#include "bench/null_mount.h"

enum place_kind {
    PLACE_IMAGE,      /* notafs mount */
    PLACE_STORE,      /* live/main of notapack mount */
    PLACE_NULL,       /* as the image view: the kernel holds back writes */
    PLACE_NULL_WRITE, /* as the store view: it does not */
    PLACE_BINDFS,
    PLACE_FOLDER,
    N_PLACES,
};

struct place {
    enum place_kind kind;
    const char *name;
    bool open;
    char *root; /* what is worked on */
    struct mount mount;
    /* its own */
    char *dir;    /* where it is mounted */
    char *source; /* image, store or folder below it */
    char *program;
    struct null_mount null;
};

struct place_options {
    const char *scratch;
    const char *programs;  /* where ours are; NULL: those of this build */
    const char *image_len; /* text, for notafs format */
    size_t n_files;        /* numbers of files are below */
};

/* Make it and mount it. False if it cannot take part, which is told. */
bool place_open(struct place *place, enum place_kind kind,
                const struct place_options *options);

/* Unmount and mount again: nothing is cached by the kernel's mount, nor by who
 * serves it. The folder itself stays as it is. */
void place_remount(struct place *place);

/* Whether a program or function serves it. */
bool place_is_served(const struct place *place);

/* The loop that does nothing and is mounted like it. */
enum place_kind place_null_of(enum place_kind kind);

void place_close(struct place *place);

#endif
