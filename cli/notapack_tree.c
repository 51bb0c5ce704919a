/* SPDX-License-Identifier: ISC */
/* The commands that look at a tree and those that change one binding. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notapack.h"

static int path_of(const char *text, struct np_path *ret)
{
    if (np_path_parse(text, false, ret)) {
        return 0;
    }
    fprintf(stderr, "notapack: out of memory\n");
    return NP_FAILED;
}

/* ---------------------------------------------------------------- get, ls */

int np_get(const struct np_options *options, int n_words, char **words)
{
    struct pk_bytes bytes;
    struct np_store store;
    struct pk_tree *tree;
    struct np_path path;
    int err = np_tree_open(&store, options, &tree);

    (void)n_words;
    if (err != 0) {
        return err;
    }
    err = path_of(words[1], &path);
    if (err == 0) {
        err = pk_tree_get(tree, path.path, &bytes);
        np_path_free(&path);
        if (err == 0) {
            if (options->json) {
                np_json_put(json_pack(
                    "{s:s,s:I,s:o}", "path", words[1], "length",
                    (json_int_t)bytes.len, "contents",
                    np_json_bytes((struct pk_slice){bytes.p, bytes.len})));
            } else {
                (void)fwrite(bytes.p, 1, bytes.len, stdout); /* main looks */
            }
            pk_bytes_free(store.repo, &bytes);
        } else {
            err = np_complain(&store, err, words[1]);
        }
    }
    pk_tree_free(tree);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

static int list_dir(struct np_store *store, struct pk_tree *tree,
                    struct pk_path path)
{
    const struct pk_range all = {0, 0};
    json_t *json = store->options->json ? json_array() : NULL;
    struct pk_list *list = NULL;
    struct pk_entry entry;
    int err =
        pk_list_open(tree, path, all, PK_LIST_SORTED | PK_LIST_HASH, &list);

    while (err == 0 && (err = pk_list_next(list, &entry)) > 0) {
        err = 0;
        if (json != NULL) {
            (void)json_array_append_new(
                json,
                json_pack("{s:o,s:s,s:o}", "name", np_json_bytes(entry.step),
                          "kind", entry.kind == PK_NODE ? "node" : "contents",
                          "hash", np_json_hash(store, &entry.hash)));
            continue;
        }
        (void)fwrite(entry.step.p, 1, entry.step.len, stdout); /* main looks */
        printf(entry.kind == PK_NODE ? "/\n" : "\n");
    }
    pk_list_close(list);
    if (json != NULL) {
        np_json_put(json);
    }
    return err;
}

int np_ls(const struct np_options *options, int n_words, char **words)
{
    const char *text = n_words > 1 ? words[1] : "/";
    struct np_store store;
    struct pk_tree *tree;
    struct np_path path;
    int err = np_tree_open(&store, options, &tree);

    if (err != 0) {
        return err;
    }
    err = path_of(text, &path);
    if (err == 0) {
        err = list_dir(&store, tree, path.path);
        np_path_free(&path);
        err = err == 0 ? 0 : np_complain(&store, err, text);
    }
    pk_tree_free(tree);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* -------------------------------------------------------------- tree, find */

struct walk {
    struct np_store *store;
    const char *pattern; /* find */
    json_t *json;
};

static bool walk_matches(const struct walk *w, struct pk_path path)
{
    struct pk_slice step;
    char *text;
    bool match;

    if (w->pattern == NULL) {
        return true;
    }
    if (path.n == 0) {
        return false;
    }
    step = path.steps[path.n - 1];
    text = strndup((const char *)step.p, step.len);
    match = text != NULL && fnmatch(w->pattern, text, 0) == 0;
    free(text);
    return match;
}

static int walk_entry(void *arg, struct pk_path path,
                      const struct pk_stat *stat)
{
    struct walk *w = arg;

    if (!walk_matches(w, path)) {
        return 0;
    }
    if (w->json != NULL) {
        (void)json_array_append_new(
            w->json,
            json_pack("{s:o,s:s,s:o,s:I}", "path", np_json_path(path), "kind",
                      stat->kind == PK_NODE ? "node" : "contents", "hash",
                      np_json_hash(w->store, &stat->hash), "length",
                      (json_int_t)stat->length));
    } else if (w->pattern != NULL) {
        for (size_t i = 0; i < path.n; i++) {
            putchar('/');
            (void)fwrite(path.steps[i].p, 1, path.steps[i].len, stdout);
        }
        putchar('\n');
    } else if (path.n > 0) {
        struct pk_slice step = path.steps[path.n - 1];

        printf("%*s%.*s%s\n", (int)(2 * (path.n - 1)), "", (int)step.len,
               (const char *)step.p, stat->kind == PK_NODE ? "/" : "");
    }
    return 0;
}

static int walk_run(const struct np_options *options, const char *dir,
                    const char *pattern)
{
    struct walk w = {.pattern = pattern};
    struct np_store store;
    struct pk_tree *sub = NULL;
    struct pk_tree *tree;
    struct np_path path;
    int err = np_tree_open(&store, options, &tree);

    if (err != 0) {
        return err;
    }
    w.store = &store;
    w.json = options->json ? json_array() : NULL;
    err = path_of(dir, &path);
    if (err == 0) {
        err = pk_tree_sub(tree, path.path, &sub);
        np_path_free(&path);
        if (err == 0) {
            err = pk_tree_walk(
                sub, PK_WALK_SORTED | (options->json ? PK_WALK_LENGTH : 0u),
                walk_entry, &w);
        }
        err = err == 0 ? 0 : np_complain(&store, err, dir);
    }
    if (w.json != NULL) {
        np_json_put(w.json);
    }
    pk_tree_free(sub);
    pk_tree_free(tree);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

int np_tree(const struct np_options *options, int n_words, char **words)
{
    return walk_run(options, n_words > 1 ? words[1] : "/", NULL);
}

int np_find(const struct np_options *options, int n_words, char **words)
{
    (void)n_words;
    return walk_run(options, "/", words[1]);
}

/* ------------------------------------------------------------ init, set, rm */

int np_init(const struct np_options *options, int n_words, char **words)
{
    struct np_store store;
    char text[256];
    int err = np_store_open(&store, options, PK_OPEN_WRITE | PK_OPEN_CREATE);

    (void)n_words;
    (void)words;
    if (err != 0) {
        return err;
    }
    err = np_config_record(&store);
    if (err != 0) {
        err = np_complain(&store, err, "notapack.config");
    }
    pk_config_print(&store.config, text, sizeof(text));
    if (err == 0 && options->json) {
        np_json_put(json_pack("{s:s}", "config", text));
    } else if (err == 0) {
        printf("%s\n", text);
    }
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

int np_read_all(FILE *in, uint8_t **ret, size_t *ret_len)
{
    uint8_t *p = NULL;
    size_t cap = 0;
    size_t len = 0;
    size_t got = 1;

    while (got > 0) {
        if (len == cap) {
            uint8_t *more = realloc(p, cap = cap * 2 + 4096);

            if (more == NULL) {
                free(p);
                return NF_ENOMEM;
            }
            p = more;
        }
        got = fread(p + len, 1, cap - len, in);
        len += got;
    }
    *ret = p;
    *ret_len = len;
    return ferror(in) ? NF_EIO : 0;
}

int np_set(const struct np_options *options, int n_words, char **words)
{
    struct np_change change;
    struct pk_slice value;
    uint8_t *input = NULL;
    struct np_path path;
    int err = np_change_open(&change, options);

    if (err != 0) {
        return err;
    }
    if (n_words > 2) {
        value = (struct pk_slice){(const uint8_t *)words[2], strlen(words[2])};
    } else {
        err = np_read_all(stdin, &input, &value.len);
        value.p = input;
    }
    if (err == 0) {
        err = path_of(words[1], &path);
    }
    if (err == 0) {
        err = pk_tree_set(change.tree, path.path, value);
        np_path_free(&path);
    }
    free(input);
    return np_change_close(&change, err, "set", words[1]);
}

int np_rm(const struct np_options *options, int n_words, char **words)
{
    struct np_change change;
    struct np_path path;
    enum pk_kind kind = PK_NONE;
    int err = np_change_open(&change, options);

    (void)n_words;
    if (err != 0) {
        return err;
    }
    err = path_of(words[1], &path);
    if (err == 0) {
        err = pk_tree_kind(change.tree, path.path, &kind);
        if (err == 0 && kind == PK_NONE) {
            err = NF_ENOENT;
        }
        if (err == 0) {
            err = pk_tree_remove(change.tree, path.path);
        }
        np_path_free(&path);
    }
    return np_change_close(&change, err, "rm", words[1]);
}
