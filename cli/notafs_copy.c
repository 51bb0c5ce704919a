/* SPDX-License-Identifier: ISC */
/*
 * Bytes between files of the host and files of the disk, a chunk at a time, so
 * that neither need fit in memory. Holes stay holes where both sides have them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/notafs_cli.h"

void cli_copy_init(struct cli_copy *copy)
{
    memset(copy, 0, sizeof(*copy));
    copy->buf = cli_alloc(CLI_CHUNK);
}

void cli_copy_deinit(struct cli_copy *copy)
{
    free(copy->buf);
    copy->buf = NULL;
}

static int host_failure(struct cli_copy *copy)
{
    copy->host_failed = true;
    return NF_EIO;
}

/* Between two chunks: 0, or NF_ECANCELED after Ctrl-C. */
static int next_chunk(struct cli_copy *copy, uint64_t done)
{
    if (copy->step != NULL) {
        copy->step(copy->ctx, done);
    }
    return cli_interrupted() ? NF_ECANCELED : 0;
}

/* Up to CLI_CHUNK bytes, as many as there are: their number, or -1. */
static ssize_t read_chunk(struct cli_copy *copy, int fd, size_t max)
{
    size_t len = 0;
    while (len < max) {
        ssize_t got = read(fd, copy->buf + len, max - len);
        if (got < 0 && errno == EINTR && !cli_interrupted()) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

int cli_write_all(int fd, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    while (len > 0) {
        ssize_t done = write(fd, p, len);
        if (done < 0 && errno == EINTR && !cli_interrupted()) {
            continue;
        }
        if (done < 0) {
            return -1;
        }
        p += done;
        len -= (size_t)done;
    }
    return 0;
}

/* The data that starts at *off or after: [*off, *end). A host that knows no
 * holes has data up to the end. */
static bool host_data(int fd, uint64_t *off, uint64_t *end)
{
    off_t data = lseek(fd, (off_t)*off, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        return false;
    }
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole < 0) {
        *end = UINT64_MAX;
        return true;
    }
    *off = (uint64_t)data;
    *end = (uint64_t)hole;
    (void)lseek(fd, data, SEEK_SET); /* it was there a moment ago */
    return true;
}

int cli_copy_in(struct cli_copy *copy, int fd, struct nf_file *file)
{
    struct stat st;
    copy->host_failed = false;
    if (fstat(fd, &st) < 0) {
        return host_failure(copy);
    }
    bool regular = S_ISREG(st.st_mode);
    uint64_t off = 0;
    uint64_t end = UINT64_MAX;
    while (!regular || host_data(fd, &off, &end)) {
        ssize_t got = 0;
        do {
            uint64_t max = end - off < CLI_CHUNK ? end - off : CLI_CHUNK;
            got = read_chunk(copy, fd, (size_t)max);
            if (got < 0) {
                return errno == EINTR ? NF_ECANCELED : host_failure(copy);
            }
            int res =
                got == 0 ? 0 : nf_write(file, off, copy->buf, (size_t)got);
            if (res == 0) {
                res = next_chunk(copy, (uint64_t)got);
            }
            if (res < 0) {
                return res;
            }
            off += (uint64_t)got;
        } while (got > 0 && off < end);
        if (off < end) {
            break; /* the end of the file */
        }
    }
    /* A hole at the end has no data to write. */
    if (regular && (uint64_t)st.st_size > off) {
        return nf_truncate(file, (uint64_t)st.st_size);
    }
    return 0;
}

/* [off, end) of a file, handed on in chunks: to fd, or to another file. */
static int copy_range(struct cli_copy *copy, struct nf_file *file, uint64_t off,
                      uint64_t end, int fd, struct nf_file *to)
{
    while (off < end) {
        size_t len = 0;
        uint64_t max = end - off < CLI_CHUNK ? end - off : CLI_CHUNK;
        int res = nf_read(file, off, copy->buf, (size_t)max, &len);
        if (res == 0 && to != NULL) {
            res = nf_write(to, off, copy->buf, len);
        } else if (res == 0 && cli_write_all(fd, copy->buf, len) < 0) {
            return errno == EINTR ? NF_ECANCELED : host_failure(copy);
        }
        if (res == 0) {
            res = next_chunk(copy, len);
        }
        if (res < 0) {
            return res;
        }
        if (len == 0) {
            break;
        }
        off += len;
    }
    return 0;
}

/* The next range of data at or after *off: 1, or 0 if there is none. */
static int disk_data(struct nf_file *file, uint64_t *off, uint64_t *end)
{
    int res = nf_seek_data(file, *off, off);
    if (res == 0) {
        res = nf_seek_hole(file, *off, end);
    }
    if (nf_err_class(res) == NF_ERANGE) {
        return 0;
    }
    return res < 0 ? res : 1;
}

/* Each range of data, to a regular fd or to a file. */
static int copy_data(struct cli_copy *copy, struct nf_file *file, int fd,
                     struct nf_file *to)
{
    uint64_t off = 0;
    uint64_t end = 0;
    for (;;) {
        int res = disk_data(file, &off, &end);
        if (res <= 0) {
            return res;
        }
        if (to == NULL && lseek(fd, (off_t)off, SEEK_SET) < 0) {
            return host_failure(copy);
        }
        res = copy_range(copy, file, off, end, fd, to);
        if (res < 0) {
            return res;
        }
        off = end;
    }
}

int cli_copy_stream(struct cli_copy *copy, struct nf_file *file, int fd)
{
    struct nf_stat stat;
    copy->host_failed = false;
    int res = nf_fstat(file, &stat);
    return res < 0 ? res : copy_range(copy, file, 0, stat.size, fd, NULL);
}

int cli_copy_out(struct cli_copy *copy, struct nf_file *file, int fd)
{
    struct stat st;
    struct nf_stat stat;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        return cli_copy_stream(copy, file, fd);
    }
    copy->host_failed = false;
    int res = nf_fstat(file, &stat);
    if (res < 0) {
        return res;
    }
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)stat.size) < 0) {
        return host_failure(copy);
    }
    return copy_data(copy, file, fd, NULL);
}

int cli_copy_across(struct cli_copy *copy, struct nf_file *from,
                    struct nf_file *to)
{
    struct nf_stat stat;
    copy->host_failed = false;
    int res = nf_fstat(from, &stat);
    if (res == 0) {
        res = copy_data(copy, from, -1, to);
    }
    return res < 0 ? res : nf_truncate(to, stat.size);
}

int cli_copy_fail(struct cli *cli, const struct cli_copy *copy, int err,
                  struct nf_path path, const char *host_path)
{
    if (err == NF_ECANCELED) {
        return cli_stop(cli);
    }
    if (copy->host_failed) {
        return cli_fail_errno(cli, host_path);
    }
    return cli_fail_path(cli, err, path);
}

bool cli_is_host_name(struct nf_path name)
{
    return memchr(name.p, 0, name.len) == NULL && name.len <= 255 &&
           !(name.len == 1 && name.p[0] == '.') &&
           !(name.len == 2 && memcmp(name.p, "..", 2) == 0);
}
