/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    abort();
}

uint8_t fuzz_u8(struct fuzz_input *in)
{
    if (in->len == 0) {
        return 0;
    }
    in->len--;
    return *in->p++;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
    const uint16_t low = fuzz_u8(in);

    return (uint16_t)(low | fuzz_u8(in) << 8);
}

uint32_t fuzz_u32(struct fuzz_input *in)
{
    const uint32_t low = fuzz_u16(in);

    return low | (uint32_t)fuzz_u16(in) << 16;
}

uint64_t fuzz_number(uint32_t v, uint64_t near)
{
    const uint64_t low = v & 0xFFFFFF;

    switch (v >> 28) {
    case 1:
        return near + (v & 0xFF);
    case 2:
        return near - (v & 0xFF);
    case 3:
        return (UINT64_C(1) << (v >> 8 & 63)) + (v & 0xFF);
    case 4:
        return (UINT64_C(1) << (v >> 8 & 63)) - 1 - (v & 0xFF);
    case 5:
        return UINT64_MAX - (v & 0xFF);
    case 6:
        return low << 24 | low;
    default:
        return low;
    }
}

static int disk_submit(void *dev, const struct bd_request *reqs, size_t n_reqs)
{
    struct fuzz_disk *disk = dev;
    const size_t size = disk->bd.geo.page_size;

    for (size_t i = 0; i < n_reqs; i++) {
        uint8_t *at = disk->bytes + reqs[i].range.first * size;
        const size_t len = reqs[i].range.count * size;

        if (reqs[i].out != NULL) {
            memcpy(at, reqs[i].out, len);
        } else {
            memcpy(reqs[i].in, at, len);
        }
        fuzz_check(disk->budget >= reqs[i].range.count); /* else: a hang */
        disk->budget -= reqs[i].range.count;
    }
    return 0;
}

static int disk_flush(void *dev)
{
    (void)dev;
    return 0;
}

static const struct bd_ops disk_ops = {disk_submit, disk_flush, NULL};

void fuzz_disk_open(struct fuzz_disk *disk, uint32_t page_size, size_t len)
{
    const struct bd_geometry geo = {len / page_size, page_size, BD_CAP_FLUSH};

    disk->bytes = calloc(1, len);
    disk->budget = UINT64_MAX;
    fuzz_check(disk->bytes != NULL);
    fuzz_check(bd_init(&disk->bd, &disk_ops, disk, &geo) == 0);
}

void fuzz_disk_close(struct fuzz_disk *disk)
{
    free(disk->bytes);
    disk->bytes = NULL;
}

/* ---- Compression ---------------------------------------------------- */

static int compress_runs(void *ctx, const uint8_t *in, int in_len, uint8_t *out,
                         int out_len)
{
    int n = 0;

    (void)ctx;
    for (int i = 0; i < in_len; n += 2) {
        int run = 1;

        while (run < 255 && i + run < in_len && in[i + run] == in[i]) {
            run++;
        }
        if (n + 2 > out_len) {
            return -1;
        }
        out[n] = (uint8_t)run;
        out[n + 1] = in[i];
        i += run;
    }
    return n;
}

static int expand_runs(void *ctx, const uint8_t *in, int in_len, uint8_t *out,
                       int out_len)
{
    int n = 0;

    (void)ctx;
    for (int i = 0; i + 2 <= in_len; i += 2) {
        if (in[i] > out_len - n) {
            return -1;
        }
        memset(out + n, in[i + 1], in[i]);
        n += in[i];
    }
    return n;
}

const struct nf_codec fuzz_codec = {NULL, compress_runs, expand_runs};
