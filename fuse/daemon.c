/* SPDX-License-Identifier: ISC */
/*
 * The child holds the one end of a pipe, its parent waits at the other. A byte
 * means ready; an end without it means that the child is ending, whose status
 * the parent makes its own.
 */
#include "fuse/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

enum { IN_FOREGROUND = -1, IN_BACKGROUND = -2 };

/* The parent's part: does not return. */
static void wait_for(pid_t child, int fd)
{
    char byte;
    int status;
    ssize_t got;
    do {
        got = read(fd, &byte, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1) {
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            _exit(1);
        }
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int daemon_begin(struct daemon *daemon, bool foreground)
{
    int fds[2];
    daemon->pipe = IN_FOREGROUND;
    if (foreground) {
        return 0;
    }
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child < 0) {
        close(fds[0]);
        close(fds[1]);
        return -1;
    }
    if (child > 0) {
        close(fds[1]);
        wait_for(child, fds[0]);
    }
    close(fds[0]);
    daemon->pipe = fds[1];
    return 0;
}

void daemon_ready(struct daemon *daemon)
{
    if (daemon->pipe < 0) {
        return;
    }
    (void)setsid(); /* fails only for who is the leader already */
    if (chdir("/") != 0) {
        return;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++) {
        (void)dup2(null, fd); /* both are open */
    }
    if (null > 2) {
        close(null);
    }
    openlog("notafs", LOG_PID, LOG_DAEMON);
    ssize_t put = write(daemon->pipe, "", 1);
    (void)put; /* nobody waits any more: fine */
    close(daemon->pipe);
    daemon->pipe = IN_BACKGROUND;
}

void daemon_log(const struct daemon *daemon, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (daemon->pipe == IN_BACKGROUND) {
        vsyslog(LOG_ERR, format, args);
    } else {
        fputs("notafs: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
    }
    va_end(args);
}
