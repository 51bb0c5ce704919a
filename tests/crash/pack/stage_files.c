/* SPDX-License-Identifier: ISC */
/* A stage that is files as POSIX has them: vfs_fault.h. */
#include <stdlib.h>

#include "tests/crash/pack/stage.h"
#include "tests/support/vfs_fault.h"

/* A record: what was done, and the files as they are after the first pos of
 * its operations. */
struct record {
    struct vfs_fault *source;
    struct vfs_fault base;
    size_t pos;
};

struct files {
    struct stage stage;
    struct vfs_fault *now;
    struct record records[STAGE_RECORDS];
};

static struct files *files_of(struct stage *stage)
{
    return (struct files *)stage;
}

static const struct record *last_record(const struct stage *stage)
{
    return &((const struct files *)stage)->records[stage->n_records - 1];
}

static struct vfs_fault *fault_new(void)
{
    struct vfs_fault *fault = malloc(sizeof(*fault));
    if (fault == NULL) {
        abort();
    }
    vfs_fault_init(fault);
    return fault;
}

static void fault_free(struct vfs_fault *fault)
{
    if (fault != NULL) {
        vfs_fault_deinit(fault);
        free(fault);
    }
}

static int files_power_on(struct stage *stage, struct pk_vfs *ret_vfs)
{
    *ret_vfs = files_of(stage)->now->vfs;
    return 0;
}

static void files_power_off(struct stage *stage)
{
    (void)stage;
}

static bool files_is_exact(struct stage *stage, FILE *why)
{
    (void)why;
    return files_of(stage)->now->n_open == 0;
}

static uint64_t files_generation(struct stage *stage)
{
    (void)stage;
    return 0;
}

static void files_record(struct stage *stage)
{
    struct files *f = files_of(stage);
    f->records[stage->n_records++] = (struct record){.source = f->now};
    vfs_fault_record(f->now);
}

/* The base is as it was when the record began. */
static void base_begin(struct record *record)
{
    vfs_fault_init(&record->base);
    vfs_fault_redo(record->source, 0, NULL, &record->base);
    record->pos = 1;
}

/* The files are a copy of the base. */
static void now_from(struct files *f, const struct record *record)
{
    fault_free(f->now);
    f->now = fault_new();
    vfs_fault_copy(&record->base, f->now);
}

static void files_rewind(struct stage *stage)
{
    struct files *f = files_of(stage);
    struct record *record = &f->records[stage->n_records - 1];
    base_begin(record);
    f->now = NULL; /* it is the source */
    now_from(f, record);
}

static void files_forget(struct stage *stage)
{
    struct record *record = &files_of(stage)->records[--stage->n_records];
    vfs_fault_deinit(&record->base);
    fault_free(record->source);
}

static size_t files_n_entries(const struct stage *stage)
{
    return last_record(stage)->source->n_ops;
}

static struct stage_entry files_entry(const struct stage *stage, size_t i)
{
    const struct vfs_fault *source = last_record(stage)->source;
    return (struct stage_entry){
        .changes = vfs_fault_changes(source, i),
        .sectors = vfs_fault_sectors(source, i),
    };
}

static void files_print(const struct stage *stage, size_t i, FILE *out)
{
    vfs_fault_print(last_record(stage)->source, i, out);
}

static size_t files_settled(const struct stage *stage, size_t upto,
                            size_t n_held)
{
    (void)n_held;
    return vfs_fault_settled(last_record(stage)->source, upto);
}

static void files_cut(struct stage *stage, const struct cut *cut)
{
    struct files *f = files_of(stage);
    struct record *record = &f->records[stage->n_records - 1];
    if (cut->settled < record->pos) {
        vfs_fault_deinit(&record->base);
        base_begin(record);
    }
    for (; record->pos < cut->settled; record->pos++) {
        vfs_fault_redo(record->source, record->pos, NULL, &record->base);
    }
    now_from(f, record);
    for (size_t i = 0; i < cut->upto - cut->settled; i++) {
        const struct fate *fate = &cut->fates[i];
        if (fate->arrived && cut->settled + i > 0) {
            vfs_fault_redo(record->source, cut->settled + i,
                           fate->torn ? fate->sectors : NULL, f->now);
        }
    }
}

static void files_close(struct stage *stage)
{
    fault_free(files_of(stage)->now);
    free(stage);
}

static const struct stage_ops files_ops = {
    .power_on = files_power_on,
    .power_off = files_power_off,
    .is_exact = files_is_exact,
    .generation = files_generation,
    .record = files_record,
    .rewind = files_rewind,
    .forget = files_forget,
    .n_entries = files_n_entries,
    .entry = files_entry,
    .print = files_print,
    .settled = files_settled,
    .cut = files_cut,
    .close = files_close,
};

struct stage *stage_files_open(const struct config *config)
{
    struct files *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        abort();
    }
    f->stage = (struct stage){.ops = &files_ops, .config = config};
    mem_fault_init(&f->stage.mem);
    f->now = fault_new();
    return &f->stage;
}
