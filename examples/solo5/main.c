/* SPDX-License-Identifier: ISC */
/*
 * The keeper on Solo5: all memory there is as its arena, the block device
 * "disk", and, as Solo5's console cannot be read, commands from the command
 * line, between semicolons: 'set a hello;run 100;check'. "page=BYTES" among
 * them is the page size of a disk that it formats, "expect-root=HASH" the tree
 * that it must find.
 *
 * Solo5 takes one block a call, and has no flush.
 */
#include <solo5.h>

#include "examples/keeper/keeper.h"

static struct keeper keeper;

struct disk {
    solo5_handle_t handle;
    struct solo5_block_info info;
    uint32_t page_size;
};

static int disk_transfer(struct disk *disk, const struct bd_request *req)
{
    const solo5_off_t first = req->range.first * disk->page_size;
    const size_t len = (size_t)req->range.count * disk->page_size;
    const size_t block = (size_t)disk->info.block_size;
    solo5_result_t result = SOLO5_R_OK;

    for (size_t at = 0; at < len && result == SOLO5_R_OK; at += block) {
        result = req->in != NULL ? solo5_block_read(disk->handle, first + at,
                                                    req->in + at, block)
                                 : solo5_block_write(disk->handle, first + at,
                                                     req->out + at, block);
    }
    return result == SOLO5_R_OK ? 0 : NF_EIO;
}

static int disk_submit(void *dev, const struct bd_request *reqs, size_t n_reqs)
{
    int err = 0;

    for (size_t i = 0; i < n_reqs && err == 0; i++) {
        err = disk_transfer(dev, &reqs[i]);
    }
    return err;
}

/* The pages of a disk cannot be smaller than its blocks. */
static void disk_set_page_size(void *dev, uint32_t page_size)
{
    ((struct disk *)dev)->page_size = page_size;
}

static struct nf_time clock_now(void *unused)
{
    const solo5_time_t ns = solo5_clock_wall();

    (void)unused;
    return (struct nf_time){
        .sec = (int64_t)(ns / 1000000000),
        .nsec = (uint32_t)(ns % 1000000000),
    };
}

/* ---- The command line ------------------------------------------------- */

/* Whether the command is name followed by a value, and where that is. */
static const char *value_of(const char *command, const char *name)
{
    while (*name != '\0' && *command == *name) {
        command++;
        name++;
    }
    return *name == '\0' ? command : NULL;
}

/* The next command, copied; false: there is none. */
static bool next_command(const char **rest, char line[KEEPER_LINE_MAX])
{
    size_t len = 0;

    while (**rest == ';' || **rest == ' ') {
        ++*rest;
    }
    while (**rest != ';' && **rest != '\0') {
        if (len < KEEPER_LINE_MAX - 1) {
            line[len++] = **rest;
        }
        ++*rest;
    }
    line[len] = '\0';
    return len > 0;
}

/* What must be known before the disk is opened. */
static void read_settings(const char *cmdline, struct keeper_world *world)
{
    static char line[KEEPER_LINE_MAX];

    while (next_command(&cmdline, line)) {
        const char *page = value_of(line, "page=");
        const char *root = value_of(line, "expect-root=");
        const size_t cap = sizeof(keeper.expected_root) - 1;

        if (page != NULL) {
            world->page_size = 0;
            for (; *page >= '0' && *page <= '9'; page++) {
                world->page_size =
                    world->page_size * 10 + (uint32_t)(*page - '0');
            }
        }
        for (size_t i = 0; root != NULL && i < cap && root[i] != '\0'; i++) {
            keeper.expected_root[i] = root[i];
        }
    }
}

static void run_commands(const char *cmdline)
{
    static char line[KEEPER_LINE_MAX];

    while (!keeper.quit && next_command(&cmdline, line)) {
        if (value_of(line, "page=") != NULL ||
            value_of(line, "expect-root=") != NULL) {
            continue;
        }
        keeper_command(&keeper, line);
        while (keeper_work(&keeper)) {
        }
    }
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static struct disk disk;
    struct keeper_world world = {
        .print = solo5_console_write,
        .now = clock_now,
        .disk_ops = &(const struct bd_ops){.submit = disk_submit},
        .disk_set_page_size = disk_set_page_size,
        .disk = &disk,
        .arena = (void *)info->heap_start,
        .arena_len = info->heap_size,
    };

    if (solo5_block_acquire("disk", &disk.handle, &disk.info) != SOLO5_R_OK) {
        return SOLO5_EXIT_FAILURE;
    }
    world.disk_len = disk.info.capacity;
    world.page_size = (uint32_t)disk.info.block_size;
    keeper_init(&keeper, &world);
    read_settings(info->cmdline, &world);
    const int err = keeper_open(&keeper);
    if (err == 0) {
        run_commands(info->cmdline);
    }
    keeper_close(&keeper);
    return err == 0 ? SOLO5_EXIT_SUCCESS : SOLO5_EXIT_FAILURE;
}
