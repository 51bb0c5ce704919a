/* SPDX-License-Identifier: ISC */
/*
 * Entries are packed back to back (spec 3.1), so a piece of the pack can be
 * walked from its beginning: a range of the prefix, or a chunk behind its dead
 * bytes. Where no entry begins, a crash's leavings were sealed into a chunk,
 * or something is damaged; what follows in that piece cannot be told apart.
 */
#include "pack/scan.h"

#include "pack/inode.h"
#include "pack/objects.h"

int pk_scan_length(struct pk_store *store, uint64_t off,
                   const struct pk_head *head, uint64_t *ret_len)
{
    size_t want = 0;

    if (head->len != 0) {
        *ret_len = head->len;
        return 0;
    }
    if (head->kind == 'C') {
        struct pk_commit_at at;
        int err = pk_commit_read(store, off, &at);

        if (err == 0) {
            *ret_len = at.entry_len;
            pk_commit_release(store, &at);
        }
        return err;
    }
    for (;;) {
        struct pk_inode *inode = NULL;
        struct pk_head again;
        size_t had;
        int err = pk_object_read(store, off, want, &again);

        if (err != 0) {
            return err;
        }
        had = store->entry_buf.len;
        err = pk_inode_decode(store, store->entry_buf.p + again.body,
                              had - again.body, false, &inode);
        if (err == 0) {
            *ret_len = again.body + inode->raw_len;
            nf_free(&store->ctx.mem, inode, inode->kept.size);
            return 0;
        }
        if (err != NF_EC_INODE || had < want || had > 1u << 24) {
            return err;
        }
        want = had * 2; /* only its body tells how long it is */
    }
}

/* The entries in [off, end). */
static int scan_piece(struct pk_store *store, uint64_t off, uint64_t end,
                      pk_scan_fn fn, pk_scan_gap_fn gap, void *arg)
{
    while (off < end) {
        struct pk_head head;
        uint64_t len = 0;
        int err = pk_object_head(store, off, &head);

        if (err == 0) {
            err = pk_scan_length(store, off, &head, &len);
        }
        if (err == NF_ENOMEM || nf_err_class(err) == NF_EIO) {
            return err;
        }
        if (err != 0 || len > end - off) {
            return gap == NULL ? 0 : gap(arg, off);
        }
        err = fn(arg, off, &head, len);
        if (err != 0) {
            return err;
        }
        off += len;
    }
    return 0;
}

int pk_scan(struct pk_store *store, pk_scan_fn fn, pk_scan_gap_fn gap,
            void *arg)
{
    const struct pk_control *control = &store->control;
    uint64_t start = control->suffix_start;
    int err = 0;

    for (uint64_t i = 0; i < store->prefix.n_records && err == 0; i++) {
        struct pk_range_record r;

        err = pk_sparse_record(&store->prefix, i, &r);
        if (err == 0) {
            err = scan_piece(store, r.off, r.off + r.len, fn, gap, arg);
        }
    }
    for (size_t i = 0; i < store->suffix.n_chunks && err == 0; i++) {
        const struct pk_chunk *chunk = &store->suffix.chunks[i];
        uint64_t from = chunk->soff;
        uint64_t to = chunk->soff + chunk->len;

        from = from < control->dead ? control->dead : from;
        if (from < to) {
            err = scan_piece(store, start + from - control->dead,
                             start + to - control->dead, fn, gap, arg);
        }
    }
    return err;
}
