/* SPDX-License-Identifier: ISC */
/*
 * The file API over a folder of the operating system.
 *
 * order and commit do the same here: fsync every file that was written since,
 * then every folder in which a name has changed. What a file's close still
 * owes is paid then, since its handle is gone after.
 */
#include <notafs/vfs_posix.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/os_err.h"

struct posix_file {
    struct posix_file *next; /* of all open files */
    int fd;
    bool dirty;
};

/* A folder with changed names. */
struct posix_dir {
    struct posix_dir *next;
    char name[]; /* relative, "" is the root */
};

struct pk_vfs_posix {
    int root;
    bool sync;
    struct posix_file *files;
    struct posix_dir *dirs;
};

static int posix_fail(void)
{
    return os_err(errno);
}

/* The length of the folder part of a name, without the '/'. */
static size_t dir_len(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash == NULL ? 0 : (size_t)(slash - name);
}

static int dir_mark(struct pk_vfs_posix *posix, const char *name, size_t len)
{
    struct posix_dir *dir;

    for (dir = posix->dirs; dir != NULL; dir = dir->next) {
        if (strlen(dir->name) == len && memcmp(dir->name, name, len) == 0) {
            return 0;
        }
    }
    dir = malloc(sizeof(*dir) + len + 1);
    if (dir == NULL) {
        return NF_ENOMEM;
    }
    memcpy(dir->name, name, len);
    dir->name[len] = '\0';
    dir->next = posix->dirs;
    posix->dirs = dir;
    return 0;
}

/* Make the folders of a name. */
static int dir_make(struct pk_vfs_posix *posix, const char *name)
{
    char path[PK_VFS_NAME_MAX + 1];
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        int err;

        if (name[i] != '/') {
            continue;
        }
        memcpy(path, name, i);
        path[i] = '\0';
        if (mkdirat(posix->root, path, 0755) == 0) {
            err = dir_mark(posix, path, dir_len(path));
            if (err != 0) {
                return err;
            }
        } else if (errno != EEXIST) {
            return posix_fail();
        }
    }
    return 0;
}

static int posix_open(void *ctx, const char *name, uint32_t flags,
                      void **ret_file)
{
    struct pk_vfs_posix *posix = ctx;
    bool create = (flags & PK_VFS_CREATE) != 0;
    int mode = (flags & PK_VFS_WRITE) != 0 ? O_RDWR : O_RDONLY;
    struct posix_file *file;
    int err = 0;
    int fd;

    if (strlen(name) > PK_VFS_NAME_MAX) {
        return NF_ENAMETOOLONG;
    }
    mode |= O_CLOEXEC | ((flags & PK_VFS_TRUNCATE) != 0 ? O_TRUNC : 0);
    fd = openat(posix->root, name, mode);
    if (fd < 0 && errno == ENOENT && create) {
        err = dir_make(posix, name);
        if (err == 0) {
            err = dir_mark(posix, name, dir_len(name));
        }
        if (err == 0) {
            fd = openat(posix->root, name, mode | O_CREAT, 0644);
        }
    }
    if (err != 0 || fd < 0) {
        return err != 0 ? err : posix_fail();
    }
    file = calloc(1, sizeof(*file));
    if (file == NULL) {
        close(fd);
        return NF_ENOMEM;
    }
    file->fd = fd;
    file->dirty = (flags & PK_VFS_TRUNCATE) != 0 || create;
    file->next = posix->files;
    posix->files = file;
    *ret_file = file;
    return 0;
}

static int file_sync(const struct pk_vfs_posix *posix, struct posix_file *file)
{
    if (!file->dirty) {
        return 0;
    }
    if (posix->sync && fsync(file->fd) != 0) {
        return posix_fail();
    }
    file->dirty = false;
    return 0;
}

static int posix_close(void *ctx, void *handle)
{
    struct pk_vfs_posix *posix = ctx;
    struct posix_file *file = handle;
    struct posix_file **link = &posix->files;
    int err = file_sync(posix, file);

    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    if (close(file->fd) != 0 && err == 0) {
        err = posix_fail();
    }
    free(file);
    return err;
}

static int posix_read(void *ctx, void *handle, uint64_t off, uint8_t *buf,
                      size_t len, size_t *ret_len)
{
    const struct posix_file *file = handle;
    size_t done = 0;

    (void)ctx;
    if (off > (uint64_t)INT64_MAX - len) {
        return NF_ERANGE;
    }
    while (done < len) {
        ssize_t n =
            pread(file->fd, buf + done, len - done, (off_t)(off + done));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return posix_fail();
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *ret_len = done;
    return 0;
}

static int posix_write(void *ctx, void *handle, uint64_t off,
                       const uint8_t *buf, size_t len)
{
    struct posix_file *file = handle;
    size_t done = 0;

    (void)ctx;
    if (off > (uint64_t)INT64_MAX - len) {
        return NF_ERANGE;
    }
    file->dirty = true;
    while (done < len) {
        ssize_t n =
            pwrite(file->fd, buf + done, len - done, (off_t)(off + done));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return posix_fail();
        }
        done += (size_t)n;
    }
    return 0;
}

static int posix_truncate(void *ctx, void *handle, uint64_t len)
{
    struct posix_file *file = handle;

    (void)ctx;
    file->dirty = true;
    return ftruncate(file->fd, (off_t)len) == 0 ? 0 : posix_fail();
}

static int posix_size(void *ctx, void *handle, uint64_t *ret_len)
{
    const struct posix_file *file = handle;
    struct stat st;

    (void)ctx;
    if (fstat(file->fd, &st) != 0) {
        return posix_fail();
    }
    *ret_len = (uint64_t)st.st_size;
    return 0;
}

static int posix_rename(void *ctx, const char *from, const char *to)
{
    struct pk_vfs_posix *posix = ctx;
    int err = dir_mark(posix, from, dir_len(from));

    if (err == 0) {
        err = dir_mark(posix, to, dir_len(to));
    }
    if (err == 0 && renameat(posix->root, from, posix->root, to) != 0) {
        err = posix_fail();
    }
    return err;
}

static int posix_remove(void *ctx, const char *name)
{
    struct pk_vfs_posix *posix = ctx;
    int err = dir_mark(posix, name, dir_len(name));

    if (err == 0 && unlinkat(posix->root, name, 0) != 0) {
        err = posix_fail();
    }
    return err;
}

static int posix_list(void *ctx, const char *name, pk_vfs_list_fn fn, void *arg)
{
    struct pk_vfs_posix *posix = ctx;
    const struct dirent *entry;
    int err = 0;
    DIR *dir;
    int fd = openat(posix->root, *name == '\0' ? "." : name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : posix_fail();
    }
    dir = fdopendir(fd);
    if (dir == NULL) {
        err = posix_fail();
        close(fd);
        return err;
    }
    while (err == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        struct stat st;

        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode)) {
            err = fn(arg, entry->d_name, (uint64_t)st.st_size);
        }
    }
    if (err == 0 && errno != 0) {
        err = posix_fail();
    }
    closedir(dir);
    return err;
}

static int posix_sync(void *ctx)
{
    struct pk_vfs_posix *posix = ctx;

    for (struct posix_file *file = posix->files; file != NULL;
         file = file->next) {
        int err = file_sync(posix, file);

        if (err != 0) {
            return err;
        }
    }
    while (posix->dirs != NULL) {
        struct posix_dir *dir = posix->dirs;

        if (posix->sync) {
            int fd = openat(posix->root, dir->name[0] == '\0' ? "." : dir->name,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            int err = fd < 0 || fsync(fd) != 0 ? posix_fail() : 0;

            if (fd >= 0) {
                close(fd);
            }
            if (err != 0) {
                return err;
            }
        }
        posix->dirs = dir->next;
        free(dir);
    }
    return 0;
}

/* irmin's way: an fcntl lock on a file that holds the owner's number. */
static int posix_lock(void *ctx, const char *name, void **ret_lock)
{
    struct pk_vfs_posix *posix = ctx;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char pid[24];
    int *held;
    int err = dir_make(posix, name);
    int fd;

    if (err != 0) {
        return err;
    }
    fd = openat(posix->root, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return posix_fail();
    }
    /* flock as well: a process's fcntl locks do not keep out itself. */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fcntl(fd, F_SETLK, &lock) != 0) {
        err = errno == EACCES || errno == EAGAIN ? NF_EBUSY : posix_fail();
        close(fd);
        return err;
    }
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    held = malloc(sizeof(*held));
    if (held == NULL ||
        pwrite(fd, pid, strlen(pid), 0) != (ssize_t)strlen(pid)) {
        err = held == NULL ? NF_ENOMEM : posix_fail();
        free(held);
        close(fd);
        return err;
    }
    *held = fd;
    *ret_lock = held;
    return 0;
}

static void posix_unlock(void *ctx, void *lock)
{
    int *held = lock;

    (void)ctx;
    close(*held);
    free(held);
}

static int posix_space(void *ctx, uint64_t *ret_len)
{
    struct pk_vfs_posix *posix = ctx;
    struct statvfs st;

    if (fstatvfs(posix->root, &st) != 0) {
        return posix_fail();
    }
    *ret_len = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

static const struct pk_vfs_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .truncate = posix_truncate,
    .size = posix_size,
    .rename = posix_rename,
    .remove = posix_remove,
    .list = posix_list,
    .order = posix_sync,
    .commit = posix_sync,
    .lock = posix_lock,
    .unlock = posix_unlock,
    .space = posix_space,
};

int pk_vfs_posix_open(const char *path, uint32_t flags,
                      struct pk_vfs_posix **ret_posix, struct pk_vfs *ret_vfs)
{
    struct pk_vfs_posix *posix = calloc(1, sizeof(*posix));
    int err = 0;

    if (posix == NULL) {
        return NF_ENOMEM;
    }
    if ((flags & PK_VFS_POSIX_CREATE) != 0 && mkdir(path, 0755) != 0 &&
        errno != EEXIST) {
        err = posix_fail();
    }
    posix->sync = (flags & PK_VFS_POSIX_NO_SYNC) == 0;
    posix->root =
        err != 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (posix->root < 0) {
        err = err != 0 ? err : posix_fail();
        free(posix);
        return err;
    }
    *ret_posix = posix;
    *ret_vfs = (struct pk_vfs){&posix_ops, posix};
    return 0;
}

void pk_vfs_posix_close(struct pk_vfs_posix *posix)
{
    if (posix == NULL) {
        return;
    }
    while (posix->dirs != NULL) {
        struct posix_dir *dir = posix->dirs;

        posix->dirs = dir->next;
        free(dir);
    }
    close(posix->root);
    free(posix);
}
