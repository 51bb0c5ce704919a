/* SPDX-License-Identifier: ISC */
/*
 * The keeper on a PC without firmware or system: what is said at boot, the
 * arena, and the loop. The loader's command line may say, between spaces:
 *
 *     arena=BYTES       memory of the keeper (1048576)
 *     page=BYTES        page size of a disk that it formats (4096)
 *     expect-root=HASH  refuse a store whose tree is not this one
 *     flush=no          do as if the disk had no flush
 *     run=N             commits to make right away
 *
 * QEMU adds virtio_mmio.device=LEN@ADDRESS:IRQ for each device.
 */
#include "examples/keeper/keeper.h"
#include "examples/qemu/machine.h"

/* What a PVH loader tells; the beginning of it. */
struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t n_modules;
    uint64_t modules;
    uint64_t cmdline;
};
enum { START_INFO_MAGIC = 0x336ec578 };

extern uint8_t boot_stack[];
extern uint8_t boot_stack_end[];
extern uint8_t __bss_end[];

void guest_main(const struct start_info *info);

static struct disk disk;
static struct keeper keeper;

/* ---- The command line ------------------------------------------------- */

/* What follows name in the command line, NULL: it is not there. */
static const char *option(const char *cmdline, const char *name)
{
    const size_t len = strlen(name);

    for (const char *p = cmdline; *p != '\0'; p++) {
        size_t i = 0;

        while (i < len && p[i] == name[i]) {
            i++;
        }
        if (i == len && (p == cmdline || p[-1] == ' ')) {
            return p + len;
        }
    }
    return NULL;
}

static uint32_t digit(char c)
{
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0');
    }
    return c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 16;
}

static uint64_t number(const char *text, uint32_t base)
{
    uint64_t n = 0;

    while (digit(*text) < base) {
        n = n * base + digit(*text++);
    }
    return n;
}

static uint64_t option_number(const char *cmdline, const char *name,
                              uint64_t without)
{
    const char *text = option(cmdline, name);

    return text != NULL ? number(text, 10) : without;
}

static void option_copy(const char *cmdline, const char *name, char *buf,
                        size_t cap)
{
    const char *text = option(cmdline, name);

    for (size_t i = 0;
         text != NULL && i + 1 < cap && text[i] != ' ' && text[i] != '\0';
         i++) {
        buf[i] = text[i];
    }
}

/* ---- The world -------------------------------------------------------- */

static size_t stack_peak(void)
{
    const uint8_t *p = boot_stack;

    while (p < boot_stack_end && *p == 0xa5) { /* as boot.S painted it */
        p++;
    }
    return (size_t)(boot_stack_end - p);
}

/* The first disk among the devices that QEMU lists. */
static int find_disk(const char *cmdline)
{
    static const char name[] = "virtio_mmio.device=";
    const char *text = cmdline;
    int err = NF_ENOENT;

    while (err == NF_ENOENT && (text = option(text, name)) != NULL) {
        while (*text != '@' && *text != '\0') {
            text++;
        }
        if (memcmp(text, "@0x", 3) == 0) {
            err = disk_init(&disk, number(text + 3, 16));
        }
    }
    return err;
}

static _Noreturn void power_off(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_handlers = {0, 0};

    for (;;) { /* a fault without a handler resets the machine */
        __asm__ volatile("lidt %0; int3" : : "m"(no_handlers));
    }
}

/* Take what was typed; run the line when it is complete. */
static void listen(struct keeper *k)
{
    static char line[KEEPER_LINE_MAX];
    static size_t len;
    int byte;

    while ((byte = console_poll()) >= 0) {
        if (byte == '\r' || byte == '\n') {
            line[len] = '\0';
            len = 0;
            keeper_command(k, line);
            return;
        }
        if (len < sizeof(line) - 1) {
            line[len++] = (char)byte;
        }
    }
}

void guest_main(const struct start_info *info)
{
    static struct keeper_world world = {
        .print = console_print,
        .now = clock_now,
        .stack_peak = stack_peak,
        .disk_ops = &disk_ops,
        .disk_set_page_size = disk_set_page_size,
        .disk = &disk,
        .arena = __bss_end,
    };
    const char *cmdline = "";

    console_init();
    if (info->magic == START_INFO_MAGIC && info->cmdline != 0) {
        cmdline = (const char *)(uintptr_t)info->cmdline;
    }
    world.page_size = (uint32_t)option_number(cmdline, "page=", 4096);
    world.arena_len = option_number(cmdline, "arena=", 1 << 20);
    const int err = find_disk(cmdline);
    keeper_init(&keeper, &world);
    if (err != 0) {
        say_error(&keeper, "the disk", err);
        power_off();
    }
    world.disk_len = disk.len;
    world.disk_caps = disk.caps;
    if (option(cmdline, "flush=no") != NULL) {
        world.disk_caps &= ~(uint32_t)BD_CAP_FLUSH;
    }
    option_copy(cmdline, "expect-root=", keeper.expected_root,
                sizeof(keeper.expected_root));
    if (keeper_open(&keeper) == 0) {
        keeper.loop_left = option_number(cmdline, "run=", 0);
    }
    while (!keeper.quit) {
        listen(&keeper);
        (void)keeper_work(&keeper); /* or look again */
    }
    keeper_close(&keeper);
    power_off();
}
