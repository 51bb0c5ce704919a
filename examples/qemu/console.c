/* SPDX-License-Identifier: ISC */
/* The first serial port, a 16550, by asking it. */
#include "examples/qemu/machine.h"

enum {
    COM1 = 0x3f8,
    COM1_DATA = COM1,
    COM1_INTERRUPTS = COM1 + 1,
    COM1_LINE = COM1 + 3,
    COM1_STATUS = COM1 + 5,
    STATUS_HAS_BYTE = 0x01,
    STATUS_CAN_SEND = 0x20,
};

/* The queues stay as they are: something may have been typed already. */
void console_init(void)
{
    port_write(COM1_INTERRUPTS, 0);
    port_write(COM1_LINE, 0x80); /* the divisor: 115200 baud */
    port_write(COM1_DATA, 1);
    port_write(COM1_INTERRUPTS, 0);
    port_write(COM1_LINE, 0x03); /* 8 bits, no parity */
}

void console_print(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        while ((port_read(COM1_STATUS) & STATUS_CAN_SEND) == 0) {
        }
        port_write(COM1_DATA, (uint8_t)text[i]);
    }
}

int console_poll(void)
{
    if ((port_read(COM1_STATUS) & STATUS_HAS_BYTE) == 0) {
        return -1;
    }
    return port_read(COM1_DATA);
}
