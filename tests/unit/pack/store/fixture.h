/* SPDX-License-Identifier: ISC */
/*
 * A repo in memory, and trees written down as text: "a=1 d/b=2" is a tree with
 * contents "1" at a and "2" at d/b.
 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/pack.h>

#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

struct fixture {
    struct mem_fault mem;
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    uint64_t n_commits; /* dates of commits */
};

static inline void fixture_begin(struct fixture *f, const char *config)
{
    struct pk_open open = {.flags = PK_OPEN_WRITE | PK_OPEN_CREATE};

    memset(f, 0, sizeof(*f));
    mem_fault_init(&f->mem);
    assert_ok(pk_vfs_mem_open(&f->mem.env, &f->files, &f->vfs));
    open.vfs = &f->vfs;
    assert_ok(pk_config_parse(config, &open.config));
    assert_ok(pk_repo_open(&f->mem.env, &open, NULL, &f->repo));
}

static inline void fixture_end(struct fixture *f)
{
    assert_ok(pk_repo_close(f->repo));
    pk_vfs_mem_close(f->files);
    ck_assert_uint_eq(f->mem.live_bytes, 0);
}

/* Steps of "a/b/c", which must outlive the path. */
enum { TEXT_STEPS = 16 };
struct text_path {
    struct pk_slice steps[TEXT_STEPS];
    struct pk_path path;
};

static inline void text_path_set(struct text_path *p, const char *text,
                                 size_t len)
{
    size_t n = 0;
    size_t at = 0;

    while (at < len) {
        const char *slash = memchr(text + at, '/', len - at);
        const size_t end = slash == NULL ? len : (size_t)(slash - text);

        ck_assert_uint_lt(n, TEXT_STEPS);
        p->steps[n++] = (struct pk_slice){(const uint8_t *)text + at, end - at};
        at = end + 1;
    }
    p->path = (struct pk_path){p->steps, n};
}

static inline struct pk_slice text_bytes(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

/* Bind what the text says, on top of what there is. */
static inline void tree_set_text(struct pk_tree *tree, const char *text)
{
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        const char *equals = memchr(text, '=', len);
        struct text_path p;

        ck_assert_ptr_nonnull(equals);
        text_path_set(&p, text, (size_t)(equals - text));
        assert_ok(
            pk_tree_set(tree, p.path,
                        (struct pk_slice){(const uint8_t *)equals + 1,
                                          len - (size_t)(equals - text) - 1}));
        text += len;
        text += strspn(text, " ");
    }
}

static inline struct pk_tree *tree_of_text(struct fixture *f, const char *text)
{
    struct pk_tree *tree;

    assert_ok(pk_tree_empty(f->repo, &tree));
    tree_set_text(tree, text);
    return tree;
}

enum { TEXT_MAX = 4000 };
struct tree_text {
    struct pk_tree *tree;
    char text[TEXT_MAX];
    size_t len;
};

static inline int tree_text_add(void *arg, struct pk_path path,
                                const struct pk_stat *stat)
{
    struct tree_text *t = arg;
    struct pk_bytes bytes;

    if (stat->kind != PK_CONTENTS) {
        return 0;
    }
    assert_ok(pk_tree_get(t->tree, path, &bytes));
    for (size_t i = 0; i < path.n; i++) {
        t->len += (size_t)snprintf(
            t->text + t->len, TEXT_MAX - t->len, "%s%.*s",
            i > 0        ? "/"
            : t->len > 0 ? " "
                         : "",
            (int)path.steps[i].len, (const char *)path.steps[i].p);
        ck_assert_uint_lt(t->len, TEXT_MAX);
    }
    t->len += (size_t)snprintf(t->text + t->len, TEXT_MAX - t->len, "=%.*s",
                               (int)bytes.len, (const char *)bytes.p);
    ck_assert_uint_lt(t->len, TEXT_MAX);
    pk_bytes_free(pk_tree_repo(t->tree), &bytes);
    return 0;
}

/* The text of a tree, sorted. */
static inline void tree_text_of(struct pk_tree *tree, struct tree_text *ret)
{
    ret->tree = tree;
    ret->len = 0;
    ret->text[0] = '\0';
    assert_ok(pk_tree_walk(tree, PK_WALK_SORTED, tree_text_add, ret));
}

static inline void assert_tree(struct pk_tree *tree, const char *text)
{
    struct tree_text found;

    tree_text_of(tree, &found);
    ck_assert_str_eq(found.text, text);
}

/* A commit of the tree of that text, with up to two parents (NULL: none). */
static inline struct pk_digest commit_text(struct fixture *f, const char *text,
                                           const struct pk_digest *parent1,
                                           const struct pk_digest *parent2)
{
    const struct pk_info info = {.date = (int64_t)f->n_commits++,
                                 .author = text_bytes("test"),
                                 .message = text_bytes("made")};
    struct pk_tree *tree = tree_of_text(f, text);
    struct pk_digest parents[2];
    struct pk_digest hash;
    size_t n = 0;

    if (parent1 != NULL) {
        parents[n++] = *parent1;
    }
    if (parent2 != NULL) {
        parents[n++] = *parent2;
    }
    assert_ok(pk_commit_make(tree, parents, n, &info, &hash));
    pk_tree_free(tree);
    return hash;
}

#define assert_same_hash(a, b)                                                 \
    ck_assert_mem_eq((a), (b), sizeof(struct pk_digest))

#endif
