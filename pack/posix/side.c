/* SPDX-License-Identifier: ISC */
/*
 * Side trees (docs/format-posix.md): a file's record is bound to its path, that
 * of a directory or a link to the step "." below its path, which no file can
 * have for a name. So what is bound to contents is a file, which the data has,
 * too; and merging side trees is merging trees.
 */
#include <notafs/merge.h>
#include <string.h>

#include "pack/objects.h"
#include "pack/posix/side.h"
#include "pack/store/repo.h"

#define MESSAGE     "posix 1 " /* and the commit that it belongs to */
#define MESSAGE_LEN (sizeof(MESSAGE) - 1)

static const struct pk_slice self = {(const uint8_t *)".", 1};

static int side_fail(struct pk_repo *repo, const char *what)
{
    return pk_fail(&repo->store.ctx, NF_EC_POSIX, NULL, NF_NOWHERE, what);
}

/* ----------------------------------------------------------------- records */

int pk_posix_get(struct pk_tree *side, struct pk_path path,
                 struct pk_bytes *ret_bytes, struct pk_posix *ret_posix)
{
    const struct pk_path here = {&self, 1};
    struct pk_repo *repo = pk_tree_repo(side);
    struct pk_tree *dir = NULL;
    struct pk_bytes bytes;
    struct pk_posix posix;
    enum pk_kind kind;
    int err = pk_tree_kind(side, path, &kind);

    if (err == 0 && kind == PK_NODE) {
        err = pk_tree_sub(side, path, &dir);
        if (err == 0) {
            err = pk_tree_get(dir, here, &bytes);
            pk_tree_free(dir);
        }
    } else if (err == 0) {
        err = pk_tree_get(side, path, &bytes);
    }
    if (err != 0) {
        return err;
    }
    err = pk_posix_decode((struct pk_slice){bytes.p, bytes.len}, &posix);
    if (err == 0 && (posix.kind == PK_POSIX_FILE) != (kind == PK_CONTENTS)) {
        err = NF_EC_POSIX;
    }
    if (err != 0) {
        pk_bytes_free(repo, &bytes);
        return side_fail(repo, "record");
    }
    *ret_bytes = bytes;
    *ret_posix = posix;
    return 0;
}

/* Bind path, or "." below it. */
static int side_bind(struct pk_tree *side, struct pk_path path, bool below,
                     struct pk_slice record)
{
    struct nf_mem *mem = &side->repo->store.ctx.mem;
    struct pk_slice *steps;
    int err;

    if (!below) {
        return pk_tree_set(side, path, record);
    }
    steps = nf_calloc(mem, path.n + 1, sizeof(*steps));
    if (steps == NULL) {
        return pk_fail_mem(&side->repo->store.ctx);
    }
    if (path.n > 0) {
        memcpy(steps, path.steps, path.n * sizeof(*steps));
    }
    steps[path.n] = self;
    err = pk_tree_set(side, (struct pk_path){steps, path.n + 1}, record);
    nf_free(mem, steps, (path.n + 1) * sizeof(*steps));
    return err;
}

int pk_posix_set(struct pk_tree *side, struct pk_path path,
                 const struct pk_posix *posix)
{
    struct nf_mem *mem = &side->repo->store.ctx.mem;
    size_t len = pk_posix_encoded_len(posix);
    uint8_t *buf = nf_alloc(mem, len);
    int err = 0;

    if (buf == NULL) {
        return pk_fail_mem(&side->repo->store.ctx);
    }
    pk_posix_encode(posix, buf);
    if (posix->kind == PK_POSIX_LINK) {
        err = pk_tree_remove(side, path); /* nothing is below a link */
    }
    if (err == 0) {
        err = side_bind(side, path, posix->kind != PK_POSIX_FILE,
                        (struct pk_slice){buf, len});
    }
    nf_free(mem, buf, len);
    return err;
}

/* ----------------------------------------------------------------- merging */

/* Whether the record of theirs was changed later; one that cannot be read
 * never was. */
static int side_is_newer(const struct pk_conflict *conflict, bool *ret)
{
    struct pk_repo *repo = pk_tree_repo(conflict->ours_tree);
    struct pk_bytes bytes[2] = {{NULL, 0, NULL}, {NULL, 0, NULL}};
    struct pk_posix ours;
    struct pk_posix theirs;
    int err = pk_tree_get(conflict->ours_tree, conflict->path, &bytes[0]);

    if (err == 0) {
        err = pk_tree_get(conflict->theirs_tree, conflict->path, &bytes[1]);
        if (err != 0) {
            pk_bytes_free(repo, &bytes[0]);
        }
    }
    if (err != 0) {
        return err;
    }
    if (pk_posix_decode((struct pk_slice){bytes[1].p, bytes[1].len}, &theirs) !=
        0) {
        *ret = false;
    } else if (pk_posix_decode((struct pk_slice){bytes[0].p, bytes[0].len},
                               &ours) != 0) {
        *ret = true;
    } else {
        *ret = theirs.ctime.sec > ours.ctime.sec ||
               (theirs.ctime.sec == ours.ctime.sec &&
                theirs.ctime.nsec > ours.ctime.nsec);
    }
    pk_bytes_free(repo, &bytes[0]);
    pk_bytes_free(repo, &bytes[1]);
    return 0;
}

static int side_settle(void *arg, const struct pk_conflict *conflict,
                       struct pk_settlement *ret)
{
    bool newer = true;
    int err = 0;

    (void)arg;
    if (conflict->theirs.kind == PK_NONE) {
        newer = false;
    } else if (conflict->ours.kind == PK_CONTENTS &&
               conflict->theirs.kind == PK_CONTENTS) {
        err = side_is_newer(conflict, &newer);
    }
    ret->how = newer ? PK_SETTLE_THEIRS : PK_SETTLE_OURS;
    return err;
}

int pk_posix_merge(struct pk_tree *base, struct pk_tree *ours,
                   struct pk_tree *theirs, struct pk_tree **ret_tree)
{
    const struct pk_judge judge = {side_settle, NULL};

    return pk_merge_trees(base, ours, theirs, &judge, ret_tree);
}

/* ----------------------------------------------------------------- commits */

int pk_posix_commit(struct pk_tree *side, const struct pk_digest *of,
                    const struct pk_digest *parents, size_t n_parents,
                    const struct pk_info *info, struct pk_digest *ret_hash)
{
    static const char digits[] = "0123456789abcdef";
    char text[MESSAGE_LEN + 2 * PK_HASH_MAX_LEN];
    size_t len = pk_repo_config(side->repo)->hash_len;
    struct pk_info own = *info;

    memcpy(text, MESSAGE, MESSAGE_LEN);
    for (size_t i = 0; i < len; i++) {
        text[MESSAGE_LEN + 2 * i] = digits[of->b[i] >> 4];
        text[MESSAGE_LEN + 2 * i + 1] = digits[of->b[i] & 15];
    }
    own.message =
        (struct pk_slice){(const uint8_t *)text, MESSAGE_LEN + 2 * len};
    return pk_commit_make(side, parents, n_parents, &own, ret_hash);
}

static int side_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool pk_posix_belongs(const struct pk_repo *repo,
                      const struct pk_commit *commit, struct pk_digest *ret)
{
    struct pk_slice text = commit->info.message;
    size_t len = pk_repo_config(repo)->hash_len;

    memset(ret, 0, sizeof(*ret));
    if (text.len != MESSAGE_LEN + 2 * len ||
        memcmp(text.p, MESSAGE, MESSAGE_LEN) != 0) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int high = side_digit(text.p[MESSAGE_LEN + 2 * i]);
        int low = side_digit(text.p[MESSAGE_LEN + 2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        ret->b[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---------------------------------------------------------------- branches */

/* posix/BRANCH, to be released; p NULL: no memory. */
static struct pk_slice side_name(struct pk_repo *repo, struct pk_slice branch)
{
    const size_t len = sizeof(PK_POSIX_PREFIX) - 1;
    uint8_t *text = nf_alloc(&repo->store.ctx.mem, len + branch.len);

    if (text != NULL) {
        memcpy(text, PK_POSIX_PREFIX, len);
        memcpy(text + len, branch.p, branch.len);
    }
    return (struct pk_slice){text, len + branch.len};
}

static void side_name_free(struct pk_repo *repo, struct pk_slice name)
{
    nf_free(&repo->store.ctx.mem, (void *)(uintptr_t)name.p, name.len);
}

int pk_posix_branch_get(struct pk_repo *repo, struct pk_slice branch,
                        struct pk_digest *ret_side)
{
    struct pk_slice name = side_name(repo, branch);
    int err;

    if (name.p == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    err = pk_branch_get(repo, name, ret_side);
    side_name_free(repo, name);
    return err;
}

int pk_posix_branch_set(struct pk_repo *repo, struct pk_slice branch,
                        const struct pk_digest *side)
{
    struct pk_slice name = side_name(repo, branch);
    int err;

    if (name.p == NULL) {
        return pk_fail_mem(&repo->store.ctx);
    }
    err = side != NULL ? pk_branch_set(repo, name, side)
                       : pk_branch_remove(repo, name);
    side_name_free(repo, name);
    return err;
}
