/* SPDX-License-Identifier: ISC */
/* To be preloaded: fsync and fdatasync do not return while the file exists that
 * FUSE_GATE names. They make a file of that name and ".reached" first. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_at_gate(void)
{
    const struct timespec moment = {0, 1000000};
    const char *gate = getenv("FUSE_GATE");
    char reached[4096];
    if (gate == NULL || access(gate, F_OK) != 0) {
        return;
    }
    snprintf(reached, sizeof(reached), "%s.reached", gate);
    int fd = open(reached, O_WRONLY | O_CREAT, 0644);
    if (fd >= 0) {
        close(fd);
    }
    while (access(gate, F_OK) == 0) {
        (void)nanosleep(&moment, NULL);
    }
}

static int pass(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    wait_at_gate();
    return real(fd);
}

int fsync(int fd)
{
    return pass("fsync", fd);
}

int fdatasync(int fd)
{
    return pass("fdatasync", fd);
}
