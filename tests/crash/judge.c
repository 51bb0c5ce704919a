/* SPDX-License-Identifier: ISC */
#include "tests/crash/judge.h"

#include <string.h>

#include "tests/support/account.h"

#define JUDGE_AGAIN "~again"

/* A record, a page, or several. */
static size_t again_len(uint32_t page_size, uint64_t nth)
{
    return nth % 3 == 0 ? 40 : (size_t)(nth % 3) * page_size + 40;
}

/* Make room on a full disk: the first entry goes. */
static int remove_first(struct nf *nf)
{
    struct nf_dir *dir;
    struct nf_dirent ent;
    int err = nf_dir_open(nf, nf_path(""), &dir);
    if (err != 0) {
        return err;
    }
    err = nf_dir_next(dir, &ent);
    if (err == 1) {
        err = nf_remove(nf, (struct nf_path){ent.name, ent.name_len},
                        NF_REMOVE_RECURSIVE);
    }
    nf_dir_close(dir);
    return err;
}

int judge_follow_up(struct nf *nf, const char *name, uint32_t page_size,
                    uint64_t nth)
{
    static uint8_t bytes[3 * 65536];
    struct nf_file *file;
    memset(bytes, (int)(nth % 251 + 1), sizeof(bytes));
    int err = nf_open(nf, nf_path(name), NF_OPEN_CREATE, &file);
    if (err == 0) {
        err = nf_write(file, 0, bytes, again_len(page_size, nth));
        nf_close(file);
    }
    if (err == NF_ENOSPC) {
        err = nf_remove(nf, nf_path(name), 0);
        err = err == 0 || err == NF_ENOENT ? remove_first(nf) : err;
    }
    return err == 0 ? nf_sync(nf) : err;
}

static bool told(FILE *why, const char *what, int err)
{
    fprintf(why, "%s: %s\n", what, nf_errname(err));
    return false;
}

/* The commits of which this is the tree. */
static bool find_commit(struct judge *j, const struct expected *e, FILE *why)
{
    for (size_t i = e->hi + 1; i > e->lo; i--) {
        const struct commit *commit = &e->commits[i - 1];
        if (!commit->lost && commit->tree.sum == j->tree.sum) {
            j->found = i - 1;
            return true;
        }
    }
    fprintf(why, "not one of commits %zu to %zu", e->lo, e->hi);
    for (size_t i = 0; i < e->n_commits; i++) {
        if (e->commits[i].tree.sum == j->tree.sum) {
            fprintf(why, ", but commit %zu", i);
        }
    }
    fputc('\n', why);
    return false;
}

/* A device that lied: each entry that can be read is as in the commit that the
 * mounted generation is. */
static bool judge_liar(struct judge *j, const struct expected *e, struct nf *nf,
                       FILE *why)
{
    const struct commit *commit = &e->commits[0];
    struct nf_stats stats;
    nf_stats(nf, &stats);
    for (size_t i = 0; i < e->n_commits; i++) {
        if (!e->commits[i].lost &&
            e->commits[i].generation <= stats.generation) {
            commit = &e->commits[i];
        }
    }
    j->n_damaged += j->tree.err != 0;
    if (!tree_within(&j->tree, &commit->tree) ||
        (j->tree.err == 0 && j->tree.n != commit->tree.n)) {
        fprintf(why, "other data than generation %llu had\n",
                (unsigned long long)stats.generation);
        return false;
    }
    /* Life goes on, or an error is told. */
    const int err =
        judge_follow_up(nf, JUDGE_AGAIN, j->scene->config->page_size, j->nth);
    if (err > 0) {
        return told(why, "follow-up", err);
    }
    return true;
}

/* The disk goes on working, and keeps what it held. */
static bool judge_again(struct judge *j, const struct expected *e,
                        struct nf *nf, FILE *why)
{
    const uint32_t size = j->scene->config->page_size;
    struct nf_stat st = {0};
    const int err = judge_follow_up(nf, JUDGE_AGAIN, size, j->nth);
    if (err != 0) {
        return told(why, "follow-up", err);
    }
    if (!account_exact(nf, why)) {
        return false;
    }
    if (nf_stat(nf, nf_path(JUDGE_AGAIN), &st) != 0) {
        return true; /* something else was removed for want of space */
    }
    tree_read(nf, JUDGE_AGAIN, &j->tree);
    if (st.size != again_len(size, j->nth) || j->tree.err != 0 ||
        j->tree.sum != e->commits[j->found].tree.sum) {
        return told(why, "the follow-up changed something else", j->tree.err);
    }
    return true;
}

static bool judge_mounted(struct judge *j, const struct expected *e,
                          struct nf *nf, FILE *why)
{
    tree_read(nf, NULL, &j->tree);
    if (e->lies) {
        return judge_liar(j, e, nf, why);
    }
    if (j->tree.err != 0) {
        return told(why, "something cannot be read", j->tree.err);
    }
    return find_commit(j, e, why) && account_exact(nf, why) &&
           judge_again(j, e, nf, why);
}

/* The commit that followed the crash is there after another mount. */
static bool judge_remount(struct judge *j, const struct expected *e,
                          struct nf *nf, FILE *why)
{
    struct nf_stat st = {0};
    if (nf_stat(nf, nf_path(JUDGE_AGAIN), &st) != 0) {
        return account_exact(nf, why);
    }
    tree_read(nf, JUDGE_AGAIN, &j->tree);
    if (j->tree.err != 0 || j->tree.sum != e->commits[j->found].tree.sum) {
        return told(why, "another mount finds something else", j->tree.err);
    }
    return account_exact(nf, why);
}

static bool mounts(struct judge *j, const struct expected *e, bool again,
                   FILE *why)
{
    struct scene *s = j->scene;
    struct nf *nf;
    int err = nf_mount(&s->fault->bd, &s->mem.env, &s->options, &nf);
    if (err != 0) {
        if (!e->may_not_mount &&
            (!e->lies || nf_err_class(err) != NF_ECORRUPT)) {
            return told(why, "mount", err);
        }
        j->n_damaged++;
        j->found = e->n_commits;
        return true;
    }
    const bool good =
        again ? judge_remount(j, e, nf, why) : judge_mounted(j, e, nf, why);
    nf_unmount(nf);
    return good;
}

bool judge(struct judge *j, const struct expected *expected, uint64_t nth,
           FILE *why)
{
    j->nth = nth;
    j->n_judged++;
    bool good = mounts(j, expected, false, why);
    const bool mounted = j->found < expected->n_commits;
    if (good && mounted && !expected->lies && nth % 4 == 0) {
        good = mounts(j, expected, true, why);
    }
    if (j->scene->mem.live_blocks != 0) {
        return told(why, "memory was not released", 0);
    }
    return good;
}
