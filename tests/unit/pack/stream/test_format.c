/* SPDX-License-Identifier: ISC */
/* The example in docs/format-stream.md is what the code writes, and is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"
#include "tests/unit/pack/stream/wire.h"

enum { MAX_LEN = 4096 };

/* The lines "OFFSET: XX XX ..." of the document; bytes behind two spaces are
 * text for people. */
static size_t read_example(uint8_t *ret)
{
    FILE *file = fopen(STREAM_DOC, "r");
    char line[200];
    size_t n = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned at;
        unsigned byte;
        int used = 0;
        char *p = line;

        if (sscanf(p, "    %4x:%n", &at, &used) != 1 || used != 9) {
            continue;
        }
        ck_assert_uint_eq(at, n);
        for (p += used; p[1] != ' ' && sscanf(p, " %2x", &byte) == 1; p += 3) {
            ck_assert_uint_lt(n, MAX_LEN);
            ret[n++] = (uint8_t)byte;
        }
    }
    (void)fclose(file); /* only read */
    return n;
}

/* The store of the example: one commit of one file. */
static void example_store(struct wire_store *w, const struct nf_env *env)
{
    struct pk_info info = {1700000000, kit_text("me"), kit_text("first")};
    uint8_t data[] = "hello";
    struct pk_tree *tree;
    struct pk_repo *repo;
    struct kit_path path;

    wire_empty_init(w, env, "sha1", PK_STRATEGY_MINIMAL);
    assert_ok(pk_repo_open(env, &w->opts, NULL, &repo));
    assert_ok(pk_tree_empty(repo, &tree));
    assert_ok(pk_tree_set(tree, kit_path(&path, "dir/file"),
                          (struct pk_slice){data, 5}));
    assert_ok(pk_commit_make(tree, NULL, 0, &info, &w->commits[0]));
    assert_ok(pk_tree_hash(tree, &w->roots[0]));
    w->n_commits = 1;
    pk_tree_free(tree);
    assert_ok(pk_repo_close(repo));
}

static void print_example(const struct wire *wire)
{
    for (size_t i = 0; i < wire->lens[0]; i++) {
        printf(i % 16 == 0 ? "%s    %04zx:" : "%s",
               i == 0        ? ""
               : i % 16 == 0 ? "\n"
                             : "",
               i);
        printf(" %02x", wire->chunks[0][i]);
    }
    printf("\n");
}

START_TEST(example)
{
    uint8_t bytes[MAX_LEN];
    size_t len = read_example(bytes);
    struct mem_fault mem;
    struct wire_store src;
    struct wire_store dst;
    struct pk_repo *repo;
    struct wire wire;
    struct wire read = {(uint8_t *[]){bytes}, &len, 1, {.planned = true}};

    mem_fault_init(&mem);
    example_store(&src, &mem.env);
    wire_empty_init(&dst, &mem.env, "sha1", PK_STRATEGY_MINIMAL);
    assert_ok(wire_send(&wire, &mem.env, &src, 0, 1, NULL));
    if (len != wire.lens[0] || memcmp(bytes, wire.chunks[0], len) != 0) {
        print_example(&wire);
    }
    ck_assert_uint_eq(len, wire.lens[0]);
    ck_assert_mem_eq(bytes, wire.chunks[0], len);
    assert_ok(wire_receive(&read, &mem.env, &dst));
    assert_ok(pk_repo_open(&mem.env, &dst.opts, NULL, &repo));
    ck_assert(wire_check(repo, &src, 0));
    assert_ok(pk_repo_close(repo));
    wire_deinit(&wire);
    wire_store_deinit(&src);
    wire_store_deinit(&dst);
    ck_assert_uint_eq(mem.live_blocks, 0);
}
END_TEST

UNIT_MAIN("pack/stream/format", example)
