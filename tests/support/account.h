/* SPDX-License-Identifier: ISC */
/* The proof that each page of a disk is counted once, and is what it should
 * be: a whole scrub of the committed generation. */
#ifndef TESTS_ACCOUNT_H
#define TESTS_ACCOUNT_H

#include <stdio.h>

#include <notafs/notafs.h>

/* What a scrub finds, in pages; index: enum nf_page_kind. */
struct account {
    uint64_t pages[NF_PAGE_UNUSED + 1];
    uint64_t errors; /* findings with an error; the first is told to why */
    FILE *why;
};

/* Scrub nf; 0, or the error that ended it. */
int account_take(struct nf *nf, struct account *ret);

/* No finding is an error, the pages are all the pages of the disk, and those
 * that are free as many as nf_stats says. nf must not have uncommitted changes
 * then. Otherwise false, and why is told. */
bool account_exact(struct nf *nf, FILE *why);

#endif
