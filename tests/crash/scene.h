/* SPDX-License-Identifier: ISC */
/*
 * A scene: a disk, what is done to it while its device records, and what it
 * held after each commit. From the record the explorer makes crashes.
 *
 * Each call does the same to the disk and to a model of it; a commit compares
 * the two. Names and contents come from the scene's own seed.
 */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include "host/prng.h"
#include "tests/support/bd_fault.h"
#include "tests/support/mem_fault.h"
#include "tests/support/model.h"
#include "tests/support/tree.h"

/* What a run of all scenes is about. */
struct config {
    const char *name;
    enum nf_profile profile;
    enum nf_checksum checksum;
    uint32_t page_size;
    uint32_t caps; /* enum bd_caps */
    uint32_t held; /* flushes that the device lies about, at most */
};

struct commit {
    size_t begun; /* entries of the log when nf_sync was called ... */
    size_t acked; /* ... and when it returned; SIZE_MAX: it failed */
    bool lost;    /* it failed, and the next mount did not find it */
    uint64_t generation;
    struct tree tree;
};

struct scene {
    const struct config *config;
    uint64_t page_count;
    struct bd_fault *fault;
    struct mem_fault mem;
    struct nf_mount_options options;
    struct nf *nf;
    struct prng prng;
    struct model model;
    struct model committed;
    struct bd_fault_log log;
    struct commit *commits; /* some of them from before the log began */
    size_t n_commits;
    size_t cap;
    bool reformats; /* on the way no disk mounts */
};

struct scenario {
    const char *name;
    uint64_t pages; /* of the disk */
    uint32_t only;  /* enum scenario_only, or-ed; 0: any config */
    void (*before)(struct scene *s); /* not recorded; NULL: nothing */
    void (*run)(struct scene *s);
};

enum scenario_only {
    ONLY_NATIVE = 1u << 0,
    ONLY_FLUSH = 1u << 1, /* a flush that does not lie */
    ONLY_512 = 1u << 2,   /* bytes in a page */
    NOT_64K = 1u << 3,    /* such pages take too long */
};

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

/* Run a scenario: the disk is then as it was when the log began, and the log
 * and the commits are there. false: it does not go with that config. */
bool scene_open(struct scene *s, const struct config *config,
                const struct scenario *scenario, uint64_t seed);
void scene_close(struct scene *s);

/* Changes. false: there was no space, and nothing has changed. */
bool scene_write(struct scene *s, const char *path, size_t off, size_t len);
bool scene_append(struct scene *s, const char *path, size_t len);
bool scene_truncate(struct scene *s, const char *path, size_t size);
bool scene_punch(struct scene *s, const char *path, size_t off, size_t len);
bool scene_mkdir(struct scene *s, const char *path);
bool scene_remove(struct scene *s, const char *path);
bool scene_rename(struct scene *s, const char *from, const char *to);

void scene_sync(struct scene *s);
void scene_abort(struct scene *s);

/* The process dies without a word, the device stays on; and a new one mounts.
 * What was not committed is lost. */
void scene_die(struct scene *s);

/* The same in the middle of a commit, at the nth such request of it. */
void scene_die_in_sync(struct scene *s, enum bd_fault_op op, uint64_t nth);

/* Native: change the number of pages, and commit. */
void scene_resize(struct scene *s, uint64_t pages);

/* Format the disk anew, with that profile, and mount it. */
void scene_format(struct scene *s, enum nf_profile profile);

/* Native, in `before`, first of all: the empty disk has that generation. */
void scene_number(struct scene *s, uint64_t generation);

#endif
