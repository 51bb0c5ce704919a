/* SPDX-License-Identifier: ISC */
/* Plain files, overwritten in place and synced. Not atomic, so no peer of
 * equals: it shows what the file system takes for the names alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct files_peer {
    struct peer_setup setup;
    int dir;
};

static void *files_open(const struct peer_setup *setup)
{
    struct files_peer *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        bench_fail("no memory");
    }
    p->setup = *setup;
    p->dir = open(setup->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0) {
        bench_fail("%s: %s", setup->folder, strerror(errno));
    }
    return p;
}

static int open_file(const struct files_peer *p, char *text)
{
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    int fd = openat(p->dir, text, flags, 0600);

    if (fd >= 0 || errno != ENOENT) {
        return fd;
    }
    for (char *c = text; (c = strchr(c, '/')) != NULL; c++) {
        *c = '\0';
        mkdirat(p->dir, text, 0700); /* it may be there */
        *c = '/';
    }
    return openat(p->dir, text, flags, 0600);
}

/* One file is synced by itself, many by syncing their file system. */
static void files_commit(void *peer, const struct peer_update *updates,
                         size_t n)
{
    struct files_peer *p = peer;
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        char text[KEY_TEXT_CAP];
        int fd;

        key_text(&p->setup.keys, updates[i].i, text);
        fd = open_file(p, text);
        ok = fd >= 0 &&
             pwrite(fd, updates[i].value, p->setup.value_len, 0) ==
                 (ssize_t)p->setup.value_len &&
             (n > 1 || fdatasync(fd) == 0);
        if (fd >= 0) {
            close(fd);
        }
    }
    if (!ok || (n > 1 && syncfs(p->dir) != 0)) {
        bench_fail("files: %s", strerror(errno));
    }
}

static void files_close(void *peer)
{
    struct files_peer *p = peer;

    close(p->dir);
    free(p);
}

const struct peer peer_files = {"plain files", 100000, files_open, files_commit,
                                files_close};
