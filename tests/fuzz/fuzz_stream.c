/* SPDX-License-Identifier: ISC */
/*
 * A stream from anywhere. The first byte chooses: what follows is chunks as
 * they come; or elements, of which whole chunks are made first, so that what is
 * inside gets its share; with two bytes more, elements for a store that has a
 * commit. Whatever comes, the store has whole commits only, and takes another.
 */
#include <stdlib.h>
#include <string.h>

#include "pack/stream/chunk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"

enum { MAX_RAW = 1 << 20 };

static const struct pk_path path_a = {
    (const struct pk_slice[]){{(const uint8_t *)"d", 1},
                              {(const uint8_t *)"a", 1}},
    2};

static void commit(struct pk_repo *repo, int64_t date)
{
    struct pk_info info = {date, {NULL, 0}, {NULL, 0}};
    struct pk_slice data = {(const uint8_t *)&"contents"[date % 8], 1};
    struct pk_digest hash;
    struct pk_tree *tree;

    fuzz_check(pk_tree_empty(repo, &tree) == 0);
    fuzz_check(pk_tree_set(tree, path_a, data) == 0);
    fuzz_check(pk_commit_make(tree, NULL, 0, &info, &hash) == 0);
    fuzz_check(pk_branch_set(repo, path_a.steps[0], &hash) == 0);
    pk_tree_free(tree);
    fuzz_check(pk_repo_flush(repo) == 0);
}

static void feed_elements(struct pk_receive *receive, const uint8_t *p,
                          size_t len)
{
    static uint8_t packed[PK_CHUNK_MAX_LEN];
    struct pk_chunk_info info = {.number = 0};
    struct pk_receive_stats stats;
    int err = 0;

    while (len > 0 && err == 0) {
        size_t n = len < PK_CHUNK_RAW_LEN ? len : PK_CHUNK_RAW_LEN;

        info.last = n == len;
        pk_chunk_encode(&fuzz_codec, p, n, &info, packed);
        err = pk_receive_feed(receive, packed, info.len);
        info.number++;
        p += n;
        len -= n;
    }
    pk_receive_progress(receive, &stats);
    fuzz_check(stats.bytes_bad == 0);
}

static int finding(void *arg, const struct pk_finding *found)
{
    (void)arg;
    (void)found;
    return NF_ECORRUPT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pk_open opts = {.flags = PK_OPEN_WRITE | PK_OPEN_CREATE};
    struct pk_receive_options how = {.codec = &fuzz_codec,
                                     .checkpoint_len = 300};
    struct pk_check_stats stats;
    struct pk_receive *receive;
    struct pk_vfs_mem *scratch_files;
    struct pk_vfs_mem *files;
    struct mem_fault mem;
    struct pk_repo *repo;
    struct pk_vfs scratch;
    struct pk_vfs vfs;

    if (size == 0 || size > MAX_RAW) {
        return 0;
    }
    mem_fault_init(&mem);
    fuzz_check(pk_vfs_mem_open(&mem.env, &files, &vfs) == 0);
    fuzz_check(pk_vfs_mem_open(&mem.env, &scratch_files, &scratch) == 0);
    how.scratch = &scratch;
    opts.vfs = &vfs;
    fuzz_check(pk_config_parse("kv32,entries=2,stable_hash=3", &opts.config) ==
               0);
    fuzz_check(pk_repo_open(&mem.env, &opts, NULL, &repo) == 0);
    if (data[0] % 3 == 2) {
        commit(repo, 1);
    }
    fuzz_check(pk_receive_open(repo, &how, &receive) == 0);
    if (data[0] % 3 == 0) {
        if (pk_receive_feed(receive, data + 1, size - 1) == 0) {
            fuzz_check(pk_receive_checkpoint(receive) == 0);
        }
    } else {
        feed_elements(receive, data + 1, size - 1);
    }
    pk_receive_close(receive);
    fuzz_check(pk_check(repo, finding, NULL, &stats) == 0);
    fuzz_check(pk_receive_open(repo, &how, &receive) == 0);
    pk_receive_close(receive);
    commit(repo, 2);
    fuzz_check(pk_repo_close(repo) == 0);
    pk_vfs_mem_close(files);
    pk_vfs_mem_close(scratch_files);
    fuzz_check(mem.live_blocks == 0);
    return 0;
}
