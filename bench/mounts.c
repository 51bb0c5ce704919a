/* SPDX-License-Identifier: ISC */
#include "bench/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MOUNTS = 16, PATIENCE_MS = 60000 };

/* What is mounted now, for the end by a signal. */
static struct mount *mounts[MAX_MOUNTS];

static void unmount_all(void)
{
    for (size_t i = 0; i < MAX_MOUNTS; i++) {
        if (mounts[i] != NULL) {
            (void)umount2(mounts[i]->dir, MNT_DETACH);
            if (mounts[i]->pid > 0) {
                (void)kill(mounts[i]->pid, SIGKILL); /* nothing to keep */
            }
        }
    }
}

static struct mount **slot_of(const struct mount *mount)
{
    for (size_t i = 0; i < MAX_MOUNTS; i++) {
        if (mounts[i] == mount) {
            return &mounts[i];
        }
    }
    bench_fail("too many mounts");
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static bool is_mounted(const char *dir)
{
    struct stat here;
    struct stat above;
    char *up = bench_path(dir, "..");
    bool yes = stat(dir, &here) == 0 && stat(up, &above) == 0 &&
               here.st_dev != above.st_dev;

    free(up);
    return yes;
}

/* In a child: nothing of this process' signals, and quiet. */
static void child_begin(bool quiet)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    dup2(null, 0);
    dup2(quiet ? null : 2, 1);
}

static void wait_until_up(struct mount *mount)
{
    for (int ms = 0; !is_mounted(mount->dir); ms++) {
        if (waitpid(mount->pid, NULL, WNOHANG) != 0) {
            bench_fail("%s: nothing was mounted", mount->dir);
        }
        if (ms == PATIENCE_MS) {
            bench_fail("%s: not mounted in time", mount->dir);
        }
        pause_ms(1);
    }
}

static void mount_begin(struct mount *mount, const char *dir)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        bench_fail("%s: %s", dir, strerror(errno));
    }
    mount->dir = strdup(dir);
    mount->pid = 0;
    *slot_of(NULL) = mount;
    bench_before_remove(unmount_all);
}

static pid_t fork_child(void)
{
    pid_t pid = fork();

    if (pid < 0) {
        bench_fail("fork: %s", strerror(errno));
    }
    return pid;
}

void mount_program(struct mount *mount, const char *dir,
                   const char *const *argv)
{
    mount_begin(mount, dir);
    mount->pid = fork_child();
    if (mount->pid == 0) {
        child_begin(true);
        execvp(argv[0], (char *const *)argv);
        fprintf(stderr, "notafs-bench: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    wait_until_up(mount);
}

void mount_function(struct mount *mount, const char *dir,
                    int (*serve)(const char *dir, void *arg), void *arg)
{
    mount_begin(mount, dir);
    mount->pid = fork_child();
    if (mount->pid == 0) {
        child_begin(true);
        _exit(serve(dir, arg));
    }
    wait_until_up(mount);
}

/* The status that a program ends with; what it says, only if it fails. */
static int run(const char *const *argv)
{
    char said[4096];
    size_t len = 0;
    ssize_t got;
    int status = -1;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0) {
        bench_fail("pipe: %s", strerror(errno));
    }
    pid = fork_child();
    if (pid == 0) {
        child_begin(false);
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(fds[1]);
    while ((got = read(fds[0], said + len, sizeof(said) - len)) > 0) {
        len = len + (size_t)got == sizeof(said) ? 0 : len + (size_t)got;
    }
    close(fds[0]);
    waitpid(pid, &status, 0);
    if (status != 0) {
        fprintf(stderr, "%.*s", (int)len, said);
    }
    return status;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

struct bench_time run_program(const char *const *argv)
{
    double begin = bench_now().wall;
    struct rusage before;
    struct rusage after;

    getrusage(RUSAGE_CHILDREN, &before);
    if (run(argv) != 0) {
        bench_fail("%s failed", argv[0]);
    }
    getrusage(RUSAGE_CHILDREN, &after);
    return (struct bench_time){
        seconds(after.ru_utime) - seconds(before.ru_utime),
        seconds(after.ru_stime) - seconds(before.ru_stime),
        bench_now().wall - begin};
}

bool mount_loop(struct mount *mount, const char *dir, const char *type,
                const char *image, const char **ret_why)
{
    char mkfs[32];
    const char *make[] = {mkfs, "-q", image, NULL};
    const char *attach[] = {"mount", "-t",  type, "-o",
                            "loop",  image, dir,  NULL};

    snprintf(mkfs, sizeof(mkfs), "mkfs.%s", type);
    *ret_why = "it is for root only";
    if (geteuid() != 0) {
        return false;
    }
    *ret_why = "there is no mkfs for it";
    if (!has_program(mkfs)) {
        return false;
    }
    *ret_why = "mkfs failed";
    if (run(make) != 0) {
        return false;
    }
    mount_begin(mount, dir);
    if (run(attach) != 0) {
        *ret_why = "the kernel does not mount it";
        *slot_of(mount) = NULL;
        free(mount->dir);
        return false;
    }
    return true;
}

void mount_move(const struct mount *mount, struct mount *to)
{
    *to = *mount;
    *slot_of(mount) = to;
}

void mount_end(struct mount *mount)
{
    int status = 0;

    if (umount2(mount->dir, 0) != 0) {
        bench_fail("umount %s: %s", mount->dir, strerror(errno));
    }
    if (mount->pid > 0 &&
        (waitpid(mount->pid, &status, 0) != mount->pid || status != 0)) {
        bench_fail("%s: its process ended with %d", mount->dir, status);
    }
    *slot_of(mount) = NULL;
    free(mount->dir);
    *mount = (struct mount){0};
}

double mount_cpu(const struct mount *mount)
{
    struct timespec t = {0, 0};
    clockid_t clock;

    if (mount->pid > 0 && clock_getcpuclockid(mount->pid, &clock) == 0) {
        (void)clock_gettime(clock, &t);
    }
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

char *own_program(const char *folder, const char *name)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *beside;
    char *path;

    if (folder != NULL) {
        return bench_path(folder, name);
    }
    self[len > 0 ? len : 0] = '\0';
    beside = dirname(self);
    path = bench_path(beside, "../cli");
    if (access(path, X_OK) == 0) { /* not installed */
        char *built = bench_path(path, name);

        free(path);
        return built;
    }
    free(path);
    return bench_path(beside, name);
}

bool has_program(const char *name)
{
    char *path = strdup(getenv("PATH") != NULL ? getenv("PATH") : "");
    char *rest = path;
    char *folder;
    bool found = false;

    while (!found && (folder = strsep(&rest, ":")) != NULL) {
        char *file = bench_path(folder, name);

        found = access(file, X_OK) == 0;
        free(file);
    }
    free(path);
    return found;
}
