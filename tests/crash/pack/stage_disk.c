/* SPDX-License-Identifier: ISC */
/* A stage that is a Notafs disk, with the store's files below /store. */
#include <stdlib.h>

#include <notafs/vfs_notafs.h>

#include "tests/crash/pack/stage.h"
#include "tests/support/account.h"

#define PAGES_LEN (2u << 20) /* bytes; and no fewer pages than: */
#define PAGES_MIN 300u

struct disk {
    struct stage stage;
    struct bd_fault *fault;
    struct nf *nf;
    struct pk_vfs_notafs *vfs;
    struct bd_fault_log logs[STAGE_RECORDS];
    struct bd_replay replays[STAGE_RECORDS];
};

static struct disk *disk_of(struct stage *stage)
{
    return (struct disk *)stage;
}

static int disk_power_on(struct stage *stage, struct pk_vfs *ret_vfs)
{
    struct disk *d = disk_of(stage);
    const struct nf_mount_options options = {
        .cache_bytes = (size_t)16 * stage->config->page_size};
    int err = nf_mount(&d->fault->bd, &stage->mem.env, &options, &d->nf);
    if (err != 0) {
        d->nf = NULL;
        return err;
    }
    err = pk_vfs_notafs_open(d->nf, &stage->mem.env, nf_path("/store"), &d->vfs,
                             ret_vfs);
    if (err != 0) {
        d->vfs = NULL;
        nf_unmount(d->nf);
        d->nf = NULL;
    }
    return err;
}

static void disk_power_off(struct stage *stage)
{
    struct disk *d = disk_of(stage);
    pk_vfs_notafs_close(d->vfs);
    d->vfs = NULL;
    nf_unmount(d->nf);
    d->nf = NULL;
}

static bool disk_is_exact(struct stage *stage, FILE *why)
{
    return account_exact(disk_of(stage)->nf, why);
}

static uint64_t disk_generation(struct stage *stage)
{
    struct nf_stats stats;
    nf_stats(disk_of(stage)->nf, &stats);
    return stats.generation;
}

static void disk_record(struct stage *stage)
{
    struct disk *d = disk_of(stage);
    bd_fault_mark(d->fault);
    d->fault->log = &d->logs[stage->n_records++];
}

static void disk_rewind(struct stage *stage)
{
    struct disk *d = disk_of(stage);
    const size_t i = stage->n_records - 1;
    d->fault->log = NULL;
    bd_fault_reset(d->fault);
    bd_replay_open(&d->replays[i], d->fault, &d->logs[i]);
}

static void disk_forget(struct stage *stage)
{
    struct disk *d = disk_of(stage);
    const size_t i = --stage->n_records;
    bd_replay_close(&d->replays[i]);
    bd_fault_unmark(d->fault);
    bd_fault_log_deinit(&d->logs[i]);
    d->logs[i] = (struct bd_fault_log){0};
}

static const struct bd_fault_log *disk_log(const struct stage *stage)
{
    return &((const struct disk *)stage)->logs[stage->n_records - 1];
}

static size_t disk_n_entries(const struct stage *stage)
{
    return disk_log(stage)->n;
}

static struct stage_entry disk_entry(const struct stage *stage, size_t i)
{
    const struct bd_fault_entry *entry = &disk_log(stage)->entries[i];
    return (struct stage_entry){
        .changes = entry->op != BD_FAULT_FLUSH,
        .sectors =
            entry->op == BD_FAULT_WRITE ? stage->config->page_size / 512 : 0,
    };
}

static void disk_print(const struct stage *stage, size_t i, FILE *out)
{
    static const char *const ops[BD_FAULT_OPS] = {"read", "write", "flush",
                                                  "discard"};
    const struct bd_fault_entry *entry = &disk_log(stage)->entries[i];
    fprintf(out, "%s page %llu, batch %llu\n", ops[entry->op],
            (unsigned long long)entry->page, (unsigned long long)entry->batch);
}

static size_t disk_settled(const struct stage *stage, size_t upto,
                           size_t n_held)
{
    return bd_replay_settled(disk_log(stage), upto, n_held);
}

static void disk_cut(struct stage *stage, const struct cut *cut)
{
    cut_apply(cut, &disk_of(stage)->replays[stage->n_records - 1]);
}

static void disk_close(struct stage *stage)
{
    struct disk *d = disk_of(stage);
    bd_fault_close(d->fault);
    free(d);
}

static const struct stage_ops disk_ops = {
    .power_on = disk_power_on,
    .power_off = disk_power_off,
    .is_exact = disk_is_exact,
    .generation = disk_generation,
    .record = disk_record,
    .rewind = disk_rewind,
    .forget = disk_forget,
    .n_entries = disk_n_entries,
    .entry = disk_entry,
    .print = disk_print,
    .settled = disk_settled,
    .cut = disk_cut,
    .close = disk_close,
};

struct stage *stage_disk_open(const struct config *config)
{
    struct disk *d = calloc(1, sizeof(*d));
    const uint64_t pages = PAGES_LEN / config->page_size;
    const struct nf_format_options options = {
        .profile = config->profile,
        .checksum = config->checksum,
    };
    if (d == NULL) {
        abort();
    }
    d->stage = (struct stage){.ops = &disk_ops, .config = config};
    mem_fault_init(&d->stage.mem);
    d->fault = bd_fault_open(
        &(struct bd_geometry){pages < PAGES_MIN ? PAGES_MIN : pages,
                              config->page_size, config->caps});
    if (nf_format(&d->fault->bd, &d->stage.mem.env, &options) != 0) {
        abort();
    }
    return &d->stage;
}
