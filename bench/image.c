/* SPDX-License-Identifier: ISC */
#include "bench/image.h"

#include <errno.h>
#include <fcntl.h>
#include <notafs/codec_lz4.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"

static int image_submit(void *dev, const struct bd_request *reqs, size_t n)
{
    struct image *image = dev;

    image->count.batches++;
    for (size_t i = 0; i < n; i++) {
        bool read = reqs[i].in != NULL;

        image->count.reads += read;
        image->count.writes += !read;
        *(read ? &image->count.pages_read : &image->count.pages_written) +=
            reqs[i].range.count;
    }
    return bd_submit(bd_file_bd(image->file), reqs, n);
}

static int image_flush(void *dev)
{
    struct image *image = dev;

    image->count.flushes++;
    return image->durable ? bd_flush(bd_file_bd(image->file)) : 0;
}

static const struct bd_ops image_ops = {.submit = image_submit,
                                        .flush = image_flush};

void image_open(struct image *image, const struct image_options *options)
{
    const struct bd_file_options how = {.page_size = options->page_size,
                                        .direct = options->direct};
    int fd =
        open(options->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct bd_geometry geo;

    /* Blocks are there before anything is measured, as on a disk. */
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)options->len) != 0) {
        bench_fail("%s: %s", options->path, strerror(errno));
    }
    close(fd);
    *image = (struct image){.durable = options->durable};
    nf_env_libc(&image->env);
    bench_must(bd_file_open(options->path, &how, &image->file), options->path);
    geo = bd_file_bd(image->file)->geo;
    geo.caps = BD_CAP_FLUSH;
    bench_must(bd_init(&image->bd, &image_ops, image, &geo), "device");
}

void image_format(struct image *image, enum nf_profile profile)
{
    const struct nf_format_options options = {.profile = profile, .uid = 1};

    bench_must(nf_format(&image->bd, &image->env, &options), "format");
}

void image_mount(struct image *image, size_t cache_len, uint32_t flags)
{
    const struct nf_mount_options options = {
        .cache_bytes = cache_len, .flags = flags, .codec = nf_codec_lz4()};

    bench_must(nf_mount(&image->bd, &image->env, &options, &image->nf),
               "mount");
}

void image_unmount(struct image *image)
{
    nf_unmount(image->nf);
    image->nf = NULL;
}

void image_close(struct image *image)
{
    image_unmount(image);
    bd_file_close(image->file);
    image->file = NULL;
}

enum nf_profile image_profile(const char *name)
{
    if (strcmp(name, "mirage") != 0 && strcmp(name, "native") != 0) {
        bench_fail("no such profile: %s", name);
    }
    return strcmp(name, "mirage") == 0 ? NF_PROFILE_MIRAGE : NF_PROFILE_NATIVE;
}
