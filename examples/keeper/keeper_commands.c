/* SPDX-License-Identifier: ISC */
/* The commands. Each answers with lines; "ok" or "error: ..." is the last. */
#include "examples/keeper/keeper.h"

struct words {
    char *rest; /* of the line, behind the word last taken */
};

/* The next word of the line, terminated; "" at its end. */
static char *word_next(struct words *words)
{
    char *p = words->rest;

    while (*p == ' ') {
        p++;
    }
    char *word = p;
    while (*p != ' ' && *p != '\0') {
        p++;
    }
    if (*p == ' ') {
        *p++ = '\0';
    }
    words->rest = p;
    return word;
}

static bool word_is(const char *word, const char *text)
{
    const size_t len = strlen(text);

    return strlen(word) == len && memcmp(word, text, len) == 0;
}

/* A number of at most 18 digits; other than that: what it is without. */
static uint64_t word_number(const char *word, uint64_t without)
{
    uint64_t number = 0;

    for (size_t i = 0; word[i] != '\0'; i++) {
        if (word[i] < '0' || word[i] > '9' || i >= 18) {
            return without;
        }
        number = number * 10 + (uint64_t)(word[i] - '0');
    }
    return word[0] == '\0' ? without : number;
}

/* The steps of a word between its slashes; empty ones do not count. */
static size_t word_steps(char *word, struct pk_slice steps[KEEPER_STEPS_MAX])
{
    size_t n = 0;

    while (*word != '\0' && n < KEEPER_STEPS_MAX) {
        size_t len = 0;

        while (word[len] != '/' && word[len] != '\0') {
            len++;
        }
        if (len > 0) {
            steps[n++] = (struct pk_slice){(const uint8_t *)word, len};
        }
        word += word[len] == '/' ? len + 1 : len;
    }
    return n;
}

/* ---- Reading ---------------------------------------------------------- */

static int do_list(struct keeper *k, struct pk_tree *tree, struct pk_path path)
{
    struct pk_list *list = NULL;
    struct pk_entry entry;
    int err = pk_list_open(tree, path, (struct pk_range){0, 0}, PK_LIST_SORTED,
                           &list);

    while (err >= 0 && (err = pk_list_next(list, &entry)) == 1) {
        say_bytes(k, entry.step.p, entry.step.len);
        say(k, entry.kind == PK_NODE ? "/\n" : "\n");
    }
    pk_list_close(list);
    return err;
}

static int do_get(struct keeper *k, struct words *words)
{
    struct pk_slice steps[KEEPER_STEPS_MAX];
    const struct pk_path path = {steps, word_steps(word_next(words), steps)};
    struct pk_tree *tree = NULL;
    struct pk_bytes bytes;
    int err = keeper_tree(k, &tree);

    if (err == 0) {
        err = pk_tree_get(tree, path, &bytes);
    }
    if (err == 0) {
        say_bytes(k, bytes.p, bytes.len);
        say(k, "\n");
        pk_bytes_free(k->repo, &bytes);
    } else if (err == NF_EISDIR) {
        err = do_list(k, tree, path);
    }
    pk_tree_free(tree);
    return err;
}

struct log {
    const struct keeper *k;
    uint64_t left;
};

static int log_commit(void *arg, const struct pk_commit *commit)
{
    struct log *l = arg;

    if (l->left == 0) {
        return 1;
    }
    l->left--;
    say_hash(l->k, &commit->hash);
    say(l->k, " ");
    say_number(l->k, (uint64_t)commit->info.date);
    say(l->k, " ");
    say_bytes(l->k, commit->info.message.p, commit->info.message.len);
    say(l->k, "\n");
    return 0;
}

static int do_log(struct keeper *k, struct words *words)
{
    struct log l = {.k = k, .left = word_number(word_next(words), 10)};

    if (!k->has_head) {
        return 0;
    }
    const int err = pk_history(k->repo, &k->head, 1, log_commit, NULL, &l);
    return err > 0 ? 0 : err;
}

/* ---- Writing ---------------------------------------------------------- */

static int do_change(struct keeper *k, struct words *words, bool bind)
{
    struct pk_slice steps[KEEPER_STEPS_MAX];
    const struct pk_path path = {steps, word_steps(word_next(words), steps)};
    const struct pk_slice value = {(const uint8_t *)words->rest,
                                   strlen(words->rest)};
    struct pk_tree *tree = NULL;
    int err = keeper_tree(k, &tree);

    if (err == 0) {
        err =
            bind ? pk_tree_set(tree, path, value) : pk_tree_remove(tree, path);
    }
    if (err == 0) {
        err = keeper_commit(k, tree, bind ? "set" : "rm");
    }
    pk_tree_free(tree);
    if (err == 0) {
        say_hash(k, &k->head);
        say(k, "\n");
    }
    return err;
}

/* ---- Checking --------------------------------------------------------- */

static int check_finding(void *arg, const struct pk_finding *finding)
{
    const struct keeper *k = arg;

    say(k, finding->file);
    say(k, ": ");
    say(k, nf_strerror(finding->err));
    say(k, "\n");
    return 0;
}

static void check_page(void *arg, const struct nf_finding *finding)
{
    const struct keeper *k = arg;

    if (finding->err != 0) {
        say(k, "page ");
        say_number(k, finding->page);
        say(k, ": ");
        say(k, nf_strerror(finding->err));
        say(k, "\n");
    }
}

static int check_disk(struct keeper *k, struct nf_scrub_result *ret)
{
    struct nf_scrub *scrub = NULL;
    int err = nf_scrub_open(k->disk, NF_SCRUB_ACCOUNT, check_page, k, &scrub);

    if (err != 0) {
        return err;
    }
    while ((err = nf_scrub_step(scrub, 64)) == 1) {
    }
    nf_scrub_result(scrub, ret);
    nf_scrub_close(scrub);
    return err;
}

static int do_check(struct keeper *k)
{
    struct nf_scrub_result disk = {0};
    struct pk_check_stats store = {0};
    int err = check_disk(k, &disk);

    if (err == 0) {
        err = pk_check(k->repo, check_finding, k, &store);
    }
    say_number(k, disk.pages_done);
    say(k, " pages, ");
    say_number(k, store.commits);
    say(k, " commits, ");
    say_number(k, store.contents);
    say(k, " contents, ");
    say_number(k, disk.damaged + store.findings);
    say(k, " findings\n");
    return err == 0 && disk.damaged + store.findings > 0 ? NF_ECORRUPT : err;
}

static int do_stat(struct keeper *k)
{
    struct nf_stats disk;

    nf_stats(k->disk, &disk);
    say(k, "generation ");
    say_number(k, disk.generation);
    say(k, "\npages ");
    say_number(k, disk.page_count);
    say(k, "\nfree ");
    say_number(k, disk.free_pages);
    say(k, "\narena ");
    say_number(k, k->arena.used);
    say(k, " now, ");
    say_number(k, k->arena.peak);
    say(k, " at most, of ");
    say_number(k, k->arena.len);
    if (k->world->stack_peak != NULL) {
        say(k, "\nstack ");
        say_number(k, k->world->stack_peak());
        say(k, " at most");
    }
    say(k, "\n");
    return 0;
}

/* ---- The table -------------------------------------------------------- */

static const char help[] = "get PATH        contents, or what is in a folder\n"
                           "set PATH VALUE  bind and commit\n"
                           "rm PATH         unbind and commit\n"
                           "log [N]         the newest commits\n"
                           "run [N]         commit in a loop\n"
                           "stop            end the loop\n"
                           "gc              keep the newest commit alone\n"
                           "check           verify disk and store\n"
                           "stat            disk, memory, stack\n"
                           "format          start over, empty\n"
                           "quit\n";

static int run_word(struct keeper *k, const char *word, struct words *words)
{
    if (word_is(word, "get")) {
        return do_get(k, words);
    } else if (word_is(word, "set") || word_is(word, "rm")) {
        return do_change(k, words, word_is(word, "set"));
    } else if (word_is(word, "log")) {
        return do_log(k, words);
    } else if (word_is(word, "run")) {
        k->loop_left = word_number(word_next(words), UINT64_MAX);
    } else if (word_is(word, "stop")) {
        k->loop_left = 0;
    } else if (word_is(word, "gc")) {
        return keeper_collect(k);
    } else if (word_is(word, "check")) {
        return do_check(k);
    } else if (word_is(word, "stat")) {
        return do_stat(k);
    } else if (word_is(word, "help")) {
        say(k, help);
    } else {
        return NF_EINVAL;
    }
    return 0;
}

void keeper_command(struct keeper *k, char *line)
{
    struct words words = {line};
    const char *word = word_next(&words);
    int err;

    if (*word == '\0') {
        return;
    }
    if (word_is(word, "quit")) {
        k->quit = true;
        return;
    }
    if (word_is(word, "format")) {
        err = keeper_format(k);
    } else if (k->repo == NULL) {
        say(k, "error: there is no store: format, or quit\n");
        return;
    } else {
        err = run_word(k, word, &words);
    }
    if (err == 0) {
        say(k, "ok\n");
    } else {
        say_error(k, word, err);
    }
}
