/* SPDX-License-Identifier: ISC */
/* What the fuzz targets of pack share. */
#ifndef TESTS_FUZZ_PACK_H
#define TESTS_FUZZ_PACK_H

#include <stddef.h>
#include <stdint.h>

/* Put the checksum of a control file of version 4 or 5 right, so that what it
 * says is looked at. */
void fuzz_control_sum(uint8_t *raw, size_t len);

#endif
