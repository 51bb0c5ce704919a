/* SPDX-License-Identifier: ISC */
/* Solo5 comes without a C library: the five functions of keeper/libc.c. */
#ifndef EXAMPLES_SOLO5_STRING_H
#define EXAMPLES_SOLO5_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);

#endif
