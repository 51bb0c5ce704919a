/* SPDX-License-Identifier: ISC */
/*
 * The disks that a crash can leave behind.
 *
 *     struct bd_fault_log log = {0};
 *     struct bd_replay replay;
 *
 *     bd_fault_mark(fault);
 *     fault->log = &log;
 *     ... the scenario runs on &fault->bd ...
 *     fault->log = NULL;
 *     bd_fault_reset(fault);                   // where the log begins
 *     bd_replay_open(&replay, fault, &log);
 *     for (size_t upto = 0; upto <= log.n; upto++) {
 *         bd_replay_seek(&replay, bd_replay_settled(&log, upto, 0));
 *         ... for choices of entries in [replay.pos, upto) ...
 *             bd_replay_crash(&replay, picks, n_picks);
 *             ... mount &fault->bd, look, change it at will ...
 *     }
 *     bd_replay_close(&replay);
 *     bd_fault_unmark(fault);
 *
 * Crashes during the mount that follows: at the place of "mount", set a mark,
 * record the mount into another log, reset, and open a second replay of that
 * log on the same disk.
 */
#ifndef TESTS_BD_REPLAY_H
#define TESTS_BD_REPLAY_H

#include "tests/support/bd_fault.h"

struct bd_replay {
    struct bd_fault *fault;
    const struct bd_fault_log *log;
    size_t pos; /* entries that the disk surely holds */
};

/* An entry that reached the disk; torn as bd_fault_apply says. */
struct bd_replay_pick {
    size_t entry;
    const uint64_t *sectors;
};

/*
 * How many entries at the front of log are surely on the disk if power fails
 * after upto of them: those before the last flush that completed. A device
 * that holds n_held flushes back claims that they are done, and they are not:
 * the last n_held flushes do not count.
 */
size_t bd_replay_settled(const struct bd_fault_log *log, size_t upto,
                         size_t n_held);

/* The disk is now as it was when log began. */
void bd_replay_open(struct bd_replay *replay, struct bd_fault *fault,
                    const struct bd_fault_log *log);

/* The disk has the first pos entries, and nothing else. Cheap when pos grows
 * from call to call; going back starts over. */
void bd_replay_seek(struct bd_replay *replay, size_t pos);

/* The disk has the first replay->pos entries and on top of them the picks, in
 * this order. What was done to the disk since the last call is undone. */
void bd_replay_crash(struct bd_replay *replay,
                     const struct bd_replay_pick *picks, size_t n_picks);

/* Leave the disk as it was at bd_replay_open. */
void bd_replay_close(struct bd_replay *replay);

#endif
