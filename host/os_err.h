/* SPDX-License-Identifier: ISC */
/* Errors of the operating system. */
#ifndef HOST_OS_ERR_H
#define HOST_OS_ERR_H

/* The nf_err for an errno: its own class if it has one, NF_EIO otherwise. */
int os_err(int os_errno);

#endif
