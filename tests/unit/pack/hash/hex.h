/* SPDX-License-Identifier: ISC */
/* Bytes written in hexadecimal, for test vectors. */
#ifndef TESTS_HEX_H
#define TESTS_HEX_H

#include <check.h>
#include <string.h>

#include <notafs/hash.h>

enum { HEX_MAX_LEN = 1024 };

struct hex {
    uint8_t b[HEX_MAX_LEN];
    size_t len;
};

/* Spaces are passed over. */
static inline struct hex hex(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    struct hex h = {.len = 0};
    size_t n_digits = 0;

    for (; *text != '\0'; text++) {
        const char *d = strchr(digits, *text);

        if (*text == ' ') {
            continue;
        }
        ck_assert_ptr_nonnull(d);
        h.b[h.len] = (uint8_t)(h.b[h.len] << 4 | (d - digits));
        h.len += n_digits++ % 2;
    }
    ck_assert_uint_eq(n_digits % 2, 0);
    return h;
}

static inline struct pk_slice hex_slice(const struct hex *h)
{
    return (struct pk_slice){h->b, h->len};
}

static inline struct pk_slice text_slice(const char *text)
{
    return (struct pk_slice){(const uint8_t *)text, strlen(text)};
}

#endif
