/* SPDX-License-Identifier: ISC */
/* Scripts on an open store, from anywhere. */
#ifndef NOTAPACK_SCRIPT_H
#define NOTAPACK_SCRIPT_H

#include "cli/notapack.h"

struct np_script_how {
    /* Close the store and open it again; on error it is closed. */
    int (*reopen)(struct np_store *store);
    uint64_t max_len; /* bytes of contents that a line may ask for */
};

/* Run what in says; the answers go to out. Returns an exit status; if the store
 * could not be opened again, it has no repo. */
int np_script_lines(struct np_store *store, const struct np_script_how *how,
                    FILE *in, FILE *out);

#endif
