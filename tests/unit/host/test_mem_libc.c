/* SPDX-License-Identifier: ISC */
#include <string.h>

#include <notafs/host.h>

#include "tests/support/unit.h"

START_TEST(aligned_memory)
{
    struct nf_env env;

    nf_env_libc(&env);
    for (size_t align = 1; align <= 4096; align *= 2) {
        void *p = env.alloc(env.ctx, 100, align);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % align, 0);
        memset(p, 1, 100);
        env.free(env.ctx, p, 100);
    }
}
END_TEST

START_TEST(refuses_the_impossible)
{
    struct nf_env env;

    nf_env_libc(&env);
    ck_assert_ptr_null(env.alloc(env.ctx, SIZE_MAX / 2, 4096));
}
END_TEST

START_TEST(clock)
{
    struct nf_env env;

    nf_env_libc(&env);
    const struct nf_time now = env.now(env.ctx);
    ck_assert_int_ne(now.sec, 0);
    ck_assert_uint_lt(now.nsec, 1000000000);
}
END_TEST

UNIT_MAIN("host/mem_libc", aligned_memory, refuses_the_impossible, clock)
