/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "host/prng.h"
#include "notafs/mirage_int.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

/* ---- Trees made by hand --------------------------------------------- */

/* A node of that height, writable and pinned. */
static struct nf_frame *make_node(struct nf *nf, struct nf_slot slot,
                                  uint32_t height, uint32_t count)
{
    struct nf_frame *frame;
    assert_ok(nf_cache_new(nf, slot, NF_KIND_ROPE, &frame));
    mirage_set_head(NF_KIND_ROPE, frame->data, height, count);
    return frame;
}

/* Child i of a node: a leaf of len bytes c. */
static void add_leaf(struct nf *nf, struct nf_frame *parent, uint32_t i,
                     uint32_t len, int c)
{
    struct nf_frame *leaf = make_node(nf, mirage_slot(nf, parent, i), 0, len);
    uint32_t before = i > 0 ? mirage_key(nf, parent->data, i - 1) : 0;
    memset(leaf->data + MIRAGE_ROPE_HEAD, c, len);
    nf_cache_unpin(leaf);
    mirage_key_put(nf, parent->data, i, before + len);
}

/* The rope of a new file, to be made by hand. */
static struct nf_rope *new_rope(struct mirage_disk *disk, const char *name)
{
    assert_ok(mirage_disk_put(disk, name, "", 0));
    assert_ok(nf_sync(disk->nf));
    assert_ok(nf_set_mtime(disk->nf, nf_path(name), (struct nf_time){1, 0}));
    struct mirage_entry *entry =
        nf_mirage_names_find(disk->nf, NF_ROOT_DIR, name, strlen(name));
    ck_assert_ptr_nonnull(entry);
    assert_ok(nf_page_free(disk->nf, &entry->empty));
    memset(&entry->empty, 0, sizeof(entry->empty));
    return &entry->rec.rope;
}

/* The rope is made. */
static void commit_rope(struct mirage_disk *disk)
{
    for (struct nf_inode *i = disk->nf->inodes; i != NULL; i = i->next) {
        i->dirty = false; /* what it knows of the rope is not true any more */
    }
    assert_ok(nf_sync(disk->nf));
}

/*
 * As OCaml Notafs leaves them: a root of height 3, its children of height 2, 0
 * and 0; leaves that are not full, one without a byte. 508 bytes a, 100 b,
 * none, 508 c, 7 d. Leads entry->rec.rope to it.
 */
static void make_uneven(struct mirage_disk *disk, const char *name)
{
    struct nf *nf = disk->nf;
    struct nf_rope *rope = new_rope(disk, name);
    struct nf_slot slot = nf_slot_root(&rope->root);
    struct nf_frame *root = make_node(nf, slot, 3, 3);
    struct nf_frame *node = make_node(nf, mirage_slot(nf, root, 0), 2, 3);
    add_leaf(nf, node, 0, 508, 'a');
    add_leaf(nf, node, 1, 100, 'b');
    add_leaf(nf, node, 2, 0, 0);
    nf_cache_unpin(node);
    mirage_key_put(nf, root->data, 0, 608);
    add_leaf(nf, root, 1, 508, 'c');
    add_leaf(nf, root, 2, 7, 'd');
    nf_cache_unpin(root);
    rope->size = 608 + 508 + 7;
    commit_rope(disk);
    mirage_disk_remount(disk);
    ck_assert_uint_eq(mirage_disk_check(disk), 0);
}

static void expected_uneven(uint8_t *bytes)
{
    memset(bytes, 'a', 508);
    memset(bytes + 508, 'b', 100);
    memset(bytes + 608, 'c', 508);
    memset(bytes + 1116, 'd', 7);
}

START_TEST(uneven_ropes_are_read)
{
    uint8_t want[1123];
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    make_uneven(&disk, "f");
    expected_uneven(want);
    mirage_disk_expect(&disk, "f", want, sizeof(want));
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(uneven_ropes_are_changed)
{
    uint8_t want[6000];
    struct mirage_disk disk;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    make_uneven(&disk, "f");
    expected_uneven(want);
    memset(want + 1123, 'e', sizeof(want) - 1123);
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_ok(nf_append(file, want + 1123, sizeof(want) - 1123));
    memset(want + 500, 'X', 200);
    assert_ok(nf_write(file, 500, want + 500, 200));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_expect(&disk, "f", want, sizeof(want));
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    nf_close(file);
    for (size_t len = 1300; len > 0; len -= 100) {
        struct mirage_disk again;
        mirage_disk_open(&again, 512, 300, NF_CHECKSUM_DEFAULT);
        make_uneven(&again, "f");
        expected_uneven(want);
        memset(want + 1123, 0, 300);
        assert_ok(nf_open(again.nf, nf_path("f"), 0, &file));
        assert_ok(nf_truncate(file, len));
        nf_close(file);
        assert_ok(nf_sync(again.nf));
        mirage_disk_expect(&again, "f", want, len);
        ck_assert_uint_eq(mirage_disk_check(&again), 0);
        mirage_disk_close(&again);
    }
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Hostile ropes -------------------------------------------------- */

/* Reading and changing the file fail, and the disk stays usable. */
static void expect_refused(struct mirage_disk *disk, const char *name, int want)
{
    struct nf_file *file;
    uint8_t byte;
    size_t len;
    disk->flags = NF_MOUNT_NO_VERIFY;
    mirage_disk_remount(disk);
    assert_ok(nf_open(disk->nf, nf_path(name), 0, &file));
    assert_err(nf_read(file, 0, &byte, 1, &len), want);
    assert_err(nf_write(file, 0, "y", 1), want);
    nf_close(file);
    assert_ok(nf_abort(disk->nf));
    assert_ok(mirage_disk_put(disk, "other", "o", 1));
    assert_ok(nf_sync(disk->nf));
    mirage_disk_expect(disk, "other", "o", 1);
}

/* A root of that height above a leaf of len bytes, with that key. */
static void make_wrong(struct mirage_disk *disk, const char *name,
                       uint32_t height, uint32_t leaf_height, uint32_t key)
{
    struct nf *nf = disk->nf;
    struct nf_rope *rope = new_rope(disk, name);
    struct nf_slot slot = nf_slot_root(&rope->root);
    struct nf_frame *root = make_node(nf, slot, height, 1);
    add_leaf(nf, root, 0, 50, 'a');
    mirage_key_put(nf, root->data, 0, key);
    struct nf_ptr ptr;
    nf_slot_get(nf, mirage_slot(nf, root, 0), &ptr);
    struct nf_frame *leaf = nf_cache_peek(nf, ptr.id);
    mirage_set_head(NF_KIND_ROPE, leaf->data, leaf_height, 50);
    if (leaf_height > 0) {
        /* its children, too, are something */
        mirage_set_count(NF_KIND_ROPE, leaf->data, 1);
        mirage_key_put(nf, leaf->data, 0, key);
        struct nf_ptr self = {.id = ptr.id};
        nf_slot_put(nf, mirage_slot(nf, leaf, 0), &self);
    }
    nf_cache_unpin(leaf);
    nf_cache_unpin(root);
    rope->size = key;
    commit_rope(disk);
}

START_TEST(sizes_must_fit)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    make_wrong(&disk, "f", 1, 0, 51);
    expect_refused(&disk, "f", NF_EC_NODE);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(heights_must_decrease)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_NONE);
    make_wrong(&disk, "f", 2, 2, 50);
    expect_refused(&disk, "f", NF_EC_NODE);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Limits --------------------------------------------------------- */

START_TEST(too_large_is_refused_beforehand)
{
    struct mirage_disk disk;
    struct nf_file *file;
    struct nf_stat st;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "f", "abc", 3));
    assert_ok(nf_sync(disk.nf));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_err(nf_write(file, INT32_MAX, "x", 1), NF_EFBIG);
    assert_err(nf_write(file, UINT64_MAX, "x", 1), NF_EFBIG);
    assert_err(nf_truncate(file, (uint64_t)INT32_MAX + 1), NF_EFBIG);
    ck_assert(!nf_is_dirty(disk.nf));
    /* there is no room for it, but it is not too large */
    assert_err(nf_write(file, INT32_MAX - 1, "x", 1), NF_ENOSPC);
    assert_err(nf_truncate(file, INT32_MAX), NF_ENOSPC);
    struct nf_rope rope = {.size = 3};
    assert_err(disk.nf->format->rope_write(disk.nf, &rope, INT32_MAX,
                                           (const uint8_t *)"x", 1),
               NF_EFBIG);
    assert_ok(nf_fstat(file, &st));
    ck_assert_uint_eq(st.size, 3);
    nf_close(file);
    mirage_disk_expect(&disk, "f", "abc", 3);
    mirage_disk_close(&disk);
}
END_TEST

/* A device that does not store pages of zeros, nor leaves full of them. */
#define SPARSE_PAGES 540000
#define SPARSE_SIZE  4096

struct sparse {
    uint8_t *pages[SPARSE_PAGES]; /* NULL: zeros */
    uint8_t zero[SPARSE_SIZE];
    uint8_t leaf[SPARSE_SIZE];
};

static int sparse_submit(void *dev, const struct bd_request *reqs, size_t n)
{
    struct sparse *sparse = dev;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < reqs[i].range.count; k++) {
            uint8_t **page = &sparse->pages[reqs[i].range.first + k];
            if (reqs[i].in != NULL) {
                memcpy(reqs[i].in + (size_t)k * SPARSE_SIZE,
                       *page == NULL ? sparse->zero : *page, SPARSE_SIZE);
                continue;
            }
            const uint8_t *out = reqs[i].out + (size_t)k * SPARSE_SIZE;
            if (*page != sparse->leaf) {
                free(*page);
            }
            *page = NULL;
            if (memcmp(out, sparse->leaf, SPARSE_SIZE) == 0) {
                *page = sparse->leaf;
            } else if (memcmp(out, sparse->zero, SPARSE_SIZE) != 0) {
                *page = malloc(SPARSE_SIZE);
                ck_assert_ptr_nonnull(*page);
                memcpy(*page, out, SPARSE_SIZE);
            }
        }
    }
    return 0;
}

static int sparse_flush(void *dev)
{
    (void)dev;
    return 0;
}

START_TEST(the_largest_file)
{
    static const struct bd_ops ops = {sparse_submit, sparse_flush, NULL};
    const struct bd_geometry geo = {.page_count = SPARSE_PAGES,
                                    .page_size = SPARSE_SIZE,
                                    .caps = BD_CAP_FLUSH};
    const struct nf_format_options options = {.profile = NF_PROFILE_MIRAGE};
    const struct nf_mount_options fast = {.cache_bytes = 65536,
                                          .flags = NF_MOUNT_NO_VERIFY};
    struct sparse *sparse = calloc(1, sizeof(*sparse));
    ck_assert_ptr_nonnull(sparse);
    nf_put_le16(sparse->leaf + 2, SPARSE_SIZE - 4);
    struct mirage_disk disk;
    struct nf_file *file;
    struct nf_stat st;
    struct bd bd;
    uint8_t bytes[100];
    size_t len;
    memset(&disk, 0, sizeof(disk));
    mem_fault_init(&disk.mem);
    assert_ok(bd_init(&bd, &ops, sparse, &geo));
    assert_ok(nf_format(&bd, &disk.mem.env, &options));
    assert_ok(nf_mount(&bd, &disk.mem.env, &fast, &disk.nf));
    assert_ok(mirage_disk_put(&disk, "f", "start", 5));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_ok(nf_write(file, (uint64_t)INT32_MAX - 3, "end", 3));
    assert_err(nf_append(file, "x", 1), NF_EFBIG);
    assert_ok(nf_sync(disk.nf));
    nf_close(file);
    mirage_disk_unmount(&disk);
    assert_ok(nf_mount(&bd, &disk.mem.env, &fast, &disk.nf));
    assert_ok(nf_stat(disk.nf, nf_path("f"), &st));
    ck_assert_uint_eq(st.size, INT32_MAX);
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_ok(nf_read(file, 0, bytes, 6, &len));
    ck_assert_mem_eq(bytes, "start", 6);
    assert_ok(nf_read(file, (uint64_t)INT32_MAX - 8, bytes, 100, &len));
    ck_assert_uint_eq(len, 8);
    ck_assert_mem_eq(bytes, "\0\0\0\0\0end", 8);
    assert_ok(nf_truncate(file, 1000000000));
    assert_ok(nf_truncate(file, 5));
    assert_ok(nf_sync(disk.nf));
    nf_close(file);
    mirage_disk_expect(&disk, "f", "start", 5);
    /* 64 KiB of cache, and little else */
    ck_assert_uint_lt(disk.mem.peak_bytes, 120000);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_unmount(&disk);
    ck_assert_uint_eq(disk.mem.live_bytes, 0);
    for (size_t i = 0; i < SPARSE_PAGES; i++) {
        if (sparse->pages[i] != sparse->leaf) {
            free(sparse->pages[i]);
        }
    }
    free(sparse);
}
END_TEST

/* A write never takes more than was asked for beforehand. */
START_TEST(need_is_enough)
{
    static uint8_t bytes[300000];
    struct prng prng = prng_seed(4);
    struct mirage_disk disk;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 20000, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "f", "", 0));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    for (unsigned i = 0; i < 300; i++) {
        struct nf_rope *rope = &file->inode->rec.rope;
        uint64_t size = rope->size;
        uint64_t off = prng_below(&prng, size + 2000);
        uint64_t len = prng_below(&prng, i % 3 == 0 ? sizeof(bytes) : 2000);
        uint64_t need = disk.nf->format->rope_need(disk.nf, rope, off, len);
        uint64_t before = nf_space_free_pages(disk.nf);
        assert_ok(disk.nf->format->rope_write(disk.nf, rope, off, bytes, len));
        ck_assert(nf_space_free_pages(disk.nf) + need >= before);
        assert_ok(nf_inode_changed(disk.nf, file->inode));
        assert_ok(nf_sync(disk.nf));
        if (rope->size > 3000000) {
            assert_ok(nf_truncate(file, prng_below(&prng, 5000)));
            assert_ok(nf_sync(disk.nf));
        }
    }
    nf_close(file);
    mirage_disk_close(&disk);
}
END_TEST

/* Nodes are added so that the tree stays low, and its pages are full. */
START_TEST(appended_files_are_compact)
{
    static uint8_t bytes[700];
    struct mirage_disk disk;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 8000, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "f", "", 0));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    for (unsigned i = 0; i < 3000; i++) {
        assert_ok(nf_append(file, bytes, sizeof(bytes)));
        if (i % 500 == 0) {
            assert_ok(nf_sync(disk.nf));
        }
    }
    nf_close(file);
    assert_ok(nf_sync(disk.nf));
    /* 2.1 MB: 4134 leaves, 83 nodes of 50, 2 above them, a root */
    uint64_t used = 8000 - nf_space_free_pages(disk.nf);
    ck_assert_uint_ge(used, 4134 + 83 + 2 + 1);
    ck_assert_uint_le(used, 4134 + 83 + 2 + 1 + 5 + 8 + 10);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(seeks_find_no_holes)
{
    struct mirage_disk disk;
    struct nf_file *file;
    uint64_t at;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "f", "abc", 3));
    assert_ok(nf_open(disk.nf, nf_path("f"), 0, &file));
    assert_ok(nf_write(file, 5000, "x", 1));
    assert_ok(nf_seek_data(file, 100, &at));
    ck_assert_uint_eq(at, 100);
    assert_ok(nf_seek_hole(file, 100, &at));
    ck_assert_uint_eq(at, 5001);
    assert_err(nf_seek_data(file, 5001, &at), NF_ERANGE);
    assert_err(nf_punch(file, 0, 100), NF_ENOTSUP);
    nf_close(file);
    mirage_disk_close(&disk);
}
END_TEST

UNIT_MAIN("notafs/mirage_rope", uneven_ropes_are_read, uneven_ropes_are_changed,
          sizes_must_fit, heights_must_decrease,
          too_large_is_refused_beforehand, the_largest_file, need_is_enough,
          appended_files_are_compact, seeks_find_no_holes)
