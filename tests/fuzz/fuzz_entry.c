/* SPDX-License-Identifier: ISC */
/*
 * The front of an entry and the body of a commit, from anywhere; the first byte
 * chooses the length of hashes. What a commit is said to consist of lies within
 * it.
 */
#include <string.h>

#include "pack/entry.h"
#include "tests/fuzz/fuzz.h"

static bool lies_in(struct pk_slice s, const uint8_t *p, size_t len)
{
    return s.len == 0 ||
           (s.p >= p && s.len <= len && (size_t)(s.p - p) <= len - s.len);
}

static void commit(const uint8_t *p, size_t len, uint8_t kind, size_t hash_len)
{
    struct pk_commit_body body;
    size_t body_len = 0;

    if (!pk_commit_decode(p, len, kind, hash_len, &body, &body_len)) {
        return;
    }
    fuzz_check(body_len > 0 && body_len <= len);
    fuzz_check(lies_in(body.info.author, p, len));
    fuzz_check(lies_in(body.info.message, p, len));
    fuzz_check(body.n_parents <= len);
    for (uint64_t i = 0; i < body.n_parents; i++) {
        const struct pk_addr addr =
            pk_commit_next_parent(&body, kind, hash_len);

        fuzz_check(addr.by_hash || addr.off <= PK_INT63_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t lens[] = {20, 32, 64, 5};
    static const uint8_t kinds[] = {'D', 'P', 'C'};
    struct pk_head head;
    size_t hash_len;

    if (size == 0) {
        return 0;
    }
    hash_len = lens[data[0] & 3];
    if (pk_head_decode(data + 1, size - 1, hash_len, &head)) {
        fuzz_check(head.body > hash_len && head.body <= size - 1);
        fuzz_check(head.len == 0 || head.len >= head.body);
        fuzz_check(memcmp(head.hash.b, data + 1, hash_len) == 0);
        if (pk_kind_is_commit(head.kind)) {
            commit(data + 1 + head.body, size - 1 - head.body, head.kind,
                   hash_len);
        }
    }
    commit(data + 1, size - 1, kinds[(data[0] >> 2) % 3], hash_len);
    return 0;
}
