/* SPDX-License-Identifier: ISC */
/*
 * notapack script: the command scripts of the golden data, from standard
 * input, as the real irmin-pack was fed them. A line that fails answers
 * "error ..." and the script goes on. Contents come from the golden data's
 * generator, host/prng.h. As JSON each line answers an object, with its number
 * as "line".
 */
#include "cli/notapack_script.h"

#include <stdlib.h>
#include <string.h>

#include "host/prng.h"

enum { MAX_WORDS = 512 };

struct script {
    struct np_store *store;
    const struct np_script_how *how;
    FILE *out;
    struct pk_tree *tree;
    json_t *json;  /* the present line's answer, or NULL: as text */
    unsigned told; /* parts of it that have been printed */
    bool has_head;
    struct pk_digest head;
    bool closed;      /* the store could not be opened again */
    const char *what; /* is wrong with the present line, if it is not the
                         library that says so */
};

static int script_refuse(struct script *s, const char *what)
{
    s->what = what;
    return NF_EINVAL;
}

static int script_number(struct script *s, const char *text, uint64_t *ret)
{
    return np_parse_number(text, ret) ? 0 : script_refuse(s, "not a number");
}

static void put_hash(struct script *s, const char *word,
                     const struct pk_digest *hash)
{
    if (s->json != NULL) {
        (void)json_object_set_new(s->json, word, np_json_hash(s->store, hash));
        return;
    }
    fprintf(s->out, "%s%s ", s->told++ > 0 ? " " : "", word);
    np_put_hash(s->out, s->store, hash);
}

/* ---------------------------------------------------------------- the tree */

static void script_take_tree(struct script *s, struct pk_tree *tree)
{
    pk_tree_free(s->tree);
    s->tree = tree;
}

static int script_empty(struct script *s)
{
    struct pk_tree *tree;
    int err = pk_tree_empty(s->store->repo, &tree);

    if (err == 0) {
        script_take_tree(s, tree);
        s->has_head = false;
    }
    return err;
}

static int script_checkout(struct script *s, const struct pk_digest *hash)
{
    struct pk_tree *tree;
    int err = pk_commit_tree(s->store->repo, hash, &tree);

    if (err == 0) {
        script_take_tree(s, tree);
        s->has_head = true;
        s->head = *hash;
    }
    return err;
}

static int script_set(struct script *s, const char *text, struct pk_slice data)
{
    struct np_path path;
    int err;

    if (!np_path_parse(text, true, &path)) {
        return NF_ENOMEM;
    }
    err = pk_tree_set(s->tree, path.path, data);
    np_path_free(&path);
    return err;
}

/* set PATH LEN SEED */
static int do_set(struct script *s, char **words)
{
    uint64_t len = 0;
    uint64_t seed = 0;
    int err = script_number(s, words[2], &len);
    struct prng prng;
    uint8_t *bytes;

    if (err == 0) {
        err = script_number(s, words[3], &seed);
    }
    if (err == 0 && len > s->how->max_len) {
        err = NF_EFBIG;
    }
    if (err != 0) {
        return err;
    }
    bytes = malloc((size_t)len + 8);
    if (bytes == NULL) {
        return NF_ENOMEM;
    }
    prng = prng_seed(seed);
    prng_bytes(&prng, (size_t)len, bytes);
    err = script_set(s, words[1], (struct pk_slice){bytes, (size_t)len});
    free(bytes);
    return err;
}

static int do_setraw(struct script *s, const char *path, char *text)
{
    struct pk_slice raw = {(const uint8_t *)"", 0};

    if (text != NULL) {
        raw.len = np_unpercent(text);
        raw.p = (const uint8_t *)text;
    }
    return script_set(s, path, raw);
}

static int do_del(struct script *s, const char *text)
{
    struct np_path path;
    int err;

    if (!np_path_parse(text, true, &path)) {
        return NF_ENOMEM;
    }
    err = pk_tree_remove(s->tree, path.path);
    np_path_free(&path);
    return err;
}

static int do_hash(struct script *s)
{
    struct pk_digest hash;
    int err = pk_tree_hash(s->tree, &hash);

    if (err == 0) {
        put_hash(s, "root", &hash);
    }
    return err;
}

/* stat NULL: there is none. */
static void put_found(struct script *s, const struct pk_stat *stat)
{
    if (s->json == NULL) {
        s->told++;
        if (stat == NULL) {
            fprintf(s->out, "none");
            return;
        }
        fprintf(s->out, "found %llu ", (unsigned long long)stat->length);
        np_put_hash(s->out, s->store, &stat->hash);
        return;
    }
    (void)json_object_set_new(s->json, "found", json_boolean(stat != NULL));
    if (stat != NULL) {
        (void)json_object_set_new(s->json, "length",
                                  json_integer((json_int_t)stat->length));
        put_hash(s, "hash", &stat->hash);
    }
}

static int do_find(struct script *s, const char *text)
{
    struct np_path path;
    struct pk_stat stat;
    int err;

    if (!np_path_parse(text, true, &path)) {
        return NF_ENOMEM;
    }
    err = pk_tree_stat(s->tree, path.path, &stat);
    np_path_free(&path);
    if (err == NF_ENOENT || (err == 0 && stat.kind != PK_CONTENTS)) {
        put_found(s, NULL);
        err = 0;
    } else if (err == 0) {
        put_found(s, &stat);
    }
    return err;
}

static void put_entry(const struct script *s, json_t *list,
                      const struct pk_entry *entry)
{
    const char *kind = entry->kind == PK_NODE ? "node" : "contents";

    if (list != NULL) {
        (void)json_array_append_new(
            list, json_pack("{s:o,s:s,s:o}", "name", np_json_bytes(entry->step),
                            "kind", kind, "hash",
                            np_json_hash(s->store, &entry->hash)));
        return;
    }
    fprintf(s->out, "  ");
    np_put_percent(s->out, entry->step);
    fprintf(s->out, " %s ", kind);
    np_put_hash(s->out, s->store, &entry->hash);
    putc('\n', s->out);
}

static int do_list(struct script *s, const char *text)
{
    const struct pk_range all = {0, 0};
    struct pk_list *list = NULL;
    struct pk_entry entry;
    struct np_path path;
    json_t *entries = s->json == NULL ? NULL : json_array();
    unsigned long long n = 0;
    int err;

    if (entries != NULL) {
        (void)json_object_set_new(s->json, "entries", entries);
    }
    if (!np_path_parse(text == NULL ? "" : text, true, &path)) {
        return NF_ENOMEM;
    }
    err = pk_list_open(s->tree, path.path, all, PK_LIST_SORTED | PK_LIST_HASH,
                       &list);
    np_path_free(&path);
    if (err == NF_ENOENT || err == NF_ENOTDIR) {
        err = 0; /* nothing is listed */
    }
    while (list != NULL && err == 0 && (err = pk_list_next(list, &entry)) > 0) {
        put_entry(s, entries, &entry);
        n++;
        err = 0;
    }
    pk_list_close(list);
    if (err == 0 && entries == NULL) {
        fprintf(s->out, "listed %llu", n);
        s->told++;
    }
    return err;
}

/* ---------------------------------------------------- commits and branches */

static struct pk_slice script_text(char *word)
{
    struct pk_slice s = {(const uint8_t *)word, 0};

    if (strcmp(word, "-") != 0) {
        s.len = np_unpercent(word);
    }
    return s;
}

static int script_hash(struct script *s, const char *text,
                       struct pk_digest *ret)
{
    return np_hash_parse(s->store, text, ret) ? 0 : NF_EC_NO_COMMIT;
}

/* The hash of a commit that is there. */
static int script_commit(struct script *s, const char *text,
                         struct pk_digest *ret)
{
    struct pk_commit *commit = NULL;
    int err = script_hash(s, text, ret);

    if (err == 0) {
        err = pk_commit_find(s->store->repo, ret, &commit);
    }
    pk_commit_free(s->store->repo, commit);
    return err;
}

/* commit BRANCH|- DATE AUTHOR|- MESSAGE|- [PARENT...] */
static int do_commit(struct script *s, char **words, int n)
{
    struct pk_digest parents[MAX_WORDS];
    struct pk_digest hash;
    struct pk_digest root;
    struct pk_info info;
    size_t n_parents = 0;
    int err = 0;

    if (n < 5) {
        return script_refuse(s, "commit needs a date, author and message");
    }
    for (int i = 5; i < n && err == 0; i++) {
        err = script_commit(s, words[i], &parents[n_parents++]);
    }
    if (n == 5 && s->has_head) {
        parents[n_parents++] = s->head;
    }
    if (err == 0 && !np_parse_date(words[2], &info.date)) {
        err = script_refuse(s, "not a date");
    }
    info.author = script_text(words[3]);
    info.message = script_text(words[4]);
    if (err == 0) {
        err = pk_commit_make(s->tree, parents, n_parents, &info, &hash);
    }
    if (err == 0) {
        err = pk_tree_hash(s->tree, &root);
    }
    if (err == 0 && strcmp(words[1], "-") != 0) {
        err = pk_branch_set(s->store->repo, script_text(words[1]), &hash);
    }
    if (err == 0) {
        err = script_checkout(s, &hash);
    }
    if (err == 0) {
        put_hash(s, "commit", &hash);
        put_hash(s, "root", &root);
    }
    return err;
}

static int do_checkout(struct script *s, const char *text)
{
    struct pk_digest hash;
    int err = script_hash(s, text, &hash);

    return err == 0 ? script_checkout(s, &hash) : err;
}

static int do_checkout_branch(struct script *s, char *name)
{
    struct pk_digest hash;
    int err = pk_branch_get(s->store->repo, script_text(name), &hash);

    if (err == 0) {
        err = script_checkout(s, &hash);
    }
    if (err == 0) {
        put_hash(s, "head", &hash);
    }
    return err;
}

static int do_setbranch(struct script *s, char *name, const char *text)
{
    struct pk_digest hash;
    int err = script_commit(s, text, &hash);

    return err == 0 ? pk_branch_set(s->store->repo, script_text(name), &hash)
                    : err;
}

/* ------------------------------------------------------------------ reopen */

/* Collect, in steps as small as can be. */
static int do_gc(struct script *s, const char *text)
{
    struct pk_digest hash;
    struct pk_gc_options options = {.keep = &hash, .n_keep = 1};
    int err = script_hash(s, text, &hash);

    if (err == 0) {
        err = pk_gc_start(s->store->repo, &options);
    }
    while (err == 0 &&
           (err = pk_gc_step(s->store->repo, PK_GC_MIN_BUDGET)) > 0) {
        err = 0;
    }
    if (err == 0) {
        err = pk_gc_finish(s->store->repo, NULL);
    }
    if (err == 0 && s->json == NULL) {
        fprintf(s->out, "gc ok");
        s->told++;
    }
    return err;
}

/* A tree that no commit holds, kept while its store is closed. */
struct kept {
    struct pk_repo *repo;
    struct pk_tree *tree;
    struct {
        char *path; /* percent-encoded */
        struct pk_bytes bytes;
        uint8_t *copy;
    } * files;
    size_t n;
    size_t cap;
};

static int keep_file(void *arg, struct pk_path path, const struct pk_stat *stat)
{
    struct kept *k = arg;
    struct pk_bytes bytes;
    size_t text_len = 0;
    FILE *text;
    int err;

    if (stat->kind != PK_CONTENTS) {
        return 0;
    }
    if (k->n == k->cap) {
        size_t cap = k->cap == 0 ? 16 : k->cap * 2;
        void *files = realloc(k->files, cap * sizeof(*k->files));

        if (files == NULL) {
            return NF_ENOMEM;
        }
        k->files = files;
        k->cap = cap;
    }
    err = pk_tree_get(k->tree, path, &bytes);
    if (err != 0) {
        return err;
    }
    k->files[k->n].path = NULL;
    k->files[k->n].copy = malloc(bytes.len + 1);
    text = open_memstream(&k->files[k->n].path, &text_len);
    if (text != NULL) {
        np_put_path(text, path);
        (void)fclose(text); /* a failure leaves path NULL */
    }
    if (k->files[k->n].copy != NULL) {
        memcpy(k->files[k->n].copy, bytes.p, bytes.len);
    }
    k->files[k->n].bytes.len = bytes.len;
    pk_bytes_free(k->repo, &bytes);
    k->n++;
    return text == NULL || k->files[k->n - 1].copy == NULL ? NF_ENOMEM : 0;
}

static int keep_restore(struct script *s, const struct kept *k)
{
    int err = 0;

    for (size_t i = 0; i < k->n && err == 0; i++) {
        struct pk_slice data = {k->files[i].copy, k->files[i].bytes.len};
        struct np_path path;

        if (!np_path_parse(k->files[i].path, true, &path)) {
            return NF_ENOMEM;
        }
        err = pk_tree_set(s->tree, path.path, data);
        np_path_free(&path);
    }
    return err;
}

static int do_reopen(struct script *s)
{
    struct kept kept = {.repo = s->store->repo, .tree = s->tree};
    int err = 0;

    if (!s->has_head) {
        err = pk_tree_walk(s->tree, 0, keep_file, &kept);
    }
    script_take_tree(s, NULL);
    if (s->how->reopen(s->store) != 0) {
        s->closed = true;
        err = script_refuse(s, "the store cannot be opened again");
    } else if (s->has_head) {
        err = script_checkout(s, &s->head);
    } else if (err == 0) {
        err = script_empty(s);
        if (err == 0) {
            err = keep_restore(s, &kept);
        }
    }
    for (size_t i = 0; i < kept.n; i++) {
        free(kept.files[i].path);
        free(kept.files[i].copy);
    }
    free(kept.files);
    return err;
}

/* --------------------------------------------------------------- the lines */

static int script_run(struct script *s, char **words, int n)
{
    const char *w = words[0];

    if (strcmp(w, "set") == 0 && n == 4) {
        return do_set(s, words);
    }
    if (strcmp(w, "setraw") == 0 && (n == 2 || n == 3)) {
        return do_setraw(s, words[1], n == 3 ? words[2] : NULL);
    }
    if (strcmp(w, "del") == 0 && n == 2) {
        return do_del(s, words[1]);
    }
    if (strcmp(w, "commit") == 0) {
        return do_commit(s, words, n);
    }
    if (strcmp(w, "checkout") == 0 && n == 2) {
        return do_checkout(s, words[1]);
    }
    if (strcmp(w, "checkout-branch") == 0 && n == 2) {
        return do_checkout_branch(s, words[1]);
    }
    if (strcmp(w, "empty") == 0 && n == 1) {
        return script_empty(s);
    }
    if (strcmp(w, "setbranch") == 0 && n == 3) {
        return do_setbranch(s, words[1], words[2]);
    }
    if (strcmp(w, "rmbranch") == 0 && n == 2) {
        return pk_branch_remove(s->store->repo, script_text(words[1]));
    }
    if (strcmp(w, "hash") == 0 && n == 1) {
        return do_hash(s);
    }
    if (strcmp(w, "find") == 0 && n == 2) {
        return do_find(s, words[1]);
    }
    if (strcmp(w, "list") == 0 && (n == 1 || n == 2)) {
        return do_list(s, n == 2 ? words[1] : NULL);
    }
    if (strcmp(w, "flush") == 0 && n == 1) {
        return pk_repo_flush(s->store->repo);
    }
    if (strcmp(w, "reopen") == 0 && n == 1) {
        return do_reopen(s);
    }
    if (strcmp(w, "split") == 0 && n == 1) {
        return pk_repo_split(s->store->repo);
    }
    if (strcmp(w, "gc") == 0 && n == 2) {
        return do_gc(s, words[1]);
    }
    if (strcmp(w, "addvolume") == 0 && n == 1) {
        return pk_repo_add_volume(s->store->repo);
    }
    return script_refuse(s, "unknown command");
}

/* How a line ended: text, or what the JSON object lacks. */
static void script_answer(struct script *s, int err)
{
    const char *what = s->what != NULL ? s->what : nf_strerror(err);

    if (s->json == NULL) {
        if (err != 0) {
            fprintf(s->out, "%serror %s\n", s->told > 0 ? "\n" : "", what);
        } else if (s->told > 0) {
            putc('\n', s->out);
        }
        return;
    }
    (void)json_object_set_new(s->json, "ok", json_boolean(err == 0));
    if (err != 0) {
        (void)json_object_set_new(s->json, "error", json_string(what));
    }
    (void)json_dumpf(s->json, s->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putc('\n', s->out);
    json_decref(s->json);
    s->json = NULL;
}

static void script_line(struct script *s, uint64_t number, char *line)
{
    char *words[MAX_WORDS];
    char *rest = line;
    int n = 0;

    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') {
        return;
    }
    for (; rest != NULL && n < MAX_WORDS; n++) {
        words[n] = strsep(&rest, " ");
    }
    s->what = NULL;
    s->told = 0;
    if (s->store->options->json) {
        s->json = json_pack("{s:I,s:o}", "line", (json_int_t)number, "command",
                            np_json_bytes((struct pk_slice){
                                (const uint8_t *)words[0], strlen(words[0])}));
    }
    script_answer(s, rest != NULL ? script_refuse(s, "too many words")
                                  : script_run(s, words, n));
}

int np_script_lines(struct np_store *store, const struct np_script_how *how,
                    FILE *in, FILE *out)
{
    struct script s = {.store = store, .how = how, .out = out};
    uint64_t number = 0;
    char *line = NULL;
    size_t cap = 0;
    int err = script_empty(&s);

    if (err != 0) {
        err = np_complain(store, err, "script");
    }
    while (err == 0 && !s.closed && getline(&line, &cap, in) >= 0) {
        script_line(&s, ++number, line);
    }
    free(line);
    pk_tree_free(s.tree);
    return s.closed ? NP_FAILED : err;
}

static int script_reopen(struct np_store *store)
{
    const struct np_options *options = store->options;

    return np_store_close(store) == 0
               ? np_store_open(store, options, PK_OPEN_WRITE)
               : NP_FAILED;
}

int np_script(const struct np_options *options, int n_words, char **words)
{
    const struct np_script_how how = {script_reopen, INT32_MAX};
    struct np_store store;
    int err = np_store_open(&store, options, PK_OPEN_WRITE | PK_OPEN_CREATE);

    (void)n_words;
    (void)words;
    if (err != 0) {
        return err;
    }
    err = np_script_lines(&store, &how, stdin, stdout);
    if (store.repo == NULL || np_store_close(&store) != 0 || err != 0) {
        return NP_FAILED;
    }
    if (options->json) {
        np_json_line(json_pack("{s:b}", "closed", true));
    } else {
        printf("closed\n");
    }
    return 0;
}
