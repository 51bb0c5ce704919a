/* SPDX-License-Identifier: ISC */
#ifndef NOTAFS_HOST_H
#define NOTAFS_HOST_H

#include <notafs/blockdev.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Host: what the core asks of the world, from an operating system (Linux).
 */

/* Memory from malloc, the system's wall clock, no tracing. */
void nf_env_libc(struct nf_env *ret_env);

/* For nf_env.trace: a line on standard error for each event. */
void nf_trace_stderr(void *ctx, const struct nf_event *event);

/* ---- Image files and block special files ----------------------------- */

/* Zero is the default of every field but page_size. */
struct bd_file_options {
    uint32_t page_size; /* bytes */
    bool readonly;
    bool direct; /* O_DIRECT: past the page cache of the kernel */
};

struct bd_file;

/*
 * Open an image file or a block special file as a block device with
 * BD_CAP_FLUSH, and BD_CAP_DISCARD or BD_CAP_READONLY. It has as many pages as
 * fit in whole: bytes behind the last of them are left alone.
 *
 * A writer locks out all other openers, a reader all writers; the lock ends
 * with the process at the latest. With direct, buffers need no alignment, but
 * those that have that of the page size are not copied; a page size below the
 * sector size of the disk goes through the kernel's page cache all the same.
 * After a flush that failed, all that follow fail: what was lost is not known.
 *
 * Owns:    *ret_file, until bd_file_close.
 * Errors:  NF_EC_IMAGE_LOCKED; NF_EINVAL: neither file nor block device, or
 *          smaller than a page; NF_ENOTSUP: direct, which the file system has
 *          not; NF_ENOENT, NF_EPERM, NF_EISDIR and others of open(2).
 */
NF_MUST_USE int bd_file_open(const char *path,
                             const struct bd_file_options *options,
                             struct bd_file **ret_file);

/* Its device, valid until bd_file_close. */
struct bd *bd_file_bd(struct bd_file *file);

/* Size in bytes when it was opened, or its page size set. */
uint64_t bd_file_len(const struct bd_file *file);

/* The errno of the system call that failed last, 0 if none did. */
int bd_file_errno(const struct bd_file *file);

/*
 * See the device as pages of another size, and as long as it is now: for when
 * the header has told the page size, or the file has grown. Counters of
 * bd_file_bd start over. On an error nothing changes.
 */
NF_MUST_USE int bd_file_set_page_size(struct bd_file *file, uint32_t page_size);

/* Close without flushing; NULL is fine. */
void bd_file_close(struct bd_file *file);

#ifdef __cplusplus
}
#endif
#endif
