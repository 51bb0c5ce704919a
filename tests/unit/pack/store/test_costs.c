/* SPDX-License-Identifier: ISC */
/*
 * What operations cost, in counts: in a directory of a million entries as much
 * as in one of a thousand, but for the inodes that it is deeper; and memory
 * for what is clean is that of the cache, however much is looked at.
 */
#include <stdio.h>
#include <string.h>

#include <notafs/merge.h>

#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

enum { SMALL = 1000, LARGE = 1000000, CACHE = 1 << 20 };

struct scene {
    struct mem_fault mem;
    struct pk_vfs_mem *files;
    struct pk_vfs vfs;
    struct pk_open open;
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct pk_digest head;
};

struct name {
    char text[16];
    struct pk_slice step;
    struct pk_path path;
};

static struct pk_path name_of(struct name *name, unsigned i)
{
    (void)snprintf(name->text, sizeof(name->text), "n%u", i);
    name->step =
        (struct pk_slice){(const uint8_t *)name->text, strlen(name->text)};
    name->path = (struct pk_path){&name->step, 1};
    return name->path;
}

static struct pk_slice bytes_of(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

static const struct pk_info info = {.date = 1};

/* A store whose root has n entries, opened anew. */
static void scene_begin(struct scene *s, unsigned n)
{
    struct pk_tree *tree;
    struct name name;

    memset(s, 0, sizeof(*s));
    mem_fault_init(&s->mem);
    assert_ok(pk_vfs_mem_open(&s->mem.env, &s->files, &s->vfs));
    s->open = (struct pk_open){.vfs = &s->vfs,
                               .flags = PK_OPEN_WRITE | PK_OPEN_CREATE,
                               .cache_len = CACHE};
    assert_ok(pk_config_parse("kv32", &s->open.config));
    assert_ok(pk_repo_open(&s->mem.env, &s->open, NULL, &s->repo));
    assert_ok(pk_tree_empty(s->repo, &tree));
    for (unsigned i = 0; i < n; i++) {
        assert_ok(pk_tree_set(tree, name_of(&name, i), bytes_of("x")));
    }
    assert_ok(pk_commit_make(tree, NULL, 0, &info, &s->head));
    pk_tree_free(tree);
    assert_ok(pk_repo_close(s->repo));
    assert_ok(pk_repo_open(&s->mem.env, &s->open, NULL, &s->repo));
    assert_ok(pk_commit_tree(s->repo, &s->head, &s->tree));
}

static void scene_end(struct scene *s)
{
    pk_tree_free(s->tree);
    assert_ok(pk_repo_close(s->repo));
    pk_vfs_mem_close(s->files);
    ck_assert_uint_eq(s->mem.live_bytes, 0);
}

/* ----------------------------------------------------------------- one call */

typedef void (*call_fn)(struct scene *s, unsigned n);

static void call_get(struct scene *s, unsigned n)
{
    struct pk_bytes bytes;
    struct name name;

    assert_ok(pk_tree_get(s->tree, name_of(&name, n / 3), &bytes));
    pk_bytes_free(s->repo, &bytes);
}

static void call_absent(struct scene *s, unsigned n)
{
    enum pk_kind kind;
    struct name name;

    assert_ok(pk_tree_kind(s->tree, name_of(&name, n), &kind));
    ck_assert_int_eq(kind, PK_NONE);
}

static void call_length(struct scene *s, unsigned n)
{
    uint64_t length;

    assert_ok(pk_tree_length(s->tree, (struct pk_path){NULL, 0}, &length));
    ck_assert_uint_eq(length, n);
}

/* Ten entries from the middle. */
static void call_list(struct scene *s, unsigned n)
{
    const struct pk_range range = {n / 2, 10};
    struct pk_list *list;
    struct pk_entry entry;
    unsigned found = 0;
    int got;

    assert_ok(
        pk_list_open(s->tree, (struct pk_path){NULL, 0}, range, 0, &list));
    while ((got = pk_list_next(list, &entry)) > 0) {
        found++;
    }
    ck_assert_int_eq(got, 0);
    ck_assert_uint_eq(found, 10);
    pk_list_close(list);
}

static void commit(struct scene *s, struct pk_tree *tree)
{
    struct pk_digest hash;

    assert_ok(pk_commit_make(tree, &s->head, 1, &info, &hash));
    pk_tree_free(tree);
}

static void call_set(struct scene *s, unsigned n)
{
    struct pk_tree *tree;
    struct name name;

    assert_ok(pk_tree_clone(s->tree, &tree));
    assert_ok(pk_tree_set(tree, name_of(&name, n / 7), bytes_of("y")));
    commit(s, tree);
}

static void call_add(struct scene *s, unsigned n)
{
    struct pk_tree *tree;
    struct name name;

    assert_ok(pk_tree_clone(s->tree, &tree));
    assert_ok(pk_tree_set(tree, name_of(&name, n), bytes_of("y")));
    commit(s, tree);
}

static void call_remove(struct scene *s, unsigned n)
{
    struct pk_tree *tree;
    struct name name;

    assert_ok(pk_tree_clone(s->tree, &tree));
    assert_ok(pk_tree_remove(tree, name_of(&name, n / 9)));
    commit(s, tree);
}

static void call_move(struct scene *s, unsigned n)
{
    struct pk_tree *tree;
    struct name from;
    struct name to;

    assert_ok(pk_tree_clone(s->tree, &tree));
    assert_ok(pk_tree_move(tree, name_of(&from, n / 9), name_of(&to, n)));
    commit(s, tree);
}

static int count_diff(void *arg, struct pk_path path,
                      const struct pk_stat *old_stat,
                      const struct pk_stat *new_stat)
{
    (void)path;
    (void)old_stat;
    (void)new_stat;
    ++*(unsigned *)arg;
    return 0;
}

static void call_diff(struct scene *s, unsigned n)
{
    struct pk_tree *other;
    struct name name;
    struct pk_digest hash;
    unsigned found = 0;

    assert_ok(pk_tree_clone(s->tree, &other));
    assert_ok(pk_tree_set(other, name_of(&name, n / 5), bytes_of("z")));
    assert_ok(pk_commit_make(other, &s->head, 1, &info, &hash));
    assert_ok(pk_tree_diff(s->tree, other, count_diff, &found));
    ck_assert_uint_eq(found, 1);
    pk_tree_free(other);
}

/* Three ways: one entry changed on each side. */
static void call_merge(struct scene *s, unsigned n)
{
    struct pk_digest sides[2];
    struct pk_digest merged;

    for (unsigned i = 0; i < 2; i++) {
        struct pk_tree *tree;
        struct name name;

        assert_ok(pk_tree_clone(s->tree, &tree));
        assert_ok(pk_tree_set(tree, name_of(&name, n / 5 + i), bytes_of("z")));
        assert_ok(pk_commit_make(tree, &s->head, 1, &info, &sides[i]));
        pk_tree_free(tree);
    }
    assert_ok(
        pk_merge_commits(s->repo, &sides[0], &sides[1], &info, NULL, &merged));
}

/* A list with an offset looks at all siblings on its way, for their lengths; an
 * inode that becomes few enough bindings is collected from all its children. */
static const struct {
    const char *name;
    call_fn fn;
    uint64_t siblings;
} calls[] = {
    {"get", call_get, 0},        {"absent", call_absent, 0},
    {"length", call_length, 0},  {"list", call_list, 32},
    {"set", call_set, 0},        {"add", call_add, 0},
    {"remove", call_remove, 32}, {"move", call_move, 32},
    {"diff", call_diff, 0},      {"merge", call_merge, 0},
};
enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };

struct cost {
    uint64_t read;
    uint64_t hashed;
    uint64_t appended;
    uint64_t bytes; /* asked for and not given back at the highest */
};

/* Each call on a store just opened: nothing is in its cache. */
static struct cost measure(struct scene *s, call_fn fn, unsigned n)
{
    struct pk_counters before;
    struct pk_counters after;
    size_t base;

    pk_tree_free(s->tree);
    assert_ok(pk_repo_close(s->repo));
    assert_ok(pk_repo_open(&s->mem.env, &s->open, NULL, &s->repo));
    assert_ok(pk_commit_tree(s->repo, &s->head, &s->tree));
    pk_repo_counters(s->repo, &before);
    base = s->mem.live_bytes;
    s->mem.peak_bytes = base;
    fn(s, n);
    pk_repo_counters(s->repo, &after);
    return (struct cost){after.objects_read - before.objects_read,
                         after.objects_hashed - before.objects_hashed,
                         after.objects_appended - before.objects_appended,
                         s->mem.peak_bytes - base};
}

START_TEST(of_a_call)
{
    /* 32^2 bindings are an inode two deep, 32^4 four: two more on each way, of
     * at most 32 children; a merge goes four ways. */
    enum { DEEPER = 2, WAYS = 4, INODE_LEN = 8192 };
    struct cost small[N_CALLS];
    struct scene s;

    scene_begin(&s, SMALL);
    for (size_t i = 0; i < N_CALLS; i++) {
        small[i] = measure(&s, calls[i].fn, SMALL);
    }
    scene_end(&s);
    scene_begin(&s, LARGE);
    for (size_t i = 0; i < N_CALLS; i++) {
        const struct cost large = measure(&s, calls[i].fn, LARGE);

        printf("%-7s read %2u %2u  hashed %2u %2u  appended %2u %2u  "
               "bytes %6u %6u\n",
               calls[i].name, (unsigned)small[i].read, (unsigned)large.read,
               (unsigned)small[i].hashed, (unsigned)large.hashed,
               (unsigned)small[i].appended, (unsigned)large.appended,
               (unsigned)small[i].bytes, (unsigned)large.bytes);
        ck_assert_uint_le(large.read,
                          small[i].read + (WAYS + calls[i].siblings) * DEEPER);
        ck_assert_uint_le(large.hashed,
                          small[i].hashed +
                              (3 * WAYS + calls[i].siblings) * DEEPER);
        ck_assert_uint_le(large.appended, small[i].appended + WAYS * DEEPER);
        ck_assert_uint_le(large.bytes,
                          small[i].bytes + 3 * WAYS * DEEPER * INODE_LEN);
    }
    scene_end(&s);
}
END_TEST

START_TEST(of_looking_at_everything)
{
    const struct pk_range all = {0, 0};
    struct pk_list *list;
    struct pk_entry entry;
    struct pk_counters c;
    struct scene s;
    size_t base;
    unsigned found = 0;
    int got;

    scene_begin(&s, LARGE / 5);
    base = s.mem.live_bytes;
    s.mem.peak_bytes = base;
    assert_ok(pk_list_open(s.tree, (struct pk_path){NULL, 0}, all, PK_LIST_HASH,
                           &list));
    while ((got = pk_list_next(list, &entry)) > 0) {
        found++;
    }
    ck_assert_int_eq(got, 0);
    ck_assert_uint_eq(found, LARGE / 5);
    pk_list_close(list);
    for (unsigned i = 0; i < 20000; i++) {
        call_get(&s, i * 7);
    }
    pk_repo_counters(s.repo, &c);
    printf("%u bytes at most, %u of them cached\n",
           (unsigned)(s.mem.peak_bytes - base), (unsigned)c.cache_len);
    ck_assert_uint_le(c.cache_len, CACHE);
    /* The cache, its table, and what is being read. */
    ck_assert_uint_le(s.mem.peak_bytes - base, CACHE + CACHE / 4);
    ck_assert_uint_gt(c.objects_read, 4 * 8000); /* it did go round */
    scene_end(&s);
}
END_TEST

/* What was looked up once is neither read nor hashed again, and the bound on
 * the cache takes in contents. */
START_TEST(of_looking_again)
{
    struct pk_counters once;
    struct pk_counters again;
    struct scene s;

    scene_begin(&s, SMALL);
    for (unsigned n = 0; n < 3 * SMALL; n += 3) {
        call_get(&s, n);
    }
    pk_repo_counters(s.repo, &once);
    ck_assert_uint_ge(once.objects_hashed, SMALL);
    ck_assert_uint_le(once.cache_len, CACHE);
    for (unsigned n = 0; n < 3 * SMALL; n += 3) {
        call_get(&s, n);
    }
    pk_repo_counters(s.repo, &again);
    ck_assert_uint_eq(again.objects_read, once.objects_read);
    ck_assert_uint_eq(again.objects_hashed, once.objects_hashed);
    ck_assert_uint_eq(again.bytes_hashed, once.bytes_hashed);
    ck_assert_uint_eq(again.cache_len, once.cache_len);
    ck_assert_uint_ge(again.cache_hits - once.cache_hits, 2 * SMALL);
    scene_end(&s);
}
END_TEST

/* A check reads and hashes each object about once, however many versions of a
 * directory refer to it, with a cache that holds few of them. */
START_TEST(of_checking_versions)
{
    const struct pk_slice dirs[] = {bytes_of("a"), bytes_of("b")};
    struct pk_check_stats stats;
    struct pk_counters c;
    struct scene s;
    struct name name;
    uint64_t n;

    scene_begin(&s, 1);
    for (unsigned version = 0; version < 50; version++) {
        for (unsigned i = 0; i < (version == 0 ? 4 * SMALL : 20); i++) {
            unsigned at = version == 0 ? i : i * 199 % (4 * SMALL);
            struct pk_slice steps[2] = {dirs[at % 2]};

            name_of(&name, at);
            steps[1] = name.step;
            assert_ok(pk_tree_set(s.tree, (struct pk_path){steps, 2},
                                  (struct pk_slice){(uint8_t *)&version, 4}));
        }
        assert_ok(pk_commit_make(s.tree, &s.head, 1, &info, &s.head));
    }
    pk_tree_free(s.tree);
    assert_ok(pk_repo_close(s.repo));
    s.open.cache_len = CACHE + CACHE / 4;
    assert_ok(pk_repo_open(&s.mem.env, &s.open, NULL, &s.repo));
    s.open.cache_len = CACHE;
    assert_ok(pk_check(s.repo, NULL, NULL, &stats));
    assert_ok(pk_commit_tree(s.repo, &s.head, &s.tree));
    ck_assert_uint_eq(stats.findings, 0);
    pk_repo_counters(s.repo, &c);
    n = stats.commits + stats.inodes + stats.contents;
    printf("%u objects: %u read, %u hashed\n", (unsigned)n,
           (unsigned)c.objects_read, (unsigned)c.objects_hashed);
    ck_assert_uint_le(c.objects_read, n + n / 4);
    ck_assert_uint_le(c.objects_hashed, n + n / 4);
    scene_end(&s);
}
END_TEST

UNIT_MAIN("pack/store/costs", of_a_call, of_looking_at_everything,
          of_looking_again, of_checking_versions)
