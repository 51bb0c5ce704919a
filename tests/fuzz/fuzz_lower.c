/* SPDX-License-Identifier: ISC */
/*
 * Mappings from anywhere, of a prefix and of the volumes of a lower layer: a
 * byte that chooses, for each volume its limits (the checksum is put right),
 * then the mapping that all share. What is taken is read at the edges of each
 * record and beside them.
 */
#include <string.h>

#include "pack/cursor.h"
#include "pack/lower.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

enum { DATA_LEN = 600 };

static void read_prefix(struct pk_sparse *sparse, uint64_t off)
{
    uint8_t buf[40];
    size_t len = 0;
    const int err = pk_sparse_read(sparse, off, buf, sizeof(buf), &len);

    fuzz_check(err != 0 || (len > 0 && len <= sizeof(buf)));
    fuzz_check(err <= 0);
}

static void prefix(struct pk_ctx *ctx, const struct vfs_fault *files,
                   uint64_t len)
{
    struct pk_sparse sparse;

    if (pk_sparse_open(ctx, &files->vfs, "volume.0/volume.data",
                       "volume.0/volume.mapping", len, &sparse) == 0) {
        uint64_t n = 0;
        uint64_t end = 0;

        fuzz_check(pk_sparse_extent(&sparse, &n, &end) == 0);
        fuzz_check(n == sparse.n_records && end <= DATA_LEN);
        for (uint64_t i = 0; i < sparse.n_records; i++) {
            struct pk_range_record r;

            fuzz_check(pk_sparse_record(&sparse, i, &r) == 0);
            read_prefix(&sparse, r.off);
            read_prefix(&sparse, r.off - 1);
            read_prefix(&sparse, r.off + r.len - 1);
            read_prefix(&sparse, r.off + r.len);
        }
    }
    (void)pk_sparse_close(&sparse);
}

static void volume(struct pk_ctx *ctx, struct vfs_fault *files, uint64_t n,
                   struct fuzz_input *in)
{
    const uint64_t near = in->len;
    struct pk_volume_control control = {
        .start = fuzz_number(fuzz_u32(in), 1000) & PK_INT63_MAX,
        .end = fuzz_number(fuzz_u32(in), 1000) & PK_INT63_MAX,
        .mapping_end = fuzz_number(fuzz_u32(in), near / 24 * 24) & PK_INT63_MAX,
    };
    const uint64_t len = control.mapping_end;
    struct pk_buf raw = pk_buf_of(&ctx->mem);
    char name[PK_VFS_NAME_MAX + 1];

    if (len % 24 == 0 && len > 0 && len <= in->len && len % 5 != 0) {
        const uint8_t *last = in->p + len - 24; /* as a good one has it */

        control.end = nf_get_le64(last) + nf_get_le64(last + 16);
    }
    pk_volume_control_encode(&control, &raw);
    fuzz_check(!raw.failed);
    pk_volume_name(name, n, "control");
    vfs_fault_put(files, name, raw.p, raw.len);
    pk_buf_deinit(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t bytes[DATA_LEN];
    struct fuzz_input in = {data, size};
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_ctx ctx = {.env = &mem.env, .mem = {.env = &mem.env}};
    const uint8_t choice = fuzz_u8(&in);
    const uint64_t n = 1 + (choice & 1);
    struct pk_lower lower;

    mem_fault_init(&mem);
    vfs_fault_init(&files);
    for (uint64_t i = 0; i < n; i++) {
        char name[PK_VFS_NAME_MAX + 1];

        if ((choice >> (1 + i) & 1) == 0) { /* else it is empty */
            volume(&ctx, &files, i, &in);
        }
        pk_volume_name(name, i, "data");
        vfs_fault_put(&files, name, bytes, sizeof(bytes));
    }
    for (uint64_t i = 0; i < n; i++) {
        char name[PK_VFS_NAME_MAX + 1];

        pk_volume_name(name, i, "mapping");
        vfs_fault_put(&files, name, in.p, in.len);
    }
    prefix(&ctx, &files, (choice & 8) != 0 ? NF_NOWHERE : in.len / 24 * 24);
    if (pk_lower_open(&ctx, &files.vfs, n, 1, &lower) == 0) {
        for (uint64_t off = 0; off < 1200; off += 7) {
            uint8_t buf[16];
            size_t len = 0;
            const int err = pk_lower_read(&lower, off, buf, sizeof(buf), &len);

            fuzz_check(err < 0 || (len > 0 && len <= sizeof(buf)));
        }
    }
    (void)pk_lower_close(&lower);
    fuzz_check(mem.live_bytes == 0 && files.n_open == 0);
    vfs_fault_deinit(&files);
    return 0;
}
