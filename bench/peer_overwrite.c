/* SPDX-License-Identifier: ISC */
/* The bytes of the values alone, overwritten in place in one file whose blocks
 * are there, and synced: neither atomic nor found by name, so no peer of
 * equals. It shows the most that a file of this system gives. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct overwrite_peer {
    size_t value_len;
    int fd;
};

static void *overwrite_open(const struct peer_setup *setup)
{
    const uint64_t len = setup->entries * setup->value_len;
    struct overwrite_peer *p = calloc(1, sizeof(*p));
    char *path = bench_path(setup->folder, "values");
    int err;

    if (p == NULL) {
        bench_fail("no memory");
    }
    p->value_len = setup->value_len;
    p->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    err = p->fd < 0 ? errno : posix_fallocate(p->fd, 0, (off_t)len + 1);
    if (err != 0) {
        bench_fail("%s: %s", path, strerror(err));
    }
    free(path);
    return p;
}

static void overwrite_commit(void *peer, const struct peer_update *updates,
                             size_t n)
{
    struct overwrite_peer *p = peer;
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        ok = pwrite(p->fd, updates[i].value, p->value_len,
                    (off_t)(updates[i].i * p->value_len)) ==
             (ssize_t)p->value_len;
    }
    if (!ok || fdatasync(p->fd) != 0) {
        bench_fail("overwrite: %s", strerror(errno));
    }
}

static void overwrite_close(void *peer)
{
    struct overwrite_peer *p = peer;

    close(p->fd);
    free(p);
}

const struct peer peer_overwrite = {"overwrite in place", 0,
                                    overwrite_open,       overwrite_commit,
                                    overwrite_close,      NULL};
