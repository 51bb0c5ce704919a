/* SPDX-License-Identifier: ISC */
/*
 * Each block is preceded by a tag that says where the memory really starts,
 * how long the block is, and, by a number made from its address, that it is
 * alive.
 */
#include "tests/support/mem_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mem_tag {
    void *base;
    size_t size;
    uint64_t magic;
};

#define MEM_TAG_ROOM 32 /* keeps 16-byte alignment */
_Static_assert(sizeof(struct mem_tag) <= MEM_TAG_ROOM, "the tag fits");

static uint64_t mem_tag_magic(const uint8_t *p)
{
    return UINT64_C(0x9D3C6E66746167E5) ^ (uint64_t)(uintptr_t)p;
}

static bool mem_fault_refuses(const struct mem_fault *mem)
{
    return mem->fail_at != 0 &&
           (mem->n_allocs == mem->fail_at ||
            (mem->for_ever && mem->n_allocs > mem->fail_at));
}

static void *mem_fault_alloc(void *ctx, size_t size, size_t align)
{
    struct mem_fault *mem = ctx;
    const size_t room = align < MEM_TAG_ROOM ? MEM_TAG_ROOM : align;
    struct mem_tag tag = {.size = size};

    mem->n_allocs++;
    if (mem_fault_refuses(mem)) {
        mem->n_failed++;
        return NULL;
    }
    if (size == 0 || align == 0 || (align & (align - 1)) != 0 || align > 4096) {
        fprintf(stderr, "mem_fault: alloc(%zu, align %zu)\n", size, align);
        abort();
    }
    if (size > SIZE_MAX - room ||
        posix_memalign(&tag.base, room, room + size) != 0) {
        return NULL;
    }
    uint8_t *p = (uint8_t *)tag.base + room;
    tag.magic = mem_tag_magic(p);
    memset(p, 0xA5, size);
    memcpy(p - sizeof(tag), &tag, sizeof(tag));
    mem->live_blocks++;
    mem->live_bytes += size;
    if (mem->live_bytes > mem->peak_bytes) {
        mem->peak_bytes = mem->live_bytes;
    }
    return p;
}

static void mem_fault_free(void *ctx, void *p, size_t size)
{
    struct mem_fault *mem = ctx;
    struct mem_tag tag;
    uint8_t *const at = (uint8_t *)p - sizeof(tag);

    memcpy(&tag, at, sizeof(tag));
    if (tag.magic != mem_tag_magic(p) || tag.size != size) {
        fprintf(stderr, "mem_fault: free(%p, %zu): %s\n", p, size,
                tag.magic != mem_tag_magic(p) ? "no live block"
                                              : "not the size it has");
        abort();
    }
    memset(at, 0, sizeof(tag));
    mem->live_blocks--;
    mem->live_bytes -= size;
    free(tag.base);
}

static struct nf_time mem_fault_now(void *ctx)
{
    struct mem_fault *mem = ctx;

    return (struct nf_time){.sec = mem->clock_sec++};
}

void mem_fault_init(struct mem_fault *mem)
{
    *mem = (struct mem_fault){
        .env =
            {
                .ctx = mem,
                .alloc = mem_fault_alloc,
                .free = mem_fault_free,
                .now = mem_fault_now,
            },
        .clock_sec = MEM_FAULT_EPOCH,
    };
}

void mem_fault_fail(struct mem_fault *mem, uint64_t n, bool for_ever)
{
    mem->fail_at = n == 0 ? 0 : mem->n_allocs + n;
    mem->for_ever = for_ever;
    mem->n_failed = 0;
}
