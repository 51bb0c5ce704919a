/* SPDX-License-Identifier: ISC */
/*
 * A dictionary from anywhere: a byte that chooses a dead header and how much
 * lies beyond the end, then the file. What is taken has its strings where they
 * are looked for, takes more, and is the same when read again.
 */
#include <string.h>

#include "pack/dict.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_fault.h"
#include "tests/support/vfs_fault.h"

/* Each string is found, at its first id. */
static void look(struct pk_dict *dict)
{
    for (uint64_t id = 0; id < dict->n; id++) {
        const struct pk_slice s = pk_dict_string(dict, id);
        uint64_t found = UINT64_MAX;

        fuzz_check(s.p != NULL);
        fuzz_check(pk_dict_add(dict, s, &found) == 1 && found <= id);
        fuzz_check(pk_dict_string(dict, found).len == s.len);
    }
    fuzz_check(pk_dict_string(dict, dict->n).p == NULL);
}

static void extend(struct pk_dict *dict, uint64_t *ret_end)
{
    static const uint8_t name[] = "a name that is new";
    uint64_t id = 0;

    for (size_t len = 4; len < sizeof(name); len += 5) {
        fuzz_check(pk_dict_add(dict, (struct pk_slice){name, len}, &id) == 1);
    }
    fuzz_check(pk_dict_flush(dict) == 0);
    *ret_end = pk_dict_end(dict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_fault mem;
    struct vfs_fault files;
    struct pk_ctx ctx = {.env = &mem.env, .mem = {.env = &mem.env}};
    struct pk_dict dict;
    const size_t beyond = size == 0 ? 0 : data[0] >> 1 & 15;
    const uint64_t header = size > 16 && (data[0] & 1) != 0 ? 16 : 0;
    uint64_t end;

    if (size == 0 || size - 1 < header + beyond) {
        return 0;
    }
    mem_fault_init(&mem);
    vfs_fault_init(&files);
    vfs_fault_put(&files, "store.dict", data + 1, size - 1);
    end = size - 1 - header - beyond;
    if (pk_dict_open(&ctx, &files.vfs, header, end, false, &dict) == 0) {
        const uint32_t n = dict.n;

        look(&dict);
        fuzz_check(dict.n == n);
        fuzz_check(pk_dict_close(&dict) == 0);
        fuzz_check(pk_dict_open(&ctx, &files.vfs, header, end, true, &dict) ==
                   0);
        extend(&dict, &end);
        fuzz_check(pk_dict_close(&dict) == 0);
        fuzz_check(pk_dict_open(&ctx, &files.vfs, header, end, false, &dict) ==
                   0);
        fuzz_check(dict.n >= n);
        look(&dict);
    }
    (void)pk_dict_close(&dict);
    fuzz_check(mem.live_bytes == 0 && files.n_open == 0);
    vfs_fault_deinit(&files);
    return 0;
}
