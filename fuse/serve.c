/* SPDX-License-Identifier: ISC */
#include "fuse/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <notafs/platform.h>

#define MAX_TRANSFER (1u << 20) /* bytes of one read or write request */
#define MAX_THREADS  64         /* that serve, or wait for a commit */

/* What is larger goes back to the system when it is freed: whole files and
 * their commits, which would else leave the heap in pieces. */
#define LARGE ((int)MAX_TRANSFER + 4096)

struct stopper {
    struct fuse_session *session;
    const char *dir;
    pthread_t main_thread;
};

int serve_errno(int err)
{
    int class = nf_err_class(err);
    /* Classes have Linux's numbers, but for this one. */
    return class == NF_ECONFLICT ? EBUSY : class < 0 ? -class : 0;
}

void serve_init(struct fuse_conn_info *conn)
{
    conn->max_write = MAX_TRANSFER;
    conn->max_readahead = MAX_TRANSFER;
    conn->max_background = 64;
    conn->want |=
        conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO |
                         FUSE_CAP_CACHE_SYMLINKS);
}

/* A daemon that was killed leaves its mount behind, which answers ENOTCONN. */
static void clear_remains(const struct serve *how)
{
    struct stat st;
    if (stat(how->dir, &st) != 0 && errno == ENOTCONN &&
        umount2(how->dir, MNT_DETACH) == 0) {
        daemon_log(how->daemon, "%s: removed a mount whose process has died",
                   how->dir);
    }
}

/* Have the kernel write what it holds back; the threads serve it meanwhile. */
static void write_back(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)syncfs(fd); /* each failed write was answered by ourselves */
        close(fd);
    }
}

static void *wait_for_signal(void *arg)
{
    struct stopper *stopper = arg;
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    while (sigwait(&set, &number) != 0) {
    }
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    write_back(stopper->dir);
    if (umount2(stopper->dir, 0) != 0) {
        (void)umount2(stopper->dir, MNT_DETACH); /* or fusermount3, later */
    }
    fuse_session_exit(stopper->session);
    (void)pthread_kill(stopper->main_thread, SIGUSR1);
    return NULL;
}

static void wake_up(int number)
{
    (void)number;
}

/* Block the signals that end a mount in all threads to come. */
static void block_signals(void)
{
    struct sigaction action;
    sigset_t set;
    memset(&action, 0, sizeof(action));
    action.sa_handler = wake_up;
    (void)sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int run_loop(const struct serve *how, struct fuse_session *session)
{
    struct stopper stopper = {session, how->dir, pthread_self()};
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    pthread_t thread;
    if (config == NULL) {
        return ENOMEM;
    }
    int err = how->start(how->userdata, session);
    if (err == 0) {
        err = pthread_create(&thread, NULL, wait_for_signal, &stopper);
        if (err == 0) {
            fuse_loop_cfg_set_clone_fd(config, 1);
            fuse_loop_cfg_set_max_threads(config, MAX_THREADS);
            daemon_ready(how->daemon);
            (void)fuse_session_loop_mt(session, config);
            (void)pthread_cancel(thread);
            (void)pthread_join(thread, NULL);
        }
        how->stop(how->userdata);
    }
    fuse_loop_cfg_destroy(config);
    return err;
}

int serve(const struct serve *how)
{
    char text[2048];
    char *argv[] = {(char *)how->type, "-o", text, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    /* A comma in the name would end the option. */
    char source[1024];
    size_t len = 0;
    for (const char *p = how->source; *p != '\0' && len + 3 < sizeof(source);
         p++) {
        if (*p == ',' || *p == '\\') {
            source[len++] = '\\';
        }
        source[len++] = *p;
    }
    source[len] = '\0';
    snprintf(text, sizeof(text), "fsname=%s,subtype=%s,default_permissions%s%s",
             source, how->type, how->options->readonly ? ",ro" : "",
             how->options->kernel);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
    (void)mallopt(M_ARENA_MAX, 2);
    clear_remains(how);
    block_signals();
    struct fuse_session *session =
        fuse_session_new(&args, how->ops, sizeof(*how->ops), how->userdata);
    fuse_opt_free_args(&args);
    if (session == NULL) {
        return EINVAL;
    }
    int err = fuse_session_mount(session, how->dir) == 0 ? 0 : EIO;
    if (err == 0) {
        err = run_loop(how, session);
        fuse_session_unmount(session);
    }
    fuse_session_destroy(session);
    return err;
}
