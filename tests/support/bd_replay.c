/* SPDX-License-Identifier: ISC */
/*
 * Two savepoints on the disk: the lower one where the log begins, the upper
 * one at entry pos, to which each crash returns first.
 */
#include "tests/support/bd_replay.h"

size_t bd_replay_settled(const struct bd_fault_log *log, size_t upto,
                         size_t n_held)
{
    while (upto > 0) {
        const struct bd_fault_entry *entry = &log->entries[upto - 1];
        if (entry->op == BD_FAULT_FLUSH && !entry->failed) {
            if (n_held == 0) {
                break;
            }
            n_held--;
        }
        upto--;
    }
    return upto;
}

void bd_replay_open(struct bd_replay *replay, struct bd_fault *fault,
                    const struct bd_fault_log *log)
{
    *replay = (struct bd_replay){.fault = fault, .log = log};
    bd_fault_mark(fault);
    bd_fault_mark(fault);
}

void bd_replay_seek(struct bd_replay *replay, size_t pos)
{
    struct bd_fault *fault = replay->fault;

    bd_fault_reset(fault);
    bd_fault_unmark(fault);
    if (pos < replay->pos) {
        bd_fault_reset(fault);
        replay->pos = 0;
    }
    while (replay->pos < pos) {
        bd_fault_apply(fault, replay->log, replay->pos, NULL);
        replay->pos++;
    }
    bd_fault_mark(fault);
}

void bd_replay_crash(struct bd_replay *replay,
                     const struct bd_replay_pick *picks, size_t n_picks)
{
    bd_fault_reset(replay->fault);
    for (size_t i = 0; i < n_picks; i++) {
        bd_fault_apply(replay->fault, replay->log, picks[i].entry,
                       picks[i].sectors);
    }
}

void bd_replay_close(struct bd_replay *replay)
{
    for (int i = 0; i < 2; i++) {
        bd_fault_reset(replay->fault);
        bd_fault_unmark(replay->fault);
    }
}
