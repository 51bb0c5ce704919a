/* SPDX-License-Identifier: ISC */
/* Numbers in a file, see list.h. A page is written once it is full, and read
 * into the place that its number says. */
#include "pack/stream/list.h"

#include <string.h>

#include "notafs/platform/assert.h"
#include "notafs/platform/codec.h"

int pk_list_file_open(struct pk_ctx *ctx, const struct pk_vfs *vfs,
                      const char *name, uint64_t n, struct pk_list_file *list)
{
    size_t part = (size_t)(n % PK_LIST_PAGE_N) * 8;
    int err;

    *list = (struct pk_list_file){.ctx = ctx, .n = n};
    list->tail = nf_alloc(&ctx->mem, PK_LIST_PAGE_LEN);
    list->pages = nf_alloc(&ctx->mem, PK_LIST_PAGES * PK_LIST_PAGE_LEN);
    if (list->tail == NULL || list->pages == NULL) {
        return pk_fail_mem(ctx);
    }
    err =
        pk_file_open(ctx, vfs, name, PK_VFS_WRITE | PK_VFS_CREATE, &list->file);
    if (err == 0 && part > 0) {
        err = pk_file_read(&list->file, n * 8 - part, list->tail, part);
    }
    return err;
}

void pk_list_file_close(struct pk_list_file *list)
{
    if (list->ctx == NULL) {
        return;
    }
    (void)pk_file_close(&list->file); /* flushed, or not needed */
    nf_free(&list->ctx->mem, list->tail, PK_LIST_PAGE_LEN);
    nf_free(&list->ctx->mem, list->pages, PK_LIST_PAGES * PK_LIST_PAGE_LEN);
    *list = (struct pk_list_file){0};
}

int pk_list_file_flush(struct pk_list_file *list)
{
    size_t part = (size_t)(list->n % PK_LIST_PAGE_N) * 8;

    return part == 0 ? 0
                     : pk_file_write(&list->file, list->n * 8 - part,
                                     list->tail, part);
}

int pk_list_file_add(struct pk_list_file *list, uint64_t v)
{
    size_t at = (size_t)(list->n % PK_LIST_PAGE_N);
    int err = 0;

    nf_put_le64(list->tail + at * 8, v);
    if (at + 1 == PK_LIST_PAGE_N) {
        err = pk_file_write(&list->file, (list->n - at) * 8, list->tail,
                            PK_LIST_PAGE_LEN);
    }
    if (err == 0) {
        list->n++;
    }
    return err;
}

int pk_list_file_get(struct pk_list_file *list, uint64_t i, uint64_t *ret)
{
    uint64_t page = i / PK_LIST_PAGE_N;
    size_t at = (size_t)(i % PK_LIST_PAGE_N) * 8;
    size_t place = (size_t)(page % PK_LIST_PAGES);
    uint8_t *p = list->pages + place * PK_LIST_PAGE_LEN;

    nf_assert(i < list->n);
    if (page == list->n / PK_LIST_PAGE_N) {
        *ret = nf_get_le64(list->tail + at);
        return 0;
    }
    if (list->which[place] != page + 1) {
        int err;

        list->which[place] = 0;
        err = pk_file_read(&list->file, page * PK_LIST_PAGE_LEN, p,
                           PK_LIST_PAGE_LEN);
        if (err != 0) {
            return err;
        }
        list->which[place] = page + 1;
    }
    *ret = nf_get_le64(p + at);
    return 0;
}

int pk_list_file_find(struct pk_list_file *list, uint64_t stride, uint64_t v,
                      uint64_t *ret_group)
{
    uint64_t lo = 0;
    uint64_t hi = list->n / stride;

    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        uint64_t at = 0;
        int err = pk_list_file_get(list, mid * stride, &at);

        if (err != 0) {
            return err;
        }
        if (at == v) {
            *ret_group = mid;
            return 0;
        }
        if (at > v) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NF_ENOENT;
}
