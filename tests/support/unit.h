/* SPDX-License-Identifier: ISC */
/*
 * One file of unit tests is one program, named layer/file:
 *
 *     START_TEST(adds)
 *     {
 *         assert_ok(...);
 *     }
 *     END_TEST
 *
 *     UNIT_MAIN("platform/checked", adds)
 *
 * A test that is not listed is an unused variable, so it does not compile.
 * The program runs the cases named as its arguments, or all of them, and ends
 * with a line "N passed, N failed".
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stddef.h>

#include <notafs/platform.h>

#define UNIT_MAIN(name, ...)                                                   \
    int main(int argc, char **argv)                                            \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        return unit_run(name, tests, sizeof(tests) / sizeof(tests[0]), argc,   \
                        argv);                                                 \
    }

int unit_run(const char *name, const TTest *const *tests, size_t n_tests,
             int argc, char **argv);

/* err is what it should be; otherwise both are named. */
#define assert_err(err, expected)                                              \
    do {                                                                       \
        const int err_ = (err);                                                \
        ck_assert_msg(err_ == (expected), "%s: %s, not %s", #err,              \
                      nf_errname(err_), nf_errname(expected));                 \
    } while (0)
#define assert_ok(err) assert_err(err, 0)

#endif
