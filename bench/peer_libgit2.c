/* SPDX-License-Identifier: ISC */
/*
 * git by its library, told to fsync. New objects are held in memory and written
 * as one pack a commit, as fast-import does it: libgit2 would else sync each
 * object in a file of its own.
 */
#include <git2.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/peer.h"

struct libgit2_peer {
    struct peer_setup setup;
    git_repository *repo;
    git_odb *odb;
    git_odb_backend *memory;
    git_commit *head; /* NULL: none */
    uint64_t n_commits;
};

static void git_must(int err, const char *what)
{
    if (err < 0) {
        const git_error *error = git_error_last();

        bench_fail("libgit2: %s: %s", what,
                   error != NULL ? error->message : "no reason given");
    }
}

static void *libgit2_open(const struct peer_setup *setup)
{
    struct libgit2_peer *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        bench_fail("no memory");
    }
    p->setup = *setup;
    git_must(git_libgit2_init(), "begin");
    git_must(git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1), "fsync");
    git_must(git_repository_init(&p->repo, setup->folder, 1), "init");
    git_must(git_repository_odb(&p->odb, p->repo), "objects");
    git_must(git_mempack_new(&p->memory), "memory");
    git_must(git_odb_add_backend(p->odb, p->memory, 999), "memory");
    return p;
}

/* The blobs and the trees above them; what is there already is not added. */
static void add_path(git_packbuilder *pack, git_tree *root, char *text)
{
    git_tree_entry *entry;

    for (char *c = text; (c = strchr(c, '/')) != NULL; *c++ = '/') {
        *c = '\0';
        git_must(git_tree_entry_bypath(&entry, root, text), text);
        git_must(git_packbuilder_insert(pack, git_tree_entry_id(entry), text),
                 text);
        git_tree_entry_free(entry);
    }
    git_must(git_tree_entry_bypath(&entry, root, text), text);
    git_must(git_packbuilder_insert(pack, git_tree_entry_id(entry), text),
             text);
    git_tree_entry_free(entry);
}

/* What the commit brought, as a pack on disk. */
static void write_pack(struct libgit2_peer *p, const git_oid *commit,
                       git_tree *root, const struct peer_update *updates,
                       size_t n)
{
    git_indexer_progress progress = {0};
    git_buf bytes = GIT_BUF_INIT_CONST("", 0);
    git_odb_writepack *to;
    git_packbuilder *pack;

    git_must(git_packbuilder_new(&pack, p->repo), "pack");
    git_must(git_packbuilder_insert(pack, commit, NULL), "pack");
    git_must(git_packbuilder_insert(pack, git_tree_id(root), ""), "pack");
    for (size_t i = 0; i < n; i++) {
        char text[KEY_TEXT_CAP];

        key_text(&p->setup.keys, updates[i].i, text);
        add_path(pack, root, text);
    }
    git_must(git_packbuilder_write_buf(&bytes, pack), "pack");
    git_must(git_odb_write_pack(&to, p->odb, NULL, NULL), "pack");
    git_must(to->append(to, bytes.ptr, bytes.size, &progress), "pack");
    git_must(to->commit(to, &progress), "pack");
    to->free(to);
    git_buf_dispose(&bytes);
    git_packbuilder_free(pack);
    git_must(git_mempack_reset(p->memory), "memory");
}

static int by_key(const void *a, const void *b)
{
    const struct peer_update *const *x = a;
    const struct peer_update *const *y = b;

    return (*x)->i != (*y)->i ? ((*x)->i > (*y)->i) - ((*x)->i < (*y)->i)
                              : (*x > *y) - (*x < *y);
}

/* A key only once, with its last value: libgit2 refuses others. The number of
 * what is left, at ret. */
static size_t last_of_each(const struct peer_update *updates, size_t n,
                           const struct peer_update **ret)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        ret[i] = &updates[i];
    }
    qsort(ret, n, sizeof(*ret), by_key);
    for (size_t i = 0; i < n; i++) {
        kept += kept > 0 && ret[kept - 1]->i == ret[i]->i ? 0 : 1;
        ret[kept - 1] = ret[i];
    }
    return kept;
}

static git_tree *make_tree(struct libgit2_peer *p,
                           const struct peer_update *updates, size_t n)
{
    git_tree_update *changes = calloc(n, sizeof(*changes));
    const struct peer_update **last = calloc(n, sizeof(*last));
    git_tree *before = NULL;
    git_tree *after;
    git_oid oid;

    if (changes == NULL || last == NULL) {
        bench_fail("no memory");
    }
    n = last_of_each(updates, n, last);
    for (size_t i = 0; i < n; i++) {
        char text[KEY_TEXT_CAP];

        key_text(&p->setup.keys, last[i]->i, text);
        changes[i] = (git_tree_update){.action = GIT_TREE_UPDATE_UPSERT,
                                       .filemode = GIT_FILEMODE_BLOB,
                                       .path = strdup(text)};
        git_must(git_blob_create_from_buffer(&changes[i].id, p->repo,
                                             last[i]->value,
                                             p->setup.value_len),
                 "blob");
    }
    if (p->head != NULL) {
        git_must(git_commit_tree(&before, p->head), "tree");
    }
    git_must(git_tree_create_updated(&oid, p->repo, before, n, changes),
             "tree");
    git_must(git_tree_lookup(&after, p->repo, &oid), "tree");
    git_tree_free(before);
    for (size_t i = 0; i < n; i++) {
        free((char *)changes[i].path);
    }
    free(changes);
    free(last);
    return after;
}

static void libgit2_commit(void *peer, const struct peer_update *updates,
                           size_t n)
{
    struct libgit2_peer *p = peer;
    git_tree *tree = make_tree(p, updates, n);
    const git_commit *parents[] = {p->head};
    git_signature *who;
    git_reference *ref;
    git_oid oid;

    git_must(git_signature_new(&who, "bench", "bench",
                               (git_time_t)p->n_commits++, 0),
             "signature");
    git_must(git_commit_create(&oid, p->repo, NULL, who, who, NULL, "bench",
                               tree, p->head != NULL, parents),
             "commit");
    write_pack(p, &oid, tree, updates, n);
    git_must(
        git_reference_create(&ref, p->repo, "refs/heads/main", &oid, 1, NULL),
        "branch");
    git_reference_free(ref);
    git_signature_free(who);
    git_tree_free(tree);
    git_commit_free(p->head);
    git_must(git_commit_lookup(&p->head, p->repo, &oid), "commit");
}

static void libgit2_close(void *peer)
{
    struct libgit2_peer *p = peer;

    git_commit_free(p->head);
    git_odb_free(p->odb);
    git_repository_free(p->repo);
    git_libgit2_shutdown();
    free(p);
}

const struct peer peer_libgit2 = {"libgit2",      100000,        libgit2_open,
                                  libgit2_commit, libgit2_close, NULL};
