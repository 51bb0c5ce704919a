/* SPDX-License-Identifier: ISC */
/* Transfers that are under way together, by Linux's AIO: only with O_DIRECT
 * does the kernel return before they have ended. */
#ifndef HOST_AIO_H
#define HOST_AIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { AIO_DEPTH = 32 };

struct aio_job {
    bool write;
    uint64_t pos;
    struct iovec *iov;
    int n_iov;
    int64_t done; /* bytes transferred, or a negative errno */
};

/* A context for AIO_DEPTH transfers; 0 where the system has none. It is of no
 * use to a child of this process: there aio_run does nothing. */
unsigned long aio_open(void);
void aio_close(unsigned long context);

/* Carry out at most AIO_DEPTH jobs, of a descriptor, and wait for all of them.
 * Done of a job that the system did not take is 0. */
void aio_run(unsigned long context, int fd, struct aio_job *jobs, size_t n);

#endif
