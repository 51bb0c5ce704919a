/* SPDX-License-Identifier: ISC */
/*
 * The core in one arena and not a byte more, on a stack that was painted:
 *
 *     budget store      the whole store, in 512 KiB
 *     budget notafs     Notafs alone with pages of 512 bytes, in 64 KiB
 *
 * Each prints what it took of the arena and of the stack, and fails when the
 * arena was not enough or the stack took more than STACK_MAX.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <notafs/bd_mem.h>
#include <notafs/mem_arena.h>
#include <notafs/notafs.h>
#include <notafs/pack.h>
#include <notafs/vfs_notafs.h>

#include "host/prng.h"

enum {
    STORE_ARENA_LEN = 512 << 10,
    NOTAFS_ARENA_LEN = 64 << 10,
    STACK_LEN = 256 << 10, /* what the system wants is in it */
    STACK_MAX = 12 << 10,
    DISK_LEN = 16 << 20,
    PAINT = 0xa5,
};

/* End with a line that tells what failed. */
#define must(call)                                                             \
    do {                                                                       \
        const int err_ = (call);                                               \
        if (err_ < 0) {                                                        \
            printf("line %d: %s: %s\n", __LINE__, #call, nf_strerror(err_));   \
            exit(EXIT_FAILURE);                                                \
        }                                                                      \
    } while (0)

struct place {
    struct nf_arena arena;
    struct nf_env env;
    struct bd bd;
    struct bd_mem mem;
    struct nf *disk;
};

static uint8_t disk_bytes[DISK_LEN];

static void place_mount(struct place *p, size_t cache_len)
{
    const struct nf_mount_options mount = {.cache_bytes = cache_len};

    must(nf_mount(&p->bd, &p->env, &mount, &p->disk));
}

static void place_init(struct place *p, void *arena, size_t arena_len,
                       uint32_t page_size)
{
    nf_arena_init(&p->arena, arena, arena_len, &p->env);
    must(bd_mem_init(&p->bd, &p->mem, disk_bytes, DISK_LEN, page_size));
    must(nf_format(&p->bd, &p->env, NULL));
}

static void scrub(struct place *p)
{
    struct nf_scrub_result result;
    struct nf_scrub *walk = NULL;
    int more = 1;

    must(nf_scrub_open(p->disk, 0, NULL, NULL, &walk));
    while (more == 1) {
        must(more = nf_scrub_step(walk, 64));
    }
    nf_scrub_result(walk, &result);
    nf_scrub_close(walk);
    if (result.damaged > 0) {
        printf("%llu pages are damaged\n", (unsigned long long)result.damaged);
        exit(EXIT_FAILURE);
    }
}

/* ---- Notafs alone ----------------------------------------------------- */

static void write_files(struct place *p, struct prng *dice)
{
    uint8_t bytes[3000];

    for (int i = 0; i < 8; i++) {
        char name[] = "folder/x";
        struct nf_file *file = NULL;
        const size_t len = prng_below(dice, sizeof(bytes));

        name[7] = (char)('a' + prng_below(dice, 16));
        prng_bytes(dice, len, bytes);
        must(nf_open(p->disk, nf_path(name), NF_OPEN_CREATE, &file));
        must(nf_write(file, prng_below(dice, 1 << 18), bytes, len));
        nf_close(file);
    }
}

static void run_notafs(void *arena)
{
    struct prng dice = prng_seed(1);
    struct place p;

    place_init(&p, arena, NOTAFS_ARENA_LEN, 512);
    place_mount(&p, NOTAFS_ARENA_LEN / 8);
    for (int i = 0; i < 300; i++) {
        write_files(&p, &dice);
        must(nf_sync(p.disk));
        if (i % 50 == 49) {
            must(nf_remove(p.disk, nf_path("folder"), NF_REMOVE_RECURSIVE));
            must(nf_sync(p.disk));
        }
        if (i % 100 == 20) { /* a transaction many times the memory */
            struct nf_file *file = NULL;
            static uint8_t chunk[8192];

            must(nf_open(p.disk, nf_path("large"), NF_OPEN_CREATE, &file));
            for (int k = 0; k < 256; k++) {
                must(nf_append(file, chunk, sizeof(chunk)));
            }
            must(nf_truncate(file, 1000));
            nf_close(file);
            must(nf_sync(p.disk));
            scrub(&p);
            nf_unmount(p.disk);
            place_mount(&p, NOTAFS_ARENA_LEN / 8);
        }
    }
    scrub(&p);
    nf_unmount(p.disk);
    printf("arena %zu at most of %zu\n", p.arena.peak, p.arena.len);
    if (p.arena.used != 0) {
        printf("%zu bytes were not released\n", p.arena.used);
        exit(EXIT_FAILURE);
    }
}

/* ---- The whole store -------------------------------------------------- */

struct store {
    struct place place;
    struct pk_vfs_notafs *files;
    struct pk_vfs vfs;
    struct pk_repo *repo;
    struct pk_digest head;
    size_t n_parents;
};

static const struct pk_slice main_branch = {(const uint8_t *)"main", 4};

static void store_open(struct store *s)
{
    struct pk_open opts = {
        .vfs = &s->vfs,
        .strategy = PK_STRATEGY_MINIMAL,
        .flags = PK_OPEN_WRITE | PK_OPEN_CREATE,
        .cache_len = STORE_ARENA_LEN / 8,
        .index_log_entries = 128,
    };

    must(pk_config_parse("irmin", &opts.config));
    place_mount(&s->place, STORE_ARENA_LEN / 8);
    must(pk_vfs_notafs_open(s->place.disk, &s->place.env, nf_path(""),
                            &s->files, &s->vfs));
    must(pk_repo_open(&s->place.env, &opts, NULL, &s->repo));
}

static void store_close(struct store *s)
{
    must(pk_repo_close(s->repo));
    pk_vfs_notafs_close(s->files);
    nf_unmount(s->place.disk);
}

static struct pk_slice slice(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

static void commit(struct store *s, struct prng *dice)
{
    const struct pk_info info = {0, slice("budget"), slice("commit")};
    struct pk_tree *tree = NULL;
    uint8_t bytes[2000];

    if (s->n_parents > 0) {
        must(pk_commit_tree(s->repo, &s->head, &tree));
    } else {
        must(pk_tree_empty(s->repo, &tree));
    }
    for (int i = 0; i < 5; i++) {
        char folder[] = "folder x";
        char name[] = "name xx";
        const struct pk_slice steps[] = {slice(folder), slice(name)};
        const size_t len = prng_below(dice, sizeof(bytes));

        folder[7] = (char)('a' + prng_below(dice, 8));
        name[5] = (char)('a' + prng_below(dice, 4));
        name[6] = (char)('a' + prng_below(dice, 16));
        prng_bytes(dice, len, bytes);
        must(pk_tree_set(tree, (struct pk_path){steps, 2},
                         (struct pk_slice){bytes, len}));
    }
    must(pk_commit_make(tree, &s->head, s->n_parents, &info, &s->head));
    must(pk_branch_set(s->repo, main_branch, &s->head));
    s->n_parents = 1;
    pk_tree_free(tree);
}

/* Collect all but the head, committing meanwhile. */
static void collect(struct store *s, struct prng *dice)
{
    const struct pk_digest keep = s->head;
    const struct pk_gc_options options = {
        .keep = &keep, .n_keep = 1, .mem_len = STORE_ARENA_LEN / 16};
    int more = 1;

    must(pk_repo_split(s->repo));
    must(pk_gc_start(s->repo, &options));
    while (more == 1) {
        must(more = pk_gc_step(s->repo, PK_GC_MIN_BUDGET));
        commit(s, dice);
    }
    must(pk_gc_finish(s->repo, NULL));
}

static int count_commit(void *arg, const struct pk_commit *one)
{
    (void)one;
    ++*(unsigned *)arg;
    return 0;
}

static void run_store(void *arena)
{
    struct prng dice = prng_seed(1);
    struct pk_check_stats stats;
    struct store s = {.n_parents = 0};
    unsigned n_commits = 0;

    place_init(&s.place, arena, STORE_ARENA_LEN, 4096);
    store_open(&s);
    for (int i = 1; i <= 600; i++) {
        commit(&s, &dice);
        if (i % 200 == 0) {
            collect(&s, &dice);
            store_close(&s);
            store_open(&s);
        }
    }
    must(pk_history(s.repo, &s.head, 1, count_commit, NULL, &n_commits));
    must(pk_check(s.repo, NULL, NULL, &stats));
    if (stats.findings > 0 || stats.commits != n_commits) {
        printf("%llu findings, %llu commits but %u in the history\n",
               (unsigned long long)stats.findings,
               (unsigned long long)stats.commits, n_commits);
        exit(EXIT_FAILURE);
    }
    scrub(&s.place);
    store_close(&s);
    printf("arena %zu at most of %zu\n", s.place.arena.peak, s.place.arena.len);
    if (s.place.arena.used != 0) {
        printf("%zu bytes were not released\n", s.place.arena.used);
        exit(EXIT_FAILURE);
    }
}

/* ---- The stack -------------------------------------------------------- */

struct job {
    void (*run)(void *arena);
    void *arena;
};

static void *run_job(void *arg)
{
    struct job *job = arg;

    if (job->run != NULL) {
        job->run(job->arena);
    }
    return NULL;
}

/* Bytes of stack that a thread takes for its job. */
static size_t stack_of(struct job job)
{
    uint8_t *stack = aligned_alloc(4096, STACK_LEN);
    pthread_attr_t attr;
    pthread_t thread;
    size_t unused = 0;

    if (stack == NULL || pthread_attr_init(&attr) != 0) {
        exit(EXIT_FAILURE);
    }
    memset(stack, PAINT, STACK_LEN);
    if (pthread_attr_setstack(&attr, stack, STACK_LEN) != 0 ||
        pthread_create(&thread, &attr, run_job, &job) != 0 ||
        pthread_join(thread, NULL) != 0) {
        exit(EXIT_FAILURE);
    }
    while (unused < STACK_LEN && stack[unused] == PAINT) {
        unused++;
    }
    free(stack);
    return STACK_LEN - unused;
}

int main(int argc, char **argv)
{
    const bool store = argc > 1 && strcmp(argv[1], "store") == 0;
    const size_t arena_len = store ? STORE_ARENA_LEN : NOTAFS_ARENA_LEN;
    uint8_t *arena = aligned_alloc(4096, arena_len);
    const size_t idle = stack_of((struct job){NULL, NULL});
    const size_t busy =
        stack_of((struct job){store ? run_store : run_notafs, arena});

    free(arena);
    printf("stack %zu at most of %d, with that of the test itself\n",
           busy - idle, STACK_MAX);
    return busy - idle <= STACK_MAX ? EXIT_SUCCESS : EXIT_FAILURE;
}
