/* SPDX-License-Identifier: ISC */
/* notafs-bench: the table of workloads. */
#include <stdio.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/workloads.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} workloads[] = {
    {"append", bench_append, "how long until a few bytes are durable"},
    {"codec", bench_codec, "XXH3, ADLER-32 and LZ4 beside their libraries"},
    {"commits", bench_commits,
     "durable commits beside LMDB, SQLite, git, files"},
    {"device", bench_device, "Notafs beside the bare device"},
    {"files", bench_files,
     "an image: set, get, append, commit, overwrite, scrub"},
#ifdef NOTAFS_FUSE
    {"fuse", bench_fuse, "mounts beside a loop that does nothing, bindfs"},
#endif
    {"gc", bench_gc, "commits while a collection runs"},
    {"hash", bench_hash, "BLAKE2b, each kernel, beside libb2"},
    {"import", bench_import, "a tree of files beside tar, git and cp"},
    {"mix", bench_mix, "look-ups, changes and commits beside LMDB, SQLite"},
    {"mount", bench_mount, "the time that a mount takes, by size"},
    {"pack", bench_pack, "a store: load, commit, read, traverse, check, gc"},
};

static int usage(FILE *out)
{
    fputs("usage: notafs-bench WORKLOAD [OPTION]... (WORKLOAD --help)\n", out);
    for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
        fprintf(out, "  %-8s %s\n", workloads[i].name, workloads[i].help);
    }
    return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return usage(stderr);
    }
    for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
        if (strcmp(argv[1], workloads[i].name) == 0) {
            bench_command(argc, argv);
            return workloads[i].run(argc - 1, argv + 1);
        }
    }
    return usage(strcmp(argv[1], "--help") == 0 ? stdout : stderr);
}
