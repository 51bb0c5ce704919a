/* SPDX-License-Identifier: ISC */
/*
 * proof: operations on a tree, proved and verified. The same operations are
 * run by make, on the tree of a commit, and by verify, on what the proof
 * shows. Answers are kept back until they are known to be true.
 */
#include <stdlib.h>
#include <string.h>

#include <notafs/hash_gcrypt.h>
#include <notafs/host.h>
#include <notafs/proof.h>

#include "cli/notapack.h"

/* -------------------------------------------------------------- operations */

enum op_what {
    OP_GET,
    OP_KIND,
    OP_STAT,
    OP_LENGTH,
    OP_LIST,
    OP_HASH,
    OP_SET,
    OP_RM,
    OP_MV
};

static const struct {
    const char *name;
    int n_paths;
    bool value; /* one more word */
} op_forms[] = {
    [OP_GET] = {"get", 1, false},   [OP_KIND] = {"kind", 1, false},
    [OP_STAT] = {"stat", 1, false}, [OP_LENGTH] = {"length", 1, false},
    [OP_LIST] = {"list", 1, false}, [OP_HASH] = {"hash", 0, false},
    [OP_SET] = {"set", 1, true},    [OP_RM] = {"rm", 1, false},
    [OP_MV] = {"mv", 2, false},
};
enum { N_FORMS = sizeof(op_forms) / sizeof(*op_forms) };

struct op {
    enum op_what what;
    struct np_path paths[2];
    char *value;
    size_t value_len;
};

struct ops {
    const struct np_store *store; /* for hashes and options */
    struct op *list;
    size_t n;
    json_t *json; /* answers, or NULL: */
    FILE *out;    /* as text */
};

static void ops_free(struct ops *ops)
{
    for (size_t i = 0; i < ops->n; i++) {
        np_path_free(&ops->list[i].paths[0]);
        np_path_free(&ops->list[i].paths[1]);
        free(ops->list[i].value);
    }
    free(ops->list);
}

/* The words of text, of which there are at most 4; text is cut up. */
static int split(char *text, char **words)
{
    int n = 0;

    for (char *p = strtok(text, " \t\n"); p != NULL && n < 4;
         p = strtok(NULL, " \t\n")) {
        words[n++] = p;
    }
    return n;
}

static bool op_parse(char *text, struct op *ret)
{
    struct op op = {.value = NULL};
    char *words[4];
    int n = split(text, words);
    int form = 0;

    while (n > 0 && form < N_FORMS &&
           strcmp(words[0], op_forms[form].name) != 0) {
        form++;
    }
    if (n == 0 || form == N_FORMS ||
        n != 1 + op_forms[form].n_paths + op_forms[form].value) {
        return false;
    }
    op.what = (enum op_what)form;
    for (int i = 0; i < op_forms[form].n_paths; i++) {
        if (!np_path_parse(words[1 + i], true, &op.paths[i])) {
            np_path_free(&op.paths[0]);
            return false;
        }
    }
    if (op_forms[form].value) {
        op.value = strdup(words[n - 1]);
        if (op.value == NULL) {
            np_path_free(&op.paths[0]);
            return false;
        }
        op.value_len = np_unpercent(op.value);
    }
    *ret = op;
    return true;
}

static bool ops_add(struct ops *ops, const char *text)
{
    char *copy = strdup(text);
    struct op *list = realloc(ops->list, (ops->n + 1) * sizeof(*list));
    bool good = false;

    if (list != NULL) {
        ops->list = list;
        good = copy != NULL && op_parse(copy, &list[ops->n]);
        ops->n += good;
    }
    free(copy);
    if (!good) {
        fprintf(stderr,
                "notapack: no operation: %s\n"
                "Try 'notapack proof --help'.\n",
                text);
    }
    return good;
}

/* From the words of the command line, or the lines of standard input. */
static bool ops_read(struct ops *ops, int n_words, char **words)
{
    char *line = NULL;
    size_t cap = 0;
    bool good = true;

    for (int i = 0; i < n_words && good; i++) {
        good = ops_add(ops, words[i]);
    }
    while (n_words == 0 && good && getline(&line, &cap, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        good = line[0] == '\0' || ops_add(ops, line);
    }
    free(line);
    return good;
}

/* ----------------------------------------------------------------- answers */

/* An answer begins: its operation. Returns its object, or NULL. */
static json_t *answer_begin(struct ops *ops, const struct op *op)
{
    const char *name = op_forms[op->what].name;
    json_t *json;

    if (ops->json != NULL) {
        json = json_pack("{s:s}", "operation", name);
        if (op_forms[op->what].n_paths > 0) {
            (void)json_object_set_new(json, "path",
                                      np_json_path(op->paths[0].path));
        }
        (void)json_array_append_new(ops->json, json);
        return json;
    }
    fprintf(ops->out, "%s ", name);
    for (int i = 0; i < op_forms[op->what].n_paths; i++) {
        np_put_path(ops->out, op->paths[i].path);
        putc(' ', ops->out);
    }
    return NULL;
}

static void answer_text(struct ops *ops, json_t *json, const char *key,
                        const char *text)
{
    if (json != NULL) {
        (void)json_object_set_new(json, key, json_string(text));
    } else {
        fprintf(ops->out, "%s\n", text);
    }
}

static void answer_hash(struct ops *ops, json_t *json,
                        const struct pk_digest *hash, const char *end)
{
    if (json != NULL) {
        (void)json_object_set_new(json, "hash", np_json_hash(ops->store, hash));
    } else {
        np_put_hash(ops->out, ops->store, hash);
        fputs(end, ops->out);
    }
}

static void answer_number(struct ops *ops, json_t *json, uint64_t n)
{
    if (json != NULL) {
        (void)json_object_set_new(json, "length", json_integer((json_int_t)n));
    } else {
        fprintf(ops->out, "%llu\n", (unsigned long long)n);
    }
}

static const char *kind_text(enum pk_kind kind)
{
    static const char *const names[] = {
        [PK_NONE] = "none", [PK_NODE] = "node", [PK_CONTENTS] = "contents"};

    return names[kind];
}

static int do_get(struct ops *ops, const struct op *op, struct pk_tree *tree,
                  json_t *json)
{
    struct pk_bytes bytes;
    int err = pk_tree_get(tree, op->paths[0].path, &bytes);
    const struct pk_slice s = {bytes.p, bytes.len};

    if (err != 0) {
        return err;
    }
    if (json != NULL) {
        (void)json_object_set_new(json, "contents", np_json_bytes(s));
    } else {
        np_put_percent(ops->out, s);
        putc('\n', ops->out);
    }
    pk_bytes_free(pk_tree_repo(tree), &bytes);
    return 0;
}

static int do_list(struct ops *ops, const struct op *op, struct pk_tree *tree,
                   json_t *json)
{
    const struct pk_range all = {0, 0};
    json_t *entries = json != NULL ? json_array() : NULL;
    struct pk_list *list = NULL;
    struct pk_entry entry;
    int err = pk_list_open(tree, op->paths[0].path, all,
                           PK_LIST_SORTED | PK_LIST_HASH, &list);

    if (err == 0 && json == NULL) {
        putc('\n', ops->out);
    }
    while (err == 0 && (err = pk_list_next(list, &entry)) > 0) {
        err = 0;
        if (entries != NULL) {
            (void)json_array_append_new(
                entries,
                json_pack("{s:o,s:s,s:o}", "name", np_json_bytes(entry.step),
                          "kind", kind_text(entry.kind), "hash",
                          np_json_hash(ops->store, &entry.hash)));
            continue;
        }
        fprintf(ops->out, "  ");
        np_put_percent(ops->out, entry.step);
        fprintf(ops->out, " %s ", kind_text(entry.kind));
        answer_hash(ops, NULL, &entry.hash, "\n");
    }
    pk_list_close(list);
    if (entries != NULL) {
        (void)json_object_set_new(json, "entries", entries);
    }
    return err;
}

static int do_stat(struct ops *ops, const struct op *op, struct pk_tree *tree,
                   json_t *json)
{
    struct pk_stat stat;
    int err = pk_tree_stat(tree, op->paths[0].path, &stat);

    if (err == 0) {
        if (json != NULL) {
            answer_text(ops, json, "kind", kind_text(stat.kind));
        } else {
            fprintf(ops->out, "%s ", kind_text(stat.kind));
        }
        answer_hash(ops, json, &stat.hash, " ");
        answer_number(ops, json, stat.length);
    }
    return err;
}

static int do_look(struct ops *ops, const struct op *op, struct pk_tree *tree,
                   json_t *json)
{
    const struct pk_path path = op->paths[0].path;
    enum pk_kind kind = PK_NONE;
    struct pk_digest hash;
    uint64_t length;
    int err = 0;

    switch (op->what) {
    case OP_GET:
        return do_get(ops, op, tree, json);
    case OP_STAT:
        return do_stat(ops, op, tree, json);
    case OP_LIST:
        return do_list(ops, op, tree, json);
    case OP_KIND:
        err = pk_tree_kind(tree, path, &kind);
        if (err == 0) {
            answer_text(ops, json, "kind", kind_text(kind));
        }
        return err;
    case OP_LENGTH:
        err = pk_tree_length(tree, path, &length);
        if (err == 0) {
            answer_number(ops, json, length);
        }
        return err;
    case OP_HASH:
        err = pk_tree_hash(tree, &hash);
        if (err == 0) {
            answer_hash(ops, json, &hash, "\n");
        }
        return err;
    case OP_SET:
        return pk_tree_set(
            tree, path,
            (struct pk_slice){(const uint8_t *)op->value, op->value_len});
    case OP_RM:
        return pk_tree_remove(tree, path);
    case OP_MV:
        return pk_tree_move(tree, path, op->paths[1].path);
    }
    return err;
}

/* What is not there, or no directory, is an answer as well. */
static int ops_run(void *arg, struct pk_tree *tree)
{
    struct ops *ops = arg;

    for (size_t i = 0; i < ops->n; i++) {
        const struct op *op = &ops->list[i];
        bool changes =
            op->what == OP_SET || op->what == OP_RM || op->what == OP_MV;
        json_t *json = answer_begin(ops, op);
        int err = do_look(ops, op, tree, json);

        if (err == NF_ENOENT || err == NF_EISDIR || err == NF_ENOTDIR ||
            err == NF_EINVAL) {
            answer_text(ops, json, "error", nf_strerror(err));
        } else if (err != 0) {
            return err;
        } else if (changes) {
            answer_text(ops, json, "outcome", "done");
        }
    }
    return 0;
}

/* All that is known now, on out. */
static void put_answers(struct ops *ops, const char *text,
                        const struct pk_proof_ends *ends, FILE *out)
{
    if (ops->json != NULL) {
        json_t *json = json_pack(
            "{s:o,s:o,s:O}", "before", np_json_hash(ops->store, &ends->before),
            "after", np_json_hash(ops->store, &ends->after), "answers",
            ops->json);

        (void)json_dumpf(json, out, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        putc('\n', out);
        json_decref(json);
        return;
    }
    fputs(text, out);
    fprintf(out, "before ");
    np_put_hash(out, ops->store, &ends->before);
    fprintf(out, "\nafter ");
    np_put_hash(out, ops->store, &ends->after);
    putc('\n', out);
}

/* -------------------------------------------------------------------- files */

static int write_file(const char *path, const struct pk_bytes *bytes)
{
    bool is_std = strcmp(path, "-") == 0;
    FILE *f = is_std ? stdout : fopen(path, "wb");
    bool good = f != NULL && fwrite(bytes->p, 1, bytes->len, f) == bytes->len;

    if (f != NULL && !is_std) {
        good = fclose(f) == 0 && good;
    }
    if (!good) {
        fprintf(stderr, "notapack: %s: cannot be written\n", path);
    }
    return good ? 0 : NP_FAILED;
}

static int read_file(const char *path, uint8_t **ret, size_t *ret_len)
{
    bool is_std = strcmp(path, "-") == 0;
    FILE *f = is_std ? stdin : fopen(path, "rb");
    int err = f == NULL ? NF_EIO : np_read_all(f, ret, ret_len);

    if (f != NULL && !is_std) {
        (void)fclose(f); /* only read */
    }
    if (err != 0) {
        fprintf(stderr, "notapack: %s: cannot be read\n", path);
    }
    return err == 0 ? 0 : NP_FAILED;
}

/* ------------------------------------------------------------ make, verify */

static int make(struct ops *ops, const struct np_options *options,
                const char *file)
{
    struct pk_proof_ends ends;
    struct pk_bytes bytes;
    struct np_store store;
    struct pk_tree *tree;
    char *text = NULL;
    size_t len = 0;
    int err = np_tree_open(&store, options, &tree);

    if (err != 0) {
        return err;
    }
    ops->store = &store;
    ops->json = options->json ? json_array() : NULL;
    ops->out = open_memstream(&text, &len);
    err = ops->out == NULL
              ? NF_ENOMEM
              : pk_proof_make(tree, 0, ops_run, ops, &ends, &bytes);
    if (ops->out != NULL) {
        (void)fclose(ops->out); /* memory: a failure leaves text NULL */
    }
    if (err == 0) {
        err = write_file(file, &bytes);
        pk_bytes_free(store.repo, &bytes);
        if (err == 0) {
            put_answers(ops, text == NULL ? "" : text, &ends,
                        strcmp(file, "-") == 0 ? stderr : stdout);
        }
    } else {
        err = np_complain(&store, err, "proof");
    }
    json_decref(ops->json);
    free(text);
    pk_tree_free(tree);
    return np_store_close(&store) != 0 ? NP_FAILED : err;
}

/* The configuration that a proof is of: that of --config, or of the store. */
static int find_config(struct np_store *store, const struct np_options *options)
{
    int err;

    if (options->config != NULL && strcmp(options->config, "auto") != 0) {
        memset(store, 0, sizeof(*store));
        store->options = options;
        err = pk_config_parse(options->config, &store->config);
        return err == 0 ? 0 : np_complain_info(options->config, err, NULL);
    }
    if (options->store == NULL) {
        fprintf(stderr, "notapack: proof: which configuration? --config, or "
                        "-s STORE\n");
        return NP_USAGE;
    }
    err = np_store_open(store, options, 0);
    return err == 0 ? np_store_close(store) : err;
}

static int verify_bytes(struct ops *ops, const struct np_store *store,
                        struct pk_slice proof, const char *file)
{
    struct pk_proof_claim claim = {
        .config = store->config, .hashes = pk_hash_gcrypt(), .proof = proof};
    struct nf_error_info info = {0};
    struct pk_proof_ends ends;
    struct pk_digest root;
    struct nf_env env;
    char *text = NULL;
    size_t len = 0;
    int err;

    if (store->options->root != NULL) {
        if (!np_hash_parse(store, store->options->root, &root)) {
            fprintf(stderr, "notapack: %s: no hash of %u bytes\n",
                    store->options->root, store->config.hash_len);
            return NP_USAGE;
        }
        claim.root = &root;
    }
    nf_env_libc(&env);
    ops->store = store;
    ops->json = store->options->json ? json_array() : NULL;
    ops->out = open_memstream(&text, &len);
    err = ops->out == NULL
              ? NF_ENOMEM
              : pk_proof_verify(&env, &claim, ops_run, ops, &info, &ends);
    if (ops->out != NULL) {
        (void)fclose(ops->out); /* memory: a failure leaves text NULL */
    }
    if (err == 0) {
        put_answers(ops, text == NULL ? "" : text, &ends, stdout);
    } else {
        err = np_complain_info(file, err, &info);
    }
    json_decref(ops->json);
    free(text);
    return err;
}

/* -------------------------------------------------------------------- show */

struct shown {
    const struct np_store *store;
    json_t *json; /* list of parts, or NULL */
};

static int show_part(void *arg, const struct pk_proof_part *part)
{
    static const char *const names[] = {
        [PK_PART_CONTENTS] = "contents",
        [PK_PART_CONTENTS_HASH] = "contents-hash",
        [PK_PART_NODE] = "node",
        [PK_PART_NODE_HASH] = "node-hash",
        [PK_PART_INODE] = "inode",
        [PK_PART_EXTENDER] = "extender",
    };
    struct shown *s = arg;
    bool is_hash =
        part->kind == PK_PART_CONTENTS_HASH || part->kind == PK_PART_NODE_HASH;
    bool is_contents = part->kind == PK_PART_CONTENTS;
    struct pk_digest hash = {{0}};

    if (is_hash) {
        memcpy(hash.b, part->bytes.p, part->bytes.len);
    }
    if (s->json != NULL) {
        json_t *json = json_pack("{s:s,s:I}", "part", names[part->kind],
                                 "level", (json_int_t)part->level);

        if (part->in_node) {
            (void)json_object_set_new(json, "name", np_json_bytes(part->step));
        }
        if (part->in_inode) {
            (void)json_object_set_new(json, "index",
                                      json_integer((json_int_t)part->index));
        }
        if (is_hash || is_contents) {
            (void)json_object_set_new(json, is_hash ? "hash" : "contents",
                                      is_hash ? np_json_hash(s->store, &hash)
                                              : np_json_bytes(part->bytes));
        } else {
            (void)json_object_set_new(json, "length",
                                      json_integer((json_int_t)part->length));
        }
        return json_array_append_new(s->json, json) == 0 ? 0 : NF_ENOMEM;
    }
    printf("%*s", (int)(2 * (part->level < 100 ? part->level : 100)), "");
    if (part->in_node) {
        np_put_percent(stdout, part->step);
        putchar(' ');
    }
    if (part->in_inode) {
        printf("[%llu] ", (unsigned long long)part->index);
    }
    printf("%s ", names[part->kind]);
    if (is_hash) {
        np_put_hash(stdout, s->store, &hash);
    } else if (is_contents) {
        np_put_percent(stdout, part->bytes);
    } else {
        printf("%llu", (unsigned long long)part->length);
    }
    putchar('\n');
    return 0;
}

static int show_bytes(const struct np_store *store, struct pk_slice proof,
                      const char *file)
{
    struct shown s = {store, store->options->json ? json_array() : NULL};
    struct nf_error_info info = {0};
    struct pk_proof_ends ends;
    struct nf_env env;
    int err;

    nf_env_libc(&env);
    err =
        pk_proof_each(&env, &store->config, proof, show_part, &s, &info, &ends);
    if (err != 0) {
        json_decref(s.json);
        return np_complain_info(file, err, &info);
    }
    if (s.json != NULL) {
        np_json_put(json_pack(
            "{s:o,s:o,s:o}", "before", np_json_hash(store, &ends.before),
            "after", np_json_hash(store, &ends.after), "parts", s.json));
        return 0;
    }
    printf("before ");
    np_put_hash(stdout, store, &ends.before);
    printf("\nafter ");
    np_put_hash(stdout, store, &ends.after);
    putchar('\n');
    return 0;
}

int np_proof(const struct np_options *options, int n_words, char **words)
{
    bool is_make = strcmp(words[1], "make") == 0;
    bool is_show = strcmp(words[1], "show") == 0;
    struct ops ops = {.n = 0};
    struct np_store store;
    uint8_t *bytes = NULL;
    size_t len = 0;
    int err;

    if (!is_make && !is_show && strcmp(words[1], "verify") != 0) {
        fprintf(stderr, "notapack: proof make, verify or show, not %s\n",
                words[1]);
        return NP_USAGE;
    }
    if (!is_show && !ops_read(&ops, n_words - 3, words + 3)) {
        ops_free(&ops);
        return NP_USAGE;
    }
    if (is_make) {
        err = make(&ops, options, words[2]);
    } else {
        err = find_config(&store, options);
        if (err == 0) {
            err = read_file(words[2], &bytes, &len);
        }
        if (err == 0) {
            const struct pk_slice proof = {bytes, len};

            err = is_show ? show_bytes(&store, proof, words[2])
                          : verify_bytes(&ops, &store, proof, words[2]);
        }
        free(bytes);
    }
    ops_free(&ops);
    return err;
}
