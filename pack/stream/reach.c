/* SPDX-License-Identifier: ISC */
/*
 * What is to be sent: all that the commits reach and those that the receiver
 * has do not. References point to smaller offsets, so when an object is
 * visited, largest offset first, all that refers to it has been, and it is
 * known on which sides.
 *
 *   wanted   to be sent, what it refers to is wanted
 *   had      what it refers to is had, and looked at as long as something
 *            wanted may be among it, and the work is in proportion
 *   both     had, and a link: the receiver finds it as that slot of that
 * element
 *
 * When looking ends early, more is sent than need be, and nothing is wrong.
 * Of a commit that the receiver has only the tree is looked into: whether its
 * ancestors are there is for the caller to know, who names them then.
 */
#include <string.h>

#include "notafs/platform/codec.h"
#include "pack/inode.h"
#include "pack/locate.h"
#include "pack/stream/send.h"

static void reach_seal(struct pk_send *send, uint64_t a, uint64_t b)
{
    uint8_t raw[16];

    nf_put_le64(raw, a);
    nf_put_le64(raw + 8, b);
    pk_blake2b_update(&send->seal, (struct pk_slice){raw, sizeof(raw)});
}

/* The object being visited refers to off. */
static int reach_push(struct pk_send *send, const struct pk_visit *from,
                      struct pk_visit to)
{
    if (to.off >= from->off) {
        return pk_store_fail(send->store, NF_ENOTSUP, from->off,
                             "reference ahead");
    }
    return pk_visits_push(&send->visits, &to);
}

static int reach_inode(struct pk_send *send, const struct pk_visit *visit,
                       uint32_t flags, uint64_t element)
{
    struct pk_store *store = send->store;
    struct pk_inode *inode = NULL;
    int err = pk_inode_peek(store, visit->off, &inode);

    if (err != 0) {
        return err;
    }
    for (uint32_t i = 0; i < inode->n && err == 0; i++) {
        struct pk_visit to = {0, element, i, flags};
        struct pk_slot slot;

        pk_inode_slot(store, inode, i, &slot);
        err = pk_addr_resolve(store, &slot.addr, &to.off);
        if (err == 0) {
            err = reach_push(send, visit, to);
        }
    }
    pk_inode_drop(store, inode);
    return err;
}

/* Can a parent be sent: is it there, and more than its bare entry? */
static int reach_parent(struct pk_send *send, const struct pk_visit *visit,
                        uint64_t off)
{
    struct pk_head head;
    int err;

    if (off == NF_NOWHERE) {
        return 0;
    }
    err = pk_object_head(send->store, off, &head);
    if (err == NF_EC_NO_OBJECT ||
        (err == 0 && head.kind == 'P' && send->store->lower.n_volumes == 0)) {
        return 0;
    }
    return err == 0 ? reach_push(send, visit,
                                 (struct pk_visit){off, 0, 0, PK_VISIT_WANT})
                    : err;
}

static int reach_commit(struct pk_send *send, const struct pk_visit *visit)
{
    bool have = (visit->flags & PK_VISIT_HAVE) != 0;
    struct pk_visit root = {0, visit->from, 0, PK_VISIT_WANT};
    struct pk_commit_at at;
    int err = pk_commit_read(send->store, visit->off, &at);

    if (err != 0) {
        return err;
    }
    root.off = at.root_off;
    if (have) {
        root.flags = PK_VISIT_HAVE;
    }
    if (root.off == NF_NOWHERE) {
        err = pk_store_fail(send->store, NF_EC_UNRESOLVED, visit->off,
                            "root of a commit");
    } else {
        err = reach_push(send, visit, root);
    }
    for (size_t i = 0;
         i < at.commit->n_parents && err == 0 && !have && !send->options.alone;
         i++) {
        err = reach_parent(send, visit, at.parent_offs[i]);
    }
    pk_commit_release(send->store, &at);
    return err;
}

/* Look into what the receiver has? As long as something is wanted that may be
 * among it, and the work is in proportion. */
static bool reach_looks(const struct pk_send *send)
{
    return send->visits.n_want > 0 &&
           send->n_looks < PK_LOOK_FREE + PK_LOOK_PER_OBJECT * send->objects.n;
}

/* What the receiver has, wanted or not. */
static int reach_had(struct pk_send *send, const struct pk_visit *visit,
                     uint8_t kind)
{
    bool both = (visit->flags & PK_VISIT_WANT) != 0;
    bool look = pk_kind_is_inode(kind) && reach_looks(send);
    uint64_t element = send->options.n_have + send->found.n / PK_LINK_STRIDE;
    int err;

    if (!both && !look) {
        return 0;
    }
    reach_seal(send, visit->from, visit->slot);
    err = pk_list_file_add(&send->found, visit->off);
    if (err == 0) {
        err = pk_list_file_add(&send->found, visit->from);
    }
    if (err == 0) {
        err = pk_list_file_add(&send->found,
                               visit->slot | (both ? PK_LINK_NEEDED : 0));
    }
    if (err == 0 && look) {
        send->n_looks++;
        err = reach_inode(send, visit, PK_VISIT_HAVE, element);
    }
    return err;
}

static int reach_visit(struct pk_send *send, const struct pk_visit *visit)
{
    struct pk_head head;
    int err = pk_object_head(send->store, visit->off, &head);

    if (err == NF_EC_NO_OBJECT) {
        err = pk_store_fail(send->store, NF_EC_UNRESOLVED, visit->off,
                            "reference");
    }
    if (err != 0) {
        return err;
    }
    send->stats.visited++;
    if ((visit->flags & PK_VISIT_HAVE) != 0 && pk_kind_is_commit(head.kind)) {
        return send->visits.n_want == 0 ? 0 : reach_commit(send, visit);
    }
    if ((visit->flags & PK_VISIT_HAVE) != 0 &&
        send->found.n < (uint64_t)PK_LINK_MAX * PK_LINK_STRIDE) {
        return reach_had(send, visit, head.kind);
    }
    if ((visit->flags & PK_VISIT_WANT) == 0) {
        return 0;
    }
    reach_seal(send, visit->off, 0);
    send->stats.bytes += head.len;
    err = pk_list_file_add(&send->objects, visit->off);
    if (err != 0 || head.kind == 'B') {
        return err;
    }
    return pk_kind_is_commit(head.kind)
               ? reach_commit(send, visit)
               : reach_inode(send, visit, PK_VISIT_WANT, 0);
}

/* The next root: those that the receiver has, then those it shall have. */
static int reach_root(struct pk_send *send)
{
    const struct pk_send_options *o = &send->options;
    size_t i = send->n_roots++;
    struct pk_visit visit = {0, 0, 0, PK_VISIT_WANT};
    const struct pk_digest *hash;
    int err;

    if (i == o->n_have + o->n_commits) {
        send->state = PK_SEND_REACH;
        return 1;
    }
    hash = i < o->n_have ? &o->have[i] : &o->commits[i - o->n_have];
    err = pk_locate_commit(send->store, hash, &visit.off);
    if (err != 0) {
        return err;
    }
    if (i < o->n_have) {
        send->haves[i] = visit.off;
        visit.flags = PK_VISIT_HAVE;
        visit.from = i;
    }
    err = pk_visits_push(&send->visits, &visit);
    return err == 0 ? 1 : err;
}

int pk_reach(struct pk_send *send)
{
    struct pk_visit visit;
    int err;

    if (send->state == PK_SEND_ROOTS) {
        return reach_root(send);
    }
    err = pk_visits_pop(&send->visits, &visit);
    if (err <= 0) {
        return err;
    }
    err = reach_visit(send, &visit);
    return err == 0 ? 1 : err;
}
