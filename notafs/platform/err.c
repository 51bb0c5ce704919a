/* SPDX-License-Identifier: ISC */
/*
 * Error numbers to text and class: tables made from err.def, with one row for
 * each error, in one order. The texts stand apart: a program that never asks
 * for them does not carry them. A search through some dozens of rows is cheap
 * enough for what happens once per failure.
 */
#include <notafs/platform.h>

struct nf_err_row {
    int16_t err;
    int16_t class_err;
};

#define NF_ERR_CLASS(name, number, text)          {(number), (number)},
#define NF_ERR_DETAIL(name, number, class_, text) {(number), (class_)},
static const struct nf_err_row nf_err_rows[] = {
#include <notafs/err.def>
};
#undef NF_ERR_CLASS
#undef NF_ERR_DETAIL

#define NF_ERR_CLASS(name, number, text)          #name,
#define NF_ERR_DETAIL(name, number, class_, text) #name,
static const char *const nf_err_names[] = {
#include <notafs/err.def>
};
#undef NF_ERR_CLASS
#undef NF_ERR_DETAIL

#define NF_ERR_CLASS(name, number, text)          (text),
#define NF_ERR_DETAIL(name, number, class_, text) (text),
static const char *const nf_err_texts[] = {
#include <notafs/err.def>
};
#undef NF_ERR_CLASS
#undef NF_ERR_DETAIL

enum { NF_ERR_ROWS = sizeof(nf_err_rows) / sizeof(nf_err_rows[0]) };

/* The row of an error; NF_ERR_ROWS: there is none. */
static size_t nf_err_find(int err)
{
    size_t i = 0;

    while (i < NF_ERR_ROWS && nf_err_rows[i].err != err) {
        i++;
    }
    return i;
}

const char *nf_strerror(int err)
{
    const size_t i = nf_err_find(err);

    if (err >= 0) {
        return "success";
    }
    return i < NF_ERR_ROWS ? nf_err_texts[i] : "unknown error";
}

const char *nf_errname(int err)
{
    const size_t i = nf_err_find(err);

    if (err >= 0) {
        return "NF_OK";
    }
    return i < NF_ERR_ROWS ? nf_err_names[i] : "NF_UNKNOWN";
}

int nf_err_class(int err)
{
    const size_t i = nf_err_find(err);

    if (err >= 0) {
        return 0;
    }
    return i < NF_ERR_ROWS ? nf_err_rows[i].class_err : NF_EIO;
}
