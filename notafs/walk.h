/* SPDX-License-Identifier: ISC */
/*
 * A walk over every page that a generation reaches, in bounded steps: system
 * pages, unused pages, the free queue, the file table, then each file. Trees
 * are walked with a stack of one entry a level; a page that cannot be read is
 * reported, and what is below it is skipped.
 */
#ifndef NF_WALK_H
#define NF_WALK_H

#include "notafs/nf_int.h"

/* Data pages read together: some, and at most NF_WALK_LEN bytes. */
#define NF_WALK_BATCH     64
#define NF_WALK_BATCH_MIN 4
#define NF_WALK_LEN       (256u << 10)
#define NF_WALK_DEPTH     64 /* the free queue of mirage may be high */

enum nf_walk_phase {
    NF_WALK_SYSTEM,
    NF_WALK_QUEUE,
    NF_WALK_TABLE,
    NF_WALK_FILES,
    NF_WALK_LEAKS,
    NF_WALK_DONE,
};

/* A page whose children are being visited. */
struct nf_walk_node {
    struct nf_ptr ptr;
    uint64_t offset; /* of its first byte in the rope */
    uint32_t next;   /* child to visit next */
    uint8_t kind;    /* enum nf_kind */
    uint8_t height;  /* native: what it must be; mirage: more than it may
                        be */
    bool entered;
};

struct nf_walk {
    struct nf *nf;
    const struct nf_walk_format *format;
    uint32_t flags; /* enum nf_scrub_flags */
    void (*report)(void *ctx, const struct nf_finding *finding);
    void *ctx;
    enum nf_walk_phase phase;
    struct nf_walk_node stack[NF_WALK_DEPTH];
    uint32_t depth;
    enum nf_page_kind inner; /* what pages of this tree are ... */
    enum nf_page_kind leaf;  /* ... and its leaves */
    uint64_t dir;            /* the file being walked */
    char *name;
    size_t name_len;
    size_t name_cap;
    uint64_t path_dir; /* dir_path is this directory's: the last one that */
    size_t dir_len;    /* was damaged */
    char dir_path[384];
    bool file_damaged;
    uint64_t met;        /* pages of all uses */
    uint64_t free_pages; /* met in the queue */
    uint64_t table_pages;
    uint64_t files;
    uint64_t dirs;
    uint8_t *seen;    /* NF_SCRUB_ACCOUNT: a bit for each page */
    uint64_t n_seen;  /* bits in seen */
    uint64_t leak_at; /* page that the search for leaks has come to */
    uint8_t *buf;     /* batch_max data pages, read together ... */
    uint32_t batch_max;
    struct nf_walk_node batch[NF_WALK_BATCH]; /* ... and who they are */
    struct nf_scrub_result result;
};

NF_MUST_USE int
nf_walk_open(struct nf_walk *walk, struct nf *nf, uint32_t flags,
             void (*report)(void *ctx, const struct nf_finding *finding),
             void *ctx);
void nf_walk_close(struct nf_walk *walk);

/* About budget pages more: 1 if there is more to do, else 0 or an error. */
NF_MUST_USE int nf_walk_step(struct nf_walk *walk, uint64_t budget);

/* For the formats: pages of one use, and damage. False: not all of them exist,
 * or are used here first. */
bool nf_walk_use(struct nf_walk *walk, enum nf_page_kind kind, uint64_t page,
                 uint64_t count, uint64_t birth, uint64_t offset);
void nf_walk_damage(struct nf_walk *walk, int err, enum nf_page_kind kind,
                    uint64_t page, uint64_t offset, const char *what);

/* Walk the tree of that root next. height as in struct nf_walk_node. */
void nf_walk_push(struct nf_walk *walk, const struct nf_ptr *root,
                  enum nf_kind kind, uint32_t height, enum nf_page_kind inner,
                  enum nf_page_kind leaf);

#endif
