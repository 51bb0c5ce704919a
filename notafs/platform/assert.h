/* SPDX-License-Identifier: ISC */
/*
 * nf_assert states what only a bug of ours can break: never anything that a
 * byte on a device, an argument or a callback decides. It stays on in every
 * build, and stops the program where it stands.
 */
#ifndef NF_ASSERT_H
#define NF_ASSERT_H

#define nf_assert(cond) ((cond) ? (void)0 : __builtin_trap())

#endif
