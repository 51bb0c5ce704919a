/* SPDX-License-Identifier: ISC */
/* To be preloaded: the n-th allocation fails from when
 * the file that FUSE_FAULT names says so: its numbers are shared with whoever
 * runs the test. It counts the blocks that are allocated, too. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct fault {
    _Atomic long alloc; /* so many more until one fails; 0: none does */
    _Atomic long live;  /* blocks */
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

static struct fault none;
static struct fault *fault = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("FUSE_FAULT");
    int fd = name != NULL ? open(name, O_RDWR) : -1;
    void *shared = MAP_FAILED;
    if (fd >= 0) {
        shared =
            mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (shared != MAP_FAILED) {
        fault = shared;
    }
}

static int strikes(_Atomic long *counter, int err)
{
    if (atomic_load(counter) <= 0 || atomic_fetch_sub(counter, 1) != 1) {
        return 0;
    }
    errno = err;
    return 1;
}

static void *counted(void *p)
{
    atomic_fetch_add(&fault->live, p != NULL);
    return p;
}

void *malloc(size_t size)
{
    return strikes(&fault->alloc, ENOMEM) ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return strikes(&fault->alloc, ENOMEM) ? NULL
                                          : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
    if (p == NULL) {
        return malloc(size);
    }
    return strikes(&fault->alloc, ENOMEM) ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return strikes(&fault->alloc, ENOMEM)
               ? NULL
               : counted(__libc_memalign(align, size));
}

int posix_memalign(void **ret, size_t align, size_t size)
{
    void *p = aligned_alloc(align, size);
    *ret = p;
    return p != NULL ? 0 : ENOMEM;
}

void free(void *p)
{
    atomic_fetch_sub(&fault->live, p != NULL);
    __libc_free(p);
}
