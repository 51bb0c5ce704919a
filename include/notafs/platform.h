/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_PLATFORM_H
#define NOTAFS_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Platform: all that the core asks of the world it runs in.
 *
 * The core is freestanding. Beyond memcpy, memmove, memset, memcmp and strlen
 * it reaches memory, time and the log through the callbacks below, and storage
 * through blockdev.h. Nothing here is global: each handle keeps a pointer to
 * the struct nf_env that it was opened with.
 */
#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NF_MUST_USE __attribute__((warn_unused_result))
#else
#define NF_MUST_USE
#endif

/* Errors: 0 or a positive count is success, these are failure. */
enum nf_err {
    NF_OK = 0,
#define NF_ERR_CLASS(name, number, text)          name = (number),
#define NF_ERR_DETAIL(name, number, class_, text) name = (number),
#include <notafs/err.def>
#undef NF_ERR_CLASS
#undef NF_ERR_DETAIL
};

/* Text of an error, in English, never NULL; static, valid for ever. */
const char *nf_strerror(int err);

/* The symbol of an error ("NF_ENOSPC"), never NULL; static. */
const char *nf_errname(int err);

/* The class of an error: itself for a class, its class for a detail, NF_EIO
 * for an unknown number, 0 for 0 and for counts. */
int nf_err_class(int err);

/* A moment: seconds since 1970-01-01 UTC, and nanoseconds in 0..999999999. */
struct nf_time {
    int64_t sec;
    uint32_t nsec;
};

/* Where and why the last call on a handle failed. Fields without meaning for
 * the error are NF_NOWHERE (numbers) or "" (text). */
#define NF_NOWHERE UINT64_MAX
struct nf_error_info {
    int err;
    uint64_t page;     /* page id on the device */
    uint64_t offset;   /* byte in the file or the page */
    uint64_t expected; /* checksum, length or count: what it should be ... */
    uint64_t found;    /* ... and what it was */
    const char *what;  /* static text: the structure that was being read */
    char file[256];    /* path of the file concerned, cut to fit */
};

/* One traced event; names and formats are in notafs/platform/trace.def. */
struct nf_event {
    uint32_t id; /* enum nf_event_id */
    uint64_t a;
    uint64_t b;
    uint64_t c;
};

/*
 * The embedder's callbacks. The struct and what ctx points to must outlive
 * every handle opened with it.
 *
 * alloc:  size bytes aligned to align (a power of two, at most 4096), or NULL.
 * free:   p came from alloc with this size. Never called with NULL.
 * now:    the wall clock; NULL means a clock that stands at 0.
 * trace:  NULL means no tracing. Must not call back into the core.
 *
 * Threads: callbacks are made on the thread that called the core, and may come
 * from several threads at once if several handles share one nf_env.
 */
struct nf_env {
    void *ctx;
    void *(*alloc)(void *ctx, size_t size, size_t align);
    void (*free)(void *ctx, void *p, size_t size);
    struct nf_time (*now)(void *ctx);
    void (*trace)(void *ctx, const struct nf_event *event);
};

#ifdef __cplusplus
}
#endif
#endif
