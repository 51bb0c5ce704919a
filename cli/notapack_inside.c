/* SPDX-License-Identifier: ISC */
/* What a store consists of: cat-object, stat, control, index, dict. */
#include <string.h>

#include "cli/notapack.h"

/* ------------------------------------------------------------- cat-object */

struct cat {
    struct np_store *store;
    json_t *slots; /* or NULL: text */
};

static int cat_slot(void *arg, const struct pk_inode_view *slot)
{
    struct cat *cat = arg;

    if (cat->slots != NULL) {
        json_t *json =
            slot->kind == PK_NONE
                ? json_pack("{s:I}", "index", (json_int_t)slot->index)
                : json_pack("{s:o,s:s}", "name", np_json_bytes(slot->step),
                            "kind",
                            slot->kind == PK_NODE ? "node" : "contents");

        (void)json_object_set_new(json, "hash",
                                  np_json_hash(cat->store, &slot->hash));
        (void)json_array_append_new(cat->slots, json);
        return 0;
    }
    if (slot->kind == PK_NONE) {
        printf("%u inode ", slot->index);
    } else {
        np_put_percent(stdout, slot->step);
        printf(slot->kind == PK_NODE ? " node " : " contents ");
    }
    np_put_hash(stdout, cat->store, &slot->hash);
    putchar('\n');
    return 0;
}

static json_t *object_json(const struct np_store *store,
                           const struct pk_object_view *view)
{
    const char kind[2] = {view->kind, '\0'};

    return json_pack("{s:s,s:I,s:I,s:o}", "kind", kind, "off",
                     (json_int_t)view->off, "len", (json_int_t)view->len,
                     "hash", np_json_hash(store, &view->hash));
}

static int cat_contents(struct np_store *store,
                        const struct pk_object_view *view)
{
    struct pk_bytes bytes;
    int err = pk_view_contents(store->repo, view->off, &bytes);

    if (err != 0) {
        return err;
    }
    if (store->options->json) {
        json_t *json = object_json(store, view);

        (void)json_object_set_new(
            json, "contents",
            np_json_bytes((struct pk_slice){bytes.p, bytes.len}));
        np_json_put(json);
    } else {
        (void)fwrite(bytes.p, 1, bytes.len, stdout); /* main looks */
    }
    pk_bytes_free(store->repo, &bytes);
    return 0;
}

static int cat_inode(struct np_store *store, const struct pk_object_view *view)
{
    struct cat cat = {store, store->options->json ? json_array() : NULL};
    int err;

    if (cat.slots == NULL) {
        printf("%c %llu bytes at %llu, ", view->kind,
               (unsigned long long)view->len, (unsigned long long)view->off);
        np_put_hash(stdout, store, &view->hash);
        putchar('\n');
    }
    err = pk_view_inode(store->repo, view->off, cat_slot, &cat);
    if (cat.slots != NULL) {
        json_t *json = object_json(store, view);

        (void)json_object_set_new(json, "slots", cat.slots);
        np_json_put(json);
    }
    return err;
}

static int cat_object(struct np_store *store, uint64_t off)
{
    struct pk_object_view view;
    struct pk_commit *commit;
    int err = pk_view_object(store->repo, off, &view);

    if (err != 0) {
        return err;
    }
    if (view.kind == 'B') {
        return cat_contents(store, &view);
    }
    if (strchr("CDP", view.kind) == NULL) {
        return cat_inode(store, &view);
    }
    err = pk_commit_find(store->repo, &view.hash, &commit);
    if (err == 0 && store->options->json) {
        np_json_put(np_json_commit(store, commit));
    } else if (err == 0) {
        np_show_commit(store, commit);
    }
    if (err == 0) {
        pk_commit_free(store->repo, commit);
    }
    return err;
}

/* Entries of the index whose hash begins with some digits. */
struct prefix {
    const char *digits;
    uint64_t off;
    uint64_t n;
};

static int match_prefix(void *arg, const struct pk_index_view *entry)
{
    static const char digits[] = "0123456789abcdef";
    struct prefix *p = arg;

    for (size_t i = 0; p->digits[i] != '\0'; i++) {
        uint8_t half = (uint8_t)(entry->hash.b[i / 2] >> (i % 2 == 0 ? 4 : 0));

        if (digits[half & 15] != p->digits[i]) {
            return 0;
        }
    }
    p->off = entry->off;
    p->n++;
    return 0;
}

/* An object by hash, the beginning of one, or offset. Digits alone are an
 * offset, unless a hash begins with them. */
static int find_object(struct np_store *store, const char *text,
                       uint64_t *ret_off)
{
    struct prefix prefix = {.digits = text};
    size_t len = strlen(text);
    struct pk_digest hash;
    int err;

    if (np_hash_parse(store, text, &hash)) {
        return pk_view_find(store->repo, &hash, ret_off);
    }
    if (len >= 4 && len < 2 * (size_t)store->config.hash_len &&
        strspn(text, "0123456789abcdef") == len) {
        err = pk_view_index(store->repo, match_prefix, &prefix);
        if (err != 0 || prefix.n > 0) {
            *ret_off = prefix.off;
            return err == 0 && prefix.n > 1 ? NF_EC_AMBIGUOUS : err;
        }
    }
    return np_parse_number(text, ret_off) ? 0 : NF_EC_NO_OBJECT;
}

int np_cat_object(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    uint64_t off = 0;
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    if (err != 0) {
        return err;
    }
    err = find_object(&store, words[1], &off);
    if (err == 0) {
        err = cat_object(&store, off);
    }
    if (err != 0) {
        err = np_complain(&store, err, words[1]);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* ---------------------------------------------------------------- control */

/* A table of numbers, as lines or as an object. */
struct numbers {
    json_t *json;
};

static void number_put(struct numbers *n, const char *name, uint64_t value)
{
    if (value == NF_NOWHERE) {
        return;
    }
    if (n->json != NULL) {
        (void)json_object_set_new(n->json, name,
                                  json_integer((json_int_t)value));
    } else {
        printf("%-16s %llu\n", name, (unsigned long long)value);
    }
}

static void text_put(struct numbers *n, const char *name, const char *text)
{
    if (n->json != NULL) {
        (void)json_object_set_new(n->json, name, json_string(text));
    } else {
        printf("%-16s %s\n", name, text);
    }
}

static void put_control(struct np_store *store, struct numbers *n)
{
    struct pk_control_view v;

    pk_view_control(store->repo, &v);
    number_put(n, "version", v.version);
    text_put(n, "status", v.status);
    number_put(n, "dict_end", v.dict_end);
    number_put(n, "chunk_start", v.chunk_start);
    number_put(n, "chunk_num", v.chunk_num);
    number_put(n, "chunk_end", v.chunk_end);
    number_put(n, "volume_num", v.volume_num);
    number_put(n, "upgraded_from", v.upgraded_from);
    number_put(n, "suffix_start", v.suffix_start);
    number_put(n, "generation", v.generation);
    number_put(n, "gc_target", v.gc_target);
    number_put(n, "dead", v.dead);
    number_put(n, "mapping_end", v.mapping_end);
    number_put(n, "end", v.end);
}

int np_control(const struct np_options *options, int n_words, char **words)
{
    struct numbers n = {NULL};
    struct np_store store;
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    (void)words;
    if (err != 0) {
        return err;
    }
    n.json = options->json ? json_object() : NULL;
    put_control(&store, &n);
    if (n.json != NULL) {
        np_json_put(n.json);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : 0;
}

/* ------------------------------------------------------------- index, dict */

struct index_list {
    struct np_store *store;
    bool json;
};

/* A line an entry: an index may be larger than memory. */
static int index_entry(void *arg, const struct pk_index_view *entry)
{
    struct index_list *list = arg;

    if (list->json) {
        char kind[2] = {entry->kind, '\0'};
        np_json_line(json_pack("{s:o,s:I,s:I,s:s}", "hash",
                               np_json_hash(list->store, &entry->hash), "off",
                               (json_int_t)entry->off, "len",
                               (json_int_t)entry->len, "kind", kind));
        return 0;
    }
    np_put_hash(stdout, list->store, &entry->hash);
    printf(" %llu %u %c\n", (unsigned long long)entry->off, entry->len,
           entry->kind);
    return 0;
}

int np_index(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    struct index_list list = {&store, options->json};
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    (void)words;
    if (err != 0) {
        return err;
    }
    err = pk_view_index(store.repo, index_entry, &list);
    if (err != 0) {
        err = np_complain(&store, err, "index");
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

int np_dict(const struct np_options *options, int n_words, char **words)
{
    json_t *json = options->json ? json_array() : NULL;
    struct np_store store;
    struct pk_slice s;
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    (void)words;
    if (err != 0) {
        json_decref(json);
        return err;
    }
    for (uint64_t i = 0; (s = pk_view_dict(store.repo, i)).p != NULL; i++) {
        if (json != NULL) {
            (void)json_array_append_new(json, np_json_bytes(s));
        } else {
            printf("%llu ", (unsigned long long)i);
            np_put_percent(stdout, s);
            putchar('\n');
        }
    }
    if (json != NULL) {
        np_json_put(json);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : 0;
}

/* ------------------------------------------------------------------- stat */

struct stat_sum {
    uint64_t dirs;
    uint64_t files;
    uint64_t bytes;
    uint64_t depth;
    uint64_t width;
};

static int stat_entry(void *arg, struct pk_path path,
                      const struct pk_stat *stat)
{
    struct stat_sum *sum = arg;

    if (stat->kind == PK_NODE) {
        sum->dirs++;
        sum->width = stat->length > sum->width ? stat->length : sum->width;
    } else {
        sum->files++;
        sum->bytes += stat->length;
    }
    sum->depth = path.n > sum->depth ? path.n : sum->depth;
    return 0;
}

static int count_one(void *arg, const struct pk_digest *hash)
{
    (void)hash;
    ++*(uint64_t *)arg;
    return 0;
}

static int count_entry(void *arg, const struct pk_index_view *entry)
{
    (void)entry;
    ++*(uint64_t *)arg;
    return 0;
}

static int count_branch(void *arg, struct pk_slice name,
                        const struct pk_digest *hash)
{
    (void)name;
    (void)hash;
    ++*(uint64_t *)arg;
    return 0;
}

/* The tree of the commit looked at, if there is one. */
static int stat_tree(struct np_store *store, struct numbers *n)
{
    struct stat_sum sum = {0};
    struct pk_tree *tree;
    struct pk_digest head;
    int err = 0;

    if (store->options->commit != NULL) {
        err = np_resolve(store, store->options->commit, &head);
    } else if (pk_branch_get(store->repo, np_branch(store), &head) != 0) {
        return 0;
    }
    if (err == 0) {
        err = pk_commit_tree(store->repo, &head, &tree);
    }
    if (err != 0) {
        return err;
    }
    err = pk_tree_walk(tree, PK_WALK_LENGTH, stat_entry, &sum);
    pk_tree_free(tree);
    number_put(n, "directories", sum.dirs);
    number_put(n, "files", sum.files);
    number_put(n, "bytes", sum.bytes);
    number_put(n, "deepest", sum.depth);
    number_put(n, "widest", sum.width);
    return err;
}

int np_stat(const struct np_options *options, int n_words, char **words)
{
    struct numbers n = {NULL};
    struct np_store store;
    uint64_t commits = 0;
    uint64_t entries = 0;
    uint64_t branches = 0;
    char config[256];
    int err = np_store_open(&store, options, 0);

    (void)n_words;
    (void)words;
    if (err != 0) {
        return err;
    }
    n.json = options->json ? json_object() : NULL;
    pk_config_print(&store.config, config, sizeof(config));
    text_put(&n, "config", config);
    text_put(&n, "config_sure", store.config_sure ? "yes" : "no");
    put_control(&store, &n);
    err = pk_commit_each(store.repo, count_one, &commits);
    if (err == 0) {
        err = pk_view_index(store.repo, count_entry, &entries);
    }
    if (err == 0) {
        err = pk_branch_each(store.repo, count_branch, &branches);
    }
    number_put(&n, "commits", commits);
    number_put(&n, "index_entries", entries);
    number_put(&n, "branches", branches);
    if (err == 0) {
        err = stat_tree(&store, &n);
    }
    if (n.json != NULL) {
        np_json_put(n.json);
    }
    if (err < 0) {
        err = np_complain(&store, err, "stat");
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}
