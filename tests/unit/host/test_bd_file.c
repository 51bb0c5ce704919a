/* SPDX-License-Identifier: ISC */
/*
 * Linked with --wrap: system calls of bd_file.c pass through here, where they
 * are counted, cut short, interrupted and failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <notafs/host.h>

#include "host/prng.h"
#include "tests/support/unit.h"

static struct {
    int n_calls;      /* of preadv and pwritev */
    bool interrupt;   /* the next one */
    size_t max_bytes; /* of each; 0: any */
    int sync_errno;   /* of fdatasync; 0: succeeds */
} sys;

ssize_t __real_preadv64(int fd, const struct iovec *iov, int n, off_t pos);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t pos);
int __real_fdatasync(int fd);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t pos);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t pos);
int __wrap_fdatasync(int fd);

/* Whether the call is to go on; *iov and *n may have shrunk to part. */
static bool sys_enter(const struct iovec **iov, int *n, struct iovec *part)
{
    sys.n_calls++;
    if (sys.interrupt) {
        sys.interrupt = false;
        errno = EINTR;
        return false;
    }
    if (sys.max_bytes != 0) {
        *part = (*iov)[0];
        if (part->iov_len > sys.max_bytes) {
            part->iov_len = sys.max_bytes;
        }
        *iov = part;
        *n = 1;
    }
    return true;
}

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t pos)
{
    struct iovec part;

    return sys_enter(&iov, &n, &part) ? __real_preadv64(fd, iov, n, pos) : -1;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t pos)
{
    struct iovec part;

    return sys_enter(&iov, &n, &part) ? __real_pwritev64(fd, iov, n, pos) : -1;
}

int __wrap_fdatasync(int fd)
{
    if (sys.sync_errno != 0) {
        errno = sys.sync_errno;
        return -1;
    }
    return __real_fdatasync(fd);
}

/* A file of len random bytes, and the bytes. */
struct image {
    char path[32];
    size_t len;
    uint8_t *bytes;
};

static struct image image_create(size_t len)
{
    struct image image = {"bd_file-XXXXXX", len, malloc(len)};
    struct prng prng = prng_seed(len);

    memset(&sys, 0, sizeof(sys));
    prng_bytes(&prng, len, image.bytes);
    const int fd = mkstemp(image.path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, image.bytes, len), (ssize_t)len);
    close(fd);
    return image;
}

/* The file has the bytes that it should have. */
static void image_check(const struct image *image)
{
    uint8_t *found = malloc(image->len + 1);
    const int fd = open(image->path, O_RDONLY);

    ck_assert_int_eq(read(fd, found, image->len + 1), (ssize_t)image->len);
    ck_assert(memcmp(found, image->bytes, image->len) == 0);
    close(fd);
    free(found);
}

static void image_remove(struct image *image)
{
    unlink(image->path);
    free(image->bytes);
}

static struct bd_file *open_file(const struct image *image,
                                 struct bd_file_options options)
{
    struct bd_file *file = NULL;

    assert_ok(bd_file_open(image->path, &options, &file));
    return file;
}

START_TEST(adjacent_requests_are_one_call)
{
    struct image image = image_create(100 * 512);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 512});
    static uint8_t buf[8][2 * 512];
    const struct bd_request reqs[] = {
        {.range = {10, 1}, .out = buf[0]}, /* one write, 10 to 13 */
        {.range = {11, 2}, .out = buf[1]},
        {.range = {13, 1}, .out = buf[2]},
        {.range = {14, 2}, .in = buf[3]}, /* one read, 14 to 16 */
        {.range = {16, 1}, .in = buf[4]},
        {.range = {18, 1}, .in = buf[5]}, /* a gap, and backwards */
        {.range = {17, 1}, .in = buf[6]},
    };

    for (size_t i = 0; i < 3; i++) {
        memset(buf[i], (int)i + 1, sizeof(buf[i]));
        memcpy(image.bytes + reqs[i].range.first * 512, buf[i],
               reqs[i].range.count * 512);
    }
    assert_ok(bd_submit(bd_file_bd(file), reqs, 7));
    ck_assert_int_eq(sys.n_calls, 4);
    for (size_t i = 3; i < 7; i++) {
        ck_assert_mem_eq(buf[i], image.bytes + reqs[i].range.first * 512,
                         reqs[i].range.count * 512);
    }
    assert_ok(bd_flush(bd_file_bd(file)));
    image_check(&image);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(long_batches)
{
    enum { N = 150 };
    struct image image = image_create(N * 512);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 512});
    static struct bd_request reqs[N];
    static uint8_t in[N * 512];

    for (size_t i = 0; i < N; i++) {
        reqs[i] = (struct bd_request){.range = {i, 1}, .in = in + i * 512};
    }
    assert_ok(bd_submit(bd_file_bd(file), reqs, N));
    ck_assert_int_eq(sys.n_calls, 3);
    ck_assert_mem_eq(in, image.bytes, sizeof(in));
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(short_and_interrupted_transfers)
{
    struct image image = image_create(16 * 512);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 512});
    static uint8_t buf[3][4 * 512];
    const struct bd_request reads[] = {
        {.range = {2, 4}, .in = buf[0]},
        {.range = {6, 1}, .in = buf[1]},
        {.range = {7, 2}, .in = buf[2]},
    };
    const size_t max_bytes[] = {1, 511, 512, 513, 2048};

    for (size_t i = 0; i < 5; i++) {
        memset(buf, 0, sizeof(buf));
        sys.max_bytes = max_bytes[i];
        sys.interrupt = true;
        assert_ok(bd_submit(bd_file_bd(file), reads, 3));
        for (size_t k = 0; k < 3; k++) {
            ck_assert_mem_eq(buf[k], image.bytes + reads[k].range.first * 512,
                             reads[k].range.count * 512);
        }
        memset(image.bytes + 512, 'a' + (int)i, 4 * 512);
        sys.interrupt = true;
        assert_ok(bd_write(bd_file_bd(file), 1, 4, image.bytes + 512));
        image_check(&image);
    }
    ck_assert_int_eq(bd_file_errno(file), 0);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(file_cut_while_open)
{
    struct image image = image_create(16 * 512);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 512});
    static uint8_t in[16 * 512];

    ck_assert_int_eq(truncate(image.path, 3 * 512 + 100), 0);
    assert_ok(bd_read(bd_file_bd(file), 0, 3, in));
    assert_err(bd_read(bd_file_bd(file), 3, 1, in), NF_EIO);
    ck_assert_int_eq(bd_file_errno(file), EIO);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(failed_flush_is_final)
{
    struct image image = image_create(512);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 512});

    assert_ok(bd_flush(bd_file_bd(file)));
    sys.sync_errno = ENOSPC;
    assert_err(bd_flush(bd_file_bd(file)), NF_EIO);
    ck_assert_int_eq(bd_file_errno(file), ENOSPC);
    sys.sync_errno = 0;
    assert_err(bd_flush(bd_file_bd(file)), NF_EIO);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(locks)
{
    const struct bd_file_options writer = {.page_size = 512};
    const struct bd_file_options reader = {.page_size = 512, .readonly = true};
    struct image image = image_create(512);
    struct bd_file *none = NULL;

    struct bd_file *file = open_file(&image, writer);
    assert_err(bd_file_open(image.path, &writer, &none), NF_EC_IMAGE_LOCKED);
    assert_err(bd_file_open(image.path, &reader, &none), NF_EC_IMAGE_LOCKED);
    ck_assert_ptr_null(none);
    bd_file_close(file);
    file = open_file(&image, reader);
    struct bd_file *other = open_file(&image, reader);
    assert_err(bd_file_open(image.path, &writer, &none), NF_EC_IMAGE_LOCKED);
    bd_file_close(file);
    assert_err(bd_file_open(image.path, &writer, &none), NF_EC_IMAGE_LOCKED);
    bd_file_close(other);
    bd_file_close(open_file(&image, writer));
    image_remove(&image);
}
END_TEST

START_TEST(readonly)
{
    struct image image = image_create(1024);
    struct bd_file *file = open_file(
        &image, (struct bd_file_options){.page_size = 512, .readonly = true});
    uint8_t page[512];

    assert_ok(bd_read(bd_file_bd(file), 1, 1, page));
    ck_assert_mem_eq(page, image.bytes + 512, 512);
    assert_err(bd_write(bd_file_bd(file), 1, 1, page), NF_EROFS);
    assert_ok(bd_flush(bd_file_bd(file)));
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(discard_frees_blocks)
{
    struct image image = image_create(1 << 20);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 4096});
    const struct bd_range ranges[] = {{16, 64}, {200, 56}};
    struct stat before;
    struct stat after;

    assert_ok(bd_flush(bd_file_bd(file)));
    ck_assert_int_eq(stat(image.path, &before), 0);
    assert_ok(bd_discard(bd_file_bd(file), ranges, 2));
    assert_ok(bd_flush(bd_file_bd(file)));
    ck_assert_int_eq(stat(image.path, &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size);
    ck_assert_int_lt(after.st_blocks, before.st_blocks);
    for (size_t i = 0; i < 2; i++) {
        memset(image.bytes + ranges[i].first * 4096, 0, ranges[i].count * 4096);
    }
    image_check(&image);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(page_sizes)
{
    struct image image = image_create(3 * 4096 + 1000);
    struct bd_file *file =
        open_file(&image, (struct bd_file_options){.page_size = 512});
    uint8_t page[4096];

    ck_assert_uint_eq(bd_file_len(file), image.len);
    ck_assert_uint_eq(bd_file_bd(file)->geo.page_count, image.len / 512);
    assert_ok(bd_file_set_page_size(file, 4096));
    ck_assert_uint_eq(bd_file_bd(file)->geo.page_count, 3);
    assert_ok(bd_read(bd_file_bd(file), 2, 1, page));
    ck_assert_mem_eq(page, image.bytes + 2 * 4096, 4096);
    assert_err(bd_file_set_page_size(file, 65536), NF_EINVAL);
    assert_err(bd_file_set_page_size(file, 0), NF_EINVAL);
    assert_err(bd_file_set_page_size(file, 1000), NF_EINVAL);
    ck_assert_uint_eq(bd_file_bd(file)->geo.page_size, 4096);
    ck_assert_int_eq(truncate(image.path, 10 * 4096), 0);
    assert_ok(bd_file_set_page_size(file, 4096));
    ck_assert_uint_eq(bd_file_bd(file)->geo.page_count, 10);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    const struct bd_file_options options = {.page_size = 512};
    const struct bd_file_options bad = {.page_size = 500};
    struct image image = image_create(511);
    struct bd_file *file = NULL;

    assert_err(bd_file_open("bd_file-none", &options, &file), NF_ENOENT);
    assert_err(bd_file_open(".", &options, &file), NF_EISDIR);
    assert_err(bd_file_open("/dev/null", &options, &file), NF_EINVAL);
    assert_err(bd_file_open(image.path, &options, &file), NF_EINVAL);
    ck_assert_int_eq(truncate(image.path, 5000), 0);
    assert_err(bd_file_open(image.path, &bad, &file), NF_EINVAL);
    ck_assert_ptr_null(file);
    bd_file_close(open_file(&image, options));
    bd_file_close(NULL);
    image_remove(&image);
}
END_TEST

/* Buffers at any address, requests longer than the bounce buffer. */
START_TEST(direct)
{
    const uint32_t lens[] = {512, 4096, 65536};
    struct image image = image_create(1 << 20);
    struct bd_file *file = open_file(
        &image, (struct bd_file_options){.page_size = 512, .direct = true});
    uint8_t *room = aligned_alloc(4096, (1 << 20) + 4096);
    struct prng prng = prng_seed(3);

    for (size_t i = 0; i < 3; i++) {
        const uint32_t len = lens[i];
        const uint32_t n = (1 << 20) / len;
        assert_ok(bd_file_set_page_size(file, len));
        for (size_t shift = 0; shift < 3; shift++) {
            uint8_t *buf = room + shift * 17;
            assert_ok(bd_read(bd_file_bd(file), 0, n, buf));
            ck_assert(memcmp(buf, image.bytes, image.len) == 0);
            prng_bytes(&prng, image.len, image.bytes);
            memcpy(buf, image.bytes, image.len);
            const struct bd_request reqs[] = {
                {.range = {0, 1}, .out = buf},
                {.range = {1, 1}, .out = buf + len},
                {.range = {2, n - 2}, .out = buf + 2 * len},
            };
            assert_ok(bd_submit(bd_file_bd(file), reqs, 3));
            image_check(&image);
        }
    }
    free(room);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

/* More transfers than are under way at once, none beside another, and one of
 * them through the bounce buffer. */
START_TEST(direct_scattered)
{
    enum { LEN = 4096, N = 100 };
    struct image image = image_create(2 * N * LEN);
    struct bd_file *file = open_file(
        &image, (struct bd_file_options){.page_size = LEN, .direct = true});
    uint8_t *room = aligned_alloc(4096, (N + 1) * LEN);
    struct bd_request reqs[N];
    struct prng prng = prng_seed(4);

    for (size_t i = 0; i < N; i++) {
        uint8_t *page = room + i * LEN + (i == N - 1 ? 17 : 0);
        const uint64_t at = 2 * (i * 37 % N);
        prng_bytes(&prng, LEN, image.bytes + at * LEN);
        memcpy(page, image.bytes + at * LEN, LEN);
        reqs[i] = (struct bd_request){.range = {at, 1}, .out = page};
    }
    assert_ok(bd_submit(bd_file_bd(file), reqs, N));
    image_check(&image);
    for (size_t i = 0; i < N; i++) {
        reqs[i].in = (uint8_t *)(uintptr_t)reqs[i].out;
        reqs[i].out = NULL;
        memset(reqs[i].in, 0, LEN);
    }
    assert_ok(bd_submit(bd_file_bd(file), reqs, N));
    for (size_t i = 0; i < N; i++) {
        ck_assert_mem_eq(reqs[i].in, image.bytes + reqs[i].range.first * LEN,
                         LEN);
    }
    /* What the system cannot do is told, of one among many. */
    ck_assert_int_eq(truncate(image.path, LEN), 0);
    assert_err(bd_submit(bd_file_bd(file), reqs, N), NF_EIO);
    free(room);
    bd_file_close(file);
    image_remove(&image);
}
END_TEST

/* The first line that a command prints, "" if it failed. */
static void first_line(const char *command, char *ret, int ret_len)
{
    FILE *out = popen(command, "r");

    ret[0] = '\0';
    ck_assert_ptr_nonnull(out);
    const bool read = fgets(ret, ret_len, out) != NULL;
    if (pclose(out) != 0 || !read) {
        ret[0] = '\0';
    }
    ret[strcspn(ret, "\n")] = '\0';
}

/* Size, exclusion, transfers and discard on a loop device of 4096-byte
 * sectors; where none can be had (it takes root), nothing is shown. */
START_TEST(block_device)
{
    struct image image = image_create(1 << 20);
    struct bd_file_options options = {.page_size = 4096, .direct = true};
    struct bd_file *none = NULL;
    uint8_t *pages = aligned_alloc(4096, 2 * 4096);
    char command[100];
    char path[64];

    snprintf(command, sizeof(command),
             "losetup -f --show -b 4096 %s 2>/dev/null", image.path);
    first_line(command, path, sizeof(path));
    if (path[0] == '\0') {
        puts("block_device: no loop device to be had");
        goto out;
    }
    const int held = open(path, O_RDONLY);
    snprintf(command, sizeof(command), "losetup -d %s", path);
    ck_assert_int_eq(system(command), 0); /* once nobody holds it */
    const int mounted = open(path, O_RDONLY | O_EXCL); /* as mounts do */
    ck_assert_int_ge(mounted, 0);
    assert_err(bd_file_open(path, &options, &none), NF_EC_IMAGE_LOCKED);
    close(mounted);

    struct bd_file *file = NULL;
    assert_ok(bd_file_open(path, &options, &file));
    ck_assert_uint_eq(bd_file_len(file), image.len);
    assert_err(bd_file_open(path, &options, &none), NF_EC_IMAGE_LOCKED);
    assert_ok(bd_read(bd_file_bd(file), 7, 2, pages));
    ck_assert_mem_eq(pages, image.bytes + 7 * 4096, 2 * 4096);
    memset(pages, 'p', 4096);
    assert_ok(bd_write(bd_file_bd(file), 9, 1, pages));
    assert_ok(bd_discard(bd_file_bd(file), &(struct bd_range){20, 9}, 1));
    /* Below a sector: no direct transfers, no discard. */
    assert_ok(bd_file_set_page_size(file, 512));
    ck_assert_uint_eq(bd_file_bd(file)->geo.caps, BD_CAP_FLUSH);
    assert_ok(bd_write(bd_file_bd(file), 1001, 1, pages + 17));
    assert_ok(bd_flush(bd_file_bd(file)));
    bd_file_close(file);
    close(held);
    memset(image.bytes + 9 * 4096, 'p', 4096);
    memset(image.bytes + 20 * 4096, 0, 9 * 4096);
    memcpy(image.bytes + 1001 * 512, pages + 17, 512);
    image_check(&image);
out:
    free(pages);
    image_remove(&image);
}
END_TEST

UNIT_MAIN("host/bd_file", block_device, adjacent_requests_are_one_call,
          long_batches, short_and_interrupted_transfers, file_cut_while_open,
          failed_flush_is_final, locks, readonly, discard_frees_blocks,
          page_sizes, what_cannot_be_opened, direct, direct_scattered)
