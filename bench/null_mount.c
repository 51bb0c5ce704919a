/* SPDX-License-Identifier: ISC */
#include "bench/null_mount.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bench/harness.h"

enum {
    MANY = FUSE_ROOT_ID + 1,
    FIRST_FILE,
    MAX_TRANSFER = 1 << 20, /* these two as ours */
    MAX_THREADS = 10,
    NAME_CAP = 24,
};
#define FOREVER 86400.0 /* seconds */

static const uint8_t zeros[MAX_TRANSFER];

static struct null_mount *null_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* The number in a name; cap if it has none. */
static size_t number_of(const struct null_mount *null, const char *name)
{
    size_t number = 0;

    if (*name++ != 'f') {
        return null->cap;
    }
    for (; *name >= '0' && *name <= '9' && number < null->cap; name++) {
        number = number * 10 + (size_t)(*name - '0');
    }
    return *name == '\0' && number < null->cap ? number : null->cap;
}

static void fill_attr(const struct null_mount *null, fuse_ino_t ino,
                      struct stat *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->st_ino = ino;
    attr->st_nlink = 1;
    attr->st_mode = S_IFDIR | 0755;
    if (ino >= FIRST_FILE) {
        attr->st_mode = S_IFREG | 0644;
        attr->st_size = null->lens[ino - FIRST_FILE];
    }
}

static void fill_entry(const struct null_mount *null, fuse_ino_t ino,
                       struct fuse_entry_param *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->ino = ino;
    entry->attr_timeout = entry->entry_timeout = FOREVER;
    if (ino != 0) {
        fill_attr(null, ino, &entry->attr);
    }
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    const struct null_mount *null = userdata;

    conn->max_write = conn->max_readahead = MAX_TRANSFER;
    conn->max_background = 64;
    conn->want |=
        conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO |
                         FUSE_CAP_CACHE_SYMLINKS);
    if (null->write_back) {
        conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
        conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    }
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct null_mount *null = null_of(req);
    size_t number = number_of(null, name);
    struct fuse_entry_param entry;
    fuse_ino_t ino = 0; /* absent, and the kernel may remember that */

    if (parent == FUSE_ROOT_ID && strcmp(name, "many") == 0) {
        ino = MANY;
    } else if (number < null->cap && null->lens[number] >= 0) {
        ino = FIRST_FILE + number;
    }
    fill_entry(null, ino, &entry);
    fuse_reply_entry(req, &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    (void)ino;
    (void)n;
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t n,
                            struct fuse_forget_data *forgets)
{
    (void)n;
    (void)forgets;
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi)
{
    struct stat attr;

    (void)fi;
    fill_attr(null_of(req), ino, &attr);
    fuse_reply_attr(req, &attr, FOREVER);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want,
                       int to_set, struct fuse_file_info *fi)
{
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
        null_of(req)->lens[ino - FIRST_FILE] = want->st_size;
    }
    op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *fi)
{
    struct null_mount *null = null_of(req);
    size_t number = number_of(null, name);
    struct fuse_entry_param entry;

    (void)parent;
    (void)mode;
    if (number == null->cap) {
        fuse_reply_err(req, EPERM);
        return;
    }
    null->lens[number] = 0;
    fill_entry(null, FIRST_FILE + number, &entry);
    fi->keep_cache = 1;
    fuse_reply_create(req, &entry, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    int64_t len = null_of(req)->lens[ino - FIRST_FILE] - off;

    (void)fi;
    size = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size;
    fuse_reply_buf(req, (const char *)zeros,
                   size < MAX_TRANSFER ? size : MAX_TRANSFER);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
                     size_t size, off_t off, struct fuse_file_info *fi)
{
    int64_t *len = &null_of(req)->lens[ino - FIRST_FILE];

    (void)buf;
    (void)fi;
    *len = off + (off_t)size > *len ? off + (off_t)size : *len;
    fuse_reply_write(req, size);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct null_mount *null = null_of(req);
    size_t number = number_of(null, name);

    (void)parent;
    if (number < null->cap) {
        null->lens[number] = -1;
    }
    fuse_reply_err(req, number < null->cap ? 0 : ENOENT);
}

static void op_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

/* Positions are the numbers of what comes next. Names that . and .. have are
 * left out: nobody asks for them here. */
static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     bool plus)
{
    const struct null_mount *null = null_of(req);
    char *buf = malloc(size);
    size_t len = 0;

    for (size_t i = (size_t)off; ino == MANY && i < null->cap; i++) {
        struct fuse_entry_param entry;
        char name[NAME_CAP];
        size_t need;

        if (i == 0 || null->lens[i] < 0) {
            continue;
        }
        snprintf(name, sizeof(name), "f%08zu", i);
        fill_entry(null, FIRST_FILE + i, &entry);
        need = plus ? fuse_add_direntry_plus(req, buf + len, size - len, name,
                                             &entry, (off_t)i + 1)
                    : fuse_add_direntry(req, buf + len, size - len, name,
                                        &entry.attr, (off_t)i + 1);
        if (need > size - len) {
            break;
        }
        len += need;
    }
    fuse_reply_buf(req, buf, len);
    free(buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
                           off_t off, struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, true);
}

static const struct fuse_lowlevel_ops null_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .unlink = op_unlink,
    .release = op_done,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
};

void null_mount_init(struct null_mount *null, size_t cap, bool write_back)
{
    *null = (struct null_mount){.write_back = write_back, .cap = cap};
    null->lens = mmap(NULL, cap * sizeof(*null->lens), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (null->lens == MAP_FAILED) {
        bench_fail("no memory");
    }
    memset(null->lens, 0xff, cap * sizeof(*null->lens));
}

void null_mount_deinit(struct null_mount *null)
{
    munmap(null->lens, null->cap * sizeof(*null->lens));
}

int null_mount_serve(const char *dir, void *arg)
{
    char *argv[] = {"null", "-o",
                    "fsname=null,subtype=null,default_permissions", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct fuse_session *session =
        fuse_session_new(&args, &null_ops, sizeof(null_ops), arg);
    int err = 1;

    fuse_opt_free_args(&args);
    if (session != NULL && fuse_session_mount(session, dir) == 0) {
        fuse_loop_cfg_set_clone_fd(config, 1);
        fuse_loop_cfg_set_max_threads(config, MAX_THREADS);
        err = fuse_session_loop_mt(session, config) < 0;
        fuse_session_unmount(session);
    }
    fuse_loop_cfg_destroy(config);
    fuse_session_destroy(session);
    return err;
}
