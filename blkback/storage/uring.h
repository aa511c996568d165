/* SPDX-License-Identifier: MIT */
/*
 * uring.h - between uring.c (the worker's half: channels) and uring_acquire.c
 * (the monitor's half: opening a file or a block device).
 */
#ifndef BLKBACK_STORAGE_URING_H
#define BLKBACK_STORAGE_URING_H

#include "blkback/storage.h"

/* In desc.flags: what acquire found out about the file. */
#define URING_DIRECT 0x100u /* opened with O_DIRECT */
#define URING_MEMORY 0x200u /* tmpfs: no call ever waits for a device */

bool uring_claims(const char *target);
int uring_acquire(const char *target, uint32_t flags, struct storage_desc *desc,
		  int fds[STORAGE_FDS_MAX], char *why, size_t why_size);

#endif /* BLKBACK_STORAGE_URING_H */
