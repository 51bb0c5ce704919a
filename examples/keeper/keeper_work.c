/* SPDX-License-Identifier: ISC */
/*
 * What changes the store: commits, and collections in slices between them.
 *
 * Commit number n of the loop binds "count" to n, and "data/" with two digits
 * of 7 n modulo 64 to n, a line end, and 37 n modulo 3000 letters: so that
 * whoever knows n knows the whole tree.
 */
#include "examples/keeper/keeper.h"

enum { LOOP_SLOTS = 64, LOOP_LETTERS = 3000 };

static const struct pk_slice main_branch = {(const uint8_t *)"main", 4};

static struct pk_slice text_slice(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

int keeper_tree(struct keeper *k, struct pk_tree **ret_tree)
{
    return k->has_head ? pk_commit_tree(k->repo, &k->head, ret_tree)
                       : pk_tree_empty(k->repo, ret_tree);
}

int keeper_commit(struct keeper *k, struct pk_tree *tree, const char *message)
{
    const struct pk_info info = {
        .date = k->env.now != NULL ? k->env.now(k->env.ctx).sec : 0,
        .author = text_slice("keeper"),
        .message = text_slice(message),
    };
    struct pk_digest hash;
    int err = pk_commit_make(tree, &k->head, k->has_head, &info, &hash);

    if (err == 0) {
        err = pk_branch_set(k->repo, main_branch, &hash);
    }
    if (err == 0) {
        k->head = hash;
        k->has_head = true;
    }
    return err;
}

/* ---- The loop --------------------------------------------------------- */

static int loop_bind(struct keeper *k, struct pk_tree *tree, uint64_t n,
                     uint8_t *room)
{
    const uint64_t slot = n * 7 % LOOP_SLOTS;
    const size_t n_letters = (size_t)(n * 37 % LOOP_LETTERS);
    const char name[] = {(char)('0' + slot / 10), (char)('0' + slot % 10),
                         '\0'};
    const struct pk_slice count[] = {text_slice("count")};
    const struct pk_slice data[] = {text_slice("data"), text_slice(name)};
    size_t len = say_digits(n, (char *)room);
    int err = pk_tree_set(tree, (struct pk_path){count, 1},
                          (struct pk_slice){room, len});

    (void)k;
    room[len++] = '\n';
    for (size_t i = 0; i < n_letters; i++) {
        room[len++] = (uint8_t)('a' + (n + i) % 26);
    }
    if (err == 0) {
        err = pk_tree_set(tree, (struct pk_path){data, 2},
                          (struct pk_slice){room, len});
    }
    return err;
}

static int loop_commit(struct keeper *k)
{
    const size_t room_len = LOOP_LETTERS + 32;
    uint8_t *room = k->env.alloc(k->env.ctx, room_len, 16);
    struct pk_tree *tree = NULL;
    int err = room != NULL ? keeper_tree(k, &tree) : NF_ENOMEM;

    if (err == 0) {
        err = loop_bind(k, tree, k->count + 1, room);
    }
    if (err == 0) {
        err = keeper_commit(k, tree, "loop");
    }
    pk_tree_free(tree);
    if (room != NULL) {
        k->env.free(k->env.ctx, room, room_len);
    }
    if (err == 0) {
        k->count++;
        say(k, "committed ");
        say_number(k, k->count);
        say(k, " ");
        say_hash(k, &k->head);
        say(k, "\n");
    }
    return err;
}

/* ---- Collections ------------------------------------------------------ */

int keeper_collect(struct keeper *k)
{
    const struct pk_gc_options options = {
        .keep = &k->head,
        .n_keep = 1,
        .mem_len = k->world->arena_len / 16,
    };
    if (!k->has_head) {
        return NF_EC_NO_COMMIT;
    }
    int err = pk_repo_split(k->repo);
    if (err == NF_EC_EMPTY_CHUNK) {
        err = 0; /* nothing was committed since the last collection */
    }
    if (err == 0) {
        err = pk_gc_start(k->repo, &options);
    }
    k->collecting = err == 0;
    return err;
}

static int collect_step(struct keeper *k)
{
    struct pk_gc_stats stats = {0};
    int more = pk_gc_step(k->repo, PK_GC_MIN_BUDGET);

    if (more == 0) {
        more = pk_gc_finish(k->repo, &stats);
        if (more == 0) {
            k->collecting = false;
            say(k, "collected: ");
            say_number(k, stats.objects);
            say(k, " objects kept, ");
            say_number(k, stats.suffix_freed + stats.prefix_freed);
            say(k, " bytes freed, in ");
            say_number(k, stats.steps);
            say(k, " steps\n");
        }
    }
    return more;
}

bool keeper_work(struct keeper *k)
{
    bool busy = false;
    int err = 0;

    if (k->collecting) {
        busy = true;
        err = collect_step(k);
        if (err < 0) {
            say_error(k, "gc", err);
            k->collecting = false;
        }
    }
    if (err >= 0 && k->loop_left > 0) {
        busy = true;
        err = loop_commit(k);
        k->loop_left -= err == 0;
        if (err < 0) {
            say_error(k, "commit", err);
            k->loop_left = 0;
        }
    }
    if (err < 0) {
        /* The transaction is lost: go on from what is on the disk. */
        keeper_close(k);
        (void)keeper_open(k); /* has said what is wrong */
    }
    return busy;
}
