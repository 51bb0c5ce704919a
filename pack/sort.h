/* SPDX-License-Identifier: ISC */
/* Sorting in place, in n log n steps whatever the input. */
#ifndef PK_SORT_H
#define PK_SORT_H

#include <stddef.h>
#include <stdint.h>

/* < 0, 0, > 0 as item a comes before, with, after item b. */
typedef int (*pk_order_fn)(const void *arg, uint32_t a, uint32_t b);

/* Arrange items so that each comes with or before the next. */
void pk_sort(uint32_t *items, size_t n, pk_order_fn fn, const void *arg);

#endif
