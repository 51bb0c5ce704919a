/* SPDX-License-Identifier: ISC */
/*
 * Links are found from the commits that the receiver has downwards, before it
 * is known which of them lead to something that what is sent refers to. The
 * others are left out: a bit for each tells which stay, from the last, which is
 * part of those before, to the first.
 */
#include <string.h>

#include "pack/stream/send.h"

struct prune {
    struct pk_send *send;
    uint64_t n;
    uint64_t *bits;   /* those that stay */
    uint32_t *before; /* how many do in front of each 64 */
};

static bool prune_has(const struct prune *p, uint64_t i)
{
    return (p->bits[i / 64] >> i % 64 & 1) != 0;
}

static int prune_mark(struct prune *p)
{
    struct pk_list_file *found = &p->send->found;
    uint64_t n_have = p->send->options.n_have;

    for (uint64_t i = p->n; i > 0; i--) {
        uint64_t at = (i - 1) * PK_LINK_STRIDE;
        uint64_t from = 0;
        uint64_t slot = 0;
        int err = pk_list_file_get(found, at + 1, &from);

        if (err == 0) {
            err = pk_list_file_get(found, at + 2, &slot);
        }
        if (err != 0) {
            return err;
        }
        if ((slot & PK_LINK_NEEDED) != 0) {
            p->bits[(i - 1) / 64] |= (uint64_t)1 << (i - 1) % 64;
        }
        if (prune_has(p, i - 1) && from >= n_have) {
            from -= n_have;
            p->bits[from / 64] |= (uint64_t)1 << from % 64;
        }
    }
    return 0;
}

static uint32_t prune_count(uint64_t word)
{
    uint32_t n = 0;

    for (; word != 0; word &= word - 1) {
        n++;
    }
    return n;
}

/* The number of a link among those that stay. */
static uint64_t prune_rank(const struct prune *p, uint64_t i)
{
    uint64_t below = p->bits[i / 64] & (((uint64_t)1 << i % 64) - 1);

    return p->before[i / 64] + prune_count(below);
}

static int prune_copy(struct prune *p)
{
    struct pk_send *send = p->send;
    uint64_t n_have = send->options.n_have;

    for (uint64_t i = 0; i < p->n; i++) {
        uint64_t v[PK_LINK_STRIDE] = {0, 0, 0};
        int err = 0;

        if (!prune_has(p, i)) {
            continue;
        }
        for (uint64_t k = 0; k < PK_LINK_STRIDE && err == 0; k++) {
            err = pk_list_file_get(&send->found, i * PK_LINK_STRIDE + k, &v[k]);
        }
        if (v[1] >= n_have) {
            v[1] = n_have + prune_rank(p, v[1] - n_have);
        }
        v[2] &= ~PK_LINK_NEEDED;
        for (uint64_t k = 0; k < PK_LINK_STRIDE && err == 0; k++) {
            err = pk_list_file_add(&send->links, v[k]);
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

int pk_links_prune(struct pk_send *send)
{
    struct nf_mem *mem = &send->store->ctx.mem;
    struct prune p = {.send = send, .n = send->found.n / PK_LINK_STRIDE};
    size_t words = (size_t)(p.n / 64) + 1;
    int err;

    p.bits = nf_calloc(mem, words, sizeof(*p.bits));
    p.before = nf_calloc(mem, words, sizeof(*p.before));
    err = p.bits == NULL || p.before == NULL ? pk_fail_mem(&send->store->ctx)
                                             : prune_mark(&p);
    for (size_t i = 1; i < words && err == 0; i++) {
        p.before[i] = p.before[i - 1] + prune_count(p.bits[i - 1]);
    }
    if (err == 0) {
        err = prune_copy(&p);
    }
    nf_free(mem, p.before, words * sizeof(*p.before));
    nf_free(mem, p.bits, words * sizeof(*p.bits));
    return err;
}
