/* SPDX-License-Identifier: ISC */
/*
 * What stands above the trees: live/, commit/, at/ and tag/. Names of branches
 * may have any bytes; what a file's name may not have stands there as %XX.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuse/store_attrs.h"

#define TAG_PREFIX "tag/" /* branches of such names are tags */

static const struct {
    const char *name;
    enum snode_kind kind;
} tops[] = {
    {"live", SNODE_LIVE},
    {"commit", SNODE_COMMITS},
    {"at", SNODE_AT},
    {"tag", SNODE_TAGS},
};

#define N_TOPS (sizeof(tops) / sizeof(tops[0]))

/* ---- Names -----------------------------------------------------------------
 */

/* The name of a file for the name of a branch; false: too long. */
static bool encode(struct pk_slice name, char ret[NAME_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];
        bool dot = c == '.' && i == 0 && name.len <= 2;
        if (n + 3 > NAME_MAX) {
            return false;
        }
        if (c == '/' || c == '%' || c == '\0' || dot) {
            n += (size_t)snprintf(ret + n, 4, "%%%02X", c);
        } else {
            ret[n++] = (char)c;
        }
    }
    ret[n] = '\0';
    return n > 0;
}

static int digit(char c)
{
    const char *digits = "0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at == NULL ? -1 : (int)(at - digits);
}

/* The other way; false: encode makes no such name. */
static bool decode(const char *name, char ret[NAME_MAX + 1], size_t *ret_len)
{
    size_t n = 0;
    for (; *name != '\0'; name++) {
        if (*name != '%') {
            ret[n++] = *name;
            continue;
        }
        int high = digit(name[1]);
        int low = high < 0 ? -1 : digit(name[2]);
        if (low < 0) {
            return false;
        }
        ret[n++] = (char)(high * 16 + low);
        name += 2;
    }
    ret[n] = '\0';
    *ret_len = n;
    return true;
}

void store_hex(const struct store *store, const struct pk_digest *hash,
               char ret[STORE_HEX_LEN])
{
    size_t len = pk_repo_config(store->repo)->hash_len;
    for (size_t i = 0; i < len; i++) {
        snprintf(ret + 2 * i, 3, "%02x", hash->b[i]);
    }
}

static bool parse_hex(const struct store *store, const char *text,
                      struct pk_digest *ret)
{
    size_t len = pk_repo_config(store->repo)->hash_len;
    memset(ret, 0, sizeof(*ret));
    if (strlen(text) != 2 * len ||
        strspn(text, "0123456789abcdef") != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char two[3] = {text[2 * i], text[2 * i + 1], '\0'};
        ret->b[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return true;
}

/* A moment: seconds since 1970, or as ISO 8601 has it, in UTC. */
static bool parse_time(const char *text, int64_t *ret)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ",
                                        "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
                                        "%Y-%m-%d"};
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' &&
        strlen(text) < 16) {
        *ret = (int64_t)strtoll(text, NULL, 10);
        return true;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm;
        memset(&tm, 0, sizeof(tm));
        const char *end = strptime(text, forms[i], &tm);
        if (end != NULL && *end == '\0') {
            *ret = (int64_t)timegm(&tm);
            return true;
        }
    }
    return false;
}

/* ---- Branches
 * ----------------------------------------------------------------- */

struct pk_slice store_branch_name(const struct branch *branch)
{
    return slice(branch->name, strlen(branch->name));
}

void store_branch_free(struct branch *branch)
{
    free(branch->name);
    free(branch->message);
    free(branch);
}

static int date_of(struct store *store, const struct pk_digest *hash,
                   int64_t *ret)
{
    struct pk_commit *commit;
    int err = pk_commit_find(store->repo, hash, &commit);
    if (err == 0) {
        *ret = commit->info.date;
        pk_commit_free(store->repo, commit);
    }
    return err;
}

static struct branch *find_branch(const struct store *store, const char *name)
{
    struct branch *branch = store->branches;
    while (branch != NULL && strcmp(branch->name, name) != 0) {
        branch = branch->next;
    }
    return branch;
}

static struct branch *add_branch(struct store *store, const char *name,
                                 const struct pk_digest *head)
{
    struct branch *branch = calloc(1, sizeof(*branch));
    if (branch == NULL) {
        return NULL;
    }
    branch->name = strdup(name);
    if (branch->name == NULL) {
        free(branch);
        return NULL;
    }
    branch->epoch = 1;
    if (head != NULL) {
        branch->has_head = true;
        branch->head = *head;
        (void)date_of(store, head, &branch->date); /* or 1970 */
    } else {
        branch->date = store_now().tv_sec;
    }
    branch->next = store->branches;
    store->branches = branch;
    return branch;
}

/* The branch by that name: known, or in the store. */
static int get_branch(struct store *store, const char *name,
                      struct branch **ret)
{
    struct pk_digest head;
    *ret = find_branch(store, name);
    if (*ret != NULL) {
        return 0;
    }
    int err = pk_branch_get(store->repo, slice(name, strlen(name)), &head);
    if (err != 0) {
        return serve_errno(err);
    }
    *ret = add_branch(store, name, &head);
    return *ret != NULL ? 0 : ENOMEM;
}

/* ---- Looking up
 * --------------------------------------------------------------- */

static int add_root(struct store *store, struct snode *parent, const char *name,
                    struct branch *branch, const struct snapshot *snapshot,
                    struct snode **ret)
{
    struct pk_tree *tree = NULL;
    if (branch == NULL) {
        int err = pk_commit_tree(store->repo, &snapshot->commit, &tree);
        if (err != 0) {
            return serve_errno(err);
        }
    }
    struct snode *node =
        store_node_add(store, parent, name, strlen(name), SNODE_DIR);
    if (node == NULL) {
        pk_tree_free(tree);
        return ENOMEM;
    }
    node->tree = tree;
    node->stored = true;
    node->branch = branch;
    node->snapshot = *snapshot;
    if (branch != NULL) {
        branch->root = node;
        node->mode |= 0222u & ~store->how->options->umask;
    }
    node->mtime.tv_sec = snapshot->date;
    node->atime = node->ctime = node->mtime;
    int err = branch != NULL ? store_refresh(store, node)
                             : serve_errno(store_attrs_root(store, node));
    if (err != 0) {
        store_node_tidy(store, node);
        return err;
    }
    *ret = node;
    return 0;
}

/* Ends a history at the first commit that is old enough. */
struct moment {
    int64_t date;
    bool found;
    struct snapshot snapshot;
};

static int note_commit(void *arg, const struct pk_commit *commit)
{
    struct moment *moment = arg;
    if (commit->info.date > moment->date) {
        return 0;
    }
    moment->found = true;
    moment->snapshot.commit = commit->hash;
    moment->snapshot.date = commit->info.date;
    return NF_ECANCELED;
}

static int find_moment(struct store *store, const char *name,
                       struct snapshot *ret)
{
    struct moment moment = {0};
    struct pk_digest head;
    const char *branch = store->how->branch;
    if (!parse_time(name, &moment.date)) {
        return ENOENT;
    }
    int err = pk_branch_get(store->repo, slice(branch, strlen(branch)), &head);
    if (err == 0) {
        err = pk_history(store->repo, &head, 1, note_commit, NULL, &moment);
    }
    if (err != 0 && err != NF_ECANCELED) {
        return serve_errno(err);
    }
    *ret = moment.snapshot;
    return moment.found ? 0 : ENOENT;
}

static int find_tag(struct store *store, const char *name, size_t len,
                    struct snapshot *ret)
{
    char full[sizeof(TAG_PREFIX) + NAME_MAX];
    snprintf(full, sizeof(full), "%s%s", TAG_PREFIX, name);
    int err = pk_branch_get(store->repo, slice(full, strlen(TAG_PREFIX) + len),
                            &ret->commit);
    return serve_errno(err);
}

static int find_top(struct store *store, struct snode *parent, const char *name,
                    struct snode **ret)
{
    for (size_t i = 0; i < N_TOPS; i++) {
        if (strcmp(name, tops[i].name) == 0) {
            *ret =
                store_node_add(store, parent, name, strlen(name), tops[i].kind);
            return *ret != NULL ? 0 : ENOMEM;
        }
    }
    return ENOENT;
}

int store_top_child(struct store *store, struct snode *parent, const char *name,
                    size_t len, struct snode **ret)
{
    struct snapshot snapshot = {0};
    struct branch *branch = NULL;
    char decoded[NAME_MAX + 1];
    size_t decoded_len;
    int err = 0;
    *ret = store_node_find(store, parent, name, len);
    if (*ret != NULL) {
        return (*ret)->kind == SNODE_GONE || (*ret)->removed ? ENOENT : 0;
    }
    if (parent->kind == SNODE_ROOT) {
        return find_top(store, parent, name, ret);
    }
    if (!decode(name, decoded, &decoded_len) ||
        memchr(decoded, '\0', decoded_len) != NULL) {
        return ENOENT;
    }
    if (parent->kind == SNODE_LIVE) {
        err = strncmp(decoded, TAG_PREFIX, strlen(TAG_PREFIX)) == 0 ||
                      store_attrs_hides(store, slice(decoded, decoded_len))
                  ? ENOENT
                  : get_branch(store, decoded, &branch);
        snapshot.date = branch != NULL ? branch->date : 0;
    } else if (parent->kind == SNODE_COMMITS) {
        err = parse_hex(store, name, &snapshot.commit) ? 0 : ENOENT;
    } else if (parent->kind == SNODE_AT) {
        err = find_moment(store, name, &snapshot);
    } else {
        err = find_tag(store, decoded, decoded_len, &snapshot);
    }
    if (err == 0 && branch == NULL) {
        err = serve_errno(date_of(store, &snapshot.commit, &snapshot.date));
    }
    return err == 0 ? add_root(store, parent, name, branch, &snapshot, ret)
                    : err;
}

/* ---- Listing
 * --------------------------------------------------------------------- */

struct names {
    struct store *store;
    const struct snode *dir;
    store_name_fn fn;
    void *arg;
};

static int name_branch(void *arg, struct pk_slice name,
                       const struct pk_digest *hash)
{
    struct names *names = arg;
    size_t prefix = strlen(TAG_PREFIX);
    bool tag = name.len > prefix && memcmp(name.p, TAG_PREFIX, prefix) == 0;
    char text[NAME_MAX + 1];
    (void)hash;
    if (tag != (names->dir->kind == SNODE_TAGS) ||
        store_attrs_hides(names->store, name)) {
        return 0;
    }
    if (tag) {
        name = slice((const char *)name.p + prefix, name.len - prefix);
    }
    if (memchr(name.p, '\0', name.len) != NULL || !encode(name, text)) {
        return 0;
    }
    return names->fn(names->arg, text) ? 0 : NF_ECANCELED;
}

static int name_commit(void *arg, const struct pk_digest *hash)
{
    struct names *names = arg;
    char text[STORE_HEX_LEN];
    store_hex(names->store, hash, text);
    return names->fn(names->arg, text) ? 0 : NF_ECANCELED;
}

/* Branches that have no commit yet are known here only. */
static bool name_new_branches(struct names *names)
{
    const struct branch *branch = names->store->branches;
    for (; branch != NULL; branch = branch->next) {
        char text[NAME_MAX + 1];
        if (!branch->has_head &&
            encode(slice(branch->name, strlen(branch->name)), text) &&
            !names->fn(names->arg, text)) {
            return false;
        }
    }
    return true;
}

int store_top_list(struct store *store, const struct snode *dir,
                   store_name_fn fn, void *arg)
{
    struct names names = {store, dir, fn, arg};
    int err = 0;
    if (dir->kind == SNODE_ROOT) {
        for (size_t i = 0; i < N_TOPS && fn(arg, tops[i].name); i++) {
        }
    } else if (dir->kind == SNODE_COMMITS) {
        err = pk_commit_each(store->repo, name_commit, &names);
    } else if (dir->kind != SNODE_AT) {
        err = pk_branch_each(store->repo, name_branch, &names);
        if (err == 0 && dir->kind == SNODE_LIVE) {
            (void)name_new_branches(&names);
        }
    }
    return err == NF_ECANCELED ? 0 : serve_errno(err);
}

/* ---- Making and removing
 * ------------------------------------------------------------ */

/* Set a branch of the store; head NULL: remove it. Under both locks; readers
 * may go on meanwhile. */
static int set_branch(struct store *store, const char *name,
                      const struct pk_digest *head)
{
    struct pk_slice text = slice(name, strlen(name));
    struct pk_repo *repo;
    int res = 0;
    turn_pass(&store->turn);
    int err = store_write_begin(store, &repo);
    if (err == 0) {
        res = store_attrs_branch(store, repo, text, head);
        if (res == 0) {
            res = head != NULL ? pk_branch_cas(repo, text, NULL, head)
                               : pk_branch_remove(repo, text);
        }
        err = store_write_end(store, repo);
    }
    turn_take(&store->turn);
    if (res == NF_ECONFLICT) {
        return EEXIST;
    }
    return res != 0 ? serve_errno(res) : err;
}

int store_branch_copy(struct store *store, struct branch *from,
                      const char *name)
{
    struct pk_digest head;
    char decoded[NAME_MAX + 1];
    size_t len;
    if (!decode(name, decoded, &len) || len == 0) {
        return EINVAL;
    }
    if (find_branch(store, decoded) != NULL) {
        return EEXIST;
    }
    if (store_attrs_hides(store, slice(decoded, len))) {
        return EPERM;
    }
    if (from != NULL && from->has_head) {
        return set_branch(store, decoded, &from->head);
    }
    int err = pk_branch_get(store->repo, slice(decoded, len), &head);
    if (err == 0) {
        return EEXIST;
    }
    return add_branch(store, decoded, NULL) != NULL ? 0 : ENOMEM;
}

int store_branch_make(struct store *store, const char *name)
{
    struct branch *from;
    int err = get_branch(store, store->how->branch, &from);
    if (err != 0 && err != ENOENT) {
        return err;
    }
    return store_branch_copy(store, err == 0 ? from : NULL, name);
}

int store_branch_remove(struct store *store, const char *name)
{
    char decoded[NAME_MAX + 1];
    size_t len;
    if (!decode(name, decoded, &len)) {
        return ENOENT;
    }
    int err = set_branch(store, decoded, NULL);
    if (err != 0) {
        return err;
    }
    struct branch **at = &store->branches;
    while (*at != NULL && strcmp((*at)->name, decoded) != 0) {
        at = &(*at)->next;
    }
    struct branch *branch = *at;
    if (branch != NULL) {
        *at = branch->next;
        /* Nodes may refer to it still. */
        branch->changes = branch->synced;
        branch->next = store->old_branches;
        store->old_branches = branch;
    }
    return 0;
}

/* ---- Others' changes ---------------------------------------------------- */

struct news {
    struct news *next;
    fuse_ino_t ino;
    fuse_ino_t parent;
    char *name; /* NULL: the name still stands */
};

static void add_news(struct store *store, const struct snode *node)
{
    struct news *news = calloc(1, sizeof(*news));
    if (news == NULL) {
        return; /* its time will run out */
    }
    news->ino = store_ino(store, node);
    if (node->removed) {
        news->parent = store_ino(store, node->parent);
        news->name = strdup(node->name);
    }
    news->next = store->news;
    store->news = news;
}

void store_note_news(struct store *store, struct branch *branch)
{
    for (size_t i = 0; i < store->n_buckets; i++) {
        struct snode *node = store->buckets[i];
        for (; node != NULL; node = node->hash_next) {
            if (node->branch != branch || node->n_lookups == 0) {
                continue;
            }
            struct pk_digest before = node->hash;
            (void)store_refresh(store, node); /* or removed */
            if (node->kind != SNODE_FILE || node->removed ||
                memcmp(&before, &node->hash, sizeof(before)) != 0) {
                add_news(store, node);
            }
        }
    }
}

void store_tell_news(struct store *store)
{
    turn_take(&store->turn);
    struct news *news = store->news;
    store->news = NULL;
    turn_pass(&store->turn);
    while (news != NULL) {
        struct news *next = news->next;
        /* The kernel may have forgotten them by itself. */
        (void)fuse_lowlevel_notify_inval_inode(store->session, news->ino, 0, 0);
        if (news->name != NULL) {
            (void)fuse_lowlevel_notify_inval_entry(
                store->session, news->parent, news->name, strlen(news->name));
        }
        free(news->name);
        free(news);
        news = next;
    }
}

/* Whether another process has moved it; what is pending here is merged with
 * the next commit. */
static bool has_moved(struct store *store, struct branch *branch)
{
    struct pk_digest head;
    if (branch->changes != branch->synced ||
        pk_branch_get(store->repo, store_branch_name(branch), &head) != 0 ||
        (branch->has_head && memcmp(&head, &branch->head, sizeof(head)) == 0)) {
        return false;
    }
    branch->head = head;
    branch->has_head = true;
    branch->epoch++;
    (void)date_of(store, &head, &branch->date); /* or as before */
    return true;
}

void store_branches_reload(struct store *store)
{
    bool alone = store->how->view != NULL ||
                 store->how->read == store->how->write; /* it is on a disk */
    turn_take(&store->change);
    int err = alone && !store->stale ? 0 : store_reload(store);
    turn_take(&store->turn);
    struct branch *branch = err == 0 && !alone ? store->branches : NULL;
    for (; branch != NULL; branch = branch->next) {
        if (has_moved(store, branch)) {
            store_note_news(store, branch);
        }
    }
    turn_pass(&store->turn);
    turn_pass(&store->change);
}
