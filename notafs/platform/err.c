/* SPDX-License-Identifier: ISC */
/*
 * Error numbers to text and class. All three functions read one table made
 * from err.def; a search through some dozens of rows is cheap enough for
 * what happens once per failure.
 */
#include <notafs/platform.h>

struct nf_err_row {
    int err;
    int class_err;
    const char *name;
    const char *text;
};

#define NF_ERR_CLASS(name, number, text) {(number), (number), #name, (text)},
#define NF_ERR_DETAIL(name, number, class_, text)                              \
    {(number), (class_), #name, (text)},
static const struct nf_err_row nf_err_rows[] = {
#include <notafs/err.def>
};
#undef NF_ERR_CLASS
#undef NF_ERR_DETAIL

static const struct nf_err_row nf_err_success = {0, 0, "NF_OK", "success"};
static const struct nf_err_row nf_err_unknown = {0, NF_EIO, "NF_UNKNOWN",
                                                 "unknown error"};

static const struct nf_err_row *nf_err_find(int err)
{
    const size_t n = sizeof(nf_err_rows) / sizeof(nf_err_rows[0]);

    if (err >= 0) {
        return &nf_err_success;
    }
    for (size_t i = 0; i < n; i++) {
        if (nf_err_rows[i].err == err) {
            return &nf_err_rows[i];
        }
    }
    return &nf_err_unknown;
}

const char *nf_strerror(int err)
{
    return nf_err_find(err)->text;
}

const char *nf_errname(int err)
{
    return nf_err_find(err)->name;
}

int nf_err_class(int err)
{
    return nf_err_find(err)->class_err;
}
