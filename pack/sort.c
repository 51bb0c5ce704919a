/* SPDX-License-Identifier: ISC */
/*
 * Heap sort: no memory, no recursion, no bad input. Input that is in order
 * already, the usual case, costs one pass.
 */
#include "pack/sort.h"

static void sort_sift(uint32_t *items, size_t at, size_t n, pk_order_fn fn,
                      const void *arg)
{
    uint32_t item = items[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= n) {
            break;
        }
        if (child + 1 < n && fn(arg, items[child], items[child + 1]) < 0) {
            child++;
        }
        if (fn(arg, item, items[child]) >= 0) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = item;
}

void pk_sort(uint32_t *items, size_t n, pk_order_fn fn, const void *arg)
{
    size_t i = 1;

    while (i < n && fn(arg, items[i - 1], items[i]) <= 0) {
        i++;
    }
    if (i >= n) {
        return;
    }
    for (i = n / 2; i > 0; i--) {
        sort_sift(items, i - 1, n, fn, arg);
    }
    for (i = n - 1; i > 0; i--) {
        uint32_t top = items[0];

        items[0] = items[i];
        items[i] = top;
        sort_sift(items, 0, i, fn, arg);
    }
}
