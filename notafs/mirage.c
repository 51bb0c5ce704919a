/* SPDX-License-Identifier: ISC */
/* The mirage format: its table of functions. */
#include "notafs/mirage_int.h"

static int node_check(struct nf *nf, enum nf_kind kind,
                      const struct nf_ptr *ptr, const uint8_t *page)
{
    (void)ptr; /* it does not tell when the page was written */
    return nf_mirage_node_check(nf, kind, page);
}

static uint64_t page_sum(const uint8_t *page, size_t len,
                         enum nf_checksum checksum)
{
    return checksum == NF_CHECKSUM_ADLER32 ? nf_adler32(page, len) : 0;
}

const struct nf_format nf_mirage_format = {
    .ptr_len = nf_mirage_ptr_len,
    .node_check = node_check,
    .ptr_count = nf_mirage_ptr_count,
    .ptr_at = nf_mirage_ptr_at,
    .ptr_get = nf_mirage_ptr_get,
    .ptr_put = nf_mirage_ptr_put,
    .page_sum = page_sum,
    .probe = nf_mirage_probe,
    .format_disk = nf_mirage_format_disk,
    .open = nf_mirage_open,
    .reload = nf_mirage_reload,
    .close = nf_mirage_close,
    .publish = nf_mirage_publish,
    .queue_front = nf_mirage_queue_front,
    .queue_take = nf_mirage_queue_take,
    .queue_spill = nf_mirage_queue_spill,
    .queue_trim = nf_mirage_queue_trim,
    .table_get = nf_mirage_table_get,
    .table_put = nf_mirage_table_put,
    .table_del = nf_mirage_table_del,
    .table_next = nf_mirage_table_next,
    .table_scan = nf_mirage_table_scan,
    .table_flush = nf_mirage_table_flush,
    .table_need = nf_mirage_table_need,
    .rope_read = nf_mirage_rope_read,
    .rope_write = nf_mirage_rope_write,
    .rope_truncate = nf_mirage_rope_truncate,
    .rope_free = nf_mirage_rope_free,
    .rope_need = nf_mirage_rope_need,
    .max_file_bytes = MIRAGE_MAX_BYTES,
    .max_name_bytes = nf_mirage_max_name_bytes,
    .max_inline_bytes = nf_mirage_max_inline_bytes,
    .mirage_times = true,
};
