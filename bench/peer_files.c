/* SPDX-License-Identifier: ISC */
/* Plain files, overwritten in place and synced. Not atomic, so no peer of
 * equals: it shows what the file system takes for the names alone. In the
 * scratch folder, and on a btrfs that is on a loop device in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/mounts.h"
#include "bench/peer.h"

#define MIN_BTRFS_LEN (UINT64_C(256) << 20) /* mkfs wants more than 109 MiB */

struct files_peer {
    struct peer_setup setup;
    int dir;
    struct mount mount;
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

static void make_image(const char *path, uint64_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || posix_fallocate(fd, 0, (off_t)len) != 0) {
        bench_fail("%s: %s", path, strerror(errno));
    }
    close(fd);
}

static void *btrfs_open(const struct peer_setup *setup)
{
    char *image = bench_path(setup->folder, "image");
    char *dir = bench_path(setup->folder, "mount");
    struct peer_setup inside = *setup;
    struct files_peer *p = NULL;
    struct mount mount;
    const char *why;

    make_image(image, setup->image_len > MIN_BTRFS_LEN ? setup->image_len
                                                       : MIN_BTRFS_LEN);
    if (!mount_loop(&mount, dir, "btrfs", image, &why)) {
        bench_skip("commits", "btrfs", why);
    } else {
        inside.folder = dir;
        p = files_open(&inside);
        p->setup.folder = NULL;
        mount_move(&mount, &p->mount);
    }
    free(image);
    free(dir);
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
        if (updates[i].value == NULL) {
            ok = unlinkat(p->dir, text, 0) == 0;
            continue;
        }
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
    if (p->mount.dir != NULL) {
        mount_end(&p->mount);
    }
    free(p);
}

const struct peer peer_files = {"plain files", 100000,      files_open,
                                files_commit,  files_close, NULL};
const struct peer peer_btrfs = {"files on btrfs", 100000,      btrfs_open,
                                files_commit,     files_close, NULL};
