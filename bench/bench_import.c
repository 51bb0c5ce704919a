/* SPDX-License-Identifier: ISC */
/*
 * A tree of files in and out: by our programs onto a disk and into a store, and
 * by tar, git and cp. What comes in is synced by all; what goes out by none. In
 * each round one after the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/harness.h"
#include "bench/mounts.h"
#include "bench/options.h"
#include "bench/workloads.h"

enum { MAX_ROUNDS = 9, N_ARGS = 5 };

/* Shell, in an empty folder: $1 the tree, $2 notafs, $3 notapack, $4 bytes of
 * an image. Export goes to the folder "out", which is empty. */
static const struct way {
    const char *name;
    const char *prepare;
    const char *in;
    const char *out;
} ways[] = {
    {"notafs, an image", "\"$2\" format -d disk --size \"$4\"",
     "\"$2\" import -d disk \"$1\" /", "\"$2\" export -d disk / out"},
    {"notapack, an image",
     "\"$2\" format -d disk --size \"$4\" && \"$3\" -q -s disk:one init",
     "\"$3\" -q -s disk:one import \"$1\"", "\"$3\" -q -s disk:one export out"},
    {"notapack, a folder", "\"$3\" -q -s store init",
     "\"$3\" -q -s store import \"$1\"", "\"$3\" -q -s store export out"},
    {"tar", ":", "tar cf tree.tar -C \"$1\" . && sync tree.tar",
     "tar xf tree.tar -C out"},
    {"git",
     "git init -q . && git config core.fsync all && "
     "git config core.fsyncMethod batch && git config user.name bench && "
     "git config user.email bench",
     "git --work-tree=\"$1\" add -A && git commit -q -m bench",
     "git --work-tree=out checkout -q -f HEAD -- ."},
    {"cp", ":", "cp -a \"$1\" copy && sync -f copy", "cp -a copy/. out"},
};

enum { N_WAYS = BENCH_N(ways) };

struct import {
    /* options */
    const char *folder;
    const char *programs;
    const char *tree;
    const char *image_len;
    uint64_t rounds;
    /* the run */
    char *notafs;
    char *notapack;
    uint64_t tree_len;
    struct {
        double wall[MAX_ROUNDS];
        double cpu[MAX_ROUNDS];
    } in[N_WAYS], out[N_WAYS];
};

static struct bench_time shell(const struct import *m, const char *folder,
                               const char *what)
{
    char *script;
    const char *argv[5 + N_ARGS] = {"sh",        "-c",         NULL,
                                    folder,      m->tree,      m->notafs,
                                    m->notapack, m->image_len, NULL};
    struct bench_time time;

    if (asprintf(&script, "cd \"$0\" && { %s; }", what) < 0) {
        bench_fail("no memory");
    }
    argv[2] = script;
    time = run_program(argv);
    free(script);
    return time;
}

static void run_one(struct import *m, size_t w, size_t round)
{
    char name[] = "way0";
    char *folder;
    char *out;
    struct bench_time time;

    name[3] = (char)('0' + w);
    folder = bench_path(bench_scratch(m->folder), name);
    out = bench_path(folder, "out");
    (void)shell(m, bench_scratch(m->folder),
                "rm -rf way*"); /* one at a time is on disk */
    if (mkdir(folder, 0700) != 0 || mkdir(out, 0700) != 0) {
        bench_fail("%s: %s", out, strerror(errno));
    }
    (void)shell(m, folder, ways[w].prepare);
    time = shell(m, folder, ways[w].in);
    m->in[w].wall[round] = time.wall;
    m->in[w].cpu[round] = time.user + time.system;
    time = shell(m, folder, ways[w].out);
    m->out[w].wall[round] = time.wall;
    m->out[w].cpu[round] = time.user + time.system;
    if (bench_folder_len(out) != m->tree_len) {
        bench_fail("%s: what came out is not what went in", ways[w].name);
    }
    free(folder);
    free(out);
}

static void report(const struct import *m, const char *figure, size_t w,
                   const double *wall, const double *cpu)
{
    const size_t n = (size_t)m->rounds;
    const double mib = (double)m->tree_len / (1 << 20);
    json_t *record = bench_record("import", figure);
    double rate[MAX_ROUNDS];
    double rate_cpu[MAX_ROUNDS];

    for (size_t i = 0; i < n; i++) {
        rate[i] = mib / wall[i];
        rate_cpu[i] = mib / (cpu[i] > 0 ? cpu[i] : 1e-6);
    }
    bench_text(record, "peer", ways[w].name);
    bench_text(record, "tree", m->tree);
    bench_number(record, "mib", mib);
    bench_count(record, "rounds", n);
    bench_add_spread(record, "per_s", rate, n);
    bench_add_spread(record, "per_cpu_s", rate_cpu, n);
    bench_emit(record);
}

int bench_import(int argc, char **argv)
{
    static struct import m = {
        .tree = "/usr/include", .image_len = "1g", .rounds = 3};
    const struct bench_option options[] = {
        {"tree", BENCH_TEXT, &m.tree, "a folder, by its absolute path"},
        {"size", BENCH_TEXT, &m.image_len, "of the images"},
        {"rounds", BENCH_NUMBER, &m.rounds, "all ways in each"},
        {"programs", BENCH_TEXT, &m.programs, "where notafs and notapack are"},
        {"folder", BENCH_TEXT, &m.folder, "where to make a scratch folder"},
    };

    bench_options("import", options, BENCH_N(options), argc, argv);
    if (m.rounds < 1 || m.rounds > MAX_ROUNDS || *m.tree != '/') {
        bench_fail("rounds are 1 to %d, tree is an absolute path", MAX_ROUNDS);
    }
    m.notafs = own_program(m.programs, "notafs");
    m.notapack = own_program(m.programs, "notapack");
    m.tree_len = bench_folder_len(m.tree);
    for (size_t round = 0; round < m.rounds; round++) {
        for (size_t w = 0; w < N_WAYS; w++) {
            run_one(&m, w, round);
        }
    }
    for (size_t w = 0; w < N_WAYS; w++) {
        report(&m, "import", w, m.in[w].wall, m.in[w].cpu);
        report(&m, "export", w, m.out[w].wall, m.out[w].cpu);
    }
    free(m.notafs);
    free(m.notapack);
    bench_scratch_remove();
    return 0;
}
