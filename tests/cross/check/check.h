/* SPDX-License-Identifier: ISC */
/*
 * What our tests use of the library Check, for machines that it is not packaged
 * for. A case runs in the test's own process, and the first failure ends it.
 */
#ifndef TESTS_CROSS_CHECK_H
#define TESTS_CROSS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    void (*fn)(void);
} TTest;

#define START_TEST(case_)                                                      \
    static void case_##_fn(void);                                              \
    static const TTest case_##_ttest = {#case_, case_##_fn};                   \
    static const TTest *const case_ = &case_##_ttest;                          \
    static void case_##_fn(void)
#define END_TEST

#define ck_abort_msg(...)                                                      \
    do {                                                                       \
        printf("%s:%d: ", __FILE__, __LINE__);                                 \
        printf(__VA_ARGS__);                                                   \
        puts("");                                                              \
        exit(EXIT_FAILURE);                                                    \
    } while (0)
#define ck_assert_msg(cond, ...)                                               \
    do {                                                                       \
        if (!(cond)) {                                                         \
            ck_abort_msg(__VA_ARGS__);                                         \
        }                                                                      \
    } while (0)
#define ck_assert(cond) ck_assert_msg(cond, "%s", #cond)

#define CK_COMPARE(type, format, a, op, b)                                     \
    do {                                                                       \
        const type a_ = (type)(a);                                             \
        const type b_ = (type)(b);                                             \
        ck_assert_msg(a_ op b_, "%s %s %s: %" format ", %" format, #a, #op,    \
                      #b, a_, b_);                                             \
    } while (0)
#define ck_assert_int_eq(a, b)  CK_COMPARE(intmax_t, PRIdMAX, a, ==, b)
#define ck_assert_int_ne(a, b)  CK_COMPARE(intmax_t, PRIdMAX, a, !=, b)
#define ck_assert_int_lt(a, b)  CK_COMPARE(intmax_t, PRIdMAX, a, <, b)
#define ck_assert_int_le(a, b)  CK_COMPARE(intmax_t, PRIdMAX, a, <=, b)
#define ck_assert_int_gt(a, b)  CK_COMPARE(intmax_t, PRIdMAX, a, >, b)
#define ck_assert_int_ge(a, b)  CK_COMPARE(intmax_t, PRIdMAX, a, >=, b)
#define ck_assert_uint_eq(a, b) CK_COMPARE(uintmax_t, PRIuMAX, a, ==, b)
#define ck_assert_uint_ne(a, b) CK_COMPARE(uintmax_t, PRIuMAX, a, !=, b)
#define ck_assert_uint_lt(a, b) CK_COMPARE(uintmax_t, PRIuMAX, a, <, b)
#define ck_assert_uint_le(a, b) CK_COMPARE(uintmax_t, PRIuMAX, a, <=, b)
#define ck_assert_uint_gt(a, b) CK_COMPARE(uintmax_t, PRIuMAX, a, >, b)
#define ck_assert_uint_ge(a, b) CK_COMPARE(uintmax_t, PRIuMAX, a, >=, b)

#define ck_assert_ptr_eq(a, b)    ck_assert((a) == (b))
#define ck_assert_ptr_null(a)     ck_assert((a) == NULL)
#define ck_assert_ptr_nonnull(a)  ck_assert((a) != NULL)
#define ck_assert_str_eq(a, b)    ck_assert(strcmp(a, b) == 0)
#define ck_assert_str_ne(a, b)    ck_assert(strcmp(a, b) != 0)
#define ck_assert_mem_eq(a, b, n) ck_assert(memcmp(a, b, n) == 0)
#define ck_assert_mem_ne(a, b, n) ck_assert(memcmp(a, b, n) != 0)

#endif
