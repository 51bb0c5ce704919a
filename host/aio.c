/* SPDX-License-Identifier: ISC */
#include "host/aio.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

unsigned long aio_open(void)
{
    aio_context_t context = 0; /* an unsigned long */

    return syscall(SYS_io_setup, AIO_DEPTH, &context) == 0 ? context : 0;
}

void aio_close(unsigned long context)
{
    if (context != 0) {
        (void)syscall(SYS_io_destroy, context); /* nothing is under way */
    }
}

/* Wait for n transfers, whose jobs they name. */
static void wait_for(aio_context_t context, size_t n)
{
    struct io_event events[AIO_DEPTH];

    while (n > 0) {
        const long got =
            syscall(SYS_io_getevents, context, 1L, (long)n, events, NULL);

        if (got < 0 && errno != EINTR) {
            return; /* cannot be: it was there when they were sent */
        }
        for (long i = 0; i < got; i++) {
            struct aio_job *job = (struct aio_job *)(uintptr_t)events[i].data;

            job->done = events[i].res;
        }
        n -= got > 0 ? (size_t)got : 0;
    }
}

void aio_run(unsigned long context, int fd, struct aio_job *jobs, size_t n)
{
    struct iocb blocks[AIO_DEPTH];
    struct iocb *list[AIO_DEPTH];
    size_t sent = 0;

    for (size_t i = 0; i < n; i++) {
        blocks[i] = (struct iocb){
            .aio_data = (uintptr_t)&jobs[i],
            .aio_lio_opcode =
                jobs[i].write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV,
            .aio_fildes = (uint32_t)fd,
            .aio_buf = (uintptr_t)jobs[i].iov,
            .aio_nbytes = (unsigned)jobs[i].n_iov,
            .aio_offset = (__s64)jobs[i].pos,
        };
        list[i] = &blocks[i];
        jobs[i].done = 0;
    }
    while (context != 0 && sent < n) {
        const long got =
            syscall(SYS_io_submit, context, (long)(n - sent), list + sent);

        if (got <= 0) {
            break;
        }
        sent += (size_t)got;
    }
    wait_for(context, sent);
}
