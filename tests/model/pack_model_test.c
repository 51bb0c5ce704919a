/* SPDX-License-Identifier: ISC */
/*
 *     test_pack_model [--seed N] [--rounds N] [--steps N]
 *
 * Random operations on stores and on a model of them, a map from paths to
 * contents. A round is a store with a configuration, a strategy, limits and a
 * disk that its seed chooses; the same is done to it in memory, in a folder
 * and on Notafs. Every answer must be the model's, every hash the same three
 * times and, every so often, that of a tree built from the model from nothing;
 * in the end all files are the same to the byte. PACK_MODEL_VERBOSE=1 tells
 * each step.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/merge.h>

#include "host/prng.h"
#include "tests/model/pack_map.h"
#include "tests/model/pack_world.h"

enum { COMMITS = 12, BRANCHES = 3, CONTENTS_MAX = 1200, STEPS_MAX = 8 };

static const char *const branches[BRANCHES] = {"main", "side", "a/third"};

struct commit {
    struct pk_digest hash;
    struct map map;
    uint64_t nth;    /* counts all commits; 0: none */
    uint64_t parent; /* nth of the first one; 0: none, or a merge */
};

struct round {
    struct prng prng;
    struct world world;
    const char *config;
    bool clashes; /* a name may be contents here and a directory there */
    uint64_t width;
    uint64_t dirs;
    struct map map; /* of the tree at hand */
    struct commit commits[COMMITS];
    uint64_t n_commits;
    uint64_t head; /* nth of the commit that the tree comes from */
    uint64_t heads[BRANCHES];
};

static char repeat[300];
static char op[300];
static bool verbose;

_Noreturn void world_die(const char *what, int err)
{
    fprintf(stderr, "%s: %s: %s\n%s", op, what, nf_errname(err), repeat);
    exit(EXIT_FAILURE);
}

static void on_signal(int sig)
{
    (void)!write(STDERR_FILENO, op, strlen(op));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)!write(STDERR_FILENO, repeat, strlen(repeat));
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(op, sizeof(op), format, args);
    va_end(args);
    if (verbose) {
        fprintf(stderr, "%s\n", op);
    }
}

static void expect(int err, int wanted)
{
    if (err != wanted) {
        fprintf(stderr, "not %s\n", nf_errname(wanted));
        world_die("answer", err);
    }
}

static void must(bool condition, const char *what)
{
    if (!condition) {
        world_die(what, NF_ECORRUPT);
    }
}

static uint64_t below(struct round *r, uint64_t n)
{
    return prng_below(&r->prng, n);
}

#define EACH_STORE(r, s)                                                       \
    for (struct store *s = (r)->world.stores; s < (r)->world.stores + STORES;  \
         s++)

/* ---- Paths and contents ----------------------------------------------- */

struct path {
    struct pk_slice steps[STEPS_MAX];
    struct pk_path path;
};

static struct pk_slice text_of(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

static struct pk_path path_of(struct path *buf, const char *text)
{
    size_t n = 0;
    while (*text != '\0') {
        const size_t len = strcspn(text, "/");
        must(n < STEPS_MAX, "steps");
        buf->steps[n++] = (struct pk_slice){(const uint8_t *)text, len};
        text += len + (text[len] == '/');
    }
    buf->path = (struct pk_path){buf->steps, n};
    return buf->path;
}

/* One to three steps. Those of directories have other names than those of
 * contents, unless names clash. */
static void new_path(struct round *r, bool dir, char *buf)
{
    const uint64_t depth = 1 + below(r, 3);
    size_t at = 0;
    for (uint64_t i = 0; i < depth; i++) {
        const bool leaf = i + 1 == depth && !dir;
        const unsigned n = (unsigned)below(r, leaf ? r->width : r->dirs);
        at += (size_t)sprintf(buf + at, "%s%s%u", i > 0 ? "/" : "",
                              r->clashes   ? "n"
                              : !leaf      ? "d"
                              : n % 3 == 0 ? "long-name-"
                                           : "f",
                              n);
    }
}

static void some_path(struct round *r, char *buf)
{
    new_path(r, false, buf);
}

/* Something that is bound, more often than not. */
static void known_path(struct round *r, char *buf)
{
    if (r->map.n == 0 || below(r, 4) == 0) {
        some_path(r, buf);
        return;
    }
    strcpy(buf, r->map.items[below(r, r->map.n)].path);
    if (below(r, 8) == 0) { /* the directory it is in */
        char *slash = strrchr(buf, '/');
        buf[slash == NULL ? 0 : slash - buf] = '\0';
    }
}

/* The first byte is the seed's, so that two seeds are two contents. */
static struct pk_slice contents_of(const struct map_item *item, uint8_t *buf)
{
    struct prng prng = prng_seed(item->seed);
    prng_bytes(&prng, item->len, buf);
    buf[0] = (uint8_t)item->seed;
    return (struct pk_slice){buf, item->len};
}

/* ---- Looking ---------------------------------------------------------- */

static void do_get(struct round *r)
{
    static uint8_t want[CONTENTS_MAX];
    char text[MAP_PATH];
    struct path path;
    known_path(r, text);
    note("get %s", text);
    const struct map_item *item = map_find(&r->map, text);
    const bool dir = text[0] == '\0' || map_is_dir(&r->map, text);
    EACH_STORE(r, s)
    {
        struct pk_bytes bytes;
        enum pk_kind kind;
        expect(pk_tree_kind(s->tree, path_of(&path, text), &kind), 0);
        must(kind == (item != NULL ? PK_CONTENTS
                      : dir        ? PK_NODE
                                   : PK_NONE),
             "kind");
        const int err = pk_tree_get(s->tree, path.path, &bytes);
        if (item == NULL) {
            expect(err, dir ? NF_EISDIR : NF_ENOENT);
            continue;
        }
        expect(err, 0);
        (void)contents_of(item, want);
        must(bytes.len == item->len &&
                 (item->len == 0 || memcmp(bytes.p, want, item->len) == 0),
             "contents");
        pk_bytes_free(s->repo, &bytes);
    }
}

/* The next entry of a directory: its step's length, and where the one after it
 * begins. */
static size_t next_entry(const struct map *map, const char *dir, size_t i,
                         size_t *ret_len)
{
    char text[MAP_PATH];
    const size_t skip = dir[0] == '\0' ? 0 : strlen(dir) + 1;
    const char *step = map->items[i].path + skip;
    size_t first;
    size_t end;
    *ret_len = strcspn(step, "/");
    memcpy(text, map->items[i].path, skip + *ret_len);
    text[skip + *ret_len] = '\0';
    map_range(map, text, &first, &end);
    return end;
}

static void list_one(const struct map *map, const char *dir, struct store *s,
                     struct pk_range range)
{
    struct pk_list *list;
    struct pk_entry entry;
    struct path path;
    size_t i;
    size_t end;
    size_t len;
    map_range(map, dir, &i, &end);
    for (uint64_t skip = range.offset; i < end && skip > 0; skip--) {
        i = next_entry(map, dir, i, &len);
    }
    expect(pk_list_open(s->tree, path_of(&path, dir), range, PK_LIST_SORTED,
                        &list),
           0);
    for (uint64_t n = 0; i < end && (range.length == 0 || n < range.length);
         n++) {
        const char *at = map->items[i].path;
        const size_t skip = dir[0] == '\0' ? 0 : strlen(dir) + 1;
        expect(pk_list_next(list, &entry), 1);
        i = next_entry(map, dir, i, &len);
        must(entry.step.len == len && memcmp(entry.step.p, at + skip, len) == 0,
             "step");
        must((entry.kind == PK_CONTENTS) == (at[skip + len] == '\0'), "kind");
    }
    expect(pk_list_next(list, &entry), 0);
    pk_list_close(list);
}

static void do_list(struct round *r)
{
    char dir[MAP_PATH];
    known_path(r, dir);
    char *slash = strrchr(dir, '/');
    dir[slash == NULL ? 0 : slash - dir] = '\0';
    if (dir[0] != '\0' && !map_is_dir(&r->map, dir)) {
        return;
    }
    struct pk_range range = {0, 0};
    if (below(r, 2) == 0) {
        range = (struct pk_range){below(r, 20), below(r, 20)};
    }
    note("list %s from %" PRIu64 ", %" PRIu64, dir, range.offset, range.length);
    EACH_STORE(r, s)
    {
        list_one(&r->map, dir, s, range);
    }
}

struct walk {
    const struct map *map;
    size_t n;
};

static void path_text(struct pk_path path, char *buf)
{
    size_t at = 0;
    for (size_t i = 0; i < path.n; i++) {
        must(at + path.steps[i].len + 2 <= MAP_PATH, "path");
        buf[at] = '/';
        at += i > 0;
        memcpy(buf + at, path.steps[i].p, path.steps[i].len);
        at += path.steps[i].len;
    }
    buf[at] = '\0';
}

static int walk_one(void *arg, struct pk_path path, const struct pk_stat *stat)
{
    struct walk *w = arg;
    char text[MAP_PATH];
    if (stat->kind == PK_NODE) {
        must(path.n == 0 || stat->length > 0, "an empty directory");
        return 0;
    }
    path_text(path, text);
    must(w->n < w->map->n, "too many");
    must(strcmp(text, w->map->items[w->n].path) == 0, text);
    must(stat->length == w->map->items[w->n++].len, "length");
    return 0;
}

static void walk_all(struct pk_tree *tree, const struct map *map)
{
    struct walk w = {map, 0};
    expect(pk_tree_walk(tree, PK_WALK_SORTED | PK_WALK_LENGTH, walk_one, &w),
           0);
    must(w.n == map->n, "too few");
}

static void do_walk(struct round *r)
{
    note("walk");
    EACH_STORE(r, s)
    {
        walk_all(s->tree, &r->map);
    }
}

/* The hash of the tree is that of one built from nothing. */
static void do_rebuild(struct round *r)
{
    static uint8_t buf[CONTENTS_MAX];
    struct pk_digest want;
    struct pk_digest hash;
    struct pk_tree *fresh;
    struct path path;
    struct store *first = &r->world.stores[0];
    note("rebuild");
    expect(pk_tree_empty(first->repo, &fresh), 0);
    for (size_t i = 0; i < r->map.n; i++) {
        const struct map_item *item = &r->map.items[i];
        expect(pk_tree_set(fresh, path_of(&path, item->path),
                           contents_of(item, buf)),
               0);
    }
    expect(pk_tree_hash(fresh, &want), 0);
    pk_tree_free(fresh);
    EACH_STORE(r, s)
    {
        expect(pk_tree_hash(s->tree, &hash), 0);
        must(memcmp(&hash, &want, sizeof(hash)) == 0, "hash");
    }
}

/* ---- Changing --------------------------------------------------------- */

static void do_set(struct round *r)
{
    static uint8_t buf[CONTENTS_MAX];
    char text[MAP_PATH];
    struct path path;
    some_path(r, text);
    struct map_item item = {
        .len = (uint32_t)below(r, below(r, 40) == 0 ? CONTENTS_MAX : 40)};
    item.seed = item.len == 0 ? 0 : below(r, 60);
    note("set %s", text);
    EACH_STORE(r, s)
    {
        expect(
            pk_tree_set(s->tree, path_of(&path, text), contents_of(&item, buf)),
            0);
    }
    map_set(&r->map, text, item.len, item.seed);
}

static void do_remove(struct round *r)
{
    char text[MAP_PATH];
    struct path path;
    known_path(r, text);
    if (text[0] == '\0') {
        return;
    }
    note("remove %s", text);
    EACH_STORE(r, s)
    {
        expect(pk_tree_remove(s->tree, path_of(&path, text)), 0);
    }
    map_remove(&r->map, text);
}

static bool is_inside(const char *a, const char *b)
{
    const size_t len = strlen(b);
    return strncmp(a, b, len) == 0 && (a[len] == '/' || a[len] == '\0');
}

static void do_move(struct round *r)
{
    char from[MAP_PATH];
    char to[MAP_PATH];
    struct path a;
    struct path b;
    struct map rest = {0};
    known_path(r, from);
    new_path(r, map_is_dir(&r->map, from), to);
    if (from[0] == '\0' || is_inside(from, to) || is_inside(to, from)) {
        return;
    }
    const bool is = map_find(&r->map, from) || map_is_dir(&r->map, from);
    map_copy(&r->map, &rest);
    map_remove(&rest, from);
    if (is && !map_graft(&rest, to, &r->map, from)) {
        map_deinit(&rest);
        return;
    }
    note("move %s to %s", from, to);
    EACH_STORE(r, s)
    {
        expect(pk_tree_move(s->tree, path_of(&a, from), path_of(&b, to)),
               is ? 0 : NF_ENOENT);
    }
    if (is) {
        map_copy(&rest, &r->map);
    }
    map_deinit(&rest);
}

static struct commit *some_commit(struct round *r)
{
    const uint64_t back = r->n_commits < COMMITS ? r->n_commits : COMMITS;
    return back == 0 ? NULL
                     : &r->commits[(r->n_commits - below(r, back)) % COMMITS];
}

static struct commit *commit_nth(struct round *r, uint64_t nth)
{
    struct commit *commit = &r->commits[nth % COMMITS];
    return nth == 0 || commit->nth != nth ? NULL : commit;
}

/* A directory of an old commit is bound in the tree. */
static void do_graft(struct round *r)
{
    const struct commit *commit = some_commit(r);
    char from[MAP_PATH];
    char to[MAP_PATH];
    struct path a;
    struct path b;
    new_path(r, true, to);
    if (commit == NULL || commit->map.n == 0) {
        return;
    }
    strcpy(from, commit->map.items[below(r, commit->map.n)].path);
    char *slash = strrchr(from, '/');
    from[slash == NULL ? 0 : slash - from] = '\0';
    if (!map_graft(&r->map, to, &commit->map, from)) {
        return;
    }
    note("graft %s of commit %" PRIu64 " at %s", from, commit->nth, to);
    EACH_STORE(r, s)
    {
        struct pk_tree *tree;
        struct pk_tree *sub;
        expect(pk_commit_tree(s->repo, &commit->hash, &tree), 0);
        expect(pk_tree_sub(tree, path_of(&a, from), &sub), 0);
        expect(pk_tree_set_tree(s->tree, path_of(&b, to), sub), 0);
        pk_tree_free(sub);
        pk_tree_free(tree);
    }
}

/* A clone changes without the tree, and the tree without the clone. */
static void do_clone(struct round *r)
{
    struct path path;
    char text[MAP_PATH];
    const uint64_t n = 1 + below(r, 6);
    note("clone");
    EACH_STORE(r, s)
    {
        struct prng saved = r->prng;
        struct pk_tree *clone;
        expect(pk_tree_clone(s->tree, &clone), 0);
        for (uint64_t i = 0; i < n; i++) {
            some_path(r, text);
            expect(pk_tree_set(clone, path_of(&path, text), text_of("other")),
                   0);
            known_path(r, text);
            if (text[0] != '\0') {
                expect(pk_tree_remove(clone, path_of(&path, text)), 0);
            }
        }
        walk_all(s->tree, &r->map);
        pk_tree_free(clone);
        r->prng = saved;
    }
}

/* ---- Commits ---------------------------------------------------------- */

static void checkout(struct round *r, const struct commit *commit)
{
    EACH_STORE(r, s)
    {
        pk_tree_free(s->tree);
        expect(pk_commit_tree(s->repo, &commit->hash, &s->tree), 0);
    }
    map_copy(&commit->map, &r->map);
    r->head = commit->nth;
}

static struct commit *commit_new(struct round *r)
{
    const uint64_t nth = ++r->n_commits;
    struct commit *commit = &r->commits[nth % COMMITS];
    commit->nth = nth;
    commit->parent = r->head;
    return commit;
}

static void do_commit(struct round *r)
{
    const struct commit *parent = commit_nth(r, r->head);
    if (r->map.n == 0) {
        return; /* some configurations refuse an empty root */
    }
    note("commit");
    const struct pk_digest hash =
        parent == NULL ? (struct pk_digest){{0}} : parent->hash;
    struct commit *commit = commit_new(r);
    const struct pk_info info = {(int64_t)commit->nth, text_of("me"),
                                 text_of("random")};
    EACH_STORE(r, s)
    {
        struct pk_digest made;
        expect(pk_commit_make(s->tree, &hash, parent != NULL, &info, &made), 0);
        must(s == r->world.stores ||
                 memcmp(&made, &commit->hash, sizeof(made)) == 0,
             "hash of the commit");
        commit->hash = made;
    }
    map_copy(&r->map, &commit->map);
    r->head = commit->nth;
    if (below(r, 2) == 0) {
        checkout(r, commit);
    }
}

static void do_checkout(struct round *r)
{
    const struct commit *commit = some_commit(r);
    if (commit != NULL) {
        note("checkout %" PRIu64, commit->nth);
        checkout(r, commit);
    }
}

struct diff {
    const struct map *maps[2];
    uint64_t n;
};

static int diff_one(void *arg, struct pk_path path,
                    const struct pk_stat *old_stat,
                    const struct pk_stat *new_stat)
{
    struct diff *d = arg;
    const struct pk_stat *stats[2] = {old_stat, new_stat};
    const struct map_item *items[2];
    char text[MAP_PATH];
    path_text(path, text);
    for (int i = 0; i < 2; i++) {
        items[i] = map_find(d->maps[i], text);
        must((items[i] != NULL) == (stats[i]->kind == PK_CONTENTS), text);
    }
    must(!map_same(items[0], items[1]), "no difference");
    d->n++;
    return 0;
}

static void do_diff(struct round *r)
{
    const struct commit *commit = some_commit(r);
    uint64_t n = 0;
    if (commit == NULL) {
        return;
    }
    note("diff with %" PRIu64, commit->nth);
    for (size_t i = 0; i < r->map.n; i++) {
        n += !map_same(&r->map.items[i],
                       map_find(&commit->map, r->map.items[i].path));
    }
    for (size_t i = 0; i < commit->map.n; i++) {
        n += map_find(&r->map, commit->map.items[i].path) == NULL;
    }
    EACH_STORE(r, s)
    {
        struct diff d = {{&commit->map, &r->map}, 0};
        struct pk_tree *tree;
        expect(pk_commit_tree(s->repo, &commit->hash, &tree), 0);
        expect(pk_tree_diff(tree, s->tree, diff_one, &d), 0);
        must(d.n == n, "number of differences");
        pk_tree_free(tree);
    }
}

/* ---- Branches --------------------------------------------------------- */

/* Every reader sees the branches after it has reloaded. */
static void look_at_branches(struct round *r)
{
    EACH_STORE(r, s)
    {
        expect(pk_repo_reload(s->reader), 0);
        for (int i = 0; i < BRANCHES; i++) {
            const struct commit *head = commit_nth(r, r->heads[i]);
            struct pk_digest hash;
            struct pk_tree *tree;
            const int err =
                pk_branch_get(s->reader, text_of(branches[i]), &hash);
            expect(err, r->heads[i] == 0 ? NF_EC_NO_BRANCH : 0);
            if (head == NULL) {
                continue;
            }
            must(memcmp(&hash, &head->hash, sizeof(hash)) == 0, "head");
            expect(pk_commit_tree(s->reader, &hash, &tree), 0);
            walk_all(tree, &head->map);
            pk_tree_free(tree);
        }
    }
}

static void do_branch(struct round *r)
{
    const int i = (int)below(r, BRANCHES);
    const struct commit *commit = below(r, 5) == 0 ? NULL : some_commit(r);
    const struct commit *old = commit_nth(r, r->heads[i]);
    const bool cas = below(r, 2) == 0 && (old != NULL || r->heads[i] == 0);
    const struct pk_slice name = text_of(branches[i]);
    note("branch %s", branches[i]);
    EACH_STORE(r, s)
    {
        int err;
        if (cas) {
            err = pk_branch_cas(s->repo, name, old == NULL ? NULL : &old->hash,
                                commit == NULL ? NULL : &commit->hash);
        } else if (commit == NULL) {
            err = pk_branch_remove(s->repo, name);
        } else {
            err = pk_branch_set(s->repo, name, &commit->hash);
        }
        expect(err, 0);
    }
    r->heads[i] = commit == NULL ? 0 : commit->nth;
    look_at_branches(r);
}

static int prefer_ours(void *arg, const struct pk_conflict *conflict,
                       struct pk_settlement *ret_settlement)
{
    (void)arg;
    (void)conflict;
    *ret_settlement = (struct pk_settlement){.how = PK_SETTLE_OURS};
    return 0;
}

/* Two commits from one that is at hand, and their merge. */
static void do_merge(struct round *r)
{
    static const struct pk_judge judge = {prefer_ours, NULL};
    const struct commit *base = some_commit(r);
    uint64_t sides[2];
    if (base == NULL || r->clashes) {
        return;
    }
    const uint64_t nth = base->nth;
    for (int side = 0; side < 2; side++) {
        base = commit_nth(r, nth);
        if (base == NULL) {
            return; /* forgotten meanwhile */
        }
        checkout(r, base);
        for (uint64_t n = 1 + below(r, 12); n > 0; n--) {
            (below(r, 3) == 0 ? do_remove : do_set)(r);
        }
        do_commit(r);
        sides[side] = r->head;
    }
    if (nth + COMMITS <= r->n_commits + 1 || sides[0] == nth ||
        sides[1] == nth) {
        return; /* the base would be forgotten, or there is nothing to merge */
    }
    struct commit *merged = commit_new(r);
    const struct commit *ours = commit_nth(r, sides[0]);
    const struct commit *theirs = commit_nth(r, sides[1]);
    base = commit_nth(r, nth);
    note("merge of %" PRIu64 " and %" PRIu64, ours->nth, theirs->nth);
    const struct pk_info info = {(int64_t)merged->nth, text_of("me"),
                                 text_of("merge")};
    EACH_STORE(r, s)
    {
        struct pk_digest made;
        expect(pk_merge_commits(s->repo, &ours->hash, &theirs->hash, &info,
                                &judge, &made),
               0);
        must(s == r->world.stores ||
                 memcmp(&made, &merged->hash, sizeof(made)) == 0,
             "hash of the merge");
        merged->hash = made;
    }
    map_copy(&ours->map, &merged->map);
    map_merge(&base->map, &merged->map, &theirs->map);
    checkout(r, merged);
    do_walk(r);
}

/* ---- The store -------------------------------------------------------- */

static void do_flush(struct round *r)
{
    note("flush");
    EACH_STORE(r, s)
    {
        expect(pk_repo_flush(s->repo), 0);
    }
}

static void do_split(struct round *r)
{
    if (r->world.opts.strategy != PK_STRATEGY_MINIMAL) {
        return;
    }
    note("split");
    int first = 0;
    EACH_STORE(r, s)
    {
        const int err = pk_repo_split(s->repo);
        expect(err, s == r->world.stores ? (err == 0 ? 0 : NF_EC_EMPTY_CHUNK)
                                         : first);
        first = err;
    }
}

static void do_reopen(struct round *r)
{
    do_commit(r);
    note("reopen");
    world_close(&r->world);
    world_open(&r->world);
    const struct commit *commit = commit_nth(r, r->head);
    if (commit != NULL) {
        checkout(r, commit);
        return;
    }
    r->map.n = 0;
    EACH_STORE(r, s)
    {
        expect(pk_tree_empty(s->repo, &s->tree), 0);
    }
}

/* ---- Rounds ----------------------------------------------------------- */

static void choose(struct round *r)
{
    static const char *const configs[] = {
        "kv64",
        "kv32",
        "tezos",
        "small",
        "smallseeded",
        "sha1",
        "nohdr",
        "hashbits",
        "kv32,stable=0,order=hash_bits,entries=8",
        "small,hash=sha256,entries=4,stable=1",
    };
    static const enum pk_strategy strategies[] = {
        PK_STRATEGY_MINIMAL, PK_STRATEGY_ALWAYS,
        PK_STRATEGY_MINIMAL_WITH_CONTENTS};
    struct pk_open *opts = &r->world.opts;
    r->config = configs[below(r, sizeof(configs) / sizeof(configs[0]))];
    r->clashes = below(r, 3) == 0;
    r->width = below(r, 4) == 0 ? 320 : 4 + below(r, 40);
    r->dirs = 1 + below(r, 3);
    opts->hashes = pk_hash_gcrypt();
    opts->strategy = strategies[below(r, 3)];
    opts->cache_len = (size_t)1 << (12 + below(r, 6));
    opts->index_log_entries = below(r, 2) == 0 ? 1 + below(r, 40) : 0;
    expect(pk_config_parse(r->config, &opts->config), 0);
    if (!opts->config.contents_header &&
        opts->strategy == PK_STRATEGY_MINIMAL) {
        opts->strategy = PK_STRATEGY_ALWAYS;
    }
}

static void step(struct round *r)
{
    static const struct {
        uint64_t weight; /* of 1000 */
        void (*fn)(struct round *r);
    } ops[] = {
        {460, do_set},  {260, do_remove}, {150, do_get},    {30, do_list},
        {25, do_move},  {10, do_graft},   {3, do_clone},    {22, do_commit},
        {8, do_walk},   {4, do_rebuild},  {6, do_checkout}, {5, do_diff},
        {8, do_branch}, {4, do_merge},    {3, do_flush},    {1, do_split},
        {1, do_reopen},
    };
    uint64_t at = below(r, 1000);
    size_t i = 0;
    while (at >= ops[i].weight) {
        at -= ops[i++].weight;
    }
    ops[i].fn(r);
}

static void run(uint64_t seed, uint64_t n_steps)
{
    struct round r = {.prng = prng_seed(seed)};
    choose(&r);
    world_make(&r.world, (enum world_disk)below(&r, 3));
    world_open(&r.world);
    EACH_STORE(&r, s)
    {
        expect(pk_tree_empty(s->repo, &s->tree), 0);
    }
    for (uint64_t i = 0; i < n_steps; i++) {
        step(&r);
    }
    do_walk(&r);
    do_rebuild(&r);
    do_reopen(&r);
    note("check");
    world_check(&r.world);
    world_close(&r.world);
    world_destroy(&r.world);
    for (int i = 0; i < COMMITS; i++) {
        map_deinit(&r.commits[i].map);
    }
    map_deinit(&r.map);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    uint64_t rounds = 1;
    uint64_t steps = 1000;
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--seed") == 0) {
            seed = value;
        } else if (strcmp(argv[i], "--rounds") == 0) {
            rounds = value;
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = value;
        } else {
            fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        }
    }
    verbose = getenv("PACK_MODEL_VERBOSE") != NULL;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGILL, on_signal); /* nf_assert */
    (void)signal(SIGSEGV, on_signal);
    for (uint64_t i = 0; i < rounds; i++) {
        (void)snprintf(repeat, sizeof(repeat),
                       "repeat: %s --seed %" PRIu64 " --steps %" PRIu64 "\n",
                       argv[0], seed + i, steps);
        run(seed + i, steps);
    }
    printf("%" PRIu64 " passed, 0 failed\n", rounds);
    return 0;
}
