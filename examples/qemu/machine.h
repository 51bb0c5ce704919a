/* SPDX-License-Identifier: ISC */
/* The machine: ports, console, clock, disk. */
#ifndef EXAMPLES_QEMU_MACHINE_H
#define EXAMPLES_QEMU_MACHINE_H

#include <notafs/blockdev.h>

static inline void port_write(uint16_t port, uint8_t byte)
{
    __asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

static inline uint8_t port_read(uint16_t port)
{
    uint8_t byte;

    __asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"(port));
    return byte;
}

/* ---- console.c: the first serial port ---- */
void console_init(void);
void console_print(const char *text, size_t len);
/* The next byte that was typed; -1: none yet. */
int console_poll(void);

/* ---- clock.c: the battery-backed clock, in UTC ---- */
struct nf_time clock_now(void *unused);

/* ---- disk.c: virtio-blk on virtio-mmio ---- */
struct disk {
    volatile uint32_t *regs;
    uint64_t len; /* bytes */
    uint32_t caps;
    uint32_t page_size; /* in which requests count */
    uint16_t done;      /* requests that the device has answered, modulo 2^16 */
};
extern const struct bd_ops disk_ops;
void disk_set_page_size(void *disk, uint32_t page_size);
/* Take over the device at regs. Errors: NF_ENOENT: it is no disk; NF_ENOTSUP:
 * it is one that this driver does not know. */
int disk_init(struct disk *disk, uint64_t regs);

#endif
