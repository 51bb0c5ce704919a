/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/mem_fault.h"
#include "tests/support/unit.h"

START_TEST(fails_the_nth_once)
{
    struct mem_fault mem;
    mem_fault_init(&mem);

    mem_fault_fail(&mem, 2, false);
    void *a = mem.env.alloc(&mem, 8, 8);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(mem.env.alloc(&mem, 8, 8));
    void *b = mem.env.alloc(&mem, 8, 8);
    ck_assert_ptr_nonnull(b);
    ck_assert_uint_eq(mem.n_allocs, 3);
    ck_assert_uint_eq(mem.n_failed, 1);
    mem.env.free(&mem, a, 8);
    mem.env.free(&mem, b, 8);
}
END_TEST

START_TEST(fails_for_ever_from_now)
{
    struct mem_fault mem;
    mem_fault_init(&mem);

    void *a = mem.env.alloc(&mem, 8, 8);
    mem_fault_fail(&mem, 1, true);
    ck_assert_ptr_null(mem.env.alloc(&mem, 8, 8));
    ck_assert_ptr_null(mem.env.alloc(&mem, 8, 8));
    ck_assert_uint_eq(mem.n_failed, 2);
    ck_assert_uint_eq(mem.live_blocks, 1);
    ck_assert_uint_eq(mem.live_bytes, 8);
    mem.env.free(&mem, a, 8);
    ck_assert_uint_eq(mem.live_blocks, 0);
    ck_assert_uint_eq(mem.peak_bytes, 8);
}
END_TEST

START_TEST(new_memory_is_not_zero)
{
    struct mem_fault mem;
    mem_fault_init(&mem);

    uint8_t *p = mem.env.alloc(&mem, 1000, 4096);
    ck_assert_uint_eq((uintptr_t)p % 4096, 0);
    ck_assert_uint_eq(p[0], 0xA5);
    ck_assert_uint_eq(p[999], 0xA5);
    mem.env.free(&mem, p, 1000);
}
END_TEST

START_TEST(clock_ticks)
{
    struct mem_fault mem;
    mem_fault_init(&mem);

    ck_assert_int_eq(mem.env.now(&mem).sec, MEM_FAULT_EPOCH);
    ck_assert_int_eq(mem.env.now(&mem).sec, MEM_FAULT_EPOCH + 1);
}
END_TEST

/* Whether releasing p as size bytes stops the program. */
static bool stops(struct mem_fault *mem, void *p, size_t size)
{
    int status;
    const pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(1);
        }
        mem->env.free(mem, p, size);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

START_TEST(misuse_stops)
{
    struct mem_fault mem;
    mem_fault_init(&mem);

    uint8_t *p = mem.env.alloc(&mem, 16, 8);
    ck_assert(stops(&mem, p, 15));
    ck_assert(!stops(&mem, p, 16));
    p[-1] ^= 1;
    ck_assert(stops(&mem, p, 16));
    p[-1] ^= 1;
    mem.env.free(&mem, p, 16);
}
END_TEST

UNIT_MAIN("support/mem_fault", misuse_stops, fails_the_nth_once,
          fails_for_ever_from_now, new_memory_is_not_zero, clock_ticks)
