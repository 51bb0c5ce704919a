/* SPDX-License-Identifier: ISC */
/*
 * The keeper: a store on a raw disk as the whole program of a machine without
 * an operating system. It formats or mounts its disk, takes commands, and
 * commits in a loop. What it runs on is given to it as struct keeper_world;
 * examples/qemu and examples/solo5 are two such worlds.
 */
#ifndef EXAMPLES_KEEPER_H
#define EXAMPLES_KEEPER_H

#include <notafs/blockdev.h>
#include <notafs/mem_arena.h>
#include <notafs/notafs.h>
#include <notafs/pack.h>
#include <notafs/vfs_notafs.h>

/* All that the keeper has. It uses no other memory, and no other calls. */
struct keeper_world {
    void (*print)(const char *text, size_t len);
    struct nf_time (*now)(void *unused);
    size_t (*stack_peak)(void); /* bytes of stack used so far; NULL: unknown */
    const struct bd_ops *disk_ops;
    void (*disk_set_page_size)(void *disk, uint32_t page_size);
    void *disk;
    uint64_t disk_len;  /* bytes */
    uint32_t disk_caps; /* enum bd_caps */
    uint32_t page_size; /* bytes, of a disk that it formats */
    void *arena;
    size_t arena_len;
};

enum { KEEPER_LINE_MAX = 1024, KEEPER_STEPS_MAX = 32 };

struct keeper {
    const struct keeper_world *world;
    struct nf_arena arena;
    struct nf_env env;
    struct bd bd;
    struct nf *disk;
    struct pk_vfs_notafs *files;
    struct pk_vfs vfs;
    struct pk_repo *repo;

    bool has_head;
    struct pk_digest head;
    uint64_t count;     /* commits that the loop made, ever */
    uint64_t loop_left; /* that it has yet to make */
    bool collecting;
    bool quit;
    char expected_root[2 * PK_HASH_MAX_LEN + 1]; /* "": any will do */
};

/* ---- keeper.c: from a disk to a store ---- */

/* Forget everything, and take over the world. */
void keeper_init(struct keeper *k, const struct keeper_world *world);

/* Mount the disk, formatted first if it is blank, and open its store. Errors
 * have been said. */
int keeper_open(struct keeper *k);
void keeper_close(struct keeper *k);

/* Start over on an empty disk. */
int keeper_format(struct keeper *k);

/* ---- keeper_commands.c ---- */

/* One line, without its end; changed on the way. */
void keeper_command(struct keeper *k, char *line);

/* ---- keeper_work.c ---- */

/* Commit the tree on the branch, durably, and say so. */
int keeper_commit(struct keeper *k, struct pk_tree *tree, const char *message);

/* The tree of the branch; empty when there is no commit yet. */
int keeper_tree(struct keeper *k, struct pk_tree **ret_tree);

int keeper_collect(struct keeper *k);

/* One commit of the loop, one slice of a collection; false: nothing to do. */
bool keeper_work(struct keeper *k);

/* ---- keeper_say.c: text on the console ---- */
void say(const struct keeper *k, const char *text);
void say_bytes(const struct keeper *k, const void *p, size_t len);
void say_number(const struct keeper *k, uint64_t number);
void say_hash(const struct keeper *k, const struct pk_digest *hash);
void say_error(const struct keeper *k, const char *what, int err);

/* number in decimal, and its length; buf has room for 20 digits and the 0. */
size_t say_digits(uint64_t number, char *buf);
/* hash in hexadecimal digits, of the store's length, terminated. */
void say_hex(const struct keeper *k, const struct pk_digest *hash,
             char buf[2 * PK_HASH_MAX_LEN + 1]);

#endif
