/* SPDX-License-Identifier: ISC */
/* The embedder's callbacks on a system with a C library. */
#include <notafs/host.h>

#include <stdlib.h>
#include <time.h>

static void *mem_libc_alloc(void *ctx, size_t size, size_t align)
{
    void *p = NULL;

    (void)ctx;
    if (align <= _Alignof(max_align_t)) {
        return malloc(size);
    }
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static void mem_libc_free(void *ctx, void *p, size_t size)
{
    (void)ctx;
    (void)size;
    free(p);
}

static struct nf_time mem_libc_now(void *ctx)
{
    struct timespec now = {0};

    (void)ctx;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* this clock always exists */
    return (struct nf_time){.sec = now.tv_sec, .nsec = (uint32_t)now.tv_nsec};
}

void nf_env_libc(struct nf_env *ret_env)
{
    *ret_env = (struct nf_env){
        .alloc = mem_libc_alloc,
        .free = mem_libc_free,
        .now = mem_libc_now,
    };
}
