/* SPDX-License-Identifier: ISC */
/*
 * virtio-blk over virtio-mmio, version 1.1 of the specification, without
 * interrupts: a batch is put into the queue, as much of it as fits at once,
 * and the device is watched until it has answered all of that.
 *
 * Each request takes three descriptors: header, data, status. Memory is mapped
 * as it is, so addresses are physical ones.
 */
#include <string.h>

#include "examples/qemu/machine.h"

enum { /* registers, in words of 4 bytes */
       REG_MAGIC = 0x000 / 4,
       REG_VERSION = 0x004 / 4,
       REG_DEVICE_ID = 0x008 / 4,
       REG_DEVICE_FEATURES = 0x010 / 4,
       REG_DEVICE_FEATURES_SEL = 0x014 / 4,
       REG_DRIVER_FEATURES = 0x020 / 4,
       REG_DRIVER_FEATURES_SEL = 0x024 / 4,
       REG_QUEUE_SEL = 0x030 / 4,
       REG_QUEUE_NUM_MAX = 0x034 / 4,
       REG_QUEUE_NUM = 0x038 / 4,
       REG_QUEUE_READY = 0x044 / 4,
       REG_QUEUE_NOTIFY = 0x050 / 4,
       REG_STATUS = 0x070 / 4,
       REG_QUEUE_DESC = 0x080 / 4,
       REG_QUEUE_DRIVER = 0x090 / 4,
       REG_QUEUE_DEVICE = 0x0a0 / 4,
       REG_CAPACITY = 0x100 / 4,
};

enum {
    VIRTIO_MAGIC = 0x74726976,
    VIRTIO_ID_BLOCK = 2,
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    FEATURE_READONLY = 1 << 5,
    FEATURE_FLUSH = 1 << 9,
    FEATURE_HIGH_VERSION_1 = 1, /* bit 32 */
    DESC_NEXT = 1,
    DESC_DEVICE_WRITES = 2,
    BLK_READ = 0,
    BLK_WRITE = 1,
    BLK_FLUSH = 4,
    SECTOR_LEN = 512,
    QUEUE_REQUESTS = 16,
    QUEUE_LEN = 64, /* a power of two >= 3 * QUEUE_REQUESTS */
};

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

struct header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

/* What the device reads and writes; there is one disk. */
static struct {
    _Alignas(16) struct desc desc[QUEUE_LEN];
    struct {
        uint16_t flags;
        uint16_t index;
        uint16_t ring[QUEUE_LEN];
    } avail;
    _Alignas(4) struct {
        uint16_t flags;
        volatile uint16_t index;
        struct {
            uint32_t id;
            uint32_t len;
        } ring[QUEUE_LEN];
    } used;
    struct header headers[QUEUE_REQUESTS];
    volatile uint8_t status[QUEUE_REQUESTS];
} queue;

static void barrier(void)
{
    __asm__ volatile("mfence" : : : "memory");
}

/* Describe request number i of those that are sent together. */
static void queue_put(uint16_t i, const struct header *header, void *data,
                      uint32_t len)
{
    struct desc *desc = &queue.desc[3 * i];
    const uint16_t first = (uint16_t)(3 * i);
    const uint16_t data_flags =
        header->type == BLK_READ ? DESC_DEVICE_WRITES : 0;

    queue.headers[i] = *header;
    queue.status[i] = 0xff;
    desc[0] = (struct desc){(uintptr_t)&queue.headers[i], sizeof(*header),
                            DESC_NEXT, (uint16_t)(first + 1)};
    desc[1] =
        (struct desc){(uintptr_t)data, len, (uint16_t)(data_flags | DESC_NEXT),
                      (uint16_t)(first + 2)};
    desc[2] =
        (struct desc){(uintptr_t)&queue.status[i], 1, DESC_DEVICE_WRITES, 0};
    if (len == 0) { /* a flush has no data */
        desc[0].next = (uint16_t)(first + 2);
    }
    queue.avail.ring[(uint16_t)(queue.avail.index + i) % QUEUE_LEN] = first;
}

/* Send the first n requests that were described, and wait for all of them. */
static int queue_run(struct disk *disk, uint16_t n)
{
    int err = 0;

    barrier();
    queue.avail.index = (uint16_t)(queue.avail.index + n);
    barrier();
    disk->regs[REG_QUEUE_NOTIFY] = 0;
    disk->done = (uint16_t)(disk->done + n);
    while (queue.used.index != disk->done) {
        __asm__ volatile("pause");
    }
    barrier();
    for (uint16_t i = 0; i < n; i++) {
        err = queue.status[i] != 0 ? NF_EIO : err;
    }
    return err;
}

static int disk_submit(void *dev, const struct bd_request *reqs, size_t n_reqs)
{
    struct disk *disk = dev;
    int err = 0;

    for (size_t at = 0; at < n_reqs && err == 0; at += QUEUE_REQUESTS) {
        uint16_t n = 0;

        for (; n < QUEUE_REQUESTS && at + n < n_reqs; n++) {
            const struct bd_request *req = &reqs[at + n];
            const uint32_t page_size = disk->page_size;
            const struct header header = {
                .type = req->out != NULL ? BLK_WRITE : BLK_READ,
                .sector = req->range.first * (page_size / SECTOR_LEN),
            };
            queue_put(n, &header,
                      req->out != NULL ? (void *)(uintptr_t)req->out : req->in,
                      req->range.count * page_size);
        }
        err = queue_run(disk, n);
    }
    return err;
}

static int disk_flush(void *dev)
{
    const struct header header = {.type = BLK_FLUSH};

    queue_put(0, &header, NULL, 0);
    return queue_run(dev, 1);
}

const struct bd_ops disk_ops = {.submit = disk_submit, .flush = disk_flush};

void disk_set_page_size(void *disk, uint32_t page_size)
{
    ((struct disk *)disk)->page_size = page_size;
}

static void disk_set_address(struct disk *disk, int reg, const volatile void *p)
{
    disk->regs[reg] = (uint32_t)(uintptr_t)p;
    disk->regs[reg + 1] = (uint32_t)((uintptr_t)p >> 32);
}

int disk_init(struct disk *disk, uint64_t regs)
{
    volatile uint32_t *r = (volatile uint32_t *)(uintptr_t)regs;

    *disk = (struct disk){.regs = r};
    if (r[REG_MAGIC] != VIRTIO_MAGIC || r[REG_DEVICE_ID] != VIRTIO_ID_BLOCK) {
        return NF_ENOENT;
    }
    if (r[REG_VERSION] != 2) {
        return NF_ENOTSUP; /* -global virtio-mmio.force-legacy=false */
    }
    r[REG_STATUS] = 0;
    r[REG_STATUS] = STATUS_ACKNOWLEDGE;
    r[REG_STATUS] |= STATUS_DRIVER;
    r[REG_DEVICE_FEATURES_SEL] = 0;
    const uint32_t features =
        r[REG_DEVICE_FEATURES] & (FEATURE_READONLY | FEATURE_FLUSH);
    r[REG_DRIVER_FEATURES_SEL] = 0;
    r[REG_DRIVER_FEATURES] = features;
    r[REG_DRIVER_FEATURES_SEL] = 1;
    r[REG_DRIVER_FEATURES] = FEATURE_HIGH_VERSION_1;
    r[REG_STATUS] |= STATUS_FEATURES_OK;
    r[REG_QUEUE_SEL] = 0;
    if ((r[REG_STATUS] & STATUS_FEATURES_OK) == 0 ||
        r[REG_QUEUE_NUM_MAX] < QUEUE_LEN) {
        return NF_ENOTSUP;
    }
    memset(&queue, 0, sizeof(queue));
    queue.avail.flags = 1; /* no interrupts */
    r[REG_QUEUE_NUM] = QUEUE_LEN;
    disk_set_address(disk, REG_QUEUE_DESC, queue.desc);
    disk_set_address(disk, REG_QUEUE_DRIVER, &queue.avail);
    disk_set_address(disk, REG_QUEUE_DEVICE, &queue.used);
    r[REG_QUEUE_READY] = 1;
    r[REG_STATUS] |= STATUS_DRIVER_OK;
    disk->caps = (features & FEATURE_READONLY) != 0 ? BD_CAP_READONLY : 0u;
    disk->caps |= (features & FEATURE_FLUSH) != 0 ? BD_CAP_FLUSH : 0u;
    disk->len =
        (r[REG_CAPACITY] | (uint64_t)r[REG_CAPACITY + 1] << 32) * SECTOR_LEN;
    return 0;
}
