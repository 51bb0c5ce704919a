/* SPDX-License-Identifier: ISC */
/*
 * Commits and branches as the command line names them, and the frame of every
 * command that changes a tree: open, change, commit, move the branch.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/notapack.h"

struct pk_slice np_branch(const struct np_store *store)
{
    const char *name = store->options->branch;

    if (name == NULL) {
        name = "main";
    }
    return (struct pk_slice){(const uint8_t *)name, strlen(name)};
}

int np_resolve(struct np_store *store, const char *text,
               struct pk_digest *ret_hash)
{
    struct pk_slice name = {(const uint8_t *)text, strlen(text)};
    int err;

    if (pk_branch_get(store->repo, name, ret_hash) == 0) {
        return 0;
    }
    err = pk_commit_resolve(store->repo, text, ret_hash);
    return err == 0 ? 0 : np_complain(store, err, text);
}

int np_head(struct np_store *store, struct pk_digest *ret_hash)
{
    int err;

    if (store->options->commit != NULL) {
        return np_resolve(store, store->options->commit, ret_hash);
    }
    err = pk_branch_get(store->repo, np_branch(store), ret_hash);
    return err == 0 ? 0
                    : np_complain(store, err,
                                  store->options->branch != NULL
                                      ? store->options->branch
                                      : "main");
}

int np_tree_open(struct np_store *store, const struct np_options *options,
                 struct pk_tree **ret_tree)
{
    struct pk_digest head;
    int err = np_store_open(store, options, 0);

    if (err != 0) {
        return err;
    }
    err = np_head(store, &head);
    if (err == 0) {
        err = pk_commit_tree(store->repo, &head, ret_tree);
        err = err == 0 ? 0 : np_complain(store, err, "commit");
    }
    if (err != 0) {
        (void)np_store_close(store); /* told already */
    }
    return err;
}

int np_change_open(struct np_change *change, const struct np_options *options)
{
    int err;

    if (options->commit != NULL) {
        fprintf(stderr, "notapack: --commit is for looking; what changes goes "
                        "on a branch (-b)\n");
        return NP_USAGE;
    }
    err = np_store_open(&change->store, options, PK_OPEN_WRITE);
    if (err != 0) {
        return err;
    }
    err = pk_branch_get(change->store.repo, np_branch(&change->store),
                        &change->head);
    change->has_head = err == 0;
    if (err == 0) {
        err = pk_commit_tree(change->store.repo, &change->head, &change->tree);
    } else if (err == NF_EC_NO_BRANCH) {
        err = pk_tree_empty(change->store.repo, &change->tree);
    }
    if (err != 0) {
        err = np_complain(&change->store, err, "branch");
        (void)np_store_close(&change->store); /* told already */
    }
    return err;
}

/* Seconds: --date, SOURCE_DATE_EPOCH, the clock. */
static int info_date(const struct np_options *options, int64_t *ret)
{
    const char *text = options->date;

    if (text == NULL) {
        text = getenv("SOURCE_DATE_EPOCH");
    }
    *ret = (int64_t)time(NULL);
    if (text != NULL && !np_parse_date(text, ret)) {
        fprintf(stderr,
                "notapack: %s: no date; seconds since 1970, or YYYY-MM-DD, or "
                "YYYY-MM-DDTHH:MM:SS\n",
                text);
        return NP_USAGE;
    }
    return 0;
}

/* --author, NOTAPACK_AUTHOR, the user's name. */
static const char *info_author(const struct np_options *options)
{
    const struct passwd *user;
    const char *text = options->author;

    if (text == NULL) {
        text = getenv("NOTAPACK_AUTHOR");
    }
    if (text == NULL) {
        user = getpwuid(getuid());
        text = user != NULL ? user->pw_name : "";
    }
    return text;
}

int np_info_make(const struct np_options *options, const char *verb,
                 const char *what, struct np_info *ret)
{
    const char *author = info_author(options);
    const char *message = options->message;
    struct np_info info = {.message = NULL};
    int err = info_date(options, &info.info.date);

    if (err != 0) {
        return err;
    }
    if (message == NULL) {
        if (asprintf(&info.message, "%s %s", verb, what) < 0) {
            return np_complain_info(verb, NF_ENOMEM, NULL);
        }
        message = info.message;
    }
    info.info.author =
        (struct pk_slice){(const uint8_t *)author, strlen(author)};
    info.info.message =
        (struct pk_slice){(const uint8_t *)message, strlen(message)};
    *ret = info;
    return 0;
}

void np_info_free(struct np_info *info)
{
    free(info->message);
}

void np_put_head(const struct np_store *store, const struct pk_digest *hash)
{
    if (store->options->json) {
        np_json_put(json_pack("{s:o,s:o}", "branch",
                              np_json_bytes(np_branch(store)), "hash",
                              np_json_hash(store, hash)));
        return;
    }
    np_put_hash(stdout, store, hash);
    putchar('\n');
}

static int change_commit(struct np_change *change, const char *verb,
                         const char *what)
{
    struct pk_digest hash;
    struct np_info info;
    int err = np_info_make(change->store.options, verb, what, &info);

    if (err != 0) {
        return err;
    }
    err = pk_commit_make(change->tree, &change->head, change->has_head,
                         &info.info, &hash);
    if (err == 0) {
        err = pk_branch_cas(change->store.repo, np_branch(&change->store),
                            change->has_head ? &change->head : NULL, &hash);
    }
    np_info_free(&info);
    if (err != 0) {
        return np_complain(&change->store, err, verb);
    }
    np_put_head(&change->store, &hash);
    return 0;
}

int np_change_close(struct np_change *change, int err, const char *verb,
                    const char *what)
{
    struct pk_digest now;
    struct pk_tree *before = NULL;
    struct pk_digest old;
    bool same = false;

    if (err == 0 && change->has_head &&
        pk_commit_tree(change->store.repo, &change->head, &before) == 0) {
        same = pk_tree_hash(before, &old) == 0 &&
               pk_tree_hash(change->tree, &now) == 0 &&
               memcmp(&old, &now, sizeof(old)) == 0;
        pk_tree_free(before);
    }
    if (err < 0) {
        err = np_complain(&change->store, err, what);
    } else if (err == 0 && same) {
        if (!change->store.options->quiet) {
            fprintf(stderr, "notapack: nothing has changed\n");
        }
        if (change->store.options->json) {
            np_put_head(&change->store, &change->head);
        }
    } else if (err == 0) {
        err = change_commit(change, verb, what);
    }
    pk_tree_free(change->tree);
    return np_store_close(&change->store) != 0 ? NP_FAILED : err;
}

void np_show_commit(struct np_store *store, const struct pk_commit *commit)
{
    time_t seconds = (time_t)commit->info.date;
    char date[64] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm) != NULL) {
        (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm);
    }
    printf("commit ");
    np_put_hash(stdout, store, &commit->hash);
    printf("\nAuthor: %.*s\nDate:   %s (%lld)\n", (int)commit->info.author.len,
           (const char *)commit->info.author.p, date,
           (long long)commit->info.date);
    for (size_t i = 0; i < commit->n_parents; i++) {
        printf("Parent: ");
        np_put_hash(stdout, store, &commit->parents[i]);
        putchar('\n');
    }
    printf("\n    %.*s\n", (int)commit->info.message.len,
           (const char *)commit->info.message.p);
}
