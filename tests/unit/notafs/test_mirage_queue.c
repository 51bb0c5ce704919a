/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/prng.h"
#include "notafs/mirage_int.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

/* ---- Queues made by hand -------------------------------------------- */

static struct nf_frame *make_node(struct nf *nf, struct nf_slot slot,
                                  uint32_t height, uint32_t count)
{
    struct nf_frame *frame;
    assert_ok(nf_cache_new(nf, slot, NF_KIND_QUEUE, &frame));
    mirage_set_head(NF_KIND_QUEUE, frame->data, height, count);
    return frame;
}

/* Leak what is free in the queue, so that another one can be made. */
static void forget_queue(struct nf *nf)
{
    struct nf_space *space = &nf->space;
    assert_ok(nf_mirage_tree_free(nf, &nf->mirage->queue.root, NF_KIND_QUEUE));
    space->queue_pages = 0;
    space->n_tail = 0;
    space->n_recycle = 0;
    space->recycle_pages = 0;
}

/* A leaf of the next `count` of the pages. */
static void make_leaf(struct nf *nf, struct nf_slot slot, uint32_t count,
                      struct nf_extent *pages)
{
    struct nf_frame *leaf = make_node(nf, slot, 0, count);
    for (uint32_t i = 0; i < count; i++) {
        struct nf_extent one = {pages->first, 1};
        ck_assert_uint_gt(pages->count, 0);
        nf_mirage_range_put(nf, leaf->data, i, &one);
        pages->first++;
        pages->count--;
    }
    nf_cache_unpin(leaf);
}

/*
 * The left-deep chain that OCaml Notafs builds: below each node the one that
 * was the root before, and then leaves. Each leaf has 3 of the pages, each a
 * range of its own. Returns how many pages are in it.
 */
static uint64_t make_chain(struct nf *nf, uint32_t levels)
{
    struct nf_mirage *m = nf->mirage;
    struct nf_extent pages = {0, 0};
    struct nf_slot slot = nf_slot_root(&m->queue.root);
    struct nf_frame *parent = NULL;
    struct nf_extent run;
    uint64_t n = (uint64_t)levels * 6 + 3;
    forget_queue(nf);
    while (pages.count < n) {
        assert_ok(nf_space_alloc_run(nf, n - pages.count, &run));
        pages.first = pages.count == 0 ? run.first : pages.first;
        ck_assert_uint_eq(run.first, pages.first + pages.count);
        pages.count += run.count;
    }
    for (uint32_t i = 0; i < levels; i++) {
        struct nf_frame *node = make_node(nf, slot, 200 - i, 3);
        make_leaf(nf, mirage_slot(nf, node, 1), 3, &pages);
        make_leaf(nf, mirage_slot(nf, node, 2), 3, &pages);
        nf_cache_unpin(parent);
        slot = mirage_slot(nf, node, 0);
        parent = node;
    }
    make_leaf(nf, slot, 3, &pages);
    nf_cache_unpin(parent);
    nf->space.queue_pages += n;
    nf->space.pushed += n;
    nf_mirage_queue_reset(nf, &m->queue.root);
    return n;
}

/* ---- Trees ---------------------------------------------------------- */

/* Chains of uneven height are read to the last page, and used up. */
START_TEST(deep_chains_are_used_up)
{
    static uint8_t bytes[600];
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 700, NF_CHECKSUM_DEFAULT);
    disk.cache_bytes = 128 * 512;
    mirage_disk_remount(&disk);
    struct nf *nf = disk.nf;
    assert_ok(nf_mkdir(nf, nf_path("d"))); /* begins a transaction */
    make_chain(nf, 60);
    assert_ok(nf_sync(nf));
    mirage_disk_remount(&disk);
    uint64_t pages = disk.nf->space.queue_pages;
    ck_assert_uint_gt(pages, 300);
    for (unsigned i = 0; i < 300; i++) {
        char path[16];
        snprintf(path, sizeof(path), "f%u", i);
        int err = mirage_disk_put(&disk, path, bytes, sizeof(bytes));
        if (err != 0) {
            assert_err(err, NF_ENOSPC);
            break;
        }
        assert_ok(nf_sync(disk.nf));
    }
    ck_assert_uint_eq(disk.nf->space.free_start, 700);
    ck_assert_uint_lt(disk.nf->space.queue_pages, pages / 2);
    mirage_disk_remount(&disk);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(too_deep_for_the_cache_is_told)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 700, NF_CHECKSUM_DEFAULT);
    disk.cache_bytes = 128 * 512;
    mirage_disk_remount(&disk);
    assert_ok(nf_mkdir(disk.nf, nf_path("d")));
    make_chain(disk.nf, 40);
    assert_ok(nf_sync(disk.nf));
    disk.cache_bytes = 16 * 512;
    mirage_disk_unmount(&disk);
    assert_err(mirage_disk_mount(&disk), NF_EC_CACHE_SMALL);
    disk.flags = NF_MOUNT_READONLY;
    assert_ok(mirage_disk_mount(&disk));
    mirage_disk_unmount(&disk);
    disk.flags = 0;
    disk.cache_bytes = 60 * 512;
    assert_ok(mirage_disk_mount(&disk));
    assert_ok(mirage_disk_put(&disk, "f", "x", 1));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_close(&disk);
}
END_TEST

/* Many single pages: the queue gets several levels, is exact, and shrinks. */
START_TEST(many_ranges)
{
    static uint8_t bytes[508];
    struct prng prng = prng_seed(1);
    const unsigned n_files = 12000;
    struct mirage_disk disk;
    uint32_t depth = 0;
    mirage_disk_open(&disk, 512, 18000, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < n_files; i++) {
        char path[16];
        snprintf(path, sizeof(path), "f%u", i);
        assert_ok(mirage_disk_put(&disk, path, bytes, sizeof(bytes)));
    }
    assert_ok(nf_sync(disk.nf));
    for (unsigned i = 0; i < n_files; i += 2) {
        char path[16];
        snprintf(path, sizeof(path), "f%u", i);
        assert_ok(nf_remove(disk.nf, nf_path(path), 0));
    }
    assert_ok(nf_sync(disk.nf));
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_remount(&disk);
    ck_assert_uint_gt(disk.nf->space.queue_pages, n_files / 2);
    /* every page of it in turn */
    for (unsigned i = 0; i < 300; i++) {
        char path[16];
        snprintf(path, sizeof(path), "f%u",
                 1 + 2 * (unsigned)prng_below(&prng, n_files / 2));
        for (unsigned k = 0; k < 40; k++) {
            assert_ok(mirage_disk_put(&disk, path, bytes, sizeof(bytes)));
            snprintf(path, sizeof(path), "f%u",
                     1 + 2 * (unsigned)prng_below(&prng, n_files / 2));
        }
        assert_ok(nf_sync(disk.nf));
        depth = disk.nf->mirage->queue.depth > depth
                    ? disk.nf->mirage->queue.depth
                    : depth;
    }
    ck_assert_uint_eq(disk.nf->space.free_start, 18000);
    ck_assert_uint_ge(depth, 1);
    ck_assert_uint_le(depth, 4);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Damage --------------------------------------------------------- */

/* A queue that claims pages that were never used, or more pages than there
 * are, is refused. */
START_TEST(ranges_beyond_what_was_used_are_refused)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_NONE);
    assert_ok(mirage_disk_put(&disk, "f", "1", 1));
    assert_ok(nf_sync(disk.nf));
    assert_ok(mirage_disk_put(&disk, "f", "2", 1));
    assert_ok(nf_sync(disk.nf));
    uint64_t generation = disk.nf->generation;
    uint64_t page = disk.nf->mirage->queue.root.id;
    uint8_t copy[512];
    mirage_disk_unmount(&disk);
    memcpy(copy, bd_fault_page(disk.fault, page), 512);
    nf_put_le16(copy + 3, 299); /* the first page of the first range */
    nf_put_le32(copy + 5, 1);
    bd_fault_store(disk.fault, page, copy);
    assert_ok(mirage_disk_mount(&disk));
    ck_assert_uint_lt(disk.nf->generation, generation);
    mirage_disk_expect(&disk, "f", "1", 1);
    mirage_disk_close(&disk);
}
END_TEST

/* Inner nodes that share children have more leaves than the disk has pages. */
START_TEST(shared_children_do_not_hang)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_NONE);
    struct nf *nf = disk.nf;
    assert_ok(mirage_disk_put(&disk, "f", "1", 1));
    assert_ok(nf_sync(nf));
    assert_ok(mirage_disk_put(&disk, "f", "2", 1));
    struct nf_ptr below = {.id = 0};
    for (uint32_t height = 0; height < 12; height++) {
        struct nf_ptr *root = &nf->mirage->raised;
        struct nf_slot slot = nf_slot_root(root);
        struct nf_frame *node =
            make_node(nf, slot, height, height == 0 ? 0 : 100);
        for (uint32_t i = 0; height > 0 && i < 100; i++) {
            nf_slot_put(nf, mirage_slot(nf, node, i), &below);
        }
        nf_cache_unpin(node);
        nf_cache_seal(nf);
        below = *root;
    }
    forget_queue(nf);
    nf_mirage_queue_reset(nf, &below);
    assert_ok(nf_inodes_flush(nf));
    assert_ok(nf_mirage_table_flush(nf));
    nf_cache_seal(nf);
    assert_ok(nf_cache_write(nf, 0, NULL));
    /* the leaf by hand: publishing would look for room in that tree */
    struct mirage_leaf leaf = nf->mirage->leaf;
    uint8_t page[512];
    leaf.generation++;
    leaf.page = nf->mirage->roots[leaf.root].slots[leaf.slot + 1];
    leaf.queue = below;
    leaf.table = nf->mirage->table.root;
    leaf.free_start = nf->space.free_start;
    nf_mirage_leaf_put(&nf->mirage->geo, nf->disk.uid, &leaf, page);
    bd_fault_store(disk.fault, leaf.page, page);
    uint64_t generation = nf->generation;
    mirage_disk_remount(&disk);
    ck_assert_uint_eq(disk.nf->generation, generation);
    mirage_disk_close(&disk);
}
END_TEST

UNIT_MAIN("notafs/mirage_queue", deep_chains_are_used_up,
          too_deep_for_the_cache_is_told, many_ranges,
          ranges_beyond_what_was_used_are_refused, shared_children_do_not_hang)
