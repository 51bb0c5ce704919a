/* SPDX-License-Identifier: ISC */
/* Lists of a part of a directory, and updates: against a list of all of it. */
#include <inttypes.h>

#include "host/prng.h"
#include "tests/unit/pack/store/fixture.h"

enum { MAX = 3200 };

/* Names and kinds, in the order in which a list gives them. */
struct names {
    char text[MAX][16];
    size_t n;
};

static void collect(struct pk_tree *tree, struct pk_range range, uint32_t flags,
                    struct names *ret)
{
    struct pk_list *list;
    struct pk_entry entry;
    int got;

    ret->n = 0;
    assert_ok(
        pk_list_open(tree, (struct pk_path){NULL, 0}, range, flags, &list));
    while ((got = pk_list_next(list, &entry)) > 0) {
        ck_assert_uint_lt(ret->n, MAX);
        (void)snprintf(ret->text[ret->n++], sizeof(ret->text[0]), "%.*s",
                       (int)entry.step.len, (const char *)entry.step.p);
    }
    ck_assert_int_eq(got, 0);
    pk_list_close(list);
}

static void set_number(struct pk_tree *tree, unsigned i)
{
    struct text_path path;
    char text[16];

    (void)snprintf(text, sizeof(text), "n%u", i);
    text_path_set(&path, text, strlen(text));
    assert_ok(pk_tree_set(tree, path.path, text_bytes(text)));
}

/* Any part of the list is that part of the whole. */
static void check_ranges(struct pk_tree *tree, uint32_t flags, uint64_t seed)
{
    struct prng prng = prng_seed(seed);
    static struct names all;
    static struct names part;

    collect(tree, (struct pk_range){0, 0}, flags, &all);
    for (int i = 0; i < 40; i++) {
        const struct pk_range range = {prng_below(&prng, all.n + 3),
                                       prng_below(&prng, all.n + 3)};
        size_t n = range.offset < all.n ? all.n - (size_t)range.offset : 0;

        n = range.length != 0 && range.length < n ? (size_t)range.length : n;
        collect(tree, range, flags, &part);
        ck_assert_msg(part.n == n, "seed %" PRIu64 ": %zu of %zu", seed, part.n,
                      n);
        for (size_t k = 0; k < n; k++) {
            ck_assert_str_eq(part.text[k], all.text[range.offset + k]);
        }
    }
}

START_TEST(ranges)
{
    static const char *const configs[] = {"kv64,entries=2,stable=3", "kv32",
                                          "kv64"};
    static const unsigned sizes[] = {1, 2, 3, 32, 33, 300, 3000};
    struct fixture f;

    for (size_t i = 0; i < 3 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        const unsigned n = sizes[i / 3];
        struct pk_tree *tree;
        struct pk_digest hash;
        struct pk_info info = {.date = 1};
        uint64_t length;

        fixture_begin(&f, configs[i % 3]);
        tree = tree_of_text(&f, "");
        for (unsigned k = 0; k < n; k++) {
            set_number(tree, k);
        }
        check_ranges(tree, 0, i); /* in memory */
        assert_ok(pk_commit_make(tree, NULL, 0, &info, &hash));
        check_ranges(tree, 0, i); /* stored */
        check_ranges(tree, PK_LIST_HASH, i);
        check_ranges(tree, PK_LIST_SORTED, i);
        for (unsigned k = 0; k < n; k += 7) { /* both */
            struct text_path path;
            char text[16];

            (void)snprintf(text, sizeof(text), "n%u", k);
            text_path_set(&path, text, strlen(text));
            assert_ok(pk_tree_remove(tree, path.path));
            set_number(tree, n + k);
        }
        check_ranges(tree, 0, i);
        assert_ok(pk_tree_length(tree, (struct pk_path){NULL, 0}, &length));
        ck_assert_uint_eq(length, n);
        pk_tree_free(tree);
        fixture_end(&f);
    }
}
END_TEST

/* The list shows the directory as it was, whatever is done meanwhile. */
START_TEST(changed_meanwhile)
{
    struct fixture f;
    struct pk_tree *tree;
    struct pk_list *list;
    struct pk_entry entry;
    int n = 0;

    fixture_begin(&f, "kv32");
    tree = tree_of_text(&f, "a=1 b=2 c=3");
    assert_ok(pk_list_open(tree, (struct pk_path){NULL, 0},
                           (struct pk_range){0, 0}, 0, &list));
    tree_set_text(tree, "d=4 e=5");
    while (pk_list_next(list, &entry) > 0) {
        n++;
    }
    ck_assert_int_eq(n, 3);
    pk_list_close(list);
    pk_tree_free(tree);
    fixture_end(&f);
}
END_TEST

struct change {
    const char *old; /* expected; NULL: none */
    const char *new; /* NULL: unbind */
    int err;
};

static int change_it(void *arg, const struct pk_slice *old,
                     struct pk_slice *ret_new)
{
    const struct change *c = arg;

    ck_assert(c->old == NULL ? old->p == NULL
                             : old->len == strlen(c->old) &&
                                   memcmp(old->p, c->old, old->len) == 0);
    *ret_new = c->new == NULL ? (struct pk_slice){NULL, 0} : text_bytes(c->new);
    return c->err;
}

START_TEST(updates)
{
    static const struct {
        const char *path;
        struct change change;
        const char *outcome;
    } cases[] = {
        {"a", {"1", "2", 0}, "a=2 d/b=x"},
        {"d/b", {"x", NULL, 0}, "a=2"},
        {"d/b", {NULL, "y", 0}, "a=2 d/b=y"},
        {"none/at/all", {NULL, NULL, 0}, "a=2 d/b=y"},
        {"d", {NULL, "file", 0}, "a=2 d=file"}, /* a directory is no contents */
        {"d", {"file", "", 0}, "a=2 d="},
        {"a", {"2", "3", 77}, "a=2 d="}, /* what fn gives ends it */
    };
    struct fixture f;
    struct pk_tree *tree;

    fixture_begin(&f, "kv32");
    tree = tree_of_text(&f, "a=1 d/b=x");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct change change = cases[i].change;
        struct text_path path;

        text_path_set(&path, cases[i].path, strlen(cases[i].path));
        ck_assert_int_eq(pk_tree_update(tree, path.path, change_it, &change),
                         change.err);
        assert_tree(tree, cases[i].outcome);
    }
    assert_err(pk_tree_update(tree, (struct pk_path){NULL, 0}, change_it, NULL),
               NF_EINVAL);
    pk_tree_free(tree);
    fixture_end(&f);
}
END_TEST

UNIT_MAIN("pack/store/list", ranges, changed_meanwhile, updates)
