/* SPDX-License-Identifier: ISC */
/* The native format: its table of functions, and how its pointers are coded. */
#include "notafs/native_node.h"

bool nf_native_ptr_ok(const struct nf *nf, const struct nf_ptr *ptr,
                      uint64_t birth)
{
    return ptr->id >= nf->first_page && ptr->id < nf->space.free_start &&
           ptr->birth <= birth;
}

static int node_check(struct nf *nf, enum nf_kind kind,
                      const struct nf_ptr *ptr, const uint8_t *page)
{
    switch (kind) {
    case NF_KIND_DATA:
        return 0;
    case NF_KIND_ROPE:
        return nf_native_rope_check(nf, page, ptr->birth);
    case NF_KIND_TABLE:
        return nf_native_table_check(nf, page, ptr->birth);
    case NF_KIND_QUEUE:
        break;
    }
    return NF_EC_NODE;
}

/* A leaf of the table has its pointers in records, which inodes keep: none of
 * the cache's concern. */
static uint32_t ptr_count(const struct nf *nf, enum nf_kind kind,
                          const uint8_t *page)
{
    switch (kind) {
    case NF_KIND_ROPE:
        return nf_native_fan(nf);
    case NF_KIND_TABLE:
        return page[1] > 0 ? nf_get_le16(page + 2) : 0;
    case NF_KIND_DATA:
    case NF_KIND_QUEUE:
        break;
    }
    return 0;
}

static uint32_t ptr_at(const struct nf *nf, enum nf_kind kind,
                       const uint8_t *page, uint32_t i)
{
    (void)nf;
    return kind == NF_KIND_TABLE ? nf_native_table_ptr_at(page, i)
                                 : NATIVE_NODE_LEN + i * NATIVE_PTR_LEN;
}

void nf_native_ptr_get(const struct nf *nf, const uint8_t *p,
                       struct nf_ptr *ret)
{
    (void)nf;
    ret->id = nf_get_le48(p);
    ret->birth = nf_get_le48(p + 6) & ~NATIVE_PACKED;
    ret->packed = (nf_get_le48(p + 6) & NATIVE_PACKED) != 0;
    ret->sum = nf_get_le64(p + 12);
}

void nf_native_ptr_put(const struct nf *nf, uint8_t *p,
                       const struct nf_ptr *ptr)
{
    (void)nf;
    nf_put_le48(p, ptr->id);
    nf_put_le48(p + 6, ptr->birth | (ptr->packed ? NATIVE_PACKED : 0));
    nf_put_le64(p + 12, ptr->sum);
}

static uint64_t page_sum(const uint8_t *page, size_t len,
                         enum nf_checksum checksum)
{
    (void)checksum; /* there is one */
    return nf_xxh3(page, len);
}

static uint32_t ptr_len(const struct nf *nf)
{
    (void)nf;
    return NATIVE_PTR_LEN;
}

static uint64_t table_pages(const struct nf *nf)
{
    return nf->native.table_pages;
}

static uint64_t min_pages(const struct nf *nf)
{
    return nf_native_first_page(&nf->disk) + NATIVE_MIN_FREE;
}

static int table_flush(struct nf *nf)
{
    (void)nf;
    return 0; /* it is on pages always */
}

const struct nf_format nf_native_format = {
    .node_check = node_check,
    .ptr_len = ptr_len,
    .ptr_count = ptr_count,
    .ptr_at = ptr_at,
    .ptr_get = nf_native_ptr_get,
    .ptr_put = nf_native_ptr_put,
    .page_sum = page_sum,
    .probe = nf_native_probe,
    .forget_copies = nf_native_forget_copies,
    .format_disk = nf_native_format_disk,
    .open = nf_native_open,
    .reload = nf_native_reload,
    .close = nf_native_close,
    .publish = nf_native_publish,
    .queue_front = nf_native_queue_front,
    .queue_take = nf_native_queue_take,
    .queue_spill = nf_native_queue_spill,
    .queue_trim = nf_native_queue_trim,
    .queue_own = nf_native_queue_own,
    .table_get = nf_native_table_get,
    .table_put = nf_native_table_put,
    .table_del = nf_native_table_del,
    .table_next = nf_native_table_next,
    .table_scan = nf_native_table_scan,
    .table_flush = table_flush,
    .table_need = nf_native_table_need,
    .rope_read = nf_native_file_read,
    .rope_write = nf_native_file_write,
    .rope_truncate = nf_native_file_truncate,
    .rope_free = nf_native_rope_free,
    .rope_need = nf_native_file_need,
    .table_pages = table_pages,
    .min_pages = min_pages,
    .reuse_age = 4,
    .max_file_bytes = NATIVE_MAX_BYTES,
    .max_name_bytes = nf_native_max_name,
    .max_inline_bytes = nf_native_max_inline,
    .mirage_times = false,
    .births = true,
    .holes = true,
    .recodes = true,
};
