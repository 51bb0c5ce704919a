/* SPDX-License-Identifier: ISC */
/* Count the runs of this program, on an image file: main DISK. The device, the
 * memory and the clock are its own, as a port brings them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <notafs/notafs.h>

enum { PAGE_SIZE = 4096 };

static int submit(void *dev, const struct bd_request *reqs, size_t n_reqs)
{
    for (size_t i = 0; i < n_reqs; i++) {
        const size_t len = (size_t)reqs[i].range.count * PAGE_SIZE;
        const off_t pos = (off_t)(reqs[i].range.first * PAGE_SIZE);
        const ssize_t done = reqs[i].in != NULL
                                 ? pread(*(int *)dev, reqs[i].in, len, pos)
                                 : pwrite(*(int *)dev, reqs[i].out, len, pos);

        if (done != (ssize_t)len) {
            return NF_EIO;
        }
    }
    return 0;
}

static int flush(void *dev)
{
    return fdatasync(*(int *)dev) == 0 ? 0 : NF_EIO;
}

static void *allocate(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void release(void *ctx, void *p, size_t size)
{
    (void)ctx;
    (void)size;
    free(p);
}

static struct nf_time now(void *ctx)
{
    (void)ctx;
    return (struct nf_time){.sec = time(NULL)};
}

/* Read the number in the file "count", write the next one, commit. */
static int count(struct nf *nf)
{
    struct nf_file *file = NULL;
    char text[24] = "";
    size_t len = 0;
    int err = nf_open(nf, nf_path("count"), NF_OPEN_CREATE, &file);

    if (err == 0) {
        err = nf_read(file, 0, text, sizeof(text) - 1, &len);
    }
    if (err == 0) {
        const unsigned long n = strtoul(text, NULL, 10) + 1;
        err = nf_write(file, 0, text, (size_t)sprintf(text, "%lu", n));
    }
    nf_close(file);
    return err == 0 ? nf_sync(nf) : err;
}

int main(int argc, char **argv)
{
    static const struct bd_ops ops = {.submit = submit, .flush = flush};
    const struct nf_env env = {.alloc = allocate, .free = release, .now = now};
    int fd = argc > 1 ? open(argv[1], O_RDWR) : -1;
    const off_t len = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    const struct bd_geometry geo = {(uint64_t)len / PAGE_SIZE, PAGE_SIZE,
                                    BD_CAP_FLUSH};
    struct nf *nf = NULL;
    struct bd bd;
    int err = bd_init(&bd, &ops, &fd, &geo);

    if (err == 0) {
        err = nf_mount(&bd, &env, NULL, &nf);
    }
    if (err == NF_EC_NOT_FORMATTED && (err = nf_format(&bd, &env, NULL)) == 0) {
        err = nf_mount(&bd, &env, NULL, &nf);
    }
    if (err == 0) {
        err = count(nf);
    }
    nf_unmount(nf);
    puts(nf_strerror(err));
    return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
