/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/prng.h"
#include "notafs/mirage_int.h"
#include "tests/support/mirage_disk.h"
#include "tests/support/unit.h"

/* ---- Tables made by hand -------------------------------------------- */

struct bytes {
    uint8_t p[200000];
    size_t len;
};

static void add(struct bytes *b, const void *p, size_t len)
{
    ck_assert_uint_le(b->len + len, sizeof(b->p));
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

static void add_u8(struct bytes *b, unsigned v)
{
    const uint8_t byte = (uint8_t)v;
    add(b, &byte, 1);
}

/* A name (less than 128 bytes) and the time with these bits. */
static void add_name(struct bytes *b, const char *name, uint64_t time)
{
    uint8_t be[8];
    nf_put_be64(be, time);
    add_u8(b, (unsigned)strlen(name));
    add(b, name, strlen(name));
    add(b, be, sizeof(be));
}

#define TIME 0x41d954fc40000000 /* 1700000000.0 */

/* A disk of two byte ids whose table is these bytes, mounted again. */
static int mount_table(struct mirage_disk *disk, const struct bytes *b)
{
    struct nf *nf = disk->nf;
    struct nf_mirage *m = nf->mirage;
    assert_ok(nf_mkdir(nf, nf_path("dir")));
    assert_ok(nf_inodes_flush(nf));
    assert_ok(nf_mirage_rope_free(nf, &m->table));
    assert_ok(nf_mirage_rope_write(nf, &m->table, 0, b->p, b->len));
    m->table_dirty = false;
    nf_inodes_drop(nf);
    assert_ok(nf_sync(nf));
    uint64_t generation = nf->generation;
    mirage_disk_unmount(disk);
    int err = mirage_disk_mount(disk);
    if (err == 0 && disk->nf->generation != generation) {
        err = NF_EC_TABLE; /* fell back to the one before */
    }
    return err;
}

static int try_table(const struct bytes *b)
{
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 1000, NF_CHECKSUM_DEFAULT);
    int err = mount_table(&disk, b);
    mirage_disk_close(&disk);
    return err;
}

START_TEST(accepts_a_table_in_any_order)
{
    static struct bytes b;
    struct mirage_disk disk;
    struct nf_stat st;
    b.len = 0;
    add(&b, "\0\3", 2);
    add_name(&b, "b", TIME);
    add(&b, "\0\1", 2);
    add_name(&b, "x", TIME + 1);
    add(&b, "\0\0", 2);
    add_name(&b, "c", TIME);
    add(&b, "\0\0", 2);
    add_name(&b, "a", TIME);
    add(&b, "\0\0", 2);
    mirage_disk_open(&disk, 512, 1000, NF_CHECKSUM_DEFAULT);
    assert_ok(mount_table(&disk, &b));
    assert_ok(nf_stat(disk.nf, nf_path("b/x"), &st));
    ck_assert_int_eq(st.type, NF_TYPE_DIR);
    ck_assert_int_eq(st.mtime.sec, 1700000000);
    ck_assert_uint_eq(st.mtime.nsec, 238);
    assert_ok(nf_stat(disk.nf, nf_path("a"), &st));
    assert_ok(nf_stat(disk.nf, nf_path("c"), &st));
    mirage_disk_close(&disk);
}
END_TEST

/* Of entries of the same name the last one is meant; what was below the others
 * is not there. */
START_TEST(later_duplicates_win)
{
    static struct bytes b;
    struct mirage_disk disk;
    struct nf_stat st;
    struct nf_stats stats;
    b.len = 0;
    add(&b, "\0\2", 2);
    add_name(&b, "a", TIME);
    add(&b, "\0\1", 2);
    add_name(&b, "old", TIME);
    add(&b, "\0\1", 2);
    add_name(&b, "deeper", TIME);
    add(&b, "\0\0", 2);
    add_name(&b, "a", TIME);
    add(&b, "\0\1", 2);
    add_name(&b, "new", TIME);
    add(&b, "\0\0", 2);
    mirage_disk_open(&disk, 512, 1000, NF_CHECKSUM_DEFAULT);
    assert_ok(mount_table(&disk, &b));
    assert_ok(nf_stat(disk.nf, nf_path("a/new"), &st));
    assert_err(nf_stat(disk.nf, nf_path("a/old"), &st), NF_ENOENT);
    nf_stats(disk.nf, &stats);
    ck_assert_uint_eq(stats.dirs, 2);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(refuses_malformed_tables)
{
    const struct {
        const char *what;
        const char *bytes;
        size_t len;
    } cases[] = {
#define CASE(what, text) {what, text, sizeof(text) - 1}
#define MTIME            "\x41\xd9\x54\xfc\x40\0\0\0"
        CASE("the root is a file", "\1\x0e\0\1\2\3\4"),
        CASE("no count", "\0"),
        CASE("count is too great", "\0\x7f"),
        CASE("count without an end",
             "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        CASE("bytes behind the end", "\0\0\0"),
        CASE("ends in a name", "\0\1\5ab"),
        CASE("name as long as can be", "\0\1\xff\xff\xff\xff\x7f"
                                       "a"),
        CASE("no name", "\0\1\0" MTIME "\0\0"),
        CASE("slash in a name", "\0\1\3a/b" MTIME "\0\0"),
        CASE("ends in a time", "\0\1\1a\0\0\0"),
        CASE("not a number", "\0\1\1a\x7f\xf8\0\0\0\0\0\0\0\0"),
        CASE("year 10000", "\0\1\1a\x42\x4d\x7f\xfa\x20\xc0\0\0\0\0"),
        CASE("unknown kind", "\0\1\1a" MTIME "\2\0"),
        CASE("ends in a pointer", "\0\1\1a" MTIME "\1\x0e\0\1"),
        CASE("null pointer", "\0\1\1a" MTIME "\1\0\0\1\0\0\0"),
        CASE("pointer to a root page", "\0\1\1a" MTIME "\1\4\0\1\0\0\0"),
        CASE("pointer beyond the disk", "\0\1\1a" MTIME "\1\xff\x7f\1\0\0\0"),
        CASE("pointer with another checksum",
             "\0\1\1a" MTIME "\1\x05\0\1\0\0\0"),
    };
    static struct bytes b;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        b.len = 0;
        add(&b, cases[i].bytes, cases[i].len);
        ck_assert_msg(try_table(&b) == NF_EC_TABLE, "%s", cases[i].what);
    }
    b.len = 0;
    add(&b, "\0\1\1a" MTIME "\0\0", 14);
    assert_ok(try_table(&b));
}
END_TEST

/* Much deeper than a stack would be for it. */
START_TEST(deep_directories_need_no_stack)
{
    static struct bytes b;
    static char path[6002];
    const unsigned depth = 3000;
    struct mirage_disk disk;
    struct nf_stat st;
    b.len = 0;
    add(&b, "\0\1", 2);
    for (unsigned i = 0; i < depth; i++) {
        add_name(&b, "d", TIME);
        add(&b, "\0", 1);
        add_u8(&b, i + 1 < depth ? 1 : 0);
    }
    mirage_disk_open(&disk, 512, 3000, NF_CHECKSUM_DEFAULT);
    assert_ok(mount_table(&disk, &b));
    for (unsigned i = 0; i < depth; i++) {
        memcpy(path + 2 * i, "d/", 2);
    }
    assert_ok(nf_stat(disk.nf, nf_path(path), &st));
    assert_ok(mirage_disk_put(&disk, "f", "x", 1));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_remount(&disk);
    assert_ok(nf_stat(disk.nf, nf_path(path), &st));
    assert_ok(nf_remove(disk.nf, nf_path("d"), NF_REMOVE_RECURSIVE));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_remount(&disk);
    assert_err(nf_stat(disk.nf, nf_path("d"), &st), NF_ENOENT);
    mirage_disk_expect(&disk, "f", "x", 1);
    mirage_disk_close(&disk);
}
END_TEST

/* ---- What is written ------------------------------------------------ */

/* The bytes of the worked example: one file "hello" of "world!". */
START_TEST(table_is_the_example)
{
    static const uint8_t want[] = {
        0x00, 0x01, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x41, 0xd9, 0x54,
        0xfc, 0x40, 0x00, 0x00, 0x00, 0x01, 0x0d, 0x50, 0x02, 0x40, 0x92};
    struct mirage_disk disk;
    uint8_t found[sizeof(want)];
    mirage_disk_open(&disk, 512, 64, NF_CHECKSUM_DEFAULT);
    disk.mem.clock_sec = 1700000000;
    assert_ok(mirage_disk_put(&disk, "hello", "world!", 6));
    assert_ok(nf_sync(disk.nf));
    struct nf_rope *table = &disk.nf->mirage->table;
    ck_assert_uint_eq(table->size, sizeof(want));
    assert_ok(nf_mirage_rope_read(disk.nf, table, 0, found, sizeof(found)));
    found[17] = want[17]; /* it may be on any page */
    ck_assert_mem_eq(found, want, sizeof(want));
    mirage_disk_close(&disk);
}
END_TEST

/* Names stand in descending order, whatever order they were made in, and names
 * that begin alike, too. */
START_TEST(names_descend)
{
    const char *const names[] = {"b", "a", "ab", "a\xff", "c", "B", "abc"};
    const char *const order[] = {"c", "b", "a\xff", "abc", "ab", "a", "B"};
    struct mirage_disk disk;
    uint8_t bytes[200];
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    for (size_t i = 0; i < 7; i++) {
        assert_ok(nf_mkdir(disk.nf, nf_path(names[i])));
    }
    assert_ok(nf_sync(disk.nf));
    struct nf_rope *table = &disk.nf->mirage->table;
    assert_ok(nf_mirage_rope_read(disk.nf, table, 0, bytes, table->size));
    const uint8_t *p = bytes + 2;
    for (size_t i = 0; i < 7; i++) {
        ck_assert_uint_eq(*p, strlen(order[i]));
        ck_assert_mem_eq(p + 1, order[i], *p);
        p += 1 + *p + 8 + 2;
    }
    ck_assert_ptr_eq(p, bytes + table->size);
    mirage_disk_close(&disk);
}
END_TEST

/* The bits of a time that is not changed are kept, those that nanoseconds
 * cannot say, too; a changed one is the nearest double. */
START_TEST(times_keep_their_bits)
{
    static struct bytes b;
    const uint64_t odd = 0x3ff0000000000001; /* 1 and 2^-52 */
    struct mirage_disk disk;
    struct nf_time time = {1234567890, 123456789};
    struct nf_stat st;
    b.len = 0;
    add(&b, "\0\2", 2);
    add_name(&b, "odd", odd);
    add(&b, "\0\0", 2);
    add_name(&b, "a", TIME);
    add(&b, "\0\0", 2);
    mirage_disk_open(&disk, 512, 1000, NF_CHECKSUM_DEFAULT);
    assert_ok(mount_table(&disk, &b));
    assert_ok(nf_set_mtime(disk.nf, nf_path("a"), time));
    assert_ok(nf_stat(disk.nf, nf_path("odd"), &st));
    assert_ok(nf_set_mtime(disk.nf, nf_path("odd"), st.mtime));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_remount(&disk);
    struct mirage_entry *entry =
        nf_mirage_names_find(disk.nf, NF_ROOT_DIR, "odd", 3);
    ck_assert_uint_eq(entry->time, odd);
    assert_ok(nf_stat(disk.nf, nf_path("a"), &st));
    ck_assert_int_eq(st.mtime.sec, time.sec);
    ck_assert_uint_le(st.mtime.nsec - 123456700, 200); /* 2^-22 s */
    assert_err(
        nf_set_mtime(disk.nf, nf_path("a"), (struct nf_time){253402300800, 0}),
        NF_ERANGE);
    assert_ok(nf_abort(disk.nf));
    mirage_disk_close(&disk);
}
END_TEST

/* Times change as OCaml Notafs changes them. */
START_TEST(times_of_changes)
{
    struct mirage_disk disk;
    struct nf_stat st;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    disk.mem.clock_sec = 1000;
    assert_ok(mirage_disk_put(&disk, "d/f", "1", 1));
    assert_ok(nf_stat(disk.nf, nf_path("d/f"), &st));
    ck_assert_int_eq(st.mtime.sec, 1000);
    assert_ok(nf_stat(disk.nf, nf_path("d"), &st));
    ck_assert_int_eq(st.mtime.sec, 1000);
    disk.mem.clock_sec = 2000;
    assert_ok(nf_open(disk.nf, nf_path("d/f"), 0, &file));
    assert_ok(nf_append(file, "2", 1));
    assert_ok(nf_write(file, 0, "3", 1));
    nf_close(file);
    assert_ok(nf_stat(disk.nf, nf_path("d/f"), &st));
    ck_assert_int_eq(st.mtime.sec, 1000);
    assert_ok(mirage_disk_put(&disk, "d/g", "4", 1));
    assert_ok(nf_stat(disk.nf, nf_path("d"), &st));
    ck_assert_int_eq(st.mtime.sec, 2000);
    disk.mem.clock_sec = 3000;
    assert_ok(nf_rename(disk.nf, nf_path("d/f"), nf_path("d/g"), 0));
    assert_ok(nf_stat(disk.nf, nf_path("d/g"), &st));
    ck_assert_int_eq(st.mtime.sec, 2000); /* of what was there */
    assert_ok(nf_stat(disk.nf, nf_path("d"), &st));
    ck_assert_int_eq(st.mtime.sec, 3000);
    mirage_disk_expect(&disk, "d/g", "32", 2);
    mirage_disk_close(&disk);
}
END_TEST

/* Files without a byte have a page on the disk, and none here. */
START_TEST(empty_files)
{
    struct mirage_disk disk;
    struct nf_stat st;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(mirage_disk_put(&disk, "a", "", 0));
        assert_ok(mirage_disk_put(&disk, "b", "bytes", 5));
        assert_ok(nf_sync(disk.nf));
        struct mirage_entry *a =
            nf_mirage_names_find(disk.nf, NF_ROOT_DIR, "a", 1);
        ck_assert_uint_ne(a->empty.id, 0);
        const uint8_t *page = bd_fault_page(disk.fault, a->empty.id);
        ck_assert_mem_eq(page, "\0\0\0\0", 4);
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        mirage_disk_remount(&disk);
        assert_ok(nf_stat(disk.nf, nf_path("a"), &st));
        ck_assert_uint_eq(st.size, 0);
        ck_assert_uint_eq(st.root_page, 0);
        assert_ok(nf_open(disk.nf, nf_path("a"), 0, &file));
        assert_ok(nf_append(file, "x", 1));
        nf_close(file);
        assert_ok(nf_open(disk.nf, nf_path("b"), 0, &file));
        assert_ok(nf_truncate(file, 0));
        nf_close(file);
        assert_ok(nf_sync(disk.nf));
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        mirage_disk_expect(&disk, "a", "x", 1);
        mirage_disk_expect(&disk, "b", "", 0);
        assert_ok(nf_rename(disk.nf, nf_path("b"), nf_path("c"), 0));
        assert_ok(nf_sync(disk.nf));
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
        assert_ok(nf_remove(disk.nf, nf_path("c"), 0));
        assert_ok(nf_sync(disk.nf));
        ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    }
    mirage_disk_close(&disk);
}
END_TEST

/* ---- Names ---------------------------------------------------------- */

/* Thousands of names, looked up, listed, removed and undone. */
START_TEST(many_names)
{
    struct prng prng = prng_seed(9);
    const unsigned n = 5000;
    static uint8_t there[5000];
    struct mirage_disk disk;
    mirage_disk_open(&disk, 4096, 2000, NF_CHECKSUM_DEFAULT);
    memset(there, 0, sizeof(there));
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 3000; i++) {
            unsigned k = (unsigned)prng_below(&prng, n);
            char path[32];
            snprintf(path, sizeof(path), "%u/%05u", k % 7, k);
            if (there[k]) {
                assert_ok(nf_remove(disk.nf, nf_path(path), 0));
            } else {
                assert_ok(nf_mkdir(disk.nf, nf_path(path)));
            }
            if (round % 3 != 1) {
                there[k] = !there[k];
            }
            if (round % 3 == 1) {
                i += 100; /* these are undone */
                assert_ok(nf_abort(disk.nf));
            }
        }
        assert_ok(nf_sync(disk.nf));
        if (round == 3) {
            mirage_disk_remount(&disk);
        }
        unsigned listed = 0;
        for (unsigned d = 0; d < 7; d++) {
            char path[8];
            char last[16] = "";
            struct nf_dirent entry;
            struct nf_dir *dir;
            snprintf(path, sizeof(path), "%u", d);
            assert_ok(nf_dir_open(disk.nf, nf_path(path), &dir));
            while (nf_dir_next(dir, &entry) == 1) {
                char name[16];
                ck_assert_uint_eq(entry.name_len, 5);
                snprintf(name, sizeof(name), "%.5s", entry.name);
                ck_assert_int_gt(strcmp(name, last), 0);
                memcpy(last, name, sizeof(name));
                ck_assert(there[atoi(name)]);
                listed++;
            }
            nf_dir_close(dir);
        }
        for (unsigned k = 0; k < n; k++) {
            listed -= there[k];
        }
        ck_assert_uint_eq(listed, 0);
    }
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

/* Ids of files and directories stay the same, after an abort, too. */
START_TEST(ids_stay)
{
    struct mirage_disk disk;
    struct nf_stat before;
    struct nf_stat st;
    struct nf_file *file;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(nf_mkdir(disk.nf, nf_path("z")));
    assert_ok(mirage_disk_put(&disk, "a/f", "1", 1));
    assert_ok(nf_sync(disk.nf));
    assert_ok(nf_stat(disk.nf, nf_path("a"), &before));
    assert_ok(nf_open(disk.nf, nf_path("a/f"), 0, &file));
    assert_ok(nf_rename(disk.nf, nf_path("a"), nf_path("b"), 0));
    assert_ok(nf_append(file, "2", 1));
    assert_ok(nf_stat(disk.nf, nf_path("b"), &st));
    ck_assert_uint_eq(st.id, before.id);
    assert_ok(nf_mkdir(disk.nf, nf_path("new")));
    assert_ok(nf_abort(disk.nf));
    assert_ok(nf_stat(disk.nf, nf_path("a"), &st));
    ck_assert_uint_eq(st.id, before.id);
    assert_ok(nf_append(file, "3", 1));
    assert_ok(nf_sync(disk.nf));
    nf_close(file);
    mirage_disk_expect(&disk, "a/f", "13", 2);
    ck_assert_uint_eq(mirage_disk_check(&disk), 0);
    mirage_disk_close(&disk);
}
END_TEST

START_TEST(names_have_a_limit)
{
    char path[MIRAGE_MAX_NAME + 2];
    struct mirage_disk disk;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    memset(path, 'n', sizeof(path));
    path[MIRAGE_MAX_NAME + 1] = '\0';
    assert_err(mirage_disk_put(&disk, path, "x", 1), NF_ENAMETOOLONG);
    path[MIRAGE_MAX_NAME] = '\0';
    assert_ok(mirage_disk_put(&disk, path, "x", 1));
    assert_ok(nf_sync(disk.nf));
    mirage_disk_remount(&disk);
    mirage_disk_expect(&disk, path, "x", 1);
    mirage_disk_close(&disk);
}
END_TEST

/* Where nothing is verified, one damaged file does not keep the others from
 * being read. */
START_TEST(one_damaged_file_leaves_the_others)
{
    struct mirage_disk disk;
    struct nf_file *file;
    struct nf_stat st;
    uint8_t byte;
    size_t len;
    mirage_disk_open(&disk, 512, 300, NF_CHECKSUM_DEFAULT);
    assert_ok(mirage_disk_put(&disk, "a", "1", 1));
    assert_ok(mirage_disk_put(&disk, "b", "2", 1));
    assert_ok(nf_sync(disk.nf));
    assert_ok(nf_stat(disk.nf, nf_path("a"), &st));
    bd_fault_rot(disk.fault, st.root_page, 100, 1);
    uint64_t generation = disk.nf->generation;
    disk.flags = NF_MOUNT_NO_VERIFY | NF_MOUNT_READONLY;
    mirage_disk_remount(&disk);
    ck_assert_uint_eq(disk.nf->generation, generation);
    mirage_disk_expect(&disk, "b", "2", 1);
    assert_ok(nf_open(disk.nf, nf_path("a"), 0, &file));
    assert_err(nf_read(file, 0, &byte, 1, &len), NF_EC_CHECKSUM);
    ck_assert_uint_eq(nf_last_error(disk.nf)->page, st.root_page);
    nf_close(file);
    ck_assert_uint_eq(mirage_disk_check(&disk), 1);
    mirage_disk_close(&disk);
}
END_TEST

UNIT_MAIN("notafs/mirage_table", accepts_a_table_in_any_order,
          later_duplicates_win, refuses_malformed_tables,
          deep_directories_need_no_stack, table_is_the_example, names_descend,
          times_keep_their_bits, times_of_changes, empty_files, many_names,
          ids_stay, names_have_a_limit, one_damaged_file_leaves_the_others)
