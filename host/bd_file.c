/* SPDX-License-Identifier: ISC */
/*
 * A block device in an image file or a block special file.
 *
 * Requests of a batch that follow each other on the device, in the order in
 * which they are given, become one transfer. With O_DIRECT the transfers of a
 * batch are under way together, but a request whose buffer is not aligned goes
 * through a bounce buffer, alone.
 *
 * Locks are those of the open file description (fcntl F_OFD_SETLK), so two
 * openings in one process exclude each other too. A block special file is
 * opened with O_EXCL by writers besides, which mounted ones refuse.
 */
#include <notafs/host.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/aio.h"
#include "host/os_err.h"

#define BD_FILE_MAX_IOV    64
#define BD_FILE_BOUNCE_LEN (size_t)(256 * 1024) /* >= any page */

struct bd_file {
    struct bd bd;
    int fd;
    int last_errno;
    bool is_block;
    bool readonly;
    bool direct;       /* asked for */
    bool direct_now;   /* and possible with this page size */
    bool flush_failed; /* once */
    uint32_t sector_len;
    uint64_t len;
    uint8_t *bounce;   /* with direct */
    unsigned long aio; /* with direct, if the system has it */
};

/* What a system call of the driver answered, for bd_file_errno. */
static int bd_file_failed(struct bd_file *file)
{
    file->last_errno = errno;
    return NF_EIO;
}

/* ---- Transfers -------------------------------------------------------- */

/* Drop the first done bytes of the n vectors at iov; the number that is left,
 * moved to the front. */
static int bd_file_advance(struct iovec *iov, int n, size_t done)
{
    int first = 0;

    while (first < n && done >= iov[first].iov_len) {
        done -= iov[first].iov_len;
        first++;
    }
    if (first < n) {
        iov[first].iov_base = (uint8_t *)iov[first].iov_base + done;
        iov[first].iov_len -= done;
    }
    memmove(iov, iov + first, (size_t)(n - first) * sizeof(*iov));
    return n - first;
}

/* Transfer n vectors at byte pos to the end, whatever the kernel does in one
 * go. Changes iov. */
static int bd_file_transfer(struct bd_file *file, bool write, uint64_t pos,
                            struct iovec *iov, int n)
{
    while (n > 0) {
        const ssize_t done = write ? pwritev(file->fd, iov, n, (off_t)pos)
                                   : preadv(file->fd, iov, n, (off_t)pos);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return bd_file_failed(file);
        }
        if (done == 0) { /* the file was cut while open */
            errno = EIO;
            return bd_file_failed(file);
        }
        pos += (uint64_t)done;
        n = bd_file_advance(iov, n, (size_t)done);
    }
    return 0;
}

static size_t bd_file_req_len(const struct bd_file *file,
                              const struct bd_request *req)
{
    return (size_t)req->range.count * file->bd.geo.page_size;
}

/* One request, in pieces, through the bounce buffer. */
static int bd_file_bounce(struct bd_file *file, const struct bd_request *req)
{
    const size_t len = bd_file_req_len(file, req);
    const uint64_t pos = req->range.first * file->bd.geo.page_size;
    int err = 0;

    for (size_t at = 0; at < len && err == 0; at += BD_FILE_BOUNCE_LEN) {
        const size_t part =
            len - at < BD_FILE_BOUNCE_LEN ? len - at : BD_FILE_BOUNCE_LEN;
        struct iovec iov = {file->bounce, part};
        if (req->out != NULL) {
            memcpy(file->bounce, req->out + at, part);
        }
        err = bd_file_transfer(file, req->out != NULL, pos + at, &iov, 1);
        if (err == 0 && req->in != NULL) {
            memcpy(req->in + at, file->bounce, part);
        }
    }
    return err;
}

static bool bd_file_must_bounce(const struct bd_file *file,
                                const struct bd_request *req)
{
    const uintptr_t at = (uintptr_t)(req->out != NULL ? req->out : req->in);

    return file->direct_now && at % file->sector_len != 0;
}

/* How many of at most max requests, from the first on, are one run. */
static size_t bd_file_run(const struct bd_file *file,
                          const struct bd_request *reqs, size_t max)
{
    size_t n = 1;

    while (n < max &&
           reqs[n].range.first ==
               reqs[n - 1].range.first + reqs[n - 1].range.count &&
           (reqs[n].out != NULL) == (reqs[0].out != NULL) &&
           !bd_file_must_bounce(file, &reqs[n])) {
        n++;
    }
    return n;
}

/* Transfers that are put together, and done at once. */
struct bd_file_batch {
    struct iovec iov[BD_FILE_MAX_IOV];
    struct aio_job jobs[AIO_DEPTH];
    size_t n_iov;
    size_t n_jobs;
};

static void bd_file_add(const struct bd_file *file, struct bd_file_batch *batch,
                        const struct bd_request *reqs, size_t n)
{
    struct iovec *iov = &batch->iov[batch->n_iov];

    for (size_t i = 0; i < n; i++) {
        /* struct iovec has no const; a write leaves it unchanged. */
        void *base = reqs[i].out != NULL ? (void *)(uintptr_t)reqs[i].out
                                         : (void *)reqs[i].in;
        iov[i] = (struct iovec){base, bd_file_req_len(file, &reqs[i])};
    }
    batch->jobs[batch->n_jobs++] = (struct aio_job){
        .write = reqs[0].out != NULL,
        .pos = reqs[0].range.first * file->bd.geo.page_size,
        .iov = iov,
        .n_iov = (int)n,
    };
    batch->n_iov += n;
}

/* Transfer what was put together: at first all at once, where that can be; then
 * what is left of each. */
static int bd_file_drain(struct bd_file *file, struct bd_file_batch *batch)
{
    int err = 0;

    if (file->direct_now && file->aio != 0 && batch->n_jobs > 1) {
        aio_run(file->aio, file->fd, batch->jobs, batch->n_jobs);
    }
    for (size_t i = 0; i < batch->n_jobs && err == 0; i++) {
        struct aio_job *job = &batch->jobs[i];

        if (job->done < 0) {
            errno = (int)-job->done;
            err = bd_file_failed(file);
        } else {
            const int n =
                bd_file_advance(job->iov, job->n_iov, (size_t)job->done);
            err = bd_file_transfer(file, job->write,
                                   job->pos + (uint64_t)job->done, job->iov, n);
        }
    }
    batch->n_iov = 0;
    batch->n_jobs = 0;
    return err;
}

static int bd_file_submit(void *dev, const struct bd_request *reqs,
                          size_t n_reqs)
{
    struct bd_file *file = dev;
    struct bd_file_batch batch;
    int err = 0;
    size_t n;

    batch.n_iov = 0; /* all of it would be a kilobyte to clear */
    batch.n_jobs = 0;
    for (size_t i = 0; i < n_reqs && err == 0; i += n) {
        const size_t left = n_reqs - i;
        const size_t room = BD_FILE_MAX_IOV - batch.n_iov;

        if (bd_file_must_bounce(file, &reqs[i])) {
            n = 1;
            err = bd_file_bounce(file, &reqs[i]);
            continue;
        }
        n = bd_file_run(file, &reqs[i], left < room ? left : room);
        bd_file_add(file, &batch, &reqs[i], n);
        if (batch.n_jobs == AIO_DEPTH || batch.n_iov == BD_FILE_MAX_IOV) {
            err = bd_file_drain(file, &batch);
        }
    }
    return err == 0 ? bd_file_drain(file, &batch) : err;
}

static int bd_file_flush(void *dev)
{
    struct bd_file *file = dev;

    /* The kernel reports a lost write once and then forgets it. */
    if (file->flush_failed) {
        return NF_EIO;
    }
    while (fdatasync(file->fd) != 0) {
        if (errno != EINTR) {
            file->flush_failed = true;
            return bd_file_failed(file);
        }
    }
    return 0;
}

static int bd_file_discard(void *dev, const struct bd_range *ranges,
                           size_t n_ranges)
{
    struct bd_file *file = dev;
    const uint64_t page_size = file->bd.geo.page_size;

    for (size_t i = 0; i < n_ranges; i++) {
        uint64_t span[2] = {ranges[i].first * page_size,
                            ranges[i].count * page_size};
        const int failed =
            file->is_block
                ? ioctl(file->fd, BLKDISCARD, span)
                : fallocate(file->fd,
                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)span[0], (off_t)span[1]);
        if (failed != 0 && errno == EOPNOTSUPP) {
            return 0; /* a hint that this device cannot take */
        }
        if (failed != 0) {
            return bd_file_failed(file);
        }
    }
    return 0;
}

static const struct bd_ops bd_file_ops = {
    .submit = bd_file_submit,
    .flush = bd_file_flush,
    .discard = bd_file_discard,
};

/* ---- Opening ---------------------------------------------------------- */

static int bd_file_lock(int fd, bool readonly)
{
    struct flock lock = {
        .l_type = readonly ? F_RDLCK : F_WRLCK,
        .l_whence = SEEK_SET,
    };

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        return 0;
    }
    return errno == EAGAIN || errno == EACCES ? NF_EC_IMAGE_LOCKED
                                              : os_err(errno);
}

static int bd_file_measure(struct bd_file *file, uint64_t *ret_len)
{
    struct stat st;

    if (file->is_block) {
        return ioctl(file->fd, BLKGETSIZE64, ret_len) == 0 ? 0 : os_err(errno);
    }
    if (fstat(file->fd, &st) != 0) {
        return os_err(errno);
    }
    *ret_len = (uint64_t)st.st_size;
    return 0;
}

static int bd_file_set_direct(const struct bd_file *file, bool direct)
{
    const int flags = fcntl(file->fd, F_GETFL);

    if (flags < 0 ||
        fcntl(file->fd, F_SETFL,
              direct ? flags | O_DIRECT : flags & ~O_DIRECT) != 0) {
        return errno == EINVAL ? NF_ENOTSUP : os_err(errno);
    }
    return 0;
}

/* The unit of direct transfers to a file. It does not say, so try: most disks
 * take 512 bytes, the others 4096. */
static int bd_file_probe_direct(struct bd_file *file)
{
    file->bounce = aligned_alloc(4096, BD_FILE_BOUNCE_LEN);
    if (file->bounce == NULL) {
        return NF_ENOMEM;
    }
    file->aio = aio_open();
    const int err = bd_file_set_direct(file, true);
    if (err == 0 && !file->is_block &&
        pread(file->fd, file->bounce, 512, 512) < 0) {
        file->sector_len = 4096;
    }
    return err;
}

/* What the descriptor stands for: kind, lock, sectors. */
static int bd_file_setup(struct bd_file *file)
{
    struct stat st;
    int sector_len = 512;

    if (fstat(file->fd, &st) != 0) {
        return os_err(errno);
    }
    file->is_block = S_ISBLK(st.st_mode);
    if (file->is_block && ioctl(file->fd, BLKSSZGET, &sector_len) != 0) {
        return os_err(errno);
    }
    file->sector_len = (uint32_t)sector_len;
    const int err = bd_file_lock(file->fd, file->readonly);
    if (err != 0) {
        return err;
    }
    return file->direct ? bd_file_probe_direct(file) : 0;
}

/* A descriptor, or a negative enum nf_err. */
static int bd_file_open_fd(const char *path, bool readonly)
{
    struct stat st;
    int flags = O_CLOEXEC | (readonly ? O_RDONLY : O_RDWR);

    if (stat(path, &st) != 0) {
        return os_err(errno);
    }
    if (S_ISDIR(st.st_mode)) {
        return NF_EISDIR;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return NF_EINVAL;
    }
    if (S_ISBLK(st.st_mode) && !readonly) {
        flags |= O_EXCL;
    }
    const int fd = open(path, flags);
    if (fd >= 0) {
        return fd;
    }
    return S_ISBLK(st.st_mode) && errno == EBUSY ? NF_EC_IMAGE_LOCKED
                                                 : os_err(errno);
}

int bd_file_open(const char *path, const struct bd_file_options *options,
                 struct bd_file **ret_file)
{
    struct bd_file *file = calloc(1, sizeof(*file));
    int err;

    if (file == NULL) {
        return NF_ENOMEM;
    }
    file->readonly = options->readonly;
    file->direct = options->direct;
    file->fd = bd_file_open_fd(path, options->readonly);
    if (file->fd < 0) {
        err = file->fd;
        goto out;
    }
    err = bd_file_setup(file);
    if (err != 0) {
        goto out;
    }
    err = bd_file_set_page_size(file, options->page_size);
    if (err != 0) {
        goto out;
    }
    *ret_file = file;
    file = NULL;
out:
    bd_file_close(file);
    return err;
}

struct bd *bd_file_bd(struct bd_file *file)
{
    return &file->bd;
}

uint64_t bd_file_len(const struct bd_file *file)
{
    return file->len;
}

int bd_file_errno(const struct bd_file *file)
{
    return file->last_errno;
}

int bd_file_set_page_size(struct bd_file *file, uint32_t page_size)
{
    const bool whole_sectors = page_size % file->sector_len == 0;
    struct bd_geometry geo = {.page_size = page_size, .caps = BD_CAP_FLUSH};
    uint64_t len;
    struct bd bd;

    int err = bd_file_measure(file, &len);
    if (err != 0) {
        return err;
    }
    geo.page_count = page_size == 0 ? 0 : len / page_size;
    if (file->readonly) {
        geo.caps |= BD_CAP_READONLY;
    } else if (!file->is_block || whole_sectors) {
        geo.caps |= BD_CAP_DISCARD;
    }
    err = bd_init(&bd, &bd_file_ops, file, &geo);
    if (err == 0 && file->direct) {
        err = bd_file_set_direct(file, whole_sectors);
    }
    if (err != 0) {
        return err;
    }
    file->bd = bd;
    file->len = len;
    file->direct_now = file->direct && whole_sectors;
    return 0;
}

void bd_file_close(struct bd_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        (void)close(file->fd); /* what mattered was flushed before */
    }
    aio_close(file->aio);
    free(file->bounce);
    free(file);
}
