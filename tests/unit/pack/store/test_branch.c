/* SPDX-License-Identifier: ISC */
/* Branches: set, removed, compared and set, listed, and watched, by the one who
 * changes them and by a reader in another process. */
#include <sys/wait.h>
#include <unistd.h>

#include <notafs/vfs_posix.h>

#include "tests/unit/pack/store/fixture.h"

/* What a watch was told, as "name:old>new", with the first byte of each hash
 * in hexadecimal. */
struct notes {
    char text[TEXT_MAX];
    size_t len;
};

static void notes_take(void *arg, struct pk_slice name,
                       const struct pk_digest *old_hash,
                       const struct pk_digest *new_hash)
{
    struct notes *n = arg;

    n->len += (size_t)snprintf(n->text + n->len, TEXT_MAX - n->len,
                               "%s%.*s:", n->len > 0 ? " " : "", (int)name.len,
                               (const char *)name.p);
    if (old_hash != NULL) {
        n->len += (size_t)snprintf(n->text + n->len, TEXT_MAX - n->len, "%02x",
                                   old_hash->b[0]);
    }
    n->len += (size_t)snprintf(n->text + n->len, TEXT_MAX - n->len, ">");
    if (new_hash != NULL) {
        n->len += (size_t)snprintf(n->text + n->len, TEXT_MAX - n->len, "%02x",
                                   new_hash->b[0]);
    }
}

static void expect(struct notes *n, const char *form, const struct pk_digest *a,
                   const struct pk_digest *b)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof(text), form, a->b[0], b->b[0]);
    ck_assert_str_eq(n->text, text);
    n->len = 0;
    n->text[0] = '\0';
}

static int list_names(void *arg, struct pk_slice name,
                      const struct pk_digest *hash)
{
    struct notes *n = arg;

    notes_take(n, name, NULL, hash);
    return 0;
}

START_TEST(set_and_compare)
{
    struct notes seen = {.len = 0};
    struct fixture f;
    struct pk_digest one;
    struct pk_digest two;
    struct pk_digest found;

    fixture_begin(&f, "kv32");
    one = commit_text(&f, "a=1", NULL, NULL);
    two = commit_text(&f, "a=2", &one, NULL);
    pk_branch_watch(f.repo, notes_take, &seen);
    assert_err(pk_branch_get(f.repo, text_bytes("main"), &found),
               NF_EC_NO_BRANCH);
    assert_err(pk_branch_cas(f.repo, text_bytes("main"), &one, &two),
               NF_ECONFLICT);
    assert_ok(pk_branch_cas(f.repo, text_bytes("main"), NULL, &one));
    expect(&seen, "main:>%02x", &one, &one);
    assert_err(pk_branch_cas(f.repo, text_bytes("main"), NULL, &two),
               NF_ECONFLICT);
    assert_ok(pk_branch_cas(f.repo, text_bytes("main"), &one, &two));
    expect(&seen, "main:%02x>%02x", &one, &two);
    assert_ok(pk_branch_set(f.repo, text_bytes("dev/x"), &one));
    assert_ok(pk_branch_get(f.repo, text_bytes("main"), &found));
    assert_same_hash(&found, &two);
    expect(&seen, "dev/x:>%02x", &one, &one);
    assert_ok(pk_branch_each(f.repo, list_names, &seen));
    expect(&seen, "dev/x:>%02x main:>%02x", &one, &two);
    assert_ok(pk_branch_remove(f.repo, text_bytes("dev/x")));
    expect(&seen, "dev/x:%02x>", &one, &one);
    assert_ok(pk_branch_remove(f.repo, text_bytes("dev/x")));
    assert_ok(pk_branch_cas(f.repo, text_bytes("main"), &two, NULL));
    assert_err(pk_branch_get(f.repo, text_bytes("main"), &found),
               NF_EC_NO_BRANCH);
    /* Names and commits that cannot be. */
    assert_err(pk_branch_set(f.repo, text_bytes("a b"), &one), NF_EINVAL);
    memset(&found, 7, sizeof(found));
    ck_assert_int_lt(pk_branch_set(f.repo, text_bytes("x"), &found), 0);
    pk_branch_watch(f.repo, NULL, NULL);
    assert_ok(pk_branch_set(f.repo, text_bytes("main"), &one));
    fixture_end(&f);
}
END_TEST

/* The writer of the other process: a step for each byte that it is sent. */
static void other_process(const char *folder, int in, int out)
{
    struct pk_open open = {.flags = PK_OPEN_WRITE};
    struct fixture f = {.n_commits = 10};
    struct pk_vfs_posix *posix;
    struct pk_digest one;
    struct pk_digest two;
    char c;

    mem_fault_init(&f.mem);
    assert_ok(pk_vfs_posix_open(folder, 0, &posix, &f.vfs));
    open.vfs = &f.vfs;
    assert_ok(pk_config_parse("kv32", &open.config));
    assert_ok(pk_repo_open(&f.mem.env, &open, NULL, &f.repo));
    one = commit_text(&f, "a=1", NULL, NULL);
    two = commit_text(&f, "a=2", &one, NULL);
    for (int step = 0; read(in, &c, 1) == 1; step++) {
        switch (step) {
        case 0:
            assert_ok(pk_branch_set(f.repo, text_bytes("main"), &one));
            break;
        case 1:
            assert_ok(pk_branch_set(f.repo, text_bytes("main"), &two));
            assert_ok(pk_branch_set(f.repo, text_bytes("dev"), &one));
            break;
        case 2:
            assert_ok(pk_branch_remove(f.repo, text_bytes("main")));
            break;
        default:
            break;
        }
        ck_assert_int_eq(write(out, step == 0 ? &one : &two, sizeof(one)),
                         sizeof(one));
    }
    assert_ok(pk_repo_close(f.repo));
    pk_vfs_posix_close(posix);
}

static struct pk_digest other_step(const int to[2], const int from[2])
{
    struct pk_digest hash;

    ck_assert_int_eq(write(to[1], "x", 1), 1);
    ck_assert_int_eq(read(from[0], &hash, sizeof(hash)), sizeof(hash));
    return hash;
}

START_TEST(watched_from_another_process)
{
    char folder[] = "/tmp/notafs-branch-XXXXXX";
    struct pk_open open = {.flags = PK_OPEN_WRITE | PK_OPEN_CREATE};
    struct notes seen = {.len = 0};
    struct pk_vfs_posix *posix;
    struct mem_fault mem;
    struct pk_repo *repo;
    struct pk_vfs vfs;
    struct pk_digest one;
    struct pk_digest two;
    char command[80];
    int from[2];
    int to[2];
    pid_t other;
    int status;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    mem_fault_init(&mem);
    assert_ok(pk_vfs_posix_open(folder, 0, &posix, &vfs));
    open.vfs = &vfs;
    assert_ok(pk_config_parse("kv32", &open.config));
    assert_ok(pk_repo_open(&mem.env, &open, NULL, &repo));
    assert_ok(pk_repo_close(repo));
    ck_assert_int_eq(pipe(to), 0);
    ck_assert_int_eq(pipe(from), 0);
    other = fork();
    ck_assert_int_ge(other, 0);
    if (other == 0) {
        close(to[1]);
        other_process(folder, to[0], from[1]);
        _exit(0);
    }
    open.flags = 0;
    assert_ok(pk_repo_open(&mem.env, &open, NULL, &repo));
    pk_branch_watch(repo, notes_take, &seen);
    assert_ok(pk_repo_reload(repo));
    ck_assert_uint_eq(seen.len, 0);
    one = other_step(to, from);
    ck_assert_uint_eq(seen.len, 0); /* not before it is looked at */
    assert_ok(pk_repo_reload(repo));
    expect(&seen, "main:>%02x", &one, &one);
    two = other_step(to, from);
    assert_ok(pk_repo_reload(repo));
    ck_assert_str_ne(seen.text, "");
    {
        char text[64];

        (void)snprintf(text, sizeof(text), "dev:>%02x main:%02x>%02x", one.b[0],
                       one.b[0], two.b[0]);
        ck_assert_str_eq(seen.text, text);
        seen.len = 0;
        seen.text[0] = '\0';
    }
    (void)other_step(to, from);
    assert_ok(pk_repo_reload(repo));
    expect(&seen, "main:%02x>", &two, &two);
    assert_ok(pk_repo_reload(repo));
    ck_assert_uint_eq(seen.len, 0);
    close(to[1]);
    ck_assert_int_eq(waitpid(other, &status, 0), other);
    ck_assert_int_eq(status, 0);
    assert_ok(pk_repo_close(repo));
    pk_vfs_posix_close(posix);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_uint_eq(mem.live_bytes, 0);
}
END_TEST

UNIT_MAIN("pack/store/branch", set_and_compare, watched_from_another_process)
