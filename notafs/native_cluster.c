/* SPDX-License-Identifier: ISC */
/*
 * Files of the native format: ropes, some of them with LZ4.
 *
 * Such a file is cut into clusters of 64 KiB. A cluster is stored raw, as any
 * 64 KiB of a rope, or packed, if that saves a page: then its first pages hold
 *    0  4  bytes that follow the header
 *    4  4  bytes that they decompress to, 1..65536
 *    8 ..  LZ4 block, and zeros to the end of the page
 * its other pages are holes, and the pointer to the first one says `packed`. A
 * packed cluster is always read and written whole.
 */
#include "notafs/native_int.h"

#define HEADER_LEN 8u

/* The buffers, allocated when they are first needed. */
static int buffers(struct nf *nf)
{
    struct nf_native *native = &nf->native;
    if (native->cluster == NULL) {
        native->cluster = nf_alloc(&nf->mem, NATIVE_CLUSTER);
    }
    if (native->packed == NULL) {
        native->packed = nf_alloc(&nf->mem, NATIVE_CLUSTER);
    }
    if (native->cluster == NULL || native->packed == NULL) {
        return nf_fail(nf, NF_ENOMEM, NF_NOWHERE, "compressed cluster");
    }
    return 0;
}

void nf_native_cluster_release(struct nf *nf)
{
    nf_free(&nf->mem, nf->native.cluster, NATIVE_CLUSTER);
    nf_free(&nf->mem, nf->native.packed, NATIVE_CLUSTER);
    nf->native.cluster = NULL;
    nf->native.packed = NULL;
}

/* Whether the cluster at byte start is packed, and whether it is a hole. */
static int look(struct nf *nf, const struct nf_rope *rope, uint64_t start,
                struct nf_ptr *ret)
{
    return nf_native_rope_page(nf, rope, start / nf->disk.page_size, ret);
}

/* A packed cluster into native.cluster, zeros behind its end. */
static int unpack(struct nf *nf, const struct nf_rope *rope, uint64_t start,
                  uint64_t page)
{
    uint8_t *packed = nf->native.packed;
    uint32_t max = NATIVE_CLUSTER - nf->disk.page_size - HEADER_LEN;
    if (nf->codec == NULL) {
        return nf_fail(nf, NF_EC_NO_CODEC, page, "compressed cluster");
    }
    int err = nf_native_rope_read(nf, rope, start, packed, HEADER_LEN);
    if (err != 0) {
        return err;
    }
    uint32_t len = nf_get_le32(packed);
    uint32_t raw = nf_get_le32(packed + 4);
    if (len == 0 || len > max || raw == 0 || raw > NATIVE_CLUSTER) {
        return nf_fail_value(nf, NF_EC_COMPRESSED, page, "compressed cluster",
                             max, len);
    }
    err = nf_native_rope_read(nf, rope, start + HEADER_LEN, packed, len);
    if (err != 0) {
        return err;
    }
    int got = nf->codec->decompress(nf->codec->ctx, packed, (int)len,
                                    nf->native.cluster, (int)raw);
    if (got != (int)raw) {
        return nf_fail(nf, NF_EC_COMPRESSED, page, "compressed cluster");
    }
    memset(nf->native.cluster + raw, 0, NATIVE_CLUSTER - raw);
    return 0;
}

/* Any cluster into native.cluster, zeros behind the end of the file. */
static int load(struct nf *nf, const struct nf_rope *rope, uint64_t start)
{
    struct nf_ptr first;
    int err = buffers(nf);
    if (err == 0) {
        err = look(nf, rope, start, &first);
    }
    if (err != 0) {
        return err;
    }
    if (first.packed) {
        return unpack(nf, rope, start, first.id);
    }
    size_t len = 0;
    if (rope->size > start) {
        len = (size_t)nf_min_u64(rope->size - start, NATIVE_CLUSTER);
    }
    memset(nf->native.cluster + len, 0, NATIVE_CLUSTER - len);
    return nf_native_rope_read(nf, rope, start, nf->native.cluster, len);
}

/* Compress len bytes of native.cluster: the bytes to store, 0 if raw is as
 * good. */
static uint32_t compress(struct nf *nf, uint32_t len)
{
    uint32_t size = nf->disk.page_size;
    uint32_t pages = (len + size - 1) / size;
    uint8_t *packed = nf->native.packed;
    if (nf->codec == NULL || pages < 2) {
        return 0;
    }
    uint32_t room = (pages - 1) * size - HEADER_LEN;
    int got = nf->codec->compress(nf->codec->ctx, nf->native.cluster, (int)len,
                                  packed + HEADER_LEN, (int)room);
    if (got <= 0 || (uint32_t)got > room) {
        return 0;
    }
    nf_put_le32(packed, (uint32_t)got);
    nf_put_le32(packed + 4, len);
    return (uint32_t)got + HEADER_LEN;
}

/* Store len bytes of native.cluster as the cluster at start, which ends there
 * or at the end of the file. */
static int store(struct nf *nf, struct nf_rope *rope, uint64_t start,
                 uint32_t len)
{
    uint64_t size = nf_max_u64(rope->size, start + len);
    uint64_t page = start / nf->disk.page_size;
    struct nf_ptr first;
    int err = look(nf, rope, start, &first);
    uint32_t packed_len = rope->lz4 ? compress(nf, len) : 0;
    if (err == 0 && (first.packed || packed_len > 0)) {
        /* Whole pages, whatever lies behind the end of the file. */
        rope->size = nf_max_u64(size, start + NATIVE_CLUSTER);
        err = nf_native_rope_punch(nf, rope, start, NATIVE_CLUSTER);
        rope->size = size;
    }
    if (err == 0 && packed_len > 0) {
        err = nf_native_rope_write(nf, rope, start, nf->native.packed,
                                   packed_len);
        if (err == 0) {
            err = nf_native_rope_pack(nf, rope, page);
        }
    } else if (err == 0) {
        err = nf_native_rope_write(nf, rope, start, nf->native.cluster, len);
    }
    rope->size = size;
    return err;
}

/* Bytes of the cluster at start that lie in a file of that size. */
static uint32_t cluster_len(uint64_t start, uint64_t size)
{
    return size <= start ? 0
                         : (uint32_t)nf_min_u64(size - start, NATIVE_CLUSTER);
}

/* ---- Reading -------------------------------------------------------- */

int nf_native_file_read(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        uint8_t *buf, size_t len)
{
    if (!rope->lz4) {
        return nf_native_rope_read(nf, rope, off, buf, len);
    }
    while (len > 0) {
        uint64_t in = off % NATIVE_CLUSTER;
        size_t part = (size_t)nf_min_u64(len, NATIVE_CLUSTER - in);
        struct nf_ptr first;
        int err = look(nf, rope, off - in, &first);
        if (err == 0 && first.packed) {
            err = load(nf, rope, off - in);
            if (err == 0) {
                memcpy(buf, nf->native.cluster + in, part);
            }
        } else if (err == 0) {
            err = nf_native_rope_read(nf, rope, off, buf, part);
        }
        if (err != 0) {
            return err;
        }
        off += part;
        buf += part;
        len -= part;
    }
    return 0;
}

/* A packed cluster is data, whatever holes there are among its pages. */
int nf_native_file_seek(struct nf *nf, const struct nf_rope *rope, uint64_t off,
                        bool data, uint64_t *ret)
{
    if (!rope->lz4) {
        return nf_native_rope_seek(nf, rope, off, data, ret);
    }
    /* More packed clusters than the disk has pages: some are met again. */
    for (uint64_t steps = 2 * nf->page_count; off < rope->size; steps--) {
        uint64_t start = off - off % NATIVE_CLUSTER;
        struct nf_ptr first;
        int err = look(nf, rope, start, &first);
        if (err == 0 && steps == 0) {
            err = nf_fail(nf, NF_EC_DOUBLE_USE, rope->root.id, "rope");
        }
        if (err == 0 && !first.packed) {
            /* Up to there nothing is packed: there would be data and holes. */
            err = nf_native_rope_seek(nf, rope, off, data, &off);
            if (err == 0 && off >= start + NATIVE_CLUSTER) {
                continue;
            }
            *ret = err == 0 ? off : *ret;
            return err;
        }
        if (err != 0) {
            return err;
        }
        if (data) {
            *ret = off;
            return 0;
        }
        off = start + NATIVE_CLUSTER;
    }
    *ret = rope->size;
    return data ? NF_ERANGE : 0;
}

/* ---- Writing -------------------------------------------------------- */

uint64_t nf_native_file_need(const struct nf *nf, const struct nf_rope *rope,
                             uint64_t off, uint64_t len)
{
    if (rope->lz4) {
        uint64_t in = off % NATIVE_CLUSTER;
        off -= in;
        len = nf_div_up_u64(len + in, NATIVE_CLUSTER) * NATIVE_CLUSTER;
    }
    return nf_native_rope_need(nf, rope, off, len);
}

int nf_native_file_write(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         const uint8_t *buf, size_t len)
{
    if (!rope->lz4) {
        return nf_native_rope_write(nf, rope, off, buf, len);
    }
    while (len > 0) {
        uint64_t in = off % NATIVE_CLUSTER;
        size_t part = (size_t)nf_min_u64(len, NATIVE_CLUSTER - in);
        bool whole = part == NATIVE_CLUSTER;
        int err = whole ? buffers(nf) : load(nf, rope, off - in);
        if (err != 0) {
            return err;
        }
        memcpy(nf->native.cluster + in, buf, part);
        uint64_t size = nf_max_u64(rope->size, off + part);
        err = store(nf, rope, off - in, cluster_len(off - in, size));
        if (err != 0) {
            return err;
        }
        off += part;
        buf += part;
        len -= part;
    }
    return 0;
}

int nf_native_file_truncate(struct nf *nf, struct nf_rope *rope, uint64_t size)
{
    uint64_t start = size - size % NATIVE_CLUSTER;
    struct nf_ptr first = {0};
    int err = 0;
    if (rope->lz4 && size < rope->size && size > start) {
        err = look(nf, rope, start, &first);
    }
    if (err == 0 && first.packed) {
        err = load(nf, rope, start);
    }
    if (err == 0) {
        err = nf_native_rope_truncate(nf, rope, first.packed ? start : size);
    }
    if (err == 0 && first.packed) {
        err = store(nf, rope, start, cluster_len(start, size));
    }
    return err;
}

int nf_native_file_punch(struct nf *nf, struct nf_rope *rope, uint64_t off,
                         uint64_t len)
{
    if (!rope->lz4) {
        return nf_native_rope_punch(nf, rope, off, len);
    }
    while (len > 0) {
        uint64_t in = off % NATIVE_CLUSTER;
        uint64_t start = off - in;
        uint64_t part = nf_min_u64(len, NATIVE_CLUSTER - in);
        uint32_t have = cluster_len(start, rope->size);
        struct nf_ptr first;
        int err = look(nf, rope, start, &first);
        if (err == 0 && in == 0 && len > NATIVE_CLUSTER) {
            part = len - len % NATIVE_CLUSTER; /* whole ones at once */
        }
        if (err == 0 && first.packed && part < have) {
            err = load(nf, rope, start);
            if (err == 0) {
                memset(nf->native.cluster + in, 0, (size_t)part);
                err = store(nf, rope, start, have);
            }
        } else if (err == 0) {
            err = nf_native_rope_punch(nf, rope, off, part);
        }
        if (err != 0) {
            return err;
        }
        off += part;
        len -= part;
    }
    return 0;
}

int nf_native_file_recode(struct nf *nf, struct nf_rope *rope, bool lz4)
{
    rope->lz4 = lz4;
    for (uint64_t start = 0; start < rope->size; start += NATIVE_CLUSTER) {
        struct nf_ptr first;
        int err = look(nf, rope, start, &first);
        if (err == 0 && !nf_ptr_is_null(&first)) {
            err = load(nf, rope, start);
            if (err == 0) {
                err = store(nf, rope, start, cluster_len(start, rope->size));
            }
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}
