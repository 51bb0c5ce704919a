/* SPDX-License-Identifier: ISC */
/*
 * The checked front of a block device. Nothing malformed or out of bounds
 * passes it, so a driver needs no checks of its own; what passes is counted.
 *
 * That the ranges of a batch are disjoint is the caller's promise: checking
 * it would cost more than the rest of this file.
 */
#include <notafs/blockdev.h>

#include "notafs/platform/checked.h"

static bool bd_geometry_valid(const struct bd_geometry *geo,
                              const struct bd_ops *ops)
{
    const uint32_t known = BD_CAP_FLUSH | BD_CAP_READONLY | BD_CAP_DISCARD;
    uint64_t len;

    return geo->page_size >= 512 && geo->page_size <= 65536 &&
           (geo->page_size & (geo->page_size - 1)) == 0 &&
           geo->page_count >= 1 &&
           nf_mul_u64(geo->page_count, geo->page_size, &len) &&
           (geo->caps & ~known) == 0 && ops->submit != NULL &&
           ((geo->caps & BD_CAP_FLUSH) == 0 || ops->flush != NULL) &&
           ((geo->caps & BD_CAP_DISCARD) == 0 || ops->discard != NULL);
}

int bd_init(struct bd *bd, const struct bd_ops *ops, void *dev,
            const struct bd_geometry *geo)
{
    if (!bd_geometry_valid(geo, ops)) {
        return NF_EINVAL;
    }
    *bd = (struct bd){.ops = ops, .dev = dev, .geo = *geo};
    return 0;
}

static int bd_check_range(const struct bd *bd, struct bd_range range)
{
    uint64_t end;

    if (range.count == 0) {
        return NF_EINVAL;
    }
    if (!nf_add_u64(range.first, range.count, &end) ||
        end > bd->geo.page_count) {
        return NF_ERANGE;
    }
    return 0;
}

static int bd_check_request(const struct bd *bd, const struct bd_request *req)
{
    const uint64_t len = (uint64_t)req->range.count * bd->geo.page_size;

    if ((req->in == NULL) == (req->out == NULL)) {
        return NF_EINVAL;
    }
    int err = bd_check_range(bd, req->range);
    if (err == 0 && (size_t)len != len) {
        err = NF_EINVAL; /* no buffer is longer than the address space */
    }
    if (err == 0 && req->out != NULL && (bd->geo.caps & BD_CAP_READONLY) != 0) {
        err = NF_EROFS;
    }
    return err;
}

int bd_submit(struct bd *bd, const struct bd_request *reqs, size_t n_reqs)
{
    for (size_t i = 0; i < n_reqs; i++) {
        int err = bd_check_request(bd, &reqs[i]);
        if (err != 0) {
            return err;
        }
    }
    if (n_reqs == 0) {
        return 0;
    }
    bd->count.batches++;
    for (size_t i = 0; i < n_reqs; i++) {
        if (reqs[i].out != NULL) {
            bd->count.writes++;
            bd->count.pages_written += reqs[i].range.count;
        } else {
            bd->count.reads++;
            bd->count.pages_read += reqs[i].range.count;
        }
    }
    return bd->ops->submit(bd->dev, reqs, n_reqs);
}

int bd_read(struct bd *bd, uint64_t first, uint32_t count, uint8_t *in)
{
    const struct bd_request req = {.range = {first, count}, .in = in};

    return bd_submit(bd, &req, 1);
}

int bd_write(struct bd *bd, uint64_t first, uint32_t count, const uint8_t *out)
{
    const struct bd_request req = {.range = {first, count}, .out = out};

    return bd_submit(bd, &req, 1);
}

int bd_flush(struct bd *bd)
{
    if ((bd->geo.caps & BD_CAP_FLUSH) == 0) {
        return 0;
    }
    bd->count.flushes++;
    return bd->ops->flush(bd->dev);
}

int bd_discard(struct bd *bd, const struct bd_range *ranges, size_t n_ranges)
{
    for (size_t i = 0; i < n_ranges; i++) {
        int err = bd_check_range(bd, ranges[i]);
        if (err != 0) {
            return err;
        }
    }
    if ((bd->geo.caps & BD_CAP_READONLY) != 0) {
        return NF_EROFS;
    }
    if (n_ranges == 0 || (bd->geo.caps & BD_CAP_DISCARD) == 0) {
        return 0;
    }
    bd->count.discards += n_ranges;
    return bd->ops->discard(bd->dev, ranges, n_ranges);
}
