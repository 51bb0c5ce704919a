/* SPDX-License-Identifier: ISC */
/*
 * A stage: storage for stores that remembers what is done to it, so that it can
 * become whatever a power cut would have left. Either a Notafs disk, or files
 * of which nothing is promised but what vfs_fault.h says.
 *
 *     stage_record(stage);        the record begins here
 *     ... power on, act, power off ...
 *     stage_rewind(stage);        and it ends
 *     ... stage_cut(stage, cut); power on, look, change at will, power off ...
 *     stage_forget(stage);
 *
 * A second record may begin where a cut of the first has led to.
 */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include <notafs/vfs.h>

#include "tests/crash/cut.h"
#include "tests/crash/scene.h"

/* An entry of the record. */
struct stage_entry {
    bool changes;   /* false: whether it is lost makes no difference */
    size_t sectors; /* into which it can be torn; 0: it cannot */
};

struct stage;

struct stage_ops {
    int (*power_on)(struct stage *stage, struct pk_vfs *ret_vfs);
    void (*power_off)(struct stage *stage);
    bool (*is_exact)(struct stage *stage, FILE *why);
    uint64_t (*generation)(struct stage *stage);
    void (*record)(struct stage *stage);
    void (*rewind)(struct stage *stage);
    void (*forget)(struct stage *stage);
    size_t (*n_entries)(const struct stage *stage);
    struct stage_entry (*entry)(const struct stage *stage, size_t i);
    void (*print)(const struct stage *stage, size_t i, FILE *out);
    size_t (*settled)(const struct stage *stage, size_t upto, size_t n_held);
    void (*cut)(struct stage *stage, const struct cut *cut);
    void (*close)(struct stage *stage);
};

enum { STAGE_RECORDS = 2 };

struct stage {
    const struct stage_ops *ops;
    const struct config *config;
    struct mem_fault mem; /* of the disk, and of who plays on it */
    size_t n_records;
};

/* By config: files where its page_size is 0. */
struct stage *stage_open(const struct config *config);
struct stage *stage_disk_open(const struct config *config);
struct stage *stage_files_open(const struct config *config);

static inline void stage_close(struct stage *stage)
{
    stage->ops->close(stage);
}

/* Mount, or what is like it; the files live until power_off. */
static inline int stage_power_on(struct stage *stage, struct pk_vfs *ret_vfs)
{
    return stage->ops->power_on(stage, ret_vfs);
}
static inline void stage_power_off(struct stage *stage)
{
    stage->ops->power_off(stage);
}

/* The disk, which is on, accounts for each of its pages. */
static inline bool stage_is_exact(struct stage *stage, FILE *why)
{
    return stage->ops->is_exact(stage, why);
}

/* Of the disk, which is on; 0 of files. */
static inline uint64_t stage_generation(struct stage *stage)
{
    return stage->ops->generation(stage);
}

static inline void stage_record(struct stage *stage)
{
    stage->ops->record(stage);
}
static inline void stage_rewind(struct stage *stage)
{
    stage->ops->rewind(stage);
}
static inline void stage_forget(struct stage *stage)
{
    stage->ops->forget(stage);
}

/* Of the last record. */
static inline size_t stage_n_entries(const struct stage *stage)
{
    return stage->ops->n_entries(stage);
}
static inline struct stage_entry stage_entry(const struct stage *stage,
                                             size_t i)
{
    return stage->ops->entry(stage, i);
}

/* Say what an entry is. */
static inline void stage_print(const struct stage *stage, size_t i, FILE *out)
{
    stage->ops->print(stage, i, out);
}

/* As bd_replay_settled. */
static inline size_t stage_settled(const struct stage *stage, size_t upto,
                                   size_t n_held)
{
    return stage->ops->settled(stage, upto, n_held);
}

/* Become what that cut of the last record leaves. It is off. */
static inline void stage_cut(struct stage *stage, const struct cut *cut)
{
    stage->ops->cut(stage, cut);
}

#endif
