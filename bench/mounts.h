/* SPDX-License-Identifier: ISC */
/*
 * File systems that a workload mounts below its scratch folder, each served by
 * a process of its own, and the programs it starts. All of them end with the
 * workload, by a signal too.
 */
#ifndef BENCH_MOUNTS_H
#define BENCH_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bench/harness.h"

struct mount {
    char *dir;
    pid_t pid; /* of the process that serves it, or 0 */
};

/* Mount on dir, which is made if absent, what a program serves in the
 * foreground: argv, which ends with NULL. */
void mount_program(struct mount *mount, const char *dir,
                   const char *const *argv);

/* The same with what serve does, in a process of its own. */
void mount_function(struct mount *mount, const char *dir,
                    int (*serve)(const char *dir, void *arg), void *arg);

/* A file with an empty file system of that type, made by mkfs, on a loop
 * device. False, with a text that tells why, if that cannot be. */
bool mount_loop(struct mount *mount, const char *dir, const char *type,
                const char *image, const char **ret_why);

/* From now on it is kept at to. */
void mount_move(const struct mount *mount, struct mount *to);

/* Unmount, and wait until its process has ended. */
void mount_end(struct mount *mount);

/* Seconds of processor time of the process so far. */
double mount_cpu(const struct mount *mount);

/* Run a program to its end, standard output and error to nowhere unless it
 * fails. What it took, with the processor's time of itself and its children. */
struct bench_time run_program(const char *const *argv);

/* Path of the program notafs or notapack of this build, or one of that name in
 * folder, if that is not NULL. */
char *own_program(const char *folder, const char *name);

/* Whether a program is found in PATH. */
bool has_program(const char *name);

#endif
