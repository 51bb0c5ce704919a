/* SPDX-License-Identifier: ISC */
/* Work in steps: how far it is, how long the rest will take, and the user's
 * wish to end it, which is looked at between steps. */
#ifndef NOTAPACK_ETA_H
#define NOTAPACK_ETA_H

#include "cli/notapack.h"

struct np_eta {
    bool shown;
    double began; /* seconds */
    double due;
};

/* From now on SIGINT, SIGTERM and SIGHUP are noted here, the first time each:
 * memory is to be had (notapack_meter.c), to end in good order. */
void np_signals_catch(void);

/* The number of the one that was caught, 0 if none was. */
int np_signals_caught(void);

/* On standard error, if that is a terminal and the user wants to see it. */
void np_eta_begin(struct np_eta *p, const struct np_options *options);

/* done of total (0: nobody knows how much), and how long the rest will take. */
void np_eta_show(struct np_eta *p, const char *what, uint64_t done,
                 uint64_t total);

/* Another phase begins. */
void np_eta_restart(struct np_eta *p);
void np_eta_end(struct np_eta *p);

#endif
