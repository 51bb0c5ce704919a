/* SPDX-License-Identifier: ISC */
/* A scratch image file as a block device, with or without its flushes. */
#ifndef BENCH_IMAGE_H
#define BENCH_IMAGE_H

#include <notafs/host.h>
#include <notafs/notafs.h>

struct image {
    struct bd_file *file;
    struct bd bd;             /* in front of the file's: flushes may end here */
    struct bd_counters count; /* of what passed, over all mounts */
    bool durable;
    struct nf_env env;
    struct nf *nf; /* mounted, or NULL */
};

struct image_options {
    const char *path; /* made anew, all zeros */
    uint64_t len;     /* bytes */
    uint32_t page_size;
    bool durable; /* flushes reach the disk */
    bool direct;  /* past the system's cache */
};

void image_open(struct image *image, const struct image_options *options);
void image_format(struct image *image, enum nf_profile profile);
void image_mount(struct image *image, size_t cache_len, uint32_t flags);
void image_unmount(struct image *image);
void image_close(struct image *image);

/* The profile of that name. */
enum nf_profile image_profile(const char *name);

#endif
