/* SPDX-License-Identifier: ISC */
/*
 * Marking: from its roots a pass visits all that they reach, from the highest
 * offset down (spec 8.4). For the prefix the roots are the commits to keep:
 * their trees are live, and of each of their parents the bare entry. For the
 * lower layer all ancestors and their trees are live, as far as they are in
 * the suffix.
 *
 * An entry is decoded where it stands, a reference at a time, through one
 * block of memory, however many bindings it has and however long their names
 * are. What it says is not verified but in its form; references that do not
 * fit are corruption, and a collection of a corrupted store gives up.
 *
 * If there are more references than the work list remembers, then the lowest
 * are not. When the pass has come to where that begins, all that it has taken
 * stands in the mapping: it looks at that once more, and at the roots, for
 * references to what is below, and goes on. That can happen more than once,
 * and each time takes it further down by as much as memory holds.
 *
 * References point to smaller offsets. Entries of V1 may break that rule: what
 * they refer to ahead of them is set down, and when the pass has come to its
 * end it begins again, with these among its roots.
 */
#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/checked.h"
#include "pack/gc.h"
#include "pack/inode.h"
#include "pack/objects.h"

enum { MARK_PEEK_LEN = 96 }; /* no reference is longer, its name aside */

static int mark_bad(struct pk_gc *gc, const char *what)
{
    return pk_store_fail(gc->store, NF_EC_ENTRY, gc->scan.off, what);
}

/* ---------------------------------------------------------------- reading */

/* Bring the block into memory that begins at from. False: pos is not in it. */
static bool mark_read(struct pk_gc *gc, uint64_t from, uint64_t pos,
                      int *ret_err)
{
    gc->block_len = 0;
    *ret_err = pk_store_read(gc->store, from, gc->block, PK_GC_BLOCK_LEN,
                             &gc->block_len);
    if (*ret_err != 0) {
        gc->block_len = 0;
        return false;
    }
    gc->io.read += gc->block_len;
    gc->block_off = from;
    return pos - from < gc->block_len;
}

/* The bytes at pos: MARK_PEEK_LEN of them, or all to the end of the range or
 * file that holds them. Blocks begin at multiples of their length if that can
 * be, since what is read next lies before. */
static int mark_peek(struct pk_gc *gc, uint64_t pos, struct pk_cursor *ret)
{
    uint64_t start = gc->store->control.suffix_start;
    uint64_t from = pos - pos % PK_GC_BLOCK_LEN;
    uint64_t at;
    int err = 0;

    if (pos >= start && from < start) {
        from = start;
    }
    if (pos - from + MARK_PEEK_LEN > PK_GC_BLOCK_LEN) {
        from = pos;
    }
    at = pos - gc->block_off;
    if (pos < gc->block_off || at + MARK_PEEK_LEN > gc->block_len) {
        if (!mark_read(gc, from, pos, &err) && from != pos) {
            (void)mark_read(gc, pos, pos, &err); /* err tells */
        }
        at = pos - gc->block_off;
    }
    if (err == 0) {
        *ret = pk_cursor_of(gc->block + at, gc->block_len - (size_t)at);
    }
    return err;
}

/* ------------------------------------------------------------- references */

bool pk_gc_keeps(const struct pk_gc *gc, uint64_t off)
{
    size_t lo = 0;
    size_t hi = gc->n_keep;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (gc->keep[mid] < off) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < gc->n_keep && gc->keep[lo] == off;
}

/* Is the commit at off, a parent of one that is kept, not there any more? Of a
 * reference to its entry nothing depends, so that this is no corruption. */
static int mark_is_gone(struct pk_gc *gc, uint64_t off, bool *ret)
{
    uint8_t byte;
    size_t got;
    int err = 0;

    if (gc->pass == PK_PASS_PREFIX && !pk_gc_keeps(gc, off)) {
        err = pk_store_read(gc->store, off, &byte, 1, &got);
        gc->io.read++;
    }
    *ret = err == NF_EC_NO_OBJECT;
    return *ret ? 0 : err;
}

/* A reference ahead of the entry, in a store of old. */
static int mark_late(struct pk_gc *gc, uint64_t off)
{
    int got;

    if (off == gc->scan.off || off >= pk_store_end(gc->store)) {
        return mark_bad(gc, "reference");
    }
    if (gc->late.n >= PK_GC_MAX_LATE) {
        return pk_fail_mem(&gc->store->ctx);
    }
    got = pk_seen_add(&gc->late, off);
    gc->late_new = gc->late_new || got > 0;
    return got < 0 ? got : 0;
}

/* The entry refers to this. What no index knows is passed over. */
static int mark_reference(struct pk_gc *gc, const struct pk_addr *addr,
                          bool commit)
{
    struct pk_store *store = gc->store;
    uint64_t low =
        gc->pass == PK_PASS_ARCHIVE ? store->control.suffix_start : 0;
    uint64_t off = addr->off;
    bool gone = false;
    uint8_t kind;
    int err = 0;

    if (addr->by_hash) {
        err = pk_object_find(store, &addr->hash, commit, &off, &kind);
        if (err == NF_EC_NO_OBJECT) {
            return 0;
        }
    }
    if (err != 0 || off < low || (gc->again.active && off >= gc->again.limit)) {
        return err;
    }
    if (commit && off < store->control.suffix_start) {
        err = mark_is_gone(gc, off, &gone);
        if (err != 0 || gone) {
            return err;
        }
    }
    if (off < gc->scan.off) {
        pk_gc_queue_push(&gc->queue, off);
        return 0;
    }
    if (!addr->by_hash && gc->scan.kind != 'I' && gc->scan.kind != 'N') {
        return mark_bad(gc, "reference ahead");
    }
    return mark_late(gc, off);
}

/* ---------------------------------------------------------------- entries */

/* Is the entry another kind of commit in the prefix than it is? */
static bool mark_changes_kind(const struct pk_gc *gc)
{
    return gc->pass == PK_PASS_PREFIX &&
           (gc->scan.kind == 'D' || gc->scan.kind == 'P') &&
           (gc->scan.kind == 'D') != pk_gc_keeps(gc, gc->scan.off);
}

/* The entry was visited. */
static int mark_end(struct pk_gc *gc, uint64_t end)
{
    struct pk_gc_scan *scan = &gc->scan;

    if ((scan->end != 0 && end > scan->end) ||
        end > (gc->again.active ? gc->again.end : gc->lowest)) {
        return mark_bad(gc, "length");
    }
    if (scan->end != 0) {
        end = scan->end;
    }
    scan->active = false;
    if (gc->again.active) {
        gc->again.pos = end;
        return 0;
    }
    gc->lowest = scan->off;
    gc->stats.objects += gc->pass == PK_PASS_PREFIX;
    if (scan->off >= gc->new_start && scan->off != gc->target) {
        gc->ahead = true;
        return 0;
    }
    return pk_gc_out_take(gc, scan->off, end, mark_changes_kind(gc));
}

static int mark_bad_at(struct pk_gc *gc, const struct pk_cursor *c,
                       const char *what)
{
    return c->bad ? mark_bad(gc, what) : 0;
}

/* The front of an inode's body. */
static int mark_inode_head(struct pk_gc *gc, struct pk_cursor *c)
{
    struct pk_gc_scan *scan = &gc->scan;
    uint8_t tag = pk_take_u8(c);

    scan->tree = tag == 1;
    if (scan->tree) {
        (void)pk_take_varint(c); /* depth */
        (void)pk_take_varint(c); /* length */
    }
    scan->left = pk_take_varint(c);
    if (tag > 1 || scan->left > gc->store->scheme.config.entries) {
        c->bad = true;
    }
    return mark_bad_at(gc, c, "inode");
}

/* Begin with the entry at off, which was popped. */
static int mark_begin(struct pk_gc *gc, uint64_t off)
{
    struct pk_gc_scan *scan = &gc->scan;
    size_t hash_len = gc->store->scheme.hash_len;
    struct pk_cursor c;
    struct pk_head head;
    int err;

    *scan = (struct pk_gc_scan){.active = true, .off = off};
    err = mark_peek(gc, off, &c);
    if (err != 0) {
        scan->active = false;
        if (err != NF_EC_NO_OBJECT) {
            return err;
        }
        return pk_store_fail(gc->store, NF_EC_UNRESOLVED, off, "reference");
    }
    if (!pk_head_decode(c.p, pk_cursor_left(&c), hash_len, &head) ||
        head.len > PK_INT63_MAX - off) {
        return mark_bad(gc, "entry");
    }
    scan->kind = head.kind;
    scan->end = head.len == 0 ? 0 : off + head.len;
    scan->pos = off + head.body;
    if (head.kind == 'B') {
        return mark_end(gc, scan->pos);
    }
    if (pk_kind_is_commit(head.kind)) {
        scan->at_root = true;
        scan->follow = gc->pass == PK_PASS_ARCHIVE || pk_gc_keeps(gc, off);
        return scan->follow || scan->end == 0 ? 0 : mark_end(gc, scan->pos);
    }
    (void)pk_take(&c, head.body);
    err = mark_inode_head(gc, &c);
    scan->pos = off + pk_cursor_pos(&c);
    return err;
}

/* Pass over boxed bytes, which need not be in memory. */
static void mark_skip_boxed(struct pk_gc *gc, struct pk_cursor *c)
{
    uint64_t len = pk_take_varint(c);

    gc->scan.pos += pk_cursor_pos(c) + len;
    if (gc->scan.end != 0 && gc->scan.pos > gc->scan.end) {
        c->bad = true;
    }
}

static struct pk_addr mark_take_hash(const struct pk_gc *gc,
                                     struct pk_cursor *c)
{
    struct pk_addr addr = {.by_hash = true};
    const uint8_t *hash = pk_take(c, gc->store->scheme.hash_len);

    if (hash != NULL) {
        memcpy(addr.hash.b, hash, gc->store->scheme.hash_len);
    }
    return addr;
}

/* The next binding or child of an inode (inode.h has the layout). */
static int mark_slot(struct pk_gc *gc)
{
    struct pk_gc_scan *scan = &gc->scan;
    size_t hash_len = gc->store->scheme.hash_len;
    struct pk_addr addr;
    struct pk_cursor c;
    uint8_t tag;
    int err = mark_peek(gc, scan->pos, &c);

    if (err != 0) {
        return err;
    }
    if (scan->tree) {
        (void)pk_take_varint(&c); /* index */
        addr = pk_take_addr(&c, hash_len);
    } else {
        tag = pk_take_u8(&c);
        if (tag >= 6 && tag <= 11) {
            mark_skip_boxed(gc, &c); /* the name */
            err = mark_bad_at(gc, &c, "name");
            if (err == 0) {
                err = mark_peek(gc, scan->pos, &c);
            }
            if (err != 0) {
                return err;
            }
        } else {
            (void)pk_take_varint(&c); /* the name's number */
        }
        addr = tag % 6 < 3 ? (struct pk_addr){.off = pk_take_int63(&c)}
                           : mark_take_hash(gc, &c);
        c.bad = c.bad || tag > 11;
    }
    scan->pos += pk_cursor_pos(&c);
    scan->left--;
    err = mark_bad_at(gc, &c, "inode");
    return err == 0 ? mark_reference(gc, &addr, false) : err;
}

static struct pk_addr mark_take_addr(const struct pk_gc *gc,
                                     struct pk_cursor *c)
{
    return gc->scan.kind == 'C' ? mark_take_hash(gc, c)
                                : pk_take_addr(c, gc->store->scheme.hash_len);
}

/* The end of a commit: date, author, message. */
static int mark_commit_end(struct pk_gc *gc)
{
    struct pk_cursor c;
    int err = mark_peek(gc, gc->scan.pos, &c);

    if (err == 0) {
        (void)pk_take_be64(&c);
        mark_skip_boxed(gc, &c);
        err = mark_bad_at(gc, &c, "commit");
    }
    if (err == 0) {
        err = mark_peek(gc, gc->scan.pos, &c);
    }
    if (err == 0) {
        mark_skip_boxed(gc, &c);
        err = mark_bad_at(gc, &c, "commit");
    }
    return err == 0 ? mark_end(gc, gc->scan.pos) : err;
}

/* The root of a commit, or its next parent, or its end. */
static int mark_commit(struct pk_gc *gc)
{
    struct pk_gc_scan *scan = &gc->scan;
    struct pk_addr addr;
    struct pk_cursor c;
    bool parent = !scan->at_root;
    int err;

    if (parent && scan->left == 0) {
        return mark_commit_end(gc);
    }
    err = mark_peek(gc, scan->pos, &c);
    if (err != 0) {
        return err;
    }
    addr = mark_take_addr(gc, &c);
    if (parent) {
        scan->left--;
    } else {
        scan->left = pk_take_varint(&c);
        scan->at_root = false;
    }
    scan->pos += pk_cursor_pos(&c);
    err = mark_bad_at(gc, &c, "commit");
    if (err == 0 && scan->follow) {
        err = mark_reference(gc, &addr, parent);
    }
    return err;
}

/* ------------------------------------------------------------------- pass */

void pk_gc_mark_begin(struct pk_gc *gc)
{
    uint64_t end = pk_store_end(gc->store);

    pk_gc_queue_reset(&gc->queue, end);
    pk_gc_out_restart(pk_gc_out_now(gc));
    gc->scan.active = false;
    gc->lowest = end;
    gc->n_roots = 0;
    gc->again.active = false;
    gc->late_new = false;
    gc->ahead = false;
    gc->block_len = 0;
    gc->stats.objects = 0;
    gc->state = PK_STATE_ROOTS;
}

static void mark_push_root(struct pk_gc *gc, uint64_t off)
{
    if (off < gc->queue.at) {
        pk_gc_queue_push(&gc->queue, off);
    }
}

/* The next root: commits to keep, then what was referred to from below. */
static int mark_root(struct pk_gc *gc)
{
    size_t i = gc->n_roots++;

    if (i < gc->n_keep) {
        if (gc->pass == PK_PASS_PREFIX ||
            gc->keep[i] >= gc->store->control.suffix_start) {
            mark_push_root(gc, gc->keep[i]);
        }
    } else if (i - gc->n_keep < gc->late.n_slots) {
        uint64_t slot = gc->late.slots[i - gc->n_keep];

        if (slot != 0) {
            mark_push_root(gc, slot - 1);
        }
    } else {
        gc->state = gc->again.active ? PK_STATE_AGAIN : PK_STATE_MARK;
    }
    return 1;
}

/* Look at what was taken again, for what is below the floor. */
static int mark_again(struct pk_gc *gc)
{
    uint64_t limit = gc->queue.far.floor;
    int err;

    if (gc->ahead) { /* not among what was taken: V1, and damaged at that */
        return pk_fail_mem(&gc->store->ctx);
    }
    err = pk_gc_out_sync(gc);
    if (err != 0) {
        return err;
    }
    pk_gc_queue_reset(&gc->queue, limit);
    gc->again = (struct pk_gc_again){.active = true, .limit = limit};
    gc->n_roots = 0;
    gc->stats.looks++;
    gc->state = PK_STATE_ROOTS;
    return 1;
}

/* The next entry of those taken. */
static int mark_next_taken(struct pk_gc *gc)
{
    struct pk_gc_again *again = &gc->again;
    struct pk_range_record range;
    int got;

    if (again->pos < again->end) {
        got = mark_begin(gc, again->pos);
        return got == 0 ? 1 : got;
    }
    got = pk_gc_out_range(gc, again->next++, &range);
    if (got > 0) {
        again->pos = range.off;
        again->end = range.off + range.len;
    } else if (got == 0) {
        again->active = false;
        gc->state = PK_STATE_MARK;
    }
    return got < 0 ? got : 1;
}

/* Nothing is left to be visited, or to be remembered. */
static int mark_done(struct pk_gc *gc)
{
    int err;

    if (gc->late_new) {
        pk_gc_mark_begin(gc);
        return 1;
    }
    if (gc->queue.far.floor > 0) {
        return mark_again(gc);
    }
    err = pk_gc_out_end(gc);
    return err < 0 ? err : 0;
}

/* On to the next entry. */
static int mark_next(struct pk_gc *gc)
{
    uint64_t off;
    int err;

    if (gc->state == PK_STATE_AGAIN) {
        return mark_next_taken(gc);
    }
    if (!pk_gc_queue_pop(&gc->queue, &off)) {
        return mark_done(gc);
    }
    err = mark_begin(gc, off);
    return err == 0 ? 1 : err;
}

int pk_gc_mark(struct pk_gc *gc)
{
    int err;

    if (gc->state == PK_STATE_ROOTS) {
        return mark_root(gc);
    }
    if (!gc->scan.active) {
        return mark_next(gc);
    }
    if (pk_kind_is_commit(gc->scan.kind)) {
        err = mark_commit(gc);
    } else if (gc->scan.left > 0) {
        err = mark_slot(gc);
    } else if (gc->scan.end != 0 && gc->scan.pos != gc->scan.end) {
        err = mark_bad(gc, "inode");
    } else {
        err = mark_end(gc, gc->scan.pos);
    }
    return err == 0 ? 1 : err;
}
