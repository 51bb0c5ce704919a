/* SPDX-License-Identifier: ISC */
/* The workloads of notafs-bench; argv[0] is the workload's name. */
#ifndef BENCH_WORKLOADS_H
#define BENCH_WORKLOADS_H

int bench_append(int argc, char **argv);
int bench_codec(int argc, char **argv);
int bench_commits(int argc, char **argv);
int bench_device(int argc, char **argv);
int bench_files(int argc, char **argv);
int bench_fuse(int argc, char **argv);
int bench_gc(int argc, char **argv);
int bench_hash(int argc, char **argv);
int bench_import(int argc, char **argv);
int bench_mix(int argc, char **argv);
int bench_mount(int argc, char **argv);
int bench_pack(int argc, char **argv);

#endif
