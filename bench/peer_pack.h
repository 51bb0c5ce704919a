/* SPDX-License-Identifier: ISC */
/* The peers that are ours, for workloads that look deeper into them. */
#ifndef BENCH_PEER_PACK_H
#define BENCH_PEER_PACK_H

#include <notafs/pack.h>
#include <notafs/vfs_notafs.h>
#include <notafs/vfs_posix.h>

#include "bench/image.h"
#include "bench/peer.h"

/* What open of peer_pack_folder and peer_pack_image gives. */
struct pack_peer {
    struct peer_setup setup;
    struct nf_env env;
    struct image image;
    struct pk_vfs_posix *posix; /* NULL: on an image */
    struct pk_vfs_notafs *notafs;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct pk_digest head;
    uint64_t n_commits;
};

#endif
