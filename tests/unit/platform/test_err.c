/* SPDX-License-Identifier: ISC */
#include <limits.h>
#include <string.h>

#include "tests/support/unit.h"

struct row {
    int err;
    int class_err;
    const char *name;
    const char *text;
};

#define NF_ERR_CLASS(name, number, text)          {name, name, #name, text},
#define NF_ERR_DETAIL(name, number, class_, text) {name, class_, #name, text},
static const struct row rows[] = {
#include <notafs/err.def>
};
#undef NF_ERR_CLASS
#undef NF_ERR_DETAIL

static const size_t n_rows = sizeof(rows) / sizeof(rows[0]);

START_TEST(names_and_texts)
{
    for (size_t i = 0; i < n_rows; i++) {
        ck_assert_str_eq(nf_errname(rows[i].err), rows[i].name);
        ck_assert_str_eq(nf_strerror(rows[i].err), rows[i].text);
    }
    ck_assert_int_eq(NF_ENOSPC, -28);
    ck_assert_str_eq(nf_errname(NF_ENOSPC), "NF_ENOSPC");
    ck_assert_str_eq(nf_strerror(NF_ENOSPC), "no space left on device");
}
END_TEST

START_TEST(classes)
{
    for (size_t i = 0; i < n_rows; i++) {
        ck_assert_int_eq(nf_err_class(rows[i].err), rows[i].class_err);
        ck_assert_int_eq(nf_err_class(rows[i].class_err), rows[i].class_err);
    }
    ck_assert_int_eq(nf_err_class(NF_EC_CHECKSUM), NF_ECORRUPT);
}
END_TEST

START_TEST(numbers_are_distinct)
{
    for (size_t i = 0; i < n_rows; i++) {
        ck_assert_int_lt(rows[i].err, 0);
        ck_assert_uint_gt(strlen(rows[i].text), 0);
        for (size_t j = 0; j < i; j++) {
            ck_assert_int_ne(rows[i].err, rows[j].err);
            ck_assert_str_ne(rows[i].text, rows[j].text);
        }
    }
}
END_TEST

START_TEST(success_and_unknown)
{
    ck_assert_int_eq(nf_err_class(0), 0);
    ck_assert_int_eq(nf_err_class(7), 0);
    ck_assert_str_eq(nf_strerror(0), "success");
    ck_assert_str_eq(nf_strerror(INT_MAX), "success");
    ck_assert_int_eq(nf_err_class(-99999), NF_EIO);
    ck_assert_str_eq(nf_strerror(INT_MIN), "unknown error");
    ck_assert_str_eq(nf_errname(INT_MIN), "NF_UNKNOWN");
}
END_TEST

UNIT_MAIN("platform/err", names_and_texts, classes, numbers_are_distinct,
          success_and_unknown)
